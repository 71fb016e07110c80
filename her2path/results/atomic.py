"""Write a file so that it is there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from her2path.errors import Her2pathError, ResultsError

__all__ = ["PREFIX", "atomic_path", "remove_file", "remove_leftovers", "write_bytes", "write_text"]

PREFIX = ".her2path-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of `path` when the block succeeds.

    The temporary file lies in the same folder and keeps the suffix, so that a writer that goes by
    the suffix works. When the block fails, `path` is as it was before.

    Raises
    ------
    ResultsError
        If the folder or file cannot be written.
    """
    temporary = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{path.suffix[:16]}")
    try:
        try:
            # Made here, not by the writer: nobody else can have put a link in its place.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            if os.name == "posix":
                flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except Her2pathError:
        raise
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror or error}); "
            "check free space, rights and that the folder exists"
        ) from error


def remove_file(path: Path) -> None:
    """Delete a file where there is one.

    Raises
    ------
    ResultsError
        If it cannot be deleted, as while another program has it open.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path} of an earlier run cannot be deleted ({error.strerror or error}); close it "
            "where it is open, or delete it"
        ) from error


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Some shares cannot be asked for that: what is written there is as safe as they make it.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write text to `path` as UTF-8 with its line ends unchanged, atomically."""
    write_bytes(path, text.encode("utf-8"))


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that a killed run left in `folder`.

    Only for the run that owns the folder: another one may be writing to them.
    """
    for leftover in folder.glob(f"{PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
