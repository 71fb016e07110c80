"""Time to an event by group: Kaplan–Meier curves, medians, and the log-rank test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.outcomes.libraries import library
from her2path.outcomes.patients import Patient, Patients
from her2path.statistics.logrank import logrank
from her2path.statistics.significance import Significance

__all__ = ["Curve", "Survival", "survival_of"]

Floats = NDArray[np.float64]
# A curve of a thousand steps is right to this.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """The Kaplan–Meier curve of a group.

    Attributes
    ----------
    group : str
    n, n_events : int
        Patients, and events among them.
    time, survival, lower, upper : ndarray of shape (n_steps,)
        The curve holds its value from one time to the next; ends are those of the log-log
        interval, 95 %. Where nobody is left the interval is undefined, and the ends are nan.
    censored : ndarray
        Times at which observation ended without an event.
    median, median_lower, median_upper : float or None
        The first time at which the curve, or the end of its interval, is one half or less; None
        where it does not fall so far, or is undefined once it would.
    observed : ndarray of shape (n,)
        All times, for the numbers at risk.
    """

    group: str
    n: int
    n_events: int
    time: Floats
    survival: Floats
    lower: Floats
    upper: Floats
    censored: Floats
    median: float | None
    median_lower: float | None
    median_upper: float | None
    observed: Floats

    def at_risk(self, times: Sequence[float]) -> tuple[int, ...]:
        """Return how many patients are still observed and free of the event at each time."""
        return tuple(int((self.observed >= time).sum()) for time in times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """Curves of all groups with a known time, and the tests between them.

    `follow_up` is the median time of observation, by Kaplan–Meier with the roles of event and
    censoring exchanged.
    """

    curves: tuple[Curve, ...]
    n_unknown: int
    follow_up: float | None
    logrank: Significance | None
    stratified_logrank: Significance | None
    remarks: tuple[str, ...] = ()


def survival_of(patients: Patients) -> Survival:
    """Estimate survival in each group, by lifelines.

    Raises
    ------
    MissingLibraryError
        If it is not installed.

    References
    ----------
    Kaplan and Meier 1958, 10.1080/01621459.1958.10501452; reversed: Schemper and Smith 1996,
    10.1016/0197-2456(96)00075-X.
    """
    lifelines = library("lifelines")
    known = [p for p in patients.rows if p.time is not None and p.event is not None]
    groups = [g for g in patients.groups if any(p.group == g for p in known)]
    curves = tuple(curve_of(lifelines, g, [p for p in known if p.group == g]) for g in groups)
    remarks = [
        f"{curve.group}: {curve.n_events} event{'s' * (curve.n_events != 1)}, too few for a median "
        "or a comparison"
        for curve in curves
        if curve.n_events < 3
    ]
    plain = stratified = None
    n_events = sum(curve.n_events for curve in curves)
    if len(curves) > 1 and n_events:
        remarks += [
            f"{group}: nobody is observed up to the first event; the tests leave the group out"
            for group in beyond_first_event(known)
        ]
        plain = compared(known, strata=False)
        strata = {p.stratum for p in known} - {""}
        if len(strata) > 1:
            within = [p for p in known if p.stratum]
            if len(within) < len(known):
                remarks.append(
                    f"the stratified test leaves out {len(known) - len(within)} patients without "
                    f"{patients.columns.strata}"
                )
            stratified = compared(within, strata=True)
    return Survival(
        curves=curves,
        n_unknown=len(patients.rows) - len(known),
        follow_up=follow_up(lifelines, known),
        logrank=plain,
        stratified_logrank=stratified,
        remarks=tuple(remarks),
    )


def times_of(rows: Sequence[Patient]) -> tuple[Floats, NDArray[np.bool_]]:
    time = np.array([patient.time for patient in rows], np.float64)
    return time, np.array([bool(patient.event) for patient in rows], np.bool_)


def curve_of(lifelines: Any, group: str, rows: Sequence[Patient]) -> Curve:  # noqa: ANN401
    """Return the curve of one group."""
    time, event = times_of(rows)
    fit = lifelines.KaplanMeierFitter().fit(time, event)
    steps = fit.survival_function_.index.to_numpy(np.float64)
    survival = fit.survival_function_.to_numpy(np.float64)[:, 0]
    # lifelines writes 0 for both ends where the curve is 0: an interval without a width.
    ends = np.where(survival[:, None] > 0, fit.confidence_interval_.to_numpy(np.float64), np.nan)
    lower, upper = ends.T
    return Curve(
        group=group,
        n=len(rows),
        n_events=int(event.sum()),
        time=steps,
        survival=survival,
        lower=lower,
        upper=upper,
        censored=np.sort(time[~event]),
        median=median_of(steps, survival),
        median_lower=median_of(steps, lower),
        median_upper=median_of(steps, upper),
        observed=time,
    )


def median_of(time: Floats, survival: Floats) -> float | None:
    """Return the first time at which a falling curve is one half or less.

    The curve is a product of fractions: where it should be one half exactly, the last bit of a
    double may be too high.
    """
    reached = np.flatnonzero(survival <= 0.5 + ROUNDING)
    return float(time[reached[0]]) if len(reached) else None


def follow_up(lifelines: Any, rows: Sequence[Patient]) -> float | None:  # noqa: ANN401
    if not rows:
        return None
    time, event = times_of(rows)
    curve = lifelines.KaplanMeierFitter().fit(time, ~event).survival_function_
    return median_of(curve.index.to_numpy(np.float64), curve.to_numpy(np.float64)[:, 0])


def beyond_first_event(rows: Sequence[Patient]) -> tuple[str, ...]:
    """Return the groups of which nobody is observed any longer at the first event of all."""
    time, event = times_of(rows)
    if not event.any():
        return ()
    first = float(time[event].min())
    present = {p.group for p in rows if p.time is not None and p.time >= first}
    return tuple(sorted({p.group for p in rows} - present))


def compared(rows: Sequence[Patient], *, strata: bool) -> Significance | None:
    """Compare the groups, within strata or not."""
    time, event = times_of(rows)
    groups = [patient.group for patient in rows]
    kinds = [patient.stratum for patient in rows] if strata else None
    return logrank(time, event, groups, strata=kinds)
