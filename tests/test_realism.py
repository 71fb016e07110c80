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
