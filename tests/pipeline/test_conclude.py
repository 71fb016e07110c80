import numpy as np
import pytest

from her2path.criteria.ish import status
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Extent, Intensity, Score, Status
from her2path.pipeline.conclude import shared_lines_of, with_staining_of_null
from her2path.pipeline.scoring import CountedCells, read_counted
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


@pytest.mark.parametrize(("n_stained", "is_said"), [(10, False), (90, True)])
def test_a_null_of_an_edition_without_0_plus_says_that_cells_are_stained(n_stained, is_said):
    rules = load_rule_set("asco-cap-2013")
    counted = faintly_stained(n_stained)
    call = rules.call(counted.tally, blank_upper_pct=BLANK.upper_pct)
    assert call.score is Score.ZERO
    reading = read_counted(
        counted,
        rules,
        blank_upper_pct=BLANK.upper_pct,
        rng=np.random.default_rng(0),
        n_resamples=10,
        clusters=None,
    )
    answer = with_staining_of_null(status(call.score), reading, BLANK)
    assert answer.status is Status.NULL
    assert ("9.0 % of the tumour cells are stained" in answer.comment) == is_said


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
