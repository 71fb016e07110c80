"""Everything that is said of one table of patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from her2path.criteria.score import Status
from her2path.errors import TableError
from her2path.outcomes.baseline import BaselineRow, baseline_rows
from her2path.outcomes.hazards import CoxModel, cox_models, reference_group
from her2path.outcomes.patients import Patients
from her2path.outcomes.response import Response, response_of
from her2path.outcomes.survival import Survival, survival_of
from her2path.results.sheet import look_alikes

__all__ = ["Outcomes", "analyse_outcomes"]

# Fewer patients make a group's numbers an anecdote.
FEW = 5
# So many answers show what the column holds.
MOST_ANSWERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What a table of patients shows; None for what it holds no columns for."""

    patients: Patients
    baseline: tuple[BaselineRow, ...]
    response: Response | None
    survival: Survival | None
    models: tuple[CoxModel, ...]
    reference: str
    seed: int
    remarks: tuple[str, ...]


def analyse_outcomes(patients: Patients, *, reference: str = "", seed: int = 0) -> Outcomes:
    """Compare the groups of a table.

    Parameters
    ----------
    patients : Patients
    reference : str
        Group that hazards are compared with; empty: the largest.
    seed : int
        Of exact tests that draw random tables.

    Raises
    ------
    TableError
        If the reference is no group.
    MissingLibraryError
        If survival is asked for and its libraries are not installed.
    """
    if reference and reference not in patients.groups:
        raise TableError(
            f"--reference {reference!r:.40} is no group; known are {', '.join(patients.groups)}"
        )
    columns = patients.columns
    baseline = reference_group(patients, reference)
    return Outcomes(
        patients=patients,
        baseline=baseline_rows(patients, rng=np.random.default_rng([seed, 0])),
        response=response_of(patients, rng=np.random.default_rng([seed, 1]))
        if columns.response
        else None,
        survival=survival_of(patients) if columns.time else None,
        models=cox_models(patients, reference=baseline)
        if columns.time and len(patients.groups) > 1
        else (),
        reference=baseline,
        seed=seed,
        remarks=remarks_on(patients),
    )


def remarks_on(patients: Patients) -> tuple[str, ...]:
    """Return what a reader of the numbers must know."""
    found = []
    if patients.n_without_group:
        found.append(f"patients without a group, left out everywhere: {patients.n_without_group}")
    # In a column of other groups the word may stand for something else.
    if Status.EQUIVOCAL in patients.groups and patients.columns.group in ("", "status"):
        n = len(patients.of(Status.EQUIVOCAL))
        found.append(f"2+ without ISH stays equivocal and is a group of its own: {n}")
    for group in patients.groups:
        n = len(patients.of(group))
        if n < FEW:
            found.append(f"{group}: {n} {'patient tells' if n == 1 else 'patients tell'} little")
    if len(patients.groups) == 1:
        found.append("there is one group: nothing is compared")
    alike = look_alikes(p.patient_id for p in patients.rows if p.patient_id)
    if alike:
        found.append(f"patients that look alike and are taken for different ones: {alike}")
    alike = look_alikes(patients.groups)
    if alike:
        found.append(f"groups that look alike and are taken for different ones: {alike}")
    if patients.columns.responders:
        words = ", ".join(patients.columns.responders)
        found.append(f"response: {words} count; every other known answer counts as none")
    if patients.taken_for_none:
        words = ", ".join(patients.taken_for_none[:MOST_ANSWERS])
        more = len(patients.taken_for_none) - MOST_ANSWERS
        found.append(
            "answers that --responders does not name, taken for none: "
            f"{words}{f' and {more} more' if more > 0 else ''}"
        )
    strata = patients.columns.strata
    n_unknown = sum(not patient.stratum for patient in patients.rows) if strata else 0
    if n_unknown:
        found.append(f"patients without {strata}, left out of stratified tests: {n_unknown}")
    return tuple(found)
