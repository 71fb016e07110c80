"""What is wrong with a table that people keep: found row by row, told all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from her2path.errors import Her2pathError, TableError, list_faults
from her2path.results.sheet import SheetRow

__all__ = ["SheetFaults"]

# Faults of the table as a whole stand with the row that holds the names of its columns.
HEADER_ROW = 1

Value = TypeVar("Value")


class SheetFaults:
    """Collects the faults of a table, so that its owner mends them in one go.

    Its length is the number of faults so far: a row is sound if reading it adds none.
    """

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, row: SheetRow, column: str, words: object) -> None:
        """Note what is wrong with a cell."""
        self.add_words(f"row {row.number}, {column}: {words}", row=row.number)

    def add_words(self, words: str, *, row: int = HEADER_ROW) -> None:
        """Note what is wrong with a row, or with the table as a whole."""
        self._found.append((row, words))

    def read(self, row: SheetRow, column: str, kind: Callable[[str], Value]) -> Value | None:
        """Return what a cell says by `kind`; None when it is empty or wrong, which is noted."""
        text = row.get(column)
        if not text:
            return None
        try:
            return kind(text)
        except (Her2pathError, ValueError, OSError) as error:
            self.add(row, column, error)
            return None

    def refuse(self, path: Path, error: type[Her2pathError] = TableError) -> None:
        """Raise an error that lists all faults from the first row down, if there are any."""
        if self._found:
            words = [words for _, words in sorted(self._found, key=lambda fault: fault[0])]
            raise error(list_faults(f"{path.name} cannot be used", words))
