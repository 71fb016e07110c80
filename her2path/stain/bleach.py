"""A picture as it would be with less DAB in it: what lies under brown and round it stays."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from her2path.stain.matrix import StainMatrix
from her2path.stain.od import WhitePoint, od_table

__all__ = ["bleached"]

LN_10 = np.float32(np.log(10.0))


def bleached(
    rgb: NDArray[np.uint8], white_point: WhitePoint, matrix: StainMatrix, *, kept_od: float
) -> NDArray[np.uint8]:
    """Take DAB out of a picture, by the law of Beer and Lambert.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    white_point : tuple of 3 float
        Intensity of empty glass per channel, 100–255.
    matrix : StainMatrix
    kept_od : float
        DAB up to this OD stays.

    Returns
    -------
    ndarray of shape (M, N, 3), uint8
        The light that would come through; unchanged where there is no more DAB than that.
    """
    out = np.empty_like(rgb)
    fill_bleached(
        rgb,
        od_table(white_point).astype(np.float32),
        np.ascontiguousarray(matrix.unmixing[:, 1], np.float32),
        np.asarray(matrix.dab, np.float32),
        np.float32(kept_od),
        out,
    )
    return out


@numba.njit(nogil=True, cache=True)
def fill_bleached(
    rgb: NDArray[np.uint8],
    od: NDArray[np.float32],
    weights: NDArray[np.float32],
    dab: NDArray[np.float32],
    kept_od: np.float32,
    out: NDArray[np.uint8],
) -> None:
    """Fill the picture without DAB; `weights` gives its OD from those of the channels."""
    n_rows, n_cols, _ = rgb.shape
    for row in range(n_rows):
        for col in range(n_cols):
            excess = -kept_od
            for k in range(3):
                excess += weights[k] * od[k, rgb[row, col, k]]
            for k in range(3):
                light = np.float32(rgb[row, col, k])
                if excess > 0:
                    light = min(light * np.exp(LN_10 * excess * dab[k]), np.float32(255))
                out[row, col, k] = np.uint8(light + np.float32(0.5))
