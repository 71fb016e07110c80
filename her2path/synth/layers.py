"""The parts of a block, put into stain maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.synth.blocks import Block
from her2path.synth.drawing import draw_lines, draw_nuclei, fill_polygons
from her2path.synth.nuclei import Nuclei
from her2path.synth.optics import HALO_UM
from her2path.synth.recipe import RegionRecipe
from her2path.synth.stain_maps import StainMaps
from her2path.synth.stroma import StromaNoise, region_values

__all__ = ["draw_membranes", "draw_nuclei_of", "label_cells"]


def label_cells(
    label: NDArray[np.int32], block: Block, offset: int, x0: int, y0: int, mpp: float
) -> None:
    """Mark lumens (−2) and cells (their index in the block plus `offset`) in `label`."""
    n_lumens = len(block.lumen_start) - 1
    fill_polygons(
        label,
        block.lumen_start,
        block.lumen_x,
        block.lumen_y,
        np.full(n_lumens, -2, np.int32),
        x0,
        y0,
        mpp,
    )
    start, x, y = block.graph.outlines()
    value = np.arange(block.graph.n_cells, dtype=np.int32) + offset
    value[~block.is_kept] = -1
    fill_polygons(label, start, x, y, value, x0, y0, mpp)


def draw_nuclei_of(
    maps: StainMaps,
    noise: StromaNoise,
    nuclei: Nuclei,
    own: NDArray[np.int32],
    clearing: NDArray[np.float64],
    roughness: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
) -> None:
    """Draw nuclei into `maps`; `own`, `clearing` and `roughness` as `drawing.draw_nuclei` says."""
    draw_nuclei(
        maps.h,
        maps.d,
        maps.label,
        own,
        clearing,
        roughness,
        nuclei.x,
        nuclei.y,
        nuclei.a_um,
        nuclei.b_um,
        nuclei.angle,
        nuclei.h_od,
        nuclei.vesicular,
        nuclei.clumping,
        nuclei.nucleoli,
        nuclei.phase,
        nuclei.edge_um,
        x0,
        y0,
        mpp,
        noise.coarse,
        noise.fine,
    )


def draw_membranes(
    maps: StainMaps,
    fine: NDArray[np.float32],
    block: Block,
    regions: tuple[RegionRecipe, ...],
    frame: tuple[float, float, float, float],
    x0: int,
    y0: int,
    mpp: float,
) -> None:
    """Draw the stained sides of a block's cells that reach into `frame` (x, y, right, bottom)."""
    stained = np.flatnonzero(block.paint.intensity)
    side = np.searchsorted(block.graph.segment_start, stained, side="right") - 1
    point = stained + side
    region = block.region[block.graph.side_a[side]]
    px, py = block.graph.point_x, block.graph.point_y
    m = HALO_UM
    seen = (
        (px[point] > frame[0] - m)
        & (px[point] < frame[2] + m)
        & (py[point] > frame[1] - m)
        & (py[point] < frame[3] + m)
    )
    point, stained, region = point[seen], stained[seen], region[seen]
    draw_lines(
        maps.d,
        px[point],
        py[point],
        px[point + 1],
        py[point + 1],
        block.paint.od[stained],
        block.paint.width_um[stained],
        block.paint.intensity[stained],
        region_values(regions, "patchiness")[region],
        region_values(regions, "veil")[region],
        maps.membrane,
        x0,
        y0,
        mpp,
        fine,
    )
