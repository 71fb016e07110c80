"""Cytoplasm is told from the cells around, so that a membrane is not its own background."""

import numpy as np
import pytest

from her2path.cells.cytoplasm import N_NEIGHBORS, with_shared_cytoplasm


@pytest.fixture
def shared(make_cells):
    """Return what lines must stand out from, of tumor cells 10 µm apart in a row."""

    def of(cytoplasm_od, is_tumor=None):
        own = np.asarray(cytoplasm_od, np.float32)
        cells = make_cells(len(own), cytoplasm_od=own, shared_cytoplasm_od=own)
        x = 10.0 * np.arange(len(own))
        is_tumor = np.ones(len(x), bool) if is_tumor is None else np.asarray(is_tumor)
        found = with_shared_cytoplasm(cells, is_tumor, x_um=x, y_um=np.zeros_like(x))
        assert np.array_equal(found.cytoplasm_od, cells.cytoplasm_od)
        return found.shared_cytoplasm_od

    return of


def test_a_cell_browned_by_its_own_membrane_is_judged_by_its_neighbors(shared):
    od = np.full(40, 0.02)
    od[::2] = 0.30
    assert shared(od) == pytest.approx(0.02)


def test_where_all_are_brown_it_is_brown(shared):
    assert shared(np.full(40, 0.12)) == pytest.approx(0.12)


def test_a_paler_cell_keeps_its_own(shared):
    od = np.full(40, 0.12)
    od[7] = 0.01
    assert shared(od)[7] == pytest.approx(0.01)


def test_each_region_has_its_own_level(shared):
    n = 3 * N_NEIGHBORS
    od = np.where(np.arange(2 * n) < n, 0.02, 0.15)
    found = shared(od)
    assert found[: n - N_NEIGHBORS] == pytest.approx(0.02)
    assert found[n + N_NEIGHBORS :] == pytest.approx(0.15)


def test_cells_that_are_no_tumor_neither_count_nor_change(shared):
    od = np.array([0.1, 0.1, 0.1, 0.0, 0.3])
    assert shared(od, [True, True, True, False, False]) == pytest.approx(od)


def test_without_tumor_nothing_changes(shared):
    assert shared([0.1, 0.2], [False, False]) == pytest.approx([0.1, 0.2])
    assert len(shared([])) == 0
