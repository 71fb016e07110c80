"""Unstained cells that are left out although their nuclei are like those that count."""

import numpy as np

from her2path.cells.lookalikes import LEAST_CELLS, NEAR_UM, lookalikes

N = 200


def tissue(make_cells, *, area, elongation, h_od):
    """Return N cells that count and as many beside them, which have these nuclei."""
    rng = np.random.default_rng(3)

    def both(counted, others, spread):
        drawn = rng.normal(1, spread, 2 * N) * np.repeat([counted, others], N)
        return drawn.astype(np.float32)

    cells = make_cells(
        2 * N,
        nucleus_area_um2=both(60, area, 0.15),
        nucleus_elongation=both(1.3, elongation, 0.05),
        nucleus_h_od=both(0.2, h_od, 0.1),
    )
    x, y = rng.uniform(0, 200, (2, 2 * N))
    return cells, np.arange(2 * N) < N, x, y


def share_alike(make_cells, *, area=60, elongation=1.3, h_od=0.2, away_um=0.0) -> float:
    cells, is_counted, x, y = tissue(make_cells, area=area, elongation=elongation, h_od=h_od)
    x = np.where(is_counted, x, x + away_um)
    found = lookalikes(cells, is_counted, ~is_counted, x_um=x, y_um=y)
    assert not (found & is_counted).any()
    return float(found.sum()) / N


def test_most_nuclei_of_the_same_kind_are_alike(make_cells) -> None:
    assert 0.45 < share_alike(make_cells) < 0.75


def test_nuclei_of_stroma_and_lymphocytes_are_not(make_cells) -> None:
    assert share_alike(make_cells, elongation=2.6) < 0.02
    assert share_alike(make_cells, area=28) < 0.02
    assert share_alike(make_cells, h_od=0.4) < 0.02


def test_nuclei_far_from_all_that_count_are_not_asked(make_cells) -> None:
    assert share_alike(make_cells, away_um=200 + NEAR_UM) == 0


def test_only_cells_that_are_asked_about_are_told(make_cells) -> None:
    cells, is_counted, x, y = tissue(make_cells, area=60, elongation=1.3, h_od=0.2)
    asked = ~is_counted & (np.arange(2 * N) % 2 == 0)
    found = lookalikes(cells, is_counted, asked, x_um=x, y_um=y)
    assert found.any()
    assert not (found & ~asked).any()


def test_few_counted_cells_say_nothing_of_others(make_cells) -> None:
    cells, is_counted, x, y = tissue(make_cells, area=60, elongation=1.3, h_od=0.2)
    few = np.arange(2 * N) < LEAST_CELLS - 1
    assert not lookalikes(cells, few, ~is_counted, x_um=x, y_um=y).any()
    nobody = np.zeros(2 * N, np.bool_)
    assert not lookalikes(cells, is_counted, nobody, x_um=x, y_um=y).any()
