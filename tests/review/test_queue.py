"""Which slides a reader gets, in which order, and what follows from what they gave."""

import csv
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import HASH
from opener import Opener, score_again

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Journal
from her2path.results.review_log import EntryKind, ReviewEntry
from her2path.review import CaseState
from her2path.review import queue as queue_module


def test_flagged_slides_are_offered_or_all(opened: Opener) -> None:
    assert sorted(case.slide_id for case in opened().cases) == ["a & b", "b 3+"]
    everything = opened(only_flagged=False)
    assert (len(everything.cases), everything.n_failed) == (3, 1)


def test_an_unblinded_reader_gets_the_least_sure_first(opened: Opener) -> None:
    assert [case.slide_id for case in opened(is_blinded=False).cases] == ["b 3+", "a & b"]


def test_the_order_of_a_blinded_reader_is_their_own_and_stays(opened: Opener) -> None:
    names = [[case.slide_id for case in opened(reader=f"reader {n}").cases] for n in range(12)]
    assert len({tuple(order) for order in names}) == 2
    assert [case.slide_id for case in opened(reader="reader 0").cases] == names[0]


def test_a_reading_opens_the_result_and_a_decision_ends_the_case(opened: Opener) -> None:
    queue = opened()
    case = queue.cases[0]
    assert (queue.state(case), queue.may_tell(case)) == (CaseState.OPEN, False)
    queue.read(case, Score.ONE_PLUS, is_sure=False, pct_stained=30, remark=" faint ", seconds=5)
    assert (queue.state(case), queue.may_tell(case)) == (CaseState.READ, True)
    assert not queue.may_tell(queue.cases[1])
    queue.decide(case, queue.record(case).score)
    assert queue.state(case) is CaseState.DECIDED
    reading = queue.own(case, EntryKind.READING)
    assert reading is not None
    assert (reading.remark, reading.is_blinded, reading.is_sure) == ("faint", True, False)
    # Another start, the same state.
    again = opened()
    assert again.state(again.case(case.number)) is CaseState.DECIDED


def test_a_first_reading_is_not_taken_back(opened: Opener) -> None:
    queue = opened()
    queue.read(queue.cases[0], Score.ZERO)
    with pytest.raises(ResultsError, match="has your reading already"):
        queue.read(queue.cases[0], Score.ONE_PLUS)


def test_a_reader_with_two_windows_reads_once(opened: Opener) -> None:
    one, other = opened(), opened()
    one.read(one.case(1), Score.ONE_PLUS)
    with pytest.raises(ResultsError, match="has your reading already"):
        other.read(other.case(1), Score.THREE_PLUS)
    assert other.own(other.case(1), EntryKind.READING).score is Score.ONE_PLUS


def test_nobody_decides_before_they_have_read(opened: Opener) -> None:
    queue = opened(is_blinded=False)
    with pytest.raises(ResultsError, match="read case 1 first"):
        queue.decide(queue.cases[0], Score.ZERO)


def test_an_override_needs_its_reason_and_the_last_decision_counts(opened: Opener) -> None:
    queue = opened()
    case = queue.cases[0]
    queue.read(case, Score.ZERO)
    assert queue.record(case).score is not Score.ZERO
    with pytest.raises(ResultsError, match="needs its reason"):
        queue.decide(case, Score.ZERO, reason="  ")
    queue.decide(case, Score.ZERO, reason="only cytoplasm")
    queue.decide(case, queue.record(case).score, reason="looked again")
    decision = queue.own(case, EntryKind.DECISION)
    assert decision is not None
    assert decision.remark == "looked again"
    assert len(queue.log.entries()) == 3


def test_readings_of_others_are_told_apart_by_reader(opened: Opener) -> None:
    first, second = opened(reader="A"), opened(reader="B")
    case = first.cases[0]
    first.read(case, Score.ONE_PLUS)
    theirs = next(one for one in second.cases if one.slide_id == case.slide_id)
    assert second.state(theirs) is CaseState.OPEN
    second.read(theirs, Score.ZERO)
    assert [(entry.reader, entry.score) for entry in second.others(theirs)] == [
        ("A", Score.ONE_PLUS)
    ]


def rows_of(run: ResultsFolder) -> list[dict[str, str]]:
    with run.reviews_csv.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_readings_of_another_file_of_the_same_name_are_passed_over(
    opened: Opener, run: ResultsFolder
) -> None:
    score_again(run, created="1", file="one")
    for reader in "AB":
        queue = opened(reader=reader)
        queue.read(queue.case(1), Score.ULTRALOW)
        queue.decide(queue.case(1), Score.THREE_PLUS, reason="a ring")
    score_again(run, created="2", file="two")
    # The queue that is open, and the next one.
    for one in (queue, opened(reader="B")):
        case = one.case(1)
        assert (one.state(case), one.may_tell(case)) == (CaseState.OPEN, False)
        assert (one.others(case), one.earlier_decision(case)) == ((), None)
        with pytest.raises(ResultsError, match="read case 1 first"):
            one.decide(case, Score.ZERO)
    assert rows_of(run) == []
    one.read(case, Score.TWO_PLUS)
    assert [(row["reader"], row["score"], row["final_score"]) for row in rows_of(run)] == [
        ("B", "2+", "")
    ]
    # Nothing is lost: it counts where it was given.
    score_again(run, created="1", file="one")
    assert one.state(case) is CaseState.DECIDED
    assert len(one.log.entries()) == 5


def test_a_decision_is_open_again_when_the_slide_was_scored_again(
    opened: Opener, run: ResultsFolder
) -> None:
    queue = opened()
    case = queue.case(1)
    queue.read(case, Score.ONE_PLUS)
    given = queue.decide(case, queue.record(case).score)
    score_again(run)
    again = opened()
    for one in (queue, again):
        # Their own blinded reading is of this picture.
        assert (one.state(case), one.may_tell(case)) == (CaseState.READ, True)
        assert one.own(case, EntryKind.DECISION) is None
        assert one.earlier_decision(case) == given
        assert one.is_earlier(given)
    (row,) = rows_of(run)
    assert [row[name] for name in ("score", "program_score", "agrees", "final_score")] == [
        *("1+", "0", "false", ""),
    ]
    assert row["is_scored_again"] == "true"
    with pytest.raises(ResultsError, match="has your reading already"):
        again.read(case, Score.ZERO)
    again.decide(case, Score.ZERO)
    assert (again.state(case), again.earlier_decision(case)) == (CaseState.DECIDED, None)
    assert len(again.log.entries()) == 3


def test_entries_that_name_no_file_count_for_the_one_that_is_there(
    opened: Opener, run: ResultsFolder
) -> None:
    queue = opened()
    queue.read(queue.case(1), Score.ONE_PLUS)
    score_again(run, file="one")
    assert queue.state(queue.case(1)) is CaseState.READ
    # Nothing is left that says otherwise.
    queue.folder(queue.case(1)).slide_json.unlink()
    assert queue.state(queue.case(1)) is CaseState.READ


def set_states(run: ResultsFolder, state: str, *slide_ids: str) -> None:
    """Take slides of a run back to where an interrupted one leaves them."""
    with Journal(run.journal, settings_hash=HASH, resume=True) as journal:
        for slide_id in slide_ids:
            journal.update("state = ?", (state,), slide_id)


def test_slides_that_an_interrupted_run_did_not_reach_are_told_from_failed_ones(
    opened: Opener, run: ResultsFolder
) -> None:
    set_states(run, "pending", "c", "b 3+")
    queue = opened()
    assert (queue.n_failed, queue.n_unscored) == (1, 2)
    failed, unscored = queue.missing
    # Its table of slides holds the scores of the others.
    assert failed == "1 slide failed, not offered; whoever scored them can say why"
    failed, _ = opened(is_blinded=False).missing
    assert failed == f"1 slide failed, not offered; {run.slides_csv} says why"
    assert unscored == (
        "the run was interrupted before it came to 2 slides, not offered; the same score command "
        "with --resume goes on"
    )


def test_a_run_without_a_scored_slide_says_what_to_do(opened: Opener, run: ResultsFolder) -> None:
    set_states(run, "pending", "a & b", "b 3+", "c")
    for only_flagged in (True, False):
        with pytest.raises(ResultsError, match=r"no slide in .* is scored") as found:
            opened(only_flagged=only_flagged)
        assert "before it came to 3 slides" in str(found.value)
        assert "--resume goes on" in str(found.value)
        assert "--slides all" not in str(found.value)
        assert "1 slide failed, not offered; whoever scored" in str(found.value)


def test_where_no_scored_slide_is_flagged_the_rest_is_told_too(
    opened: Opener, run: ResultsFolder
) -> None:
    set_states(run, "pending", "a & b", "b 3+")
    with pytest.raises(ResultsError, match=r"of 1 scored slide in .*--slides all") as found:
        opened()
    assert "--resume goes on" in str(found.value)


def test_the_table_is_there_after_each_entry(opened: Opener, run: ResultsFolder) -> None:
    queue = opened()
    queue.read(queue.cases[0], Score.ONE_PLUS)
    with run.reviews_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["reader"], row["score"], row["is_blinded"]) for row in rows] == [
        ("A", "1+", "true")
    ]


def test_nobody_logs_between_what_is_read_for_the_table_and_its_writing(
    opened: Opener, run: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = opened(reader="A"), opened(reader="B")
    write, waits = queue_module.write_reviews, []

    def while_the_other_reads(path: Path, entries: Sequence[ReviewEntry], presents: Any) -> None:
        if not waits:
            waits.append(threading.Thread(target=second.read, args=(second.case(1), Score.ZERO)))
            waits[0].start()
            # Long enough for it to be logged, were it not kept waiting.
            waits[0].join(0.5)
            assert [entry.reader for entry in first.log.entries()] == ["A"]
        write(path, entries, presents)

    monkeypatch.setattr(queue_module, "write_reviews", while_the_other_reads)
    first.read(first.case(1), Score.ONE_PLUS)
    waits[0].join()
    with run.reviews_csv.open(encoding="utf-8-sig", newline="") as file:
        assert [row["reader"] for row in csv.DictReader(file)] == ["A", "B"]


def test_nobody_waits_while_results_are_read_for_the_table(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(reader="A")
    first.read(first.case(1), Score.ONE_PLUS)
    queue, other = opened(reader="B"), opened(reader="C")
    read = queue_module.PresentResult.of_slide

    def while_another_logs(run: ResultsFolder, slide_id: str) -> Any:
        other.log.append(replace(first.log.entries()[0], reader="C"))
        return read(run, slide_id)

    queue.presents.clear()
    monkeypatch.setattr(queue_module.PresentResult, "of_slide", while_another_logs)
    queue.write_table()
    assert [entry.reader for entry in queue.log.entries()] == ["A", "C"]


def test_a_log_that_is_busy_behind_a_reading_does_not_undo_it(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = opened()

    def busy() -> AbstractContextManager[None]:
        raise ResultsError("the log is in use")

    monkeypatch.setattr(queue.log, "alone", busy)
    queue.read(queue.case(1), Score.ONE_PLUS)
    assert queue.state(queue.case(1)) is CaseState.READ
    assert "behind the log" in caplog.text


def test_a_table_that_cannot_be_written_costs_no_reading(
    opened: Opener, run: ResultsFolder, caplog: pytest.LogCaptureFixture
) -> None:
    run.reviews_csv.mkdir()
    queue = opened()
    queue.read(queue.cases[0], Score.ONE_PLUS)
    assert "behind the log" in caplog.text
    run.reviews_csv.rmdir()
    queue.read(queue.cases[1], Score.ZERO)
    assert len(run.reviews_csv.read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize("reader", ["", "  ", "a\x1bb", "x" * 101, "\u200d"])
def test_a_reader_needs_a_name(opened: Opener, reader: str) -> None:
    with pytest.raises(ResultsError, match="no name of a reader"):
        opened(reader=reader)


def test_one_reader_has_one_spelling(opened: Opener) -> None:
    queue = opened(reader="J. Mu\u0308ller")
    assert queue.reader == "J. Müller"
    queue.read(queue.case(1), Score.ZERO)
    for spelled in ("J. Müller", " J.\u00a0 Müller"):
        again = opened(reader=spelled)
        assert again.state(again.case(1)) is CaseState.READ
    assert opened(reader="علی\u200cرضا").reader == "علی\u200cرضا"


def test_a_number_outside_the_queue_is_refused(opened: Opener) -> None:
    for number in (0, 3):
        with pytest.raises(ResultsError, match=f"no case {number}"):
            opened().case(number)


def test_a_log_that_holds_nothing_new_is_not_read_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = opened()
    times: list[int] = []
    entries = queue.log.entries
    monkeypatch.setattr(queue.log, "entries", lambda: times.append(1) or entries())
    queue.refresh()
    assert times == []
    queue.read(queue.case(1), Score.ONE_PLUS)
    assert times == [1]
