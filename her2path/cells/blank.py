"""Limit of blank: how much line and how many stained cells there are where there is no HER2.

Stroma and lymphocytes of the slide itself are the blank: same section, same scanner, same focus.
They can only raise the calibration's limits, and only so far: next to a strongly stained tumor some
of them carry its membranes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.cells.classify import classify_cells
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity
from her2path.statistics.intervals import wilson

__all__ = ["Blank", "measure_blank", "sector_limit"]

# Fewer cells than this say nothing about one cell in a hundred.
MIN_REFERENCE_CELLS = 100
# Browner cells are stained tissue, whatever they are.
MAX_REFERENCE_CYTOPLASM_OD = 0.08
# On real cores without HER2 median + 3 deviations is the 98th percentile. The deviation is taken
# from the lower half alone: what lies above may be membranes of the tumor next door.
N_DEVIATIONS = 3.0
# How far the slide may raise the limits of its calibration.
MAX_RAISE = 2.0


@dataclass(frozen=True, slots=True)
class Blank:
    """Limits in use for a slide, and the cells that they come from.

    Attributes
    ----------
    min_line_contrast_od : float
        Contrast from which a sector counts as stained.
    n_reference : int
        Cells without HER2 that were looked at; 0 when there were too few.
    reference_stained_pct : float
        Percent of them that look stained all the same.
    upper_pct : float
        Percent of stained cells up to which a slide cannot be told from blank: decides 0 / 0+.
    is_raised : bool
        Whether the slide's own cells raised a limit of the calibration.
    """

    min_line_contrast_od: float
    n_reference: int
    reference_stained_pct: float
    upper_pct: float
    is_raised: bool


def measure_blank(
    cells: CellMeasurements,
    is_reference: NDArray[np.bool_],
    calibration: Calibration,
    *,
    min_line_contrast_od: float | None = None,
) -> Blank:
    """Measure the blank on cells that carry no HER2.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_reference : ndarray of shape (n,), bool
        Cells that are surely not tumor.
    calibration : Calibration
        Its limits are the least.
    min_line_contrast_od : float, optional
        Take this limit as it is, for stability trials: only the share that looks stained is
        measured.

    Returns
    -------
    Blank
    """
    use = is_reference & (cells.cytoplasm_od <= MAX_REFERENCE_CYTOPLASM_OD)
    reference = cells.select(use)
    least = calibration.min_line_contrast_od
    if len(reference) < MIN_REFERENCE_CELLS:
        return Blank(
            min_line_contrast_od or least, 0, 0.0, calibration.blank_upper_pct, is_raised=False
        )
    contrast = min_line_contrast_od
    if contrast is None:
        contrast = float(np.clip(sector_limit(reference), least, MAX_RAISE * least))
    classes = classify_cells(reference, calibration, min_line_contrast_od=contrast)
    n_stained = int((classes.intensity > Intensity.NONE).sum())
    upper = 100 * wilson(n_stained, len(reference)).upper
    ceiling = MAX_RAISE * calibration.blank_upper_pct
    upper_pct = float(np.clip(upper, calibration.blank_upper_pct, ceiling))
    return Blank(
        min_line_contrast_od=contrast,
        n_reference=len(reference),
        reference_stained_pct=100 * n_stained / len(reference),
        upper_pct=upper_pct,
        is_raised=contrast > least or upper_pct > calibration.blank_upper_pct,
    )


def sector_limit(cells: CellMeasurements) -> float:
    """Return the line contrast, OD, that few of the clearest sectors of blank cells exceed.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        n ≥ 1; some percent of them may be stained, they hardly move it.
    """
    # The clearest eighth of a cell's outline: where a false arc would begin.
    clear = np.sort(cells.line_contrast_od, axis=1)[:, -4]
    low, middle = np.percentile(clear, [25, 50])
    return float(middle + N_DEVIATIONS * (middle - low) / 0.6745)
