"""The log of second readings: what is in stays in, and what was changed is found."""

import csv
import json
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.database import Database
from her2path.results.folder import ResultsFolder
from her2path.results.jsonable import canonical_json
from her2path.results.review_log import (
    NO_HASH,
    EntryKind,
    PresentResult,
    ReviewEntry,
    ReviewLog,
    chained,
    of_file,
    read_log,
    write_reviews,
)
from her2path.results.sheet import read_sheet

READING = ReviewEntry(
    kind=EntryKind.READING,
    reader="A",
    slide_id="s1",
    score=Score.ONE_PLUS,
    is_blinded=True,
    program_score=Score.ULTRALOW,
    program_created="2026-11-29T00:00:00+00:00",
    pct_stained=12.5,
    remark="faint",
    seconds=61.5,
)
DECISION = replace(
    READING, kind=EntryKind.DECISION, is_blinded=False, pct_stained=None, seconds=None
)
# What the entries above are of, and what came after it.
PRESENT = PresentResult("", READING.program_created, READING.program_score)
AGAIN = PresentResult("", "2026-12-01T00:00:00+00:00", Score.ONE_PLUS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "review.sqlite"


def test_entries_come_back_as_they_were_given(path: Path) -> None:
    with ReviewLog(path) as log:
        first = log.append(READING)
        log.append(DECISION)
    with ReviewLog(path) as log:
        found = log.entries()
    assert found[0] == first
    assert replace(found[0], written="") == READING
    assert found[0].written.endswith("+00:00")
    assert [entry.kind for entry in found] == [EntryKind.READING, EntryKind.DECISION]


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_comes_back_or_becomes_readable(remark: str, reader: str) -> None:
    with ReviewLog(Path(":memory:")) as log:
        given = log.append(replace(READING, remark=remark, reader=reader))
        assert log.entries() == (given,)
        if remark.isprintable():
            assert given.remark == remark


def test_an_entry_can_neither_be_changed_nor_deleted(path: Path) -> None:
    with ReviewLog(path) as log:
        log.append(READING)
    with sqlite3.connect(path) as database:
        for statement in ("UPDATE entries SET text = 'x'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET text = replace(text, '1+', '2+') WHERE number = 2",
        "DELETE FROM entries WHERE number = 1",
        "DELETE FROM entries WHERE number = 2",
        "UPDATE entries SET number = 7 WHERE number = 3",
    ],
)
def test_an_entry_that_was_changed_behind_its_back_is_found(path: Path, statement: str) -> None:
    with ReviewLog(path) as log:
        for name in ("one", "two", "three"):
            log.append(replace(READING, slide_id=name))
    database = sqlite3.connect(path)
    with database:
        database.execute("DROP TRIGGER never_changed")
        database.execute("DROP TRIGGER never_deleted")
        database.execute(statement)
    database.close()
    with ReviewLog(path) as log, pytest.raises(ResultsError, match=r"entry [123] is missing, or"):
        log.entries()


def test_readers_who_write_at_once_lose_nothing(path: Path) -> None:
    def write(reader: str) -> None:
        with ReviewLog(path) as log:
            for k in range(10):
                log.append(replace(READING, reader=reader, slide_id=f"slide {k}"))

    ReviewLog(path).close()
    writers = [threading.Thread(target=write, args=(name,)) for name in "ABC"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with ReviewLog(path) as log:
        readers = [entry.reader for entry in log.entries()]
    assert sorted(readers) == sorted("ABC" * 10)


def test_a_first_reading_is_the_only_one(path: Path) -> None:
    with ReviewLog(path) as log, ReviewLog(path) as other_window:
        log.append(READING)
        with pytest.raises(ResultsError, match="has read this slide before"):
            other_window.append(replace(READING, score=Score.THREE_PLUS))
        other_window.append(replace(READING, reader="another"))
        other_window.append(DECISION)
        other_window.append(DECISION)
        assert len(log.entries()) == 4


def test_another_file_of_the_same_name_is_read_for_the_first_time(path: Path) -> None:
    with ReviewLog(path) as log:
        for ends in ("one", "two"):
            log.append(replace(READING, sha256_ends=ends))
            with pytest.raises(ResultsError, match="has read this slide before"):
                log.append(replace(READING, sha256_ends=ends))
        # Nothing says that it is another.
        with pytest.raises(ResultsError, match="has read this slide before"):
            log.append(READING)


def test_a_log_from_before_files_were_kept_goes_on(path: Path) -> None:
    document = json.loads(canonical_json(replace(READING, written="2026-11-29T00:00:00+00:00")))
    del document["sha256_ends"]
    text = canonical_json(document)
    ReviewLog(path).close()
    database = sqlite3.connect(path)
    with database:
        database.execute("INSERT INTO entries VALUES (1, ?, ?)", (text, chained(NO_HASH, 1, text)))
    database.close()
    with ReviewLog(path) as log:
        log.append(replace(DECISION, sha256_ends="one"))
        with pytest.raises(ResultsError, match="has read this slide before"):
            log.append(replace(READING, sha256_ends="one"))
        old, new = log.entries()
    assert (old.sha256_ends, new.sha256_ends) == ("", "one")
    assert of_file([old, new], replace(PRESENT, sha256_ends="one")) == [old, new]
    assert of_file([old, new], replace(PRESENT, sha256_ends="two")) == [old]


def test_an_entry_is_of_a_result_by_its_time_and_score() -> None:
    assert PRESENT.is_of_result(DECISION)
    assert not AGAIN.is_of_result(DECISION)
    # Two scorings in one second.
    assert not replace(PRESENT, score=Score.ONE_PLUS).is_of_result(DECISION)


@pytest.mark.parametrize("text", [None, "", "[]", '{"scan": 1}', '{"created": "", "score": "0"}'])
def test_a_result_that_cannot_be_read_tells_nothing(tmp_path: Path, text: str | None) -> None:
    results = ResultsFolder(tmp_path)
    if text is not None:
        results.slide("s1").create().slide_json.write_text(text, "utf-8")
    assert PresentResult.of_slide(results, "s1") is None
    assert PresentResult.of_slide(results, "../s1") is None


def test_the_table_leaves_out_what_is_of_another_file(tmp_path: Path) -> None:
    entries = [
        replace(READING, sha256_ends="one"),
        replace(DECISION, sha256_ends="one"),
        replace(READING, sha256_ends="two", score=Score.TWO_PLUS),
        replace(READING, sha256_ends="one", reader="B"),
    ]
    present = replace(PRESENT, sha256_ends="two")
    write_reviews(tmp_path / "reviews.csv", entries, {"s1": present})
    (row,) = read_sheet(tmp_path / "reviews.csv").rows
    assert [row.get(name) for name in ("reader", "score", "final_score")] == ["A", "2+", ""]


def test_the_table_holds_readings_against_the_present_result(tmp_path: Path) -> None:
    names = ("score", "program_score", "agrees", "final_score", "is_scored_again")
    before = [READING, DECISION]
    after = replace(DECISION, program_created=AGAIN.created, program_score=AGAIN.score)
    for entries, present, expected in (
        (before, PRESENT, ["1+", "0+", "false", "1+", "false"]),
        (before, AGAIN, ["1+", "1+", "true", "", "true"]),
        ([*before, after], AGAIN, ["1+", "1+", "true", "1+", "true"]),
    ):
        write_reviews(tmp_path / "reviews.csv", entries, {"s1": present})
        (row,) = read_sheet(tmp_path / "reviews.csv").rows
        assert [row.get(name) for name in names] == expected


def test_where_the_result_is_gone_a_row_is_of_the_last_one(tmp_path: Path) -> None:
    after = replace(DECISION, program_created=AGAIN.created, program_score=AGAIN.score)
    write_reviews(tmp_path / "reviews.csv", [READING, after], {"s1": None})
    (row,) = read_sheet(tmp_path / "reviews.csv").rows
    names = ("score", "program_score", "agrees", "is_scored_again")
    assert [row.get(name) for name in names] == ["1+", "1+", "true", "true"]


def test_remarks_stand_on_one_line_of_the_table(tmp_path: Path) -> None:
    entry = replace(READING, remark="a\r\nfew, cells\n\n end")
    write_reviews(tmp_path / "reviews.csv", [entry], {})
    (row,) = read_sheet(tmp_path / "reviews.csv").rows
    assert row.get("remark") == "a / few, cells / end"


def test_a_file_that_is_no_log_is_refused(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ResultsError, match="no log of second readings"):
        ReviewLog(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="check the folder"):
        ReviewLog(tmp_path / "nowhere" / "review.sqlite")


def test_only_who_knew_the_score_and_gives_another_overrides() -> None:
    assert not READING.is_override
    assert DECISION.is_override
    assert not replace(DECISION, score=Score.ULTRALOW).is_override


def test_the_table_has_the_first_reading_and_the_last_decision(tmp_path: Path) -> None:
    entries = [
        replace(READING, written="1"),
        replace(DECISION, score=Score.ULTRALOW, written="2"),
        replace(READING, reader="B", score=Score.ULTRALOW, remark="=1+1", written="3"),
        replace(DECISION, remark="a ring", written="4"),
    ]
    write_reviews(tmp_path / "reviews.csv", entries, {})
    with (tmp_path / "reviews.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert [first[name] for name in ("reader", "score", "final_score", "reason", "read_at")] == [
        *("A", "1+", "1+", "a ring", "1"),
    ]
    assert (first["agrees"], first["is_override"], first["decided_at"]) == ("false", "true", "4")
    assert (second["reader"], second["agrees"], second["final_score"]) == ("B", "true", "")
    # A spreadsheet would run it.
    assert second["remark"] == "'=1+1"


def test_the_log_of_an_archive_is_read_where_nothing_can_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReviewLog(path) as log:
        first = log.append(READING)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    def refuse(log: ReviewLog, _path: Path) -> None:
        raise log.unusable(sqlite3.OperationalError("attempt to write a readonly database"))

    monkeypatch.setattr(ReviewLog, "__init__", refuse)
    assert read_log(path) == (first,)
    assert list(path.parent.iterdir()) == [path]
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ResultsError, match="is no log of second readings"):
        read_log(path)


def test_a_log_in_an_archive_that_lacks_entries_is_not_read_as_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReviewLog(path) as log:
        log.append(READING)
        assert read_log(path) == log.entries()
        monkeypatch.setattr(os, "access", lambda _path, _mode: False)
        with pytest.raises(ResultsError, match="open or was stopped"):
            read_log(path)


def test_who_begins_a_log_waits_for_another_who_does(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite takes no time to wait where two would wait for each other.
    monkeypatch.setattr(Database, "__init__", partialmethod(without_waiting, Database.__init__))
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    later = threading.Timer(0.2, other.execute, ["COMMIT"])
    later.start()
    with ReviewLog(path) as log:
        log.append(READING)
    later.join()
    other.close()


def without_waiting(
    log: ReviewLog, begin: Callable[..., None], path: Path, *, wait_s: float, has_one_thread: bool
) -> None:
    begin(log, path, wait_s=0 * wait_s, has_one_thread=has_one_thread)
