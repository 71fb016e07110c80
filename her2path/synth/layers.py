"""The parts of a block, put into stain maps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from her2path.synth.blocks import Block
from her2path.synth.drawing import draw_lines, draw_nuclei, fill_polygons
from her2path.synth.noise import stream
from her2path.synth.nuclei import Nuclei
from her2path.synth.optics import HALO_UM
from her2path.synth.recipe import RegionRecipe
from her2path.synth.stain_maps import Grid, StainMaps
from her2path.synth.stroma import StromaNoise, region_values

__all__ = ["draw_membranes", "draw_nuclei_of", "label_cells"]

# Streaks that leave a membrane: chance per stained segment where it frays most, length, spread of
# the angle to it, and their share of its OD and width.
_STREAK_CHANCE = 0.3
_STREAK_UM = (1.0, 6.0)
_STREAK_TURN = 0.5
_STREAK_OD = (0.35, 1.0)
_STREAK_WIDTH = (0.5, 1.0)
# Borders that can be seen without any DAB: their width, and the part of their OD that is
# hematoxylin; the rest is grey, as where light is bent.
_BORDER_UM = (0.6, 1.0)
# Width of a seam where light is bent; with its fringes it is this many times as wide, and they are
# as much darker in sum as the seam is brighter: light is moved, not lost.
_SEAM_UM = (0.7, 1.6)
_FRINGE_WIDTH = 2.2
_BORDER_HEMATOXYLIN = (0.3, 0.9)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Straight pieces of membrane (µm on the slide), and the region of each."""

    x_from: NDArray[np.float64]
    y_from: NDArray[np.float64]
    x_to: NDArray[np.float64]
    y_to: NDArray[np.float64]
    od: NDArray[np.float32]
    width_um: NDArray[np.float32]
    intensity: NDArray[np.uint8]
    region: NDArray[np.int32]

    def select(self, index: NDArray[np.bool_]) -> _Lines:
        return _Lines(*(getattr(self, f.name)[index] for f in fields(self)))

    def within(self, frame: tuple[float, float, float, float]) -> _Lines:
        """Return the pieces that reach into `frame` (x, y, right, bottom)."""
        return self.select(
            (self.x_from > frame[0] - HALO_UM)
            & (self.x_from < frame[2] + HALO_UM)
            & (self.y_from > frame[1] - HALO_UM)
            & (self.y_from < frame[3] + HALO_UM)
        )

    def joined(self, other: _Lines) -> _Lines:
        return _Lines(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )


def label_cells(label: NDArray[np.int32], block: Block, offset: int, grid: Grid) -> None:
    """Mark lumens (−2) and cells (their index in the block plus `offset`) in `label`."""
    n_lumens = len(block.lumen_start) - 1
    fill_polygons(
        label,
        block.lumen_start,
        block.lumen_x,
        block.lumen_y,
        np.full(n_lumens, -2, np.int32),
        *grid,
    )
    start, x, y = block.graph.outlines()
    value = np.arange(block.graph.n_cells, dtype=np.int32) + offset
    value[~block.is_kept] = -1
    fill_polygons(label, start, x, y, value, *grid)


def draw_nuclei_of(
    maps: StainMaps,
    noise: StromaNoise,
    nuclei: Nuclei,
    own: NDArray[np.int32],
    clearing: NDArray[np.float64],
    roughness: NDArray[np.float64],
    grid: Grid,
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
        *grid,
        *noise,
    )


def draw_membranes(
    maps: StainMaps,
    fine: NDArray[np.float32],
    block: Block,
    regions: tuple[RegionRecipe, ...],
    grid: Grid,
    *,
    seed: int,
    key: tuple[int, int],
) -> None:
    """Draw the sides of a block's cells that reach into the maps.

    Stained ones, and those that show without DAB where the recipe asks for it.
    """
    frame = grid.frame(maps.d.shape)

    def put(plane: NDArray[np.float32], lines: _Lines) -> None:
        lines = lines.within(frame)
        draw_lines(
            plane,
            lines.x_from,
            lines.y_from,
            lines.x_to,
            lines.y_to,
            lines.od,
            lines.width_um,
            lines.intensity,
            region_values(regions, "patchiness")[lines.region],
            region_values(regions, "veil")[lines.region],
            maps.membrane,
            *grid,
            fine,
        )

    border = region_values(regions, "border_od")
    if border.any():
        # One look for the whole slide.
        rng = stream(seed, 58)
        hematoxylin, width = rng.uniform(*_BORDER_HEMATOXYLIN), rng.uniform(*_BORDER_UM)
        lines = borders_of(block, border, width)
        put(maps.h, replace(lines, od=lines.od * np.float32(hematoxylin)))
        put(maps.neutral, replace(lines, od=lines.od * np.float32(1 - hematoxylin)))
    fringe = region_values(regions, "fringe_od")
    if fringe.any():
        width = stream(seed, 59).uniform(*_SEAM_UM)
        for sign in (1, -1):
            for factor, added in ((1.0, -sign), (_FRINGE_WIDTH, sign)):
                seam = np.zeros_like(maps.neutral)
                od = np.maximum(sign * fringe, 0) / factor
                put(seam, borders_of(block, od, width * factor))
                maps.neutral[:] += np.float32(added) * seam
    lines = lines_of(block, np.flatnonzero(block.paint.intensity))
    fray = region_values(regions, "fray")
    if fray.any():
        lines = lines.joined(streaks_of(lines, fray[lines.region], stream(seed, 57, *key)))
    put(maps.d, lines)


def borders_of(block: Block, od: NDArray[np.float64], width_um: float) -> _Lines:
    """Return the sides of all cells that stand, as lines of no class; `od` of each region."""
    kept = np.append(block.is_kept, False)
    # A side to what lies outside has no second cell.
    beside = kept[block.graph.side_a] | kept[np.maximum(block.graph.side_b, -1)]
    lines = lines_of(block, np.flatnonzero(np.repeat(beside, np.diff(block.graph.segment_start))))
    return replace(
        lines,
        od=od[lines.region].astype(np.float32),
        width_um=np.full(len(lines.od), width_um, np.float32),
        intensity=np.zeros(len(lines.od), np.uint8),
    )


def lines_of(block: Block, segments: NDArray[np.intp]) -> _Lines:
    """Return segments of a block's sides as straight pieces."""
    graph = block.graph
    side = np.searchsorted(graph.segment_start, segments, side="right") - 1
    point = segments + side
    return _Lines(
        graph.point_x[point],
        graph.point_y[point],
        graph.point_x[point + 1],
        graph.point_y[point + 1],
        block.paint.od[segments],
        block.paint.width_um[segments],
        block.paint.intensity[segments],
        block.region[graph.side_a[side]],
    )


def streaks_of(lines: _Lines, fray: NDArray[np.float64], rng: np.random.Generator) -> _Lines:
    """Draw at random the streaks that leave lines, of no class; `fray` of each line, 0–1."""
    left = lines.select(rng.random(len(fray)) < _STREAK_CHANCE * fray)
    n = len(left.od)
    turn = rng.normal(0, _STREAK_TURN, n) + np.pi * rng.integers(0, 2, n)
    angle = np.arctan2(left.y_to - left.y_from, left.x_to - left.x_from) + turn
    length = rng.uniform(*_STREAK_UM, n)
    return replace(
        left,
        x_to=left.x_from + length * np.cos(angle),
        y_to=left.y_from + length * np.sin(angle),
        od=left.od * rng.uniform(*_STREAK_OD, n).astype(np.float32),
        width_um=left.width_um * rng.uniform(*_STREAK_WIDTH, n).astype(np.float32),
        intensity=np.zeros(n, np.uint8),
    )
