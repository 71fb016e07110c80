"""Intervals of changes: how far they reach where faint cells are missed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.compare.bands import DISTANCE, Band, default_bands
from her2path.compare.continuous import changes_of, reaching_further
from her2path.statistics.intervals import Interval

percents = st.floats(-100, 100)


@given(ends=st.tuples(percents, percents).map(sorted), least_found=st.floats(0.1, 1.0))
def test_an_interval_reaches_outwards_only_and_no_further_than_all_cells(
    ends: list[float], least_found: float
) -> None:
    given_, found = Interval(*ends), reaching_further(Interval(*ends), least_found)
    assert found is not None
    assert -100 <= found.lower <= given_.lower
    assert given_.upper <= found.upper <= 100
    nearest = min(abs(given_.lower), abs(given_.upper))
    if 0 not in given_:
        assert min(abs(found.lower), abs(found.upper)) == nearest


@given(ends=st.tuples(percents, percents).map(sorted), band=st.floats(0.1, 50))
def test_what_clears_a_band_is_the_same(ends: list[float], band: float) -> None:
    limits = Band(band=band, sw=1.0, unit="%", ci95=None, n_subjects=9, df=9)
    interval = Interval(*ends)
    assert limits.is_cleared_by(interval) == limits.is_cleared_by(reaching_further(interval, 0.65))


def test_a_loss_read_at_two_thirds_is_held() -> None:
    found = reaching_further(Interval(-29.7, -14.6), 0.65)
    assert found is not None
    assert -40 in found
    assert found.upper == pytest.approx(-14.6)
    assert reaching_further(None, 0.65) is None


def test_no_interval_leaves_what_a_measure_can_change_by() -> None:
    # Draws plus the error of an adjustment may lie beyond the whole scale.
    assert reaching_further(Interval(-112.0, -101.0), 1.0) == Interval(-100.0, -100.0)
    assert reaching_further(Interval(80.0, 310.0), 1.0, most=300.0) == Interval(80.0, 300.0)
    assert reaching_further(Interval(-400.0, 0.2), 1.0, most=math.inf) == Interval(-400.0, 0.2)


def test_a_distance_that_may_be_chance_runs_from_zero_to_what_scatter_may_hide(make_cells) -> None:
    # The same cells on both sides: they are not apart, but other cells of such tumors would be.
    cells = make_cells([0] * 60 + [1] * 60 + [3] * 60, block=np.arange(180) % 12)
    found = changes_of((), (cells, cells), default_bands(), also=None, adjustment=None, seed=0)
    distance = found[DISTANCE]
    assert distance.change == 0
    assert distance.p_permutation == 1
    assert distance.ci95.lower == 0
    assert 0.05 < distance.ci95.upper < 1


def test_a_distance_beyond_chance_has_an_interval_without_the_bias_of_scatter(make_cells) -> None:
    # All cells two classes apart, in every block: what scatter adds to a distance is taken out.
    cells = [make_cells([level] * 240, block=np.arange(240) % 24) for level in (1, 3)]
    found = changes_of((), cells, default_bands(), also=None, adjustment=None, seed=0)
    distance = found[DISTANCE]
    assert distance.change == 2
    assert distance.p_permutation == pytest.approx(1 / 2000)
    assert 1.8 < distance.ci95.lower <= 2 <= distance.ci95.upper < 2.2
