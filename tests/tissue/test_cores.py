"""Cores of drawn microarrays: turned, bent, broken and lost ones keep their row and column."""

import math
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.errors import CoreGridError
from her2path.tissue.cores import MAX_CORES, Core, CoreGrid, find_cores, nearest_index
from her2path.tissue.mask import TissueMask

MPP = 12.0


@dataclass(frozen=True)
class Array:
    """A drawn microarray: its tissue, and by row and column the center and what became of it."""

    tissue: TissueMask
    places: dict[tuple[int, int], tuple[float, float]]
    lost: set[tuple[int, int]]


def drawn(
    rows: int,
    columns: int,
    *,
    diameter: float = 1000.0,
    pitch: float = 1.6,
    turn_deg: float = 0.0,
    bend: float = 0.0,
    lost: float = 0.0,
    broken: float = 0.0,
    seed: int = 0,
) -> Array:
    """Draw cores on a grid of `pitch` diameters; `bend` in diameters at its far ends."""
    rng = np.random.default_rng(seed)
    step, turn = pitch * diameter, math.radians(turn_deg)
    width, height = ((n + 2) * step for n in (columns, rows))
    mask = np.zeros((round(height / MPP), round(width / MPP)), np.bool_)
    down, across = (v * MPP for v in np.ogrid[: mask.shape[0], : mask.shape[1]])
    places, gone = {}, set()
    for row in range(rows):
        for column in range(columns):
            u, v = (column - (columns - 1) / 2) * step, (row - (rows - 1) / 2) * step
            v += bend * diameter * (2 * u / (columns * step)) ** 2
            x = width / 2 + u * math.cos(turn) - v * math.sin(turn)
            y = height / 2 + u * math.sin(turn) + v * math.cos(turn)
            x, y = (at + rng.normal(0, 0.04 * step) for at in (x, y))
            places[row, column] = x, y
            is_corner = row in (0, rows - 1) and column in (0, columns - 1)
            if rng.random() < lost and not is_corner:
                gone.add((row, column))
                continue
            radius = diameter / 2 * rng.uniform(0.9, 1.05)
            core = (across - x) ** 2 + (down - y) ** 2 <= radius**2
            if rng.random() < broken:
                angle = rng.uniform(0, 2 * math.pi)
                side = (across - x) * math.cos(angle) + (down - y) * math.sin(angle)
                core &= side < 0.1 * diameter
            mask |= core
    # Lumens and cracks.
    mask &= rng.random(mask.shape) > 0.1
    return Array(TissueMask(mask, MPP), places, gone)


def faults(array: Array, grid: CoreGrid, *, within_um: float) -> list[tuple[int, int]]:
    """Return the places that were not found as drawn; of a lost one only that it is lost."""
    found = {(core.row, core.column): core for core in grid.cores}
    return [
        place
        for place, (x, y) in array.places.items()
        if place not in found
        or found[place].is_missing != (place in array.lost)
        or (
            place not in array.lost
            and math.hypot(found[place].x_um - x, found[place].y_um - y) > within_um
        )
    ]


@pytest.mark.slow
@settings(max_examples=25)
@given(
    rows=st.integers(3, 9),
    columns=st.integers(3, 9),
    diameter=st.sampled_from([600.0, 1000.0, 1500.0]),
    pitch=st.floats(1.3, 2.2),
    turn_deg=st.floats(-8, 8),
    bend=st.floats(-0.3, 0.3),
    seed=st.integers(0, 1000),
)
def test_whole_cores_keep_their_row_and_column(
    rows, columns, diameter, pitch, turn_deg, bend, seed
):
    array = drawn(
        rows,
        columns,
        diameter=diameter,
        pitch=pitch,
        turn_deg=turn_deg,
        bend=bend,
        lost=0.1,
        seed=seed,
    )
    grid = find_cores(array.tissue)
    assert (grid.n_rows, grid.n_columns) == (rows, columns)
    assert faults(array, grid, within_um=0.25 * diameter) == []
    assert grid.n_missing == len(array.lost)
    assert grid.diameter_um == pytest.approx(diameter, rel=0.12)


@pytest.mark.slow
def test_broken_cores_are_found_and_few_are_taken_for_lost():
    n_wrong = n_places = 0
    for seed in range(8):
        array = drawn(7, 9, turn_deg=3, bend=0.2, lost=0.15, broken=0.3, seed=seed)
        grid = find_cores(array.tissue)
        assert (grid.n_rows, grid.n_columns) == (7, 9)
        n_wrong += len(faults(array, grid, within_um=500))
        n_places += len(array.places)
    assert n_wrong <= 0.01 * n_places


def test_outlines_hold_their_cores_and_do_not_overlap():
    grid = find_cores(drawn(4, 5, pitch=1.15, seed=3).tissue)
    centers = np.array([(core.x_um, core.y_um) for core in grid.cores])
    apart = np.hypot(*(centers[:, None] - centers[None]).transpose(2, 0, 1))
    assert apart[apart > 0].min() > 2 * grid.radius_um
    assert 0.9 * grid.diameter_um / 2 < grid.radius_um <= 1.1 * grid.diameter_um / 2


@pytest.mark.parametrize(("rows", "columns"), [(30, 2), (2, 30)])
def test_cores_of_a_long_narrow_array_lie_where_they_are_drawn(rows, columns):
    array = drawn(rows, columns)
    grid = find_cores(array.tissue, diameter_um=1000)
    assert (grid.n_rows, grid.n_columns) == (rows, columns)
    assert faults(array, grid, within_um=60) == []


@pytest.mark.parametrize("seed", [*range(8), 143])
def test_discs_without_order_are_no_grid_without_end(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros(rng.integers(200, 500, 2), np.uint8)
    for _ in range(rng.integers(10, 40)):
        at = rng.integers(0, mask.shape[::-1]).tolist()
        cv2.circle(mask, at, int(rng.integers(15, 55)), 1, -1)
    with suppress(CoreGridError):
        grid = find_cores(TissueMask(mask.astype(bool), MPP), diameter_um=500)
        assert grid.n_rows * grid.n_columns <= MAX_CORES


def test_a_grid_that_runs_away_is_refused():
    # Cores that are known to stand in one row only say nothing of where the next row is.
    places = np.array([[1000.0, 1000.0], [2500.0, 1000.0], [1000.0, 2500.0], [2600.0, 2400.0]])
    surface = np.zeros((6, 2))
    surface[1], surface[2] = (1500.0, 0.0), (1500.0, 1.0)
    with pytest.raises(CoreGridError, match="rows and columns"):
        nearest_index(places, surface, np.zeros((4, 2), np.int64))
    surface[2], surface[5] = (0.0, 1500.0), (0.0, -1500.0)
    with pytest.raises(CoreGridError, match="rows and columns"):
        nearest_index(places * 1e3, surface, np.zeros((4, 2), np.int64))


def test_rows_beyond_z_have_two_letters():
    names = [Core(row, 0, 0.0, 0.0, 1.0).name for row in (0, 25, 26, 27, 52)]
    assert names == ["A-1", "Z-1", "AA-1", "AB-1", "BA-1"]


def test_a_diameter_that_is_stated_finds_cores_that_are_all_broken():
    array = drawn(4, 5, broken=1.0, seed=2)
    grid = find_cores(array.tissue, diameter_um=1000)
    assert (grid.n_rows, grid.n_columns) == (4, 5)
    assert faults(array, grid, within_um=500) == []


def test_a_section_full_of_summits_is_refused_before_memory_is_taken():
    mask = np.random.default_rng(0).random((3000, 3000)) > 0.97
    mask = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    with pytest.raises(CoreGridError, match="more than any"):
        find_cores(TissueMask(mask, MPP), diameter_um=400)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("nothing", "microarray"), ("section", "microarray"), ("line", "QuPath")],
)
def test_what_is_no_microarray_is_refused(kind, words):
    mask = np.zeros((600, 900), np.uint8)
    if kind == "section":
        cv2.ellipse(mask, (450, 300), (400, 220), 10, 0, 360, 1, -1)
    if kind == "line":
        for k in range(6):
            cv2.circle(mask, (80 + 140 * k, 300), 42, 1, -1)
    with pytest.raises(CoreGridError, match=words):
        find_cores(TissueMask(mask.astype(bool), MPP))
