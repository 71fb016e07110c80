"""What `scripts/make_sample_slides.py --check` says of the sample slides."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "sample_slides"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return shutil.copytree(SAMPLES, tmp_path / "samples")


def test_the_sample_slides_and_their_truths_are_those_of_the_manifest(
    load_script: Callable[[str], ModuleType], samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = load_script("make_sample_slides").check
    assert check(samples) == 0
    (samples / "s3plus.svs").write_bytes(b"no slide")
    (samples / "blank.masks.png").unlink()
    truth = json.loads((samples / "s1plus.truth.json").read_text("utf-8"))
    truth["slide"]["n_tumor_cells"] += 1
    (samples / "s1plus.truth.json").write_text(json.dumps(truth), encoding="utf-8")
    assert check(samples) == 3
    told = capsys.readouterr().err
    for words in ("s3plus.svs: not", "blank.masks.png: missing", "s1plus.truth.json: not"):
        assert words in told


@pytest.mark.parametrize(
    "name", ["s3plus.cells.csv.gz", "s3plus.masks.png", "control.roi.geojson", "patient.pair.json"]
)
def test_what_lies_beside_the_sample_slides_is_checked_by_its_hash(
    load_script: Callable[[str], ModuleType],
    samples: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    check = load_script("make_sample_slides").check
    path = samples / name
    path.write_bytes(path.read_bytes() + b" ")
    assert check(samples) == 1
    assert f"{name}: not" in capsys.readouterr().err
    path.unlink()
    assert check(samples) == 1
    assert f"{name}: missing" in capsys.readouterr().err


def test_texts_whose_line_ends_a_checkout_has_turned_are_the_same(
    load_script: Callable[[str], ModuleType], samples: Path
) -> None:
    for path in (p for p in samples.iterdir() if p.suffix in (".csv", ".json", ".geojson")):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_script("make_sample_slides").check(samples) == 0


def test_without_its_hashes_the_folder_is_at_fault(
    load_script: Callable[[str], ModuleType], samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (samples / "SHA256SUMS").unlink()
    assert load_script("make_sample_slides").check(samples) == 1
    assert "SHA256SUMS: missing" in capsys.readouterr().err


def test_every_sample_file_but_the_readme_has_a_hash() -> None:
    lines = (SAMPLES / "SHA256SUMS").read_text("utf-8").splitlines()
    named = {line.partition("  ")[2] for line in lines}
    assert named == {p.name for p in SAMPLES.iterdir()} - {"README.md", "SHA256SUMS"}
