"""Finished runs, queues over them, and a browser that looks at the page."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import NO_PLAYWRIGHT, Site, Windows
from made_run import write_run
from opener import Opener
from report_slides import cell_columns, drawn_slide, record_of, tally_of

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.geometry import Region
from her2path.report.fields import FieldPicture, Gallery, write_gallery
from her2path.report.interest import FieldKind
from her2path.results.folder import ResultsFolder
from her2path.results.review_log import ReviewLog
from her2path.review import ReviewQueue, open_queue

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def run(tmp_path: Path) -> ResultsFolder:
    """Flagged "a & b" and, less sure, "b 3+"; "c" has no flag, "d" failed. All show one picture."""
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
    return write_run(tmp_path / "run", records, columns, failed=["d"])


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


@pytest.fixture(scope="session")
def three_scales(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """Three flagged slides of 0.5, 0.25 and 0.46 µm/px, the first with a field to go to."""
    folder = tmp_path_factory.mktemp("three_scales")
    picture = folder / "slide.png"
    drawn_slide(picture)
    columns = cell_columns()
    record = record_of(picture, tally_of(columns))
    records = [
        replace(record, slide_id=name, scan=replace(record.scan, mpp_x=mpp, mpp_y=mpp))
        for name, mpp in (("half & half", 0.5), ("quarter 3+", 0.25), ("odd", 0.46))
    ]
    results = write_run(folder / "run", records, columns)
    field = FieldPicture(
        file="1.jpg",
        number=1,
        kind=FieldKind.DECIDING,
        box=Region(400, 300, 200, 200),
        width=200,
        height=200,
        mpp=0.5,
        region_id="r1",
        by_intensity={},
        n_complete=0,
        n_marked=0,
        n_not_counted=0,
        doubts={},
        cells=(),
    )
    for record in records:
        path = results.slide(record.slide_id).path
        (path / "fields").mkdir()
        write_gallery(path, Gallery(overview_file="overview.png", fields=(field,)))
    return results


@pytest.fixture
def sites() -> Iterator[Callable[[ResultsFolder], Site]]:
    """Return a function that makes the page over a run; `start` and `stop` it, or leave it."""
    made: list[Site] = []

    def make(results: ResultsFolder) -> Site:
        made.append(Site(results))
        return made[-1]

    yield make
    for site in made:
        site.stop()


@pytest.fixture
def site(
    sites: Callable[[ResultsFolder], Site], three_scales: ResultsFolder, tmp_path: Path
) -> Site:
    """The page over a copy of the three slides, running."""
    shutil.copytree(three_scales.path, tmp_path / "run")
    site = sites(ResultsFolder(tmp_path / "run"))
    site.start()
    return site


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """A browser without a screen. Of one module, since playwright holds the thread's event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.skip(f"no Chromium is here: install one as {', '.join(CHROMIUMS)} on the PATH")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def windows(chromium: "Browser") -> Iterator[Windows]:
    """Opens windows; afterwards nothing may have gone wrong in them that was not expected."""
    windows = Windows(chromium)
    yield windows
    windows.close()
    assert windows.unexpected() == []
