"""Pictures as bytes: one way to encode, one way to embed."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from her2path.errors import ResultsError

__all__ = ["as_data_uri", "as_jpeg", "as_png", "bar_length_um", "small_jpeg"]

# No visible loss on membranes one pixel wide; colour at full resolution, since brown is the signal.
QUALITY = 88
# Maps of tissue hardly shrink above it (by 2 % of their size at 7), in four times the time.
PNG_LEVEL = 3
# An overview of another program could be anything: 64 MP decode in a second.
MAX_PX = 64_000_000
MAX_BYTES = 64 * 2**20
BAR_LENGTHS_UM = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def as_jpeg(rgb: NDArray[np.uint8], *, quality: int = QUALITY) -> bytes:
    """Return a picture of shape (M, N, 3), uint8, as JPEG without subsampling of colour."""
    buffer = io.BytesIO()
    # Not optimized: that ends with an error where a picture takes more than a byte a pixel.
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def as_png(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture of shape (M, N, 3), uint8, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def small_jpeg(path: Path, *, longest_px: int) -> bytes | None:
    """Read a picture of a results folder, shrink it where it is larger, and return it as JPEG.

    None when there is no such file.

    Raises
    ------
    ResultsError
        If the file is no picture, or one too large to be of these results.
    """
    if not path.exists():
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ResultsError(f"{path} is larger than {MAX_BYTES:,} bytes; score the slide again")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                width, height = picture.size
                if width * height > MAX_PX:
                    raise ResultsError(f"{path} has {width} × {height} px; score the slide again")
                if picture.format == "JPEG" and max(width, height) <= longest_px:
                    return path.read_bytes()
                shrunk = picture.convert("RGB")
    except ResultsError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as error:
        raise ResultsError(f"{path} is no picture ({error}); score the slide again") from error
    shrunk.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    return as_jpeg(np.asarray(shrunk))


def as_data_uri(jpeg: bytes) -> str:
    """Return a JPEG as text that stands in a page in place of an address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def bar_length_um(width_um: float) -> float:
    """Return the longest round length that is at most a quarter of a picture's width."""
    fitting = [length for length in BAR_LENGTHS_UM if length <= width_um / 4]
    return float(max(fitting, default=BAR_LENGTHS_UM[0]))
