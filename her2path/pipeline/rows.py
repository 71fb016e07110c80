"""Rows of slides.csv and regions.parquet."""

from __future__ import annotations

from collections.abc import Mapping

from her2path.criteria.ish import status
from her2path.criteria.score import Score
from her2path.pipeline.settings import SlideJob
from her2path.results.columns import PROBABILITY_COLUMNS, SlideState
from her2path.results.journal import JournalEntry
from her2path.results.record import Reading, RegionKind, RegionRecord, SlideRecord

__all__ = ["region_row", "row_of", "row_of_entry"]


def row_of(record: SlideRecord) -> dict[str, object]:
    """Return the row of slides.csv of a slide that was scored."""
    return {
        "slide_id": record.slide_id,
        "path": record.path,
        "state": SlideState.DONE,
        "score": record.score,
        "status": record.status,
        **columns_of(record.reading, record.probabilities),
        "network_score": None if record.network is None else record.network.joint.network.score,
        "network_set": []
        if record.network is None
        else [score.value for score in record.network.joint.conformal_set],
        "pct_stained_alone": stained_alone(record),
        "review": record.review,
        "review_reasons": list(record.review_reasons),
        "mpp": (record.scan.mpp_x * record.scan.mpp_y) ** 0.5,
        "seconds": record.seconds,
        "error": "",
        "rule_set": record.rule_set,
        "edition": record.edition,
        "calibration": record.calibration.name,
        "model": record.model,
        "patient_id": record.patient_id,
        **record.extras,
    }


def stained_alone(record: SlideRecord) -> float | None:
    """Return the share stained if each line belongs to one cell only; None without tumor cells."""
    if record.shared_lines is None:
        return 0.0 if record.reading.n_tumor_cells else None
    return record.shared_lines.pct_stained


def row_of_entry(entry: JournalEntry, job: SlideJob | None) -> dict[str, object]:
    """Return the row of slides.csv of a slide that is done or failed.

    `job` is None where it failed in an earlier run and this run does not name it.
    """
    if entry.row is not None:
        return dict(entry.row)
    row: dict[str, object] = {
        "slide_id": entry.slide_id,
        "path": entry.path,
        "state": SlideState.FAILED,
        "review": True,
        "review_reasons": [SlideState.FAILED],
        "seconds": entry.seconds,
        "error": entry.error or "",
    }
    if job is None:
        return row
    return row | {
        "rule_set": job.rule_set.name,
        "edition": job.rule_set.edition,
        "calibration": job.calibration.name,
        "model": "",
        "patient_id": job.patient_id or "",
        **job.extras,
    }


def region_row(region: RegionRecord, record: SlideRecord) -> dict[str, object]:
    """Return the row of regions.parquet of one region."""
    box = region.box
    # The result is of the patient's tumor, not of what lies beside it to check the stain.
    ish = None if region.kind is RegionKind.CONTROL else record.ish
    return {
        "region_id": region.region_id,
        "name": region.name,
        "kind": region.kind,
        "x": float(box.x),
        "y": float(box.y),
        "width": float(box.width),
        "height": float(box.height),
        "area_mm2": region.area_mm2,
        "n_cells": region.n_cells,
        "score": region.score,
        "status": status(region.score, ish, organ=record.organ).status,
        **columns_of(region.reading, region.reading.probabilities),
        "network_score": region.network_score,
    }


def columns_of(reading: Reading, probabilities: Mapping[Score, float]) -> dict[str, float | None]:
    """Return count, shares and probabilities under their columns.

    Of no cell there is no share: an empty value, not 0 %, which a mean would take for negative.
    """
    stated = {name: probabilities[score] for score, name in PROBABILITY_COLUMNS.items()}
    found = dict(reading.shares) | stated
    is_empty = reading.n_tumor_cells == 0
    return {
        "n_tumor_cells": reading.n_tumor_cells,
        **{name: None if is_empty else value for name, value in found.items()},
    }
