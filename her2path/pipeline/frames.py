"""Where cells are looked for, and in which tiles."""

from __future__ import annotations

import math

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.annotations.raster import rasterise
from her2path.annotations.roi import Roi, RoiKind
from her2path.cells.measure import HALO_UM
from her2path.geometry import Mpp, Region
from her2path.pipeline.network import frame_grid_px, frame_halo_um
from her2path.pipeline.settings import ScoreSettings
from her2path.slides.slide import Slide
from her2path.slides.tiling import Tile, plan_tiles

__all__ = ["ALIGNMENT_PX", "box_of", "covered_mask", "plan_frames", "working_scale"]

# Finer pixels only sample the same optics more densely: they are averaged by two.
FINEST_MPP = 0.14
# Nuclei are found on grids up to 6 times coarser: with corners on multiples of 12 working px
# those grids are the same whatever the tile.
ALIGNMENT_PX = 12
# 3072 px and a halo are a frame of about 3500 px: 37 MB of RGB, ten times that while measuring.
MAX_TILE_PX = 3072


def working_scale(mpp: Mpp) -> float:
    """Return the µm/px at which cells are measured: that of level 0, or 2, 4, … times coarser."""
    working = mpp.mean
    while working < FINEST_MPP:
        working *= 2
    return working


def covered_mask(
    tissue: NDArray[np.bool_], rois: tuple[Roi, ...], whole: Region, downsample: float
) -> NDArray[np.bool_]:
    """Return where cells are looked for: tissue, drawn outlines of it, and a margin.

    Parameters
    ----------
    tissue : ndarray of shape (M, N), bool
    rois : tuple of Roi
    whole : Region
        The slide, level-0 px.
    downsample : float
        Level-0 px per pixel of `tissue` and of the mask returned.
    """
    covered = tissue.copy()
    # Control tissue that a person has drawn was taken out of the mask, but is measured; and where
    # a person has drawn tumor the mask is not asked.
    drawn = [roi for roi in rois if roi.kind in (RoiKind.TUMOR, RoiKind.CONTROL)]
    if drawn:
        painted = rasterise(drawn, whole, downsample=downsample)
        rows, cols = (min(a, b) for a, b in zip(covered.shape, painted.shape, strict=True))
        covered[:rows, :cols] |= painted[:rows, :cols]
    # A cell at the rim of the mask has its centre on one side of it and its body on the other.
    grown = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
    return grown.astype(bool)


def plan_frames(
    slide: Slide,
    mpp: Mpp,
    working_mpp: float,
    settings: ScoreSettings,
    rois: tuple[Roi, ...],
    covered: NDArray[np.bool_],
    mask_downsample: float,
    *,
    control: NDArray[np.bool_],
) -> tuple[Tile, ...]:
    """Plan the tiles that touch tissue; where tumor is drawn, those of tumor and of control alone.

    Control is what a person has drawn, or what was found and is left out.

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
    rois : tuple of Roi
    covered : ndarray of shape (M, N), bool
        From `covered_mask`.
    mask_downsample : float
        Level-0 px per pixel of the masks.
    control : ndarray of shape (M, N), bool
        Control tissue, on the same grid.
    """
    step = working_mpp / mpp.mean
    drawn = [roi.polygon for roi in rois if roi.kind in (RoiKind.TUMOR, RoiKind.CONTROL)]
    has_tumor = any(roi.kind is RoiKind.TUMOR for roi in rois)
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
    if has_tumor:
        outlines = shapely.union_all(drawn)
        shapely.prepare(outlines)
        tiles = tuple(
            tile
            for tile in tiles
            if outlines.intersects(box_of(tile.core))
            or touches(tile.core, control, mask_downsample)
        )
    grid = grid_px * max(1, round(step))
    return tuple(Tile(i, t.core, aligned(t.frame, grid, whole)) for i, t in enumerate(tiles))


def touches(region: Region, mask: NDArray[np.bool_], downsample: float) -> bool:
    """Tell whether a px of a mask that is set overlaps a region."""
    left, top = (math.floor(v / downsample) for v in (region.x, region.y))
    right, bottom = (math.ceil(v / downsample) for v in (region.right, region.bottom))
    return bool(mask[top:bottom, left:right].any())


def aligned(frame: Region, grid_px: int, whole: Region) -> Region:
    """Return the frame grown to multiples of `grid_px` and cut at the edge of the slide."""
    x, y = frame.x // grid_px * grid_px, frame.y // grid_px * grid_px
    right, bottom = -(-frame.right // grid_px) * grid_px, -(-frame.bottom // grid_px) * grid_px
    return Region(x, y, right - x, bottom - y).intersection(whole)


def box_of(region: Region) -> shapely.Polygon:
    """Return a rectangle as a polygon."""
    return shapely.box(region.x, region.y, region.right, region.bottom)
