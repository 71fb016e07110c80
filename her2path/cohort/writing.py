"""The files of a cohort: cohort.json, transitions.csv, pairs.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from her2path.cohort.analysis import Cohort, Conversion
from her2path.cohort.noise_floor import NOISE_FLOOR, FloorRow
from her2path.cohort.pairs import Pair
from her2path.cohort.rates import Rate
from her2path.compare.change import ScoreChange
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.results.jsonable import ends, to_json, write_json
from her2path.results.record import RESEARCH_USE
from her2path.results.run_record import InputFile, software_version
from her2path.results.sheet import Sheet, write_sheet
from her2path.statistics.agreement import Agreement
from her2path.statistics.intervals import wilson
from her2path.statistics.significance import Significance

__all__ = ["COHORT_JSON", "cohort_document", "write_cohort"]

COHORT_JSON = "cohort.json"

FORMAT = 1
PAIR_COLUMNS = (
    "row",
    "patient_id",
    "pair",
    "before",
    "after",
    "before_status",
    "after_status",
    "score_change",
    "loss_to",
    "steps",
    "verdict",
    "verdict_sentence",
)
# Of the table, and the same here; its other columns of a name of ours get a prefix.
SAME_COLUMNS = ("patient_id", "pair", "verdict")


def cohort_document(cohort: Cohort, *, source: InputFile) -> dict[str, Any]:
    """Return cohort.json: fractions are 0–1, intervals [lower, upper], what is unknown null."""
    return {
        "format": FORMAT,
        "n_pairs": cohort.n_pairs,
        "n_patients": cohort.n_patients,
        "n_evaluable": cohort.n_evaluable,
        "n_not_evaluable": cohort.n_not_evaluable,
        "n_expressing_before": cohort.n_expressing_before,
        **{name: rate_json(rate) for name, rate in cohort.rates.items() if "_to_" not in name},
        "loss": {
            **rate_json(cohort.rates["loss"]),
            "to_null": rate_json(cohort.rates["loss_to_null"]),
            "to_ultralow": rate_json(cohort.rates["loss_to_ultralow"]),
        },
        "ultralow_to_null": rate_json(cohort.rates["ultralow_to_null"]),
        "null_to_ultralow": rate_json(cohort.rates["null_to_ultralow"]),
        "transitions": {
            before.value: {
                after.value: int(cohort.transitions[before.rank, after.rank])
                for after in EXPRESSION_SCORES
            }
            for before in EXPRESSION_SCORES
        },
        "kappa": {
            "scale": [score.value for score in cohort.scale],
            **{kind: agreement_json(found) for kind, found in cohort.kappa.items()},
        },
        "bowker": test_json(cohort.bowker),
        "stuart_maxwell": test_json(cohort.stuart_maxwell),
        "wilcoxon": test_json(cohort.wilcoxon),
        "status": {
            "n_known": cohort.status.changed.of,
            "n_unknown": cohort.status.n_unknown,
            "changed": rate_json(cohort.status.changed),
            "conversions": [conversion_json(found) for found in cohort.status.conversions],
            "transitions": [
                {"before": before.value, "after": after.value, "n": n}
                for (before, after), n in sorted(cohort.status.table.items())
            ],
        },
        "verdicts": None
        if cohort.verdicts is None
        else {
            "n": sum(cohort.verdicts.values()),
            **{verdict.value: n for verdict, n in cohort.verdicts.items()},
        },
        "noise_floor": {
            **asdict(NOISE_FLOOR),
            "rates": {row.name: floor_json(row) for row in cohort.floor},
        },
        "editions": list(cohort.editions),
        "is_clustered": cohort.is_clustered,
        "remarks": list(cohort.remarks),
        "seed": cohort.seed,
        "source": to_json(source),
        "software_version": software_version(),
        "created": datetime.now(UTC).isoformat(),
        "research_use": RESEARCH_USE,
    }


def rate_json(rate: Rate) -> dict[str, Any]:
    return {
        "n": rate.n,
        "of": rate.of,
        "rate": rate.rate,
        "ci95": ends(rate.ci95),
        "denominator": rate.denominator,
        "method": rate.method,
        "design_effect": rate.design_effect,
        "df": rate.df,
    }


def agreement_json(found: Agreement) -> dict[str, Any]:
    return {"value": found.kappa, "ci95": ends(found.interval), "method": found.method}


def test_json(found: Significance) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "df": found.df,
        "p": found.p,
        "method": found.method,
    }


def conversion_json(found: Conversion) -> dict[str, Any]:
    return {
        "before": found.before.value,
        "after": found.after.value,
        **rate_json(found.rate),
    }


def floor_json(row: FloorRow) -> dict[str, Any]:
    n, of = row.reference
    return {
        **rate_json(row.observed),
        "reference": {"n": n, "of": of, "rate": n / of, "ci95": ends(wilson(n, of))},
        "difference": row.difference,
        "difference_ci95": ends(row.difference_ci95),
        "excess": test_json(row.excess),
        "is_like_for_like": row.is_like_for_like,
        "note": row.note,
    }


def write_cohort(
    folder: Path, cohort: Cohort, *, sheet: Sheet, pairs: Sequence[Pair], source: InputFile
) -> None:
    """Write the tables and cohort.json, which comes last: where it lies, the rest is whole.

    Parameters
    ----------
    folder : Path
        Is there already.
    cohort : Cohort
    sheet : Sheet
        The table of pairs as it was read.
    pairs : sequence of Pair
        With their scores.
    source : InputFile
        The table's file.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    write_transitions(folder / "transitions.csv", cohort)
    write_pairs(folder / "pairs.csv", sheet, pairs)
    write_json(folder / COHORT_JSON, cohort_document(cohort, source=source))


def write_transitions(path: Path, cohort: Cohort) -> None:
    """Write transitions.csv: one row per score before and after, with the share of that before."""
    totals = cohort.transitions.sum(axis=1)
    write_sheet(
        path,
        ("before", "after", "n", "of_before", "pct_of_before"),
        [
            {
                "before": before.value,
                "after": after.value,
                "n": (n := int(cohort.transitions[before.rank, after.rank])),
                "of_before": (of := int(totals[before.rank])),
                "pct_of_before": 100 * n / of if of else None,
            }
            for before in EXPRESSION_SCORES
            for after in EXPRESSION_SCORES
        ],
    )


def write_pairs(path: Path, sheet: Sheet, pairs: Sequence[Pair]) -> None:
    """Write pairs.csv: what became of each pair, then the table's own columns."""
    kept = [name for name in sheet.columns if name and name not in SAME_COLUMNS]
    taken = {*PAIR_COLUMNS, *kept}
    own = []
    for name in kept:
        column = name
        while column in PAIR_COLUMNS or (column != name and column in taken):
            column = f"table_{column}"
        taken.add(column)
        own.append((name, column))
    text = {row.number: row.cells for row in sheet.rows}
    rows = []
    for pair in pairs:
        is_loss = pair.change is ScoreChange.LOSS
        to = "null" if pair.after.score is Score.ZERO else "ultralow"
        rows.append(
            {
                "row": pair.row,
                "patient_id": pair.patient_id,
                "pair": pair.name,
                "before": pair.before.score,
                "after": pair.after.score,
                "before_status": pair.before.status,
                "after_status": pair.after.status,
                "score_change": pair.change,
                "loss_to": to if is_loss else "",
                "steps": pair.after.rank - pair.before.rank if pair.is_evaluable else None,
                "verdict": pair.verdict,
                "verdict_sentence": pair.sentence,
                **{column: text[pair.row].get(name, "") for name, column in own},
            }
        )
    write_sheet(path, (*PAIR_COLUMNS, *(column for _, column in own)), rows)
