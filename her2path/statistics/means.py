"""Means of measurements on cells that come in blocks."""

from __future__ import annotations

from scipy.special import stdtrit

from her2path.statistics.intervals import Interval
from her2path.statistics.paired import LEAST_OF_MEAN, BlockRatio, mean_error

__all__ = ["mean_of_blocks"]


def mean_of_blocks(ratio: BlockRatio, *, confidence: float = 0.95) -> tuple[float, Interval] | None:
    """Estimate a mean with its interval when cells of one block resemble each other.

    Parameters
    ----------
    ratio : BlockRatio
        The measurement, as sums over blocks.
    confidence : float

    Returns
    -------
    (mean, Interval) or None
        None for fewer than two cells: nothing is known of the scatter then.
    """
    if ratio.n_cells < LEAST_OF_MEAN:
        return None
    error, df = mean_error(ratio)
    half = float(stdtrit(df, 0.5 + confidence / 2)) * error
    return ratio.value, Interval(ratio.value - half, ratio.value + half)
