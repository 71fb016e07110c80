"""Slides of the pair study scatter round their tumor as its blocks do."""

import numpy as np
import pytest

from her2path.synth import RegionRecipe, SlideRecipe, mix_of


def blocks_of(n_blocks: int, n_cells: int) -> np.ndarray:
    return np.repeat(np.arange(n_blocks), n_cells)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_blocks_of_one_kind_correlate_fully_and_mixed_ones_not(study, share: float) -> None:
    block_correlation = study["pair_samples"].block_correlation
    rng = np.random.default_rng(1)
    block, n_cells = blocks_of(400, 25), np.full(400, 25)
    mixed = rng.random(block.size) < share
    by_block = (rng.random(400) < share)[block]
    assert block_correlation(block, n_cells, mixed) == pytest.approx(0, abs=0.02)
    assert block_correlation(block, n_cells, by_block) == 0.9


def test_correlation_of_beta_binomial_blocks_is_found(study) -> None:
    rng = np.random.default_rng(2)
    truth = 0.2
    own = rng.beta(0.3 * (1 / truth - 1), 0.7 * (1 / truth - 1), 3000)
    n_cells = rng.integers(20, 60, 3000)
    block = np.repeat(np.arange(3000), n_cells)
    is_stained = rng.random(block.size) < own[block]
    found = study["pair_samples"].block_correlation(block, n_cells, is_stained)
    assert found == pytest.approx(truth, abs=0.02)


def test_samples_scatter_round_the_tumor_as_their_blocks_say(study) -> None:
    rng = np.random.default_rng(3)
    block = blocks_of(16, 60)
    own = rng.beta(0.4 * 4, 0.6 * 4, 16)
    is_stained = rng.random(block.size) < own[block]
    samples = study["pair_samples"]
    correlation = samples.block_correlation(block, np.full(16, 60), is_stained)
    drawn = np.array(
        [
            samples.scattered_shares(np.array([0.6, 0.4]), block, is_stained, rng)
            for _ in range(2000)
        ]
    )
    assert drawn.sum(axis=1) == pytest.approx(1)
    assert drawn[:, 1].mean() == pytest.approx(0.4, abs=0.01)
    expected = 0.24 * (correlation + (1 - correlation) / 60) / 16
    assert drawn[:, 1].var() == pytest.approx(expected, rel=0.15)


def test_a_sample_of_drawn_tissue_has_whole_half_percents(study) -> None:
    mix = mix_of(none=0.6, faint_incomplete=0.3, weak_incomplete=0.1)
    recipe = SlideRecipe(width_um=600, height_um=600, regions=(RegionRecipe(mix=mix),))
    found = study["pair_samples"].sampled_mix(recipe, 5, np.random.default_rng(4))
    assert sum(entry.share for entry in found) == pytest.approx(1)
    assert all(entry.share * 200 == pytest.approx(round(entry.share * 200)) for entry in found)
    assert found != mix
    null = SlideRecipe(width_um=600, height_um=600, regions=(RegionRecipe(),))
    assert study["pair_samples"].sampled_mix(null, 5, np.random.default_rng(4)) == mix_of(none=1.0)
