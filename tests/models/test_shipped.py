"""What lies in `models/` is whole, small enough, described and carded."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from her2path.errors import ModelError
from her2path.models.checkpoint import recalibrate
from her2path.models.description import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCalibration,
    verify_folder,
)
from her2path.models.shipped import MODELS_VARIABLE, list_models, shipped_models
from her2path.models.training_recipe import read_training_recipe
from her2path.pipeline.network import find_network, reader_of

MAX_SHIPPED_BYTES = 20 * 2**20


def test_every_shipped_model_is_whole_small_and_carded() -> None:
    assert shipped_models(), "no network ships"
    for model in shipped_models():
        description = verify_folder(model.folder)
        assert description.name == model.name
        assert description.files[WEIGHTS_FILE].size <= MAX_SHIPPED_BYTES
        assert CARD_FILE in description.files
        assert description.metrics, "say what it was measured on"
        assert description.data.seeds, "say how it can be made again"


def test_the_fingerprint_of_every_shipped_model_is_written_down() -> None:
    written = (Path(__file__).parents[2] / "models/README.md").read_text(encoding="utf-8")
    for model in shipped_models():
        assert f"| `{model.name}` | `{verify_folder(model.folder).fingerprint}` |" in written


@pytest.mark.parametrize("name", ["adapt", "widen"])
def test_recipes_that_go_on_have_the_design_of_the_network_that_ships(name: str) -> None:
    recipe = read_training_recipe(name)
    for model in shipped_models():
        assert recipe.backbone == model.describe().architecture.name


def test_an_own_model_of_the_same_name_does_not_hide_the_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shipped,) = shipped_models()
    shutil.copytree(shipped.folder, tmp_path / shipped.name)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    assert find_network("auto").folder == shipped.folder
    assert find_network(shipped.name).folder == tmp_path / shipped.name


def test_a_network_that_was_changed_in_a_run_is_not_used_under_its_old_name(
    tmp_path: Path,
) -> None:
    shutil.copytree(shipped_models()[0].folder, tmp_path / "model")
    use = find_network(str(tmp_path / "model"), device="cpu")
    recalibrate(tmp_path / "model", ModelCalibration(temperature=2.0))
    with pytest.raises(ModelError, match="was changed while this run went on"):
        reader_of(use)


def test_what_others_keep_to_themselves_is_no_model_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "open" / "private").mkdir(parents=True)
    (tmp_path / "shut").mkdir()
    stat, listed = os.stat, Path.iterdir

    def denied_stat(path: os.PathLike[str], **options: object) -> os.stat_result:
        if "private" in Path(path).parts[:-1]:
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)

    def denied_list(path: Path) -> Iterator[Path]:
        if path.name == "shut":
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "stat", denied_stat)
    monkeypatch.setattr(Path, "iterdir", denied_list)
    places = [str(tmp_path / "open"), str(tmp_path / "shut")]
    monkeypatch.setenv(MODELS_VARIABLE, os.pathsep.join(places))
    assert list_models() == shipped_models()
    assert "shut of HER2PATH_MODELS cannot be read (Permission denied)" in caplog.text
