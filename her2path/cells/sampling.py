"""Values of a plane between its pixels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["bilinear", "sampled"]


@numba.njit(nogil=True, cache=True)
def bilinear(plane: NDArray[Any], x: float, y: float) -> float:
    """Bilinear value of a plane at (x, y), which must lie a pixel within its rim."""
    fx, fy = x - int(x), y - int(y)
    # Unsigned: an index that cannot be negative is not tested for counting from the end.
    col, row, one = np.uintp(int(x)), np.uintp(int(y)), np.uintp(1)
    top = plane[row, col] * (1.0 - fx) + plane[row, col + one] * fx
    bottom = plane[row + one, col] * (1.0 - fx) + plane[row + one, col + one] * fx
    return float(top * (1.0 - fy) + bottom * fy)


@numba.njit(nogil=True, cache=True)
def sampled(plane: NDArray[Any], x: float, y: float) -> float:
    """Bilinear value of a plane at (x, y), clamped to its rim."""
    n_rows, n_cols = plane.shape
    return bilinear(plane, min(max(x, 0.0), n_cols - 1.001), min(max(y, 0.0), n_rows - 1.001))
