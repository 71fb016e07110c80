"""Tables that people keep in spreadsheets: read as text with row numbers, written harmlessly."""

from __future__ import annotations

import csv
import io
import logging
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from her2path.bounded import FileTooLargeError, read_bounded
from her2path.errors import TableError, list_faults
from her2path.results.atomic import write_bytes
from her2path.results.jsonable import to_json
from her2path.results.tables import cell_text, harmless

__all__ = [
    "Sheet",
    "SheetRow",
    "columns_like",
    "look_alikes",
    "number",
    "number_in",
    "read_sheet",
    "warn_of_near_misses",
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
# So many columns say what kind of table it is.
MAX_NAMED = 12
# How alike two names are (Ratcliff and Obershelp, 0–1) when one may be the other misspelt.
NEAR_MISS = 0.8
# What Excel reads before the names of the columns: which sign separates cells.
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*[ ]*(\r\n|\r|\n|$)', re.IGNORECASE)
NAMES_A_SEPARATOR = re.compile(r'"?sep=', re.IGNORECASE)
LINE_BREAK = re.compile(r"\r\n|\r|\n")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")

logger = logging.getLogger(__name__)

Word = TypeVar("Word", bound=StrEnum)


class TakesFaults(Protocol):
    """Where faults of rows go, so that they are told beside those of cells."""

    def add_words(self, words: str, *, row: int) -> None:
        """Note what is wrong with a row."""


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


def read_sheet(
    path: Path,
    *,
    needed: Sequence[str] = (),
    known: Collection[str] = (),
    also: Mapping[str, str] | None = None,
    faults: TakesFaults | None = None,
) -> Sheet:
    """Read a CSV file: UTF-8, separated by comma, semicolon or tab, names in the first row.

    A line `sep=;` before the names is understood, as Excel writes it. A quoted cell may hold line
    breaks where no line of it could be a row: a quote that was not closed takes the rows below.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns that must be there.
    known : collection of str
        Columns that are meant, and so called here, however their letters are ("ISH", "Mpp").
    also : mapping of str to str, optional
        Other names, in small letters, that mean a known column.
    faults : TakesFaults, optional
        Takes what is wrong with single rows, which are left out, where others are whole. Its owner
        refuses the table once the rest was checked too.

    Raises
    ------
    TableError
        If it cannot be read as a table, or has no row; all faults at once.
    """
    text, delimiter = separated(decoded(path), path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    of_header: list[str] = []
    of_rows: list[tuple[int, str]] = []
    rows: list[SheetRow] = []
    number = 0
    try:
        names, number = next(reader, []), 1
        known_as = {name.casefold(): name for name in known} | dict(also or {})
        header, of_header = header_of(names, needed, known_as, delimiter=delimiter)
        for number, values in enumerate(reader, start=2):
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            if wrong := row_faults(cells, header, delimiter, number=number):
                of_rows += [(number, words) for words in wrong]
            else:
                rows.append(SheetRow(number, dict(zip(header, cells, strict=False))))
            if len(rows) + len(of_rows) > MAX_ROWS:
                raise TableError(f"{path.name} has more than {MAX_ROWS:,} rows; split it")
    except csv.Error as error:
        number += 1
        if number == 1:
            raise TableError(f"{path.name}, row 1: {quote_fault(error)}") from error
        of_rows.append((number, f"row {number}: {quote_fault(error)}"))
    if not rows and not of_rows:
        of_header.append("there is no row; add one below the names of the columns")
    if of_header or (of_rows and (faults is None or not rows)):
        found = [*of_header, *(words for _, words in of_rows)]
        raise TableError(list_faults(f"{path.name} cannot be used", found))
    if faults is not None:
        for row, words in of_rows:
            faults.add_words(words, row=row)
    return Sheet(path, tuple(header), tuple(rows), delimiter)


def header_of(
    names: Sequence[str], needed: Sequence[str], known_as: Mapping[str, str], *, delimiter: str
) -> tuple[list[str], list[str]]:
    """Return what the columns are called here, and what is wrong with their names."""
    written = [name.strip() for name in names]
    while written and not written[-1]:
        written.pop()
    header = [known_as.get(name.casefold(), name) for name in written]
    faults = broken_cells(names, delimiter, number=1)
    written_as: dict[str, list[str]] = {}
    for form, name in zip(written, header, strict=True):
        written_as.setdefault(name, []).append(form)
    for name, forms in written_as.items():
        *others, last = dict.fromkeys(forms)
        if others:
            listed = ", ".join(f"{form!r:.60}" for form in others)
            faults.append(
                f"row 1: columns {listed} and {last!r:.60} {'all' if others[1:] else 'both'} mean "
                f"{name}; keep one of them"
            )
        elif len(forms) > 1:
            faults.append(f"row 1: column {name!r:.60} stands {len(forms)} times")
    missing = [name for name in needed if name not in header]
    if missing:
        wanted = {name.casefold() for name in missing}
        alike = [name for name in header if name.casefold() in wanted]
        capitals = f" (in other capitals: {', '.join(alike)})" if alike else ""
        found = columns_like(missing, header[:MAX_COLUMNS])
        faults.append(f"row 1: no column {', '.join(missing)}{capitals}; it names {found}")
    if len(header) > MAX_COLUMNS:
        faults.append(f"row 1: {len(header):,} columns are more than {MAX_COLUMNS:,}")
    return header, faults


def row_faults(
    cells: Sequence[str], header: Sequence[str], delimiter: str, *, number: int
) -> list[str]:
    """Return why a row cannot be told into its columns."""
    faults = broken_cells(cells, delimiter, number=number)
    if any(cells[len(header) :]):
        faults.append(
            f"row {number}: {len(cells)} values for {len(header)} columns; put text that "
            f"holds {delimiter!r} in quotes"
        )
    return faults


def columns_like(wanted: Iterable[str], columns: Sequence[str]) -> str:
    """Return, in words, which columns there are, first those that may be meant by wanted names.

    Examples
    --------
    >>> columns_like(["months"], ["patient_id", "score", "PFS_Months"])
    'PFS_Months, patient_id, score'
    """
    folded = [name.casefold() for name in columns]
    close: list[str] = []
    for name in map(str.casefold, wanted):
        close += get_close_matches(name, folded, 3)
        close += [other for other in folded if name in other]
    order = {name: k for k, name in reversed([*enumerate(close)])}
    by_likeness = sorted(columns, key=lambda name: order.get(name.casefold(), len(close)))
    shown = [f"{name:.60}" for name in by_likeness if name]
    more = f" and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return ", ".join(shown[:MAX_NAMED]) + more if shown else "nothing"


def warn_of_near_misses(
    sheet: Sheet, known: Collection[str], *, used: Collection[str] = ()
) -> None:
    """Warn of columns that come near a known one that no row fills, without being one.

    Parameters
    ----------
    sheet : Sheet
    known : collection of str
        Columns in small letters that are read where they are there.
    used : collection of str
        Other columns that are read.
    """
    for column in sheet.columns:
        if column in known or column in used:
            continue
        for meant in get_close_matches(column.casefold(), known, 1, NEAR_MISS):
            # A name of its own: which specimen it is says nothing of what kind it is.
            is_its_id = column.casefold() == f"{meant}_id"
            if not is_its_id and not sheet.has(meant):
                words = "%s: column %s is not read; did you mean %s?"
                logger.warning(words, sheet.path.name, column, meant)


def decoded(path: Path) -> str:
    try:
        data = read_bounded(path, MAX_BYTES)
    except FileTooLargeError as error:
        raise TableError(
            f"{path} is larger than {MAX_BYTES // 2**20} MiB; is it the right file, a CSV file?"
        ) from error
    except OSError as error:
        if path.is_dir():
            raise TableError(f"{path} is a folder; name the table itself, a CSV file") from error
        raise TableError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error
    if data.startswith(SPREADSHEET_MAGIC):
        raise TableError(f"{path} is a spreadsheet; save the sheet as CSV UTF-8 and name that")
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
    """Return in words what a strict reader of CSV stumbled over, nearly all of it about quotes."""
    if "field limit" in str(error):
        return (
            f'a value is longer than {csv.field_size_limit():,} letters; where a quote (") before '
            "it is never closed, close it"
        )
    if "expected after" in str(error):
        what = 'text stands right behind the quote (") that closes a value'
    else:
        what = 'a quote (") opens and is never closed, so that every row below would be lost'
    return f'{what}; close it, take it away, or write "" for a quote inside quoted text'


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
    """Return, in words, names that look alike or are the same number.

    They differ in capitals, blanks, and by how their signs are written.

    Examples
    --------
    >>> look_alikes(["P1", "p1", "P2", "1", "1.0"])
    'P1 and p1; 1 and 1.0'
    """
    found: dict[str | Decimal, list[str]] = {}
    for name in dict.fromkeys(names):
        # Long numbers are names of patients too: as floats some would be equal.
        is_number = number_in(name) is not None
        # One system writes ü as one sign, another as u and two dots.
        folded = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        key = value_of(name.replace(",", ".")) if is_number else folded
        found.setdefault(key, []).append(name)
    alike = [f"{', '.join(n[:-1])} and {n[-1]}" for n in found.values() if len(n) > 1]
    more = [f"and {len(alike) - MAX_ALIKE} more"] if len(alike) > MAX_ALIKE else []
    return "; ".join([*alike[:MAX_ALIKE], *more])


def value_of(number: str) -> Decimal:
    """Return a number exactly; 0 where it is nearer to 0 than any that is told apart from it."""
    try:
        return Decimal(number)
    except InvalidOperation:
        return Decimal(0)


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
