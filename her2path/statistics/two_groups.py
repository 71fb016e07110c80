"""Whether values fall into two groups, and where one ends and the other begins.

References
----------
Two normal curves fitted by expectation and maximization: Dempster et al. 1977,
10.1111/j.2517-6161.1977.tb01600.x. How far apart two groups must lie to be seen as two: Ashman et
al. 1994, 10.1086/117248.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["TwoGroups", "two_groups"]

# Begun low and high, so that the lower group is the lower one; with fewer values in the upper.
FIRST_PERCENTILES, FIRST_UPPER_FRAC = (15, 90), 0.3
N_ROUNDS = 200
LEAST_FRAC = 1e-3


@dataclass(frozen=True, slots=True)
class TwoGroups:
    """Two normal curves.

    Attributes
    ----------
    upper_frac : float
        Share of the values in the upper one, 0–1.
    lower_mean, lower_deviation, upper_mean, upper_deviation : float
        In units of the values. Where there is one group only, either may take any part of it.
    """

    upper_frac: float
    lower_mean: float
    lower_deviation: float
    upper_mean: float
    upper_deviation: float

    @property
    def apart(self) -> float:
        """Distance of the means in deviations (Ashman's D): clearly two groups from 2 on."""
        spread = math.hypot(self.lower_deviation, self.upper_deviation) / math.sqrt(2)
        return (self.upper_mean - self.lower_mean) / spread

    @property
    def between(self) -> float:
        """Value that either group has as often, or the upper mean where the upper never leads."""
        if self.lead_of_upper(self.lower_mean) >= 0:
            return self.lower_mean
        if self.lead_of_upper(self.upper_mean) <= 0:
            return self.upper_mean
        return float(brentq(self.lead_of_upper, self.lower_mean, self.upper_mean))

    def lead_of_upper(self, value: float) -> float:
        """Return the log of how many times as often the upper group has this value."""
        upper = self.upper_frac / self.upper_deviation
        lower = (1 - self.upper_frac) / self.lower_deviation
        from_upper = (value - self.upper_mean) / self.upper_deviation
        from_lower = (value - self.lower_mean) / self.lower_deviation
        return math.log(upper / lower) + (from_lower**2 - from_upper**2) / 2


def two_groups(values: NDArray[np.floating], *, least_deviation: float) -> TwoGroups:
    """Fit two normal curves.

    Parameters
    ----------
    values : ndarray of shape (n,)
        n ≥ 1.
    least_deviation : float
        > 0. A group spreads at least so much: without it one could shrink onto a single value.
    """
    # Probabilities of 8 bits have few values: those are fitted, each as often as it is there.
    x, n_each = np.unique(values.astype(np.float64), return_counts=True)
    low, high = (float(v) for v in np.percentile(values, FIRST_PERCENTILES))
    deviation = max(float(values.std()) / 2, least_deviation)
    found = TwoGroups(FIRST_UPPER_FRAC, low, deviation, high, deviation)
    for _ in range(N_ROUNDS):
        in_upper = n_each * share_of_upper(found, x)
        upper_frac = np.clip(in_upper.sum() / n_each.sum(), LEAST_FRAC, 1 - LEAST_FRAC)
        lower = mean_and_deviation(x, n_each - in_upper, least_deviation)
        upper = mean_and_deviation(x, in_upper, least_deviation)
        found = TwoGroups(float(upper_frac), *lower, *upper)
    return found


def share_of_upper(groups: TwoGroups, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that each value belongs to the upper group."""
    from_lower = (x - groups.lower_mean) / groups.lower_deviation
    from_upper = (x - groups.upper_mean) / groups.upper_deviation
    odds = math.log(groups.upper_frac / (1 - groups.upper_frac))
    odds += math.log(groups.lower_deviation / groups.upper_deviation)
    share: NDArray[np.float64] = 1 / (
        1 + np.exp(np.clip((from_upper**2 - from_lower**2) / 2 - odds, -700, 700))
    )
    return share


def mean_and_deviation(
    x: NDArray[np.float64], weight: NDArray[np.float64], least_deviation: float
) -> tuple[float, float]:
    """Return the weighted mean and deviation; the plain mean where no weight is left."""
    total = float(weight.sum())
    if total <= 0:
        return float(x.mean()), least_deviation
    mean = float((weight * x).sum()) / total
    variance = float((weight * (x - mean) ** 2).sum()) / total
    return mean, max(math.sqrt(variance), least_deviation)
