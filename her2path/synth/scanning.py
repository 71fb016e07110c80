"""Which squares of glass a scanner leaves out because no tissue is near."""

from __future__ import annotations

import math

import numpy as np

from her2path.geometry import Region
from her2path.synth.layout import tissue_depth
from her2path.synth.recipe import SlideRecipe

__all__ = ["unscanned"]

# Scanners decide by fields of view, some hundred microns wide.
SQUARE_UM = 512.0
# Tissue is looked for at this many points along a side: every 32 µm.
N_POINTS = 17


def unscanned(recipe: SlideRecipe, region: Region, mpp: float, *, seed: int) -> list[Region]:
    """Return the parts of a region (px) that the scanner left out.

    The slide is divided into squares, whatever the region: one is left out where all of it lies
    further than the recipe's `scan_margin_um` from tissue. When none of the region was scanned,
    the region itself is the only part.
    """
    margin = recipe.tissue.scan_margin_um
    if margin <= 0 or region.is_empty:
        return []
    first = [math.floor(side * mpp / SQUARE_UM) for side in (region.x, region.y)]
    last = [math.floor(side * mpp / SQUARE_UM) for side in (region.right, region.bottom)]
    columns, rows = (np.arange(a, b + 1) for a, b in zip(first, last, strict=True))
    within = np.linspace(0.0, SQUARE_UM, N_POINTS)
    x = (columns[:, None] * SQUARE_UM + within).ravel()
    y = (rows[:, None] * SQUARE_UM + within).ravel()
    depth = tissue_depth(*np.meshgrid(x, y), recipe, seed=seed)
    nearest = depth.reshape(len(rows), N_POINTS, len(columns), N_POINTS).max(axis=(1, 3))
    is_out = nearest < -margin
    if is_out.all():
        return [region]
    parts = []
    for r, c in np.argwhere(is_out):
        left, right = (math.ceil((columns[c] + k) * SQUARE_UM / mpp) for k in (0, 1))
        top, bottom = (math.ceil((rows[r] + k) * SQUARE_UM / mpp) for k in (0, 1))
        part = Region(left, top, right - left, bottom - top).intersection(region)
        if not part.is_empty:
            parts.append(part)
    return parts
