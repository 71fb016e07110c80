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
COARSER = 4
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
    options: dict[str, object] = {
        "dtype": np.uint8,
        "tile": (TILE_PX, TILE_PX),
        "compression": "jpeg",
        "photometric": "ycbcr",
        "subsampling": (2, 2),
        "resolutionunit": "CENTIMETER",
        "metadata": None,
    }
    with tifffile.TiffWriter(part, bigtiff=True) as writer:
        # As scanners write it: full resolution, and one level four times coarser.
        for down in (1, COARSER):
            writer.write(
                tiles_of(shrunk(field, down), glass, side=side // down, margin=GLASS_TILES // down),
                shape=(side // down * TILE_PX, side // down * TILE_PX, 3),
                resolution=(centimetre_px / down, centimetre_px / down),
                subfiletype=0 if down == 1 else 1,
                **options,
            )
    os.replace(part, path)


def shrunk(rgb: NDArray[np.uint8], down: int) -> NDArray[np.uint8]:
    """Return a picture averaged over squares of `down` px."""
    rows, cols = rgb.shape[0] // down, rgb.shape[1] // down
    squares = rgb[: rows * down, : cols * down].reshape(rows, down, cols, down, 3)
    return squares.mean(axis=(1, 3)).round().astype(np.uint8)


def tiles_of(
    field: NDArray[np.uint8], glass: NDArray[np.uint8], *, side: int, margin: int
) -> Iterator[bytes]:
    """Yield the compressed tiles of a level, row by row."""
    cut = [
        [
            encoded(field[y : y + TILE_PX, x : x + TILE_PX])
            for x in range(0, field.shape[1], TILE_PX)
        ]
        for y in range(0, field.shape[0], TILE_PX)
    ]
    empty = encoded(glass)
    inside = range(margin, side - margin)
    for row in range(side):
        for column in range(side):
            if row in inside and column in inside:
                y, x = ((at - margin) % len(cut) for at in (row, column))
                yield cut[y][x]
            else:
                yield empty


def encoded(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture as JPEG."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(rgb), quality=JPEG_QUALITY, colorsubsampling=JPEG_SUBSAMPLING
    )
