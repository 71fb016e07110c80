"""Scatter that blocks of tissue alone do not show: what reaches across them, and few of them.

Cells of a nest resemble each other, and so do neighboring nests. Where that reaches further than a
block, two blocks side by side resemble each other, and their scatter makes intervals too narrow:
with nests of 600 µm, blocks of 250 µm alone hold the truth in less than three of four slides, not
in 95 % (`tests/statistics/test_neighborhoods.py`). So neighbors are taken together into blocks
twice and four times as wide, as long as enough of these are left, and the widest answer stands.
Each wide block is laid in four ways over the tissue, half a width apart, which steadies the answer
(with more ways this is Bartlett's kernel: Conley 1999, 10.1016/S0304-4076(98)00084-0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from her2path.statistics.clustered import (
    LEAST_DF,
    NORMAL_DF,
    ClusteredShare,
    Scatter,
    between_blocks,
    effective_number,
    estimate_share,
)

__all__ = [
    "BLOCK_UM",
    "Neighborhoods",
    "block_scatter",
    "cautious_share",
    "mean_scatter",
    "neighborhoods_of",
    "normal_number",
    "share_of_blocks",
]

# Side of a block of tissue that intervals rest on: some 80 cells, so that neighbors are mostly in
# one, and ten blocks or more on a small biopsy.
BLOCK_UM = 250.0
# Nests of tumor, 170 µm wide as drawn ones are, lie across the borders of blocks, whose scatter
# misses part of what a nest has in common (`across_borders`).
NEST_UM = 170.0
# Blocks are taken together this many by this many.
WIDER = (2, 4)
# With fewer effective ones the scatter between wide blocks is hardly known, and a few that happen
# to differ would make any interval wide.
LEAST_WIDE = 6.0
# Below so many effective blocks their scatter is taken to be no smaller than this correlation of
# cells in a block makes it. Nests of drawn tumors give about as much (`scripts/pair_study.py`
# prints it).
LEAST_BLOCKS = 4.0
ASSUMED_ICC = 0.10

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Neighborhoods:
    """Blocks of one size taken together.

    Attributes
    ----------
    side_um : float
        Of the wide blocks.
    layings : tuple of ndarray of shape (n_blocks,), int64
        For each way to lay wide blocks over the tissue, the one that each block falls into.
    """

    side_um: float
    layings: tuple[NDArray[np.int64], ...]


def neighborhoods_of(x_um: ArrayLike, y_um: ArrayLike) -> tuple[Neighborhoods, ...]:
    """Take blocks together with their neighbors.

    Parameters
    ----------
    x_um, y_um : array_like of shape (n_blocks,)
        A place in each block of `BLOCK_UM`.
    """
    x, y = (np.floor(np.asarray(v, np.float64) / BLOCK_UM).astype(np.int64) for v in (x_um, y_um))
    found = []
    for factor in WIDER:
        half = factor // 2
        layings = []
        for right, down in ((0, 0), (half, 0), (0, half), (half, half)):
            # A slide is at most 2³¹ µm wide.
            wide = (((y + down) // factor) << 32) + (x + right) // factor
            layings.append(np.unique(wide, return_inverse=True)[1])
        found.append(Neighborhoods(factor * BLOCK_UM, tuple(layings)))
    return tuple(found)


def across_borders(side_um: float) -> float:
    """Return by how much the variance between nests exceeds what blocks of a side show of it.

    Of one that falls anywhere on the grid 1 − nest / (3 · side) is left in each direction.
    """
    return (1 - NEST_UM / (3 * side_um)) ** -2


def block_scatter(
    residuals: ArrayLike,
    sizes: ArrayLike,
    within: Scatter,
    wider: Sequence[Neighborhoods] = (),
) -> Scatter:
    """Return the scatter of a ratio of sums over blocks, at the scale where it is widest.

    Parameters
    ----------
    residuals : array_like of shape (n_blocks,)
        Sum over the cells of each block of their distance from the mean of all.
    sizes : array_like of shape (n_blocks,)
        Cells of each block; it may be 0.
    within : Scatter
        What independent cells would have; it is never less.
    wider : sequence of Neighborhoods
        Of these blocks.

    References
    ----------
    Ratio estimate: Cochran 1977, Sampling Techniques, chapter 6.
    """
    e, n = np.asarray(residuals, np.float64), np.asarray(sizes, np.float64)
    scatters = [within]
    for side_um, found in scales(e, n, wider):
        # Blocks of one cell have the same scatter, but for the last bits.
        if found.variance > within.variance * (1 + 1e-9):
            more = (found.variance - within.variance) * across_borders(side_um)
            scatters.append(Scatter(within.variance + more, found.df))
    # What blocks have in common is known no better than by their number.
    between = scatters[1:] or scatters
    return max(between, key=lambda scatter: scatter.reach)


def scales(
    residuals: Floats, sizes: Floats, wider: Sequence[Neighborhoods]
) -> Iterator[tuple[float, Scatter]]:
    """Yield the scatter between blocks, then between wider ones while there are enough."""
    if np.count_nonzero(sizes) > 1:
        yield BLOCK_UM, between_blocks(residuals, sizes)
    for wide in wider:
        laid = [
            (np.bincount(labels, weights=residuals), np.bincount(labels, weights=sizes))
            for labels in wide.layings
        ]
        if min(effective_number(n) for _, n in laid) < LEAST_WIDE:
            return
        found = [between_blocks(e, n) for e, n in laid]
        yield (
            wide.side_um,
            Scatter(sum(one.variance for one in found) / len(found), min(one.df for one in found)),
        )


def assumed_factor(sizes: Floats) -> float:
    """Return how many times the variance exceeds that of independent cells at `ASSUMED_ICC`.

    1 where blocks are enough to tell.
    """
    if effective_number(sizes) >= LEAST_BLOCKS:
        return 1.0
    block_size = float((sizes * sizes).sum()) / float(sizes.sum())
    return 1 + max(block_size - 1, 0.0) * ASSUMED_ICC


def share_of_blocks(
    points: ArrayLike, sizes: ArrayLike, wider: Sequence[Neighborhoods] = ()
) -> ClusteredShare:
    """Estimate a fraction from blocks, with what reaches across them.

    Parameters
    ----------
    points, sizes : array_like of shape (n_blocks,)
        As of `estimate_share`.
    wider : sequence of Neighborhoods
        Of these blocks.
    """
    share = estimate_share(points, sizes)
    spread = share.fraction * (1 - share.fraction)
    if spread == 0 or share.n_blocks < 2:
        return share
    k, n = np.asarray(points, np.float64), np.asarray(sizes, np.float64)
    within = Scatter(spread / share.n_cells, share.df)
    found = block_scatter(k - share.fraction * n, n, within, wider)
    return with_scatter(share, spread / found.variance, found.df)


def cautious_share(
    points: ArrayLike, sizes: ArrayLike, wider: Sequence[Neighborhoods] = ()
) -> ClusteredShare:
    """Estimate a fraction of a tumor, of which blocks are a sample, be they ever so few.

    Parameters are those of `share_of_blocks`, and so is the estimate; with fewer than
    `LEAST_BLOCKS` effective blocks the interval is at least as wide as a correlation of
    `ASSUMED_ICC` between cells of a block makes it: many cells in one field make no narrow
    interval.
    """
    share = share_of_blocks(points, sizes, wider)
    if share.n_cells == 0:
        return share
    assumed = share.n_cells / assumed_factor(np.asarray(sizes, np.float64))
    return with_scatter(share, assumed, NORMAL_DF) if assumed < normal_number(share) else share


def with_scatter(share: ClusteredShare, n_effective: float, df: float) -> ClusteredShare:
    return ClusteredShare(share.fraction, share.n_cells, share.n_blocks, n_effective, df)


def normal_number(share: ClusteredShare) -> float:
    """Return the number of cells whose normal interval is as wide as that of the share.

    Few degrees of freedom lower the number of cells as much as they widen an interval.
    """
    return share.n_effective * (float(ndtri(0.975)) / float(stdtrit(share.df, 0.975))) ** 2


def mean_scatter(
    residuals: Floats, sizes: Floats, squares: float, wider: Sequence[Neighborhoods] = ()
) -> Scatter:
    """Return the scatter of a mean over cells in blocks.

    Parameters
    ----------
    residuals, sizes, wider
        As of `block_scatter`.
    squares : float
        Sum over all cells of their squared distance from the mean.
    """
    total = float(sizes.sum())
    df = total - 1
    within = Scatter(squares / total / max(df, 1.0), max(df, LEAST_DF))
    found = block_scatter(residuals, sizes, within, wider)
    assumed = Scatter(within.variance * assumed_factor(sizes), NORMAL_DF)
    return assumed if assumed.reach > found.reach else found
