"""Sets of neighbouring scores that hold the true one at a stated coverage.

Split conformal prediction for ordered classes: the set begins at the most probable score and
grows, one neighbour at a time, towards the more probable side. How much probability was taken
before a score is reached says how ill that score fits. With n pictures that trained nothing and
are exchangeable with the one to be read, the set holds its score with a probability of at least
the stated coverage, whatever the probabilities are worth; poor ones only make it wide.

The promise is about pictures of the same kind (laboratory, assay, mix of scores) on average, and
not for each score by itself.

References
----------
Vovk et al. 2005, Algorithmic Learning in a Random World; Lu et al. 2022,
10.1007/978-3-031-16452-1_52 (contiguous sets for ordered grades).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["calibrate_sets", "conformal_quantile", "conformal_sets", "misfits"]

# Probabilities that were rounded for a table still sum to 1 within this.
SUM_TOLERANCE = 1e-3


def misfits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return how ill each class fits: the probability that the set has taken before it.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Probabilities of k ordered classes; each row sums to 1.

    Returns
    -------
    ndarray of shape (n, k), float64
        0 for the most probable class, at most 1; of two equal neighbours the higher is taken
        first.

    Raises
    ------
    ValueError
        If rows are no probabilities.

    Examples
    --------
    >>> misfits([[0.1, 0.6, 0.3]]).round(2).tolist()
    [[0.9, 0.0, 0.6]]
    """
    p = checked(probabilities)
    n, k = p.shape
    if n == 0:
        return np.zeros((0, k))
    rows = np.arange(n)
    # Of equal ones the highest: staining is rather read twice than missed.
    first = k - 1 - p[:, ::-1].argmax(axis=1)
    low, high = first.copy(), first.copy()
    taken = p[rows, first]
    found = np.zeros((n, k))
    for _ in range(k - 1):
        below = np.where(low > 0, p[rows, np.maximum(low - 1, 0)], -1.0)
        above = np.where(high < k - 1, p[rows, np.minimum(high + 1, k - 1)], -1.0)
        is_up = above >= below
        high, low = high + is_up, low - ~is_up
        nearest = np.where(is_up, high, low)
        found[rows, nearest] = np.minimum(taken, 1.0)
        taken = taken + p[rows, nearest]
    return found


def conformal_quantile(calibration_misfits: ArrayLike, coverage: float) -> float:
    """Return the misfit up to which a class belongs to the set.

    Parameters
    ----------
    calibration_misfits : array_like of shape (n,)
        Misfit of the true class of each calibration picture.
    coverage : float
        Wanted coverage, between 0 and 1.

    Returns
    -------
    float
        The ⌈(n + 1) · coverage⌉-th smallest; 1, which lets every class in, when n is too small
        for the coverage (below 9 pictures for 0.9, 19 for 0.95).

    Raises
    ------
    ValueError
        If `coverage` lies outside 0–1 or a misfit is none.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage lies between 0 and 1, got {coverage}; 0.9 is usual")
    values = np.asarray(calibration_misfits, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("misfits are one number from 0 to 1 per picture; take them from misfits()")
    # Rounding must not ask for one picture more: 0.9 · 10 is 9, not 9.000000000000002.
    place = math.ceil((values.size + 1) * coverage - 1e-9)
    if place > values.size:
        return 1.0
    return float(np.partition(values, place - 1)[place - 1])


def calibrate_sets(probabilities: ArrayLike, truth: ArrayLike, *, coverage: float) -> float:
    """Return the quantile for pictures of known class.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        As for `misfits`; of pictures that trained nothing.
    truth : array_like of shape (n,), int
        True class of each, 0 to k − 1.
    coverage : float
        Wanted coverage, between 0 and 1.
    """
    found = misfits(probabilities)
    classes = np.asarray(truth)
    if classes.shape != found.shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"give one true class per picture, got {classes.shape} {classes.dtype}")
    if not ((classes >= 0) & (classes < found.shape[1])).all():
        raise ValueError(f"true classes run from 0 to {found.shape[1] - 1}")
    return conformal_quantile(found[np.arange(len(classes)), classes], coverage)


def conformal_sets(probabilities: ArrayLike, quantile: float) -> NDArray[np.bool_]:
    """Return which classes are in the set of each picture.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        As for `misfits`.
    quantile : float
        From `conformal_quantile` or `calibrate_sets`, 0–1.

    Returns
    -------
    ndarray of shape (n, k), bool
        Never empty, without gaps, and holding the most probable class.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"the quantile lies between 0 and 1, got {quantile}")
    return misfits(probabilities) <= quantile


def checked(probabilities: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ValueError(f"probabilities have shape (n, k) with k ≥ 2, got {p.shape}")
    sums = p.sum(axis=1)
    if not ((p >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all()):
        raise ValueError("probabilities are at least 0 and sum to 1 in each row")
    exact: NDArray[np.float64] = p / sums[:, None]
    return exact
