"""The journal of a run: which slides are done, kept so that a kill at any point loses one slide.

A slide is done when its row says so in a committed transaction, never because a file is there.
The database runs in WAL mode with an exclusive lock: a second run in the same folder is refused,
and the lock goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from her2path.errors import ResultsError, list_faults
from her2path.results.database import Database, rows_of_archive
from her2path.results.folder import ResultsFolder
from her2path.results.jsonable import canonical_json, clean_text, to_json

__all__ = [
    "Fingerprint",
    "Journal",
    "JournalEntry",
    "JournalState",
    "entries_of_run",
    "fingerprint_of",
]

logger = logging.getLogger(__name__)

FORMAT = "1"
# A folder of DICOM files has a few hundred; beyond this the path is a wrong one.
MAX_FILES = 100_000

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS slides (
        slide_id TEXT PRIMARY KEY,
        path TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed')),
        fingerprint TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        started TEXT,
        finished TEXT,
        seconds REAL,
        error TEXT,
        row_json TEXT
    )""",
)
COLUMNS = "slide_id, path, state, attempts, started, finished, seconds, error, row_json"
SELECT_ENTRIES = f"SELECT {COLUMNS} FROM slides ORDER BY rowid"


class JournalState(StrEnum):
    """Where a slide stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells that a slide file is the same as before, without reading all of it.

    `sha256_ends` is of its first and last MiB, and empty where nobody looked.
    """

    size: int
    mtime_ns: int
    settings_hash: str
    sha256_ends: str = ""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One slide in the journal; times are UTC, ISO 8601; `row` is what `finish` was given."""

    slide_id: str
    path: str
    state: JournalState
    attempts: int
    started: str | None
    finished: str | None
    seconds: float | None
    error: str | None
    row: Mapping[str, Any] | None


def is_same_file(stored: Fingerprint, found: Fingerprint) -> bool:
    if (stored.size, stored.mtime_ns) != (found.size, found.mtime_ns):
        return False
    # Journals of earlier versions hold none.
    return stored.sha256_ends == found.sha256_ends or not (stored.sha256_ends and found.sha256_ends)


def is_same_work(stored: Fingerprint, found: Fingerprint) -> bool:
    return is_same_file(stored, found) and stored.settings_hash == found.settings_hash


def what_changed(was: str, stored: Fingerprint, place: str, found: Fingerprint) -> str:
    """Say why a done slide is scored again."""
    if not is_same_file(stored, found):
        return "another file"
    if was != place:
        return f"the file was moved from {was}"
    return (
        "options (outlines, µm/px, criteria, specimen, ISH, calibration, white point or colors); "
        "results as before need what was given then"
    )


def fingerprint_of(path: Path, *, settings_hash: str, beside: Sequence[Path] = ()) -> Fingerprint:
    """Return the fingerprint of a slide: of a file, or of all files in a folder.

    Parameters
    ----------
    path : Path
        A file or a folder.
    settings_hash : str
        Of what the slide is scored by.
    beside : sequence of Path
        Files and folders that belong to it.

    Raises
    ------
    ResultsError
        If the path cannot be looked at.
    """
    try:
        files = [
            part
            for one in (path, *beside)
            for part in (one.rglob("*") if one.is_dir() else (one,))
            if part == one or part.is_file()
        ]
        if len(files) > MAX_FILES:
            raise ResultsError(f"{path} holds more than {MAX_FILES:,} files; is it one slide?")
        stats = [file.stat() for file in files]
    except OSError as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f"{path} cannot be looked at ({error.strerror or error}); check the path"
        ) from error
    return Fingerprint(
        size=sum(stat.st_size for stat in stats),
        mtime_ns=max((stat.st_mtime_ns for stat in stats), default=0),
        settings_hash=settings_hash,
    )


class Journal(Database):
    """An open journal; use it in a `with` block, in one process.

    Parameters
    ----------
    path : Path
        The database file, made when absent.
    settings_hash : str or None
        Hash of the settings of this run; None to look at one whatever its settings were.
    resume : bool
        Whether to go on with what the journal holds; otherwise it starts empty.
    overwrite : bool
        Whether to start empty even where slides are done.

    Attributes
    ----------
    forgotten : tuple of str
        Slides that were done when the journal was started empty.

    Raises
    ------
    ResultsError
        If the journal holds done slides and nobody said what to do with them, was made with other
        settings, is in use, or is damaged.
    """

    def __init__(
        self, path: Path, *, settings_hash: str | None, resume: bool, overwrite: bool = False
    ) -> None:
        # Short: the lock is held by another run or by none.
        super().__init__(path, wait_s=1.0)
        self.forgotten: tuple[str, ...] = ()
        try:
            self.prepare(settings_hash, resume=resume, overwrite=overwrite)
        except BaseException:
            self.database.close()
            raise

    def prepare(self, settings_hash: str | None, *, resume: bool, overwrite: bool) -> None:
        """Take the lock, make the tables, and start empty or check what is resumed."""
        with self.guarded():
            self.database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            for statement in SCHEMA:
                self.database.execute(statement)
            facts = dict(self.database.execute("SELECT key, value FROM run"))
            if resume and facts:
                self.refuse_others(facts, settings_hash)
            elif settings_hash is not None:
                if not overwrite:
                    self.refuse_to_lose()
                done = self.database.execute("SELECT slide_id FROM slides WHERE state = 'done'")
                self.forgotten = tuple(name for (name,) in done)
                self.database.execute("DELETE FROM slides")
                self.database.execute("DELETE FROM run")
                self.database.executemany(
                    "INSERT INTO run VALUES (?, ?)",
                    [("format", FORMAT), ("settings_hash", settings_hash)],
                )
            # Whoever ran them is gone: the lock is ours.
            self.database.execute("UPDATE slides SET state = 'pending' WHERE state = 'running'")

    def refuse_to_lose(self) -> None:
        """Raise ResultsError when slides are done: their results would be lost unasked."""
        (n_done,) = self.database.execute(
            "SELECT count(*) FROM slides WHERE state = 'done'"
        ).fetchone()
        if n_done:
            raise ResultsError(
                f"{self.path.parent} holds the results of {n_done:,} "
                f"slide{'s' * (n_done != 1)} already; choose another --out, go on with them by "
                "--resume, or score all again by --overwrite"
            )

    def refuse_others(self, facts: Mapping[str, str], settings_hash: str | None) -> None:
        """Raise ResultsError unless the journal is of this format and these settings."""
        if facts.get("format") != FORMAT:
            raise ResultsError(
                f"the journal {self.path} has the format {facts.get('format')!r:.20}, this version "
                f"writes {FORMAT!r}; choose another --out, or score all again by --overwrite"
            )
        if settings_hash is not None and facts.get("settings_hash") != settings_hash:
            raise ResultsError(
                f"the run in {self.path.parent} was made with other settings "
                f"({facts.get('settings_hash', '')[:12]}, now {settings_hash[:12]}); "
                "choose another --out, or score all slides again by --overwrite"
            )

    def plan(
        self,
        slides: Iterable[tuple[str, Path, Fingerprint]],
        *,
        again: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Take up the slides of this run and return the ids of those still to be scored.

        Done slides whose file is the same are skipped, but those in `again`; failed ones are tried
        again; a changed or moved file starts anew. Slides of the journal that this run does not
        name stay as they are.

        Raises
        ------
        ResultsError
            If a done slide would lose its results to another file of its name, or count twice
            under two names.
        """
        todo, changed = [], []
        slides = list(slides)
        self.refuse_to_mix(slides)
        with self.transaction():
            for slide_id, path, fingerprint in slides:
                place = clean_text(str(path))
                was, stored, state = self.known(slide_id) or ("", fingerprint, None)
                if was == place and is_same_work(stored, fingerprint):
                    if state == JournalState.DONE and slide_id not in again:
                        continue
                    self.database.execute(
                        "UPDATE slides SET state = 'pending' WHERE slide_id = ?", (slide_id,)
                    )
                else:
                    if state == JournalState.DONE:
                        why = what_changed(was, stored, place, fingerprint)
                        changed.append(f"{slide_id}: {why}")
                    self.database.execute(
                        "INSERT OR REPLACE INTO slides (slide_id, path, state, fingerprint) "
                        "VALUES (?, ?, 'pending', ?)",
                        (slide_id, place, canonical_json(fingerprint)),
                    )
                todo.append(slide_id)
        if changed:
            heading = f"{self.path.parent}: done slides are scored again, for what changed"
            logger.warning("%s", list_faults(heading, changed, what="slide"))
        return tuple(todo)

    def known(self, slide_id: str) -> tuple[str, Fingerprint, str] | None:
        """Return place, fingerprint and state of a slide, or None."""
        row = self.database.execute(
            "SELECT path, fingerprint, state FROM slides WHERE slide_id = ?", (slide_id,)
        ).fetchone()
        return None if row is None else (row[0], Fingerprint(**json.loads(row[1])), row[2])

    def refuse_to_mix(self, slides: Sequence[tuple[str, Path, Fingerprint]]) -> None:
        """Raise ResultsError where names of slides do not mean what they do in the journal."""
        with self.guarded():
            rows = self.database.execute(
                "SELECT slide_id, path, fingerprint FROM slides WHERE state = 'done'"
            ).fetchall()
        ids = {slide_id for slide_id, _, _ in slides}
        done = {name: (path, Fingerprint(**json.loads(found))) for name, path, found in rows}
        elsewhere = {path: slide_id for slide_id, path, _ in rows if slide_id not in ids}
        faults = []
        for slide_id, path, fingerprint in slides:
            place = clean_text(str(path))
            was, stored = done.get(slide_id, (place, fingerprint))
            # A file that was moved, with its times, is the same one.
            if was != place and not is_same_file(stored, fingerprint):
                faults.append(f"{slide_id} is {was} there, and {place} here")
            # One file may hold two samples, and this run name one of them.
            if place in elsewhere and slide_id not in done:
                faults.append(f"{place} is {elsewhere[place]} there, and {slide_id} here")
        if faults:
            heading = (
                f"{self.path.parent} knows these slides otherwise; name them in a manifest with a "
                "column slide_id, or choose another --out"
            )
            raise ResultsError(list_faults(heading, faults))

    def is_done(self, slide_id: str, path: Path) -> bool:
        """Return whether a slide of this name and place is done."""
        with self.guarded():
            row = self.database.execute(
                "SELECT state FROM slides WHERE slide_id = ? AND path = ?",
                (slide_id, clean_text(str(path))),
            ).fetchone()
        return row is not None and row[0] == JournalState.DONE

    def start(self, slide_id: str) -> None:
        """Note that a slide is being scored; counts an attempt."""
        self.update(
            "state = 'running', attempts = attempts + 1, started = ?, finished = NULL, "
            "seconds = NULL, error = NULL, row_json = NULL",
            (now(),),
            slide_id,
        )

    def finish(self, slide_id: str, row: Mapping[str, object], *, seconds: float) -> None:
        """Note that a slide is done, with its row of slides.csv; its files must be on the disk."""
        text = json.dumps(to_json(row), ensure_ascii=False, allow_nan=False)
        self.update(
            "state = 'done', finished = ?, seconds = ?, row_json = ?",
            (now(), seconds, text),
            slide_id,
        )

    def fail(self, slide_id: str, error: str, *, seconds: float) -> None:
        """Note that a slide failed, and why."""
        self.update(
            "state = 'failed', finished = ?, seconds = ?, error = ?",
            (now(), seconds, clean_text(error)),
            slide_id,
        )

    def entries(self) -> tuple[JournalEntry, ...]:
        """Return all slides in the order in which they were taken up."""
        with self.guarded():
            rows = self.database.execute(SELECT_ENTRIES).fetchall()
        try:
            return tuple(entry_of(row) for row in rows)
        except ValueError as error:
            raise self.damaged(error) from error

    def update(self, assignments: str, values: tuple[object, ...], slide_id: str) -> None:
        """Change the row of one slide; `assignments` is a fixed text of this module."""
        with self.transaction():
            changed = self.database.execute(
                f"UPDATE slides SET {assignments} WHERE slide_id = ?", (*values, slide_id)
            ).rowcount
            if changed != 1:
                raise ResultsError(f"the journal has no slide {slide_id!r:.80}; plan it first")

    def unusable(self, error: sqlite3.OperationalError) -> ResultsError:
        """Return the error for a journal that another run holds, or that cannot be written."""
        if "locked" in str(error):
            return ResultsError(
                f"another run is using {self.path.parent}; wait for it or choose another --out"
            )
        return ResultsError(
            f"the journal {self.path} cannot be used ({error}); check free space and rights"
        )

    def damaged(self, error: Exception) -> ResultsError:
        """Return the error for a journal that cannot be understood."""
        return ResultsError(
            f"the journal {self.path} is damaged ({error}); choose another --out, or delete it to "
            "score all slides again"
        )


def entries_of_run(out: ResultsFolder) -> tuple[JournalEntry, ...]:
    """Return what the journal of a finished run says of its slides.

    Raises
    ------
    ResultsError
        If the folder holds no run, or another run is using it.
    """
    if not out.journal.is_file():
        raise ResultsError(f"{out.path} holds no run of her2path; name the folder given to --out")
    if not os.access(out.path, os.W_OK):
        return entries_of_archive(out.journal)
    # Nothing but the journal says what is done: run.json may be gone, or older than a kill.
    with Journal(out.journal, settings_hash=None, resume=True) as journal:
        return journal.entries()


def entries_of_archive(path: Path) -> tuple[JournalEntry, ...]:
    """Return the entries of a journal in a folder that cannot be written, as it was left."""
    why_waiting = (
        f"the run in {path.parent} was stopped or goes on, and the folder cannot be written; "
        "copy it to where it can, and go on there"
    )
    try:
        rows = rows_of_archive(path, SELECT_ENTRIES, why_waiting=why_waiting)
        return tuple(entry_of(row) for row in rows)
    except (sqlite3.DatabaseError, ValueError) as error:
        raise ResultsError(
            f"{path} is no journal of her2path ({error}); take it from a backup"
        ) from error


def entry_of(row: tuple[Any, ...]) -> JournalEntry:
    slide_id, path, state, attempts, started, finished, seconds, error, row_json = row
    return JournalEntry(
        slide_id=slide_id,
        path=path,
        state=JournalState(state),
        attempts=attempts,
        started=started,
        finished=finished,
        seconds=seconds,
        error=error,
        row=None if row_json is None else json.loads(row_json),
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
