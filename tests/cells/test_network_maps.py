from dataclasses import replace

import numpy as np
import pytest
from drawing import WHITE, grid_of_cells, paint, soft_disc
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.cells.measure import MeasureSettings, measure_cells
from her2path.cells.network_maps import (
    NetworkMaps,
    line_support,
    nucleus_peaks,
    trace_seen_nuclei,
    tumor_support,
)
from her2path.stain import StainMatrix

SHAPE = (120, 160)
MPP = 0.5


def as_plane(share: np.ndarray) -> np.ndarray:
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)


# Px of the picture that `drawn_maps` show.
PICTURE = (2 * SHAPE[0], 2 * SHAPE[1])


def drawn_maps(
    centers, *, radius_um=4.0, scale=2.0, tumor=None, membrane=None, shape=SHAPE, corner=(0, 0)
):
    nucleus, centre = np.zeros(shape), np.zeros(shape)
    rows, cols = np.indices(shape)
    for x, y in centers:
        nucleus = np.maximum(nucleus, soft_disc(shape, x, y, radius_um, MPP))
        square = ((cols - x) ** 2 + (rows - y) ** 2) * MPP**2
        centre = np.maximum(centre, np.exp(-square / (2 * 1.2**2)))
    blank = np.zeros(shape)
    return NetworkMaps(
        nucleus=as_plane(nucleus),
        centre=as_plane(centre),
        membrane=as_plane(blank if membrane is None else membrane),
        tumor=as_plane(blank if tumor is None else tumor),
        mpp=MPP,
        scale=scale,
        corner_x=corner[0],
        corner_y=corner[1],
    )


CENTERS = ((30.0, 40.0), (70.0, 40.0), (84.0, 41.0), (120.0, 90.0))


def test_every_nucleus_is_found_once_at_its_middle():
    maps = drawn_maps(CENTERS)
    x, y, peak = nucleus_peaks(maps.centre, maps.nucleus, mpp=MPP)
    assert sorted(zip(x.round(1), y.round(1), strict=True)) == sorted(CENTERS)
    assert (peak > 0.6).all()


def test_two_middles_closer_than_nuclei_can_lie_are_one():
    maps = drawn_maps([(50.0, 50.0), (53.0, 50.0)])
    assert len(nucleus_peaks(maps.centre, maps.nucleus, mpp=MPP)[0]) == 1


def test_faint_middles_are_no_nuclei():
    maps = drawn_maps(CENTERS)
    faint = (maps.centre // 6).astype(np.uint8)
    x, _, _ = nucleus_peaks(faint, (maps.nucleus // 6).astype(np.uint8), mpp=MPP)
    assert len(x) == 0


@pytest.mark.parametrize("radius_um", [2.5, 4.0, 6.0])
def test_the_area_of_a_nucleus_is_that_of_its_disc(radius_um):
    maps = drawn_maps([(60.0, 60.0)], radius_um=radius_um)
    nuclei = trace_seen_nuclei(maps, PICTURE)
    assert nuclei.area_um2 == pytest.approx(np.pi * radius_um**2, rel=0.2)
    # Pixel 60 of the maps is the middle of pixels 120 and 121 of the picture.
    assert (nuclei.x[0], nuclei.y[0]) == pytest.approx((120.5, 120.5), abs=0.3)
    assert not nuclei.is_hidden.any()


@given(
    x=st.floats(-50, 4000),
    y=st.floats(-50, 4000),
    scale=st.floats(0.5, 4),
    corner=st.tuples(st.integers(0, 900), st.integers(0, 900)),
)
@settings(deadline=None)
def test_positions_go_to_the_picture_and_back(x, y, scale, corner):
    maps = drawn_maps((), scale=scale, shape=(2, 2), corner=corner)
    there = maps.to_picture(np.array([x]), np.array([y]))
    assert np.ravel(maps.from_picture(*there)) == pytest.approx([x, y], abs=1e-6)


def test_a_picture_that_begins_further_in_shows_its_own_nuclei_in_its_own_px():
    whole = trace_seen_nuclei(drawn_maps(CENTERS), PICTURE)
    rows, cols = PICTURE
    part = trace_seen_nuclei(drawn_maps(CENTERS, corner=(100, 40)), (rows - 40, cols - 100))
    is_there = whole.x >= 99.5
    assert 0 < is_there.sum() < len(whole.x)
    np.testing.assert_allclose(part.x + 100, whole.x[is_there])
    np.testing.assert_allclose(part.y + 40, whole.y[is_there])
    np.testing.assert_array_equal(part.contours, whole.contours[is_there])


def test_a_nucleus_is_tumor_by_the_mean_over_its_area():
    tumor = np.zeros(SHAPE)
    tumor[:, :30] = 1.0
    maps = drawn_maps([(30.0, 40.0), (10.0, 90.0), (100.0, 90.0)], tumor=tumor)
    nuclei = trace_seen_nuclei(maps, PICTURE)
    found, again = tumor_support(maps, nuclei.x, nuclei.y, nuclei.contours)
    np.testing.assert_array_equal(found, again)
    by_x = dict(zip(nuclei.x.round(), found, strict=True))
    assert by_x[60.0] == pytest.approx(0.5, abs=0.06)
    assert by_x[20.0] > 0.99
    assert by_x[200.0] < 0.01
    # A second look that takes all of it for tumor.
    maps = replace(maps, tumor_twice=as_plane(np.ones(SHAPE)))
    once, twice = tumor_support(maps, nuclei.x, nuclei.y, nuclei.contours)
    np.testing.assert_array_equal(once, found)
    assert (twice > 0.99).all()


def test_a_line_is_seen_where_it_runs_beside_the_outline_but_not_further():
    rows, cols = np.indices(SHAPE)
    ring = np.abs(np.hypot(cols - 60, rows - 60) * MPP - 7.0) < 0.4
    maps = drawn_maps([(60.0, 60.0)], membrane=ring.astype(float) * (rows >= 60))
    x, y = maps.to_picture(np.array([60.0]), np.array([60.0]))
    angle = 2 * np.pi * np.arange(32) / 32
    below = (np.sin(angle) > 0.2)[None]
    on_line = line_support(maps, x, y, np.full((1, 32), 7.0, np.float32))
    assert (on_line[below] > 200).all()
    assert (on_line[(np.sin(angle) < -0.2)[None]] < 30).all()
    assert (line_support(maps, x, y, np.full((1, 32), 9.0, np.float32)) < 30).all()


def test_cells_are_measured_round_the_nuclei_that_the_network_sees():
    h_od, dab_od, centers = grid_of_cells()
    rgb = paint(h_od, dab_od, noise=1.0)
    settings_ = MeasureSettings(WHITE, StainMatrix())
    # It sees all but one, and takes the left half for tumor.
    chosen = [((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5) for x, y in centers[1:]]
    shape = (rgb.shape[0] // 2, rgb.shape[1] // 2)
    tumor = np.zeros(shape)
    tumor[:, : shape[1] // 2] = 1.0
    maps = drawn_maps(chosen, radius_um=3.5, tumor=tumor, shape=shape)
    cells = measure_cells(rgb, settings_, mpp=0.25, maps=maps)
    by_rules = measure_cells(rgb, settings_, mpp=0.25)
    assert len(cells) == len(centers) - 1
    assert len(by_rules) == len(centers)
    assert ((cells.seen_tumor > 0.5) == (cells.x < rgb.shape[1] / 2)).all()
    assert np.isnan(by_rules.seen_tumor).all()
    # The membranes are the rule reader's own: the same ring, whoever found the nucleus.
    assert np.median(np.abs(cells.outline_um - 7.0)) < 0.3


def test_nothing_seen_is_no_cell():
    rgb = paint(np.full((80, 80), 0.05), np.zeros((80, 80)))
    maps = drawn_maps((), shape=(40, 40))
    cells = measure_cells(rgb, MeasureSettings(WHITE, StainMatrix()), mpp=0.25, maps=maps)
    assert len(cells) == 0
