import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from her2path.annotations.raster import contains
from her2path.annotations.read import read_annotations
from her2path.annotations.roi import RoiKind
from her2path.cli.main import app
from her2path.geometry import Size

pytestmark = pytest.mark.slow

MPP, RADIUS_PX, PITCH_PX = 1.5, 200, 520
ROWS, COLUMNS, LOST = 3, 4, (1, 2)


@pytest.fixture(scope="module")
def microarray(tmp_path_factory) -> Path:
    """Twelve places with eleven cores of 0.6 mm."""
    rng = np.random.default_rng(0)
    shape = ((ROWS + 1) * PITCH_PX, (COLUMNS + 1) * PITCH_PX)
    is_core = np.zeros(shape, np.uint8)
    for row in range(ROWS):
        for column in range(COLUMNS):
            if (row, column) != LOST:
                center = ((column + 1) * PITCH_PX, (row + 1) * PITCH_PX)
                cv2.circle(is_core, center, RADIUS_PX, 1, -1)
    grain = cv2.GaussianBlur(rng.normal(0, 120, shape).astype(np.float32), (0, 0), 4)
    tissue = np.array([185, 180, 205]) + grain[..., None]
    rgb = np.where(is_core[..., None] > 0, tissue, 243).clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("tma") / "tma.png"
    cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, ["cores", *map(str, arguments)])


def test_cores_are_written_for_qupath_and_read_again_as_regions(microarray, tmp_path):
    out = tmp_path / "tma.geojson"
    ended = run(microarray, "--mpp", MPP, "--out", out, "--json")
    assert ended.exit_code == 0, ended.output
    summary = json.loads(ended.stdout)
    assert (summary["n_rows"], summary["n_columns"]) == (ROWS, COLUMNS)
    assert [core["name"] for core in summary["cores"] if core["is_missing"]] == ["B-3"]
    assert summary["diameter_mm"] == pytest.approx(0.6, rel=0.1)
    features = json.loads(out.read_text("utf-8"))["features"]
    kinds = {feature["properties"]["objectType"] for feature in features}
    assert (len(features), kinds) == (12, {"tmaCore"})
    assert all("classification" not in feature["properties"] for feature in features)
    size = Size((COLUMNS + 1) * PITCH_PX, (ROWS + 1) * PITCH_PX)
    rois = read_annotations(out, slide_dimensions=size)
    assert len(rois) == 11
    assert all(roi.is_core and roi.kind is RoiKind.TUMOR for roi in rois)
    at = {"A-1": (PITCH_PX, PITCH_PX), "C-4": (4 * PITCH_PX, 3 * PITCH_PX)}
    for name, (x, y) in at.items():
        (roi,) = (roi for roi in rois if roi.name == name)
        assert contains([roi], np.array([float(x)]), np.array([float(y)])).all()
    assert cv2.imread(summary["picture"]) is not None


def test_outlines_are_not_overwritten_unasked(microarray, tmp_path):
    out = tmp_path / "tma.geojson"
    out.write_text("mine", "utf-8")
    ended = run(microarray, "--mpp", MPP, "--out", out)
    assert ended.exit_code == 2
    assert "--overwrite" in ended.output
    assert out.read_text("utf-8") == "mine"


def test_its_picture_replaces_neither_the_slide_nor_another_picture_unasked(microarray, tmp_path):
    slide = tmp_path / "tma.png"
    slide.write_bytes(microarray.read_bytes())
    for more in ((), ("--overwrite",)):
        ended = run(slide, "--mpp", MPP, "--out", tmp_path / "tma.geojson", *more)
        assert ended.exit_code == 2
        assert slide.read_bytes() == microarray.read_bytes()
    (tmp_path / "other.png").write_bytes(b"mine")
    ended = run(slide, "--mpp", MPP, "--out", tmp_path / "other.geojson")
    assert ended.exit_code == 2
    assert (tmp_path / "other.png").read_bytes() == b"mine"
    assert not list(tmp_path.glob("*.geojson"))


def test_a_slide_that_is_not_there_is_named_beside_outlines_of_an_earlier_run(tmp_path):
    for name in ("tma.png", "tma.geojson"):
        (tmp_path / name).write_bytes(b"earlier")
    ended = run(tmp_path / "gone.svs", "--out", tmp_path / "tma.geojson", "--overwrite")
    assert ended.exit_code == 2
    assert "gone.svs" in ended.output
    assert (tmp_path / "tma.geojson").read_bytes() == b"earlier"


def test_a_slide_that_is_no_microarray_is_refused_with_a_remedy(tmp_path):
    glass = np.full((900, 900, 3), 243, np.uint8)
    cv2.imwrite(str(tmp_path / "glass.png"), glass)
    ended = run(tmp_path / "glass.png", "--mpp", MPP, "--out", tmp_path / "a.geojson")
    assert ended.exit_code == 2
    assert "microarray" in ended.output
    assert not (tmp_path / "a.geojson").exists()
