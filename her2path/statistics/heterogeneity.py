"""Heterogeneity: do regions of one slide give different scores, is there an island of 3+."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
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
    """The largest distinct island of intense, complete cells; without one, the largest group.

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
    """Find the largest distinct island of intense, complete staining and score what lies outside.

    Strewn cells can hold together in a group that is larger than a compact island: where the
    largest group is not distinct, the next ones are looked at.

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
    everything = Tally.of(strength, reached)

    def score_without(inside: Tally) -> Score:
        rest = Tally.from_array(everything.array - inside.array)
        return rule_set.call(rest, blank_upper_pct=blank_upper_pct).score

    largest = None
    for n_cells, inside in groups_with_surroundings(points, is_3plus, reach_um=reach_um):
        score = score_without(Tally.of(strength[inside], reached[inside]))
        is_mostly_3plus = 100 * n_cells > LEAST_LOCAL_PCT * len(inside)
        found = Cluster3Plus(
            n_cells=n_cells,
            n_territory_cells=len(inside),
            share_of_tumor_pct=100 * len(inside) / len(points),
            score_elsewhere=score,
            is_distinct=n_cells >= least_cells
            and is_mostly_3plus
            and score not in (Score.THREE_PLUS, Score.NOT_ASSESSABLE),
        )
        if found.is_distinct:
            return found
        largest = largest or found
        alone = np.full(n_cells, Intensity.INTENSE), np.full(n_cells, Extent.COMPLETE)
        # Of a smaller group more would be left elsewhere, and what else goes with a group raises
        # the share of what is left.
        is_3plus_in_any_case = score_without(Tally.of(*alone)) is Score.THREE_PLUS
        if n_cells < least_cells or is_3plus_in_any_case:
            break
    nothing = Cluster3Plus(0, 0, 0.0, score_without(Tally.zero()), is_distinct=False)
    return largest or nothing


def groups_with_surroundings(
    points: NDArray[np.float64], is_3plus: NDArray[np.bool_], *, reach_um: float
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield contiguous groups of cells, largest first: their size, and all cells within reach."""
    strong = points[is_3plus]
    labels = cluster_labels(strong[:, 0], strong[:, 1], reach_um=reach_um)
    sizes = np.bincount(labels)
    by_group = np.split(strong[np.argsort(labels, kind="stable")], np.cumsum(sizes)[:-1])
    by_x = np.argsort(points[:, 0], kind="stable")
    xs = points[by_x, 0]
    for group in np.argsort(-sizes, kind="stable"):
        island = by_group[group]
        low, high = island.min(axis=0) - reach_um, island.max(axis=0) + reach_um
        near = by_x[np.searchsorted(xs, low[0]) : np.searchsorted(xs, high[0], side="right")]
        near = near[(points[near, 1] >= low[1]) & (points[near, 1] <= high[1])]
        distance, _ = cKDTree(island).query(points[near], distance_upper_bound=reach_um)
        yield len(island), near[np.isfinite(distance)]
