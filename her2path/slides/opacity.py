"""Colors with opacity, laid over white: the one place where it is done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.slides.slide import WHITE

__all__ = ["over_white"]


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
    share = opacity.astype(np.uint16)
    if is_multiplied:
        return np.minimum(colors + (WHITE - share), WHITE).astype(np.uint8)
    over = colors * share + WHITE * (WHITE - share)
    return ((over + WHITE // 2) // WHITE).astype(np.uint8)
