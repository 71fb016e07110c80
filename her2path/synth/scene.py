"""A scene: any rectangle of a recipe's slide, drawn the same whatever is drawn before it."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.synth.artefacts import draw_artefacts, place_artefacts
from her2path.synth.blocks import Block, CellKind, build_block
from her2path.synth.drawing import draw_cytoplasm, draw_discs, fade_to_borders
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
)
from her2path.synth.noise import noise_tile, stream
from her2path.synth.nuclei import EDGE_UM, defocused, join_nuclei
from her2path.synth.optics import HALO_UM, expose
from her2path.synth.recipe import SlideRecipe
from her2path.synth.scanning import unscanned
from her2path.synth.stain_maps import StainMaps
from her2path.synth.stroma import StromaNoise, draw_stroma, region_values
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
_DEPTH_STEP = 8
# How much of the stroma's brown its nuclei cover.
_STROMA_CLEARING = 0.55
# How much the outlines of nuclei wander, as a share of their radius.
_ROUGHNESS = 0.10
_STROMA_KNOBS = (
    "muscle_share",
    "cleft_share",
    "retraction_um",
    "stroma_od",
    "fibre_scale",
    "fibre_contrast",
)


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
        nests = [
            nest
            for c in range(max(0, column - 1), min(self.columns, column + 2))
            for r in range(max(0, row - 1), min(self.rows, row + 2))
            for nest in self._nests_of(c, r)
        ]
        bounds = self._bounds(column, row)
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
        recipe = self.recipe
        maps = StainMaps.blank(height, width)
        lx = (np.arange(x0 // _DEPTH_STEP, (x0 + width) // _DEPTH_STEP + 2)) * (_DEPTH_STEP * mpp)
        ly = (np.arange(y0 // _DEPTH_STEP, (y0 + height) // _DEPTH_STEP + 2)) * (_DEPTH_STEP * mpp)
        gx, gy = np.meshgrid(lx, ly)
        depth = tissue_depth(gx, gy, recipe, seed=self.seed).astype(np.float32)
        frame = (x0 * mpp, y0 * mpp, (x0 + width) * mpp, (y0 + height) * mpp)
        if float(depth.max()) > 0:
            distance = self._nest_distance(lx, ly, frame)
            region = region_at(gx, gy, recipe)
            self._draw_tissue(maps, depth, region, distance, frame, x0, y0, mpp)
        draw_artefacts(self.artefacts, maps, depth, _DEPTH_STEP, x0, y0, mpp, self._noise)
        return maps

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

    def _draw_tissue(
        self,
        maps: StainMaps,
        depth: NDArray[np.float32],
        region: NDArray[np.int16],
        distance: NDArray[np.float32],
        frame: tuple[float, float, float, float],
        x0: int,
        y0: int,
        mpp: float,
    ) -> None:
        regions = self.recipe.all_regions
        h, d, label = maps.h, maps.d, maps.label
        coarse, fine = self._noise.coarse, self._noise.fine
        near = self.blocks_near(*frame)
        offset = 0
        for key in near:
            block = self.block(*key)
            label_cells(label, block, offset, x0, y0, mpp)
            offset += block.graph.n_cells
        draw_stroma(
            h,
            d,
            maps.tissue,
            label,
            depth,
            _DEPTH_STEP,
            region,
            x0,
            y0,
            mpp,
            region_values(regions, "oedema"),
            region_values(regions, "fat_share"),
            region_values(regions, "stroma_haze_od"),
            region_values(regions, "fibre_brown_od"),
            region_values(regions, "mesh_share"),
            np.stack([region_values(regions, name) for name in _STROMA_KNOBS]),
            distance,
            coarse,
            fine,
        )
        draw_inclusions(
            maps,
            self._inclusions,
            self._inclusions.near(frame),
            depth,
            _DEPTH_STEP,
            region_values(regions, "stroma_haze_od"),
            region_values(regions, "stroma_od"),
            x0,
            y0,
            mpp,
            self._noise,
        )
        for key in near:
            draw_stroma_bodies(maps, self.stroma(*key), x0, y0, mpp, fine)
        nuclei = join_nuclei([self.stroma(*key).nuclei for key in near])
        draw_nuclei_of(
            maps,
            self._noise,
            nuclei,
            np.full(len(nuclei), -1, np.int32),
            np.full(len(nuclei), _STROMA_CLEARING),
            # What is out of focus shows no outline of its own: it looks ragged.
            np.where(nuclei.edge_um > EDGE_UM, 2.5 * _ROUGHNESS, _ROUGHNESS),
            x0,
            y0,
            mpp,
        )
        tumor_cells: list[NDArray[np.bool_]] = [np.zeros(0, bool)]
        cytoplasm: list[tuple[NDArray[np.float32], ...]] = []
        for key in near:
            block = self.block(*key)
            tumor_cells.append(block.kind == CellKind.TUMOR)
            cytoplasm.append(
                (
                    block.cytoplasm_h_od,
                    block.cytoplasm_dab_od,
                    block.granular_od,
                    block.blotch_od,
                )
            )
        per_cell = [
            np.concatenate([part[k] for part in cytoplasm] or [np.zeros(0, np.float32)])
            for k in range(4)
        ]
        cell_region = np.concatenate([self.block(*key).region for key in near])
        texture = (region_values(regions, name)[cell_region] for name in ("blotch_um", "mottle"))
        draw_cytoplasm(h, d, label, *per_cell, *texture, x0, y0, mpp, fine)
        inset = region_values(regions, "brown_inset_um")
        if inset.any():
            fade_to_borders(d, label, inset[cell_region], mpp)
        share = region_values(regions, "secretion_share")
        if share.any():
            draw_secretion(h, d, label, region, _DEPTH_STEP, share, x0, y0, mpp, coarse, fine)
        clearing = 1 - region_values(regions, "nucleus_brown")
        offset = 0
        for key in near:
            block = self.block(*key)
            draw_discs(h, d, block.lumens, x0, y0, mpp, fine)
            if len(block.vacuoles):
                own = (block.vacuoles[:, 3].astype(np.int64) + offset).astype(np.int32)
                place = (block.vacuoles[:, k].copy() for k in range(3))
                draw_vacuoles(h, d, label, own, *place, x0, y0, mpp, fine)
            kept = np.flatnonzero(block.is_seen)
            draw_nuclei_of(
                maps,
                self._noise,
                block.nuclei.select(kept),
                (kept + offset).astype(np.int32),
                clearing[block.region[kept]],
                _ROUGHNESS * region_values(regions, "wobble")[block.region[kept]],
                x0,
                y0,
                mpp,
            )
            offset += block.graph.n_cells
        granules = region_values(regions, "edge_granules_od")
        if granules.any():
            draw_edge_granules(
                d, distance, region, _DEPTH_STEP, granules, x0, y0, mpp, coarse, fine
            )
        for key in near:
            block = self.block(*key)
            draw_membranes(maps, fine, block, regions, frame, x0, y0, mpp, seed=self.seed, key=key)
        # Labels −1 and −2 pick the two last values.
        maps.tumor[:] = np.concatenate([*tumor_cells, np.zeros(2, bool)])[label]

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
        halo = math.ceil(HALO_UM / mpp)
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
