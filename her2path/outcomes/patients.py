"""The table of patients: read it whole, list every fault with its row, then trust it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from her2path.criteria.ish import check_ish, status
from her2path.criteria.score import IshResult, Organ, Status
from her2path.errors import TableError
from her2path.outcomes.words import (
    NO_RESPONSE,
    NOT_EVALUABLE,
    RESPONSE,
    STATUS_WORDS,
    as_status,
    named_score,
    ordered,
    yes_or_no,
)
from her2path.results.columns import SLIDE_COLUMNS, names
from her2path.results.faults import SheetFaults
from her2path.results.sheet import (
    Sheet,
    SheetRow,
    columns_like,
    number_in,
    read_sheet,
    warn_of_near_misses,
    word,
)

__all__ = ["Columns", "Patient", "Patients", "read_patients"]

# Columns that are looked for without being named.
KNOWN_COLUMNS = ("patient_id", "score", "ish", "status")
# Numbers beyond this are no times and no measurements of patients.
LARGEST = 1e9
# More distinct numbers than this are a measurement, fewer are names of categories.
MOST_CATEGORIES = 5
# A category for almost every patient is a name, not a group.
MOST_GROUPS = 20
# Nor is it a covariate: tests of a table of hundreds of columns say nothing, and take hours.
MOST_WORDS = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the table hold what; an empty name means that there is none.

    Attributes
    ----------
    score, ish : str
        Score and ISH, from which the HER2 group is made.
    group : str
        A column whose words are the groups as they stand, instead.
    time, event : str
        Time to the event or to the end of observation, and whether it happened.
    response : str
        CR, PR, SD, PD, or yes and no.
    responders : tuple of str
        Words of `response` that count as response in place of the usual ones, all others then
        as none. Where each of them is a usual word, a word that is not usual is a fault.
    covariates : tuple of str
        For the baseline table.
    adjust : tuple of str
        Covariates in the Cox model beside the group.
    categorical : tuple of str
        Covariates whose numbers are names of categories.
    strata : str
        A factor to stratify by.
    """

    score: str = ""
    ish: str = ""
    group: str = ""
    time: str = ""
    event: str = ""
    response: str = ""
    responders: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    adjust: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    strata: str = ""

    @property
    def all_covariates(self) -> tuple[str, ...]:
        """Covariates of the baseline table and of the model, each once."""
        return tuple(dict.fromkeys((*self.covariates, *self.adjust)))

    @property
    def named(self) -> tuple[str, ...]:
        """Columns of the table that are read, each once."""
        found = (
            self.score, self.ish, self.group, self.time, self.event, self.response, self.strata,
            *self.all_covariates, *self.categorical,
        )  # fmt: skip
        return tuple(dict.fromkeys(name for name in found if name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One patient; what is not known is None, or an empty text."""

    row: int
    patient_id: str
    group: str
    time: float | None = None
    event: bool | None = None
    response: bool | None = None
    stratum: str = ""
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patients:
    """The patients of a table that belong to a group, and how many do not.

    `groups` are in the order of HER2 (positive first), or as their words sort. `counts` says how
    many have each score and ISH, where the groups were made from them by the rules of `organ`.
    `taken_for_none` are answers that are no usual words, beside responders named by words of their
    own.
    """

    columns: Columns
    rows: tuple[Patient, ...]
    groups: tuple[str, ...]
    group_source: str
    n_without_group: int
    organ: Organ = Organ.BREAST
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    taken_for_none: tuple[str, ...] = ()

    @property
    def is_scored(self) -> bool:
        """Whether the groups were made from scores, so that it is known what their words mean."""
        return bool(self.columns.score)

    @property
    def name_of_all(self) -> str:
        """What tables call all patients together: not what a group is called."""
        names = ("all", *(f"all_{n}" for n in range(2, len(self.groups) + 3)))
        return next(name for name in names if name not in self.groups)

    def of(self, group: str) -> tuple[Patient, ...]:
        """Return the patients of a group."""
        return tuple(patient for patient in self.rows if patient.group == group)


def read_patients(path: Path, columns: Columns, *, organ: Organ = Organ.BREAST) -> Patients:
    """Read a table with one row per patient.

    Parameters
    ----------
    path : Path
        CSV; the columns that `columns` names must be there.
    columns : Columns
        Without `score` and `group` the columns score and ish are looked for, or status in a
        slides.csv.
    organ : Organ
        Whose rules make a status from score and ISH.

    Raises
    ------
    TableError
        If it cannot be used; every fault is listed with its row and column.
    """
    faults = SheetFaults()
    sheet = read_sheet(path, known=KNOWN_COLUMNS, faults=faults)
    n_of_rows = len(faults)
    columns = with_groups(sheet, as_called(sheet, columns))
    warn_of_near_misses(sheet, looked_for(columns), used=columns.named)
    for name in columns.named:
        if name not in sheet.columns:
            faults.add_words(f"row 1: no column {name!r:.60}; known are {known(sheet, name)}")
    if bool(columns.time) != bool(columns.event):
        faults.add_words("--time and --event belong together: give both, or neither")
    strange = [name for name in columns.categorical if name not in columns.all_covariates]
    if strange:
        faults.add_words(f"--categorical names {', '.join(strange)}, which is no covariate")
    if len(faults) > n_of_rows:
        faults.refuse(path)
    reader = PatientReader(sheet, columns, faults, organ=organ)
    rows = [reader.patient(row) for row in sheet.rows]
    reader.check_names()
    reader.check_words()
    if not n_of_rows:
        # What no row holds may stand in one that could not be read.
        reader.check_responders()
    faults.refuse(path)
    kept = tuple(patient for patient in rows if patient.group)
    groups = ordered({patient.group for patient in kept})
    if not kept:
        raise TableError(f"{path.name}: no row belongs to a group; fill {reader.source}")
    if len(groups) > MOST_GROUPS:
        raise TableError(
            f"{path.name}: {len(groups)} groups in {reader.source} are more than {MOST_GROUPS}; "
            "is it the right column?"
        )
    return Patients(
        columns=columns,
        rows=kept,
        groups=groups,
        group_source=reader.source,
        n_without_group=len(rows) - len(kept),
        organ=organ,
        counts=reader.counts,
        taken_for_none=tuple(reader.taken_for_none),
    )


def as_called(sheet: Sheet, columns: Columns) -> Columns:
    """Return the columns by the names that the sheet calls them, where it knows them ("Score")."""

    def here(name: str) -> str:
        folded = name.casefold()
        return folded if name not in sheet.columns and folded in KNOWN_COLUMNS else name

    found: dict[str, Any] = {}
    for each in fields(columns):
        value = getattr(columns, each.name)
        if each.name != "responders":
            found[each.name] = here(value) if isinstance(value, str) else tuple(map(here, value))
    return replace(columns, **found)


def with_groups(sheet: Sheet, columns: Columns) -> Columns:
    """Return the columns with what the groups are made of, where nobody said."""
    if columns.group and columns.score:
        raise TableError("--group and --score exclude each other: the groups come from one of them")
    if columns.group:
        return columns
    ish = columns.ish or ("ish" if "ish" in sheet.columns else "")
    has_score = "score" in sheet.columns
    if columns.score or (has_score and ish):
        return replace(columns, score=columns.score or "score", ish=ish)
    if not columns.ish and says_status(sheet, columns, has_score=has_score):
        # A slides.csv: its status has seen the ISH.
        return replace(columns, group="status")
    if has_score:
        return replace(columns, score="score")
    raise TableError(
        f"{sheet.path.name} has no column score; name it with --score, or name groups that stand "
        f"in the table with --group; known are {known(sheet, 'score')}"
    )


def says_status(sheet: Sheet, columns: Columns, *, has_score: bool) -> bool:
    """Return whether a column status holds that of HER2, not that of the patient."""
    if "status" not in sheet.columns or "status" in (columns.time, columns.event, columns.response):
        return False
    found = dict.fromkeys(row.get("status") for row in sheet.rows if row.get("status"))
    strange = [text for text in found if as_status(text) not in STATUS_WORDS]
    if strange and has_score:
        words = (
            "%s: column status is not read, %r is no HER2 status; --group status takes its words"
        )
        logger.warning(words, sheet.path.name, strange[0][:40])
    return not (strange and has_score)


def looked_for(columns: Columns) -> tuple[str, ...]:
    """Return the columns that are read where they are there, though nobody named them."""
    return ("patient_id", "ish") if columns.score and not columns.ish else ("patient_id",)


def known(sheet: Sheet, wanted: str) -> str:
    """Return, in words, which columns there are; those that every slides.csv has come last."""
    own_first = sorted(sheet.columns, key=names(SLIDE_COLUMNS).__contains__)
    return columns_like([wanted], own_first)


class PatientReader:
    """Turns rows into patients and collects what is wrong with them."""

    def __init__(
        self, sheet: Sheet, columns: Columns, faults: SheetFaults, *, organ: Organ
    ) -> None:
        self.sheet = sheet
        self.columns = columns
        self.organ = organ
        self.faults = faults
        self.counts: dict[tuple[str, str], int] = {}
        self.responders = {word.casefold() for word in columns.responders}
        self.taken_for_none: dict[str, None] = {}
        self.numeric = tuple(n for n in columns.all_covariates if self.is_numeric(n))
        self.categorical = tuple(n for n in columns.all_covariates if n not in self.numeric)

    @property
    def source(self) -> str:
        """What the groups are made of, in words."""
        columns = self.columns
        if columns.group:
            return f"column {columns.group}"
        return f"column {columns.score}" + (f" with ISH in {columns.ish}" if columns.ish else "")

    def is_numeric(self, column: str) -> bool:
        """Return whether a covariate is measured, not named."""
        texts = {row.get(column) for row in self.sheet.rows} - {""}
        return (
            column not in self.columns.categorical
            and len(texts) > MOST_CATEGORIES
            and sum(self.number(text) is not None for text in texts) > len(texts) / 2
        )

    def number(self, text: str) -> float | None:
        """Return the number that a cell holds, None when it is none or could be two."""
        return number_in(text, separator=self.sheet.separator)

    def duration(self, text: str) -> float:
        """Return a time of 0 or more."""
        value = self.number(text)
        if value is None or not 0 <= value <= LARGEST:
            raise TableError(
                f"{text!r:.40} is no time; give a number from 0 to {LARGEST:.0e}, thousands "
                "without a sign"
            )
        return value

    def measured(self, text: str) -> float:
        """Return a measured covariate."""
        value = self.number(text)
        if value is None or abs(value) > LARGEST:
            raise TableError(
                f"{text!r:.40} is no number; leave unknown values empty, write thousands without "
                "a sign, or name the column with --categorical"
            )
        return value

    def patient(self, row: SheetRow) -> Patient:
        """Return the patient of one row."""
        columns = self.columns
        time = self.faults.read(row, columns.time, self.duration)
        event = self.faults.read(row, columns.event, yes_or_no)
        has_time, has_event = bool(row.get(columns.time)), bool(row.get(columns.event))
        if columns.time and has_time != has_event:
            lacking = columns.event if has_time else columns.time
            self.faults.add(
                row, lacking, "is empty, though its partner is not; fill both or neither"
            )
        return Patient(
            row=row.number,
            patient_id=row.get("patient_id"),
            group=self.group(row),
            time=time,
            event=event,
            response=self.faults.read(row, columns.response, self.responds),
            stratum=row.get(columns.strata) if columns.strata else "",
            numbers={name: self.faults.read(row, name, self.measured) for name in self.numeric},
            categories={name: row.get(name) for name in self.categorical},
        )

    def group(self, row: SheetRow) -> str:
        """Return the group of a row, empty when it belongs to none."""
        columns = self.columns
        if columns.group:
            text = row.get(columns.group)
            named = as_status(text)
            if named == Status.NOT_ASSESSABLE:
                return ""
            # Of other columns, such as that of a receptor, the same words are not those of HER2.
            return named if columns.group == "status" and named in STATUS_WORDS else text
        score = self.faults.read(row, columns.score, named_score)
        ish = self.faults.read(row, columns.ish, self.ish)
        if score is None:
            return ""
        found = status(score, ish, organ=self.organ).status
        key = (score.value, ish.value if ish else "")
        self.counts[key] = self.counts.get(key, 0) + 1
        return "" if found is Status.NOT_ASSESSABLE else found.value

    def ish(self, text: str) -> IshResult:
        """Return a result of ISH that the rules of the organ know."""
        found = word(IshResult)(text)
        check_ish(found, self.organ)
        return found

    def responds(self, text: str) -> bool | None:
        """Return whether a word is a response; None when it says that nobody knows."""
        plain = text.strip().casefold()
        if plain in NOT_EVALUABLE:
            return None
        usual = RESPONSE | NO_RESPONSE
        if plain in usual or plain in self.responders:
            return plain in (self.responders or RESPONSE)
        if self.responders - usual:
            self.taken_for_none[text.strip()] = None
            return False
        raise TableError(
            f"{text!r:.40} is no response; give CR, PR, SD, PD, NE, yes or no, or name those that "
            "count with --responders"
        )

    def check_responders(self) -> None:
        """Note words named as responses that no row holds: misspelt, nobody would respond."""
        column = self.columns.response
        if not column:
            return
        found = dict.fromkeys(row.get(column) for row in self.sheet.rows if row.get(column))
        plain = {text.strip().casefold() for text in found}
        words = ", ".join(list(found)[:12])
        for named in self.columns.responders:
            if named.casefold() not in plain:
                fault = f"--responders: {named!r:.40} is nowhere in {column}; it holds {words:.300}"
                self.faults.add_words(fault)

    def check_words(self) -> None:
        """Note covariates that are texts: each of their words would be a category."""
        for name in self.categorical:
            words = {row.get(name) for row in self.sheet.rows} - {""}
            if len(words) > MOST_WORDS:
                self.faults.add_words(
                    f"row 1: covariate {name!r:.60} holds {len(words):,} different words, more "
                    f"than {MOST_WORDS}; leave it out, or make categories of them"
                )

    def check_names(self) -> None:
        """Note patients that stand twice: a patient has one outcome."""
        first: dict[str, int] = {}
        for row in self.sheet.rows:
            name = row.get("patient_id")
            before = first.setdefault(name, row.number)
            if name and before != row.number:
                self.faults.add(
                    row,
                    "patient_id",
                    f"{name!r:.60} stands in row {before} already; keep one row per patient",
                )
