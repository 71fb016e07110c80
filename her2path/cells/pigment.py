"""Cells that brown pigment covers: iron or melanin in macrophages, granules, debris.

HER2 stains the membrane round a nucleus and leaves the nucleus as it was; where the nucleus itself
is far browner than those of the tumor, something brown lies over the cell. Under strong membranes
nuclei are brown too, since the section holds membrane above and below them: there a network sees
the membrane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.cells.classify import seen_along, was_read
from her2path.cells.empty_cells import LEAST_CELLS
from her2path.cells.odds import EVEN
from her2path.cells.table import CellMeasurements

__all__ = ["is_pigmented"]

# A nucleus is browner than usual by so many deviations of the paler half, and by this OD: nearly no
# drawn tumor cell is, and most macrophages with iron or melanin are.
N_DEVIATIONS = 5.0
LEAST_EXCESS_OD = 0.08
# The decile of a normal distribution lies so many deviations below its middle.
DECILE, DECILE_Z = 10, 1.2816


def is_pigmented(cells: CellMeasurements, is_typical: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which cells have a brown nucleus and no membrane that a network would see.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        What a network saw of their lines not moved to the odds of the slide.
    is_typical : ndarray of shape (n,), bool
        Cells that say what is usual: those that would count.

    Returns
    -------
    ndarray of shape (n,), bool
        None where no network looked, or too few cells are typical.
    """
    if np.count_nonzero(is_typical) < LEAST_CELLS:
        return np.zeros(len(cells), np.bool_)
    brown = cells.nucleus_dab_od
    low, usual = np.percentile(brown[is_typical], [DECILE, 50])
    excess = max(N_DEVIATIONS * (usual - low) / DECILE_Z, LEAST_EXCESS_OD)
    covered: NDArray[np.bool_] = (
        was_read(cells) & (brown > usual + excess) & (seen_along(cells) < EVEN)
    )
    return covered
