"""The words of a HER2 result: score, status, intensity, pattern, specimen, ISH."""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = [
    "EXPRESSION_SCORES",
    "Extent",
    "Intensity",
    "IshResult",
    "Organ",
    "Pattern",
    "Score",
    "Specimen",
    "Status",
]


class Score(StrEnum):
    """IHC score of a region or slide, low to high; `NOT_ASSESSABLE` is outside the order."""

    ZERO = "0"
    ULTRALOW = "0+"
    ONE_PLUS = "1+"
    TWO_PLUS = "2+"
    THREE_PLUS = "3+"
    NOT_ASSESSABLE = "not_assessable"

    @property
    def rank(self) -> int:
        """Position from 0 (`0`) to 4 (`3+`); −1 for not assessable."""
        return EXPRESSION_SCORES.index(self) if self in EXPRESSION_SCORES else -1


EXPRESSION_SCORES: tuple[Score, ...] = (
    Score.ZERO,
    Score.ULTRALOW,
    Score.ONE_PLUS,
    Score.TWO_PLUS,
    Score.THREE_PLUS,
)


class Status(StrEnum):
    """HER2 status; a 2+ without ISH stays *equivocal*, it is never guessed.

    *Null*, *ultralow* and *low* are words of the breast; the stomach knows *negative* alone.
    """

    NULL = "null"
    ULTRALOW = "ultralow"
    LOW = "low"
    NEGATIVE = "negative"
    EQUIVOCAL = "equivocal"
    POSITIVE = "positive"
    NOT_ASSESSABLE = "not_assessable"


class Intensity(IntEnum):
    """Class of a cell's membrane staining, ordered."""

    NONE = 0
    FAINT = 1
    WEAK = 2
    MODERATE = 3
    INTENSE = 4

    @property
    def label(self) -> str:
        """The word used in tables and reports."""
        return self.name.lower()


class Extent(IntEnum):
    """How far staining reaches round a cell, ordered: what the criteria tell apart.

    `INCOMPLETE` holds every stained cell that is less than basolateral, and, for cells without
    staining, those with none. Cytoplasmic staining without a membrane is no membrane staining.
    """

    INCOMPLETE = 0
    BASOLATERAL = 1
    COMPLETE = 2

    @property
    def label(self) -> str:
        """The word used in tables and reports."""
        return self.name.lower()


class Pattern(IntEnum):
    """How the stained membrane lies around the cell."""

    ABSENT = 0
    INCOMPLETE = 1
    BASOLATERAL = 2
    COMPLETE = 3
    CYTOPLASMIC = 4

    @property
    def label(self) -> str:
        """The word used in tables and reports."""
        return self.name.lower()

    @property
    def extent(self) -> Extent:
        """The extent that the criteria count it as."""
        if self is Pattern.COMPLETE:
            return Extent.COMPLETE
        return Extent.BASOLATERAL if self is Pattern.BASOLATERAL else Extent.INCOMPLETE


class Organ(StrEnum):
    """Whose criteria a rule set holds; it decides how score and ISH become a status."""

    BREAST = "breast"
    STOMACH = "stomach"


class Specimen(StrEnum):
    """Specimen type; in gastric cancer it changes the rule."""

    RESECTION = "resection"
    BIOPSY = "biopsy"


class IshResult(StrEnum):
    """In-situ hybridisation: a plain answer, or a dual-probe group of ASCO/CAP 2018."""

    AMPLIFIED = "amplified"
    NOT_AMPLIFIED = "not_amplified"
    GROUP_1 = "group1"
    GROUP_2 = "group2"
    GROUP_3 = "group3"
    GROUP_4 = "group4"
    GROUP_5 = "group5"
