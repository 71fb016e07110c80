"""Which cells of a slide are tumor, from what readers say of each: their odds, and where they part.

A reader that learned on other stains and tissues still ranks the cells of a slide well, but its
probabilities can all be too low or too high. On most slides the nuclei fall into two groups, tumor
and all else, with few between: where that gap lies clearly elsewhere than at even odds, it is the
reader who is off, and the odds of the whole slide are shifted until the gap lies at even odds. A
cut through the middle of a group would do worse than lose cells: a network is surer of cells that
are stained, so the stained ones would be kept and every share be too high.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from her2path.cells.odds import EVEN, log_odds

__all__ = ["agreed_probability", "parting"]

# Log odds are counted in bins, smoothed by a normal curve of this standard deviation.
BIN, SMOOTHING = 0.1, 0.35
EDGE = 6.0
# Where groups may part (probability 0.03 to 0.82) and how tall the upper one must reach (0.05): a
# slide without tumor has groups too, both far below.
LOWEST, HIGHEST, LEAST_PEAK = -3.5, 1.5, -3.0
# A gap: at most this share as dense as the lower of the peaks on its sides, with so many of the
# cells on each side; of fewer cells in all no curve can be drawn.
GAP, LEAST_SIDE, LEAST_CELLS = 0.5, 0.04, 300
# Even odds stay where they are unless the gap is this much emptier and this far away.
EMPTIER, LEAST_SHIFT = 0.25, 0.5


def agreed_probability(
    seen: NDArray[np.float32], by_rule: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what two readers of the same cells say together: the mean of their log odds.

    Parameters
    ----------
    seen, by_rule : ndarray of shape (n,), float32
        Probability of tumor by a network and by the rule on measurements, 0–1. They err apart: one
        goes by texture and surroundings, the other by sizes, shapes and spacing.
    """
    return np.asarray(expit((log_odds(seen) + log_odds(by_rule)) / 2), np.float32)


def parting(probability: NDArray[np.float32]) -> float:
    """Return the probability at which the cells of a slide part into tumor and all else.

    Parameters
    ----------
    probability : ndarray of shape (n,), float32
        Of cells that lie in tissue.

    Returns
    -------
    float
        Middle of the emptiest gap between two groups; `EVEN` where there is none, or none clearly
        better than even odds.
    """
    if len(probability) < LEAST_CELLS:
        return EVEN
    at = np.arange(-round(EDGE / BIN), round(EDGE / BIN) + 1) * BIN
    edges = np.append(at - BIN / 2, at[-1] + BIN / 2)
    share = np.histogram(log_odds(probability), edges)[0] / len(probability)
    density = gaussian_filter1d(share, SMOOTHING / BIN, mode="reflect")
    up_to = np.cumsum(share)
    peak_below = np.maximum.accumulate(density)
    peak_above = np.maximum.accumulate(density[::-1])[::-1]
    tallest_above = np.array([at[i + int(np.argmax(density[i:]))] for i in range(len(at))])
    is_gap = (density <= GAP * np.minimum(peak_below, peak_above)) & (tallest_above >= LEAST_PEAK)
    is_gap &= (up_to >= LEAST_SIDE) & (up_to <= 1 - LEAST_SIDE) & (at >= LOWEST) & (at <= HIGHEST)
    if not is_gap.any():
        return EVEN
    # Of gaps that are equally empty the one nearest to even odds.
    gaps = np.flatnonzero(is_gap)
    emptiest = gaps[np.lexsort((np.abs(at[gaps]), density[gaps]))[0]]
    middle = len(at) // 2
    is_better = not is_gap[middle] or density[emptiest] < EMPTIER * density[middle]
    if not is_better or abs(at[emptiest]) < LEAST_SHIFT:
        return EVEN
    return float(expit(at[emptiest]))
