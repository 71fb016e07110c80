"""What a TIFF says of its pages, looked at before a library follows it."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

from her2path.errors import SlideError
from her2path.slides.limits import MAX_LEVELS, MAX_XML_CHARS
from her2path.slides.mpp import WithoutDoctype

__all__ = ["check_chain", "series_of"]

# Whole-slide files have some ten pages, stacks of focal planes some hundred.
MAX_CHAIN = 10_000


def check_chain(path: Path) -> None:
    """Refuse a TIFF whose pages lead back to an earlier one, or never end.

    A chain that cannot be followed is passed over: the readers say what is wrong with it.

    Raises
    ------
    SlideError
        If it is endless.
    """
    try:
        with path.open("rb") as file:
            seen = offsets_of(file)
    except SlideError:
        raise
    except (OSError, ValueError, struct.error):
        # A count or a pointer of eight bytes may lie where no file reaches.
        return
    if len(seen) > MAX_CHAIN:
        raise SlideError(
            f"{path} has more than {MAX_CHAIN:,} pages; it is damaged, or no slide: export it again"
        )


def offsets_of(file: BinaryIO) -> set[int]:
    """Return where the pages lie, at most one more than MAX_CHAIN; SlideError where they circle."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = struct.unpack(order + "H", head[2:4])[0] == 43
    # BigTIFF counts and points in eight bytes, the other in two and four.
    n_entries, pointer, entry_bytes = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    start = 8 if is_big else 4
    (at,) = struct.unpack_from(order + pointer, head, start)
    seen: set[int] = set()
    while at and len(seen) <= MAX_CHAIN:
        if at in seen:
            raise SlideError(
                f"the pages of {file.name} lead back to an earlier one; it is damaged: copy or "
                "export it again"
            )
        seen.add(at)
        file.seek(at)
        (n,) = struct.unpack(order + n_entries, file.read(struct.calcsize(order + n_entries)))
        file.seek(n * entry_bytes, 1)
        (at,) = struct.unpack(order + pointer, file.read(struct.calcsize(order + pointer)))
    return seen


def series_of(tif: Any) -> Any:  # noqa: ANN401 - tifffile's file, and its list of series
    """Return the pictures of an open TIFF, each page of which lies in this very file.

    tifffile makes room for every plane that OME-XML claims, and follows it into other files.

    Raises
    ------
    SlideError
        If more planes or levels are claimed than a file holds, or planes lie elsewhere.
    """
    if len(tif.pages.first.subifds or ()) > MAX_LEVELS:
        raise SlideError(
            f"more than {MAX_LEVELS} levels hang below its first page; it is damaged: copy or "
            "export it again"
        )
    if tif.is_ome and n_planes(tif.ome_metadata or "") > MAX_CHAIN:
        raise SlideError(
            f"its OME-XML claims more than {MAX_CHAIN:,} planes; it is damaged: export it again"
        )
    found = tif.series
    for series in found:
        for page in series.pages:
            if page is not None and page.parent is not tif:
                raise SlideError(
                    "its picture is spread over several files; save it as one OME-TIFF"
                )
    return found


def n_planes(xml: str) -> float:
    """Return how many planes OME-XML claims for all of its pictures; none where it is damaged."""
    if len(xml) > MAX_XML_CHARS:
        return math.inf
    try:
        root = ElementTree.fromstring(xml, ElementTree.XMLParser(target=WithoutDoctype()))
        sizes = [
            [int(pixels.get(f"Size{axis}", "1")) for axis in "CZT"]
            for pixels in root.iterfind(".//{*}Pixels")
        ]
        return sum(map(math.prod, sizes)) if all(min(one) > 0 for one in sizes) else math.inf
    except ElementTree.ParseError:
        return 0
    except ValueError:
        return math.inf
