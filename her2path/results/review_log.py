"""The log of second readings: who read what, when, and what they then knew of the program's score.

Entries are only ever added. Each holds the hash of the one before it, so that an entry which was
changed, taken out or put between others is found when the log is read. Whoever can write the file
can still make the whole log anew: the chain guards against slips and quiet edits, not against its
owner.

A slide may be scored again, and another file may take its name. A reading is of the file that was
looked at; a decision is of the one result that it confirms or overrides.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.database import Database, rows_of_archive
from her2path.results.decoding import from_json
from her2path.results.folder import ResultsFolder
from her2path.results.jsonable import canonical_json, clean_text, read_json
from her2path.results.record import SlideRecord
from her2path.results.sheet import write_sheet

__all__ = [
    "EntryKind",
    "PresentResult",
    "ReviewEntry",
    "ReviewLog",
    "by_slide",
    "of_file",
    "read_log",
    "write_reviews",
]

# What stands in place of a hash before the first entry.
NO_HASH = "0" * 64
# Two people at one log wait for each other this long; an entry takes milliseconds.
WAIT_S = 10.0
# SQLite does not wait by itself while two begin a log at once.
STEP_S = 0.02

SELECT_ENTRIES = "SELECT number, text, hash FROM entries ORDER BY number"
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS entries (
        number INTEGER PRIMARY KEY CHECK (number > 0),
        text TEXT NOT NULL,
        hash TEXT NOT NULL
    )""",
    """CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON entries
        BEGIN SELECT raise(ABORT, 'entries are never changed'); END""",
    """CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON entries
        BEGIN SELECT raise(ABORT, 'entries are never deleted'); END""",
)


class EntryKind(StrEnum):
    """What a reader has done."""

    # Scored the slide by eye.
    READING = "reading"
    # Confirmed or overrode the program's score, having seen it.
    DECISION = "decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewEntry:
    """One reading or decision.

    Attributes
    ----------
    kind : EntryKind
        What it is.
    reader : str
        Who; as they named themselves.
    slide_id : str
        The slide, as the results folder names it.
    score : Score
        What the reader gives.
    is_blinded : bool
        Whether the program's score was hidden when the reader gave theirs.
    program_score : Score
        What the program had given.
    program_created : str
        When, as in slide.json: tells a slide that was scored again since.
    sha256_ends : str
        Of the slide file, as in slide.json: tells another file of the same name. Empty in logs
        that were written before it was kept.
    is_sure : bool
        False where the reader marked the score as doubtful.
    pct_stained : float or None
        Share of tumor cells with stained membrane by eye, percent.
    remark : str
        The reader's words; of an override, its reason.
    seconds : float or None
        From opening the slide to the reading.
    software_version : str
        Of her2path.
    written : str
        UTC, ISO 8601; set by the log.
    """

    kind: EntryKind
    reader: str
    slide_id: str
    score: Score
    is_blinded: bool
    program_score: Score
    program_created: str
    sha256_ends: str = ""
    is_sure: bool = True
    pct_stained: float | None = None
    remark: str = ""
    seconds: float | None = None
    software_version: str = ""
    written: str = ""

    @property
    def is_override(self) -> bool:
        """Whether a reader who knew the program's score gave another one."""
        return self.kind is EntryKind.DECISION and self.score is not self.program_score


@dataclass(frozen=True, slots=True)
class PresentResult:
    """What slide.json says now, by which entries on this file and this result are known.

    Attributes
    ----------
    sha256_ends : str
        Of the slide file; empty where it was scored before that was kept.
    created : str
        When it was scored.
    score : Score
        What the program gives.
    """

    sha256_ends: str
    created: str
    score: Score

    @classmethod
    def of_record(cls, record: SlideRecord) -> PresentResult:
        """Return that of a scored slide."""
        return cls(record.scan.sha256_ends, record.created, record.score)

    @classmethod
    def of_slide(cls, results: ResultsFolder, slide_id: str) -> PresentResult | None:
        """Read it, and no more of slide.json; None where there is no result to be read."""
        try:
            document = read_json(results.slide(slide_id).slide_json)
            sha256_ends = document["scan"].get("sha256_ends", "")
            return cls(str(sha256_ends), str(document["created"]), Score(document["score"]))
        except (ResultsError, AttributeError, LookupError, TypeError, ValueError):
            return None

    def is_of_file(self, entry: ReviewEntry) -> bool:
        """Tell whether an entry is of this file, as far as is known: else it is of another."""
        return self.sha256_ends == entry.sha256_ends or not (self.sha256_ends and entry.sha256_ends)

    def is_of_result(self, entry: ReviewEntry) -> bool:
        """Tell whether an entry is of this result, and not of one before the last scoring."""
        # Times are whole seconds, and a small slide takes less.
        told = (entry.program_created, entry.program_score)
        return self.is_of_file(entry) and told == (self.created, self.score)


class ReviewLog(Database):
    """An open log; use it in a `with` block. Several programs may write to one log in turn.

    Parameters
    ----------
    path : Path
        The database file; made when absent.

    Raises
    ------
    ResultsError
        If the file cannot be used, or is no log of readings.
    """

    def __init__(self, path: Path) -> None:
        # Requests of the review page come from several threads, one after the other.
        super().__init__(path, wait_s=WAIT_S, has_one_thread=False)
        try:
            with self.guarded():
                self.share()
                self.database.execute("PRAGMA synchronous = FULL")
                for statement in SCHEMA:
                    self.database.execute(statement)
        except BaseException:
            self.database.close()
            raise

    def share(self) -> None:
        """Let those who read and the one who writes not lock each other out."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                self.database.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(STEP_S)
            else:
                return

    def append(self, entry: ReviewEntry) -> ReviewEntry:
        """Add an entry, and return it with the time of its writing; it is on the disk then.

        Raises
        ------
        ResultsError
            If it is a reading, and its reader has given the same slide file one before.
        """
        entry = replace(
            entry,
            reader=clean_text(entry.reader),
            remark=clean_text(entry.remark),
            written=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        text = canonical_json(entry)
        with self.transaction():
            if entry.kind is EntryKind.READING:
                self.refuse_second(entry)
            last = self.database.execute(
                "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
            ).fetchone()
            number, previous = last or (0, NO_HASH)
            self.database.execute(
                "INSERT INTO entries VALUES (?, ?, ?)",
                (number + 1, text, chained(previous, number + 1, text)),
            )
        return entry

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other writers out while the block runs."""
        with self.transaction():
            yield

    def refuse_second(self, entry: ReviewEntry) -> None:
        """Raise ResultsError when the log holds a reading of this file by this reader."""
        found = self.database.execute(
            "SELECT 1 FROM entries WHERE json_extract(text, '$.kind') = :kind AND "
            "json_extract(text, '$.reader') = :reader AND "
            "json_extract(text, '$.slide_id') = :slide_id AND (:file = '' OR "
            "coalesce(json_extract(text, '$.sha256_ends'), '') IN ('', :file)) LIMIT 1",
            {
                "kind": entry.kind.value,
                "reader": entry.reader,
                "slide_id": entry.slide_id,
                "file": entry.sha256_ends,
            },
        ).fetchone()
        if found:
            raise ResultsError(
                f"{entry.reader} has read this slide before; a first reading stays what it was"
            )

    def n_entries(self) -> int:
        """Return how many there are, by the number of the last."""
        with self.guarded():
            last = self.database.execute("SELECT ifnull(max(number), 0) FROM entries").fetchone()
        return int(last[0])

    def entries(self) -> tuple[ReviewEntry, ...]:
        """Return all entries, oldest first.

        Raises
        ------
        ResultsError
            If an entry was changed, removed or put in since it was written, or does not fit.
        """
        with self.guarded():
            rows = self.database.execute(SELECT_ENTRIES).fetchall()
        return checked(rows, self.path)

    def unusable(self, error: sqlite3.OperationalError) -> ResultsError:
        """Return the error for a log that cannot be read or written now."""
        return ResultsError(
            f"{self.path} cannot be used ({error}); check the folder, free space and rights"
        )

    def damaged(self, error: Exception) -> ResultsError:
        """Return the error for a file that cannot be understood."""
        return no_log(self.path, error)


def read_log(path: Path) -> tuple[ReviewEntry, ...]:
    """Return all entries of a log, oldest first, also from a folder that cannot be written.

    Raises
    ------
    ResultsError
        As `ReviewLog.entries`; or the folder cannot be written, and entries are not in the log yet.
    """
    if os.access(path.parent, os.W_OK):
        with ReviewLog(path) as log:
            return log.entries()
    why_waiting = (
        f"the review page of {path.parent} is open or was stopped, and the folder cannot be "
        "written; end the page, or copy the folder to where it can be written"
    )
    try:
        rows = rows_of_archive(path, SELECT_ENTRIES, why_waiting=why_waiting)
    except sqlite3.DatabaseError as error:
        raise no_log(path, error) from error
    return checked(rows, path)


def checked(rows: Iterable[tuple[int, str, str]], path: Path) -> tuple[ReviewEntry, ...]:
    """Return the entries of a log; raises ResultsError where one is missing or was changed."""
    found: list[ReviewEntry] = []
    previous = NO_HASH
    for expected, (number, text, stored) in enumerate(rows, start=1):
        if number != expected or chained(previous, number, text) != stored:
            raise ResultsError(
                f"{path}: entry {expected:,} is missing, or was changed after it was written; take "
                "the file from a backup, and keep this one to see what happened"
            )
        try:
            document = json.loads(text)
        except ValueError as error:
            raise no_log(path, error) from error
        found.append(from_json(ReviewEntry, document, where=f"{path}, entry {number}"))
        previous = stored
    return tuple(found)


def no_log(path: Path, error: Exception) -> ResultsError:
    """Return the error for a file that cannot be understood."""
    return ResultsError(
        f"{path} is no log of second readings ({error}); take it from a backup, or move it away to "
        "begin a new one"
    )


def chained(previous: str, number: int, text: str) -> str:
    """Return the hash of an entry, over the hash of the one before it."""
    return hashlib.sha256(f"{previous}\n{number}\n{text}".encode()).hexdigest()


def by_slide(entries: Iterable[ReviewEntry]) -> dict[str, list[ReviewEntry]]:
    """Return the entries of each slide, in their order."""
    found: dict[str, list[ReviewEntry]] = {}
    for entry in entries:
        found.setdefault(entry.slide_id, []).append(entry)
    return found


def of_file(entries: Iterable[ReviewEntry], present: PresentResult | None) -> list[ReviewEntry]:
    """Return the entries of a slide without those of another file that had its name."""
    return [entry for entry in entries if present is None or present.is_of_file(entry)]


def write_reviews(
    path: Path, entries: Sequence[ReviewEntry], presents: Mapping[str, PresentResult | None]
) -> None:
    """Write one row per slide and reader, atomically: the first reading, and the last decision.

    ``score`` is the first reading, which `her2path evaluate --reference` takes; ``final_score`` is
    what the reader decided, having seen the program's, and empty before that.

    Parameters
    ----------
    path : Path
        The table.
    entries : sequence of ReviewEntry
        Oldest first. Those of another file, and decisions on an earlier result, are left out.
    presents : mapping of str to PresentResult or None
        By slide. Of one that has none, or is not named, each entry counts as of its last result.

    Raises
    ------
    ResultsError
        If the file cannot be written.
    """
    rows = []
    for own in by_reader(entries):
        present = presents.get(own[0].slide_id)
        if kept := of_file(own, present):
            rows.append(row_of(kept, present))
    write_sheet(path, REVIEW_COLUMNS, rows)


def by_reader(entries: Sequence[ReviewEntry]) -> list[list[ReviewEntry]]:
    groups: dict[tuple[str, str], list[ReviewEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.slide_id, entry.reader), []).append(entry)
    return [groups[key] for key in sorted(groups)]


REVIEW_COLUMNS = (
    *("slide_id", "reader", "score", "is_blinded", "is_sure", "pct_stained", "remark", "read_at"),
    *("seconds", "program_score", "agrees", "final_score", "is_override", "reason", "decided_at"),
    "is_scored_again",
)


def row_of(own: Sequence[ReviewEntry], present: PresentResult | None) -> dict[str, object]:
    """Return the row of one reader's entries on one slide file, oldest first."""
    reading = next((entry for entry in own if entry.kind is EntryKind.READING), None)
    if present is None:
        # The result is gone: what is known of the last one is what the last entry was given on.
        last = own[-1]
        present = PresentResult(last.sha256_ends, last.program_created, last.program_score)
    on_result = [entry for entry in own if present.is_of_result(entry)]
    decisions = [entry for entry in on_result if entry.kind is EntryKind.DECISION]
    row: dict[str, object] = {"slide_id": own[0].slide_id, "reader": own[0].reader}
    if reading is not None:
        row |= {
            "score": reading.score,
            "is_blinded": reading.is_blinded,
            "is_sure": reading.is_sure,
            "pct_stained": reading.pct_stained,
            "remark": on_one_line(reading.remark),
            "read_at": reading.written,
            "seconds": reading.seconds,
            "program_score": present.score,
            "agrees": reading.score is present.score,
            "is_scored_again": reading not in on_result,
        }
    if decisions:
        decision = decisions[-1]
        row |= {
            "program_score": decision.program_score,
            "final_score": decision.score,
            "is_override": decision.is_override,
            "reason": on_one_line(decision.remark),
            "decided_at": decision.written,
        }
    return row


def on_one_line(text: str) -> str:
    """Return text without line breaks, which few readers of tables understand; the log keeps it."""
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())
