import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.cells.nucleus_tracing import nearest
from her2path.cells.shared_lines import needed_cells
from her2path.cells.table import N_SECTORS

RADIUS_UM = 6.0
ANGLES = 2 * np.pi * np.arange(N_SECTORS) / N_SECTORS


def needed(centers, arcs, *, complete=(), outline_um=None):
    """Which of some cells are needed; an arc is (first sector, number of sectors)."""
    x, y = np.array(centers, np.float64).reshape(-1, 2).T.copy()
    on_line = np.zeros((len(x), N_SECTORS), np.bool_)
    for cell, (first, n) in enumerate(arcs):
        on_line[cell, (first + np.arange(n)) % N_SECTORS] = True
    if outline_um is None:
        outline_um = np.full((len(x), N_SECTORS), RADIUS_UM, np.float32)
    is_complete = np.isin(np.arange(len(x)), complete)
    order = np.argsort(on_line.sum(axis=1), kind="stable")
    found = needed_cells(x, y, nearest(x, y, 1.0)[0], outline_um, on_line, is_complete, order)
    return found.tolist()


def walled(centers):
    """Outlines of round cells, cut where the wall to each other cell stands half-way."""
    places = np.array(centers, np.float64)
    outline = np.full((len(places), N_SECTORS), RADIUS_UM, np.float32)
    for i, place in enumerate(places):
        for j, other in enumerate(places):
            if i != j:
                along = (other - place) @ np.stack([np.cos(ANGLES), np.sin(ANGLES)])
                wall = ((other - place) @ (other - place)) / 2 / np.where(along > 0, along, np.inf)
                outline[i] = np.where(along > 0, np.minimum(outline[i], wall), outline[i])
    return outline


def test_a_cell_alone_has_its_line():
    assert needed([(0, 0)], [(0, 4)]) == [True]
    # Far apart, and facing away from each other.
    assert needed([(0, 0), (40, 0)], [(30, 5), (14, 5)]) == [True, True]
    assert needed([(0, 0), (10, 0)], [(14, 5), (30, 5)]) == [True, True]


def test_a_wall_between_two_cells_needs_one_of_them():
    centers = [(0, 0), (10, 0)]
    outline = walled(centers)
    # Towards each other: sectors round 0, and round 16.
    assert needed(centers, [(30, 5), (14, 5)], outline_um=outline) == [False, True]
    # The one whose line goes on beyond the wall explains it, wherever it stands.
    assert needed(centers, [(28, 9), (14, 5)], outline_um=outline) == [True, False]
    assert needed(centers, [(30, 5), (10, 13)], outline_um=outline) == [False, True]


def test_an_arc_that_goes_on_beyond_the_wall_is_a_cells_own():
    centers = [(0, 0), (10, 0)]
    outline = walled(centers)
    assert needed(centers, [(28, 13), (12, 13)], outline_um=outline) == [True, True]


def test_what_explained_a_line_stays():
    # Three in a row: the middle one explains both sides, or the outer ones explain it.
    centers = [(0, 0), (10, 0), (20, 0)]
    outline = walled(centers)
    middle = np.zeros(N_SECTORS, np.bool_)
    middle[[30, 31, 0, 1, 2, 14, 15, 16, 17, 18]] = True
    x, y = np.array(centers, np.float64).T.copy()
    on_line = np.stack([np.zeros_like(middle), middle, np.zeros_like(middle)])
    on_line[0, [30, 31, 0, 1, 2]] = True
    on_line[2, [14, 15, 16, 17, 18]] = True
    neighbors, _ = nearest(x, y, 1.0)
    none = np.zeros(3, np.bool_)
    for order, left in (([0, 2, 1], [False, True, False]), ([1, 0, 2], [True, False, True])):
        found = needed_cells(x, y, neighbors, outline, on_line, none, np.array(order))
        assert found.tolist() == left


def test_a_complete_ring_is_a_cells_own():
    centers = [(0, 0), (10, 0)]
    outline = walled(centers)
    assert needed(centers, [(0, 32), (14, 5)], complete=[0], outline_um=outline) == [True, False]
    both = needed(centers, [(14, 5), (30, 5)], complete=[0, 1], outline_um=outline)
    assert both == [True, True]


def test_without_stained_cells_none_is_needed():
    assert needed(np.empty((0, 2)), []) == []


@pytest.mark.parametrize("turn", [0, 3, 11])
def test_the_answer_turns_with_the_picture(turn):
    angle = 2 * np.pi * turn / N_SECTORS
    centers = [(0, 0), (10 * np.cos(angle), 10 * np.sin(angle))]
    outline = walled(centers)
    arcs = [(28 + turn, 9), (14 + turn, 5)]
    assert needed(centers, arcs, outline_um=outline) == [True, False]


@given(
    st.lists(
        st.tuples(st.integers(0, 31), st.integers(1, 31), st.integers(0, 3), st.integers(0, 3)),
        min_size=1,
        max_size=12,
        unique_by=lambda cell: cell[2:],
    )
)
def test_every_line_keeps_a_cell(cells):
    centers = [(10.0 * column, 10.0 * row) for _, _, column, row in cells]
    arcs = [(first, n) for first, n, _, _ in cells]
    left = needed(centers, arcs, outline_um=walled(centers))
    # Of stained cells some stay; the longest arc is asked last, and nobody explains it all by
    # being taken out before.
    assert any(left)
    # What is left needs all of itself: asked again, none is taken out.
    kept = [k for k, is_left in enumerate(left) if is_left]
    outline = walled(centers)[kept]
    again = needed([centers[k] for k in kept], [arcs[k] for k in kept], outline_um=outline)
    assert all(again)
