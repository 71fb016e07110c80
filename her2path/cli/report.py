"""`her2path report`: the report of a finished run, written again."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from her2path.cli.bar import Bar
from her2path.errors import Her2pathError
from her2path.pipeline.rows import row_of_entry
from her2path.pipeline.stages import PICTURES_FAILED
from her2path.report import illustrate_slide, write_report
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.journal import JournalState, entries_of_run
from her2path.results.record import SlideRecord, read_records, write_record
from her2path.results.tables import write_slides

__all__ = ["rebuild_report"]

logger = logging.getLogger(__name__)

ENDED = (JournalState.DONE, JournalState.FAILED)


def rebuild_report(folder: Path, *, with_pictures: bool) -> Path:
    """Write report.html again from what lies in the folder, and return its path.

    Raises
    ------
    ResultsError
        If the folder holds no run, or another run is using it.
    """
    out = ResultsFolder(folder)
    entries = entries_of_run(out)
    done = [e for e in entries if e.state is JournalState.DONE]
    failed = [e for e in entries if e.state is JournalState.FAILED]
    unscored = [entry.slide_id for entry in entries if entry.state not in ENDED]
    lost: list[str] = []
    records = read_records((out.slide(entry.slide_id) for entry in done), lost=lost)
    if with_pictures:
        records = (drawn_again(out.slide(record.slide_id), record) for record in records)
    if not out.slides_csv.exists():
        # One that is there may hold what somebody has added.
        write_slides(out.slides_csv, [row_of_entry(entry, None) for entry in (*done, *failed)])
    errors = {entry.slide_id: entry.error or "" for entry in failed}
    with Bar() as bar:
        shown = bar.over(records, len(done), "writing the report")
        return write_report(out, shown, failed=errors, unscored=unscored, unread=lost).path


def drawn_again(folder: SlideFolder, record: SlideRecord) -> SlideRecord:
    """Draw the pictures of a slide, and take back the remark that they could not be drawn.

    A slide that is gone keeps the pictures that it has.
    """
    try:
        illustrate_slide(folder, record)
    except Exception as error:  # whatever goes wrong there, the reports of the others stand
        logger.debug("the pictures of %s failed", record.slide_id, exc_info=True)
        name = "" if isinstance(error, Her2pathError) else f"{type(error).__name__}: "
        logger.warning("%s keeps its pictures: %s%s", record.slide_id, name, error)
        return record
    remarks = tuple(r for r in record.remarks if not r.startswith(PICTURES_FAILED))
    if remarks != record.remarks:
        record = replace(record, remarks=remarks)
        write_record(folder.slide_json, record)
    return record
