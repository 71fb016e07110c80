import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.statistics.clustered import (
    NORMAL_DF,
    ClusteredShare,
    effective_number,
    estimate_share,
)
from her2path.statistics.intervals import Interval, wilson

blocks = st.lists(
    st.integers(0, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    min_size=1,
    max_size=12,
)


def share_of(rows):
    return estimate_share([k for k, _ in rows], [n for _, n in rows])


@given(blocks)
def test_the_interval_holds_the_estimate_and_at_least_the_binomial_spread(rows):
    share = share_of(rows)
    interval = share.interval()
    assert 0 <= interval.lower <= share.fraction <= interval.upper <= 1
    plain = wilson(sum(k for k, _ in rows), sum(n for _, n in rows))
    assert interval.width >= plain.width - 1e-9
    assert 0 <= share.n_effective <= share.n_cells
    assert share.design_effect >= 1


@given(blocks, st.permutations(range(12)))
def test_the_order_of_blocks_does_not_matter(rows, order):
    shuffled = [rows[i] for i in order if i < len(rows)]
    here, there = share_of(rows).interval(), share_of(shuffled).interval()
    assert (here.lower, here.upper) == pytest.approx((there.lower, there.upper))


@given(blocks)
def test_empty_blocks_add_nothing(rows):
    assert share_of([*rows, (0, 0)]) == share_of(rows)


@given(blocks)
def test_a_higher_cut_is_less_probably_exceeded(rows):
    share = share_of(rows)
    probabilities = [share.probability_above(cut) for cut in (0.01, 0.1, 0.3, 0.9)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0 <= p <= 1 for p in probabilities)


def test_one_block_is_as_sure_as_independent_cells():
    for k in (0, 7, 100):
        here, plain = share_of([(k, 100)]).interval(), wilson(k, 100)
        assert (here.lower, here.upper) == pytest.approx((plain.lower, plain.upper))


def test_no_stained_cell_of_a_hundred_still_allows_3_7_percent():
    assert share_of([(0, 100)]).interval().upper == pytest.approx(0.037, abs=1e-4)
    assert share_of([(0, 20)] * 5).interval().upper > 0.037


def test_blocks_that_differ_widen_the_interval():
    alike, apart = share_of([(5, 50)] * 10), share_of([(0, 50)] * 9 + [(50, 50)])
    assert alike.fraction == apart.fraction
    assert apart.interval().width > 3 * alike.interval().width
    assert apart.design_effect > 10
    assert alike.design_effect == 1


@pytest.mark.parametrize(("k", "n"), [(50, 1000), (10, 100), (300, 1000)])
def test_probability_agrees_with_the_interval(k, n):
    share = share_of([(k, n)])
    interval = share.interval()
    assert share.probability_above(interval.lower) == pytest.approx(0.975, abs=0.01)
    assert share.probability_above(interval.upper) == pytest.approx(0.025, abs=0.01)
    assert share.probability_above(k / n) == pytest.approx(0.5, abs=0.04)


def test_a_variance_that_is_badly_known_makes_a_cut_less_surely_exceeded():
    few = ClusteredShare(0.15, 400, 3, 200.0, df=2.0)
    many = ClusteredShare(0.15, 400, 3, 200.0, df=NORMAL_DF)
    assert 0.5 < few.probability_above(0.1) < many.probability_above(0.1)
    # As wide as the interval, whose quantile is that of t with two degrees of freedom.
    fewer = ClusteredShare(0.15, 400, 3, 200.0 * (1.959964 / 4.302653) ** 2, df=NORMAL_DF)
    assert few.probability_above(0.1) == pytest.approx(fewer.probability_above(0.1), abs=1e-5)


def test_nothing_counted_says_nothing():
    assert share_of([(0, 0)]).interval() == Interval(0, 1)


def test_kish_number_of_equal_and_unequal_blocks():
    assert effective_number([7, 7, 7]) == pytest.approx(3)
    assert effective_number([1000, 1]) == pytest.approx(1, abs=0.01)
    assert effective_number([]) == 0


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.4])
def test_cells_that_are_alike_in_a_block_count_for_fewer(rho):
    rng = np.random.default_rng(3)
    p = rng.beta(0.3 * (1 / rho - 1), 0.7 * (1 / rho - 1), 4000) if rho else 0.3
    k = rng.binomial(40, p, 4000)
    # Kish: 1 + (size − 1) · intraclass correlation.
    share = estimate_share(k, np.full(4000, 40))
    assert share.design_effect == pytest.approx(1 + 39 * rho, rel=0.05)


@pytest.mark.parametrize(("k", "n"), [([2], [1]), ([-1], [1]), ([1, 1], [1])])
def test_impossible_blocks_are_refused(k, n):
    with pytest.raises(ValueError, match="block"):
        estimate_share(k, n)


def test_impossible_cuts_and_confidences_are_refused():
    share = share_of([(1, 2)])
    with pytest.raises(ValueError, match="between 0 and 1"):
        share.probability_above(0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        share.interval(confidence=95)


@pytest.mark.parametrize("n_blocks", [4, 10, 30])
def test_blocks_of_one_size_have_one_degree_of_freedom_fewer(n_blocks):
    share = share_of([(0, 20), (20, 20)] * (n_blocks // 2))
    assert share.df == pytest.approx(n_blocks - 1)
    # Stained as a whole or not at all, a block tells as much as one cell.
    assert share.n_effective == pytest.approx(n_blocks - 1)
