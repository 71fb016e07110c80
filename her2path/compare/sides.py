"""One side of a pair: the slides of one patient at one time, read from their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.call import Call
from her2path.criteria.clusters import Clusters
from her2path.criteria.ish import status
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import Intensity, IshResult, Pattern, Score, Status
from her2path.criteria.tally import Tally, extent_of
from her2path.errors import ResultsError
from her2path.pipeline.scoring import (
    LEAST_UPPER_PCT,
    CountedCells,
    block_of,
    clusters_of,
)
from her2path.pipeline.selection import MAX_REFERENCE_PROBABILITY
from her2path.results.cells import CellTable, read_cells
from her2path.results.columns import Exclusion
from her2path.results.folder import SlideFolder
from her2path.results.record import SlideRecord, read_record

__all__ = ["Bystanders", "PairSlide", "Side", "read_pair_slide"]

# Slides of one side stand this far apart: cells of two slides never touch.
APART_UM = 1e7
COUNTED_TYPES = {
    "x_um": "float64",
    "y_um": "float64",
    "block": "int64",
    "intensity": "int8",
    "extent": "int8",
}
CELL_COLUMNS = (
    "x",
    "y",
    "excluded",
    "tumor_probability",
    "intensity",
    "pattern",
    "membrane_od",
    "membrane_contrast_od",
    "membrane_width_um",
    "cytoplasm_od",
    "nucleus_h_od",
)


@dataclass(frozen=True, slots=True, eq=False)
class Bystanders:
    """Cells that are surely no tumor: what drift is checked on; arrays of shape (n,)."""

    nucleus_h_od: NDArray[np.float64]
    cytoplasm_od: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.nucleus_h_od)


@dataclass(frozen=True, slots=True, eq=False)
class PairSlide:
    """One slide of a side.

    Attributes
    ----------
    record : SlideRecord
    folder : Path or None
        Its results; None where they are not on disk.
    counted, control : CountedCells
        Tumor cells counted, and cells of control tissue.
    bystanders : Bystanders
    """

    record: SlideRecord
    folder: Path | None
    counted: CountedCells
    control: CountedCells
    bystanders: Bystanders


def read_pair_slide(slide_json: Path) -> PairSlide:
    """Read a scored slide: slide.json and the cells.parquet beside it.

    Raises
    ------
    ResultsError
        If one of them is missing where it is needed, or damaged.
    """
    record = read_record(slide_json)
    folder = SlideFolder(slide_json.parent)
    if record.reading.n_tumor_cells == 0 and not folder.cells_parquet.is_file():
        return PairSlide(record, folder.path, no_cells(), no_cells(), no_bystanders())
    table = read_cells(folder.cells_parquet, columns=CELL_COLUMNS, is_strict=True)
    counted, control, bystanders = cells_of(table, record)
    if len(counted) != record.reading.n_tumor_cells:
        raise ResultsError(
            f"{folder.cells_parquet} holds {len(counted):,} counted cells, {slide_json.name} says "
            f"{record.reading.n_tumor_cells:,}; one of them has been changed: score the slide again"
        )
    return PairSlide(record, folder.path, counted, control, bystanders)


def cells_of(
    table: CellTable, record: SlideRecord
) -> tuple[CountedCells, CountedCells, Bystanders]:
    """Return the counted cells, those of control tissue, and the bystanders."""
    excluded = table["excluded"]
    levels = {level.label: level for level in Intensity}
    patterns = {pattern.label: pattern for pattern in Pattern}
    intensity = coded(table["intensity"], levels)
    x_um = np.asarray(table["x"], np.float64) * record.scan.mpp_x
    y_um = np.asarray(table["y"], np.float64) * record.scan.mpp_y
    everything = CountedCells(
        x_um=x_um,
        y_um=y_um,
        block=block_of(x_um, y_um),
        intensity=intensity,
        extent=extent_of(coded(table["pattern"], patterns)),
        membrane_od=np.asarray(table["membrane_od"], np.float32),
        membrane_contrast_od=np.asarray(table["membrane_contrast_od"], np.float32),
        membrane_width_um=np.asarray(table["membrane_width_um"], np.float32),
        cytoplasm_od=np.asarray(table["cytoplasm_od"], np.float32),
    )
    probability = np.asarray(table["tumor_probability"], np.float64)
    # As `Selection.is_reference`: inside or outside an outline.
    beside = (Exclusion.NOT_TUMOR.value, Exclusion.OUTSIDE_ROI.value)
    is_bystander = np.isin(excluded, beside) & (probability < MAX_REFERENCE_PROBABILITY)
    bystanders = Bystanders(
        np.asarray(table["nucleus_h_od"], np.float64)[is_bystander],
        np.asarray(table["cytoplasm_od"], np.float64)[is_bystander],
    )
    return (
        everything.select(np.asarray(excluded == Exclusion.COUNTED.value, np.bool_)),
        everything.select(np.asarray(excluded == Exclusion.CONTROL.value, np.bool_)),
        bystanders,
    )


def coded(words: NDArray[np.generic], codes: Mapping[str, int]) -> NDArray[np.int8]:
    found, index = np.unique(words.astype(str), return_inverse=True)
    return np.array([codes[str(word)] for word in found], np.int8)[index]


def no_cells() -> CountedCells:
    return pooled([])


def no_bystanders() -> Bystanders:
    return Bystanders(np.zeros(0), np.zeros(0))


def pooled(parts: Sequence[CountedCells]) -> CountedCells:
    """Join the cells of several slides; blocks and places of two slides never meet."""
    columns = {}
    for field in fields(CountedCells):
        values = []
        for number, part in enumerate(parts):
            value = getattr(part, field.name)
            if field.name == "x_um":
                value = value + number * APART_UM
            elif field.name == "block":
                value = np.unique(value, return_inverse=True)[1] + (number << 32)
            values.append(value)
        empty = np.zeros(0, COUNTED_TYPES.get(field.name, "float32"))
        columns[field.name] = np.concatenate([empty, *values])
    return CountedCells(**columns)


@dataclass(frozen=True, eq=False)
class Side:
    """What was read at one time.

    Attributes
    ----------
    name : str
        "before" or "after".
    slides : tuple of PairSlide
        At least one, all of one rule set; not assessable ones count for nothing but where the side
        has no others (`speaking`).
    rule_set : RuleSet
        By which they were scored.
    ish : IshResult or None
        Of the side; that of its slides unless one was given.
    """

    name: str
    slides: tuple[PairSlide, ...]
    rule_set: RuleSet
    ish: IshResult | None = None

    @cached_property
    def counted(self) -> CountedCells:
        """Tumor cells counted on all slides."""
        return pooled([slide.counted for slide in self.assessable])

    @cached_property
    def control(self) -> CountedCells:
        """Cells of control tissue on the slides that have a say."""
        return pooled([slide.control for slide in self.speaking])

    @cached_property
    def bystanders(self) -> Bystanders:
        """Cells of the slides that are surely no tumor."""
        return Bystanders(
            np.concatenate([slide.bystanders.nucleus_h_od for slide in self.speaking]),
            np.concatenate([slide.bystanders.cytoplasm_od for slide in self.speaking]),
        )

    @property
    def assessable(self) -> tuple[PairSlide, ...]:
        """Slides with a score."""
        return tuple(s for s in self.slides if s.record.score is not Score.NOT_ASSESSABLE)

    @property
    def speaking(self) -> tuple[PairSlide, ...]:
        """Slides that tell what the side is like: those with a score, all where none has one."""
        return self.assessable or self.slides

    @property
    def first(self) -> SlideRecord:
        """The record that speaks for the side where its slides agree."""
        return self.speaking[0].record

    @property
    def blank_upper_pct(self) -> float:
        """The least favourable limit of blank of the slides, percent."""
        return max(LEAST_UPPER_PCT, *(s.record.blank.upper_pct for s in self.speaking))

    @property
    def min_line_contrast_od(self) -> float:
        """The highest limit of blank of a line."""
        return max(s.record.blank.min_line_contrast_od for s in self.speaking)

    def values(self, of: Callable[[SlideRecord], object]) -> list[object]:
        """Return what differs among the slides, each value once."""
        found: list[object] = []
        for slide in self.speaking:
            value = of(slide.record)
            if value not in found:
                found.append(value)
        return found

    def clusters(self, counted: CountedCells) -> Clusters | None:
        """Return the largest clusters where the rules look at them."""
        return clusters_of(counted, self.rule_set)

    def call(self, counted: CountedCells, *, blank_upper_pct: float) -> Call:
        """Score the side by its rule set."""
        tally = counted.tally if len(counted) else Tally.zero()
        return self.rule_set.call(
            tally, blank_upper_pct=blank_upper_pct, clusters=self.clusters(counted)
        )

    def status(self, score: Score) -> Status:
        """Return what a score of this side means, with its ISH."""
        return status(score, self.ish, organ=self.rule_set.organ).status
