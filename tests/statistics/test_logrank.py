"""The log-rank test: against statsmodels, and where its groups have nothing in common."""

import time as clock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from her2path.statistics.logrank import logrank


def cohort(seed: int, n: int, n_groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times with ties, a third of them without an event."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 15, n), rng.random(n) < 0.66, rng.permutation(np.arange(n) % n_groups)


@given(seed=st.integers(0, 999), n=st.integers(20, 80), n_groups=st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_statsmodels(seed, n, n_groups) -> None:
    time, event, group = cohort(seed, n, n_groups)
    found = logrank(time, event, group)
    statistic, p = survdiff(time, event.astype(int), group)
    assert (found.statistic, found.p) == pytest.approx((statistic, p))
    assert found.df == n_groups - 1
    strata = np.arange(n) % 2
    statistic, p = survdiff(time, event.astype(int), group, strata=strata)
    assert logrank(time, event, group, strata=strata).p == pytest.approx(p)


def test_a_group_gone_before_the_first_event_adds_nothing() -> None:
    time, event, group = cohort(7, 40, 2)
    gone = np.r_[time, [0.5, 0.5]], np.r_[event, [False, False]], np.r_[group, [2, 2]]
    assert logrank(*gone) == logrank(time, event, group)


def test_strata_that_share_no_group_allow_no_comparison_across_them() -> None:
    time, event, group = cohort(3, 60, 4)
    found = logrank(time, event, group, strata=group // 2)
    assert found.df == 2


@pytest.mark.parametrize(
    ("time", "event"), [([1, 2, 3, 4], [0, 0, 0, 0]), ([1, 1, 5, 5], [0, 0, 1, 1])]
)
def test_without_a_comparison_there_is_no_test(time, event) -> None:
    assert logrank(time, event, ["a", "a", "b", "b"]) is None


@pytest.mark.slow
def test_a_hundred_thousand_patients_take_no_time() -> None:
    rng = np.random.default_rng(0)
    time, event, group = rng.random(100_000), rng.random(100_000) < 0.6, np.arange(100_000) % 5
    began = clock.process_time()
    found = logrank(time, event, group, strata=np.arange(100_000) // 2 % 20_000)
    # Looking at all of them again at every event took 25 s.
    assert clock.process_time() - began < 5
    assert found.df == 4
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 4))


def test_nobody_is_no_comparison() -> None:
    assert logrank([], [], []) is None


def test_an_unknown_time_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        logrank([1, np.nan, 3, 4], [1, 1, 1, 1], ["a", "b", "a", "b"])
    with pytest.raises(ValueError, match="shapes"):
        logrank([1, 2], [1], ["a", "b"])


def test_a_known_example_by_hand() -> None:
    # Events at 1 (a), 2 (b), 3 (a); 2 + 2 at risk, then 1 + 2, then 1 + 1.
    found = logrank([1, 2, 3, 4], [1, 1, 1, 0], ["a", "b", "a", "b"])
    excess = 2 - (1 / 2 + 1 / 3 + 1 / 2)
    variance = 1 / 4 + 2 / 9 + 1 / 4
    assert found.statistic == pytest.approx(excess**2 / variance)
