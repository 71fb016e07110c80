"""SQLite files of what must not be lost: whole transactions, and errors that name a remedy."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from her2path.errors import ResultsError

__all__ = ["Database", "rows_of_archive"]


class Database(ABC):
    """An open database; use it in a `with` block.

    Parameters
    ----------
    path : Path
        The file, made when absent.
    wait_s : float
        How long to wait for another program that holds it.
    has_one_thread : bool
        False where threads use it one after the other.

    Raises
    ------
    ResultsError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, wait_s: float, has_one_thread: bool = True) -> None:
        self.path = path
        with self.guarded():
            self.database = sqlite3.connect(
                path, timeout=wait_s, isolation_level=None, check_same_thread=has_one_thread
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; what is committed stays."""
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, or nothing of it."""
        with self.guarded():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                # A full disk may have rolled back already.
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the errors of SQLite into one that names the file and the remedy."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self.unusable(error) from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from error

    @abstractmethod
    def unusable(self, error: sqlite3.OperationalError) -> ResultsError:
        """Return the error for a file that cannot be used now."""

    @abstractmethod
    def damaged(self, error: Exception) -> ResultsError:
        """Return the error for a file that cannot be understood."""


def rows_of_archive(path: Path, query: str, *, why_waiting: str) -> list[tuple[Any, ...]]:
    """Return what a query gives of a database in a folder that cannot be written, as it was left.

    Parameters
    ----------
    path : Path
    query : str
    why_waiting : str
        What is told where entries wait beside the file to be taken into it.

    Raises
    ------
    ResultsError
        If entries wait.
    sqlite3.DatabaseError
        If it cannot be understood.
    """
    waiting = path.with_name(path.name + "-wal")
    if waiting.exists() and waiting.stat().st_size:
        raise ResultsError(why_waiting)
    # As it lies there: otherwise SQLite writes beside what it reads.
    database = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    with closing(database):
        return database.execute(query).fetchall()
