"""Intervals where cells resemble each other over more than a block."""

import numpy as np
import pytest

from her2path.statistics.clustered import estimate_share
from her2path.statistics.neighborhoods import (
    BLOCK_UM,
    Neighborhoods,
    cautious_share,
    neighborhoods_of,
    share_of_blocks,
)

CELLS_PER_MM2, SHARE = 1350.0, 0.1


def slide(n_cells, nest_um, correlation, rng):
    """Draw a square of tumor whose nests have shares of their own: points, sizes, neighborhoods."""
    side = 1000 * np.sqrt(n_cells / CELLS_PER_MM2)
    place = rng.uniform(0, side, (rng.poisson(n_cells), 2))
    steps = np.arange(-0.5, side / nest_um + 1) * nest_um
    centres = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.35, 0.35, centres.shape) * nest_um
    nest = ((place[:, None] - centres[None]) ** 2).sum(axis=-1).argmin(axis=1)
    more = 1 / correlation - 1
    own = rng.beta(SHARE * more, (1 - SHARE) * more, len(centres))
    is_stained = rng.random(len(place)) < own[nest]
    blocks = np.floor(place / BLOCK_UM).astype(np.int64)
    found, index = np.unique(blocks, axis=0, return_inverse=True)
    index = index.ravel()
    wider = neighborhoods_of(*(found.T + 0.5) * BLOCK_UM)
    return np.bincount(index, weights=is_stained), np.bincount(index), wider


def coverage(n_cells, nest_um, *, estimate, n_slides=200):
    rng = np.random.default_rng([n_cells, int(nest_um)])
    held = 0
    for _ in range(n_slides):
        points, sizes, wider = slide(n_cells, nest_um, 0.156, rng)
        held += SHARE in estimate(points, sizes, wider).interval()
    return held / n_slides


def test_wide_blocks_hold_each_block_once_in_every_way_they_are_laid():
    x, y = (v.ravel() * BLOCK_UM + 10 for v in np.meshgrid(np.arange(8), np.arange(4)))
    for wide, n_wide in zip(neighborhoods_of(x, y), (8, 2), strict=True):
        assert len(wide.layings) == 4
        assert np.bincount(wide.layings[0]).tolist() == [32 // n_wide] * n_wide
        assert all(len(labels) == 32 for labels in wide.layings)
        # Half a width aside, those at the rims are narrower.
        assert len(np.unique(wide.layings[3])) > n_wide


def test_neighbors_that_are_alike_widen_the_interval():
    x, y = (v.ravel() * BLOCK_UM for v in np.meshgrid(np.arange(16), np.arange(16)))
    wider, sizes = neighborhoods_of(x, y), np.full(256, 50)
    together = np.where((x // 1000 + y // 1000) % 2 == 0, 10, 0)
    apart = np.random.default_rng(0).permutation(together)
    narrow, wide = (share_of_blocks(p, sizes, wider).interval().width for p in (apart, together))
    assert wide > 2 * narrow
    # Nobody could tell without knowing where the blocks lie.
    assert share_of_blocks(together, sizes) == share_of_blocks(apart, sizes)


def test_few_blocks_are_not_taken_together():
    x, y = (v.ravel() * BLOCK_UM for v in np.meshgrid(np.arange(3), np.arange(3)))
    points, sizes = [20, 18, 1, 19, 20, 2, 1, 0, 1], [30] * 9
    assert share_of_blocks(points, sizes, neighborhoods_of(x, y)) == share_of_blocks(points, sizes)


def test_a_share_of_nothing_and_of_all_has_no_scatter():
    x, y = np.arange(30) * BLOCK_UM, np.zeros(30)
    for points in (0, 40):
        found = share_of_blocks(np.full(30, points), np.full(30, 40), neighborhoods_of(x, y))
        assert found == estimate_share(np.full(30, points), np.full(30, 40))


@pytest.mark.slow
def test_nests_like_drawn_ones_and_twice_as_wide_are_held():
    found = {nest: coverage(5000, nest, estimate=share_of_blocks) for nest in (170.0, 350.0)}
    assert all(0.91 <= held <= 0.99 for held in found.values()), found


@pytest.mark.slow
def test_blocks_alone_do_not_hold_wide_nests():
    def alone(points, sizes, _wider):
        return cautious_share(points, sizes)

    assert coverage(5000, 600.0, estimate=alone) < 0.72
    assert 0.72 < coverage(5000, 600.0, estimate=share_of_blocks) < 0.92


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_way_to_lay_wide_blocks_that_knows_least_sets_the_degrees_of_freedom(order):
    # Two halves that differ: as sixteen wide blocks in one way, as eight in the other.
    layings = (np.arange(32) // 2, np.arange(32) // 4)
    wide = Neighborhoods(2 * BLOCK_UM, tuple(layings[k] for k in order))
    found = share_of_blocks(np.repeat([8, 2], 16), np.full(32, 10), (wide,))
    assert found.df == pytest.approx(7)
