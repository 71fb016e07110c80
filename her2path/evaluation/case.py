"""One slide with a reading and a reference, and the scale on which both can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.label import ScoreLabel
from her2path.criteria.score import EXPRESSION_SCORES, Score

__all__ = ["Case", "Scale", "scale_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A slide that was read, and what it is held against.

    Attributes
    ----------
    slide_id : str
    reference : ScoreLabel
        The truth of a drawn slide, or the reading of a person.
    score : Score
        What was read; may be not assessable.
    probabilities : mapping of Score to float, optional
        As stated; None where none were.
    is_flagged : bool
        Whether a second read was asked for.
    flags : tuple of str
        Why.
    patient, group : str
        Whose slide it is; laboratory or another group to tell figures apart by.
    score_set : tuple of Score
        Scores that the network does not rule out; empty where it states none.
    """

    slide_id: str
    reference: ScoreLabel
    score: Score
    probabilities: Mapping[Score, float] | None = None
    is_flagged: bool = False
    flags: tuple[str, ...] = ()
    patient: str = ""
    group: str = ""
    score_set: tuple[Score, ...] = ()

    @property
    def is_assessed(self) -> bool:
        """Whether there is a score."""
        return self.score is not Score.NOT_ASSESSABLE

    @property
    def distance(self) -> int | None:
        """Grades from the nearest score that the reference allows; negative: read too low."""
        if not self.is_assessed:
            return None
        if self.score.rank < self.reference.low.rank:
            return self.score.rank - self.reference.low.rank
        return max(0, self.score.rank - self.reference.high.rank)

    @property
    def is_exact(self) -> bool:
        """Whether the score is one that the reference allows."""
        return self.distance == 0

    @property
    def stated(self) -> float | None:
        """Probability that was stated for the score given, None without one."""
        if self.probabilities is None or not self.is_assessed:
            return None
        return self.probabilities.get(self.score, 0.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Grades that the references tell apart, low to high: all five, or fewer.

    A reference of "0 or 0+" joins these two into one grade for everybody, because nobody can be
    right or wrong about a distinction that was not made.
    """

    grades: tuple[ScoreLabel, ...]

    def __len__(self) -> int:
        return len(self.grades)

    def grade(self, score: Score) -> int:
        """Return the position of a score, from 0."""
        return next(k for k, grade in enumerate(self.grades) if grade.allows(score))

    def pooled(self, probabilities: Mapping[Score, float]) -> NDArray[np.float64]:
        """Return the probability of each grade."""
        found = np.zeros(len(self.grades))
        for score in EXPRESSION_SCORES:
            found[self.grade(score)] += probabilities.get(score, 0.0)
        return found


def scale_of(references: Iterable[ScoreLabel]) -> Scale:
    """Return the finest scale on which every reference is one grade.

    >>> from her2path.criteria.label import parse_score
    >>> [str(grade) for grade in scale_of([parse_score("0|0+"), parse_score("2+")]).grades]
    ['0|0+', '1+', '2+', '3+']
    """
    joins = [False] * (len(EXPRESSION_SCORES) - 1)
    for label in references:
        for rank in range(label.low.rank, label.high.rank):
            joins[rank] = True
    grades: list[ScoreLabel] = []
    first = EXPRESSION_SCORES[0]
    for rank, score in enumerate(EXPRESSION_SCORES):
        if rank == len(joins) or not joins[rank]:
            grades.append(ScoreLabel(first, score))
            first = EXPRESSION_SCORES[min(rank + 1, len(joins))]
    return Scale(tuple(grades))
