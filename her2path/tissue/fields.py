"""Where to look closely: a few fields that stand for the tissue of a slide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from her2path.tissue.mask import TissueMask

__all__ = ["COARSEST_FIELD_MPP", "FIELD_UM", "choose_fields", "own_fields"]

FIELD_UM = 350.0
N_FIELDS = 8
# Some ink in a field turns its hue.
MAX_SPOILED_FRAC = 0.02
# Focus and nuclei are judged up to this many µm/px.
COARSEST_FIELD_MPP = 1.0


def choose_fields(
    tissue: TissueMask,
    *,
    spoiled: NDArray[np.bool_] | None = None,
    n_fields: int = N_FIELDS,
    size_um: float = FIELD_UM,
) -> list[tuple[float, float]]:
    """Choose where to look closely: the fullest squares of a grid, spread over the tissue.

    Parameters
    ----------
    tissue : TissueMask
    spoiled : ndarray of shape (M, N), bool, optional
        Ink, dirt and the like: squares that hold some are taken only where all do.
    n_fields : int
    size_um : float
        Side of a field.

    Returns
    -------
    list of (x_um, y_um)
        Top-left corners from the overview's top-left corner; at most `n_fields`, none without
        tissue. The same for the same mask.
    """
    if not tissue.mask.any():
        return []
    side = max(1, round(size_um / tissue.mpp))
    tops, lefts = (square_starts(length, side) for length in tissue.mask.shape)

    def share(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.array([mask[y : y + side, x : x + side].mean() for y in tops for x in lefts])

    fullness = share(tissue.mask)
    is_full = fullness >= 0.5 * fullness.max()
    if spoiled is not None:
        is_clean = is_full & (share(spoiled) < MAX_SPOILED_FRAC)
        is_full = is_clean if is_clean.any() else is_full
    full = np.flatnonzero(is_full)
    # Evenly through the full squares in reading order: spread, and free of chance.
    chosen = full[np.linspace(0, full.size - 1, min(n_fields, full.size)).round().astype(int)]
    return [
        (lefts[k % len(lefts)] * tissue.mpp, tops[k // len(lefts)] * tissue.mpp) for k in chosen
    ]


def square_starts(length: int, side: int) -> list[int]:
    """Return where the squares of a grid begin along a length, px, so that they leave no rest.

    Where it is no multiple of the side they overlap; one reaches beyond a shorter length.
    """
    n = math.ceil(length / side)
    return [round(start) for start in np.linspace(0, max(length - side, 0), n).tolist()]


def own_fields(
    rgb: NDArray[np.uint8], mpp: float, corners: Sequence[tuple[float, float]]
) -> list[NDArray[np.uint8]]:
    """Cut fields out of a picture that is fine enough to be its own; none of a coarser one.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    mpp : float
        µm per pixel.
    corners : sequence of (x, y)
        Top-left corners, µm, from `choose_fields`.
    """
    if mpp > COARSEST_FIELD_MPP:
        return []
    side = max(16, round(FIELD_UM / mpp))
    fields = []
    for x_um, y_um in corners:
        row, col = round(y_um / mpp), round(x_um / mpp)
        fields.append(np.ascontiguousarray(rgb[row : row + side, col : col + side]))
    return fields
