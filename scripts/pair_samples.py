"""Slides as samples of a tumor: shares that scatter round the tumor's as much as its blocks do.

The generator meets the shares it is asked for exactly, on every slide. A biopsy does not: it is
a piece of a tumor, and the next piece has other shares. How far apart they lie follows from how
much the cells of one block resemble each other, which is read off the cells as they are drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pair_cells import BLOCK_UM

from her2path.geometry import Region
from her2path.synth import MixEntry, SlideRecipe
from her2path.synth.membranes import largest_remainders
from her2path.synth.scene import Scene
from her2path.synth.truth import cells_within

# Cells of a scene need no fine pixel; shares are asked for in half percents.
MPP = 1.0
STEPS = 200


def sampled_mix(recipe: SlideRecipe, seed: int, rng: np.random.Generator) -> tuple[MixEntry, ...]:
    """Return the shares that one slide of the tumor happens to have.

    Parameters
    ----------
    recipe : SlideRecipe
        Slide of one region whose mix is the tumor's.
    seed : int
        Seed of the scene that tells how the tumor's cells cluster.
    rng : numpy.random.Generator
        Source of the scatter.
    """
    mix = recipe.regions[0].mix
    if len(mix) == 1:
        return mix
    block, is_stained = tumor_cells_of(recipe, seed)
    if len(block) < 2:
        return mix
    shares = np.array([entry.share for entry in mix])
    steps = largest_remainders(scattered_shares(shares, block, is_stained, rng), STEPS)
    return tuple(
        MixEntry(entry.intensity, entry.pattern, int(k) / STEPS)
        for entry, k in zip(mix, steps, strict=True)
        if k > 0
    )


def scattered_shares(
    shares: NDArray[np.float64],
    block: NDArray[np.int64],
    is_stained: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw the shares of a sample of such cells: its blocks have shares of their own."""
    _, of_block, n_cells = np.unique(block, return_inverse=True, return_counts=True)
    correlation = block_correlation(of_block, n_cells, is_stained)
    of_blocks = np.repeat(shares[None], len(n_cells), axis=0)
    if correlation > 0:
        of_blocks = rng.dirichlet(shares * (1 / correlation - 1), len(n_cells))
    drawn = [rng.multinomial(n, own) for n, own in zip(n_cells, of_blocks, strict=True)]
    return np.asarray(np.sum(drawn, axis=0) / n_cells.sum())


def tumor_cells_of(recipe: SlideRecipe, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the block of each tumor cell that is drawn, and whether the cell is stained."""
    scene = Scene(recipe, seed=seed)
    whole = Region(0, 0, round(recipe.width_um / MPP), round(recipe.height_um / MPP))
    cells, _ = cells_within(scene, whole, MPP)
    column, row = (
        np.floor(place[cells.is_tumor] * MPP / BLOCK_UM).astype(np.int64)
        for place in (cells.x, cells.y)
    )
    return (row << 32) + column, cells.intensity[cells.is_tumor] > 0


def block_correlation(
    of_block: NDArray[np.intp], n_cells: NDArray[np.intp], is_stained: NDArray[np.bool_]
) -> float:
    """Return the intraclass correlation of two cells of a block, 0–0.9 (analysis of variance)."""
    n, k = int(n_cells.sum()), len(n_cells)
    if k < 2 or n <= k:
        return 0.0
    mean = np.bincount(of_block, is_stained) / n_cells
    between = float((n_cells * (mean - is_stained.mean()) ** 2).sum()) / (k - 1)
    within = float((n_cells * mean * (1 - mean)).sum()) / (n - k)
    usual = (n - float((n_cells.astype(float) ** 2).sum()) / n) / (k - 1)
    spread = between + (usual - 1) * within
    return min(0.9, max(0.0, (between - within) / spread)) if spread > 0 else 0.0
