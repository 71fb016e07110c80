"""The journal knows what is done, whatever happened to the process."""

import os
import subprocess
import sys

import pytest

from her2path.errors import ResultsError
from her2path.results.folder import ResultsFolder
from her2path.results.journal import (
    Fingerprint,
    Journal,
    JournalState,
    entries_of_run,
    fingerprint_of,
)

MARK = Fingerprint(10, 20, "h")


def planned(tmp_path, *names, mark=MARK):
    return [(name, tmp_path / f"{name}.svs", mark) for name in names]


def opened(tmp_path, *, settings_hash="h", resume=True, overwrite=False):
    return Journal(
        tmp_path / "journal.sqlite",
        settings_hash=settings_hash,
        resume=resume,
        overwrite=overwrite,
    )


def states(journal):
    return {entry.slide_id: entry.state.value for entry in journal.entries()}


def test_done_slides_are_skipped_failed_and_unfinished_ones_are_not(tmp_path):
    slides = planned(tmp_path, "a", "b", "c", "d")
    with opened(tmp_path) as journal:
        assert journal.plan(slides) == ("a", "b", "c", "d")
        journal.start("a")
        journal.finish("a", {"score": "1+"}, seconds=2.5)
        journal.start("b")
        journal.fail("b", "no µm/px", seconds=0.1)
        journal.start("c")

    with opened(tmp_path) as journal:
        assert states(journal) == {"a": "done", "b": "failed", "c": "pending", "d": "pending"}
        assert journal.plan(slides) == ("b", "c", "d")


def test_an_entry_keeps_what_happened(tmp_path):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.start("a")
        journal.fail("a", "first", seconds=1)
        journal.start("a")
        journal.finish("a", {"pct_none": float("nan"), "score": "3+"}, seconds=2)
        (entry,) = journal.entries()

    assert entry.state is JournalState.DONE
    assert entry.attempts == 2
    assert entry.error is None
    assert entry.seconds == 2
    assert entry.started <= entry.finished
    assert entry.row == {"pct_none": None, "score": "3+"}


@pytest.mark.parametrize(
    "mark", [Fingerprint(11, 20, "h"), Fingerprint(10, 21, "h"), Fingerprint(10, 20, "i")]
)
def test_a_changed_file_is_scored_again(tmp_path, mark):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.finish("a", {}, seconds=1)
        assert journal.plan(planned(tmp_path, "a")) == ()

        assert journal.plan(planned(tmp_path, "a", mark=mark)) == ("a",)
        assert states(journal) == {"a": "pending"}


def test_a_file_of_the_same_size_and_time_is_another_one_if_its_ends_are(tmp_path, caplog):
    first, other = Fingerprint(10, 20, "h", "e"), Fingerprint(10, 20, "h", "f")
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a", mark=first))
        journal.finish("a", {}, seconds=1)
        assert journal.plan(planned(tmp_path, "a", mark=first)) == ()
        # What an earlier version wrote says nothing of the ends.
        assert journal.plan(planned(tmp_path, "a", mark=MARK)) == ()
        assert journal.plan(planned(tmp_path, "a", mark=other)) == ("a",)
    assert "a: another file" in caplog.text


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (Fingerprint(11, 20, "h"), "a: another file"),
        (Fingerprint(10, 20, "i"), "a: options"),
    ],
)
def test_results_that_give_way_are_named(tmp_path, caplog, mark, words):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a", "b"))
        journal.finish("a", {}, seconds=1)
        journal.plan(planned(tmp_path, "a", "b"))
        assert not caplog.records
        journal.plan([*planned(tmp_path, "a", mark=mark), *planned(tmp_path, "b")])
    (warning,) = caplog.records
    assert "done slides are scored again" in warning.message
    assert "1 slide\n" in warning.message
    assert words in warning.message


def test_one_of_two_samples_of_a_file_can_be_resumed_by_itself(tmp_path):
    mark = Fingerprint(10, 20, "h")
    both = [(name, tmp_path / "file.svs", mark) for name in ("A", "B")]
    with opened(tmp_path) as journal:
        journal.plan(both)
        for name in ("A", "B"):
            journal.finish(name, {}, seconds=1)
        assert journal.plan(both[:1]) == ()
        assert journal.plan(both[1:]) == ()
        with pytest.raises(ResultsError, match=r"file\.svs is B there, and C here"):
            journal.plan([("A", tmp_path / "file.svs", mark), ("C", tmp_path / "file.svs", mark)])


def test_the_same_name_at_another_path_is_scored_again(tmp_path):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.finish("a", {}, seconds=1)

        assert journal.plan(planned(tmp_path / "other", "a")) == ("a",)


def test_other_settings_are_refused_with_the_remedy(tmp_path):
    opened(tmp_path).close()

    with pytest.raises(ResultsError, match=r"other settings.*--out.*--overwrite"):
        opened(tmp_path, settings_hash="other")


def test_without_resume_the_journal_starts_empty(tmp_path):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))

    with opened(tmp_path, settings_hash="other", resume=False) as journal:
        assert journal.entries() == ()
    with opened(tmp_path, settings_hash="other") as journal:
        assert journal.entries() == ()


def test_done_slides_are_never_lost_unasked(tmp_path):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.start("a")
        journal.finish("a", {}, seconds=1.0)

    with pytest.raises(ResultsError, match=r"results of 1 slide already.*--resume.*--overwrite"):
        opened(tmp_path, resume=False)
    with opened(tmp_path) as journal:
        assert states(journal) == {"a": "done"}
    with opened(tmp_path, resume=False, overwrite=True) as journal:
        assert journal.entries() == ()


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    with opened(tmp_path), pytest.raises(ResultsError, match="another run"):
        opened(tmp_path)


def test_an_unknown_slide_is_an_error_and_leaves_no_trace(tmp_path):
    with opened(tmp_path) as journal:
        with pytest.raises(ResultsError, match="plan it first"):
            journal.start("a")
        assert journal.entries() == ()


def test_a_fault_in_the_middle_of_a_plan_leaves_no_half_of_it(tmp_path):
    slides = [*planned(tmp_path, "a"), ("b", tmp_path, object())]
    with opened(tmp_path) as journal:
        with pytest.raises(TypeError):
            journal.plan(slides)
        assert journal.entries() == ()


@pytest.mark.parametrize(
    "content", [b"no database at all, " * 100, b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_damaged_journal_is_refused_with_the_remedy(tmp_path, content):
    (tmp_path / "journal.sqlite").write_bytes(content)

    with pytest.raises(ResultsError, match="journal"):
        opened(tmp_path)


def test_hostile_names_and_errors_are_only_text(tmp_path):
    name = "'); DROP TABLE slides; --"
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, name, "<script>"))
        journal.fail(name, "half \udc80 letter", seconds=0)

        assert states(journal) == {name: "failed", "<script>": "pending"}


KILLED = """
import os, pathlib, sys
from her2path.results.journal import Fingerprint, Journal
folder, stop = pathlib.Path(sys.argv[1]), sys.argv[2]
journal = Journal(folder / "journal.sqlite", settings_hash="h", resume=True)
if stop == "opened": os._exit(9)
journal.plan([(n, folder / f"{n}.svs", Fingerprint(10, 20, "h")) for n in ("a", "b")])
if stop == "planned": os._exit(9)
journal.start("a")
journal.finish("a", {"score": "2+"}, seconds=1.0)
journal.start("b")
if stop == "running": os._exit(9)
with journal.transaction():
    journal.database.execute("UPDATE slides SET state = 'done' WHERE slide_id = 'b'")
    if stop == "committing": os._exit(9)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "todo"),
    [
        ("opened", ("a", "b")),
        ("planned", ("a", "b")),
        ("running", ("b",)),
        ("committing", ("b",)),
    ],
)
def test_a_killed_run_is_taken_up_where_it_was(tmp_path, stop, todo):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), stop], check=False)

    assert done.returncode == 9
    with opened(tmp_path) as journal:
        assert journal.plan(planned(tmp_path, "a", "b")) == todo
        assert JournalState.RUNNING.value not in states(journal).values()


def test_a_fingerprint_follows_the_file(tmp_path):
    path = tmp_path / "a.svs"
    path.write_bytes(b"1")
    first = fingerprint_of(path, settings_hash="h")
    path.write_bytes(b"12")

    assert fingerprint_of(path, settings_hash="h") != first
    assert fingerprint_of(path, settings_hash="i") != fingerprint_of(path, settings_hash="h")


def test_a_fingerprint_of_a_folder_covers_its_files(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"123")
    (tmp_path / "b.dcm").write_bytes(b"45")

    assert fingerprint_of(tmp_path, settings_hash="h").size == 5


def test_a_fingerprint_covers_what_lies_beside(tmp_path):
    index, data = tmp_path / "a.mrxs", tmp_path / "a" / "Data0000.dat"
    data.parent.mkdir()
    index.write_bytes(b"1")
    data.write_bytes(b"23")
    first = fingerprint_of(index, settings_hash="h", beside=[data.parent])
    assert first.size == 3
    data.write_bytes(b"234")
    assert fingerprint_of(index, settings_hash="h", beside=[data.parent]) != first


def test_a_fingerprint_of_a_folder_is_as_young_as_its_youngest_file(tmp_path):
    for name, at in (("a.dcm", 100), ("b.dcm", 200)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (at, at))
    first = fingerprint_of(tmp_path, settings_hash="h")
    # Written again, of the same size.
    os.utime(tmp_path / "b.dcm", (300, 300))
    assert fingerprint_of(tmp_path, settings_hash="h").mtime_ns == 300 * 10**9 != first.mtime_ns


def test_a_fingerprint_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="check the path"):
        fingerprint_of(tmp_path / "nothing", settings_hash="h")


def test_another_file_of_the_name_never_takes_the_place_of_a_done_one(tmp_path):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.start("a")
        journal.finish("a", {}, seconds=1.0)
        with pytest.raises(ResultsError, match=r"a is .* there, and .*other"):
            journal.plan(planned(tmp_path / "other", "a", mark=Fingerprint(9, 9, "x")))
        assert journal.plan(planned(tmp_path, "a")) == ()
        # The same place under another name would count twice.
        ((_, path, fingerprint),) = planned(tmp_path, "a")
        with pytest.raises(ResultsError, match="is a there, and b here"):
            journal.plan([("b", path, fingerprint)])
        assert journal.plan(planned(tmp_path, "a"), again={"a"}) == ("a",)


@pytest.mark.parametrize("run_json", [None, '{"settings_hash": "of the run before"}', "{"])
def test_the_journal_alone_says_what_is_done(tmp_path, run_json):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a"))
        journal.start("a")
        journal.finish("a", {"score": "1+"}, seconds=2.5)
    if run_json is not None:
        (tmp_path / "run.json").write_text(run_json, encoding="utf-8")
    (entry,) = entries_of_run(ResultsFolder(tmp_path))
    assert (entry.slide_id, entry.state) == ("a", JournalState.DONE)
    # Whoever only looked has changed nothing.
    with opened(tmp_path) as journal:
        assert states(journal) == {"a": "done"}
    with pytest.raises(ResultsError, match="other settings"):
        opened(tmp_path, settings_hash="another")


def test_a_journal_that_a_kill_left_empty_holds_no_slide_and_can_be_begun(tmp_path):
    (tmp_path / "journal.sqlite").touch()
    assert entries_of_run(ResultsFolder(tmp_path)) == ()
    with opened(tmp_path) as journal:
        assert journal.plan(planned(tmp_path, "a")) == ("a",)
    with opened(tmp_path) as journal:
        assert states(journal) == {"a": "pending"}


def test_a_run_in_an_archive_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    with opened(tmp_path) as journal:
        journal.plan(planned(tmp_path, "a", "b"))
        journal.start("a")
        journal.finish("a", {"score": "1+"}, seconds=2.5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, "access", lambda *_: False)
    first, second = entries_of_run(ResultsFolder(tmp_path))
    assert (first.slide_id, first.state, first.row) == ("a", JournalState.DONE, {"score": "1+"})
    assert second.state is JournalState.PENDING
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "journal.sqlite-wal").write_bytes(b"not yet in the file")
    with pytest.raises(ResultsError, match="was stopped"):
        entries_of_run(ResultsFolder(tmp_path))
    (tmp_path / "journal.sqlite-wal").unlink()
    (tmp_path / "journal.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ResultsError, match="from a backup"):
        entries_of_run(ResultsFolder(tmp_path))
