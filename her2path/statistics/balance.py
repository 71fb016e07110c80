"""How far groups differ in what they were like before: standardized differences."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["difference_of_means", "difference_of_shares"]


def difference_of_means(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the absolute difference of two means in units of the mean standard deviation.

    Parameters
    ----------
    a, b : array_like of shape (n,)
        Values of two groups.

    Returns
    -------
    float or None
        0 or more; None with fewer than two values on a side, or without any scatter.

    References
    ----------
    Austin 2009, 10.1002/sim.3697.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(x.size, y.size) < 2:
        return None
    # From a value of each: the mean of equal values is not always that value to the last bit.
    from_x, from_y = x - x[0], y - y[0]
    spread = math.sqrt((float(from_x.var(ddof=1)) + float(from_y.var(ddof=1))) / 2)
    gap = abs(float(from_x.mean()) - float(from_y.mean()) + float(x[0] - y[0]))
    if spread == 0:
        return 0.0 if gap == 0 else None
    return gap / spread


def difference_of_shares(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the standardized difference of two distributions over categories.

    Parameters
    ----------
    a, b : array_like of shape (n_categories,)
        Counts of two groups.

    Returns
    -------
    float or None
        0 or more: Mahalanobis' distance of the shares, which for two categories is that of
        Austin. None when a group is empty, or the categories do not overlap at all.

    References
    ----------
    Yang and Dalton 2012, SAS Global Forum, paper 335.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"give counts over the same categories, got {x.shape}, {y.shape}")
    if min(x.sum(), y.sum()) == 0:
        return None
    p, q = x / x.sum(), y / y.sum()
    is_used = p + q > 0
    p, q = p[is_used][1:], q[is_used][1:]
    if not p.size:
        return 0.0
    spread = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    gap = p - q
    inverse = np.linalg.pinv(spread, hermitian=True)
    # Where no scatter goes the way of the gap, no number of standard deviations spans it.
    if not np.allclose(spread @ inverse @ gap, gap, atol=1e-9):
        return None
    return math.sqrt(max(0.0, float(gap @ inverse @ gap)))
