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
from scipy.special import expit, ndtr

from her2path.cells.odds import EVEN, log_odds

__all__ = ["agreed_probability", "parting"]

# Log odds are counted in bins, smoothed by a normal curve of this standard deviation.
BIN, SMOOTHING = 0.1, 0.35
EDGE = 6.0
AT = np.asarray(np.arange(-round(EDGE / BIN), round(EDGE / BIN) + 1) * BIN, np.float64)
# Where groups may part (probability 0.03 to 0.82) and how tall the upper one must reach (0.05): a
# slide without tumor has groups too, both far below.
LOWEST, HIGHEST, LEAST_PEAK = -3.5, 1.5, -3.0
# A gap: at most this share as dense as the lower of the peaks on its sides, with so many of the
# cells on each side; of fewer cells in all no curve can be drawn.
GAP, LEAST_SIDE, LEAST_CELLS = 0.5, 0.04, 300
# Even odds stay where they are unless the gap is this much emptier and this far away.
EMPTIER, LEAST_SHIFT = 0.25, 0.5
# Where groups run into each other, two normal curves tell them apart: their middles must lie this
# many deviations from each other, each must hold so many of the cells, and the middle of the upper
# one must not lie lower than this (0.10): without tumor it does, or the groups lie closer.
LEAST_APART, LEAST_GROUP, LEAST_MIDDLE = 2.0, 0.08, -2.2
# They decide only where even odds would cut off this share of the upper group, or a gap that one:
# stained and unstained tumor cells can part more clearly than tumor and all else.
MOST_CUT_OFF, MOST_CUT_OFF_BY_GAP = 0.07, 0.25
# Steps by which the curves are fitted, and the narrowest that they may become.
FIT_STEPS, LEAST_DEVIATION = 60, 0.35


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
        Middle of the emptiest gap between two groups; where there is none and even odds cut through
        the upper one, or that gap does, where their curves cross; else `EVEN`.
    """
    if len(probability) < LEAST_CELLS:
        return EVEN
    edges = np.append(AT - BIN / 2, AT[-1] + BIN / 2)
    share = np.histogram(log_odds(probability), edges)[0] / len(probability)
    part = emptiest_gap(share)
    if part is None:
        part = crossing(share, instead_of=0.0, most_cut_off=MOST_CUT_OFF)
    else:
        crossed = crossing(share, instead_of=part, most_cut_off=MOST_CUT_OFF_BY_GAP)
        part = part if crossed is None else crossed
    return EVEN if part is None else float(expit(part))


def emptiest_gap(share: NDArray[np.float64]) -> float | None:
    """Return the log odds in the middle of the clearest gap between two groups, if there is one.

    Parameters
    ----------
    share : ndarray of shape (len(AT),)
        Of the cells, by their log odds.
    """
    density = gaussian_filter1d(share, SMOOTHING / BIN, mode="reflect")
    up_to = np.cumsum(share)
    peak_below = np.maximum.accumulate(density)
    peak_above = np.maximum.accumulate(density[::-1])[::-1]
    tallest_above = np.array([AT[i + int(np.argmax(density[i:]))] for i in range(len(AT))])
    is_gap = (density <= GAP * np.minimum(peak_below, peak_above)) & (tallest_above >= LEAST_PEAK)
    is_gap &= (up_to >= LEAST_SIDE) & (up_to <= 1 - LEAST_SIDE) & (AT >= LOWEST) & (AT <= HIGHEST)
    if not is_gap.any():
        return None
    # Of gaps that are equally empty the one nearest to even odds.
    gaps = np.flatnonzero(is_gap)
    emptiest = gaps[np.lexsort((np.abs(AT[gaps]), density[gaps]))[0]]
    middle = len(AT) // 2
    is_better = not is_gap[middle] or density[emptiest] < EMPTIER * density[middle]
    if not is_better or abs(AT[emptiest]) < LEAST_SHIFT:
        return None
    return float(AT[emptiest])


def crossing(share: NDArray[np.float64], *, instead_of: float, most_cut_off: float) -> float | None:
    """Return the log odds below 0 where two groups that run into each other are equally likely.

    Parameters
    ----------
    share : ndarray of shape (len(AT),)
        Of the cells, by their log odds.
    instead_of : float
        Log odds at which the cells would be parted otherwise.
    most_cut_off : float
        Share of the upper group that may be cut off there.

    Returns
    -------
    float or None
        None where there are no two groups, or no more of the upper one is cut off.
    """
    weight, middle, deviation = two_normals(share)
    apart = (middle[1] - middle[0]) / np.sqrt(np.mean(deviation**2))
    if apart < LEAST_APART or weight.min() < LEAST_GROUP or middle[1] < LEAST_MIDDLE:
        return None
    if ndtr((instead_of - middle[1]) / deviation[1]) < most_cut_off:
        return None
    between = AT[(max(middle[0], LOWEST) <= AT) & (min(instead_of, 0.0) >= AT)]
    lower, upper = normal_densities(between, weight, middle, deviation)
    crossed = between[upper >= lower]
    return float(crossed[0]) if len(crossed) else None


def two_normals(share: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Fit two normal curves to a histogram over `AT`, by expectation and maximization.

    Returns
    -------
    weight, middle, deviation : ndarray of shape (2,)
        The lower one first.
    """
    up_to = np.cumsum(share)
    weight, deviation = np.full(2, 0.5), np.ones(2)
    middle = AT[np.searchsorted(up_to, [0.2, 0.8])]
    for _ in range(FIT_STEPS):
        likely = normal_densities(AT, weight, middle, deviation)
        part = share * likely / np.maximum(likely.sum(axis=0), 1e-300)
        weight = np.maximum(part.sum(axis=1), 1e-9)
        middle = (part * AT).sum(axis=1) / weight
        variance = (part * (AT - middle[:, None]) ** 2).sum(axis=1) / weight
        deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
    order = np.argsort(middle)
    return weight[order], middle[order], deviation[order]


def normal_densities(
    at: NDArray[np.float64],
    weight: NDArray[np.float64],
    middle: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return weighted normal curves, up to a common factor, shape (2, len(at))."""
    z = (at - middle[:, None]) / deviation[:, None]
    curves: NDArray[np.float64] = (weight / deviation)[:, None] * np.exp(-0.5 * z**2)
    return curves
