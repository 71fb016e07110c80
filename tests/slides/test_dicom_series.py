"""The series of a DICOM file, by the standard's own encoding of its elements."""

import struct
from pathlib import Path

import pytest

from her2path.slides.companions import companions
from her2path.slides.dicom_series import series_of

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNTIL_ITS_END = 0xFFFF_FFFF


def element(group: int, number: int, kind: str, value: bytes, syntax: str = EXPLICIT, **given):
    order = ">" if syntax == BIG_ENDIAN else "<"
    length = given.get("length", len(value))
    tag = struct.pack(order + "HH", group, number)
    if syntax == IMPLICIT or group == 0xFFFE:
        return tag + struct.pack(order + "I", length) + value
    if kind in ("OB", "SQ", "UN"):
        return tag + kind.encode() + bytes(2) + struct.pack(order + "I", length) + value
    return tag + kind.encode() + struct.pack(order + "H", length) + value


def uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def referred(series: str, syntax: str, *, is_open: bool) -> bytes:
    """Return (0008,1115) ReferencedSeriesSequence, of known or of open length."""
    own = element(0x20, 0xE, "UI", uid(series), syntax)
    if not is_open:
        item = element(0xFFFE, 0xE000, "", own, syntax)
        return element(8, 0x1115, "SQ", item, syntax)
    own += element(0xFFFE, 0xE00D, "", b"", syntax)
    item = element(0xFFFE, 0xE000, "", own, syntax, length=UNTIL_ITS_END)
    item += element(0xFFFE, 0xE0DD, "", b"", syntax)
    return element(8, 0x1115, "SQ", item, syntax, length=UNTIL_ITS_END)


def write(path: Path, series: str, syntax: str = EXPLICIT, *, before: bytes = b"") -> Path:
    meta = element(2, 0x10, "UI", uid(syntax))
    head = bytes(128) + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    own = element(8, 0x60, "CS", b"SM", syntax) + before
    own += element(0x20, 0xE, "UI", uid(series), syntax) if series else b""
    path.write_bytes(head + own + element(0x28, 0x10, "US", b"\1\0", syntax))
    return path


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_series_that_is_referred_to_is_not_that_of_the_file(tmp_path, syntax, is_open):
    before = referred("1.2.9", syntax, is_open=is_open)
    assert series_of(write(tmp_path / "a.dcm", "1.2.34", syntax, before=before)) == "1.2.34"
    assert series_of(write(tmp_path / "b.dcm", "", syntax, before=before)) == ""


def test_two_slides_that_refer_to_one_series_are_two(tmp_path):
    before = referred("1.2.9", EXPLICIT, is_open=True)
    first = write(tmp_path / "a.dcm", "1.2.3", before=before)
    write(tmp_path / "b.dcm", "1.2.4", before=before)
    level = write(tmp_path / "c.dcm", "1.2.3", before=before)
    assert companions(first) == (level,)


def test_a_series_behind_a_large_element_is_found(tmp_path):
    before = element(9, 0x1001, "OB", bytes(200_000))
    assert series_of(write(tmp_path / "a.dcm", "1.2.3", before=before)) == "1.2.3"


@pytest.mark.parametrize(
    "content", [b"", bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\x08" * 99]
)
def test_a_damaged_file_has_no_series(tmp_path, content):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    assert series_of(path) == ""


def test_files_of_a_slide_need_no_suffix(tmp_path):
    first = write(tmp_path / "1.2.1", "1.2.3")
    level = write(tmp_path / "1.2.2", "1.2.3")
    write(tmp_path / "1.2.9", "1.2.4")
    (tmp_path / "DICOMDIR").write_bytes(b"none")
    assert companions(first) == (level,)
    assert companions(tmp_path / "DICOMDIR") == ()
