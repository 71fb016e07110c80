"""How sure a network must be of a membrane on this slide, as its own unstained cells tell.

A network that learned on other stains and scanners is unsure of the faint lines of a new one, and
it is unsure of much that is no line where cytoplasm is brown or borders can be seen without stain.
Where nearly all cells without staining leave it cold, a line of which it is half sure is no chance:
there, less than even odds are enough. The unstained cells are the palest quarter of the tumor
cells, as in `blank`; where these are not plainly apart from even odds, even odds stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from her2path.cells.blank import MIN_REFERENCE_CELLS, palest_limit
from her2path.cells.classify import seen_along, was_read
from her2path.cells.odds import EVEN, log_odds, shifted
from her2path.cells.table import CellMeasurements

__all__ = ["line_even", "with_own_even"]

# However cold unstained cells leave the network, it must be this sure.
LEAST_EVEN = 0.2
# Its log odds on the unstained cells of one slide spread at least so much.
LEAST_SPREAD = 0.25


def line_even(cells: CellMeasurements, is_tumor: NDArray[np.bool_]) -> float:
    """Return the probability of a membrane that counts as even odds, `LEAST_EVEN` to `EVEN`.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_tumor : ndarray of shape (n,), bool
        Cells that count.

    References
    ----------
    A null taken from the bulk of the cases at hand, not from theory: Efron 2004,
    10.1198/016214504000000089.
    """
    tumor = cells.select(is_tumor & was_read(cells))
    if len(tumor) < MIN_REFERENCE_CELLS:
        return EVEN
    limit = palest_limit(log_odds(seen_along(tumor)), least_deviation=LEAST_SPREAD)
    return float(np.clip(expit(limit), LEAST_EVEN, EVEN))


def with_own_even(cells: CellMeasurements, even: float) -> CellMeasurements:
    """Return the cells with `seen_line` moved so that the probability `even` becomes one half."""
    if even == EVEN:
        return cells
    steps = shifted((np.arange(256) / 255).astype(np.float32), at=even)
    moved = np.rint(255 * steps).astype(np.uint8)
    return replace(cells, seen_line=moved[cells.seen_line])
