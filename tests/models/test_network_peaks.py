"""Peaks of drawn bumps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from her2path.cells.network_maps import nucleus_peaks
from her2path.models.augment import CENTRE_SIGMA_UM, centre_bumps
from her2path.statistics.matching import match_points


@given(seed=st.integers(0, 10_000), n=st.integers(0, 12))
def test_bumps_far_enough_apart_are_each_found_where_they_are(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    # One point in each of n squares, away from their borders.
    squares = rng.permutation(16)[:n]
    x = (squares % 4 * 32 + rng.uniform(8, 24, n)).astype(np.float32)
    y = (squares // 4 * 32 + rng.uniform(8, 24, n)).astype(np.float32)
    bumps = centre_bumps(x, y, 128, CENTRE_SIGMA_UM / 0.5)
    found_x, found_y, strength = nucleus_peaks(bumps, bumps, mpp=0.5)
    assert len(found_x) == n
    found = np.column_stack([found_x + 0.5, found_y + 0.5])
    pairs, _ = match_points(np.column_stack([x, y]), found, reach=1.5)
    assert len(pairs) == n
    assert (strength > 0.5).all()


def test_an_empty_plane_has_no_nuclei() -> None:
    nothing = np.zeros((32, 32), np.uint8)
    assert all(len(part) == 0 for part in nucleus_peaks(nothing, nothing, mpp=0.5))
