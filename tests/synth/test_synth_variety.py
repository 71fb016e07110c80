from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria.score import Score
from her2path.geometry import Region
from her2path.synth import draw_field
from her2path.synth.recipe import common_denominator
from her2path.synth.scene import Scene
from her2path.synth.truth import score_of, tally_of
from her2path.synth.variety import random_laboratory, random_mix, random_recipe


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_any_random_recipe_and_laboratory_is_valid_and_the_same_for_the_same_seed(seed) -> None:
    first, again = np.random.default_rng(seed), np.random.default_rng(seed)
    assert random_recipe(first) == random_recipe(again)
    assert random_laboratory(first) == random_laboratory(again)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_a_random_mix_is_met_by_two_hundred_cells(seed) -> None:
    mix = random_mix(np.random.default_rng(seed))
    assert 200 % common_denominator(mix) == 0
    assert sum(entry.share for entry in mix) == pytest.approx(1, abs=1e-12)


def test_the_asked_resolution_is_kept() -> None:
    assert random_laboratory(np.random.default_rng(1), mpp=0.5).mpp == 0.5


@pytest.mark.slow
def test_random_recipes_reach_every_score() -> None:
    rng = np.random.default_rng(11)
    found = set()
    for seed in range(24):
        recipe = random_recipe(rng, width_um=150, height_um=150)
        field = draw_field(recipe, random_laboratory(rng, mpp=1.0), seed=seed)
        found.add(score_of(tally_of(field.truth.cells)))
    assert {Score.ZERO, Score.TWO_PLUS, Score.THREE_PLUS} <= found


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_any_scene_is_the_same_whatever_its_tiles_and_their_order(
    seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    side_um = data.draw(st.integers(80, 160))
    recipe = random_recipe(rng, width_um=side_um, height_um=side_um)
    laboratory = random_laboratory(rng, mpp=data.draw(st.sampled_from([0.17, 0.25, 0.5])))
    side = round(side_um / laboratory.mpp)
    frame = Region(0, 0, side, side)
    whole, maps = Scene(recipe, seed=seed).render_with_maps(frame, laboratory)
    cut = st.lists(st.integers(1, side - 1), max_size=2, unique=True).map(sorted)
    xs, ys = ([0, *data.draw(cut), side] for _ in range(2))
    pieces = [
        Region(left, top, right - left, bottom - top)
        for left, right in pairwise(xs)
        for top, bottom in pairwise(ys)
    ]
    scene = Scene(recipe, seed=seed)
    for piece in data.draw(st.permutations(pieces)):
        there = piece.slices_within(frame)
        rgb, own = scene.render_with_maps(piece, laboratory)
        assert np.array_equal(rgb, whole[there])
        for name in ("tissue", "tumor", "membrane", "artefacts"):
            assert np.array_equal(getattr(own, name), getattr(maps, name)[there])
