import cv2
import numpy as np
import pytest
from drawn_slides import EOSIN, MPP, WHITE, core, disc_mask, nuclei_field, render, tissue_od

from her2path.tissue import (
    BLURRED_UM,
    ArtefactKind,
    AssessmentReason,
    Staining,
    TissueMask,
    assess_tissue,
    choose_fields,
)


def test_a_core_is_assessable():
    rgb, _, truth = core(0.1, 0.05)
    found = assess_tissue(rgb, MPP)
    assert found.is_assessable
    assert found.reason is None
    assert found.explanation == ""
    assert found.remarks == ()
    assert found.tissue.area_mm2 == pytest.approx(truth.sum() * MPP**2 * 1e-6, rel=0.08)
    assert found.white_point.source == "measured"


def test_empty_glass_is_refused_with_its_reason():
    rgb = render(np.zeros((200, 200, 3)), WHITE, np.random.default_rng(0))
    found = assess_tissue(rgb, MPP)
    assert (found.is_assessable, found.reason) == (False, AssessmentReason.NO_TISSUE)


def test_a_field_of_pale_tissue_without_glass_is_not_called_empty():
    rng = np.random.default_rng(0)
    # Fibers a little denser than what lies between them, on every part of the picture.
    fibers = 0.03 + cv2.GaussianBlur(rng.normal(0.0, 0.03, (200, 200)), (0, 0), 1.0)
    rgb = render(np.repeat(fibers[..., None], 3, axis=2), WHITE, rng)
    found = assess_tissue(rgb, MPP)
    assert found.reason is AssessmentReason.NO_TISSUE
    assert "core is empty" not in found.explanation
    assert "give the value of empty glass (--white-point)" in found.explanation
    assert "--white-point" not in assess_tissue(rgb, MPP, stated_white_point=WHITE).explanation
    blank = render(np.zeros((200, 200, 3)), WHITE, rng)
    assert assess_tissue(blank, MPP).explanation.endswith("the slide or core is empty.")


def test_a_picture_that_could_not_hold_enough_tissue_is_said_to_be_small():
    found = assess_tissue(np.full((60, 60, 3), 200, np.uint8), 1.0)
    assert found.reason is AssessmentReason.NO_TISSUE
    assert "too small to judge (60 × 60 µm)" in found.explanation
    # Pixels of an overview may reach beyond a small picture.
    tiny = assess_tissue(np.full((1, 1, 3), 200, np.uint8), 6.0, size_um=(0.25, 0.25))
    assert "(0.25 × 0.25 µm)" in tiny.explanation


def test_too_little_tissue_is_refused_with_its_area():
    found = assess_tissue(core(0.1, radius=16)[0], MPP)
    assert found.reason is AssessmentReason.TOO_LITTLE_TISSUE
    assert "mm²" in found.explanation
    assert assess_tissue(core(0.1, radius=16)[0], MPP, min_tissue_mm2=0.01).is_assessable


def test_he_is_refused_by_name():
    rng = np.random.default_rng(0)
    shape = (200, 200)
    od = tissue_od(shape, disc_mask(shape, 100, 100, 70), rng, 0.05)
    od[disc_mask(shape, 100, 100, 70)] += 0.25 * EOSIN
    found = assess_tissue(render(od, WHITE, rng), MPP)
    assert found.reason is AssessmentReason.NOT_HER2_IHC
    assert found.staining.kind is Staining.HE
    assert "eosin" in found.explanation


def test_the_fields_decide_on_nuclear_dab():
    rgb, _, _ = core(0.1, 0.1)
    asked = []

    def read_fields(corners):
        asked.append(corners)
        return [nuclei_field(nuclear_dab=0.5)]

    found = assess_tissue(rgb, MPP, read_fields=read_fields, field_mpp=0.5)
    assert found.staining.kind is Staining.NUCLEAR_DAB
    assert asked[0]


@pytest.mark.parametrize(("sigma_um", "passes"), [(0.0, True), (1.2, True), (3.0, False)])
def test_focus_is_remarked_on_and_refused_when_hopeless(sigma_um, passes):
    rgb = nuclei_field(ring_dab=0.4)
    if sigma_um:
        rgb = cv2.GaussianBlur(rgb, (0, 0), sigma_um / 0.5)
    found = assess_tissue(core(0.1)[0], MPP, read_fields=lambda _: [rgb] * 3, field_mpp=0.5)
    assert found.is_assessable == passes
    assert (AssessmentReason.OUT_OF_FOCUS in found.remarks) == (sigma_um > 0)
    assert len(found.focus_blur_um) == 3 * 4


def test_a_field_that_is_blurred_in_one_half_is_not_called_sharp():
    rgb = nuclei_field(ring_dab=0.4)
    half = rgb.shape[1] // 2
    rgb[:, half:] = cv2.GaussianBlur(rgb, (0, 0), 1.5 / 0.5)[:, half:]
    found = assess_tissue(core(0.1)[0], MPP, read_fields=lambda _: [rgb], field_mpp=0.5)
    assert [blur > BLURRED_UM for blur in found.focus_blur_um] == [False, True, False, True]


def test_ink_across_a_core_is_left_out_and_reported():
    rgb, _, _ = core(0.1)
    cv2.line(rgb, (20, 110), (200, 110), (35, 60, 185), 14)
    found = assess_tissue(rgb, MPP)
    assert not found.tissue.mask[110, 60:160].any()
    assert found.artefacts.area_frac[ArtefactKind.PEN] > 0.1
    assert found.artefacts.reasons() == (ArtefactKind.PEN,)
    assert AssessmentReason.ARTEFACTS in found.remarks


def test_a_core_under_ink_is_refused():
    rgb, _, truth = core(0.1)
    rows = np.arange(rgb.shape[0])[:, None]
    rgb[truth & (rows % 60 < 36)] = (35, 60, 185)
    found = assess_tissue(rgb, MPP)
    assert found.reason is AssessmentReason.ARTEFACTS


def test_what_is_ink_and_dirt_at_once_is_lost_once():
    rgb, _, truth = core(0.1, 0.1)
    stroke = np.zeros(truth.shape, np.uint8)
    cv2.line(stroke, (15, 30), (205, 190), 1, 40)
    rgb[stroke > 0] = (10, 10, 10)
    found = assess_tissue(cv2.GaussianBlur(rgb, (0, 0), 0.8), MPP)
    parts = found.artefacts
    assert (parts.pen & parts.dirt).any()
    lost = sum(share for kind, share in parts.area_frac.items() if kind is not ArtefactKind.EDGE)
    assert lost == pytest.approx((truth & parts.excluded).sum() / truth.sum(), abs=0.06)
    assert lost < 0.5
    assert found.is_assessable


@pytest.mark.parametrize("n_sides", [1.6, 3.0])
@pytest.mark.parametrize("stated", [None, WHITE])
@pytest.mark.parametrize("filled_with", [0, 255])
def test_what_was_not_scanned_is_no_dark_field_and_no_glass(n_sides, stated, filled_with):
    scanned, _, truth = core(0.1, 0.05)
    side = round(n_sides * len(scanned))
    rgb = np.full((side, side, 3), filled_with, np.uint8)
    rgb[20 : 20 + len(scanned), 40 : 40 + len(scanned)] = scanned
    found = assess_tissue(rgb, MPP, stated_white_point=stated)
    assert found.staining.kind is Staining.HER2_IHC
    assert found.is_assessable
    assert found.tissue.area_mm2 == pytest.approx(truth.sum() * MPP**2 * 1e-6, rel=0.08)


@pytest.mark.parametrize("filled_with", [0, 255])
@pytest.mark.parametrize("share", [0.2, 0.7])
@pytest.mark.parametrize(("sigma_um", "is_blurred"), [(0.0, False), (1.2, True)])
def test_fields_that_reach_into_what_was_not_scanned_are_judged_by_the_rest(
    share, sigma_um, is_blurred, filled_with
):
    field = nuclei_field(ring_dab=0.4)
    if sigma_um:
        field = cv2.GaussianBlur(field, (0, 0), sigma_um / 0.5)
    field[:, : round(share * field.shape[1])] = filled_with
    scanned, _, _ = core(0.1, 0.05)
    rgb = np.full((300, 300, 3), filled_with, np.uint8)
    rgb[40:260, 40:260] = scanned
    found = assess_tissue(rgb, MPP, read_fields=lambda _: [field] * 3, field_mpp=0.5)
    assert found.staining.kind is Staining.HER2_IHC
    assert found.is_assessable
    assert (AssessmentReason.OUT_OF_FOCUS in found.remarks) == is_blurred
    assert not any((rgb == filled_with).all(axis=2).any() for rgb in found.fields)


def test_fluorescence_on_a_background_of_pure_black_stays_what_it_is():
    shape = (400, 400)
    rgb = np.zeros((*shape, 3), np.uint8)
    rng = np.random.default_rng(0)
    for row, col in rng.integers(30, 370, (60, 2)):
        rgb[disc_mask(shape, row, col, 9)] = rng.integers(60, 255)
    found = assess_tissue(rgb, MPP)
    assert found.reason is AssessmentReason.NOT_HER2_IHC
    assert found.staining.kind is Staining.FLUORESCENCE


def slide_with_control():
    rng = np.random.default_rng(0)
    shape = (1100, 500)
    od = tissue_od(shape, disc_mask(shape, 300, 250, 150), rng, 0.1)
    od += tissue_od(shape, disc_mask(shape, 1000, 250, 60), rng, 0.05, 0.4)
    return render(od, WHITE, rng)


def test_control_tissue_is_reported_and_left_out_only_on_request():
    rgb = slide_with_control()
    kept = assess_tissue(rgb, 8.0)
    dropped = assess_tissue(rgb, 8.0, exclude_controls=True)
    assert kept.tissue.mask[1000, 250]
    assert AssessmentReason.CONTROL_SUSPECTED in kept.remarks
    assert not dropped.tissue.mask[1000, 250]
    assert dropped.tissue.mask[300, 250]
    assert AssessmentReason.CONTROL_EXCLUDED in dropped.remarks
    assert len(dropped.pieces.pieces) == 2


def test_annotated_control_is_never_tissue():
    rgb = slide_with_control()
    exclude = np.zeros(rgb.shape[:2], bool)
    exclude[800:] = True
    found = assess_tissue(rgb, 8.0, exclude=exclude)
    assert not found.tissue.mask[800:].any()
    assert found.controls == ()


def test_a_slide_that_is_all_control_is_not_said_to_be_empty():
    rgb = slide_with_control()
    found = assess_tissue(rgb, 8.0, exclude=np.ones(rgb.shape[:2], bool))
    assert found.reason is AssessmentReason.NO_TISSUE
    assert "drawn as control" in found.explanation
    nothing = assess_tissue(rgb, 8.0, exclude=np.zeros(rgb.shape[:2], bool))
    assert nothing.is_assessable


def test_an_exclusion_on_a_fine_field_is_brought_to_the_working_scale():
    rgb = nuclei_field(ring_dab=0.4)
    exclude = np.zeros(rgb.shape[:2], bool)
    exclude[:, :250] = True
    found = assess_tissue(rgb, 0.5, exclude=exclude, stated_white_point=WHITE)
    half = round(250 / found.downsample)
    assert not found.tissue.mask[:, :half].any()
    assert found.tissue.mask[:, half + 3 :].mean() > 0.8
    assert len(found.focus_blur_um) == 4


def test_wrong_arguments_are_refused():
    rgb = core()[0]
    with pytest.raises(ValueError, match="belong together"):
        assess_tissue(rgb, MPP, read_fields=lambda _: [])
    with pytest.raises(ValueError, match="a mask has shape"):
        assess_tissue(rgb, MPP, exclude=np.zeros((2, 2), bool))


def test_fields_are_chosen_on_tissue_and_spread():
    mask = np.zeros((600, 600), bool)
    mask[100:500, 200:500] = True
    corners = choose_fields(TissueMask(mask, 6.0), n_fields=6, size_um=300.0)
    assert len(corners) == 6
    for x_um, y_um in corners:
        row, col = int(y_um / 6), int(x_um / 6)
        assert mask[row : row + 50, col : col + 50].mean() >= 0.5
    assert max(y for _, y in corners) - min(y for _, y in corners) > 1500
    assert choose_fields(TissueMask(np.zeros((9, 9), bool), 6.0)) == []


@pytest.mark.parametrize("side_um", [350, 500, 600, 699, 1000])
def test_tissue_beside_the_last_whole_square_is_looked_at(side_um):
    n, size = round(side_um / 6), round(350 / 6)
    mask = np.zeros((n, n), bool)
    mask[:, -10:] = True
    corners = choose_fields(TissueMask(mask, 6.0))
    seen = np.zeros_like(mask)
    for x_um, y_um in corners:
        row, col = round(y_um / 6), round(x_um / 6)
        assert max(row, col) + size <= max(n, size)
        seen[row : row + size, col : col + size] = True
    assert seen[mask].all()


def test_fields_keep_off_ink_where_there_are_others():
    tissue = TissueMask(np.ones((600, 600), bool), 6.0)
    ink = np.zeros((600, 600), bool)
    ink[95:120] = True
    corners = choose_fields(tissue, spoiled=ink, n_fields=12, size_um=300.0)
    assert len(corners) == 12
    for x_um, y_um in corners:
        row, col = int(y_um / 6), int(x_um / 6)
        assert not ink[row : row + 50, col : col + 50].any()
    everywhere = np.ones((600, 600), bool)
    assert len(choose_fields(tissue, spoiled=everywhere, n_fields=12, size_um=300.0)) == 12


def test_ink_on_tissue_does_not_make_it_another_stain():
    rgb, _, _ = core(0.1, 0.05, shape=(260, 260), radius=110)
    cv2.line(rgb, (20, 90), (240, 96), (26, 64, 28), 18)
    found = assess_tissue(rgb, MPP)
    assert found.artefacts.area_frac[ArtefactKind.PEN] > 0.03
    assert found.is_assessable


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 40)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_of_any_size_is_refused_and_never_crashes(shape, value):
    found = assess_tissue(np.full((*shape, 3), value, np.uint8), 0.5)
    assert not found.is_assessable
    assert found.explanation
