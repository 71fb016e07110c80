import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from her2path.criteria.score import Intensity, IshResult, Score, Status
from her2path.geometry import Location
from her2path.pipeline.batch import run_batch
from her2path.pipeline.conclude import conclude_without_cells
from her2path.pipeline.outputs import polygons_of, write_conclusion
from her2path.pipeline.rows import region_row, row_of
from her2path.pipeline.settings import CellsGeojson, ScoreSettings
from her2path.pipeline.stability import shifts_of
from her2path.pipeline.survey import survey_slide
from her2path.results.cells import read_cells
from her2path.results.columns import Exclusion
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.geojson import Origin
from her2path.results.record import RegionKind, read_record


@pytest.fixture(scope="module")
def folder(drawn, job_on, tmp_path_factory: pytest.TempPathFactory) -> SlideFolder:
    """Results of the drawn core with two outlines: half of it is tumor, a corner is control."""
    tmp_path = tmp_path_factory.mktemp("outputs")
    features = [
        {
            "type": "Feature",
            "id": name,
            "geometry": shapely.geometry.mapping(shapely.box(*box)),
            "properties": {"classification": {"name": name, "color": [0, 0, 0]}},
        }
        for name, box in {"Tumor": (0, 0, 1100, 1800), "Control": (1200, 0, 1800, 900)}.items()
    ]
    roi = tmp_path / "roi.geojson"
    roi.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    out = ResultsFolder(tmp_path / "out")
    settings = ScoreSettings(n_resamples=100, region_um=150.0, cells_geojson=CellsGeojson.CHOSEN)
    assert not run_batch([job_on(drawn, roi=roi)], settings, out).failed
    return out.slide("core")


def test_regions_add_up_to_the_slide(folder: SlideFolder):
    record = read_record(folder.slide_json)
    grid = [region for region in record.regions if region.kind is RegionKind.GRID]
    total = sum((region.reading.tally.array for region in grid), np.zeros((5, 3), np.int64))
    assert np.array_equal(total, record.reading.tally.array)
    assert sum(region.n_cells for region in grid) == record.selection.n_cells
    assert {region.kind for region in record.regions} == set(RegionKind)


def test_a_drawn_control_is_of_the_class_control_in_qupath(folder: SlideFolder):
    record = read_record(folder.slide_json)
    (control,) = (region for region in record.regions if region.kind is RegionKind.CONTROL)
    features = json.loads(folder.regions_geojson.read_text("utf-8"))["features"]
    names = {
        feature["properties"]["name"]: feature["properties"]["classification"]["name"]
        for feature in features
    }
    assert names[f"{control.name or control.region_id} ({control.score})"] == "Control"
    assert list(names.values()).count("Control") == 1


def test_cells_and_regions_tell_the_same(folder: SlideFolder):
    cells = read_cells(folder.cells_parquet)
    rows = {row["region_id"]: row for row in pq.read_table(folder.regions_parquet).to_pylist()}
    for region_id in np.unique(cells["region_id"]):
        inside = cells["region_id"] == region_id
        row = rows[str(region_id)]
        assert row["n_cells"] == inside.sum()
        assert row["n_tumor_cells"] == cells["is_tumor"][inside].sum()
        x, y = cells["x"][inside], cells["y"][inside]
        assert ((x >= row["x"]) & (x < row["x"] + row["width"])).all()
        assert ((y >= row["y"]) & (y < row["y"] + row["height"])).all()


def test_the_outline_of_tumor_holds_every_cell_counted(folder: SlideFolder):
    record = read_record(folder.slide_json)
    (drawn,) = (region for region in record.regions if region.kind is RegionKind.ROI)
    assert drawn.reading.tally == record.reading.tally
    assert record.selection.excluded[Exclusion.CONTROL] > 0
    assert shapely.Polygon(drawn.outline[0][0]).bounds == (0, 0, 1100, 1800)


def test_counted_cells_are_those_that_no_reason_excludes(folder: SlideFolder):
    cells = read_cells(folder.cells_parquet)
    assert np.array_equal(cells["is_tumor"], cells["excluded"] == "")
    is_stained = cells["intensity"] != "none"
    assert (cells["completeness"][~is_stained] == 0).all()
    assert np.isnan(cells["membrane_od"][~is_stained]).all()
    assert (cells["membrane_od"][is_stained] > 0).all()


def test_what_is_stained_alone_is_the_same_in_cells_and_record(folder: SlideFolder):
    record, cells = read_record(folder.slide_json), read_cells(folder.cells_parquet)
    own, is_counted = cells["has_own_line"], cells["is_tumor"]
    assert (cells["intensity"][own] != "none").all()
    assert own[cells["pattern"] == "complete"].all()
    # Neighbors share some lines, and not all.
    assert 0 < own.sum() < (cells["intensity"] != "none").sum()
    assert record.shared_lines.pct_stained == pytest.approx(100 * own[is_counted].mean())
    assert row_of(record)["pct_stained_alone"] == record.shared_lines.pct_stained
    assert row_of(replace(record, shared_lines=None))["pct_stained_alone"] == 0
    assert record.shared_lines.pct_stained < record.reading.shares["pct_stained"]


def test_qupath_is_told_which_cells_have_a_line_of_their_own(folder: SlideFolder):
    cells = read_cells(folder.cells_parquet)
    own = cells["has_own_line"] & cells["is_tumor"]
    features = json.loads(folder.cells_geojson.read_text(encoding="utf-8"))["features"]
    told = {
        shapely.geometry.shape(one["geometry"]): one["properties"]["measurements"]
        for one in features
    }
    found = [outline for outline, numbers in told.items() if numbers["HER2: line of its own"] == 1]
    assert len(found) < len(told)
    # Every tumor cell that has one lies in an outline that says so.
    for x, y in zip(cells["x"][own], cells["y"][own], strict=True):
        assert any(outline.contains(shapely.Point(x, y)) for outline in found)


def test_in_qupath_only_counted_cells_have_a_class_of_staining(folder: SlideFolder):
    cells = read_cells(folder.cells_parquet)
    rows = zip(cells["x"], cells["y"], cells["is_tumor"], cells["intensity"], strict=True)
    wanted = {(x, y): word.capitalize() if counts else "Not counted" for x, y, counts, word in rows}
    features = json.loads(folder.cells_geojson.read_text(encoding="utf-8"))["features"]
    outlines = [shapely.geometry.shape(feature["geometry"]) for feature in features]
    tree = shapely.STRtree([shapely.Point(place) for place in wanted])
    nearest = tree.nearest([outline.centroid for outline in outlines])
    words = list(wanted.values())
    found = [feature["properties"]["classification"]["name"] for feature in features]
    assert "Not counted" in found
    # Outlines lean to one side now and then: a few are nearer to the nucleus beside them.
    alike = [words[place] == name for place, name in zip(nearest, found, strict=True)]
    assert np.mean(alike) > 0.95
    stained = cells["is_tumor"] & (cells["intensity"] != "none")
    assert len([name for name in found if name not in ("None", "Not counted")]) == stained.sum()


def test_geojson_holds_what_viewers_ask_for(folder: SlideFolder):
    for path in (folder.regions_geojson, folder.cells_geojson):
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        assert features
        assert len({feature["id"] for feature in features}) == len(features)
        for feature in features:
            assert shapely.geometry.shape(feature["geometry"]).is_valid
            assert set(feature["properties"]["classification"]) == {"name", "color"}


def test_ish_is_of_the_tumor_and_not_of_the_control(folder):
    record = replace(read_record(folder.slide_json), ish=IshResult.AMPLIFIED)
    (control,) = [region for region in record.regions if region.kind is RegionKind.CONTROL]
    control = replace(control, score=Score.ZERO)
    assert region_row(control, record)["status"] is Status.NULL
    assert region_row(replace(control, kind=RegionKind.ROI), record)["status"] is Status.POSITIVE


def test_outlines_of_a_mask_cover_it_with_its_holes():
    mask = np.zeros((40, 50), bool)
    mask[5:30, 10:40] = True
    mask[10:20, 15:25] = False
    mask[35, 45] = True
    outlines = polygons_of(mask, 4.0)
    assert len(outlines) == 2
    assert sum(len(outline.interiors) for outline in outlines) == 1
    # To the edges of its pixels: the hole, the piece and the lone pixel have their areas.
    found = sorted(outline.area for outline in outlines)
    assert found == pytest.approx([16.0, 16.0 * (25 * 30 - 100)], rel=0.005)
    assert shapely.union_all(outlines).bounds == pytest.approx((40, 20, 184, 144))
    rows, cols = np.mgrid[:40, :50] * 4.0 + 2.0
    inside = shapely.contains_xy(shapely.union_all(outlines), cols, rows)
    assert np.array_equal(inside, mask)


@pytest.mark.parametrize("n_random", [0, 12])
def test_outlines_keep_holes_of_loops_that_are_closed_at_corners(n_random):
    masks = []
    for seed in range(n_random):
        masks.append(np.random.default_rng(seed).random((24, 30)) < 0.5)
    if not masks:
        ring = np.zeros((60, 60), np.uint8)
        cv2.circle(ring, (30, 30), 20, 1)
        # One px wide, as a coarser mask that was enlarged.
        masks.append(ring.repeat(2, 0).repeat(2, 1).astype(bool))
    for mask in masks:
        rows, cols = mask.shape
        y, x = np.mgrid[:rows, :cols] * 4.0 + 2.0
        inside = shapely.contains_xy(shapely.union_all(polygons_of(mask, 4.0)), x, y)
        assert np.array_equal(inside, mask)


def test_every_cut_off_is_shifted_down_and_up(job_on, drawn):
    shifts = shifts_of(job_on(drawn).calibration)
    assert 12 <= len(shifts) <= 16
    by_name: dict[str, int] = {}
    for shift in shifts:
        by_name[shift.name] = by_name.get(shift.name, 0) + 1
    assert set(by_name.values()) == {2}


def test_outlines_can_count_from_the_bounds_of_the_slide(glass, job_on, settings, tmp_path):
    survey = survey_slide(job_on(glass), settings)
    tissue = np.ones((4, 4), bool)
    survey = replace(survey, tissue=tissue, scan=replace(survey.scan, bounds=Location(100, 40)))
    conclusion = conclude_without_cells(survey, settings, timings={})
    corners = {}
    for origin in Origin:
        folder = SlideFolder(tmp_path / origin).create()
        write_conclusion(folder, survey, conclusion, replace(settings, geojson_origin=origin))
        feature = json.loads(folder.regions_geojson.read_text("utf-8"))["features"][0]
        corners[origin] = shapely.geometry.shape(feature["geometry"]).bounds[:2]
    moved = np.subtract(corners[Origin.LEVEL0], corners[Origin.BOUNDS])
    assert moved.tolist() == [100, 40]


def test_what_was_not_measured_is_left_out_of_geojson(folder: SlideFolder):
    record = read_record(folder.slide_json)
    empty = {r.region_id for r in record.regions if not r.reading.n_tumor_cells}
    features = json.loads(folder.regions_geojson.read_text(encoding="utf-8"))["features"]
    named = [f["properties"] for f in features if f["properties"].get("name") in empty]
    assert named
    for properties in named:
        assert not any("pct_" in name or "h_score" in name for name in properties["measurements"])


def test_unstained_cells_have_no_membrane_in_geojson(drawn, job_on, tmp_path: Path):
    out = ResultsFolder(tmp_path / "out")
    settings = ScoreSettings(n_resamples=20, cells_geojson=CellsGeojson.ALL)
    assert not run_batch([job_on(drawn)], settings, out).failed
    path = out.slide("core").cells_geojson
    cells = [f["properties"] for f in json.loads(path.read_text("utf-8"))["features"]]
    for name, has_line in ((Intensity.NONE.label, False), (Intensity.WEAK.label, True)):
        found = [p for p in cells if p["classification"]["name"] == name.capitalize()]
        assert len(found) > 20
        assert all(("Membrane: DAB OD" in p["measurements"]) is has_line for p in found)
