"""Which DICOM files belong to one slide, told without a DICOM library."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from her2path.slides.magic import DICOM_MAGIC, DICOM_MAGIC_AT

__all__ = ["series_of"]

# (0020,000E) SeriesInstanceUID, (0002,0010) TransferSyntaxUID; DICOM PS3.6.
SERIES = (0x0020, 0x000E)
TRANSFER_SYNTAX = (0x0002, 0x0010)
IMPLICIT = b"1.2.840.10008.1.2"
BIG_ENDIAN = b"1.2.840.10008.1.2.2"
# The head of a file lists a few hundred elements before its series.
MAX_ELEMENTS = 10_000
MAX_UID_BYTES = 64
# Types whose length takes four bytes, after two that are reserved: PS3.5 section 7.1.2.
LONG_TYPES = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN",
                        b"UR", b"UT", b"UV"))  # fmt: skip
# What a sequence is made of has a length, but no type.
ITEMS = 0xFFFE
ENDS = (0xE00D, 0xE0DD)
UNTIL_ITS_END = 0xFFFF_FFFF


def series_of(path: Path) -> str:
    """Return the SeriesInstanceUID of a DICOM file, empty where it is not found.

    Files of one series are the levels of one slide. An unreadable file has none: it is opened,
    and fails, by itself. Series that a file refers to in its sequences are not its own.
    """
    try:
        # A pipe would wait for its writer.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            if not file.read(DICOM_MAGIC_AT + len(DICOM_MAGIC)).endswith(DICOM_MAGIC):
                return ""
            return own_series(file)
    except (OSError, struct.error):
        return ""


def own_series(file: BinaryIO) -> str:
    """Return the series by the elements from here on; those within sequences are passed over."""
    syntax, depth = b"", 0
    for _ in range(MAX_ELEMENTS):
        head = file.read(8)
        # What describes the file itself is always in little endian, with types.
        is_meta = head[:2] == b"\2\0"
        order = ">" if syntax == BIG_ENDIAN and not is_meta else "<"
        group, element = struct.unpack_from(order + "HH", head)
        if group == ITEMS or (syntax == IMPLICIT and not is_meta):
            (length,) = struct.unpack_from(order + "I", head, 4)
        elif head[4:6] in LONG_TYPES:
            (length,) = struct.unpack(order + "I", file.read(4))
        else:
            (length,) = struct.unpack_from(order + "H", head, 6)
        if depth == 0 and (group, element) > SERIES:
            break
        if group == ITEMS and element in ENDS:
            depth -= 1
        elif length == UNTIL_ITS_END:
            depth += 1
        elif depth == 0 and (group, element) in (SERIES, TRANSFER_SYNTAX):
            value = file.read(length).rstrip(b"\0 ") if length <= MAX_UID_BYTES else b""
            if (group, element) == SERIES:
                return value.decode("ascii", "replace")
            syntax = value
        else:
            file.seek(length, 1)
    return ""
