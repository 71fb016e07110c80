"""Cells under pigment: a brown nucleus, and no membrane that a network sees."""

import numpy as np
import pytest

from her2path.cells.empty_cells import LEAST_CELLS
from her2path.cells.pigment import LEAST_EXCESS_OD, is_pigmented
from her2path.cells.table import N_SECTORS

N = 400


def found(make_cells, brown: float, seen: float, *, usual=0.08, spread=0.015, n=N, read=True):
    """Return whether a cell this brown is pigmented beside usual ones, and how many of those."""
    rng = np.random.default_rng(3)
    nuclei = np.append(rng.normal(usual, spread, n), brown).astype(np.float32)
    lines = np.full((n + 1, N_SECTORS), round(255 * seen), np.uint8)
    told = np.full(n + 1, 0.9 if read else np.nan, np.float32)
    cells = make_cells(n + 1, nucleus_dab_od=nuclei, seen_line=lines, seen_tumor=told)
    covered = is_pigmented(cells, np.arange(n + 1) < n)
    return bool(covered[-1]), int(covered[:-1].sum())


@pytest.mark.parametrize(("brown", "covered"), [(0.30, True), (0.20, True), (0.12, False)])
def test_a_nucleus_far_browner_than_usual_lies_under_pigment(make_cells, brown, covered) -> None:
    assert found(make_cells, brown, 0.1) == (covered, 0)


def test_where_the_network_sees_a_membrane_the_nucleus_may_be_brown(make_cells) -> None:
    assert not found(make_cells, 0.30, 0.6)[0]


def test_in_a_tumor_with_brown_nuclei_more_is_asked(make_cells) -> None:
    # As under the strong membranes of 3+, and in granular cytoplasm.
    assert not found(make_cells, 0.45, 0.1, usual=0.30, spread=0.08)[0]
    # And where all nuclei are alike, more than their scatter.
    assert not found(make_cells, 0.05 + 0.9 * LEAST_EXCESS_OD, 0.1, usual=0.05, spread=0.002)[0]


def test_without_a_network_or_many_cells_nothing_is_said(make_cells) -> None:
    assert not found(make_cells, 0.5, 0.1, read=False)[0]
    assert not found(make_cells, 0.5, 0.1, n=LEAST_CELLS - 1)[0]
