import numpy as np
import pytest
from drawn_slides import WHITE, core, disc_mask, render
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import StainError
from her2path.tissue.white_point import (
    DEFAULT_WHITE_POINT,
    estimate_white_point,
    find_padding,
)


@given(white=st.tuples(*[st.integers(150, 250)] * 3).filter(lambda w: max(w) - min(w) < 30))
def test_the_value_of_glass_is_found_within_one_gray_step(white):
    rgb, _, _ = core(white=white)
    found = estimate_white_point(rgb)
    assert found.source == "measured"
    assert np.allclose(found.rgb, white, atol=1.0)


def test_pale_tissue_over_most_of_the_picture_is_not_taken_for_glass():
    rgb, _, _ = core(hematoxylin=0.03, radius=118)
    assert np.allclose(estimate_white_point(rgb).rgb, WHITE, atol=1.0)


def test_white_padding_is_not_glass():
    rgb, _, _ = core()
    rgb[:, :90] = 255
    found = estimate_white_point(rgb)
    assert np.allclose(found.rgb, WHITE, atol=1.0)
    assert found.padding_frac == pytest.approx(90 / 220, abs=0.01)


@pytest.mark.parametrize("n_sides", [2, 3, 6])
def test_a_small_scanned_part_of_a_white_frame_shows_the_glass(n_sides: int):
    scanned, _, _ = core()
    side = n_sides * len(scanned)
    rgb = np.full((side, side, 3), 255, np.uint8)
    rgb[: len(scanned), 30 : 30 + len(scanned)] = scanned
    found = estimate_white_point(rgb)
    assert found.source == "measured"
    assert np.allclose(found.rgb, WHITE, atol=1.0)
    assert found.padding_frac == pytest.approx(1 - 1 / n_sides**2, abs=0.01)


def test_glass_clipped_to_white_is_glass_when_there_is_nothing_else():
    rgb, _, _ = core(white=(275.0, 275.0, 275.0), hematoxylin=0.4)
    found = estimate_white_point(rgb)
    assert found.source == "measured"
    assert min(found.rgb) > 254


def test_black_padding_is_found_and_a_single_dark_pixel_is_not():
    rgb = np.full((40, 40, 3), 240, np.uint8)
    rgb[:, :10] = 0
    rgb[20, 30] = 0
    assert find_padding(rgb).sum() == 400


def test_without_glass_in_view_the_default_is_told_as_such():
    rng = np.random.default_rng(1)
    rgb = rng.integers(90, 200, (100, 100, 3), dtype=np.uint8)
    found = estimate_white_point(rgb)
    assert (found.source, found.rgb) == ("default", DEFAULT_WHITE_POINT)


def test_a_stated_white_point_wins():
    rgb, _, _ = core()
    found = estimate_white_point(rgb, stated=(240.0, 241.0, 242.0))
    assert (found.source, found.rgb) == ("stated", (240.0, 241.0, 242.0))
    assert found.glass_frac > 0.3


def test_an_implausible_stated_value_is_refused():
    with pytest.raises(StainError, match="white point"):
        estimate_white_point(core()[0], stated=(20.0, 240.0, 240.0))


def test_streaks_brighter_than_glass_do_not_become_the_white_point():
    rgb, _, _ = core()
    rgb[2:8, 10:200] = (245, 244, 252)
    assert np.allclose(estimate_white_point(rgb).rgb, WHITE, atol=1.0)


def test_a_very_dark_scan_is_measured_too():
    rgb = render(np.zeros((80, 80, 3)), (118.0, 117.0, 120.0), np.random.default_rng(0))
    rgb[disc_mask((80, 80), 40, 40, 15)] = 60
    assert np.allclose(estimate_white_point(rgb).rgb, (118, 117, 120), atol=1.0)
