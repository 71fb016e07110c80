"""A temperature is found again, and changes how sure a reader is but not what he says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2path.statistics.temperature import (
    fit_shifts,
    fit_temperature,
    ordinal_probabilities,
)


def above_logits(probabilities: np.ndarray) -> np.ndarray:
    """The logits of lying above each cut; both tails are summed from their own small end."""
    above = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1][:, 1:]
    below = np.cumsum(probabilities, axis=1)[:, :-1]
    return np.log(np.maximum(above, 1e-12)) - np.log(np.maximum(below, 1e-12))


falling = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-12, 12)
).map(lambda logits: -np.sort(-logits, axis=1))


@settings(deadline=None)
@given(falling, st.floats(0.2, 5))
def test_probabilities_sum_to_one(logits: np.ndarray, temperature: float) -> None:
    p = ordinal_probabilities(logits, temperature)
    assert p.shape == (len(logits), logits.shape[1] + 1)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


@settings(deadline=None)
@given(falling)
def test_logits_come_back_from_probabilities(logits: np.ndarray) -> None:
    np.testing.assert_allclose(above_logits(ordinal_probabilities(logits)), logits, atol=1e-3)


@settings(deadline=None)
@given(falling, st.floats(1.1, 5))
def test_a_higher_temperature_is_nearer_to_even(logits: np.ndarray, temperature: float) -> None:
    warm = above_logits(ordinal_probabilities(logits, temperature))
    assert (np.abs(warm) <= np.abs(logits) + 1e-6).all()


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_of_a_simulated_reader_is_found(true: float) -> None:
    rng = np.random.default_rng(1)
    logits = 3 * (rng.normal(0, 1.5, (4000, 1)) - np.array([-1.5, -0.5, 0.5, 1.5]))
    p = ordinal_probabilities(logits, true)
    truth = (rng.random((4000, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    assert fit_temperature(logits, truth) == pytest.approx(true, rel=0.12)


def test_ranges_allow_every_score_between_their_ends() -> None:
    logits = np.array([[4.0, -4.0], [4.0, -4.0]])
    # Sure of 1 and always right: the colder the better, also where 0 or 1 was the reference.
    assert fit_temperature(logits, [1, 1]) < 0.3
    assert fit_temperature(logits, [0, 1], [1, 1]) < 0.3
    assert fit_temperature(logits, [0, 2]) > 3


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="give logits"):
        fit_temperature(np.zeros((0, 4)), [])
    with pytest.raises(ValueError, match="run from 0 to 4"):
        fit_temperature(np.zeros((1, 4)), [5])
    with pytest.raises(ValueError, match="run from 0 to 4"):
        fit_temperature(np.zeros((1, 4)), [2], [1])


def test_a_slanted_reader_is_set_right():
    rng = np.random.default_rng(5)
    true = 3 * (rng.uniform(-1, 5, (3000, 1)) - np.arange(4) - 0.5)
    ranks = (rng.random((3000, 1)) > np.cumsum(ordinal_probabilities(true), axis=1)[:, :-1]).sum(1)
    slant = np.array([-2.0, -1.0, 0.0, 0.5])
    shifts = fit_shifts(true + slant, ranks)
    assert shifts == pytest.approx(-slant, abs=0.35)
    p = ordinal_probabilities(true + slant, fit_temperature(true + slant + shifts, ranks), shifts)
    assert (p >= 0).all()
    assert p.sum(axis=1) == pytest.approx(1)
    assert p.mean(axis=0) == pytest.approx(np.bincount(ranks, minlength=5) / 3000, abs=0.02)


def test_no_shift_is_found_where_none_is_needed_and_few_pictures_move_little():
    rng = np.random.default_rng(6)
    logits = 2 * (rng.uniform(-1, 5, (2000, 1)) - np.arange(4) - 0.5)
    ranks = (rng.random((2000, 1)) > np.cumsum(ordinal_probabilities(logits), 1)[:, :-1]).sum(1)
    assert fit_shifts(logits, ranks) == pytest.approx((0, 0, 0, 0), abs=0.3)
    assert max(abs(v) for v in fit_shifts(np.array([[1.0, -1.0]]), [2])) < 4


def test_shifted_logits_that_cross_still_give_probabilities():
    p = ordinal_probabilities([[1.0, 0.5]], 1.0, [0.0, 3.0])
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1)
