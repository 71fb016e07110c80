"""Read bytes at a position, from several threads, without a shared file position."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from her2path.errors import SlideError
from her2path.slides.limits import MAX_BLOCK_BYTES

__all__ = ["FileBytes"]


class FileBytes:
    """An open file that is read by (offset, count)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        self._size = os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`.

        Raises
        ------
        SlideError
            The file is shorter than that, or the block is larger than any block may be.
        """
        if not 0 < count <= MAX_BLOCK_BYTES or offset < 0 or offset + count > self._size:
            raise SlideError(
                f"{self._path.name} refers to {count} bytes at {offset} but has {self._size}; "
                "it is truncated or damaged: copy it again."
            )
        if sys.platform != "win32":
            data = os.pread(self._file.fileno(), count, offset)
        else:  # pread is missing there; one reader at a time moves the position
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(count)
        if len(data) != count:
            raise SlideError(f"{self._path.name}: {count} bytes at {offset} could not be read.")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
