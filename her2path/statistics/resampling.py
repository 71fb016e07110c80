"""Uncertainty of shares and scores when blocks of tissue, not cells, were sampled.

Each share gets the interval of `neighborhoods.share_of_blocks`. The probabilities of the five
scores need all shares at once: how far each may be off comes from the same estimate, how they go
together from a bootstrap of the blocks (a rank coupling: Schefzik et al. 2013, 10.1214/13-STS443).
So intervals and probabilities never contradict each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.criteria.clusters import Clusters
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import EXPRESSION_SCORES, Extent, Intensity, Score
from her2path.criteria.tally import (
    H_WEIGHTS,
    TALLY_SHAPE,
    accumulate,
    h_scores,
    part_of_staining,
)
from her2path.statistics.clustered import ClusteredShare
from her2path.statistics.intervals import Interval
from her2path.statistics.neighborhoods import Neighborhoods, share_of_blocks

__all__ = [
    "estimate_measures",
    "resample_tallies",
    "score_probabilities",
    "share_at_least",
    "share_intervals",
]

# Enough for probabilities to the second decimal (standard error ≤ 0.016), done in a millisecond.
N_RESAMPLES = 1000

ShareOf = Callable[[ArrayLike, ArrayLike, Sequence[Neighborhoods]], ClusteredShare]


def as_blocks(tallies: ArrayLike) -> NDArray[np.float64]:
    blocks = np.asarray(tallies, np.float64)
    if blocks.ndim != 3 or blocks.shape[1:] != TALLY_SHAPE:
        raise ValueError(f"tallies have shape (n_blocks, 5, 3), got {blocks.shape}")
    return blocks


def resample_tallies(
    tallies: ArrayLike, *, n_resamples: int = N_RESAMPLES, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw as many blocks as there are, with replacement, and add them up, many times.

    Parameters
    ----------
    tallies : array_like of shape (n_blocks, 5, 3)
        Tally of each block (tile).
    n_resamples : int
        How many draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_resamples, 5, 3), int64
        Summed tallies. With few blocks their spread is too narrow for an interval: use
        `share_intervals`.

    Raises
    ------
    ValueError
        If the shape is wrong, or `n_resamples` is below 1.
    """
    blocks = as_blocks(tallies)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}; 1000 is usual")
    n = len(blocks)
    if n == 0:
        return np.zeros((n_resamples, *blocks.shape[1:]), np.int64)
    times = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    sums = times.astype(np.float64) @ blocks.reshape(n, -1)
    return np.rint(sums).astype(np.int64).reshape(n_resamples, *blocks.shape[1:])


def share_at_least(
    tallies: ArrayLike,
    intensity: Intensity,
    extent: Extent,
    wider: Sequence[Neighborhoods] = (),
) -> ClusteredShare:
    """Estimate from blocks the fraction of cells at least so strong and so extensive.

    Parameters
    ----------
    tallies : array_like of shape (n_blocks, 5, 3)
        Tally of each block.
    intensity, extent : Intensity, Extent
        The least of each.
    wider : sequence of Neighborhoods
        Of these blocks.
    """
    upward = accumulate(as_blocks(tallies))
    return share_of_blocks(upward[:, intensity, extent], upward[:, 0, 0], wider)


def estimate_measures(
    tallies: ArrayLike, wider: Sequence[Neighborhoods] = ()
) -> dict[str, ClusteredShare]:
    """Estimate each share of the results table, and the H-score as a fraction of 300.

    Parameters
    ----------
    tallies : array_like of shape (n_blocks, 5, 3)
        Tally of each block.
    wider : sequence of Neighborhoods
        Of these blocks.

    Returns
    -------
    dict of str to ClusteredShare
        Keys `pct_none … pct_intense, pct_complete, pct_stained, h_score`; fractions 0–1.
    """
    blocks = as_blocks(tallies)
    by_intensity = blocks.sum(axis=2)
    n = by_intensity.sum(axis=1)
    measures = {
        f"pct_{intensity.label}": share_of_blocks(by_intensity[:, intensity], n, wider)
        for intensity in Intensity
    }
    measures["pct_complete"] = share_at_least(blocks, Intensity.WEAK, Extent.COMPLETE, wider)
    measures["pct_stained"] = share_at_least(blocks, Intensity.FAINT, Extent.INCOMPLETE, wider)
    # Points rest on a whole number of thirds: exact ends where all cells are intense.
    points = (by_intensity @ np.asarray(H_WEIGHTS, np.float64)) / max(H_WEIGHTS)
    measures["h_score"] = share_of_blocks(points, n, wider)
    return measures


def share_intervals(
    tallies: ArrayLike, wider: Sequence[Neighborhoods] = (), *, confidence: float = 0.95
) -> dict[str, Interval]:
    """Return the interval of each share in percent, and of the H-score (0–300).

    Parameters and keys as of `estimate_measures`. Blocks should be so small that there are ten or
    more of them; a single block is treated as independent cells, which is the least there is.
    """
    return {
        name: share.interval(confidence=confidence).scaled(300 if name == "h_score" else 100)
        for name, share in estimate_measures(tallies, wider).items()
    }


def score_probabilities(
    rule_set: RuleSet,
    tallies: ArrayLike,
    *,
    blank_upper_pct: float,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    clusters: Clusters | None = None,
    wider: Sequence[Neighborhoods] = (),
    share_of: ShareOf = share_of_blocks,
) -> dict[Score, float]:
    """Tell how probable each score is, given how the cells scatter over the blocks.

    Parameters
    ----------
    rule_set : RuleSet
        Criteria that make the score.
    tallies : array_like of shape (n_blocks, 5, 3)
        Tally of each block.
    blank_upper_pct : float
        Upper bound of the limit of blank, percent.
    rng : numpy.random.Generator
        Source of randomness.
    n_resamples : int
        Draws for the coupling.
    clusters : Clusters, optional
        For rules that look at clusters; they do not vary.
    wider : sequence of Neighborhoods
        Of these blocks.
    share_of : callable, optional
        Estimates a share from points and sizes of blocks, and their neighborhoods.

    Returns
    -------
    dict of Score to float
        Five probabilities that sum to 1; all 0 when there is no cell.
    """
    blocks = as_blocks(tallies)
    total = blocks.sum(axis=0)
    if total.sum() == 0:
        return dict.fromkeys(EXPRESSION_SCORES, 0.0)
    observed = rule_set.fires(total, blank_upper_pct=blank_upper_pct, clusters=clusters)
    resampled = resample_tallies(blocks, n_resamples=n_resamples, rng=rng)
    upward, counted = accumulate(resampled), accumulate(blocks)
    # Equal shares follow the H-score and then the order of the draws, alike for every row.
    tie_breaker = h_scores(resampled)
    levels = (np.arange(n_resamples) + 0.5) / n_resamples
    ranks = np.zeros(n_resamples, np.int64)
    for row, fires in zip(rule_set.criteria, observed, strict=True):
        if row.cluster_cells is not None:
            is_firing = np.full(n_resamples, bool(fires))
        else:
            n = np.maximum(upward[:, 0, 0], 1)
            order = np.lexsort((tie_breaker, upward[:, row.intensity, row.extent] / n))
            level = np.empty(n_resamples)
            level[order] = levels
            share = share_of(counted[:, row.intensity, row.extent], counted[:, 0, 0], wider)
            probability = share.probability_above(
                row.cut_pct(blank_upper_pct) / 100,
                prior_points=0.5 * part_of_staining(row.intensity, row.extent),
            )
            is_firing = level > 1 - probability
        ranks = np.maximum(ranks, np.where(is_firing, row.score.rank, 0))
    counts = np.bincount(ranks, minlength=len(EXPRESSION_SCORES)) / n_resamples
    return {score: float(counts[score.rank]) for score in EXPRESSION_SCORES}
