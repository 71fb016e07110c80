"""What lies in `models/` is whole, small enough, described and carded."""

import pytest

from her2path.models.description import CARD_FILE, WEIGHTS_FILE, verify_folder
from her2path.models.shipped import FoundModel, list_models
from her2path.models.training_recipe import read_training_recipe

MAX_SHIPPED_BYTES = 20 * 2**20


def shipped_models() -> list[FoundModel]:
    found = [model for model in list_models() if model.origin == "shipped"]
    assert found, "no network ships"
    return found


def test_every_shipped_model_is_whole_small_and_carded() -> None:
    for model in shipped_models():
        description = verify_folder(model.folder)
        assert description.name == model.name
        assert description.files[WEIGHTS_FILE].size <= MAX_SHIPPED_BYTES
        assert CARD_FILE in description.files
        assert description.metrics, "say what it was measured on"
        assert description.data.seeds, "say how it can be made again"


@pytest.mark.parametrize("name", ["adapt", "widen"])
def test_recipes_that_go_on_have_the_design_of_the_network_that_ships(name: str) -> None:
    recipe = read_training_recipe(name)
    for model in shipped_models():
        assert recipe.backbone == model.describe().architecture.name
