"""The page of outcomes: HER2 groups, what they were like, and what happened to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from her2path.criteria.score import Organ, Score, Status
from her2path.outcomes.analysis import Outcomes
from her2path.outcomes.baseline import BaselineRow, Counts, Numbers
from her2path.outcomes.hazards import CoxModel, HazardRatio
from her2path.outcomes.survival import Curve, Survival
from her2path.report.charts import hex_of
from her2path.report.forest import ForestRow, draw_forest
from her2path.report.paper import Plate, write_plates
from her2path.report.study import ends_pct, p_equals, share_words, write_page
from her2path.report.survival_plot import draw_survival, has_bands
from her2path.report.wording import DASH, counted, decimal
from her2path.results.colors import SCORE_COLORS
from her2path.results.sheet import number_in

__all__ = ["outcome_findings", "write_outcomes_page"]

# The colors of the scores that lead to a status; a pale yellow line would not be seen.
STATUS_COLORS = {
    Status.POSITIVE.value: hex_of(SCORE_COLORS[Score.THREE_PLUS]),
    Status.LOW.value: "#d98e04",
    Status.ULTRALOW.value: hex_of(SCORE_COLORS[Score.ULTRALOW]),
    Status.NULL.value: "#6d7f8f",
    Status.NEGATIVE.value: "#6d7f8f",
    Status.EQUIVOCAL.value: "#7b3294",
}
# For other groups: told apart by people with any color vision (Okabe and Ito).
OTHER_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
# What the words of groups mean that were made from scores.
RULES = {
    Organ.BREAST: "HER2 groups after ASCO/CAP 2018: positive is 3+, or 2+ with amplification; low "
    "is 1+, or 2+ without; ultralow is 0+; null is 0; a 2+ without ISH stays equivocal.",
    Organ.STOMACH: "HER2 groups of the stomach after Hofmann: positive is 3+, or 2+ with "
    "amplification; negative is 0, 1+, or 2+ without; a 2+ without ISH stays equivocal.",
}
# Above this a difference at baseline is usually called an imbalance (Austin 2009).
IMBALANCE = 0.1


def write_outcomes_page(
    folder: Path, outcomes: Outcomes, *, source_name: str, endpoint: str, unit: str
) -> Path:
    """Write outcomes.html and its figures, SVG and PNG, and return the page.

    Parameters
    ----------
    folder : Path
        Where outcomes.json lies.
    outcomes : Outcomes
    source_name : str
        Name of the table, as the page's head shows it.
    endpoint, unit : str
        What time is survived without, such as *Progression-free survival*, and its unit.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    plates = plates_of(outcomes, endpoint=endpoint, unit=unit)
    write_plates(folder, {name: plates.get(name) for name in PLATES})
    page = folder / "outcomes.html"
    write_page(
        page,
        "outcomes.html",
        title=f"her2path outcomes: {source_name}",
        source_name=source_name,
        outcomes=outcomes,
        patients=outcomes.patients,
        n=len(outcomes.patients.rows),
        findings=outcome_findings(outcomes, endpoint=endpoint, unit=unit),
        plates=plates,
        baseline=[
            line
            for row in outcomes.baseline
            for line in baseline_lines(row, has_strata=bool(outcomes.patients.columns.strata))
        ],
        endpoint=endpoint,
        unit=unit,
        time_words=time_words,
        median_ends=median_ends,
        ratio_words=ratio_words,
        imbalance=IMBALANCE,
        rules=RULES[outcomes.patients.organ] if outcomes.patients.is_scored else "",
        has_bands=outcomes.survival is not None and has_bands(outcomes.survival),
        IS_UNEVEN=0.05,
    )
    return page


def colors_of(groups: Sequence[str]) -> dict[str, str]:
    """Return the color of each group."""
    others = [group for group in groups if group not in STATUS_COLORS]
    spare = {group: OTHER_COLORS[k % len(OTHER_COLORS)] for k, group in enumerate(others)}
    return {group: STATUS_COLORS.get(group) or spare[group] for group in groups}


# What may be drawn, by the name of its files.
PLATES = ("survival", "response", "hazards")


def plates_of(outcomes: Outcomes, *, endpoint: str, unit: str) -> dict[str, Plate]:
    """Draw what the table holds."""
    found = {}
    if outcomes.survival is not None:
        found["survival"] = draw_survival(
            outcomes.survival,
            colors=colors_of(outcomes.patients.groups),
            endpoint=endpoint,
            unit=unit,
            note=test_note(outcomes.survival),
        )
    if outcomes.response is not None:
        found["response"] = draw_response(outcomes)
    if any(model.ratios for model in outcomes.models):
        found["hazards"] = draw_hazards(outcomes.models)
    return found


def test_note(survival: Survival) -> str:
    """Return the log-rank test as the plot shows it; the stratified one where there are strata."""
    parts = [
        f"{'stratified ' if 'stratified' in found.method else ''}log-rank {p_equals(found.p)}"
        for found in (survival.logrank, survival.stratified_logrank)
        if found is not None
    ]
    return "\n".join(part[0].upper() + part[1:] for part in parts)


def draw_response(outcomes: Outcomes) -> Plate:
    """Draw response rates with their exact intervals."""
    rows = []
    if outcomes.response is not None:
        for rate in (*outcomes.response.groups, outcomes.response.overall):
            ends = rate.ci95
            rows.append(
                ForestRow(
                    label=rate.group,
                    numbers=f"{rate.n}/{rate.of}  {share_words(rate.rate)} ({ends_pct(ends)})",
                    value=None if rate.rate is None else 100 * rate.rate,
                    lower=None if ends is None else 100 * ends.lower,
                    upper=None if ends is None else 100 * ends.upper,
                    is_heading=rate is outcomes.response.overall,
                )
            )
    return draw_forest(
        rows,
        name="response",
        axis="Response (%)",
        numbers="Response (95 % interval)",
        words=said(rows),
    )


def draw_hazards(models: Sequence[CoxModel]) -> Plate:
    """Draw the hazard ratios of all models."""
    rows = hazard_rows(models)
    return draw_forest(
        rows,
        name="hazards",
        axis="Hazard ratio",
        numbers="Ratio (95 % interval)",
        words=said(rows),
        is_ratio=True,
        null=1.0,
    )


def said(rows: Sequence[ForestRow]) -> str:
    """Say in words what a forest plot shows."""
    return "; ".join(f"{row.label.strip()}: {row.numbers}" for row in rows)


def hazard_rows(models: Sequence[CoxModel]) -> list[ForestRow]:
    """Return a heading per model and its ratios; one that runs away gets no mark."""
    rows = []
    for model in models:
        if not model.ratios:
            continue
        rows.append(ForestRow(f"{model.name}", f"{model.n_events} events", is_heading=True))
        for ratio in model.ratios:
            rows.append(
                ForestRow(
                    label=f"   {compared(ratio)}",
                    numbers=ratio_words(ratio),
                    value=None if ratio.runs_away else ratio.ratio,
                    lower=None if ratio.runs_away else ratio.ci95.lower,
                    upper=None if ratio.runs_away else ratio.ci95.upper,
                )
            )
    return rows


def compared(ratio: HazardRatio) -> str:
    """Say what a ratio compares."""
    if not ratio.level:
        return f"{ratio.term}, per unit"
    of = "" if ratio.is_group else f"{ratio.term} "
    return f"{of}{ratio.level} against {ratio.reference}"


def ratio_words(ratio: HazardRatio) -> str:
    """Write a ratio with its interval; what lies far out is written as a bound.

    A ratio that runs away is no estimate, and its numbers are not shown.
    """
    if ratio.runs_away:
        return "no estimate"

    def bounded(value: float) -> str:
        if value >= 100:
            return "> 100"
        return "< 0.01" if value < 0.01 else decimal(value, 2)

    ends = f"{bounded(ratio.ci95.lower)}–{bounded(ratio.ci95.upper)}"
    return f"{bounded(ratio.ratio)} ({ends})"


def time_words(value: float | None) -> str:
    """Write a time with one decimal; a median that was not reached says so."""
    return "not reached" if value is None else decimal(value, 1)


def median_ends(curve: Curve) -> str:
    """Write the ends of the interval of a median; a dash for a lower end that is undefined."""
    if curve.median_lower is None and curve.median_upper is None and curve.median is None:
        return time_words(None)
    is_undefined = curve.median is not None and curve.median_lower is None
    lower = DASH if is_undefined else time_words(curve.median_lower)
    return f"{lower} to {time_words(curve.median_upper)}"


def median_words(curve: Curve) -> str:
    """Write a median with its interval; one word where nothing of it was reached."""
    median, ends = time_words(curve.median), median_ends(curve)
    return median if ends == median else f"{median} ({ends})"


def outcome_findings(outcomes: Outcomes, *, endpoint: str, unit: str) -> list[str]:
    """Return what the table shows, in sentences."""
    patients = outcomes.patients
    n = len(patients.rows)

    def label(group: str) -> str:
        # A number alone would not be known for a name.
        is_number = number_in(group) is not None
        return f"{patients.columns.group} {group}" if is_number else group

    shares = [
        f"{label(group)}: {len(patients.of(group))} ({share_words(len(patients.of(group)) / n)})"
        for group in patients.groups
    ]
    words = [f"{counted(n, 'patient')}; {'; '.join(shares)}."]
    if outcomes.response is not None:
        parts = [
            f"{label(rate.group)}: {rate.n} of {rate.of}, {share_words(rate.rate)} "
            f"({ends_pct(rate.ci95)})"
            for rate in outcomes.response.groups
            if rate.of
        ]
        test = outcomes.response.test
        p = f"; {test.method.split(',')[0]} {p_equals(test.p)}" if test else ""
        beside = " (95 % interval)" if parts else ""
        words.append(f"Response{beside}: {'; '.join(parts) or 'not known of anybody'}{p}.")
    if outcomes.survival is not None:
        parts = [
            f"{label(curve.group)}: {median_words(curve)}" for curve in outcomes.survival.curves
        ]
        test = outcomes.survival.logrank
        p = f"; log-rank {p_equals(test.p)}" if test else ""
        within = f"in {unit or f'units of the column {patients.columns.time}'}"
        beside = " (95 % interval)" if parts else ""
        # PFS stays as it is.
        name = endpoint if any(map(str.isupper, endpoint[1:])) else endpoint.lower()
        words.append(f"Median {name} {within}{beside}: {'; '.join(parts) or 'unknown'}{p}.")
    return words


def baseline_lines(row: BaselineRow, *, has_strata: bool) -> list[dict[str, object]]:
    """Return the lines of a covariate: one when measured, a heading and its categories else."""
    tests = {
        "difference": row.difference,
        "p": row.test.p if row.test else None,
        "method": row.test.method if row.test else "",
        "stratified": row.stratified.p if has_strata and row.stratified else None,
    }
    cells = (row.overall, *row.by_group)
    missing = [f"{cell.n_missing} missing" if cell.n_missing else "" for cell in cells]
    if not row.categories:
        words = [numbers_words(cell) for cell in cells]
        return [
            {
                "label": row.name,
                "style": "",
                "cells": list(zip(words, missing, strict=True)),
                **tests,
            }
        ]
    lines: list[dict[str, object]] = [
        {"label": row.name, "style": "head", "cells": [("", note) for note in missing], **tests}
    ]
    for place, category in enumerate(row.categories):
        words = [category_words(cell, place) for cell in cells]
        lines.append(
            {"label": category, "style": "indent", "cells": [(word, "") for word in words]}
        )
    return lines


def numbers_words(cell: Numbers | Counts) -> str:
    """Write median and quartiles, with as many decimals as their size asks for."""
    if not isinstance(cell, Numbers) or cell.median is None:
        return DASH
    digits = decimals(cell.lower_quartile, cell.upper_quartile)
    low, high = decimal(cell.lower_quartile, digits), decimal(cell.upper_quartile, digits)
    return f"{decimal(cell.median, digits)} ({low}–{high})"


def decimals(*values: float | None) -> int:
    """Return how many decimals give the largest value two significant digits, or three.

    >>> [decimals(size) for size in (61.0, 14.2, 3.1, 0.034, 0.0)]
    [0, 1, 1, 3, 0]
    """
    size = max((abs(value) for value in values if value is not None), default=0.0)
    return max(0, 1 - math.floor(math.log10(size / 2))) if size else 0


def category_words(cell: Numbers | Counts, place: int) -> str:
    """Write a count with its share of those known."""
    if not isinstance(cell, Counts):
        return DASH
    count = cell.of[place]
    return f"{count} ({decimal(100 * count / cell.n, 0)} %)" if cell.n else str(count)
