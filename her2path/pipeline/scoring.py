"""From classes of cells to readings: tallies of blocks, shares, intervals, probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import IntensityCuts
from her2path.cells.classify import CellClasses
from her2path.cells.table import CellMeasurements
from her2path.criteria.call import Call, Deciding
from her2path.criteria.clusters import Clusters, largest_clusters
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import EXPRESSION_SCORES, Intensity, Score
from her2path.criteria.tally import TALLY_SHAPE, Tally, extent_of
from her2path.flags.evidence import Border
from her2path.results.record import Estimate, Reading
from her2path.statistics.intervals import Interval
from her2path.statistics.means import mean_of_blocks
from her2path.statistics.neighborhoods import BLOCK_UM, Neighborhoods, neighborhoods_of
from her2path.statistics.paired import BlockRatio
from her2path.statistics.resampling import score_probabilities, share_at_least, share_intervals

__all__ = [
    "LEAST_UPPER_PCT",
    "CountedCells",
    "block_of",
    "borders_of",
    "clusters_of",
    "empty_reading",
    "read_counted",
    "score_of",
]

# The rules ask for a bound of the blank above zero: no finite number of cells shows that it is 0.
LEAST_UPPER_PCT = 0.01
LINE, WIDTH = "OD", "µm"


@dataclass(frozen=True, slots=True, eq=False)
class CountedCells:
    """What is summed over the tumor cells counted; all of shape (n,).

    Attributes
    ----------
    x_um, y_um : ndarray, float64
        Nucleus centres from the slide's corner.
    block : ndarray, int64
        Block of tissue that holds each cell; any numbers.
    intensity, extent : ndarray, int8
        Values of `Intensity` and `Extent`.
    membrane_od, membrane_contrast_od, membrane_width_um, cytoplasm_od : ndarray, float32
    """

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    block: NDArray[np.int64]
    intensity: NDArray[np.int8]
    extent: NDArray[np.int8]
    membrane_od: NDArray[np.float32]
    membrane_contrast_od: NDArray[np.float32]
    membrane_width_um: NDArray[np.float32]
    cytoplasm_od: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.intensity)

    @classmethod
    def of(
        cls,
        cells: CellMeasurements,
        classes: CellClasses,
        place_um: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> CountedCells:
        """Gather what is counted of measured and classified cells."""
        x_um, y_um = place_um
        return cls(
            x_um=x_um,
            y_um=y_um,
            block=block_of(x_um, y_um),
            intensity=classes.intensity,
            extent=extent_of(classes.pattern),
            membrane_od=classes.membrane_od,
            membrane_contrast_od=classes.membrane_contrast_od,
            membrane_width_um=cells.membrane_width_um,
            cytoplasm_od=cells.cytoplasm_od,
        )

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> CountedCells:
        """Return the rows that `index` picks."""
        return CountedCells(*(getattr(self, f.name)[index] for f in fields(self)))

    def graded(self, cuts: IntensityCuts, *, height_factor: float) -> CountedCells:
        """Return the same cells, the stained ones graded as if all lines were that much higher.

        Whether a membrane is there does not depend on how dark it is, so no cell turns unstained.
        """
        graded = cuts.grade(self.membrane_od * height_factor)
        is_stained = self.intensity != Intensity.NONE
        return replace(self, intensity=np.where(is_stained, graded, self.intensity))

    @property
    def tally(self) -> Tally:
        """Cells by intensity and extent."""
        return Tally.of(self.intensity, self.extent)

    def block_tallies(self) -> NDArray[np.int64]:
        """Return the tally of each block that holds a cell, shape (n_blocks, 5, 3)."""
        _, index = np.unique(self.block, return_inverse=True)
        n_blocks = int(index.max()) + 1 if index.size else 0
        extent = np.where(self.intensity == Intensity.NONE, 0, self.extent).astype(np.int64)
        flat = (index * TALLY_SHAPE[0] + self.intensity) * TALLY_SHAPE[1] + extent
        counts = np.bincount(flat, minlength=n_blocks * TALLY_SHAPE[0] * TALLY_SHAPE[1])
        return counts.reshape(n_blocks, *TALLY_SHAPE)

    def wider_blocks(self) -> tuple[Neighborhoods, ...]:
        """Return the blocks of `block_tallies` taken together with their neighbors."""
        names, index = np.unique(self.block, return_inverse=True)
        corner = np.full((2, len(names)), np.inf)
        for place, values in zip(corner, (self.x_um, self.y_um), strict=True):
            np.minimum.at(place, index, values)
        return neighborhoods_of(*corner)

    def mean_by_block(self, values: NDArray[np.floating], is_used: NDArray[np.bool_]) -> BlockRatio:
        """Return the mean of a measurement over some of the cells, as sums over blocks."""
        _, block = np.unique(self.block, return_inverse=True)
        n_blocks = int(block.max()) + 1 if block.size else 0
        used, block = values[is_used].astype(np.float64), block[is_used]

        def summed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(block, weights=weights, minlength=n_blocks).astype(np.float64)

        return BlockRatio(
            summed(used), summed(np.ones_like(used)), summed(used**2), False, self.wider_blocks()
        )


def block_of(x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the block of tissue, `BLOCK_UM` wide, in which each place lies, (n,)."""
    column, row = (np.floor(v / BLOCK_UM).astype(np.int64) for v in (x_um, y_um))
    # A slide is at most 2³¹ µm wide.
    return (row << 32) + column


def clusters_of(counted: CountedCells, rule_set: RuleSet) -> Clusters | None:
    """Return the largest clusters where the rules look at them."""
    if not rule_set.needs_clusters:
        return None
    return largest_clusters(
        counted.x_um,
        counted.y_um,
        intensity=counted.intensity,
        extent=counted.extent,
    )


def rule_intervals(
    blocks: NDArray[np.int64], wider: Sequence[Neighborhoods], rule_set: RuleSet
) -> dict[str, Interval]:
    """Return the interval, in percent, of each share that a row of the rule set looks at."""
    return {
        row.measure: share_at_least(blocks, row.intensity, row.extent, wider).interval().scaled(100)
        for row in rule_set.criteria
        if row.cluster_cells is None
    }


def read_counted(
    counted: CountedCells,
    rule_set: RuleSet,
    *,
    blank_upper_pct: float,
    rng: np.random.Generator,
    n_resamples: int,
    clusters: Clusters | None = None,
) -> Reading:
    """Sum, then divide: shares, their intervals, and how probable each score is."""
    blocks, wider = counted.block_tallies(), counted.wider_blocks()
    tally = counted.tally
    return Reading(
        tally=tally,
        shares=tally.shares().columns(),
        intervals={**share_intervals(blocks, wider), **rule_intervals(blocks, wider, rule_set)},
        probabilities=score_probabilities(
            rule_set,
            blocks,
            blank_upper_pct=blank_upper_pct,
            rng=rng,
            n_resamples=n_resamples,
            clusters=clusters,
            wider=wider,
        ),
        n_blocks=len(blocks),
        measures=measures_of(counted),
    )


def measures_of(counted: CountedCells) -> Mapping[str, Estimate]:
    """Return means over stained cells, and of the cytoplasm over all."""
    is_stained = counted.intensity > Intensity.NONE
    everywhere = np.ones_like(is_stained)
    sources = (
        ("membrane_od", counted.membrane_od, is_stained, LINE),
        ("membrane_contrast_od", counted.membrane_contrast_od, is_stained, LINE),
        ("membrane_width_um", counted.membrane_width_um, is_stained, WIDTH),
        ("cytoplasm_od", counted.cytoplasm_od, everywhere, LINE),
    )
    found = {}
    for name, values, chosen, unit in sources:
        used = chosen & np.isfinite(values)
        estimate = mean_of_blocks(counted.mean_by_block(values, used))
        if estimate is not None:
            found[name] = Estimate(estimate[0], estimate[1], int(used.sum()), unit)
    return found


def empty_reading() -> Reading:
    """Return the reading of no cell."""
    return Reading(
        tally=Tally.zero(),
        shares=Tally.zero().shares().columns(),
        intervals={},
        probabilities=dict.fromkeys(EXPRESSION_SCORES, 0.0),
        n_blocks=0,
    )


def borders_of(
    call: Call, blocks: NDArray[np.int64], wider: Sequence[Neighborhoods]
) -> tuple[Border, ...]:
    """Return the shares that hold a call where it is, with their intervals, the nearest first.

    `blocks` are tallies of shape (n_blocks, 5, 3).
    """

    def border(deciding: Deciding) -> Border:
        row = deciding.criterion
        share = share_at_least(blocks, row.intensity, row.extent, wider)
        return Border(deciding, share.interval().scaled(100))

    rows = dict.fromkeys((*call.near, *call.higher))
    return tuple(border(d) for d in sorted(rows, key=lambda d: d.distance) if d.unit == "%")


def score_of(
    counted: CountedCells, rule_set: RuleSet, *, blank_upper_pct: float
) -> tuple[Score, Tally]:
    """Score some cells, with nothing around it."""
    tally = counted.tally
    call = rule_set.call(
        tally, blank_upper_pct=blank_upper_pct, clusters=clusters_of(counted, rule_set)
    )
    return call.score, tally
