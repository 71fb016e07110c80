"""What is written opens in QuPath: identifiers, colors, measurements, frames."""

import json
import uuid

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, Point

from her2path.annotations import RoiKind, read_annotations
from her2path.cells.table import N_SECTORS
from her2path.criteria.score import Intensity, Score
from her2path.geometry import Location, Mpp
from her2path.results.colors import INTENSITY_COLORS, OUTLINE_COLORS, SCORE_COLORS
from her2path.results.geojson import (
    Origin,
    OutlineKind,
    cell_feature,
    outline_feature,
    outline_polygon,
    region_feature,
    write_geojson,
)

DISC = Point(100, 80).buffer(50).difference(Point(100, 80).buffer(10))
HOSTILE = '</script><script>alert(1)</script>\n"=cmd'


def some_features():
    return [
        region_feature(
            "roi-1",
            DISC,
            score=Score.TWO_PLUS,
            name=HOSTILE,
            measurements={
                "HER2: H-score": 120.0,
                "HER2: nothing": float("nan"),
                "HER2: too much": float("inf"),
                "HER2: count": np.int64(3),
            },
        ),
        region_feature("roi-2", MultiPolygon([DISC, Point(500, 500).buffer(9)]), score=Score.ZERO),
        outline_feature("1", DISC, kind=OutlineKind.TISSUE),
        outline_feature("1", DISC, kind=OutlineKind.CONTROL),
        outline_feature("1", DISC, kind=OutlineKind.IGNORED),
        cell_feature("0", Point(9, 9).buffer(5), intensity=Intensity.WEAK),
        cell_feature(
            "1",
            Point(9, 9).buffer(5),
            intensity=Intensity.INTENSE,
            nucleus=Point(9, 9).buffer(3),
            measurements={"HER2: membrane completeness": 0.5},
        ),
    ]


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def written(tmp_path, features, **options):
    path = tmp_path / "regions.geojson"
    n = write_geojson(path, features, slide_id=options.pop("slide_id", "s"), **options)
    document = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    assert len(document["features"]) == n
    return document


def test_every_feature_obeys_the_rules_of_qupath(tmp_path):
    document = written(tmp_path, some_features())

    assert document["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        properties = feature["properties"]
        classification = properties["classification"]
        assert classification["name"]
        assert len(classification["color"]) == 3
        assert all(type(part) is int and 0 <= part <= 255 for part in classification["color"])
        for value in properties.get("measurements", {}).values():
            assert isinstance(value, float)
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert geometry.is_valid
        assert geometry.area > 0
        is_cell = properties["objectType"] == "cell"
        assert ("nucleusGeometry" in feature) == is_cell
        assert "nucleusGeometry" not in properties


def test_identifiers_differ_within_a_file_and_stay_between_runs(tmp_path):
    first = [feature["id"] for feature in written(tmp_path, some_features())["features"]]
    again = [feature["id"] for feature in written(tmp_path, some_features())["features"]]
    other = [
        feature["id"] for feature in written(tmp_path, some_features(), slide_id="t")["features"]
    ]

    assert len(set(first)) == len(first)
    assert first == again
    assert not set(first) & set(other)


def test_a_region_carries_score_name_lock_and_finite_measurements(tmp_path):
    properties = written(tmp_path, some_features())["features"][0]["properties"]

    assert properties["classification"]["name"] == "2+"
    assert properties["name"] == HOSTILE
    assert properties["isLocked"] is True
    assert properties["measurements"] == {"HER2: H-score": 120.0, "HER2: count": 3.0}


def test_holes_and_parts_are_kept(tmp_path):
    features = written(tmp_path, some_features())["features"]

    assert len(features[0]["geometry"]["coordinates"]) == 2
    assert features[1]["geometry"]["type"] == "MultiPolygon"


def test_rings_run_as_rfc_7946_asks_whichever_way_they_were_drawn(tmp_path):
    turned = shapely.reverse(DISC)
    assert turned.exterior.is_ccw != DISC.exterior.is_ccw
    drawn = [DISC, turned, MultiPolygon([DISC, Point(500, 500).buffer(9)])]
    features = [region_feature(f"{k}", part, score=Score.ZERO) for k, part in enumerate(drawn)]
    features.append(
        cell_feature("0", DISC, intensity=Intensity.WEAK, nucleus=Point(9, 9).buffer(3))
    )

    for feature in written(tmp_path, features)["features"]:
        found = [feature["geometry"], feature.get("nucleusGeometry", feature["geometry"])]
        for geometry in found:
            for part in shapely.get_parts(shapely.from_geojson(json.dumps(geometry))):
                assert part.exterior.is_ccw
                assert not any(hole.is_ccw for hole in part.interiors)


def test_a_cell_that_is_not_counted_is_of_no_class_of_staining(tmp_path):
    cells = [
        cell_feature(f"{k}", DISC, intensity=Intensity.INTENSE, is_counted=bool(k)) for k in (0, 1)
    ]
    found = [f["properties"]["classification"] for f in written(tmp_path, cells)["features"]]
    assert [one["name"] for one in found] == ["Not counted", "Intense"]
    assert found[0]["color"] != found[1]["color"]


def test_the_origin_may_be_the_bounds(tmp_path):
    box = region_feature("a", shapely.box(100, 200, 110, 220), score=Score.ZERO)
    bounds = Location(90, 150)

    (level0,) = written(tmp_path, [box], bounds=bounds)["features"]
    (cropped,) = written(tmp_path, [box], bounds=bounds, origin=Origin.BOUNDS)["features"]

    assert min(level0["geometry"]["coordinates"][0]) == [100, 200]
    assert min(cropped["geometry"]["coordinates"][0]) == [10, 50]


def test_regions_without_area_are_left_out(tmp_path):
    empty = region_feature("a", shapely.Polygon(), score=Score.ZERO)

    assert written(tmp_path, [empty])["features"] == []
    assert written(tmp_path, [])["features"] == []


def test_features_are_taken_one_at_a_time(tmp_path):
    taken = []

    def stream():
        for index in range(3):
            taken.append(index)
            yield region_feature(str(index), DISC, score=Score.ZERO)

    written(tmp_path, stream())

    assert taken == [0, 1, 2]


def test_a_stream_that_breaks_leaves_no_file(tmp_path):
    def stream():
        yield region_feature("a", DISC, score=Score.ZERO)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        write_geojson(tmp_path / "a.geojson", stream(), slide_id="s")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_can_be_read_as_annotations(tmp_path):
    written(tmp_path, some_features())

    rois = read_annotations(tmp_path / "regions.geojson")

    assert [roi.kind for roi in rois] == [
        RoiKind.TUMOR,
        RoiKind.TUMOR,
        RoiKind.OTHER,
        RoiKind.CONTROL,
        RoiKind.IGNORE,
    ]
    assert rois[0].polygon.area == pytest.approx(DISC.area, rel=1e-3)


def test_the_outline_of_a_cell_follows_its_sectors():
    radii = np.full(N_SECTORS, 5, np.float32)
    radii[0] = 8
    radii[N_SECTORS // 4] = 7

    left, top, right, bottom = outline_polygon(100, 50, radii, mpp=Mpp(0.5, 0.25)).bounds

    assert right == pytest.approx(100 + 8 / 0.5)
    assert bottom == pytest.approx(50 + 7 / 0.25)
    assert left == pytest.approx(100 - 5 / 0.5)
    assert top == pytest.approx(50 - 5 / 0.25)


def test_a_control_has_a_class_of_its_own_and_its_score_in_the_name(tmp_path):
    feature = region_feature(
        "c1",
        DISC,
        score=Score.THREE_PLUS,
        name="cell line",
        is_control=True,
        measurements={"HER2: H-score": 290.0},
    )
    write_geojson(tmp_path / "a.geojson", [feature], slide_id="s")
    (found,) = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    assert found["properties"]["classification"] == {
        "name": "Control",
        "color": list(OUTLINE_COLORS["Control"]),
    }
    assert found["properties"]["name"] == "cell line (3+)"
    assert found["properties"]["measurements"] == {"HER2: H-score": 290.0}


def test_every_score_class_and_outline_has_a_color():
    assert set(SCORE_COLORS) == set(Score)
    assert set(INTENSITY_COLORS) == set(Intensity)
    assert set(OUTLINE_COLORS) == {kind.value for kind in OutlineKind}
    assert len(set(SCORE_COLORS.values())) == len(Score)
