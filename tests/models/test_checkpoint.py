"""Checkpoint folders describe themselves, and damaged ones are refused."""

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from her2path.criteria import EXPRESSION_SCORES
from her2path.errors import ModelError
from her2path.models.checkpoint import (
    add_files,
    load_checkpoint,
    recalibrate,
    save_checkpoint,
)
from her2path.models.description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    Architecture,
    CodeVersion,
    ModelCalibration,
    ModelDescription,
    Normalisation,
    TrainingData,
    read_description,
    verify_folder,
)
from her2path.models.shipped import MODELS_VARIABLE, find_model, list_models

TENSORS = {
    "conv.weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2),
    "head.bias": torch.tensor([0.5], dtype=torch.bfloat16),
    "steps": torch.tensor(7),
}


def description(**changes: object) -> ModelDescription:
    parts = {
        "name": "tiny",
        "planes": ("nucleus", "membrane"),
        "tissue_classes": ("not_tissue", "other", "tumor"),
        "scores": EXPRESSION_SCORES,
        "mpp": 0.5,
        "mpp_range": (0.1, 0.7),
        "normalisation": Normalisation(mean=(0.8, 0.7, 0.8), std=(0.2, 0.2, 0.2)),
        "architecture": Architecture(
            name="unet", parameters={"width": 16, "is_deep": True, "depths": (1, 2), "p": 0.1}
        ),
        "data": TrainingData(summary="Drawn fields.", seeds=(1, 2), n_pictures=10),
        "code": CodeVersion(version="0.1.0", commit="abc"),
        "metrics": {"nucleus_f1": 0.9},
    }
    return ModelDescription.model_validate(parts | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    save_checkpoint(path, TENSORS, description(), files={CARD_FILE: b"# Tiny\n"})
    return path


def test_tensors_and_description_come_back_as_they_were(folder: Path) -> None:
    found = load_checkpoint(folder)
    assert set(found.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert found.description.model_copy(update={"files": {}}) == description()
    assert set(found.description.files) == {WEIGHTS_FILE, CARD_FILE}
    assert not found.has_onnx


@settings(deadline=None, max_examples=40)
@given(
    low=st.floats(0.06, 0.5),
    high=st.floats(0.5, 4),
    temperature=st.floats(0.01, 100),
    coverage=st.floats(0.5, 0.99),
    parameter=st.one_of(
        st.booleans(), st.integers(-9, 9), st.text(max_size=5), st.tuples(st.integers(0, 9))
    ),
    seeds=st.lists(st.integers(0, 2**40), max_size=3).map(tuple),
)
def test_any_description_survives_json(
    low: float,
    high: float,
    temperature: float,
    coverage: float,
    parameter: object,
    seeds: tuple[int, ...],
) -> None:
    value = description(
        mpp_range=(low, high),
        calibration=ModelCalibration(
            temperature=temperature,
            shifts=(-1.0, 0.0, 1.0, 2.5),
            plane_cuts={"tumor": 0.75},
            coverage=coverage,
            conformal_quantile=0.8,
        ),
        architecture=Architecture(name="unet", parameters={"p": parameter}),
        data=TrainingData(summary="", seeds=seeds),
    )
    again = ModelDescription.model_validate_json(value.model_dump_json())
    assert again == value
    assert again.fingerprint == value.fingerprint


def test_weights_on_views_and_shared_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    save_checkpoint(tmp_path / "m", {"a": whole.T, "b": whole, "c": whole[1]}, description())
    found = load_checkpoint(tmp_path / "m").tensors
    assert torch.equal(found["a"], whole.T)
    assert torch.equal(found["c"], whole[1])


def test_a_changed_byte_is_found(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"not the file that model\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, DESCRIPTION_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_checkpoint(folder)


def test_a_truncated_and_a_grown_file_are_refused(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(ModelError, match="not the file"):
        load_checkpoint(folder)
    path.write_bytes(data + bytes(1000))
    with pytest.raises(ModelError, match="larger than"):
        load_checkpoint(folder)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_with_a_right_hash_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "m"
    save_checkpoint(folder, TENSORS, description())
    data = pickle.dumps(Bomb())
    (folder / WEIGHTS_FILE).write_bytes(data)
    from her2path.models.description import digest_of

    document = json.loads((folder / DESCRIPTION_FILE).read_text())
    document["files"][WEIGHTS_FILE] = digest_of(data).model_dump()
    (folder / DESCRIPTION_FILE).write_text(json.dumps(document))
    with pytest.raises(ModelError, match="safetensors"):
        load_checkpoint(folder)
    assert not (tmp_path / "exploded").exists()


def test_a_file_outside_the_folder_cannot_be_listed(folder: Path) -> None:
    document = json.loads((folder / DESCRIPTION_FILE).read_text())
    document["files"]["../secret"] = document["files"][WEIGHTS_FILE]
    (folder / DESCRIPTION_FILE).write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"files.*secret"):
        read_description(folder)


def test_a_huge_description_is_not_read(folder: Path) -> None:
    (folder / DESCRIPTION_FILE).write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ModelError, match="larger than"):
        read_description(folder)


def test_all_faults_of_a_description_are_listed(folder: Path) -> None:
    document = json.loads((folder / DESCRIPTION_FILE).read_text())
    document |= {"mpp": -1, "colour": "blue", "name": "No Good"}
    (folder / DESCRIPTION_FILE).write_text(json.dumps(document))
    with pytest.raises(ModelError, match="3 faults") as caught:
        read_description(folder)
    for word in ("mpp", "colour", "name"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"mpp_range": (0.6, 0.7)},
        {"planes": ("nucleus", "nucleus")},
        {"scores": ("0", "3+")},
        {"metrics": {"f1": float("nan")}},
        {"files": {DESCRIPTION_FILE: {"size": 1, "sha256": "0" * 64}}},
        {"format": 2},
    ],
)
def test_a_description_that_contradicts_itself_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        description(**changes)


@pytest.mark.parametrize(
    "parts",
    [
        {"shifts": (0.0, 1.0)},
        {"plane_cuts": {"stroma": 0.5}},
        {"plane_cuts": {"tumor": 1.0}},
        {"coverage": 0.9},
        {"temperature": 0.0},
    ],
)
def test_a_calibration_that_makes_no_sense_cannot_be_made(parts: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelCalibration(**parts)


def test_a_pixel_size_outside_the_range_is_refused_with_the_remedy() -> None:
    description().check_mpp(0.25)
    with pytest.raises(ModelError, match="--model none"):
        description().check_mpp(1.0)


def test_a_checkpoint_is_replaced_only_when_asked(folder: Path) -> None:
    with pytest.raises(ModelError, match="is there already"):
        save_checkpoint(folder, TENSORS, description())
    save_checkpoint(folder, {"a": torch.ones(2)}, description(name="new"), overwrite=True)
    found = load_checkpoint(folder)
    assert set(found.tensors) == {"a"}
    assert found.description.name == "new"
    assert [part.name for part in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("name", ["notes.txt", ".notes", ".git/config"])
def test_a_folder_with_other_things_is_never_replaced(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(ModelError, match=re.escape(name.partition("/")[0])):
        save_checkpoint(folder, TENSORS, description(), overwrite=True)
    assert load_checkpoint(folder).description.name == "tiny"
    assert (folder / name).read_text() == "mine"


def test_a_failed_save_leaves_the_old_checkpoint_and_no_litter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from her2path.models import checkpoint

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        save_checkpoint(folder, {"a": torch.ones(2)}, description(), overwrite=True)
    monkeypatch.undo()
    assert set(load_checkpoint(folder).tensors) == set(TENSORS)
    assert [part.name for part in folder.parent.iterdir()] == ["tiny"]


def test_a_kill_while_a_model_is_replaced_leaves_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from her2path.models import checkpoint
    from her2path.results.atomic import remove_leftovers

    rename, moved = os.rename, []

    def killed_after_one(source: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        rename(source, target)

    monkeypatch.setattr(checkpoint.os, "rename", killed_after_one)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, {"a": torch.ones(2)}, description(), overwrite=True)
    monkeypatch.undo()
    remove_leftovers(folder.parent)
    (left,) = folder.parent.iterdir()
    assert set(load_checkpoint(left).tensors) == set(TENSORS)


def test_files_are_added_and_verified_beside_the_same_weights(folder: Path) -> None:
    before = read_description(folder).fingerprint
    add_files(folder, {CARD_FILE: b"# New card\n"})
    assert read_description(folder).fingerprint == before
    add_files(folder, {ONNX_FILE: b"onnx"})
    found = load_checkpoint(folder)
    assert found.read_onnx() == b"onnx"
    assert (folder / CARD_FILE).read_bytes() == b"# New card\n"
    # It is what a processor runs.
    assert found.description.fingerprint != before
    (folder / ONNX_FILE).write_bytes(b"xxxx")
    with pytest.raises(ModelError, match=r"model\.onnx"):
        found.read_onnx()
    with pytest.raises(ModelError, match="1 fault"):
        verify_folder(folder)


def test_another_calibration_keeps_the_weights_and_changes_the_fingerprint(folder: Path) -> None:
    before = read_description(folder)
    calibration = ModelCalibration(temperature=1.5, coverage=0.9, conformal_quantile=0.7)
    recalibrate(folder, calibration, metrics={"coverage": 0.91})
    found = load_checkpoint(folder)
    assert found.description.calibration == calibration
    assert found.description.metrics == before.metrics | {"coverage": 0.91}
    assert found.description.files == before.files
    assert found.description.fingerprint != before.fingerprint
    assert set(found.tensors) == set(TENSORS)


def test_a_name_with_a_folder_in_it_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="plain file names"):
        save_checkpoint(tmp_path / "m", TENSORS, description(), files={"../x": b""})
    assert list(tmp_path.iterdir()) == []


def test_verifying_finds_strangers(folder: Path) -> None:
    assert verify_folder(folder).name == "tiny"
    for name in (".DS_Store", "Thumbs.db"):
        (folder / name).write_text("left by a system that looked at the folder")
    assert verify_folder(folder).name == "tiny"
    (folder / "extra.py").write_text("")
    with pytest.raises(ModelError, match=r"extra\.py is not part"):
        verify_folder(folder)


def test_a_card_put_beside_a_model_belongs_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    save_checkpoint(folder, TENSORS, description())
    (folder / CARD_FILE).write_text("# Learned from a public set\n")
    assert verify_folder(folder).name == "tiny"
    recalibrate(folder, ModelCalibration(temperature=1.5))
    assert CARD_FILE in verify_folder(folder).files
    assert (folder / CARD_FILE).read_text() == "# Learned from a public set\n"


def test_what_earlier_weights_learned_from_is_not_forgotten() -> None:
    earlier = TrainingData(
        summary="", sources=("a.csv",), n_pictures=5, n_annotated=4, n_patients=3
    )
    own = TrainingData(summary="s", laboratories=("L",), n_pictures=2)
    both = own.with_earlier([earlier])
    assert (both.summary, both.sources, both.laboratories) == ("s", ("a.csv",), ("L",))
    assert (both.n_pictures, both.n_annotated, both.n_patients) == (7, 4, 3)
    assert own.with_earlier([]) == own


def test_own_models_are_found_by_name_and_by_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(folder.parent))
    found = find_model("tiny")
    assert (found.folder, found.origin) == (folder, "own")
    assert found in list_models()
    assert found.describe().name == "tiny"
    monkeypatch.delenv(MODELS_VARIABLE)
    assert find_model(str(folder)).folder == folder
    monkeypatch.chdir(folder.parent)
    assert find_model("./tiny").folder == folder


@pytest.mark.parametrize("name", ["", "none", "no-such", "./no-such"])
def test_an_unknown_model_is_an_error_that_lists_the_known_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(folder.parent))
    with pytest.raises(ModelError, match=r"known are: .*tiny"):
        find_model(name)


def test_the_first_place_wins_and_missing_places_do_not_matter(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    save_checkpoint(second / "tiny", TENSORS, description())
    places = [str(tmp_path / "absent"), str(second), str(folder.parent)]
    monkeypatch.setenv(MODELS_VARIABLE, os.pathsep.join(places))
    assert find_model("tiny").folder == second / "tiny"


def test_a_link_to_a_model_stays_one_and_what_it_leads_to_is_written(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "places").mkdir()
    link = tmp_path / "places" / "site-a"
    link.symlink_to(folder)
    recalibrate(link, ModelCalibration(temperature=1.5))
    assert link.is_symlink()
    assert read_description(folder).calibration.temperature == 1.5
    assert [part.name for part in link.parent.iterdir()] == ["site-a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names here")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()
    os.mkfifo(folder / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="no plain file"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "changes", [{"planes": ("\x1b[31mred",)}, {"metrics": {"a\nb": 1.0}}, {"planes": ("a\x9b",)}]
)
def test_what_a_terminal_would_obey_is_no_word(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        description(**changes)
