import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.statistics.balance import difference_of_means, difference_of_shares

counts = st.lists(st.integers(0, 40), min_size=4, max_size=4)


def test_means_one_standard_deviation_apart():
    values = np.random.default_rng(0).normal(size=500)
    assert difference_of_means(values, values + values.std(ddof=1)) == pytest.approx(1)


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("q", [0.2, 0.7])
def test_two_categories_are_austins_formula(p: float, q: float):
    # Austin 2009, 10.1002/sim.3697: |p − q| over the root of the mean variance.
    expected = abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    found = difference_of_shares([100 * p, 100 * (1 - p)], [100 * q, 100 * (1 - q)])
    assert found == pytest.approx(expected)


@given(counts, counts, st.permutations(range(4)))
def test_the_order_of_categories_and_groups_changes_nothing(a, b, order):
    found = difference_of_shares(a, b)
    for other in (
        difference_of_shares(b, a),
        difference_of_shares([a[k] for k in order], [b[k] for k in order]),
    ):
        assert (found is None) == (other is None)
        assert found is None or found == pytest.approx(other, rel=1e-6, abs=1e-6)


@given(counts)
def test_a_group_does_not_differ_from_itself(a):
    assert difference_of_shares(a, a) in (None, pytest.approx(0, abs=1e-6))


def test_what_cannot_be_told_is_none():
    assert difference_of_shares([0, 0], [1, 2]) is None
    assert difference_of_shares([5, 0], [0, 5]) is None
    assert difference_of_means([1], [1, 2]) is None
    assert difference_of_means([1, 1], [2, 2]) is None
    assert difference_of_means([1, 1], [1, 1]) == 0


def test_categories_must_match():
    with pytest.raises(ValueError, match="same categories"):
        difference_of_shares([1, 2], [1, 2, 3])


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1])
def test_groups_that_are_constant_and_alike_do_not_differ(value: float):
    # The mean of three times 0.1 is not 0.1 to the last bit.
    assert difference_of_means([value] * 3, [value] * 7) == 0
    assert difference_of_means([value] * 3, [value + 1] * 7) is None
