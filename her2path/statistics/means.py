"""Means of measurements on cells that come in blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from her2path.statistics.clustered import LEAST_DF, NORMAL_DF, effective_number
from her2path.statistics.intervals import Interval

__all__ = ["mean_of_blocks"]


def mean_of_blocks(
    values: ArrayLike, blocks: ArrayLike, *, confidence: float = 0.95
) -> tuple[float, Interval] | None:
    """Estimate a mean with its interval when cells of one block resemble each other.

    The variance between blocks is that of a ratio estimate, never below that of independent
    cells; the t quantile has as many degrees of freedom as blocks contribute.

    Parameters
    ----------
    values : array_like of shape (n,)
        One finite measurement per cell.
    blocks : array_like of shape (n,), int
        Block of each, from 0.

    Returns
    -------
    (mean, Interval) or None
        None for fewer than two cells: nothing is known of the scatter then.

    References
    ----------
    Cochran 1977, Sampling Techniques, chapter 6.
    """
    y, block = np.asarray(values, np.float64), np.asarray(blocks, np.int64)
    if y.shape != block.shape or y.ndim != 1:
        raise ValueError(f"give one value and one block per cell, got {y.shape}, {block.shape}")
    n = y.size
    if n < 2:
        return None
    mean = float(y.mean())
    variance, df = float(y.var(ddof=1)) / n, NORMAL_DF if n > 1000 else n - 1.0
    sizes = np.bincount(block)
    sums = np.bincount(block, weights=y - mean)[sizes > 0]
    sizes = sizes[sizes > 0]
    if sizes.size > 1:
        between = sizes.size / (sizes.size - 1) * float((sums**2).sum()) / n**2
        if between > variance:
            variance = between
            df = max(effective_number(sizes) - 1, LEAST_DF)
    half = float(stdtrit(df, 0.5 + confidence / 2)) * math.sqrt(variance)
    return mean, Interval(mean - half, mean + half)
