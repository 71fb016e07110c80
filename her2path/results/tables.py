"""slides.csv, one row per slide; regions.parquet and regions.csv, one row per region."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from her2path.errors import ResultsError, list_faults
from her2path.geometry import Mpp
from her2path.results.atomic import write_bytes
from her2path.results.columns import REGION_COLUMNS, SLIDE_COLUMNS, Column, Kind, names
from her2path.results.jsonable import to_json
from her2path.results.parquet import field_of, write_table

__all__ = ["cell_text", "harmless", "write_regions", "write_regions_csv", "write_slides"]

REGIONS_FAULTY = "the regions of {} cannot be written"

# What a spreadsheet takes for the start of a formula, with the full-width forms of the signs.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")
# Signs alone (a receptor that is "+") and plain numbers: there is nothing in them to evaluate.
NO_FORMULA = re.compile(
    r"[+\-＋－]+|[+\-＋－]?(\d+([.,]\d+)*[.,]?|[.,]\d+)(e[+-]?\d+)?%?", re.ASCII | re.IGNORECASE
)
BEHIND_TAB = re.compile(r"(\t *)([^;\t]+)")
# Ten digits keep sums of percents at 100 and are the same on every machine.
DIGITS = 10

Row = Mapping[str, object]
Plain = str | bool | int | float | None


def write_slides(path: Path, rows: Sequence[Row]) -> None:
    """Write slides.csv: the columns of the contract in their order, then any others.

    A missing value or NaN is an empty cell; a list is joined by ';'. Text that a spreadsheet
    would run as a formula gets an apostrophe in front.

    Raises
    ------
    ResultsError
        If values do not fit their columns; all faults at once.
    """
    table = plain_rows("slides.csv cannot be written", SLIDE_COLUMNS, rows)
    write_bytes(path, csv_of(SLIDE_COLUMNS, table))


def csv_of(columns: Sequence[Column], table: Sequence[Mapping[str, Plain]]) -> bytes:
    header = column_order(columns, table)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([harmless(name) for name in header])
    writer.writerows([cell_text(row.get(name)) for name in header] for row in table)
    return buffer.getvalue().encode()


def write_regions(
    path: Path, rows: Sequence[Row], *, slide_id: str, mpp: Mpp, software_version: str
) -> None:
    """Write regions.parquet: the known columns in their order, then any others.

    Raises
    ------
    ResultsError
        If values do not fit their columns; all faults at once.
    """
    heading = REGIONS_FAULTY.format(slide_id)
    table = plain_rows(heading, REGION_COLUMNS, rows)
    known = {column.name: column for column in REGION_COLUMNS}
    arrays, fields, faults = [], [], []
    for name in column_order(REGION_COLUMNS, table):
        values = [row.get(name) for row in table]
        field = field_of(known[name]) if name in known else None
        try:
            array = pa.array(values, field.type if field else None)
        except pa.ArrowException as error:
            faults.append(f"column {name} mixes kinds of values ({str(error)[:80]})")
            continue
        arrays.append(array)
        fields.append(field or pa.field(name, array.type))
    if faults:
        raise ResultsError(list_faults(heading, faults))
    write_table(
        path,
        pa.table(arrays, schema=pa.schema(fields)),
        metadata={
            "slide_id": slide_id,
            "mpp_x": repr(mpp.x),
            "mpp_y": repr(mpp.y),
            "frame": "x, y in level-0 px",
            "software": f"her2path {software_version}",
        },
    )


def write_regions_csv(path: Path, rows: Sequence[Row], *, slide_id: str) -> None:
    """Write regions.csv, as `write_slides` writes slides.csv.

    Raises
    ------
    ResultsError
        If values do not fit their columns; all faults at once.
    """
    table = plain_rows(REGIONS_FAULTY.format(slide_id), REGION_COLUMNS, rows)
    write_bytes(path, csv_of(REGION_COLUMNS, table))


def plain_rows(
    heading: str, columns: Sequence[Column], rows: Sequence[Row]
) -> list[dict[str, Plain]]:
    """Return rows of plain values, or raise ResultsError that lists every fault."""
    faults: list[str] = []
    table: list[dict[str, Plain]] = []
    for index, row in enumerate(rows):
        plain: dict[str, Plain] = {}
        for name, value in row.items():
            try:
                plain[name] = plain_value(value)
            except TypeError as error:
                faults.append(f"row {index}, {name}: {error}")
        for column in columns:
            fault = value_fault(column, plain.get(column.name))
            if fault is not None:
                faults.append(f"row {index}, {column.name}: {fault}")
        table.append(plain)
    if faults:
        raise ResultsError(list_faults(heading, faults))
    return table


def plain_value(value: object) -> Plain:
    found = to_json(value)
    if isinstance(found, list):
        # The separator must not come up inside a part.
        return ";".join(str(part).replace(";", ",") for part in found)
    if isinstance(found, dict):
        raise TypeError("a mapping does not fit into one cell; flatten it")
    return found


def value_fault(column: Column, value: Plain) -> str | None:
    """Return what is wrong with one value of a column, or None."""
    if value is None:
        return "has no value" if column.is_required else None
    match column.kind:
        case Kind.BOOLEAN:
            is_right = isinstance(value, bool)
        case Kind.INTEGER:
            is_right = isinstance(value, int) and not isinstance(value, bool)
        case Kind.FLOAT | Kind.DOUBLE:
            is_right = isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            is_right = isinstance(value, str)
    if not is_right:
        return f"is {value!r:.60}, not {column.kind}"
    if column.words and value not in column.words:
        return f"is {value!r:.60}, allowed are {', '.join(column.words)}"
    if not isinstance(value, str):
        if column.low is not None and value < column.low:
            return f"is {value}, below {column.low:g}"
        if column.high is not None and value > column.high * (1 + 1e-12):
            return f"is {value}, above {column.high:g}"
    return None


def column_order(columns: Sequence[Column], table: Sequence[Mapping[str, Plain]]) -> list[str]:
    """Return the known columns, then the others in the order of their first appearance."""
    others = dict.fromkeys(name for row in table for name in row)
    return [*names(columns), *(name for name in others if name not in names(columns))]


def cell_text(value: Plain) -> str:
    """Return a value as a cell of a CSV file: empty where it is missing, harmless where text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Adding zero turns -0.0 into 0.
        return format(value + 0.0, f".{DIGITS}g")
    return harmless(value) if isinstance(value, str) else str(value)


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula; numbers and scores stay as they are.

    A carriage return, which not every reader of CSV takes for part of a cell, becomes a line feed.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Where a spreadsheet separates cells by tabs or semicolons, one begins behind each; and behind
    # each line break, since there a quote in the middle of a cell holds nothing together.
    return "\n".join(map(harmless_line, text.split("\n")))


def harmless_line(text: str) -> str:
    """Return a line of a text that no spreadsheet takes for a formula."""
    text = BEHIND_TAB.sub(lambda cell: cell[1] + "'" * is_formula(cell[2]) + cell[2], text)
    first, *others = text.split(";")
    found = ["'" + first if is_formula(first) else first]
    for part in others:
        bare = part.lstrip(" ")
        found.append(part[: len(part) - len(bare)] + "'" * is_formula(bare) + bare)
    return ";".join(found)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would evaluate a cell that holds this text."""
    return text.lstrip(" \n").startswith(FORMULA_STARTS) and not NO_FORMULA.fullmatch(text)
