"""Which cells a reader should look at: those that decide, those in doubt, the typical ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.criteria.call import Call
from her2path.criteria.clusters import cluster_sizes
from her2path.criteria.criterion import Criterion
from her2path.criteria.score import Extent, Intensity, Pattern
from her2path.results.columns import Exclusion

__all__ = [
    "INTEREST_COLUMNS",
    "Doubt",
    "FieldKind",
    "Interest",
    "class_codes",
    "deciding_criterion",
    "find_interest",
]

Words = NDArray[np.generic]
Mask = NDArray[np.bool_]

# A cell is in doubt when a shift of one cut-off that no reader would notice moves it: a tenth of
# an OD, a third of the faintest line, one and a half of 32 sectors.
OD_FACTOR = 1.10
BLANK_FACTOR = 1.33
ARC_MARGIN = 0.05
# Of an unstained cell that may or may not be tumor, beside a stained one.
UNSTAINED_WEIGHT = 0.25

INTEREST_COLUMNS = (
    "x",
    "y",
    "excluded",
    "intensity",
    "pattern",
    "completeness",
    "longest_arc_frac",
    "membrane_od",
    "membrane_contrast_od",
    "line_limit_od",
    "cytoplasm_od",
    "tumor_probability",
    "has_own_line",
)


class FieldKind(StrEnum):
    """Why a field is shown."""

    DECIDING = "deciding"
    DOUBTFUL = "doubtful"
    TYPICAL = "typical"


class Doubt(StrEnum):
    """What makes a cell doubtful: mostly a cut-off that it is close to."""

    BLANK = "near the limit of blank"
    SHARED = "stained by a neighbour's line alone"
    INTENSITY = "near an intensity cut"
    EXTENT = "near the completeness cut"
    TUMOR = "tumour or not"


@dataclass(frozen=True, slots=True)
class Interest:
    """How much each of n cells belongs into a field of each kind.

    Attributes
    ----------
    weights : mapping of FieldKind to ndarray of shape (n,), float64
        0 for a cell that does not belong.
    doubts : mapping of Doubt to ndarray of shape (n,), bool
        Cells in each doubt that bears on the score.
    is_counted : ndarray of shape (n,), bool
        Invasive tumor cells counted.
    intensity : ndarray of shape (n,), int8
        Values of `Intensity`.
    typical : Intensity
        The most frequent class among counted cells.
    """

    weights: Mapping[FieldKind, NDArray[np.float64]]
    doubts: Mapping[Doubt, Mask]
    is_counted: Mask
    intensity: NDArray[np.int8]
    typical: Intensity


def class_codes(words: Words) -> NDArray[np.int8]:
    """Return the `Intensity` of each cell from its word."""
    codes = np.zeros(len(words), np.int8)
    for level in Intensity:
        codes[words == level.label] = level
    return codes


def extents(words: Words) -> NDArray[np.int8]:
    codes = np.zeros(len(words), np.int8)
    for pattern in Pattern:
        codes[words == pattern.label] = pattern.extent
    return codes


def deciding_criterion(call: Call) -> Criterion | None:
    """Return the row whose cells carry the score; for 0 the nearest row that did not fire."""
    deciding = call.deciding_lower or call.deciding_upper
    return deciding.criterion if deciding else None


def find_interest(
    cells: Mapping[str, Words],
    *,
    call: Call,
    calibration: Calibration,
    uncertain_range: tuple[float, float],
    is_read: bool = False,
    are_lines_asked: bool = False,
    mpp: float = 1.0,
) -> Interest:
    """Weigh every cell of a slide.

    Parameters
    ----------
    cells : mapping of str to ndarray of shape (n,)
        At least `INTEREST_COLUMNS` of the table of cells.
    call : Call
        The call of the slide: which share decided it.
    calibration : Calibration
        Cut-offs in use.
    uncertain_range : tuple of 2 float
        Probabilities of a tumor cell that are neither yes nor no, ends excluded.
    is_read : bool
        Whether a network read beside the rules.
    are_lines_asked : bool
        Whether the score hangs on whose line it is between two cells.
    mpp : float
        µm/px of the places of the cells.
    """
    is_counted = np.asarray(cells["excluded"] == Exclusion.COUNTED.value, np.bool_)
    intensity = class_codes(cells["intensity"])
    doubts = dict(find_doubts(cells, intensity, call, calibration, is_counted, is_read))
    if are_lines_asked:
        is_stained = is_counted & (intensity > Intensity.NONE)
        doubts[Doubt.SHARED] = is_stained & ~np.asarray(cells["has_own_line"], np.bool_)
    probability = np.asarray(cells["tumor_probability"], np.float64)
    may_be_tumor = is_counted | np.asarray(cells["excluded"] == Exclusion.NOT_TUMOR.value)
    low, high = uncertain_range
    doubts[Doubt.TUMOR] = may_be_tumor & (probability > low) & (probability < high)

    deciding = np.zeros(len(intensity))
    row = deciding_criterion(call)
    if row is not None:
        extent = extents(cells["pattern"])
        if row.cluster_cells:
            x, y = (mpp * np.asarray(cells[name], np.float64) for name in ("x", "y"))
            sizes = cluster_sizes(
                x,
                y,
                intensity=np.where(is_counted, intensity, Intensity.NONE),
                extent=extent,
                least=row.intensity,
            )
            is_deciding = sizes >= min(row.cluster_cells, max(sizes.max(initial=0), 1))
        else:
            is_deciding = (intensity >= row.intensity) & (extent >= row.extent)
        deciding[is_counted & is_deciding] = 1.0
    doubtful = np.zeros(len(intensity))
    for doubt, is_near in doubts.items():
        # Whether a cell is tumor matters most where it is stained.
        is_quiet = (doubt is Doubt.TUMOR) & (intensity == Intensity.NONE)
        doubtful += np.where(is_quiet, UNSTAINED_WEIGHT, 1.0) * is_near
    frequent = np.bincount(intensity[is_counted], minlength=len(Intensity))
    typical = Intensity(int(frequent.argmax()))
    return Interest(
        weights={
            FieldKind.DECIDING: deciding,
            FieldKind.DOUBTFUL: doubtful,
            FieldKind.TYPICAL: typicality(cells, is_counted & (intensity == typical), typical),
        },
        doubts=doubts,
        is_counted=is_counted,
        intensity=intensity,
        typical=typical,
    )


def find_doubts(
    cells: Mapping[str, Words],
    intensity: NDArray[np.int8],
    call: Call,
    calibration: Calibration,
    is_counted: Mask,
    is_read: bool,
) -> Iterator[tuple[Doubt, Mask]]:
    """Find the cells near a cut-off of the rows that hold the score or nearly raise it."""
    rows = [deciding.criterion for deciding in call.near]
    is_stained = is_counted & (intensity > Intensity.NONE)
    if any(row.intensity == Intensity.FAINT for row in rows):
        contrast = np.asarray(cells["membrane_contrast_od"], np.float64)
        arc = np.asarray(cells["longest_arc_frac"], np.float64)
        limit = np.asarray(cells["line_limit_od"], np.float64)
        is_close = (contrast < BLANK_FACTOR * limit) | (arc < calibration.min_arc_frac + ARC_MARGIN)
        yield Doubt.BLANK, is_stained & is_close
    cuts = {
        Intensity.WEAK: calibration.intensity.weak_od,
        Intensity.MODERATE: calibration.intensity.moderate_od,
        Intensity.INTENSE: calibration.intensity.intense_od,
    }
    asked = sorted({cuts[row.intensity] for row in rows if row.intensity in cuts})
    if asked:
        od = np.asarray(cells["membrane_od"], np.float64)
        is_close = np.zeros(len(od), np.bool_)
        for cut in asked:
            is_close |= (od > cut / OD_FACTOR) & (od < cut * OD_FACTOR)
        yield Doubt.INTENSITY, is_stained & is_close
    is_close = np.zeros(len(intensity), np.bool_)
    if any(row.extent == Extent.COMPLETE for row in rows):
        share = np.asarray(cells["completeness"], np.float64)
        is_close |= np.abs(share - calibration.complete_from(is_read=is_read)) < ARC_MARGIN
    if any(row.extent == Extent.BASOLATERAL for row in rows):
        arc = np.asarray(cells["longest_arc_frac"], np.float64)
        is_close |= np.abs(arc - calibration.basolateral_frac) < ARC_MARGIN
    if is_close.any():
        yield Doubt.EXTENT, is_stained & is_close & (intensity >= Intensity.WEAK)


def typicality(
    cells: Mapping[str, Words], is_member: Mask, typical: Intensity
) -> NDArray[np.float64]:
    """Weigh members of a class by how near the middle of it they are, 0–1."""
    name = "cytoplasm_od" if typical is Intensity.NONE else "membrane_od"
    od = np.asarray(cells[name], np.float64)
    weight = np.zeros(len(od))
    known = is_member & np.isfinite(od)
    if not known.any():
        weight[is_member] = 1.0
        return weight
    low, middle, high = np.percentile(od[known], [25, 50, 75])
    spread = max(high - low, 1e-6)
    # The furthest of them is still one of them.
    weight[is_member] = np.finfo(np.float64).tiny
    weight[known] += np.exp(-math.log(2) * (2 * (od[known] - middle) / spread) ** 2)
    return weight
