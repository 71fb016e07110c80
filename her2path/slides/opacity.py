"""Colors with opacity, laid over white: the one place where it is done."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from her2path.slides.slide import WHITE

__all__ = ["over_white"]

# Sums take twice the bytes of a picture that may be a gigabyte: so many colors at a time.
BAND = 2**22


def over_white(
    colors: NDArray[np.uint8], opacity: NDArray[np.uint8], *, is_multiplied: bool = False
) -> NDArray[np.uint8]:
    """Return what colors look like over white glass.

    Parameters
    ----------
    colors : ndarray of shape (…, 3), uint8
    opacity : ndarray of shape (…, 1), uint8
        255 hides the glass.
    is_multiplied : bool
        Whether colors are multiplied by opacity already.

    Returns
    -------
    ndarray of shape (…, 3), uint8
        To the nearest whole number.
    """
    laid = np.empty(np.broadcast_shapes(colors.shape, opacity.shape), np.uint8)
    step = max(1, BAND // max(1, math.prod(laid.shape[1:])))
    for first in range(0, len(laid), step):
        rows = slice(first, first + step)
        share = opacity[rows].astype(np.uint16)
        if is_multiplied:
            laid[rows] = np.minimum(colors[rows] + (WHITE - share), WHITE)
        else:
            over = colors[rows] * share + WHITE * (WHITE - share)
            laid[rows] = (over + WHITE // 2) // WHITE
    return laid
