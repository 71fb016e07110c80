"""The baseline table: what the patients of each group were like, and how far groups differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import kruskal

from her2path.outcomes.patients import Patient, Patients
from her2path.statistics.balance import difference_of_means, difference_of_shares
from her2path.statistics.contingency import association, stratified_association
from her2path.statistics.significance import Significance

__all__ = ["BaselineRow", "Counts", "Difference", "Numbers", "baseline_rows"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest standardized difference between two groups, and which two."""

    value: float
    groups: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A measured covariate in one group: median and quartiles; None without a value."""

    n: int
    n_missing: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """A named covariate in one group: patients of each category."""

    n: int
    n_missing: int
    of: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """One covariate.

    Attributes
    ----------
    name : str
    categories : tuple of str
        Of a named covariate; empty for a measured one.
    overall : Numbers or Counts
    by_group : tuple of Numbers or Counts
        In the order of the groups.
    difference : Difference or None
        None when no two groups can be compared.
    test : Significance or None
        Kruskal–Wallis for measured, chi-squared or exact for named covariates.
    stratified : Significance or None
        Cochran–Mantel–Haenszel within strata, of named covariates where there are strata.
    """

    name: str
    categories: tuple[str, ...]
    overall: Numbers | Counts
    by_group: tuple[Numbers | Counts, ...]
    difference: Difference | None
    test: Significance | None
    stratified: Significance | None


def baseline_rows(patients: Patients, *, rng: np.random.Generator) -> tuple[BaselineRow, ...]:
    """Return one row per covariate.

    Parameters
    ----------
    patients : Patients
    rng : numpy.random.Generator
        For exact tests of large tables.
    """
    return tuple(
        measured_row(patients, name)
        if any(name in patient.numbers for patient in patients.rows)
        else named_row(patients, name, rng=rng)
        for name in patients.columns.all_covariates
    )


def measured_row(patients: Patients, name: str) -> BaselineRow:
    """Return the row of a measured covariate."""

    def values(rows: Sequence[Patient]) -> list[float]:
        return [v for patient in rows if (v := patient.numbers[name]) is not None]

    samples = {group: values(patients.of(group)) for group in patients.groups}
    filled = [sample for sample in samples.values() if sample]
    test = None
    if len(filled) > 1 and len({value for sample in filled for value in sample}) > 1:
        found = kruskal(*filled)
        test = Significance(
            float(found.statistic), len(filled) - 1, float(found.pvalue), "Kruskal–Wallis"
        )
    differences = [
        (difference_of_means(samples[a], samples[b]), (a, b))
        for a, b in combinations(patients.groups, 2)
    ]
    return BaselineRow(
        name=name,
        categories=(),
        overall=numbers(values(patients.rows), len(patients.rows)),
        by_group=tuple(
            numbers(samples[group], len(patients.of(group))) for group in patients.groups
        ),
        difference=largest(differences),
        test=test,
        stratified=None,
    )


def numbers(values: Sequence[float], n: int) -> Numbers:
    if not values:
        return Numbers(0, n, None, None, None)
    low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return Numbers(len(values), n - len(values), middle, low, high)


def named_row(patients: Patients, name: str, *, rng: np.random.Generator) -> BaselineRow:
    """Return the row of a covariate whose values are names."""
    categories = tuple(sorted({p.categories[name] for p in patients.rows} - {""}))
    table = [counted(patients.of(group), name, categories) for group in patients.groups]
    differences = [
        (difference_of_shares(table[i], table[j]), (patients.groups[i], patients.groups[j]))
        for i, j in combinations(range(len(table)), 2)
    ]
    strata = sorted({patient.stratum for patient in patients.rows} - {""})
    within = None
    if strata and name != patients.columns.strata:
        within = stratified_association(
            [
                [
                    counted([p for p in patients.of(g) if p.stratum == stratum], name, categories)
                    for g in patients.groups
                ]
                for stratum in strata
            ]
        )
    return BaselineRow(
        name=name,
        categories=categories,
        overall=counts(counted(patients.rows, name, categories), len(patients.rows)),
        by_group=tuple(
            counts(row, len(patients.of(group)))
            for row, group in zip(table, patients.groups, strict=True)
        ),
        difference=largest(differences),
        test=association(table, rng=rng) if categories else None,
        stratified=within,
    )


def counted(rows: Sequence[Patient], name: str, categories: Sequence[str]) -> list[int]:
    """Return how many patients are of each category."""
    found = [patient.categories[name] for patient in rows]
    return [found.count(category) for category in categories]


def counts(of: Sequence[int], n: int) -> Counts:
    return Counts(sum(of), n - sum(of), tuple(of))


def largest(found: Sequence[tuple[float | None, tuple[str, str]]]) -> Difference | None:
    known = [(value, pair) for value, pair in found if value is not None]
    return Difference(*max(known, key=lambda item: item[0])) if known else None
