"""The report of a run, written again from what the journal and the folder hold."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from report_page import Page
from report_slides import reading_on

from her2path.cli import report
from her2path.cli.report import rebuild_report
from her2path.pipeline.rows import row_of
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal
from her2path.results.jsonable import write_json
from her2path.results.record import write_record
from her2path.results.review_log import EntryKind, ReviewLog

HASH = "a" * 64


@pytest.fixture
def run(tmp_path: Path, made) -> ResultsFolder:
    """One slide done, one failed, one that the run has not come to."""
    out = ResultsFolder(tmp_path / "run")
    shutil.copytree(made.results.path, out.path)
    write_record(out.slide(made.record.slide_id).slide_json, made.record)
    write_json(out.run_json, {"settings_hash": HASH})
    names = [made.record.slide_id, "broken", "later"]
    with Journal(out.journal, settings_hash=HASH, resume=False) as journal:
        journal.plan([(name, Path(name), Fingerprint(1, 1, HASH)) for name in names])
        for name in names[:2]:
            journal.start(name)
        journal.finish(names[0], row_of(made.record), seconds=1.0)
        journal.fail("broken", "the file is truncated", seconds=1.0)
    return out


def test_failed_and_unscored_slides_are_there_whatever_the_table_says(run: ResultsFolder) -> None:
    run.slides_csv.write_bytes("slide_id;state\nä;done\n".encode("cp1252"))
    text = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8")).text
    assert "HER2 immunohistochemistry: 3 slides" in text
    assert "the file is truncated" in text
    assert "came to 1 slide; the same command with --resume goes on: later" in text
    # Somebody's own table is not replaced.
    assert run.slides_csv.read_bytes().startswith(b"slide_id;state")


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_result_that_cannot_be_read_is_told_apart_from_slides_still_to_come(
    run: ResultsFolder, made, *, is_gone: bool
) -> None:
    folder = run.slide(made.record.slide_id)
    if is_gone:
        shutil.rmtree(folder.path)
    else:
        folder.slide_json.write_text("{", "utf-8")
    text = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8")).text
    assert "HER2 immunohistochemistry: 3 slides" in text
    assert "came to 1 slide; the same command with --resume goes on: later" in text
    words = "its result cannot be read; delete its folder and give the command again with --resume"
    assert f"{words}: {made.record.slide_id}" in text


def test_a_table_that_is_gone_is_written_again(run: ResultsFolder) -> None:
    run.slides_csv.unlink(missing_ok=True)
    rebuild_report(run.path, with_pictures=False)
    text = run.slides_csv.read_text("utf-8")
    assert "broken" in text
    assert "later" not in text


def test_a_slide_that_is_gone_keeps_its_pictures(
    run: ResultsFolder, made, caplog: pytest.LogCaptureFixture
) -> None:
    rebuild_report(run.path, with_pictures=True)
    folder = run.slide(made.record.slide_id)
    pictures = {path: path.read_bytes() for path in (folder.overview_png, *folder.fields.iterdir())}
    assert len(pictures) > 3
    Path(made.record.path).unlink()
    page = rebuild_report(run.path, with_pictures=True)
    assert "Deciding cells" in page.read_text("utf-8")
    assert "keeps its pictures" in caplog.text
    assert {path: path.read_bytes() for path in pictures} == pictures


def test_whatever_goes_wrong_with_the_pictures_of_a_slide_the_report_is_written(
    run: ResultsFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no place for a window")

    monkeypatch.setattr(report, "illustrate_slide", broken)
    assert rebuild_report(run.path, with_pictures=True).is_file()
    assert "keeps its pictures: ValueError: no place for a window" in caplog.text


def test_second_reads_stand_in_the_report(run: ResultsFolder, made) -> None:
    reading = reading_on(made.record)
    with ReviewLog(run.review_log) as log:
        log.append(reading)
        log.append(replace(reading, kind=EntryKind.DECISION, remark="brown cytoplasm"))
    text = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8")).text
    assert "A <b>Reader</b>" in text
    assert "read blinded, in doubt, 3.0 % stained" in text.replace("\u00a0", " ")
    assert f"overrode {made.record.score.value}" in text
    assert "brown cytoplasm" in text
    assert "before the slide was scored again" not in text


def test_second_reads_of_an_earlier_result_say_so(run: ResultsFolder, made) -> None:
    reading = reading_on(made.record)
    with ReviewLog(run.review_log) as log:
        log.append(reading)
        log.append(replace(reading, kind=EntryKind.DECISION, remark="brown cytoplasm"))
    path = run.slide(made.record.slide_id).slide_json
    write_record(path, replace(made.record, created="2031-01-01T00:00:00+00:00"))
    text = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8")).text
    words = "before the slide was scored again"
    assert f"3.0 % stained, {words}" in text.replace("\u00a0", " ")
    assert f"overrode {made.record.score.value}, {words}" in text


def test_second_reads_of_another_file_of_the_same_name_are_not_in_the_report(
    run: ResultsFolder, made
) -> None:
    path = run.slide(made.record.slide_id).slide_json
    scan = replace(made.record.scan, sha256_ends="two")
    write_record(path, replace(made.record, scan=scan))
    with ReviewLog(run.review_log) as log:
        reading = replace(reading_on(made.record), sha256_ends="one")
        log.append(reading)
        log.append(replace(reading, kind=EntryKind.DECISION, remark="brown cytoplasm"))
        log.append(replace(reading, reader="C. Reader", sha256_ends="two"))
    text = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8")).text
    assert "A <b>Reader</b>" not in text
    assert "brown cytoplasm" not in text
    assert "C. Reader" in text


def test_a_damaged_log_costs_the_report_its_second_reads_alone(
    run: ResultsFolder, caplog: pytest.LogCaptureFixture
) -> None:
    run.review_log.write_bytes(b"no database" * 100)
    page = Page(rebuild_report(run.path, with_pictures=False).read_text("utf-8"))
    assert "HER2 immunohistochemistry" in page.text
    assert "without second readings" in caplog.text
