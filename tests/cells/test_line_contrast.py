"""What is a line: drawn lines, dots and edges, whose contrast is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.cells.line_contrast import N_DIRECTIONS, line_map
from her2path.stain.separate import STEPS_PER_OD

MPP = 0.25
SIDE = 161
MIDDLE = SIDE // 2


def steps(od):
    return np.rint(STEPS_PER_OD * od).astype(np.int16)


def drawn_line(od, *, angle_deg, width_um=0.8, spread=0.0, period_um=2.0):
    """A straight line through the middle; `spread` makes it uneven along its length."""
    rows, cols = (np.indices((SIDE, SIDE)) - MIDDLE) * MPP
    angle = np.radians(angle_deg)
    across = rows * np.cos(angle) - cols * np.sin(angle)
    along = rows * np.sin(angle) + cols * np.cos(angle)
    height = od * (1 + spread * np.cos(2 * np.pi * along / period_um))
    return height * np.exp(-0.5 * (across / (width_um / 2.355)) ** 2)


def drawn_dot(od, *, width_um=1.2):
    rows, cols = (np.indices((SIDE, SIDE)) - MIDDLE) * MPP
    return od * np.exp(-0.5 * (rows**2 + cols**2) / (width_um / 2.355) ** 2)


def contrast_of(dab):
    found = line_map(steps(dab), steps(dab), mpp=MPP)
    return found.contrast / found.steps_per_od, found.direction


@given(angle_deg=st.floats(0, 179.9), width_um=st.floats(0.5, 1.4))
@settings(max_examples=25, deadline=None)
def test_a_line_is_found_in_its_direction_whichever_it_is(angle_deg, width_um) -> None:
    contrast, direction = contrast_of(drawn_line(0.3, angle_deg=angle_deg, width_um=width_um))
    assert 0.45 * 0.3 < contrast[MIDDLE, MIDDLE] < 0.3
    turn = abs(int(direction[MIDDLE, MIDDLE]) * 180 / N_DIRECTIONS - angle_deg)
    assert min(turn, 180 - turn) <= 180 / N_DIRECTIONS


def test_a_dot_is_no_line() -> None:
    dot, _ = contrast_of(drawn_dot(0.8))
    line, _ = contrast_of(drawn_line(0.8, angle_deg=0))
    assert dot[MIDDLE, MIDDLE] < 0.02 * line[MIDDLE, MIDDLE]
    # Beside its middle what is left of the dot is longer than wide.
    assert dot.max() < 0.5 * line[MIDDLE, MIDDLE]


@pytest.mark.parametrize("spread", [0.2, 0.4])
def test_an_uneven_line_is_still_one(spread) -> None:
    even, _ = contrast_of(drawn_line(0.3, angle_deg=30))
    uneven, _ = contrast_of(drawn_line(0.3, angle_deg=30, spread=spread))
    at = slice(MIDDLE - 8, MIDDLE + 9)
    # Along the line: the highest near each place, as an outline finds it.
    assert uneven[at, at].max(axis=0).mean() > 0.9 * even[at, at].max(axis=0).mean()


def test_noise_takes_little_from_a_faint_line() -> None:
    clean = drawn_line(0.06, angle_deg=70)
    noise = np.random.default_rng(5).normal(0, 0.03, clean.shape)
    found, drawn = contrast_of(clean + noise)[0], contrast_of(clean)[0]
    on_line = drawn > 0.5 * drawn.max()
    on_line[:20], on_line[-20:] = False, False
    assert found[on_line].mean() > 0.8 * drawn[on_line].mean()


def test_lines_that_cross_are_lost_for_a_micron_only() -> None:
    crossing = np.maximum(drawn_line(0.3, angle_deg=0), drawn_line(0.3, angle_deg=90))
    contrast, _ = contrast_of(crossing)
    alone, _ = contrast_of(drawn_line(0.3, angle_deg=0))
    beside = round(2.0 / MPP)
    assert contrast[MIDDLE, MIDDLE] < 0.5 * alone[MIDDLE, MIDDLE]
    assert contrast[MIDDLE, MIDDLE + beside] > 0.9 * alone[MIDDLE, MIDDLE]


def test_an_edge_is_no_line() -> None:
    edge = np.zeros((SIDE, SIDE))
    edge[:, MIDDLE:] = 0.6
    contrast, _ = contrast_of(edge)
    assert contrast[:, MIDDLE - 20 : MIDDLE + 20].max() < 0.01
