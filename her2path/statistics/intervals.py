"""Intervals of independent values: of a plain proportion, and of the next of some measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.special import betaincinv, ndtri, stdtrit

__all__ = ["Interval", "clopper_pearson", "prediction_interval", "upper_limit", "wilson"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval, in the unit of what it is about."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError(f"an interval runs upwards, got {self.lower} to {self.upper}")

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper

    @property
    def width(self) -> float:
        """Upper minus lower."""
        return self.upper - self.lower

    def scaled(self, factor: float) -> Interval:
        """Return the interval in another unit: `factor` 100 turns a fraction into percent."""
        return Interval(self.lower * factor, self.upper * factor)


def check_count(k: int, n: int, confidence: float) -> None:
    if n < 0 or not 0 <= k <= n:
        raise ValueError(f"need 0 ≤ k ≤ n, got k = {k}, n = {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}; 0.95 is usual")


def wilson(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of k out of n, as fractions 0–1; the whole range when n is 0.

    References
    ----------
    Wilson 1927, 10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> wilson(11, 34).scaled(100)  # doctest: +ELLIPSIS
    Interval(lower=19.1..., upper=49.1...)
    """
    check_count(k, n, confidence)
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    # The ends are exact where nothing or everything was counted; rounding must not cross them.
    return Interval(
        0.0 if k == 0 else max(0.0, centre - half), 1.0 if k == n else min(1.0, centre + half)
    )


def clopper_pearson(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Exact (conservative) interval of k out of n, as fractions 0–1.

    References
    ----------
    Clopper and Pearson 1934, 10.1093/biomet/26.4.404.
    """
    check_count(k, n, confidence)
    tail = (1 - confidence) / 2
    return Interval(
        0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail)),
        1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail)),
    )


def upper_limit(
    k: int,
    n: int,
    *,
    confidence: float = 0.95,
    method: Literal["wilson", "clopper-pearson"] = "wilson",
) -> float:
    """Upper end of the two-sided interval of k out of n, as a fraction 0–1.

    Never zero: 0 stained of 100 cells still allows 3.7 %. This is what a limit of blank needs.
    """
    interval = wilson if method == "wilson" else clopper_pearson
    return interval(k, n, confidence=confidence).upper


def prediction_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Interval in which one more value lies that comes as these did, from a normal distribution.

    Parameters
    ----------
    values : sequence of float
        At least two; few give a wide interval, as wide as they leave it open.
    confidence : float

    References
    ----------
    Hahn and Meeker 1991, Statistical Intervals, chapter 4, 10.1002/9780470316771.

    Examples
    --------
    >>> prediction_interval([1.0, 2.0, 3.0])  # doctest: +ELLIPSIS
    Interval(lower=-2.96..., upper=6.96...)
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"the next value is known from at least two, got {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}; 0.95 is usual")
    mean = fmean(values)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * stdev(values) * math.sqrt(1 + 1 / n)
    return Interval(mean - half, mean + half)
