"""A finished run in a folder, from records of made-up slides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from her2path.geometry import Mpp
from her2path.pipeline.rows import row_of
from her2path.results.cells import write_cells
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal
from her2path.results.jsonable import write_json
from her2path.results.record import SlideRecord, write_record

HASH = "a" * 64


def write_run(
    folder: Path,
    records: Sequence[SlideRecord],
    columns: dict[str, Any],
    *,
    failed: Sequence[str] = (),
) -> ResultsFolder:
    """Write a run in which each record is done, with these cells, and the others have failed."""
    results = ResultsFolder(folder).create()
    write_json(results.run_json, {"settings_hash": HASH})
    with Journal(results.journal, settings_hash=HASH, resume=False) as journal:
        names = [*(record.slide_id for record in records), *failed]
        journal.plan([(name, folder / name, Fingerprint(1, 1, HASH)) for name in names])
        for name in failed:
            journal.start(name)
            journal.fail(name, "the file is truncated", seconds=1.0)
        for record in records:
            of_slide = results.slide(record.slide_id).create()
            write_record(of_slide.slide_json, record)
            write_cells(
                of_slide.cells_parquet,
                columns,
                slide_id=record.slide_id,
                mpp=Mpp(record.scan.mpp_x, record.scan.mpp_y),
                software_version="0.1.0",
            )
            journal.start(record.slide_id)
            journal.finish(record.slide_id, row_of(record), seconds=1.0)
    return results
