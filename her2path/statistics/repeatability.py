"""How far repeated readings of one thing lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri
from scipy.stats import rankdata, spearmanr

from her2path.statistics.intervals import Interval

__all__ = ["Repeatability", "within_subject"]

# Two readings of one thing differ by less than this times Sw in 95 % of pairs.
REPEATABILITY_FACTOR = 1.96 * math.sqrt(2)
# All orders of so many subjects are looked through: 5,040 of seven.
MOST_ORDERED = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Within-subject standard deviation, and the band that it makes.

    Attributes
    ----------
    sw : float
        Within-subject standard deviation, in the unit of the measure.
    sw_interval : Interval
        95 %, from the chi-square distribution.
    df : int
        Degrees of freedom: readings less subjects.
    n_subjects, n_readings : int
    mean : float
        Mean of all readings.
    level_correlation, level_p : float
        Spearman's correlation of the subjects' scatter with their level, and its p: a small p
        says that one band does not fit all levels. NaN for fewer than four subjects.
    """

    sw: float
    sw_interval: Interval
    df: int
    n_subjects: int
    n_readings: int
    mean: float
    level_correlation: float
    level_p: float

    @property
    def band(self) -> float:
        """Repeatability coefficient, 1.96·√2·Sw: 95 % of repeats differ by less."""
        return REPEATABILITY_FACTOR * self.sw

    @property
    def band_interval(self) -> Interval:
        """95 % interval of the band."""
        return self.sw_interval.scaled(REPEATABILITY_FACTOR)


def within_subject(values: ArrayLike, subjects: ArrayLike) -> Repeatability:
    """Estimate the within-subject standard deviation from repeated readings.

    Parameters
    ----------
    values : array_like of shape (n,)
        Finite readings.
    subjects : array_like of shape (n,)
        What was read: any labels. Subjects read once tell nothing and are left out.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or no subject was read twice.

    References
    ----------
    Bland and Altman 1996, 10.1136/bmj.312.7047.1654; 1999, 10.1177/096228029900800204.
    """
    y = np.asarray(values, np.float64)
    _, subject = np.unique(np.asarray(subjects), return_inverse=True)
    if y.shape != subject.shape or y.ndim != 1:
        raise ValueError(f"give one subject per reading, got shapes {y.shape}, {subject.shape}")
    if not np.isfinite(y).all():
        raise ValueError("readings must be finite; leave out what was not measured")
    count = np.bincount(subject)
    used = count[subject] > 1
    if not used.any():
        raise ValueError("no subject was read more than once: the scatter of repeats is not known")
    y, (_, subject) = y[used], np.unique(subject[used], return_inverse=True)
    _, first, count = np.unique(subject, return_index=True, return_counts=True)
    # From a reading of each: the mean of equal readings is not always theirs to the last bit.
    apart = y - y[first][subject]
    shifts = np.bincount(subject, weights=apart) / count
    means = y[first] + shifts
    squares = np.bincount(subject, weights=(apart - shifts[subject]) ** 2)
    df = int(y.size - count.size)
    total = float(squares.sum())
    correlation, p = math.nan, math.nan
    scatter = np.sqrt(squares / (count - 1))
    if count.size >= 4 and np.ptp(scatter) > 0 and np.ptp(means) > 0:
        correlation, p = rank_correlation(means, scatter)
    return Repeatability(
        sw=math.sqrt(total / df),
        sw_interval=Interval(
            math.sqrt(total / float(chdtri(df, 0.025))), math.sqrt(total / float(chdtri(df, 0.975)))
        ),
        df=df,
        n_subjects=int(count.size),
        n_readings=int(y.size),
        mean=float(y.mean()),
        level_correlation=correlation,
        level_p=p,
    )


def rank_correlation(x: Floats, y: Floats) -> tuple[float, float]:
    """Return Spearman's correlation with its two-sided p.

    Of few subjects p comes from every order: the t distribution finds one of four subjects in
    perfect order beyond doubt, which chance brings about in one of twelve.
    """
    found = spearmanr(x, y)
    correlation, p = float(found.statistic), float(found.pvalue)
    if x.size > MOST_ORDERED:
        return correlation, p
    a, b = rankdata(x) - (x.size + 1) / 2, rankdata(y) - (y.size + 1) / 2
    products = np.abs(np.array(list(permutations(b))) @ a)
    # Sums in another order differ in their last bits.
    return correlation, float((products >= abs(float(a @ b)) - 1e-9).mean())
