"""Cox models of the group, alone and with covariates, with a check of proportional hazards."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from her2path.outcomes.libraries import library
from her2path.outcomes.patients import Patient, Patients
from her2path.statistics.intervals import Interval

__all__ = ["CoxModel", "HazardRatio", "cox_models", "reference_group"]

logger = logging.getLogger(__name__)

# Fewer events per coefficient make coefficients unsteady (Peduzzi 1995).
EVENTS_PER_TERM = 10
# A coefficient beyond says that the likelihood has no maximum: a hazard ratio of e to the 10.
LARGEST_COEFFICIENT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardRatio:
    """One coefficient of a model.

    `term` is what it is about, `level` is compared with `reference` (empty for a measured
    covariate, whose ratio is per unit). `p_proportional` is small where the hazards are not.
    `is_group` says that it compares the groups: a covariate may be called *group* too.
    `runs_away` says that the likelihood grows without end: none of the numbers is an estimate, and
    a large p tells nothing (Hauck and Donner 1977, 10.1080/01621459.1977.10479969).
    """

    term: str
    level: str
    reference: str
    n: int
    n_events: int
    ratio: float
    ci95: Interval
    p: float
    p_proportional: float | None
    is_group: bool = False
    runs_away: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxModel:
    """A fitted model; without `ratios` the remarks say why there are none."""

    name: str
    n: int
    n_events: int
    n_incomplete: int
    ratios: tuple[HazardRatio, ...]
    concordance: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A column of the design: what it is about and its values."""

    name: str
    level: str
    reference: str
    values: NDArray[np.float64]
    is_group: bool = False


def reference_group(patients: Patients, wanted: str) -> str:
    """Return the group that others are compared with: the wanted one, or the largest."""
    if wanted:
        return wanted
    return max(patients.groups, key=lambda group: len(patients.of(group)))


def cox_models(patients: Patients, *, reference: str) -> tuple[CoxModel, ...]:
    """Fit a Cox model of the group, and one adjusted for covariates where any are named.

    Strata, where named, have baseline hazards of their own. Ties after Efron.

    Parameters
    ----------
    patients : Patients
    reference : str
        The group that others are compared with.

    Raises
    ------
    MissingLibraryError
        If lifelines or pandas is not installed.

    References
    ----------
    Cox 1972, 10.1111/j.2517-6161.1972.tb00899.x; proportional hazards: Grambsch and Therneau
    1994, 10.1093/biomet/81.3.515.
    """
    known = [p for p in patients.rows if p.time is not None and p.event is not None]
    within = f", stratified by {patients.columns.strata}" if patients.columns.strata else ""
    models = [fitted(f"Group alone{within}", patients, known, (), reference=reference)]
    adjust = patients.columns.adjust
    if adjust:
        name = f"Adjusted for {', '.join(adjust)}{within}"
        models.append(fitted(name, patients, known, adjust, reference=reference))
    return tuple(models)


def is_complete(patient: Patient, names: Sequence[str], *, needs_stratum: bool) -> bool:
    return (not needs_stratum or bool(patient.stratum)) and all(
        patient.numbers.get(name) is not None or bool(patient.categories.get(name))
        for name in names
    )


def fitted(
    name: str,
    patients: Patients,
    known: Sequence[Patient],
    adjust: Sequence[str],
    *,
    reference: str,
) -> CoxModel:
    """Fit one model to the patients of whom everything in it is known."""
    needs_stratum = bool(patients.columns.strata)
    rows = [p for p in known if is_complete(p, adjust, needs_stratum=needs_stratum)]
    remarks: list[str] = []
    n_incomplete = len(known) - len(rows)
    # A group without an event has no finite ratio: it is named, and the others are compared.
    empty = [
        group
        for group in patients.groups
        if not any(p.event for p in rows if p.group == group)
        and any(p.group == group for p in rows)
    ]
    for group in empty:
        remarks.append(f"no event in {group}: it has no hazard ratio and is left out of the model")
    rows = [p for p in rows if p.group not in empty]
    left = {p.group for p in rows}.union(empty)
    for group in patients.groups:
        if group not in left:
            what = (
                "values of the model" if any(p.group == group for p in known) else "time and event"
            )
            remarks.append(
                f"{group}: of nobody are {what} known; the group is left out of the model"
            )
    if not rows:
        remarks.append("there is no event: no hazards can be compared")
        return no_model(name, rows, n_incomplete, remarks)
    if reference in empty or not any(p.group == reference for p in rows):
        remarks.append(
            f"{reference} has no event to compare with; name another group with --reference"
        )
        return no_model(name, rows, n_incomplete, remarks)
    terms = terms_of(patients, rows, adjust, reference=reference, remarks=remarks)
    n_events = sum(bool(p.event) for p in rows)
    if not any(term.is_group for term in terms):
        remarks.append("one group alone has events: there is nothing to compare")
        return no_model(name, rows, n_incomplete, remarks)
    if n_events < EVENTS_PER_TERM * len(terms):
        many = "a coefficient" if len(terms) == 1 else f"{len(terms)} coefficients"
        remarks.append(
            f"{n_events} events for {many}: with fewer than {EVENTS_PER_TERM} for each they are "
            "unsteady"
        )
    if repeats_itself(terms, [p.stratum if needs_stratum else "" for p in rows]):
        remarks.append(
            "no estimate: group and covariates say the same of these patients, wholly or in part; "
            "leave out the covariate that follows from the others"
            if any(not term.is_group for term in terms)
            else f"no estimate: within {patients.columns.strata} a group has nobody to be compared "
            "with; leave out --strata, or the group"
        )
        return no_model(name, rows, n_incomplete, remarks)
    return estimated(name, patients, rows, terms, n_incomplete, remarks)


def repeats_itself(terms: Sequence[Term], strata: Sequence[str]) -> bool:
    """Whether a column of the design follows from the others within the strata."""
    design = np.column_stack([term.values for term in terms])
    kinds = np.array(strata)
    for kind in set(strata):
        design[kinds == kind] -= design[kinds == kind].mean(axis=0)
    design /= np.maximum(design.std(axis=0), 1e-12)
    return int(np.linalg.matrix_rank(design, tol=1e-6 * math.sqrt(len(design)))) < len(terms)


GROUP = "group"


def terms_of(
    patients: Patients,
    rows: Sequence[Patient],
    adjust: Sequence[str],
    *,
    reference: str,
    remarks: list[str],
) -> list[Term]:
    """Return the columns of the design; names become one column per level but the reference."""
    groups = [g for g in patients.groups if g != reference and any(p.group == g for p in rows)]
    found = [
        Term(GROUP, g, reference, np.array([p.group == g for p in rows], np.float64), is_group=True)
        for g in groups
    ]
    for name in adjust:
        if any(name in patient.numbers for patient in rows):
            values = np.array([patient.numbers[name] for patient in rows], np.float64)
            levels = [Term(name, "", "", values)]
        else:
            words = [patient.categories[name] for patient in rows]
            usual = max(sorted(set(words)), key=words.count)
            levels = [
                Term(name, word, usual, np.array([w == word for w in words], np.float64))
                for word in sorted(set(words))
                if word != usual
            ]
        constant = not levels or all(np.ptp(level.values) == 0 for level in levels)
        if constant:
            remarks.append(f"{name} is the same for all and is left out of the model")
        else:
            found += levels
    return found


def no_model(
    name: str, rows: Sequence[Patient], n_incomplete: int, remarks: Sequence[str]
) -> CoxModel:
    return CoxModel(
        name=name,
        n=len(rows),
        n_events=sum(bool(p.event) for p in rows),
        n_incomplete=n_incomplete,
        ratios=(),
        concordance=None,
        remarks=tuple(remarks),
    )


def estimated(
    name: str,
    patients: Patients,
    rows: Sequence[Patient],
    terms: Sequence[Term],
    n_incomplete: int,
    remarks: list[str],
) -> CoxModel:
    """Fit by lifelines, and check that the hazards are proportional."""
    lifelines, pandas = library("lifelines"), library("pandas")
    keys = [f"x{k}" for k in range(len(terms))]
    frame = pandas.DataFrame({key: term.values for key, term in zip(keys, terms, strict=True)})
    frame["time"] = [patient.time for patient in rows]
    frame["event"] = [bool(patient.event) for patient in rows]
    strata = None
    if patients.columns.strata:
        frame["stratum"] = [patient.stratum for patient in rows]
        strata = ["stratum"]
    exceptions = library("lifelines.exceptions")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = lifelines.CoxPHFitter().fit(
                frame, duration_col="time", event_col="event", strata=strata
            )
            check = library("lifelines.statistics").proportional_hazard_test(
                fit, frame, time_transform=rank_of_time
            )
        except (exceptions.ConvergenceError, np.linalg.LinAlgError, ValueError) as error:
            logger.info("no Cox model: %s", error)
            remarks.append("no estimate: the groups or covariates separate the events entirely")
            return no_model(name, rows, n_incomplete, remarks)
    for warning in caught:
        logger.info("Cox model: %s", warning.message)
    table = fit.summary
    coefficients = table["coef"].to_numpy(np.float64)
    runs_away = np.abs(coefficients) > LARGEST_COEFFICIENT * scales(terms)
    if runs_away.any():
        remarks.append(
            "an estimate runs away: a group or category has too few events, or its events are told "
            "apart entirely"
        )
    p_check = dict(zip(check.summary.index, np.ravel(check.p_value), strict=True))
    ratios = []
    for key, term, is_running in zip(keys, terms, runs_away.tolist(), strict=True):
        row = table.loc[key]
        is_of = term.values > 0 if term.level else np.ones(len(rows), np.bool_)
        ratios.append(
            HazardRatio(
                term=term.name,
                level=term.level,
                reference=term.reference,
                n=int(is_of.sum()),
                n_events=int(
                    sum(bool(p.event) for p, inside in zip(rows, is_of, strict=True) if inside)
                ),
                ratio=float(row["exp(coef)"]),
                ci95=Interval(float(row["exp(coef) lower 95%"]), float(row["exp(coef) upper 95%"])),
                p=float(row["p"]),
                p_proportional=float(p_check[key]) if key in p_check else None,
                is_group=term.is_group,
                runs_away=is_running,
            )
        )
    try:
        concordance: float | None = float(fit.concordance_index_)
    except ZeroDivisionError:
        concordance = None
        remarks.append("no concordance: no two patients can be put in order of their events")
    return CoxModel(
        name=name,
        n=len(rows),
        n_events=int(frame["event"].sum()),
        n_incomplete=n_incomplete,
        ratios=tuple(ratios),
        concordance=concordance,
        remarks=tuple(remarks),
    )


def rank_of_time(time: Any, _event: Any, _weight: Any) -> Any:  # noqa: ANN401 - series of pandas
    """Return the rank of each time among all; ties share theirs.

    The *rank* of lifelines counts events down its rows, which lie by stratum first: it follows what
    strata are called, and in which order tied patients stand.
    """
    return library("pandas").Series(rankdata(time), index=time.index)


def scales(terms: Sequence[Term]) -> NDArray[np.float64]:
    """Return one over the spread of measured covariates, 1 for categories."""
    return np.array(
        [1.0 if term.level else 1 / max(float(np.std(term.values)), 1e-12) for term in terms]
    )
