"""The table of pairs: read it whole, list every fault with its row, then trust it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from her2path.cohort.pairs import Pair, Side, edition_name, organ_of
from her2path.compare.verdict import Verdict
from her2path.criteria.ish import check_ish
from her2path.criteria.rule_set import RuleSet, load_rule_set, rule_set_names
from her2path.criteria.score import IshResult, Organ, Score
from her2path.criteria.words import SCORE_WORDS, score_named
from her2path.errors import CriteriaError, TableError
from her2path.results.faults import SheetFaults
from her2path.results.jsonable import read_json
from her2path.results.record import read_record
from her2path.results.scored_slide import SlideIdentity
from her2path.results.sheet import Sheet, SheetRow, read_sheet, warn_of_near_misses, word

__all__ = ["KNOWN_COLUMNS", "read_pairs"]

# People write either.
DATE_COLUMNS = (("before_date", "date_before"), ("after_date", "date_after"))
NEEDED = ("patient_id", "before", "after")
KNOWN_COLUMNS = (
    *NEEDED,
    "pair",
    "before_ish",
    "after_ish",
    "before_edition",
    "after_edition",
    "verdict",
    *(name for names in DATE_COLUMNS for name in names),
)
STOMACH_RULES = "gastric-resection"
# A year outside is a slip of the keyboard; trastuzumab came in 1998.
FIRST_YEAR, LAST_YEAR = 1980, 2100
ENDS = ("before", "after")

logger = logging.getLogger(__name__)


def read_pairs(path: Path, *, rule_set: RuleSet | None = None) -> tuple[Sheet, tuple[Pair, ...]]:
    """Read a table of pairs.

    Columns are `patient_id`, `before`, `after` and any of `KNOWN_COLUMNS`; others are kept. A side
    is a score, the `slide.json` of a scored slide (or the folder that holds it), or a slide.
    Paths are relative to the table.

    Parameters
    ----------
    path : Path
    rule_set : RuleSet, optional
        Criteria that slides of the table will be scored by.

    Returns
    -------
    tuple of Sheet and of Pair
        The table as it stands, and its pairs. The score of a slide is None: see `Side.scored`.

    Raises
    ------
    TableError
        If it cannot be used; every fault is listed with its row and column.
    """
    faults = SheetFaults()
    sheet = read_sheet(path, needed=NEEDED, known=KNOWN_COLUMNS, faults=faults)
    warn_of_near_misses(sheet, KNOWN_COLUMNS)
    reader = PairReader(sheet, faults, rule_set=rule_set)
    pairs = [reader.pair(row) for row in sheet.rows]
    sound = tuple(pair for pair in pairs if pair is not None)
    reader.check_names()
    reader.check_editions(sound)
    reader.check_patients(sound)
    faults.refuse(path)
    return sheet, sound


class PairReader:
    """Turns rows into pairs and collects what is wrong with them."""

    def __init__(self, sheet: Sheet, faults: SheetFaults, *, rule_set: RuleSet | None) -> None:
        self.sheet = sheet
        self.folder = sheet.path.parent
        self.rule_set = rule_set
        self.has_names = "pair" in sheet.columns
        self.faults = faults
        self.identity: dict[Path, SlideIdentity] = {}
        # Whom a result names, where its manifest did.
        self.patient_of: dict[Path, str] = {}
        # By file, whatever it is called: what of it was named, in which row, for whom.
        self.owners: defaultdict[str, list[tuple[SlideIdentity, int, str]]] = defaultdict(list)

    def pair(self, row: SheetRow) -> Pair | None:
        """Return the pair of one row, None when it has a fault."""
        n_before = len(self.faults)
        if not row.get("patient_id"):
            self.faults.add(
                row, "patient_id", "is empty; several rows of one patient need its name"
            )
        verdict = self.faults.read(row, "verdict", word(Verdict))
        name = row.get("pair")
        compared = (
            self.faults.read(row, "pair", self.compared) if name.lower().endswith(".json") else None
        )
        found, said = compared or (None, {})
        before, after = (self.side(row, end, said.get(end)) for end in ENDS)
        self.check_dates(row)
        if found is not None:
            if verdict is not None and verdict is not found:
                self.faults.add(row, "verdict", f"is {verdict}, but {name} says {found}")
            verdict = found
        if before and after and self.are_one_slide(before, after):
            self.faults.add(row, "after", "is the same slide as before")
        if before is None or after is None or len(self.faults) > n_before:
            return None
        # A score in the table is of the organ of the other side, or that an edition names.
        organ = before.organ or after.organ or organ_of(before.edition, after.edition)
        before, after = (replace(side, organ=side.organ or organ) for side in (before, after))
        self.check_scores(row, before, after)
        if len(self.faults) > n_before:
            return None
        return Pair(
            row=row.number,
            patient_id=row.get("patient_id"),
            name=name,
            before=before,
            after=after,
            verdict=verdict,
            extras={n: text for n, text in row.cells.items() if n and n not in KNOWN_COLUMNS},
        )

    def side(self, row: SheetRow, end: str, said: Side | None) -> Side | None:
        """Return one side of a pair; `said` is that of its pair.json."""
        if not row.get(end) and said is None:
            self.faults.add(row, end, "is empty; give a score, a slide, or not_assessable")
        side = self.faults.read(row, end, self.named_side) if row.get(end) else said
        ish = self.faults.read(row, f"{end}_ish", word(IshResult))
        edition = self.faults.read(row, f"{end}_edition", edition_name) or ""
        if side is None:
            return None
        stated = Side(score=side.score, ish=ish, edition=edition)
        if row.get(end):
            self.check_stated(row, end, stated, side, source=row.get(end))
        if said is not None:
            self.check_stated(row, end, stated, said, source=row.get("pair"))
        if side.path is not None:
            self.check_owner(row, end, side.path)
        also = said or side
        return replace(
            side,
            # Who compared may have given the ISH that the result was scored without.
            ish=ish or also.ish or side.ish,
            edition=side.edition or also.edition or edition,
            organ=side.organ or also.organ,
        )

    def check_stated(
        self, row: SheetRow, end: str, stated: Side, known: Side, *, source: str
    ) -> None:
        """Note where the table says otherwise than a result or a pair.json."""
        if None not in (stated.score, known.score) and stated.score is not known.score:
            self.faults.add(row, end, f"is {stated.score}, but {source} says {known.score}")
        if None not in (stated.ish, known.ish) and stated.ish is not known.ish:
            words = f"is {stated.ish}, but {source} was scored with {known.ish}"
            self.faults.add(row, f"{end}_ish", words)
        # Rules of a site may be called what `edition_name` would write in another way.
        written = (stated.edition, row.get(f"{end}_edition"))
        if stated.edition and known.edition and known.edition not in written:
            words = f"is {stated.edition}, but {source} has {known.edition}"
            self.faults.add(row, f"{end}_edition", words)

    def are_one_slide(self, before: Side, after: Side) -> bool:
        """Tell whether both sides are one file, or results of it."""
        if before.path is None or after.path is None:
            return False
        one, other = self.identity[before.path], self.identity[after.path]
        return before.path == after.path or one.is_same(other)

    def check_owner(self, row: SheetRow, end: str, path: Path) -> None:
        """Note a slide that another patient has already, under whatever name."""
        patient, own = row.get("patient_id"), self.identity[path]
        of_file = self.owners[own.sha256_ends or str(path)]
        for known, number, owner in of_file:
            if owner != patient and (known == own or own.is_same(known)):
                self.faults.add(row, end, f"{path.name} belongs to {owner!r:.40} in row {number}")
                return
        of_file.append((own, row.number, patient))

    def named_side(self, text: str) -> Side:
        """Return the side that a cell names: a score, a result, or a slide to be scored."""
        score = score_named(text)
        if score is not None:
            return Side(score=score)
        path = (self.folder / text).resolve()
        if (path / "slide.json").is_file():
            path = path / "slide.json"
        if path.suffix.lower() == ".json":
            record = read_record(path)
            self.identity[path] = SlideIdentity.of_record(record)
            self.patient_of[path] = record.patient_id
            return Side(score=None, path=path).scored(record, path)
        if path.is_file():
            self.identity[path] = SlideIdentity.of_file(path)
            rules = self.rule_set
            if rules is None:
                return Side(score=None, path=path)
            return Side(score=None, edition=rules.name, organ=rules.organ, path=path)
        raise TableError(
            f"{text!r:.60} is no score and no file; give {', '.join(SCORE_WORDS)}, a slide.json "
            "or a slide"
        )

    def compared(self, text: str) -> tuple[Verdict, dict[str, Side]]:
        """Return the verdict and the sides of a pair.json."""
        document = read_json(self.folder / text)
        try:
            sides = {}
            for end in ENDS:
                slide, ish = document[end]["slides"][0], document[end]["ish"]
                sides[end] = Side(
                    score=Score(document["score"][end]),
                    ish=None if ish is None else IshResult(ish),
                    edition=str(slide["rule_set"]),
                    organ=Organ(slide["organ"]),
                )
            return Verdict(document["verdict"]), sides
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise TableError(f"{text!r:.60} is no pair.json that compare has written") from error

    def check_scores(self, row: SheetRow, *sides: Side) -> None:
        """Note scores that the edition of the row does not have, and ISH that its organ has not."""
        stated = next((side.edition for side in sides if side.edition), "")
        for end, side in zip(ENDS, sides, strict=True):
            try:
                check_ish(side.ish, side.organ or Organ.BREAST)
            except CriteriaError as error:
                self.faults.add(row, f"{end}_ish", error)
            edition = side.edition or stated
            rules = edition
            if rules not in rule_set_names():
                # "ToGA" names no rule set; those of the stomach have the same scores.
                is_stomach = side.organ is Organ.STOMACH and side.path is None
                rules = STOMACH_RULES if is_stomach else ""
            if not rules or side.rank < 0:
                continue
            used = load_rule_set(rules).scores_used
            if side.score not in used:
                words = ", ".join(score.value for score in used)
                self.faults.add(
                    row,
                    end,
                    f"is {side.score}, which {edition} does not have; it has {words}: give one of "
                    "them, or name the edition that gave it",
                )

    def check_dates(self, row: SheetRow) -> None:
        """Note dates that are none, and a second biopsy before the first."""
        columns = [
            next((name for name in names if name in self.sheet.columns), names[0])
            for names in DATE_COLUMNS
        ]
        before, after = (self.faults.read(row, column, day) for column in columns)
        if before is not None and after is not None and after < before:
            self.faults.add(row, columns[1], f"{after} lies before {before}; are they exchanged?")

    def check_names(self) -> None:
        """Note patients that stand twice without a name that tells their pairs apart."""
        first: dict[tuple[str, str], int] = {}
        for row in self.sheet.rows:
            patient = row.get("patient_id")
            if not patient:
                continue
            before = first.setdefault((patient, row.get("pair")), row.number)
            if before == row.number:
                continue
            remedy = (
                " with the same pair; name each pair of a patient differently"
                if self.has_names
                else "; name each pair of a patient in a column pair"
            )
            self.faults.add(
                row, "patient_id", f"{patient!r:.60} stands in row {before} already{remedy}"
            )

    def check_patients(self, pairs: Sequence[Pair]) -> None:
        """Note results of two patients in one row, and those of the patient of another row.

        A study may call patients otherwise than the manifest of their slides did; that alone is
        only told.
        """
        rows = {pair.patient_id: pair.row for pair in pairs}
        strange: dict[str, int] = {}
        for pair in pairs:
            paths = [side.path for side in (pair.before, pair.after)]
            named = [self.patient_of.get(path, "") if path else "" for path in paths]
            if all(named) and named[0] != named[1]:
                self.faults.add_words(
                    f"row {pair.row}, after: its result is of {named[1]!r:.40}, that of before of "
                    f"{named[0]!r:.40}; pair results of one patient, or correct the manifest",
                    row=pair.row,
                )
                continue
            for end, name in zip(ENDS, named, strict=True):
                if name in ("", pair.patient_id):
                    continue
                if name in rows:
                    self.faults.add_words(
                        f"row {pair.row}, {end}: the result is of {name!r:.40}, who stands in row "
                        f"{rows[name]}",
                        row=pair.row,
                    )
                strange.setdefault(name, pair.row)
        if strange:
            name, row = next(iter(strange.items()))
            logger.warning(
                "%s: %d results name another patient than their row, as %r in row %d; taken for "
                "two names of one patient",
                self.sheet.path.name, len(strange), name[:40], row,
            )  # fmt: skip

    def check_editions(self, pairs: Sequence[Pair]) -> None:
        """Note editions that differ: scores of two editions cannot be compared."""
        known = [
            (pair, end, side.edition)
            for pair in pairs
            for end, side in zip(ENDS, (pair.before, pair.after), strict=True)
            if side.edition
        ]
        for pair, end, edition in known:
            first, first_end, usual = known[0]
            if edition != usual:
                self.faults.add_words(
                    f"row {pair.row}, {end}_edition: {edition}, but {first_end} of row "
                    f"{first.row} has {usual}; score both by one edition, or give each edition "
                    "a table",
                    row=pair.row,
                )


def day(text: str) -> date:
    """Read a day as YYYY-MM-DD."""
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise TableError(f"{text!r:.40} is no date; write it as 2025-03-31") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise TableError(f"{text!r:.40} lies outside {FIRST_YEAR} to {LAST_YEAR}")
    return found
