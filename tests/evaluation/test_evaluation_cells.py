"""Cells are met one to one and their classes compared."""

import math

import numpy as np
import pytest

from her2path.criteria import Intensity, Pattern
from her2path.evaluation.cells import (
    Found,
    KnownCells,
    compare_cells,
    pooled,
)
from her2path.results.cells import CellTable


def known(n: int, **changes: object) -> KnownCells:
    values = {
        "x": np.arange(n) * 40.0,
        "y": np.zeros(n),
        "is_tumor": np.ones(n, bool),
        "intensity": np.full(n, int(Intensity.WEAK)),
        "pattern": np.full(n, int(Pattern.COMPLETE)),
        "completeness": np.ones(n),
        "membrane_od": np.full(n, 0.3),
    }
    return KnownCells(**(values | changes))


def table(n: int, **changes: object) -> CellTable:
    values = {
        "x": np.arange(n) * 40.0,
        "y": np.zeros(n),
        "is_tumor": np.ones(n, bool),
        "excluded": np.array([""] * n),
        "intensity": np.array(["weak"] * n),
        "pattern": np.array(["complete"] * n),
        "completeness": np.ones(n, np.float32),
        "membrane_od": np.full(n, 0.3, np.float32),
    }
    return CellTable(values | changes, {})


def test_a_slide_that_is_read_rightly_is_perfect() -> None:
    found = compare_cells(known(5), table(5), mpp=0.25)
    for share in (found.nuclei.f1, found.tumor.f1, found.stained.f1, found.complete.recall):
        assert share == 1
    assert found.kind.frac == found.intensity.frac == found.tumor_met.frac == 1
    assert found.completeness_error == 0
    assert found.unstained.n == 0


def test_what_is_missed_and_what_is_made_up_count_against_it() -> None:
    cells = table(6, x=np.array([0, 40, 80, 120, 1000, 2000.0]))
    found = compare_cells(known(5), cells, mpp=0.25)
    assert found.nuclei == Found(5, 6, 4)
    assert found.nuclei.precision == pytest.approx(4 / 6)
    assert found.nuclei.recall == pytest.approx(4 / 5)
    assert found.tumor.n_right == 4
    assert (found.counted_met.k, found.counted_met.n) == (4, 6)


def test_kinds_and_exclusions_decide_what_is_counted() -> None:
    truth = known(4, is_tumor=np.array([True, True, False, False]))
    cells = table(
        4,
        is_tumor=np.array([True, True, True, False]),
        excluded=np.array(["", "artefact", "", ""]),
    )
    found = compare_cells(truth, cells, mpp=0.25)
    assert (found.kind.k, found.kind.n) == (2, 4)
    assert (found.kind_tumor.k, found.kind_other.k) == (1, 1)
    assert found.balanced_accuracy == 0.5
    assert found.tumor == Found(2, 2, 1)


def test_membranes_are_compared_on_cells_that_were_met_and_counted() -> None:
    truth = known(
        4,
        intensity=np.array([0, 1, 2, 4]),
        pattern=np.array([0, 1, 3, 3]),
        completeness=np.array([0, 0.5, 1.0, 1.0]),
    )
    cells = table(
        4,
        intensity=np.array(["faint", "none", "weak", "intense"]),
        pattern=np.array(["incomplete", "absent", "complete", "incomplete"]),
        completeness=np.array([0.3, np.nan, 1.0, 0.6]),
    )
    found = compare_cells(truth, cells, mpp=0.25)
    assert found.stained == Found(3, 3, 2)
    assert found.complete == Found(2, 1, 1)
    assert (found.unstained.k, found.unstained.n) == (1, 1)
    assert (found.incomplete.k, found.incomplete.n) == (0, 2)
    assert (found.intensity.k, found.intensity.n) == (2, 4)
    # A stained cell that was read as having no outline is off by all of it.
    assert found.completeness_error == pytest.approx((0.5 + 0 + 0.4) / 3)


def test_heights_of_lines_are_compared_where_both_sides_have_one() -> None:
    heights = np.full(30, 0.45, np.float32)
    intensity = np.array(["weak"] * 30)
    intensity[:5], heights[:5] = "none", 0.0
    found = compare_cells(known(30), table(30, membrane_od=heights, intensity=intensity), mpp=0.25)
    assert found.height_ratio == pytest.approx(1.5)
    few = compare_cells(known(3), table(3), mpp=0.25)
    assert math.isnan(few.height_ratio)
    assert pooled([found, few]).height_ratio == found.height_ratio


def test_without_cells_everything_is_missed() -> None:
    found = compare_cells(known(3), None, mpp=0.25)
    assert found.nuclei == Found(3, 0, 0)
    assert math.isnan(found.nuclei.precision)
    assert found.nuclei.recall == 0
    assert math.isnan(found.completeness_error)


def test_slides_add_up_cell_by_cell() -> None:
    perfect, missed = (
        compare_cells(known(3), table(3), mpp=0.25),
        compare_cells(known(1), None, mpp=0.25),
    )
    both = pooled([perfect, missed])
    assert both.nuclei == Found(4, 3, 3)
    assert both.completeness_error == 0
    assert both.tumor_met.n == 4
    with pytest.raises(ValueError, match="no slide"):
        pooled([])
