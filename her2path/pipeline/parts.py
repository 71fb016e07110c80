"""Stage B: measure the cells of some tiles and keep them in a part file.

A part is on the disk, whole, before it counts: a killed run goes on behind its last part, and
memory holds the cells of a few tiles at a time.
"""

from __future__ import annotations

import logging
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.cells.measure import HALO_UM, MeasureSettings, measure_cells
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.errors import ResultsError
from her2path.geometry import Mpp
from her2path.pipeline.frames import ALIGNMENT_PX
from her2path.pipeline.network import (
    NetworkUse,
    Positions,
    maps_of,
    positions_of,
    reader_of,
)
from her2path.pipeline.second_look import tumor_at_second_look
from her2path.pipeline.survey import Survey
from her2path.results.atomic import atomic_path
from her2path.slides.color import Icc
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp
from her2path.slides.slide import Slide
from her2path.slides.tiling import Tile, tiles_mm2

__all__ = [
    "OPEN_SLIDES",
    "TileTask",
    "has_part",
    "measure_tiles",
    "plan_parts",
    "read_parts",
    "read_positions",
]

logger = logging.getLogger(__name__)

# Few tiles at a time share work evenly; many at a time share decoded tiles of the file.
SMALL_SLIDE_TILES = 32
TILES_PER_PART = 4
# What reading a damaged archive of arrays raises, headers of arrays too.
PART_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
# Coordinates in 1/256 px: the same cell has the same place, and one owner, in every tile.
STEPS_PER_PX = 256
COLUMNS = tuple(f.name for f in fields(CellMeasurements))
# Columns of the network's positions in a part.
POSITION = "position_"
# One value per sector of each cell; the others have one per cell.
SECTOR_COLUMNS = (
    "outline_um",
    "line_contrast_od",
    "line_od",
    "line_height_od",
    "is_measurable",
    "seen_line",
)


@dataclass(frozen=True, slots=True)
class TileTask:
    """Some tiles of one slide, and the file that keeps their cells."""

    slide_path: Path
    given_mpp: float | None
    icc: Icc
    mpp: Mpp
    working_mpp: float
    measure: MeasureSettings
    tiles: tuple[Tile, ...]
    network: NetworkUse | None
    key: str
    part: Path

    @property
    def mm2(self) -> float:
        """Area of the tiles."""
        return tiles_mm2(self.tiles, self.mpp)


def plan_parts(survey: Survey, folder: Path) -> tuple[TileTask, ...]:
    """Cut the tiles of a slide into tasks, the same whatever the number of workers."""
    size = 1 if len(survey.tiles) < SMALL_SLIDE_TILES else TILES_PER_PART
    return tuple(
        TileTask(
            slide_path=survey.job.path,
            given_mpp=survey.job.mpp,
            icc=survey.job.icc,
            mpp=survey.mpp,
            working_mpp=survey.working_mpp,
            measure=survey.measure,
            tiles=survey.tiles[first : first + size],
            network=survey.network,
            key=survey.parts_key,
            part=folder / f"part-{first:07d}.npz",
        )
        for first in range(0, len(survey.tiles), size)
    )


def measure_tiles(task: TileTask) -> int:
    """Measure the cells of some tiles, write their part, and return how many there are.

    Raises
    ------
    SlideError
        A tile cannot be read.
    ResultsError
        The part cannot be written.
    """
    slide = OPEN_SLIDES.get(task)
    measured = [measure_tile(slide, tile, task) for tile in task.tiles]
    cells = CellMeasurements.concatenate([cells for cells, _ in measured])
    columns = {name: getattr(cells, name) for name in COLUMNS}
    if task.network is not None:
        positions = Positions.concatenate([seen for _, seen in measured if seen is not None])
        columns |= {POSITION + f.name: getattr(positions, f.name) for f in fields(Positions)}
    with atomic_path(task.part) as temporary, temporary.open("wb") as file:
        np.savez(
            file, allow_pickle=False, key=np.array(task.key), n=np.array(len(cells)), **columns
        )
    return len(cells)


class OpenSlides:
    """The slides that this process has open: opening one takes longer than reading a tile."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._slides: dict[tuple[Path, str], Slide] = {}

    def get(self, task: TileTask) -> Slide:
        """Return the slide of a task, opened when it is not yet; the one unused longest goes."""
        # A file that has changed has another key.
        name = task.slide_path, task.key
        slide = self._slides.pop(name, None)
        if slide is None:
            slide = open_slide(task.slide_path, mpp=task.given_mpp, icc=task.icc)
        self._slides[name] = slide
        while len(self._slides) > self._at_most:
            self._slides.pop(next(iter(self._slides))).close()
        return slide

    def close(self) -> None:
        """Close all of them."""
        while self._slides:
            self._slides.popitem()[1].close()


# Of one process: a slide cannot be sent to another.
OPEN_SLIDES = OpenSlides(2)


def measure_tile(
    slide: Slide, tile: Tile, task: TileTask
) -> tuple[CellMeasurements, Positions | None]:
    """Return the cells whose centre lies in the core of a tile, and what the network says there.

    x and y are in level-0 px.
    """
    rgb = read_at_mpp(slide, tile.frame, task.working_mpp)
    step_x, step_y = task.working_mpp / task.mpp.x, task.working_mpp / task.mpp.y
    maps, positions, left, top = None, None, 0, 0
    core, frame = tile.core, tile.frame
    if task.network is not None:
        reader = reader_of(task.network)
        planes = reader.read(rgb, task.working_mpp)
        twice = tumor_at_second_look(reader, rgb, planes, task.measure, task.working_mpp)
        positions = positions_of(planes, frame, core, task.working_mpp, task.mpp)
        # A network looks further than a cell is measured.
        halo = HALO_UM / task.working_mpp
        left = aligned_px((core.x - frame.x) / step_x - halo)
        top = aligned_px((core.y - frame.y) / step_y - halo)
        right = math.ceil((core.right - frame.x) / step_x + halo)
        bottom = math.ceil((core.bottom - frame.y) / step_y + halo)
        rgb = np.ascontiguousarray(rgb[top:bottom, left:right])
        maps = maps_of(planes, (left, top), tumor_twice=twice)
    # Places are rounded below: a cell within a pixel of the border may belong to either side.
    within = (
        (core.x - frame.x) / step_x - left - 1.5,
        (core.y - frame.y) / step_y - top - 1.5,
        (core.right - frame.x) / step_x - left + 0.5,
        (core.bottom - frame.y) / step_y - top + 0.5,
    )
    cells = measure_cells(rgb, task.measure, mpp=task.working_mpp, maps=maps, within=within)
    # Pixel k of the picture spans k … k + 1 in the frame of outlines and viewers.
    x = frame.x + (cells.x + left + 0.5) * step_x
    y = frame.y + (cells.y + top + 0.5) * step_y
    x, y = (np.round(v * STEPS_PER_PX) / STEPS_PER_PX for v in (x, y))
    is_owned = (x >= core.x) & (x < core.right) & (y >= core.y) & (y < core.bottom)
    return replace(cells, x=x, y=y).select(is_owned), positions


def aligned_px(px: float) -> int:
    """Return the last suitable corner before a place in a frame: what is halved stays halved."""
    return max(0, math.floor(px / ALIGNMENT_PX) * ALIGNMENT_PX)


def has_part(task: TileTask) -> bool:
    """Whether the part is there, whole, and of this very task."""
    try:
        # Opened here: numpy leaves the file of a damaged archive open.
        with task.part.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return str(stored["key"]) == task.key and set(COLUMNS) <= set(stored.files)
    except FileNotFoundError:
        return False
    except PART_FAULTS as error:
        logger.warning("%s is damaged (%s) and is measured again", task.part, error)
        return False


def read_parts(paths: Sequence[Path]) -> CellMeasurements:
    """Read the cells of all parts in reading order: the same however they were cut.

    Columns of sectors, nine tenths of the bytes, are gathered one after the other: a slide of a
    million cells needs its own size of memory, not three times that.

    Raises
    ------
    ResultsError
        If a part is absent or damaged.
    """
    scalars = gathered(paths, [name for name in COLUMNS if name not in SECTOR_COLUMNS])
    order = np.lexsort((scalars["x"], scalars["y"]))
    columns = {name: values[order] for name, values in scalars.items()}
    for name in SECTOR_COLUMNS:
        columns[name] = gathered(paths, [name])[name][order]
    return CellMeasurements(**columns)


def read_positions(paths: Sequence[Path]) -> Positions:
    """Read what the network says at the positions of all parts, in reading order.

    Raises
    ------
    ResultsError
        If a part is absent or damaged.
    """
    found = []
    for path in paths:
        with readable(path) as stored:
            found.append(Positions(*(stored[POSITION + f.name] for f in fields(Positions))))
    positions = Positions.concatenate(found)
    order = np.lexsort((positions.x, positions.y))
    return Positions(*(getattr(positions, f.name)[order] for f in fields(Positions)))


@contextmanager
def readable(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open a part; whatever is wrong with it becomes a ResultsError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            yield stored
    except PART_FAULTS as error:
        raise ResultsError(f"{path} is damaged ({error}); run again with --resume") from error


def gathered(paths: Sequence[Path], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read some columns of all parts, one behind the other."""
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for path in paths:
        with readable(path) as stored:
            columns = {name: stored[name] for name in names}
            n = int(stored["n"])
        for name, values in columns.items():
            shape = (n, N_SECTORS) if name in SECTOR_COLUMNS else (n,)
            if values.shape != shape:
                raise ResultsError(
                    f"{path}, {name} has shape {values.shape}, not {shape}; run again with --resume"
                )
            found[name].append(values)
    return {name: np.concatenate(values) for name, values in found.items()}
