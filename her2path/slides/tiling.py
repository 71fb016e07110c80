"""Plan tiles: cores that own each point once, frames with a halo, in the file's own order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Mpp, Region, Size

__all__ = ["Tile", "plan_tiles", "tiles_mm2"]

# 16 M tiles of 256 px are a slide of 1 Mpx squared; more means a tile size of a few pixels.
MAX_TILES = 2**24


@dataclass(frozen=True, slots=True)
class Tile:
    """One planned rectangle, level-0 px.

    `core` is owned by this tile alone: what has its centre there belongs to it. `frame` is the
    core grown by the halo; it may leave the slide, where reading gives white.
    """

    index: int
    core: Region
    frame: Region


def tiles_mm2(tiles: Iterable[Tile], mpp: Mpp) -> float:
    """Return the area that the cores of tiles cover, mm²."""
    return sum(tile.core.size.n_px for tile in tiles) * mpp.x * mpp.y * 1e-6


def plan_tiles(
    dimensions: Size,
    *,
    tile_px: int,
    halo_px: int,
    file_tile: Size,
    mask: NDArray[np.bool_] | None,
    mask_downsample: float,
    within: Region | None = None,
) -> tuple[Tile, ...]:
    """Cut a slide into tiles.

    Parameters
    ----------
    dimensions : Size
        Size of level 0.
    tile_px : int
        Wanted side of a core; taken to the nearest multiple of the file's tile, unless
        that is more than twice as long (files made of long strips).
    halo_px : int
        Margin of the frame on every side.
    file_tile : Size
        The file's tile at level 0 (`Slide.tile_size`).
    mask : ndarray of shape (M, N), bool, or None
        Only tiles whose core touches it are planned, each core cut to the box round what it
        touches; beyond its edge it is False.
    mask_downsample : float
        Level-0 px per px of the mask.
    within : Region, optional
        Only this part of the slide is covered.

    Returns
    -------
    tuple of Tile
        Row by row along the file's tiles, index from 0. Without a mask the cores cover the
        slide (or `within`) exactly once.

    Raises
    ------
    SlideError
        Sizes that make no plan, or one of too many tiles.
    """
    sizes_ok = min(tile_px, file_tile.width, file_tile.height) > 0 and halo_px >= 0
    if not sizes_ok or not mask_downsample > 0:
        raise SlideError(
            f"no tiles of {tile_px} px with a halo of {halo_px} px, file tiles of "
            f"{file_tile.width} × {file_tile.height} px and a mask downsample of "
            f"{mask_downsample}: all must be positive, the halo 0 or more."
        )
    area = Region(0, 0, dimensions.width, dimensions.height)
    if within is not None:
        area = area.intersection(within)
    if mask is not None and not area.is_empty:
        # Fewer tiles, and fewer halos, than where tissue straddles a grid from the slide's corner.
        area = _cut(area, mask, mask_downsample)
    if area.is_empty:
        return ()
    width, height = _side(tile_px, file_tile.width), _side(tile_px, file_tile.height)
    columns = range(_origin(area.x, width, file_tile.width), area.right, width)
    rows = range(_origin(area.y, height, file_tile.height), area.bottom, height)
    if len(columns) * len(rows) > MAX_TILES:
        raise SlideError(f"{len(columns) * len(rows)} tiles of {tile_px} px: take larger ones.")
    cores = (Region(x, y, width, height).intersection(area) for y in rows for x in columns)
    if mask is not None:
        cores = (_cut(core, mask, mask_downsample) for core in cores)
    kept = (core for core in cores if not core.is_empty)
    return tuple(Tile(index, core, core.expanded(halo_px)) for index, core in enumerate(kept))


def _side(wanted: int, file_side: int) -> int:
    if file_side > 2 * wanted:
        return wanted
    return max(1, round(wanted / file_side)) * file_side


def _origin(start: int, side: int, file_side: int) -> int:
    """Return where the first tile begins: with one of the file's, where tiles hold whole ones."""
    return start if side % file_side else start // file_side * file_side


def _cut(core: Region, mask: NDArray[np.bool_], downsample: float) -> Region:
    """Return the part of the core in the box round all mask pixels that overlap it."""
    top, left = int(core.y // downsample), int(core.x // downsample)
    touched = mask[
        top : int(-(-core.bottom // downsample)), left : int(-(-core.right // downsample))
    ]
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not rows.size:
        return Region(core.x, core.y, 0, 0)
    x, y = int((left + columns[0]) * downsample), int((top + rows[0]) * downsample)
    right = math.ceil((left + columns[-1] + 1) * downsample)
    bottom = math.ceil((top + rows[-1] + 1) * downsample)
    return Region(x, y, right - x, bottom - y).intersection(core)
