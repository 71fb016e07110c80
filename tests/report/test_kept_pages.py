"""With `--resume`, pages of slides to which nothing happened are left as they are."""

import os
import time
from datetime import datetime

import pytest
from report_page import Page
from report_slides import make_slide, reading_on

from her2path.report import illustrate_slide, write, write_report
from her2path.results.record import write_record
from her2path.results.review_log import ReviewLog

pytestmark = pytest.mark.slow

NAMES = ("kept", "scored again", "drawn again", "read", "without a page")
MADE_AT = time.time() + 3600


def at(path, seconds):
    os.utime(path, (MADE_AT + seconds, MADE_AT + seconds))


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Slides with a page each, made some time after their results; their folders by name."""
    monkeypatch.setattr(write, "MAX_SLIDES_IN_PAGE", 1)
    made = {name: make_slide(tmp_path, name) for name in NAMES}
    for one in made.values():
        illustrate_slide(one.folder, one.record)
        write_record(one.folder.slide_json, one.record)
    write_report(made["kept"].results, [one.record for one in made.values()])
    for one in made.values():
        at(one.folder.path / "report.html", 0)
    return made


def rewritten(made, **rest):
    """Write the report and return the slides whose page was written again."""
    write_report(made["kept"].results, [one.record for one in made.values()], **rest)
    stamps = {name: (one.folder.path / "report.html").stat() for name, one in made.items()}
    return {name for name, stamp in stamps.items() if stamp.st_mtime != MADE_AT}


def test_only_pages_of_slides_that_changed_are_written_again(pages):
    assert rewritten(pages, only_changed=True) == set()
    at(pages["scored again"].folder.slide_json, 5)
    at(pages["drawn again"].folder.overview_png, 5)
    (pages["without a page"].folder.path / "report.html").unlink()
    assert rewritten(pages, only_changed=True) == set(NAMES) - {"kept", "read"}


def test_a_reading_changes_the_page_of_its_slide(pages):
    made = pages["read"]
    page = made.folder.path / "report.html"
    for source in (made.folder.slide_json, made.folder.overview_png, *made.folder.fields.iterdir()):
        os.utime(source, (0, 0))
    with ReviewLog(made.results.review_log) as log:
        log.append(reading_on(made.record))
        (entry,) = log.entries()
    assert rewritten(pages, only_changed=True) == set()
    # The page is as old as the reading.
    read_at = datetime.fromisoformat(entry.written).timestamp()
    os.utime(page, (read_at, read_at))
    assert "A <b>Reader</b>" not in Page(page.read_text(encoding="utf-8")).text
    assert rewritten(pages, only_changed=True) == {"read"}
    assert "A <b>Reader</b>" in Page(page.read_text(encoding="utf-8")).text


def test_asked_for_by_itself_every_page_is_written(pages):
    assert rewritten(pages) == set(NAMES)
