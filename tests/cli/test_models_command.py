import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from her2path.cli.models import models_app
from her2path.models.checkpoint import load_checkpoint, save_checkpoint
from her2path.models.description import (
    DESCRIPTION_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    Architecture,
    CodeVersion,
    ModelDescription,
    Normalisation,
    TrainingData,
    described,
    read_description,
)
from her2path.models.shipped import MODELS_VARIABLE, shipped_models


def run(*arguments: object) -> Result:
    return CliRunner().invoke(models_app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    description = ModelDescription(
        name="mine",
        planes=("nucleus",),
        mpp=0.5,
        mpp_range=(0.1, 0.7),
        normalisation=Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        architecture=Architecture(name="unet"),
        data=TrainingData(summary="Drawn fields."),
        code=CodeVersion(version="0"),
    )
    (path / WEIGHTS_FILE).write_bytes(b"weights")
    (path / DESCRIPTION_FILE).write_text(
        described(description, {WEIGHTS_FILE: b"weights"}).model_dump_json()
    )
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    return path


def test_own_models_are_listed_with_what_they_read(folder: Path) -> None:
    shown = run("list", "--json")
    row = next(row for row in json.loads(shown.stdout) if row["name"] == "mine")
    assert row["origin"] == "own"
    assert row["folder"] == str(folder)
    assert row["reads"] == "nucleus"
    assert "mine" in run("list").stdout


def test_the_folder_of_a_model_is_listed_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a-long-name-" * 12) / "networks"
    deep.mkdir(parents=True)
    folder.rename(deep / "mine")
    monkeypatch.setenv(MODELS_VARIABLE, str(deep))
    piped = next(line for line in run("list").stdout.splitlines() if line.startswith("mine "))
    assert piped.rstrip().endswith(f" {deep / 'mine'}")
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, color_system=None, soft_wrap=True)
    monkeypatch.setattr("her2path.cli.models.OUTPUT", console)
    run("list")
    lines = shown.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in shown.getvalue()
    at = lines[0].index("folder")
    assert str(deep / "mine") in "".join(line[at:].rstrip() for line in lines)


def test_a_model_that_cannot_be_used_is_listed_as_such(folder: Path) -> None:
    (folder / DESCRIPTION_FILE).write_text("{}")
    shown = run("list", "--json")
    assert shown.exit_code == 0
    row = next(row for row in json.loads(shown.stdout) if row["name"] == "mine")
    assert "faults" in row["error"]


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the network that ships, under another name."""
    shutil.copytree(shipped_models()[0].folder, tmp_path / "mine")
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    return tmp_path / "mine"


def test_verifying_says_what_is_whole_and_fails_on_damage(whole: Path) -> None:
    shown = run("verify", whole)
    assert shown.exit_code == 0
    fingerprint = read_description(whole).fingerprint
    assert shown.stdout == f"{whole}: 3 files are whole, fingerprint {fingerprint}\n"
    assert run("verify", "mine").stdout == shown.stdout
    with (whole / WEIGHTS_FILE).open("r+b") as file:
        file.seek(1000)
        file.write(b"weights")
    shown = run("verify", "mine")
    assert shown.exit_code == 1
    assert WEIGHTS_FILE in shown.stderr
    assert f"the model in {whole} cannot be used" in shown.stderr


def test_verifying_finds_weights_of_another_design(whole: Path) -> None:
    described_as = (whole / DESCRIPTION_FILE).read_text().replace('"deep"', '"compact"')
    (whole / DESCRIPTION_FILE).write_text(described_as)
    shown = run("verify", "mine")
    assert shown.exit_code == 1
    assert "do not fit compact" in shown.stderr


def test_verifying_finds_the_onnx_of_another_network(whole: Path) -> None:
    found = load_checkpoint(whole)
    tensors = dict(found.tensors)
    tensors["planes.bias"] = tensors["planes.bias"] + 0.1
    files = {ONNX_FILE: found.read_onnx()}
    save_checkpoint(whole.with_name("other"), tensors, found.description, files=files)
    shown = run("verify", "other")
    assert shown.exit_code == 1
    assert "gives other planes than the weights" in shown.stderr


def test_a_place_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "mistyped"))
    assert run("list").exit_code == 0
    assert f"{tmp_path / 'mistyped'} of {MODELS_VARIABLE} cannot be read" in caplog.text


def test_the_path_of_a_model_is_printed_bare(folder: Path) -> None:
    assert run("path", "mine").stdout == f"{folder}\n"
    missing = run("path", "no-such")
    assert missing.exit_code == 2
    assert "known are" in missing.stderr


def test_listing_needs_no_torch() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from her2path.cli.models import models_app\n"
        "assert CliRunner().invoke(models_app, ['list']).exit_code == 0\n"
        "sys.exit('torch' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
