"""Stroma: wavy collagen with clefts, smooth muscle and fat."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.matter import quantile
from her2path.synth.noise import sample
from her2path.synth.recipe import RegionRecipe

__all__ = [
    "StromaNoise",
    "cleft_at",
    "direction_at",
    "draw_stroma",
    "fat_at",
    "mesh_at",
    "muscle_at",
    "muscle_od",
    "region_values",
]

# Adipocytes are 50–100 µm wide.
_FAT_UM = 62.0
# Collagen runs in two directions, chosen by place, bends over some ten microns and is crimped.
_THETA = (0.4, 1.75)
_CHOICE = 0.25
_BEND_UM = 34.0
_CRIMP_UM = 0.5


@dataclass(frozen=True, slots=True)
class StromaNoise:
    """Noise tiles that stroma is made of: coarse to bend, fine to draw."""

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]


@nb.njit(cache=True)
def _flow(x: float, y: float, coarse: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return choice of direction, bend (µm) and phase of the crimp at a point."""
    return (
        sample(coarse, x / 130.0 + 50.0, y / 130.0 + 9.0),
        _BEND_UM * sample(coarse, x / 85.0, y / 85.0),
        5.0 * sample(coarse, x / 60.0 + 20.0, y / 60.0),
    )


@nb.njit(cache=True)
def direction_at(x: float, y: float, coarse: NDArray[np.float32]) -> float:
    """Return the direction of the collagen at a point, radians clockwise from +x."""
    choice, bend, _ = _flow(x, y, coarse)
    theta = _THETA[0] if choice < _CHOICE else _THETA[1]
    # Slope of the bend, by a step of 4 µm along the fibre.
    ahead = _flow(x + 4.0 * np.cos(theta), y + 4.0 * np.sin(theta), coarse)[1]
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
    choice, bend, _ = _flow(x, y, coarse)
    theta = _THETA[0] if choice < _CHOICE else _THETA[1]
    along = x * np.cos(theta) + y * np.sin(theta)
    across = -x * np.sin(theta) + y * np.cos(theta) + bend
    wide = sample(coarse, along / 75.0 + 17.0, across / 21.0 + 160.0)
    return wide + 0.35 * sample(coarse, along / 24.0, across / 7.0 + 44.0) - 1.06 * quantile(share)


@nb.njit(cache=True)
def _adipocyte(x: float, y: float, coarse: NDArray[np.float32]) -> float:
    """Return the distance (µm) to the nearest wall between fat cells."""
    gx = x / _FAT_UM + 0.18 * sample(coarse, x / 30.0, y / 30.0)
    gy = y / _FAT_UM + 0.18 * sample(coarse, x / 30.0 + 40.0, y / 30.0)
    i0, j0 = int(np.floor(gx)), int(np.floor(gy))
    f1 = 1e9
    f2 = 1e9
    for i in range(i0 - 1, i0 + 2):
        for j in range(j0 - 1, j0 + 2):
            u = 0.5 + 0.16 * sample(coarse, i * 7.31 + 0.5, j * 3.77)
            v = 0.5 + 0.16 * sample(coarse, i * 5.13, j * 9.19 + 0.5)
            d = (gx - i - u) ** 2 + (gy - j - v) ** 2
            if d < f1:
                f2 = f1
                f1 = d
            elif d < f2:
                f2 = d
    return (np.sqrt(f2) - np.sqrt(f1)) * 0.5 * _FAT_UM


@nb.njit(cache=True)
def draw_stroma(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    label: NDArray[np.int32],
    depth: NDArray[np.float32],
    depth_step: int,
    region: NDArray[np.int16],
    x0: int,
    y0: int,
    mpp: float,
    oedema: NDArray[np.float64],
    fat: NDArray[np.float64],
    haze: NDArray[np.float64],
    brown: NDArray[np.float64],
    mesh: NDArray[np.float64],
    more: NDArray[np.float64],
    distance: NDArray[np.float32],
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Draw the stroma into the stain maps (in place).

    Parameters
    ----------
    h, d : ndarray of shape (M, N), float32
        Hematoxylin and DAB OD.
    tissue : ndarray of shape (M, N), bool
        Set where there is tissue.
    label : ndarray of shape (M, N), int32
        Nothing is drawn but where it is −1: the rest is epithelium.
    depth, region : ndarray
        Depth in the tissue (µm) and region on a lattice of `depth_step` pixels.
    x0, y0, mpp :
        First pixel of the maps and µm/px.
    oedema, fat, haze, brown, mesh : ndarray of shape (regions,), float64
        Of each region; `brown` is the DAB OD along fibres, `mesh` the share that is a mesh.
    more : ndarray of shape (6, regions), float64
        Share of muscle, share of clefts, width of the clefts round nests (µm), factors on the
        hematoxylin, on the thickness of fibres and on how they stand out.
    distance : ndarray
        Distance outside the nests, µm, on the same lattice as `depth`.
    coarse, fine : ndarray
        Noise.
    """
    rows, cols = h.shape
    lattice = _lattice(depth, region, depth_step, x0, y0, mpp, fat, more, distance, coarse)
    n_slow = lattice.shape[2]
    is_plain = n_slow == 6
    f = np.empty(n_slow)
    c0, s0 = np.cos(_THETA[0]), np.sin(_THETA[0])
    c1, s1 = np.cos(_THETA[1]), np.sin(_THETA[1])
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        # The lattice is anchored to the slide, not to the picture.
        lr = (y0 + r) // depth_step - y0 // depth_step
        tr = ((y0 + r) % depth_step) / depth_step
        for c in range(cols):
            lc = (x0 + c) // depth_step - x0 // depth_step
            tc = ((x0 + c) % depth_step) / depth_step
            for q in range(n_slow):
                upper = lattice[lr, lc, q] + tc * (lattice[lr, lc + 1, q] - lattice[lr, lc, q])
                lower = lattice[lr + 1, lc, q] + tc * (
                    lattice[lr + 1, lc + 1, q] - lattice[lr + 1, lc, q]
                )
                f[q] = upper + tr * (lower - upper)
                # Depth comes first, and epithelium needs no more.
                if q == 0 and (f[0] <= 0 or label[r, c] != -1):
                    break
            if f[0] <= 0:
                continue
            tissue[r, c] = True
            if label[r, c] != -1:
                continue
            x = (x0 + c + 0.5) * mpp
            q = region[lr, lc]
            edge = min(1.0, f[0] / 1.5)
            if f[1] > 0:
                wall = _adipocyte(x, y, coarse)
                w = 0.9 + 0.3 * sample(fine, x * 0.33, y * 0.33)
                line = max(0.0, 1.0 - abs(wall) / max(0.3, w))
                h[r, c] = 0.10 * line * edge
                d[r, c] = haze[q] * line
                continue
            gap = 0.0
            if not is_plain:
                gap = _gap(x, y, f[7], f[8], more[2, q], coarse, fine)
                if gap >= 1:
                    tissue[r, c] = f[7] <= 0
                    continue
            cs, sn = (c0, s0) if f[2] < _CHOICE else (c1, s1)
            along = x * cs + y * sn
            across = -x * sn + y * cs + f[3] + _CRIMP_UM * np.sin(along * 0.28 + f[4])
            loose = f[5]
            if not is_plain:
                if f[6] > 0.1 * sample(fine, x / 4.0, y / 4.0):
                    h[r, c] = (
                        more[3, q]
                        * (1 - gap)
                        * edge
                        * muscle_od(x, y, along, across, more[5, q], fine)
                    )
                    d[r, c] = haze[q] * (1 - gap) * edge
                    continue
                along *= 1.0 / more[4, q]
                across *= 1.0 / more[4, q]
            strand = sample(fine, along * 0.08, across * 0.9)
            fibril = sample(fine, along * 0.16 + 91.0, across * 1.25 + 33.0)
            grain = sample(fine, x * 2.2, y * 2.2)
            cleft = sample(fine, along * 0.07 + 200.0, across * 0.6 + 60.0)
            opening = 2.1 - 2.6 * oedema[q] - 0.55 * loose
            # Fibres are the lines where noise stretched along them changes its sign: thin, long,
            # wavy and crisp.
            fibre = max(0.0, 1.0 - 2.6 * abs(strand)) * max(0.0, 0.8 + 0.7 * fibril)
            thin = max(0.0, 1.0 - 2.2 * abs(fibril))
            level = 0.024 * (1 + 0.35 * loose) + 0.055 * fibre + 0.022 * thin + 0.017 * grain
            if not is_plain:
                # Fibres that stand out have glass between them.
                over = more[5, q] - 1.0
                level += over * (0.055 * fibre + 0.022 * thin - 0.018)
                opening -= 0.45 * over
            # Refractile spots: brighter than glass when sharp.
            speck = sample(fine, x * 1.1 + 60.0, y * 1.1 + 7.0)
            if speck > 1.0:
                level -= 0.035 * (speck - 1.0)
            if cleft > opening:
                # A cleft has a crisp border.
                level *= 1 - 0.93 * min(1.0, (cleft - opening) * 3.5)
            if mesh[q] > 0:
                netted = min(1.0, max(0.0, 0.5 + 2.5 * mesh_at(x, y, mesh[q], coarse)))
                if netted > 0:
                    level += netted * (_mesh(x, y, more[4, q], fibril, grain, fine) - level)
            if not is_plain:
                level *= more[3, q] * (1 - gap)
            h[r, c] = max(-0.01, level) * edge
            d[r, c] = haze[q] * max(0.0, 0.7 + 0.3 * strand + 0.4 * loose) * edge
            if brown[q] > 0:
                # Fibres take it up in places, and what lies between them a little.
                where = 0.15 + max(0.0, 0.6 * sample(coarse, x / 55.0 + 63.0, y / 55.0 + 18.0))
                held = fibre + 0.5 * thin + 0.25 * max(0.0, 1 + grain)
                d[r, c] += brown[q] * where * held * (1 - gap) * edge


@nb.njit(cache=True)
def _gap(
    x: float,
    y: float,
    cleft: float,
    distance: float,
    retraction: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> float:
    """Return how much of a pixel is glass: a cleft between bundles, or round a nest (0–1)."""
    gap = 0.0
    if cleft > -0.5:
        gap = min(1.0, max(0.0, 7.0 * (cleft + 0.05 * sample(fine, x / 1.7 + 9.0, y / 1.7))))
    if retraction > 0 and distance > -4.0:
        # One side of a nest gapes, the other clings.
        width = retraction * (0.4 + 1.3 * sample(coarse, x / 48.0 + 12.0, y / 48.0 + 250.0))
        width += 0.5 * sample(fine, x / 1.8, y / 1.8 + 14.0)
        gap = max(gap, min(1.0, max(0.0, (width - distance) / 0.7)) if width > 0.4 else 0.0)
    return gap


@nb.njit(cache=True)
def _mesh(
    x: float, y: float, scale: float, fibril: float, grain: float, fine: NDArray[np.float32]
) -> float:
    """Return the hematoxylin of a loose mesh: strands in all directions round clear bubbles."""
    # Lines where noise without a direction changes its sign: a net.
    wide = sample(fine, 0.19 * x / scale + 21.0, 0.19 * y / scale + 190.0)
    narrow = sample(fine, 0.45 * x / scale + 51.0, 0.45 * y / scale + 110.0)
    net = max(0.0, 1.0 - 3.4 * abs(wide + 0.10 * fibril))
    thin = max(0.0, 1.0 - 2.6 * abs(narrow + 0.25))
    cloud = max(0.0, sample(fine, 0.07 * x + 9.0, 0.07 * y + 31.0))
    strands = (0.085 * net + 0.040 * thin) * (0.6 + 0.6 * cloud)
    return max(0.0, 0.006 + strands + 0.016 * cloud + 0.012 * grain)


@nb.njit(cache=True)
def muscle_od(
    x: float, y: float, along: float, across: float, contrast: float, fine: NDArray[np.float32]
) -> float:
    """Return the hematoxylin of smooth muscle: dense, finely streaked, split here and there."""
    bundle = sample(fine, along * 0.016 + 31.0, across * 0.12 + 5.0)
    streak = sample(fine, along * 0.06 + 12.0, across * 0.55 + 73.0)
    thread = sample(fine, along * 0.12 + 60.0, across * 1.9)
    grain = sample(fine, x * 2.2, y * 2.2)
    level = 0.070 * (1 + 0.14 * bundle + contrast * (0.26 * streak + 0.34 * thread) + 0.30 * grain)
    split = sample(fine, along * 0.045 + 140.0, across * 0.7 + 210.0)
    if split > 1.7:
        level *= 1 - 0.85 * min(1.0, (split - 1.7) * 3.0)
    return max(0.0, level)


@nb.njit(cache=True)
def _lattice(
    depth: NDArray[np.float32],
    region: NDArray[np.int16],
    step: int,
    x0: int,
    y0: int,
    mpp: float,
    fat: NDArray[np.float64],
    more: NDArray[np.float64],
    distance: NDArray[np.float32],
    coarse: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what changes slowly (depth, fat, choice, bend, crimp phase, looseness).

    Where any region asks for it also muscle, clefts and the distance outside the nests.
    """
    rows, cols = depth.shape
    is_plain = not (more[:3] != 0).any() and not (more[3:] != 1).any()
    out = np.empty((rows, cols, 6 if is_plain else 9), np.float32)
    for r in range(rows):
        y = (y0 // step + r) * step * mpp
        for c in range(cols):
            x = (x0 // step + c) * step * mpp
            out[r, c, 0] = depth[r, c]
            out[r, c, 1] = fat_at(x, y, fat[region[r, c]], coarse)
            out[r, c, 2], out[r, c, 3], out[r, c, 4] = _flow(x, y, coarse)
            out[r, c, 5] = sample(coarse, x / 45.0 + 140.0, y / 45.0)
            if not is_plain:
                out[r, c, 6] = muscle_at(x, y, more[0, region[r, c]], coarse)
                out[r, c, 7] = cleft_at(x, y, more[1, region[r, c]], coarse)
                out[r, c, 8] = distance[r, c]
    return out


def region_values(regions: tuple[RegionRecipe, ...], name: str) -> NDArray[np.float64]:
    """Return one number of every region."""
    return np.array([getattr(region, name) for region in regions], dtype=np.float64)
