import numpy as np
import pytest

from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Score
from her2path.statistics.heterogeneity import find_3plus_cluster, spread_of

BREAST = load_rule_set("asco-cap-2018")
BLANK = 1.0


def test_the_lowest_and_the_highest_score_are_found():
    found = spread_of({"a": Score.THREE_PLUS, "b": Score.ONE_PLUS, "c": Score.ZERO})
    assert (found.lowest, found.highest, found.n_regions) == ("0", "3+", 3)
    assert found.grades_apart == 3


def test_null_and_ultralow_are_one_grade():
    assert spread_of({"a": Score.ZERO, "b": Score.ULTRALOW}).grades_apart == 0
    assert spread_of({"a": Score.ULTRALOW, "b": Score.ONE_PLUS}).grades_apart == 1


def test_without_a_region_nothing_is_apart():
    nothing = spread_of({})
    assert nothing.highest is Score.NOT_ASSESSABLE
    assert nothing.grades_apart == 0


def field(is_island, *, else_intensity=0, n=40, step=15.0):
    """Make a square lattice of n × n cells, intense and complete where `is_island(x, y)`."""
    x, y = (axis.ravel() * step for axis in np.meshgrid(np.arange(n), np.arange(n)))
    inside = is_island(x, y)
    intensity = np.where(inside, 4, else_intensity)
    extent = np.where(inside, 2, 0)
    return x, y, intensity, extent


def find(x, y, intensity, extent):
    return find_3plus_cluster(
        x, y, intensity=intensity, extent=extent, rule_set=BREAST, blank_upper_pct=BLANK
    )


def test_an_island_of_3plus_is_found_and_left_out_of_the_rest():
    cells = field(lambda x, y: (x < 150) & (y < 150), else_intensity=1)
    found = find(*cells)
    assert found.n_cells == 100
    assert found.n_territory_cells == 100 + 21
    assert found.local_pct == pytest.approx(100 * 100 / 121)
    assert found.share_of_tumor_pct == pytest.approx(100 * 121 / 1600)
    assert found.score_elsewhere == "1+"
    assert found.is_distinct


def test_strewn_strong_cells_are_no_island():
    found = find(*field(lambda x, y: (x % 60 == 0) & (y % 60 == 0)))
    assert found.n_cells == 1
    assert not found.is_distinct


def test_a_compact_island_is_found_beside_a_larger_strewn_group():
    rng = np.random.default_rng(0)
    x, y, intensity, extent = field(lambda x, _y: x < 0, else_intensity=3, n=100, step=12.0)
    extent[:] = 2
    # Close enough to hold together, and fewer than the cells between them.
    strewn = (x < 480) & (y < 480) & (rng.random(len(x)) < 0.45)
    compact = np.hypot(x - 960, y - 960) < 72
    intensity[strewn | compact] = 4
    found = find(x, y, intensity, extent)
    assert (found.n_cells, found.is_distinct) == (int(compact.sum()), True)
    intensity[compact] = 3
    found = find(x, y, intensity, extent)
    assert found.n_cells > 500
    assert not found.is_distinct


@pytest.mark.parametrize(("n_islands", "is_distinct"), [(1, True), (2, True), (20, False)])
def test_islands_that_make_the_tumour_3plus_are_not_distinct(n_islands, is_distinct):
    x, y, intensity, extent = field(lambda x, _y: x < 0, n=100, step=12.0)
    for k in range(n_islands):
        inside = (abs(x - 120 - 240 * (k % 5)) < 60) & (abs(y - 120 - 240 * (k // 5)) < 60)
        intensity[inside], extent[inside] = 4, 2
    assert find(x, y, intensity, extent).is_distinct is is_distinct


def test_a_tumour_that_is_3plus_all_over_has_no_island():
    found = find(*field(lambda x, _y: x >= 0))
    assert found.n_cells == 1600
    assert found.score_elsewhere is Score.NOT_ASSESSABLE
    assert not found.is_distinct


def test_a_small_group_is_no_island():
    assert not find(*field(lambda x, y: (x < 100) & (y < 100))).is_distinct


def test_no_strong_cell_means_no_island():
    found = find(*field(lambda x, _y: x < 0, else_intensity=1))
    assert (found.n_cells, found.local_pct, found.score_elsewhere) == (0, 0, "1+")


def test_no_cell_at_all_is_not_assessable():
    found = find([], [], [], [])
    assert found.score_elsewhere is Score.NOT_ASSESSABLE
    assert found.share_of_tumor_pct == 0


def with_neighbors(n_island, n_near):
    """A row of intense cells, some with an unstained neighbor, and unstained tumor far away."""
    x = np.concatenate([np.arange(n_island), np.arange(n_near), np.arange(200)]) * 15.0
    y = np.repeat([0.0, 20.0, 1000.0], [n_island, n_near, 200])
    is_island = y == 0
    return x, y, np.where(is_island, 4, 0), np.where(is_island, 2, 0)


@pytest.mark.parametrize(("n_cells", "is_distinct"), [(49, False), (50, True)])
def test_fifty_cells_are_an_island(n_cells, is_distinct):
    found = find(*with_neighbors(n_cells, 0))
    assert found.n_cells == n_cells
    assert found.is_distinct is is_distinct


@pytest.mark.parametrize(("n_near", "is_distinct"), [(59, True), (60, False)])
def test_an_island_is_more_than_half_of_its_territory(n_near, is_distinct):
    found = find(*with_neighbors(60, n_near))
    assert found.n_territory_cells == 60 + n_near
    assert found.is_distinct is is_distinct
