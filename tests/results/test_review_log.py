"""The log of second readings: what is in stays in, and what was changed is found."""

import csv
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.review_log import EntryKind, ReviewEntry, ReviewLog, write_reviews
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


def test_remarks_stand_on_one_line_of_the_table(tmp_path: Path) -> None:
    entry = replace(READING, remark="a\r\nfew, cells\n\n end")
    write_reviews(tmp_path / "reviews.csv", [entry])
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
    write_reviews(tmp_path / "reviews.csv", entries)
    with (tmp_path / "reviews.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert [first[name] for name in ("reader", "score", "final_score", "reason", "read_at")] == [
        *("A", "1+", "1+", "a ring", "1"),
    ]
    assert (first["agrees"], first["is_override"], first["decided_at"]) == ("false", "true", "4")
    assert (second["reader"], second["agrees"], second["final_score"]) == ("B", "true", "")
    # A spreadsheet would run it.
    assert second["remark"] == "'=1+1"
