"""Cells that readers doubt, told by the nuclei of those that they are sure of on the same slide.

Readers learned on other slides, and on some a good part of the cells lies near even odds: tumor
among many lymphocytes, inflamed stroma. The nuclei of one tumor are alike, though, and unlike most
others beside them. So where many cells are in doubt, the sure ones on both sides say what the two
kinds look like on this slide, and that moves the odds of every cell, the doubtful ones across.
Membranes are not asked: unstained tumor must count like stained tumor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from her2path.cells.odds import log_odds
from her2path.cells.table import CellMeasurements

__all__ = ["told_by_sure_nuclei"]

# Cells with log odds this far from where the slide parts are sure, the others in doubt (probability
# 0.27 to 0.73).
SURE = 1.0
# With fewer in doubt the readers know better than this: it would cost tumor with small nuclei.
LEAST_DOUBTFUL = 0.2
# So many of each kind say what it looks like.
LEAST_SURE = 60
# Readers have looked at the same nuclei, so what these say is half known already; and no nucleus
# says more than this, in log odds.
WEIGHT, MOST = 0.5, 4.0
# Added to each variance, as a share of it: features that go together are not told apart too finely.
RIDGE = 0.1


def told_by_sure_nuclei(
    probability: NDArray[np.float32],
    cells: CellMeasurements,
    *,
    at: float,
    is_asked: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the probability of tumor with what the slide's own sure nuclei say of each cell.

    Parameters
    ----------
    probability : ndarray of shape (n,), float32
        As readers say it.
    cells : CellMeasurements of n cells
    at : float
        Probability at which the cells of the slide part.
    is_asked : ndarray of shape (n,), bool
        Cells in tissue; only these say what is alike.

    Returns
    -------
    ndarray of shape (n,), float32
        As given where few cells are in doubt, or too few are sure.

    References
    ----------
    Linear discriminant: R. A. Fisher, Annals of Eugenics 7 (1936) 179.
    """
    odds = log_odds(probability)
    side = odds - np.log(at / (1 - at))
    is_doubtful = is_asked & (np.abs(side) < SURE)
    n_asked, n_doubtful = int(is_asked.sum()), int(is_doubtful.sum())
    if n_asked == 0 or n_doubtful < LEAST_DOUBTFUL * n_asked:
        return probability
    looks = looks_of(cells)
    is_known = np.isfinite(looks).all(axis=1)
    # A nucleus hidden under brown has no look of its own.
    is_sure = is_asked & is_known & ~cells.is_hidden
    tumor, other = looks[is_sure & (side > SURE)], looks[is_sure & (side < -SURE)]
    if min(len(tumor), len(other)) < LEAST_SURE:
        return probability
    said = discriminant(looks, tumor, other)
    told = odds + WEIGHT * np.clip(np.where(is_known, said, 0), -MOST, MOST)
    return np.asarray(expit(told), np.float32)


def looks_of(cells: CellMeasurements) -> NDArray[np.float64]:
    """Return what a nucleus looks like: sizes as logarithms, shape (n, 5)."""
    area = np.maximum(cells.nucleus_area_um2.astype(np.float64), 1.0)
    spacing = np.maximum(cells.spacing_um.astype(np.float64), 1.0)
    columns = (
        np.log(area),
        cells.nucleus_elongation,
        cells.nucleus_h_od,
        cells.nucleus_texture_od,
        np.log(spacing),
    )
    return np.column_stack(columns).astype(np.float64)


def discriminant(
    looks: NDArray[np.float64], upper: NDArray[np.float64], lower: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log odds of each row to belong to the upper group, both equally frequent.

    The groups are normal with one covariance, shape (n,).
    """
    spread = (np.cov(upper.T) * len(upper) + np.cov(lower.T) * len(lower)) / (
        len(upper) + len(lower)
    )
    spread += np.diag(RIDGE * np.diag(spread) + np.finfo(np.float64).tiny)
    middles = upper.mean(axis=0), lower.mean(axis=0)
    weights = np.linalg.lstsq(spread, middles[0] - middles[1], rcond=None)[0]
    return np.asarray((looks - (middles[0] + middles[1]) / 2) @ weights, np.float64)
