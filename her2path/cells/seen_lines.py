"""How sure a network must be of a membrane on this slide, as its own unstained cells tell.

A network that learned on other stains and scanners is unsure of the faint lines of a new one, and
it is unsure of much that is no line where cytoplasm is brown or borders can be seen without stain.
Where nearly all cells without staining leave it cold, a line of which it is half sure is no chance:
there, less than even odds are enough. Where most of a tumor is unstained, brown, and leaves it half
sure, the brown is what it sees, and more than even odds are asked. The unstained cells are the
palest quarter of those tumor cells that a first reading left unstained, as in `blank`. Clear lines
are new to no network: of these even odds are the least that is asked.

And where a first reading finds many cells stained, a line of which the network is half sure is more
often one than where it finds few: the odds that are asked follow the odds of a stained cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from her2path.cells.blank import MIN_REFERENCE_CELLS, N_DEVIATIONS, palest_limit
from her2path.cells.classify import MIN_DIFFUSE_OD, has_clear_line, seen_along, was_read
from her2path.cells.odds import EVEN, log_odds, shifted
from her2path.cells.table import CellMeasurements

__all__ = ["even_of_many", "line_even", "with_own_even"]

# However cold unstained cells leave the network, it must be this sure; and however warm, it need be
# no surer than that.
LEAST_EVEN, MOST_EVEN = 0.15, 0.8
# More than even odds are asked where so few of the tumor cells are stained that the question is 0
# or 0+, and this share of them has cytoplasm in which lines may be none. Then one unstained cell
# in twenty leaves the network that warm; few of these have a line as well.
MOSTLY_UNSTAINED_FRAC = 0.9
BROWN_FRAC = 0.2
WARM_DEVIATIONS = 1.645
# From this share of stained cells on the odds asked fall as those of a stained cell rise, down to
# this probability, unless the tumor is brown: there the reading before can be wrong about most.
USUAL_STAINED_FRAC = 0.1
LEAST_EVEN_OF_MANY = 0.2
# Its log odds on the unstained cells of one slide spread at least so much.
LEAST_SPREAD = 0.25


def line_even(
    cells: CellMeasurements,
    is_tumor: NDArray[np.bool_],
    *,
    unstained_frac: float | None = None,
) -> float:
    """Return the probability of a membrane that counts as even odds on this slide.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    is_tumor : ndarray of shape (n,), bool
        Cells that count.
    unstained_frac : float, optional
        Share of these that a first reading left unstained, 0–1.

    Returns
    -------
    float
        `LEAST_EVEN` to `MOST_EVEN`.

    References
    ----------
    A null taken from the bulk of the cases at hand, not from theory: Efron 2004,
    10.1198/016214504000000089. A reader's odds moved to how common a class is where it reads:
    Saerens et al. 2002, 10.1162/089976602753284446.
    """
    tumor = cells.select(is_tumor & was_read(cells))
    if len(tumor) < MIN_REFERENCE_CELLS:
        return EVEN
    seen = log_odds(seen_along(tumor))

    def even_at(n_deviations: float) -> float:
        limit = palest_limit(
            seen,
            unstained_frac=unstained_frac,
            least_deviation=LEAST_SPREAD,
            n_deviations=n_deviations,
        )
        return float(np.clip(expit(limit), LEAST_EVEN, MOST_EVEN))

    even = min(even_at(N_DEVIATIONS), EVEN)
    if unstained_frac is None:
        return even
    if float((tumor.cytoplasm_od >= MIN_DIFFUSE_OD).mean()) < BROWN_FRAC:
        return min(even, even_of_many(1 - unstained_frac))
    if unstained_frac >= MOSTLY_UNSTAINED_FRAC:
        return max(even, even_at(WARM_DEVIATIONS))
    return even


def even_of_many(stained_frac: float) -> float:
    """Return the probability that counts as even where this share of the cells is stained."""
    unstained = (1 - stained_frac) * USUAL_STAINED_FRAC
    stained = stained_frac * (1 - USUAL_STAINED_FRAC)
    return float(np.clip(unstained / (unstained + stained), LEAST_EVEN_OF_MANY, EVEN))


def with_own_even(cells: CellMeasurements, even: float) -> CellMeasurements:
    """Return the cells with `seen_line` moved so that the probability `even` becomes one half.

    Cells with a clear line keep theirs where `even` asks for less than one half.
    """
    if even == EVEN:
        return cells
    steps = shifted((np.arange(256) / 255).astype(np.float32), at=even)
    moved = np.rint(255 * steps).astype(np.uint8)[cells.seen_line]
    if even < EVEN:
        moved = np.where(has_clear_line(cells)[:, None], cells.seen_line, moved)
    return replace(cells, seen_line=moved)
