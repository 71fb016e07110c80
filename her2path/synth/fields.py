"""Fields in memory: a picture and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.synth.laboratory import Laboratory
from her2path.synth.optics import compress
from her2path.synth.recipe import RecipeError, SlideRecipe
from her2path.synth.scene import Scene
from her2path.synth.truth import Truth, cells_within, score_of, shares_of, tally_of

__all__ = ["Field", "draw_field"]

# 100 MP take about 4 GB while they are drawn; larger pictures are written tile by tile.
MAX_FIELD_PX = 100_000_000


@dataclass(frozen=True, slots=True)
class Field:
    """A drawn picture.

    Attributes
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        The picture at `mpp`.
    mpp : float
        µm/px.
    truth : Truth
        What is in it.
    """

    rgb: NDArray[np.uint8]
    mpp: float
    truth: Truth


def draw_field(
    recipe: SlideRecipe,
    laboratory: Laboratory,
    *,
    seed: int,
    region: Region | None = None,
) -> Field:
    """Draw a recipe, or a rectangle of it, with its truth.

    The recipe's shares hold exactly for the whole recipe (per block of about a square
    millimetre, rounded to cells where a block has fewer cells than the shares need); a
    rectangle of it has whatever lies there.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    laboratory : Laboratory
        Stains and scanner; its µm/px is the picture's.
    seed : int
        The same seed gives the same bytes.
    region : Region or None
        Rectangle in px; None = all.

    Returns
    -------
    Field

    Raises
    ------
    RecipeError
        When the picture would be larger than 100 megapixels.
    """
    mpp = laboratory.mpp
    if region is None:
        region = Region(0, 0, round(recipe.width_um / mpp), round(recipe.height_um / mpp))
    if region.is_empty or region.size.n_px > MAX_FIELD_PX:
        raise RecipeError(
            f"a field of {region.width} × {region.height} px: draw between 1 px and "
            f"{MAX_FIELD_PX} px, or write a slide"
        )
    scene = Scene(recipe, seed=seed)
    rgb, maps = scene.render_with_maps(region, laboratory)
    cells, key = cells_within(scene, region, mpp, halo_px=scene.halo_px(laboratory))
    lookup = np.zeros(max(int(maps.label.max(initial=0)), int(key.max(initial=0))) + 3, np.int32)
    epithelial = np.flatnonzero(key >= 0)
    lookup[key[epithelial]] = epithelial + 1
    truth = Truth(
        cells=cells,
        shares=shares_of(cells),
        score=score_of(tally_of(cells)),
        tissue=maps.tissue,
        tumor=maps.tumor,
        label=lookup[maps.label],
        membrane=maps.membrane,
        artefacts=maps.artefacts,
    )
    return Field(compress(rgb, laboratory), mpp, truth)
