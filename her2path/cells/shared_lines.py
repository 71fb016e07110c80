"""Lines that two cells share: which stained cells have no line but those of stained neighbors.

A line between two cells is in the outline of both, and a light microscope cannot tell whose
membrane it is. The criteria are read with both counted as stained. Where few cells are stained that
makes nearly two of each, so this asks the other way: about how few cells explain the lines? A cell
whose stained arc lies, for the most part, in the outlines of other stained cells too is not needed;
the weakest are asked first, and what explained a line stays. A complete ring is a cell's own. Asked
in another order a few cells more or fewer may be left: it is no least number.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.classify import CellClasses
from her2path.cells.nucleus_tracing import nearest
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity, Pattern

__all__ = ["has_own_line"]

# Two outlines along one line lie this close: half a thick line, and a sector of a large cell.
NEAR_UM = 1.5
# Sectors of two cells end at other places of one line: of an arc of five, one may stick out. 0.9
# was tried beside it on pictures whose every cell is known, and left more than are stained.
SHARED_FRAC = 0.7


def has_own_line(
    cells: CellMeasurements,
    classes: CellClasses,
    place_um: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.bool_]:
    """Tell which cells stay stained where each line belongs to one cell only, shape (n,).

    Parameters
    ----------
    cells : CellMeasurements of n cells
    classes : CellClasses of n cells
    place_um : two ndarrays of shape (n,), float64
        Centers, µm.
    """
    stained = np.flatnonzero(classes.intensity > Intensity.NONE)
    x, y = (places[stained] for places in place_um)
    neighbors, _ = nearest(x, y, 1.0)
    sectors = np.arange(N_SECTORS, dtype=np.uint32)
    on_line = (classes.stained_sectors[stained, None] >> sectors & 1).astype(np.bool_)
    needed = needed_cells(
        x,
        y,
        neighbors,
        cells.outline_um[stained],
        on_line,
        classes.pattern[stained] == Pattern.COMPLETE,
        # Of cells alike the first in reading order is asked first.
        np.argsort(on_line.sum(axis=1), kind="stable"),
    )
    own = np.zeros(len(classes), np.bool_)
    own[stained[needed]] = True
    return own


@numba.njit(nogil=True, cache=True)
def needed_cells(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    neighbors: NDArray[np.int64],
    outline_um: NDArray[np.float32],
    on_line: NDArray[np.bool_],
    is_complete: NDArray[np.bool_],
    order: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Tell which stained cells are left when those that others explain are taken out one by one.

    Parameters
    ----------
    x, y : ndarray of shape (n,), float64
        Centers, µm.
    neighbors : ndarray of shape (n, k), int64
        Indices of the nearest stained cells, n where there are fewer.
    outline_um, on_line : ndarray of shape (n, N_SECTORS)
        Radius of the outline, and whether it is stained there.
    is_complete : ndarray of shape (n,), bool
        Cells that stay whatever lies beside them.
    order : ndarray of shape (n,), int64
        In which they are asked.
    """
    n = x.shape[0]
    is_left = np.ones(n, np.bool_)
    sector_angle = 2.0 * math.pi / N_SECTORS
    reach = np.empty(n, np.float32)
    for i in range(n):
        reach[i] = outline_um[i].max() + NEAR_UM
    for i in order:
        if is_complete[i]:
            continue
        n_stained, n_shared = 0, 0
        for k in range(N_SECTORS):
            if not on_line[i, k]:
                continue
            n_stained += 1
            px = x[i] + outline_um[i, k] * math.cos(k * sector_angle)
            py = y[i] + outline_um[i, k] * math.sin(k * sector_angle)
            for j in neighbors[i]:
                if j == n or not is_left[j]:
                    continue
                dx, dy = px - x[j], py - y[j]
                # Most neighbors are too far away, which is known without an angle.
                if dx * dx + dy * dy > reach[j] * reach[j]:
                    continue
                if lies_on_line(dx, dy, outline_um[j], on_line[j]):
                    n_shared += 1
                    break
        is_left[i] = n_shared < SHARED_FRAC * n_stained
    return is_left


@numba.njit(nogil=True, cache=True)
def lies_on_line(
    dx: float, dy: float, outline_um: NDArray[np.float32], on_line: NDArray[np.bool_]
) -> bool:
    """Tell whether a place, from the center of a cell (µm), lies on the stained outline there."""
    radius = math.hypot(dx, dy)
    sector = round(math.atan2(dy, dx) * N_SECTORS / (2.0 * math.pi))
    for step in range(-1, 2):
        k = (sector + step) % N_SECTORS
        if on_line[k] and abs(outline_um[k] - radius) <= NEAR_UM:
            return True
    return False
