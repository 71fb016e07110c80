"""What a network sees, as nuclei and as values of cells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.nucleus_tracing import NUCLEUS_AREA_UM2, Nuclei, contour_shape, nearest
from her2path.cells.polar import nucleus_contours
from her2path.cells.sampling import sampled
from her2path.cells.table import N_SECTORS
from her2path.stain.separate import STEPS_PER_OD

__all__ = ["NetworkMaps", "line_support", "nucleus_peaks", "trace_seen_nuclei", "tumor_support"]

# Nuclei lie further apart than this.
LEAST_DISTANCE_UM = 2.6
# Lowest peak of a nucleus, 0–1.
LEAST_PEAK = 0.40
# The centre says where, the nucleus whether.
CENTRE_SHARE = 0.75
PEAK_BLUR_PX = 1.0
# Radius of a usual nucleus over √2: its contour is looked for at 0.75 to 2.6 times that.
USUAL_SIGMA_UM = 2.9
# The network's line may run this far beside the one that is measured.
LINE_TOLERANCE_UM = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class NetworkMaps:
    """What a network sees on a picture, on its own grid.

    Attributes
    ----------
    nucleus, centre, membrane, tumor : ndarray of shape (M, N), uint8
        Probabilities, 255 = 1: inside a nucleus; at the middle of one; on a stained membrane; in
        an invasive tumor cell.
    mpp : float
        µm per px of the maps.
    scale : float
        Px of the picture per px of the maps.
    corner_x, corner_y : float
        Where the picture begins in what the network was shown, px of the picture: it is shown
        more round the edge than is measured.
    tumor_twice : ndarray of shape (M, N), uint8, optional
        The higher probability of tumor by two looks at the picture; None where one was enough.
    """

    nucleus: NDArray[np.uint8]
    centre: NDArray[np.uint8]
    membrane: NDArray[np.uint8]
    tumor: NDArray[np.uint8]
    mpp: float
    scale: float
    corner_x: float = 0.0
    corner_y: float = 0.0
    tumor_twice: NDArray[np.uint8] | None = None

    def to_picture(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where positions on the maps lie on the picture, px."""
        return (
            (x + 0.5) * self.scale - 0.5 - self.corner_x,
            (y + 0.5) * self.scale - 0.5 - self.corner_y,
        )

    def from_picture(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where positions on the picture lie on the maps, px."""
        return (
            (x + self.corner_x + 0.5) / self.scale - 0.5,
            (y + self.corner_y + 0.5) / self.scale - 0.5,
        )


def nucleus_peaks(
    centre: NDArray[np.uint8],
    nucleus: NDArray[np.uint8],
    *,
    mpp: float,
    least: float = LEAST_PEAK,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Find the nuclei on maps of their middles and of what lies inside them.

    Parameters
    ----------
    centre, nucleus : ndarray of shape (M, N), uint8
        Probabilities, 255 = 1.
    mpp : float
        µm/px of the maps.
    least : float
        Lowest peak, 0–1.

    Returns
    -------
    x, y : ndarray of shape (n,), float64
        Positions on the maps, px, in reading order.
    peak : ndarray of shape (n,), float32
        Height, 0–1.
    """
    both = cv2.GaussianBlur(
        centre * np.float32(CENTRE_SHARE / 255) + nucleus * np.float32((1 - CENTRE_SHARE) / 255),
        (0, 0),
        PEAK_BLUR_PX,
    )
    radius = max(1, round(LEAST_DISTANCE_UM / mpp))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    is_peak = (both >= cv2.dilate(both, disc)) & (both >= least)
    # A plateau is one peak, in its middle.
    n, _, _, places = cv2.connectedComponentsWithStats(is_peak.astype(np.uint8))
    x, y = places[1:n, 0], places[1:n, 1]
    return x, y, both[np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)]


def trace_seen_nuclei(maps: NetworkMaps, shape: tuple[int, ...]) -> Nuclei:
    """Trace the nuclei that the network sees.

    Parameters
    ----------
    maps : NetworkMaps
    shape : (M, N)
        Of the picture.

    Returns
    -------
    Nuclei
        Those on the picture, in px of it; none is hidden, since the network sees it.
    """
    x, y, _ = nucleus_peaks(maps.centre, maps.nucleus, mpp=maps.mpp)
    # As steep as hematoxylin of one OD, so that the tracing keeps its balance of edge and jump.
    inside = maps.nucleus * np.float32(STEPS_PER_OD / 255)
    neighbors, _ = nearest(x, y, maps.mpp)
    sigma_um = np.full(len(x), USUAL_SIGMA_UM, np.float32)
    contours, _ = nucleus_contours(inside, x, y, neighbors, sigma_um, maps.mpp)
    _, _, area, elongation = contour_shape(x, y, contours, maps.mpp)
    low, high = NUCLEUS_AREA_UM2
    x, y = maps.to_picture(x, y)
    keep = (area >= low) & (area <= high)
    keep &= (x >= -0.5) & (y >= -0.5) & (x < shape[1] - 0.5) & (y < shape[0] - 0.5)
    is_hidden = np.zeros(len(x), np.bool_)
    return Nuclei(x, y, contours, area, elongation, is_hidden).select(keep)


def tumor_support(
    maps: NetworkMaps,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    contours: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean probability of tumor in each nucleus, by one look and by two, shape (n,)."""
    seen_x, seen_y = maps.from_picture(x, y)
    radii = contours / np.float32(maps.mpp)
    once = mean_in_contours(maps.tumor, seen_x, seen_y, radii)
    if maps.tumor_twice is None:
        return once, once
    return once, mean_in_contours(maps.tumor_twice, seen_x, seen_y, radii)


def line_support(
    maps: NetworkMaps,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    outline_um: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Return the highest probability of a membrane at each outline, (n, N_SECTORS), 255 = 1."""
    seen_x, seen_y = maps.from_picture(x, y)
    return highest_on_rays(
        maps.membrane,
        seen_x,
        seen_y,
        outline_um / np.float32(maps.mpp),
        LINE_TOLERANCE_UM / maps.mpp,
    )


@numba.njit(nogil=True, cache=True)
def mean_in_contours(
    plane: NDArray[np.uint8],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Mean of a plane inside star-shaped contours, 0–1; radii in px of the plane."""
    out = np.zeros(x.shape[0], np.float32)
    for i in range(x.shape[0]):
        total, weight = 0.0, 0.0
        for k in range(N_SECTORS):
            angle = 2.0 * np.pi * k / N_SECTORS
            dx, dy = np.cos(angle), np.sin(angle)
            r = 0.25
            while r < radius[i, k]:
                # A sample at radius r stands for an area that grows with r.
                total += r * sampled(plane, x[i] + r * dx, y[i] + r * dy)
                weight += r
                r += 1.0
        if weight > 0.0:
            out[i] = total / (255.0 * weight)
    return out


@numba.njit(nogil=True, cache=True)
def highest_on_rays(
    plane: NDArray[np.uint8],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: NDArray[np.float32],
    tolerance: float,
) -> NDArray[np.uint8]:
    """Highest value of a plane within a tolerance of a radius on each ray."""
    out = np.zeros(radius.shape, np.uint8)
    for i in range(radius.shape[0]):
        for k in range(N_SECTORS):
            angle = 2.0 * np.pi * k / N_SECTORS
            dx, dy = np.cos(angle), np.sin(angle)
            best = 0.0
            for s in range(-2, 3):
                r = radius[i, k] + 0.5 * s * tolerance
                best = max(best, sampled(plane, x[i] + r * dx, y[i] + r * dy))
            out[i, k] = np.uint8(best + 0.5)
    return out
