"""`her2path report`: the report of a finished run, written again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from her2path.errors import ResultsError
from her2path.pipeline.stages import PICTURES_FAILED
from her2path.report import illustrate_slide, write_report
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.journal import Journal, JournalState
from her2path.results.jsonable import read_json
from her2path.results.record import SlideRecord, read_record, write_record

__all__ = ["rebuild_report"]


def rebuild_report(folder: Path, *, with_pictures: bool) -> Path:
    """Write report.html again from what lies in the folder, and return its path.

    Raises
    ------
    ResultsError
        If the folder holds no run, or another run is using it.
    """
    out = ResultsFolder(folder)
    if not out.journal.is_file():
        raise ResultsError(f"{folder} holds no run of her2path; name the folder given to --out")
    run = read_json(out.run_json)
    hashed = str(run.get("settings_hash", "")) if isinstance(run, dict) else ""
    with Journal(out.journal, settings_hash=hashed, resume=True) as journal:
        done = [e.slide_id for e in journal.entries() if e.state is JournalState.DONE]
    records = [read_record(out.slide(slide_id).slide_json) for slide_id in done]
    if with_pictures:
        records = [drawn_again(out.slide(record.slide_id), record) for record in records]
    return write_report(out, records)


def drawn_again(folder: SlideFolder, record: SlideRecord) -> SlideRecord:
    """Draw the pictures of a slide, and take back the remark that they could not be drawn."""
    illustrate_slide(folder, record)
    remarks = tuple(r for r in record.remarks if not r.startswith(PICTURES_FAILED))
    if remarks != record.remarks:
        record = replace(record, remarks=remarks)
        write_record(folder.slide_json, record)
    return record
