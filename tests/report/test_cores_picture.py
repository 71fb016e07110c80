"""The picture of a microarray names each core where it can be read."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from her2path.report.cores import draw_cores
from her2path.tissue.cores import Core, CoreGrid

MPP, RADIUS_PX, SIDE_PX = 10.0, 40, 400


def drawn(x_px: float, y_px: float, *, filled: float) -> NDArray[np.uint8]:
    """Return a picture of one core, A-1, on grey without a scale bar in its way."""
    core = Core(0, 0, x_px * MPP, y_px * MPP, filled)
    grid = CoreGrid((core,), diameter_um=2 * RADIUS_PX * MPP, radius_um=RADIUS_PX * MPP)
    return draw_cores(np.full((SIDE_PX, SIDE_PX, 3), 200, np.uint8), grid, mpp=MPP)


@pytest.mark.parametrize("filled", [0.0, 1.0])
@pytest.mark.parametrize("place", [(200, 20), (200, 41), (4, 200), (396, 200), (396, 4)])
def test_names_of_cores_at_the_edge_lie_inside_the_picture(
    place: tuple[int, int], *, filled: float
) -> None:
    amid = drawn(200, 200, filled=filled)
    # White round the letters and, above the circle, nothing else.
    rows, columns = np.nonzero((amid[:160] == 255).all(axis=2))
    name = amid[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]
    assert name.shape[0] > 8
    found = cv2.matchTemplate(drawn(*place, filled=filled), name, cv2.TM_CCOEFF_NORMED)
    assert found.max() > 0.95
