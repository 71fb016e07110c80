"""What is true of a picture that membranes were drawn on.

All is measured at the source's resolution, on the lines after the optics, without noise and
without the brown that the source itself has. Along the outline of each tumor cell the highest OD in
blue within 2 px to both sides is taken.

- *stained*: a membrane was drawn on the cell, or 30 % or more of its outline lie above OD 0.045,
  which is half the middle of the faint ones (borrowed from a neighbour's line).
- *complete*: a complete membrane was drawn, or 90 % or more lie above OD 0.09.
- *intense and complete*: such a membrane was drawn, or 85 % or more lie above OD 0.50.
- *intensity*: that of the membrane drawn; of a borrowed one by its peak, the 80th percentile of
  what lies above OD 0.045: below 0.12 faint, below 0.23 weak, below 0.55 moderate, else intense.
- *score*, by shares of the tumor cells: 3+ if more than 10 % are intense and complete, else 2+ if
  more than 10 % are complete, else 1+ if more than 10 % are stained, else 0+ if any is, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drawn_designs import INTENSE_RING, SOURCES, Membrane
from drawn_membranes import Staining
from drawn_tissue import Floats, Tissue, blurred
from numpy.typing import NDArray
from scipy import ndimage

STAINED_OD, COMPLETE_OD, INTENSE_OD = 0.045, 0.09, 0.50
STAINED_PART, COMPLETE_PART, INTENSE_PART = 0.30, 0.90, 0.85
# Less of the outline has no peak; so much is touched at all.
PEAK_PART, TOUCHED_PART = 0.02, 0.15
PEAK_PERCENTILE = 80
# Upper ends of the classes of borrowed lines.
CLASS_ENDS = (0.12, 0.23, 0.55)
CLASSES = ("faint", "weak", "moderate", "intense")
ASIDE_PX = (-2, -1, 0, 1, 2)
CUT_FRAC = 0.10
# Blue beyond hematoxylin's along the outline in the source: a clear, and a bare trace of real DAB.
REAL_BROWN_OD = (0.045, 0.025)


@dataclass(frozen=True)
class CellTruth:
    """What is true of one tumor cell; OD of none is 0.

    Attributes
    ----------
    membrane : Membrane, optional
        What was drawn on it.
    drawn_od, peak_od : float
        OD in blue of its own line; as found on its outline, lines of neighbours included.
    stained_frac, complete_frac, intense_frac : float
        Of the outline, above the OD of each.
    """

    membrane: Membrane | None
    drawn_od: float
    peak_od: float
    stained_frac: float
    complete_frac: float
    intense_frac: float

    @property
    def is_drawn_complete(self) -> bool:
        """Whether a complete membrane was drawn on it."""
        return self.membrane is not None and self.membrane.is_complete

    @property
    def is_stained(self) -> bool:
        """Whether it is stained, as the module says."""
        return self.membrane is not None or self.stained_frac >= STAINED_PART

    @property
    def is_complete(self) -> bool:
        """Whether its membrane is complete."""
        return self.is_drawn_complete or self.complete_frac >= COMPLETE_PART

    @property
    def is_intense_complete(self) -> bool:
        """Whether its membrane is intense and complete."""
        return self.membrane == INTENSE_RING or self.intense_frac >= INTENSE_PART

    @property
    def is_touched(self) -> bool:
        """Whether any line lies on its outline to speak of."""
        return self.stained_frac >= TOUCHED_PART

    @property
    def intensity(self) -> str:
        """The class of its membrane."""
        if self.membrane is not None:
            return self.membrane.intensity
        if not self.is_stained:
            return "none"
        return CLASSES[int(np.searchsorted(CLASS_ENDS, self.peak_od, side="right"))]


@dataclass(frozen=True)
class Shares:
    """Shares of the tumor cells, 0–1."""

    stained: float
    complete: float
    intense_complete: float

    @property
    def score(self) -> str:
        """The score that they mean."""
        if self.intense_complete > CUT_FRAC:
            return "3+"
        if self.complete > CUT_FRAC:
            return "2+"
        if self.stained > CUT_FRAC:
            return "1+"
        return "0+" if self.stained > 0 else "0"


def measure_cells(tissue: Tissue, staining: Staining) -> dict[int, CellTruth]:
    """Return what is true of each tumor cell, by its nucleus."""
    found = {}
    for i, outline in tissue.outlines.items():
        od = highest_along(staining.lines, outline)
        parts = [float((od > limit).mean()) for limit in (STAINED_OD, COMPLETE_OD, INTENSE_OD)]
        has_peak = parts[0] > PEAK_PART
        peak = float(np.percentile(od[od > STAINED_OD], PEAK_PERCENTILE)) if has_peak else 0.0
        found[i] = CellTruth(staining.membranes.get(i), staining.drawn_od.get(i, 0.0), peak, *parts)
    return found


def highest_along(plane: NDArray[np.floating], outline: Floats) -> Floats:
    """Return the highest value near each point of an outline, to both sides of it."""
    along = np.gradient(outline, axis=0)
    length = np.maximum(np.hypot(*along.T), 1e-6)
    across = np.column_stack([-along[:, 1], along[:, 0]]) / length[:, None]
    lines = [along_outline(plane, outline + aside * across) for aside in ASIDE_PX]
    return np.asarray(np.maximum(np.max(lines, axis=0), 0))


def along_outline(plane: NDArray[np.floating], outline: Floats) -> Floats:
    """Return the values of a plane at the points (x, y) of an outline."""
    return np.asarray(ndimage.map_coordinates(plane, outline[:, ::-1].T, order=1, mode="nearest"))


def visible_shares(cells: dict[int, CellTruth]) -> Shares:
    """Return the shares that count: drawn on a cell, or borrowed from its neighbours."""
    flags = [(c.is_stained, c.is_complete, c.is_intense_complete) for c in cells.values()]
    return Shares(*np.mean(flags, axis=0).tolist())


def drawn_shares(cells: dict[int, CellTruth]) -> Shares:
    """Return the shares that were drawn, whatever cells borrow."""
    flags = [
        (c.membrane is not None, c.is_drawn_complete, c.membrane == INTENSE_RING)
        for c in cells.values()
    ]
    return Shares(*np.mean(flags, axis=0).tolist())


def real_brown_shares(tissue: Tissue, source: str) -> list[float]:
    """Return the shares of tumor cells whose outline is brown in the source: clearly, barely."""
    excess = tissue.od[..., 2] - tissue.od[..., 0] * SOURCES[source].hematoxylin_blue
    excess = blurred(excess, 1.6)
    lines = [along_outline(excess, outline) for outline in tissue.outlines.values()]
    return [
        float(np.mean([(line > limit).mean() >= STAINED_PART for line in lines]))
        for limit in REAL_BROWN_OD
    ]
