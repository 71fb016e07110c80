"""Whether stated probabilities are worth what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.evaluation.case import Case, shared_scale
from her2path.statistics.counted import Counted

__all__ = [
    "Bin",
    "Reliability",
    "SetCoverage",
    "StatedProbabilities",
    "coverage_of_sets",
    "examine_stated",
    "reliability",
]

N_BINS = 10
# The error of a perfect reader is simulated so often: its mean is known to a hundredth of itself.
N_DRAWS = 1000
# Of more statements the sum over a bin is as good as normal: drawing them would take minutes.
MANY_STATEMENTS = 20_000
# Statements drawn at a time: some 20 MB, however many there are.
N_AT_A_TIME = 1_000_000


@dataclass(frozen=True, slots=True)
class Bin:
    """Statements between two probabilities: what was stated on average, how often it came true."""

    low: float
    high: float
    mean_stated: float
    came_true: Counted


@dataclass(frozen=True, slots=True)
class Reliability:
    """Statements of probability held against what happened.

    Attributes
    ----------
    n : int
        Statements.
    bins : tuple of Bin
        Of equal width; empty ones are left out.
    expected_error : float
        Expected calibration error: the mean difference between stated and observed, each bin by
        its statements; 0–1.
    error_by_chance : float
        What that error would be for a reader whose probabilities are right: with few statements it
        is not 0.
    mean_stated, came_true : float
        Over all statements; their difference is over- or underconfidence.
    """

    n: int
    bins: tuple[Bin, ...]
    expected_error: float
    error_by_chance: float
    mean_stated: float
    came_true: float


@dataclass(frozen=True, slots=True)
class StatedProbabilities:
    """Reliability of what was said about the score given, and about every boundary.

    `of_score`: "this score is right"; one statement per slide. `of_boundaries`: "the score lies
    above this cut"; one statement per slide and boundary, which belong together, so their counts
    overstate what is known. `ranked_score` is the mean ranked probability score, 0 (best) to 1.
    """

    n_without: int
    of_score: Reliability
    of_boundaries: Reliability
    ranked_score: float


@dataclass(frozen=True, slots=True)
class SetCoverage:
    """Sets of scores held against references: how many hold theirs, and of how many grades."""

    covered: Counted
    mean_size: float


def coverage_of_sets(cases: Sequence[Case]) -> SetCoverage | None:
    """Return how often stated sets hold the grade of the reference; None without any."""
    stated = [case for case in cases if case.score_set]
    if not stated:
        return None
    return SetCoverage(
        Counted.of(case.known_grade in case.set_grades for case in stated),
        sum(len(case.set_grades) for case in stated) / len(stated),
    )


def reliability(
    stated: ArrayLike, came_true: ArrayLike, *, rng: np.random.Generator
) -> Reliability:
    """Hold statements against what happened.

    Parameters
    ----------
    stated : array_like of shape (n,)
        Probabilities, 0–1.
    came_true : array_like of shape (n,), bool
        Whether it was so.
    rng : numpy.random.Generator
        Source of randomness for `error_by_chance`.

    References
    ----------
    Naeini et al. 2015, 10.1609/aaai.v29i1.9602 (expected calibration error).
    """
    p, hit = np.asarray(stated, np.float64), np.asarray(came_true, np.bool_)
    if p.shape != hit.shape or p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"give one probability and one outcome each, got {p.shape}, {hit.shape}")
    if p.size == 0:
        return Reliability(0, (), math.nan, math.nan, math.nan, math.nan)
    place = np.minimum((p * N_BINS).astype(np.int64), N_BINS - 1)
    bins = tuple(
        Bin(k / N_BINS, (k + 1) / N_BINS, float(p[inside].mean()), Counted.of(hit[inside]))
        for k in range(N_BINS)
        for inside in [place == k]
        if inside.any()
    )
    return Reliability(
        n=p.size,
        bins=bins,
        expected_error=float(error_of(p, hit[None], place)[0]),
        error_by_chance=chance_error(p, place, rng=rng),
        mean_stated=float(p.mean()),
        came_true=float(hit.mean()),
    )


def chance_error(
    p: NDArray[np.float64], place: NDArray[np.int64], *, rng: np.random.Generator
) -> float:
    """Return the expected calibration error of a reader whose probabilities are right.

    It is drawn. Of very many statements it is the mean of the absolute normal deviations instead,
    √(2/π) of the standard deviation of each bin's sum.
    """
    if p.size > MANY_STATEMENTS:
        variance = np.bincount(place, weights=p * (1 - p))
        return float(np.sqrt(variance * 2 / np.pi).sum()) / p.size
    rows = min(max(N_AT_A_TIME // p.size, 1), N_DRAWS)
    errors = [
        error_of(p, rng.random((min(rows, N_DRAWS - first), p.size)) < p, place)
        for first in range(0, N_DRAWS, rows)
    ]
    return float(np.concatenate(errors).mean())


def error_of(
    p: NDArray[np.float64], hits: NDArray[np.bool_], place: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the expected calibration error of each row of outcomes."""
    error = np.zeros(len(hits))
    for k in np.unique(place):
        inside = place == k
        # The sum over a bin of (came true − stated) is its count times their difference.
        error += np.abs((hits[:, inside] - p[inside]).sum(axis=1))
    found: NDArray[np.float64] = error / p.size
    return found


def examine_stated(
    cases: Sequence[Case], *, rng: np.random.Generator
) -> StatedProbabilities | None:
    """Examine the probabilities of slides that got a score; None when none has any.

    The cases are on one scale; what it does not tell apart is pooled.
    """
    scored = [case for case in cases if case.is_assessed]
    having = [case for case in scored if case.probabilities is not None]
    if not having:
        return None
    scale = shared_scale(cases)
    p = np.array([scale.pooled(case.probabilities or {}) for case in having])
    total = p.sum(axis=1, keepdims=True)
    p = np.divide(p, total, out=np.zeros_like(p), where=total > 0)
    known = np.array([case.known_grade for case in having])
    read = np.array([scale.grade(case.score) for case in having])
    above = 1 - np.cumsum(p, axis=1)[:, :-1]
    is_above = known[:, None] > np.arange(len(scale) - 1)
    ranked = ((above - is_above) ** 2).mean() if above.size else math.nan
    return StatedProbabilities(
        n_without=len(scored) - len(having),
        of_score=reliability(np.clip(p[np.arange(len(p)), read], 0, 1), known == read, rng=rng),
        of_boundaries=reliability(np.clip(above.ravel(), 0, 1), is_above.ravel(), rng=rng),
        ranked_score=float(ranked),
    )
