"""Regions show a score only on enough cells, and list every cell of the grid or a control once."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from report_slides import MPP, cell_columns, make_slide

from her2path.criteria.score import Score
from her2path.criteria.tally import Tally
from her2path.geometry import Location, Mpp
from her2path.report.regions import RegionCounts, count_scores, region_rows, shown_score
from her2path.report.shapes import map_shapes
from her2path.results.cells import write_cells
from her2path.results.columns import Exclusion
from her2path.results.geojson import Origin, OutlineKind, outline_feature, write_geojson
from her2path.results.record import RegionKind
from her2path.statistics.heterogeneity import LEAST_REGION_CELLS


def with_cells(region, n_cells):
    tally = Tally.from_array(np.diag([n_cells, 0, 0, 0, 0])[:, :3])
    return replace(region, reading=replace(region.reading, tally=tally))


@pytest.fixture
def square(made):
    return made.record.regions[0]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_score_is_shown_from_the_number_that_heterogeneity_asks_for(square, missing):
    region = with_cells(square, LEAST_REGION_CELLS - missing)
    assert shown_score(region) == (None if missing else square.score)


def test_regions_of_few_cells_are_counted_apart_and_controls_not_at_all(square):
    regions = (
        with_cells(square, 500),
        with_cells(square, 3),
        replace(with_cells(square, 500), kind=RegionKind.CONTROL),
    )
    assert count_scores(regions) == RegionCounts(((Score.TWO_PLUS, 1),), 1)


def test_regions_of_few_cells_have_no_color_on_the_map(made, square):
    record = replace(made.record, regions=(with_cells(square, 3), with_cells(square, 300)))
    drawn = map_shapes(record, made.folder.regions_geojson, downsample=1.0)
    assert [region.score for region in drawn.regions] == [None, square.score]


def test_the_map_is_the_same_where_outlines_count_from_the_bounds_of_the_slide(made):
    tissue = outline_feature("tissue 1", shapely.box(300, 200, 700, 600), kind=OutlineKind.TISSUE)
    rings = []
    for origin in Origin:
        path = made.folder.path / f"{origin}.geojson"
        write_geojson(path, [tissue], slide_id="a", origin=origin, bounds=Location(120, 45))
        drawn = map_shapes(made.record, path, downsample=2.0)
        rings.append(np.unique(drawn.tissue[0], axis=0).tolist())
    assert rings[0] == rings[1] == [[150, 100], [150, 300], [350, 100], [350, 300]]


def test_cells_of_control_tissue_are_listed_once(tmp_path):
    made = make_slide(tmp_path)
    columns = cell_columns(n=10)
    columns["excluded"][:4] = Exclusion.CONTROL.value
    write_cells(
        made.folder.cells_parquet,
        columns,
        slide_id="slide A",
        mpp=Mpp(MPP, MPP),
        software_version="0.1.0",
    )
    square = replace(made.record.regions[0], n_cells=10)
    control = replace(square, region_id="c1", kind=RegionKind.CONTROL, n_cells=4)
    rows = region_rows((square, control), made.folder)
    assert {row.region.region_id: row.n_cells for row in rows} == {"r1": 6, "c1": 4}


@pytest.mark.parametrize("is_damaged", [True, False])
def test_without_the_cells_of_a_control_squares_do_not_guess_theirs(made, square, is_damaged):
    control = replace(square, region_id="c1", kind=RegionKind.CONTROL, n_cells=4)
    made.folder.cells_parquet.unlink()
    if is_damaged:
        made.folder.cells_parquet.write_bytes(b"no table")
    rows = region_rows((square, control), made.folder)
    assert {row.region.region_id: row.n_cells for row in rows} == {"r1": None, "c1": 4}


def test_drawn_regions_come_first_and_few_cells_last(made, square):
    drawn = replace(square, region_id="roi", kind=RegionKind.ROI)
    few = replace(with_cells(square, 5), region_id="r0", score=Score.THREE_PLUS)
    rows = region_rows((few, with_cells(square, 500), drawn), made.folder, most=2)
    assert [row.region.region_id for row in rows] == ["roi", "r1"]
