"""Scores as people give them: one, or neighbours that were not told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.criteria.words import score_named

__all__ = ["ScoreLabel", "parse_score"]


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

    def allows(self, score: Score) -> bool:
        """Whether a score is one of those that the label stands for."""
        return self.low.rank <= score.rank <= self.high.rank

    def __str__(self) -> str:
        return self.low.value if self.is_exact else f"{self.low.value}|{self.high.value}"


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
    named = [score_named(part) for part in text.split("|")]
    found = [score for score in named if score is not None and score in EXPRESSION_SCORES]
    if len(named) > 2 or len(found) < len(named):
        known = ", ".join(EXPRESSION_SCORES)
        raise ValueError(
            f"{text!r:.40} is no score; give {known}, or 0|0+ where these were not told apart"
        )
    return ScoreLabel(found[0], found[-1], of=of)
