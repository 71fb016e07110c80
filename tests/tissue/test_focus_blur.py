from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn_slides import nuclei_field
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.synth import RegionRecipe, SlideRecipe, draw_field, laboratories, mix_of
from her2path.tissue.focus import BLURRED_UM, field_blurs_um, focus_blur_um

pytestmark = pytest.mark.slow


def edges(sigma_um, mpp, noise=0.0, seed=0, side=1600):
    """Large dark discs, blurred by a Gaussian of known width; drawn finely, then averaged."""
    fine = np.full((side, side), 230.0, np.float32)
    rng = np.random.default_rng(seed)
    for row in range(160, side, 320):
        for col in range(160, side, 320):
            cv2.circle(fine, (col + int(rng.integers(-20, 21)), row), 90, 120.0, cv2.FILLED)
    fine = cv2.GaussianBlur(fine, (0, 0), sigma_um / 0.1)
    size = round(side * 0.1 / mpp)
    gray = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    gray = gray + rng.normal(0, noise, gray.shape)
    return np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("sigma_um", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_the_blur_of_edges_is_measured_in_microns(sigma_um, mpp, noise):
    assert focus_blur_um(edges(sigma_um, mpp, noise), mpp) == pytest.approx(sigma_um, rel=0.25)


@given(low=st.floats(0.3, 2.0), more=st.floats(0.3, 1.0), mpp=st.sampled_from([0.25, 0.5]))
@settings(max_examples=15)
def test_more_blur_never_reads_as_less(low, more, mpp):
    sharper, softer = (edges(sigma, mpp, side=960) for sigma in (low, low + more))
    assert focus_blur_um(softer, mpp) > focus_blur_um(sharper, mpp)


def test_contrast_does_not_matter():
    rgb = edges(0.8, 0.25)
    faint = (200 + (rgb.astype(float) - 200) * 0.3).round().astype(np.uint8)
    assert focus_blur_um(faint, 0.25) == pytest.approx(focus_blur_um(rgb, 0.25), rel=0.1)


def test_a_sharp_field_of_nuclei_passes_and_a_blurred_one_does_not():
    rgb = nuclei_field(ring_dab=0.4)
    assert focus_blur_um(rgb, 0.5) < BLURRED_UM
    assert focus_blur_um(cv2.GaussianBlur(rgb, (0, 0), 1.2 / 0.5), 0.5) > BLURRED_UM


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_glass_gives_nothing_to_judge(noise):
    light = 235 + np.random.default_rng(0).normal(0, noise, (200, 200, 3))
    assert np.isnan(focus_blur_um(np.clip(light, 0, 255).astype(np.uint8), 0.25))


def test_only_the_masked_tissue_is_judged():
    rgb = np.hstack([edges(0.5, 0.5), edges(1.5, 0.5)])
    mask = np.zeros(rgb.shape[:2], bool)
    mask[:, rgb.shape[1] // 2 :] = True
    assert focus_blur_um(rgb, 0.5, mask=mask) > 1.1
    assert focus_blur_um(rgb, 0.5, mask=np.roll(mask, rgb.shape[1] // 2, axis=1)) < 0.8
    assert np.isnan(focus_blur_um(rgb, 0.5, mask=np.zeros_like(mask)))


def test_a_picture_too_small_to_judge_gives_nan_and_a_wrong_mask_is_refused():
    assert np.isnan(focus_blur_um(np.zeros((5, 5, 3), np.uint8), 0.25))
    with pytest.raises(ValueError, match="mask has shape"):
        focus_blur_um(np.zeros((50, 50, 3), np.uint8), 0.25, mask=np.zeros((2, 2), bool))


@pytest.mark.parametrize("laboratory", laboratories("training")[:3], ids=lambda lab: lab.name)
def test_thick_membranes_are_no_blur(laboratory):
    """The same tissue, unstained and 3+, sharp and not."""
    strong = mix_of(none=0.2, intense_complete=0.8)
    found = []
    for mix in (mix_of(none=1.0), strong):
        recipe = SlideRecipe(width_um=250, height_um=250, regions=(RegionRecipe(mix=mix),))
        for blur_um in (laboratory.blur_um, laboratory.blur_um + 0.8):
            seen = replace(laboratory, blur_um=blur_um)
            found.append(focus_blur_um(draw_field(recipe, seen, seed=3).rgb, seen.mpp))
    sharp, soft, strong_sharp, strong_soft = found
    assert strong_sharp == pytest.approx(sharp, abs=0.12)
    assert strong_sharp < BLURRED_UM < strong_soft
    assert strong_soft == pytest.approx(soft, abs=0.3)


def test_a_field_one_pixel_high_has_no_blur_to_be_judged():
    field = np.full((1, 400, 3), 230, np.uint8)
    assert np.isnan(field_blurs_um([field], [None], 0.5)).all()
