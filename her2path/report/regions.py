"""How regions are shown: which have a score to show, and every cell counted once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.cells import read_cells
from her2path.results.columns import Exclusion
from her2path.results.folder import SlideFolder
from her2path.results.record import RegionKind, RegionRecord
from her2path.statistics.heterogeneity import LEAST_REGION_CELLS

__all__ = [
    "RegionCounts",
    "RegionRow",
    "count_scores",
    "has_tumor_outline",
    "region_rows",
    "shown_score",
]

logger = logging.getLogger(__name__)

# Two pages of regions; the rest is in the table of regions.
MAX_REGIONS = 60


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A region as listed.

    Attributes
    ----------
    region : RegionRecord
    score : Score or None
        None where its tumor cells are too few.
    n_cells : int or None
        Cells found, tumor or not, in a square without those of control tissue; None where it is
        not known which these are.
    """

    region: RegionRecord
    score: Score | None
    n_cells: int | None


@dataclass(frozen=True, slots=True)
class RegionCounts:
    """How many squares and drawn regions have each score, and how many too few cells for one."""

    by_score: tuple[tuple[Score, int], ...]
    n_too_few: int


def has_tumor_outline(regions: Iterable[RegionRecord]) -> bool:
    """Return whether a person has drawn tumor: a core of a microarray only says where to look."""
    return any(region.kind is RegionKind.ROI and not region.is_core for region in regions)


def shown_score(region: RegionRecord) -> Score | None:
    """Return the score of a region, None with fewer than `LEAST_REGION_CELLS` tumor cells."""
    return region.score if region.reading.n_tumor_cells >= LEAST_REGION_CELLS else None


def region_rows(
    regions: Sequence[RegionRecord], folder: SlideFolder, *, most: int = MAX_REGIONS
) -> tuple[RegionRow, ...]:
    """Return the regions to list: drawn ones first, then control tissue, the highest scores first.

    The cells of control tissue have a row of their own and are taken out of their squares.

    Parameters
    ----------
    regions : sequence of RegionRecord
        Of one slide.
    folder : SlideFolder
        Its results; cells.parquet says which cells of a square are of control tissue.
    most : int
        Rows at most.
    """
    order = {RegionKind.ROI: 0, RegionKind.CONTROL: 1, RegionKind.GRID: 2}

    def place(region: RegionRecord) -> tuple[int, int, int, str]:
        score = shown_score(region)
        rank = -1 if score is None else score.rank
        return order[region.kind], -rank, -region.reading.n_tumor_cells, region.region_id

    has_control = any(region.kind is RegionKind.CONTROL for region in regions)
    of_control = control_cells(folder) if has_control else Counter()

    def own_cells(region: RegionRecord) -> int | None:
        if region.kind is not RegionKind.GRID:
            return region.n_cells
        return None if of_control is None else region.n_cells - of_control[region.region_id]

    return tuple(
        RegionRow(region, shown_score(region), own_cells(region))
        for region in sorted(regions, key=place)[:most]
    )


def control_cells(folder: SlideFolder) -> Counter[str] | None:
    """Return how many cells of control tissue each square holds; None where nobody can tell."""
    if not folder.cells_parquet.exists():
        return None
    try:
        cells = read_cells(folder.cells_parquet, columns=("region_id", "excluded")).columns
    except ResultsError as error:
        logger.warning("cells of control tissue are not told apart: %s", error)
        return None
    is_control = cells["excluded"] == Exclusion.CONTROL.value
    return Counter(cells["region_id"][is_control].tolist())


def count_scores(regions: Sequence[RegionRecord]) -> RegionCounts:
    """Count the regions of the map, which control tissue is not among, by the score shown."""
    shown = [shown_score(region) for region in regions if region.kind is not RegionKind.CONTROL]
    by_score = tuple((score, shown.count(score)) for score in Score if score in shown)
    return RegionCounts(by_score, shown.count(None))
