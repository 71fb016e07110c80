"""Where cells are looked for, and in which tiles."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.annotations.raster import rasterise
from her2path.annotations.roi import Roi, RoiKind
from her2path.cells.measure import HALO_UM
from her2path.geometry import Mpp, Region
from her2path.pipeline.network import frame_grid_px, frame_halo_um
from her2path.pipeline.settings import ScoreSettings
from her2path.slides.slide import Slide
from her2path.slides.tiling import Tile, plan_tiles

__all__ = ["ALIGNMENT_PX", "covered_mask", "plan_frames", "working_scale"]

# Finer pixels only sample the same optics more densely: they are averaged by two.
FINEST_MPP = 0.14
# Nuclei are found on grids up to 6 times coarser: with corners on multiples of 12 working px
# those grids are the same whatever the tile.
ALIGNMENT_PX = 12
# 3072 px and a halo are a frame of about 3500 px: 37 MB of RGB, ten times that while measuring.
MAX_TILE_PX = 3072
# How far round an outline of tumor the cells are measured that are compared with its own.
SURROUNDINGS_UM = 250.0


def working_scale(mpp: Mpp) -> float:
    """Return the µm/px at which cells are measured: that of level 0, or 2, 4, … times coarser."""
    working = mpp.mean
    while working < FINEST_MPP:
        working *= 2
    return working


def covered_mask(
    tissue: NDArray[np.bool_],
    control: NDArray[np.bool_],
    rois: tuple[Roi, ...],
    whole: Region,
    downsample: float,
    mpp: Mpp,
) -> NDArray[np.bool_]:
    """Return where cells are looked for: tissue, drawn outlines of it, and a margin.

    Where tumor is drawn, it is tissue near the outlines and control tissue alone. What lies round
    the outlines tells what unstained cells look like: it ends at a distance, not at the border of
    a tile, so that no limit of the slide hangs on how the file is cut into tiles.

    Parameters
    ----------
    tissue : ndarray of shape (M, N), bool
    control : ndarray of shape (M, N), bool
        Control tissue that was found and is left out, on the same grid.
    rois : tuple of Roi
    whole : Region
        The slide, level-0 px.
    downsample : float
        Level-0 px per pixel of the masks given and returned.
    mpp : Mpp
        Of level 0.
    """
    covered = tissue | control
    # Control tissue that a person has drawn was taken out of the mask, but is measured; and where
    # a person has drawn tumor the mask is not asked.
    drawn = [roi for roi in rois if roi.kind in (RoiKind.TUMOR, RoiKind.CONTROL)]
    if drawn:
        painted = rasterise(drawn, whole, downsample=downsample)
        rows, cols = (min(a, b) for a, b in zip(covered.shape, painted.shape, strict=True))
        covered[:rows, :cols] |= painted[:rows, :cols]
        if any(roi.kind is RoiKind.TUMOR for roi in drawn):
            wanted = control.copy()
            wanted[:rows, :cols] |= painted[:rows, :cols]
            covered &= within(wanted, SURROUNDINGS_UM / (downsample * mpp.mean))
    # A cell at the rim of the mask has its centre on one side of it and its body on the other.
    grown = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
    return grown.astype(bool)


def within(mask: NDArray[np.bool_], distance_px: float) -> NDArray[np.bool_]:
    """Return which pixels lie no further than that from one that is set; none where none is."""
    if not mask.any():
        return mask
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far <= distance_px)


def plan_frames(
    slide: Slide,
    mpp: Mpp,
    working_mpp: float,
    settings: ScoreSettings,
    covered: NDArray[np.bool_],
    mask_downsample: float,
) -> tuple[Tile, ...]:
    """Plan the tiles in which cells are looked for.

    Frames are grown to corners that suit every coarser grid, and cut at the edge of the slide: a
    cell is seen alike whichever tile shows it.

    Parameters
    ----------
    slide : Slide
    mpp : Mpp
        Of level 0.
    working_mpp : float
        At which cells are measured.
    settings : ScoreSettings
    covered : ndarray of shape (M, N), bool
        From `covered_mask`.
    mask_downsample : float
        Level-0 px per pixel of the mask.
    """
    step = working_mpp / mpp.mean
    whole = Region(0, 0, slide.dimensions.width, slide.dimensions.height)
    network = settings.network
    halo_um = HALO_UM if network is None else frame_halo_um(network)
    grid_px = ALIGNMENT_PX if network is None else frame_grid_px(network, working_mpp)
    tiles = plan_tiles(
        slide.dimensions,
        tile_px=round(min(settings.tile_um / working_mpp, MAX_TILE_PX) * step),
        halo_px=math.ceil(halo_um / min(mpp.x, mpp.y)),
        file_tile=slide.tile_size,
        mask=covered,
        mask_downsample=mask_downsample,
    )
    grid = grid_px * max(1, round(step))
    return tuple(Tile(i, t.core, aligned(t.frame, grid, whole)) for i, t in enumerate(tiles))


def aligned(frame: Region, grid_px: int, whole: Region) -> Region:
    """Return the frame grown to multiples of `grid_px` and cut at the edge of the slide."""
    x, y = frame.x // grid_px * grid_px, frame.y // grid_px * grid_px
    right, bottom = -(-frame.right // grid_px) * grid_px, -(-frame.bottom // grid_px) * grid_px
    return Region(x, y, right - x, bottom - y).intersection(whole)
