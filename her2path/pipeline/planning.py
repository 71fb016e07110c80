"""Before a run scores anything: what it has to do, and what it leaves as it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from her2path.errors import ResultsError
from her2path.pipeline.manifest import KNOWN_COLUMNS, TAKEN
from her2path.pipeline.rows import row_of
from her2path.pipeline.settings import ScoreSettings, SlideJob, fingerprint_of_job
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal, JournalState
from her2path.results.jsonable import to_json
from her2path.results.record import read_record, write_record
from her2path.results.run_record import InputFile, describe_input

__all__ = ["fingerprints_of", "label_again", "planned_slides", "warn_of_leftovers"]

logger = logging.getLogger(__name__)


def fingerprints_of(
    jobs: Sequence[SlideJob], settings: ScoreSettings
) -> tuple[dict[str, tuple[Fingerprint, InputFile]], dict[str, str]]:
    """Return fingerprint and description of each slide, and the error of those without."""
    known, lost = {}, {}
    for job in jobs:
        try:
            found = describe_input(job.path)
            fingerprint = fingerprint_of_job(job, settings)
            known[job.slide_id] = replace(fingerprint, sha256_ends=found.sha256_ends), found
        except ResultsError as error:
            lost[job.slide_id] = str(error)
    return known, lost


def planned_slides(
    jobs: Sequence[SlideJob], prints: Mapping[str, Fingerprint], *, last: AbstractSet[str]
) -> list[tuple[str, Path, Fingerprint]]:
    """Return id, path and fingerprint of all slides that have one, those of `last` behind."""
    ordered = sorted(jobs, key=lambda job: job.slide_id in last)
    return [(j.slide_id, j.path, prints[j.slide_id]) for j in ordered if j.slide_id in prints]


def warn_of_leftovers(jobs: Sequence[SlideJob], journal: Journal, out: ResultsFolder) -> None:
    """Say which results of a run that was overwritten stay in the folder."""
    named = {job.slide_id for job in jobs}
    others = (out.slide(name) for name in journal.forgotten if name not in named)
    if left := [folder.path.name for folder in others if folder.slide_json.exists()]:
        logger.warning(
            "results of %s slides of the run that was overwritten stay in their folders (the "
            "first is %s); they stand in no table and no report of this run",
            f"{len(left):,}",
            left[0],
        )


def label_again(jobs: Sequence[SlideJob], journal: Journal, out: ResultsFolder) -> None:
    """Write what a manifest now says of done slides beside their results: patient, own columns.

    No score depends on it, so none is scored again. Who names slides without a manifest says
    nothing of them. A slide without a readable record is left to the report, which says so.
    """
    rows = {e.slide_id: e.row for e in journal.entries() if e.state is JournalState.DONE}
    n_changed = 0
    for job in jobs:
        row = rows.get(job.slide_id)
        if row is None or (job.patient_id is None and not job.extras):
            continue
        patient, own = labels_of(row)
        # What the manifest of now has no column for stays as it is.
        patient = patient if job.patient_id is None else job.patient_id
        said = (patient, to_json(job.extras) or own)
        if labels_of(row) == said:
            continue
        path = out.slide(job.slide_id).slide_json
        try:
            record = read_record(path)
        except ResultsError:
            continue
        record = replace(record, patient_id=patient, extras=job.extras or record.extras)
        # The journal last: it must not say what the record does not.
        write_record(path, record)
        journal.finish(job.slide_id, row_of(record), seconds=record.seconds)
        n_changed += 1
    if n_changed:
        logger.info("%s done slides got what the manifest now says of them", f"{n_changed:,}")


def labels_of(row: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return patient and own columns of the manifest of a row of slides.csv."""
    own = {name: row[name] for name in row if name not in TAKEN and name not in KNOWN_COLUMNS}
    return str(row["patient_id"] or ""), own
