"""How far scores agree with their references: table, rates, κ, and each boundary by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.evaluation.case import Case, shared_scale
from her2path.statistics.agreement import Agreement, Weights, weighted_agreement
from her2path.statistics.counted import Counted

__all__ = ["Boundary", "GradeRow", "ScoreAgreement", "agree"]


@dataclass(frozen=True, slots=True)
class GradeRow:
    """Slides of one reference grade: how often each grade was read, and no score at all."""

    reference: str
    counts: tuple[int, ...]
    n_not_assessed: int

    @property
    def n(self) -> int:
        """All slides of the grade."""
        return sum(self.counts) + self.n_not_assessed


@dataclass(frozen=True, slots=True)
class Boundary:
    """The cut between two neighbouring grades.

    Attributes
    ----------
    low, high : str
        The grades beside it.
    beside : Counted
        Of the slides whose reference is one of these two: those read on their own side.
    below, above : Counted
        Of all slides with a reference below (above) the cut: those read below (above).
    """

    low: str
    high: str
    beside: Counted
    below: Counted
    above: Counted


@dataclass(frozen=True, slots=True)
class ScoreAgreement:
    """Agreement of many slides with their references.

    A slide that was not assessed is neither exact nor within one; κ is over the others.
    """

    n: int
    grades: tuple[str, ...]
    table: tuple[GradeRow, ...]
    exact: Counted
    within_one: Counted
    kappa_linear: Agreement
    kappa_quadratic: Agreement
    boundaries: tuple[Boundary, ...]


def agree(cases: Sequence[Case], *, rng: np.random.Generator) -> ScoreAgreement:
    """Compare scores with their references.

    Parameters
    ----------
    cases : sequence of Case
        On one scale, whose grades are those of the table.
    rng : numpy.random.Generator
        Source of randomness of the bootstrap, which draws patients where they are known.
    """
    grades = shared_scale(cases)
    known = np.array([case.known_grade for case in cases], np.int64)
    read = np.array(
        [-1 if case.read_grade is None else case.read_grade for case in cases], np.int64
    )
    return ScoreAgreement(
        n=len(cases),
        grades=tuple(map(str, grades.grades)),
        table=tuple(
            GradeRow(
                reference=str(grade),
                counts=tuple(int(((known == k) & (read == j)).sum()) for j in range(len(grades))),
                n_not_assessed=int(((known == k) & (read < 0)).sum()),
            )
            for k, grade in enumerate(grades.grades)
        ),
        exact=Counted.of(known == read),
        within_one=Counted.of((np.abs(known - read) <= 1) & (read >= 0)),
        kappa_linear=kappa(cases, known, read, len(grades), "linear", rng),
        kappa_quadratic=kappa(cases, known, read, len(grades), "quadratic", rng),
        boundaries=tuple(
            Boundary(
                low=str(grades.grades[k]),
                high=str(grades.grades[k + 1]),
                beside=Counted.of(is_right[(known == k) | (known == k + 1)]),
                below=Counted.of(is_right[known <= k]),
                above=Counted.of(is_right[known > k]),
            )
            for k in range(len(grades) - 1)
            for is_right in [((known > k) == (read > k)) & (read >= 0)]
        ),
    )


def kappa(
    cases: Sequence[Case],
    known: NDArray[np.int64],
    read: NDArray[np.int64],
    n_grades: int,
    weights: Weights,
    rng: np.random.Generator,
) -> Agreement:
    """Return a weighted κ over the slides that got a score."""
    is_in = read >= 0
    # A slide without a known patient is one by itself.
    patients = np.array(
        [f"p/{case.patient}" if case.patient else f"s/{k}" for k, case in enumerate(cases)]
    )
    has_patients = any(case.patient for case in cases)
    return weighted_agreement(
        known[is_in],
        read[is_in],
        n_categories=n_grades,
        weights=weights,
        patients=patients[is_in] if has_patients else None,
        rng=rng,
    )
