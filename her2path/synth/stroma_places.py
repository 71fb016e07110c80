"""Where stroma is fat, muscle, mesh or torn open, and which way its fibres run."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.matter import quantile
from her2path.synth.noise import sample

__all__ = [
    "CHOICE",
    "THETA",
    "cleft_at",
    "clefts_at_points",
    "direction_at",
    "directions_at",
    "fat_at",
    "flow_at",
    "is_in_fat",
    "mesh_at",
    "mesh_at_points",
    "muscle_at",
    "muscle_at_points",
]

# Collagen runs in two directions, chosen by place, and bends over some ten microns.
THETA = (0.4, 1.75)
CHOICE = 0.25
_BEND_UM = 34.0


@nb.njit(cache=True)
def flow_at(x: float, y: float, coarse: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return choice of direction, bend (µm) and phase of the crimp at a point."""
    return (
        sample(coarse, x / 130.0 + 50.0, y / 130.0 + 9.0),
        _BEND_UM * sample(coarse, x / 85.0, y / 85.0),
        5.0 * sample(coarse, x / 60.0 + 20.0, y / 60.0),
    )


@nb.njit(cache=True)
def direction_at(x: float, y: float, coarse: NDArray[np.float32]) -> float:
    """Return the direction of the collagen at a point, radians clockwise from +x."""
    choice, bend, _ = flow_at(x, y, coarse)
    theta = THETA[0] if choice < CHOICE else THETA[1]
    # Slope of the bend, by a step of 4 µm along the fibre.
    ahead = flow_at(x + 4.0 * np.cos(theta), y + 4.0 * np.sin(theta), coarse)[1]
    return theta - np.arctan2(ahead - bend, 4.0)


@nb.njit(cache=True)
def fat_at(x: float, y: float, share: float, coarse: NDArray[np.float32]) -> float:
    """Return how far inside fat a point lies, in units of the noise (negative = no fat)."""
    if share <= 0:
        return -9.0
    return sample(coarse, x / 160.0 + 300.0, y / 160.0 + 77.0) - quantile(share)


@nb.njit(cache=True)
def muscle_at(x: float, y: float, share: float, coarse: NDArray[np.float32]) -> float:
    """Return how far inside smooth muscle a point lies, as `fat_at` does for fat."""
    if share <= 0:
        return -9.0
    return sample(coarse, x / 190.0 + 35.0, y / 190.0 + 220.0) - quantile(share)


@nb.njit(cache=True)
def mesh_at(x: float, y: float, share: float, coarse: NDArray[np.float32]) -> float:
    """Return how far inside a loose mesh a point lies, as `fat_at` does for fat."""
    if share <= 0:
        return -9.0
    return sample(coarse, x / 110.0 + 88.0, y / 110.0 + 5.0) - quantile(share)


@nb.njit(cache=True)
def cleft_at(x: float, y: float, share: float, coarse: NDArray[np.float32]) -> float:
    """Return how far inside a cleft between bundles a point lies (negative = none)."""
    if share <= 0:
        return -9.0
    choice, bend, _ = flow_at(x, y, coarse)
    theta = THETA[0] if choice < CHOICE else THETA[1]
    along = x * np.cos(theta) + y * np.sin(theta)
    across = -x * np.sin(theta) + y * np.cos(theta) + bend
    wide = sample(coarse, along / 75.0 + 17.0, across / 21.0 + 160.0)
    return wide + 0.35 * sample(coarse, along / 24.0, across / 7.0 + 44.0) - 1.06 * quantile(share)


@nb.njit(cache=True)
def directions_at(
    x: NDArray[np.float64], y: NDArray[np.float64], coarse: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the direction of the collagen at many points, shape (n,)."""
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = direction_at(x[i], y[i], coarse)
    return out


@nb.njit(cache=True)
def muscle_at_points(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return `muscle_at` of many points, shape (n,); `share` is that of each."""
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = muscle_at(x[i], y[i], share[i], coarse)
    return out


@nb.njit(cache=True)
def mesh_at_points(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return `mesh_at` of many points, shape (n,); `share` is that of each."""
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = mesh_at(x[i], y[i], share[i], coarse)
    return out


@nb.njit(cache=True)
def clefts_at_points(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return `cleft_at` of many points, shape (n,); `share` is that of each."""
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = cleft_at(x[i], y[i], share[i], coarse)
    return out


@nb.njit(cache=True)
def is_in_fat(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return which of many points lie in fat or close to it, shape (n,), bool."""
    out = np.empty(x.size, np.bool_)
    for i in range(x.size):
        out[i] = fat_at(x[i], y[i], share[i], coarse) > -0.05
    return out
