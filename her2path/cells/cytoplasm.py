"""How brown the cytoplasm round a membrane is, told from cells whose own membrane hides it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.cells.table import CellMeasurements

__all__ = ["with_shared_cytoplasm"]

# Tumor cells of a neighborhood: some 150 µm across, so that brown regions keep their own level.
N_NEIGHBORS = 80
# Between two stained membranes cytoplasm reads browner than it is, and a cell would have to stand
# out from its own membrane. The paler quarter of the cells around shows what lies between.
SHARED_PCT = 25.0
# Cells looked up at a time: some 30 MB.
CHUNK = 20_000


def with_shared_cytoplasm(
    cells: CellMeasurements,
    is_tumor: NDArray[np.bool_],
    *,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
) -> CellMeasurements:
    """Return the cells with `shared_cytoplasm_od` judged by the tumor cells around each.

    Brown cytoplasm is alike in neighboring cells of a tumor, membranes are not. A tumor cell's
    own cytoplasm counts where it is the paler one; other cells keep their own.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_tumor : ndarray of shape (n,), bool
    x_um, y_um : ndarray of shape (n,), float64
        Where they lie, µm.
    """
    own = cells.cytoplasm_od
    n_tumor = int(is_tumor.sum())
    if n_tumor == 0:
        return replace(cells, shared_cytoplasm_od=own)
    place = np.column_stack([x_um, y_um])[is_tumor]
    tree, of_tumor = cKDTree(place), own[is_tumor]
    ranks = np.arange(1, min(N_NEIGHBORS, n_tumor) + 1)
    paler = np.empty(n_tumor, np.float32)
    for first in range(0, n_tumor, CHUNK):
        _, around = tree.query(place[first : first + CHUNK], k=ranks)
        paler[first : first + CHUNK] = np.percentile(of_tumor[around], SHARED_PCT, axis=1)
    shared = own.copy()
    shared[is_tumor] = np.minimum(of_tumor, paler)
    return replace(cells, shared_cytoplasm_od=shared)
