"""Limit of blank: how much line and how many stained cells there are where there is no HER2.

Stroma and lymphocytes of the slide itself are the blank: same section, same scanner, same focus.
They are no perfect one: fibers make lines that tumor has not, borders between unstained tumor cells
make lines that stroma has not, and next to a strongly stained tumor some carry its membranes. The
palest quarter of the unstained tumor cells is another blank; how many these are a first reading
tells. And the calibration has seen other slides, but not this one. Of three that err in different
ways the middle one holds. Where brown is granular or uneven none of the three is enough: then
unstained tumor cells have lines inside, where no membrane is, and more is asked of all lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.cells.classify import MAX_DIFFUSE_LIMIT_OD, classify_cells
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity
from her2path.statistics.intervals import wilson

__all__ = [
    "MIN_REFERENCE_CELLS",
    "N_DEVIATIONS",
    "Blank",
    "clearest_lines",
    "measure_blank",
    "palest_limit",
    "sector_limit",
]

# Fewer cells than this say nothing about one cell in a hundred.
MIN_REFERENCE_CELLS = 100
# Browner cells are stained tissue, whatever they are.
MAX_REFERENCE_CYTOPLASM_OD = 0.08
# On real cores without HER2 median + 3 deviations is the 98th percentile. The deviation is taken
# from the lower half alone: what lies above may be membranes of the tumor next door.
N_DEVIATIONS = 3.0
# The same of the palest quarter of the unstained tumor cells, by the normal curve that goes through
# these percentiles of theirs.
PALEST_PERCENTILES, PALEST_Z = (10, 25), (1.2816, 0.6745)
# How far stroma and the palest cells may raise the limits of the calibration; and lower the limit
# of a line, where it is that of many laboratories. One of a site's own controls knows its blank
# better.
MAX_RAISE = 2.0
MAX_FALL = 0.6
# Criteria take no limit of 100 %: beyond it lies nothing.
MOST_UPPER_PCT = 99.0
# Of unstained tumor cells nine of ten have no clearer lines inside. At the border, where the
# outline looks for the clearest, these come out so many times clearer; chosen on the seeds 20261213
# to 19 of scripts/accuracy.py, which hold brown and granular cytoplasm.
INNER_PERCENTILE, INNER_FACTOR = 90.0, 3.5
# Where more are stained, membranes lend the insides of all cells their lines.
LEAST_UNSTAINED_FRAC = 0.6


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
    is_own : bool
        Whether the slide's own cells moved a limit of the calibration.
    """

    min_line_contrast_od: float
    n_reference: int
    reference_stained_pct: float
    upper_pct: float
    is_own: bool


def measure_blank(
    cells: CellMeasurements,
    is_reference: NDArray[np.bool_],
    calibration: Calibration,
    *,
    is_tumor: NDArray[np.bool_] | None = None,
    is_unstained: NDArray[np.bool_] | None = None,
    min_line_contrast_od: float | None = None,
) -> Blank:
    """Measure the blank on cells that carry no HER2.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_reference : ndarray of shape (n,), bool
        Cells that are surely not tumor.
    calibration : Calibration
        Its limits are moved; that of a site's own controls is the least.
    is_tumor : ndarray of shape (n,), bool, optional
        Cells that count, some of them stained.
    is_unstained : ndarray of shape (n,), bool, optional
        Those of which a reading before says that they are not.
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
    inner = 0.0
    if is_tumor is not None and is_unstained is not None:
        inner = inner_limit(cells.select(is_tumor), is_unstained[is_tumor])
    if len(reference) < MIN_REFERENCE_CELLS:
        limit = min_line_contrast_od or max(least, inner)
        return Blank(
            min_line_contrast_od=limit,
            n_reference=0,
            reference_stained_pct=0.0,
            upper_pct=calibration.blank_upper_pct,
            is_own=limit != least,
        )
    contrast = min_line_contrast_od
    if contrast is None:
        own = sector_limit(reference)
        tumor = None if is_tumor is None else cells.select(is_tumor)
        if tumor is None or len(tumor) < MIN_REFERENCE_CELLS:
            own = max(own, least)
        else:
            unstained_frac = None if is_unstained is None else is_unstained[is_tumor].mean()
            palest = palest_limit(clearest_lines(tumor), unstained_frac=unstained_frac)
            own = float(np.median([own, palest, least]))
        lowest = least if calibration.is_site_specific else MAX_FALL * least
        contrast = max(float(np.clip(own, lowest, MAX_RAISE * least)), inner)
    classes = classify_cells(reference, calibration, min_line_contrast_od=contrast)
    n_stained = int((classes.intensity > Intensity.NONE).sum())
    upper = 100 * wilson(n_stained, len(reference)).upper
    ceiling = min(MAX_RAISE * calibration.blank_upper_pct, MOST_UPPER_PCT)
    upper_pct = float(np.clip(upper, calibration.blank_upper_pct, ceiling))
    return Blank(
        min_line_contrast_od=contrast,
        n_reference=len(reference),
        reference_stained_pct=100 * n_stained / len(reference),
        upper_pct=upper_pct,
        is_own=contrast != least or upper_pct > calibration.blank_upper_pct,
    )


def sector_limit(cells: CellMeasurements) -> float:
    """Return the line contrast, OD, that few of the clearest sectors of blank cells exceed.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        n ≥ 1; some percent of them may be stained, they hardly move it.
    """
    low, middle = np.percentile(clearest_lines(cells), [25, 50])
    return float(middle + N_DEVIATIONS * (middle - low) / 0.6745)


def inner_limit(tumor: CellMeasurements, is_unstained: NDArray[np.bool_]) -> float:
    """Return the line contrast, OD, that few borders exceed which are no clearer than insides.

    Parameters
    ----------
    tumor : CellMeasurements of n cells
        Cells that count.
    is_unstained : ndarray of shape (n,), bool

    Returns
    -------
    float
        0 where too few are unstained to tell.

    References
    ----------
    Decoys, looked for in the same way where nothing can be found, tell how often the search finds
    what is not there: Elias and Gygi 2007, 10.1038/nmeth1019.
    """
    n_unstained = int(is_unstained.sum())
    least = max(MIN_REFERENCE_CELLS, LEAST_UNSTAINED_FRAC * len(tumor))
    if n_unstained < least:
        return 0.0
    inside = np.percentile(tumor.inner_line_od[is_unstained], INNER_PERCENTILE)
    return float(min(INNER_FACTOR * inside, MAX_DIFFUSE_LIMIT_OD))


def palest_limit(
    values: NDArray[np.floating],
    *,
    unstained_frac: float | None = None,
    least_deviation: float = 0.0,
    n_deviations: float = N_DEVIATIONS,
) -> float:
    """Return what few unstained cells exceed, as the palest quarter of them tells.

    Parameters
    ----------
    values : ndarray of shape (n,)
        How much line there is on each cell, n ≥ 1.
    unstained_frac : float, optional
        Share of them that is unstained, 0–1; where fewer are, the limit is too high. Where it is
        not known, or fewer than `MIN_REFERENCE_CELLS` are, all are taken.
    least_deviation : float
        Spread that unstained cells have at least.
    n_deviations : float
        How far above their mean the limit lies.
    """
    if unstained_frac is None or unstained_frac * len(values) < MIN_REFERENCE_CELLS:
        unstained_frac = 1.0
    low, high = np.percentile(values, [unstained_frac * p for p in PALEST_PERCENTILES])
    deviation = max((high - low) / (PALEST_Z[0] - PALEST_Z[1]), least_deviation)
    return float(high + (PALEST_Z[1] + n_deviations) * deviation)


def clearest_lines(cells: CellMeasurements) -> NDArray[np.float32]:
    """Return what an eighth of each cell's outline exceeds, OD: where a false arc would begin."""
    lines: NDArray[np.float32] = np.sort(cells.line_contrast_od, axis=1)[:, -4]
    return lines
