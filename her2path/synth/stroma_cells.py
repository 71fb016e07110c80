"""Cells of the stroma: spindle cells, lymphocytes, plasma cells and endothelium."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.cell_kinds import CellKind
from her2path.synth.layout import N_RADII, Nest, region_at, tissue_depth
from her2path.synth.matter import draw_bodies
from her2path.synth.noise import sample, stream
from her2path.synth.nuclei import EDGE_UM, NUCLEUS_OD, Nuclei, join_nuclei
from her2path.synth.recipe import RegionRecipe, SlideRecipe
from her2path.synth.stain_maps import Grid, StainMaps
from her2path.synth.stroma import StromaNoise, region_values
from her2path.synth.stroma_places import (
    clefts_at_points,
    directions_at,
    is_in_fat,
    mesh_at_points,
    muscle_at_points,
)

__all__ = [
    "StromaCells",
    "activated_cells",
    "clear_of_nests",
    "draw_stroma_bodies",
    "join_stroma",
    "near_one",
    "stroma_cells",
]

_FIBROBLAST_UM = 22.0
_LYMPHOCYTE_UM = 8.0
# Activated fibroblasts: places, and how far from a nest they are found.
_ACTIVATED_UM = 12.0
_ACTIVATED_REACH_UM = 32.0


@dataclass(frozen=True, slots=True)
class StromaCells:
    """Cells of the stroma of one block.

    Attributes
    ----------
    kind : ndarray of shape (n,), uint8
        As `CellKind`.
    region : ndarray of shape (n,), int32
        Region of the recipe.
    nuclei : Nuclei
        One per cell.
    body_off_um : ndarray of shape (n,), float64
        How far the cytoplasm's centre lies from the nucleus's, along the nucleus.
    body_a_um, body_b_um : ndarray of shape (n,), float32
        Half axes of the cytoplasm, which lies as the nucleus does.
    body_h_od, body_dab_od : ndarray of shape (n,), float64
        Stain of the cytoplasm; where that of hematoxylin is 0 none is drawn.
    """

    kind: NDArray[np.uint8]
    region: NDArray[np.int32]
    nuclei: Nuclei
    body_off_um: NDArray[np.float64]
    body_a_um: NDArray[np.float32]
    body_b_um: NDArray[np.float32]
    body_h_od: NDArray[np.float64]
    body_dab_od: NDArray[np.float64]

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> StromaCells:
        """Return the cells that `index` (a mask or positions) picks."""
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "nuclei"}
        chosen = {name: values[index] for name, values in parts.items()}
        return StromaCells(nuclei=self.nuclei.select(index), **chosen)


def join_stroma(parts: list[StromaCells]) -> StromaCells:
    """Return the cells of several lists (at least one) in order."""
    names = [f.name for f in fields(StromaCells) if f.name != "nuclei"]
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return StromaCells(nuclei=join_nuclei([p.nuclei for p in parts]), **joined)


def stroma_cells(
    recipe: SlideRecipe,
    noise: StromaNoise,
    nests: list[Nest],
    bounds: tuple[float, float, float, float],
    *,
    seed: int,
    block: tuple[int, int],
) -> StromaCells:
    """Scatter fibroblasts, endothelium, lymphocytes and plasma cells between the nests.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    noise : StromaNoise
        The noise that the collagen is drawn with: nuclei lie along it.
    nests : list of Nest
        All nests that may reach into the block.
    bounds : tuple (x, y, right, bottom)
        The block, µm.
    seed, block :
        Name the random stream.
    """
    regions = recipe.all_regions
    rng = stream(seed, 51, *block)
    fx, fy = _scatter_spindles(recipe, bounds, rng, seed=seed, block=block)
    lx, ly = _scatter_round(recipe, noise, bounds, rng)
    x, y = np.concatenate([fx, lx]), np.concatenate([fy, ly])
    is_round = np.arange(len(x)) >= len(fx)
    region = region_at(x, y, recipe).astype(np.int32)
    retraction = region_values(regions, "retraction_um")[region]
    clear = clear_of_nests(x, y, nests, np.where(is_round, 3.2, 3.0) + 0.8 * retraction)
    clear &= tissue_depth(x, y, recipe, seed=seed) > 4
    clear &= _has_room(x, y, is_round, region, regions, noise)
    x, y, is_round, region = x[clear], y[clear], is_round[clear], region[clear]
    n = len(x)
    direction = directions_at(x, y, noise.coarse) + rng.normal(0, 0.3, n)
    is_plasma = is_round & (rng.random(n) < 0.22)
    u = rng.random(n)
    a, b = _half_axes(is_round, u < 0.3, rng)
    # Where they are many they are small.
    small = np.where(is_round, 1.0, region_values(regions, "stroma_cells")[region] ** -0.2)
    shape = _Shape(a * small, b * small, direction, np.ones(n))
    mesh = region_values(regions, "mesh_share")
    if mesh.any():
        in_mesh = ~is_round & (mesh_at_points(x, y, mesh[region], noise.coarse) > 0)
        shape = shape.in_mesh(in_mesh, stream(seed, 55, *block))
    muscle = region_values(regions, "muscle_share")
    if muscle.any():
        shape = shape.in_muscle(muscle_at_points(x, y, muscle[region], noise.coarse) > 0, rng)
    a, b, direction, pale = shape
    # Where the tumor's nuclei are pale or dark, these are so too, if less.
    pale = pale * np.sqrt(region_values(regions, "nucleus_od") / NUCLEUS_OD)[region]
    mottle = region_values(regions, "stroma_mottle")[region]
    nuclei = Nuclei(
        x=x,
        y=y,
        a_um=np.maximum(a, b).astype(np.float32),
        b_um=np.minimum(a, b).astype(np.float32),
        angle=np.where(is_round, rng.uniform(0, math.pi, n), direction).astype(np.float32),
        h_od=np.clip(
            np.where(is_round, rng.normal(0.28, 0.05, n), pale * rng.normal(0.17, 0.05, n)),
            0.12,
            0.9,
        ).astype(np.float32),
        vesicular=np.where(~is_round & (u < 0.3), 0.45, 0.05).astype(np.float32),
        clumping=(mottle * np.where(is_round, 0.34, 0.2)).astype(np.float32),
        nucleoli=np.zeros(n, np.uint8),
        phase=rng.uniform(0, 512, n).astype(np.float32),
        edge_um=np.full(n, EDGE_UM),
    )
    spindle = np.where(u > 0.85, CellKind.ENDOTHELIUM, CellKind.STROMA)
    kind = np.where(is_round, CellKind.LYMPHOCYTE, spindle)
    kind = np.where(is_plasma, CellKind.PLASMA, kind).astype(np.uint8)
    return _with_bodies(kind, region, nuclei, region_values(regions, "stroma_bodies_od")[region])


class _Shape(NamedTuple):
    """Half axes (µm) and direction of nuclei, and a factor on their hematoxylin."""

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    direction: NDArray[np.float64]
    pale: NDArray[np.float64]

    def in_mesh(self, inside: NDArray[np.bool_], rng: np.random.Generator) -> _Shape:
        """Return the shapes where some lie in a mesh: it has no direction, its cells are stubby."""
        turn = rng.uniform(0, math.pi, len(inside))
        return self._replace(
            a=np.where(inside, 0.62 * self.a, self.a),
            b=np.where(inside, 1.35 * self.b, self.b),
            direction=np.where(inside, turn, self.direction),
        )

    def in_muscle(self, inside: NDArray[np.bool_], rng: np.random.Generator) -> _Shape:
        """Return the shapes where some lie in muscle, whose own nuclei are long, pale rods."""
        return self._replace(
            a=np.where(inside, 8.5 * near_one(rng, len(inside)), self.a),
            b=np.where(inside, 1.7, self.b),
            pale=np.where(inside, 0.8, 1.0),
        )


def _scatter_spindles(
    recipe: SlideRecipe,
    bounds: tuple[float, float, float, float],
    rng: np.random.Generator,
    *,
    seed: int,
    block: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places of spindle cells, as many as each region asks for."""
    wanted = region_values(recipe.all_regions, "stroma_cells")
    x, y = _scatter(bounds, _FIBROBLAST_UM / math.sqrt(wanted.max()), rng)
    if wanted.min() < wanted.max():
        share = wanted[region_at(x, y, recipe)] / wanted.max()
        keep = stream(seed, 52, *block).random(len(x)) < share
        x, y = x[keep], y[keep]
    return x, y


def _scatter_round(
    recipe: SlideRecipe,
    noise: StromaNoise,
    bounds: tuple[float, float, float, float],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places of lymphocytes and plasma cells, in crowds."""
    x, y = _scatter(bounds, _LYMPHOCYTE_UM, rng)
    wanted = region_values(recipe.all_regions, "lymphocytes")[region_at(x, y, recipe)]
    crowd = _crowd(x, y, noise.coarse)
    keep = rng.random(len(x)) < np.clip(wanted / 1000 * _LYMPHOCYTE_UM**2 * crowd, 0, 0.85)
    return x[keep], y[keep]


def _has_room(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    is_round: NDArray[np.bool_],
    region: NDArray[np.int32],
    regions: tuple[RegionRecipe, ...],
    noise: StromaNoise,
) -> NDArray[np.bool_]:
    """Return which places lie outside fat and clefts; few round cells wander into muscle."""
    fat = region_values(regions, "fat_share")
    room = ~is_in_fat(x, y, fat[region], noise.coarse)
    muscle, cleft = region_values(regions, "muscle_share"), region_values(regions, "cleft_share")
    if muscle.any() or cleft.any():
        room &= ~(is_round & (muscle_at_points(x, y, muscle[region], noise.coarse) > 0))
        room &= clefts_at_points(x, y, cleft[region], noise.coarse) < -0.1
    return room


def _half_axes(
    is_round: NDArray[np.bool_], is_plump: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw half axes of nuclei, µm: discs, and spindles that are plump or thin."""
    n = len(is_round)
    a = np.where(
        is_round, rng.normal(2.9, 0.25, n), np.where(is_plump, 5.0, 7.2) * near_one(rng, n)
    )
    b = np.where(
        is_round, a * rng.uniform(0.82, 1.0, n), np.where(is_plump, 2.3, 1.3) * near_one(rng, n)
    )
    return a, b


def _with_bodies(
    kind: NDArray[np.uint8],
    region: NDArray[np.int32],
    nuclei: Nuclei,
    od: NDArray[np.float64],
) -> StromaCells:
    """Give cytoplasm to plasma cells and plump fibroblasts; `od` is its hematoxylin OD."""
    is_plasma = kind == CellKind.PLASMA
    is_plump = (kind == CellKind.STROMA) & (nuclei.b_um > 1.9)
    return StromaCells(
        kind=kind,
        region=region,
        nuclei=nuclei,
        # A plasma cell's nucleus lies at one end of it.
        body_off_um=np.where(is_plasma, 2.2, 0.0),
        body_a_um=np.where(is_plasma, np.float32(5.2), 1.9 * nuclei.a_um).astype(np.float32),
        body_b_um=np.where(is_plasma, np.float32(4.2), 2.0 * nuclei.b_um).astype(np.float32),
        body_h_od=np.where(is_plasma | is_plump, od, 0.0) * np.where(is_plasma, 1.0, 0.6),
        body_dab_od=np.zeros(len(kind)),
    )


def activated_cells(
    recipe: SlideRecipe,
    noise: StromaNoise,
    nests: list[Nest],
    bounds: tuple[float, float, float, float],
    *,
    seed: int,
    block: tuple[int, int],
) -> StromaCells:
    """Return plump fibroblasts with oval pale nuclei, close to nests, as `stroma_cells` does."""
    share = region_values(recipe.all_regions, "activated_share")
    rng = stream(seed, 53, *block)
    x, y = _scatter(bounds, _ACTIVATED_UM, rng)
    region = region_at(x, y, recipe).astype(np.int32)
    # All along some nests, hardly any along others.
    crowd = _crowd(x, y, noise.coarse)
    wanted = rng.random(len(x)) < np.clip(share[region] * (0.35 + crowd), 0, 0.95)
    x, y, region = x[wanted], y[wanted], region[wanted]
    retraction = region_values(recipe.all_regions, "retraction_um")[region]
    clear = clear_of_nests(x, y, nests, 3.5 + 0.8 * retraction)
    clear &= ~clear_of_nests(x, y, nests, _ACTIVATED_REACH_UM + retraction)
    clear &= tissue_depth(x, y, recipe, seed=seed) > 5
    fat = region_values(recipe.all_regions, "fat_share")
    cleft = region_values(recipe.all_regions, "cleft_share")
    clear &= ~is_in_fat(x, y, fat[region], noise.coarse)
    clear &= clefts_at_points(x, y, cleft[region], noise.coarse) < -0.1
    x, y, region = x[clear], y[clear], region[clear]
    n = len(x)
    a = 5.2 * near_one(rng, n, 0.2)
    b = a * rng.uniform(0.36, 0.72, n)
    tone = np.sqrt(region_values(recipe.all_regions, "nucleus_od") / NUCLEUS_OD)[region]
    nuclei = Nuclei(
        x=x,
        y=y,
        a_um=a.astype(np.float32),
        b_um=b.astype(np.float32),
        angle=(directions_at(x, y, noise.coarse) + rng.normal(0, 0.45, n)).astype(np.float32),
        h_od=np.clip(tone * rng.normal(0.14, 0.03, n), 0.04, 0.9).astype(np.float32),
        vesicular=rng.uniform(0.2, 0.9, n).astype(np.float32),
        clumping=rng.uniform(0.15, 0.4, n).astype(np.float32),
        nucleoli=rng.choice(3, n, p=[0.5, 0.4, 0.1]).astype(np.uint8),
        phase=rng.uniform(0, 512, n).astype(np.float32),
        edge_um=np.full(n, EDGE_UM),
    )
    return StromaCells(
        kind=np.full(n, CellKind.STROMA, np.uint8),
        region=region,
        nuclei=nuclei,
        body_off_um=np.zeros(n),
        body_a_um=(a * rng.uniform(1.5, 2.4, n)).astype(np.float32),
        body_b_um=(b * rng.uniform(1.3, 1.9, n)).astype(np.float32),
        body_h_od=rng.uniform(0.02, 0.11, n),
        body_dab_od=np.zeros(n),
    )


def _scatter(
    bounds: tuple[float, float, float, float], pitch: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places in a block, about `pitch` µm apart."""
    x_from, y_from, x_to, y_to = bounds
    nx, ny = max(1, round((x_to - x_from) / pitch)), max(1, round((y_to - y_from) / pitch))
    gx, gy = np.meshgrid(np.arange(nx), np.arange(ny))
    x = x_from + (gx + rng.uniform(0.05, 0.95, gx.shape)) * (x_to - x_from) / nx
    y = y_from + (gy + rng.uniform(0.05, 0.95, gy.shape)) * (y_to - y_from) / ny
    return x.ravel(), y.ravel()


def draw_stroma_bodies(
    maps: StainMaps, cells: StromaCells, grid: Grid, fine: NDArray[np.float32]
) -> None:
    """Draw the cytoplasm of the cells that show any (in place)."""
    nuclei = cells.nuclei
    draw_bodies(
        maps.h,
        maps.d,
        maps.label,
        nuclei.x + cells.body_off_um * np.cos(nuclei.angle),
        nuclei.y + cells.body_off_um * np.sin(nuclei.angle),
        cells.body_a_um,
        cells.body_b_um,
        nuclei.angle,
        cells.body_h_od,
        cells.body_dab_od,
        *grid,
        fine,
    )


def near_one(rng: np.random.Generator, n: int, spread: float = 0.28) -> NDArray[np.float64]:
    """Return factors round 1, log-normal with this spread."""
    return np.exp(rng.normal(0, spread, n))


@nb.njit(cache=True)
def _crowd(
    x: NDArray[np.float64], y: NDArray[np.float64], coarse: NDArray[np.float32]
) -> NDArray[np.float64]:
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = np.exp(1.6 * sample(coarse, x[i] / 70.0 + 400.0, y[i] / 70.0) - 1.2)
    return out


def clear_of_nests(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    nests: list[Nest],
    margin: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which points lie outside all nests by at least `margin`."""
    clear = np.ones(len(x), dtype=bool)
    for nest in nests:
        largest = float(nest.radii.max()) + 5
        near = np.flatnonzero((np.abs(x - nest.x) < largest) & (np.abs(y - nest.y) < largest))
        dx, dy = x[near] - nest.x, y[near] - nest.y
        k = np.rint(np.arctan2(dy, dx) / (2 * math.pi) * N_RADII).astype(np.int64) % N_RADII
        clear[near[np.hypot(dx, dy) < nest.radii[k] + margin[near]]] = False
    return clear
