"""What a file may ask for before memory is taken; every bound has its reason beside it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from her2path.errors import SlideError, SlideMemoryError
from her2path.geometry import Size

__all__ = [
    "FORMAT_FAULTS",
    "MAX_ASSOCIATED_PX",
    "MAX_BLOCK_BYTES",
    "MAX_BLOCK_PX",
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PX",
    "MAX_LEVELS",
    "MAX_PAGES",
    "MAX_REGION_PX",
    "MAX_XML_CHARS",
    "bounded_properties",
    "check_block_size",
    "check_dimensions",
    "check_jpeg",
    "check_levels",
    "check_profile",
    "check_region_size",
    "check_scans",
    "fault",
    "plain",
]

# One read: 2^28 px are 768 MiB of RGB, more than any tile or overview needs.
MAX_REGION_PX = 2**28
# A plain picture is held decoded: 400 MP are 1.2 GB; a larger one belongs in a pyramid.
MAX_IMAGE_PX = 400_000_000
# Of a plain picture with all that it is turned into RGB from.
MAX_IMAGE_BYTES = 1_500_000_000
# A progressive JPEG comes in some ten scans; each costs a pass over the whole picture.
MAX_SCANS = 100
START_OF_SCAN = b"\xff\xda"
END_OF_IMAGE = b"\xff\xd9"
# Labels and macros are photographs of a glass slide.
MAX_ASSOCIATED_PX = 2**26
# One encoded block of a file; scanners write 64–2048 px squares, NDPI rows up to 2^17 px.
MAX_BLOCK_PX = 2**26
MAX_BLOCK_BYTES = 2**28
# A glass slide of 75 × 26 mm at 0.05 µm/px is 1.5 M × 0.52 M px.
MAX_SIDE_PX = 2**22
MAX_LEVEL_PX = 2**40
MAX_LEVELS = 64
# With labels and macros; pages of a stack beyond it are none of a slide.
MAX_PAGES = 4 * MAX_LEVELS
# How far the ratios of sides of a level may differ, beside a lost pixel.
MAX_SKEW = 0.05
MAX_PROPERTIES = 2_000
MAX_PROPERTY_CHARS = 4_096
MAX_NAME_CHARS = 256
# Profiles of scanners with tables of colors take some hundred kB, the largest known 3 MB.
MAX_PROFILE_BYTES = 2**24
# Image descriptions hold XML with the whole plan of a scan.
MAX_XML_CHARS = 2**24

# What parsers of damaged files raise, beside their own errors (imagecodecs: RuntimeError,
# tifffile: bare assertions, Pillow: SyntaxError).
FORMAT_FAULTS = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    struct.error,
)


def fault(what: str, error: BaseException) -> SlideError:
    """Return what to raise for one of `FORMAT_FAULTS`: want of memory is no fault of the file."""
    if isinstance(error, MemoryError):
        return SlideMemoryError(
            f"{what}: memory ran out; close other programs or read less at once"
        )
    return SlideError(
        f"{what} is damaged ({type(error).__name__}: {error}); copy or export it again"
    )


def check_dimensions(size: Size, what: str) -> None:
    """Raise SlideError when a side is not positive or longer than any scan can be."""
    if not (0 < size.width <= MAX_SIDE_PX and 0 < size.height <= MAX_SIDE_PX):
        raise SlideError(
            f"{what} claims {size.width} × {size.height} px; sides of 1 to {MAX_SIDE_PX} px are "
            "possible. The file is damaged: copy or export it again."
        )


def check_levels(level_dimensions: Iterable[Size]) -> None:
    """Raise SlideError when the pyramid is empty, too deep, or not shrinking."""
    sizes = tuple(level_dimensions)
    if not 0 < len(sizes) <= MAX_LEVELS:
        raise SlideError(
            f"the file claims {len(sizes)} levels; 1 to {MAX_LEVELS} are possible. "
            "It is damaged: copy or export it again."
        )
    for level, size in enumerate(sizes):
        check_dimensions(size, f"level {level}")
        if size.n_px > MAX_LEVEL_PX:
            raise SlideError(
                f"level {level} claims {size.width} × {size.height} px, more than any glass slide "
                "holds; the file is damaged: copy or export it again."
            )
    if any(size.n_px > sizes[0].n_px for size in sizes):
        raise SlideError("a level is larger than level 0; the file is damaged: export it again.")
    base = sizes[0]
    for level, size in enumerate(sizes):
        x, y = base.width / size.width, base.height / size.height
        # A pixel is lost where a side is no multiple.
        if abs(x - y) > max(x, y) * (MAX_SKEW + 1 / size.width + 1 / size.height):
            raise SlideError(
                f"level {level} is {x:.3g} times smaller in width and {y:.3g} times in height: it "
                "shows another picture, or the file is damaged; export it again."
            )


def check_block_size(size: Size, what: str) -> None:
    """Raise SlideError when a block of a file asks for more memory than a decoder should take."""
    if size.n_px > MAX_BLOCK_PX:
        raise SlideError(
            f"{what} comes in blocks of {size.width} × {size.height} px; up to {MAX_BLOCK_PX} px "
            "are possible. The file is damaged: copy or export it again."
        )


def check_scans(jpeg: bytes) -> None:
    """Raise SlideError when a JPEG asks for more passes over its pixels than any needs."""
    n = jpeg.count(START_OF_SCAN)
    if n > MAX_SCANS:
        raise SlideError(f"a JPEG of {n} scans, more than {MAX_SCANS}; save it anew")


def check_jpeg(jpeg: bytes) -> None:
    """Raise SlideError when a JPEG has too many scans, or no end: a decoder fills up with gray."""
    check_scans(jpeg)
    if END_OF_IMAGE not in jpeg:
        raise SlideError("a JPEG without an end; it is truncated: copy it again")


def check_profile(n_bytes: int) -> None:
    """Raise SlideError when a color profile is larger than any is."""
    if n_bytes > MAX_PROFILE_BYTES:
        raise SlideError(
            f"its color profile takes {n_bytes} bytes, more than {MAX_PROFILE_BYTES}; read the "
            "colors as they are (--icc off)"
        )


def check_region_size(size: Size) -> None:
    """Raise SlideError when a region is negative or larger than one read may be."""
    if size.width < 0 or size.height < 0:
        raise SlideError(f"region of {size.width} × {size.height} px: sides must not be negative.")
    if size.n_px > MAX_REGION_PX:
        raise SlideError(
            f"region of {size.width} × {size.height} px is more than one read may hold "
            f"({MAX_REGION_PX} px); read it in tiles or at a coarser level."
        )


def bounded_properties(properties: Mapping[str, object]) -> Mapping[str, str]:
    """Return properties as read-only text, cut to a bounded number and length."""
    bounded: dict[str, str] = {}
    for key, value in properties.items():
        if len(bounded) == MAX_PROPERTIES:
            break
        bounded[plain(str(key)[:MAX_NAME_CHARS])] = plain(str(value)[:MAX_PROPERTY_CHARS])
    return MappingProxyType(bounded)


def plain(text: str) -> str:
    """Return text of a file without what steers a terminal; lines stay lines."""
    return "".join(c for c in text if c.isprintable() or c in "\r\n\t")
