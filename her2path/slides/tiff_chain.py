"""The chain of pages of a TIFF, walked before a library follows it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from her2path.errors import SlideError

__all__ = ["check_chain"]

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
