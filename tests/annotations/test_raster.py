"""Masks and point tests agree with the outlines, to the pixel."""

import time

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon

from her2path.annotations import Roi, RoiKind, contains, rasterise
from her2path.geometry import Region


def roi(polygon):
    return Roi("a", "", RoiKind.TUMOR, "", polygon)


def exact(polygon, region, downsample, shape):
    rows, cols = np.indices(shape)
    return shapely.intersects_xy(
        polygon, region.x + (cols + 0.5) * downsample, region.y + (rows + 0.5) * downsample
    )


DISC = Point(50.3, 40.7).buffer(31.2)
RING = DISC.difference(Point(47.1, 44.4).buffer(10.6))


@pytest.mark.parametrize("polygon", [DISC, RING, MultiPolygon([RING, Point(90, 90).buffer(8)])])
@pytest.mark.parametrize("downsample", [1, 1.7, 4])
@pytest.mark.parametrize("region", [Region(0, 0, 100, 100), Region(37, 21, 41, 30)])
def test_a_pixel_is_set_when_its_centre_is_inside(polygon, downsample, region):
    mask = rasterise([roi(polygon)], region, downsample=downsample)

    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, exact(polygon, region, downsample, mask.shape))


@given(
    st.lists(
        st.tuples(st.floats(-40, 80), st.floats(-40, 80)), min_size=3, max_size=12, unique=True
    ),
    st.floats(0.6, 9),
)
def test_any_outline_is_painted_exactly(points, downsample):
    polygon = shapely.make_valid(Polygon(points))
    if not isinstance(polygon, Polygon | MultiPolygon):
        return
    region = Region(-7, 3, 50, 41)

    mask = rasterise([roi(polygon)], region, downsample=downsample)

    np.testing.assert_array_equal(mask, exact(polygon, region, downsample, mask.shape))


def test_overlapping_rois_join():
    left, right = shapely.box(0, 0, 6, 4), shapely.box(4, 0, 10, 4)

    mask = rasterise([roi(left), roi(right)], Region(0, 0, 10, 4), downsample=1)

    assert mask.all()


def test_many_outlines_on_a_large_mask_take_the_time_of_what_they_cover():
    corners = np.random.default_rng(0).uniform(0, 70_000, (500, 2))
    rois = [roi(Point(x, y).buffer(200)) for x, y in corners]

    begun = time.perf_counter()
    mask = rasterise(rois, Region(0, 0, 80_000, 80_000), downsample=24)

    assert mask.any()
    # 0.1 s where each is painted by itself, 40 s where each goes over the whole mask.
    assert time.perf_counter() - begun < 8


def test_an_outline_far_larger_than_the_region_fills_it():
    huge = shapely.box(-9e6, -9e6, 9e6, 9e6)

    assert rasterise([roi(huge)], Region(1000, 1000, 64, 64), downsample=0.5).all()


def test_rois_elsewhere_and_empty_regions_give_an_empty_mask():
    assert not rasterise([roi(DISC)], Region(500, 500, 10, 10), downsample=1).any()
    assert rasterise([roi(DISC)], Region(0, 0, 0, 10), downsample=1).shape == (10, 0)
    assert not rasterise([], Region(0, 0, 10, 10), downsample=1).any()


@pytest.mark.parametrize("downsample", [0, -1, float("nan")])
def test_a_downsample_that_is_not_positive_raises(downsample):
    with pytest.raises(ValueError, match="downsample"):
        rasterise([], Region(0, 0, 10, 10), downsample=downsample)


def test_a_mask_beyond_memory_is_refused():
    with pytest.raises(ValueError, match="too large"):
        rasterise([], Region(0, 0, 100_000, 100_000), downsample=1)


def test_points_in_holes_are_outside_and_points_on_the_outline_inside():
    square = Polygon([(0, 0), (10, 0), (10, 10), (0, 10)], [[(4, 4), (6, 4), (6, 6), (4, 6)]])
    x, y = np.array([1.0, 5.0, 0.0, 11.0]), np.array([1.0, 5.0, 5.0, 5.0])

    np.testing.assert_array_equal(contains([roi(square)], x, y), [True, False, True, False])


def test_a_point_counts_when_any_roi_holds_it():
    x, y = np.array([1.0, 21.0, 41.0]), np.ones(3)

    inside = contains([roi(shapely.box(0, 0, 2, 2)), roi(shapely.box(20, 0, 22, 2))], x, y)

    np.testing.assert_array_equal(inside, [True, True, False])


def test_no_rois_hold_no_points():
    assert not contains([], np.arange(3.0), np.arange(3.0)).any()
    assert contains([roi(DISC)], np.empty(0), np.empty(0)).shape == (0,)
