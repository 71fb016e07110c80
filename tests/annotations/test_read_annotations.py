"""Annotation files of several programs become the same ROIs; faults are listed at once."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.annotations import RoiKind, kind_of_name, read_annotations
from her2path.annotations import geojson as geojson_module
from her2path.annotations import read as read_module
from her2path.annotations import shapes as shapes_module
from her2path.annotations.shapes import polygon_of_rings
from her2path.errors import AnnotationError
from her2path.geometry import Location, Size
from her2path.results.geojson import ORIGIN_KEY

SQUARE = [[[10, 20], [110, 20], [110, 120], [10, 120], [10, 20]]]
APERIO_FILE = "<Annotations><Annotation><Regions>{}</Regions></Annotation></Annotations>"
APERIO_REGION = (
    '<Region {more}><Vertices><Vertex X="0" Y="0"/><Vertex X="4" Y="0"/><Vertex X="4" Y="4"/>'
    "</Vertices>{inside}</Region>"
)
HOLE = [[40, 50], [60, 50], [60, 70], [40, 70], [40, 50]]


def feature(geometry=None, *, feature_id="a", **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": SQUARE}
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": properties}


def written(tmp_path, content, name="roi.geojson"):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "document",
    [
        {"type": "FeatureCollection", "features": [feature()]},
        feature(),
        [feature()],
    ],
)
def test_collection_feature_and_list_give_the_same_roi(tmp_path, document):
    (roi,) = read_annotations(written(tmp_path, document))

    assert roi.polygon.area == 10_000
    assert roi.roi_id == "a"


def test_format_is_told_from_content_whatever_the_suffix(tmp_path):
    (roi,) = read_annotations(written(tmp_path, feature(), name="picture.txt"))

    assert roi.polygon.bounds == (10, 20, 110, 120)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(tmp_path, encoding):
    data = json.dumps(feature(name="Tümör"), ensure_ascii=False).encode(encoding)

    (roi,) = read_annotations(written(tmp_path, data))

    assert roi.name == "Tümör"


@pytest.mark.parametrize(
    ("classification", "kind", "as_written"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, RoiKind.TUMOR, "Tumor"),
        ({"names": ["Tumor", "Invasive"]}, RoiKind.TUMOR, "Tumor: Invasive"),
        ("Ignore*", RoiKind.IGNORE, "Ignore*"),
        ({"name": "Control"}, RoiKind.CONTROL, "Control"),
        ({"name": "Lymph node"}, RoiKind.OTHER, "Lymph node"),
        (None, RoiKind.TUMOR, ""),
        ({}, RoiKind.TUMOR, ""),
    ],
)
def test_classification_is_read_in_each_of_its_forms(tmp_path, classification, kind, as_written):
    path = written(tmp_path, feature(classification=classification))

    (roi,) = read_annotations(path)

    assert (roi.kind, roi.classification) == (kind, as_written)


@pytest.mark.parametrize("classification", [None, {"name": "Tumor"}])
def test_a_name_that_rules_tumor_out_wins_over_its_class(tmp_path, classification):
    for name, kind in [("Necrosis", "ignore"), ("Control", "control"), ("left half", "tumor")]:
        path = written(tmp_path, feature(classification=classification, name=name))
        assert [roi.kind for roi in read_annotations(path)] == [kind]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tumour", RoiKind.TUMOR),
        ("INVASIVE carcinoma", RoiKind.TUMOR),
        ("Region*", RoiKind.TUMOR),
        ("ROI 3", RoiKind.TUMOR),
        ("Annotation 12", RoiKind.TUMOR),
        ("2+", RoiKind.TUMOR),
        ("Tumour stroma", RoiKind.IGNORE),
        ("Non-invasive", RoiKind.IGNORE),
        ("ductal carcinoma in situ", RoiKind.IGNORE),
        ("DCIS", RoiKind.IGNORE),
        ("Artefact", RoiKind.IGNORE),
        ("artifact", RoiKind.IGNORE),
        ("Necrosis", RoiKind.IGNORE),
        ("Exclude", RoiKind.IGNORE),
        ("Control tissue: tumor", RoiKind.CONTROL),
        ("on_slide_controls", RoiKind.CONTROL),
        ("Other", RoiKind.OTHER),
    ],
)
def test_class_names_mean_what_a_pathologist_expects(name, kind):
    assert kind_of_name(name) is kind
    assert kind_of_name(name.upper()) is kind
    assert kind_of_name(name.replace(" ", " \t  ")) is kind


def test_holes_are_kept(tmp_path):
    geometry = {"type": "Polygon", "coordinates": [*SQUARE, HOLE]}

    (roi,) = read_annotations(written(tmp_path, feature(geometry)))

    assert roi.polygon.area == 10_000 - 400


def test_collections_keep_their_polygons_and_overlap_counts_once(tmp_path):
    geometry = {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Polygon", "coordinates": SQUARE},
            {"type": "MultiPolygon", "coordinates": [SQUARE, [[[0, 0], [5, 0], [5, 5]]]]},
            {"type": "Point", "coordinates": [1, 1]},
        ],
    }

    (roi,) = read_annotations(written(tmp_path, feature(geometry)))

    assert roi.polygon.area == 10_000 + 12.5


def test_an_outline_that_crosses_itself_is_repaired(tmp_path):
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10]]]}

    (roi,) = read_annotations(written(tmp_path, feature(bow_tie)))

    assert roi.polygon.is_valid
    assert roi.polygon.area == 50


def test_cells_and_points_are_passed_over(tmp_path, caplog):
    document = [
        feature(objectType="annotation"),
        feature(objectType="cell"),
        feature(objectType="detection"),
        feature({"type": "Point", "coordinates": [1, 2]}),
        feature(objectType="tmaCore", isMissing=True),
    ]

    path = written(tmp_path, document)
    assert len(read_annotations(path)) == 1
    (warning,) = caplog.records
    assert warning.message.startswith(f"{path.name}: feature 3 is a Point")


def test_a_file_of_detections_only_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(AnnotationError, match="export annotations"):
        read_annotations(written(tmp_path, [feature(objectType="cell")]))


def test_all_faults_are_listed_with_their_positions(tmp_path):
    def polygon(ring):
        return {"type": "Polygon", "coordinates": [ring]}

    document = [
        feature(polygon([[0, 0], [1, 1]])),
        feature(polygon([[0, 0], [1, float("nan")], [2, 2]])),
        feature(polygon([[0, 0], [True, 1], [2, 2]])),
        feature(polygon([[0, 0], ["3", 1], [2, 2]])),
        feature(polygon([[0, 0], [1e9, 1], [2, 2]])),
        feature(polygon([[0, 0], [5, 5], [9, 9]])),
        feature({"type": "Circle", "coordinates": []}),
        feature(classification={"name": 3}),
        "no feature",
        feature(polygon([[0, 0], [10**400, 1], [2, 2]])),
        {"type": "Feature"},
    ]

    with pytest.raises(AnnotationError) as caught:
        read_annotations(written(tmp_path, document))

    message = str(caught.value)
    assert "11 faults" in message
    assert all(f"feature {index}" in message for index in range(11))


def test_equal_identifiers_are_numbered(tmp_path):
    rois = read_annotations(written(tmp_path, [feature(), feature(), feature(feature_id="a-2")]))

    assert len({roi.roi_id for roi in rois}) == 3


def test_identifier_of_old_exports_is_no_identifier(tmp_path):
    (roi,) = read_annotations(written(tmp_path, feature(feature_id="PathAnnotationObject")))

    assert roi.roi_id == "roi-1"


def test_kinds_of_objects_in_old_exports_are_understood(tmp_path):
    kinds = ("Annotation", "Cell", "Detection", "Tile", "Root")
    document = [feature(feature_id=f"Path{kind}Object") for kind in kinds]
    # What is said of an object in its place wins.
    document.append(feature(feature_id="PathCellObject", objectType="annotation"))
    document.append(feature(feature_id="TMACoreObject"))

    rois = read_annotations(written(tmp_path, document))

    assert [roi.roi_id for roi in rois] == ["roi-1", "roi-2", "roi-3"]
    assert [roi.is_core for roi in rois] == [False, False, True]


@given(st.integers(-500, 500), st.integers(-500, 500))
def test_offset_moves_every_vertex(tmp_path_factory, x, y):
    path = written(tmp_path_factory.mktemp("offset"), feature())

    (roi,) = read_annotations(path, offset=Location(x, y))

    assert roi.polygon.bounds == (10 + x, 20 + y, 110 + x, 120 + y)


def test_an_offset_beyond_any_slide_is_refused(tmp_path):
    path = written(tmp_path, feature())

    with pytest.raises(AnnotationError, match="check the offset"):
        read_annotations(path, offset=Location(int("9" * 400), 0))


def test_an_outline_is_cut_at_the_slide_edge(tmp_path):
    (roi,) = read_annotations(written(tmp_path, feature()), slide_dimensions=Size(60, 1000))

    assert roi.polygon.bounds == (10, 20, 60, 120)


@pytest.mark.parametrize("side", [5, 60])
def test_an_outline_of_another_slide_is_a_fault(tmp_path, side):
    with pytest.raises(AnnotationError, match=f"outside the slide of {side} × {side} px"):
        read_annotations(written(tmp_path, feature()), slide_dimensions=Size(side, side))


def test_a_tangle_is_a_fault_before_it_takes_memory(tmp_path):
    # Each of these lines crosses most of the others: repair would take minutes.
    points = [[k % 1500, k * 7919 % 1500] for k in range(20_000)]
    tangle = {"type": "Polygon", "coordinates": [points]}
    with pytest.raises(AnnotationError, match=r"feature 0: an outline of 20,000.*draw it again"):
        read_annotations(written(tmp_path, feature(tangle)))


def test_a_slip_of_the_hand_is_repaired_however_long_the_outline(tmp_path):
    border = [[x, 0] for x in range(5000)] + [[5000 - x, 100] for x in range(5000)]
    border[40], border[41] = border[41], [42.5, -3]
    (roi,) = read_annotations(
        written(tmp_path, feature({"type": "Polygon", "coordinates": [border]}))
    )
    assert roi.polygon.is_valid
    assert roi.polygon.area == pytest.approx(500_000, rel=1e-3)


def test_parts_that_meet_at_their_corners_cross_nothing(tmp_path):
    # As a pixel classifier traces them: diagonal pixels are parts of their own.
    squares = [
        [[[x, y], [x + 5, y], [x + 5, y + 5], [x, y + 5], [x, y]]]
        for x in range(0, 200, 5)
        for y in range(0, 200, 5)
        if (x + y) % 10 == 0
    ]
    geometry = {"type": "MultiPolygon", "coordinates": squares}
    (roi,) = read_annotations(written(tmp_path, feature(geometry)))
    assert roi.polygon.area == 25 * len(squares)


def test_vertices_that_are_written_twice_are_no_crossings(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    circle = (5000 + 3000 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).tolist()
    # One loop of the hand, so that the outline must be repaired.
    circle[100], circle[101] = circle[101], circle[100]
    twice = [point for point in circle for _ in range(2)]
    (roi,) = read_annotations(
        written(tmp_path, feature({"type": "Polygon", "coordinates": [twice]}))
    )
    assert roi.polygon.is_valid
    assert roi.polygon.area == pytest.approx(np.pi * 3000**2, rel=1e-3)


@pytest.mark.parametrize("n_points", [4, 6])
def test_an_outline_that_is_one_point_holds_nothing(n_points):
    assert polygon_of_rings([[[(3.0, 4.0)] * n_points]]).is_empty


def test_aperio_regions_are_read_with_holes_left_out_as_ignored(tmp_path):
    path = written(
        tmp_path,
        """<?xml version="1.0"?>
        <Annotations MicronsPerPixel="0.25">
          <Annotation Id="1" Name="" Type="4">
            <Attributes><Attribute Name="Description" Id="0" Value="Tumor"/></Attributes>
            <Regions><RegionAttributeHeaders/>
              <Region Id="1" Type="0" Text="" NegativeROA="0"><Vertices>
                <Vertex X="0" Y="0" Z="0"/><Vertex X="10" Y="0"/><Vertex X="10" Y="10.0"/>
                <Vertex X="0" Y="10"/></Vertices></Region>
              <Region Id="2" Type="1" Text="" NegativeROA="1"><Vertices>
                <Vertex X="2" Y="2"/><Vertex X="4" Y="6"/></Vertices></Region>
              <Region Id="3" Type="2" Text="Necrosis" NegativeROA="0"><Vertices>
                <Vertex X="0" Y="0"/><Vertex X="20" Y="10"/></Vertices></Region>
              <Region Id="4" Type="3" Text="look here"><Vertices>
                <Vertex X="0" Y="0"/><Vertex X="20" Y="10"/></Vertices></Region>
            </Regions></Annotation>
          <Annotation Id="2" Name="Layer 2"><Regions>
              <Region Id="1" Type="Polygon"><Vertices>
                <V X="0" Y="0"/><V X="4" Y="0"/><V X="4" Y="4"/></Vertices></Region>
          </Regions></Annotation>
        </Annotations>""",
        name="a.xml",
    )

    rois = read_annotations(path)

    # Text that says necrosis wins over the layer.
    assert [roi.kind for roi in rois] == ["tumor", "ignore", "ignore", "tumor"]
    assert [roi.roi_id for roi in rois] == ["1", "2", "3", "1-2"]
    assert rois[0].polygon.area == 100
    assert rois[1].polygon.area == 8
    assert rois[2].polygon.area == pytest.approx(3.14159 * 10 * 5, rel=1e-3)
    assert rois[3].classification == ""


def test_the_text_of_an_aperio_region_tells_when_its_layer_does_not(tmp_path):
    path = written(
        tmp_path,
        """<Annotations><Annotation Name="My drawings"><Regions>
        <Region Text="necrosis"><Vertices><Vertex X="0" Y="0"/><Vertex X="4" Y="0"/>
        <Vertex X="4" Y="4"/></Vertices></Region></Regions></Annotation></Annotations>""",
    )

    (roi,) = read_annotations(path)

    assert roi.kind is RoiKind.IGNORE


def test_asap_groups_and_vertex_order_are_read(tmp_path):
    path = written(
        tmp_path,
        """<?xml version="1.0"?><ASAP_Annotations><Annotations>
        <Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58">
        <Coordinates><Coordinate Order="0" X="0" Y="0"/><Coordinate Order="2" X="10" Y="10"/>
        <Coordinate Order="1" X="10" Y="0"/><Coordinate Order="3" X="0" Y="10"/></Coordinates>
        </Annotation>
        <Annotation Name="Annotation 1" Type="Spline" PartOfGroup="Exclusion"><Coordinates>
        <Coordinate X="0" Y="0"/><Coordinate X="10" Y="10"/><Coordinate X="10" Y="0"/>
        </Coordinates></Annotation>
        <Annotation Name="Annotation 2" Type="Dot" PartOfGroup="None"><Coordinates>
        <Coordinate X="0" Y="0"/></Coordinates></Annotation>
        </Annotations><AnnotationGroups><Group Name="Tumor" PartOfGroup="None"/>
        </AnnotationGroups></ASAP_Annotations>""",
    )

    rois = read_annotations(path)

    assert [(roi.kind, roi.classification) for roi in rois] == [
        (RoiKind.TUMOR, "Tumor"),
        (RoiKind.IGNORE, "Exclusion"),
    ]
    assert rois[0].polygon.area == 100


def test_xml_faults_are_listed_at_once(tmp_path):
    path = written(
        tmp_path,
        """<Annotations><Annotation><Regions>
        <Region><Vertices><Vertex X="0" Y="b"/><Vertex X="1" Y="1"/></Vertices></Region>
        <Region><Vertices><Vertex X="0" Y="0"/></Vertices></Region>
        <Region><Vertices/></Region>
        <Region><Vertices><Vertex X="0" Y="inf"/><Vertex X="0" Y="1"/><Vertex X="1" Y="1"/>
        </Vertices></Region></Regions></Annotation></Annotations>""",
    )

    with pytest.raises(AnnotationError, match="4 faults"):
        read_annotations(path)


ENTITIES = """<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>
<Annotations>&y;</Annotations>"""
OUTSIDE = """<!DOCTYPE a SYSTEM "file:///etc/passwd"><Annotations/>"""


@pytest.mark.parametrize("text", [ENTITIES, OUTSIDE])
def test_document_types_are_refused(tmp_path, text):
    with pytest.raises(AnnotationError, match="DOCTYPE"):
        read_annotations(written(tmp_path, text))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n",
        b"{",
        b"[",
        b"[" * 200_000,
        b'{"type": "FeatureCollection"}',
        b'{"type": "Topology"}',
        b"[" + b"9" * 5000 + b"]",
        b"[]",
        b"<a/>",
        b"<Annotations>",
        b"<Annotations/>",
        b"<Annotations>" + b"<a>" * 100,
        b'<?xml version="1.0" encoding="nonsense"?><Annotations/>',
        b'{"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": '
        + b'[{"type": "GeometryCollection", "geometries": ' * 30
        + b"[]"
        + b"}]" * 30
        + b"}}",
        b"\xff\xfe",
        b"{\xff\xff}",
    ],
)
def test_files_that_are_something_else_are_refused_in_words(tmp_path, content):
    with pytest.raises(AnnotationError, match=r"roi\.geojson"):
        read_annotations(written(tmp_path, content))


@given(st.binary(max_size=200) | st.text(alphabet='[]{}<>"/!? Annotations,:0', max_size=80))
def test_no_content_raises_anything_but_an_annotation_error(tmp_path_factory, content):
    data = content.encode() if isinstance(content, str) else content
    path = written(tmp_path_factory.mktemp("any"), data)

    with pytest.raises(AnnotationError):
        read_annotations(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "coordinates", "geometries", "name", "names", "id"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    geometry=json_values, properties=json_values, kind=st.sampled_from(["Polygon", "MultiPolygon"])
)
def test_a_feature_of_any_content_is_read_or_refused(tmp_path_factory, geometry, properties, kind):
    document = [
        {"type": "Feature", "geometry": geometry, "properties": properties},
        feature({"type": kind, "coordinates": geometry}, classification=properties),
    ]
    path = written(tmp_path_factory.mktemp("any"), document)

    try:
        rois = read_annotations(path)
    except AnnotationError:
        return
    assert all(roi.polygon.is_valid and roi.polygon.area > 0 for roi in rois)


def test_too_many_vertices_stop_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes_module, "MAX_VERTICES", 4)

    with pytest.raises(AnnotationError, match="more than 4 vertices"):
        read_annotations(written(tmp_path, feature()))


def test_too_many_outlines_stop_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes_module, "MAX_SHAPES", 1)

    with pytest.raises(AnnotationError, match="more than 1 outlines"):
        read_annotations(written(tmp_path, [feature(), feature()]))


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(read_module, "MAX_FILE_BYTES", 10)

    with pytest.raises(AnnotationError, match="larger than"):
        read_annotations(written(tmp_path, feature()))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"nothing\.geojson cannot be read"):
        read_annotations(tmp_path / "nothing.geojson")


def test_long_names_are_refused(tmp_path):
    with pytest.raises(AnnotationError, match="letters"):
        read_annotations(written(tmp_path, feature(name="x" * 501)))


def ring_round(times: int) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi * times, 40 * times, endpoint=False)
    return [(500 + 300 * math.cos(a), 500 + 300 * math.sin(a)) for a in angles]


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def test_an_outline_that_laps_over_itself_holds_all_that_it_goes_round() -> None:
    once = polygon_of_rings([[ring_round(1)]]).area
    assert polygon_of_rings([[ring_round(2)]]).area == pytest.approx(once)
    star = [(math.sin(4 * math.pi * k / 5), math.cos(4 * math.pi * k / 5)) for k in range(5)]
    # By parity the pentagon in its middle would be missing.
    assert polygon_of_rings([[star]]).area == pytest.approx(1.1226, abs=1e-3)
    # A loop drawn on past the start.
    lapped = [*square(0, 0, 100), (0, 0), (60, 0), (60, 40)]
    assert polygon_of_rings([[lapped]]).area == pytest.approx(100**2)


def test_a_hole_outside_of_its_outline_adds_nothing() -> None:
    assert polygon_of_rings([[square(0, 0, 100), square(200, 0, 50)]]).area == 100**2
    half = polygon_of_rings([[square(0, 0, 100), square(50, 0, 100)]])
    assert half.area == pytest.approx(5000)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Tumor-free", RoiKind.IGNORE),
        ("Tumor-infiltrating lymphocytes", RoiKind.IGNORE),
        ("Peri-tumor", RoiKind.IGNORE),
        ("Outside tumor", RoiKind.IGNORE),
        ("adjacent to the tumour", RoiKind.IGNORE),
        ("Cancer-associated fibroblasts", RoiKind.IGNORE),
        ("Tumor2", RoiKind.TUMOR),
        ("TUMOR 3", RoiKind.TUMOR),
        ("Adenocarcinoma", RoiKind.TUMOR),
        ("IDC", RoiKind.TUMOR),
        ("Tumor bed", RoiKind.TUMOR),
        ("Intraductal carcinoma", RoiKind.IGNORE),
        ("carcinoma intraduttale", RoiKind.IGNORE),
        ("comedo carcinoma", RoiKind.IGNORE),
        ("Pre-invasive", RoiKind.IGNORE),
        ("no residual tumor", RoiKind.IGNORE),
        ("without tumor", RoiKind.IGNORE),
        ("free of tumor", RoiKind.IGNORE),
        ("negative for tumor", RoiKind.IGNORE),
        ("Tumor negative", RoiKind.IGNORE),
        ("uninvolved by tumor", RoiKind.IGNORE),
        ("Kein Tumor", RoiKind.IGNORE),
        ("non-neoplastic tissue", RoiKind.IGNORE),
        ("Tumor, no special type", RoiKind.TUMOR),
        ("no special type carcinoma", RoiKind.TUMOR),
        ("non-necrotic tumor", RoiKind.TUMOR),
        ("viable tumor (non necrotic)", RoiKind.TUMOR),
        ("Tumor, no necrosis", RoiKind.TUMOR),
        ("invasive carcinoma without DCIS", RoiKind.TUMOR),
        ("Tumor - excluding stroma", RoiKind.TUMOR),
        ("ROI no 1 tumor", RoiKind.TUMOR),
        ("Area no. 12 invasive carcinoma", RoiKind.TUMOR),
        ("Excluding necrosis", RoiKind.IGNORE),
        ("Necrosis, no tumor", RoiKind.IGNORE),
        ("DCIS without necrosis", RoiKind.IGNORE),
        ("necrotic tumor", RoiKind.IGNORE),
        ("carcinoma NST near margin", RoiKind.TUMOR),
    ],
)
def test_what_is_named_beside_tumor_is_no_tumor(name: str, kind: RoiKind) -> None:
    assert kind_of_name(name) is kind


def test_names_cannot_steer_a_terminal(tmp_path):
    loud = feature(feature_id="\x1b[2Ja", name="a\x9b31mb", classification={"name": "Tumor\x07"})
    (roi,) = read_annotations(written(tmp_path, loud))
    assert (roi.roi_id, roi.name, roi.classification) == ("[2Ja", "a31mb", "Tumor")


def test_equal_ids_are_numbered_and_no_id_is_given_twice(tmp_path):
    given = ["a", "a", "a-2", "a", "a-2"]
    document = [feature(feature_id=name) for name in given]
    found = [roi.roi_id for roi in read_annotations(written(tmp_path, document))]
    assert found[:2] == ["a", "a-2"]
    assert len(set(found)) == len(given)
    assert all(name.startswith(start) for name, start in zip(found, given, strict=True))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([1] * 20_000),
        json.dumps([feature({"type": "Polygon", "coordinates": []})] * 2_000),
        "<Annotations><Annotation>" + "<Region/>" * 20_000 + "</Annotation></Annotations>",
    ],
)
def test_a_file_of_nothing_but_faults_is_left_before_all_of_them_are_kept(
    tmp_path, content, monkeypatch
):
    kept = []
    count = shapes_module.Budget.add_fault
    monkeypatch.setattr(
        shapes_module.Budget, "add_fault", lambda self, words: kept.append(1) or count(self, words)
    )

    with pytest.raises(AnnotationError, match=r"roi\.geojson: .*more than 1,000 faults, such as: "):
        read_annotations(written(tmp_path, content))

    assert len(kept) == 1_001


def test_lists_and_objects_are_counted_before_memory_is_taken_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(geojson_module, "MAX_PARTS", 50)
    monkeypatch.setattr(geojson_module.json, "loads", lambda _data: pytest.fail("was parsed"))

    with pytest.raises(AnnotationError, match="more than 50 lists and objects"):
        read_annotations(written(tmp_path, "[" + "[]," * 30 + "{}" * 20))


def test_thousands_of_points_are_passed_over_in_a_few_lines(tmp_path, caplog):
    point = feature({"type": "Point", "coordinates": [1, 1]})

    (roi,) = read_annotations(written(tmp_path, [*[point] * 3_000, feature()]))

    assert roi.polygon.area == 10_000
    assert len(caplog.records) == 11
    assert "2,990 more passed over" in caplog.text


@pytest.mark.parametrize("name", ["objectType", "object_type"])
def test_a_kind_of_object_that_is_null_is_none(tmp_path, name):
    (roi,) = read_annotations(written(tmp_path, feature(**{name: None})))

    assert roi.kind is RoiKind.TUMOR


def test_collections_nested_too_deeply_are_named_so(tmp_path):
    geometry = {"type": "Polygon", "coordinates": SQUARE}
    for _ in range(9):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}

    with pytest.raises(AnnotationError, match="more than 8 deep"):
        read_annotations(written(tmp_path, feature(geometry)))


def test_an_aperio_region_inside_another_does_not_replace_it_in_silence(tmp_path):
    inner = APERIO_REGION.format(more='Id="2"', inside="")
    outer = APERIO_REGION.format(more='Id="1"', inside=inner)

    with pytest.raises(AnnotationError, match="outline 0: outline 1 begins before it ends"):
        read_annotations(written(tmp_path, APERIO_FILE.format(outer)))


def layer_of(name: str, *boxes: tuple[int, int, bool]) -> str:
    """Write a layer of squares from one coordinate to another; the last says which are negative."""
    regions = "".join(
        f'<Region Type="0" NegativeROA="{int(is_negative)}"><Vertices>'
        + "".join(
            f'<Vertex X="{x}" Y="{y}"/>'
            for x, y in ((low, low), (high, low), (high, high), (low, high))
        )
        + "</Vertices></Region>"
        for low, high, is_negative in boxes
    )
    return f'<Annotation Name="{name}"><Regions>{regions}</Regions></Annotation>'


def test_a_negative_region_is_a_hole_of_its_own_layer(tmp_path):
    text = "".join(
        (
            layer_of("Tumor", (0, 1000, False), (700, 750, True)),
            layer_of("Necrosis", (200, 800, False), (400, 600, True)),
            layer_of("Vessel", (0, 100, False), (40, 60, True)),
            layer_of("Exclude", (900, 950, True)),
        )
    )
    rois = read_annotations(written(tmp_path, f"<Annotations>{text}</Annotations>"))
    found = [(roi.kind.value, roi.classification, roi.polygon.area) for roi in rois]
    assert found == [
        ("tumor", "Tumor", 1000**2),
        ("ignore", "Tumor", 50**2),
        ("ignore", "Necrosis", 600**2 - 200**2),
        ("other", "Vessel", 100**2 - 20**2),
        # It lies in nothing of its layer.
        ("ignore", "Exclude", 50**2),
    ]


def test_a_file_that_counts_from_the_bounds_says_so_itself(tmp_path):
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {},
    }
    document = {"type": "FeatureCollection", "features": [feature], ORIGIN_KEY: [9000, 12000]}
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    (roi,) = read_annotations(path)
    assert roi.polygon.bounds == (9000, 12000, 9010, 12010)
    with pytest.raises(AnnotationError, match="leave the offset out"):
        read_annotations(path, offset=Location(5, 5))
    for wrong in ("far", [1], [1e9, 0], [float("nan"), 0]):
        path.write_text(json.dumps(document | {ORIGIN_KEY: wrong}), encoding="utf-8")
        with pytest.raises(AnnotationError, match=ORIGIN_KEY):
            read_annotations(path)


@pytest.mark.parametrize("word", ["1", "true", "True"])
def test_a_negative_region_is_left_out_however_that_is_written(tmp_path, word):
    region = APERIO_REGION.format(more=f'NegativeROA="{word}"', inside="")

    (roi,) = read_annotations(written(tmp_path, APERIO_FILE.format(region)))

    assert roi.kind is RoiKind.IGNORE


def test_an_order_that_is_no_number_is_a_fault(tmp_path):
    corners = "".join(
        f'<Coordinate Order="{order}" X="{x}" Y="{y}"/>'
        for order, x, y in (("nan", 0, 0), ("1", 9, 0), ("2", 9, 9), ("0", 0, 9))
    )
    text = (
        '<ASAP_Annotations><Annotations><Annotation Type="Polygon"><Coordinates>'
        f"{corners}</Coordinates></Annotation></Annotations></ASAP_Annotations>"
    )

    with pytest.raises(AnnotationError, match="X, Y and Order must be numbers"):
        read_annotations(written(tmp_path, text))
