"""A manifest: one row per slide, with what holds for it alone."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from her2path.criteria.score import IshResult, Specimen
from her2path.errors import Her2pathError, ManifestError, StainError, list_faults
from her2path.geometry import Location
from her2path.pipeline.settings import SlideJob, find_calibration, find_rule_set
from her2path.pipeline.sources import JobDefaults
from her2path.results.columns import SLIDE_COLUMNS, names
from her2path.results.folder import ResultsFolder, name_slides
from her2path.slides.mpp import as_mpp
from her2path.stain.od import WhitePoint, as_white_point

__all__ = ["KNOWN_COLUMNS", "jobs_of_manifest", "parse_white_point"]

KNOWN_COLUMNS = (
    "slide_id",
    "path",
    "mpp",
    "roi",
    "roi_x",
    "roi_y",
    "criteria",
    "calibration",
    "white_point",
    "ish",
    "specimen",
    "patient_id",
)
# What slides.csv says by itself; a manifest's column of that name gets a prefix.
TAKEN = frozenset(names(SLIDE_COLUMNS)) | {"rule_set", "edition", "model"}
PREFIX = "manifest_"
MAX_BYTES = 64 * 2**20
MAX_ROWS = 100_000

Value = TypeVar("Value")


def parse_white_point(text: str) -> WhitePoint:
    """Read three numbers ("243,242,245"; spaces and semicolons separate as well).

    Raises
    ------
    StainError
        If it is not three numbers from 100 to 255.
    """
    parts = text.replace(";", " ").replace(",", " ").split()
    try:
        return as_white_point([float(part) for part in parts])
    except ValueError as error:
        raise StainError(
            f"white point {text!r:.60} is not three numbers from 100 to 255; give the value of "
            "empty glass, for example 243,242,245"
        ) from error


def jobs_of_manifest(
    path: Path,
    defaults: JobDefaults,
    *,
    needed: Mapping[str, Callable[[str], object]] | None = None,
) -> tuple[SlideJob, ...]:
    """Read a manifest.

    Columns are `path` and any of `KNOWN_COLUMNS`; an empty cell means what the command line says.
    Paths are relative to the manifest. Other columns are kept for slides.csv.

    Parameters
    ----------
    path : Path
    defaults : JobDefaults
    needed : mapping of str to callable, optional
        Other columns that every row must fill, with what reads their text; it raises what is wrong.

    Raises
    ------
    ManifestError
        If it cannot be used; all faults are listed with their line.
    """
    lines, rows = read_rows(path)
    if defaults.roi is not None:
        raise ManifestError(f"--roi beside the manifest {path.name}; use its column roi instead")
    absent = [name for name in needed or {} if not any(name in row for row in rows)]
    if absent:
        raise ManifestError(
            f"{path.name} has no column {', '.join(absent)}; the first line names the columns"
        )
    faults: list[str] = []
    reader = RowReader(path.parent, defaults, faults, needed or {})
    read = [reader.job(line, row) for line, row in zip(lines, rows, strict=True)]
    jobs = [job for job in read if job is not None]
    faults.extend(id_faults(lines, rows))
    if not faults:
        jobs = named(jobs, faults)
    if faults:
        raise ManifestError(list_faults(f"{path.name} cannot be used", faults))
    return tuple(jobs)


def read_rows(path: Path) -> tuple[list[int], list[dict[str, str]]]:
    """Return the lines on which rows stand, and the rows without blank ones."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror or error})") from error
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; is it a manifest?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8"
        ) from error
    head = text.split("\n", 1)[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [column_name(name) for name in next(reader, [])]
        twice = [name for name, n in Counter(header).items() if n > 1]
        if "path" not in header or twice:
            wrong = f"columns twice: {', '.join(twice)}" if twice else "no column path"
            raise ManifestError(
                f"{path.name} has {wrong}; the first line names the columns: path, and any of "
                f"{', '.join(c for c in KNOWN_COLUMNS if c != 'path')}"
            )
        lines, rows = [], []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(header):
                raise ManifestError(
                    f"{path.name}, line {reader.line_num}: {len(values)} values for "
                    f"{len(header)} columns; put text that holds {delimiter!r} in quotes"
                )
            lines.append(reader.line_num)
            cells = [value.strip() for value in values]
            rows.append(dict(zip(header, cells, strict=False)))
            if len(rows) > MAX_ROWS:
                raise ManifestError(f"{path.name} has more than {MAX_ROWS:,} rows; split it")
    except csv.Error as error:
        raise ManifestError(f"{path.name}, line {reader.line_num}: {error}") from error
    if not rows:
        raise ManifestError(f"{path.name} has no row; add one per slide")
    return lines, rows


def column_name(text: str) -> str:
    """Return the name of a column; those that mean something do so in any case ("ISH", "Mpp")."""
    plain = text.strip()
    return plain.casefold() if plain.casefold() in KNOWN_COLUMNS else plain


class RowReader:
    """Turns rows into jobs and collects what is wrong with them."""

    def __init__(
        self,
        folder: Path,
        defaults: JobDefaults,
        faults: list[str],
        needed: Mapping[str, Callable[[str], object]],
    ) -> None:
        self.folder = folder
        self.defaults = defaults
        self.faults = faults
        self.needed = needed

    def job(self, line: int, row: Mapping[str, str]) -> SlideJob | None:
        """Return the job of one row, None when it has a fault."""
        before = len(self.faults)

        def read(column: str, kind: Callable[[str], Value], default: Value) -> Value:
            text = row.get(column, "")
            if not text:
                return default
            try:
                return kind(text)
            except (Her2pathError, ValueError) as error:
                self.faults.append(f"line {line}, {column}: {error}")
                return default

        defaults = self.defaults
        if not row.get("path"):
            self.faults.append(f"line {line}, path: is empty")
        for column, kind in self.needed.items():
            if row.get(column):
                read(column, kind, None)
            else:
                self.faults.append(f"line {line}, {column}: is empty")
        specimen = read("specimen", word(Specimen), defaults.specimen)
        job = SlideJob(
            slide_id=row.get("slide_id", ""),
            path=self.placed(row.get("path", "")),
            rule_set=read(
                "criteria", lambda text: find_rule_set(text, specimen=specimen), defaults.rule_set
            ),
            calibration=read(
                "calibration",
                lambda text: find_calibration(self.placed(text)),
                defaults.calibration,
            ),
            mpp=read("mpp", lambda text: as_mpp(number(text)).mean, defaults.mpp),
            roi=read("roi", self.existing, None),
            roi_offset=Location(
                read("roi_x", int, defaults.roi_offset.x), read("roi_y", int, defaults.roi_offset.y)
            ),
            white_point=read("white_point", parse_white_point, defaults.white_point),
            ish=read("ish", word(IshResult), defaults.ish),
            specimen=specimen,
            patient_id=row.get("patient_id", ""),
            extras={
                PREFIX + name if name in TAKEN else name: value
                for name, value in row.items()
                if name and name not in KNOWN_COLUMNS
            },
        )
        return job if len(self.faults) == before else None

    def placed(self, text: str) -> Path:
        """Return a path of the manifest, relative to its folder."""
        return Path(os.path.abspath(self.folder / text))

    def existing(self, text: str) -> Path:
        """Return a path of the manifest that must be there."""
        path = self.placed(text)
        if not path.is_file():
            raise ManifestError(f"{path} does not exist")
        return path


def number(text: str) -> float:
    """Read a number that a spreadsheet may have written with a decimal comma."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r:.40} is no number")
    return value


def word(kind: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a reader of one of the words of an enum, whatever its case."""

    def read(text: str) -> Value:
        try:
            return kind(text.lower().replace(" ", "_"))
        except ValueError as error:
            known = ", ".join(str(member) for member in kind)  # type: ignore[attr-defined]
            raise ManifestError(f"{text!r:.40} is none of {known}") from error

    return read


def id_faults(lines: Sequence[int], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what is wrong with the names that the manifest gives."""
    faults = []
    given = [(line, row.get("slide_id", "")) for line, row in zip(lines, rows, strict=True)]
    first: dict[str, int] = {}
    for line, name in given:
        if not name:
            continue
        before = first.setdefault(name.casefold(), line)
        if before != line:
            faults.append(f"line {line}, slide_id: {name!r:.80} stands in line {before} already")
        elif not names_folder(name):
            faults.append(
                f"line {line}, slide_id: {name!r:.80} cannot name a folder; "
                "use letters, digits, - and _"
            )
    return faults


def names_folder(slide_id: str) -> bool:
    """Return whether results can lie under this name."""
    try:
        ResultsFolder(Path()).slide(slide_id)
    except Her2pathError:
        return False
    return True


def named(jobs: list[SlideJob], faults: list[str]) -> list[SlideJob]:
    """Give a name to slides that have none, and refuse those that clash with given ones."""
    without = [job for job in jobs if not job.slide_id]
    try:
        found = iter(name_slides([job.path for job in without]))
    except Her2pathError as error:
        faults.append(f"{error}; give them a slide_id of their own")
        return jobs
    jobs = [job if job.slide_id else replace(job, slide_id=next(found)) for job in jobs]
    count = Counter(job.slide_id.casefold() for job in jobs)
    faults.extend(f"slide_id {name!r} stands {n} times" for name, n in count.items() if n > 1)
    return jobs
