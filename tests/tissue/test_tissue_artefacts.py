import cv2
import numpy as np
import pytest
from drawn_slides import DAB, EOSIN, HEMATOXYLIN, MPP, WHITE, core, disc_mask, render

from her2path.tissue.artefacts import (
    edge_band,
    find_bubbles,
    find_dirt,
    find_folds,
    find_pen,
    overview_od,
)

BLUE_INK = (35, 60, 185)
GREEN_INK = (35, 150, 75)
RED_INK = (205, 35, 45)
BLACK_INK = (25, 25, 28)
# What a marker leaves of light where tissue lies under it.
DARK_GREEN_INK = (26, 64, 28)
NAVY_INK = (32, 38, 108)


def od_of(rgb):
    return overview_od(rgb, WHITE)


def with_stroke(rgb, ink):
    marked = rgb.copy()
    cv2.line(marked, (15, 30), (205, 190), ink, 18)
    stroke = np.zeros(rgb.shape[:2], np.uint8)
    cv2.line(stroke, (15, 30), (205, 190), 1, 18)
    return cv2.GaussianBlur(marked, (0, 0), 0.8), stroke.astype(bool)


@pytest.mark.parametrize("ink", [BLUE_INK, GREEN_INK, RED_INK, BLACK_INK, DARK_GREEN_INK, NAVY_INK])
def test_a_stroke_of_ink_is_found_and_little_else(ink):
    rgb, stroke = with_stroke(core(0.1, 0.1)[0], ink)
    found = find_pen(od_of(rgb), MPP)
    assert found[stroke].mean() > 0.95
    margin = cv2.dilate(stroke.astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)
    assert not found[~margin].any()


@pytest.mark.parametrize("ink", [BLUE_INK, GREEN_INK])
def test_a_stroke_is_whole_where_it_crosses_brown(ink):
    rgb, stroke = with_stroke(core(0.1, 0.1)[0], ink)
    brown = np.zeros(stroke.shape, np.uint8)
    cv2.circle(brown, (110, 110), 14, 1, -1)
    light = 10.0 ** (-1.0 * DAB * brown[..., None])
    found = find_pen(od_of((rgb * light).astype(np.uint8)), MPP)
    assert found[stroke].mean() > 0.95


def test_what_lies_between_a_stroke_and_the_edge_of_the_picture_is_no_ink():
    rgb, _, _ = core(0.1, 0.1, radius=105)
    rgb[15:30] = GREEN_INK
    found = find_pen(od_of(rgb), MPP)
    assert found[17:28].all()
    assert not found[:8].any()


@pytest.mark.parametrize("hematoxylin", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("dab", [0.0, 0.1, 0.5, 1.2, 2.0])
def test_no_mixture_of_hematoxylin_and_dab_is_ink(hematoxylin, dab):
    rgb, _, _ = core(hematoxylin, dab)
    assert not find_pen(od_of(rgb), MPP).any()


def test_eosin_is_not_red_ink():
    rng = np.random.default_rng(0)
    od = disc_mask((150, 150), 75, 75, 60)[..., None] * EOSIN * 0.4
    assert not find_pen(od_of(render(od, WHITE, rng)), MPP).any()


@pytest.mark.parametrize(("hematoxylin", "dab"), [(0.05, 0.0), (0.1, 0.1)])
@pytest.mark.parametrize(("sigma", "peak"), [(2.0, 0.8), (6.0, 0.35), (8.0, 0.35)])
def test_a_gray_speck_is_dirt_in_and_out_of_focus(hematoxylin, dab, sigma, peak):
    _, od, _ = core(hematoxylin, dab)
    speck = np.zeros(od.shape[:2])
    speck[100:104, 100:104] = 1.0
    speck = cv2.GaussianBlur(speck, (0, 0), sigma)
    speck = peak * speck / speck.max()
    found = find_dirt(od_of(render(od + speck[..., None], WHITE, np.random.default_rng(1))), MPP)
    assert found[102, 102]
    near = cv2.dilate((speck > 0.005).astype(np.uint8), np.ones((19, 19), np.uint8)).astype(bool)
    assert not found[~near].any()


@pytest.mark.parametrize(
    ("hematoxylin", "dab"), [(0.05, 0.0), (0.3, 0.0), (0.1, 0.1), (0.3, 0.3), (0.1, 1.5)]
)
def test_stained_glands_in_pale_stroma_are_not_dirt(hematoxylin, dab):
    rng = np.random.default_rng(2)
    _, od, _ = core(0.03)
    for row, col in [(70, 80), (110, 150), (150, 90)]:
        gland = disc_mask(od.shape[:2], row, col, 14) & ~disc_mask(od.shape[:2], row, col, 5)
        od[gland] += hematoxylin * HEMATOXYLIN + dab * DAB
    assert not find_dirt(od_of(render(od, WHITE, rng)), MPP).any()


@pytest.mark.parametrize("stain", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_gray_mixtures_of_both_stains_are_not_dirt(stain, seed):
    assert not find_dirt(od_of(core(stain, stain, seed=seed)[0]), MPP).any()


def test_an_air_bubble_is_found_whole_and_a_gland_is_not():
    shape = (220, 220)
    bubble = np.zeros(shape, np.uint8)
    cv2.circle(bubble, (110, 110), 40, 255, 2, cv2.LINE_AA)
    rng = np.random.default_rng(0)
    ring = bubble[..., None] / 255.0
    found = find_bubbles(od_of(render(ring * 0.25 * np.ones(3), WHITE, rng)), MPP)
    assert found[disc_mask(shape, 110, 110, 38)].mean() > 0.95
    for stain in (HEMATOXYLIN, DAB):
        assert not find_bubbles(od_of(render(ring * 0.4 * stain, WHITE, rng)), MPP).any()


def test_each_of_many_bubbles_is_filled_in_its_own_place():
    shape = (260, 380)
    lines, discs = np.zeros(shape, np.uint8), np.zeros(shape, bool)
    for row, col, radius in [(50, 50, 30), (60, 300, 38), (190, 120, 45), (200, 320, 25)]:
        cv2.circle(lines, (col, row), radius, 255, 2, cv2.LINE_AA)
        discs |= disc_mask(shape, row, col, radius)
    od = lines[..., None] / 255.0 * 0.25 * np.ones(3)
    found = find_bubbles(od_of(render(od, WHITE, np.random.default_rng(0))), MPP)
    assert found[discs].mean() > 0.95
    beside = cv2.dilate(discs.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert not found[beside].any()


def test_a_fold_of_double_thickness_is_found():
    _, od, tissue = core(0.15, 0.1)
    fold = np.zeros(od.shape[:2], np.uint8)
    cv2.line(fold, (70, 90), (150, 130), 1, 7)
    folded = od * (1.0 + 1.6 * fold[..., None])
    found = find_folds(od_of(render(folded, WHITE, np.random.default_rng(1))), MPP, tissue=tissue)
    assert found[fold.astype(bool)].mean() > 0.6
    assert found[fold == 0].mean() < 0.01


def test_a_brown_gland_is_not_a_fold():
    _, od, tissue = core(0.15)
    gland = np.zeros(od.shape[:2], np.uint8)
    cv2.line(gland, (70, 90), (150, 130), 1, 7)
    stained = od + gland[..., None] * 0.8 * DAB
    found = find_folds(od_of(render(stained, WHITE, np.random.default_rng(1))), MPP, tissue=tissue)
    assert not found.any()


def test_without_tissue_there_is_no_fold():
    od = od_of(core()[0])
    assert not find_folds(od, MPP, tissue=np.zeros(od.shape[:2], bool)).any()


def test_the_edge_band_of_a_disc_is_a_ring_of_the_stated_width():
    tissue = disc_mask((300, 300), 150, 150, 100)
    band = edge_band(tissue, 5.0, width_um=50.0)
    assert band.sum() == pytest.approx(np.pi * (100**2 - 90**2), rel=0.06)
    assert not band[~tissue].any()


def test_a_field_full_of_tissue_has_no_edge():
    assert not edge_band(np.ones((20, 20), bool), MPP).any()
    with pytest.raises(ValueError, match="width_um"):
        edge_band(np.ones((20, 20), bool), MPP, width_um=0.0)
