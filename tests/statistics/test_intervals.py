import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.statistics.intervals import (
    Interval,
    clopper_pearson,
    prediction_interval,
    upper_limit,
    wilson,
)

pairs = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("k", "n", "lower", "upper"), [(11, 34, 19.1, 49.2), (10, 34, 16.8, 46.2), (21, 34, 45.0, 76.1)]
)
def test_wilson_gives_published_numbers(k, n, lower, upper):
    interval = wilson(k, n).scaled(100)
    assert interval.lower == pytest.approx(lower, abs=0.051)
    assert interval.upper == pytest.approx(upper, abs=0.051)


@pytest.mark.parametrize(("k", "n", "lower", "upper"), [(38, 81, 35.7, 58.3), (9, 17, 27.8, 77.0)])
def test_clopper_pearson_gives_published_numbers(k, n, lower, upper):
    interval = clopper_pearson(k, n).scaled(100)
    assert interval.lower == pytest.approx(lower, abs=0.051)
    assert interval.upper == pytest.approx(upper, abs=0.051)


def test_no_stained_cell_of_a_hundred_still_allows_3_7_percent():
    assert 100 * upper_limit(0, 100) == pytest.approx(3.7, abs=0.01)
    assert 100 * upper_limit(0, 100, method="clopper-pearson") == pytest.approx(3.62, abs=0.01)


def test_nothing_counted_says_nothing():
    assert wilson(0, 0) == clopper_pearson(0, 0) == Interval(0, 1)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_impossible_counts_are_refused(interval, k, n, confidence):
    with pytest.raises(ValueError, match="got"):
        interval(k, n, confidence=confidence)


def test_an_interval_runs_upwards():
    with pytest.raises(ValueError, match="upwards"):
        Interval(1, 0)


@given(pairs)
def test_intervals_hold_the_estimate_and_mirror(pair):
    k, n = pair
    for interval in (wilson, clopper_pearson):
        here, mirrored = interval(k, n), interval(n - k, n)
        assert 0 <= here.lower <= k / n <= here.upper <= 1
        assert k / n in here
        assert here.lower == pytest.approx(1 - mirrored.upper, abs=1e-9)


@given(pairs)
def test_more_confidence_is_wider(pair):
    assert wilson(*pair, confidence=0.99).width >= wilson(*pair).width
    assert upper_limit(*pair) > 0


def test_the_next_of_many_values_lies_within_two_standard_deviations():
    values = np.random.default_rng(0).normal(10, 2, 20_000)
    found = prediction_interval(values.tolist())
    assert found.lower == pytest.approx(10 - 1.96 * 2, abs=0.1)
    assert found.upper == pytest.approx(10 + 1.96 * 2, abs=0.1)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_next_of_few_values_is_held_as_often_as_promised(n):
    draws = np.random.default_rng(n).normal(0, 1, (4000, n + 1))
    held = [row[-1] in prediction_interval(row[:-1].tolist(), confidence=0.9) for row in draws]
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)


def test_one_value_says_nothing_of_the_next():
    with pytest.raises(ValueError, match="at least two"):
        prediction_interval([1.0])
    with pytest.raises(ValueError, match="confidence"):
        prediction_interval([1.0, 2.0], confidence=1.0)
