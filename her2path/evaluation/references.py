"""What results are held against: a table of scores, or the truth beside drawn slides."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import zlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from her2path.criteria.label import ScoreLabel, parse_score
from her2path.criteria.score import Intensity, Pattern, Score
from her2path.criteria.words import score_named
from her2path.errors import ResultsError, TableError
from her2path.evaluation.cells import KnownCells
from her2path.results.faults import SheetFaults
from her2path.results.folder import name_slides
from her2path.results.jsonable import read_json
from her2path.results.sheet import columns_like, read_sheet, warn_of_near_misses

__all__ = ["Reference", "read_known_cells", "read_references", "read_truths"]

ID_COLUMNS = ("slide_id", "path", "picture")
SCORE_COLUMNS = ("reference", "expected_score", "score")
GROUP_COLUMNS = ("laboratory", "group", "site")
OPTIONAL_COLUMNS = ("patient_id", "patient", *GROUP_COLUMNS)
TRUTH_SUFFIX = ".truth.json"
MAX_TRUTHS = 100_000
# A drawn whole slide holds some hundred thousand cells; a row with its outline about 500 bytes.
MAX_CELLS = 5_000_000
MAX_LINE = 100_000
# What is read of them, and how; outlines, which are most of a file, are not.
KNOWN_CELL_COLUMNS: Mapping[str, Callable[[str], float]] = {
    "x": float,
    "y": float,
    # Spreadsheets write TRUE.
    "is_tumor": lambda word: {"true": 1.0, "false": 0.0}[word.lower()],
    "intensity": lambda word: Intensity[word.upper()],
    "pattern": lambda word: Pattern[word.upper()],
    "completeness": float,
    "membrane_od": float,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of a slide; `label` is None where it is known to be not assessable.

    `cells_path` and `mpp` are there for drawn slides only.
    """

    slide_id: str
    label: ScoreLabel | None
    patient: str = ""
    group: str = ""
    cells_path: Path | None = None
    mpp: float | None = None


def read_references(path: Path) -> tuple[Reference, ...]:
    """Read a table of reference scores.

    It needs a column ``slide_id`` (or ``path``, whose file name it then is) and one of
    ``reference``, ``expected_score`` or ``score``; it may have ``patient_id`` or ``patient``, and
    ``laboratory``, ``group`` or ``site``. A score is as `reference_score` reads it,
    or ``not_assessable``; rows without one are passed over.

    Raises
    ------
    TableError
        If it cannot be used; all faults at once.
    """
    faults = SheetFaults()
    known = (*ID_COLUMNS, *SCORE_COLUMNS, *OPTIONAL_COLUMNS)
    sheet = read_sheet(path, known=known, faults=faults)
    key = next((name for name in ID_COLUMNS if sheet.has(name)), None)
    column = next((name for name in SCORE_COLUMNS if sheet.has(name)), None)
    named = [name for name in (*ID_COLUMNS, *SCORE_COLUMNS) if name in sheet.columns]
    is_named = all(set(named) & set(columns) for columns in (ID_COLUMNS, SCORE_COLUMNS))
    if is_named and (key is None or column is None):
        # A row that could not be read may have filled them.
        faults.refuse(path)
        raise TableError(f"{path.name} has the columns {', '.join(named)}, but no row fills both")
    if key is None or column is None:
        raise TableError(
            f"{path.name} needs a column {' or '.join(ID_COLUMNS)} and one of "
            f"{', '.join(SCORE_COLUMNS)}; it has "
            f"{columns_like((*ID_COLUMNS, *SCORE_COLUMNS), sheet.columns)}"
        )
    warn_of_near_misses(sheet, OPTIONAL_COLUMNS, used=known)
    rows = [row for row in sheet.rows if row.get(column)]
    found: dict[str, Reference] = {}
    for row in rows:
        text = row.get(key)
        if not text:
            faults.add(row, key, "is empty")
            continue
        slide_id = text if key == "slide_id" else name_slides([written_path(text)])[0]
        label = None
        if score_named(row.get(column)) is not Score.NOT_ASSESSABLE:
            label = faults.read(row, column, reference_score)
        if slide_id in found:
            faults.add(row, key, f"{slide_id!r:.60} stands twice")
        found[slide_id] = Reference(
            slide_id,
            label,
            patient=row.get("patient_id") or row.get("patient"),
            group=next((row.get(name) for name in GROUP_COLUMNS if row.get(name)), ""),
        )
    if not found and not faults:
        faults.add_words(f"no row has a {column}")
    faults.refuse(path)
    return tuple(found.values())


def written_path(text: str) -> Path:
    """Return a path of a table, also where the table was written under Windows."""
    return Path(text if "/" in text else PureWindowsPath(text).as_posix())


def reference_score(text: str) -> ScoreLabel:
    """Read a reference: a score, or two neighbours that were not told apart.

    Raises
    ------
    ValueError
        If it is neither. Scores farther apart would join all between them for every slide.

    Examples
    --------
    >>> str(reference_score("0|0+"))
    '0|0+'
    """
    label = parse_score(text)
    if label.high.rank - label.low.rank > 1:
        raise ValueError(
            f"{str(label)!r} are no neighbouring scores; give the one that holds, two neighbours "
            "as 0|0+ where these were not told apart, or leave the cell empty"
        )
    return label


def read_truths(folder: Path) -> tuple[Reference, ...]:
    """Read the truth of drawn slides: every ``NAME.truth.json`` of a folder and its cells.

    Raises
    ------
    ResultsError
        If there is none, or one cannot be used.
    """
    paths = sorted(itertools.islice(folder.glob(f"*{TRUTH_SUFFIX}"), MAX_TRUTHS))
    if not paths:
        raise ResultsError(
            f"{folder} holds no {TRUTH_SUFFIX[1:]} of drawn slides; name the folder that "
            "`her2path synth` wrote, or give --reference"
        )
    return tuple(map(truth_of, paths))


def truth_of(path: Path) -> Reference:
    """Return the truth in one file."""
    document = read_json(path)
    try:
        score, mpp = Score(document["score"]), float(document["mpp"])
        laboratory = str(document["laboratory"]["name"])
        if not (math.isfinite(mpp) and mpp > 0):
            raise ValueError(f"mpp {mpp}")
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(
            f"{path} is no truth of a drawn slide ({error!r}); draw it again with `her2path synth`"
        ) from error
    stem = path.name.removesuffix(TRUTH_SUFFIX)
    cells = path.with_name(f"{stem}.cells.csv.gz")
    return Reference(
        slide_id=stem,
        label=None if score is Score.NOT_ASSESSABLE else ScoreLabel(score, score),
        group=laboratory,
        cells_path=cells if cells.is_file() else None,
        mpp=mpp,
    )


def read_known_cells(path: Path) -> KnownCells:
    """Read the cells that were written beside a drawn slide.

    Raises
    ------
    ResultsError
        If they cannot be read, or are too many.
    """
    columns = {name: array("d") for name in KNOWN_CELL_COLUMNS}
    try:
        with gzip.open(path, "rt", encoding="ascii", newline="") as file:
            # What unpacks to endless lines, or to endless columns, must not fill the memory.
            lines = iter(lambda: file.readline(MAX_LINE), "")
            for number, row in enumerate(csv.DictReader(lines), start=1):
                if number > MAX_CELLS:
                    raise ResultsError(f"{path} holds more than {MAX_CELLS:,} cells")
                for name, code in KNOWN_CELL_COLUMNS.items():
                    # Whoever marked cells by eye has no heights.
                    text = row.get(name) or "nan" if name == "membrane_od" else row[name]
                    if text is None:
                        raise ValueError(f"row {number + 1} ends before {name}")
                    columns[name].append(code(text))
        found = {name: np.array(values, np.float64) for name, values in columns.items()}
        if not (np.isfinite(found["x"]).all() and np.isfinite(found["y"]).all()):
            raise ValueError("a cell has no place")
        return KnownCells(
            x=found["x"],
            y=found["y"],
            is_tumor=found["is_tumor"] > 0,
            intensity=found["intensity"].astype(np.int64),
            pattern=found["pattern"].astype(np.int64),
            completeness=found["completeness"],
            membrane_od=found["membrane_od"],
        )
    except ResultsError:
        raise
    except (OSError, EOFError, zlib.error, csv.Error, KeyError, ValueError, TypeError) as error:
        raise ResultsError(
            f"{path} cannot be read as cells ({error!r:.200}); draw the slide again"
        ) from error
