"""Whether a rate is higher than one that was measured elsewhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, ndtr, stdtr

from her2path.statistics.intervals import Interval, wilson
from her2path.statistics.significance import Significance

__all__ = ["difference_interval", "excess"]


def excess(
    k: int,
    n: int,
    *,
    reference: tuple[int, int],
    design_effect: float = 1.0,
    df: float | None = None,
) -> Significance:
    """Test whether k of n is more than the reference, which is itself an estimate.

    Parameters
    ----------
    k, n : int
        Counted, and of how many.
    reference : tuple of 2 int
        The same two of the reference.
    design_effect : float
        How many times the variance of the rate exceeds that of independent pairs, ≥ 1.
    df : float, optional
        Degrees of freedom of that variance where it was estimated, from patients of several pairs:
        the test is then a t test of the effective numbers. Without, it is exact; where effective
        numbers are no whole ones a z test takes its place.

    Returns
    -------
    Significance
        One-sided: small when the rate is higher.

    References
    ----------
    Fisher 1935, The Design of Experiments; effective number: Rao and Scott 1992, 10.2307/2532311.
    """
    k0, n0 = reference
    is_possible = 0 <= k <= n and 0 <= k0 <= n0 and n0 > 0 and design_effect >= 1
    if not is_possible or (df is not None and not df > 0):
        raise ValueError(
            "need 0 ≤ k ≤ n, a design effect ≥ 1 and df > 0, got "
            f"{k}/{n}, {k0}/{n0}, {design_effect}, {df}"
        )
    if n == 0:
        return Significance(None, None, 1.0, "no pair to compare")
    m = n / design_effect
    whole_k, whole_m = round(k / design_effect), round(m)
    is_whole = math.isclose(m, whole_m) and math.isclose(k / design_effect, whole_k, abs_tol=1e-9)
    if df is None and is_whole:
        of_patients = "" if design_effect == 1 else " of the effective number of pairs"
        return Significance(
            None,
            None,
            fisher_upper(whole_k, whole_m, k0, n0),
            f"Fisher's exact test{of_patients}, one-sided",
        )
    pooled = (k / design_effect + k0) / (m + n0)
    error = math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n0))
    z = (k / n - k0 / n0) / error if error > 0 else 0.0
    if df is not None:
        method = "one-sided t test with the effective number of pairs"
        return Significance(z, df, float(stdtr(df, -z)), method)
    return Significance(
        z, None, float(ndtr(-z)), "one-sided z test with the effective number of pairs"
    )


def fisher_upper(k: int, n: int, k0: int, n0: int) -> float:
    """Return how probable k or more of n are, when k + k0 of n + n0 are dealt out at random."""
    total = k + k0
    counts = np.arange(k, min(n, total) + 1, dtype=np.float64)
    counts = counts[total - counts <= n0]
    logs = log_choose(n, counts) + log_choose(n0, total - counts)
    whole = log_choose(n + n0, np.array([float(total)]))
    return min(1.0, float(np.exp(logsumexp(logs) - whole[0])))


def log_choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the binomial coefficient."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def difference_interval(
    rate: float, interval: Interval, *, reference: tuple[int, int]
) -> tuple[float, Interval]:
    """Return the difference of a rate to a reference, with Newcombe's interval from both.

    Parameters
    ----------
    rate : float
        0–1.
    interval : Interval
        Of the rate, by Wilson or with the effective number.
    reference : tuple of 2 int
        Counted, and of how many.

    References
    ----------
    Newcombe 1998, 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10.
    """
    k0, n0 = reference
    other, ends = k0 / n0, wilson(k0, n0)
    difference = rate - other
    lower = difference - math.hypot(rate - interval.lower, ends.upper - other)
    upper = difference + math.hypot(interval.upper - rate, other - ends.lower)
    return difference, Interval(max(-1.0, lower), min(1.0, upper))
