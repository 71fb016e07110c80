"""DICOM slides in transfer syntaxes that OpenSlide refuses (JPEG-LS, …), by the extra `dicom`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.companions import companions
from her2path.slides.limits import bounded_properties, check_levels, check_profile, plain
from her2path.slides.mpp import mpp_or_none
from her2path.slides.slide import OpenedSlide, SlideFacts

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["WsidicomSlide", "open_with_wsidicom"]

SHOWN = ("Manufacturer", "ManufacturerModelName")
OPTICAL_PATHS = "OpticalPathSequence"


class WsidicomSlide(OpenedSlide):
    """A DICOM slide read by wsidicom."""

    def __init__(self, facts: SlideFacts, wsi: object, level_indices: tuple[int, ...]) -> None:
        super().__init__(facts)
        self._wsi = wsi
        self._level_indices = level_indices

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the first optical path."""
        paths = _dataset(self.path).get(OPTICAL_PATHS) or []
        profile = paths[0].get("ICCProfile") if paths else None
        if not profile:
            return None
        check_profile(len(profile))
        return bytes(profile)

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:
        try:
            picture = self._wsi.read_region(  # type: ignore[attr-defined]
                (corner.x, corner.y), self._level_indices[level], (rgb.shape[1], rgb.shape[0])
            )
        except Exception as error:
            # Its own errors have no common root.
            raise SlideError(f"{self.path}: level {level} is unreadable: {error}") from error
        rgb[...] = np.asarray(picture.convert("RGB"))

    def _release(self) -> None:
        self._wsi.close()  # type: ignore[attr-defined]


def open_with_wsidicom(path: Path, given: Mpp | None) -> WsidicomSlide:
    """Open a DICOM slide with wsidicom.

    Raises
    ------
    SlideError
        wsidicom is not installed, or refuses the file.
    """
    try:
        from wsidicom import WsiDicom
    except ImportError as error:
        raise SlideError('not installed: pip install "her2path[dicom]"') from error
    try:
        wsi = WsiDicom.open([path, *companions(path)])
    except Exception as error:
        raise SlideError(
            f"{type(error).__name__}: {error}; the files of one slide, each once, belong in a "
            "folder of their own"
        ) from error
    try:
        return WsidicomSlide(*_understood(path, wsi, given))
    except Exception as error:
        wsi.close()
        raise SlideError(f"{type(error).__name__}: {error}") from error


def _understood(
    path: Path, wsi: object, given: Mpp | None
) -> tuple[SlideFacts, object, tuple[int, ...]]:
    levels = list(wsi.levels)  # type: ignore[attr-defined]
    sizes = tuple(Size(int(level.size.width), int(level.size.height)) for level in levels)
    check_levels(sizes)
    tags = _header(path)
    # wsidicom gives µm/px although the type is named for mm.
    found = mpp_or_none(levels[0].mpp.width, levels[0].mpp.height)
    mpp = given if given is not None else found
    tile = levels[0].tile_size
    facts = SlideFacts(
        path=path,
        backend="wsidicom",
        vendor="dicom",
        level_dimensions=sizes,
        tile_size=Size(int(tile.width), int(tile.height)),
        properties=bounded_properties(tags),
        mpp=mpp,
        mpp_source="given" if given is not None else "missing" if mpp is None else "metadata",
        scanner=plain(tags.get("dicom.ManufacturerModelName", ""))[:256],
    )
    return facts, wsi, tuple(int(level.level) for level in levels)


def _dataset(path: Path) -> Dataset:
    """Return the few tags that are used; wsidicom's own metadata stops at odd values."""
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*SHOWN, OPTICAL_PATHS])


def _header(path: Path) -> dict[str, str]:
    """Return the tags that are shown."""
    dataset = _dataset(path)
    tags = {f"dicom.{name}": str(dataset.get(name, "")) for name in SHOWN}
    tags["her2path.compression"] = str(dataset.file_meta.TransferSyntaxUID.name)
    paths = dataset.get(OPTICAL_PATHS) or []
    if paths and "ICCProfile" in paths[0]:
        tags["her2path.icc-bytes"] = str(len(paths[0].ICCProfile))
    return tags
