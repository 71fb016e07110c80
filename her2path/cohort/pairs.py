"""One pair of a cohort, and what its two sides say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from her2path.compare.change import ScoreChange, score_change
from her2path.compare.verdict import Verdict
from her2path.criteria.ish import status
from her2path.criteria.score import IshResult, Organ, Score, Status
from her2path.results.record import SlideRecord

__all__ = ["Pair", "Side", "edition_name", "organ_of"]

YEAR = re.compile(r"\b(2007|2013|2018|2023)\b")
# What has a year in its name without being ASCO/CAP for breast.
STOMACH = r"gastr|stomach|toga|hofmann|ruschoff|rüschoff"
OF_STOMACH = re.compile(STOMACH)
OTHER_CRITERIA = re.compile(rf"{STOMACH}|matrix")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One time point of a pair.

    Attributes
    ----------
    score : Score or None
        None while a slide is still to be scored.
    ish : IshResult or None
    edition : str
        Criteria: those of a result by the name of their rule set, others as `edition_name` writes
        them; empty when nobody says.
    organ : Organ or None
        None where neither a result nor its criteria say; the status is then that of breast.
    path : Path or None
        The slide or its result; None for a score that stands in the table.
    result : Path or None
        Its slide.json, once there is one.
    """

    score: Score | None
    ish: IshResult | None = None
    edition: str = ""
    organ: Organ | None = None
    path: Path | None = None
    result: Path | None = None

    @property
    def rank(self) -> int:
        """Position of the score from 0 (`0`) to 4 (`3+`); −1 without a score."""
        return -1 if self.score is None else self.score.rank

    @property
    def expresses(self) -> bool:
        """Whether HER2 is expressed in the sense of paired biopsies: 1+ or more."""
        return self.rank >= Score.ONE_PLUS.rank

    @property
    def status(self) -> Status:
        """Status from score and ISH; not assessable without a score."""
        if self.score is None:
            return Status.NOT_ASSESSABLE
        return status(self.score, self.ish, organ=self.organ or Organ.BREAST).status

    def scored(self, record: SlideRecord | None, result: Path | None = None) -> Side:
        """Return the side with the score of its slide; None: the slide could not be scored.

        `result` is the slide.json that holds the record.
        """
        if record is None:
            return replace(self, score=Score.NOT_ASSESSABLE)
        return replace(
            self,
            score=record.score,
            ish=self.ish or record.ish,
            # Rules of a site may have a year in their name without being those of that year.
            edition=record.rule_set,
            organ=record.organ,
            result=result,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One row of the table of pairs.

    Attributes
    ----------
    row : int
        As a spreadsheet numbers it; the names of the columns stand in row 1.
    patient_id : str
    name : str
        What tells it from other pairs of the patient; may be empty.
    before, after : Side
    verdict : Verdict or None
        As `compare` gave it; None when it was not asked.
    sentence : str
        The verdict in a sentence, where the pair was compared here.
    extras : mapping of str to str
        Columns that mean nothing here.
    """

    row: int
    patient_id: str
    name: str
    before: Side
    after: Side
    verdict: Verdict | None = None
    sentence: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_evaluable(self) -> bool:
        """Whether both sides have a score."""
        return min(self.before.rank, self.after.rank) >= 0

    @property
    def is_comparable(self) -> bool:
        """Whether slides of both sides have results, and nobody has compared them yet."""
        results = (self.before.result, self.after.result)
        return self.verdict is None and None not in results

    @property
    def change(self) -> ScoreChange:
        """What the score did."""
        if self.before.score is None or self.after.score is None:
            return ScoreChange.NOT_EVALUABLE
        return score_change(self.before.score, self.after.score)


def edition_name(text: str) -> str:
    """Return one name for the ways in which people write an edition of the criteria.

    Examples
    --------
    >>> edition_name("ASCO/CAP 2013"), edition_name("2018"), edition_name("2023")
    ('asco-cap-2013', 'asco-cap-2018', 'asco-cap-2018')
    """
    plain = text.strip().casefold()
    year = YEAR.search(plain)
    if year is not None and not OTHER_CRITERIA.search(plain):
        # 2023 affirmed 2018 without a change.
        return f"asco-cap-{'2018' if year[1] == '2023' else year[1]}"
    return re.sub(r"[^a-z0-9ü]+", "-", plain).strip("-")


def organ_of(*editions: str) -> Organ:
    """Return whose criteria these are, as `edition_name` writes them; breast where none says.

    Examples
    --------
    >>> organ_of("", "gastric-resection").value, organ_of("asco-cap-2018").value
    ('stomach', 'breast')
    """
    is_of_stomach = any(OF_STOMACH.search(name.casefold()) for name in editions)
    return Organ.STOMACH if is_of_stomach else Organ.BREAST
