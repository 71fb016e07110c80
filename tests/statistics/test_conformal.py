"""Conformal sets are contiguous, nested, and hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2path.statistics.conformal import (
    calibrate_sets,
    conformal_quantile,
    conformal_sets,
    misfits,
)

rows = (
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 6)), elements=st.floats(0, 1))
    .filter(lambda p: (p.sum(axis=1) > 0.1).all())
    .map(lambda p: p / p.sum(axis=1, keepdims=True))
)


@settings(deadline=None)
@given(rows, st.floats(0, 1))
def test_a_set_is_never_empty_has_no_gap_and_holds_the_mode(p: np.ndarray, quantile: float) -> None:
    for row, inside in zip(p, conformal_sets(p, quantile), strict=True):
        places = np.flatnonzero(inside)
        assert len(places) >= 1
        assert (np.diff(places) == 1).all()
        assert row[inside].max() == row.max()


@settings(deadline=None)
@given(rows, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_quantile_only_adds(p: np.ndarray, a: float, b: float) -> None:
    small, large = conformal_sets(p, min(a, b)), conformal_sets(p, max(a, b))
    assert (small <= large).all()


@settings(deadline=None)
@given(rows)
def test_the_whole_range_is_in_the_set_at_one(p: np.ndarray) -> None:
    assert conformal_sets(p, 1.0).all()


@settings(deadline=None)
@given(rows)
def test_misfits_lie_between_zero_and_one_and_are_zero_somewhere(p: np.ndarray) -> None:
    found = misfits(p)
    assert found.shape == p.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert (found.min(axis=1) == 0).all()


def test_known_numbers() -> None:
    p = [[0.05, 0.15, 0.5, 0.2, 0.1]]
    np.testing.assert_allclose(misfits(p), [[0.95, 0.7, 0.0, 0.5, 0.85]])
    assert conformal_sets(p, 0.6)[0].tolist() == [False, False, True, True, False]


def test_of_two_equal_neighbours_the_higher_is_taken_first() -> None:
    assert misfits([[0.25, 0.5, 0.25]])[0].tolist() == [0.75, 0.0, 0.5]
    assert misfits([[0.5, 0.5]])[0].tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("n", "coverage", "place"), [(9, 0.9, 9), (19, 0.95, 19), (99, 0.9, 90), (8, 0.9, None)]
)
def test_the_quantile_is_the_stated_order_statistic(
    n: int, coverage: float, place: int | None
) -> None:
    values = np.arange(1, n + 1) / (n + 1)
    expected = 1.0 if place is None else values[place - 1]
    assert conformal_quantile(values[::-1], coverage) == expected


def test_without_calibration_pictures_every_score_is_possible() -> None:
    assert conformal_quantile([], 0.9) == 1.0


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("n", [20, 60])
def test_coverage_holds_even_when_the_probabilities_are_wrong(coverage: float, n: int) -> None:
    # Calibration and the picture to be read come from one law; the stated probabilities are
    # overconfident and shifted. Over many repetitions the truth must be in the set as often as
    # promised, and not much more often, since misfits hardly tie here.
    rng = np.random.default_rng(5)
    n_trials, k = 2500, 5
    signal = rng.normal(size=(n_trials, n + 1))
    truth = np.clip(np.rint(1.2 * signal + rng.normal(0, 0.7, signal.shape) + 2), 0, k - 1)
    logits = -3.0 * np.abs(np.arange(k) - (1.2 * signal[..., None] + 2.4))
    logits += rng.normal(0, 0.05, logits.shape)
    stated = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    ill = misfits(stated.reshape(-1, k)).reshape(stated.shape)
    of_truth = np.take_along_axis(ill, truth.astype(int)[..., None], axis=-1)[..., 0]
    hits = sum(row[n] <= conformal_quantile(row[:n], coverage) for row in of_truth)
    rate, error = hits / n_trials, np.sqrt(coverage * (1 - coverage) / n_trials)
    assert rate >= coverage - 3 * error
    assert rate <= coverage + 1 / (n + 1) + 3 * error


def test_better_probabilities_make_smaller_sets() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 5, 400)
    sizes = []
    for sharpness in (0.3, 3.0):
        logits = -sharpness * np.abs(np.arange(5) - (truth + rng.normal(0, 0.5, 400))[:, None])
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        uncertain = p if sharpness > 1 else 0.3 * p + 0.7 * rng.dirichlet(np.ones(5), 400)
        quantile = calibrate_sets(uncertain[:200], truth[:200], coverage=0.9)
        sizes.append(conformal_sets(uncertain[200:], quantile).sum(axis=1).mean())
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("p", [[[0.5, 0.4]], [[-0.1, 1.1]], [0.5, 0.5], [[1.0]], [[np.nan, 1.0]]])
def test_what_is_no_probability_is_refused(p: object) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        misfits(p)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="coverage"):
        conformal_quantile([0.1], 1.0)
    with pytest.raises(ValueError, match="misfits"):
        conformal_quantile([1.5], 0.9)
    with pytest.raises(ValueError, match="quantile"):
        conformal_sets([[0.5, 0.5]], 1.5)
    with pytest.raises(ValueError, match="one true class"):
        calibrate_sets([[0.5, 0.5]], [0.0], coverage=0.9)
    with pytest.raises(ValueError, match="run from 0 to 1"):
        calibrate_sets([[0.5, 0.5]], [2], coverage=0.9)
