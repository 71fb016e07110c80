"""Two groups of values: against groups that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.statistics.two_groups import TwoGroups, two_groups


def drawn(groups: TwoGroups, n: int, seed: int = 0) -> np.ndarray:
    """As many values of two normal curves."""
    rng = np.random.default_rng(seed)
    n_upper = round(n * groups.upper_frac)
    lower = rng.normal(groups.lower_mean, groups.lower_deviation, n - n_upper)
    return np.r_[lower, rng.normal(groups.upper_mean, groups.upper_deviation, n_upper)]


@given(
    upper_frac=st.floats(0.1, 0.9),
    lower=st.floats(-5, 5),
    apart=st.floats(4.0, 8.0),
    deviation=st.floats(0.4, 1.2),
)
@settings(max_examples=25, deadline=None)
def test_known_groups_are_found(upper_frac, lower, apart, deviation) -> None:
    known = TwoGroups(upper_frac, lower, deviation, lower + apart * deviation, deviation)
    found = two_groups(drawn(known, 20_000), least_deviation=0.1)
    assert found.upper_frac == pytest.approx(upper_frac, abs=0.02)
    assert found.lower_mean == pytest.approx(known.lower_mean, abs=0.1)
    assert found.upper_mean == pytest.approx(known.upper_mean, abs=0.1)
    assert found.apart == pytest.approx(apart, rel=0.1)


def test_ashmans_distance_and_the_place_between() -> None:
    alike = TwoGroups(0.5, -1.0, 0.5, 2.0, 0.5)
    assert alike.apart == pytest.approx(6.0)
    assert alike.between == pytest.approx(0.5)
    # Of unequal groups the larger one takes more: where p·exp(−(x − 2)²/2) = (1 − p)·exp(−x²/2).
    assert TwoGroups(0.8, 0.0, 1.0, 2.0, 1.0).between == pytest.approx(1 - math.log(4) / 2)


def test_where_one_group_leads_everywhere_the_place_is_an_end() -> None:
    assert TwoGroups(0.001, 0.0, 1.0, 1.0, 1.0).between == 1.0
    assert TwoGroups(0.999, 0.0, 1.0, 1.0, 1.0).between == 0.0


def test_one_group_is_not_two() -> None:
    one = two_groups(np.random.default_rng(3).normal(0, 1, 20_000), least_deviation=0.1)
    assert one.apart < 2


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=30))
@settings(deadline=None)
def test_any_values_give_finite_groups(values) -> None:
    found = two_groups(np.array(values), least_deviation=0.25)
    assert 0 < found.upper_frac < 1
    assert min(found.lower_deviation, found.upper_deviation) >= 0.25
    assert np.isfinite([found.lower_mean, found.upper_mean, found.apart, found.between]).all()
