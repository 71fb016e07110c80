"""Tables checked against their columns, written to and read from Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from her2path.cells.table import N_SECTORS, OUTLINE_STEP_UM
from her2path.errors import ResultsError, list_faults
from her2path.results.atomic import atomic_path
from her2path.results.columns import Column, Kind, names

__all__ = ["MAX_ROWS", "array_of", "check_all", "field_of", "read_table", "write_table"]

# A hundred thousand rows are a few MB: readers that want one region skip the other groups.
ROW_GROUP = 100_000
# Twenty times the cells of a very large slide, and what fits into memory.
MAX_ROWS = 20_000_000
MAX_BYTES = 8 * 2**30

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
    Kind.BOOLEAN: pa.bool_(),
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.BITS: pa.uint32(),
    Kind.OUTLINE: pa.list_(pa.uint8(), N_SECTORS),
}


def field_of(column: Column) -> pa.Field:
    """Return the Arrow field of a column, with its unit and meaning."""
    return pa.field(
        column.name,
        ARROW_TYPES[column.kind],
        nullable=not column.is_required,
        metadata={"unit": column.unit, "meaning": column.meaning},
    )


def faults_of(column: Column, values: NDArray[Any]) -> list[str]:
    """Return what is wrong with the values of a column; an empty list when nothing is."""
    where = f"column {column.name}"
    match column.kind:
        case Kind.TEXT | Kind.CATEGORY:
            return word_faults(column, values)
        case Kind.BOOLEAN:
            return [] if values.dtype == np.bool_ else [f"{where} is {values.dtype}, not bool"]
        case Kind.BITS:
            if values.dtype == np.uint32:
                return []
            return [f"{where} is {values.dtype}, not uint32"]
    if values.dtype.kind not in "iuf":
        return [f"{where} is {values.dtype}, not a number"]
    if column.kind is Kind.OUTLINE and (values.ndim != 2 or values.shape[1] != N_SECTORS):
        return [f"{where} has the shape {values.shape}, not (n, {N_SECTORS})"]
    faults = []
    is_missing = np.isnan(values)
    if column.is_required and is_missing.any():
        faults.append(f"{where} has no value in row {first_row(is_missing)}")
    if np.isinf(values).any():
        faults.append(f"{where} is infinite in row {first_row(np.isinf(values))}")
    for is_beyond, limit, word in (
        (values < column.low if column.low is not None else None, column.low, "below"),
        (values > column.high if column.high is not None else None, column.high, "above"),
    ):
        if is_beyond is not None and is_beyond.any():
            row = first_row(is_beyond)
            faults.append(f"{where} is {values[row]} in row {row}, {word} {limit:g}")
    return faults


def word_faults(column: Column, values: NDArray[np.generic]) -> list[str]:
    where = f"column {column.name}"
    if values.dtype.kind not in "UO":
        return [f"{where} is {values.dtype}, not text"]
    try:
        found = pa.array(values, pa.string()).unique().to_pylist()
    except (pa.ArrowException, UnicodeError) as error:
        return [f"{where} holds something else than text ({str(error)[:80]})"]
    strange = [
        word for word in found if word is None or (column.words and word not in column.words)
    ]
    if strange:
        return [
            f"{where} holds {strange[0]!r:.60}, allowed are {', '.join(column.words) or 'texts'}"
        ]
    return []


def first_row(is_fault: NDArray[np.bool_]) -> int:
    return int(np.argwhere(is_fault)[0][0])


def array_of(column: Column, values: NDArray[np.generic]) -> pa.Array:
    """Return checked values as Arrow; an outline in µm becomes whole steps, 25.5 µm at most."""
    if column.kind is Kind.OUTLINE:
        steps = np.clip(np.round(values.astype(np.float32) / OUTLINE_STEP_UM), 0, 255)
        flat = pa.array(steps.astype(np.uint8).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, N_SECTORS)
    if column.kind is Kind.CATEGORY:
        return pa.array(values, pa.string()).dictionary_encode()
    # What was not measured is empty: a NaN would make every mean of the column one.
    return pa.array(values, from_pandas=True).cast(ARROW_TYPES[column.kind])


def write_table(path: Path, table: pa.Table, *, metadata: Mapping[str, str]) -> None:
    """Write a table with its metadata, atomically; the same table gives the same bytes."""
    table = table.replace_schema_metadata(dict(metadata))
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            row_group_size=ROW_GROUP,
            write_page_checksum=True,
        )


def read_table(
    path: Path,
    columns: Sequence[Column],
    *,
    wanted: Iterable[str] | None = None,
    max_rows: int = MAX_ROWS,
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Read columns as arrays, and the metadata; sizes are checked before memory is taken.

    Texts come as object arrays, outlines as float32 µm, missing numbers as NaN.

    Raises
    ------
    ResultsError
        If the file is damaged, too large, lacks a wanted column or holds it as another type.
    """
    known = {column.name: column for column in columns}
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            check_size(path, file.metadata, max_rows)
            present = set(file.schema_arrow.names)
            order = [n for n in known if n in present] if wanted is None else list(wanted)
            missing = [name for name in order if name not in present or name not in known]
            if missing:
                raise ResultsError(
                    f"{path} has no column {', '.join(missing)}; "
                    f"it has {', '.join(sorted(present & set(names(columns))))}"
                )
            table = file.read(columns=order)
            # Arrow trusts the codes of words until it is asked to look.
            table.validate(full=True)
            metadata = text_metadata(table.schema.metadata)
            return {name: numpy_of(known[name], table[name]) for name in order}, metadata
    except ResultsError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ResultsError(
            f"{path} cannot be read ({str(error)[:200]}); score the slide again"
        ) from error


def check_size(path: Path, metadata: pq.FileMetaData, max_rows: int) -> None:
    n_bytes = sum(
        metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)
    )
    if not 0 <= metadata.num_rows <= max_rows or not 0 <= n_bytes <= MAX_BYTES:
        raise ResultsError(
            f"{path} holds {metadata.num_rows:,} rows in {n_bytes:,} bytes, at most {max_rows:,} "
            f"rows and {MAX_BYTES:,} bytes are read; read it in parts with another tool"
        )


def text_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {
        key.decode(): value.decode()
        for key, value in (metadata or {}).items()
        if not key.startswith(b"ARROW:")
    }


def numpy_of(column: Column, values: pa.ChunkedArray) -> NDArray[np.generic]:
    whole = values.combine_chunks()
    if column.kind is Kind.OUTLINE:
        # A list column of another length or with gaps does not cast.
        flat = whole.cast(ARROW_TYPES[column.kind]).flatten()
        if len(flat) != len(whole) * N_SECTORS:
            raise ResultsError(f"column {column.name} has rows without an outline")
        steps = flat.to_numpy(zero_copy_only=False).reshape(-1, N_SECTORS)
        return steps.astype(np.float32) * np.float32(OUTLINE_STEP_UM)
    if column.kind in (Kind.TEXT, Kind.CATEGORY):
        if not pa.types.is_dictionary(whole.type):
            whole = whole.cast(pa.string()).dictionary_encode()
        words = np.array([*whole.dictionary.to_pylist(), None], dtype=object)
        codes = whole.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
        return words[codes]
    if whole.null_count and column.kind is Kind.INTEGER:
        return whole.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return whole.cast(ARROW_TYPES[column.kind]).to_numpy(zero_copy_only=False)


def check_all(
    heading: str, columns: Sequence[Column], values: Mapping[str, NDArray[np.generic]]
) -> None:
    """Raise ResultsError that lists everything wrong with a set of columns."""
    faults = [f"column {name} is missing" for name in names(columns) if name not in values]
    faults += [f"column {name} is unknown" for name in values if name not in names(columns)]
    here = [column for column in columns if column.name in values]
    lengths = {column.name: len(values[column.name]) for column in here}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        faults.append(f"columns differ in length: {shown}")
    for column in here:
        faults += faults_of(column, values[column.name])
    if faults:
        raise ResultsError(list_faults(heading, faults))
