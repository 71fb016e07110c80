"""Rates of pairs with the interval that fits: Wilson's, or one that knows whose pairs they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from her2path.statistics.clustered import NORMAL_DF, estimate_share
from her2path.statistics.intervals import Interval, wilson

__all__ = ["EXPRESSING", "Rate", "rate_of"]

EXPRESSING = "pairs expressing HER2 (1+, 2+ or 3+) before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many.

    Attributes
    ----------
    n, of : int
        Pairs counted, and those that could have been.
    denominator : str
        What `of` counts, in words.
    ci95 : Interval or None
        Of the rate, 0–1; None when nothing could be counted.
    method : str
        How the interval was made.
    design_effect : float
        How many times the variance exceeds that of independent pairs; 1 when each patient has one.
    df : float or None
        Degrees of freedom of a variance that was estimated between patients; None where none was.
    """

    n: int
    of: int
    denominator: str
    ci95: Interval | None
    method: str
    design_effect: float = 1.0
    df: float | None = None

    @property
    def rate(self) -> float | None:
        """The fraction, 0–1; None of nothing."""
        return self.n / self.of if self.of else None


def rate_of(
    is_counted: Sequence[bool],
    is_eligible: Sequence[bool],
    *,
    patients: Sequence[str],
    denominator: str,
) -> Rate:
    """Count pairs, and say how sure the rate is.

    Parameters
    ----------
    is_counted, is_eligible : sequence of bool
        One of each per pair; only eligible pairs are counted.
    patients : sequence of str
        Whose pair it is.
    denominator : str
        What the eligible pairs are, in words.

    Notes
    -----
    A patient with several eligible pairs makes the pairs of one patient resemble each other: the
    interval is then Wilson's with the effective number of pairs (`statistics.clustered`). Where
    patients do not differ in their shares, or there is one, how much their pairs resemble each
    other cannot be seen: they count as no more than their patients, each with one pair.
    """
    eligible = np.asarray(is_eligible, np.bool_)
    counted = np.asarray(is_counted, np.bool_) & eligible
    n, of = int(counted.sum()), int(eligible.sum())
    if of == 0:
        return Rate(n=0, of=0, denominator=denominator, ci95=None, method="no such pair")
    names = np.asarray(patients, dtype=object)[eligible]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    owner = np.array([index[name] for name in names])
    sizes = np.bincount(owner)
    if sizes.max() == 1:
        return Rate(n=n, of=of, denominator=denominator, ci95=wilson(n, of), method="Wilson")
    points = np.bincount(owner, weights=counted[eligible])
    share = estimate_share(points, sizes)
    n_patients = len(sizes)
    if np.array_equal(points * of, sizes * n):
        # No variance was estimated, so no degrees of freedom widen the interval.
        share = replace(share, n_effective=float(n_patients), df=NORMAL_DF)
    clusters = "1 patient as cluster" if n_patients == 1 else f"{n_patients} patients as clusters"
    return Rate(
        n=n,
        of=of,
        denominator=denominator,
        ci95=share.interval(),
        method=f"Wilson with the effective number of pairs, {clusters}",
        design_effect=share.design_effect,
        df=share.df if share.df < NORMAL_DF else None,
    )
