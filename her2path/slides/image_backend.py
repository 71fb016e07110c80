"""Plain fields: a PNG, JPEG or untiled TIFF, decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.jpeg_tiles import JPEG_COMPRESSION
from her2path.slides.limits import (
    FORMAT_FAULTS,
    MAX_BLOCK_BYTES,
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PX,
    bounded_properties,
    check_dimensions,
    check_jpeg,
    check_profile,
    check_scans,
    fault,
)
from her2path.slides.magic import JPEG_MAGIC, PNG_MAGIC, TIFF_MAGICS
from her2path.slides.opacity import over_white
from her2path.slides.remedies import INKS
from her2path.slides.slide import WHITE, OpenedSlide, SlideFacts
from her2path.slides.tiff_chain import series_of
from her2path.slides.tifffile_backend import (
    BOUNDED_CODECS,
    rgb_over_white,
    tiff_facts,
    tiff_levels,
)

__all__ = ["ImageSlide", "open_image"]

# A field has no tiles of its own; this keeps one in cache.
FIELD_TILE = 1024
ENCODED = PNG, JPEG = ("png", "jpeg")
# Samples of a pixel by the type of color in the header: gray, RGB, palette, gray and opacity, RGBA.
PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


class ImageSlide(OpenedSlide):
    """A picture of one level held in memory."""

    def __init__(self, facts: SlideFacts, rgb: NDArray[np.uint8]) -> None:
        super().__init__(facts)
        self._rgb: NDArray[np.uint8] | None = rgb

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file."""
        try:
            profile = _profile_of(self.path, self.vendor)
        except FORMAT_FAULTS as error:
            raise SlideError(f"its color profile is unreadable ({error})") from error
        if profile is not None:
            check_profile(len(profile))
        return profile

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:  # noqa: ARG002
        if self._rgb is None:
            raise SlideError(f"{self.path} is closed; open it again to read from it.")
        x, y = corner.x, corner.y
        rgb[...] = self._rgb[y : y + rgb.shape[0], x : x + rgb.shape[1]]

    def _release(self) -> None:
        self._rgb = None


def open_image(path: Path, given: Mpp | None) -> ImageSlide:
    """Open a plain PNG, JPEG or untiled TIFF.

    Their resolution entries are written by cameras and programs that know no microscope, so
    only a TIFF's is believed, and only where it is plausible.

    Raises
    ------
    SlideError
        Another format, damaged, not 8-bit, or larger than 400 MP.
    """
    if path.stat().st_size > MAX_BLOCK_BYTES * 8:
        raise SlideError("larger than a plain picture may be: convert it to a pyramidal TIFF")
    with path.open("rb") as file:
        magic = file.read(len(PNG_MAGIC))
    try:
        if magic == PNG_MAGIC:
            return _open_encoded(path, given, PNG)
        if magic.startswith(JPEG_MAGIC):
            return _open_encoded(path, given, JPEG)
        if magic.startswith(TIFF_MAGICS):
            return _open_tiff(path, given)
    except SlideError:
        raise
    except FORMAT_FAULTS as error:
        raise fault("the picture", error) from error
    raise SlideError("neither PNG, JPEG nor TIFF")


def _profile_of(path: Path, kind: str) -> bytes | None:
    """Return the color profile in the header of a picture."""
    from PIL import JpegImagePlugin, PngImagePlugin

    if kind not in ENCODED:
        with tifffile.TiffFile(path) as tif:
            return tif.pages.first.iccprofile or None
    # Pixels are not decoded by these, whose `Image.open` refuses what is large.
    reader = PngImagePlugin.PngImageFile if kind == PNG else JpegImagePlugin.JpegImageFile
    with reader(path) as picture:
        return picture.info.get("icc_profile") or None


def _check_image_size(size: Size, bytes_per_px: int = 3) -> None:
    check_dimensions(size, "the picture")
    most = min(MAX_IMAGE_PX, MAX_IMAGE_BYTES // bytes_per_px)
    if size.n_px > most:
        raise SlideError(
            f"a plain picture of {size.width} × {size.height} px is more than "
            f"{most // 1_000_000} MP: convert it to a tiled, pyramidal TIFF"
        )


def _open_encoded(path: Path, given: Mpp | None, kind: str) -> ImageSlide:
    data = path.read_bytes()
    if kind == PNG:
        size = Size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
        n_bits, n_samples = data[24], PNG_SAMPLES.get(data[25], 4)
        if n_bits > 8:
            raise SlideError(f"samples of {n_bits} bits; convert the picture to 8-bit RGB")
        # What is no RGB is held beside it until it has become that.
        _check_image_size(size, 3 if n_samples == 3 else n_samples + 3)
        rgb = _as_rgb(imagecodecs.png_decode(data))
    else:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        size = Size(width, height)
        _check_image_size(size)
        if colors in INKS:
            raise SlideError(f"colors of {colors}; convert the picture to 8-bit RGB")
        check_scans(data)
        rgb = simplejpeg.decode_jpeg(data, "RGB")
    if rgb.shape != (*size.shape, 3):
        raise SlideError(f"the header says {size.shape}, the pixels are {rgb.shape}; damaged file")
    properties = {"her2path.compression": kind.upper()}
    try:
        profile = _profile_of(path, kind)
    except FORMAT_FAULTS:
        # Pixels are told apart from what lies beside them: `icc_profile` says what is wrong.
        profile = None
    if profile is not None:
        properties["her2path.icc-bytes"] = str(len(profile))
    return ImageSlide(_facts(path, kind, size, properties, given), rgb)


def _as_rgb(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB of grey, grey with opacity, RGB or RGBA; opacity lies over white."""
    if samples.dtype != np.uint8:
        raise SlideError(f"samples of {samples.dtype}; convert the picture to 8-bit RGB")
    if samples.ndim == 2:
        samples = samples[..., None]
    n_samples = samples.shape[2]
    n_colours = n_samples - (n_samples in (2, 4))
    colours = np.broadcast_to(samples[..., :n_colours], (*samples.shape[:2], 3))
    if n_colours == n_samples:
        return np.ascontiguousarray(colours)
    return over_white(colours, samples[..., n_colours:])


def _colours_of(samples: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return RGB of the samples of a page of a TIFF, as the page says what they mean."""
    photometric = tifffile.PHOTOMETRIC
    if page.photometric == photometric.PALETTE and samples.ndim == 2:
        if page.colormap is None or page.colormap.shape != (3, 256):
            raise SlideError("its table of colors is damaged; save it anew as 8-bit RGB")
        # Sixteen bits a colour, of which the upper eight are the 8-bit ones.
        return np.ascontiguousarray((page.colormap >> 8).astype(np.uint8).T[samples])
    if page.photometric == photometric.MINISWHITE and samples.ndim == 2:
        return _as_rgb(WHITE - samples)
    if samples.ndim == 3 and samples.shape[2] == 4 and samples.dtype == np.uint8:
        return np.ascontiguousarray(rgb_over_white(samples, page))
    return _as_rgb(samples)


def _open_tiff(path: Path, given: Mpp | None) -> ImageSlide:
    with tifffile.TiffFile(path) as tif:
        first = tif.pages.first
        if first.is_tiled:
            raise SlideError("a tiled TIFF is no plain picture")
        size = Size(int(first.imagewidth), int(first.imagelength))
        _check_image_size(size, _bytes_per_px([first]))
        if int(first.compression) not in BOUNDED_CODECS:
            raise SlideError("its compression is none of a plain picture; save it as PNG or TIFF")
        series = series_of(tif)[0]
        if len(series.shape) == 2 and series.dtype == np.uint8 and not tif.is_ome:
            properties = {"her2path.compression": first.compression.name}
            _check_streams(tif, series)
            pixels = _colours_of(series.asarray(), first)
            return ImageSlide(_facts(path, "tiff", size, properties, given), pixels)
        levels, series = tiff_levels(tif)
        if len(levels) > 1:
            raise SlideError("a pyramid is no plain picture")
        _check_image_size(levels[0].size, _bytes_per_px(levels[0].pages))
        facts = tiff_facts(path, tif, series, levels, given)
        _check_streams(tif, series)
        pixels = series.asarray()
        if series.axes in ("SYX", "CYX"):
            pixels = np.moveaxis(pixels, 0, -1)
        rgb = _colours_of(pixels, first)
        tile = Size(min(FIELD_TILE, rgb.shape[1]), min(FIELD_TILE, rgb.shape[0]))
        return ImageSlide(replace(facts, backend="image", tile_size=tile), rgb)


def _bytes_per_px(pages: Sequence[Any]) -> int:
    """Return what a pixel of some pages takes until it is RGB: what is none is held beside it."""
    n_samples = sum(int(page.samplesperpixel) for page in pages)
    is_rgb = n_samples == 3 and len(pages) == 1 and pages[0].planarconfig == 1
    return 3 if is_rgb else n_samples + 3


def _check_streams(tif: tifffile.TiffFile, series: Any) -> None:  # noqa: ANN401 - a tifffile series
    """Refuse a picture of JPEG one of whose strips is cut off: its decoder passes over that."""
    for page in (page.aspage() for page in series.pages if page is not None):
        for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if int(page.compression) == JPEG_COMPRESSION and count:
                tif.filehandle.seek(at)
                check_jpeg(tif.filehandle.read(count))


def _facts(
    path: Path, vendor: str, size: Size, properties: Mapping[str, str], given: Mpp | None
) -> SlideFacts:
    return SlideFacts(
        path=path,
        backend="image",
        vendor=vendor,
        level_dimensions=(size,),
        tile_size=Size(min(FIELD_TILE, size.width), min(FIELD_TILE, size.height)),
        properties=bounded_properties(properties),
        mpp=given,
        mpp_source="missing" if given is None else "given",
    )
