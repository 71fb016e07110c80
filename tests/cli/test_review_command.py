"""`her2path review` as a user calls it: a server of its own process, and tables from its log."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from report_slides import make_slide
from typer.testing import CliRunner, Result

import her2path.review
from her2path.cli.main import app
from her2path.criteria.score import Score
from her2path.pipeline.rows import row_of
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal
from her2path.results.jsonable import write_json
from her2path.results.record import read_record, write_record
from her2path.results.review_log import EntryKind, ReviewEntry, ReviewLog

pytestmark = pytest.mark.slow

HASH = "a" * 64
READING = ReviewEntry(
    kind=EntryKind.READING,
    reader="A",
    slide_id="slide A",
    score=Score.ONE_PLUS,
    is_blinded=True,
    program_score=Score.TWO_PLUS,
    program_created="",
)


@pytest.fixture
def run(tmp_path: Path) -> ResultsFolder:
    """A finished run of one flagged slide."""
    made = make_slide(tmp_path)
    write_record(made.folder.slide_json, made.record)
    write_json(made.results.run_json, {"settings_hash": HASH})
    with Journal(made.results.journal, settings_hash=HASH, resume=False) as journal:
        journal.plan([(made.record.slide_id, Path("slide.png"), Fingerprint(1, 1, HASH))])
        journal.start(made.record.slide_id)
        journal.finish(made.record.slide_id, row_of(made.record), seconds=1.0)
    return made.results


def review(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["review", *(str(argument) for argument in arguments)])


@pytest.fixture
def server(run: ResultsFolder) -> Iterator[subprocess.Popen[str]]:
    # Beside the flagged slide one that the run has not come to.
    with Journal(run.journal, settings_hash=HASH, resume=True) as journal:
        journal.plan([("later", Path("later.png"), Fingerprint(1, 1, HASH))])
    command = [sys.executable, "-m", "her2path", "review", str(run.path), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--reader", "A. Reader"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_reading_in_the_browser_is_in_the_table_when_the_server_ends(
    server: subprocess.Popen[str], run: ResultsFolder
) -> None:
    assert server.stdout is not None
    address = urlsplit(server.stdout.readline().strip())
    assert address.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(address.hostname, address.port or 0, timeout=30)
    connection.request("GET", f"/?{address.query}")
    answer = connection.getresponse()
    cookie = answer.headers["Set-Cookie"]
    answer.read()
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    body = json.dumps({"score": "1+"})
    headers = {"Cookie": cookie.split(";")[0], "Content-Type": "application/json"}
    connection.request("GET", "/api/queue", headers=headers)
    served = json.loads(connection.getresponse().read())["list"]
    connection.request("POST", f"/api/cases/1/reading?list={served}", body=body, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "1 slide for A. Reader, blinded" in errors
    assert "1 of 1 read" in errors
    assert "interrupted before it came to 1 slide, not offered" in " ".join(errors.split())
    assert "slides.csv" not in errors
    assert "readings are in" in errors
    assert "A. Reader,1+,true" in run.reviews_csv.read_text("utf-8")


def test_readings_of_one_reader_become_a_reference(run: ResultsFolder, tmp_path: Path) -> None:
    with ReviewLog(run.review_log) as log:
        log.append(READING)
        log.append(replace(READING, reader="B", score=Score.ZERO))
    table = tmp_path / "mine.csv"
    shown = review(run.path, "--export", table, "--reader", "A")
    assert (shown.exit_code, shown.stdout.strip()) == (0, str(table))
    lines = table.read_text("utf-8").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("slide A,A,1+,true")
    again = review(run.path, "--export", table)
    assert (again.exit_code, "choose another name" in again.stderr) == (2, True)
    idle = review(run.path, "--export", tmp_path / "other.csv", "--slides", "all", "--unblinded")
    assert (idle.exit_code, "--slides, --unblinded: is of the page" in idle.stderr) == (2, True)


def test_readings_of_another_slide_of_the_same_name_are_no_reference(
    run: ResultsFolder, tmp_path: Path
) -> None:
    path = run.slide("slide A").slide_json
    record = read_record(path)
    write_record(path, replace(record, scan=replace(record.scan, sha256_ends="two")))
    with ReviewLog(run.review_log) as log:
        log.append(replace(READING, sha256_ends="one"))
    table = tmp_path / "mine.csv"
    refused = review(run.path, "--export", table, "--reader", "A")
    assert (refused.exit_code, table.exists()) == (2, False)
    assert "the readings of A are of other files" in " ".join(refused.stderr.split())
    with ReviewLog(run.review_log) as log:
        log.append(replace(READING, reader="B", sha256_ends="two"))
    shown = review(run.path, "--export", table)
    assert shown.exit_code == 0
    assert "1 reading of another file of the same name left out" in " ".join(shown.stderr.split())
    (line,) = table.read_text("utf-8").splitlines()[1:]
    assert line.startswith("slide A,B,1+,true")
    # It was given on a result that was replaced since.
    assert line.endswith(",true")


def test_who_decided_before_the_slide_was_scored_again_is_told_so(
    run: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(her2path.review, "serve", lambda *_arguments, **_options: None)
    with ReviewLog(run.review_log) as log:
        log.append(READING)
        log.append(replace(READING, kind=EntryKind.DECISION))
    for reader, is_told in (("A", True), ("B", False)):
        shown = review(run.path, "--reader", reader, "--no-browser")
        assert shown.exit_code == 0
        assert ("1 slide scored again since you decided" in shown.stderr) is is_told


def test_an_interrupted_run_names_resume(run: ResultsFolder) -> None:
    with Journal(run.journal, settings_hash=HASH, resume=True) as journal:
        journal.plan([("later", Path("later.png"), Fingerprint(1, 1, HASH))])
        journal.update("state = ?", ("pending",), "slide A")
    shown = review(run.path, "--slides", "all", "--no-browser")
    words = " ".join(shown.stderr.split())
    assert shown.exit_code == 2
    assert "interrupted before it came to 2 slides" in words
    assert "--resume goes on" in words
    assert "--slides all" not in words
    assert "slides.csv" not in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "is no folder"),
        (["{run}", "--export", "{out}"], "has no second readings yet"),
        (["{run}", "--reader", "a\x1bb"], "no name of a reader"),
        (["{empty}"], "holds no run"),
    ],
)
def test_wrong_use_is_named(
    run: ResultsFolder, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"run": run.path, "empty": tmp_path / "empty", "out": tmp_path / "out.csv"}
    shown = review(*(argument.format(**places) for argument in arguments))
    assert shown.exit_code == 2
    assert words in " ".join(shown.stderr.split())


def test_an_unknown_reader_is_told_who_there_is(run: ResultsFolder, tmp_path: Path) -> None:
    with ReviewLog(run.review_log) as log:
        log.append(READING)
    shown = review(run.path, "--export", tmp_path / "t.csv", "--reader", "C")
    assert "C has read nothing here; readers are A" in " ".join(shown.stderr.split())


def test_a_run_without_flags_says_how_to_read_all(run: ResultsFolder) -> None:
    with Journal(run.journal, settings_hash=HASH, resume=True) as journal:
        (entry,) = journal.entries()
        assert entry.row is not None
        journal.finish("slide A", {**entry.row, "review": False}, seconds=1.0)
    shown = review(run.path, "--no-browser")
    assert (shown.exit_code, "--slides all" in shown.stderr) == (2, True)


def test_a_folder_that_holds_no_run_is_left_as_it_was(tmp_path: Path) -> None:
    assert review(tmp_path, "--no-browser").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_was_closed_unread_tells_of_no_readings(
    run: ResultsFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(her2path.review, "serve", lambda *_arguments, **_options: None)
    shown = review(run.path, "--no-browser")
    assert shown.stderr.splitlines()[-1] == "0 of 1 read"
    assert not run.reviews_csv.exists()
    exported = review(run.path, "--export", tmp_path / "t.csv")
    assert "has no second readings yet" in " ".join(exported.stderr.split())


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no name"), ImportError()])
def test_who_has_no_login_name_is_asked_for_one(
    run: ResultsFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    # As in a container that runs under a number.
    monkeypatch.setattr("getpass.getuser", Mock(side_effect=error))
    shown = review(run.path, "--no-browser")
    assert (shown.exit_code, "give yours by --reader" in shown.stderr) == (2, True)
