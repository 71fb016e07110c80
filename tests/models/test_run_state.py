"""What a run goes on from: damaged states, and those of another run, are refused by name."""

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load, save
from tiny_recipe import TINY

from her2path.errors import ModelError
from her2path.models.checkpoint import recalibrate
from her2path.models.curves import add_to_curves
from her2path.models.description import ModelCalibration
from her2path.models.distributed import Team
from her2path.models.run_state import STATE_FILE
from her2path.models.training import Run, TrainingOptions, train

SEED = 3
RECIPE = TINY.model_copy(update={"steps": 1, "validate_every": 1})


@pytest.fixture(scope="module")
def done(fields_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    options = TrainingOptions(out, fields=fields_folder, device="cpu", write_onnx=False)
    train(RECIPE, options, seed=SEED)
    return out


@pytest.fixture
def options(done: Path, fields_folder: Path, tmp_path: Path) -> TrainingOptions:
    """Of a run to go on with, in a folder of its own."""
    shutil.copytree(done, tmp_path / "run")
    return TrainingOptions(tmp_path / "run", fields=fields_folder, device="cpu", resume=True)


def rewrite(options: TrainingOptions, *, without: str = "", flat: str = "", **stamps: str) -> None:
    """Write the state again without a tensor, one flattened, or with other stamps; '' for none."""
    path = options.out / "state" / STATE_FILE
    data = path.read_bytes()
    stamp = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = {name: part for name, part in load(data).items() if name != without}
    tensors |= {name: part.flatten()[1:].clone() for name, part in tensors.items() if name == flat}
    path.write_bytes(save(tensors, {k: v for k, v in (stamp | stamps).items() if v}))


def restored(options: TrainingOptions, *, seed: int = SEED) -> Run:
    run = Run(RECIPE, options, Team.of_environment("cpu"), seed, lambda _: None)
    run.restore()
    return run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"without": "optimizer.3.exp_avg"}, "lacks parts of the run"),
        ({"without": "network.grade.bias"}, "lacks parts of the run"),
        ({"flat": "optimizer.0.exp_avg"}, "lacks parts of the run"),
        ({"counters": '{"step": "many"}'}, "cannot be read"),
        ({"recipe": "{"}, "cannot be read"),
        ({"recipe": "[" * 100_000}, "cannot be read"),
        ({"recipe": ""}, "cannot be read"),
        ({"identity": "[1]"}, "cannot be read"),
    ],
)
def test_a_damaged_state_is_refused_with_the_remedy(
    options: TrainingOptions, change: dict[str, str], message: str
) -> None:
    rewrite(options, **change)
    with pytest.raises(ModelError, match=rf"{message}[\s\S]*start a new run"):
        restored(options)


def test_a_run_that_lost_its_state_is_told_what_helps(options: TrainingOptions) -> None:
    shutil.rmtree(options.out / "state")
    with pytest.raises(ModelError, match="go on with --resume, or choose another folder"):
        train(RECIPE, dataclasses.replace(options, resume=False), seed=SEED)
    with pytest.raises(ModelError, match=r"nothing can go on: start a new run, in another folder"):
        train(RECIPE, options, seed=SEED)


def test_going_on_with_other_pictures_is_refused(options: TrainingOptions, tmp_path: Path) -> None:
    for name in ("2+", "3+"):
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        grey = np.full((64, 64, 3), 200, np.uint8)
        cv2.imwrite(str(tmp_path / "set" / "train" / name / "a.png"), grey)
    other = dataclasses.replace(options, sources=(f"folders:{tmp_path / 'set'}",), sources_mpp=0.5)
    with pytest.raises(ModelError, match="another split of pictures: give the same"):
        train(RECIPE, other, seed=SEED)


def test_going_on_from_another_start_is_refused(options: TrainingOptions, done: Path) -> None:
    other = dataclasses.replace(options, start_from=str(done / "model"))
    with pytest.raises(ModelError, match="another network to start from: give the same"):
        restored(other)


def test_a_refused_run_leaves_the_recipe_as_it_was(options: TrainingOptions) -> None:
    longer = RECIPE.model_copy(update={"steps": 8})
    with pytest.raises(ModelError, match="another recipe"):
        train(longer, options, seed=SEED)
    assert json.loads((options.out / "recipe.json").read_text("utf-8"))["steps"] == RECIPE.steps


def test_a_state_that_names_no_seed_or_no_start_goes_on(options: TrainingOptions) -> None:
    rewrite(options, identity="")
    assert restored(options, seed=4).step == RECIPE.steps
    rewrite(options, identity='{"seed": "3"}')
    assert restored(options).step == RECIPE.steps
    with pytest.raises(ModelError, match="another seed"):
        restored(options, seed=4)


def test_curves_of_a_run_that_comes_to_a_step_again_hold_it_once(tmp_path):
    for step, loss in ((100, 3.0), (200, 2.0), (200, 1.5), (300, 1.0)):
        add_to_curves(tmp_path, step, {"loss": loss})
    rows = (tmp_path / "curves.csv").read_text(encoding="utf-8").split()
    assert rows == ["step,loss", "100,3.0", "200,1.5", "300,1.0"]


def test_what_a_killed_run_left_is_cleared_away(options: TrainingOptions) -> None:
    (options.out / ".her2path-0123456789abcdef").mkdir()
    (options.out / "state" / ".her2path-0123456789abcdef.safetensors").touch()
    train(RECIPE, options, seed=SEED)
    assert not list(options.out.rglob(".her2path-*"))


@pytest.mark.parametrize("end", ["steps", "patience", "minutes"])
def test_going_on_with_a_run_that_is_over_changes_nothing(
    end: str, fields_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {
        "steps": {"steps": 1},
        "patience": {"steps": 9, "patience": 1},
        "minutes": {"steps": 9, "max_minutes": 1e-6},
    }
    recipe = RECIPE.model_copy(update={"keep": "last"} | limits[end])
    # No validation is better than the first one.
    merits = itertools.count(0, -1)
    monkeypatch.setattr("her2path.models.training.merit", lambda _: next(merits))
    options = TrainingOptions(tmp_path, fields=fields_folder, device="cpu", write_onnx=False)
    said: list[str] = []
    first = train(recipe, options, seed=SEED, progress=lambda found: said.append(found.words))
    why = {
        "steps": "",
        "patience": "ends after step 2 of 9: validation became no better (patience = 1)",
        "minutes": "ends after step 1 of 9: its time is over",
    }
    assert [words for words in said if words] == [words for words in [why[end]] if words]
    recalibrate(first.model, ModelCalibration(temperature=2.0))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = train(recipe, dataclasses.replace(options, resume=True), seed=SEED)
    assert again == first
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_processes_wait_for_the_one_that_draws_the_fields(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(
        "import pathlib, sys, torch\n"
        "from torch import distributed\n"
        "from her2path.models.distributed import Team\n"
        "team = Team.of_environment('cpu')\n"
        "backend = distributed.group.WORLD._get_backend(torch.device('cpu'))\n"
        "hours = backend.options._timeout.total_seconds() / 3600\n"
        "pathlib.Path(sys.argv[1], f'{team.rank}.txt').write_text(str(hours))\n"
        "team.leave()\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    shown = subprocess.run(
        [*command, "--nproc-per-node", "2", str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    waits = [float(path.read_text("utf-8")) for path in tmp_path.glob("*.txt")]
    assert len(waits) == 2, shown.stderr[-2000:]
    assert min(waits) >= 12


def test_tensorboard_forgets_what_a_killed_run_says_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    class Board:
        def __init__(self, folder: Path, *, purge_step: int) -> None:
            assert folder == tmp_path / "tensorboard"
            begun.append(purge_step)

        def __enter__(self) -> "Board":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, value: float, step: int) -> None:
            assert (name, value, step) == ("loss", 3.0, begun[-1])

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    for step in (100, 200, 200):
        add_to_curves(tmp_path, step, {"loss": 3.0})
    assert begun == [100, 200, 200]


@pytest.mark.parametrize("text", ["step;loss\r\n100;3,0\r\n", "step,loss\n100.0,3\n", "\udcff"])
def test_curves_that_a_spreadsheet_has_saved_do_not_end_a_run(tmp_path, caplog, text):
    before = text.encode("utf-8", "surrogateescape")
    (tmp_path / "curves.csv").write_bytes(before)
    add_to_curves(tmp_path, 200, {"loss": 2.0})
    rows = (tmp_path / "curves.csv").read_text(encoding="utf-8").split()
    assert rows == ["step,loss", "200,2.0"]
    assert (tmp_path / "curves-before-200.csv").read_bytes() == before
    assert "curves-before-200.csv" in caplog.text


def test_curves_with_a_byte_order_mark_go_on(tmp_path):
    (tmp_path / "curves.csv").write_text("step,loss\n100,3.0\n", encoding="utf-8-sig")
    add_to_curves(tmp_path, 200, {"loss": 2.0})
    rows = (tmp_path / "curves.csv").read_text(encoding="utf-8").split()
    assert rows == ["step,loss", "100,3.0", "200,2.0"]
