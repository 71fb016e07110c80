"""Slides that OpenSlide reads: SVS, NDPI, MRXS, SCN, BIF, VMS, DICOM, Philips, tiled TIFF."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.jpeg_tiles import JPEG_COMPRESSION
from her2path.slides.limits import (
    FORMAT_FAULTS,
    MAX_ASSOCIATED_PX,
    MAX_PAGES,
    bounded_properties,
    check_block_size,
    check_dimensions,
    check_levels,
    check_profile,
    fault,
    plain,
)
from her2path.slides.mpp import mpp_of_resolution, mpp_or_none
from her2path.slides.opacity import over_white
from her2path.slides.slide import WHITE, AssociatedImages, OpenedSlide, SlideFacts
from her2path.slides.tiff_chain import series_of

__all__ = ["OpenSlideSlide", "open_with_openslide"]

# The first that is present names the model (Aperio stores the instrument's own name only).
SCANNER_KEYS = (
    "dicom.ManufacturerModelName",
    "leica.device-model",
    "ventana.ScannerModel",
    "hamamatsu.Product",
    "philips.DICOM_MANUFACTURERS_MODEL_NAME",
    "aperio.ScanScope ID",
    "tiff.Model",
)
# Where a file has no tiles OpenSlide reads what it needs; 1024 px keeps a row of blocks small.
UNTILED = Size(1024, 1024)
ICC_SIZE = "openslide.icc-size"
UNIT_OF_NAME = {"inch": 2, "centimeter": 3}
GENERIC = "generic-tiff"
# JPEG and Aperio's JPEG 2000 of three samples: OpenSlide decodes these itself, without libtiff.
DECODED_BY_OPENSLIDE = (JPEG_COMPRESSION, 33003, 33005)


class OpenSlideSlide(OpenedSlide):
    """A slide read by OpenSlide.

    Level positions are whole px of the level. Where OpenSlide's own downsample is not a whole
    number it interpolates by a fraction of a pixel below level 0; its pixels there differ
    slightly from those of the other backends.
    """

    def __init__(self, facts: SlideFacts, handle: openslide.OpenSlide) -> None:
        super().__init__(facts)
        self._handle = handle
        self._raw_downsamples = tuple(float(value) for value in handle.level_downsamples)

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file."""
        from PIL.ImageCms import PyCMSError

        check_profile(int(self._handle.properties.get(ICC_SIZE, 0)))
        try:
            profile = self._handle.color_profile
            return None if profile is None else profile.tobytes()
        except (PyCMSError, *FORMAT_FAULTS) as error:
            raise SlideError(f"its color profile is unreadable ({error})") from error

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:
        downsample = self._raw_downsamples[level]
        location = (round(corner.x * downsample), round(corner.y * downsample))
        try:
            rgba = self._handle.read_region(location, level, (rgb.shape[1], rgb.shape[0]))
        except openslide.OpenSlideError as error:
            raise SlideError(
                f"{self.path}: level {level} cannot be read at {location} ({error}); the file "
                "is damaged or incomplete: copy it from the scanner again."
            ) from error
        rgb[...] = _over_white(np.asarray(rgba))

    def _release(self) -> None:
        self._handle.close()


def open_with_openslide(path: Path, given: Mpp | None) -> OpenSlideSlide:
    """Open a slide with OpenSlide.

    Raises
    ------
    SlideError
        OpenSlide does not know the format or refuses the file; the reason is in the message.
    """
    try:
        handle = openslide.OpenSlide(path)
    except (openslide.OpenSlideError, OSError) as error:
        raise SlideError(refusal(error)) from error
    try:
        return OpenSlideSlide(_facts(path, handle, given), handle)
    except SlideError:
        handle.close()
        raise
    except FORMAT_FAULTS as error:
        handle.close()
        raise fault("the file", error) from error


def readable(raw: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that can be read: a damaged file holds names that are no text."""
    found: dict[str, str] = {}
    for key in raw:
        try:
            found[key] = raw[key]
        except (KeyError, ValueError):
            continue
    return found


def refusal(error: Exception) -> str:
    """Return why OpenSlide refused a file, with the remedy where one is known."""
    text = str(error) or type(error).__name__
    if "direction" in text.lower():
        return (
            f"{text}. OpenSlide does not read Ventana BIF files scanned in direction LEFT "
            "(DP 200, DP 600): export the slide as DICOM or OME-TIFF and use that"
        )
    return text


def _facts(path: Path, handle: openslide.OpenSlide, given: Mpp | None) -> SlideFacts:
    raw = readable(handle.properties)
    sizes = tuple(Size(int(w), int(h)) for w, h in handle.level_dimensions)
    check_levels(sizes)
    vendor = raw.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
    properties = {**_tiff_compression(path, vendor), **raw}
    icc = raw.get(ICC_SIZE)
    if icc is not None:
        properties = {"her2path.icc-bytes": icc, **properties}
    mpp, source, tagged = _mpp(raw, given)
    power = mpp_or_none(*[raw.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)] * 2)
    return SlideFacts(
        path=path,
        backend="openslide",
        vendor=vendor,
        level_dimensions=sizes,
        tile_size=_tile_size(raw, len(sizes)),
        properties=bounded_properties(properties),
        associated_images=AssociatedImages(
            {name: _associated_loader(path, handle, name) for name in handle.associated_images}
        ),
        mpp=mpp,
        mpp_source=source,
        tagged_mpp=tagged,
        objective_power=None if power is None else power.x,
        scanner=next((plain(raw[key]).strip()[:256] for key in SCANNER_KEYS if raw.get(key)), ""),
    )


def _mpp(raw: Mapping[str, str], given: Mpp | None) -> tuple[Mpp | None, str, Mpp | None]:
    """Return µm/px, its source, and what resolution tags say beside metadata."""
    if given is not None:
        return given, "given", None
    density = mpp_or_none(raw.get("tiff.XResolution"), raw.get("tiff.YResolution"))
    unit = UNIT_OF_NAME.get(raw.get("tiff.ResolutionUnit", ""), 0)
    tagged = None if density is None else mpp_of_resolution(density.x, density.y, unit)
    found = mpp_or_none(
        raw.get(openslide.PROPERTY_NAME_MPP_X), raw.get(openslide.PROPERTY_NAME_MPP_Y)
    )
    if found is not None:
        # generic-tiff takes these from resolution tags, which say 72 dpi when nothing is known.
        if raw.get(openslide.PROPERTY_NAME_VENDOR) != GENERIC:
            return found, "metadata", tagged
        um_per_cm = 10_000.0
        tagged = mpp_of_resolution(um_per_cm / found.x, um_per_cm / found.y, 3)
    return tagged, "missing" if tagged is None else "tiff-resolution", None


def _tiff_compression(path: Path, vendor: str) -> dict[str, str]:
    """Return the compression of the first page, which OpenSlide does not tell.

    Raises
    ------
    SlideError
        OpenSlide would show other pixels than the file holds.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            if vendor == GENERIC and len(series_of(tif)[0].pages) > 1:
                raise SlideError("a stack of pictures, of which it would show the first alone")
            # Elsewhere the first page may be a label.
            if vendor in (GENERIC, "aperio"):
                check_meaning(tif.pages.first)
            check_counts(tif)
            return {"her2path.compression": tif.pages.first.compression.name}
    except SlideError:
        raise
    except FORMAT_FAULTS:
        return {}


def check_meaning(page: Any) -> None:  # noqa: ANN401 - a tifffile page
    """Refuse a page whose samples libtiff, by which OpenSlide reads most, takes for others.

    Raises
    ------
    SlideError
        The message says what they are.
    """
    n_samples, photometric = int(page.samplesperpixel), page.photometric.name
    if n_samples == 3 and int(page.compression) in DECODED_BY_OPENSLIDE:
        return
    orientation = page.tags.get("Orientation")
    extra = page.extrasamples[0] if page.extrasamples else 0
    for meaning, is_wrong in (
        # Each tile would be turned by itself, and stay where it is.
        ("a picture that is to be turned", orientation is not None and orientation.value != 1),
        (f"samples of {page.bitspersample} bits", int(page.bitspersample) > 8),
        (f"colors in {photometric}", photometric == "SEPARATED"),
        # Opacity would be taken for gray, and what has no meaning for opacity.
        ("gray with opacity", n_samples == 2),
        (
            "a sample beside RGB that is no opacity",
            n_samples > 3 and photometric == "RGB" and int(extra) not in (1, 2),
        ),
    ):
        if is_wrong:
            raise SlideError(f"{meaning}, which it does not show as it is")


def check_counts(tif: tifffile.TiffFile) -> None:
    """Refuse blocks longer than the file.

    OpenSlide takes memory for what a block claims, and ends the process where there is not enough.
    NDPI is read as it goes, and its strips are whole levels.
    """
    n_bytes = tif.filehandle.size
    for page in () if tif.is_ndpi else tif.pages[:MAX_PAGES]:
        longest = max(page.databytecounts, default=0)
        if longest > n_bytes:
            raise SlideError(
                f"a block of {longest} bytes in a file of {n_bytes}; it is truncated or damaged: "
                "copy it again"
            )


def _tile_size(raw: Mapping[str, str], n_levels: int) -> Size:
    """Return the size of a block of level 0, after a look at the blocks of all levels.

    OpenSlide takes memory for a whole block, and ends the process where there is not enough.
    """
    sizes = [_block_size(raw, level) for level in range(n_levels)]
    for level, size in enumerate(sizes):
        check_block_size(size, f"level {level}")
    return sizes[0]


def _block_size(raw: Mapping[str, str], level: int) -> Size:
    try:
        width = int(raw[f"openslide.level[{level}].tile-width"])
        height = int(raw[f"openslide.level[{level}].tile-height"])
    except (KeyError, ValueError):
        return UNTILED
    return Size(width, height) if width > 0 and height > 0 else UNTILED


def _associated_loader(
    path: Path, handle: openslide.OpenSlide, name: str
) -> Callable[[], NDArray[np.uint8]]:
    def load() -> NDArray[np.uint8]:
        try:
            size = Size(
                int(handle.properties[f"openslide.associated.{name}.width"]),
                int(handle.properties[f"openslide.associated.{name}.height"]),
            )
            check_dimensions(size, f"associated image {name!r}")
            if size.n_px > MAX_ASSOCIATED_PX:
                raise SlideError(
                    f"{path}: associated image {name!r} of {size.width} × {size.height} px is "
                    f"larger than {MAX_ASSOCIATED_PX} px and is not read."
                )
            return _over_white(np.asarray(handle.associated_images[name]))
        # A closed slide is a ctypes.ArgumentError (not one of OpenSlide's own).
        except (openslide.OpenSlideError, ctypes.ArgumentError, KeyError, ValueError) as error:
            raise SlideError(f"{path}: associated image {name!r} is unreadable: {error}") from error

    return load


def _over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB of straight-alpha RGBA laid over white."""
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if not (alpha < WHITE).any():
        return rgb
    # What no tile covers may be most of a slide, and picking single pixels is slow.
    rgb |= np.where(alpha == 0, np.uint8(WHITE), np.uint8(0))[..., None]
    is_between = (alpha > 0) & (alpha < WHITE)
    if is_between.any():
        rgb[is_between] = over_white(rgb[is_between], alpha[is_between][:, None])
    return rgb
