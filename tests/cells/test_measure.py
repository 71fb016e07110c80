from dataclasses import fields

import numpy as np
import pytest
from drawing import WHITE, arc, grid_of_cells, paint, soft_disc
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import classify_cells
from her2path.cells.line_contrast import N_DIRECTIONS
from her2path.cells.measure import HALO_UM, MeasureSettings, measure_cells, sectors_in_picture
from her2path.cells.nuclei import Counterstain, typical_counterstain
from her2path.cells.polar import membrane_contours
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity, Pattern
from her2path.stain import StainMatrix, separate

SETTINGS = MeasureSettings(WHITE, StainMatrix())
CALIBRATION = generic_calibration()


def measured(h_od, dab_od, *, mpp=0.25, noise=1.0, settings=SETTINGS, **kwargs):
    cells = measure_cells(paint(h_od, dab_od, noise=noise, **kwargs), settings, mpp=mpp)
    return cells, classify_cells(cells, CALIBRATION)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 200), (9, 9)])
@pytest.mark.parametrize("mpp", [0.05, 0.17, 0.25, 0.5, 0.7])
def test_a_strip_too_thin_for_a_nucleus_holds_no_cell(shape, mpp):
    rgb = np.full((*shape, 3), 240, np.uint8)
    assert len(measure_cells(rgb, SETTINGS, mpp=mpp)) == 0
    planes = separate(rgb, WHITE, SETTINGS.matrix)
    assert typical_counterstain([planes], mpp=mpp) == Counterstain()


@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.33, 0.46])
def test_every_drawn_nucleus_is_found_once_at_its_place(mpp):
    h_od, dab_od, centers = grid_of_cells(mpp=mpp, membrane_od=0.0)
    cells, _ = measured(h_od, dab_od, mpp=mpp)
    assert len(cells) == len(centers)
    distance, _ = cKDTree(centers).query(np.stack([cells.x, cells.y], 1))
    assert (distance * mpp).max() < 0.6


def test_the_area_of_a_drawn_nucleus_is_measured():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.0)
    cells, _ = measured(h_od, dab_od)
    assert cells.nucleus_area_um2 == pytest.approx(np.pi * 3.5**2, rel=0.15)
    assert cells.nucleus_elongation.max() < 1.15


@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.33])
def test_completeness_is_one_for_a_closed_ring(mpp):
    h_od, dab_od, _ = grid_of_cells(mpp=mpp)
    _, classes = measured(h_od, dab_od, mpp=mpp)
    assert classes.completeness.min() > 0.93
    assert (classes.pattern == Pattern.COMPLETE).all()


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_membranes_are_seen_up_to_the_border_of_a_picture(mpp):
    # Rings of 7 µm that end a µm from it.
    h_od, dab_od, centers = grid_of_cells(n_side=3, pitch_um=16.0, margin_um=8.0, mpp=mpp)
    _, classes = measured(h_od, dab_od, mpp=mpp)
    assert len(classes) == len(centers)
    assert (classes.pattern == Pattern.COMPLETE).all()


@pytest.mark.parametrize("extent_deg", [90, 180, 240])
@pytest.mark.parametrize("start_deg", [0, 77, 200])
def test_completeness_is_the_share_of_the_arc_wherever_it_begins(extent_deg, start_deg):
    h_od, dab_od, _ = grid_of_cells(extent_deg=extent_deg, start_deg=start_deg)
    _, classes = measured(h_od, dab_od)
    assert classes.completeness == pytest.approx(extent_deg / 360, abs=0.12)
    assert np.median(classes.completeness) == pytest.approx(extent_deg / 360, abs=0.07)


def test_outline_follows_the_ring():
    h_od, dab_od, _ = grid_of_cells()
    cells, _ = measured(h_od, dab_od)
    assert np.median(np.abs(cells.outline_um - 7.0)) < 0.3


@pytest.mark.parametrize("turn_deg", [0, 28, 67])
def test_a_long_cell_is_followed_to_its_ends(turn_deg):
    mpp, half_length_um, half_width_um = 0.25, 12.0, 4.0
    shape = (400, 400)
    rows, cols = np.indices(shape)
    turn = np.radians(turn_deg)
    h_od, dab_od = np.full(shape, 0.03), np.zeros(shape)
    for x, y in ((150, 150), (250, 150), (150, 250), (250, 250)):
        along = ((cols - x) * np.cos(turn) + (rows - y) * np.sin(turn)) * mpp
        across = ((rows - y) * np.cos(turn) - (cols - x) * np.sin(turn)) * mpp
        reach = np.hypot(along / half_length_um, across / half_width_um)
        # Distance to an ellipse, to first order: what the form misses over its slope.
        slope = np.hypot(along / half_length_um**2, across / half_width_um**2)
        distance = (reach - 1) * reach / np.maximum(slope, 1e-6)
        dab_od += 0.4 * np.exp(-0.5 * (distance / 0.5) ** 2)
        h_od += 0.35 * soft_disc(shape, x, y, 3.0, mpp)
    cells, classes = measured(h_od, dab_od)
    assert len(cells) == 4
    assert classes.completeness.min() > 0.9
    assert cells.outline_um.max(axis=1) == pytest.approx(half_length_um, abs=1.0)


@pytest.mark.parametrize(
    ("od", "width_um", "expected"),
    [
        (0.10, 0.8, Intensity.FAINT),
        (0.23, 1.2, Intensity.WEAK),
        (0.46, 1.5, Intensity.MODERATE),
        (0.95, 2.1, Intensity.INTENSE),
    ],
)
def test_intensity_follows_the_od_of_the_line(od, width_um, expected):
    h_od, dab_od, _ = grid_of_cells(membrane_od=od, width_um=width_um)
    _, classes = measured(h_od, dab_od)
    assert np.mean(classes.intensity == expected) > 0.9


FOREIGN = StainMatrix(dab=(0.45, 0.60, 0.66))


@pytest.mark.parametrize("od", [0.23, 0.95])
def test_intensity_does_not_fall_where_the_brown_is_not_that_of_the_vectors(od):
    h_od, dab_od, _ = grid_of_cells(membrane_od=od, width_um=2.1, n_side=2)
    usual, foreign = (
        np.median(measured(h_od, dab_od, matrix=matrix)[1].membrane_od)
        for matrix in (StainMatrix(), FOREIGN)
    )
    # By DAB alone it reads a third lower.
    assert foreign == pytest.approx(usual, rel=0.15)


def test_thick_lines_of_two_cells_side_by_side_keep_their_intensity():
    mpp, pitch_um, od, line_um = 0.25, 16.0, 0.9, 2.1
    h_od, _, centers = grid_of_cells(mpp=mpp, pitch_um=pitch_um, membrane_od=0.0)
    # Square cells that share each border, with a line of their own on their side of it.
    rows, cols = (np.arange(n) * mpp for n in h_od.shape)
    first = centers[0] * mpp - pitch_um / 2
    to_border = [
        np.abs((at - start + pitch_um / 2) % pitch_um - pitch_um / 2)
        for at, start in ((rows, first[1]), (cols, first[0]))
    ]
    dab_od = od * (np.minimum(to_border[0][:, None], to_border[1][None]) < line_um)
    _, classes = measured(h_od, gaussian_filter(dab_od, 0.3 / mpp))
    assert np.median(classes.membrane_od) > 0.8 * od


@pytest.mark.parametrize("width_um", [1.0, 1.6, 2.2])
def test_width_of_a_line_is_measured(width_um):
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.6, width_um=width_um)
    cells, _ = measured(h_od, dab_od)
    assert np.median(cells.membrane_width_um) == pytest.approx(width_um, abs=0.35)


def test_smooth_cytoplasm_is_no_membrane():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.0, cytoplasm_od=0.25)
    dab_od = gaussian_filter(dab_od, 4)
    _, classes = measured(h_od, dab_od)
    assert np.mean(classes.intensity == Intensity.NONE) > 0.9
    assert np.mean(classes.is_diffuse) > 0.9


def test_a_gray_ring_is_no_membrane():
    h_od, dab_od, centers = grid_of_cells(membrane_od=0.0)
    gray = sum(0.3 * arc(h_od.shape, x, y, 7.0, 0.8, 0.25) for x, y in centers)
    _, classes = measured(h_od, dab_od, gray_od=gray)
    assert (classes.intensity == Intensity.NONE).all()


def test_a_step_of_brown_is_no_membrane():
    h_od, dab_od, centers = grid_of_cells(membrane_od=0.0)
    dab_od[:, int(centers[:, 0].mean()) :] += 0.3
    _, classes = measured(h_od, dab_od)
    assert np.mean(classes.intensity == Intensity.NONE) > 0.9


def test_blank_tissue_with_noise_stays_blank():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.0)
    _, classes = measured(h_od, dab_od, noise=4.0)
    assert (classes.intensity == Intensity.NONE).all()


@pytest.mark.parametrize("shift", [0.9, 1.05])
def test_a_wrong_white_point_does_not_change_what_is_stained(shift):
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.12, extent_deg=200)
    rgb = paint(h_od, dab_od, noise=1.0)
    right = classify_cells(measure_cells(rgb, SETTINGS, mpp=0.25), CALIBRATION)
    white = tuple(min(w * shift, 255.0) for w in WHITE)
    off = classify_cells(
        measure_cells(rgb, MeasureSettings(white, StainMatrix()), mpp=0.25), CALIBRATION
    )
    assert np.median(off.completeness) == pytest.approx(np.median(right.completeness), abs=0.04)


def test_a_mirrored_and_a_turned_picture_give_the_same_shares():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.15, extent_deg=200, start_deg=20)
    rgb = paint(h_od, dab_od, noise=1.5)
    reference = classify_cells(measure_cells(rgb, SETTINGS, mpp=0.25), CALIBRATION)
    for turned in (rgb[::-1], rgb[:, ::-1], np.rot90(rgb)):
        other = classify_cells(
            measure_cells(np.ascontiguousarray(turned), SETTINGS, mpp=0.25), CALIBRATION
        )
        assert len(other) == len(reference)
        assert other.completeness.mean() == pytest.approx(reference.completeness.mean(), abs=0.03)
        assert (other.intensity > 0).sum() == (reference.intensity > 0).sum()


def mirrored(sectors):
    """Return values of sectors as they lie in the mirrored picture."""
    return sectors[:, (N_SECTORS // 2 - np.arange(N_SECTORS)) % N_SECTORS]


@pytest.mark.parametrize("beyond_px", [-0.6, -0.4, 0.4, 0.6])
def test_left_and_right_a_picture_ends_alike(beyond_px):
    # An outline that ends so far beyond the middle of the last pixel.
    outline = np.full((1, N_SECTORS), 0.25 * (10 + beyond_px), np.float32)
    y = np.array([50.0])
    left, right = (
        sectors_in_picture(np.array([x]), y, outline, (100, 80), 0.25) for x in (10.0, 69.0)
    )
    assert left[0, N_SECTORS // 2] == (beyond_px < 0.5)
    np.testing.assert_array_equal(mirrored(left), right)


def test_no_line_is_seen_beyond_the_left_border_as_none_is_beyond_the_right():
    contrast, direction = np.zeros((80, 80), np.int16), np.zeros((80, 80), np.uint8)
    contrast[:, 0], direction[:] = 2000, N_DIRECTIONS // 2

    def traced(planes, x):
        blank = np.zeros((80, 80), np.int16)
        nucleus, spacing = np.full((1, N_SECTORS), 1.5, np.float32), np.array([10.0], np.float32)
        alone, first = np.array([[1]]), np.array([0])
        place = np.array([x]), np.array([40.0])
        return membrane_contours(
            *planes,
            blank,
            blank,
            0.5,
            *place,
            alone,
            nucleus,
            spacing,
            first,
            0.25,
            1e4,
            N_DIRECTIONS,
        ).outline_um

    left = traced((contrast, direction), 6.0)
    right = traced((np.ascontiguousarray(contrast[:, ::-1]), direction), 73.0)
    np.testing.assert_array_equal(mirrored(left), right)
    assert left[0, N_SECTORS // 2] == 1.5


def test_a_line_between_two_touching_cells_counts_for_both_and_not_for_a_third():
    mpp, shape = 0.25, (480, 700)
    h_od, dab_od = np.full(shape, 0.03), np.zeros(shape)
    centers = [(230, 240), (278, 240), (326, 240)]  # 12 µm apart in a row
    for x, y in centers:
        h_od += 0.35 * soft_disc(shape, x, y, 3.0, mpp)
    line = 254  # between the first and the second
    dab_od[220:260, line - 2 : line + 2] = 0.4
    cells, _ = measured(h_od, gaussian_filter(dab_od, 1))
    order = np.argsort(cells.x)
    right, left = cells.line_contrast_od[order][:, 0], cells.line_contrast_od[order][:, 16]
    assert right[0] > 0.1
    assert left[1] > 0.1
    assert left[2] < 0.02


def test_cells_of_a_rectangle_are_measured_as_among_all():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.2, n_side=5, pitch_um=14.0, extent_deg=250)
    rgb = paint(h_od, dab_od, noise=2.0)
    within = (210.0, 170.0, 380.0, 350.0)
    everything = measure_cells(rgb, SETTINGS, mpp=0.25)
    left, top, right, bottom = within
    is_inside = (
        (everything.x >= left)
        & (everything.x < right)
        & (everything.y >= top)
        & (everything.y < bottom)
    )
    assert 2 < is_inside.sum() < len(everything)
    chosen = measure_cells(rgb, SETTINGS, mpp=0.25, within=within)
    expected = everything.select(is_inside)
    for column in fields(expected):
        value = getattr(expected, column.name)
        assert np.array_equal(
            getattr(chosen, column.name), value, equal_nan=value.dtype.kind == "f"
        )
    assert len(measure_cells(rgb, SETTINGS, mpp=0.25, within=(0.0, 0.0, 1.0, 1.0))) == 0


def test_a_nucleus_under_brown_is_found():
    h_od, dab_od, centers = grid_of_cells(membrane_od=0.8, width_um=3.0, nucleus_od=0.06)
    dab_od += 0.15
    cells, _ = measured(h_od, dab_od)
    distance, _ = cKDTree(np.stack([cells.x, cells.y], 1)).query(centers)
    assert np.mean(distance * 0.25 < 2.0) > 0.9


def test_tiles_with_a_halo_give_the_cells_of_the_whole_picture():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.2, n_side=6, pitch_um=15.0, extent_deg=300)
    rgb = paint(h_od, dab_od, noise=2.0)
    whole = measure_cells(rgb, SETTINGS, mpp=0.25)
    halo = int(np.ceil(HALO_UM / 0.25 / 2) * 2)
    parts = []
    for top in range(0, rgb.shape[0], 300):
        for left in range(0, rgb.shape[1], 300):
            y0, x0 = max(top - halo, 0), max(left - halo, 0)
            frame = np.ascontiguousarray(rgb[y0 : top + 300 + halo, x0 : left + 300 + halo])
            cells = measure_cells(frame, SETTINGS, mpp=0.25)
            is_own = (
                (cells.x + x0 >= left)
                & (cells.x + x0 < left + 300)
                & (cells.y + y0 >= top)
                & (cells.y + y0 < top + 300)
            )
            own = cells.select(is_own)
            parts.append((own, x0, y0))
    x = np.concatenate([own.x + x0 for own, x0, _ in parts])
    y = np.concatenate([own.y + y0 for own, _, y0 in parts])
    tiled = CellMeasurements.concatenate([own for own, _, _ in parts])
    order = np.lexsort((np.round(x, 3), np.round(y, 3)))
    reference = np.lexsort((np.round(whole.x, 3), np.round(whole.y, 3)))
    assert len(tiled) == len(whole)
    assert x[order] == pytest.approx(whole.x[reference], abs=1e-6)
    assert tiled.line_contrast_od[order] == pytest.approx(
        whole.line_contrast_od[reference], abs=1e-6
    )


def test_an_empty_picture_has_no_cells():
    cells = measure_cells(np.full((300, 300, 3), 240, np.uint8), SETTINGS, mpp=0.25)
    assert len(cells) == 0
    assert len(classify_cells(cells, CALIBRATION)) == 0


def test_a_picture_too_coarse_for_membranes_is_refused():
    with pytest.raises(ValueError, match="µm/px"):
        measure_cells(np.full((300, 300, 3), 240, np.uint8), SETTINGS, mpp=1.0)


def test_a_membrane_is_no_line_inside_its_cell_and_granules_are():
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.4)
    smooth, classes = measured(h_od, dab_od)
    assert (classes.intensity > Intensity.NONE).all()
    assert smooth.inner_line_od.max() < 0.02 < 0.1 < np.median(smooth.line_contrast_od)
    h_od, dab_od, _ = grid_of_cells(membrane_od=0.0, cytoplasm_od=0.1)
    grains = gaussian_filter(np.random.default_rng(0).normal(0, 1, dab_od.shape), 1.5)
    granular, _ = measured(h_od, np.maximum(dab_od * (1 + 2.5 * grains / grains.std()), 0))
    even, _ = measured(h_od, dab_od)
    assert np.median(granular.inner_line_od) > 5 * np.median(even.inner_line_od)


def test_an_outline_does_not_reach_over_its_neighbor_to_a_line_behind_it():
    mpp, shape = 0.25, (400, 400)
    h_od, dab_od = np.full(shape, 0.03), np.zeros(shape)
    # Half-way to the neighbor on the right are 4 µm, its far side lies 11.5 µm away.
    for x, y in ((50, 50), (58, 50), (30, 50), (50, 30), (50, 70)):
        h_od += 0.35 * soft_disc(shape, x / mpp, y / mpp, 2.6, mpp)
    rows, cols = np.indices(shape) * mpp
    dab_od[(np.abs(cols - 61.5) < 0.5) & (np.abs(rows - 50) < 8)] = 0.4
    cells = measure_cells(paint(h_od, dab_od, noise=1.0), SETTINGS, mpp=mpp)
    middle = np.argmin(np.hypot(cells.x * mpp - 50, cells.y * mpp - 50))
    assert len(cells) == 5
    assert cells.outline_um[middle, 0] < 6.5
