import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from her2path.annotations.roi import RoiKind
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Score
from her2path.errors import AnnotationError, MppError
from her2path.flags.evidence import FlagCuts, ReviewFlag
from her2path.geometry import Mpp, Region, Size
from her2path.pipeline import frames, regions
from her2path.pipeline.conclude import conclude_cells, conclude_without_cells
from her2path.pipeline.frames import aligned, working_scale
from her2path.pipeline.parts import (
    OPEN_SLIDES,
    has_part,
    measure_tiles,
    plan_parts,
    read_parts,
)
from her2path.pipeline.selection import TumorReading, select_cells, selected_cells
from her2path.pipeline.settings import ScoreSettings, find_calibration
from her2path.pipeline.survey import TOO_COARSE, fields_at, survey_slide
from her2path.results.columns import Exclusion
from her2path.results.record import RegionKind
from her2path.slides import Icc
from her2path.synth import (
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    mix_of,
)
from her2path.tissue.fields import choose_fields
from her2path.tissue.mask import TissueMask

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _closed_slides():
    yield
    OPEN_SLIDES.close()


def measured(job, settings: ScoreSettings, folder: Path):
    survey = survey_slide(job, settings)
    tasks = plan_parts(survey, folder)
    for task in tasks:
        measure_tiles(task)
    return survey, read_parts([task.part for task in tasks])


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def outlines(path: Path, **boxes: tuple[int, int, int, int]) -> Path:
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]],
                ],
            },
            "properties": {"classification": {"name": name, "color": [1, 2, 3]}},
        }
        for name, (x, y, w, h) in boxes.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


@pytest.mark.parametrize(
    ("mpp", "working"), [(0.23, 0.23), (0.5, 0.5), (0.12, 0.24), (0.06, 0.24), (0.14, 0.14)]
)
def test_cells_are_measured_at_level_0_unless_it_is_very_fine(mpp: float, working: float):
    assert working_scale(Mpp(mpp, mpp)) == pytest.approx(working)


def test_frames_grow_to_the_grid_and_end_at_the_slide():
    whole = Region(0, 0, 1000, 700)
    assert aligned(Region(-50, -50, 300, 300), 12, whole) == Region(0, 0, 252, 252)
    assert aligned(Region(101, 601, 50, 300), 12, whole) == Region(96, 600, 60, 100)


def test_cells_do_not_depend_on_the_size_of_the_tiles(drawn, job_on, tmp_path: Path):
    found = []
    for tile_um in (120.0, 170.0, 1000.0):
        folder = tmp_path / f"{tile_um:.0f}"
        folder.mkdir()
        survey, cells = measured(job_on(drawn), ScoreSettings(tile_um=tile_um), folder)
        found.append((len(survey.tiles), cells))
    assert len({n_tiles for n_tiles, _ in found}) > 1
    (_, first), *others = found
    assert len(first) > 100
    for _, cells in others:
        assert np.array_equal(cells.x, first.x)
        assert np.array_equal(cells.y, first.y)
        for name in ("line_contrast_od", "outline_um", "nucleus_area_um2"):
            assert np.allclose(getattr(cells, name), getattr(first, name), atol=1e-5)


def test_a_part_counts_only_for_its_own_task(drawn, job_on, settings, tmp_path: Path):
    survey = survey_slide(job_on(drawn), settings)
    task = plan_parts(survey, tmp_path)[0]
    assert not has_part(task)
    measure_tiles(task)
    assert has_part(task)
    assert not has_part(replace(task, key="another"))
    task.part.write_bytes(task.part.read_bytes()[:-200])
    assert not has_part(task)


def test_the_key_of_parts_follows_everything_that_a_measurement_depends_on(drawn, job_on, settings):
    keys = {
        survey_slide(job, s).parts_key
        for job, s in (
            (job_on(drawn), settings),
            (job_on(drawn, white_point=(230.0, 230.0, 230.0)), settings),
            (job_on(drawn), ScoreSettings(tile_um=100.0)),
        )
    }
    assert len(keys) == 3


def test_a_coarse_scan_is_not_assessable(drawn, job_on, settings, tmp_path: Path):
    fine = cv2.imread(str(drawn))
    coarse = tmp_path / "coarse.png"
    # The same tissue at 0.8 µm/px, four times over so that there is enough of it.
    small = cv2.resize(fine, None, fx=0.25 / 0.8, fy=0.25 / 0.8, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(coarse), small)
    survey = survey_slide(job_on(coarse, mpp=0.8), settings)
    assert (survey.tissue_facts.reason, survey.tiles) == (TOO_COARSE, ())
    assert "40×" in survey.tissue_facts.explanation


def test_no_pixel_size_names_the_remedy(drawn, job_on, settings):
    with pytest.raises(MppError, match="--mpp"):
        survey_slide(job_on(drawn, mpp=None), settings)


def sure_of(cells):
    return TumorReading(np.ones(len(cells), np.float32))


def test_outlines_decide_what_counts_and_why_not(drawn, job_on, settings, tmp_path: Path):
    side = cv2.imread(str(drawn)).shape[0]
    half = side // 2
    roi = outlines(
        tmp_path / "roi.geojson",
        Tumor=(0, 0, half, side),
        Ignore=(0, 0, half, half // 2),
        Control=(half + 50, 0, half - 50, half),
        Other_thing=(half, half, 100, 100),
    )
    survey, cells = measured(job_on(drawn, roi=roi), settings, tmp_path)
    selection = select_cells(cells, sure_of(cells), survey, settings)
    words = selection.words()
    assert set(words[selection.is_counted]) == {""}
    is_left = cells.x < half
    assert (words[~is_left & (cells.x < half + 50)] == Exclusion.OUTSIDE_ROI.value).all()
    assert (words[is_left & (cells.y < half // 2)] == Exclusion.IGNORED_ROI.value).all()
    is_control = (cells.x > half + 50) & (cells.y < half)
    assert is_control.any()
    assert (words[is_control] == Exclusion.CONTROL.value).all()
    assert sum(selection.counts().values()) == len(cells)
    assert np.allclose(selection.cut[is_left], settings.tumor_cut_in_roi)
    assert any("Other" in remark for remark in survey.remarks)
    assert [c.source for c in survey.tissue_facts.controls] == ["drawn"]
    assert len(survey.rois_of(RoiKind.TUMOR)) == 1


def test_a_core_of_a_microarray_says_where_to_look_and_not_what_is_tumor(
    drawn, job_on, settings, tmp_path: Path
):
    side = cv2.imread(str(drawn)).shape[0]
    roi = outlines(tmp_path / "roi.geojson", A_1=(0, 0, side // 2, side), A_2=(900, 0, 800, side))
    document = json.loads(roi.read_text("utf-8"))
    for feature in document["features"]:
        feature["properties"] |= {"objectType": "tmaCore", "classification": None}
    roi.write_text(json.dumps(document), "utf-8")
    survey, cells = measured(job_on(drawn, roi=roi), settings, tmp_path)
    selection = select_cells(cells, sure_of(cells), survey, settings)
    assert np.allclose(selection.cut, settings.tumor_cut)
    assert selection.is_counted.any()
    assert (selection.is_counted <= ((cells.x < side // 2) | (cells.x > 900))).all()
    assert any("microarray of 2 cores" in remark for remark in survey.remarks)
    found = regions.outlines((cells.x, cells.y), selection, survey)
    assert [region.is_core for region in found] == [True, True]


def test_tiles_are_planned_only_where_an_outline_asks(
    drawn, job_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frames, "SURROUNDINGS_UM", 20.0)
    small = ScoreSettings(tile_um=110.0)
    everywhere = survey_slide(job_on(drawn), small)
    side = everywhere.dimensions.width
    roi = outlines(tmp_path / "roi.geojson", Tumor=(side // 2, side // 2, 40, 40))
    some = survey_slide(job_on(drawn, roi=roi), small)
    assert 0 < len(some.tiles) < len(everywhere.tiles)


@pytest.mark.parametrize("tile_um", [40.0, 500.0])
def test_the_cells_round_an_outline_do_not_hang_on_the_tiles(
    drawn, job_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile_um: float
):
    monkeypatch.setattr(frames, "SURROUNDINGS_UM", 30.0)
    side = cv2.imread(str(drawn)).shape[0]
    corner, size = side // 2, 160
    roi = outlines(tmp_path / "roi.geojson", Tumor=(corner, corner, size, size))
    settings = ScoreSettings(tile_um=tile_um, n_resamples=20)
    survey, cells = measured(job_on(drawn, roi=roi), settings, tmp_path)
    cells = cells.select(survey.looked_up(survey.covered, cells.x, cells.y))
    beyond_x, beyond_y = (
        np.maximum(np.maximum(corner - at, at - corner - size), 0.0) * survey.mpp.mean
        for at in (cells.x, cells.y)
    )
    beyond = np.hypot(beyond_x, beyond_y)
    # Beside them, and no further than the mask is coarse.
    assert 15 < beyond.max() < 30.0 + 3 * survey.mask_downsample * survey.mpp.mean
    (tmp_path / "all").mkdir()
    everywhere, others = measured(job_on(drawn), settings, tmp_path / "all")
    is_near = others.select(everywhere.looked_up(survey.covered, others.x, others.y))
    assert len(cells) == len(is_near) > 0


def test_outlines_of_another_slide_are_an_error(drawn, job_on, settings, tmp_path: Path):
    roi = outlines(tmp_path / "roi.geojson", Tumor=(90_000, 90_000, 50, 50))
    with pytest.raises(AnnotationError, match="outside the slide"):
        survey_slide(job_on(drawn, roi=roi), settings)


@pytest.fixture(scope="module")
def with_control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unstained tissue, and 3 mm farther at the other end a smaller piece of 3+; 0.5 µm/px."""
    canvas = np.full((1400, 8000, 3), (236, 235, 240), np.uint8)
    for left, side, mix in (
        (100, 600, mix_of(none=1.0)),
        (7000, 450, mix_of(intense_complete=1.0)),
    ):
        recipe = SlideRecipe(
            width_um=side,
            height_um=side,
            tissue=TissueShape(kind="core"),
            regions=(RegionRecipe(name="tumor", mix=mix),),
        )
        rgb = draw_field(recipe, Laboratory(dab_strength=1.5), seed=1).rgb
        small = cv2.resize(rgb, (2 * side, 2 * side), interpolation=cv2.INTER_AREA)
        canvas[100 : 100 + 2 * side, left : left + 2 * side] = small
    path = tmp_path_factory.mktemp("control") / "two.png"
    cv2.imwrite(str(path), canvas[..., ::-1])
    return path


@pytest.mark.parametrize("is_excluded", [False, True])
def test_suspected_control_is_flagged_with_the_score_the_other_way(
    with_control, job_on, tmp_path: Path, is_excluded: bool
):
    settings = ScoreSettings(n_resamples=20, exclude_controls=is_excluded)
    survey, cells = measured(job_on(with_control, mpp=0.5), settings, tmp_path)
    record = conclude_cells(survey, cells, settings, timings={}).record
    (control,) = record.tissue.controls
    assert (control.source, control.is_excluded) == ("found", is_excluded)
    n_left_out = record.selection.excluded[Exclusion.CONTROL]
    assert (n_left_out > 0) == is_excluded
    flag = next(flag for flag in record.flags if flag.flag is ReviewFlag.CONTROL_SUSPECTED)
    assert record.review
    words = "with its" if is_excluded else "without them"
    assert words in flag.sentence
    assert flag.sentence.count(str(record.score)) >= 1


def test_what_an_outline_leaves_out_is_not_suspected(with_control, job_on, tmp_path: Path):
    roi = outlines(tmp_path / "roi.geojson", Ignore=(6900, 50, 1090, 1100))
    settings = ScoreSettings(n_resamples=20, exclude_controls=True)
    survey, cells = measured(job_on(with_control, mpp=0.5, roi=roi), settings, tmp_path)
    record = conclude_cells(survey, cells, settings, timings={}).record
    assert record.selection.excluded[Exclusion.CONTROL]
    # Left in, these cells would not count either.
    assert ReviewFlag.CONTROL_SUSPECTED not in {flag.flag for flag in record.flags}


@pytest.mark.parametrize("is_excluded", [False, True])
def test_tissue_that_is_drawn_as_tumor_is_not_suspected(
    with_control, job_on, tmp_path: Path, is_excluded: bool
):
    roi = outlines(tmp_path / "roi.geojson", Tumor=(6900, 50, 1090, 1100))
    settings = ScoreSettings(n_resamples=20, exclude_controls=is_excluded)
    survey, cells = measured(job_on(with_control, mpp=0.5, roi=roi), settings, tmp_path)
    record = conclude_cells(survey, cells, settings, timings={}).record
    assert record.tissue.controls == ()
    assert record.reading.n_tumor_cells > 50
    assert ReviewFlag.CONTROL_SUSPECTED not in {flag.flag for flag in record.flags}


@pytest.mark.parametrize("drawn", [{"Tumor": (60, 60, 1300, 1300)}, None])
def test_control_tissue_that_was_found_is_measured_beside_an_outline_too(
    with_control, job_on, tmp_path: Path, drawn: dict[str, tuple[int, int, int, int]] | None
):
    settings = ScoreSettings(n_resamples=20, exclude_controls=True)
    roi = None if drawn is None else outlines(tmp_path / "roi.geojson", **drawn)
    survey, cells = measured(job_on(with_control, mpp=0.5, roi=roi), settings, tmp_path)
    record = conclude_cells(survey, cells, settings, timings={}).record
    (control,) = (r for r in record.regions if r.kind is RegionKind.CONTROL)
    assert control.reading.n_tumor_cells > 50
    assert str(control.score) == "3+"
    assert record.selection.excluded[Exclusion.CONTROL] >= control.n_cells > 50
    assert ReviewFlag.NO_CONTROL not in {flag.flag for flag in record.flags}
    # What lies between them is read in neither case.
    assert len(survey.tiles) == 2


@pytest.mark.parametrize(("expected", "is_flagged"), [((0.001, 3.0), False), ((2.0, 3.0), True)])
def test_a_control_outside_its_range_asks_for_a_person(
    drawn, job_on, tmp_path: Path, expected: tuple[float, float], is_flagged: bool
):
    half = cv2.imread(str(drawn)).shape[0] // 2
    roi = outlines(
        tmp_path / "roi.geojson", Tumor=(0, 0, half, half), Control=(half, 0, half, half)
    )
    site = find_calibration(None).model_copy(update={"control_od": expected})
    settings = ScoreSettings(n_resamples=20)
    survey, cells = measured(job_on(drawn, roi=roi, calibration=site), settings, tmp_path)
    flags = conclude_cells(survey, cells, settings, timings={}).record.flags
    assert (ReviewFlag.CONTROL_OUT_OF_RANGE in {flag.flag for flag in flags}) == is_flagged


def test_a_scanner_that_nobody_names_is_said_to_be_unchecked(drawn, job_on, settings):
    site = find_calibration(None).model_copy(update={"scanner": "Aperio AT2"})
    (remark,) = survey_slide(job_on(drawn, calibration=site), settings).remarks
    assert "Aperio AT2; the file names none" in remark
    assert survey_slide(job_on(drawn), settings).remarks == ()


def test_outlines_that_say_nothing_are_an_error(drawn, job_on, settings, tmp_path: Path):
    roi = outlines(tmp_path / "roi.geojson", Wibble=(0, 0, 500, 500))
    with pytest.raises(AnnotationError, match=r"class Wibble only.*Tumor, Ignore"):
        survey_slide(job_on(drawn, roi=roi), settings)


def test_an_outline_too_small_for_any_tile_says_why_nothing_was_scored(
    drawn, job_on, settings, tmp_path: Path
):
    beside = outlines(tmp_path / "roi.geojson", Tumor=(2, 2, 4, 4))
    survey = survey_slide(job_on(drawn, roi=beside), settings)
    assert survey.tiles == ()
    record = conclude_without_cells(survey, settings, timings={}).record
    assert record.score is Score.NOT_ASSESSABLE
    assert "No outline of tumor lies on tissue" in record.status_comment
    (flag,) = (f for f in record.flags if f.flag is ReviewFlag.NOT_ASSESSABLE)
    assert "--roi-offset" in flag.sentence


def test_cells_at_the_cut_count(drawn, job_on, settings, tmp_path: Path):
    survey, cells = measured(job_on(drawn), settings, tmp_path)

    def n_counted(probability: float) -> int:
        given = np.full(len(cells), probability, np.float32)
        return int(select_cells(cells, TumorReading(given), survey, settings).is_counted.sum())

    assert n_counted(0.5) == n_counted(1.0) > 0
    assert n_counted(0.499) == 0


def test_cells_cut_by_the_edge_of_the_picture_are_not_measurable(
    drawn, job_on, settings, tmp_path: Path
):
    survey, cells = measured(job_on(drawn), settings, tmp_path)
    blind = CellMeasurements(
        **{
            name: getattr(cells, name)
            for name in CellMeasurements.__slots__
            if name != "is_measurable"
        },
        is_measurable=np.zeros_like(cells.is_measurable),
    )
    selection = select_cells(blind, sure_of(cells), survey, settings)
    assert not selection.is_counted.any()


def test_cells_without_a_nucleus_are_left_out_and_say_why(
    drawn, job_on, settings, tmp_path: Path, monkeypatch
):
    survey, cells = measured(job_on(drawn), settings, tmp_path)
    monkeypatch.setattr("her2path.pipeline.selection.read_tumor", lambda c, _: sure_of(c))
    _, before = selected_cells(cells, survey, settings)
    is_even = (np.arange(len(cells)) % 5 == 0) & ~cells.is_hidden
    even = {
        "nucleus_h_od": np.where(is_even, cells.cytoplasm_h_od, cells.nucleus_h_od),
        "nucleus_texture_od": np.where(is_even, 0, cells.nucleus_texture_od),
        "nucleus_dab_od": np.where(is_even, 1, cells.nucleus_dab_od),
    }
    _, selection = selected_cells(
        replace(cells, **{name: v.astype(np.float32) for name, v in even.items()}),
        survey,
        settings,
    )
    is_empty = selection.words() == Exclusion.NO_NUCLEUS.value
    assert is_empty[is_even & before.is_counted].all()
    # Other reasons stay, and cells with a nucleus count.
    is_other = ~before.is_counted & (before.words() != Exclusion.NO_NUCLEUS.value)
    np.testing.assert_array_equal(selection.reason[is_other], before.reason[is_other])
    assert selection.is_counted[~is_even & before.is_counted].all()


def test_cells_without_a_nucleus_count_with_no_cut(
    drawn, job_on, settings, tmp_path: Path, monkeypatch
):
    survey, cells = measured(job_on(drawn), settings, tmp_path)
    rank = np.arange(len(cells))
    is_even, is_doubtful = (rank % 5 == 0) & ~cells.is_hidden, rank % 10 < 2
    reading = TumorReading(np.where(is_doubtful, 0.45, 0.99).astype(np.float32))
    monkeypatch.setattr("her2path.pipeline.selection.read_tumor", lambda *_: reading)
    even = {
        "nucleus_h_od": np.where(is_even, cells.cytoplasm_h_od, cells.nucleus_h_od),
        "nucleus_texture_od": np.where(is_even, 0, cells.nucleus_texture_od),
        "nucleus_dab_od": np.where(is_even, 1, cells.nucleus_dab_od),
    }
    _, selection = selected_cells(
        replace(cells, **{name: v.astype(np.float32) for name, v in even.items()}),
        survey,
        settings,
    )
    is_not_tumor = selection.words() == Exclusion.NOT_TUMOR.value
    assert (is_not_tumor & is_doubtful & is_even).any()
    # A lower cut lets in the doubtful cells that show a nucleus, and no others.
    is_let_in = selection.counted_at(-0.1) & ~selection.is_counted
    assert is_let_in.any()
    assert (is_let_in <= (is_doubtful & ~is_even)).all()
    assert not (selection.counted_as_read() & is_even).any()
    # Nor does a look at their nuclei.
    assert not (selection.with_recognized(is_even).is_counted & is_even).any()


@pytest.mark.parametrize("mpp", [Mpp(0.27, 0.23), Mpp(0.25, 0.25)])
def test_fields_lie_on_tissue_whatever_the_shape_of_pixels(mpp: Mpp, monkeypatch):
    # The overview has square px of the mean: tissue is where they say, in level-0 px as well.
    seen = []
    monkeypatch.setattr(
        "her2path.pipeline.survey.read_at_mpp", lambda _, region, __: seen.append(region)
    )
    mask = np.zeros((100, 100), bool)
    mask[80:95, 80:95] = True
    downsample = 400.0
    tissue = TissueMask(mask, mpp.mean * downsample)
    corners = choose_fields(tissue)
    fields_at(SimpleNamespace(dimensions=Size(40_000, 40_000)), corners, mpp, 0.5)
    assert seen
    for region in seen:
        x, y = region.x + region.width / 2, region.y + region.height / 2
        assert mask[int(y / downsample), int(x / downsample)]


def test_a_small_field_of_tissue_is_no_unlikely_area(drawn, job_on, tmp_path: Path):
    whole = cv2.imread(str(drawn))
    middle = whole.shape[0] // 2
    path = tmp_path / "field.png"
    cv2.imwrite(str(path), whole[middle - 550 : middle + 550, middle - 550 : middle + 550])
    settings = ScoreSettings(n_resamples=20)
    survey, cells = measured(job_on(path), settings, tmp_path)
    record = conclude_cells(survey, cells, settings, timings={}).record
    assert record.tissue.area_mm2 < FlagCuts().least_tissue_mm2
    raised = {flag.flag for flag in record.flags}
    assert ReviewFlag.MASK_AREA not in raised
    assert ReviewFlag.FEW_BLOCKS in raised


def test_colors_brought_to_srgb_are_measured_as_if_the_scanner_had_written_them(
    tmp_path: Path, drawn: Path, job_on, settings: ScoreSettings, gamma_profile
):
    values = np.arange(256) / 255
    srgb = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    written = np.rint(255 * srgb ** (1 / 1.8)).astype(np.uint8)
    scanned = Image.fromarray(written[np.asarray(Image.open(drawn))])
    scanned.save(tmp_path / "core.png", icc_profile=gamma_profile(1.8))
    wanted, wanted_cells = measured(job_on(drawn), settings, new(tmp_path / "a"))
    found = {}
    for icc in Icc:
        job = job_on(tmp_path / "core.png", icc=icc)
        found[icc] = measured(job, settings, new(tmp_path / icc))
    survey, cells = found[Icc.SRGB]
    assert survey.scan.has_icc
    assert survey.scan.is_srgb
    assert not found[Icc.OFF][0].scan.is_srgb
    assert survey.parts_key != found[Icc.OFF][0].parts_key
    # Two roundings to 8 bits lie between the pictures.
    np.testing.assert_allclose(survey.stain.white_point, wanted.stain.white_point, atol=1)
    assert len(cells) == pytest.approx(len(wanted_cells), rel=0.03)
    darkest = [np.percentile(c.line_height_od, 90) for c in (cells, wanted_cells)]
    assert darkest[0] == pytest.approx(darkest[1], rel=0.05)
    as_scanned = np.percentile(found[Icc.OFF][1].line_height_od, 90)
    assert as_scanned > 1.1 * darkest[1]
