"""Decode a TIFF's own JPEG tiles: known offsets, one positioned read, one reused buffer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Size
from her2path.slides.file_bytes import FileBytes
from her2path.slides.limits import MAX_BLOCK_PX, check_dimensions, check_scans
from her2path.slides.slide import empty_rgb

__all__ = [
    "JPEG_COMPRESSION",
    "PHOTOMETRIC_RGB",
    "PHOTOMETRIC_YCBCR",
    "JpegTiles",
    "JpegTilesReader",
    "jpeg_tiles_of",
]

# Values of TIFF tags.
JPEG_COMPRESSION = 7
PHOTOMETRIC_RGB = 2
PHOTOMETRIC_YCBCR = 6
START = b"\xff\xd8"
END = b"\xff\xd9"

# With a halo the neighbour reads this frame's outermost tiles, and those one further in, again.
SHARED_RINGS = 2
# 340 tiles of 256 px: the columns between neighbours, and the rows of a slide 20,000 px wide.
KEPT_BYTES = 2**26


@dataclass(frozen=True)
class JpegTiles:
    """Where the JPEG tiles of one level lie, row by row, and what precedes each of them.

    Attributes
    ----------
    size, tile : Size
        Of the level and of one tile, px.
    offsets, counts : ndarray of shape (n_tiles,), int64
        Where each begins in the file, and its bytes; 0 bytes where it was left out.
    head : bytes
        What stands before each when it is decoded: shared tables, and which colors it holds.
    """

    size: Size
    tile: Size
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    head: bytes

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.size.width // self.tile.width)


def jpeg_tiles_of(page: Any, file: FileBytes) -> JpegTiles:  # noqa: ANN401 - a tifffile page
    """Return the tiles of a TIFF page that can be decoded directly.

    Raises
    ------
    SlideError
        The page is not made of 8-bit RGB or YCbCr JPEG tiles, or contradicts itself.
    """
    photometric = int(page.photometric)
    wrong = [
        reason
        for reason, is_wrong in (
            ("not tiled", not page.is_tiled),
            (f"compression {page.compression!r}, not JPEG", page.compression != JPEG_COMPRESSION),
            ("not RGB or YCbCr", photometric not in (PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR)),
            ("not 3 interleaved samples", page.samplesperpixel != 3 or page.planarconfig != 1),
            ("not 8-bit", page.bitspersample != 8),
            ("not one plane", page.imagedepth != 1),
        )
        if is_wrong
    ]
    if wrong:
        raise SlideError("no direct decoding: " + ", ".join(wrong))
    size = Size(int(page.imagewidth), int(page.imagelength))
    tile = Size(int(page.tilewidth), int(page.tilelength))
    check_dimensions(size, "page")
    check_dimensions(tile, "tile")
    if tile.n_px > MAX_BLOCK_PX:
        raise SlideError(f"tile of {tile.width} × {tile.height} px is larger than any may be")
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    n_tiles = -(-size.width // tile.width) * -(-size.height // tile.height)
    if not len(offsets) == len(counts) == n_tiles:
        raise SlideError(f"{len(offsets)} tiles listed where {n_tiles} are needed; damaged file")
    tables = bytes(page.jpegtables or START + END)
    tables = tables[: -len(END)] if tables.endswith(END) else tables
    is_rgb = photometric == PHOTOMETRIC_RGB
    present = np.flatnonzero(counts > 0)
    if len(present):
        first = file.read(int(offsets[present[0]]), int(counts[present[0]]))
        _check_markers(tables, is_rgb=is_rgb)
        _check_markers(first, is_rgb=is_rgb)
    return JpegTiles(size, tile, offsets, counts, tables + _colour_marker(is_rgb=is_rgb))


def _colour_marker(*, is_rgb: bool) -> bytes:
    """Return the APP14 segment that says whether components are RGB or YCbCr.

    Without it a decoder guesses from component numbers, and takes Aperio's RGB for YCbCr.
    """
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\x00" if is_rgb else b"\x01")


def _check_markers(stream: bytes, *, is_rgb: bool) -> None:
    """Raise SlideError when a stream's own colour markers contradict the TIFF's."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return
        content = stream[at + 4 : at + 2 + length]
        contradicts = (marker == 0xE0 and content.startswith(b"JFIF") and is_rgb) or (
            marker == 0xEE
            and content.startswith(b"Adobe")
            and len(content) >= 12
            and (content[11] == 0) != is_rgb
        )
        if contradicts:
            raise SlideError("no direct decoding: colour markers of JPEG and TIFF disagree")
        at += 2 + length


class JpegTilesReader:
    """Read rectangles of levels that are made of JPEG tiles; safe to use from several threads."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self._local = threading.local()
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def has_all(self, tiles: JpegTiles, corner: Location, size: Size) -> bool:
        """Return whether every tile that the rectangle touches is present in the file."""
        rows, columns = _touched(tiles, corner, size)
        return all(
            tiles.counts[row * tiles.columns + column] > 0 for row in rows for column in columns
        )

    def read_into(self, tiles: JpegTiles, corner: Location, rgb: NDArray[np.uint8]) -> None:
        """Decode a rectangle, from `corner` in px of the level, that lies inside it.

        Raises
        ------
        SlideError
            A tile is truncated or damaged; the message names it.
        """
        size = Size(rgb.shape[1], rgb.shape[0])
        tile_width, tile_height = tiles.tile.width, tiles.tile.height
        rows, columns = _touched(tiles, corner, size)
        is_whole_tile = size == tiles.tile and len(rows) == len(columns) == 1
        # An array of the caller may be aligned, which is the slow case: see empty_rgb.
        if is_whole_tile and rgb.flags.c_contiguous and rgb.ctypes.data % 32:
            self._decode(tiles, rows[0] * tiles.columns + columns[0], rgb)
            return
        # Aligned readings never ask for a tile twice; those with a halo do, near their border.
        has_halo = bool(corner.x % tile_width or corner.y % tile_height)
        for row in rows:
            top = row * tile_height - corner.y
            y0, y1 = max(0, top), min(size.height, top + tile_height)
            for column in columns:
                left = column * tile_width - corner.x
                x0, x1 = max(0, left), min(size.width, left + tile_width)
                is_shared = has_halo and not (
                    row in rows[SHARED_RINGS:-SHARED_RINGS]
                    and column in columns[SHARED_RINGS:-SHARED_RINGS]
                )
                tile = self._tile(tiles, row * tiles.columns + column, is_shared=is_shared)
                rgb[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]

    def _tile(self, tiles: JpegTiles, index: int, *, is_shared: bool) -> NDArray[np.uint8]:
        """Return a decoded tile: a kept one, or this thread's buffer (until its next tile)."""
        if is_shared:
            with self._lock:
                kept = self._kept.get((id(tiles), index))
                if kept is not None:
                    self._kept.move_to_end((id(tiles), index))
                    return kept
        buffer = self._buffer(tiles.tile)
        self._decode(tiles, index, buffer)
        if is_shared:
            with self._lock:
                self._kept[id(tiles), index] = buffer.copy()
                while len(self._kept) * buffer.size > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return buffer

    def _decode(self, tiles: JpegTiles, index: int, buffer: NDArray[np.uint8]) -> None:
        """Decode one tile into a contiguous picture of the tile's size."""
        data = self._file.read(int(tiles.offsets[index]), int(tiles.counts[index]))
        check_scans(data)
        try:
            tile = simplejpeg.decode_jpeg(tiles.head + data[len(START) :], "RGB", buffer=buffer)
        except ValueError as error:
            raise SlideError(
                f"JPEG tile {index} is damaged ({error}); copy the file from the scanner again."
            ) from error
        if tile.shape != buffer.shape:
            raise SlideError(
                f"JPEG tile {index} holds {tile.shape} where the TIFF says {buffer.shape}; the "
                "file is damaged: copy it from the scanner again."
            )

    def _buffer(self, tile: Size) -> NDArray[np.uint8]:
        """Return this thread's buffer; its content is lost at the thread's next tile."""
        buffer: NDArray[np.uint8] | None = getattr(self._local, "buffer", None)
        if buffer is None or buffer.shape[:2] != tile.shape:
            buffer = self._local.buffer = empty_rgb(tile)
        return buffer


def _touched(tiles: JpegTiles, corner: Location, size: Size) -> tuple[range, range]:
    """Return the (rows, columns) of tiles that a rectangle touches."""
    width, height = tiles.tile.width, tiles.tile.height
    return (
        range(corner.y // height, -(-(corner.y + size.height) // height)),
        range(corner.x // width, -(-(corner.x + size.width) // width)),
    )
