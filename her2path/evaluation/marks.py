"""Cells and membranes marked by eye on real pictures: a folder of tables, read and checked.

A folder of marks holds windows.csv, points.csv and membranes.csv. In each window every nucleus is
marked whose center lies in it, so that finds can be missing or too many; points where no cell is
stand where a program could be misled. `against_marks` compares a reader with them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.bounded import read_bounded_text
from her2path.errors import AnnotationError, list_faults
from her2path.geometry import Region

__all__ = [
    "Label",
    "MarkedMembrane",
    "MarkedWindow",
    "Split",
    "Staining",
    "read_membranes",
    "read_windows",
]

# Marks are some hundred kB; more is another file.
MAX_BYTES = 20_000_000

Points = NDArray[np.float64]


class Split(StrEnum):
    """What a window may be used for: anything may be chosen by it, or one last figure alone."""

    CHOOSING = "choosing"
    FINAL = "final"


class Label(StrEnum):
    """What is seen at a point; at an unsure one nothing is asked."""

    TUMOR = "tumor"
    OTHER = "other"
    UNSURE = "unsure"
    NOT_A_CELL = "not_a_cell"


class Staining(StrEnum):
    """How a piece of a cell's border is stained."""

    CLEAR = "clear"
    FAINT = "faint"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedWindow:
    """A window of a picture with all its marks.

    Attributes
    ----------
    picture, name : str
    split : Split
    kind : str
        What the window was drawn from: tumor, stroma, …
    region : Region
        Level-0 px of the picture.
    mpp : float
        µm/px of the picture.
    x, y : ndarray of shape (n,), float64
        Level-0 px.
    labels : ndarray of shape (n,), str
        Values of Label.
    """

    picture: str
    name: str
    split: Split
    kind: str
    region: Region
    mpp: float
    x: Points
    y: Points
    labels: NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedMembrane:
    """A piece of a tumor cell's border, and how it is stained.

    `x` and `y`, shape (n,), are the corners of a line in level-0 px of the picture.
    """

    picture: str
    window: str
    split: Split
    mpp: float
    staining: Staining
    x: Points
    y: Points


def read_windows(folder: Path, *, points: str = "points.csv") -> tuple[MarkedWindow, ...]:
    """Read windows.csv of a folder and a table of the points marked in them.

    Raises
    ------
    AnnotationError
        If a file is missing or too large, or rows cannot be understood; all faults at once.
    """
    faults: list[str] = []
    marks: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    windows = []
    for where, row in rows_of(folder / "windows.csv"):
        try:
            region = Region(*(int(row[name]) for name in ("x", "y", "width", "height")))
            if region.is_empty or region.x < 0 or region.y < 0:
                raise ValueError(f"a window must lie in its picture, got {region}")
            mpp = float(row["mpp"])
            if not (math.isfinite(mpp) and mpp > 0):
                raise ValueError(f"mpp must be positive, got {mpp}")
            key = row["picture"], row["window"]
            if key in marks:
                raise ValueError(f"window {key[1]} of {key[0]} is there twice")
            marks[key] = []
            windows.append((key, Split(row["split"]), row["kind"], region, mpp))
        except (KeyError, ValueError) as fault:
            faults.append(f"{where}: {fault}")
    regions = {key: region for key, _, _, region, _ in windows}
    splits = {key: split for key, split, _, _, _ in windows}
    for where, row in rows_of(folder / points):
        try:
            key = row["picture"], row["window"]
            region, x, y = regions[key], float(row["x"]), float(row["y"])
            if not (region.x <= x < region.right and region.y <= y < region.bottom):
                raise ValueError(f"({x:g}, {y:g}) lies outside window {key[1]}")
            if row["split"] != splits[key]:
                raise ValueError(f"split {row['split']!r} is not that of window {key[1]}")
            marks[key].append((x, y, Label(row["label"])))
        except (KeyError, ValueError) as fault:
            faults.append(f"{where}: {fault}")
    if faults:
        raise AnnotationError(list_faults(f"the marks in {folder} have faults", faults))
    return tuple(
        MarkedWindow(
            picture=key[0],
            name=key[1],
            split=split,
            kind=kind,
            region=region,
            mpp=mpp,
            x=np.array([x for x, _, _ in marks[key]], np.float64),
            y=np.array([y for _, y, _ in marks[key]], np.float64),
            labels=np.array([label for _, _, label in marks[key]], np.str_),
        )
        for key, split, kind, region, mpp in windows
    )


def read_membranes(folder: Path, windows: Sequence[MarkedWindow]) -> tuple[MarkedMembrane, ...]:
    """Read membranes.csv of a folder, whose windows have been read.

    Raises
    ------
    AnnotationError
        As `read_windows`.
    """
    faults, membranes = [], []
    known = {(window.picture, window.name): window for window in windows}
    for where, row in rows_of(folder / "membranes.csv"):
        try:
            window = known[row["picture"], row["window"]]
            line = shapely.from_wkt(row["outline"])
            if not isinstance(line, shapely.LineString) or line.length == 0:
                raise ValueError(f"an outline is a LINESTRING, got {row['outline'][:40]!r}")
            corners = shapely.get_coordinates(line)
            membranes.append(
                MarkedMembrane(
                    picture=window.picture,
                    window=window.name,
                    split=window.split,
                    mpp=window.mpp,
                    staining=Staining(row["label"]),
                    x=corners[:, 0],
                    y=corners[:, 1],
                )
            )
        except (KeyError, ValueError, shapely.GEOSException) as fault:
            faults.append(f"{where}: {fault}")
    if faults:
        raise AnnotationError(list_faults(f"the marks in {folder} have faults", faults))
    return tuple(membranes)


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a table with the words that name it in an error."""
    try:
        text = read_bounded_text(path, MAX_BYTES)
    except OSError as error:
        raise AnnotationError(
            f"{path} cannot be read ({error.strerror or error}): give a folder of marks"
        ) from error
    try:
        for k, row in enumerate(csv.DictReader(text.splitlines())):
            # What is missing at a row's end is None, what is too much has no name.
            yield f"{path.name}, row {k + 2}", {a: b for a, b in row.items() if a and b is not None}
    except csv.Error as error:
        raise AnnotationError(f"{path} cannot be read ({error}): give a folder of marks") from error
