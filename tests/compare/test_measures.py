"""Measures of a side as sums over blocks: by brute force over its cells."""

import numpy as np
import pytest

from her2path.compare.measures import ratios_of


def test_sums_over_blocks_are_those_of_the_cells(make_cells):
    rng = np.random.default_rng(1)
    intensity, extent = rng.integers(0, 5, 200), rng.integers(0, 3, 200)
    cells = make_cells(
        intensity,
        extent=extent,
        block=rng.integers(0, 12, 200),
        membrane_od=rng.uniform(0.05, 0.8, 200),
    )
    is_stained = intensity > 0
    # Thirds of the points of an H-score: faint and weak count alike.
    values = {
        "h_score": np.array([0, 1, 1, 2, 3])[intensity] / 3,
        "pct_stained": is_stained,
        "pct_complete": (intensity >= 2) & (extent == 2),
        "pct_none": ~is_stained,
        "pct_moderate": intensity == 3,
        "membrane_od": cells.membrane_od[is_stained].astype(float),
    }
    found = ratios_of(cells)
    for name, of_cells in values.items():
        assert found[name].n_cells == of_cells.size
        assert found[name].value == pytest.approx(of_cells.mean())
        assert found[name].squared_distance == pytest.approx(of_cells.size * of_cells.var())
