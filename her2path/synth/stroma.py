"""Stroma: wavy collagen with clefts, smooth muscle and fat."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import sample
from her2path.synth.recipe import RegionRecipe
from her2path.synth.stain_maps import Grid, Lattice, StainMaps
from her2path.synth.stroma_places import (
    CHOICE,
    THETA,
    cleft_at,
    fat_at,
    flow_at,
    mesh_at,
    muscle_at,
)

__all__ = [
    "StromaLook",
    "StromaNoise",
    "draw_stroma",
    "muscle_od",
    "region_values",
]

# Adipocytes are 50–100 µm wide.
_FAT_UM = 62.0
# Collagen is crimped by so much.
_CRIMP_UM = 0.5
# What changes slowly, in this order; the last three only where some region asks for them.
_DEPTH, _FAT, _CHOSEN, _BEND, _PHASE, _LOOSE, _MUSCLE, _CLEFT, _DISTANCE = range(9)
_N_PLAIN, _N_ALL = 6, 9


class StromaNoise(NamedTuple):
    """Noise tiles that stroma is made of: coarse to bend, fine to draw."""

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]


class StromaLook(NamedTuple):
    """How the stroma of each region looks: fields of `RegionRecipe` of the same names.

    Each is an ndarray of shape (regions,), float64.
    """

    oedema: NDArray[np.float64]
    fat_share: NDArray[np.float64]
    stroma_haze_od: NDArray[np.float64]
    fibre_brown_od: NDArray[np.float64]
    mesh_share: NDArray[np.float64]
    muscle_share: NDArray[np.float64]
    cleft_share: NDArray[np.float64]
    retraction_um: NDArray[np.float64]
    stroma_od: NDArray[np.float64]
    fibre_scale: NDArray[np.float64]
    fibre_contrast: NDArray[np.float64]

    @staticmethod
    def of(regions: tuple[RegionRecipe, ...]) -> StromaLook:
        """Return the look of these regions."""
        return StromaLook(*(region_values(regions, name) for name in StromaLook._fields))


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


class _Fibres(NamedTuple):
    """The fibres of collagen at a pixel.

    Attributes
    ----------
    strand, fibril, grain : float
        Noise stretched along the fibres, wide and narrow, and without a direction.
    fibre, thin : float
        How much of a fibre, and of a thin one, lies there, about 0–1.
    """

    strand: float
    fibril: float
    grain: float
    fibre: float
    thin: float


class _Look(NamedTuple):
    """How the stroma of one region looks, as `StromaLook` says of all."""

    haze_od: float
    oedema: float
    mesh_share: float
    retraction_um: float
    stroma_od: float
    fibre_brown_od: float
    fibre_scale: float
    fibre_contrast: float


class _Point(NamedTuple):
    """A pixel of collagen.

    Attributes
    ----------
    x, y : float
        Place, µm.
    along, across : float
        The same along and across the fibres, µm; bent and crimped as they are.
    loose : float
        How loose the stroma is there, in units of the noise.
    gap : float
        How much of it is glass, 0–1.
    """

    x: float
    y: float
    along: float
    across: float
    loose: float
    gap: float


@nb.njit(cache=True)
def draw_stroma(
    maps: StainMaps, lattice: Lattice, look: StromaLook, grid: Grid, noise: StromaNoise
) -> None:
    """Draw the stroma into the stain maps (in place), and mark where there is tissue.

    Parameters
    ----------
    maps : StainMaps
        Nothing is drawn but where the label is −1: the rest is epithelium.
    lattice : Lattice
        Depth, region and distance outside the nests.
    look : StromaLook
        Of each region.
    grid : Grid
        Where the maps lie.
    noise : StromaNoise
        Bends and draws the fibres.
    """
    h, d, tissue, label = maps.h, maps.d, maps.tissue, maps.label
    step, region = lattice.step, lattice.region
    coarse, fine = noise
    x0, y0, mpp = grid
    rows, cols = h.shape
    is_plain = _is_plain(look)
    slow = _slow_values(lattice, look, grid, coarse, _N_PLAIN if is_plain else _N_ALL)
    ways = (
        (np.cos(THETA[0]), np.sin(THETA[0])),
        (np.cos(THETA[1]), np.sin(THETA[1])),
    )
    f = np.empty(slow.shape[2])
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        # The lattice is anchored to the slide, not to the picture.
        lr = (y0 + r) // step - y0 // step
        tr = ((y0 + r) % step) / step
        for c in range(cols):
            lc = (x0 + c) // step - x0 // step
            tc = ((x0 + c) % step) / step
            f[_DEPTH] = _between(slow, lr, lc, tr, tc, _DEPTH)
            if f[_DEPTH] <= 0:
                continue
            tissue[r, c] = True
            # Epithelium needs no more.
            if label[r, c] != -1:
                continue
            for k in range(1, f.size):
                f[k] = _between(slow, lr, lc, tr, tc, k)
            x = (x0 + c + 0.5) * mpp
            own = _look_of(look, region[lr, lc])
            haze = own.haze_od
            edge = min(1.0, f[_DEPTH] / 1.5)
            if f[_FAT] > 0:
                line = _fat_wall(x, y, coarse, fine)
                h[r, c] = 0.10 * line * edge
                d[r, c] = haze * line
                continue
            gap = 0.0
            if not is_plain:
                gap = _gap(x, y, f[_CLEFT], f[_DISTANCE], own.retraction_um, coarse, fine)
                if gap >= 1:
                    tissue[r, c] = f[_CLEFT] <= 0
                    continue
            along, across = _fibre_frame(x, y, f, ways)
            if not is_plain:
                if f[_MUSCLE] > 0.1 * sample(fine, x / 4.0, y / 4.0):
                    level = muscle_od(x, y, along, across, own.fibre_contrast, fine)
                    h[r, c] = own.stroma_od * (1 - gap) * edge * level
                    d[r, c] = haze * (1 - gap) * edge
                    continue
                along *= 1.0 / own.fibre_scale
                across *= 1.0 / own.fibre_scale
            at = _Point(x, y, along, across, f[_LOOSE], gap)
            fibres = _fibres_at(at, fine)
            level = _collagen_od(at, fibres, is_plain, own, coarse, fine)
            h[r, c] = max(-0.01, level) * edge
            d[r, c] = haze * max(0.0, 0.7 + 0.3 * fibres.strand + 0.4 * at.loose) * edge
            if own.fibre_brown_od > 0:
                d[r, c] += _fibre_brown(own.fibre_brown_od, at, fibres, coarse) * (1 - gap) * edge


@nb.njit(cache=True, inline="always")
def _look_of(look: StromaLook, region: int) -> _Look:
    return _Look(
        look.stroma_haze_od[region],
        look.oedema[region],
        look.mesh_share[region],
        look.retraction_um[region],
        look.stroma_od[region],
        look.fibre_brown_od[region],
        look.fibre_scale[region],
        look.fibre_contrast[region],
    )


@nb.njit(cache=True)
def _fat_wall(x: float, y: float, coarse: NDArray[np.float32], fine: NDArray[np.float32]) -> float:
    """Return how much of a pixel the wall between two fat cells covers, 0–1."""
    wall = _adipocyte(x, y, coarse)
    w = 0.9 + 0.3 * sample(fine, x * 0.33, y * 0.33)
    return max(0.0, 1.0 - abs(wall) / max(0.3, w))


@nb.njit(cache=True)
def _fibre_frame(
    x: float,
    y: float,
    slow: NDArray[np.float64],
    ways: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[float, float]:
    """Return a place along and across the fibres, µm; `ways` are cosines and sines of both."""
    cs, sn = ways[0] if slow[_CHOSEN] < CHOICE else ways[1]
    along = x * cs + y * sn
    across = -x * sn + y * cs + slow[_BEND] + _CRIMP_UM * np.sin(along * 0.28 + slow[_PHASE])
    return along, across


@nb.njit(cache=True, inline="always")
def _fibres_at(at: _Point, fine: NDArray[np.float32]) -> _Fibres:
    strand = sample(fine, at.along * 0.08, at.across * 0.9)
    fibril = sample(fine, at.along * 0.16 + 91.0, at.across * 1.25 + 33.0)
    grain = sample(fine, at.x * 2.2, at.y * 2.2)
    # Fibres are the lines where noise stretched along them changes its sign: thin, long, wavy
    # and crisp.
    fibre = max(0.0, 1.0 - 2.6 * abs(strand)) * max(0.0, 0.8 + 0.7 * fibril)
    return _Fibres(strand, fibril, grain, fibre, max(0.0, 1.0 - 2.2 * abs(fibril)))


@nb.njit(cache=True, inline="always")
def _collagen_od(
    at: _Point,
    fibres: _Fibres,
    is_plain: bool,
    own: _Look,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> float:
    """Return the hematoxylin OD of collagen, with its clefts, specks and mesh."""
    x, y = at.x, at.y
    fibre, thin = fibres.fibre, fibres.thin
    opening = 2.1 - 2.6 * own.oedema - 0.55 * at.loose
    level = 0.024 * (1 + 0.35 * at.loose) + 0.055 * fibre + 0.022 * thin + 0.017 * fibres.grain
    if not is_plain:
        # Fibres that stand out have glass between them.
        over = own.fibre_contrast - 1.0
        level += over * (0.055 * fibre + 0.022 * thin - 0.018)
        opening -= 0.45 * over
    # Refractile spots: brighter than glass when sharp.
    speck = sample(fine, x * 1.1 + 60.0, y * 1.1 + 7.0)
    if speck > 1.0:
        level -= 0.035 * (speck - 1.0)
    cleft = sample(fine, at.along * 0.07 + 200.0, at.across * 0.6 + 60.0)
    if cleft > opening:
        # A cleft has a crisp border.
        level *= 1 - 0.93 * min(1.0, (cleft - opening) * 3.5)
    if own.mesh_share > 0:
        inside = mesh_at(x, y, own.mesh_share, coarse)
        netted = min(1.0, max(0.0, 0.5 + 2.5 * inside))
        if netted > 0:
            net = _mesh(x, y, own.fibre_scale, fibres.fibril, fibres.grain, fine)
            level += netted * (net - level)
    if not is_plain:
        level *= own.stroma_od * (1 - at.gap)
    return level


@nb.njit(cache=True)
def _fibre_brown(od: float, at: _Point, fibres: _Fibres, coarse: NDArray[np.float32]) -> float:
    """Return the DAB OD that fibres take up at a pixel; `od` is that of the region."""
    # Fibres take it up in places, and what lies between them a little.
    where = 0.15 + max(0.0, 0.6 * sample(coarse, at.x / 55.0 + 63.0, at.y / 55.0 + 18.0))
    held = fibres.fibre + 0.5 * fibres.thin + 0.25 * max(0.0, 1 + fibres.grain)
    return od * where * held


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
def _is_plain(look: StromaLook) -> bool:
    """Return whether no region asks for more than collagen and fat of the usual kind."""
    asked = (look.muscle_share != 0) | (look.cleft_share != 0) | (look.retraction_um != 0)
    changed = (look.stroma_od != 1) | (look.fibre_scale != 1) | (look.fibre_contrast != 1)
    return not (asked | changed).any()


@nb.njit(cache=True)
def _slow_values(
    lattice: Lattice, look: StromaLook, grid: Grid, coarse: NDArray[np.float32], n_values: int
) -> NDArray[np.float32]:
    """Return what changes slowly at each node, shape (R, C, `n_values`): `_DEPTH` and so on."""
    step, region = lattice.step, lattice.region
    rows, cols = region.shape
    out = np.empty((rows, cols, n_values), np.float32)
    for r in range(rows):
        y = (grid.y0 // step + r) * step * grid.mpp
        for c in range(cols):
            x = (grid.x0 // step + c) * step * grid.mpp
            q = region[r, c]
            out[r, c, _DEPTH] = lattice.depth[r, c]
            out[r, c, _FAT] = fat_at(x, y, look.fat_share[q], coarse)
            choice, bend, phase = flow_at(x, y, coarse)
            out[r, c, _CHOSEN], out[r, c, _BEND], out[r, c, _PHASE] = choice, bend, phase
            out[r, c, _LOOSE] = sample(coarse, x / 45.0 + 140.0, y / 45.0)
            if n_values == _N_ALL:
                out[r, c, _MUSCLE] = muscle_at(x, y, look.muscle_share[q], coarse)
                out[r, c, _CLEFT] = cleft_at(x, y, look.cleft_share[q], coarse)
                out[r, c, _DISTANCE] = lattice.distance[r, c]
    return out


@nb.njit(cache=True, inline="always")
def _between(
    slow: NDArray[np.float32], row: int, col: int, down: float, right: float, k: int
) -> float:
    """Return value `k` between four nodes, as `matter.between_nodes` does."""
    upper = slow[row, col, k] + right * (slow[row, col + 1, k] - slow[row, col, k])
    lower = slow[row + 1, col, k] + right * (slow[row + 1, col + 1, k] - slow[row + 1, col, k])
    value: float = upper + down * (lower - upper)
    return value


def region_values(regions: tuple[RegionRecipe, ...], name: str) -> NDArray[np.float64]:
    """Return one number of every region."""
    return np.array([getattr(region, name) for region in regions], dtype=np.float64)
