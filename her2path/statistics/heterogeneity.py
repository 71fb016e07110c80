"""Heterogeneity: do regions of one slide give different scores, is there an island of 3+."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from her2path.criteria.clusters import cluster_labels
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import Extent, Intensity, Score
from her2path.criteria.tally import Tally

__all__ = [
    "LEAST_LOCAL_PCT",
    "LEAST_REGION_CELLS",
    "Cluster3Plus",
    "RegionSpread",
    "find_3plus_cluster",
    "spread_of",
]

# The fewest cells before 0, 0+ and 1+ are told apart (CAP 2025): a region needs as many.
LEAST_REGION_CELLS = 100
# Centres of neighbouring carcinoma cells lie 10–20 µm apart; 25 µm bridges one missed nucleus.
REACH_UM = 25.0
# Fifty touching cells fill a circle of about 100 µm: seen at low power, and no chance contact.
LEAST_CLUSTER_CELLS = 50
# More than half of its territory: an island, not strong cells strewn among weak ones.
LEAST_LOCAL_PCT = 50.0


@dataclass(frozen=True, slots=True)
class RegionSpread:
    """Scores of the regions that have enough cells; `not_assessable` at both ends if none has."""

    lowest: Score
    highest: Score
    n_regions: int
    scores: Mapping[str, Score]

    @property
    def grades_apart(self) -> int:
        """Steps from the lowest to the highest score, counted on 0, 1+, 2+, 3+ (0+ is with 0)."""
        return max(self.highest.rank, 1) - max(self.lowest.rank, 1)


def spread_of(scores: Mapping[str, Score]) -> RegionSpread:
    """Return how far the scores of regions lie apart.

    Parameters
    ----------
    scores : mapping of str to Score
        Of regions with at least `LEAST_REGION_CELLS` cells, by their id.
    """
    ranked = sorted(scores.values(), key=lambda score: score.rank) or [Score.NOT_ASSESSABLE]
    return RegionSpread(ranked[0], ranked[-1], len(scores), scores)


@dataclass(frozen=True, slots=True)
class Cluster3Plus:
    """The largest contiguous group of intense, complete cells.

    Attributes
    ----------
    n_cells : int
        Intense, complete cells in it; 0 when there are none.
    n_territory_cells : int
        All tumour cells within reach of it, itself included.
    share_of_tumor_pct : float
        Its territory in percent of the tumour cells of the slide.
    score_elsewhere : Score
        Score of the tumour outside its territory.
    is_distinct : bool
        Large enough, mostly intense and complete inside, and less than 3+ elsewhere.
    """

    n_cells: int
    n_territory_cells: int
    share_of_tumor_pct: float
    score_elsewhere: Score
    is_distinct: bool

    @property
    def local_pct(self) -> float:
        """Percent of intense, complete cells in the territory."""
        return 100 * self.n_cells / self.n_territory_cells if self.n_territory_cells else 0.0


def find_3plus_cluster(
    x_um: ArrayLike,
    y_um: ArrayLike,
    *,
    intensity: ArrayLike,
    extent: ArrayLike,
    rule_set: RuleSet,
    blank_upper_pct: float,
    reach_um: float = REACH_UM,
    least_cells: int = LEAST_CLUSTER_CELLS,
) -> Cluster3Plus:
    """Find the largest island of intense, complete staining and score what lies outside.

    Parameters
    ----------
    x_um, y_um : array_like of shape (n,)
        Nucleus centres of all tumour cells, µm.
    intensity, extent : array_like of shape (n,), int
        `Intensity` and `Extent` of each.
    rule_set : RuleSet
        Criteria (of shares) for the score elsewhere.
    blank_upper_pct : float
        Upper bound of the limit of blank, percent.
    reach_um : float
        Largest distance between neighbours, µm.
    least_cells : int
        Smallest group that is called distinct.
    """
    points = np.column_stack([np.asarray(x_um, np.float64), np.asarray(y_um, np.float64)])
    strength, reached = np.asarray(intensity, np.int64), np.asarray(extent, np.int64)
    is_3plus = (strength == Intensity.INTENSE) & (reached == Extent.COMPLETE)
    is_inside = np.zeros(len(points), np.bool_)
    n_cells = 0
    if is_3plus.any():
        labels = cluster_labels(points[is_3plus, 0], points[is_3plus, 1], reach_um=reach_um)
        sizes = np.bincount(labels)
        island = points[is_3plus][labels == sizes.argmax()]
        n_cells = len(island)
        distance, _ = cKDTree(island).query(points, distance_upper_bound=reach_um)
        is_inside = np.isfinite(distance)
    elsewhere = Tally.of(strength[~is_inside], reached[~is_inside])
    score = rule_set.call(elsewhere, blank_upper_pct=blank_upper_pct).score
    n_inside = int(is_inside.sum())
    return Cluster3Plus(
        n_cells=n_cells,
        n_territory_cells=n_inside,
        share_of_tumor_pct=100 * n_inside / len(points) if len(points) else 0.0,
        score_elsewhere=score,
        is_distinct=n_cells >= least_cells
        and 100 * n_cells > LEAST_LOCAL_PCT * n_inside
        and score not in (Score.THREE_PLUS, Score.NOT_ASSESSABLE),
    )
