"""Cells in nests: points of solid, cribriform and single-file growth, columns of glands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.synth.cells import HOLE, LUMEN, OUTSIDE, RIM
from her2path.synth.layout import N_RADII, Nest, NestKind
from her2path.synth.noise import stream
from her2path.synth.recipe import RegionRecipe, SlideRecipe
from her2path.synth.strata import Strata, border_of, stratified_cells

__all__ = ["Epithelium", "grow_epithelium"]

CLEAR, SECRETION, NECROSIS = 0.0, 1.0, 2.0
# Tall cells cut across are as wide as columns are, not as large as cells of solid nests.
_ACROSS = 0.72


@dataclass(frozen=True, slots=True)
class Epithelium:
    """Points that become Voronoi cells, then columnar cells as ready polygons.

    Attributes
    ----------
    x, y, limit_um : ndarray of shape (p,), float64
        Point and largest radius of its cell, µm.
    nest : ndarray of shape (p,), int32
        Nest of each point, ascending.
    hole : ndarray of shape (p,), uint8
        0 where a point is a cell; HOLE stands for a lumen or necrosis, RIM for the border.
    column_start, column_x, column_y, column_neighbour : ndarray
        Polygons of columnar cells, as `cells.voronoi_cells` returns them.
    cell_nest : ndarray of shape (n,), int32
        Nest of each cell: first the points that are no holes, then the columns.
    is_column : ndarray of shape (n,), bool
        Columnar cells.
    base_x, base_y : ndarray of shape (n,), float64
        Middle of the basal side; NaN where the cell has none.
    lumens : ndarray of shape (k, 4), float64
        Discs without cells: x, y, radius, kind.
    lumen_start, lumen_x, lumen_y : ndarray
        Outlines of the lumens of glands.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    limit_um: NDArray[np.float64]
    nest: NDArray[np.int32]
    hole: NDArray[np.uint8]
    column_start: NDArray[np.int64]
    column_x: NDArray[np.float64]
    column_y: NDArray[np.float64]
    column_neighbour: NDArray[np.int32]
    cell_nest: NDArray[np.int32]
    is_column: NDArray[np.bool_]
    base_x: NDArray[np.float64]
    base_y: NDArray[np.float64]
    lumens: NDArray[np.float64]
    lumen_start: NDArray[np.int64]
    lumen_x: NDArray[np.float64]
    lumen_y: NDArray[np.float64]


def grow_epithelium(nests: list[Nest], recipe: SlideRecipe, *, seed: int) -> Epithelium:
    """Fill nests with cells."""
    points: list[NDArray[np.float64]] = []
    columns: list[tuple[int, Strata]] = []
    lumens: list[tuple[float, float, float, float]] = []
    for position, nest in enumerate(nests):
        rng = stream(seed, 41, nest.region, nest.column, nest.row)
        region = recipe.all_regions[nest.region]
        made = _grow_columns(nest, region, rng, seed=seed)
        if made is not None:
            columns.append((position, made))
            continue
        table, holes = _grow_points(nest, region, rng)
        lumens.extend(holes)
        points.append(np.column_stack([table, np.full(len(table), position)]))
    return _joined(points, columns, lumens)


def _grow_columns(
    nest: Nest, region: RegionRecipe, rng: np.random.Generator, *, seed: int
) -> Strata | None:
    """Return the columns of a nest; None where it has none, or is too small for them."""
    if (nest.kind == NestKind.STRATIFIED and not nest.is_grazed) or (
        nest.kind == NestKind.BENIGN and nest.is_smooth
    ):
        own = stream(seed, 42, nest.region, nest.column, nest.row)
        return stratified_cells(nest, region.cell_um, own)
    if nest.kind in (NestKind.GLAND, NestKind.BENIGN):
        return _columns(nest, rng)
    return None


def _grow_points(
    nest: Nest, region: RegionRecipe, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[tuple[float, float, float, float]]]:
    """Return points (x, y, limit, hole) of a nest that become Voronoi cells, and its lumens."""
    cell = region.cell_um * rng.uniform(0.92, 1.1)
    if nest.is_grazed:
        cell *= _ACROSS
    holes: list[tuple[float, float, float, float]] = []
    if nest.kind == NestKind.SCATTERED:
        table = _apart(nest, cell, rng)
    else:
        table, holes = _points(nest, cell, region, rng)
    return (_filled(table, nest, cell) if nest.is_smooth else table), holes


def _joined(
    points: list[NDArray[np.float64]],
    columns: list[tuple[int, Strata]],
    lumens: list[tuple[float, float, float, float]],
) -> Epithelium:
    """Join points, and columns with the position of their nest, of all nests."""
    table = np.concatenate(points) if points else np.zeros((0, 5))
    hole = table[:, 3].astype(np.uint8)
    n_points = int((hole == 0).sum())
    polygons = [polygon for _, made in columns for polygon in made.polygons]
    n_round = np.array([len(made.polygons) for _, made in columns], dtype=np.int64)
    first = np.cumsum(n_round) - n_round
    neighbours = [
        np.where(other >= 0, other + before, other).astype(np.int32)
        for (_, made), before in zip(columns, first, strict=True)
        for other in made.neighbours
    ]
    column_nest = np.repeat(np.array([position for position, _ in columns], np.int64), n_round)
    is_column = np.repeat(np.array([made.is_column for _, made in columns], bool), n_round)
    bases = np.full((n_points + len(polygons), 2), np.nan)
    if polygons:
        bases[n_points:] = np.concatenate([made.base for _, made in columns])
    outlines = [made.lumen for _, made in columns]
    return Epithelium(
        x=table[:, 0].copy(),
        y=table[:, 1].copy(),
        limit_um=table[:, 2].copy(),
        nest=table[:, 4].astype(np.int32),
        hole=hole,
        column_start=np.concatenate([[0], np.cumsum([len(p) for p in polygons])]).astype(np.int64),
        column_x=np.concatenate([p[:, 0] for p in polygons]) if polygons else np.zeros(0),
        column_y=np.concatenate([p[:, 1] for p in polygons]) if polygons else np.zeros(0),
        column_neighbour=np.concatenate(neighbours) if polygons else np.zeros(0, dtype=np.int32),
        cell_nest=np.concatenate([table[hole == 0, 4], column_nest]).astype(np.int32),
        is_column=np.concatenate([np.zeros(n_points, bool), is_column]),
        base_x=bases[:, 0].copy(),
        base_y=bases[:, 1].copy(),
        lumens=np.array(lumens, dtype=np.float64).reshape(-1, 4),
        lumen_start=np.concatenate([[0], np.cumsum([len(o) for o in outlines])]).astype(np.int64),
        lumen_x=np.concatenate([o[:, 0] for o in outlines]) if outlines else np.zeros(0),
        lumen_y=np.concatenate([o[:, 1] for o in outlines]) if outlines else np.zeros(0),
    )


def _radius_at(nest: Nest, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    position = np.mod(angle / (2 * math.pi) * N_RADII, N_RADII)
    low = np.floor(position).astype(np.int64) % N_RADII
    t = position - np.floor(position)
    return (1 - t) * nest.radii[low] + t * nest.radii[(low + 1) % N_RADII]


def _points(
    nest: Nest, cell: float, region: RegionRecipe, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[tuple[float, float, float, float]]]:
    """Return points (x, y, limit, is_hole) on a jittered triangular lattice, and holes."""
    largest = float(nest.radii.max())
    if nest.kind == NestKind.CORD:
        local = _cord(largest, cell, rng)
    else:
        longer = math.sqrt(region.cell_stretch) if nest.is_smooth else 1.0
        step = math.ceil(longer * largest / (0.86 * cell)) + 1
        a, b = np.meshgrid(np.arange(-step, step + 1), np.arange(-step, step + 1))
        local = np.column_stack([(a + 0.5 * (b % 2)).ravel(), (0.866 * b).ravel()]) * cell
        local += rng.normal(0, 0.17 * cell, local.shape)
        turn = rng.uniform(0, math.pi)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        # Flow: nests are a little stretched, and so are the cells in them.
        stretch = math.exp(rng.normal(0, 0.09)) * longer
        local = local @ (rotation * np.array([stretch, 1 / stretch])) @ rotation.T
    angle = np.arctan2(local[:, 1], local[:, 0])
    reach = np.hypot(local[:, 0], local[:, 1])
    inside = reach < _radius_at(nest, angle) - 0.5 * cell
    local = local[inside]
    is_hole = np.zeros(len(local), dtype=bool)
    holes: list[tuple[float, float, float, float]] = []
    if nest.kind in (NestKind.CRIBRIFORM, NestKind.DCIS) and largest > 3 * cell:
        for _ in range(int(rng.integers(1, 5))):
            r = rng.uniform(0, 0.6) * float(nest.radii.mean())
            direction = rng.uniform(0, 2 * math.pi)
            hx, hy = r * math.cos(direction), r * math.sin(direction)
            size = rng.uniform(0.55, 1.3) * cell
            is_hole |= np.hypot(local[:, 0] - hx, local[:, 1] - hy) < size
            holes.append((nest.x + hx, nest.y + hy, size + 0.55 * cell, float(rng.random() < 0.4)))
    elif (
        nest.kind in (NestKind.SOLID, NestKind.DCIS)
        and largest > 4.5 * cell
        and rng.random() < region.necrosis_share
    ):
        size = 0.45 * float(nest.radii.mean())
        is_hole |= np.hypot(local[:, 0], local[:, 1]) < size
        holes.append((nest.x, nest.y, size + 0.5 * cell, NECROSIS))
    elif nest.is_grazed and largest > 3.5 * cell and rng.random() < 0.5:
        # The end of its lumen, to one side.
        r, direction = 0.4 * float(nest.radii.mean()), rng.uniform(0, 2 * math.pi)
        hx, hy = r * math.cos(direction), r * math.sin(direction)
        size = rng.uniform(0.6, 1.4) * cell
        is_hole |= np.hypot(local[:, 0] - hx, local[:, 1] - hy) < size
        holes.append((nest.x + hx, nest.y + hy, size + 0.5 * cell, CLEAR))
    limit = cell * rng.uniform(0.66, 0.78, len(local))
    return (
        np.column_stack([local + np.array([nest.x, nest.y]), limit, is_hole * HOLE]),
        holes,
    )


def _apart(nest: Nest, cell: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (x, y, limit, hole) of single round cells that rarely touch."""
    pitch = cell * rng.uniform(1.25, 2.4)
    largest = float(nest.radii.max())
    step = np.arange(-math.ceil(largest / pitch), math.ceil(largest / pitch) + 1)
    a, b = np.meshgrid(step, step)
    local = (np.column_stack([(a + 0.5 * (b % 2)).ravel(), 0.9 * b.ravel()])) * pitch
    local += rng.uniform(-0.42, 0.42, local.shape) * pitch
    reach = np.hypot(local[:, 0], local[:, 1])
    inside = reach < _radius_at(nest, np.arctan2(local[:, 1], local[:, 0])) - 0.5 * cell
    local = local[inside & (rng.random(len(local)) < rng.uniform(0.5, 1.0))]
    limit = cell * rng.uniform(0.40, 0.62, len(local))
    return np.column_stack([local + np.array([nest.x, nest.y]), limit, np.zeros(len(local))])


def _filled(table: NDArray[np.float64], nest: Nest, cell: float) -> NDArray[np.float64]:
    """Let the cells of a nest grow to its border: mirrored points beyond it cut them there."""
    border = border_of(nest)
    to = table[:, None, :2] - border[None]
    far = np.hypot(to[..., 0], to[..., 1])
    nearest = far.argmin(axis=1)
    gap = far[np.arange(len(table)), nearest]
    kept = gap > 0.3 * cell
    table, gap, nearest = table[kept].copy(), gap[kept], nearest[kept]
    table[:, 2] = np.maximum(table[:, 2], 1.3 * cell)
    outer = gap < 1.4 * cell
    mirrored = table[outer].copy()
    mirrored[:, :2] = 2 * border[nearest[outer]] - mirrored[:, :2]
    mirrored[:, 3] = RIM
    return np.concatenate([table, mirrored])


def _cord(largest: float, cell: float, rng: np.random.Generator) -> NDArray[np.float64]:
    direction = rng.uniform(0, math.pi)
    s = np.arange(-largest, largest, 0.82 * cell)
    bend = rng.uniform(-0.25, 0.25) * largest * np.sin(s / largest * rng.uniform(1.5, 3))
    along = np.column_stack([s, bend + rng.normal(0, 0.08 * cell, len(s))])
    c, d = math.cos(direction), math.sin(direction)
    return along @ np.array([[c, d], [-d, c]])


def _columns(nest: Nest, rng: np.random.Generator) -> Strata | None:
    """Return four-sided columnar cells (base, right, apex, left) round a lumen."""
    mean_radius = float(nest.radii.mean())
    if float(nest.radii.min()) < 14:
        return None
    benign = nest.kind == NestKind.BENIGN
    height = min(rng.uniform(11, 16) if benign else rng.uniform(22, 42), 0.86 * mean_radius)
    width = rng.uniform(6.5, 8.5) if benign else rng.uniform(4.8, 7.4)
    # The base is the widest place; a cell is as wide as asked half way up.
    n = max(7, round(2 * math.pi * (mean_radius - 0.4 * height) / width))
    step = np.exp(rng.normal(0, 0.16, n))
    angle = np.cumsum(step) / step.sum() * 2 * math.pi + rng.uniform(0, 2 * math.pi)
    outer = _radius_at(nest, angle) * (1 + rng.normal(0, 0.008, n))
    wave = (
        1
        + 0.10 * np.cos(2 * angle + rng.uniform(0, 6))
        + 0.06 * np.cos(3 * angle + rng.uniform(0, 6))
    )
    inner = np.maximum(outer - height * wave, 0.08 * outer)
    lean = rng.normal(0, 0.18, n) * (2 * math.pi / n)
    base = np.column_stack([nest.x + outer * np.cos(angle), nest.y + outer * np.sin(angle)])
    top_angle = angle + lean
    apex = np.column_stack([nest.x + inner * np.cos(top_angle), nest.y + inner * np.sin(top_angle)])
    after_base, after_apex = np.roll(base, -1, axis=0), np.roll(apex, -1, axis=0)
    polygons = [np.stack([base[i], after_base[i], after_apex[i], apex[i]]) for i in range(n)]
    middle = (base + after_base) / 2
    neighbours = [
        np.array([OUTSIDE, (i + 1) % n, LUMEN, (i - 1) % n], dtype=np.int32) for i in range(n)
    ]
    return Strata(polygons, neighbours, middle, apex, is_column=True)
