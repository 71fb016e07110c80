"""Windows lie inside the slide, never overlap, and are where the wanted cells are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.geometry import Region, Size
from her2path.report.windows import choose_windows

WHOLE = Region(0, 0, 5000, 3000)
SIZE = Size(640, 448)


def choose(x, y, weight=None, *, n=3, size=SIZE, within=WHOLE, taken=()):
    weight = np.ones(len(x)) if weight is None else weight
    return choose_windows(x, y, weight=weight, size=size, within=within, n_windows=n, taken=taken)


@st.composite
def cells(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(1, 300))
    # Some cells lie just outside, as those of a shifted outline may.
    return rng.uniform(-50, 5050, n), rng.uniform(-50, 3050, n), rng.uniform(0, 2, n)


@given(cells(), st.integers(1, 6), st.integers(10, 6000), st.integers(10, 4000))
@settings(deadline=None, max_examples=60)
def test_windows_lie_inside_the_slide_and_do_not_overlap(found, n, width, height):
    x, y, weight = found
    taken = [Region(1000, 1000, 500, 500)]
    chosen = choose(x, y, weight, n=n, size=Size(width, height), taken=taken)
    assert len(chosen) <= n
    everything = [*taken, *chosen]
    for index, window in enumerate(chosen, start=1):
        assert window.intersection(WHOLE) == window
        assert all(window.intersection(other).is_empty for other in everything[:index])


@given(cells(), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_order_of_cells_changes_nothing(found, seed):
    x, y, weight = found
    order = np.random.default_rng(seed).permutation(len(x))
    assert choose(x, y, weight) == choose(x[order], y[order], weight[order])


def test_the_first_window_holds_the_dense_group():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(0, 5000, 40), rng.normal(3000, 60, 100)])
    y = np.concatenate([rng.uniform(0, 3000, 40), rng.normal(1500, 60, 100)])
    first = choose(x, y)[0]
    assert first.x <= 3000 < first.right
    assert first.y <= 1500 < first.bottom


def test_windows_spread_over_equally_rich_tissue():
    x, y = (part.ravel() for part in np.meshgrid(np.arange(0, 5000, 40), np.arange(0, 3000, 40)))
    chosen = choose(x, y, n=2)
    distance = np.hypot(chosen[0].x - chosen[1].x, chosen[0].y - chosen[1].y)
    assert distance > 0.25 * np.hypot(5000, 3000)


def test_no_wanted_cell_gives_no_window():
    assert choose(np.array([10.0]), np.array([10.0]), np.zeros(1)) == ()
    assert choose(np.empty(0), np.empty(0)) == ()


def test_a_small_picture_gets_one_window_of_its_own_size():
    within = Region(0, 0, 300, 200)
    chosen = choose(np.array([5.0, 290.0]), np.array([5.0, 190.0]), within=within)
    assert chosen == (within,)


def test_windows_too_small_for_the_slide_are_refused():
    with pytest.raises(ValueError, match="too small"):
        choose(np.array([1.0]), np.array([1.0]), size=Size(1, 1))
