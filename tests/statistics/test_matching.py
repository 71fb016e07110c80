"""Points are paired one to one, nearest first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.statistics.matching import match_points


def test_points_are_matched_one_to_one_nearest_first() -> None:
    places = np.array([[0.0, 0.0], [10.0, 0.0], [50.0, 0.0]])
    found = np.array([[1.0, 0.0], [0.5, 0.0], [12.0, 0.0], [54.0, 0.0]])
    i, j = match_points(places, found, reach=3.0)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 2)]


def test_no_point_matches_no_point() -> None:
    for n_known, n_found in [(0, 0), (0, 3), (3, 0)]:
        i, j = match_points(np.zeros((n_known, 2)), np.zeros((n_found, 2)), reach=3.0)
        assert len(i) == len(j) == 0


def test_a_shifted_copy_matches_itself() -> None:
    places = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2) * 10
    i, j = match_points(places, places[::-1] + 1.0, reach=3.0)
    assert len(i) == 400
    assert np.array_equal(i, 399 - j)


points = st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=15).map(
    lambda found: np.array(found, float).reshape(-1, 2)
)


@settings(deadline=None, max_examples=50)
@given(points, points)
def test_a_pair_is_near_and_nobody_is_in_two(a: np.ndarray, b: np.ndarray) -> None:
    i, j = match_points(a, b, reach=3.0)
    assert len(set(i.tolist())) == len(i)
    assert len(set(j.tolist())) == len(j)
    assert (np.hypot(*(a[i] - b[j]).T) <= 3.0 + 1e-9).all()
    back, forth = match_points(b, a, reach=3.0)
    assert len(back) == len(i)
    assert len(forth) == len(j)
