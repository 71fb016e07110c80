"""What is left to err when flagged slides go to a person: risk against coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2path.evaluation.case import Case
from her2path.statistics.counted import Counted

__all__ = ["FlagRow", "FlagWorth", "RiskCurve", "RiskPoint", "risk_curve", "worth_of_flags"]


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Slides kept without a second read, 0–1, and the wrong ones among them, 0–1."""

    coverage: float
    risk: float
    least_stated: float


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """Risk against coverage when slides are kept by their stated probability, surest first.

    `area` is the mean risk over all coverages; `area_at_random` that of an order by chance (the
    share of wrong slides), `area_at_best` that of an order that knows them.
    """

    points: tuple[RiskPoint, ...]
    area: float
    area_at_random: float
    area_at_best: float


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One kind of flag: wrong and right slides that carry it, and those flagged by it alone."""

    flag: str
    n_wrong: int
    n_right: int
    n_alone: int


@dataclass(frozen=True, slots=True)
class FlagWorth:
    """What flags catch and what they cost.

    Attributes
    ----------
    flagged : Counted
        Of all slides.
    wrong_flagged, right_flagged : Counted
        Of the wrong, and of the right ones.
    wrong_left : Counted
        Wrong ones among those not flagged: the risk at the coverage that flags leave.
    rows : tuple of FlagRow
        Most frequent first.
    curve : RiskCurve or None
        None without stated probabilities.
    """

    flagged: Counted
    wrong_flagged: Counted
    right_flagged: Counted
    wrong_left: Counted
    rows: tuple[FlagRow, ...]
    curve: RiskCurve | None


def worth_of_flags(cases: Sequence[Case]) -> FlagWorth:
    """Say what the flags of slides catch and cost; a slide without a score counts as wrong."""
    rows = []
    for name in {flag for case in cases for flag in case.flags}:
        carriers = [case for case in cases if name in case.flags]
        n_right = sum(case.is_exact for case in carriers)
        n_alone = sum(case.flags == (name,) for case in carriers)
        rows.append(FlagRow(name, len(carriers) - n_right, n_right, n_alone))
    return FlagWorth(
        flagged=Counted.of(case.is_flagged for case in cases),
        wrong_flagged=Counted.of(case.is_flagged for case in cases if not case.is_exact),
        right_flagged=Counted.of(case.is_flagged for case in cases if case.is_exact),
        wrong_left=Counted.of(not case.is_exact for case in cases if not case.is_flagged),
        rows=tuple(sorted(rows, key=lambda row: (-row.n_wrong - row.n_right, row.flag))),
        curve=risk_curve(cases),
    )


def risk_curve(cases: Sequence[Case]) -> RiskCurve | None:
    """Return risk against coverage by stated probability; None when no slide states any.

    Slides of equal probability are kept or sent together. One that states none is sent first.
    """
    if not any(case.stated is not None for case in cases):
        return None
    stated = np.array([-1.0 if case.stated is None else case.stated for case in cases])
    is_wrong = np.array([not case.is_exact for case in cases])
    n = len(cases)
    order = np.argsort(-stated)
    cuts, n_alike = np.unique(-stated, return_counts=True)
    n_kept = np.cumsum(n_alike)
    n_wrong_kept = np.cumsum(is_wrong[order])[n_kept - 1]
    points = [
        RiskPoint(kept / n, wrong / kept, max(-cut, 0.0))
        for cut, kept, wrong in zip(
            cuts.tolist(), n_kept.tolist(), n_wrong_kept.tolist(), strict=True
        )
    ]
    # Each step holds for the slides that it adds.
    steps = np.diff([0.0, *(point.coverage for point in points)])
    n_wrong = int(is_wrong.sum())
    best = sum(max(0, k - (n - n_wrong)) / k for k in range(1, n + 1)) / n
    return RiskCurve(
        points=tuple(points),
        area=float(steps @ [point.risk for point in points]),
        area_at_random=n_wrong / n if n else math.nan,
        area_at_best=best,
    )
