"""From pairs to rates, agreement, tests, conversions of status, and the excess over the floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cohort.noise_floor import FloorRow, floor_rows
from her2path.cohort.pairs import Pair
from her2path.cohort.rates import EXPRESSING, Rate, rate_of
from her2path.compare.change import ScoreChange
from her2path.compare.verdict import Verdict
from her2path.criteria.score import EXPRESSION_SCORES, Organ, Score, Status
from her2path.results.sheet import look_alikes
from her2path.statistics.agreement import Agreement, Weights, weighted_agreement
from her2path.statistics.marginal import bowker, signed_rank, stuart_maxwell
from her2path.statistics.significance import Significance

__all__ = ["Cohort", "Conversion", "StatusSummary", "analyse"]

KNOWN_STATUSES = (
    Status.NULL,
    Status.ULTRALOW,
    Status.LOW,
    Status.NEGATIVE,
    Status.POSITIVE,
)
EVALUABLE = "pairs with a score on both sides"
NOT_EXPRESSING = "pairs at 0 or 0+ before"
# Of pairs that tell something each, which are those of different patients: with fewer a change of
# any size may be chance, whatever its interval.
FEW_PATIENTS = 20

Flag = Callable[[Pair], bool]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Pairs of one status before that have another after; of those with that status before."""

    before: Status
    after: Status
    rate: Rate


@dataclass(frozen=True, slots=True)
class StatusSummary:
    """What became of the status.

    Attributes
    ----------
    table : mapping of (Status, Status) to int
        All pairs, equivocal and not assessable ones too.
    changed : Rate
        Of the pairs whose status is known on both sides.
    conversions : tuple of Conversion
        That occur, the most frequent first.
    n_unknown : int
        Pairs left out of both: equivocal or not assessable on a side.
    """

    table: Mapping[tuple[Status, Status], int]
    changed: Rate
    conversions: tuple[Conversion, ...]
    n_unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """What a table of pairs shows.

    `transitions` counts pairs with a score on both sides, before (rows) by after (columns), in the
    order 0, 0+, 1+, 2+, 3+. `scale` is what kappa is weighted on: without 0+ where nobody uses it.
    """

    n_pairs: int
    n_patients: int
    n_evaluable: int
    n_expressing_before: int
    transitions: NDArray[np.int64]
    rates: Mapping[str, Rate]
    kappa: Mapping[str, Agreement]
    scale: tuple[Score, ...]
    bowker: Significance
    stuart_maxwell: Significance
    wilcoxon: Significance
    status: StatusSummary
    verdicts: Mapping[Verdict, int] | None
    floor: tuple[FloorRow, ...]
    editions: tuple[str, ...]
    is_clustered: bool
    is_stomach: bool
    seed: int
    remarks: tuple[str, ...]

    @property
    def n_not_evaluable(self) -> int:
        """Pairs without a score on a side; in no rate."""
        return self.n_pairs - self.n_evaluable


def analyse(pairs: Sequence[Pair], *, seed: int = 0, remarks: Sequence[str] = ()) -> Cohort:
    """Count and test a cohort.

    Parameters
    ----------
    pairs : sequence of Pair
        All sides scored, or not assessable.
    seed : int
        Of resampling and of permutations that must be drawn.
    remarks : sequence of str
        What else a reader of the numbers must know.

    Raises
    ------
    ValueError
        If there is no pair, or a slide is still without a score.
    """
    if not pairs:
        raise ValueError("a cohort has at least one pair")
    if any(side.score is None for pair in pairs for side in (pair.before, pair.after)):
        raise ValueError("score the slides first: Side.scored")
    evaluable = [pair for pair in pairs if pair.is_evaluable]
    before = np.array([pair.before.rank for pair in evaluable], np.int64)
    after = np.array([pair.after.rank for pair in evaluable], np.int64)
    names = [pair.patient_id for pair in evaluable]
    is_clustered = len(set(names)) < len(names)
    owners = np.unique(names, return_inverse=True)[1] if is_clustered else None

    k = len(EXPRESSION_SCORES)
    transitions = np.zeros((k, k), np.int64)
    np.add.at(transitions, (before, after), 1)
    scale, position = scale_of(before, after)

    # Each draws from a stream of its own: one more takes the next number, and others stay the same.
    def rng(which: int) -> np.random.Generator:
        return np.random.default_rng([seed, which])

    kinds: tuple[Weights, ...] = ("linear", "quadratic")
    kappa = {
        str(kind): weighted_agreement(
            position[before],
            position[after],
            n_categories=len(scale),
            weights=kind,
            patients=owners,
            rng=rng(which),
        )
        for which, kind in enumerate(kinds)
    }
    rates = rates_of(evaluable)
    return Cohort(
        n_pairs=len(pairs),
        n_patients=len({pair.patient_id for pair in pairs}),
        n_evaluable=len(evaluable),
        n_expressing_before=rates["loss"].of,
        transitions=transitions,
        rates=rates,
        kappa=kappa,
        scale=scale,
        bowker=bowker(before, after, patients=owners, rng=rng(2)),
        stuart_maxwell=stuart_maxwell(before, after, patients=owners, rng=rng(3)),
        wilcoxon=signed_rank(before, after, patients=owners, rng=rng(4)),
        status=status_summary(pairs),
        verdicts=count_verdicts(pairs),
        floor=floor_rows(evaluable),
        editions=tuple(
            dict.fromkeys(s.edition for p in pairs for s in (p.before, p.after) if s.edition)
        ),
        is_clustered=is_clustered,
        is_stomach=any(side.organ is Organ.STOMACH for p in pairs for side in (p.before, p.after)),
        seed=seed,
        remarks=(*remarks_on(pairs, evaluable, is_clustered=is_clustered), *remarks),
    )


def scale_of(
    before: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[tuple[Score, ...], NDArray[np.int64]]:
    """Return the scale in use, and the position on it of each rank.

    A laboratory that does not tell 0+ from 0 has a scale of four steps, on which 0 and 1+ are
    neighbours.
    """
    has_ultralow = bool(
        np.any(before == Score.ULTRALOW.rank) or np.any(after == Score.ULTRALOW.rank)
    )
    scale = tuple(s for s in EXPRESSION_SCORES if has_ultralow or s is not Score.ULTRALOW)
    position = np.array([scale.index(s) if s in scale else 0 for s in EXPRESSION_SCORES], np.int64)
    return scale, position


def rates_of(pairs: Sequence[Pair]) -> dict[str, Rate]:
    """Return the rates of change of the score, each with its denominator."""
    patients = [pair.patient_id for pair in pairs]

    def rate(counted: Flag, eligible: Flag, denominator: str) -> Rate:
        return rate_of(
            [counted(pair) for pair in pairs],
            [eligible(pair) for pair in pairs],
            patients=patients,
            denominator=denominator,
        )

    def expressing(pair: Pair) -> bool:
        return pair.before.expresses

    def changed(*kinds: ScoreChange) -> Flag:
        return lambda pair: pair.change in kinds

    def to(score: Score) -> Flag:
        return lambda pair: pair.after.score is score

    def at(score: Score) -> Flag:
        return lambda pair: pair.before.score is score

    fall = (ScoreChange.LOSS, ScoreChange.DECREASE)
    return {
        "loss": rate(changed(ScoreChange.LOSS), expressing, EXPRESSING),
        "loss_to_null": rate(to(Score.ZERO), expressing, EXPRESSING),
        "loss_to_ultralow": rate(to(Score.ULTRALOW), expressing, EXPRESSING),
        "decrease": rate(changed(ScoreChange.DECREASE), expressing, EXPRESSING),
        "loss_or_decrease": rate(changed(*fall), expressing, EXPRESSING),
        "stable": rate(changed(ScoreChange.STABLE), lambda _: True, EVALUABLE),
        "stable_expressing": rate(changed(ScoreChange.STABLE), expressing, EXPRESSING),
        "increase": rate(changed(ScoreChange.INCREASE), expressing, EXPRESSING),
        "gain": rate(changed(ScoreChange.GAIN), lambda pair: not expressing(pair), NOT_EXPRESSING),
        "ultralow_to_null": rate(to(Score.ZERO), at(Score.ULTRALOW), "pairs at 0+ before"),
        "null_to_ultralow": rate(to(Score.ULTRALOW), at(Score.ZERO), "pairs at 0 before"),
    }


def status_summary(pairs: Sequence[Pair]) -> StatusSummary:
    """Return what became of the status of each pair."""
    found = [(pair.before.status, pair.after.status) for pair in pairs]
    table = Counter(found)
    patients = [pair.patient_id for pair in pairs]
    is_known = [b in KNOWN_STATUSES and a in KNOWN_STATUSES for b, a in found]
    conversions = [
        Conversion(
            before,
            after,
            rate_of(
                [(b, a) == (before, after) for b, a in found],
                [known and b is before for known, (b, _) in zip(is_known, found, strict=True)],
                patients=patients,
                denominator=f"pairs with status {before.value} before and a known status after",
            ),
        )
        for before in KNOWN_STATUSES
        for after in KNOWN_STATUSES
        if before is not after and table[before, after]
    ]
    return StatusSummary(
        table=table,
        changed=rate_of(
            [b is not a for b, a in found],
            is_known,
            patients=patients,
            denominator="pairs with a known status on both sides",
        ),
        conversions=tuple(sorted(conversions, key=lambda c: -c.rate.n)),
        n_unknown=is_known.count(False),
    )


def count_verdicts(pairs: Sequence[Pair]) -> dict[Verdict, int] | None:
    """Return how often each verdict was given, None when no pair has one."""
    given = Counter(pair.verdict for pair in pairs if pair.verdict is not None)
    return {verdict: given[verdict] for verdict in Verdict} if given else None


def verdict_remarks(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Tell what share of losses and changes `compare` did not accept as a comparison."""
    is_unsure = [pair.verdict in (Verdict.NOT_COMPARABLE, Verdict.NOT_EVALUABLE) for pair in pairs]
    if not any(is_unsure):
        return ()
    unsure = [pair for pair, doubtful in zip(pairs, is_unsure, strict=True) if doubtful]
    sure = [pair for pair, doubtful in zip(pairs, is_unsure, strict=True) if not doubtful]

    def n_lost(among: Sequence[Pair]) -> int:
        return sum(pair.change is ScoreChange.LOSS for pair in among)

    def n_changed(among: Sequence[Pair]) -> int:
        return sum(pair.before.rank != pair.after.rank for pair in among)

    n, of = n_lost(sure), sum(pair.before.expresses for pair in sure)
    share = f"{n} of {of} expressing pairs ({100 * n / of:.1f} %) lost HER2" if of else ""
    return (
        "pairs with a score on both sides that compare calls not comparable or not evaluable: "
        f"{len(unsure)}; they count in the rates by their scores, with {n_lost(unsure)} of the "
        f"{n_lost(pairs)} losses and {n_changed(unsure)} of the {n_changed(pairs)} changes of "
        f"score; without them {share or 'no pair expressed HER2 before'}",
    )


def remarks_on(
    pairs: Sequence[Pair], evaluable: Sequence[Pair], *, is_clustered: bool
) -> tuple[str, ...]:
    """Return what a reader of the numbers must know."""
    found = []
    sides = [side for pair in pairs for side in (pair.before, pair.after)]
    n_lost = len(pairs) - len(evaluable)
    if n_lost:
        found.append(
            f"pairs without a score on a side, which are in no rate: {n_lost} of {len(pairs)}"
        )
    found += verdict_remarks(evaluable)
    told = [side.score for side in sides if side.result is None and side.organ is not Organ.STOMACH]
    if evaluable and Score.ZERO in told and Score.ULTRALOW not in told:
        found.append(
            "no score written in the table is 0+: where the reader did not tell 0+ from 0, a loss "
            "to null may be one to ultralow"
        )
    n_open = sum(Status.EQUIVOCAL in (pair.before.status, pair.after.status) for pair in evaluable)
    if n_open:
        found.append(
            f"pairs with a 2+ without ISH, whose status is equivocal and not guessed: {n_open}"
        )
    n_silent = sum(not side.edition for side in sides)
    if n_silent and n_silent < len(sides):
        found.append(
            f"the edition of the criteria is not stated for {n_silent} of {len(sides)} sides"
        )
    elif n_silent:
        found.append(
            "no row states the edition of the criteria: before and after must be scored by the same"
        )
    alike = look_alikes(pair.patient_id for pair in pairs)
    if alike:
        found.append(f"patients that look alike and are taken for different ones: {alike}")
    n_patients = len({pair.patient_id for pair in evaluable})
    if is_clustered:
        found.append(
            f"{len(evaluable)} pairs come from {n_patients} "
            f"{'patient' if n_patients == 1 else 'patients'}: intervals and tests "
            "take patients, not pairs, as independent"
        )
    if n_patients < FEW_PATIENTS:
        few = "patients" if is_clustered else "pairs"
        found.append(f"few {few} ({n_patients}): intervals are wide and tests weak")
    return tuple(found)
