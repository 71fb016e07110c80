"""Tables that people keep in spreadsheets: read as text with row numbers, written harmlessly."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from her2path.errors import TableError, list_faults
from her2path.results.atomic import write_bytes
from her2path.results.jsonable import to_json
from her2path.results.tables import cell_text, harmless

__all__ = [
    "Sheet",
    "SheetRow",
    "look_alikes",
    "number",
    "number_in",
    "read_sheet",
    "word",
    "write_sheet",
]

MAX_BYTES = 64 * 2**20
# Excel, LibreOffice and Numbers pack their sheets as ZIP archives, old Excel as OLE files.
SPREADSHEET_MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
MAX_ROWS = 100_000
MAX_COLUMNS = 2000
# Longer text in one cell is a quote that was never closed, and met another one far below.
MAX_BROKEN_CHARS = 5000
# So many examples show what is meant.
MAX_ALIKE = 5
# What Excel reads before the names of the columns: which sign separates cells.
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*[ ]*(\r\n|\r|\n|$)', re.IGNORECASE)
NAMES_A_SEPARATOR = re.compile(r'"?sep=', re.IGNORECASE)
LINE_BREAK = re.compile(r"\r\n|\r|\n")
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

    A line `sep=;` before the names is understood, as Excel writes it. A quoted cell may hold line
    breaks where no line of it could be a row: a quote that was not closed takes the rows below.

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
    text, delimiter = separated(decoded(path), path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, faults = [], []
    number = 0
    try:
        names, number = next(reader, []), 1
        header = [name.strip() for name in names]
        header = [name.casefold() if name.casefold() in known else name for name in header]
        while header and not header[-1]:
            header.pop()
        faults += [*broken_cells(names, delimiter, number=1), *header_faults(header, needed)]
        for number, values in enumerate(reader, start=2):
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            faults += broken_cells(cells, delimiter, number=number)
            if any(cells[len(header) :]):
                faults.append(
                    f"row {number}: {len(cells)} values for {len(header)} columns; put text that "
                    f"holds {delimiter!r} in quotes"
                )
            rows.append(SheetRow(number, dict(zip(header, cells, strict=False))))
            if len(rows) > MAX_ROWS:
                raise TableError(f"{path.name} has more than {MAX_ROWS:,} rows; split it")
    except csv.Error as error:
        raise TableError(f"{path.name}, row {number + 1}: {quote_fault(error)}") from error
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
    if data.startswith(SPREADSHEET_MAGIC):
        raise TableError(f"{path} is a spreadsheet; save the sheet as CSV UTF-8 and name that")
    if len(data) > MAX_BYTES:
        raise TableError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8"
        ) from error


def separated(text: str, path: Path) -> tuple[str, str]:
    """Return the text of a table from the names of its columns on, and the sign between cells."""
    named = SEPARATOR_LINE.match(text)
    if named:
        return text[named.end() :], named[1]
    head = text.split("\n", 1)[0]
    if NAMES_A_SEPARATOR.match(head):
        raise TableError(
            f"{path.name}, line 1: {head.strip()!r:.40} names no sign that may separate cells; "
            "use comma, semicolon, tab or |, or take the line out"
        )
    # Spreadsheets write semicolons where the comma is the decimal sign.
    return text, max(",;\t", key=head.count)


def broken_cells(cells: Sequence[str], delimiter: str, *, number: int) -> list[str]:
    """Return which quoted cells of a row hold lines that may be rows of the table."""
    faults = []
    for k, cell in enumerate(cells, start=1):
        first, *others = LINE_BREAK.split(cell)
        if not others or (
            len(cells) > 1
            and len(cell) <= MAX_BROKEN_CHARS
            and not any(delimiter in line for line in others)
        ):
            continue
        faults.append(
            f'row {number}, value {k}: the quote (") before {first!r:.40} closes only '
            f"{len(others)} lines below, and those lines may be rows; close it in its own line, "
            f"or take the line breaks out of the text"
        )
    return faults


def quote_fault(error: csv.Error) -> str:
    """Return in words what a strict reader of CSV stumbled over, all of it about quotes."""
    if "expected after" in str(error):
        what = 'text stands right behind the quote (") that closes a value'
    else:
        what = 'a quote (") opens and is never closed, so that every row below would be lost'
    return f'{what}; close it, take it away, or write "" for a quote inside quoted text'


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


def look_alikes(names: Iterable[str]) -> str:
    """Return, in words, names that differ in capitals and blanks alone or are the same number.

    Examples
    --------
    >>> look_alikes(["P1", "p1", "P2", "1", "1.0"])
    'P1 and p1; 1 and 1.0'
    """
    found: dict[str | Decimal, list[str]] = {}
    for name in dict.fromkeys(names):
        # Long numbers are names of patients too: as floats some would be equal.
        is_number = number_in(name) is not None
        folded = "".join(name.casefold().split())
        key = Decimal(name.replace(",", ".")) if is_number else folded
        found.setdefault(key, []).append(name)
    alike = [f"{', '.join(n[:-1])} and {n[-1]}" for n in found.values() if len(n) > 1]
    more = [f"and {len(alike) - MAX_ALIKE} more"] if len(alike) > MAX_ALIKE else []
    return "; ".join([*alike[:MAX_ALIKE], *more])


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
