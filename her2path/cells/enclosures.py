"""Nuclei that lie in one stained enclosure: parts of one cell."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.polar import COSINES, RADIAL_STEP_UM, SINES
from her2path.cells.table import N_SECTORS

__all__ = ["shares_an_enclosure"]

# Nuclei of two cells are rarely closer than this without a membrane between them; a line between
# them has at least this share of the contrast of the lines around.
ENCLOSURE_UM = 9.0
ENCLOSURE_GAP = 0.3


@numba.njit(nogil=True, cache=True)
def shares_an_enclosure(
    contrast: NDArray[np.int16],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    area_um2: NDArray[np.float32],
    neighbors: NDArray[np.int64],
    mpp: float,
    clear: float,
) -> NDArray[np.bool_]:
    """Tell which nuclei lie in one stained enclosure with a larger one: parts of one cell.

    Parameters
    ----------
    contrast : ndarray of shape (M, N), int16
        Line contrast.
    x, y, area_um2 : ndarray of shape (n,)
        Nuclei, px and µm².
    neighbors : ndarray of shape (n, k), int64
    mpp : float
    clear : float
        Contrast of a line that nobody would miss, in units of `contrast`.

    Returns
    -------
    ndarray of shape (n,), bool
        Both nuclei have clear lines all round but none between them.
    """
    n = x.shape[0]
    n_rows, n_cols = contrast.shape
    n_steps = int(ENCLOSURE_UM / RADIAL_STEP_UM)
    # How clear the enclosure of each is: what three quarters of its rays meet within reach; 0 where
    # that is not clear.
    enclosure = np.zeros(n, np.float32)
    met = np.empty(N_SECTORS, np.float32)
    for i in range(n):
        n_open = 0
        for k in range(N_SECTORS):
            dx, dy = COSINES[k] * RADIAL_STEP_UM / mpp, SINES[k] * RADIAL_STEP_UM / mpp
            met[k] = 0.0
            for r in range(n_steps):
                col, row = int(x[i] + r * dx + 0.5), int(y[i] + r * dy + 0.5)
                if 0 <= row < n_rows and 0 <= col < n_cols:
                    met[k] = max(met[k], contrast[row, col])
            n_open += met[k] < clear
            if n_open > N_SECTORS // 4:
                break
        else:
            enclosure[i] = np.sort(met)[N_SECTORS // 4]
    is_part = np.zeros(n, np.bool_)
    for i in range(n):
        own = enclosure[i]
        if own == 0.0:
            continue
        for j in neighbors[i]:
            if j >= n or enclosure[j] == 0.0:
                continue
            is_larger = area_um2[j] > area_um2[i] or (
                area_um2[j] == area_um2[i] and (y[j], x[j]) < (y[i], x[i])
            )
            distance = math.hypot(x[i] - x[j], y[i] - y[j]) * mpp
            if not is_larger or distance > ENCLOSURE_UM:
                continue
            between = 0.0
            for s in range(int(distance / RADIAL_STEP_UM) + 1):
                t = s * RADIAL_STEP_UM / distance
                col = int(x[i] + t * (x[j] - x[i]) + 0.5)
                row = int(y[i] + t * (y[j] - y[i]) + 0.5)
                if 0 <= row < n_rows and 0 <= col < n_cols:
                    between = max(between, float(contrast[row, col]))
            if between < ENCLOSURE_GAP * own:
                is_part[i] = True
                break
    return is_part
