"""Cells that are left out although their nuclei are like those that count."""

import numpy as np
import pytest

from her2path.cells.lookalikes import (
    LEAST_CELLS,
    NEAR_UM,
    lookalikes,
    outnumbering_lookalikes,
)

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


def tumor_of_which_the_stained_count(make_cells, *, n_counted=60, other_share=0.0, away_um=0.0):
    """Return cells of which the first count and the last are lymphocytes."""
    n = 600
    rng = np.random.default_rng(7)
    is_other = np.arange(n) >= n - round(other_share * (n - n_counted))
    area = rng.normal(1, 0.15, n) * np.where(is_other, 28, 60)
    cells = make_cells(
        n,
        nucleus_area_um2=area.astype(np.float32),
        nucleus_elongation=rng.normal(1.3, 0.06, n).astype(np.float32),
        nucleus_h_od=rng.normal(0.2, 0.02, n).astype(np.float32),
    )
    x, y = rng.uniform(0, 300, (2, n))
    is_counted = np.arange(n) < n_counted
    x = np.where(is_counted, x, x + away_um)
    return cells, is_counted, is_other, {"x_um": x, "y_um": y}


def stained_cells(is_counted, *, missed=1.0):
    """Return all that count, and for each of them so many that do not."""
    n_counted = np.count_nonzero(is_counted)
    return np.arange(len(is_counted)) < round((1 + missed) * n_counted)


def test_tumor_of_which_little_but_stained_cells_counts_is_found(make_cells) -> None:
    cells, is_counted, is_other, places = tumor_of_which_the_stained_count(
        make_cells, other_share=0.3
    )
    is_stained = stained_cells(is_counted)
    found = outnumbering_lookalikes(cells, is_counted, ~is_counted, is_stained, **places)
    assert not (found & is_counted).any()
    assert found[~is_counted & ~is_other].mean() > 0.45
    assert found[is_other].mean() < 0.05


@pytest.mark.parametrize(
    ("made", "stained"),
    [
        pytest.param({}, "nearly all that are", id="stained cells are recognized"),
        pytest.param({"n_counted": 250}, "counted", id="as many count as do not"),
        pytest.param({"other_share": 0.6}, "counted", id="most of the others are other cells"),
        pytest.param({}, "nobody", id="stain has not misled"),
        pytest.param({}, "everybody", id="all are stained"),
        pytest.param({"n_counted": LEAST_CELLS - 1}, "counted", id="few say nothing"),
        pytest.param({"away_um": 300 + NEAR_UM}, "counted", id="far from all that count"),
    ],
)
def test_other_cells_never_count_for_their_nuclei(make_cells, made, stained) -> None:
    cells, is_counted, _, places = tumor_of_which_the_stained_count(make_cells, **made)
    is_stained = {
        "nearly all that are": stained_cells(is_counted, missed=0.8),
        "counted": stained_cells(is_counted),
        "nobody": np.zeros_like(is_counted),
        "everybody": np.ones_like(is_counted),
    }[stained]
    found = outnumbering_lookalikes(cells, is_counted, ~is_counted, is_stained, **places)
    assert not found.any()


def test_nuclei_that_could_not_be_measured_say_nothing(make_cells) -> None:
    n = 4 * LEAST_CELLS
    is_counted = np.arange(n) < LEAST_CELLS
    cells = make_cells(n, nucleus_h_od=np.where(is_counted, np.nan, 0.2).astype(np.float32))
    x = np.arange(n, dtype=float)
    is_stained = stained_cells(is_counted)
    found = outnumbering_lookalikes(cells, is_counted, ~is_counted, is_stained, x_um=x, y_um=x)
    assert not found.any()


def test_cells_are_joined_step_by_step(make_cells) -> None:
    n = 400
    cells = make_cells(n, nucleus_area_um2=np.full(n, 60, np.float32))
    is_counted = np.arange(n) < LEAST_CELLS
    # A file of cells, and behind a gap the rest of it.
    x = np.arange(n) * 0.9 * NEAR_UM + np.where(np.arange(n) < 300, 0, 2 * NEAR_UM)
    is_stained = stained_cells(is_counted)
    found = outnumbering_lookalikes(
        cells, is_counted, ~is_counted, is_stained, x_um=x, y_um=np.zeros(n)
    )
    assert found[LEAST_CELLS:300].all()
    assert not found[300:].any()
