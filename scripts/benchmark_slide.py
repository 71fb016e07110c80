"""The benchmark's own slide: one drawn field of tissue, laid out again and again on glass."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from her2path.synth import (
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    mix_of,
)

TILE_PX = 256
# One field is 8 × 8 tiles; a strip of glass lets the white point be measured.
FIELD_TILES = 8
GLASS_TILES = 4
# What scanners commonly write.
JPEG_QUALITY = 80
JPEG_SUBSAMPLING = "420"


def write_benchmark_slide(path: Path, *, tissue_mm2: float) -> None:
    """Write a JPEG-tiled TIFF with about this much tissue; its pixels are always the same."""
    laboratory = Laboratory()
    side_um = FIELD_TILES * TILE_PX * laboratory.mpp
    recipe = SlideRecipe(
        width_um=side_um,
        height_um=side_um,
        tissue=TissueShape(kind="fill"),
        regions=(
            RegionRecipe(
                name="tumor",
                mix=mix_of(
                    none=0.40, faint_incomplete=0.25, weak_complete=0.25, moderate_complete=0.10
                ),
                disc=None,
            ),
        ),
    )
    field = draw_field(recipe, laboratory, seed=1).rgb
    glass = np.empty((TILE_PX, TILE_PX, 3), np.uint8)
    glass[:] = np.percentile(field.reshape(-1, 3), 99.5, axis=0)
    n_fields = max(1, math.ceil(math.sqrt(tissue_mm2 / (side_um * 1e-3) ** 2)))
    side = n_fields * FIELD_TILES + 2 * GLASS_TILES
    centimetre_px = 1e4 / laboratory.mpp
    part = path.with_name(path.name + ".part")
    tifffile.imwrite(
        part,
        tiles_of(field, glass, side=side),
        shape=(side * TILE_PX, side * TILE_PX, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        compression="jpeg",
        photometric="ycbcr",
        subsampling=(2, 2),
        resolution=(centimetre_px, centimetre_px),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    os.replace(part, path)


def tiles_of(field: NDArray[np.uint8], glass: NDArray[np.uint8], *, side: int) -> Iterator[bytes]:
    """Yield the compressed tiles of the slide, row by row."""
    cut = [
        [
            encoded(field[y : y + TILE_PX, x : x + TILE_PX])
            for x in range(0, field.shape[1], TILE_PX)
        ]
        for y in range(0, field.shape[0], TILE_PX)
    ]
    empty = encoded(glass)
    inside = range(GLASS_TILES, side - GLASS_TILES)
    for row in range(side):
        for column in range(side):
            if row in inside and column in inside:
                y, x = ((at - GLASS_TILES) % FIELD_TILES for at in (row, column))
                yield cut[y][x]
            else:
                yield empty


def encoded(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture as JPEG."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(rgb), quality=JPEG_QUALITY, colorsubsampling=JPEG_SUBSAMPLING
    )
