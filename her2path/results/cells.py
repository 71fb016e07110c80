"""cells.parquet: one row per cell, the truth from which everything else can be counted again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from her2path.geometry import Mpp
from her2path.results.columns import CELL_COLUMNS, Exclusion
from her2path.results.parquet import (
    MAX_ROWS,
    array_of,
    check_all,
    field_of,
    read_table,
    write_table,
)

__all__ = ["CellTable", "read_cells", "write_cells"]


@dataclass(frozen=True, slots=True)
class CellTable:
    """Cells as read: arrays by column, and what the file says about itself.

    All arrays have shape (n,) but `outline_um`, (n, N_SECTORS); kinds and units are those of
    `CELL_COLUMNS`.
    """

    columns: Mapping[str, NDArray[np.generic]]
    metadata: Mapping[str, str]

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def has_nucleus(self) -> NDArray[np.bool_]:
        """Whether a whole nucleus of each cell can be seen, from the column ``excluded``."""
        without = (Exclusion.NO_NUCLEUS.value, Exclusion.FRAGMENT.value)
        return ~np.isin(self["excluded"].astype(str), without)

    def select(self, mask: NDArray[np.bool_]) -> CellTable:
        """Return the cells of a mask."""
        return CellTable({k: values[mask] for k, values in self.columns.items()}, self.metadata)


def write_cells(
    path: Path,
    columns: Mapping[str, NDArray[np.generic]],
    *,
    slide_id: str,
    mpp: Mpp,
    software_version: str,
) -> None:
    """Write the cells of a slide, atomically.

    Parameters
    ----------
    path : Path
        The file.
    columns : mapping of str to ndarray
        All of `CELL_COLUMNS`, each of length n: words as text, `outline_um` as (n, 32) µm,
        `stained_sectors` as uint32. NaN stands for what could not be measured.
    slide_id, mpp, software_version
        Kept in the file's metadata, so that it can be understood alone.

    Raises
    ------
    ResultsError
        If columns are missing, unknown, of unequal length or out of range; all faults at once.
    """
    check_all(f"the cells of {slide_id} cannot be written", CELL_COLUMNS, columns)
    table = pa.table(
        [array_of(column, columns[column.name]) for column in CELL_COLUMNS],
        schema=pa.schema([field_of(column) for column in CELL_COLUMNS]),
    )
    metadata = {
        "slide_id": slide_id,
        "mpp_x": repr(mpp.x),
        "mpp_y": repr(mpp.y),
        "frame": "x, y in level-0 px",
        "software": f"her2path {software_version}",
    }
    write_table(path, table, metadata=metadata)


def read_cells(
    path: Path,
    *,
    columns: Iterable[str] | None = None,
    max_rows: int = MAX_ROWS,
    is_strict: bool = False,
) -> CellTable:
    """Read all columns, or those asked for; raises ResultsError for a damaged or huge file.

    `is_strict` refuses words and numbers that her2path would not have written.
    """
    found, metadata = read_table(path, CELL_COLUMNS, wanted=columns, max_rows=max_rows)
    if is_strict:
        asked = [column for column in CELL_COLUMNS if column.name in found]
        check_all(f"{path} has been changed; score the slide again", asked, found)
    return CellTable(found, metadata)
