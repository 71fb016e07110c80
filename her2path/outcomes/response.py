"""Response by group, with exact intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from her2path.outcomes.patients import Patients
from her2path.statistics.contingency import association, stratified_association
from her2path.statistics.intervals import Interval, clopper_pearson
from her2path.statistics.significance import Significance

__all__ = ["Response", "ResponseRate", "response_of"]


@dataclass(frozen=True, slots=True)
class ResponseRate:
    """Responders among the patients of a group whose response is known."""

    group: str
    n: int
    of: int
    n_unknown: int
    ci95: Interval | None

    @property
    def rate(self) -> float | None:
        """The fraction, 0–1; None of nobody."""
        return self.n / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Response:
    """Response of each group and of all; the tests are None where nothing can be compared."""

    groups: tuple[ResponseRate, ...]
    overall: ResponseRate
    test: Significance | None
    stratified: Significance | None


def response_of(patients: Patients, *, rng: np.random.Generator) -> Response:
    """Return response rates with Clopper–Pearson intervals.

    Parameters
    ----------
    patients : Patients
    rng : numpy.random.Generator
        For an exact test of more than two groups.
    """

    def rate(name: str, answers: list[bool | None]) -> ResponseRate:
        known = [answer for answer in answers if answer is not None]
        n, of = sum(known), len(known)
        ends = clopper_pearson(n, of) if of else None
        return ResponseRate(name, n, of, len(answers) - of, ends)

    def table(stratum: str | None = None) -> list[list[int]]:
        found = []
        for group in patients.groups:
            answers = [
                p.response for p in patients.of(group) if stratum is None or p.stratum == stratum
            ]
            found.append([answers.count(True), answers.count(False)])
        return found

    strata = sorted({patient.stratum for patient in patients.rows} - {""})
    return Response(
        groups=tuple(
            rate(group, [p.response for p in patients.of(group)]) for group in patients.groups
        ),
        overall=rate(patients.name_of_all, [p.response for p in patients.rows]),
        test=association(table(), rng=rng),
        stratified=stratified_association([table(s) for s in strata]) if strata else None,
    )
