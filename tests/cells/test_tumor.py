"""What the rule of tumor looks at, in however many parts the cells are taken."""

import tracemalloc

import numpy as np
import pytest

from her2path.cells import tumor
from her2path.cells.tumor import FEATURES, tumor_features


@pytest.fixture
def scattered(make_cells):
    """Return cells of many sizes at places of whole µm, some of them the same."""

    def of(n):
        rng = np.random.default_rng(n)
        sizes = {
            "nucleus_area_um2": rng.uniform(20, 120, n).astype(np.float32),
            "nucleus_elongation": rng.uniform(1, 3, n).astype(np.float32),
            "nucleus_h_od": rng.uniform(0.1, 0.4, n).astype(np.float32),
        }
        x_um, y_um = rng.uniform(0, 12 * np.sqrt(n), (2, n)).round()
        return make_cells(n, **sizes), x_um, y_um

    return of


def test_features_are_the_same_in_however_many_parts_cells_are_looked_up(scattered, monkeypatch):
    cells, x_um, y_um = scattered(150)
    at_once = tumor_features(cells, x_um=x_um, y_um=y_um)
    monkeypatch.setattr(tumor, "CHUNK", 7)
    assert np.array_equal(tumor_features(cells, x_um=x_um, y_um=y_um), at_once)
    assert at_once.shape == (150, len(FEATURES))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_cells_have_features_too(scattered, n):
    cells, x_um, y_um = scattered(n)
    found = tumor_features(cells, x_um=x_um, y_um=y_um)
    assert found.shape == (n, len(FEATURES))
    assert np.isfinite(found).all()


def test_neighbors_of_a_large_slide_are_not_held_in_memory_all_at_once(scattered):
    cells, x_um, y_um = scattered(100_000)
    tracemalloc.start()
    found = tumor_features(cells, x_um=x_um, y_um=y_um)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * found.nbytes
