"""The type of the fixture ``opened``, and slides that are scored again."""

from collections.abc import Callable
from dataclasses import replace

from her2path.criteria.score import Score
from her2path.results.folder import ResultsFolder
from her2path.results.record import read_record, write_record
from her2path.review import ReviewQueue

# Takes the options of `open_queue`.
Opener = Callable[..., ReviewQueue]


def score_again(
    run: ResultsFolder,
    *,
    created: str = "2031-01-01T00:00:00+00:00",
    score: Score = Score.ZERO,
    file: str = "",
) -> None:
    """Replace each result of a run by one of another score, or of another file."""
    for path in run.path.glob("*/slide.json"):
        record = read_record(path)
        scan = replace(record.scan, sha256_ends=file)
        write_record(path, replace(record, created=created, score=score, scan=scan))
