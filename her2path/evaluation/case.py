"""One slide with a reading and a reference, and the scale on which both can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.label import ScoreLabel
from her2path.criteria.score import EXPRESSION_SCORES, Score

__all__ = ["Case", "Scale", "on_one_scale", "scale_of", "shared_scale"]


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
        """Return the position of a score, from 0.

        Raises
        ------
        ValueError
            If it is on no grade: a slide that is not assessable has none.
        """
        for k, grade in enumerate(self.grades):
            if grade.allows(score):
                return k
        raise ValueError(f"{score.value} is none of the grades {', '.join(map(str, self.grades))}")

    def grade_of(self, label: ScoreLabel) -> int:
        """Return the position of a label, from 0.

        Raises
        ------
        ValueError
            If it is more than one grade: the scale tells apart what the label does not.
        """
        low = self.grade(label.low)
        if self.grade(label.high) != low:
            raise ValueError(f"{label} is more than one grade; put cases on one scale first")
        return low

    def pooled(self, probabilities: Mapping[Score, float]) -> NDArray[np.float64]:
        """Return the probability of each grade."""
        found = np.zeros(len(self.grades))
        for score in EXPRESSION_SCORES:
            found[self.grade(score)] += probabilities.get(score, 0.0)
        return found


FIVE_GRADES = Scale(tuple(ScoreLabel(score, score) for score in EXPRESSION_SCORES))


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
    read_by : mapping of str to str
        Calibration, network and rule set, under their columns of slides.csv; empty where not said.
    scale : Scale
        Grades on which score and reference are compared, the same for all slides that are
        evaluated together: `on_one_scale`.
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
    read_by: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = FIVE_GRADES

    @property
    def is_assessed(self) -> bool:
        """Whether there is a score."""
        return self.score is not Score.NOT_ASSESSABLE

    @property
    def known_grade(self) -> int:
        """Position of the reference on the scale, from 0."""
        return self.scale.grade_of(self.reference)

    @property
    def read_grade(self) -> int | None:
        """Position of the score on the scale, from 0; None without one."""
        return self.scale.grade(self.score) if self.is_assessed else None

    @property
    def set_grades(self) -> frozenset[int]:
        """Positions of the scores that the network does not rule out."""
        return frozenset(map(self.scale.grade, self.score_set))

    @property
    def distance(self) -> int | None:
        """Grades from the reference; negative: read too low. None without a score."""
        return None if self.read_grade is None else self.read_grade - self.known_grade

    @property
    def is_exact(self) -> bool:
        """Whether score and reference are one grade."""
        return self.distance == 0

    @property
    def stated(self) -> float | None:
        """Probability that was stated for the grade of the score given, None without one."""
        if self.probabilities is None or self.read_grade is None:
            return None
        total = float(self.scale.pooled(self.probabilities)[self.read_grade])
        # 0.3 + 0.6 is as probable as 0.9, whatever the last bit of a sum.
        return min(round(total, 9), 1.0)


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


def on_one_scale(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return the cases on the finest scale on which every reference of theirs is one grade."""
    found = tuple(cases)
    scale = scale_of(case.reference for case in found)
    return tuple(replace(case, scale=scale) for case in found)


def shared_scale(cases: Iterable[Case]) -> Scale:
    """Return the scale of cases that are on one; all five grades where there is no case.

    Raises
    ------
    ValueError
        If they are on several: figures of different scales are not one figure.
    """
    scales = {case.scale for case in cases}
    if len(scales) > 1:
        raise ValueError(f"cases are on {len(scales)} scales; put them on one with on_one_scale")
    return scales.pop() if scales else FIVE_GRADES
