"""Read files that anybody may have written: never more of one than what it is can hold."""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = ["FileTooLargeError", "read_bounded", "read_bounded_text"]


class FileTooLargeError(OSError):
    """A file is larger than what it is said to be can be."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most so many bytes, and no more than that of a larger one.

    Raises
    ------
    FileTooLargeError
        When it is larger.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        words = f"it is larger than {most_bytes:,} bytes"
        raise FileTooLargeError(errno.EFBIG, words, str(path))
    return data


def read_bounded_text(path: Path, most_bytes: int) -> str:
    """Read a text in UTF-8 of at most so many bytes.

    The mark that editors of Windows put before the first letter is left out.

    Raises
    ------
    FileTooLargeError
        When it is larger.
    OSError
        When it cannot be read, or is no such text.
    """
    data = read_bounded(path, most_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, "it is no text in UTF-8", str(path)) from error
