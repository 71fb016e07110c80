"""The files of outcomes: outcomes.json and a CSV table of each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from her2path.outcomes.analysis import Outcomes
from her2path.outcomes.baseline import BaselineRow, Counts, Numbers
from her2path.outcomes.hazards import CoxModel
from her2path.outcomes.response import ResponseRate
from her2path.outcomes.survival import Curve
from her2path.results.atomic import remove_file
from her2path.results.jsonable import ends, to_json, write_json
from her2path.results.record import RESEARCH_USE
from her2path.results.run_record import InputFile, software_version
from her2path.results.sheet import write_sheet
from her2path.statistics.significance import Significance

__all__ = ["OUTCOMES_JSON", "outcomes_document", "write_outcomes"]

OUTCOMES_JSON = "outcomes.json"

FORMAT = 1
Row = dict[str, object]


def outcomes_document(outcomes: Outcomes, *, source: InputFile) -> dict[str, Any]:
    """Return outcomes.json: fractions are 0–1, intervals [lower, upper], what is unknown null."""
    patients, survival, response = outcomes.patients, outcomes.survival, outcomes.response
    n = len(patients.rows)
    document: dict[str, Any] = {
        "format": FORMAT,
        "n_patients": n,
        "n_without_group": patients.n_without_group,
        "groups": {group: {"n": len(patients.of(group)), "of": n} for group in patients.groups},
        "group_source": patients.group_source,
        "scores": [
            {"score": score, "ish": ish or None, "n": count}
            for (score, ish), count in sorted(patients.counts.items())
        ],
        "columns": asdict(patients.columns),
        "baseline": [baseline_json(row, patients.groups) for row in outcomes.baseline],
        "response": None,
        "survival": None,
        "cox": [cox_json(model) for model in outcomes.models],
        "reference": outcomes.reference,
        "remarks": list(outcomes.remarks),
        "seed": outcomes.seed,
        "source": to_json(source),
        "software_version": software_version(),
        "created": datetime.now(UTC).isoformat(),
        "research_use": RESEARCH_USE,
    }
    if response is not None:
        document["response"] = {
            "groups": {rate.group: response_json(rate) for rate in response.groups},
            "overall": response_json(response.overall),
            "test": test_json(response.test),
            "stratified": test_json(response.stratified),
        }
    if survival is not None:
        document["survival"] = {
            "groups": {curve.group: curve_json(curve) for curve in survival.curves},
            "n_unknown": survival.n_unknown,
            "median_follow_up": survival.follow_up,
            "logrank": test_json(survival.logrank),
            "stratified_logrank": test_json(survival.stratified_logrank),
            "remarks": list(survival.remarks),
        }
    return document


def test_json(found: Significance | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def cell_json(cell: Numbers | Counts, categories: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(cell, Numbers):
        return asdict(cell)
    return {
        "n": cell.n,
        "n_missing": cell.n_missing,
        "counts": dict(zip(categories, cell.of, strict=True)),
    }


def baseline_json(row: BaselineRow, groups: tuple[str, ...]) -> dict[str, Any]:
    return {
        "covariate": row.name,
        "overall": cell_json(row.overall, row.categories),
        "groups": {
            group: cell_json(cell, row.categories)
            for group, cell in zip(groups, row.by_group, strict=True)
        },
        "standardized_difference": None
        if row.difference is None
        else {"largest": row.difference.value, "between": list(row.difference.groups)},
        "test": test_json(row.test),
        "stratified": test_json(row.stratified),
    }


def response_json(rate: ResponseRate) -> dict[str, Any]:
    return {
        "n": rate.n,
        "of": rate.of,
        "rate": rate.rate,
        "ci95": ends(rate.ci95),
        "n_unknown": rate.n_unknown,
        "method": "Clopper–Pearson",
    }


def curve_json(curve: Curve) -> dict[str, Any]:
    return {
        "n": curve.n,
        "n_events": curve.n_events,
        "median": curve.median,
        "median_ci95": [curve.median_lower, curve.median_upper],
    }


# What tables say of a coefficient that no finite number is an estimate of.
RUNS_AWAY = "runs_away"


def cox_json(model: CoxModel) -> dict[str, Any]:
    return {
        "model": model.name,
        "n": model.n,
        "n_events": model.n_events,
        "n_incomplete": model.n_incomplete,
        "concordance": model.concordance,
        "remarks": list(model.remarks),
        "ratios": [
            {
                "term": ratio.term,
                "level": ratio.level,
                "reference": ratio.reference,
                "n": ratio.n,
                "n_events": ratio.n_events,
                "hazard_ratio": None if ratio.runs_away else ratio.ratio,
                "ci95": None if ratio.runs_away else ends(ratio.ci95),
                "p": None if ratio.runs_away else ratio.p,
                "p_proportional": None if ratio.runs_away else ratio.p_proportional,
                "estimate": RUNS_AWAY if ratio.runs_away else "ok",
            }
            for ratio in model.ratios
        ],
    }


def write_outcomes(folder: Path, outcomes: Outcomes, *, source: InputFile) -> None:
    """Write the tables and outcomes.json, which comes last: where it lies, the rest is whole.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    tables: Mapping[str, list[Row]] = {
        "groups.csv": list(group_rows(outcomes)),
        "baseline.csv": list(baseline_table(outcomes)),
        "response.csv": list(response_rows(outcomes)),
        "survival.csv": list(survival_rows(outcomes)),
        "curves.csv": list(step_rows(outcomes)),
        "cox.csv": list(cox_rows(outcomes)),
    }
    for name, rows in tables.items():
        if rows:
            write_sheet(folder / name, tuple(dict.fromkeys(k for row in rows for k in row)), rows)
        else:
            # One of an earlier run would pass for one of this.
            remove_file(folder / name)
    write_json(folder / OUTCOMES_JSON, outcomes_document(outcomes, source=source))


def group_rows(outcomes: Outcomes) -> Iterator[Row]:
    """Yield one row per group."""
    patients = outcomes.patients
    for group in patients.groups:
        n = len(patients.of(group))
        yield {"group": group, "n": n, "pct": 100 * n / len(patients.rows)}


def baseline_table(outcomes: Outcomes) -> Iterator[Row]:
    """Yield one row per measured covariate, and one per category of a named one."""
    groups = outcomes.patients.groups
    for row in outcomes.baseline:
        tests: Row = {
            "largest_standardized_difference": row.difference and row.difference.value,
            "between": row.difference and " and ".join(row.difference.groups),
            "p": row.test and row.test.p,
            "test": row.test and row.test.method,
            "p_stratified": row.stratified and row.stratified.p,
        }
        cells = dict(
            zip((outcomes.patients.name_of_all, *groups), (row.overall, *row.by_group), strict=True)
        )
        for place, category in enumerate(row.categories or ("",)):
            found: Row = {"covariate": row.name, "category": category}
            for group, cell in cells.items():
                if isinstance(cell, Numbers):
                    found[f"{group}_median"] = cell.median
                    found[f"{group}_lower_quartile"] = cell.lower_quartile
                    found[f"{group}_upper_quartile"] = cell.upper_quartile
                else:
                    count = cell.of[place] if row.categories else 0
                    found[f"{group}_n"] = count
                    found[f"{group}_pct"] = 100 * count / cell.n if cell.n else None
                found[f"{group}_missing"] = cell.n_missing
            yield {**found, **(tests if place == 0 else {})}


def response_rows(outcomes: Outcomes) -> Iterator[Row]:
    """Yield one row per group, and one for all."""
    if outcomes.response is None:
        return
    for rate in (*outcomes.response.groups, outcomes.response.overall):
        low, high = ends(rate.ci95) or (None, None)
        yield {
            "group": rate.group,
            "n": rate.n,
            "of": rate.of,
            "pct": None if rate.rate is None else 100 * rate.rate,
            "lower_pct": None if low is None else 100 * low,
            "upper_pct": None if high is None else 100 * high,
            "unknown": rate.n_unknown,
        }


def survival_rows(outcomes: Outcomes) -> Iterator[Row]:
    """Yield one row per group."""
    for curve in outcomes.survival.curves if outcomes.survival else ():
        yield {
            "group": curve.group,
            "n": curve.n,
            "events": curve.n_events,
            "median": curve.median,
            "median_lower": curve.median_lower,
            "median_upper": curve.median_upper,
        }


def step_rows(outcomes: Outcomes) -> Iterator[Row]:
    """Yield the steps of every curve."""
    for curve in outcomes.survival.curves if outcomes.survival else ():
        at_risk = curve.at_risk(curve.time.tolist())
        steps = zip(curve.time, curve.survival, curve.lower, curve.upper, at_risk, strict=True)
        for time, survival, lower, upper, n in steps:
            yield {
                "group": curve.group,
                "time": float(time),
                "at_risk": n,
                "survival": float(survival),
                "lower": float(lower),
                "upper": float(upper),
            }


def cox_rows(outcomes: Outcomes) -> Iterator[Row]:
    """Yield one row per coefficient of each model."""
    for model in outcomes.models:
        for ratio in model.ratios:
            yield {
                "model": model.name,
                "term": ratio.term,
                "level": ratio.level,
                "reference": ratio.reference,
                "n": ratio.n,
                "events": ratio.n_events,
                "hazard_ratio": None if ratio.runs_away else ratio.ratio,
                "lower": None if ratio.runs_away else ratio.ci95.lower,
                "upper": None if ratio.runs_away else ratio.ci95.upper,
                "p": None if ratio.runs_away else ratio.p,
                "p_proportional": None if ratio.runs_away else ratio.p_proportional,
                "estimate": RUNS_AWAY if ratio.runs_away else "ok",
            }
