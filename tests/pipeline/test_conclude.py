import numpy as np
import pytest

from her2path.criteria.ish import status
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Extent, Intensity, IshResult, Score, Status
from her2path.pipeline import conclude
from her2path.pipeline.conclude import shared_lines_of, with_score_of_today
from her2path.pipeline.scoring import CountedCells
from her2path.results.record import BlankFacts

BLANK = BlankFacts(
    source="calibration",
    min_line_contrast_od=0.026,
    n_reference=0,
    stained_pct=None,
    upper_pct=2.0,
)


def faintly_stained(n_stained: int, n: int = 1000) -> CountedCells:
    zeros = np.zeros(n, np.float32)
    place = np.arange(n, dtype=np.float64)
    return CountedCells(
        x_um=place,
        y_um=place,
        block=np.arange(n) // 100,
        intensity=np.where(place < n_stained, Intensity.FAINT, Intensity.NONE).astype(np.int8),
        extent=np.full(n, Extent.INCOMPLETE, np.int8),
        membrane_od=zeros,
        membrane_contrast_od=zeros,
        membrane_width_um=zeros,
        cytoplasm_od=zeros,
    )


@pytest.mark.parametrize(
    ("edition", "n_stained", "told", "words"),
    [
        ("asco-cap-2013", 10, Status.NULL, ""),
        ("asco-cap-2013", 90, Status.NULL, "9.0 % of the tumour cells are stained, which these"),
        ("asco-cap-2007", 30, Status.LOW, "criteria call 1+; ASCO/CAP 2018"),
        ("asco-cap-2007", 300, Status.LOW, ""),
        ("asco-cap-2018", 90, Status.ULTRALOW, ""),
    ],
)
def test_an_edition_without_0_plus_says_what_that_of_today_calls_a_few_faint_cells(
    edition, n_stained, told, words
):
    counted = faintly_stained(n_stained)
    call = load_rule_set(edition).call(counted.tally, blank_upper_pct=BLANK.upper_pct)
    answer = with_score_of_today(status(call.score), call, counted, BLANK)
    assert answer.status is told
    assert words in answer.comment
    assert bool(answer.comment) == bool(words)


def test_the_score_of_today_stands_behind_a_comment_on_ish():
    counted = faintly_stained(90)
    call = load_rule_set("asco-cap-2013").call(counted.tally, blank_upper_pct=BLANK.upper_pct)
    found = status(call.score, IshResult.GROUP_4)
    answer = with_score_of_today(found, call, counted, BLANK)
    assert answer.comment.startswith(f"{found.comment}; 9.0 %")


def test_a_cell_that_does_not_count_takes_no_line_from_one_that_does(monkeypatch):
    n = 6
    is_counted = np.arange(n) % 2 == 0
    asked = []

    class Cells(np.ndarray):
        def select(self, index):
            return self[index]

    def last_of_those_asked(cells, _classes, places):
        asked.append(places[0].tolist())
        return np.arange(len(cells)) == len(cells) - 1

    monkeypatch.setattr(conclude, "has_own_line", last_of_those_asked)
    cells = np.arange(n).view(Cells)
    place = np.arange(n, dtype=np.float64)
    own = conclude.own_lines(cells, cells, (place, place), is_counted)
    assert asked == [[0, 2, 4], [1, 3, 5]]
    assert own.tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("n_own", "score"), [(120, Score.ONE_PLUS), (90, Score.ULTRALOW), (0, Score.ZERO)]
)
def test_the_score_if_each_line_belongs_to_one_cell_only(n_own, score):
    rules = load_rule_set("asco-cap-2018")
    counted = faintly_stained(140)
    assert rules.call(counted.tally, blank_upper_pct=BLANK.upper_pct).score is Score.ONE_PLUS
    shared = shared_lines_of(counted, np.arange(1000) < n_own, BLANK.upper_pct, rules)
    assert shared.pct_stained == pytest.approx(n_own / 10)
    assert shared.score is score
    nothing = shared_lines_of(faintly_stained(0), np.zeros(1000, bool), BLANK.upper_pct, rules)
    assert nothing is None
