"""Points paired one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["match_points"]


def match_points(
    known: NDArray[np.floating], found: NDArray[np.floating], *, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair points one to one, nearest pairs first.

    Parameters
    ----------
    known, found : ndarray of shape (n, 2) and (m, 2)
        Places in one unit.
    reach : float
        Largest distance of a pair.

    Returns
    -------
    known_index, found_index : ndarray of shape (p,), int64
    """
    if not len(known) or not len(found):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = cKDTree(known).sparse_distance_matrix(cKDTree(found), reach, output_type="ndarray")
    free_known, free_found = np.ones(len(known), np.bool_), np.ones(len(found), np.bool_)
    pairs = []
    for i, j, _ in np.sort(near, order=["v", "i", "j"]):
        if free_known[i] and free_found[j]:
            free_known[i] = free_found[j] = False
            pairs.append((i, j))
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
