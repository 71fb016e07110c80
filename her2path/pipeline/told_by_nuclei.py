"""Membranes of the cells that count, and of those that count for their nuclei alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.cells.lookalikes import outnumbering_lookalikes
from her2path.cells.membranes import Membranes, read_membranes
from her2path.cells.table import CellMeasurements
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import Intensity, Score
from her2path.pipeline.scoring import LEAST_UPPER_PCT, CountedCells, score_of
from her2path.pipeline.selection import Selection

__all__ = ["read_tumor_membranes"]


def read_tumor_membranes(
    cells: CellMeasurements,
    selection: Selection,
    place_um: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    calibration: Calibration,
    rule_set: RuleSet,
) -> tuple[Selection, Membranes, NDArray[np.bool_]]:
    """Read the membranes; once more where few but stained cells of a tumor were recognized.

    Returns
    -------
    selection : Selection
        With what counts for its nuclei alone.
    membranes : Membranes
        Of all cells, with limits from those that count.
    is_by_nuclei : ndarray of shape (n,), bool
        What counts for its nuclei alone: nobody where the score is 2+ or 3+, which lymphocytes
        with nuclei like those of the tumor must not take back.
    """

    def read(chosen: Selection) -> Membranes:
        return read_membranes(
            cells,
            calibration,
            is_tumor=chosen.is_counted,
            is_reference=chosen.is_reference,
        )

    membranes, is_counted = read(selection), selection.is_counted
    is_by_nuclei = outnumbering_lookalikes(
        cells,
        is_counted,
        selection.may_count & ~is_counted,
        membranes.classes.intensity > Intensity.NONE,
        x_um=place_um[0],
        y_um=place_um[1],
    )
    if not is_by_nuclei.any():
        return selection, membranes, is_by_nuclei
    counted = CountedCells.of(membranes.cells, membranes.classes, place_um).select(is_counted)
    upper_pct = max(membranes.blank.upper_pct, LEAST_UPPER_PCT)
    score, _ = score_of(counted, rule_set, blank_upper_pct=upper_pct)
    if score.rank > Score.ONE_PLUS.rank:
        return selection, membranes, np.zeros_like(is_by_nuclei)
    selection = selection.with_recognized(is_by_nuclei)
    return selection, read(selection), is_by_nuclei
