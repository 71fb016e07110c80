"""A proportion of cells that come in blocks: cells of one tile resemble each other.

The interval is Wilson's with an effective number of cells. Its between-block variance is that of
a ratio estimate; it never falls below the binomial one; and its t quantile has as many degrees
of freedom as blocks that really contribute to the variance. In the study behind the choice
(`tests/statistics/test_coverage.py`) it holds the truth in 95–97 % of slides on average, for 5 to
60 blocks; in 98 % where cells are independent and 93 % at an intra-class correlation of 0.3. There
a rare share in few large blocks is held least often (5 %, 5 blocks: 78 %), since most such slides
do not show it. The percentile bootstrap, over shares from 1 % upwards, held the truth in 64 % with
3 blocks, 83 % with 10 and 91 % with 60.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincc, ndtri, stdtrit

from her2path.statistics.intervals import Interval

__all__ = [
    "LEAST_DF",
    "NORMAL_DF",
    "ClusteredShare",
    "Scatter",
    "between_blocks",
    "effective_number",
    "estimate_share",
]

# Two blocks have one degree of freedom, whose t quantile (12.7) says nothing at all; from two
# degrees on the coverage in the study is right and the interval still of use.
LEAST_DF = 2.0
# Student's t with so many degrees of freedom is the normal distribution to machine precision.
NORMAL_DF = 1e12


@dataclass(frozen=True, slots=True)
class ClusteredShare:
    """An estimated fraction (0–1) with what its uncertainty rests on.

    Attributes
    ----------
    fraction : float
        The estimate, 0–1.
    n_cells, n_blocks : int
        What was counted.
    n_effective : float
        Number of independent cells that would tell as much, ≤ `n_cells`.
    df : float
        Degrees of freedom of its variance; huge where only binomial variance is known.
    """

    fraction: float
    n_cells: int
    n_blocks: int
    n_effective: float
    df: float

    @property
    def design_effect(self) -> float:
        """How many times the variance exceeds that of independent cells, ≥ 1."""
        return self.n_cells / self.n_effective if self.n_effective else 1.0

    def interval(self, *, confidence: float = 0.95) -> Interval:
        """Return the confidence interval of the fraction; the whole range when no cell counted."""
        if not 0 < confidence < 1:
            raise ValueError(f"confidence lies between 0 and 1, got {confidence}; 0.95 is usual")
        if self.n_cells == 0:
            return Interval(0.0, 1.0)
        quantile = float(stdtrit(self.df, 0.5 + confidence / 2))
        width = quantile * quantile / self.n_effective
        p = self.fraction
        centre = (p + width / 2) / (1 + width)
        half = math.sqrt(width * p * (1 - p) + width * width / 4) / (1 + width)
        return Interval(
            0.0 if p == 0 else max(0.0, centre - half), 1.0 if p == 1 else min(1.0, centre + half)
        )

    def probability_above(self, cut: float, *, prior_points: float = 0.5) -> float:
        """How probable it is, 0–1, that the true fraction exceeds `cut` (0–1, ends excluded).

        Parameters
        ----------
        cut : float
            A fraction.
        prior_points : float
            Cells believed in before any is seen, out of one half for all that may be stained:
            0.5 is Jeffreys' prior, which goes with the interval; a part of it stands for a
            share that is only a part of the staining.
        """
        if not 0 < cut < 1:
            raise ValueError(f"a cut lies between 0 and 1, got {cut}")
        # Few degrees of freedom widen the interval; here they lower the number of cells as much.
        quantiles = float(ndtri(0.975)) / float(stdtrit(self.df, 0.975))
        n = self.n_effective * quantiles**2
        points = self.fraction * n
        return float(betaincc(points + prior_points, n - points + 1 - prior_points, cut))


@dataclass(frozen=True, slots=True)
class Scatter:
    """Variance of an estimate, and the degrees of freedom by which it is known."""

    variance: float
    df: float

    @property
    def reach(self) -> float:
        """The variance that makes an interval of 95 % as wide under the normal distribution."""
        return self.variance * (float(stdtrit(self.df, 0.975)) / float(ndtri(0.975))) ** 2


def between_blocks(residuals: ArrayLike, sizes: ArrayLike) -> Scatter:
    """Return the scatter of a ratio of sums over two blocks or more.

    Parameters
    ----------
    residuals : array_like of shape (n_blocks,)
        Sum over the cells of each block of their distance from the mean of all.
    sizes : array_like of shape (n_blocks,)
        Cells of each block; those without one are left out.

    References
    ----------
    Ratio estimate: Cochran 1977, Sampling Techniques, chapter 6.
    """
    e, n = np.asarray(residuals, np.float64), np.asarray(sizes, np.float64)
    e, n = e[n > 0], n[n > 0]
    n_blocks, squares = len(n), e**2
    variance = n_blocks / (n_blocks - 1) * float(squares.sum()) / float(n.sum()) ** 2
    # Satterthwaite's df of a sum of squares: when one block makes most of the variance, the
    # variance is known as badly as from one block.
    fourth = float((squares**2).sum())
    contributing = float(squares.sum()) ** 2 / fourth if fourth > 0 else n_blocks
    df = min(2 * contributing * (n_blocks - 1) / n_blocks, effective_number(n) - 1)
    return Scatter(variance, max(df, LEAST_DF))


def effective_number(sizes: ArrayLike) -> float:
    """Kish's effective number of blocks: (Σ n)² / Σ n², between 1 and the number of blocks.

    Parameters
    ----------
    sizes : array_like of shape (n_blocks,)
        Cells in each.

    References
    ----------
    Kish 1965, Survey Sampling.
    """
    n = np.asarray(sizes, np.float64)
    squares = float((n * n).sum())
    return float(n.sum()) ** 2 / squares if squares else 0.0


def estimate_share(points: ArrayLike, sizes: ArrayLike) -> ClusteredShare:
    """Estimate a fraction from blocks.

    Parameters
    ----------
    points : array_like of shape (n_blocks,)
        Cells that count in each block, 0 … size; may be fractions of a cell, as for an H-score
        divided by 300.
    sizes : array_like of shape (n_blocks,)
        All cells of each block; blocks without a cell are left out.

    Raises
    ------
    ValueError
        If shapes differ or points do not lie between 0 and the size of their block.

    References
    ----------
    Wilson interval with an effective size: Franco et al. 2019, 10.1093/jssam/smy019.
    """
    k, n = np.asarray(points, np.float64), np.asarray(sizes, np.float64)
    if k.shape != n.shape or k.ndim != 1:
        raise ValueError(f"give points and size of each block, got shapes {k.shape}, {n.shape}")
    if not (np.all(k >= 0) and np.all(k <= n)):
        raise ValueError("points of a block must lie between 0 and its number of cells")
    k, n = k[n > 0], n[n > 0]
    total = float(n.sum())
    if total == 0:
        return ClusteredShare(0.0, 0, 0, 0.0, NORMAL_DF)
    fraction = min(float(k.sum()) / total, 1.0)
    n_blocks = len(n)
    spread = fraction * (1 - fraction)
    if n_blocks == 1:
        return ClusteredShare(fraction, round(total), 1, total, NORMAL_DF)
    found = between_blocks(k - fraction * n, n)
    n_effective = min(total, spread / found.variance) if found.variance > 0 else total
    return ClusteredShare(fraction, round(total), n_blocks, n_effective, found.df)
