"""Drawn fields on disk, and jobs on them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from her2path.pipeline.settings import ScoreSettings, SlideJob, find_calibration, find_rule_set
from her2path.results.jsonable import read_json
from her2path.synth import (
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    mix_of,
)

MPP = 0.25


def write_png(path: Path, rgb: np.ndarray) -> Path:
    cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A core of 0.09 mm² with weak, complete and faint staining, as PNG."""
    recipe = SlideRecipe(
        width_um=450,
        height_um=450,
        tissue=TissueShape(kind="core"),
        regions=(
            RegionRecipe(
                name="tumor", mix=mix_of(none=0.3, faint_incomplete=0.3, weak_complete=0.4)
            ),
        ),
    )
    field = draw_field(recipe, Laboratory(), seed=1)
    return write_png(tmp_path_factory.mktemp("drawn") / "core.png", field.rgb)


@pytest.fixture(scope="session")
def glass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty glass."""
    noise = np.random.default_rng(0).integers(238, 243, (400, 500, 3)).astype(np.uint8)
    return write_png(tmp_path_factory.mktemp("glass") / "glass.png", noise)


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that only looks like a slide."""
    path = tmp_path_factory.mktemp("damaged") / "damaged.svs"
    path.write_bytes(b"II*\0" + b"\1" * 2000)
    return path


@pytest.fixture(scope="session")
def settings() -> ScoreSettings:
    return ScoreSettings(n_resamples=100)


@pytest.fixture(scope="session")
def job_on() -> Callable[..., SlideJob]:
    def job(path: Path, **values: object) -> SlideJob:
        facts = {
            "slide_id": path.stem,
            "path": path,
            "rule_set": find_rule_set("asco-cap-2018"),
            "calibration": find_calibration(None),
            "mpp": MPP if path.suffix == ".png" else None,
        }
        return SlideJob(**(facts | values))  # type: ignore[arg-type]

    return job


@pytest.fixture(scope="session")
def result_of() -> Callable[[Path], dict]:
    """Read slide.json without what differs between two equal runs."""

    def read(folder: Path) -> dict:
        document = read_json(folder / "slide.json")
        for name in ("created", "timings", "path", "settings_hash"):
            del document[name]
        return document

    return read
