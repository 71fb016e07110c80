"""One block of the scene: every cell in it, its stain and its truth, made from seed and place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Pattern
from her2path.synth.cell_kinds import CellKind
from her2path.synth.cells import CellGraph, Polygons, polygons_to_graph, voronoi_cells
from her2path.synth.cytoplasm import Cytoplasm, Dots, dots_beside_nuclei, stain_cytoplasm
from her2path.synth.growth import Epithelium, grow_epithelium
from her2path.synth.inclusions import nests_beside
from her2path.synth.layout import NestKind, block_grid
from her2path.synth.membranes import UNDECIDED, MembraneTruth
from her2path.synth.noise import noise_tile, stream
from her2path.synth.nuclei import (
    Moments,
    Nuclei,
    defocused,
    epithelial_nuclei,
    polygon_moments,
)
from her2path.synth.painting import Paint
from her2path.synth.parting import parted
from her2path.synth.recipe import SlideRecipe
from her2path.synth.staining import draw_stain, stain_cells

__all__ = ["Block", "build_block"]


@dataclass(frozen=True, slots=True)
class Block:
    """All epithelial cells that a block owns.

    Attributes
    ----------
    graph : CellGraph
        Cells and sides, also of cells that were taken out (their neighbours need the sides).
    is_kept : ndarray of shape (n,), bool
        Cells that stand in the tissue.
    has_nucleus : ndarray of shape (n,), bool
        Cells whose nucleus lies in the section.
    kind : ndarray of shape (n,), uint8
        As `CellKind`.
    region, nest : ndarray of shape (n,), int32
        Region of the recipe; nest within the block.
    paint : Paint
        Stain on the sides.
    truth : MembraneTruth
        What the outlines show.
    nuclei : Nuclei
        One per cell.
    cytoplasm : Cytoplasm
        Stain between nucleus and outline.
    dots : Dots
        Brown beside nuclei.
    lumens : ndarray of shape (k, 4), float64
        Holes in epithelium: x, y, radius (µm) and kind (0 clear, 1 secretion, 2 necrosis).
    lumen_start, lumen_x, lumen_y : ndarray
        Outlines of the lumens of glands.
    vacuoles : ndarray of shape (k, 4), float64
        Clear discs in cells: x, y, radius (µm) and cell.
    """

    graph: CellGraph
    is_kept: NDArray[np.bool_]
    has_nucleus: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    region: NDArray[np.int32]
    nest: NDArray[np.int32]
    paint: Paint
    truth: MembraneTruth
    nuclei: Nuclei
    cytoplasm: Cytoplasm
    dots: Dots
    lumens: NDArray[np.float64]
    lumen_start: NDArray[np.int64]
    lumen_x: NDArray[np.float64]
    lumen_y: NDArray[np.float64]
    vacuoles: NDArray[np.float64]

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """Cells that stand in the tissue and show a nucleus, shape (n,): those that are known."""
        return self.is_kept & self.has_nucleus


def build_block(recipe: SlideRecipe, column: int, row: int, *, seed: int) -> Block:
    """Make the cells of one block.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    column, row : int
        Place of the block in `layout.block_grid`.
    seed : int
        Seed of the scene.
    """
    columns, rows = block_grid(recipe)
    if not (0 <= column < columns and 0 <= row < rows):
        raise ValueError(f"block ({column}, {row}) is outside the grid {columns} × {rows}")
    nests = nests_beside(recipe, column, row, seed=seed)
    rng = stream(seed, 31, column, row)
    tissue = grow_epithelium(nests, recipe, seed=seed)
    warp = noise_tile(seed, 32, rolloff=1.2)
    nest = tissue.cell_nest
    region = np.array([item.region for item in nests] or [0], dtype=np.int32)[nest]
    wobble = np.array([r.wobble for r in recipe.all_regions])[region]
    graph = polygons_to_graph(_polygons(tissue), warp, wobble)
    n = graph.n_cells
    nest_kind = np.array([int(item.kind) for item in nests] or [0], dtype=np.uint8)[nest]
    kind = np.full(n, CellKind.TUMOR, np.uint8)
    kind[(nest_kind == NestKind.BENIGN) | (nest_kind == NestKind.SQUAMOUS)] = CellKind.BENIGN
    kind[nest_kind == NestKind.DCIS] = CellKind.IN_SITU
    if recipe.control:
        kind[region == len(recipe.regions)] = CellKind.CONTROL
    moments = polygon_moments(*graph.outlines())
    nuclei = epithelial_nuclei(moments, tissue, kind, recipe.all_regions, region, rng)
    nuclei, vacuoles = _vacuoles(recipe, moments, nuclei, tissue, region, seed, (column, row))
    share = np.array([r.defocus_share for r in recipe.all_regions])[region]
    if share.any():
        nuclei = defocused(nuclei, share, stream(seed, 38, column, row))
    has_nucleus = np.ones(n, np.bool_)
    passed = np.array([r.passed_share for r in recipe.all_regions])[region]
    if passed.any():
        has_nucleus = stream(seed, 43, column, row).random(n) >= passed
    # A cell lies where its nucleus does: that is how it is counted.
    is_countable = (
        has_nucleus
        & (nuclei.x >= 0)
        & (nuclei.x < recipe.width_um)
        & (nuclei.y >= 0)
        & (nuclei.y < recipe.height_um)
    )
    drawn = draw_stain(recipe, tissue, region, moments, seed=seed, block=(column, row))
    paint, truth, surplus = stain_cells(graph, recipe, drawn, kind, region, is_countable)
    # Between incomplete and complete lie only cells that are not counted, or taken out.
    truth = replace(
        truth,
        pattern=np.where(truth.pattern == UNDECIDED, Pattern.INCOMPLETE, truth.pattern).astype(
            np.uint8
        ),
    )
    gap = np.array([r.gap_um for r in recipe.all_regions])[region]
    if gap.any():
        gap = gap * stream(seed, 39, column, row).uniform(0.4, 1.6, n)
        graph, paint = parted(graph, paint, moments, gap, ~surplus)
    tone = np.exp(rng.normal(0, 0.25, max(1, len(nests))))[nest]
    place = (column, row)
    return Block(
        graph=graph,
        is_kept=~surplus,
        has_nucleus=has_nucleus,
        kind=kind,
        region=region,
        nest=nest,
        paint=paint,
        truth=truth,
        nuclei=nuclei,
        cytoplasm=stain_cytoplasm(recipe, tone, region, kind, rng, seed=seed, block=place),
        dots=dots_beside_nuclei(recipe, nuclei, region, seed=seed, block=place),
        lumens=tissue.lumens,
        lumen_start=tissue.lumen_start,
        lumen_x=tissue.lumen_x,
        lumen_y=tissue.lumen_y,
        vacuoles=vacuoles,
    )


def _vacuoles(
    recipe: SlideRecipe,
    moments: Moments,
    nuclei: Nuclei,
    tissue: Epithelium,
    region: NDArray[np.int32],
    seed: int,
    block: tuple[int, int],
) -> tuple[Nuclei, NDArray[np.float64]]:
    """Give cells vacuoles, towards the lumen where there is one; they push the nucleus aside."""
    share = np.array([r.vacuole_share for r in recipe.all_regions])[region]
    if not share.any():
        return nuclei, np.zeros((0, 4))
    n = len(moments.x)
    u, v, w = stream(seed, 35, *block).random((3, n))
    cells = np.flatnonzero((u < share) & (moments.short_um > 2))
    away = np.arctan2(moments.y - tissue.base_y, moments.x - tissue.base_x)
    angle = np.where(np.isnan(away), 2 * math.pi * v, away)[cells]
    radius = moments.short_um[cells] * (0.55 + 0.4 * w[cells])
    off = 0.45 * np.where(np.isnan(away), moments.short_um, moments.long_um)[cells]
    ux, uy = np.cos(angle), np.sin(angle)
    x, y = nuclei.x.copy(), nuclei.y.copy()
    x[cells] -= 0.6 * off * ux
    y[cells] -= 0.6 * off * uy
    place = [moments.x[cells] + off * ux, moments.y[cells] + off * uy, radius, cells]
    return replace(nuclei, x=x, y=y), np.column_stack(place)


def _polygons(tissue: Epithelium) -> Polygons:
    """Join Voronoi cells (holes dropped) and columnar cells into one list of polygons."""
    start, vx, vy, neighbour = voronoi_cells(
        tissue.x, tissue.y, tissue.nest, tissue.limit_um, tissue.hole
    )
    cells = np.flatnonzero(tissue.hole == 0)
    rank = np.full(len(tissue.x) + 1, -1, np.int64)
    rank[cells] = np.arange(len(cells))
    neighbour = np.where(neighbour >= 0, rank[neighbour], neighbour).astype(np.int32)
    counts = np.diff(start)[cells]
    offset = len(cells)
    column_neighbour = np.where(
        tissue.column_neighbour >= 0, tissue.column_neighbour + offset, tissue.column_neighbour
    ).astype(np.int32)
    counts = np.concatenate([counts, np.diff(tissue.column_start)])
    return Polygons(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([vx, tissue.column_x]),
        np.concatenate([vy, tissue.column_y]),
        np.concatenate([neighbour, column_neighbour]),
    )
