"""The fast path: facts from OpenSlide or tifffile, pixels from the TIFF's own JPEG tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.file_bytes import FileBytes
from her2path.slides.jpeg_tiles import JpegTiles, JpegTilesReader, jpeg_tiles_of
from her2path.slides.limits import FORMAT_FAULTS, MAX_PAGES, bounded_properties
from her2path.slides.slide import OpenedSlide
from her2path.slides.tifffile_backend import TiffSlide

__all__ = ["JpegTiffSlide", "open_jpeg_tiff"]

# Formats whose levels are plain grids of tiles. Others (Ventana, Leica, Philips, Trestle) overlap,
# scatter or crop tiles, and stay with OpenSlide.
PLAIN_GRIDS = ("aperio", "generic-tiff", "ome-tiff", "tiff")


class JpegTiffSlide(OpenedSlide):
    """A slide whose JPEG-tiled levels are decoded directly, and the rest by another backend."""

    def __init__(
        self, behind: OpenedSlide, tiles: tuple[JpegTiles | None, ...], file: FileBytes
    ) -> None:
        super().__init__(
            replace(
                behind.facts,
                backend="jpeg-tiff",
                properties=bounded_properties(
                    {"her2path.compression": "JPEG", **behind.facts.properties}
                ),
            )
        )
        self._behind = behind
        self._tiles = tiles
        self._file = file
        self._reader = JpegTilesReader(file)

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file."""
        return self._behind.icc_profile()

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:
        tiles = self._tiles[level]
        # OpenSlide paints a tile that Aperio left out from the level above: leave that to it.
        if tiles is None or not self._reader.has_all(
            tiles, corner, Size(rgb.shape[1], rgb.shape[0])
        ):
            self._behind._read_into(level, corner, rgb)
            return
        try:
            self._reader.read_into(tiles, corner, rgb)
        except SlideError as error:
            raise SlideError(f"{self.path}, level {level}: {error}") from error

    def _release(self) -> None:
        self._behind.close()
        self._file.close()


def open_jpeg_tiff(path: Path, given: Mpp | None) -> JpegTiffSlide:
    """Open a TIFF whose level 0 is made of JPEG tiles in a plain grid.

    Raises
    ------
    SlideError
        It is another kind of file; the message says why.
    """
    file = FileBytes(path)
    behind: OpenedSlide | None = None
    try:
        with tifffile.TiffFile(path) as tif:
            first = tif.pages.first
            jpeg_tiles_of(first, file)
            behind = _facts_backend(path, given, is_ome=tif.is_ome or bool(first.subifds))
            if behind.vendor not in PLAIN_GRIDS:
                raise SlideError(f"tiles of {behind.vendor} are placed by OpenSlide")
            if isinstance(behind, TiffSlide):
                # Other pictures of the file may have the size of a level: its own page is known.
                tiles = tuple(_tiles_of([*level.pages], file) for level in behind.levels)
            else:
                pages = [page.aspage() for page in tif.pages[:MAX_PAGES]]
                tiles = tuple(_tiles_of(_sized(pages, s), file) for s in behind.level_dimensions)
        if tiles[0] is None:
            raise SlideError("level 0 is not made of JPEG tiles")
        return JpegTiffSlide(behind, tiles, file)
    except SlideError:
        _close(behind, file)
        raise
    except FORMAT_FAULTS as error:
        _close(behind, file)
        raise SlideError(f"no direct decoding: {type(error).__name__}: {error}") from error


def _close(behind: OpenedSlide | None, file: FileBytes) -> None:
    file.close()
    if behind is not None:
        behind.close()


def _facts_backend(path: Path, given: Mpp | None, *, is_ome: bool) -> OpenedSlide:
    """Open the backend that knows the levels: tifffile where they hang below the first page."""
    from her2path.slides.openslide_backend import open_with_openslide
    from her2path.slides.tifffile_backend import open_with_tifffile

    if is_ome:
        return open_with_tifffile(path, given)
    try:
        return open_with_openslide(path, given)
    except SlideError:
        return open_with_tifffile(path, given)


def _sized(pages: list[tifffile.TiffPage], size: Size) -> list[tifffile.TiffPage]:
    return [
        page
        for page in pages
        if page.is_tiled and (page.imagewidth, page.imagelength) == (size.width, size.height)
    ]


def _tiles_of(pages: list[tifffile.TiffPage], file: FileBytes) -> JpegTiles | None:
    """Return the tiles of the one page that a level is; None where it cannot be told or decoded."""
    if len(pages) != 1:
        return None
    try:
        return jpeg_tiles_of(pages[0], file)
    except SlideError:
        return None
