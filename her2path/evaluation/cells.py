"""Cells as read against cells as they are: nuclei met, kinds, membranes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Extent, Intensity, Pattern
from her2path.results.cells import CellTable
from her2path.statistics.counted import Counted
from her2path.statistics.matching import match_points

__all__ = [
    "CELL_COLUMNS",
    "REACH_UM",
    "CellAgreement",
    "Found",
    "KnownCells",
    "codes_of",
    "compare_cells",
    "mean_of",
    "pooled",
]

# Half the radius of a small tumor nucleus: the centre lies well inside.
REACH_UM = 3.0
# What is needed of cells.parquet.
CELL_COLUMNS = (
    "x",
    "y",
    "is_tumor",
    "excluded",
    "intensity",
    "pattern",
    "completeness",
    "membrane_od",
)
# A median of fewer line heights says little.
LEAST_HEIGHTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class KnownCells:
    """Cells of the truth: places in level-0 px, classes, and OD of lines, all of shape (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    is_tumor: NDArray[np.bool_]
    intensity: NDArray[np.int64]
    pattern: NDArray[np.int64]
    completeness: NDArray[np.float64]
    membrane_od: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Found:
    """Things looked for: how many there are, how many were named, how many of these are right."""

    n_known: int
    n_named: int
    n_right: int

    def __add__(self, other: Found) -> Found:
        """Add the counts of two slides."""
        return Found(
            self.n_known + other.n_known,
            self.n_named + other.n_named,
            self.n_right + other.n_right,
        )

    @property
    def precision(self) -> float:
        """Right of those named, NaN when none was."""
        return Counted(self.n_right, self.n_named).frac

    @property
    def recall(self) -> float:
        """Right of those there are, NaN when there is none."""
        return Counted(self.n_right, self.n_known).frac

    @property
    def f1(self) -> float:
        """Harmonic mean of both, NaN when there was nothing to find and nothing was named."""
        return Counted(2 * self.n_right, self.n_known + self.n_named).frac


@dataclass(frozen=True, slots=True)
class CellAgreement:
    """Cells of one slide, or of many added up, against their truth.

    Attributes
    ----------
    nuclei : Found
        All nuclei, matched one to one within `REACH_UM`.
    tumor : Found
        Tumor cells: there are, counted, counted where one is. A nucleus that was missed is a
        tumor cell that was not found.
    kind : Counted
        Matched cells whose kind (invasive tumor or not) is right.
    kind_tumor, kind_other : Counted
        The same of the tumor cells, and of the others.
    tumor_met : Counted
        Tumor cells whose nucleus was met, counted or not.
    counted_met : Counted
        Counted cells that meet any nucleus.
    stained, complete : Found
        Membranes of matched, counted tumor cells: with any staining; complete and weak or stronger.
    unstained : Counted
        Unstained ones of them that were read as stained.
    incomplete : Counted
        Ones without complete staining that were read as complete.
    intensity : Counted
        Ones whose class of intensity is right.
    completeness_error : float
        Mean absolute error of the stained share of the outline, of those stained in truth; NaN
        without any.
    height_ratio : float
        Median height of their lines as read over the true one, of those stained both ways; NaN of
        fewer than `LEAST_HEIGHTS`.
    """

    nuclei: Found
    tumor: Found
    kind: Counted
    kind_tumor: Counted
    kind_other: Counted
    tumor_met: Counted
    counted_met: Counted
    stained: Found
    complete: Found
    unstained: Counted
    incomplete: Counted
    intensity: Counted
    completeness_error: float
    height_ratio: float

    @property
    def balanced_accuracy(self) -> float:
        """Mean of both kinds' accuracy: blind to how many there are of each."""
        return (self.kind_tumor.frac + self.kind_other.frac) / 2


def codes_of(words: Iterable[str], kind: type[Intensity] | type[Pattern]) -> NDArray[np.int64]:
    """Return words of a table as numbers of their enumeration.

    Raises
    ------
    KeyError
        If a word is none of them.
    """
    return np.array([int(kind[word.upper()]) for word in words], np.int64)


def is_complete(intensity: NDArray[np.int64], pattern: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which cells count for `pct_complete`: complete and weak or stronger."""
    wanted = [int(p) for p in Pattern if p.extent is Extent.COMPLETE]
    return np.isin(pattern, wanted) & (intensity >= Intensity.WEAK)


def found_of(known: NDArray[np.bool_], named: NDArray[np.bool_]) -> Found:
    return Found(int(known.sum()), int(named.sum()), int((known & named).sum()))


def compare_cells(known: KnownCells, cells: CellTable | None, *, mpp: float) -> CellAgreement:
    """Compare the cells of a slide with its truth.

    Parameters
    ----------
    known : KnownCells
    cells : CellTable or None
        With `CELL_COLUMNS`; None where none were measured. Those without a nucleus are no cells
        that were found.
    mpp : float
        µm/px of level 0.
    """
    if cells is not None:
        cells = cells.select(cells.has_nucleus)
    n_found = 0 if cells is None else len(cells)
    places = np.zeros((n_found, 2))
    is_counted = np.zeros(n_found, np.bool_)
    intensity, pattern = np.zeros(n_found, np.int64), np.zeros(n_found, np.int64)
    completeness, height = np.zeros(n_found), np.zeros(n_found)
    if cells is not None:
        places = np.column_stack([cells["x"], cells["y"]]).astype(np.float64) * mpp
        is_counted = cells["is_tumor"].astype(np.bool_) & (cells["excluded"] == "")
        intensity = codes_of(cells["intensity"].tolist(), Intensity)
        pattern = codes_of(cells["pattern"].tolist(), Pattern)
        completeness = np.nan_to_num(cells["completeness"].astype(np.float64))
        height = np.nan_to_num(cells["membrane_od"].astype(np.float64))
    i, j = match_points(np.column_stack([known.x, known.y]) * mpp, places, reach=REACH_UM)
    is_tumor = known.is_tumor[i]
    is_right = is_tumor == is_counted[j]
    both = is_tumor & is_counted[j]
    i, j_both = i[both], j[both]
    stained, read_stained = known.intensity[i] > 0, intensity[j_both] > 0
    complete = is_complete(known.intensity[i], known.pattern[i])
    read_complete = is_complete(intensity[j_both], pattern[j_both])
    error = np.abs(known.completeness[i] - completeness[j_both])[stained]
    has_line = stained & read_stained & (known.membrane_od[i] > 0)
    ratios = height[j_both][has_line] / known.membrane_od[i][has_line]
    return CellAgreement(
        nuclei=Found(len(known), n_found, len(j)),
        tumor=Found(int(known.is_tumor.sum()), int(is_counted.sum()), int(both.sum())),
        kind=Counted.of(is_right),
        kind_tumor=Counted.of(is_right[is_tumor]),
        kind_other=Counted.of(is_right[~is_tumor]),
        tumor_met=Counted(int(is_tumor.sum()), int(known.is_tumor.sum())),
        counted_met=Counted(int(is_counted[j].sum()), int(is_counted.sum())),
        stained=found_of(stained, read_stained),
        complete=found_of(complete, read_complete),
        unstained=Counted.of(read_stained[~stained]),
        incomplete=Counted.of(read_complete[~complete]),
        intensity=Counted.of(known.intensity[i] == intensity[j_both]),
        completeness_error=float(error.mean()) if error.size else math.nan,
        height_ratio=float(np.median(ratios)) if ratios.size >= LEAST_HEIGHTS else math.nan,
    )


def mean_of(values: Iterable[float]) -> float:
    """Return the mean of the values that are numbers, NaN when there is none."""
    numbers = [float(value) for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def pooled(slides: Sequence[CellAgreement]) -> CellAgreement:
    """Add the cells of many slides; a slide with more cells weighs more.

    What is a mean or median of each slide is averaged, weighted by the slide's stained cells.

    Raises
    ------
    ValueError
        Without a slide.
    """
    if not slides:
        raise ValueError("there is no slide to pool")
    values: dict[str, Found | Counted | float] = {}
    for field in fields(CellAgreement):
        parts = [getattr(slide, field.name) for slide in slides]
        if isinstance(parts[0], float):
            weights = [0 if math.isnan(part) else slide.stained.n_known
                       for part, slide in zip(parts, slides, strict=True)]  # fmt: skip
            total = sum(w * part for w, part in zip(weights, parts, strict=True) if w)
            values[field.name] = total / sum(weights) if sum(weights) else math.nan
        elif isinstance(parts[0], Found):
            values[field.name] = sum(parts[1:], start=parts[0])
        else:
            values[field.name] = Counted(sum(p.k for p in parts), sum(p.n for p in parts))
    return CellAgreement(**values)  # type: ignore[arg-type]
