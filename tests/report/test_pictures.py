import io

import numpy as np
import pytest
from PIL import Image

from her2path.report.pictures import as_jpeg


@pytest.mark.parametrize("side", [40, 600])
def test_noise_which_nothing_can_shrink_is_a_picture_too(side):
    rgb = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    encoded = as_jpeg(rgb)
    decoded = np.asarray(Image.open(io.BytesIO(encoded)))
    assert decoded.shape == rgb.shape
    assert np.abs(decoded.astype(int) - rgb).mean() < 15


def test_color_is_kept_at_full_resolution():
    # Brown lines one pixel wide: halved color would wash them out.
    rgb = np.full((64, 64, 3), 240, np.uint8)
    rgb[:, ::4] = (120, 70, 30)
    decoded = np.asarray(Image.open(io.BytesIO(as_jpeg(rgb[:, ::-1])))).astype(int)[:, ::-1]
    assert np.abs(decoded - rgb).mean() < 8
