"""Where the two readers inside the program meet.

The *rule reader* measures membranes and applies the written criteria: its score can be traced to
cells, and it stays the call. The *network reader* has learned to score a region directly. This
module says how far they agree, and what is probable when both are heard:

1. Each opinion is mixed with `DOUBT` of "any score is as probable". The rule reader's
   probabilities hold only the scatter of cells over the tissue and the network's only what it met
   in training; a 0 of either means "not seen", and must not be a veto.
2. The two are multiplied with the exponents w and 1 − w (a logarithmic opinion pool). The
   exponents sum to 1, because both read the same picture: agreement makes them no surer than the
   surer one is. w = 0.5 hears both alike.
3. The network's conformal set, at the coverage it was calibrated for, holds the scores that the
   network does not rule out.

The network knows 0+. Criteria that do not have it make something else of it (`RuleSet.told_as`),
and what the network says is told so before the two are compared and pooled.

A person is asked where the two scores are a grade or more apart (`flags/checks.py`).

References
----------
Genest and Zidek 1986, 10.1214/ss/1177013825 (pooling of opinions).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.statistics.conformal import conformal_sets

__all__ = [
    "DOUBT",
    "RULE_WEIGHT",
    "Conformal",
    "JointReading",
    "Opinion",
    "combine_readers",
    "median_score",
    "network_opinion",
]

# Large enough that a reader who is quite sure can be outvoted by one who is quite sure of another
# score (the pool is then even), small enough that two who agree stay above 0.95.
DOUBT = 0.05
RULE_WEIGHT = 0.5
SUM_TOLERANCE = 1e-3
# The criteria have all scores that the network knows.
NOTHING_ELSE: Mapping[Score, Score] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reader says: a score, and how probable it holds each of the five."""

    score: Score
    probabilities: Mapping[Score, float]


@dataclass(frozen=True, slots=True)
class Conformal:
    """How the network's sets were calibrated: stated coverage, and the quantile that gives it."""

    coverage: float
    quantile: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointReading:
    """Both readers, side by side and together.

    Attributes
    ----------
    rule, network : Opinion
    probabilities : mapping of Score to float
        Of both together; all 0 where the slide is not assessable.
    rule_weight : float
        The exponent of the rule reader.
    distance : int or None
        Grades between the two scores; None where one of them is not assessable.
    coverage : float or None
        Stated coverage of `conformal_set`; None when the network was not calibrated for one.
    conformal_set : tuple of Score
        Neighbouring scores that the network does not rule out; empty without a calibration.
    """

    rule: Opinion
    network: Opinion
    probabilities: Mapping[Score, float]
    rule_weight: float
    distance: int | None
    coverage: float | None = None
    conformal_set: tuple[Score, ...] = ()


def median_score(probabilities: Mapping[Score, float]) -> Score:
    """Return the score at which half of the probability is reached, from below.

    It is where an ordinal reader errs by the fewest grades on average; the most probable score
    would jump between 0 and 3+ for a reader that is torn. Not assessable without probability.
    """
    shares = row_of(probabilities)
    if shares.sum() == 0:
        return Score.NOT_ASSESSABLE
    # Rounding must not move an exact half one score up.
    place = int(np.searchsorted(np.cumsum(shares), 0.5 * shares.sum() - 1e-12))
    return EXPRESSION_SCORES[min(place, len(EXPRESSION_SCORES) - 1)]


def network_opinion(probabilities: Mapping[Score, float]) -> Opinion:
    """Return the network's opinion from its ordinal probabilities: its score is their median."""
    return Opinion(median_score(probabilities), probabilities)


def combine_readers(
    rule: Opinion,
    network: Opinion,
    *,
    conformal: Conformal | None = None,
    rule_weight: float = RULE_WEIGHT,
    told_as: Mapping[Score, Score] = NOTHING_ELSE,
) -> JointReading:
    """Set two opinions side by side and pool them.

    Parameters
    ----------
    rule, network : Opinion
        Probabilities sum to 1, or are all 0 where the reader could not read.
    conformal : Conformal, optional
        How the network's sets were calibrated.
    rule_weight : float
        Exponent of the rule reader, 0–1.
    told_as : mapping of Score to Score
        Scores that the criteria in use do not have, with what these make of them.

    Returns
    -------
    JointReading
        Without a readable network the probabilities are the rule reader's own; where the rule
        reader found nothing to assess they are all 0.

    Raises
    ------
    ValueError
        If probabilities do not sum to 1, or the weight lies outside 0–1.
    """
    if not 0 <= rule_weight <= 1:
        raise ValueError(f"rule_weight lies between 0 and 1, got {rule_weight}; 0.5 hears both")
    raw = row_of(network.probabilities)
    if told_as:
        network = told_otherwise(network, told_as)
    own, other = row_of(rule.probabilities), row_of(network.probabilities)
    is_comparable = Score.NOT_ASSESSABLE not in (rule.score, network.score)
    if rule.score is Score.NOT_ASSESSABLE or own.sum() == 0:
        pooled = np.zeros_like(own)
    elif network.score is Score.NOT_ASSESSABLE or other.sum() == 0:
        pooled = own
    else:
        pooled = pool(own, other, rule_weight, is_used=used_of(told_as))
    within: tuple[Score, ...] = ()
    if conformal is not None and raw.sum() > 0:
        # It was calibrated on the scores that the network knows.
        is_in = conformal_sets(raw[None], conformal.quantile)[0]
        held = (s for s, inside in zip(EXPRESSION_SCORES, is_in, strict=True) if inside)
        within = tuple(dict.fromkeys(told_as.get(score, score) for score in held))
    return JointReading(
        rule=rule,
        network=network,
        probabilities=dict(zip(EXPRESSION_SCORES, pooled.tolist(), strict=True)),
        rule_weight=rule_weight,
        distance=grades_between(rule.score, network.score, told_as) if is_comparable else None,
        coverage=conformal.coverage if conformal is not None and within else None,
        conformal_set=within,
    )


def told_otherwise(opinion: Opinion, told_as: Mapping[Score, Score]) -> Opinion:
    """Return an opinion in which some scores are told as others."""
    merged = dict.fromkeys(EXPRESSION_SCORES, 0.0)
    for score, share in opinion.probabilities.items():
        merged[told_as.get(score, score)] += share
    is_empty = not opinion.probabilities
    return Opinion(told_as.get(opinion.score, opinion.score), {} if is_empty else merged)


def grades_between(a: Score, b: Score, told_as: Mapping[Score, Score]) -> int:
    """Return how many grades two scores lie apart among those that the criteria have."""
    used = [score for score in EXPRESSION_SCORES if score not in told_as]
    return abs(used.index(a) - used.index(b))


def used_of(told_as: Mapping[Score, Score]) -> NDArray[np.bool_]:
    """Tell which scores the criteria have, low to high."""
    return np.array([score not in told_as for score in EXPRESSION_SCORES])


def pool(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    rule_weight: float,
    *,
    is_used: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the logarithmic pool of two doubted opinions on the scores in use; it sums to 1."""
    anything = DOUBT * is_used / is_used.sum()
    doubted = [(1 - DOUBT) * row + anything for row in (own, other)]
    joint = doubted[0] ** rule_weight * doubted[1] ** (1 - rule_weight)
    share: NDArray[np.float64] = joint / joint.sum()
    return share


def row_of(probabilities: Mapping[Score, float]) -> NDArray[np.float64]:
    """Return the five probabilities, low to high; they sum to 1, or are all 0."""
    row = np.array([probabilities.get(score, 0.0) for score in EXPRESSION_SCORES], np.float64)
    total = float(row.sum())
    if total == 0 and not row.any():
        return row
    if not (row >= 0).all() or not math.isclose(total, 1, abs_tol=SUM_TOLERANCE):
        raise ValueError(f"probabilities are at least 0 and sum to 1, got {row.tolist()}")
    exact: NDArray[np.float64] = row / total
    return exact
