"""scripts/realism.py: measures are in µm, whatever the pixel size of a picture."""

import cv2
import numpy as np
import pytest


@pytest.mark.parametrize("mpp", [0.23, 0.5])
def test_nuclei_are_measured_in_the_pixels_of_their_picture(load_script, mpp):
    realism = load_script("realism")
    pitch_um, radius_um = 16.0, 4.0
    n = 8
    side = round(n * pitch_um / mpp)
    rgb = np.full((side, side, 3), realism.LAB.white_point, np.float32)
    for row in range(n):
        for column in range(n):
            at = (round((column + 0.5) * pitch_um / mpp), round((row + 0.5) * pitch_um / mpp))
            cv2.circle(rgb, at, round(radius_um / mpp), (110, 115, 150), -1)

    found = realism.measure(rgb.astype(np.uint8), mpp)

    assert np.median(found["nucleus area, µm²"]) == pytest.approx(np.pi * radius_um**2, rel=0.2)
    assert np.median(found["spacing of nuclei, µm"]) == pytest.approx(pitch_um, rel=0.05)


@pytest.mark.parametrize("deviation", [1.0, 4.0])
def test_noise_is_that_of_the_grain_whatever_is_drawn_beside_it(load_script, deviation):
    realism = load_script("realism")
    rng = np.random.default_rng(1)
    picture = np.add.outer(np.arange(480) / 8, np.full(480, 120.0))
    # Texture far coarser in gray levels than the grain, on half of the picture.
    picture[:, 240:] += rng.normal(0, 40, (480, 240))
    green = picture + rng.normal(0, deviation, picture.shape)

    found = realism.noise(green)

    assert np.median(found) == pytest.approx(deviation, rel=0.15)
