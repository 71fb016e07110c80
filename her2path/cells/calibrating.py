"""From measured cells of control slides with known scores to the cut-offs of a calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.cells.blank import sector_limit
from her2path.cells.calibration import HIGHEST_OD, Calibration, IntensityCuts
from her2path.cells.classify import CellClasses
from her2path.cells.membranes import read_membranes
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity, Pattern, Score
from her2path.errors import CalibrationError, list_faults
from her2path.statistics.intervals import wilson

__all__ = [
    "Calibrated",
    "ControlCells",
    "ControlReading",
    "calibrate_cells",
    "cut_between",
]

# Fewer tumor cells make no distribution; the criteria ask for as many to score a slide.
MIN_CELLS = 100
# Fewer complete membranes than this in a control: those that are basolateral count with them.
MIN_COMPLETE = 30
# Cells of a control without HER2 that may look stained: what the guarded contrast reaches.
MAX_BLANK_FRAC = 0.01
# Below 0.01 OD a line is two gray values; above 0.06 it is a membrane that anybody sees.
BLANK_RANGE_OD = (0.010, 0.060)
BLANK_STEPS = 37
# Slides differ in what looks like a line, by their brown cytoplasm above all, and few blanks do not
# show by how much: limits fall below those of the draft only with as many controls of score 0.
MANY_BLANKS = 10
# No number of control cells shows that the next slide has no false one at all.
LEAST_BOUND_PCT = 0.5
# A control of 1+ may hold weak cells and one of 3+ moderate ones, but complete membranes of 2+ are
# weak to moderate by definition: a cut that is wrong about them costs twice.
TWO_PLUS_WEIGHT = 2.0
# Cuts that are wrong about so few more cells than the best one are as good; their middle is taken.
PLATEAU = 0.02
# Beyond this share of cells on the wrong side, two scores are not told apart.
MAX_WRONG_FRAC = 0.35
# A cut between weak and intense that leaves less than this between them leaves no room for
# moderate.
LEAST_SPAN = 1.3
CUT_RANGE_OD = (0.01, 3.0)
CUT_STEPS = 400


@dataclass(frozen=True, slots=True, eq=False)
class ControlCells:
    """Tumor cells of one control slide, and the score that it is known to have."""

    slide_id: str
    score: Score
    cells: CellMeasurements


@dataclass(frozen=True, slots=True, eq=False)
class ControlReading:
    """What the finished calibration sees on a control.

    Attributes
    ----------
    slide_id : str
    score : Score
        As known beforehand.
    n_cells : int
    stained_pct, complete_pct : float
        Percent of the cells with any line, and with a complete one.
    membrane_od : ndarray of shape (n_stained,), float32
        DAB OD of the membrane line of the stained cells.
    counts : tuple of 5 int
        Cells of each class of intensity.
    """

    slide_id: str
    score: Score
    n_cells: int
    stained_pct: float
    complete_pct: float
    membrane_od: NDArray[np.float32]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A calibration, what it sees on its controls, and what a person should know about it."""

    calibration: Calibration
    controls: tuple[ControlReading, ...]
    remarks: tuple[str, ...]


def calibrate_cells(controls: Sequence[ControlCells], draft: Calibration) -> Calibrated:
    """Find the cut-offs that tell controls of known scores apart.

    The limit of blank comes from controls of score 0, the cut to weak from those of 1+ and 2+, the
    cut to intense from those of 2+ and 3+; moderate lies between the two as in the draft. What has
    no controls keeps its ratio to the draft.

    Parameters
    ----------
    controls : sequence of ControlCells
        Measured with the white points and stain vectors of the draft.
    draft : Calibration
        Its name, scanner, stain vectors and geometric cut-offs are kept; its intensities and
        limits are what missing ones fall back to.

    Raises
    ------
    CalibrationError
        If a control has too few tumor cells, nothing can be measured, or the scores cannot be
        told apart; all faults are listed.
    """
    by_score = {score: [c for c in controls if c.score is score] for score in Score}
    faults = [
        f"{control.slide_id}: {len(control.cells):,} tumor cells, at least {MIN_CELLS} are needed; "
        "draw an outline of class Tumor or choose a larger control"
        for control in controls
        if len(control.cells) < MIN_CELLS
    ]
    faults += [
        f"{control.slide_id}: a control of 0+ sets neither the limit of blank nor a cut, since a "
        "few stained cells say nothing of the others; leave it out, or take one of 0 or 1+"
        for control in by_score[Score.ULTRALOW]
    ]
    has_pair = sum(bool(by_score[score]) for score in STAINED) >= 2
    if not has_pair and not by_score[Score.ZERO]:
        faults.append(
            "nothing can be measured: add a control of score 0 for the limit of blank, and "
            "controls of 1+, 2+ and 3+ for the intensities"
        )
    if faults:
        raise CalibrationError(list_faults("no calibration can be made", faults))
    remarks: list[str] = []
    limit, upper_pct = blank_of(by_score[Score.ZERO], draft, remarks)
    limited = with_limit(draft, limit)
    classes = {control.slide_id: classes_of(control.cells, limited) for control in controls}
    cuts, measured = cuts_of(by_score, classes, draft, faults, remarks)
    if faults:
        raise CalibrationError(list_faults("no calibration can be made", faults))
    if by_score[Score.ZERO]:
        few = len(by_score[Score.ZERO]) < MANY_BLANKS
        measured = ("limit of blank" + " (no lower than the generic one)" * few, *measured)
    is_whole = len(measured) == 3
    known = ", ".join(f"{len(v)} of {score.value}" for score, v in by_score.items() if v)
    source = f"Measured on {len(controls)} control slides ({known}): {', '.join(measured)}."
    if not is_whole:
        source += " The rest follows the ratios of the generic calibration, for want of controls."
    calibration = Calibration.model_validate(
        draft.model_dump()
        | {
            "source": source,
            "is_site_specific": is_whole,
            "min_line_contrast_od": limit,
            "blank_upper_pct": upper_pct,
            "intensity": cuts.model_dump(),
            "made_from": tuple(control.slide_id for control in controls),
        }
    )
    readings = tuple(read_control(control, calibration) for control in controls)
    return Calibrated(calibration, readings, tuple(remarks))


STAINED = (Score.ONE_PLUS, Score.TWO_PLUS, Score.THREE_PLUS)


def read_control(control: ControlCells, calibration: Calibration) -> ControlReading:
    """Return what a calibration sees on one control."""
    found = classes_of(control.cells, calibration)
    is_stained = found.intensity > Intensity.NONE
    return ControlReading(
        slide_id=control.slide_id,
        score=control.score,
        n_cells=len(found),
        stained_pct=100 * float(is_stained.mean()),
        complete_pct=100 * float((found.pattern == Pattern.COMPLETE).mean()),
        membrane_od=found.membrane_od[is_stained],
        counts=tuple(int(n) for n in np.bincount(found.intensity, minlength=len(Intensity))),
    )


def blank_of(
    controls: Sequence[ControlCells], draft: Calibration, remarks: list[str]
) -> tuple[float, float]:
    """Return the limits of blank of a sector (OD) and of a slide (percent of cells)."""
    if not controls:
        remarks.append("no control of score 0: the limit of blank is the generic one")
        return draft.min_line_contrast_od, draft.blank_upper_pct
    least, least_pct = max(sector_limit(control.cells) for control in controls), LEAST_BOUND_PCT
    if len(controls) < MANY_BLANKS:
        least, least_pct = max(least, draft.min_line_contrast_od), draft.blank_upper_pct
    # As it is written: a limit that is rounded afterwards is another than the one measured.
    steps = [round(float(step), 4) for step in np.geomspace(*BLANK_RANGE_OD, BLANK_STEPS)]
    for limit in [step for step in steps if step >= least] or steps[-1:]:
        stained = [int(stained_at(control.cells, draft, limit).sum()) for control in controls]
        shares = [n / len(c.cells) for n, c in zip(stained, controls, strict=True)]
        if limit >= least and float(np.mean(shares)) <= MAX_BLANK_FRAC:
            break
    else:
        stained_pct = 100 * float(np.mean(shares))
        found = f"{stained_pct:.1f} % of the cells of score 0 look stained even"
        if stained_pct <= 100 * MAX_BLANK_FRAC:
            found = f"cells of score 0 have lines of {least:.3f} OD, and a limit of blank is set"
        remarks.append(
            f"{found} at {limit:g} OD; look whether these controls are truly without HER2, or 0+"
        )
    n_cells = [len(control.cells) for control in controls]
    pooled = 100 * wilson(sum(stained), sum(n_cells)).upper
    worst = 100 * max(n / of for n, of in zip(stained, n_cells, strict=True))
    upper_pct = float(np.clip(max(pooled, worst), least_pct, 50.0))
    # Rounded up: not even by a hair may the worst control lie above its own limit.
    return limit, math.ceil(1000 * upper_pct) / 1000


def with_limit(draft: Calibration, limit: float) -> Calibration:
    """Return the draft with another limit of blank of a line, OD."""
    return draft.model_copy(update={"min_line_contrast_od": limit})


def stained_at(cells: CellMeasurements, draft: Calibration, limit: float) -> NDArray[np.bool_]:
    """Tell which cells look stained at a limit of blank."""
    return classes_of(cells, with_limit(draft, limit)).intensity > Intensity.NONE


def classes_of(cells: CellMeasurements, calibration: Calibration) -> CellClasses:
    """Class the tumor cells of a control as a slide's, but at the very limit of a calibration."""
    everything = np.ones(len(cells), np.bool_)
    return read_membranes(
        cells,
        calibration,
        is_tumor=everything,
        is_reference=~everything,
        min_line_contrast_od=calibration.min_line_contrast_od,
    ).classes


def cuts_of(
    by_score: dict[Score, list[ControlCells]],
    classes: dict[str, CellClasses],
    draft: Calibration,
    faults: list[str],
    remarks: list[str],
) -> tuple[IntensityCuts, tuple[str, ...]]:
    """Return the cuts, and the names of those that were measured; adds to faults and remarks."""
    generic = draft.intensity
    one, two, three = (
        [grading_od(classes[control.slide_id], score) for control in by_score[score]]
        for score in STAINED
    )
    if not two and one and three:
        remarks.append("no control of 2+: one cut between 1+ and 3+ sets all three")
        middle = told_apart(Score.ONE_PLUS, one, Score.THREE_PLUS, three, faults)
        if faults:
            return generic, ()
        return in_ratio(generic, middle / generic.moderate_od, faults), ("moderate",)
    found: dict[str, float] = {}
    if one and two:
        found["weak"] = told_apart(Score.ONE_PLUS, one, Score.TWO_PLUS, two, faults)
    if two and three:
        found["intense"] = told_apart(Score.TWO_PLUS, two, Score.THREE_PLUS, three, faults)
    if faults:
        # A cut that was not found is no number to scale by.
        return generic, ()
    missing = [score.value for score in STAINED if not by_score[score]]
    if missing:
        remarks.append(
            f"no control of {', '.join(missing)}: intensities keep the ratios of the generic ones"
        )
    if len(found) < 2:
        (factor,) = [od / getattr(generic, f"{name}_od") for name, od in found.items()] or [1.0]
        return in_ratio(generic, factor, faults), tuple(found)
    weak, intense = found["weak"], found["intense"]
    if intense < LEAST_SPAN * weak:
        faults.append(
            f"weak would begin at {weak:.3f} OD and intense at {intense:.3f}: too close for "
            "moderate between them; check the known scores of the controls"
        )
        return generic, ()
    share = math.log(generic.moderate_od / generic.weak_od) / math.log(
        generic.intense_od / generic.weak_od
    )
    moderate = weak ** (1 - share) * intense**share
    cuts = [round(v, 4) for v in (weak, moderate, intense)]
    return IntensityCuts(weak_od=cuts[0], moderate_od=cuts[1], intense_od=cuts[2]), tuple(found)


def in_ratio(generic: IntensityCuts, factor: float, faults: list[str]) -> IntensityCuts:
    """Return the cuts that keep the ratios of the generic ones; notes a fault if none can."""
    cuts = generic.scaled(factor)
    if cuts.intense_od > HIGHEST_OD:
        faults.append(
            f"intense would begin at {cuts.intense_od:.1f} OD, which no line reaches; check the "
            "known scores of the controls"
        )
    return cuts


def grading_od(classes: CellClasses, score: Score) -> NDArray[np.float32]:
    """Return the membrane OD of the cells that a score rests on.

    Those of 1+ are all that are stained, those of 2+ and 3+ have complete membranes.
    """
    is_stained = classes.intensity > Intensity.NONE
    if score is Score.ONE_PLUS:
        return classes.membrane_od[is_stained]
    is_complete = classes.pattern == Pattern.COMPLETE
    if np.count_nonzero(is_complete) < MIN_COMPLETE:
        is_complete |= classes.pattern == Pattern.BASOLATERAL
    return classes.membrane_od[is_complete]


def told_apart(
    lower: Score,
    low: Sequence[NDArray[np.float32]],
    upper: Score,
    high: Sequence[NDArray[np.float32]],
    faults: list[str],
) -> float:
    """Return the cut between two scores; notes a fault where they cannot be told apart."""
    few = [
        f"a control of {score.value} shows only {len(values)} cells with the staining of its score"
        for score, group in ((lower, low), (upper, high))
        for values in group
        if len(values) < MIN_COMPLETE
    ]
    if few:
        faults.extend(f"{words}; check the score, or choose a larger control" for words in few)
        return float(np.mean(CUT_RANGE_OD))
    weights = tuple(TWO_PLUS_WEIGHT if s is Score.TWO_PLUS else 1.0 for s in (lower, upper))
    cut, wrong = cut_between(low, high, weights=weights)
    if wrong > MAX_WRONG_FRAC:
        medians = [", ".join(f"{np.median(v):.2f}" for v in group) for group in (low, high)]
        faults.append(
            f"{lower.value} and {upper.value} cannot be told apart: their membranes have median OD "
            f"{medians[0]} and {medians[1]}; check the known scores of these controls"
        )
    return cut


def cut_between(
    low: Sequence[NDArray[np.float32]],
    high: Sequence[NDArray[np.float32]],
    *,
    weights: tuple[float, ...] = (1.0, 1.0),
) -> tuple[float, float]:
    """Find the value that best tells two groups of samples apart; each sample has one vote.

    Parameters
    ----------
    low, high : sequence of ndarray of shape (n,), float32
        Positive; `low` should lie below the cut.
    weights : tuple of 2 float
        Cost of a wrong value of each group.

    Returns
    -------
    cut : float
        Middle, on a log scale, of the cuts that are about as good as the best.
    wrong : float
        Mean share of both groups on the wrong side of it, 0–1, each group alike.
    """
    at = np.geomspace(*CUT_RANGE_OD, CUT_STEPS)
    beyond = np.mean([1 - share_below(values, at) for values in low], axis=0)
    short = np.mean([share_below(values, at) for values in high], axis=0)
    cost = (weights[0] * beyond + weights[1] * short) / sum(weights)
    best = int(np.argmin(cost))
    is_poor = cost > cost[best] + PLATEAU
    first = int(np.flatnonzero(np.append(True, is_poor[:best]))[-1])
    last = best + int(np.argmax(np.append(is_poor[best:], True))) - 1
    cut = float(np.exp(np.log(at[first : last + 1]).mean()))
    middle = (first + last) // 2
    return cut, float((beyond[middle] + short[middle]) / 2)


def share_below(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the values below each place."""
    return np.searchsorted(np.sort(values), at) / len(values)
