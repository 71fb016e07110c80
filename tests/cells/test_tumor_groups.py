import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from her2path.cells.odds import EVEN, shifted
from her2path.cells.tumor_groups import agreed_probability, parting


def two_groups(low, high, *, n=1500, share=0.6, spread=0.6, seed=0):
    """Probabilities of others and of tumor, with which is which."""
    rng = np.random.default_rng(seed)
    is_tumor = rng.random(n) < share
    odds = np.where(is_tumor, high, low) + rng.normal(0, spread, n)
    return expit(odds).astype(np.float32), is_tumor


@pytest.mark.parametrize("high", [-2.0, -1.0, 0.0])
def test_a_reader_who_is_too_low_everywhere_is_put_right(high):
    as_read, is_tumor = two_groups(-5.5, high)
    at = parting(as_read)
    assert -5.5 < logit(at) < high
    assert ((shifted(as_read, at=at) >= 0.5) == is_tumor).mean() > 0.98
    assert ((as_read >= 0.5) == is_tumor).mean() < 0.8


@pytest.mark.parametrize(("low", "high", "spread"), [(-3.2, -0.2, 1.1), (-3.5, 0.6, 1.4)])
def test_groups_that_run_into_each_other_part_where_their_curves_cross(low, high, spread):
    as_read, is_tumor = two_groups(low, high, n=4000, spread=spread)
    at = parting(as_read)
    # Equally wide, the upper one of 0.6 of the cells: where both are equally likely.
    crossing = (low + high) / 2 - spread**2 / (high - low) * np.log(0.6 / 0.4)
    assert logit(at) == pytest.approx(crossing, abs=0.35)
    own = ((as_read >= at) == is_tumor).mean()
    assert own > ((as_read >= EVEN) == is_tumor).mean() + 0.04


def test_a_reader_who_is_far_too_low_is_put_right_where_the_groups_are_clear():
    rng = np.random.default_rng(2)
    odds = np.r_[rng.normal(-4.3, 0.5, 500), rng.normal(-1.9, 1.0, 1500)]
    at = parting(expit(odds).astype(np.float32))
    assert -3.5 <= logit(at) < -2.5


def test_a_gap_between_stained_and_unstained_tumor_does_not_decide():
    rng = np.random.default_rng(3)
    # Cells of a slide by half steps of log odds from -5.5 on: others, unstained, stained.
    counts = [5, 102, 168, 149, 75, 55, 62, 74, 52, 55, 74, 90, 141, 99, 32, 8]
    odds = -5.5 + 0.5 * np.repeat(np.arange(len(counts)), counts)
    as_read = expit(odds + rng.uniform(0, 0.5, len(odds))).astype(np.float32)
    # There is a gap at -1, which half of the unstained tumor lies below.
    assert logit(parting(as_read)) < -2.5


def test_a_low_group_without_a_gap_is_no_tumor():
    as_read, _ = two_groups(-4.6, -2.2, n=4000, share=0.4, spread=0.9)
    assert parting(as_read) == EVEN


@given(share=st.floats(0.15, 0.85), seed=st.integers(0, 50))
@settings(max_examples=25)
def test_a_reader_who_is_right_is_left_alone(share, seed):
    as_read, _ = two_groups(-4.0, 3.0, share=share, seed=seed, spread=1.0)
    at = parting(as_read)
    n_moved = ((shifted(as_read, at=at) >= 0.5) != (as_read >= 0.5)).mean()
    assert n_moved < 0.01


@pytest.mark.parametrize("center", [-5.0, -2.0, 0.0, 2.0])
def test_one_group_does_not_part(center):
    as_read, _ = two_groups(center, center, spread=1.2)
    assert parting(as_read) == EVEN


def test_a_slide_without_tumor_is_given_none():
    as_read, _ = two_groups(-5.8, -3.6, spread=0.3)
    assert parting(as_read) == EVEN


def test_few_cells_do_not_part():
    as_read, _ = two_groups(-5.5, -1.5, n=200)
    assert parting(as_read) == EVEN
    assert parting(np.empty(0, np.float32)) == EVEN


def test_the_order_of_cells_does_not_matter():
    as_read, _ = two_groups(-5.5, -1.5)
    assert parting(as_read[::-1]) == parting(as_read)


@given(at=st.floats(0.02, 0.9), p=st.floats(0.01, 0.99))
def test_shifting_keeps_order_and_makes_the_given_probability_even(at, p):
    moved = shifted(np.array([p, at], np.float32), at=at)
    assert moved[1] == pytest.approx(0.5, abs=1e-5)
    assert (moved[0] >= moved[1]) == (np.float32(p) >= np.float32(at))


def test_two_readers_meet_half_way_in_log_odds():
    seen, by_rule = np.array([0.9, 0.9, 1.0], np.float32), np.array([0.1, 0.9, 0.0], np.float32)
    np.testing.assert_allclose(agreed_probability(seen, by_rule), [0.5, 0.9, 0.5], atol=1e-6)
