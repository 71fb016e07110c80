"""How the score behaves when cut-offs are shifted a little, as another site might set them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cells.blank import measure_blank
from her2path.cells.calibration import Calibration
from her2path.cells.classify import classify_cells
from her2path.cells.table import CellMeasurements
from her2path.criteria.rule_set import RuleSet
from her2path.pipeline.scoring import LEAST_UPPER_PCT, CountedCells, score_of
from her2path.pipeline.selection import Selection
from her2path.results.record import Stability, Trial

__all__ = ["Shift", "shifts_of", "try_shifts"]

# More cells do not make shares of trials any surer, only slower: every k-th is taken.
ENOUGH_CELLS = 60_000
# Limits of blank of two scanners of one kind differ by this factor; so do OD of two runs of one
# assay (15 %), completeness by where a line is taken to end (2 sectors of 32), tumor by a tenth.
LINE_FACTORS = (0.8, 1.25)
OD_FACTORS = (0.85, 1.18)
COMPLETE_STEPS = (-0.07, 0.07)
ARC_FACTORS = (0.75, 1.33)
TUMOR_STEPS = (-0.1, 0.1)


@dataclass(frozen=True, slots=True)
class Shift:
    """Cut-offs of one trial: what is shifted and by how much, in words, and what they become."""

    name: str
    words: str
    calibration: Calibration
    line_factor: float = 1.0
    tumor_step: float = 0.0


def shifts_of(calibration: Calibration) -> tuple[Shift, ...]:
    """Return all trials, each cut-off down and up, alone and where they go together."""
    return tuple(every_shift(calibration))


def every_shift(calibration: Calibration) -> Iterator[Shift]:
    def changed(**values: object) -> Calibration:
        return calibration.model_copy(update=values)

    def line_limit(factor: float) -> float:
        # The lowest limit of a cell that the network is sure of follows from the calibration's.
        return calibration.min_line_contrast_od * factor

    for factor in LINE_FACTORS:
        shifted = changed(min_line_contrast_od=line_limit(factor))
        yield Shift("line limit", f"× {factor:g}", shifted, line_factor=factor)
    for factor in OD_FACTORS:
        cuts = calibration.intensity.scaled(factor)
        yield Shift("intensity cuts", f"× {factor:g}", changed(intensity=cuts))
    for step in COMPLETE_STEPS:
        limits = {
            name: min(max(getattr(calibration, name) + step, 0.0), 1.0)
            for name in ("complete_frac", "complete_frac_read")
        }
        yield Shift("complete from", f"{step:+g}", changed(**limits))
    for step in COMPLETE_STEPS:
        limit = min(max(calibration.basolateral_frac + step, 0.0), 1.0)
        yield Shift("basolateral from", f"{step:+g}", changed(basolateral_frac=limit))
    for factor in ARC_FACTORS:
        limit = min(calibration.min_arc_frac * factor, 1.0)
        yield Shift("least stained arc", f"× {factor:g}", changed(min_arc_frac=limit))
    for step in TUMOR_STEPS:
        yield Shift("tumor from", f"{step:+g}", calibration, tumor_step=step)
    # A paler or darker run moves both at once.
    for factor in OD_FACTORS:
        cuts = calibration.intensity.scaled(factor)
        shifted = changed(intensity=cuts, min_line_contrast_od=line_limit(factor))
        yield Shift("all of stain", f"× {factor:g}", shifted, line_factor=factor)


def try_shifts(
    cells: CellMeasurements,
    selection: Selection,
    place_um: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    min_line_contrast_od: float,
    calibration: Calibration,
    rule_set: RuleSet,
) -> Stability:
    """Score the slide again with each shift, and count how often the score changes.

    Parameters
    ----------
    cells : CellMeasurements
        All cells of the slide.
    selection : Selection
        What became of them.
    place_um : tuple of ndarray of shape (n,), float64
        Where they lie, x and y in µm.
    min_line_contrast_od : float
        The limit in use; what looks stained at a shifted one is measured again.
    """
    widest = min(TUMOR_STEPS)
    candidates = np.flatnonzero(selection.counted_at(widest))
    # Clusters of cells fall apart when cells are left out, so then all are needed.
    if not rule_set.needs_clusters:
        candidates = candidates[:: max(1, round(len(candidates) / ENOUGH_CELLS))]
    some = cells.select(candidates)
    reference = cells.select(selection.is_reference)
    is_reference = np.ones(len(reference), np.bool_)
    places = (place_um[0][candidates], place_um[1][candidates])

    def trial(shift: Shift) -> Trial:
        limit = min_line_contrast_od * shift.line_factor
        classes = classify_cells(some, shift.calibration, min_line_contrast_od=limit)
        counted = CountedCells.of(some, classes, places)
        is_counted = selection.counted_at(shift.tumor_step)[candidates]
        blank = measure_blank(
            reference, is_reference, shift.calibration, min_line_contrast_od=limit
        )
        score, tally = score_of(
            counted.select(is_counted),
            rule_set,
            blank_upper_pct=max(blank.upper_pct, LEAST_UPPER_PCT),
        )
        shares = tally.shares()
        return Trial(shift.name, shift.words, score, shares.pct_stained, shares.pct_complete)

    return judged(trial, calibration)


def judged(trial: Callable[[Shift], Trial], calibration: Calibration) -> Stability:
    unshifted = trial(Shift("none", "", calibration)).score
    trials = tuple(trial(shift) for shift in shifts_of(calibration))
    n_changed = sum(t.score is not unshifted for t in trials)
    return Stability(trials, 100 * n_changed / len(trials))
