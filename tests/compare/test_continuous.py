"""Intervals of changes: how far they reach where faint cells are missed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.compare.bands import DISTANCE, Band, default_bands
from her2path.compare.continuous import changes_of, p_of_places, reaching_further
from her2path.statistics.intervals import Interval
from her2path.statistics.paired import BlockRatio, permuted_labels

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


@pytest.mark.parametrize("n_stained", [3, 5, 10])
def test_densities_of_few_stained_cells_rarely_differ_by_chance(n_stained: int) -> None:
    # Dealt out among 40 blocks of which most hold none, three cells differed in 24 % of pairs.
    rng = np.random.default_rng(n_stained)
    labels = permuted_labels(40, 40, 1999, rng)

    def side(n_cells: int) -> BlockRatio:
        block, values = rng.integers(0, 40, n_cells), rng.normal(0.3, 0.1, n_cells)
        sums = [np.bincount(block, w, 40) for w in (values, np.ones(n_cells), values**2)]
        return BlockRatio(*sums, is_share=False)

    p = [p_of_places(side(n_stained), side(500), labels, seed=seed) for seed in range(150)]
    # 5 % of 150, and three standard errors more.
    assert np.mean(np.array(p) <= 0.05) < 0.105


def test_a_density_of_no_cell_or_one_has_no_p() -> None:
    none = BlockRatio(np.zeros(9), np.zeros(9), np.zeros(9), is_share=False)
    one = BlockRatio(np.eye(9)[3] * 0.3, np.eye(9)[3], np.eye(9)[3] * 0.09, is_share=False)
    some = BlockRatio(np.full(9, 3.0), np.full(9, 10.0), np.full(9, 0.95), is_share=False)
    labels = permuted_labels(9, 9, 99, np.random.default_rng(0))
    for few in (none, one):
        assert math.isnan(p_of_places(few, some, labels, seed=0))
        assert math.isnan(p_of_places(few, few, labels, seed=0))
    assert p_of_places(some, some, labels, seed=0) == 1
