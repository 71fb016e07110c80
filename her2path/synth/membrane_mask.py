"""The mask of stained membranes beside a slide: at level 0, for lines are a few pixels wide."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import tifffile
from numpy.typing import NDArray

from her2path.results.atomic import PREFIX, atomic_path
from her2path.synth.pyramids import SQUARE_PX

__all__ = ["membrane_mask"]

# The tables of a TIFF take far less than what is left to 4 GB.
MOST_TIFF_BYTES = 4_000_000_000


@contextlib.contextmanager
def membrane_mask(
    path: Path, width: int, height: int, mpp: float
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Give what takes the mask square by square; it is written when the block succeeds.

    Parameters
    ----------
    path : Path
        Tiled TIFF to write, one class (as `Intensity`, 0 = no stained membrane) per pixel.
    width, height : int
        Level 0, px.
    mpp : float
        µm/px.

    Yields
    ------
    callable
        To be called with each square as `PyramidWriter` draws them: SQUARE_PX wide or up to the
        border, row by row.
    """
    # On disk, compressed: the squares come while the slide is written, one file at a time.
    with tempfile.TemporaryFile(dir=path.parent, prefix=PREFIX) as kept:
        sizes: list[int] = []

        def add(square: NDArray[np.uint8]) -> None:
            rows, columns = square.shape
            whole = np.pad(square, ((0, SQUARE_PX - rows), (0, SQUARE_PX - columns)))
            sizes.append(kept.write(zlib.compress(whole.tobytes())))

        yield add
        kept.seek(0)
        is_big = sum(sizes) > MOST_TIFF_BYTES
        with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=is_big) as tiff:
            tiff.write(
                tiles_of(kept, sizes),
                shape=(height, width),
                dtype=np.uint8,
                tile=(SQUARE_PX, SQUARE_PX),
                compression="ADOBE_DEFLATE",
                photometric="MINISBLACK",
                resolution=(1e4 / mpp, 1e4 / mpp),
                resolutionunit="CENTIMETER",
                software=False,
                metadata=None,
            )


def tiles_of(kept: IO[bytes], sizes: list[int]) -> Iterator[bytes]:
    """Yield the compressed squares again."""
    for size in sizes:
        yield kept.read(size)
