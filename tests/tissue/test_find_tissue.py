import numpy as np
import pytest
from drawn_slides import MPP, WHITE, core, disc_mask, render, tissue_od
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.errors import MppError
from her2path.tissue.mask import find_tissue
from her2path.tissue.overview import to_working_scale


def overlap(found, truth):
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)


@pytest.mark.parametrize(
    ("hematoxylin", "dab"), [(0.03, 0.0), (0.05, 0.0), (0.3, 0.0), (0.02, 0.02), (0.2, 1.0)]
)
def test_a_core_is_found_from_very_pale_to_strong(hematoxylin, dab):
    rgb, _, truth = core(hematoxylin, dab)
    found = find_tissue(rgb, MPP, white_point=WHITE)
    assert overlap(found.mask, truth) > 0.93
    assert found.area_mm2 == pytest.approx(truth.sum() * MPP**2 * 1e-6, rel=0.08)


def test_empty_glass_has_no_tissue():
    rgb = render(np.zeros((150, 150, 3)), WHITE, np.random.default_rng(0))
    assert find_tissue(rgb, MPP, white_point=WHITE).area_mm2 == 0.0


def test_smooth_shading_is_not_tissue():
    shade = np.linspace(0, 0.018, 200)[None, :, None] * np.ones((200, 1, 3))
    rgb = render(shade, WHITE, np.random.default_rng(0))
    assert not find_tissue(rgb, MPP, white_point=WHITE).mask.any()


def test_a_scratch_and_a_speck_are_not_tissue():
    od = np.zeros((200, 200, 3))
    od[100, 5:195] = 0.3
    od[disc_mask((200, 200), 40, 40, 4)] = 0.5
    rgb = render(od, WHITE, np.random.default_rng(0))
    assert not find_tissue(rgb, MPP, white_point=WHITE).mask.any()


def test_a_capillary_is_filled_and_a_wide_lumen_is_not():
    rng = np.random.default_rng(0)
    shape = (220, 220)
    mask = disc_mask(shape, 110, 110, 90)
    mask &= ~disc_mask(shape, 80, 80, 4) & ~disc_mask(shape, 130, 130, 30)
    found = find_tissue(
        render(tissue_od(shape, mask, rng, 0.2), WHITE, rng), MPP, white_point=WHITE
    )
    assert found.mask[80, 80]
    assert not found.mask[130, 130]


@given(turns=st.integers(0, 3), mirrored=st.booleans())
@settings(max_examples=8)
def test_turning_and_mirroring_the_slide_turns_the_mask(turns, mirrored):
    rgb, _, _ = core(0.05, 0.02, shape=(160, 190), radius=60)

    def turn(picture):
        return np.ascontiguousarray(np.rot90(picture[:, ::-1] if mirrored else picture, turns))

    plain = find_tissue(rgb, MPP, white_point=WHITE).mask
    turned = find_tissue(turn(rgb), MPP, white_point=WHITE).mask
    assert overlap(turned, turn(plain)) > 0.97


@pytest.mark.parametrize("shift", [-10, 10])
def test_a_brighter_or_darker_lamp_changes_nothing_once_measured(shift):
    plain = find_tissue(core(0.04)[0], MPP, white_point=WHITE)
    white = tuple(w + shift for w in WHITE)
    shifted = find_tissue(core(0.04, white=white)[0], MPP, white_point=white)
    assert overlap(plain.mask, shifted.mask) > 0.97


@pytest.mark.parametrize("mpp", [4.0, 8.0])
def test_the_area_does_not_depend_on_the_scale(mpp):
    radius_um = 480.0
    half = int(1.4 * radius_um / mpp)
    rgb, _, _ = core(0.08, shape=(2 * half, 2 * half), radius=radius_um / mpp)
    area = find_tissue(rgb, mpp, white_point=WHITE).area_mm2
    assert area == pytest.approx(np.pi * radius_um**2 * 1e-6, rel=0.08)


def test_excluded_ground_and_padding_are_never_tissue():
    rgb, _, _ = core(0.2)
    rgb[:60] = 0
    exclude = np.zeros(rgb.shape[:2], bool)
    exclude[:, :100] = True
    found = find_tissue(rgb, MPP, white_point=WHITE, exclude=exclude).mask
    assert found.any()
    assert not found[exclude].any()
    assert not found[:60].any()


def test_wrong_input_is_refused():
    rgb = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="uint8 RGB"):
        find_tissue(rgb.astype(float), MPP, white_point=WHITE)
    with pytest.raises(MppError, match="pixel size"):
        find_tissue(rgb, 0.0, white_point=WHITE)
    with pytest.raises(ValueError, match="exclude has shape"):
        find_tissue(rgb, MPP, white_point=WHITE, exclude=np.zeros((3, 3), bool))


@given(
    rows=st.integers(1, 40), cols=st.integers(1, 40), seed=st.integers(0, 5), mpp=st.floats(0.1, 20)
)
@settings(max_examples=40)
def test_any_picture_of_any_size_gives_a_mask_of_its_size(rows, cols, seed, mpp):
    rgb = np.random.default_rng(seed).integers(0, 256, (rows, cols, 3), dtype=np.uint8)
    overview = to_working_scale(rgb, mpp)
    assert overview.mpp == pytest.approx(mpp * overview.downsample)
    found = find_tissue(overview.rgb, overview.mpp, white_point=WHITE)
    assert found.mask.shape == overview.rgb.shape[:2]
    assert found.mask.dtype == bool


@pytest.mark.parametrize("margin", [2, 3, 4, 6])
def test_a_thin_margin_of_glass_round_a_field_is_no_tissue(margin):
    side = 60 + 2 * margin
    truth = np.zeros((side, side), bool)
    truth[margin:-margin, margin:-margin] = True
    od = tissue_od(truth.shape, truth, np.random.default_rng(0), 0.1)
    found = find_tissue(render(od, WHITE, np.random.default_rng(1)), MPP, white_point=WHITE)
    # Smoothing takes a px all round.
    assert found.mask.sum() <= 62**2
