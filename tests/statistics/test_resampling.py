import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2path.criteria.clusters import Clusters
from her2path.criteria.rule_set import RuleSet, load_rule_set
from her2path.criteria.score import EXPRESSION_SCORES, Extent, Intensity, Score
from her2path.criteria.tally import Tally, part_of_staining
from her2path.statistics.resampling import (
    resample_tallies,
    score_probabilities,
    share_at_least,
    share_intervals,
)

BREAST = load_rule_set("asco-cap-2018")
BLANK = 1.0

stacks = arrays(
    np.int64, st.tuples(st.integers(1, 9), st.just(5), st.just(3)), elements=st.integers(0, 40)
).map(lambda a: np.where((np.arange(5) == 0)[:, None] & (np.arange(3) > 0), 0, a))


def rng():
    return np.random.default_rng(7)


def faint_tumour(stained, *, n_blocks=20, n=100):
    stack = np.zeros((n_blocks, 5, 3), np.int64)
    stack[:, 1, 0] = stained
    stack[:, 0, 0] = n - stack[:, 1, 0]
    return stack


@given(stacks)
def test_resampled_tallies_are_sums_of_whole_blocks(stack):
    drawn = resample_tallies(stack, n_resamples=50, rng=rng())
    assert drawn.shape == (50, 5, 3)
    assert (drawn <= len(stack) * stack.max(axis=0)).all()
    assert (drawn >= len(stack) * stack.min(axis=0)).all()


def test_resampled_tallies_average_to_the_slide():
    stack = rng().integers(0, 9, (30, 5, 3))
    drawn = resample_tallies(stack, n_resamples=4000, rng=rng())
    assert drawn.mean(axis=0) == pytest.approx(stack.sum(axis=0), rel=0.02)


def test_one_block_can_only_be_drawn_again():
    stack = faint_tumour(8, n_blocks=1)
    assert (resample_tallies(stack, n_resamples=5, rng=rng()) == stack).all()


def test_the_same_seed_draws_the_same():
    stack = faint_tumour(np.arange(20))
    first, second = (resample_tallies(stack, n_resamples=9, rng=rng()) for _ in range(2))
    assert (first == second).all()


def test_wrong_shapes_and_numbers_are_refused():
    with pytest.raises(ValueError, match="shape"):
        resample_tallies(np.zeros((5, 3)), rng=rng())
    with pytest.raises(ValueError, match="n_resamples"):
        resample_tallies(np.zeros((1, 5, 3)), n_resamples=0, rng=rng())


@given(stacks)
def test_intervals_hold_the_share_of_the_slide(stack):
    tally = Tally.from_array(stack.sum(axis=0))
    if tally.n_cells == 0:
        return
    intervals = share_intervals(stack)
    for name, value in tally.shares().columns().items():
        interval = intervals[name]
        assert interval.lower - 1e-9 <= value <= interval.upper + 1e-9
        assert interval.lower >= 0
        assert interval.upper <= (300.0000001 if name == "h_score" else 100.0000001)


@given(stacks)
def test_five_probabilities_sum_to_one(stack):
    probabilities = score_probabilities(
        BREAST, stack, blank_upper_pct=BLANK, rng=rng(), n_resamples=100
    )
    assert tuple(probabilities) == EXPRESSION_SCORES
    assert sum(probabilities.values()) == pytest.approx(1 if stack.sum() else 0)


@pytest.mark.parametrize(
    ("stained", "score"), [(0, Score.ZERO), (5, Score.ULTRALOW), (30, Score.ONE_PLUS)]
)
def test_a_clear_case_is_sure(stained, score):
    probabilities = score_probabilities(
        BREAST, faint_tumour(stained), blank_upper_pct=BLANK, rng=rng()
    )
    assert probabilities[score] > 0.99


def test_at_the_cut_both_sides_are_equally_probable():
    probabilities = score_probabilities(BREAST, faint_tumour(10), blank_upper_pct=BLANK, rng=rng())
    assert probabilities[Score.ULTRALOW] == pytest.approx(0.5, abs=0.05)
    assert probabilities[Score.ONE_PLUS] == pytest.approx(0.5, abs=0.05)


def test_a_hundred_unstained_cells_are_not_surely_null():
    stack = faint_tumour(0, n_blocks=1)
    probabilities = score_probabilities(BREAST, stack, blank_upper_pct=BLANK, rng=rng())
    assert 0.7 < probabilities[Score.ZERO] < 0.95
    # What may be unseen is most probably faint.
    ordered = [probabilities[score] for score in EXPRESSION_SCORES]
    assert ordered == sorted(ordered, reverse=True)


def test_unequal_blocks_make_a_score_less_sure():
    patchy = np.zeros(20, int)
    patchy[:3] = 90
    alike = score_probabilities(
        BREAST, faint_tumour(np.array([13, 14] * 10)), blank_upper_pct=BLANK, rng=rng()
    )
    apart = score_probabilities(BREAST, faint_tumour(patchy), blank_upper_pct=BLANK, rng=rng())
    assert alike[Score.ONE_PLUS] > 0.95
    assert apart[Score.ONE_PLUS] < 0.8


def test_clusters_of_a_biopsy_do_not_vary():
    rules = load_rule_set("gastric-biopsy")
    probabilities = score_probabilities(
        rules,
        faint_tumour(10),
        blank_upper_pct=BLANK,
        rng=rng(),
        clusters=Clusters(9, 6, 2, 0),
    )
    assert probabilities[Score.TWO_PLUS] == 1


TWO_ROWS = """
name = "two rows"
edition = "1"
source = "test"
organ = "breast"
zero = "less"
[[rows]]
id = "any"
score = "1+"
intensity = "faint"
extent = "incomplete"
percent = 10
text = "any staining"
[[rows]]
id = "intense"
score = "2+"
intensity = "intense"
extent = "complete"
percent = 5
text = "intense staining"
"""


def test_where_shares_are_equal_the_darker_draws_are_those_that_fire():
    # A tenth of each block is stained, so that no draw has more of it than another; of these
    # cells more or fewer are intense.
    stack = faint_tumour(10)
    stack[:, 4, 2] = np.tile([2, 6], 10)
    stack[:, 1, 0] -= stack[:, 4, 2]
    any_, intense = (
        share_at_least(stack, level, extent).probability_above(
            cut, prior_points=0.5 * part_of_staining(level, extent)
        )
        for level, extent, cut in (
            (Intensity.FAINT, Extent.INCOMPLETE, 0.10),
            (Intensity.INTENSE, Extent.COMPLETE, 0.05),
        )
    )
    assert 0.02 < intense < 0.45 < any_ < 0.55
    found = score_probabilities(
        RuleSet.parse(TWO_ROWS), stack, blank_upper_pct=BLANK, rng=rng(), n_resamples=4000
    )
    assert found[Score.TWO_PLUS] == pytest.approx(intense, abs=1e-3)
    assert found[Score.ONE_PLUS] == pytest.approx(any_ - intense, abs=1e-3)
    assert found[Score.ZERO] == pytest.approx(1 - any_, abs=1e-3)
