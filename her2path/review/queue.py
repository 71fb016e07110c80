"""The queue of one reader: which slides, in which order, and what may be told of each."""

from __future__ import annotations

import hashlib
import logging
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.errors import ResultsError
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.journal import JournalState, entries_of_run
from her2path.results.record import SlideRecord, read_record
from her2path.results.review_log import (
    EntryKind,
    PresentResult,
    ReviewEntry,
    ReviewLog,
    by_slide,
    of_file,
    write_reviews,
)
from her2path.results.run_record import software_version

__all__ = ["Case", "CaseState", "ReviewQueue", "open_queue", "reader_name"]

logger = logging.getLogger(__name__)

# A name, not a text; it stands in a table.
MAX_READER = 100
# They join the letters of names in several scripts, and show nothing of their own.
JOINERS = "\u200c\u200d"
# Every tile asks for its slide's; those of large slides take a tenth of a second to read.
MAX_RECORDS = 8


class CaseState(StrEnum):
    """How far a reader is with a slide."""

    OPEN = "open"
    # Scored by the reader, who may now see what the program found.
    READ = "read"
    # Confirmed or overridden, as the program scores it now.
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class Case:
    """A slide in the queue; `number`, from 1, is all that a blinded reader knows of it."""

    number: int
    slide_id: str


class ReviewQueue:
    """The slides that one reader looks at, and what they have given so far.

    Parameters
    ----------
    results : ResultsFolder
        A finished run.
    slide_ids : sequence of str
        In the order in which they are offered.
    reader : str
        Who reads.
    is_blinded : bool
        Whether nothing of a slide's result is told before the reader has scored it.
    log : ReviewLog
        Where entries go; open as long as the queue is used.
    n_failed, n_unscored : int
        Slides of the run that have no result to read against, and are not offered: those that
        failed, and those that an interrupted run has not come to.
    """

    def __init__(
        self,
        results: ResultsFolder,
        slide_ids: Sequence[str],
        *,
        reader: str,
        is_blinded: bool,
        log: ReviewLog,
        n_failed: int = 0,
        n_unscored: int = 0,
    ) -> None:
        self.results = results
        self.n_failed = n_failed
        self.n_unscored = n_unscored
        self.reader = reader
        self.is_blinded = is_blinded
        self.log = log
        self.cases = tuple(Case(n, slide_id) for n, slide_id in enumerate(slide_ids, start=1))
        # Requests come from several threads; an entry follows from what is logged before it.
        self.lock = threading.RLock()
        self.n_entries = 0
        self.entries: dict[str, list[ReviewEntry]] = {}
        self.refresh()
        self.records: dict[int, tuple[int, SlideRecord]] = {}
        self.presents: dict[str, tuple[int, PresentResult | None]] = {}

    @property
    def missing(self) -> list[str]:
        """Return why slides of the run are not offered."""
        return missing_words(
            self.results,
            n_failed=self.n_failed,
            n_unscored=self.n_unscored,
            is_blinded=self.is_blinded,
        )

    @property
    def key(self) -> str:
        """Return what tells this list of cases from any other: the same after another start."""
        parts = [self.reader, str(self.is_blinded), str(self.results.path.resolve())]
        parts += [case.slide_id for case in self.cases]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def case(self, number: int) -> Case:
        """Return a case; raises ResultsError for a number that is not in the queue."""
        if not 1 <= number <= len(self.cases):
            raise ResultsError(f"there is no case {number}; the queue ends with {len(self.cases)}")
        return self.cases[number - 1]

    def folder(self, case: Case) -> SlideFolder:
        """Return the results of a case."""
        return self.results.slide(case.slide_id)

    def record(self, case: Case) -> SlideRecord:
        """Return slide.json of a case, read again when it has changed."""
        path = self.folder(case).slide_json
        try:
            changed = path.stat().st_mtime_ns
        except OSError as error:
            raise ResultsError(
                f"{self.named(case, path)} cannot be read ({error.strerror or error}); score the "
                "slide again"
            ) from error
        with self.lock:
            known = self.records.get(case.number)
            if known is None or known[0] != changed:
                while len(self.records) >= MAX_RECORDS:
                    self.records.pop(next(iter(self.records)))
                try:
                    known = self.records[case.number] = (changed, read_record(path))
                except ResultsError as error:
                    if self.may_tell(case):
                        raise
                    raise ResultsError(
                        f"{self.named(case, path)} is damaged; score the slide again"
                    ) from error
        return known[1]

    def named(self, case: Case, path: Path) -> str:
        """Return a result in words that a blinded reader may hear: its path names the slide."""
        return str(path) if self.may_tell(case) else f"the result of case {case.number}"

    def refresh(self) -> None:
        """Take up what was logged meanwhile, by others or by this reader in another window."""
        with self.lock:
            # Entries are only added: of thousands none is read again where there is no other.
            if self.log.n_entries() != self.n_entries:
                found = self.log.entries()
                self.n_entries, self.entries = len(found), by_slide(found)

    def present(self, slide_id: str) -> PresentResult | None:
        """Return what is known of a result that entries may be of, read again when it changed."""
        try:
            changed = self.results.slide(slide_id).slide_json.stat().st_mtime_ns
        except (OSError, ResultsError):
            return None
        with self.lock:
            known = self.presents.get(slide_id)
            if known is None or known[0] != changed:
                known = (changed, PresentResult.of_slide(self.results, slide_id))
                self.presents[slide_id] = known
        return known[1]

    def on_file(self, case: Case) -> list[ReviewEntry]:
        """Return what anybody gave this slide, and not another file that had its name."""
        with self.lock:
            found = self.entries.get(case.slide_id)
        return of_file(found, self.present(case.slide_id)) if found else []

    def given(self, case: Case, kind: EntryKind) -> list[ReviewEntry]:
        """Return what this reader gave this slide, oldest first."""
        own = (self.reader, kind)
        return [entry for entry in self.on_file(case) if (entry.reader, entry.kind) == own]

    def is_earlier(self, entry: ReviewEntry) -> bool:
        """Return whether the slide was scored again since an entry was made."""
        present = self.present(entry.slide_id)
        return present is not None and not present.is_of_result(entry)

    def own(self, case: Case, kind: EntryKind) -> ReviewEntry | None:
        """Return what this reader gave: the first reading, or the last decision on this result."""
        found = self.given(case, kind)
        if kind is EntryKind.READING:
            return found[0] if found else None
        return next((entry for entry in reversed(found) if not self.is_earlier(entry)), None)

    def earlier_decision(self, case: Case) -> ReviewEntry | None:
        """Return the reader's last decision where it is of a result that was replaced since."""
        found = self.given(case, EntryKind.DECISION)
        return found[-1] if found and all(map(self.is_earlier, found)) else None

    def state(self, case: Case) -> CaseState:
        """Return how far this reader is with a case."""
        if self.own(case, EntryKind.DECISION) is not None:
            return CaseState.DECIDED
        return CaseState.READ if self.own(case, EntryKind.READING) else CaseState.OPEN

    def may_tell(self, case: Case) -> bool:
        """Return whether the reader may see what the program found: the one rule of blinding."""
        return not self.is_blinded or self.state(case) is not CaseState.OPEN

    def others(self, case: Case) -> tuple[ReviewEntry, ...]:
        """Return the first reading of every other reader."""
        found: dict[str, ReviewEntry] = {}
        for entry in self.on_file(case):
            if entry.reader != self.reader and entry.kind is EntryKind.READING:
                found.setdefault(entry.reader, entry)
        return tuple(found.values())

    def read(
        self,
        case: Case,
        score: Score,
        *,
        is_sure: bool = True,
        pct_stained: float | None = None,
        remark: str = "",
        seconds: float | None = None,
    ) -> ReviewEntry:
        """Log what the reader gives a slide by eye.

        Raises
        ------
        ResultsError
            If they have given it a score before: a first reading stays what it was.
        """
        with self.lock:
            self.refresh()
            if self.state(case) is not CaseState.OPEN:
                raise ResultsError(
                    f"case {case.number} has your reading already; confirm or override the "
                    "program's score instead"
                )
            return self.add(
                case,
                EntryKind.READING,
                score,
                is_sure=is_sure,
                pct_stained=pct_stained,
                remark=remark,
                seconds=seconds,
            )

    def decide(self, case: Case, score: Score, *, reason: str = "") -> ReviewEntry:
        """Log which score the reader leaves standing, having seen the program's.

        May be given again; the last one counts, all are kept.

        Raises
        ------
        ResultsError
            If the reader has not read the slide yet, or overrides without a reason.
        """
        with self.lock:
            if self.state(case) is CaseState.OPEN:
                raise ResultsError(f"read case {case.number} first, then decide")
            if score is not self.record(case).score and not reason.strip():
                raise ResultsError("an override needs its reason; say what you saw")
            return self.add(case, EntryKind.DECISION, score, remark=reason)

    def add(
        self,
        case: Case,
        kind: EntryKind,
        score: Score,
        *,
        remark: str,
        is_sure: bool = True,
        pct_stained: float | None = None,
        seconds: float | None = None,
    ) -> ReviewEntry:
        """Log an entry, and write the table anew."""
        record = self.record(case)
        entry = self.log.append(
            ReviewEntry(
                kind=kind,
                reader=self.reader,
                slide_id=case.slide_id,
                score=score,
                is_blinded=self.is_blinded and kind is EntryKind.READING,
                program_score=record.score,
                program_created=record.created,
                sha256_ends=record.scan.sha256_ends,
                is_sure=is_sure,
                pct_stained=pct_stained,
                remark=remark.strip(),
                seconds=seconds,
                software_version=software_version(),
            )
        )
        self.refresh()
        self.write_table()
        return entry

    def write_table(self) -> None:
        """Write reviews.csv anew from the log, as the slides are scored now."""
        try:
            # Read before others have to wait: results of many regions take a tenth of a second.
            self.refresh()
            for slide_id in self.entries:
                self.present(slide_id)
            # Whoever writes the table last has everything in it: nobody logs meanwhile.
            with self.log.alone():
                self.refresh()
                everything = [known for found in self.entries.values() for known in found]
                presents = {slide_id: self.present(slide_id) for slide_id in self.entries}
                write_reviews(self.results.reviews_csv, everything, presents)
        except ResultsError as error:
            # A spreadsheet may hold it open; what counts is logged, and the next entry tries again.
            logger.warning("the table of readings is behind the log: %s", error)


def open_queue(
    results: ResultsFolder, *, reader: str, only_flagged: bool, is_blinded: bool, log: ReviewLog
) -> ReviewQueue:
    """Return the queue of a reader over a finished run: slides that ask for a second read, or all.

    A blinded reader gets the slides in an order of their own, the same at every start, which
    follows from their name and tells nothing of the results. Otherwise the slides with the least
    sure score come first. Where there are readings their table is written anew: slides may have
    been scored again since.

    Raises
    ------
    ResultsError
        If the folder holds no run, another run is using it, or there is nothing to read.
    """
    reader = reader_name(reader)
    entries = entries_of_run(results)
    done = [e for e in entries if e.state is JournalState.DONE]
    chosen = [e for e in done if not only_flagged or (e.row or {}).get("review")]
    n_failed = sum(e.state is JournalState.FAILED for e in entries)
    n_unscored = len(entries) - len(done) - n_failed
    if not chosen:
        words = f"no slide in {results.path} is scored"
        if done:
            words = (
                f"of {len(done):,} scored slide{'s' * (len(done) != 1)} in {results.path} none "
                "asks for a second read; --slides all offers every scored slide"
            )
        missing = missing_words(
            results, n_failed=n_failed, n_unscored=n_unscored, is_blinded=is_blinded
        )
        raise ResultsError("; ".join([words, *missing]))
    if is_blinded:
        chosen.sort(key=lambda entry: shuffled(reader, entry.slide_id))
    else:
        chosen.sort(key=lambda entry: (sureness(entry.row or {}), entry.slide_id))
    queue = ReviewQueue(
        results,
        [entry.slide_id for entry in chosen],
        reader=reader,
        is_blinded=is_blinded,
        log=log,
        n_failed=n_failed,
        n_unscored=n_unscored,
    )
    if queue.entries:
        queue.write_table()
    return queue


def reader_name(text: str) -> str:
    """Return the name of a reader in the one spelling that the log knows it by.

    A letter with its accent beside it is the letter with its accent, and any space a plain one:
    whoever read a slide by one of them has read it.

    Raises
    ------
    ResultsError
        If it is no name.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    shown = name.translate(dict.fromkeys(map(ord, JOINERS)))
    if not shown or len(name) > MAX_READER or not shown.isprintable():
        raise ResultsError(
            f"{name[:40]!r} is no name of a reader; give 1 to {MAX_READER} letters by --reader"
        )
    return name


def missing_words(
    results: ResultsFolder, *, n_failed: int, n_unscored: int, is_blinded: bool
) -> list[str]:
    """Say why slides of a run are not offered, each reason with what to do."""
    found = []
    if n_failed:
        # That table holds the scores of the others.
        where = "whoever scored them can say" if is_blinded else f"{results.slides_csv} says"
        found.append(f"{n_failed:,} slide{'s' * (n_failed != 1)} failed, not offered; {where} why")
    if n_unscored:
        found.append(
            f"the run was interrupted before it came to {n_unscored:,} "
            f"slide{'s' * (n_unscored != 1)}, not offered; the same score command with --resume "
            "goes on"
        )
    return found


def shuffled(reader: str, slide_id: str) -> str:
    return hashlib.sha256(f"{reader}\n{slide_id}".encode()).hexdigest()


def sureness(row: Mapping[str, object]) -> float:
    """Return the probability of the most probable score; 0 where there is none."""
    names = [f"p_{score.value.replace('+', 'plus')}" for score in EXPRESSION_SCORES]
    found = [row.get(name) for name in names]
    return max((float(p) for p in found if isinstance(p, int | float)), default=0.0)
