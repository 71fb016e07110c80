import itertools

import cv2
import numpy as np
import pytest

from her2path.tissue import (
    BLURRED_UM,
    ArtefactKind,
    AssessmentReason,
    Staining,
    assess_tissue,
    focus_blur_um,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

MPP = 0.23
CORES = {
    "0_a6d0": (0.75, 1.0),
    "0_ccb6": (1.0, 1.15),
    "1_154a": (0.95, 1.12),
    "1_f8a2": (1.0, 1.15),
    "2_0123": (0.95, 1.1),
    "2_ac71": (0.8, 1.0),
}


def read_core(real_data, name):
    bgr = cv2.imread(str(real_data / "tma" / f"{name}.jpg"), cv2.IMREAD_REDUCED_COLOR_2)
    return np.ascontiguousarray(bgr[..., ::-1]), 2 * MPP


def read_slide(real_data, name):
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(real_data / "slides" / name) as slide:
        level = 0 if slide.level_count == 1 else 1
        rgba = slide.read_region((0, 0), level, slide.level_dimensions[level])
    return np.ascontiguousarray(np.asarray(rgba)[..., :3])


@pytest.mark.parametrize("name", CORES)
def test_pale_and_strong_cores_are_found_whole_and_assessable(real_data, name):
    rgb, mpp = read_core(real_data, name)
    found = assess_tissue(rgb, mpp)
    assert found.is_assessable
    assert found.staining.kind is Staining.HER2_IHC
    low, high = CORES[name]
    assert low < found.tissue.area_mm2 < high
    assert found.artefacts.area_frac[ArtefactKind.PEN] == 0
    assert found.artefacts.area_frac[ArtefactKind.FOLD] == 0
    assert found.artefacts.area_frac[ArtefactKind.BUBBLE] == 0
    assert found.white_point.rgb == pytest.approx((234, 233, 241), abs=2.5)
    assert found.median_blur_um < BLURRED_UM


def test_the_lost_core_is_refused(real_data):
    found = assess_tissue(*read_core(real_data, "3_99b3"))
    assert found.reason is AssessmentReason.NO_TISSUE
    assert found.tissue.area_mm2 == 0


@pytest.mark.parametrize(
    ("name", "x_frac", "y_frac"), [("1_f8a2", 0.27, 0.04), ("2_0123", 0.285, 0.705)]
)
def test_both_dark_specks_are_dirt(real_data, name, x_frac, y_frac):
    found = assess_tissue(*read_core(real_data, name))
    rows, cols = found.tissue.mask.shape
    speck = (int(y_frac * rows), int(x_frac * cols))
    assert found.artefacts.dirt[speck]
    assert not found.tissue.mask[speck]
    assert found.artefacts.dirt.mean() < 0.01


@pytest.mark.parametrize("name", ["0_a6d0", "0_ccb6", "1_154a", "2_ac71"])
def test_clean_cores_have_no_dirt(real_data, name):
    found = assess_tissue(*read_core(real_data, name))
    assert found.artefacts.area_frac[ArtefactKind.DIRT] == 0


@pytest.mark.parametrize("name", CORES)
def test_focus_of_real_tissue_rises_with_blur_of_known_width(real_data, name):
    bgr = cv2.imread(str(real_data / "tma" / f"{name}.jpg"))
    rgb = np.ascontiguousarray(bgr[2200:3200, 2000:3000, ::-1])
    read = [focus_blur_um(rgb, MPP)]
    for sigma_um in (0.5, 1.0, 1.5, 2.0):
        read.append(focus_blur_um(cv2.GaussianBlur(rgb, (0, 0), sigma_um / MPP), MPP))
    assert read[0] < 0.45
    assert all(later > earlier for earlier, later in itertools.pairwise(read))
    # Of the palest core a blur of 1 µm reads 0.66.
    assert read[2] > 0.85 * BLURRED_UM
    assert read[3] > BLURRED_UM


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"])
def test_he_slides_are_refused(real_data, name):
    found = assess_tissue(read_slide(real_data, name), 0.5)
    assert found.staining.kind is Staining.HE
    assert found.reason is AssessmentReason.NOT_HER2_IHC


def test_a_fluorescence_slide_is_refused(real_data):
    found = assess_tissue(read_slide(real_data, "test3-TRITC 2 (560).ndpi"), 0.46)
    assert found.staining.kind is Staining.FLUORESCENCE


def test_the_small_region_of_another_laboratory_is_accepted():
    data = pytest.importorskip("skimage.data")
    found = assess_tissue(data.immunohistochemistry(), 0.5)
    assert found.is_assessable
    assert found.staining.kind is Staining.HER2_IHC
    assert found.artefacts.reasons() == ()


@pytest.mark.parametrize("name", ["0_ccb6", "1_154a", "2_0123"])
def test_recoloured_nuclei_are_nuclear_dab(real_data, name):
    rgb, mpp = read_core(real_data, name)
    white = assess_tissue(rgb, mpp).white_point.rgb

    def read_fields(corners_um):
        side = round(350 / mpp)
        corners = [(round(x / mpp), round(y / mpp)) for x, y in corners_um]
        return [brown_nuclei(rgb[y : y + side, x : x + side], white) for x, y in corners]

    found = assess_tissue(rgb, mpp, read_fields=read_fields, field_mpp=mpp)
    assert found.staining.kind is Staining.NUCLEAR_DAB


def brown_nuclei(rgb, white):
    """Wash out the DAB of a field and stain its nuclei brown instead."""
    od = np.log10(np.array(white) / np.maximum(rgb, 1.0))
    stains = np.array([[0.70, 0.57, 0.42], [0.269, 0.568, 0.778]])
    hematoxylin, dab = (od @ np.linalg.pinv(stains)).transpose(2, 0, 1).astype(np.float32)
    smooth = cv2.GaussianBlur(hematoxylin, (0, 0), 2.5)
    nuclei = (smooth - cv2.GaussianBlur(hematoxylin, (0, 0), 15) > 0.02) & (smooth > 0.05)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    nuclei = cv2.morphologyEx(nuclei.astype(np.float32), cv2.MORPH_OPEN, ellipse)
    brown = cv2.GaussianBlur(nuclei, (0, 0), 1.0) * (0.45 + hematoxylin) + np.clip(dab, 0, 0.03)
    od = hematoxylin[..., None] * stains[0] + brown[..., None] * stains[1]
    return np.clip(np.rint(np.array(white) * 10.0**-od), 0, 255).astype(np.uint8)
