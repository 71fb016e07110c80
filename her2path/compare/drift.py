"""Bring both sides to one scale by what is not tumor, and say how far they were apart.

The order is fixed. Control tissue on both slides gives the factor between their brown; the white
point and the stain vectors are already in every OD. Counterstain, background, focus and limit of
blank, of cells that are no tumor, are checks: they stop a comparison, they adjust nothing. The
tumor itself is never used.

Only ever down: the stronger side is scaled to the weaker one, since what was too faint to be seen
on a weak slide cannot be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.compare.sides import Side
from her2path.criteria.score import Intensity
from her2path.pipeline.scoring import CountedCells
from her2path.statistics.paired import mean_error

__all__ = ["Adjustment", "DriftCheck", "adjust", "adjusted_cells", "adjustment_of", "drift_checks"]

# A control of fewer stained cells says little about its own mean.
LEAST_CONTROL_CELLS = 50
# DAB does not follow Beer–Lambert's law: a factor carries over a short way only, and cells that
# are half as brown again change their class in one of two.
MAX_FACTOR = 1.5
# Fewer cells that are no tumor say nothing about drift.
LEAST_BYSTANDERS = 50
# Runs of one laboratory differ by some 10–20 % in counterstain; beyond this another is seen.
MAX_COUNTERSTAIN_RATIO = 1.35
# Half of what makes a cytoplasm brown (`cells/classify.py`).
MAX_BACKGROUND_OD = 0.04
# Limits of blank differ by noise and focus; a slide whose limit is half as high again does not
# show the faint lines of the other.
MAX_LIMIT_RATIO = 1.5
# A blur of 0.8 µm hid six of seven faintly stained cells.
MAX_BLUR_UM = 0.4
# One cell in a hundred of a side marks the faintest line that still counted there.
FAINTEST_PCT = 1.0


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """One number of each side that tumor has no part in, and how far they may lie apart.

    `apart` is a ratio ≥ 1 where `unit` is '×', else a difference in `unit`; None when it was
    not measured on both sides.
    """

    name: str
    before: float | None
    after: float | None
    apart: float | None
    cut: float
    unit: str

    @property
    def is_within(self) -> bool:
        """Whether the sides are close enough, or nothing was measured."""
        return self.apart is None or self.apart <= self.cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What brings both sides to one scale.

    Attributes
    ----------
    source : str
        'control' where a factor was measured, else 'none'.
    control_od_before, control_od_after : float or None
        Geometric mean of the membrane OD of stained cells of the control tissue.
    factor_before, factor_after : float
        By which OD of each side was multiplied; one of them is 1, none is above.
    log_error : float
        Standard error of the logarithm of the factor.
    limit_od : float
        Higher limit of blank of both sides: what fainter lines reach cannot be seen on both.
    cut : float
        Largest factor that is trusted.
    """

    source: str
    control_od_before: float | None
    control_od_after: float | None
    factor_before: float
    factor_after: float
    log_error: float
    limit_od: float
    cut: float = MAX_FACTOR

    @property
    def size(self) -> float:
        """How far the brown of both sides was apart by the control, ≥ 1."""
        return 1 / min(self.factor_before, self.factor_after)

    @property
    def is_too_large(self) -> bool:
        """Whether the factor is beyond what is trusted."""
        return self.size > self.cut

    @property
    def is_none(self) -> bool:
        """Whether adjusted numbers are the raw ones."""
        return self.size <= 1

    def shifted(self, n_errors: float) -> Adjustment:
        """Return the adjustment had the control been read so many standard errors otherwise."""
        log_factor = math.log(self.factor_after / self.factor_before) + n_errors * self.log_error
        return scaled(self, log_factor)


def adjustment_of(before: Side, after: Side) -> Adjustment:
    """Measure what brings both sides to one scale."""
    controls = [control_od(side) for side in (before, after)]
    plain = Adjustment(
        source="none",
        control_od_before=None if controls[0] is None else math.exp(controls[0][0]),
        control_od_after=None if controls[1] is None else math.exp(controls[1][0]),
        factor_before=1.0,
        factor_after=1.0,
        log_error=0.0,
        limit_od=max(before.min_line_contrast_od, after.min_line_contrast_od),
    )
    if controls[0] is None or controls[1] is None:
        return plain
    (log_before, error_before), (log_after, error_after) = controls[0], controls[1]
    known = replace(plain, source="control", log_error=math.hypot(error_before, error_after))
    return scaled(known, log_before - log_after)


def scaled(plain: Adjustment, log_factor: float) -> Adjustment:
    """Return the adjustment whose factor of *after* over *before* has this logarithm."""
    return replace(
        plain,
        factor_before=math.exp(min(-log_factor, 0.0)),
        factor_after=math.exp(min(log_factor, 0.0)),
    )


def control_od(side: Side) -> tuple[float, float] | None:
    """Return mean and standard error of log OD of the control's stained cells."""
    control = side.control
    od = control.membrane_od.astype(np.float64)
    used = (control.intensity > Intensity.NONE) & (od > 0)
    if int(used.sum()) < LEAST_CONTROL_CELLS:
        return None
    logs = np.log(np.where(used, od, 1.0))
    logs_by_block = control.mean_by_block(logs, used)
    return logs_by_block.value, mean_error(logs_by_block)[0]


def adjust(
    counted: CountedCells, calibration: Calibration, *, factor: float, limit_od: float
) -> CountedCells:
    """Return the cells of a side as they would have been classed on the weaker scale.

    Parameters
    ----------
    counted : CountedCells
    calibration : Calibration
        Cut-offs in use.
    factor : float
        OD and contrast are multiplied by it, ≤ 1.
    limit_od : float
        Limit of blank of the weaker side. A cell whose contrast falls below it is not stained
        any more; where cells of this side counted with less, below the faintest of those.
    """
    if factor >= 1:
        return counted
    is_stained = counted.intensity > Intensity.NONE
    od = (counted.membrane_od * np.float32(factor)).astype(np.float32)
    graded = calibration.intensity.grade(od)
    intensity = np.where(is_stained, np.minimum(graded, counted.intensity), Intensity.NONE)
    contrast = counted.membrane_contrast_od.astype(np.float64)
    if is_stained.any():
        # The median of a cell that just counts may lie below the limit of its clear sectors.
        faintest = min(float(np.percentile(contrast[is_stained], FAINTEST_PCT)), limit_od)
        is_lost = is_stained & (contrast * factor < np.minimum(faintest, contrast))
        intensity = np.where(is_lost, Intensity.NONE, intensity)
    return replace(counted, membrane_od=od, intensity=intensity.astype(np.int8))


def adjusted_cells(side: Side, adjustment: Adjustment) -> CountedCells:
    """Return the counted cells of a side on the common scale."""
    is_before = side.name == "before"
    return adjust(
        side.counted,
        side.first.calibration,
        factor=adjustment.factor_before if is_before else adjustment.factor_after,
        limit_od=adjustment.limit_od,
    )


def median_or_none(values: NDArray[np.float64]) -> float | None:
    found = values[np.isfinite(values)]
    return float(np.median(found)) if found.size >= LEAST_BYSTANDERS else None


def drift_checks(before: Side, after: Side) -> tuple[DriftCheck, ...]:
    """Compare counterstain, background, focus and limit of blank of both sides."""
    h_od = [median_or_none(side.bystanders.nucleus_h_od) for side in (before, after)]
    brown = [median_or_none(side.bystanders.cytoplasm_od) for side in (before, after)]
    blur = [blur_of(side) for side in (before, after)]
    limits = before.min_line_contrast_od, after.min_line_contrast_od
    return (
        DriftCheck("counterstain_od", h_od[0], h_od[1], ratio(*h_od), MAX_COUNTERSTAIN_RATIO, "×"),
        DriftCheck("background_od", brown[0], brown[1], apart(*brown), MAX_BACKGROUND_OD, "OD"),
        DriftCheck("line_limit_od", *limits, ratio(*limits), MAX_LIMIT_RATIO, "×"),
        DriftCheck("blur_um", blur[0], blur[1], apart(*blur), MAX_BLUR_UM, "µm"),
    )


def ratio(a: float | None, b: float | None) -> float | None:
    """Return how many times the larger one is, None where one is missing or nothing."""
    return None if a is None or b is None or min(a, b) <= 0 else max(a, b) / min(a, b)


def apart(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else abs(a - b)


def blur_of(side: Side) -> float | None:
    blurs = [slide.record.tissue.focus.median_blur_um for slide in side.speaking]
    known = [blur for blur in blurs if blur is not None and math.isfinite(blur)]
    return max(known) if known else None
