"""How far repeated readings of one thing lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri
from scipy.stats import spearmanr

from her2path.statistics.intervals import Interval

__all__ = ["Repeatability", "within_subject"]

# Two readings of one thing differ by less than this times Sw in 95 % of pairs.
REPEATABILITY_FACTOR = 1.96 * math.sqrt(2)


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
    count = np.bincount(subject)
    means = np.bincount(subject, weights=y) / count
    squares = np.bincount(subject, weights=(y - means[subject]) ** 2)
    df = int(y.size - count.size)
    total = float(squares.sum())
    correlation, p = math.nan, math.nan
    scatter = np.sqrt(squares / (count - 1))
    if count.size >= 4 and np.ptp(scatter) > 0 and np.ptp(means) > 0:
        found = spearmanr(means, scatter)
        correlation, p = float(found.statistic), float(found.pvalue)
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
