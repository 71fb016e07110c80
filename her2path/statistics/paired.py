"""What changed between two samples whose cells come in blocks: intervals and permutation tests.

A measure is a ratio of sums over blocks (stained cells over cells, OD over stained cells). Each
side is resampled block by block; how far a measure may be off on one side comes from its
clustered estimate (effective number of cells, t quantile), how measures go together from the
resampled blocks (a rank coupling, as in `resampling`). The interval of a change is that of the
difference of both sides' draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

from her2path.statistics.clustered import LEAST_DF, Scatter, between_blocks
from her2path.statistics.intervals import Interval
from her2path.statistics.neighborhoods import (
    Neighborhoods,
    block_scatter,
    cautious_share,
    mean_scatter,
    normal_number,
)

__all__ = [
    "LEAST_OF_MEAN",
    "SIGNIFICANT",
    "BlockRatio",
    "can_tell",
    "change_interval",
    "draw_levels",
    "draw_ratio",
    "joint_permutation_p",
    "mean_error",
    "permutation_p",
    "permuted_labels",
]

# Above this p a permutation test tells nothing apart.
SIGNIFICANT = 0.05
# Quantiles are exact at these normal scores and straight between them.
NODES = np.linspace(-4.5, 4.5, 181)
# One cell shows no scatter of what was measured on it, and so no error of its mean.
LEAST_OF_MEAN = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BlockRatio:
    """A measure as sums over blocks.

    Attributes
    ----------
    points : ndarray of shape (n_blocks,), float64
        Sum of the cells' values in each block.
    sizes : ndarray of shape (n_blocks,), float64
        Number of cells that the measure is about in each block; may be 0.
    squares : ndarray of shape (n_blocks,), float64
        Sum of the squared values.
    is_share : bool
        Whether values lie in 0–1, so that the estimate is a fraction.
    wider : tuple of Neighborhoods
        Of the blocks, where it is known where they lie.
    """

    points: Floats
    sizes: Floats
    squares: Floats
    is_share: bool
    wider: tuple[Neighborhoods, ...] = ()

    @property
    def n_cells(self) -> float:
        """Cells that the measure is about."""
        return float(self.sizes.sum())

    @property
    def shows_scatter(self) -> bool:
        """Whether there are cells enough to tell how far the estimate may be off."""
        return self.n_cells >= (1 if self.is_share else LEAST_OF_MEAN)

    @property
    def value(self) -> float:
        """The estimate; NaN where no cell counted."""
        return float(self.points.sum()) / self.n_cells if self.n_cells else math.nan

    def where_filled(self) -> BlockRatio:
        """Return the same over the blocks that hold a cell of it."""
        held = self.sizes > 0
        if held.all():
            return self
        wider = tuple(
            replace(wide, layings=tuple(labels[held] for labels in wide.layings))
            for wide in self.wider
        )
        return replace(
            self,
            points=self.points[held],
            sizes=self.sizes[held],
            squares=self.squares[held],
            wider=wider,
        )

    @property
    def residuals(self) -> Floats:
        """Sum over the cells of each block of their distance from the estimate."""
        return self.points - self.value * self.sizes

    @property
    def squared_distance(self) -> float:
        """Sum over all cells of their squared distance from the estimate."""
        return max(float(self.squares.sum()) - self.value**2 * self.n_cells, 0.0)


def mean_error(ratio: BlockRatio) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a mean over cells in blocks."""
    found = mean_scatter(ratio.residuals, ratio.sizes, ratio.squared_distance, ratio.wider)
    return math.sqrt(found.variance), found.df


def resampled_sums(n_blocks: int, n_draws: int, rng: np.random.Generator) -> Floats:
    """Return how often each block is drawn in each resample, shape (n_draws, n_blocks)."""
    if n_blocks == 0:
        return np.zeros((n_draws, 0))
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_draws).astype(
        np.float64
    )


def draw_levels(n_blocks: int, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return resampling weights of one side and the order that breaks ties of its draws."""
    return resampled_sums(n_blocks, n_draws, rng), rng.random(n_draws)


def draw_ratio(ratio: BlockRatio, levels: tuple[Floats, Floats]) -> Floats:
    """Draw a measure of one side as often as blocks were resampled.

    Parameters
    ----------
    ratio : BlockRatio
    levels : tuple of ndarray
        From `draw_levels`, the same for all measures of a side.

    Returns
    -------
    ndarray of shape (n_draws,), float64
        NaN where no cell counted, and for a mean over one: its scatter is not known.
    """
    weights, tie_breaker = levels
    n_draws = len(tie_breaker)
    if not ratio.shows_scatter:
        return np.full(n_draws, math.nan)
    sizes = weights @ ratio.sizes
    found = np.divide(
        weights @ ratio.points, sizes, out=np.full(n_draws, ratio.value), where=sizes > 0
    )
    order = np.lexsort((tie_breaker, np.round(found, 12)))
    level = np.empty(n_draws)
    level[order] = (np.arange(n_draws) + 0.5) / n_draws
    nodes = ndtr(NODES)
    if ratio.is_share:
        share = cautious_share(ratio.points, ratio.sizes, ratio.wider)
        n = normal_number(share)
        k = share.fraction * n
        quantiles = betaincinv(k + 0.5, n - k + 0.5, nodes)
    else:
        error, df = mean_error(ratio)
        quantiles = ratio.value + error * stdtrit(df, nodes)
    return np.interp(ndtri(level), NODES, quantiles)


def change_interval(before: Floats, after: Floats, *, confidence: float = 0.95) -> Interval | None:
    """Return the interval of the change from the draws of both sides; None where one has none."""
    change = after - before
    if not np.isfinite(change).all():
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(change, [tail, 1 - tail])
    return Interval(float(low), float(high))


def permuted_labels(
    n_before: int, n_after: int, n_permutations: int, rng: np.random.Generator
) -> Floats:
    """Return which blocks are *after* in each random relabelling.

    Returns
    -------
    ndarray of shape (n_permutations + 1, n_before + n_after), float64
        Ones and zeros; the first row is what was observed.
    """
    observed = np.concatenate([np.zeros(n_before), np.ones(n_after)])
    # In place: of a resection they fill hundreds of megabytes.
    labels = np.tile(observed, (n_permutations + 1, 1))
    rng.permuted(labels[1:], axis=1, out=labels[1:])
    return labels


def can_tell(labels: Floats) -> bool:
    """Whether blocks are so many that relabelling them could make a p of `SIGNIFICANT`.

    With three blocks a side nothing is rarer than two relabellings of twenty.
    """
    n_blocks, n_after = labels.shape[1], round(float(labels[0].sum()))
    # Sides of one size may change places as a whole, which is as far apart.
    alike = 2 if 2 * n_after == n_blocks else 1
    # In whole numbers: those of a resection are larger than any float.
    return math.comb(n_blocks, n_after) >= math.ceil(alike / SIGNIFICANT)


def permutation_p(before: BlockRatio, after: BlockRatio, labels: Floats) -> float:
    """Test whether blocks of both sides could have changed places.

    The statistic is the difference of both ratios over its standard error, so that sides may
    differ in scatter (Chung and Romano 2013, 10.1214/13-AOS1090).

    Parameters
    ----------
    before, after : BlockRatio
        Of blocks that hold a cell of the measure (`where_filled`): among others the few of a side
        would be dealt out to both, and sides of few would differ far too often.
    labels : ndarray of shape (n, n_blocks)
        From `permuted_labels`; the first row is what was observed.

    Returns
    -------
    float
        Two-sided p, at least 1 / n; NaN where a side has no cell (for a mean, fewer than two), or
        where blocks are so few that nothing could be told (`can_tell`).
    """
    return joint_permutation_p(((before, after),), labels)


def joint_permutation_p(pairs: Sequence[tuple[BlockRatio, BlockRatio]], labels: Floats) -> float:
    """Test whether blocks of both sides could have changed places, by several measures at once.

    Parameters
    ----------
    pairs : sequence of (before, after), each BlockRatio
        Of the same blocks. The one furthest apart decides, in each relabelling anew, so looking at
        several costs nothing.
    labels : ndarray of shape (n, n_blocks)
        As for `permutation_p`.

    Returns
    -------
    float
        As of `permutation_p`.
    """
    has_cells = all(side.shows_scatter for pair in pairs for side in pair)
    if not has_cells or not can_tell(labels):
        return math.nan
    apart = np.max([errors_apart(before, after, labels) for before, after in pairs], axis=0)
    # Sums in another order differ in their last bits.
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def errors_apart(before: BlockRatio, after: BlockRatio, labels: Floats) -> Floats:
    """Return how many standard errors both sides are apart in each relabelling, shape (n,)."""
    points = np.concatenate([before.points, after.points])
    sizes = np.concatenate([before.sizes, after.sizes])
    parts = np.column_stack([points, sizes, points**2, points * sizes, sizes**2])
    late = labels @ parts
    early = parts.sum(axis=0) - late
    n_late = labels.sum(axis=1)
    apart = np.abs(studentised(early, labels.shape[1] - n_late, late, n_late))
    # Relabelling tears neighbors apart, so it misses what they share across borders.
    apart[0] /= math.sqrt(beyond_blocks(before, after))
    return apart


def beyond_blocks(before: BlockRatio, after: BlockRatio) -> float:
    """Return by how much the variance of a change exceeds what blocks apart show of it, ≥ 1."""
    wide, plain = 0.0, 0.0
    for side in (before, after):
        n = side.n_cells
        within = Scatter(side.squared_distance / n / max(n - 1, 1), max(n - 1, LEAST_DF))
        apart = within
        if np.count_nonzero(side.sizes) > 1:
            apart = between_blocks(side.residuals, side.sizes)
        found = block_scatter(side.residuals, side.sizes, within, side.wider)
        plain += max(apart.reach, within.reach)
        wide += found.reach
    return max(wide / plain, 1.0) if plain > 0 else 1.0


def studentised(early: Floats, n_early: Floats, late: Floats, n_late: Floats) -> Floats:
    def ratio_and_variance(sums: Floats, n_blocks: Floats) -> tuple[Floats, Floats]:
        points, sizes = sums[:, 0], np.maximum(sums[:, 1], 1e-12)
        ratio = points / sizes
        spread = sums[:, 2] - 2 * ratio * sums[:, 3] + ratio**2 * sums[:, 4]
        factor = n_blocks / np.maximum(n_blocks - 1, 1)
        return ratio, factor * np.maximum(spread, 0) / sizes**2

    (r0, v0), (r1, v1) = ratio_and_variance(early, n_early), ratio_and_variance(late, n_late)
    # Where both sides are constant any difference is beyond doubt, and none is none.
    return (r1 - r0) / np.sqrt(np.maximum(v0 + v1, 1e-18))
