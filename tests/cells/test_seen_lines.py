"""How sure a network must be of a membrane, as a slide's own unstained cells tell."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from her2path.cells.blank import MIN_REFERENCE_CELLS
from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import classify_cells, seen_along
from her2path.cells.line_contrast import CLEAR_LINE_OD
from her2path.cells.odds import EVEN
from her2path.cells.seen_lines import (
    LEAST_EVEN,
    LEAST_EVEN_OF_MANY,
    MOST_EVEN,
    USUAL_STAINED_FRAC,
    even_of_many,
    line_even,
    with_own_even,
)
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity

N = 2000


def seen(make_cells, mean, deviation, *, n=N, seed=0) -> CellMeasurements:
    """Cells of which a network says one thing all round; log odds normal over the cells."""
    odds = np.random.default_rng(seed).normal(mean, deviation, n)
    level = np.rint(255 * expit(odds)).astype(np.uint8)
    return make_cells(n, seen_line=np.repeat(level[:, None], N_SECTORS, axis=1))


def even_of(cells: CellMeasurements) -> float:
    return line_even(cells, np.ones(len(cells), np.bool_))


def test_unstained_cells_set_what_counts_as_even(make_cells) -> None:
    # Three deviations above their mean, in log odds.
    found = even_of(seen(make_cells, -1.9, 0.3, n=20_000))
    assert found == pytest.approx(expit(-1.9 + 3 * 0.3), abs=0.03)


def test_bounds_hold(make_cells) -> None:
    assert even_of(seen(make_cells, -4.5, 0.3)) == LEAST_EVEN
    assert even_of(seen(make_cells, -1.0, 1.0)) == EVEN
    # A tumor that is stained all over has no unstained cells to tell from.
    assert even_of(seen(make_cells, 2.0, 0.5)) == EVEN


def test_stained_cells_hardly_move_it(make_cells) -> None:
    unstained = seen(make_cells, -2.6, 0.5)
    mixed = CellMeasurements.concatenate([unstained, seen(make_cells, 2.0, 0.5, n=N // 2)])
    assert even_of(unstained) <= even_of(mixed) < 0.4


def test_where_most_are_stained_the_unstained_ones_set_it_once_known(make_cells) -> None:
    unstained = seen(make_cells, -3.5, 0.4)
    mixed = CellMeasurements.concatenate([unstained, seen(make_cells, 2.0, 0.5, n=3 * N)])
    everything = np.ones(len(mixed), np.bool_)
    assert line_even(mixed, everything) == EVEN
    known = line_even(mixed, everything, unstained_frac=1 / 4)
    assert known == pytest.approx(even_of(unstained), abs=0.02)


@pytest.mark.parametrize(
    ("cytoplasm_od", "unstained_frac", "most"),
    [
        (0.15, 0.95, MOST_EVEN),
        # Pale cytoplasm, many cells stained, or nothing known of them.
        (0.02, 0.95, EVEN),
        (0.15, 0.5, EVEN),
        (0.15, None, EVEN),
    ],
)
def test_brown_unstained_cells_ask_for_more(make_cells, cytoplasm_od, unstained_frac, most) -> None:
    cells = seen(make_cells, 0.0, 1.3)
    cells = replace(cells, cytoplasm_od=np.full(N, cytoplasm_od, np.float32))
    found = line_even(cells, np.ones(N, np.bool_), unstained_frac=unstained_frac)
    assert found == most


def test_lines_are_likelier_where_many_cells_are_stained() -> None:
    assert even_of_many(0.0) == even_of_many(USUAL_STAINED_FRAC) == EVEN
    # Twice the odds of a stained cell, half the odds asked.
    assert even_of_many(2 / 11) == pytest.approx(1 / 3)
    assert even_of_many(0.9) == even_of_many(1.0) == LEAST_EVEN_OF_MANY
    shares = np.linspace(0, 1, 101)
    assert (np.diff([even_of_many(share) for share in shares]) <= 0).all()


def test_many_stained_cells_ask_for_less_unless_they_are_brown(make_cells) -> None:
    cells = seen(make_cells, 0.0, 0.8)
    brown = replace(cells, cytoplasm_od=np.full(N, 0.15, np.float32))
    found = [line_even(c, np.ones(N, np.bool_), unstained_frac=0.4) for c in (cells, brown)]
    assert found == [LEAST_EVEN_OF_MANY, EVEN]


def test_too_few_cells_and_cells_that_no_network_saw_leave_even_odds(make_cells) -> None:
    assert even_of(seen(make_cells, -4.5, 0.3, n=MIN_REFERENCE_CELLS - 1)) == EVEN
    unread = make_cells(N, seen_tumor=np.full(N, np.nan, np.float32))
    assert even_of(unread) == EVEN


@given(even=st.floats(LEAST_EVEN, MOST_EVEN))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_moving_shifts_all_that_is_seen_one_way_and_keeps_its_order(make_cells, even) -> None:
    steps = np.repeat(np.arange(256, dtype=np.uint8)[:, None], N_SECTORS, axis=1)
    moved = with_own_even(make_cells(256, seen_line=steps), even).seen_line
    # Both ends are as sure as a reader can be.
    change = moved[1:-1].astype(int) - steps[1:-1]
    assert (change * np.sign(EVEN - even) >= 0).all()
    assert (np.diff(moved.astype(int), axis=0) >= 0).all()
    assert moved[round(255 * even), 0] == pytest.approx(127.5, abs=3)


def test_a_line_of_which_a_cold_network_is_half_sure_counts(make_cells) -> None:
    """On a slide whose unstained cells are plain, a faint line needs less than even odds."""
    calibration = generic_calibration()
    faint = seen(make_cells, -0.6, 0.05, n=200, seed=1)
    contrast = np.zeros((200, N_SECTORS), np.float32)
    contrast[:, :12] = 0.8 * calibration.min_line_contrast_od
    faint = replace(faint, line_contrast_od=contrast)
    cells = CellMeasurements.concatenate([seen(make_cells, -4.5, 0.3), faint])
    as_read = classify_cells(cells, calibration).intensity
    own = classify_cells(with_own_even(cells, even_of(cells)), calibration).intensity
    assert (as_read == Intensity.NONE).all()
    assert (own[:N] == Intensity.NONE).all()
    assert (own[N:] == Intensity.FAINT).all()
    assert seen_along(faint).max() < EVEN


def test_clear_lines_are_new_to_no_network(make_cells) -> None:
    level = np.full((2, N_SECTORS), 51, np.uint8)
    contrast = np.array([0.9, 1.1], np.float32) * CLEAR_LINE_OD
    cells = make_cells(2, seen_line=level, line_contrast_od=np.repeat(contrast[:, None], 32, 1))
    # Of the faint one less than even odds are asked; more are asked of both.
    assert seen_along(with_own_even(cells, 0.2)) == pytest.approx([0.5, 0.2], abs=0.01)
    asked_more = seen_along(with_own_even(cells, 0.7))
    assert asked_more[0] == asked_more[1] < 0.15
