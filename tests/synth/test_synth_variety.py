import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria.score import Score
from her2path.synth import draw_field
from her2path.synth.recipe import common_denominator
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
