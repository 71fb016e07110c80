"""Files that anybody may have written are read within bounds."""

from pathlib import Path

import pytest

from her2path.bounded import FileTooLargeError, read_bounded, read_bounded_text


def test_a_file_as_large_as_may_be_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"


def test_a_larger_file_is_refused_with_what_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2001))
    with pytest.raises(FileTooLargeError) as caught:
        read_bounded(path, 2000)
    assert caught.value.strerror == "it is larger than 2,000 bytes"
    assert caught.value.filename == str(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without end is of Unix")
def test_of_a_file_without_end_no_more_is_read_than_may_be() -> None:
    with pytest.raises(FileTooLargeError):
        read_bounded(Path("/dev/zero"), 1000)


def test_a_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfH\xc3\xa4matoxylin")
    assert read_bounded_text(path, 100) == "Hämatoxylin"


def test_what_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OSError, match="no text in UTF-8"):
        read_bounded_text(path, 100)


def test_a_file_that_is_absent_is_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none", 10)
