"""Optical density: the one place where light becomes absorbance.

OD = log10(I0 / I), dimensionless. The base (10), the white point I0 and the stain matrix in use are
stored with every result, because a threshold means nothing without them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import StainError

__all__ = ["WhitePoint", "as_white_point", "od_table", "optical_density", "transmitted"]

WhitePoint = tuple[float, float, float]

# A camera value of 0 means "darker than half a step": OD stays finite and monotone.
DARKEST_VALUE = 0.5
# Glass darker than this is no bright-field scan; above 255 no 8-bit value can be.
WHITE_POINT_RANGE = (100.0, 255.0)


def as_white_point(value: WhitePoint | NDArray[np.float64] | list[float]) -> WhitePoint:
    """Check three channel values of glass and return them as a plain tuple.

    Raises
    ------
    StainError
        When a channel lies outside 100–255.
    """
    white = tuple(float(v) for v in value)
    low, high = WHITE_POINT_RANGE
    if len(white) != 3 or not all(low <= v <= high for v in white):
        raise StainError(
            f"white point {white} is implausible: three values from {low:g} to {high:g} are "
            "expected; state the value of empty glass, for example 245,245,245"
        )
    return white


def od_table(white_point: WhitePoint) -> NDArray[np.float64]:
    """Return the OD of every 8-bit value.

    Parameters
    ----------
    white_point : tuple of 3 float
        Intensity of empty glass per channel, 100–255.

    Returns
    -------
    ndarray of shape (3, 256), float64
        log10(I0 / I); slightly negative where a value is brighter than the glass.
    """
    white = np.array(as_white_point(white_point))
    values = np.maximum(np.arange(256, dtype=np.float64), DARKEST_VALUE)
    return np.log10(white[:, None] / values[None, :])


def optical_density(rgb: NDArray[np.uint8], white_point: WhitePoint) -> NDArray[np.float32]:
    """Turn an 8-bit picture into optical density.

    Parameters
    ----------
    rgb : ndarray of shape (..., 3), uint8
    white_point : tuple of 3 float
        Intensity of empty glass per channel, 100–255.

    Returns
    -------
    ndarray of shape (..., 3), float32
        OD, log10, about −0.05 to 2.7.

    Examples
    --------
    >>> import numpy as np
    >>> optical_density(np.full((1, 1, 3), 24, np.uint8), (240.0, 240.0, 240.0))[0, 0, 0].item()
    1.0
    """
    if rgb.size == 0:
        return np.zeros(rgb.shape, np.float32)
    table = np.ascontiguousarray(od_table(white_point).astype(np.float32).T[None])
    od: NDArray[np.float32] = cv2.LUT(np.ascontiguousarray(rgb).reshape(1, -1, 3), table)
    return od.reshape(rgb.shape)


def transmitted(od: NDArray[np.floating], white_point: WhitePoint) -> NDArray[np.float64]:
    """Return the intensities (0–255, not rounded) that show optical density `od`.

    Inverse of `optical_density` up to rounding: of shape (..., 3), as `od` is.
    """
    return np.array(as_white_point(white_point)) * np.power(10.0, -np.asarray(od, np.float64))
