"""One training picture and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from her2path.criteria.score import EXPRESSION_SCORES, Score

__all__ = ["Label", "Part", "Sample", "ScoreLabel", "parse_score"]


class Part(StrEnum):
    """Which side of the split a picture stands on."""

    TRAIN = "train"
    VALIDATE = "validate"
    TEST = "test"


class Label(StrEnum):
    """A kind of label; a loss is masked where its label is missing."""

    SCORE = "score"
    TISSUE = "tissue"


@dataclass(frozen=True, slots=True)
class ScoreLabel:
    """A score as somebody gave it: one, or neighbours that were not told apart.

    Before HER2-ultralow had a name, 0 and 0+ were one score: a public "0" is `low` 0, `high` 0+.

    Attributes
    ----------
    low, high : Score
        The lowest and the highest score that the label allows.
    of : {"picture", "slide"}
        What was scored. The score of a slide says less about a small piece of it.
    """

    low: Score
    high: Score
    of: Literal["picture", "slide"] = "picture"

    def __post_init__(self) -> None:
        if not 0 <= self.low.rank <= self.high.rank:
            raise ValueError(
                f"a score label runs upwards from 0 to 3+, got {self.low}, {self.high}"
            )

    @property
    def is_exact(self) -> bool:
        """Whether it is one score."""
        return self.low is self.high

    def __str__(self) -> str:
        return self.low.value if self.is_exact else f"{self.low.value}|{self.high.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture (a field, a core, or a slide) and its labels.

    Attributes
    ----------
    path : Path
    mpp : float or None
        µm/px at full resolution; None: as the file says.
    patient, laboratory : str
        Groups that must not stand on both sides of the split; empty where not known.
    part : Part or None
        None: still to be assigned.
    score : ScoreLabel or None
    outlines : Path or None
        Outlines drawn by a person (QuPath GeoJSON and others): classes Tumor, Ignore*, Stroma.
    mask : Path or None
        PNG of the picture's size with the values of `pictures.MASK_VALUES`.
    source : str
        Manifest or public set that it comes from.
    """

    path: Path
    mpp: float | None = None
    patient: str = ""
    laboratory: str = ""
    part: Part | None = None
    score: ScoreLabel | None = None
    outlines: Path | None = None
    mask: Path | None = None
    source: str = ""

    @property
    def labels(self) -> frozenset[Label]:
        """Which labels exist."""
        found = set()
        if self.score is not None:
            found.add(Label.SCORE)
        if self.outlines is not None or self.mask is not None:
            found.add(Label.TISSUE)
        return frozenset(found)


# Also as older reports, spreadsheets and folders write them.
SPELLINGS = {
    **{score.value: score for score in EXPRESSION_SCORES},
    "1": Score.ONE_PLUS,
    "2": Score.TWO_PLUS,
    "3": Score.THREE_PLUS,
    "null": Score.ZERO,
    "ultralow": Score.ULTRALOW,
}


def parse_score(text: str, *, of: Literal["picture", "slide"] = "picture") -> ScoreLabel:
    """Read a score: 0, 0+, 1+, 2+, 3+, or neighbours with a stroke between them, as ``0|0+``.

    Raises
    ------
    ValueError
        If it is none; the message lists what it may be.

    Examples
    --------
    >>> parse_score("2+").is_exact
    True
    >>> str(parse_score("0|0+"))
    '0|0+'
    """
    words = [part.strip().casefold() for part in text.split("|")]
    if len(words) > 2 or not all(word in SPELLINGS for word in words):
        known = ", ".join(EXPRESSION_SCORES)
        raise ValueError(
            f"{text!r:.40} is no score; give {known}, or 0|0+ where these were not told apart"
        )
    found = [SPELLINGS[word] for word in words]
    return ScoreLabel(found[0], found[-1], of=of)
