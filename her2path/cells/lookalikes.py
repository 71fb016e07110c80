"""Cells that were left out although their nuclei are like those of cells that count.

A reader that learned where membranes are may take a nucleus for tumor because it is stained. Then
stained cells count and unstained ones beside them do not, and every share reads too high. Nuclei
tell: stroma and lymphocytes have others than the tumor beside them.

Some of stroma have nuclei like those of a tumor, so a few such cells are only told of. Lymphocytes
can have nuclei like those of small tumor cells, so many of them say nothing either. But stain lies
on tumor: where more stained cells were left out than count, the reader does not know this tumor,
and if much of what was left out is like what counts, it counts too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.cells.table import CellMeasurements

__all__ = ["lookalikes", "outnumbering_lookalikes"]

# A nucleus is like those of counted cells where its area and hematoxylin lie in their middle
# eighty percent, and it is no longer than nine of ten of them; and where one of them is this near.
MIDDLE = (0.1, 0.9)
NEAR_UM = 25.0
# Fewer cells have no middle to compare with.
LEAST_CELLS = 20
# Much of stroma and inflammation has nuclei like those of a tumor, and most lymphocytes beside
# small tumor cells have: this alone does not tell.
LEAST_ALIKE = 0.45
# So many of that kind are left out for each one that counts, or the reader has recognized enough.
LEAST_RATIO = 2.0
# By so many points the share stained falls with them, as `FlagCuts.left_out_points` asks: else
# stain has not misled the reader.
LEAST_POINTS = 8.0


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
    alike = is_left_out & has_nucleus_like(cells, is_counted)
    return alike & is_near(is_counted, alike, np.column_stack([x_um, y_um]))


def outnumbering_lookalikes(
    cells: CellMeasurements,
    is_counted: NDArray[np.bool_],
    is_left_out: NDArray[np.bool_],
    is_stained: NDArray[np.bool_],
    *,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which cells are tumor for their nuclei, where the reader does not know the tumor.

    If a share p of what was left out is of the kind that counts, p of it, and no less, have nuclei
    like the middle of that kind, for each one of that kind that has.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_counted, is_left_out, is_stained : ndarray of shape (n,), bool
        Cells that count, those that would if they were tumor, and those of both that are stained.
    x_um, y_um : ndarray of shape (n,), float64
        Nucleus centers in µm.

    Returns
    -------
    ndarray of shape (n,), bool
        Cells left out that are joined to a counted one by steps of at most `NEAR_UM` from one such
        nucleus to the next; nobody where the reader knows the tumor: most stained cells count, or
        such cells are no large part of what was left out, or fewer than twice those that count.
    """
    nobody = np.zeros(len(cells), np.bool_)
    n_counted, n_left_out = np.count_nonzero(is_counted), np.count_nonzero(is_left_out)
    if n_counted < LEAST_CELLS or n_left_out == 0:
        return nobody
    # Tumor among lymphocytes, every stained cell of which counts, is known well enough.
    if np.count_nonzero(is_stained & is_left_out) < np.count_nonzero(is_stained & is_counted):
        return nobody
    alike = has_nucleus_like(cells, is_counted)
    usual = float(alike[is_counted].mean())
    of_that_kind = float(alike[is_left_out].mean()) / usual if usual else 0.0
    if of_that_kind < LEAST_ALIKE or of_that_kind * n_left_out < LEAST_RATIO * n_counted:
        return nobody
    found = joined_to(is_counted, is_left_out & alike, np.column_stack([x_um, y_um]))
    shares = [100 * float(is_stained[mask].mean()) for mask in (is_counted, is_counted | found)]
    return found if shares[0] - shares[1] > LEAST_POINTS else nobody


def has_nucleus_like(cells: CellMeasurements, is_counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which nuclei are like the middle of those that count, shape (n,)."""
    alike = cells.nucleus_elongation <= np.quantile(cells.nucleus_elongation[is_counted], MIDDLE[1])
    for values in (cells.nucleus_area_um2, cells.nucleus_h_od):
        low, high = np.quantile(values[is_counted], MIDDLE)
        alike &= (values >= low) & (values <= high)
    return np.asarray(alike)


def is_near(
    some: NDArray[np.bool_], asked: NDArray[np.bool_], places: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which of the cells asked about have one of some this near, shape (n,)."""
    distance, _ = cKDTree(places[some]).query(places[asked], distance_upper_bound=NEAR_UM)
    near = np.zeros(len(asked), np.bool_)
    near[asked] = np.isfinite(distance)
    return near


def joined_to(
    some: NDArray[np.bool_], asked: NDArray[np.bool_], places: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which of the cells asked about are joined to some by steps among them, shape (n,)."""
    candidates = np.flatnonzero(asked)
    tree = cKDTree(places[candidates])
    is_found = np.zeros(len(candidates), np.bool_)
    border = places[some]
    while len(border):
        around = tree.query_ball_point(border, NEAR_UM)
        reached = np.unique(np.concatenate([np.asarray(near, np.int64) for near in around]))
        new = reached[~is_found[reached]]
        is_found[new] = True
        border = places[candidates[new]]
    found = np.zeros(len(asked), np.bool_)
    found[candidates[is_found]] = True
    return found
