"""A finished run of three slides, two of which ask for a second read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opener import Opener
from report_slides import cell_columns, drawn_slide, record_of, tally_of

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.geometry import Mpp
from her2path.pipeline.rows import row_of
from her2path.results.cells import write_cells
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal
from her2path.results.jsonable import write_json
from her2path.results.record import write_record
from her2path.results.review_log import ReviewLog
from her2path.review import ReviewQueue, open_queue

HASH = "a" * 64


@pytest.fixture
def run(tmp_path: Path) -> ResultsFolder:
    """Flagged "a & b" and, less sure, "b 3+"; "c" has no flag, "d" failed. All show one picture."""
    results = ResultsFolder(tmp_path / "run").create()
    picture = tmp_path / "slide.png"
    drawn_slide(picture)
    columns = cell_columns()
    unsure = record_of(picture, tally_of(columns), "b 3+")
    sure = {score: float(score is Score.TWO_PLUS) for score in EXPRESSION_SCORES}
    reading = replace(unsure.reading, probabilities=sure)
    records = [
        replace(unsure, slide_id="a & b", reading=reading),
        unsure,
        replace(unsure, slide_id="c", review=False, flags=()),
    ]
    write_json(results.run_json, {"settings_hash": HASH})
    with Journal(results.journal, settings_hash=HASH, resume=False) as journal:
        names = [*(record.slide_id for record in records), "d"]
        journal.plan([(name, picture / name, Fingerprint(1, 1, HASH)) for name in names])
        journal.start("d")
        journal.fail("d", "the file is truncated", seconds=1.0)
        for record in records:
            folder = results.slide(record.slide_id).create()
            write_record(folder.slide_json, record)
            write_cells(
                folder.cells_parquet,
                columns,
                slide_id=record.slide_id,
                mpp=Mpp(0.5, 0.5),
                software_version="0.1.0",
            )
            journal.start(record.slide_id)
            journal.finish(record.slide_id, row_of(record), seconds=1.0)
    return results


@pytest.fixture
def opened(run: ResultsFolder) -> Iterator[Opener]:
    """Return a function that opens a queue over the run; `only_flagged`, `is_blinded`, `reader`."""
    logs = []

    def open_one(
        *, reader: str = "A", only_flagged: bool = True, is_blinded: bool = True
    ) -> ReviewQueue:
        log = ReviewLog(run.review_log)
        logs.append(log)
        return open_queue(
            run, reader=reader, only_flagged=only_flagged, is_blinded=is_blinded, log=log
        )

    yield open_one
    for log in logs:
        log.close()
