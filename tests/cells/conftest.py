"""Cells made of numbers alone."""

from dataclasses import fields

import numpy as np
import pytest

from her2path.cells.table import N_SECTORS, CellMeasurements

WIDE = {"outline_um", "line_contrast_od", "line_od", "line_height_od", "is_measurable", "seen_line"}


@pytest.fixture
def make_cells():
    """Return a maker of n cells: every column 0 but those that are given."""

    def make(n, **columns):
        values = {
            f.name: np.zeros((n, N_SECTORS) if f.name in WIDE else n, np.float32)
            for f in fields(CellMeasurements)
        }
        values |= {"seen_line": np.zeros((n, N_SECTORS), np.uint8)}
        values |= {"is_measurable": np.ones((n, N_SECTORS), np.bool_)}
        return CellMeasurements(**(values | columns))

    return make
