"""Limits that a slide's own cells set, where most of them are stained and where none is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from her2path.cells.calibration import generic_calibration
from her2path.cells.membranes import Membranes, read_membranes
from her2path.cells.odds import EVEN
from her2path.cells.seen_lines import LEAST_EVEN_OF_MANY
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity

GENERIC = generic_calibration()
LEAST = GENERIC.min_line_contrast_od
N = 2000
ARC = 12


def of_kind(make_cells, n, *, line_od, odds, seed) -> CellMeasurements:
    """Cells with a line along a third of their outline, of which a network is so sure."""
    rng = np.random.default_rng(seed)
    contrast, seen = np.zeros((n, N_SECTORS)), np.full((n, N_SECTORS), 0.01)
    contrast[:, :ARC] = rng.normal(line_od, 0.1 * line_od, n)[:, None]
    seen[:, :ARC] = expit(rng.normal(odds, 0.3, n))[:, None]
    line = contrast.astype(np.float32)
    seen_line = np.rint(255 * seen).astype(np.uint8)
    return make_cells(n, line_contrast_od=line, line_height_od=line, seen_line=seen_line)


@pytest.fixture
def tumor(make_cells):
    """Unstained, half seen and clearly stained tumor cells."""

    def make(n_clear: int) -> CellMeasurements:
        return CellMeasurements.concatenate(
            [
                of_kind(make_cells, N, line_od=0.1 * LEAST, odds=-4.0, seed=0),
                of_kind(make_cells, N // 4, line_od=0.8 * LEAST, odds=-0.5, seed=1),
                of_kind(make_cells, n_clear, line_od=5 * LEAST, odds=3.0, seed=2),
            ]
        )

    return make


def read(cells: CellMeasurements, make_cells) -> Membranes:
    stroma = of_kind(make_cells, N, line_od=0.1 * LEAST, odds=-4.0, seed=3)
    everything = CellMeasurements.concatenate([cells, stroma])
    is_tumor = np.arange(len(everything)) < len(cells)
    return read_membranes(everything, GENERIC, is_tumor=is_tumor, is_reference=~is_tumor)


def share_stained(found: Membranes, rows: slice) -> float:
    return float((found.classes.intensity[rows] > Intensity.NONE).mean())


@pytest.mark.parametrize("n_clear", [0, 3 * N])
def test_half_seen_lines_count_however_many_cells_are_stained(tumor, make_cells, n_clear) -> None:
    found = read(tumor(n_clear), make_cells)
    assert found.line_even < 0.3
    assert found.blank.min_line_contrast_od < LEAST
    assert share_stained(found, slice(0, N)) == 0
    assert share_stained(found, slice(N, N + N // 4)) > 0.95


def test_what_the_network_sees_in_brown_cytoplasm_is_no_membrane(make_cells) -> None:
    # One of ten has a line of which it is sure enough; the brown leaves it half sure everywhere.
    brown = CellMeasurements.concatenate(
        [
            of_kind(make_cells, 9 * N, line_od=0.3 * LEAST, odds=-0.3, seed=5),
            of_kind(make_cells, N, line_od=0.9 * LEAST, odds=0.3, seed=6),
        ]
    )
    brown = replace(brown, cytoplasm_od=np.full(len(brown), 0.1, np.float32))
    pale = read(replace(brown, cytoplasm_od=np.zeros(len(brown), np.float32)), make_cells)
    found = read(brown, make_cells)
    assert pale.line_even <= EVEN < found.line_even
    assert share_stained(found, slice(0, len(brown))) < share_stained(pale, slice(0, len(brown)))


def test_a_tumor_that_is_stained_all_over_has_the_limit_of_its_calibration(make_cells) -> None:
    found = read(of_kind(make_cells, N, line_od=5 * LEAST, odds=3.0, seed=4), make_cells)
    assert found.line_even == LEAST_EVEN_OF_MANY
    assert found.blank.min_line_contrast_od == pytest.approx(LEAST)
    assert share_stained(found, slice(0, N)) == 1


def test_a_limit_that_is_given_holds_and_the_odds_are_still_the_slides_own(tumor) -> None:
    cells = tumor(0)
    is_tumor = np.ones(len(cells), np.bool_)
    loose, strict = (
        read_membranes(
            cells,
            GENERIC,
            is_tumor=is_tumor,
            is_reference=~is_tumor,
            min_line_contrast_od=factor * LEAST,
        )
        for factor in (1, 10)
    )
    assert loose.blank.min_line_contrast_od == LEAST
    assert strict.blank.min_line_contrast_od == 10 * LEAST
    assert max(loose.line_even, strict.line_even) < 0.3
    assert share_stained(loose, slice(N, None)) > 0.95
    assert share_stained(strict, slice(N, None)) == 0


def test_no_cell_is_an_answer(make_cells) -> None:
    nothing = make_cells(0)
    none = np.zeros(0, np.bool_)
    found = read_membranes(nothing, GENERIC, is_tumor=none, is_reference=none)
    assert (len(found.classes), found.line_even) == (0, EVEN)
    assert found.blank.min_line_contrast_od == LEAST
