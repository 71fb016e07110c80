"""One run at a time in a folder: a lock that goes with the process that holds it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from her2path.errors import ResultsError

__all__ = ["only_run_in"]

LOCK_FILE = ".her2path.lock"


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs; however it ends, the lock goes.

    A lock of SQLite, which knows how each system does it.

    Raises
    ------
    ResultsError
        If another run holds the folder, or nothing can be written there.
    """
    path = folder / LOCK_FILE
    try:
        database = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise ResultsError(f"{folder} cannot be written ({error}); choose another") from error
    with closing(database):
        try:
            database.execute("BEGIN EXCLUSIVE")
            # Of a file that may only be read the lock is shared: two would have it.
            database.execute("PRAGMA user_version = 1")
        except sqlite3.Error as error:
            if not os.access(path, os.W_OK):
                raise ResultsError(
                    f"{path} is of another user and may not be written; delete it once no run "
                    "uses the folder, or choose another"
                ) from error
            raise ResultsError(
                f"another run is using {folder} ({error}); wait for its end, or choose another "
                "folder"
            ) from error
        yield
