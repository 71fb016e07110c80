"""evaluation.json and its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from her2path.evaluation.agreement import ScoreAgreement
from her2path.evaluation.cells import CellAgreement, Found
from her2path.evaluation.evaluate import Evaluation
from her2path.evaluation.stated import Reliability
from her2path.results.atomic import remove_file
from her2path.results.jsonable import ends, write_json
from her2path.results.record import RESEARCH_USE
from her2path.results.run_record import software_version
from her2path.results.sheet import write_sheet
from her2path.statistics.agreement import Agreement
from her2path.statistics.counted import Counted

__all__ = ["EVALUATION_HTML", "EVALUATION_JSON", "cell_figures", "document_of", "write_evaluation"]

EVALUATION_JSON = "evaluation.json"
EVALUATION_HTML = "evaluation.html"
SLIDES_CSV = "evaluation_slides.csv"
CONFUSION_CSV = "confusion.csv"
CELLS_CSV = "evaluation_cells.csv"


def write_evaluation(folder: Path, evaluation: Evaluation) -> tuple[Path, ...]:
    """Write the tables and evaluation.json, which comes last: where it lies, the rest is whole.

    Returns their paths.

    Raises
    ------
    ResultsError
        If they cannot be written.
    """
    paths = [folder / EVALUATION_JSON, folder / CONFUSION_CSV, folder / SLIDES_CSV]
    scores = evaluation.scores
    write_sheet(
        paths[1],
        ("reference", *scores.grades, "not_assessable"),
        [
            {
                "reference": row.reference,
                **dict(zip(scores.grades, row.counts, strict=True)),
                "not_assessable": row.n_not_assessed,
            }
            for row in scores.table
        ],
    )
    rows = [
        {
            "slide_id": case.slide_id,
            "group": case.group,
            "patient": case.patient,
            "reference": str(case.reference),
            "score": case.score,
            "is_exact": case.is_exact,
            "distance": case.distance,
            "p_of_score": case.stated,
            "is_flagged": case.is_flagged,
            "flags": ";".join(case.flags),
        }
        for case in evaluation.cases
    ]
    write_sheet(paths[2], tuple(rows[0]), rows)
    if evaluation.cells:
        paths.append(folder / CELLS_CSV)
        cells = [
            {"slide_id": name, **cell_figures(found)} for name, found in evaluation.cells.items()
        ]
        write_sheet(paths[3], tuple(cells[0]), cells)
    else:
        # One of an earlier run would pass for one of this.
        remove_file(folder / CELLS_CSV)
    write_json(paths[0], document_of(evaluation))
    return tuple(paths)


def document_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return evaluation.json: figures with their counts and 95 % intervals, fractions 0–1."""
    stated, flags = evaluation.stated, evaluation.flags
    document: dict[str, Any] = {
        "software_version": software_version(),
        "research_use": RESEARCH_USE,
        "reader": evaluation.reader or "call",
        "read_by": evaluation.read_by,
        "reference": "truth of drawn slides" if evaluation.is_truth else "reference scores",
        "seed": evaluation.seed,
        "n_slides": len(evaluation.cases),
        "failed": evaluation.failed,
        "without_reference": evaluation.without_reference,
        "without_result": evaluation.without_result,
        "not_assessable": counted(evaluation.not_assessable),
        "scores": agreement_of(evaluation.scores),
        "by_group": {name: agreement_of(found) for name, found in evaluation.by_group.items()},
        "stated_probabilities": None
        if stated is None
        else {
            "n_without": stated.n_without,
            "of_score": reliability_of(stated.of_score),
            "of_boundaries": reliability_of(stated.of_boundaries),
            "ranked_probability_score": stated.ranked_score,
        },
        "score_sets": None
        if evaluation.sets is None
        else {
            "covered": counted(evaluation.sets.covered),
            "mean_size": evaluation.sets.mean_size,
        },
        "flags": {
            "flagged": counted(flags.flagged),
            "wrong_flagged": counted(flags.wrong_flagged),
            "right_flagged": counted(flags.right_flagged),
            "wrong_left": counted(flags.wrong_left),
            "rows": flags.rows,
            "risk_curve": flags.curve,
        },
        "cells": None
        if evaluation.all_cells is None
        else {"n_slides": len(evaluation.cells), **cell_figures(evaluation.all_cells)},
        "human_agreement": evaluation.human,
    }
    return document


def counted(found: Counted) -> dict[str, Any]:
    """Return k of n with rate and interval."""
    rate = None if math.isnan(found.frac) else found.frac
    return {"n": found.k, "of": found.n, "rate": rate, "ci95": ends(found.interval)}


def kappa_of(found: Agreement) -> dict[str, Any]:
    return {"kappa": found.kappa, "ci95": ends(found.interval), "method": found.method}


def agreement_of(found: ScoreAgreement) -> dict[str, Any]:
    return {
        "n": found.n,
        "grades": found.grades,
        "table": [
            {"reference": row.reference, "counts": row.counts, "not_assessable": row.n_not_assessed}
            for row in found.table
        ],
        "exact": counted(found.exact),
        "within_one": counted(found.within_one),
        "kappa": {
            "linear": kappa_of(found.kappa_linear),
            "quadratic": kappa_of(found.kappa_quadratic),
        },
        "boundaries": [
            {
                "boundary": f"{boundary.low}/{boundary.high}",
                "beside": counted(boundary.beside),
                "below": counted(boundary.below),
                "above": counted(boundary.above),
            }
            for boundary in found.boundaries
        ],
    }


def reliability_of(found: Reliability) -> dict[str, Any]:
    return {
        "n": found.n,
        "expected_calibration_error": found.expected_error,
        "error_by_chance": found.error_by_chance,
        "mean_stated": found.mean_stated,
        "came_true": found.came_true,
        "bins": [
            {
                "from": part.low,
                "to": part.high,
                "mean_stated": part.mean_stated,
                "came_true": counted(part.came_true),
            }
            for part in found.bins
        ],
    }


def cell_figures(found: CellAgreement) -> Mapping[str, float | int]:
    """Return the figures of cells by their name: counts, and fractions 0–1."""
    figures: dict[str, float | int] = {}
    for field in fields(CellAgreement):
        value = getattr(found, field.name)
        if isinstance(value, Found):
            figures |= {
                f"n_{field.name}": value.n_known,
                f"{field.name}_precision": value.precision,
                f"{field.name}_recall": value.recall,
                f"{field.name}_f1": value.f1,
            }
        elif isinstance(value, Counted):
            figures[f"{field.name}_frac"] = value.frac
        else:
            figures[field.name] = value
    figures["kind_balanced_accuracy"] = found.balanced_accuracy
    return figures
