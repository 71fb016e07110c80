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
