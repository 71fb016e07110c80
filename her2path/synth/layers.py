"""The parts of a block, put into stain maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.synth.blocks import Block
from her2path.synth.drawing import draw_lines, draw_nuclei, fill_polygons
from her2path.synth.noise import stream
from her2path.synth.nuclei import Nuclei
from her2path.synth.optics import HALO_UM
from her2path.synth.recipe import RegionRecipe
from her2path.synth.stain_maps import StainMaps
from her2path.synth.stroma import StromaNoise, region_values

__all__ = ["draw_membranes", "draw_nuclei_of", "label_cells"]

# Streaks that leave a membrane: chance per stained segment where it frays most, length, spread of
# the angle to it, and their share of its OD and width.
_STREAK_CHANCE = 0.3
_STREAK_UM = (1.0, 6.0)
_STREAK_TURN = 0.5
_STREAK_OD = (0.35, 1.0)
_STREAK_WIDTH = (0.5, 1.0)


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
    *,
    seed: int,
    key: tuple[int, int],
) -> None:
    """Draw the stained sides of a block's cells that reach into `frame` (x, y, right, bottom)."""
    stained = np.flatnonzero(block.paint.intensity)
    side = np.searchsorted(block.graph.segment_start, stained, side="right") - 1
    point = stained + side
    region = block.region[block.graph.side_a[side]]
    px, py = block.graph.point_x, block.graph.point_y
    x_from, y_from, x_to, y_to = px[point], py[point], px[point + 1], py[point + 1]
    od, width = block.paint.od[stained], block.paint.width_um[stained]
    intensity = block.paint.intensity[stained]
    fray = region_values(regions, "fray")
    if fray.any():
        rng = stream(seed, 57, *key)
        frayed = np.flatnonzero(rng.random(len(stained)) < _STREAK_CHANCE * fray[region])
        turn = rng.normal(0, _STREAK_TURN, len(frayed)) + np.pi * rng.integers(0, 2, len(frayed))
        angle = np.arctan2(y_to - y_from, x_to - x_from)[frayed] + turn
        length = rng.uniform(*_STREAK_UM, len(frayed))
        x_from, y_from = _joined(x_from, x_from[frayed]), _joined(y_from, y_from[frayed])
        x_to = _joined(x_to, x_from[frayed] + length * np.cos(angle))
        y_to = _joined(y_to, y_from[frayed] + length * np.sin(angle))
        fainter = rng.uniform(*_STREAK_OD, len(frayed)).astype(np.float32)
        thinner = rng.uniform(*_STREAK_WIDTH, len(frayed)).astype(np.float32)
        od, width = _joined(od, od[frayed] * fainter), _joined(width, width[frayed] * thinner)
        intensity = _joined(intensity, np.zeros(len(frayed), np.uint8))
        region = _joined(region, region[frayed])
    m = HALO_UM
    seen = (
        (x_from > frame[0] - m)
        & (x_from < frame[2] + m)
        & (y_from > frame[1] - m)
        & (y_from < frame[3] + m)
    )
    region = region[seen]
    draw_lines(
        maps.d,
        x_from[seen],
        y_from[seen],
        x_to[seen],
        y_to[seen],
        od[seen],
        width[seen],
        intensity[seen],
        region_values(regions, "patchiness")[region],
        region_values(regions, "veil")[region],
        maps.membrane,
        x0,
        y0,
        mpp,
        fine,
    )


def _joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([first, second])
