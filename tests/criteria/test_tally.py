import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2path.criteria.score import Extent, Intensity
from her2path.criteria.tally import Tally, accumulate, h_scores, measure_name, part_of_staining

counts = arrays(np.int64, (5, 3), elements=st.integers(0, 500)).map(
    lambda a: np.where((np.arange(5) == 0)[:, None] & (np.arange(3) > 0), 0, a)
)
tallies = counts.map(Tally.from_array)
cells = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=60)


def tally_of(rows):
    return Tally.of([i for i, _ in rows], [e for _, e in rows])


def test_known_cells_are_counted_where_they_belong():
    tally = Tally.of([0, 1, 4, 4], [0, 0, 2, 1])
    assert tally.n_cells == 4
    assert tally.counts[Intensity.INTENSE] == (0, 1, 1)
    shares = tally.shares()
    assert (shares.pct_none, shares.pct_faint, shares.pct_intense) == (25, 25, 50)
    assert (shares.pct_stained, shares.pct_complete) == (75, 25)
    assert shares.of(Intensity.INTENSE, Extent.BASOLATERAL) == 25
    assert shares.h_score == 25 + 150


def test_h_score_reaches_its_ends():
    assert Tally.of([4] * 7, [2] * 7).shares().h_score == 300
    assert Tally.of([0] * 7, [0] * 7).shares().h_score == 0
    assert Tally.of([1, 2, 3], [0, 0, 0]).shares().h_score == pytest.approx(400 / 3)


def test_an_unstained_cell_has_no_extent():
    assert Tally.of([0, 0], [2, 1]) == Tally.of([0, 0], [0, 0])
    with pytest.raises(ValueError, match="no extent"):
        Tally(((0, 1, 0), *((0, 0, 0),) * 4))


def test_no_cell_gives_zeros_and_no_nan():
    shares = Tally.zero().shares()
    assert shares.n_tumor_cells == 0
    assert set(shares.columns().values()) == {0.0}


@pytest.mark.parametrize(
    "wrong", [np.zeros((5, 2)), np.full((5, 3), 0.5), -np.ones((5, 3)), np.zeros(15)]
)
def test_what_is_no_table_of_counts_is_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        Tally.from_array(wrong)


@pytest.mark.parametrize(("intensity", "extent"), [([5], [0]), ([1], [3]), ([-1], [0]), ([1], [])])
def test_classes_out_of_range_are_refused(intensity, extent):
    with pytest.raises(ValueError, match="got"):
        Tally.of(intensity, extent)


@given(cells, cells)
def test_tallies_of_parts_add_up_to_the_whole(a, b):
    assert tally_of(a) + tally_of(b) == tally_of(a + b) == tally_of(b) + tally_of(a)
    assert tally_of(a) + Tally.zero() == tally_of(a)


@given(tallies)
def test_intensity_classes_sum_to_100(tally):
    shares = tally.shares()
    classes = (
        shares.pct_none,
        shares.pct_faint,
        shares.pct_weak,
        shares.pct_moderate,
        shares.pct_intense,
    )
    assert sum(classes) == pytest.approx(100 if tally.n_cells else 0)
    assert 0 <= shares.h_score <= 300
    assert shares.pct_complete <= shares.pct_stained <= 100


@given(counts)
def test_upward_sums_match_a_plain_count(array):
    upward = accumulate(array)
    for intensity in Intensity:
        for extent in Extent:
            assert upward[intensity, extent] == array[intensity:, extent:].sum()
            share = Tally.from_array(array).shares().at_least(intensity, extent)
            assert share * array.sum() == pytest.approx(100 * upward[intensity, extent])


def test_many_h_scores_at_once_equal_each_alone():
    stack = np.random.default_rng(0).integers(0, 9, (20, 5, 3))
    stack[:, 0, 1:] = 0
    alone = [Tally.from_array(a).shares().h_score for a in stack]
    assert h_scores(stack) == pytest.approx(alone)


def test_every_measure_has_its_own_name():
    names = {measure_name(i, e) for i in list(Intensity)[1:] for e in Extent}
    assert len(names) == 12
    assert {"pct_stained", "pct_complete", "pct_intense_complete"} <= names


def test_what_is_believed_of_staining_is_shared_out_over_its_twelve_classes():
    assert part_of_staining(Intensity.FAINT, Extent.INCOMPLETE) == 1
    assert part_of_staining(Intensity.WEAK, Extent.COMPLETE) == 3 / 12
    assert part_of_staining(Intensity.MODERATE, Extent.BASOLATERAL) == 4 / 12
    assert part_of_staining(Intensity.INTENSE, Extent.COMPLETE) == 1 / 12
