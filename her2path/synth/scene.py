"""A scene: any rectangle of a recipe's slide, drawn the same whatever is drawn before it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.synth.artefact_matter import draw_artefacts
from her2path.synth.artefacts import place_artefacts
from her2path.synth.blocks import Block, build_block
from her2path.synth.cell_kinds import CellKind
from her2path.synth.cytoplasm import Cytoplasm, draw_cytoplasm, draw_dots, fade_to_borders
from her2path.synth.drawing import draw_discs
from her2path.synth.inclusion_cells import inclusion_cells
from her2path.synth.inclusion_matter import draw_inclusions
from her2path.synth.inclusions import inclusion_at, nests_beside, place_inclusions
from her2path.synth.laboratory import Laboratory
from her2path.synth.layers import draw_membranes, draw_nuclei_of, label_cells
from her2path.synth.layout import Nest, block_grid, region_at, tissue_depth
from her2path.synth.matter import (
    FAR_UM,
    draw_edge_granules,
    draw_secretion,
    draw_vacuoles,
    nest_distance,
    quantile,
)
from her2path.synth.noise import noise_tile, stream
from her2path.synth.nuclei import EDGE_UM, defocused, join_nuclei
from her2path.synth.optics import expose, halo_px
from her2path.synth.recipe import SlideRecipe
from her2path.synth.scanning import unscanned
from her2path.synth.stain_maps import Grid, Lattice, StainMaps
from her2path.synth.stroma import StromaLook, StromaNoise, draw_stroma, region_values
from her2path.synth.stroma_cells import (
    StromaCells,
    activated_cells,
    draw_stroma_bodies,
    join_stroma,
    stroma_cells,
)

__all__ = ["Scene"]

# Blocks kept in memory, about 8 MB each where tumor is dense: three rows of a slide 30 mm wide,
# so that drawing row by row makes each block once.
_CACHED_BLOCKS = 90
_LATTICE_STEP = 8
# How much of the stroma's brown its nuclei cover.
_STROMA_CLEARING = 0.55
# How much the outlines of nuclei wander, as a share of their radius.
_ROUGHNESS = 0.10


class Scene:
    """The cells of a recipe under a seed, made block by block when first needed.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    seed : int
        The same seed and recipe give the same scene.
    """

    def __init__(self, recipe: SlideRecipe, *, seed: int) -> None:
        if not 0 <= seed < 2**62:
            raise ValueError(f"seed must lie in 0 … 2⁶² − 1, got {seed}")
        self.recipe = recipe
        self.seed = seed
        self.columns, self.rows = block_grid(recipe)
        self._noise = StromaNoise(
            noise_tile(seed, 61, rolloff=1.0), noise_tile(seed, 62, rolloff=0.75)
        )
        self.artefacts = place_artefacts(recipe, seed=seed)
        self._inclusions = place_inclusions(recipe, seed=seed)
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._stroma: OrderedDict[tuple[int, int], StromaCells] = OrderedDict()
        self._nests: OrderedDict[tuple[int, int], list[Nest]] = OrderedDict()
        largest = max(region.nest_um for region in recipe.all_regions)
        # How far outside its block a nest's cells can reach.
        self.reach_um = 1.4 * largest + 30.0

    def block(self, column: int, row: int) -> Block:
        """Return the epithelium of a block."""
        key = (column, row)
        if key not in self._blocks:
            self._blocks[key] = build_block(self.recipe, column, row, seed=self.seed)
            if len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def stroma(self, column: int, row: int) -> StromaCells:
        """Return the cells of the stroma of a block."""
        key = (column, row)
        if key not in self._stroma:
            self._stroma[key] = self._stroma_of(column, row)
            if len(self._stroma) > _CACHED_BLOCKS:
                self._stroma.popitem(last=False)
        self._stroma.move_to_end(key)
        return self._stroma[key]

    def _stroma_of(self, column: int, row: int) -> StromaCells:
        bounds = self._bounds(column, row)
        # The widest nests reach further than the next block.
        nests = [n for key in self.blocks_near(*bounds) for n in self._nests_of(*key)]
        seed, block = self.seed, (column, row)
        cells = stroma_cells(self.recipe, self._noise, nests, bounds, seed=seed, block=block)
        if any(region.activated_share > 0 for region in self.recipe.all_regions):
            plump = activated_cells(self.recipe, self._noise, nests, bounds, seed=seed, block=block)
            cells = join_stroma([cells, plump])
        near = self._inclusions.near(bounds)
        if len(near):
            nuclei = cells.nuclei
            outside = inclusion_at(nuclei.x, nuclei.y, self._inclusions, near, margin_um=2.0) < 0
            own = inclusion_cells(self.recipe, self._inclusions, nests, bounds, seed=seed)
            cells = join_stroma([cells.select(outside), own])
        share = region_values(self.recipe.all_regions, "defocus_share")
        if share.any():
            nuclei = defocused(cells.nuclei, share[cells.region], stream(seed, 56, *block))
            cells = replace(cells, nuclei=nuclei)
        return cells

    def _nests_of(self, column: int, row: int) -> list[Nest]:
        key = (column, row)
        if key not in self._nests:
            self._nests[key] = nests_beside(self.recipe, column, row, seed=self.seed)
            if len(self._nests) > 4 * _CACHED_BLOCKS:
                self._nests.popitem(last=False)
        self._nests.move_to_end(key)
        return self._nests[key]

    def _bounds(self, column: int, row: int) -> tuple[float, float, float, float]:
        w, h = self.recipe.width_um / self.columns, self.recipe.height_um / self.rows
        return column * w, row * h, (column + 1) * w, (row + 1) * h

    def blocks_near(
        self, x_from: float, y_from: float, x_to: float, y_to: float
    ) -> list[tuple[int, int]]:
        """Return the blocks whose cells may reach into a rectangle (µm), in reading order."""
        near = []
        for row in range(self.rows):
            for column in range(self.columns):
                left, top, right, bottom = self._bounds(column, row)
                m = self.reach_um
                if (
                    left - m < x_to
                    and right + m > x_from
                    and top - m < y_to
                    and bottom + m > y_from
                ):
                    near.append((column, row))
        return near

    def stain_maps(self, x0: int, y0: int, width: int, height: int, mpp: float) -> StainMaps:
        """Draw the amounts of stain on a grid.

        Parameters
        ----------
        x0, y0, width, height : int
            The grid in its own pixels; may leave the slide.
        mpp : float
            µm per pixel of the grid.
        """
        maps, grid = StainMaps.blank(height, width), Grid(x0, y0, mpp)
        lattice = self._lattice(grid, maps.h.shape)
        if float(lattice.depth.max()) > 0:
            self._draw_tissue(maps, lattice, grid)
        draw_artefacts(self.artefacts, maps, lattice, grid, self._noise)
        return maps

    def _lattice(self, grid: Grid, shape: tuple[int, ...]) -> Lattice:
        """Return what changes slowly over maps of this shape; on glass no more than the depth."""
        (x0, y0, mpp), (height, width) = grid, shape
        step = _LATTICE_STEP
        x = (np.arange(x0 // step, (x0 + width) // step + 2)) * (step * mpp)
        y = (np.arange(y0 // step, (y0 + height) // step + 2)) * (step * mpp)
        gx, gy = np.meshgrid(x, y)
        depth = tissue_depth(gx, gy, self.recipe, seed=self.seed).astype(np.float32)
        if float(depth.max()) <= 0:
            far = np.full(depth.shape, FAR_UM, np.float32)
            return Lattice(step, depth, np.zeros(depth.shape, np.int16), far)
        distance = self._nest_distance(x, y, grid.frame(shape))
        return Lattice(step, depth, region_at(gx, gy, self.recipe), distance)

    def _nest_distance(
        self,
        x: NDArray[np.floating[Any]],
        y: NDArray[np.floating[Any]],
        frame: tuple[float, float, float, float],
    ) -> NDArray[np.float32]:
        """Return the distance outside the nests on a lattice, where the recipe needs it."""
        needed = any(r.retraction_um > 0 or r.edge_granules_od > 0 for r in self.recipe.all_regions)
        if not needed:
            return np.full((len(y), len(x)), FAR_UM, np.float32)
        nests = [n for key in self.blocks_near(*frame) for n in self._nests_of(*key)]
        return nest_distance(nests, x, y)

    def _draw_tissue(self, maps: StainMaps, lattice: Lattice, grid: Grid) -> None:
        """Draw stroma, then the epithelium over it (in place)."""
        near = self.blocks_near(*grid.frame(maps.h.shape))
        blocks = [self.block(*key) for key in near]
        offsets = np.cumsum([0, *(block.graph.n_cells for block in blocks)])[:-1]
        placed = list(zip(blocks, offsets.tolist(), strict=True))
        for block, offset in placed:
            label_cells(maps.label, block, offset, grid)
        self._draw_stroma(maps, lattice, grid, [self.stroma(*key) for key in near])
        self._draw_cytoplasm(maps, lattice, grid, blocks)
        for block, offset in placed:
            self._draw_within_cells(maps, grid, block, offset)
        granules = region_values(self.recipe.all_regions, "edge_granules_od")
        if granules.any():
            step, _, region, distance = lattice
            draw_edge_granules(maps.d, distance, region, step, granules, *grid, *self._noise)
        for key, block in zip(near, blocks, strict=True):
            draw_membranes(
                maps,
                self._noise.fine,
                block,
                self.recipe.all_regions,
                grid,
                seed=self.seed,
                key=key,
            )
        is_tumor = [block.kind == CellKind.TUMOR for block in blocks]
        # Labels −1 and −2 pick the two last values.
        maps.tumor[:] = np.concatenate([*is_tumor, np.zeros(2, bool)])[maps.label]

    def _draw_stroma(
        self, maps: StainMaps, lattice: Lattice, grid: Grid, cells: list[StromaCells]
    ) -> None:
        """Draw collagen, fat and inclusions, and the cells in them."""
        look = StromaLook.of(self.recipe.all_regions)
        draw_stroma(maps, lattice, look, grid, self._noise)
        near = self._inclusions.near(grid.frame(maps.h.shape))
        draw_inclusions(maps, self._inclusions, near, lattice, look, grid, self._noise)
        for part in cells:
            draw_stroma_bodies(maps, part, grid, self._noise.fine)
        nuclei = join_nuclei([part.nuclei for part in cells])
        draw_nuclei_of(
            maps,
            self._noise,
            nuclei,
            np.full(len(nuclei), -1, np.int32),
            np.full(len(nuclei), _STROMA_CLEARING),
            # What is out of focus shows no outline of its own: it looks ragged.
            np.where(nuclei.edge_um > EDGE_UM, 2.5 * _ROUGHNESS, _ROUGHNESS),
            grid,
        )

    def _draw_cytoplasm(
        self, maps: StainMaps, lattice: Lattice, grid: Grid, blocks: list[Block]
    ) -> None:
        """Fill epithelial cells, and a share of the lumens between them."""
        regions, (coarse, fine) = self.recipe.all_regions, self._noise
        h, d, label = maps.h, maps.d, maps.label
        cell_region = np.concatenate([block.region for block in blocks])
        own = Cytoplasm.join([block.cytoplasm for block in blocks])
        foam = region_values(regions, "foam_share")
        cut = np.array([quantile(share) if share > 0 else np.inf for share in foam])
        draw_cytoplasm(
            h,
            d,
            label,
            own.h_od,
            own.dab_od,
            own.granular_od,
            own.blotch_od,
            own.streak_od,
            own.streak_angle,
            own.streak_um,
            own.streak_stretch,
            region_values(regions, "granule_um")[cell_region],
            region_values(regions, "blotch_um")[cell_region],
            cut[cell_region],
            region_values(regions, "foam_um")[cell_region],
            region_values(regions, "mottle")[cell_region],
            *grid,
            fine,
        )
        inset = region_values(regions, "brown_inset_um")
        if inset.any():
            fade_to_borders(d, label, inset[cell_region], grid.mpp)
        share = region_values(regions, "secretion_share")
        if share.any():
            draw_secretion(h, d, label, lattice.region, lattice.step, share, *grid, coarse, fine)

    def _draw_within_cells(self, maps: StainMaps, grid: Grid, block: Block, offset: int) -> None:
        """Draw holes, vacuoles, dots and nuclei of a block whose labels begin at `offset`."""
        regions, fine = self.recipe.all_regions, self._noise.fine
        draw_discs(maps.h, maps.d, block.lumens, *grid, fine)
        if len(block.vacuoles):
            own = (block.vacuoles[:, 3].astype(np.int64) + offset).astype(np.int32)
            place = (block.vacuoles[:, k].copy() for k in range(3))
            draw_vacuoles(maps.h, maps.d, maps.label, own, *place, *grid, fine)
        if len(block.dots):
            cell, *dots = (getattr(block.dots, f.name) for f in fields(block.dots))
            draw_dots(maps.d, maps.label, cell + offset, *dots, *grid)
        kept = np.flatnonzero(block.is_seen)
        region = block.region[kept]
        draw_nuclei_of(
            maps,
            self._noise,
            block.nuclei.select(kept),
            (kept + offset).astype(np.int32),
            1 - region_values(regions, "nucleus_brown")[region],
            _ROUGHNESS * region_values(regions, "wobble")[region],
            grid,
        )

    def halo_px(self, laboratory: Laboratory) -> int:
        """Return how far round a rectangle its maps are drawn."""
        insets = region_values(self.recipe.all_regions, "brown_inset_um")
        return halo_px(laboratory, inset_um=float(insets.max()))

    def render(self, region: Region, laboratory: Laboratory) -> NDArray[np.uint8]:
        """Draw a rectangle as the laboratory's scanner sees it, before compression.

        Parameters
        ----------
        region : Region
            Rectangle in px of the laboratory's µm/px.
        laboratory : Laboratory
            Stains and scanner.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8
        """
        rgb, _ = self.render_with_maps(region, laboratory)
        return rgb

    def render_with_maps(
        self, region: Region, laboratory: Laboratory
    ) -> tuple[NDArray[np.uint8], StainMaps]:
        """Draw a rectangle and return its stain maps (cut to the rectangle) beside it."""
        mpp = laboratory.mpp
        left_out = unscanned(self.recipe, region, mpp, seed=self.seed)
        glass = np.rint(laboratory.white_point).astype(np.uint8)
        if left_out == [region]:
            rgb = np.repeat(np.tile(glass, (1, region.width, 1)), region.height, axis=0)
            return rgb, StainMaps.blank(region.height, region.width)
        halo = self.halo_px(laboratory)
        grown = region.expanded(halo)
        maps = self.stain_maps(grown.x, grown.y, grown.width, grown.height, mpp)
        d = maps.d + np.float32(laboratory.haze_od) * maps.tissue.astype(np.float32)
        rgb = expose(
            maps.h,
            d,
            maps.red,
            maps.neutral,
            maps.blur_um,
            laboratory,
            x0=grown.x,
            y0=grown.y,
            mpp=mpp,
            seed=self.seed,
        )
        rows, cols = slice(halo, halo + region.height), slice(halo, halo + region.width)
        rgb, maps = np.ascontiguousarray(rgb[rows, cols]), maps.cut(rows, cols)
        for part in left_out:
            at = part.slices_within(region)
            rgb[at] = glass
            maps.artefacts[at] = False
        return rgb, maps
