"""Did the scores of pairs move? Tests of symmetry, of margins and of direction.

Where cells are few, or a patient has several pairs, p comes from exchanging before and after
within patients (`flipping`); else from the chi-squared or normal distribution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr

from her2path.statistics.flipping import Flips, p_of_flips
from her2path.statistics.significance import Significance

__all__ = ["bowker", "signed_rank", "stuart_maxwell"]

# Fewer changes of one kind than this are too coarse for chi-squared (the usual rule for McNemar).
FEW = 25
# scipy computes the signed-rank test exactly up to the same number.
MOST_EXACT_RANKS = 50
UNCHANGED = Significance(0.0, 0, 1.0, "no pair changed")

Ints = NDArray[np.int64]


def changed_pairs(
    before: ArrayLike, after: ArrayLike, patients: ArrayLike | None
) -> tuple[Ints, Ints, NDArray[np.int64]]:
    """Return the ranks of the pairs that changed, and whose each is."""
    x, y = np.asarray(before, np.int64), np.asarray(after, np.int64)
    owner = np.arange(x.size) if patients is None else np.asarray(patients)
    if x.ndim != 1 or x.shape != y.shape or x.shape != owner.shape:
        raise ValueError(
            f"give one rank before, one after and one patient per pair, got shapes {x.shape}, "
            f"{y.shape}, {owner.shape}"
        )
    if np.any(x < 0) or np.any(y < 0):
        raise ValueError("ranks start at 0; leave out pairs that are not evaluable")
    is_changed = x != y
    return x[is_changed], y[is_changed], owner[is_changed]


def by_corner(x: Ints, y: Ints, owner: NDArray[np.int64]) -> tuple[Flips, Ints]:
    """Group changed pairs by the two ranks they lie between; return those ranks too, (k, 2)."""
    ends = np.stack([np.minimum(x, y), np.maximum(x, y)], axis=1)
    corners, group = np.unique(ends, axis=0, return_inverse=True)
    return Flips.of(group.ravel(), y > x, owner), corners


def bowker(
    before: ArrayLike,
    after: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Significance:
    """Test by McNemar and Bowker whether each change is as frequent as the opposite one.

    Parameters
    ----------
    before, after : array_like of shape (n,), int
        Ranks from 0, one of each per pair.
    patients : array_like of shape (n,), optional
        Whose pair it is; without, each pair is another patient.
    rng : numpy.random.Generator
        For the permutation, where it must be drawn.

    Returns
    -------
    Significance
        `df` counts the kinds of change that occur: an empty pair of cells tells nothing.

    References
    ----------
    Bowker 1948, 10.1080/01621459.1948.10483284.
    """
    x, y, owner = changed_pairs(before, after, patients)
    if not x.size:
        return UNCHANGED
    flips, _ = by_corner(x, y, owner)

    def statistic(net: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((net * net / flips.sizes).sum(axis=1))

    value, df = float(statistic(flips.total[None])[0]), len(flips.sizes)
    if flips.is_clustered or flips.sizes.min() < FEW:
        return Significance(value, df, *p_of_flips(flips, statistic, rng=rng))
    return Significance(value, df, float(chdtrc(df, value)), "chi-squared")


def stuart_maxwell(
    before: ArrayLike,
    after: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Significance:
    """Test by Stuart and Maxwell whether each score is as frequent after as before.

    Parameters and `rng` as for `bowker`; `df` is the rank of the covariance matrix.

    References
    ----------
    Stuart 1955, 10.1093/biomet/42.3-4.412; Maxwell 1970, 10.1192/bjp.116.535.651.
    """
    x, y, owner = changed_pairs(before, after, patients)
    if not x.size:
        return UNCHANGED
    flips, corners = by_corner(x, y, owner)
    steps = np.zeros((len(corners), int(corners.max()) + 1))
    steps[np.arange(len(corners)), corners[:, 0]] = -1
    steps[np.arange(len(corners)), corners[:, 1]] = 1
    # Exchanging sides leaves the sums of opposite cells, and so the covariance, as they are.
    covariance = steps.T @ (flips.sizes[:, None] * steps)
    inverse = np.linalg.pinv(covariance, hermitian=True)

    def statistic(net: NDArray[np.float64]) -> NDArray[np.float64]:
        margin = net @ steps
        return np.asarray(((margin @ inverse) * margin).sum(axis=1))

    value = float(statistic(flips.total[None])[0])
    df = int(np.linalg.matrix_rank(covariance, hermitian=True))
    moved = np.diag(covariance)
    if flips.is_clustered or moved[moved > 0].min() < FEW:
        return Significance(value, df, *p_of_flips(flips, statistic, rng=rng))
    return Significance(value, df, float(chdtrc(df, value)), "chi-squared")


def signed_rank(
    before: ArrayLike,
    after: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Significance:
    """Test by Wilcoxon's signed ranks whether scores go down by as many steps as up.

    Pairs without change are left out; equal steps share their mean rank. The statistic is the
    smaller sum of ranks. Parameters as for `bowker`.

    References
    ----------
    Wilcoxon 1945, 10.2307/3001968.
    """
    x, y, owner = changed_pairs(before, after, patients)
    if not x.size:
        return Significance(0.0, None, 1.0, "no pair changed")
    _, group, n_alike = np.unique(np.abs(y - x), return_inverse=True, return_counts=True)
    ranks = np.cumsum(n_alike) - (n_alike - 1) / 2
    flips = Flips.of(group, y > x, owner)

    def statistic(net: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(net @ ranks)

    difference = float(statistic(flips.total[None])[0])
    value = (float(flips.sizes @ ranks) - difference) / 2
    if flips.is_clustered or x.size <= MOST_EXACT_RANKS:
        return Significance(value, None, *p_of_flips(flips, statistic, rng=rng))
    z = difference / math.sqrt(float(flips.sizes @ (ranks * ranks)))
    return Significance(value, None, 2 * float(ndtr(-z)), "normal approximation with ties")
