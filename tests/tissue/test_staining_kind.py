import cv2
import numpy as np
import pytest
from drawn_slides import EOSIN, HEMATOXYLIN, WHITE, nuclei_field, render, texture
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.tissue.staining_kind import Staining, recognise_staining

MPP = 0.5


def kind_of(*fields, mpp=MPP, white=WHITE):
    return recognise_staining(fields, mpp, white_point=white).kind


@pytest.mark.slow
@given(ring=st.sampled_from([0.0, 0.05, 0.2, 0.6, 1.5]), seed=st.integers(0, 3))
@settings(max_examples=12)
def test_stained_membranes_are_her2_ihc_from_none_to_intense(ring, seed):
    assert kind_of(nuclei_field(ring_dab=ring, seed=seed)) is Staining.HER2_IHC


def test_a_pale_blue_slide_is_a_negative_one_and_not_blank():
    faint = nuclei_field().astype(float)
    pale = np.array(WHITE) - (np.array(WHITE) - faint) * 0.25
    assert kind_of(pale.round().astype(np.uint8)) is Staining.HER2_IHC


@pytest.mark.parametrize("violet", [(0.60, 0.74, 0.30), (0.54, 0.79, 0.30)])
@pytest.mark.parametrize("ring", [0.0, 0.1, 0.6])
def test_violet_hematoxylin_is_no_eosin(ring, violet):
    violet = np.array(violet)
    assert kind_of(nuclei_field(ring_dab=ring, pale=0.06, hematoxylin=violet)) is Staining.HER2_IHC


@pytest.mark.parametrize("dab", [0.3, 0.6, 1.2])
def test_brown_nuclei_are_nuclear_dab(dab):
    found = recognise_staining([nuclei_field(nuclear_dab=dab)], MPP, white_point=WHITE)
    assert found.kind is Staining.NUCLEAR_DAB
    assert found.numbers["n_brown_nuclei"] > 200
    assert "nuclei" in found.reason


def test_red_cells_are_no_brown_nuclei():
    # A few in each field, and one field where it bled.
    fields = [nuclei_field(n_red_cells=n, seed=n) for n in (6, 4, 8, 5, 150)]
    found = recognise_staining(fields, MPP, white_point=WHITE)
    assert found.numbers["n_brown_nuclei"] > 20
    assert found.numbers["nuclear_dab_frac"] > 0.4
    assert found.kind is Staining.HER2_IHC


def test_brown_everywhere_with_brown_nuclei_stays_her2_ihc():
    rng = np.random.default_rng(0)
    od = 0.8 * texture((400, 400), rng, 4.0)[..., None] * np.array([0.269, 0.568, 0.778])
    assert kind_of(render(od, WHITE, rng)) is Staining.HER2_IHC


@pytest.mark.parametrize("eosin", [0.15, 0.4])
def test_eosin_is_recognised_beside_hematoxylin(eosin):
    rng = np.random.default_rng(0)
    od = texture((400, 400), rng, 4.0)[..., None] * (eosin * EOSIN + 0.1 * HEMATOXYLIN)
    found = recognise_staining([render(od, WHITE, rng)], MPP, white_point=WHITE)
    assert found.kind is Staining.HE
    assert "eosin" in found.reason


def test_a_dark_background_is_no_transmitted_light():
    dark = np.random.default_rng(0).integers(0, 12, (300, 300, 3), dtype=np.uint8)
    cv2.circle(dark, (150, 150), 40, (20, 220, 60), cv2.FILLED)
    assert kind_of(dark) is Staining.FLUORESCENCE
    assert kind_of(255 - render(np.zeros((99, 99, 3)))) is Staining.FLUORESCENCE


def test_a_gray_copy_is_refused_as_such():
    gray = nuclei_field(ring_dab=0.5).mean(axis=2, keepdims=True).repeat(3, axis=2)
    assert kind_of(gray.round().astype(np.uint8), white=(236.0,) * 3) is Staining.GREYSCALE


def test_green_stain_is_unknown():
    rng = np.random.default_rng(0)
    od = texture((300, 300), rng, 4.0)[..., None] * np.array([0.5, 0.1, 0.4])
    assert kind_of(render(od, WHITE, rng)) is Staining.UNKNOWN


def test_glass_is_blank():
    glass = render(np.zeros((200, 200, 3)), WHITE, np.random.default_rng(0))
    assert kind_of(glass, glass) is Staining.BLANK


@pytest.mark.parametrize("kwargs", [{"ring_dab": 0.5}, {"nuclear_dab": 0.5}, {}])
def test_the_kind_does_not_change_with_a_dark_or_tinted_lamp(kwargs):
    rgb = nuclei_field(**kwargs)
    plain = kind_of(rgb)
    for cast in ((0.55, 0.55, 0.55), (1.0, 0.94, 0.86)):
        white = tuple(w * c for w, c in zip(WHITE, cast, strict=True))
        assert kind_of((rgb * np.array(cast)).astype(np.uint8), white=white) is plain


@pytest.mark.parametrize("shift", [-10, 10])
@pytest.mark.parametrize("kwargs", [{"ring_dab": 0.5}, {"nuclear_dab": 0.5}, {}])
def test_a_white_point_off_by_ten_does_not_change_the_kind(kwargs, shift):
    rgb = nuclei_field(**kwargs)
    assert kind_of(rgb, white=tuple(min(w + shift, 255) for w in WHITE)) is kind_of(rgb)


def test_a_finer_scan_gives_the_same_kind():
    for kwargs in ({"ring_dab": 0.5}, {"nuclear_dab": 0.5}):
        rgb = nuclei_field(**kwargs)
        fine = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        assert kind_of(fine, mpp=0.25) is kind_of(rgb)


def test_no_field_is_an_error():
    with pytest.raises(ValueError, match="no field"):
        recognise_staining([], MPP, white_point=WHITE)
