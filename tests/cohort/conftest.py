"""A slide without tissue, scored once: what a slide.json looks like."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from her2path.cli.main import app


@pytest.fixture(scope="session")
def blank_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of glass, and beside it the results of scoring it."""
    path = tmp_path_factory.mktemp("blank") / "glass.png"
    noise = np.random.default_rng(0).integers(238, 243, (300, 400, 3)).astype(np.uint8)
    cv2.imwrite(str(path), noise)
    given = ("score", str(path), "--mpp", "0.25", "--out", str(path.parent / "out"))
    assert (
        CliRunner().invoke(app, [*given, "--model", "none", "--workers", "1", "-q"]).exit_code == 0
    )
    return path


@pytest.fixture
def slide_json(blank_slide: Path, tmp_path: Path):
    """Write a slide.json with other values: slide_json("a.json", score="2+")."""

    def write(name: str, **values: Any) -> Path:
        source = blank_slide.parent / "out" / "glass" / "slide.json"
        document = json.loads(source.read_text(encoding="utf-8"))
        # Each of another file, unless the test says which.
        document["scan"]["sha256_ends"] = values.pop("sha256_ends", name)
        document |= values
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write
