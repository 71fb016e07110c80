"""Tables that people keep in spreadsheets: read as text with row numbers, written harmlessly."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from her2path.errors import TableError, list_faults
from her2path.results.atomic import write_bytes
from her2path.results.jsonable import to_json
from her2path.results.tables import cell_text, harmless

__all__ = ["Sheet", "SheetRow", "number", "number_in", "read_sheet", "word", "write_sheet"]

MAX_BYTES = 64 * 2**20
MAX_ROWS = 100_000
MAX_COLUMNS = 2000
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row; `number` is that of a spreadsheet, whose first row holds the names of columns."""

    number: int
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """Return the text of a cell, empty when the table has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of text: names of columns, and rows that are not blank.

    `separator` stands between cells in the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    separator: str = ","

    def has(self, column: str) -> bool:
        """Return whether any row fills the column."""
        return any(row.get(column) for row in self.rows)


def read_sheet(path: Path, *, needed: Sequence[str] = (), known: Collection[str] = ()) -> Sheet:
    """Read a CSV file: UTF-8, separated by comma, semicolon or tab, names in the first row.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns that must be there.
    known : collection of str
        Columns in small letters that are meant however their letters are ("ISH", "Mpp").

    Raises
    ------
    TableError
        If it cannot be read as a table, or has no row; all faults at once.
    """
    text = decoded(path)
    head = text.split("\n", 1)[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, faults = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        header = [name.casefold() if name.casefold() in known else name for name in header]
        while header and not header[-1]:
            header.pop()
        faults += header_faults(header, needed)
        for number, values in enumerate(reader, start=2):
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            if any(cells[len(header) :]):
                faults.append(
                    f"row {number}: {len(cells)} values for {len(header)} columns; put text that "
                    f"holds {delimiter!r} in quotes"
                )
            rows.append(SheetRow(number, dict(zip(header, cells, strict=False))))
            if len(rows) > MAX_ROWS:
                raise TableError(f"{path.name} has more than {MAX_ROWS:,} rows; split it")
    except csv.Error as error:
        raise TableError(f"{path.name}, row {reader.line_num}: {error}") from error
    if not rows:
        faults.append("there is no row; add one below the names of the columns")
    if faults:
        raise TableError(list_faults(f"{path.name} cannot be used", faults))
    return Sheet(path, tuple(header), tuple(rows), delimiter)


def decoded(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error
    if len(data) > MAX_BYTES:
        raise TableError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8"
        ) from error


def header_faults(header: Sequence[str], needed: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of the columns."""
    faults = [
        f"row 1: column {name!r:.60} stands {n} times"
        for name, n in Counter(header).items()
        if n > 1
    ]
    missing = [name for name in needed if name not in header]
    if missing:
        names = ", ".join(header[:12]) or "nothing"
        faults.append(f"row 1: no column {', '.join(missing)}; it names {names:.200}")
    if len(header) > MAX_COLUMNS:
        faults.append(f"row 1: {len(header):,} columns are more than {MAX_COLUMNS:,}")
    return faults


def number_in(text: str, *, separator: str = ";") -> float | None:
    """Return the number that a cell holds, with a decimal comma or point; None when it is none.

    Nor is "1,095" one where cells are separated by commas (`separator`): there it may mean
    thousands as well.
    """
    if "_" in text or (separator == "," and THOUSANDS.fullmatch(text)):
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number(text: str) -> float:
    """Return the number that a cell holds; it raises TableError when it is none."""
    found = number_in(text)
    if found is None:
        raise TableError(f"{text!r:.40} is no number")
    return found


def word(kind: type[Word]) -> Callable[[str], Word]:
    """Return a reader of the words of an enum, whatever their case; it raises TableError."""

    def read(text: str) -> Word:
        try:
            return kind(text.strip().lower().replace(" ", "_"))
        except ValueError as error:
            raise TableError(f"{text!r:.60} is none of {', '.join(kind)}") from error

    return read


def write_sheet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV, atomically; text that a spreadsheet would run gets an apostrophe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([harmless(name) for name in columns])
    writer.writerows([cell_text(to_json(row.get(name))) for name in columns] for row in rows)
    write_bytes(path, buffer.getvalue().encode())
