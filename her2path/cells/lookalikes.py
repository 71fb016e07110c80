"""Unstained cells that were left out although their nuclei are like those of cells that count.

A reader that learned where membranes are may take a nucleus for tumor because it is stained. Then
stained cells count and unstained ones beside them do not, and every share reads too high. Nuclei
tell: stroma and lymphocytes have others than the tumor beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.cells.table import CellMeasurements

__all__ = ["lookalikes"]

# A nucleus is like those of counted cells where its area and hematoxylin lie in their middle
# eighty percent, and it is no longer than nine of ten of them; and where one of them is this near.
MIDDLE = (0.1, 0.9)
NEAR_UM = 25.0
# Fewer cells have no middle to compare with.
LEAST_CELLS = 20


def lookalikes(
    cells: CellMeasurements,
    is_counted: NDArray[np.bool_],
    is_left_out: NDArray[np.bool_],
    *,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which of the cells left out have nuclei like those of the counted cells near them.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_counted, is_left_out : ndarray of shape (n,), bool
        Cells that count, and the others that are asked about.
    x_um, y_um : ndarray of shape (n,), float64
        Nucleus centers in µm.

    Returns
    -------
    ndarray of shape (n,), bool
        A part of `is_left_out`.
    """
    if np.count_nonzero(is_counted) < LEAST_CELLS or not is_left_out.any():
        return np.zeros(len(cells), np.bool_)
    alike = is_left_out.copy()
    for values in (cells.nucleus_area_um2, cells.nucleus_h_od):
        low, high = np.quantile(values[is_counted], MIDDLE)
        alike &= (values >= low) & (values <= high)
    alike &= cells.nucleus_elongation <= np.quantile(cells.nucleus_elongation[is_counted], 0.9)
    places = np.column_stack([x_um, y_um])
    distance, _ = cKDTree(places[is_counted]).query(places[alike], distance_upper_bound=NEAR_UM)
    alike[alike] = np.isfinite(distance)
    return alike
