"""The membranes of a slide, classed by limits that its own cells set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cells.blank import Blank, measure_blank
from her2path.cells.calibration import Calibration
from her2path.cells.classify import CellClasses, classify_cells
from her2path.cells.seen_lines import line_even, with_own_even
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity

__all__ = ["Membranes", "read_membranes"]

# A fourth reading hardly differs from the third.
N_READINGS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Membranes:
    """Cells of a slide with their classes, and the limits that these come from.

    Attributes
    ----------
    cells : CellMeasurements of n cells
        What a network saw of their lines is moved to the odds of the slide.
    classes : CellClasses of n cells
    blank : Blank
        Limits of lines without a network.
    line_even : float
        Probability of a membrane that counts as even odds, as `line_even` finds it.
    """

    cells: CellMeasurements
    classes: CellClasses
    blank: Blank
    line_even: float


def read_membranes(
    cells: CellMeasurements,
    calibration: Calibration,
    *,
    is_tumor: NDArray[np.bool_],
    is_reference: NDArray[np.bool_],
    min_line_contrast_od: float | None = None,
) -> Membranes:
    """Class all cells of a slide, again and again: each reading tells how many are unstained.

    The palest quarter of the unstained tumor cells sets limits. Where most cells are stained, the
    palest quarter of all of them would set these too high, and faint cells would be missed; where
    most are known to be unstained, these may ask for more.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    calibration : Calibration
    is_tumor, is_reference : ndarray of shape (n,), bool
        Cells that count; cells that are surely no tumor.
    min_line_contrast_od : float, optional
        Take this limit of a line as it is, where controls are to set it: only what the network must
        be sure of is measured.
    """
    is_unstained, unstained_frac = None, None
    for _ in range(N_READINGS):
        even = line_even(cells, is_tumor, unstained_frac=unstained_frac)
        seen = with_own_even(cells, even)
        blank = measure_blank(
            seen,
            is_reference,
            calibration,
            is_tumor=is_tumor,
            is_unstained=is_unstained,
            min_line_contrast_od=min_line_contrast_od,
        )
        classes = classify_cells(seen, calibration, min_line_contrast_od=blank.min_line_contrast_od)
        is_unstained = classes.intensity == Intensity.NONE
        unstained_frac = float(is_unstained[is_tumor].mean()) if is_tumor.any() else 1.0
        if unstained_frac == 1.0:
            break
    return Membranes(seen, classes, blank, even)
