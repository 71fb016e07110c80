"""Stroma: wavy collagen with clefts, fat, vessels, and the cells that live in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.layout import N_RADII, Nest, region_at, tissue_depth
from her2path.synth.noise import sample, stream
from her2path.synth.nuclei import Nuclei
from her2path.synth.recipe import RegionRecipe, SlideRecipe

__all__ = ["StromaCells", "StromaNoise", "draw_stroma", "fat_at", "stroma_cells"]

# Adipocytes are 50–100 µm wide.
_FAT_UM = 62.0
_FIBROBLAST_UM = 22.0
_LYMPHOCYTE_UM = 8.0


@dataclass(frozen=True, slots=True)
class StromaNoise:
    """Noise tiles that stroma is made of: coarse to bend, fine to draw."""

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StromaCells:
    """Cells of the stroma of one block: kind (as `CellKind`), region and nucleus of each."""

    kind: NDArray[np.uint8]
    region: NDArray[np.int32]
    nuclei: Nuclei


# Collagen runs in two directions, chosen by place, bends over some ten microns and is crimped.
_THETA = (0.4, 1.75)
_CHOICE = 0.25
_BEND_UM = 34.0
_CRIMP_UM = 0.5


@nb.njit(cache=True)
def _flow(x: float, y: float, coarse: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return choice of direction, bend (µm) and phase of the crimp at a point."""
    return (
        sample(coarse, x / 130.0 + 50.0, y / 130.0 + 9.0),
        _BEND_UM * sample(coarse, x / 85.0, y / 85.0),
        5.0 * sample(coarse, x / 60.0 + 20.0, y / 60.0),
    )


@nb.njit(cache=True)
def _direction(x: float, y: float, coarse: NDArray[np.float32]) -> float:
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
    # Quantile of a standard normal, to a few percent: enough for a share of area.
    p = min(max(share, 1e-4), 0.9999)
    t = np.sqrt(-2.0 * np.log(min(p, 1 - p)))
    q = t - (2.30753 + 0.27061 * t) / (1.0 + 0.99229 * t + 0.04481 * t * t)
    cut = q if p < 0.5 else -q
    return sample(coarse, x / 160.0 + 300.0, y / 160.0 + 77.0) - cut


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
    oedema, fat, haze : ndarray of shape (regions,), float64
        Of each region.
    coarse, fine : ndarray
        Noise.
    """
    rows, cols = h.shape
    lattice = _lattice(depth, region, depth_step, x0, y0, mpp, fat, coarse)
    f = np.empty(6)
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
            for q in range(6):
                upper = lattice[lr, lc, q] + tc * (lattice[lr, lc + 1, q] - lattice[lr, lc, q])
                lower = lattice[lr + 1, lc, q] + tc * (
                    lattice[lr + 1, lc + 1, q] - lattice[lr + 1, lc, q]
                )
                f[q] = upper + tr * (lower - upper)
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
            cs, sn = (c0, s0) if f[2] < _CHOICE else (c1, s1)
            along = x * cs + y * sn
            across = -x * sn + y * cs + f[3] + _CRIMP_UM * np.sin(along * 0.28 + f[4])
            loose = f[5]
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
            # Refractile spots: brighter than glass when sharp.
            speck = sample(fine, x * 1.1 + 60.0, y * 1.1 + 7.0)
            if speck > 1.0:
                level -= 0.035 * (speck - 1.0)
            if cleft > opening:
                # A cleft has a crisp border.
                level *= 1 - 0.93 * min(1.0, (cleft - opening) * 3.5)
            h[r, c] = max(-0.01, level) * edge
            d[r, c] = haze[q] * max(0.0, 0.7 + 0.3 * strand + 0.4 * loose) * edge


@nb.njit(cache=True)
def _lattice(
    depth: NDArray[np.float32],
    region: NDArray[np.int16],
    step: int,
    x0: int,
    y0: int,
    mpp: float,
    fat: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what changes slowly (depth, fat, choice, bend, crimp phase, looseness)."""
    rows, cols = depth.shape
    out = np.empty((rows, cols, 6), np.float32)
    for r in range(rows):
        y = (y0 // step + r) * step * mpp
        for c in range(cols):
            x = (x0 // step + c) * step * mpp
            out[r, c, 0] = depth[r, c]
            out[r, c, 1] = fat_at(x, y, fat[region[r, c]], coarse)
            out[r, c, 2], out[r, c, 3], out[r, c, 4] = _flow(x, y, coarse)
            out[r, c, 5] = sample(coarse, x / 45.0 + 140.0, y / 45.0)
    return out


def stroma_cells(
    recipe: SlideRecipe,
    noise: StromaNoise,
    nests: list[Nest],
    bounds: tuple[float, float, float, float],
    *,
    seed: int,
    block: tuple[int, int],
) -> StromaCells:
    """Scatter fibroblasts, endothelium, lymphocytes and plasma cells between the nests.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    noise : StromaNoise
        The noise that the collagen is drawn with: nuclei lie along it.
    nests : list of Nest
        All nests that may reach into the block.
    bounds : tuple (x, y, right, bottom)
        The block, µm.
    seed, block :
        Name the random stream.
    """
    rng = stream(seed, 51, *block)
    x_from, y_from, x_to, y_to = bounds
    area = (x_to - x_from) * (y_to - y_from)

    def scatter(pitch: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        nx, ny = max(1, round((x_to - x_from) / pitch)), max(1, round((y_to - y_from) / pitch))
        gx, gy = np.meshgrid(np.arange(nx), np.arange(ny))
        x = x_from + (gx + rng.uniform(0.05, 0.95, gx.shape)) * (x_to - x_from) / nx
        y = y_from + (gy + rng.uniform(0.05, 0.95, gy.shape)) * (y_to - y_from) / ny
        return x.ravel(), y.ravel()

    fx, fy = scatter(_FIBROBLAST_UM)
    lx, ly = scatter(_LYMPHOCYTE_UM) if area > 0 else (np.zeros(0), np.zeros(0))
    region_l = region_at(lx, ly, recipe)
    wanted = np.array([r.lymphocytes for r in recipe.all_regions])[region_l]
    crowd = _crowd(lx, ly, noise.coarse)
    keep = rng.random(len(lx)) < np.clip(wanted / 1000 * _LYMPHOCYTE_UM**2 * crowd, 0, 0.85)
    lx, ly = lx[keep], ly[keep]
    x, y = np.concatenate([fx, lx]), np.concatenate([fy, ly])
    is_round = np.arange(len(x)) >= len(fx)
    clear = _clear_of_nests(x, y, nests, np.where(is_round, 3.2, 3.0))
    clear &= tissue_depth(x, y, recipe, seed=seed) > 4
    region = region_at(x, y, recipe).astype(np.int32)
    fat = np.array([r.fat_share for r in recipe.all_regions])
    clear &= ~_in_fat(x, y, fat[region], noise.coarse)
    x, y, is_round, region = x[clear], y[clear], is_round[clear], region[clear]
    n = len(x)
    direction = _directions(x, y, noise.coarse) + rng.normal(0, 0.3, n)
    is_plasma = is_round & (rng.random(n) < 0.22)
    u = rng.random(n)
    plump = u < 0.3
    a = np.where(is_round, rng.normal(2.9, 0.25, n), np.where(plump, 5.0, 7.2) * _near(rng, n))
    b = np.where(is_round, a * rng.uniform(0.82, 1.0, n), np.where(plump, 2.3, 1.3) * _near(rng, n))
    kind = np.where(is_plasma, 5, np.where(is_round, 4, np.where(u > 0.85, 6, 3)))
    nuclei = Nuclei(
        x=x,
        y=y,
        a_um=np.maximum(a, b).astype(np.float32),
        b_um=np.minimum(a, b).astype(np.float32),
        angle=np.where(is_round, rng.uniform(0, math.pi, n), direction).astype(np.float32),
        h_od=np.clip(
            np.where(is_round, rng.normal(0.28, 0.05, n), rng.normal(0.17, 0.05, n)), 0.12, 0.9
        ).astype(np.float32),
        vesicular=np.where(plump & ~is_round, 0.45, 0.05).astype(np.float32),
        clumping=np.where(is_round, 0.34, 0.2).astype(np.float32),
        nucleoli=np.zeros(n, np.uint8),
        phase=rng.uniform(0, 512, n).astype(np.float32),
    )
    return StromaCells(kind.astype(np.uint8), region, nuclei)


def _near(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.exp(rng.normal(0, 0.28, n))


@nb.njit(cache=True)
def _crowd(
    x: NDArray[np.float64], y: NDArray[np.float64], coarse: NDArray[np.float32]
) -> NDArray[np.float64]:
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = np.exp(1.6 * sample(coarse, x[i] / 70.0 + 400.0, y[i] / 70.0) - 1.2)
    return out


@nb.njit(cache=True)
def _directions(
    x: NDArray[np.float64], y: NDArray[np.float64], coarse: NDArray[np.float32]
) -> NDArray[np.float64]:
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = _direction(x[i], y[i], coarse)
    return out


@nb.njit(cache=True)
def _in_fat(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    coarse: NDArray[np.float32],
) -> NDArray[np.bool_]:
    out = np.empty(x.size, np.bool_)
    for i in range(x.size):
        out[i] = fat_at(x[i], y[i], share[i], coarse) > -0.05
    return out


def _clear_of_nests(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    nests: list[Nest],
    margin: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which points lie outside all nests by at least `margin`."""
    clear = np.ones(len(x), dtype=bool)
    for nest in nests:
        largest = float(nest.radii.max()) + 5
        near = np.flatnonzero((np.abs(x - nest.x) < largest) & (np.abs(y - nest.y) < largest))
        dx, dy = x[near] - nest.x, y[near] - nest.y
        k = np.rint(np.arctan2(dy, dx) / (2 * math.pi) * N_RADII).astype(np.int64) % N_RADII
        clear[near[np.hypot(dx, dy) < nest.radii[k] + margin[near]]] = False
    return clear


def region_values(regions: tuple[RegionRecipe, ...], name: str) -> NDArray[np.float64]:
    """Return one number of every region."""
    return np.array([getattr(region, name) for region in regions], dtype=np.float64)
