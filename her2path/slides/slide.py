"""One slide protocol in OpenSlide's words, and what every backend shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides.limits import check_levels, check_region_size

__all__ = [
    "WHITE",
    "AssociatedImages",
    "OpenedSlide",
    "Rgb",
    "Slide",
    "SlideFacts",
    "downsamples_of",
    "empty_rgb",
]

Rgb = NDArray[np.uint8]

WHITE = 255


@runtime_checkable
class Slide(Protocol):
    """An opened whole-slide image or field; sizes are (width, height) px."""

    @property
    def path(self) -> Path:
        """The file that was opened."""

    @property
    def backend(self) -> str:
        """Which reader opened it: jpeg-tiff, openslide, tifffile, wsidicom or image."""

    @property
    def vendor(self) -> str:
        """Format in OpenSlide's words (aperio, hamamatsu, …), or ome-tiff, tiff, png, jpeg."""

    @property
    def level_count(self) -> int:
        """Number of levels."""

    @property
    def dimensions(self) -> Size:
        """Size of level 0."""

    @property
    def level_dimensions(self) -> tuple[Size, ...]:
        """Size of each level."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 px per px of each level, ≥ 1."""

    @property
    def tile_size(self) -> Size:
        """The file's own tile at level 0; a sensible one where the file has none."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata as bounded text; it comes from the file, so escape it wherever it is shown."""

    @property
    def associated_images(self) -> Mapping[str, Rgb]:
        """Label, macro, thumbnail: uint8 RGB, shape (M, N, 3), read when asked for."""

    @property
    def mpp(self) -> Mpp | None:
        """µm/px at level 0 as found or given, unchecked: `require_mpp` checks it."""

    @property
    def mpp_source(self) -> str:
        """Where mpp comes from: given, metadata, tiff-resolution or missing."""

    @property
    def tagged_mpp(self) -> Mpp | None:
        """µm/px by the resolution tags of a TIFF whose metadata say one too; else None."""

    @property
    def objective_power(self) -> float | None:
        """Nominal magnification from metadata; informative only."""

    @property
    def scanner(self) -> str:
        """Scanner model where known, else empty."""

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file; None where it has none.

        Raises
        ------
        SlideError
            It is larger than a profile may be, or unreadable.
        """

    def read_region(
        self, location: Location, level: int, size: Size, *, out: Rgb | None = None
    ) -> Rgb:
        """Read a rectangle of one level.

        Parameters
        ----------
        location : Location
            Top-left corner in level-0 px; may lie outside the slide.
        level : int
            Pyramid index, 0 = full resolution.
        size : Size
            Wanted size in px of this level.
        out : ndarray of shape (size.height, size.width, 3), uint8, optional
            Array to fill and return. Reading many regions into one array is a fifth faster than
            into fresh memory.

        Returns
        -------
        ndarray of shape (size.height, size.width, 3), uint8
            Outside the slide and where it is transparent: white (255).

        Raises
        ------
        SlideError
            The slide is closed, a block is damaged, or more is asked than one read may hold.
        """

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""

    def __enter__(self) -> Self:
        """Return the slide."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the slide."""


class AssociatedImages(Mapping[str, Rgb]):
    """Names of associated images, each read when it is asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], Rgb]] | None = None) -> None:
        self._loaders = dict(loaders or {})

    def __getitem__(self, name: str) -> Rgb:
        return self._loaders[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def empty_rgb(size: Size) -> Rgb:
    """Return an unfilled picture that starts 8 bytes past a 32-byte boundary.

    libjpeg-turbo writes into an aligned buffer at two thirds of the speed (200 against 290 MP/s).
    """
    n_bytes = size.n_px * 3
    raw = np.empty(n_bytes + 32, np.uint8)
    start = (8 - raw.ctypes.data) % 32
    return raw[start : start + n_bytes].reshape(*size.shape, 3)


def downsamples_of(level_dimensions: tuple[Size, ...]) -> tuple[float, ...]:
    """Return the downsample of each level.

    Scanners shrink by whole numbers and drop the remainder: 4443 px halved are 2221 px. The plain
    ratio of sizes (2.0005) would drift by a pixel across the slide, so the whole number is
    used wherever the sizes agree with it; the mean ratio otherwise, as OpenSlide does.
    """
    base = level_dimensions[0]
    downsamples = []
    for size in level_dimensions:
        ratio = (base.width / size.width + base.height / size.height) / 2
        whole = max(1, round(ratio))
        is_whole = all(
            side in (full // whole, math.ceil(full / whole))
            for full, side in ((base.width, size.width), (base.height, size.height))
        )
        downsamples.append(float(whole) if is_whole else max(1.0, ratio))
    return tuple(downsamples)


@dataclass(frozen=True, kw_only=True)
class SlideFacts:
    """What a backend understood of a file before any pixel is read."""

    path: Path
    backend: str
    vendor: str
    level_dimensions: tuple[Size, ...]
    tile_size: Size
    properties: Mapping[str, str]
    associated_images: Mapping[str, Rgb] = field(default_factory=AssociatedImages)
    mpp: Mpp | None = None
    mpp_source: str = "missing"
    tagged_mpp: Mpp | None = None
    objective_power: float | None = None
    scanner: str = ""


class OpenedSlide(ABC):
    """A slide known by its facts; a backend adds how to read pixels inside one level.

    Clipping, white outside, bounds and the closed state are written here once.
    """

    def __init__(self, facts: SlideFacts) -> None:
        check_levels(facts.level_dimensions)
        self._facts = facts
        self._downsamples = downsamples_of(facts.level_dimensions)
        self._is_closed = False

    @property
    def facts(self) -> SlideFacts:
        """Everything known before pixels are read."""
        return self._facts

    @property
    def path(self) -> Path:
        """The file that was opened."""
        return self._facts.path

    @property
    def backend(self) -> str:
        """Which reader opened it."""
        return self._facts.backend

    @property
    def vendor(self) -> str:
        """Format of the file."""
        return self._facts.vendor

    @property
    def level_count(self) -> int:
        """Number of levels."""
        return len(self._facts.level_dimensions)

    @property
    def dimensions(self) -> Size:
        """Size of level 0."""
        return self._facts.level_dimensions[0]

    @property
    def level_dimensions(self) -> tuple[Size, ...]:
        """Size of each level."""
        return self._facts.level_dimensions

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 px per px of each level."""
        return self._downsamples

    @property
    def tile_size(self) -> Size:
        """The file's own tile at level 0."""
        return self._facts.tile_size

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata as bounded text."""
        return self._facts.properties

    @property
    def associated_images(self) -> Mapping[str, Rgb]:
        """Label, macro, thumbnail; read when asked for."""
        return self._facts.associated_images

    @property
    def mpp(self) -> Mpp | None:
        """µm/px at level 0, unchecked."""
        return self._facts.mpp

    @property
    def mpp_source(self) -> str:
        """Where mpp comes from."""
        return self._facts.mpp_source

    @property
    def tagged_mpp(self) -> Mpp | None:
        """µm/px by the resolution tags, beside that of the metadata."""
        return self._facts.tagged_mpp

    @property
    def objective_power(self) -> float | None:
        """Nominal magnification."""
        return self._facts.objective_power

    @property
    def scanner(self) -> str:
        """Scanner model where known."""
        return self._facts.scanner

    def icc_profile(self) -> bytes | None:
        """Return the color profile of the file; see `Slide.icc_profile`. Here there is none."""
        return None

    def read_region(
        self, location: Location, level: int, size: Size, *, out: Rgb | None = None
    ) -> Rgb:
        """Read a rectangle of one level; see `Slide.read_region`."""
        if self._is_closed:
            raise SlideError(f"{self.path} is closed; open it again to read from it.")
        if not 0 <= level < self.level_count:
            raise SlideError(
                f"{self.path} has no level {level}; it has levels 0 to {self.level_count - 1}."
            )
        check_region_size(size)
        downsample = self._downsamples[level]
        x, y = (math.floor(at / downsample + 0.5) for at in (location.x, location.y))
        whole = self.level_dimensions[level]
        left, top = max(0, x), max(0, y)
        width = min(x + size.width, whole.width) - left
        height = min(y + size.height, whole.height) - top
        rgb = empty_rgb(size) if out is None else out
        if rgb.shape != (*size.shape, 3) or rgb.dtype != np.uint8:
            raise SlideError(f"out is {rgb.dtype} {rgb.shape}; uint8 {(*size.shape, 3)} is needed.")
        if width <= 0 or height <= 0:
            rgb[...] = WHITE
            return rgb
        if (width, height) != (size.width, size.height):
            rgb[...] = WHITE
        inside = rgb[top - y : top - y + height, left - x : left - x + width]
        self._read_into(level, Location(left, top), inside)
        return rgb

    @abstractmethod
    def _read_into(self, level: int, corner: Location, rgb: Rgb) -> None:
        """Fill `rgb` with the px of `level` from `corner` on; all of them lie inside it."""

    def close(self) -> None:
        """Release the file; closing twice is no fault."""
        if not self._is_closed:
            self._is_closed = True
            self._release()

    @abstractmethod
    def _release(self) -> None:
        """Give back what the backend holds; called once."""

    def __enter__(self) -> Self:
        """Return the slide."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the slide."""
        self.close()

    def __repr__(self) -> str:
        size = self.dimensions
        return f"<{self.vendor} slide {self.path.name!r}, {size.width} × {size.height} px>"
