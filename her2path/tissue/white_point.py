"""The white point: the value of empty glass, the brightest dense mode of smooth pale pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.od import WhitePoint, as_white_point
from her2path.tissue.overview import channel_max, channel_min, check_rgb

__all__ = [
    "DEFAULT_WHITE_POINT",
    "WhitePointEstimate",
    "estimate_white_point",
    "find_padding",
    "remedy_without_glass",
]

# The middle of what scanners give (233–252 on the real pictures this was tried on). It is a guess,
# and its source says so; guarded contrast hardly feels it.
DEFAULT_WHITE_POINT: WhitePoint = (240.0, 240.0, 240.0)

# Gray values. Glass of the real pictures: local deviation 0.3–0.7; the palest tissue 1.3 and more.
MAX_DEVIATION = 1.2
# Lamp and camera tint glass by up to 15; pink or yellow media a little more.
MAX_TINT = 40.0
DARKEST_GLASS = 100.0
# A mode needs this share of the densest one: streaks brighter than glass stay below it.
MODE_SHARE = 0.15
MODE_HALF_WIDTH = 2.5
# Less glass than this could be a lumen or a tear.
MIN_GLASS_FRAC = 0.003
MIN_GLASS_PX = 25
ENOUGH_PX = 1_000_000
# An empty picture is nearly all glass; in a field of pale stroma only the most even spots pass for
# it.
LEAST_EMPTY_GLASS = 0.5


@dataclass(frozen=True, slots=True)
class WhitePointEstimate:
    """The value of glass and where it comes from.

    Parameters
    ----------
    rgb : tuple of 3 float
        Intensity per channel, 100–255.
    source : {"measured", "stated", "default"}
    glass_frac : float
        Share of the picture (without padding) that looks like glass at the measured mode, 0–1.
    padding_frac : float
        Share of the picture that the scanner filled with pure white or black, 0–1.
    """

    rgb: WhitePoint
    source: Literal["measured", "stated", "default"]
    glass_frac: float
    padding_frac: float


def find_padding(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture is exactly pure white or black over at least 5 × 5 px.

    Of a picture of shape (M, N, 3), uint8, a mask of shape (M, N).
    """
    low, high = channel_min(rgb), channel_max(rgb)
    pure = (low == 255) | (high == 0)
    if not pure.any():
        return pure
    return cv2.morphologyEx(
        pure.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)
    ).astype(bool)


def estimate_white_point(
    overview_rgb: NDArray[np.uint8],
    *,
    stated: WhitePoint | None = None,
    default: WhitePoint = DEFAULT_WHITE_POINT,
) -> WhitePointEstimate:
    """Measure the value of empty glass on an overview.

    Parameters
    ----------
    overview_rgb : ndarray of shape (M, N, 3), uint8
        About 4–8 µm/px, where camera noise is averaged away.
    stated : tuple of 3 float, optional
        The site's own white point; wins over the measurement.
    default : tuple of 3 float
        Used when too little glass is in view.

    Returns
    -------
    WhitePointEstimate

    Raises
    ------
    StainError
        `stated` or `default` is implausible.
    """
    check_rgb(overview_rgb, 1.0)
    # A mode of a million pixels is as sure as one of ten million.
    step = max(1, int((overview_rgb.shape[0] * overview_rgb.shape[1] / ENOUGH_PX) ** 0.5))
    overview_rgb = np.ascontiguousarray(overview_rgb[::step, ::step])
    gray = cv2.transform(overview_rgb.astype(np.float32), np.full((1, 3), 1 / 3, np.float32))
    padding = find_padding(overview_rgb)
    mean = cv2.blur(gray, (3, 3))
    deviation = np.sqrt(np.maximum(cv2.blur(gray * gray, (3, 3)) - mean * mean, 0.0))
    tint = channel_max(overview_rgb) - channel_min(overview_rgb)
    glass = (deviation < MAX_DEVIATION) & (tint <= MAX_TINT) & (gray >= DARKEST_GLASS)
    # Next to padding the average of an overview pixel mixes both.
    near_padding = cv2.dilate(padding.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    candidates = glass & ~near_padding
    # Of a sparse scan most is pure white, and what was scanned may be a small part of the frame.
    if candidates.sum() < MODE_SHARE * min((glass & padding).sum(), (~padding).sum()):
        # Nothing else is bright: this scanner clips its glass to pure white.
        candidates = glass
        padding = padding & (overview_rgb[..., 0] == 0)
    measured, n_glass = brightest_mode(overview_rgb, gray, candidates)
    n_px = int(gray.size - padding.sum())
    glass_frac = n_glass / max(n_px, 1)
    padding_frac = float(padding.mean())
    if stated is not None:
        return WhitePointEstimate(as_white_point(stated), "stated", glass_frac, padding_frac)
    if measured is None or n_glass < MIN_GLASS_PX or glass_frac < MIN_GLASS_FRAC:
        return WhitePointEstimate(as_white_point(default), "default", glass_frac, padding_frac)
    return WhitePointEstimate(measured, "measured", glass_frac, padding_frac)


def remedy_without_glass(white: WhitePointEstimate) -> str:
    """Return what to do where all tissue may have passed for glass, empty where glass is seen."""
    if white.source == "stated" or white.glass_frac >= LEAST_EMPTY_GLASS:
        return ""
    return (
        " Hardly any of the picture is as even as glass: where it shows tissue all over, give the "
        "value of empty glass (--white-point)."
    )


def brightest_mode(
    rgb: NDArray[np.uint8], gray: NDArray[np.float32], candidates: NDArray[np.bool_]
) -> tuple[WhitePoint | None, int]:
    """Return the mean color at the brightest dense mode of `gray`, and its number of pixels."""
    values = gray[candidates]
    if values.size == 0:
        return None, 0
    counts = np.bincount(np.rint(values).astype(np.int64), minlength=256).astype(np.float64)
    density = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    padded = np.pad(density, 1)
    is_mode = (density >= padded[:-2]) & (density > padded[2:])
    is_mode &= density >= MODE_SHARE * density.max()
    mode = int(np.flatnonzero(is_mode)[-1])
    chosen = candidates & (np.abs(gray - mode) <= MODE_HALF_WIDTH)
    n_glass = int(chosen.sum())
    if n_glass == 0:
        return None, 0
    red, green, blue = rgb[chosen].mean(axis=0, dtype=np.float64)
    white = np.maximum((red, green, blue), DARKEST_GLASS)
    return as_white_point(white), n_glass
