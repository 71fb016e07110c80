"""Cells in whose outline no nucleus can be seen, or no whole one.

A section is thinner than a cell, and passes many cells beside their nucleus. A network that learned
where membranes close takes the middle of such a cell for a nucleus, and sooner where the membrane
is stained; of the unstained ones beside it fewer are found, and every share would read too high. So
a cell counts where its nucleus can be seen: by its hematoxylin, by its texture, or as a hollow in
brown.

What is far smaller than the nuclei of a tumor usually are is a piece of one: cut at its rim, torn
off, or what is left of a dead cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.cells.table import CellMeasurements

__all__ = ["LEAST_CELLS", "has_no_nucleus", "is_fragment"]

# Contrast and texture below these shares of what is usual on the slide leave nothing to be seen.
# Of forty cells of two real cores below 0.3 and 0.6 a few may hold a nucleus out of focus, the
# others hold none.
LEAST_CONTRAST, LEAST_TEXTURE = 0.2, 0.5
# A nucleus without hematoxylin still shows where it is less brown than its cytoplasm, by this share
# of the usual contrast.
LEAST_HOLLOW = 0.5
# A nucleus of this share of the usual area is half as wide: hardly a drawn tumor nucleus is as
# small, and none that counts on the real cores.
LEAST_AREA = 0.3
# Of fewer cells nothing is usual.
LEAST_CELLS = 50


def has_no_nucleus(cells: CellMeasurements, is_typical: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell in which cells no nucleus can be seen.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_typical : ndarray of shape (n,), bool
        Cells that say what is usual: those that would count.

    Returns
    -------
    ndarray of shape (n,), bool
        No cell where too few are typical, and none whose nucleus was found as hidden under brown.
    """
    if np.count_nonzero(is_typical) < LEAST_CELLS:
        return np.zeros(len(cells), np.bool_)
    contrast = np.abs(cells.nucleus_h_od - cells.cytoplasm_h_od)
    usual = np.median(contrast[is_typical])
    texture = cells.nucleus_texture_od
    hollow = cells.shared_cytoplasm_od - cells.nucleus_dab_od
    empty: NDArray[np.bool_] = (
        (contrast < LEAST_CONTRAST * usual)
        & (texture < LEAST_TEXTURE * np.median(texture[is_typical]))
        & (hollow < LEAST_HOLLOW * usual)
        & ~cells.is_hidden
    )
    return empty


def is_fragment(cells: CellMeasurements, is_typical: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which nuclei are far smaller than usual.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_typical : ndarray of shape (n,), bool
        Cells that say what is usual: those that would count.

    Returns
    -------
    ndarray of shape (n,), bool
        None where too few are typical.
    """
    if np.count_nonzero(is_typical) < LEAST_CELLS:
        return np.zeros(len(cells), np.bool_)
    area = cells.nucleus_area_um2
    small: NDArray[np.bool_] = area < LEAST_AREA * np.median(area[is_typical])
    return small
