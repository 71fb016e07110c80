"""One contour for each nucleus, whatever its size and its chromatin."""

import itertools

import numpy as np
import pytest
from drawing import soft_disc
from scipy.ndimage import gaussian_filter

from her2path.cells.nuclei import Counterstain
from her2path.cells.nucleus_tracing import Nuclei, choose_apart, trace_nuclei, within_reach
from her2path.cells.table import N_SECTORS
from her2path.stain.separate import STEPS_PER_OD

MPP, SHAPE = 0.25, (240, 240)
MIDDLE = 120


def traced(h_od) -> Nuclei:
    hematoxylin = np.rint(h_od * STEPS_PER_OD).astype(np.int16)
    return trace_nuclei(hematoxylin, np.zeros_like(hematoxylin), Counterstain(), mpp=MPP)


@pytest.mark.parametrize("radius_um", [2.5, 4.0, 6.0, 7.5])
def test_a_nucleus_of_any_size_is_one_contour_round_its_middle(radius_um) -> None:
    found = traced(0.25 * soft_disc(SHAPE, MIDDLE, MIDDLE, radius_um, MPP))
    assert len(found.x) == 1
    assert np.hypot(found.x[0] - MIDDLE, found.y[0] - MIDDLE) * MPP < 0.6
    assert found.area_um2[0] == pytest.approx(np.pi * radius_um**2, rel=0.2)


def test_coarse_chromatin_makes_no_pieces_of_a_large_nucleus() -> None:
    clumps = gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 1.0 / MPP)
    clumps = 1 + 0.35 * clumps / clumps.std()
    found = traced(0.25 * clumps * soft_disc(SHAPE, MIDDLE, MIDDLE, 6.5, MPP))
    assert len(found.x) == 1
    assert np.hypot(found.x[0] - MIDDLE, found.y[0] - MIDDLE) * MPP < 1.5


def test_two_nuclei_that_touch_are_two() -> None:
    apart = 20
    left, right = (soft_disc(SHAPE, MIDDLE + side * apart, MIDDLE, 4.5, MPP) for side in (-1, 1))
    found = traced(0.25 * np.maximum(left, right))
    assert np.sort(found.x) == pytest.approx([MIDDLE - apart, MIDDLE + apart], abs=3)


def test_nothing_blue_is_no_nucleus() -> None:
    assert len(traced(np.full(SHAPE, 0.02)).x) == 0


def chosen(x_um, radius_um, explained) -> list[bool]:
    x, explained = np.array(x_um, float), np.array(explained, np.float32)
    contours = np.repeat(np.array(radius_um, np.float32)[:, None], N_SECTORS, axis=1)
    _, around = within_reach(x, np.zeros_like(x), 1.0, 16)
    return choose_apart(explained, x, np.zeros_like(x), contours, around, 1.0).tolist()


def test_of_contours_that_overlap_the_one_that_explains_most_is_chosen() -> None:
    assert chosen([0.0, 1.0, 20.0], [5.0, 2.0, 4.0], [1.0, 0.9, 0.5]) == [True, False, True]
    assert chosen([0.0, 1.0, 20.0], [5.0, 2.0, 4.0], [0.8, 0.9, 0.5]) == [False, True, True]


def test_a_contour_hidden_by_one_that_was_not_chosen_stays() -> None:
    # The middle one explains less than the left, which it overlaps; the right overlaps it alone.
    assert chosen([0.0, 5.0, 10.0], [4.0, 4.0, 4.0], [3.0, 2.0, 1.0]) == [True, False, True]


def test_what_explains_nothing_is_not_chosen() -> None:
    assert chosen([0.0, 30.0], [4.0, 4.0], [1.0, 0.0]) == [True, False]


def test_of_many_at_one_place_one_is_chosen() -> None:
    assert chosen(np.zeros(9), np.full(9, 4.0), np.ones(9)) == [True] + [False] * 8


def test_of_equals_the_first_is_chosen() -> None:
    assert chosen([0.0, 1.0], [4.0, 4.0], [1.0, 1.0]) == [True, False]


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_in_a_chain_no_two_overlap_and_ends_do_not_reach_far(n: int) -> None:
    row = chosen(5.0 * np.arange(n), np.full(n, 4.0), 1 + np.arange(n, 0, -1))
    assert row[:6] == [k % 2 == 0 for k in range(n)][:6]
    assert not any(a and b for a, b in itertools.pairwise(row))
