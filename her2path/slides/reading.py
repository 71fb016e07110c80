"""Read at a wanted µm/px; written once, above the backends."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import MppError, SlideError
from her2path.geometry import Location, Region, Size
from her2path.slides.limits import MAX_REGION_PX, check_region_size
from her2path.slides.mpp import require_mpp
from her2path.slides.resampling import area_mean, interpolate
from her2path.slides.slide import Slide

__all__ = ["read_at_mpp", "read_overview", "size_at_mpp"]

# A level at most 1 % coarser than asked is as good as asked, and saves decoding a finer one.
LEVEL_TOLERANCE = 1.01
# Blocks of an overview: 4096² px are 48 MiB of RGB.
OVERVIEW_BLOCK = 4096
# While tissue is looked for a px takes 64 bytes: 27 MP keep a worker below 2 GiB.
OVERVIEW_MAX_PX = 27_000_000
# So much is averaged block by block where a file has no small level: minutes, not hours.
MOST_AVERAGED_PX = 2**36


def size_at_mpp(slide: Slide, region: Region, mpp: float) -> Size:
    """Return the size, in px, of a region when it is read at `mpp`."""
    at_zero = require_mpp(slide)
    # The last bits of a half must not send one frame up and another down.
    width, height = region.width * at_zero.x / mpp, region.height * at_zero.y / mpp
    return Size(math.floor(width + 0.5 + 1e-6), math.floor(height + 0.5 + 1e-6))


def read_at_mpp(slide: Slide, region: Region, mpp: float) -> NDArray[np.uint8]:
    """Read a region at a wanted µm/px.

    Each pixel is the mean over its own square of `mpp` × `mpp` µm, the first one starting at
    the region's corner whichever level is read, also where that falls between the level's
    pixels. The level is the coarsest that is still as fine as asked. Finer than level 0 is
    interpolated linearly. Pixels that are not square become square.

    Parameters
    ----------
    slide : Slide
        Needs a µm/px (see `require_mpp`).
    region : Region
        Level-0 px; may leave the slide, where it is white.
    mpp : float
        Wanted µm/px.

    Returns
    -------
    ndarray of shape (round(height·mpp_y/mpp), round(width·mpp_x/mpp), 3), uint8
        RGB.

    Raises
    ------
    MppError
        The slide's µm/px or the wanted one cannot be used.
    SlideError
        The region is larger than one read may hold, or unreadable.
    """
    at_zero = require_mpp(slide)
    if not (math.isfinite(mpp) and mpp > 0):
        raise MppError(f"cannot read at {mpp} µm/px: give a positive number.")
    size = size_at_mpp(slide, region, mpp)
    check_region_size(size)
    if size.n_px == 0:
        return np.empty((*size.shape, 3), np.uint8)
    step_x, step_y = mpp / at_zero.x, mpp / at_zero.y
    level = _level_for(slide, min(step_x, step_y))
    downsample = slide.level_downsamples[level]
    return _read_stepped(
        slide, level, region.location, size, (step_x / downsample, step_y / downsample)
    )


def _level_for(slide: Slide, step: float) -> int:
    """Return the coarsest level that has at least one pixel for each `step` level-0 px."""
    fitting = [
        (downsample, level)
        for level, downsample in enumerate(slide.level_downsamples)
        if downsample <= step * LEVEL_TOLERANCE
    ]
    return max(fitting, default=(1.0, 0))[1]


def _read_stepped(
    slide: Slide, level: int, corner: Location, size: Size, steps: tuple[float, float]
) -> NDArray[np.uint8]:
    """Read `size` pixels that are each `steps` (x, y) px of a level wide, from a level-0 corner."""
    downsample = slide.level_downsamples[level]
    left, top = math.floor(corner.x / downsample), math.floor(corner.y / downsample)
    shift_x, shift_y = corner.x / downsample - left, corner.y / downsample - top
    width = math.ceil(shift_x + size.width * steps[0] - 1e-9)
    height = math.ceil(shift_y + size.height * steps[1] - 1e-9)
    rgb = slide.read_region(
        # Nearest level-0 px: read_region rounds it back to this very pixel of the level.
        Location(round(left * downsample), round(top * downsample)),
        level,
        Size(width, height),
    )
    if (width, height) == (size.width, size.height) and all(abs(s - 1) < 1e-9 for s in steps):
        return rgb
    if min(steps) * LEVEL_TOLERANCE < 1:  # only level 0 is read so, and its corners are whole px
        return interpolate(rgb, size, step=steps)
    return area_mean(rgb, size, step=steps, start=(shift_x, shift_y))


def read_overview(
    slide: Slide, *, mpp: float = 8.0, max_px: int = OVERVIEW_MAX_PX
) -> tuple[NDArray[np.uint8], float]:
    """Read the whole slide small, in bounded memory.

    Without a low level, level 0 is read block by block and averaged. Pixels cover squares
    of level-0 px, so stored coordinates divide by one number.

    Parameters
    ----------
    slide : Slide
        Needs a µm/px.
    mpp : float
        Wanted µm/px; coarser is given where the picture would exceed `max_px`, level 0 where
        the slide is already coarser.
    max_px : int
        Bound on the picture's pixels.

    Returns
    -------
    rgb : ndarray of shape (M, N, 3), uint8
    downsample : float
        Level-0 px per px of the picture.
    """
    whole = slide.dimensions
    if not 0 < max_px <= MAX_REGION_PX or not mpp > 0:
        raise SlideError(f"an overview of at most {max_px} px at {mpp} µm/px is not possible.")
    downsample = max(1.0, mpp / require_mpp(slide).mean, math.sqrt(whole.n_px / max_px))
    level = _level_for(slide, downsample)
    if slide.level_dimensions[level].n_px > MOST_AVERAGED_PX:
        raise SlideError(
            f"{slide.path} has no small levels, and its pixels are too many to be averaged; "
            "export it as a pyramid."
        )
    step = downsample / slide.level_downsamples[level]
    # Whole px are averaged block by block, which is exact; the rest (below 2) at the end.
    factor = max(1, math.floor(step))
    averaged = _averaged_level(slide, level, factor)
    rest = step / factor
    size = Size(
        max(1, math.ceil(whole.width / downsample)), max(1, math.ceil(whole.height / downsample))
    )
    if abs(rest - 1) < 1e-9:
        # A level may have dropped the px that did not fill its last ones.
        missing = [max(0, n - m) for n, m in zip(size.shape, averaged.shape[:2], strict=True)]
        averaged = np.pad(averaged, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return np.ascontiguousarray(averaged[: size.height, : size.width]), downsample
    return area_mean(averaged, size, step=(rest, rest)), downsample


def _averaged_level(slide: Slide, level: int, factor: int) -> NDArray[np.uint8]:
    """Return a level averaged over squares of `factor` px; edge px fill incomplete squares."""
    whole = slide.level_dimensions[level]
    downsample = slide.level_downsamples[level]
    rows, columns = -(-whole.height // factor), -(-whole.width // factor)
    averaged = np.empty((rows, columns, 3), np.uint8)
    block = max(1, OVERVIEW_BLOCK // factor)
    for row in range(0, rows, block):
        for column in range(0, columns, block):
            n_rows, n_columns = min(block, rows - row), min(block, columns - column)
            corner = Location(round(column * factor * downsample), round(row * factor * downsample))
            inside = Size(
                min(n_columns * factor, whole.width - column * factor),
                min(n_rows * factor, whole.height - row * factor),
            )
            rgb = slide.read_region(corner, level, inside)
            rgb = cv2.copyMakeBorder(
                rgb,
                0,
                n_rows * factor - inside.height,
                0,
                n_columns * factor - inside.width,
                cv2.BORDER_REPLICATE,
            )
            averaged[row : row + n_rows, column : column + n_columns] = area_mean(
                rgb, Size(n_columns, n_rows), step=(factor, factor)
            )
    return averaged
