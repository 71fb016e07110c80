"""Which DICOM files belong to one slide, told without a DICOM library."""

from __future__ import annotations

from pathlib import Path

__all__ = ["series_of"]

# Identifiers stand before the pixels, in the first few kB.
HEAD_BYTES = 65_536
# (0020,000E) SeriesInstanceUID in explicit little endian, DICOM PS3.5 section 7.1.
SERIES_TAG = b"\x20\x00\x0e\x00UI"
MAX_UID_BYTES = 64


def series_of(path: Path) -> str:
    """Return the SeriesInstanceUID of a DICOM file, empty where it is not found.

    Files of one series are the levels of one slide. An unreadable file has none: it is opened,
    and fails, by itself.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    at = head.find(SERIES_TAG)
    if at < 0:
        return ""
    at += len(SERIES_TAG)
    length = int.from_bytes(head[at : at + 2], "little")
    if length > MAX_UID_BYTES:
        return ""
    return head[at + 2 : at + 2 + length].rstrip(b"\0 ").decode("ascii", "replace")
