"""The scale at which tissue is looked for: one pixel covers a nucleus, so stain averages out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import MppError

__all__ = [
    "TARGET_MPP",
    "Overview",
    "channel_max",
    "channel_min",
    "check_rgb",
    "disc",
    "to_working_scale",
]

# At 4–8 µm/px camera noise is averaged away (one gray step is 0.002 OD) while the gaps between
# nuclei still show as texture; below 4 the same answer only costs more.
FINEST_MPP = 4.0
TARGET_MPP = 6.0


@dataclass(frozen=True, slots=True)
class Overview:
    """A picture of the whole slide or field at the working scale.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    mpp : float
        µm per pixel of `rgb`.
    downsample : float
        Pixels of the given picture per pixel of `rgb`, ≥ 1.
    """

    rgb: NDArray[np.uint8]
    mpp: float
    downsample: float


def check_rgb(rgb: NDArray[np.uint8], mpp: float) -> None:
    """Raise when `rgb` is no 8-bit RGB picture or `mpp` no positive number.

    Raises
    ------
    ValueError
        Wrong type, shape or no pixel.
    MppError
        `mpp` is not finite and positive.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"an uint8 RGB picture is needed, got {rgb.dtype} of shape {rgb.shape}")
    if not (math.isfinite(mpp) and mpp > 0):
        raise MppError(f"mpp is {mpp} µm/px: state the pixel size of the picture, for example 0.25")


def to_working_scale(rgb: NDArray[np.uint8], mpp: float) -> Overview:
    """Average a finer picture down to about 6 µm/px; leave 4 µm/px and coarser as it is.

    Raises
    ------
    ValueError
        `rgb` is not an uint8 RGB picture (M, N, 3), or `mpp` not positive.
    """
    check_rgb(rgb, mpp)
    if mpp >= FINEST_MPP:
        return Overview(rgb, mpp, 1.0)
    rows, cols = rgb.shape[:2]
    # A whole number of pixels per pixel keeps the average exact and the frame simple.
    step = max(1, min(round(TARGET_MPP / mpp), rows, cols))
    if step == 1:
        return Overview(rgb, mpp, 1.0)
    whole = np.ascontiguousarray(rgb[: rows // step * step, : cols // step * step])
    small = cv2.resize(whole, (cols // step, rows // step), interpolation=cv2.INTER_AREA)
    return Overview(small.astype(np.uint8, copy=False), mpp * step, float(step))


def disc(radius_um: float, mpp: float) -> NDArray[np.uint8]:
    """Return a disc as structuring element, radius at least one pixel."""
    radius = max(1, round(radius_um / mpp))
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (rows**2 + cols**2 <= (radius + 0.3) ** 2).astype(np.uint8)


Channels = TypeVar("Channels", np.uint8, np.float32)


def channel_min(picture: NDArray[Channels]) -> NDArray[Channels]:
    """Return the least of three channels, (M, N) of (M, N, 3).

    Many times faster than a reduction of the last axis.
    """
    first, second, third = cv2.split(picture)
    return cv2.min(cv2.min(first, second), third)


def channel_max(picture: NDArray[Channels]) -> NDArray[Channels]:
    """Return the largest of three channels, (M, N) of (M, N, 3)."""
    first, second, third = cv2.split(picture)
    return cv2.max(cv2.max(first, second), third)
