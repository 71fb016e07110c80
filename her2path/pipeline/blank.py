"""What looks stained where there is no HER2: the limit that staining must clear on this slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from her2path.cells.calibration import Calibration
from her2path.cells.classify import classify_cells
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity
from her2path.results.record import BlankFacts
from her2path.statistics.intervals import upper_limit

__all__ = ["Reference"]

# Of so few cells even none stained would allow more than what calibrations promise (3.7 %).
MIN_REFERENCE_CELLS = 100
# The rules ask for a bound above zero.
LEAST_UPPER_PCT = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Cells of the slide that are surely no tumor, and the limit of a stained sector in use."""

    cells: CellMeasurements
    min_line_contrast_od: float

    def upper_pct(self, calibration: Calibration, min_line_contrast_od: float) -> float:
        """Return the upper bound of the share that looks stained, percent.

        Never below what the calibration found on tissue that is known to be without HER2: cells
        of this slide may be more, but nobody has looked at them.
        """
        k, n = self.count(calibration, min_line_contrast_od)
        own = 100 * upper_limit(k, n) if n >= MIN_REFERENCE_CELLS else 0.0
        return max(own, calibration.blank_upper_pct, LEAST_UPPER_PCT)

    def count(self, calibration: Calibration, min_line_contrast_od: float) -> tuple[int, int]:
        """Return how many reference cells look stained, and how many there are."""
        classes = classify_cells(self.cells, calibration, min_line_contrast_od=min_line_contrast_od)
        return int(np.count_nonzero(classes.intensity > Intensity.NONE)), len(self.cells)

    def facts(self, calibration: Calibration) -> BlankFacts:
        """Return the blank as it is stored."""
        k, n = self.count(calibration, self.min_line_contrast_od)
        has_enough = n >= MIN_REFERENCE_CELLS
        return BlankFacts(
            source="slide and calibration" if has_enough else "calibration",
            min_line_contrast_od=self.min_line_contrast_od,
            n_reference=n,
            stained_pct=100 * k / n if has_enough else None,
            upper_pct=self.upper_pct(calibration, self.min_line_contrast_od),
        )
