"""A manifest: one row per slide, with what holds for it alone."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from her2path.criteria.ish import check_ish
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import IshResult, Organ, Specimen
from her2path.errors import (
    CriteriaError,
    Her2pathError,
    ManifestError,
    StainError,
    TableError,
)
from her2path.geometry import Location
from her2path.pipeline.settings import (
    SlideJob,
    check_specimen,
    find_calibration,
    find_rule_set,
)
from her2path.pipeline.sources import JobDefaults
from her2path.results.columns import SLIDE_COLUMNS, names
from her2path.results.faults import SheetFaults
from her2path.results.folder import DEVICES, MAX_NAME_BYTES, ResultsFolder, name_slides
from her2path.results.sheet import (
    SheetRow,
    number,
    number_in,
    read_sheet,
    warn_of_near_misses,
    word,
)
from her2path.slides.color import Icc
from her2path.slides.mpp import as_mpp
from her2path.stain.od import WhitePoint, as_white_point

__all__ = ["KNOWN_COLUMNS", "TAKEN", "jobs_of_manifest", "parse_white_point"]

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
    "icc",
    "patient_id",
)
# As other tools call them: a path or a µm/px that nobody reads would go unnoticed.
ALSO_CALLED = {"roi_path": "roi", "mpp_override": "mpp"}
VECTORS_ARE_KEPT = (
    "column stain_vectors is kept, not used: vectors are those of the calibration (column "
    "calibration), or the reference pair"
)
# What slides.csv says by itself; a manifest's column of that name gets a prefix.
TAKEN = frozenset(names(SLIDE_COLUMNS))
PREFIX = "manifest_"

logger = logging.getLogger(__name__)

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
    may_repeat: bool = True,
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
    may_repeat : bool
        Whether a slide may stand in several rows, each with a name of its own.

    Raises
    ------
    ManifestError
        If it cannot be used; all faults are listed with their rows.
    """
    faults = SheetFaults()
    needed = needed or {}
    known = (*KNOWN_COLUMNS, *needed)
    try:
        sheet = read_sheet(
            path, needed=("path", *needed), known=known, also=ALSO_CALLED, faults=faults
        )
    except TableError as error:
        raise ManifestError(str(error)) from error
    if defaults.roi is not None:
        raise ManifestError(f"--roi beside the manifest {path.name}; use its column roi instead")
    warn_of_near_misses(sheet, known)
    if sheet.has("stain_vectors"):
        logger.warning("%s: %s", path.name, VECTORS_ARE_KEPT)
    check_columns(sheet.columns, faults)
    reader = RowReader(
        path.parent, defaults, faults, needed, names_patients="patient_id" in sheet.columns
    )
    read = [reader.job(row) for row in sheet.rows]
    jobs = [job for job in read if job is not None]
    check_names(sheet.rows, faults)
    check_paths(sheet.rows, path.parent, faults, may_repeat=may_repeat)
    if not faults:
        jobs = named(jobs, faults)
    faults.refuse(path, ManifestError)
    return tuple(jobs)


def kept_name(column: str) -> str:
    """Return what slides.csv calls a column of the manifest that it only keeps."""
    return PREFIX + column if column.casefold() in TAKEN else column


def check_columns(columns: Sequence[str], faults: SheetFaults) -> None:
    """Note columns that are only kept, and would get one name."""
    first: dict[str, str] = {}
    for column in columns:
        if column in KNOWN_COLUMNS:
            continue
        name = kept_name(column)
        before = first.setdefault(name.casefold(), column)
        if before != column:
            faults.add_words(
                f"columns {before!r:.40} and {column!r:.40} would both be {name!r:.60} in "
                "slides.csv; rename one"
            )


class RowReader:
    """Turns rows into jobs and collects what is wrong with them."""

    def __init__(
        self,
        folder: Path,
        defaults: JobDefaults,
        faults: SheetFaults,
        needed: Mapping[str, Callable[[str], object]],
        *,
        names_patients: bool,
    ) -> None:
        self.folder = folder
        self.defaults = defaults
        self.faults = faults
        self.needed = needed
        self.names_patients = names_patients

    def job(self, row: SheetRow) -> SlideJob | None:
        """Return the job of one row, None when it has a fault."""
        before = len(self.faults)

        def read(column: str, kind: Callable[[str], Value], default: Value) -> Value:
            found = self.faults.read(row, column, kind)
            return default if found is None else found

        defaults = self.defaults
        if not row.get("path"):
            self.faults.add(row, "path", "is empty")
        for column, kind in self.needed.items():
            if row.get(column):
                read(column, kind, None)
            else:
                self.faults.add(row, column, "is empty")
        specimen = read("specimen", word(Specimen), defaults.specimen)
        rule_set = self.rule_set(row, specimen)
        ish = read("ish", word(IshResult), defaults.ish)
        try:
            # Refused before hours of measuring: a result of ISH that these criteria do not know.
            check_ish(ish, rule_set.organ)
        except CriteriaError as error:
            self.faults.add(row, "ish", error)
            ish = None
        if not row.get("roi") and (row.get("roi_x") or row.get("roi_y")):
            self.faults.add(row, "roi", "is empty, and roi_x and roi_y move outlines; fill it")
        job = SlideJob(
            slide_id=row.get("slide_id"),
            path=read("path", self.placed, Path()),
            rule_set=rule_set,
            calibration=read(
                "calibration",
                lambda text: find_calibration(self.placed(text)),
                defaults.calibration,
            ),
            mpp=read("mpp", lambda text: as_mpp(number(text)).mean, defaults.mpp),
            roi=read("roi", self.existing, None),
            roi_offset=Location(
                read("roi_x", whole_px, defaults.roi_offset.x),
                read("roi_y", whole_px, defaults.roi_offset.y),
            ),
            white_point=read("white_point", parse_white_point, defaults.white_point),
            ish=ish,
            specimen=specimen,
            icc=read("icc", word(Icc), defaults.icc),
            patient_id=row.get("patient_id") if self.names_patients else None,
            extras={
                kept_name(name): value
                for name, value in row.cells.items()
                if name and name not in KNOWN_COLUMNS
            },
        )
        return job if len(self.faults) == before else None

    def rule_set(self, row: SheetRow, specimen: Specimen | None) -> RuleSet:
        """Return the criteria of a row, which the kind of specimen must not contradict."""
        usual = self.defaults.rule_set

        def of_cell(text: str) -> RuleSet:
            is_file = text.lower().endswith(".toml")
            return find_rule_set(str(self.placed(text)) if is_file else text, specimen=specimen)

        if row.get("criteria"):
            return self.faults.read(row, "criteria", of_cell) or usual
        if usual.organ is not Organ.STOMACH:
            return usual
        try:
            if self.defaults.is_by_specimen:
                return find_rule_set("gastric", specimen=specimen)
            check_specimen(usual, specimen)
        except CriteriaError as error:
            self.faults.add(row, "specimen", error)
        return usual

    def placed(self, text: str) -> Path:
        """Return a path of the manifest, relative to its folder.

        Raises
        ------
        ManifestError
            If no file can have that name.
        """
        if "\0" in text:
            raise ManifestError(f"{text!r:.80} holds a NUL, which no name of a file does")
        return Path(os.path.abspath(self.folder / text))

    def existing(self, text: str) -> Path:
        """Return a path of the manifest that must be there."""
        path = self.placed(text)
        if not path.is_file():
            raise ManifestError(f"{path} does not exist")
        return path


def whole_px(text: str) -> int:
    """Read a whole number of px; a spreadsheet may have written it as 12.0."""
    # 12,000 is no 12: a whole number has no decimal comma, whatever separates cells.
    value = number_in(text, separator=",")
    if value is None or not value.is_integer():
        raise ManifestError(
            f"{text!r:.40} is no whole number of px; write thousands without a sign"
        )
    return int(value)


def check_names(rows: Sequence[SheetRow], faults: SheetFaults) -> None:
    """Note what is wrong with the names that the manifest gives."""
    first: dict[str, int] = {}
    for row in rows:
        name = row.get("slide_id")
        if not name:
            continue
        before = first.setdefault(name.casefold(), row.number)
        if before != row.number:
            faults.add(row, "slide_id", f"{name!r:.80} stands in row {before} already")
        elif why := why_no_folder(name):
            faults.add(row, "slide_id", f"{name!r:.80} cannot name a folder{why}")


def why_no_folder(slide_id: str) -> str:
    """Return why results cannot lie under this name and what to do, empty when they can."""
    try:
        ResultsFolder(Path()).slide(slide_id)
    except Her2pathError:
        if len(slide_id.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            return f", for it takes more than {MAX_NAME_BYTES} bytes; choose a shorter one"
        if slide_id.split(".")[0].strip().casefold() in DEVICES:
            return ", for Windows reserves that name; choose another"
        return "; use letters, digits, - and _, and begin with a letter or a digit"
    return ""


def check_paths(
    rows: Sequence[SheetRow], folder: Path, faults: SheetFaults, *, may_repeat: bool
) -> None:
    """Note slides that stand in several rows and may not, or without names of their own."""
    remedy = "give each a slide_id of its own" if may_repeat else "leave one of the rows out"
    first: dict[str, int] = {}
    for row in rows:
        text = row.get("path")
        if not text or (may_repeat and row.get("slide_id")):
            continue
        before = first.setdefault(os.path.abspath(folder / text), row.number)
        if before != row.number:
            faults.add(row, "path", f"{text!r:.80} stands in row {before} already; {remedy}")


def named(jobs: list[SlideJob], faults: SheetFaults) -> list[SlideJob]:
    """Give a name to slides that have none, and refuse those that clash with given ones."""
    without = [job for job in jobs if not job.slide_id]
    try:
        found = iter(name_slides([job.path for job in without]))
    except Her2pathError as error:
        faults.add_words(f"{error}; give them a slide_id of their own")
        return jobs
    jobs = [job if job.slide_id else replace(job, slide_id=next(found)) for job in jobs]
    count = Counter(job.slide_id.casefold() for job in jobs)
    for name, n in count.items():
        if n > 1:
            faults.add_words(f"slide_id {name!r} stands {n} times")
    return jobs
