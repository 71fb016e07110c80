"""Values of a plane between its pixels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["sample_ray", "sampled"]

# Positions along a ray are whole numbers of 2⁻³² px: stepping, cutting and splitting those takes
# less time than turning floating point numbers into indices.
FRACTION_BITS = 32
ONE = np.int64(1) << FRACTION_BITS
PER_STEP = 1.0 / float(ONE)
# A single-precision number holds so many bits of the fraction.
WEIGHT_BITS = 24
PER_WEIGHT = np.float32(1.0 / (1 << WEIGHT_BITS))
# How near to the last pixel a plane is read, px: a number that any size can be lessened by exactly,
# so that a border reads the same in each tile that shows it.
WITHIN = 1.0 + 2.0**-10


@numba.njit(nogil=True, cache=True)
def in_steps(position: float) -> np.int64:
    """Return a position of at least 0 px in steps of 2⁻³² px.

    The nearest step: one place differs between two tiles in its last bits alone, and cut off these
    could make a step of it.
    """
    return np.int64(position * ONE + 0.5)


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
    at_x = in_steps(min(max(x, 0.0), n_cols - WITHIN))
    at_y = in_steps(min(max(y, 0.0), n_rows - WITHIN))
    return bilinear(plane, at_x * PER_STEP, at_y * PER_STEP)


@numba.njit(nogil=True, cache=True)
def sample_ray(
    plane: NDArray[Any],
    x: float,
    y: float,
    step_x: float,
    step_y: float,
    out: NDArray[np.float32],
) -> None:
    """Fill `out` with bilinear values of a plane at equal steps along a ray, clamped to its rim.

    Parameters
    ----------
    plane : ndarray of shape (M, N)
        Without gaps in memory.
    x, y : float
        Where the first sample lies, px.
    step_x, step_y : float
        From one sample to the next, px.
    out : ndarray of shape (n,), float32
    """
    n, (n_rows, n_cols) = out.shape[0], plane.shape
    end_x, end_y = x + (n - 1) * step_x, y + (n - 1) * step_y
    if not (
        min(x, end_x) >= 0.0
        and max(x, end_x) < n_cols - WITHIN
        and min(y, end_y) >= 0.0
        and max(y, end_y) < n_rows - WITHIN
    ):
        # Clamping each sample takes as long as sampling: only rays that leave need it.
        for s in range(n):
            out[s] = sampled(plane, x + s * step_x, y + s * step_y)
        return
    flat = plane.reshape(-1)
    at_x, at_y = in_steps(x), in_steps(y)
    by_x, by_y = np.int64(step_x * ONE), np.int64(step_y * ONE)
    right, below = np.uintp(1), np.uintp(n_cols)
    for s in range(n):
        at = np.uintp((at_y >> FRACTION_BITS) * n_cols + (at_x >> FRACTION_BITS))
        fx = np.float32((at_x & (ONE - 1)) >> (FRACTION_BITS - WEIGHT_BITS)) * PER_WEIGHT
        fy = np.float32((at_y & (ONE - 1)) >> (FRACTION_BITS - WEIGHT_BITS)) * PER_WEIGHT
        top, bottom = np.float32(flat[at]), np.float32(flat[at + below])
        top += fx * (np.float32(flat[at + right]) - top)
        bottom += fx * (np.float32(flat[at + below + right]) - bottom)
        out[s] = top + fy * (bottom - top)
        at_x += by_x
        at_y += by_y
