"""Nucleus centres: the peaks of the network's planes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["nucleus_centres"]

# Nuclei lie further apart than this.
LEAST_DISTANCE_UM = 2.6


def nucleus_centres(
    centre: NDArray[np.uint8],
    nucleus: NDArray[np.uint8],
    *,
    mpp: float,
    least: float = 0.30,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the nuclei that the network sees.

    Parameters
    ----------
    centre, nucleus : ndarray of shape (M, N), uint8
        Planes of the network, 255 = 1.
    mpp : float
        µm/px of the planes.
    least : float
        Lowest peak, 0–1, of the mean of both.

    Returns
    -------
    x, y : ndarray of shape (n,), float32
        Centres in px, in reading order.
    strength : ndarray of shape (n,), float32
        Height of the peak, 0–1.
    """
    # The centre says where, the nucleus whether.
    both = cv2.GaussianBlur(
        centre.astype(np.float32) * (0.75 / 255) + nucleus * np.float32(0.25 / 255), (0, 0), 1.0
    )
    radius = max(1, round(LEAST_DISTANCE_UM / mpp))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    is_peak = (both >= cv2.dilate(both, disc)) & (both >= least)
    n, _, _, places = cv2.connectedComponentsWithStats(is_peak.astype(np.uint8))
    x, y = places[1:n, 0], places[1:n, 1]
    strength = both[np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)]
    return (x + 0.5).astype(np.float32), (y + 0.5).astype(np.float32), strength
