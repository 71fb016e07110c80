import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.geometry import Size
from her2path.slides.resampling import area_mean, interpolate


@given(
    value=st.integers(0, 255),
    step=st.floats(0.99, 7.0),
    start=st.floats(0.0, 0.99),
    side=st.integers(1, 40),
)
def test_an_even_picture_stays_even(value, step, start, side):
    rgb = np.full((side, side + 3, 3), value, np.uint8)
    size = Size(max(1, int((side + 3 - start) / step)), max(1, int((side - start) / step)))
    read = area_mean(rgb, size, step=(step, step), start=(start, start))
    assert read.shape == (*size.shape, 3)
    assert (read == value).all()


@given(step=st.floats(1.0, 6.0), start=st.floats(0.0, 0.99))
def test_the_mean_of_a_ramp_is_its_value_at_the_middle_of_the_rectangle(step, start):
    columns = np.arange(120)
    rgb = np.broadcast_to((2 * columns)[None, :, None], (120, 120, 3)).astype(np.uint8)
    size = Size(int((120 - start) / step), int(120 / step))
    read = area_mean(rgb, size, step=(step, step), start=(start, 0.0))
    middle = start + (np.arange(size.width) + 0.5) * step
    expected = np.array([_ramp_integral(m - step / 2, m + step / 2) / step for m in middle])
    np.testing.assert_allclose(read[0, :, 0], expected, atol=0.51)
    np.testing.assert_array_equal(read[0], read[-1])


def _ramp_integral(begin: float, end: float) -> float:
    """Integral of the staircase 2·floor(x)."""

    def until(x: float) -> float:
        whole = int(x)
        return whole * (whole - 1) + 2 * whole * (x - whole)

    return until(end) - until(begin)


@pytest.mark.parametrize("step", [0.5, 0.25])
def test_interpolation_keeps_the_place_of_pixel_centres(step):
    rgb = np.zeros((9, 9, 3), np.uint8)
    rgb[4, 6] = 200
    n = int(9 / step)
    read = interpolate(rgb, Size(n, n), step=(step, step)).astype(float)[..., 0]
    rows, columns = np.indices(read.shape)
    assert (rows * read).sum() / read.sum() == pytest.approx((4 + 0.5) / step - 0.5, abs=0.05)
    assert (columns * read).sum() / read.sum() == pytest.approx((6 + 0.5) / step - 0.5, abs=0.05)
