"""Resample pixels by the mean over their own area."""

from __future__ import annotations

import math

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Size
from her2path.slides.slide import empty_rgb

__all__ = ["area_mean", "interpolate"]


def area_mean(
    rgb: NDArray[np.uint8],
    size: Size,
    *,
    step: tuple[float, float],
    start: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """Return `size` pixels, each the mean of `rgb` over its own rectangle.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    size : Size
        Pixels wanted.
    step : (x, y)
        Sides of the rectangle in px of `rgb`, whole or not.
    start : (x, y)
        Where the first rectangle begins, ≥ 0.

    Returns
    -------
    ndarray of shape (size.height, size.width, 3), uint8
        What reaches beyond `rgb` is the mean of the part within, or its last pixel.
    """
    height, width = rgb.shape[:2]
    factors = round(step[0]), round(step[1])
    is_whole = start == (0.0, 0.0) and all(
        abs(side - factor) < 1e-9 for side, factor in zip(step, factors, strict=True)
    )
    if is_whole and (width, height) == (size.width * factors[0], size.height * factors[1]):
        # OpenCV is ten times faster for whole numbers than for others, where it gains nothing over
        # what follows, and knows no start between pixels.
        averaged: NDArray[np.uint8] = cv2.resize(
            rgb, (size.width, size.height), interpolation=cv2.INTER_AREA
        )
        return averaged
    out = empty_rgb(size)
    rows = _covered(size.height, step[1], start[1], height)
    columns = _covered(size.width, step[0], start[0], width)
    _mean_over_rectangles(
        np.ascontiguousarray(rgb).reshape(height, width * 3),
        *rows,
        *columns,
        out.reshape(size.height, size.width * 3),
    )
    return out


def _covered(
    n: int, step: float, start: float, length: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the first source px of each of `n` intervals, and the shares of it and the next."""
    begin = np.minimum(start + step * np.arange(n), length - 1e-3)
    end = np.clip(begin + step, begin + 1e-3, length)
    n_taps = min(math.ceil(step) + 1, length)
    # Near the end the taps stay within the picture; those before the interval get no share.
    first = np.minimum(begin.astype(np.int64), length - n_taps)
    source = first[:, None] + np.arange(n_taps)
    overlap = np.minimum(source + 1, end[:, None]) - np.maximum(source, begin[:, None])
    shares = np.maximum(overlap, 0) / (end - begin)[:, None]
    return first, shares.astype(np.float32)


def interpolate(
    rgb: NDArray[np.uint8], size: Size, *, step: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return `size` pixels, `step` (x, y) px of `rgb` apart, interpolated linearly.

    Both pictures are uint8 of shape (M, N, 3). Beyond the outermost pixel centres the nearest pixel
    is repeated.
    """
    step_x, step_y = step
    # Pixel centres: the first lies half a step from the corner.
    onto = np.array([[step_x, 0, step_x / 2 - 0.5], [0, step_y, step_y / 2 - 0.5]], np.float64)
    interpolated: NDArray[np.uint8] = cv2.warpAffine(
        rgb,
        onto,
        (size.width, size.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return interpolated


@numba.njit(cache=True, nogil=True, fastmath=True)  # fastmath: lets sums run in vector registers
def _mean_over_rectangles(rows, tops, shares_y, lefts, shares_x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    summed = np.empty(rows.shape[1], np.float32)
    for row in range(out.shape[0]):
        summed[:] = 0
        for tap in range(shares_y.shape[1]):
            share_y = shares_y[row, tap]
            if share_y > 0:
                line = rows[tops[row] + tap]
                for k in range(summed.size):
                    summed[k] += share_y * np.float32(line[k])
        for column in range(lefts.size):
            red = green = blue = np.float32(0.5)
            at = 3 * lefts[column]
            for tap in range(shares_x.shape[1]):
                share_x = shares_x[column, tap]
                red += share_x * summed[at]
                green += share_x * summed[at + 1]
                blue += share_x * summed[at + 2]
                at += 3
            out[row, 3 * column] = np.uint8(red)
            out[row, 3 * column + 1] = np.uint8(green)
            out[row, 3 * column + 2] = np.uint8(blue)
