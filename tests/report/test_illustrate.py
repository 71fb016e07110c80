"""Pictures of a scored slide: fields inside it, what they show, the same each time."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from report_slides import HEIGHT, MPP, WIDTH, cell_columns, make_slide, refused

from her2path.errors import ResultsError, SlideError
from her2path.geometry import Region
from her2path.report import illustrate_slide
from her2path.report.fields import FIELDS_FOLDER, read_gallery
from her2path.report.illustrate import uncertain_range
from her2path.report.interest import FieldKind
from her2path.results.record import RegionKind

pytestmark = pytest.mark.slow


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_fields_lie_inside_the_slide_and_show_it_at_40x(made):
    illustrate_slide(made.folder, made.record)
    gallery = read_gallery(made.folder.path)
    assert {shown.kind for shown in gallery.fields} == set(FieldKind)
    whole = Region(0, 0, WIDTH, HEIGHT)
    for shown in gallery.fields:
        assert shown.box.intersection(whole) == shown.box
        path = made.folder.path / FIELDS_FOLDER / shown.file
        assert size_of(path) == (shown.width, shown.height)
        assert shown.width == pytest.approx(shown.box.width * MPP / 0.25, abs=1)


def test_counts_of_a_field_are_those_of_its_cells(made):
    illustrate_slide(made.folder, made.record)
    columns = cell_columns()
    for shown in read_gallery(made.folder.path).fields:
        is_inside = (columns["x"] >= shown.box.x) & (columns["x"] < shown.box.right)
        is_inside &= (columns["y"] >= shown.box.y) & (columns["y"] < shown.box.bottom)
        is_counted = columns["excluded"] == ""
        assert shown.n_counted == (is_inside & is_counted).sum()
        assert shown.n_not_counted == (is_inside & ~is_counted).sum()
        for level, n in shown.by_intensity.items():
            assert n == (is_inside & is_counted & (columns["intensity"] == level.label)).sum()


def test_deciding_fields_mark_cells_of_the_deciding_class(made):
    illustrate_slide(made.folder, made.record)
    row = made.record.call.deciding_lower.criterion
    deciding = [f for f in read_gallery(made.folder.path).fields if f.kind is FieldKind.DECIDING]
    marked = [cell for shown in deciding for cell in shown.cells if cell.is_marked]
    assert marked
    assert all(cell.is_counted and cell.intensity >= row.intensity for cell in marked)


def test_pictures_are_the_same_each_time(made):
    def all_bytes():
        illustrate_slide(made.folder, made.record)
        files = sorted((made.folder.path / FIELDS_FOLDER).iterdir())
        return [file.read_bytes() for file in [made.folder.overview_png, *files]]

    assert all_bytes() == all_bytes()


def test_old_pictures_do_not_stay(made):
    stale = made.folder.path / FIELDS_FOLDER / "99_old.jpg"
    stale.parent.mkdir()
    stale.write_bytes(b"x")
    illustrate_slide(made.folder, made.record)
    assert not stale.exists()


def test_the_map_has_the_colors_of_scores_and_controls(made):
    illustrate_slide(made.folder, made.record)
    drawn = np.asarray(Image.open(made.folder.overview_png).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(drawn, 2, 0)
    assert ((red > green + 40) & (green > blue + 20)).mean() > 0.1, "2+ is orange"
    assert (np.abs(drawn - (106, 61, 154)).sum(axis=2) < 30).any(), "control is hatched violet"


def test_cells_of_cores_are_in_doubt_about_the_cut_that_was_theirs(made):
    selection, (region, *_) = made.record.selection, made.record.regions
    drawn = replace(region, kind=RegionKind.ROI)
    core = replace(drawn, is_core=True)
    for regions, cut in (
        ((), selection.cut),
        ((drawn,), selection.cut_in_roi),
        ((core,), selection.cut),
        ((core, drawn), selection.cut_in_roi),
    ):
        low, high = uncertain_range(replace(made.record, regions=regions))
        assert (low + high) / 2 == pytest.approx(cut)
    assert selection.cut != selection.cut_in_roi


def test_a_refused_slide_gets_its_overview_and_no_field(made):
    made.folder.cells_parquet.unlink()
    illustrate_slide(made.folder, refused(made.record))
    gallery = read_gallery(made.folder.path)
    assert gallery.fields == ()
    assert size_of(made.folder.overview_png)[0] > 100
    assert size_of(made.folder.path / FIELDS_FOLDER / gallery.overview_file)[0] > 100


def test_damaged_outlines_leave_a_map_without_them(made, caplog):
    made.folder.regions_geojson.write_text('{"features": [{"properties": 3}]}')
    illustrate_slide(made.folder, made.record)
    assert made.folder.overview_png.exists()
    assert "not drawn" in caplog.text


def test_outlines_of_tissue_bound_the_colors(made):
    ring = [[200, 200], [600, 200], [600, 600], [200, 600], [200, 200]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Tissue", "color": [0, 0, 0]}},
    }
    made.folder.regions_geojson.write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    illustrate_slide(made.folder, replace(made.record, call=None))
    drawn = np.asarray(Image.open(made.folder.overview_png).convert("RGB")).astype(int)
    scale = drawn.shape[1] / WIDTH
    spread = drawn.max(axis=2) - drawn.min(axis=2)
    assert spread[int(400 * scale), int(400 * scale)] > 40
    assert spread[int(800 * scale), int(400 * scale)] < 10


def test_a_slide_that_went_away_is_a_named_error(made, tmp_path):
    with pytest.raises(SlideError, match="does not exist"):
        illustrate_slide(made.folder, replace(made.record, path=str(tmp_path / "gone.png")))


def test_a_gallery_cannot_name_files_outside_its_folder(made):
    illustrate_slide(made.folder, made.record)
    path = made.folder.path / FIELDS_FOLDER / "fields.json"
    path.write_text(path.read_text().replace("01_deciding.jpg", "../../secret.jpg"))
    with pytest.raises(ResultsError, match="outside its folder"):
        read_gallery(made.folder.path)


def test_a_tiny_slide_is_one_field(tmp_path):
    made = make_slide(tmp_path)
    buffer = io.BytesIO()
    Image.new("RGB", (90, 70), (200, 180, 170)).save(buffer, "PNG")
    small = tmp_path / "small.png"
    small.write_bytes(buffer.getvalue())
    illustrate_slide(made.folder, replace(made.record, path=str(small)))
    for shown in read_gallery(made.folder.path).fields:
        assert (shown.box.width, shown.box.height) == (90, 70)
