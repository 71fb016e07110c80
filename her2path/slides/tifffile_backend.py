"""TIFF pyramids that tifffile reads: OME-TIFF, and others with 8-bit RGB levels."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.file_bytes import FileBytes
from her2path.slides.jpeg_tiles import JPEG_COMPRESSION, PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR
from her2path.slides.limits import (
    FORMAT_FAULTS,
    MAX_ASSOCIATED_PX,
    MAX_BLOCK_PX,
    MAX_LEVELS,
    bounded_properties,
    check_dimensions,
    check_jpeg,
    check_profile,
    fault,
    plain,
)
from her2path.slides.mpp import (
    mpp_of_aperio,
    mpp_of_imagej,
    mpp_of_ome,
    mpp_of_resolution,
    mpp_or_none,
)
from her2path.slides.opacity import over_white
from her2path.slides.slide import WHITE, AssociatedImages, OpenedSlide, SlideFacts
from her2path.slides.tiff_chain import series_of

__all__ = [
    "BOUNDED_CODECS",
    "TiffLevel",
    "TiffSlide",
    "open_with_tifffile",
    "rgb_over_white",
    "tiff_facts",
    "tiff_levels",
]

JPEG_COMPRESSIONS = (6, JPEG_COMPRESSION)
# Aperio's JPEG 2000 in YCbCr: the codec hands YCbCr back, OpenSlide turns it into RGB.
APERIO_YCBCR = 33003
# Codecs that fill a block of the size that the tags say, however the stream goes on; JPEG is held
# to it by the library, and a picture of WebP is 16,383 px wide at most.
BOUNDED_CODECS = frozenset((1, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001))
# JPEG 2000 says in its own header how large a block is; it must say the same.
JPEG_2000 = frozenset((33003, 33004, 33005, 34712))
SIZE_MARKER = b"\xff\x4f\xff\x51"
# Compressed blocks larger than their pixels (and some room for headers) are no honest blocks.
HEADER_ROOM = 2**16


@dataclass(frozen=True)
class TiffLevel:
    """One level: one page of interleaved RGB, or one page for each of red, green, blue."""

    pages: tuple[Any, ...]
    size: Size
    block: Size
    is_tiled: bool

    @property
    def columns(self) -> int:
        """Blocks in a row."""
        return -(-self.size.width // self.block.width)

    @property
    def n_blocks(self) -> int:
        """Blocks of one plane."""
        return self.columns * -(-self.size.height // self.block.height)


class TiffSlide(OpenedSlide):
    """A TIFF pyramid read block by block through tifffile's decoders."""

    def __init__(
        self,
        facts: SlideFacts,
        tif: tifffile.TiffFile,
        levels: tuple[TiffLevel, ...],
        file: FileBytes,
    ) -> None:
        super().__init__(facts)
        self._tif = tif
        self._levels = levels
        self._file = file

    @property
    def levels(self) -> tuple[TiffLevel, ...]:
        """Where the pixels of each level lie."""
        return self._levels

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file."""
        return profile_of(self._levels[0].pages[0])

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:
        source = self._levels[level]
        size = Size(rgb.shape[1], rgb.shape[0])
        rgb[...] = WHITE
        width, height = source.block.width, source.block.height
        for row in range(corner.y // height, -(-(corner.y + size.height) // height)):
            for column in range(corner.x // width, -(-(corner.x + size.width) // width)):
                block = self._checked_block(source, row * source.columns + column)
                if block is None:
                    continue
                left, top = column * width - corner.x, row * height - corner.y
                y0, y1 = max(0, top), min(size.height, top + block.shape[0])
                x0, x1 = max(0, left), min(size.width, left + block.shape[1])
                rgb[y0:y1, x0:x1] = block[y0 - top : y1 - top, x0 - left : x1 - left]

    def _checked_block(self, level: TiffLevel, index: int) -> NDArray[np.uint8] | None:
        """Decode one block; whatever is wrong with it, or with what the tags say, is told."""
        try:
            return self._block(level, index)
        except SlideError:
            raise
        except FORMAT_FAULTS as error:
            raise fault(f"{self.path}: block {index}", error) from error

    def _block(self, level: TiffLevel, index: int) -> NDArray[np.uint8] | None:
        """Decode one block to RGB; None where the file leaves it out."""
        if len(level.pages) > 1:
            planes = [self._decode(page, index) for page in level.pages]
        elif level.pages[0].planarconfig == 1:
            planes = [self._decode(level.pages[0], index)]
        else:
            page = level.pages[0]
            # Opacity lies in a plane of its own.
            n_planes = int(page.samplesperpixel)
            planes = [self._decode(page, index + k * level.n_blocks) for k in range(n_planes)]
        present = [plane for plane in planes if plane is not None]
        if len(present) != len(planes):
            return None
        samples = present[0] if len(present) == 1 else np.concatenate(present, axis=2)
        return rgb_over_white(samples, level.pages[0])

    def _decode(self, page: Any, index: int) -> NDArray[np.uint8] | None:  # noqa: ANN401
        if index >= min(len(page.databytecounts), len(page.dataoffsets)):
            raise SlideError(f"{self.path}: block {index} is not in the file; damaged file.")
        count = int(page.databytecounts[index])
        if count == 0:
            return None
        rows = page.tilelength if page.is_tiled else page.rowsperstrip
        columns = page.tilewidth if page.is_tiled else page.imagewidth
        if count > rows * columns * page.samplesperpixel * 2 + HEADER_ROOM:
            raise SlideError(f"{self.path}: block {index} claims {count} bytes; damaged file.")
        data = self._file.read(int(page.dataoffsets[index]), count)
        try:
            check_stream(data, int(page.compression), Size(int(columns), int(rows)))
        except SlideError as error:
            raise SlideError(f"{self.path}: block {index} is damaged: {error}.") from error
        tables = {"jpegtables": page.jpegtables} if page.jpegtables else {}
        block = page.decode(data, index, **tables)[0]
        return None if block is None else np.asarray(block)[0]

    def _release(self) -> None:
        self._tif.close()
        self._file.close()


def check_stream(data: bytes, compression: int, block: Size) -> None:
    """Refuse a stream that would unpack to more than its block, or is cut off.

    Raises
    ------
    SlideError
        The message says which.
    """
    if compression == JPEG_COMPRESSION:
        check_jpeg(data)
    elif compression in JPEG_2000:
        check_jpeg_2000(data, block)


def check_jpeg_2000(data: bytes, block: Size) -> None:
    """Refuse a stream of JPEG 2000 that would unpack to more than the block that it stands for."""
    at = data.find(SIZE_MARKER)
    # Behind marker and length come capabilities, then the far corner and the near one.
    if at < 0 or len(data) < at + 24:
        raise SlideError("a block of JPEG 2000 has no size; damaged file: copy or export it again")
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    if right - left > block.width or bottom - top > block.height:
        raise SlideError(
            f"a block of JPEG 2000 is {right - left} × {bottom - top} px where the TIFF says "
            f"{block.width} × {block.height}; damaged file: copy or export it again"
        )


def rgb_over_white(samples: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return the first three samples, laid over white where the fourth is opacity."""
    rgb = samples[..., :3]
    if samples.shape[2] < 4 or not page.extrasamples or int(page.extrasamples[0]) not in (1, 2):
        return rgb
    # ExtraSamples 1: colours are multiplied by opacity already; 2: they are not.
    return over_white(rgb, samples[..., 3:4], is_multiplied=int(page.extrasamples[0]) == 1)


def open_with_tifffile(path: Path, given: Mpp | None) -> TiffSlide:
    """Open a TIFF pyramid with tifffile.

    Raises
    ------
    SlideError
        It is no TIFF, needs stitching that only OpenSlide does, or is not 8-bit RGB.
    """
    try:
        tif = tifffile.TiffFile(path)
    except FORMAT_FAULTS as error:
        raise SlideError(str(error)) from error
    try:
        levels, series = tiff_levels(tif)
        facts = tiff_facts(path, tif, series, levels, given)
        return TiffSlide(facts, tif, levels, FileBytes(path))
    except SlideError:
        tif.close()
        raise
    except FORMAT_FAULTS as error:
        tif.close()
        raise fault("the TIFF", error) from error


def tiff_levels(tif: tifffile.TiffFile) -> tuple[tuple[TiffLevel, ...], Any]:
    """Return the levels of a TIFF's main picture, and the tifffile series they come from.

    Raises
    ------
    SlideError
        The picture is not 8-bit RGB in tiles or strips of bounded size.
    """
    for flag, why in (("is_bif", "Ventana BIF"), ("is_scn", "Leica SCN")):
        if getattr(tif, flag, False):
            raise SlideError(f"{why} tiles overlap or are scattered; OpenSlide alone places them")
    if not (found := series_of(tif)):
        raise SlideError("no picture in the file")
    series = found[0]
    levels = []
    for source in series.levels[:MAX_LEVELS]:
        pages = tuple(page.aspage() for page in source.pages if page is not None)
        if source.axes not in ("YXS", "SYX", "CYX") or len(pages) not in (1, 3):
            raise SlideError(f"axes {source.axes} of shape {source.shape} are not one RGB picture")
        levels.append(_level(pages))
    return tuple(levels), series


def _level(pages: tuple[Any, ...]) -> TiffLevel:
    page = pages[0]
    samples = sum(int(each.samplesperpixel) for each in pages)
    if any(str(each.dtype) != "uint8" for each in pages) or samples not in (3, 4):
        raise SlideError(f"{samples} samples of {page.dtype}; 8-bit RGB is needed: convert it")
    if int(page.compression) not in BOUNDED_CODECS | JPEG_2000:
        raise SlideError(f"compression {page.compression!r} is not read: convert it to JPEG")
    is_jpeg = int(page.compression) in JPEG_COMPRESSIONS
    photometric = int(page.photometric)
    is_colour = photometric == PHOTOMETRIC_RGB or (photometric == PHOTOMETRIC_YCBCR and is_jpeg)
    if int(page.compression) == APERIO_YCBCR or not (is_colour or len(pages) == 3):
        raise SlideError(f"photometric {page.photometric!r} with {page.compression!r} is not RGB")
    size = Size(int(page.imagewidth), int(page.imagelength))
    check_dimensions(size, "page")
    if page.is_tiled:
        block = Size(int(page.tilewidth), int(page.tilelength))
    else:
        block = Size(size.width, min(int(page.rowsperstrip), size.height))
    check_dimensions(block, "block")
    if block.n_px > MAX_BLOCK_PX or page.imagedepth != 1:
        raise SlideError(
            f"blocks of {block.width} × {block.height} px are too large to read in part; convert "
            "the file to a tiled, pyramidal TIFF"
        )
    level = TiffLevel(pages, size, block, bool(page.is_tiled))
    planes = samples if page.planarconfig == 2 and len(pages) == 1 else 1
    if len({_layout(each) for each in pages}) > 1:
        raise SlideError("its red, green and blue are not stored alike; save it anew as RGB")
    for each in pages:
        if not len(each.dataoffsets) == len(each.databytecounts) == level.n_blocks * planes:
            raise SlideError(
                f"{len(each.dataoffsets)} blocks listed where {level.n_blocks * planes} are needed"
            )
    return level


def _layout(page: Any) -> tuple[object, ...]:  # noqa: ANN401 - a tifffile page
    """Return how the pixels of a page are stored."""
    return (
        page.shape,
        page.compression,
        page.planarconfig,
        page.is_tiled,
        (page.tilewidth, page.tilelength) if page.is_tiled else page.rowsperstrip,
    )


def tiff_facts(
    path: Path,
    tif: tifffile.TiffFile,
    series: Any,  # noqa: ANN401 - a tifffile series
    levels: tuple[TiffLevel, ...],
    given: Mpp | None,
) -> SlideFacts:
    """Return what the tags and descriptions of a TIFF say about it."""
    page = levels[0].pages[0]
    description = str(tif.pages[0].aspage().description or "")
    tagged = _tagged_mpp(tif, page)
    mpp, power = _stated_mpp(tif, description)
    source = "metadata"
    if mpp is None:
        mpp, tagged = tagged, None
        source = "missing" if mpp is None else "tiff-resolution"
    tags: dict[str, object] = {"her2path.compression": page.compression.name}
    if page.iccprofile:
        tags["her2path.icc-bytes"] = len(page.iccprofile)
    for tag in page.tags:
        if isinstance(tag.value, str | int | float) or tag.name.endswith("Resolution"):
            tags[f"tiff.{tag.name}"] = tag.value
    if tif.is_svs:
        for key, value in tifffile.tifffile.svs_description_metadata(description).items():
            tags[f"aperio.{key}"] = value
        power_found = mpp_or_none(*[tags.get("aperio.AppMag")] * 2)
        power = None if power_found is None else power_found.x
    return SlideFacts(
        path=path,
        backend="tifffile",
        vendor="ome-tiff" if tif.is_ome else "aperio" if tif.is_svs else "tiff",
        level_dimensions=tuple(level.size for level in levels),
        tile_size=levels[0].block if levels[0].is_tiled else Size(1024, levels[0].block.height),
        properties=bounded_properties(tags),
        associated_images=AssociatedImages(
            {
                other.name.lower(): _associated_loader(path, other)
                for other in series_of(tif)
                if other is not series and other.name
            }
        ),
        mpp=given if given is not None else mpp,
        mpp_source="given" if given is not None else source,
        tagged_mpp=None if given is not None else tagged,
        objective_power=power,
        scanner=plain(str(tags.get("tiff.Model", tags.get("aperio.ScanScope ID", ""))))[:256],
    )


def profile_of(page: Any) -> bytes | None:  # noqa: ANN401 - a tifffile page
    """Return the color profile in the tags of a page."""
    profile = page.iccprofile
    if not profile:
        return None
    check_profile(len(profile))
    try:
        return bytes(profile)
    except FORMAT_FAULTS as error:
        raise SlideError(f"its color profile is unreadable ({error})") from error


def _stated_mpp(tif: tifffile.TiffFile, description: str) -> tuple[Mpp | None, float | None]:
    """Return what OME-XML or an Aperio description says: µm/px, and the objective's power."""
    if tif.is_ome:
        mpp, power = mpp_of_ome(tif.ome_metadata or "")
        if mpp is not None:
            return mpp, power
    return (mpp_of_aperio(description) if tif.is_svs else None), None


def _tagged_mpp(
    tif: tifffile.TiffFile,
    page: Any,  # noqa: ANN401 - a tifffile page
) -> Mpp | None:
    """Return what the resolution tags say."""
    try:
        (x, x_of), (y, y_of) = page.tags["XResolution"].value, page.tags["YResolution"].value
        density = x / x_of, y / y_of
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    imagej = tif.imagej_metadata or {}
    if "unit" in imagej:
        return mpp_of_imagej(*density, str(imagej["unit"]))
    unit = page.tags.get("ResolutionUnit")
    return mpp_of_resolution(*density, int(unit.value) if unit is not None else 2)


def _associated_loader(
    path: Path,
    series: Any,  # noqa: ANN401 - a tifffile series
) -> Callable[[], NDArray[np.uint8]]:
    def load() -> NDArray[np.uint8]:
        shape = series.shape
        if len(shape) != 3 or shape[2] not in (3, 4) or series.dtype != np.uint8:
            raise SlideError(f"{path}: associated image {series.name!r} is not 8-bit RGB.")
        if shape[0] * shape[1] > MAX_ASSOCIATED_PX:
            raise SlideError(f"{path}: associated image {series.name!r} of {shape} is too large.")
        try:
            return np.asarray(series.asarray()[..., :3])
        except FORMAT_FAULTS as error:
            raise SlideError(
                f"{path}: associated image {series.name!r} is unreadable: {error}"
            ) from error

    return load
