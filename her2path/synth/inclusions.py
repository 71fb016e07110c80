"""What lies in the stroma and is no tumor: nerves, muscular walls, infiltrates, histiocytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.layout import (
    N_RADII,
    Nest,
    nests_of_block,
    region_at,
    rounded,
    tissue_depth,
)
from her2path.synth.noise import sample, stream
from her2path.synth.recipe import RegionRecipe, SlideRecipe
from her2path.synth.stain_maps import StainMaps
from her2path.synth.stroma import StromaNoise, muscle_od

__all__ = [
    "WALL_FROM",
    "InclusionKind",
    "Inclusions",
    "draw_inclusions",
    "inclusion_at",
    "nests_beside",
    "place_inclusions",
]

# How far outside its border an inclusion keeps nests away, µm: a nerve has its sheath.
_KEEP_UM = 4.0
# Steps along a radius of a nest that look for an inclusion: 1–3 µm each.
_N_STEPS = 48
# How far the lobes of an outline go beyond its ellipse.
_LOBES = 1.15
# From this lumen on (share of the radius) a muscular inclusion is the wall of a vessel.
WALL_FROM = 0.05


class InclusionKind(IntEnum):
    """What an inclusion is."""

    NERVE = 0
    WALL = 1
    INFILTRATE = 2
    HISTIOCYTES = 3


# Field of the recipe, least and largest half width (µm), largest length over width. Nerves are
# 60–300 µm across.
_KINDS = {
    InclusionKind.NERVE: ("nerves_per_mm2", 30.0, 110.0, 2.8),
    InclusionKind.WALL: ("walls_per_mm2", 25.0, 120.0, 1.9),
    InclusionKind.INFILTRATE: ("infiltrates_per_mm2", 25.0, 130.0, 2.5),
    InclusionKind.HISTIOCYTES: ("histiocytes_per_mm2", 25.0, 90.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class Inclusions:
    """Inclusions of a slide: lobed ellipses; where two meet, the later lies on top.

    Attributes
    ----------
    kind : ndarray of shape (n,), int64
        As `InclusionKind`.
    region : ndarray of shape (n,), int64
        Region of the recipe.
    shape : ndarray of shape (n, 7), float64
        Centre x, y, half length, half width (µm), direction (radians clockwise from +x), a
        phase 0–512 that picks the inclusion's own lobes and noise, and the lumen's share of the
        radius.
    """

    kind: NDArray[np.int64]
    region: NDArray[np.int64]
    shape: NDArray[np.float64]

    def near(self, frame: tuple[float, float, float, float]) -> NDArray[np.intp]:
        """Return which inclusions may reach into a rectangle (left, top, right, bottom; µm)."""
        x, y, reach = self.shape[:, 0], self.shape[:, 1], _LOBES * self.shape[:, 2] + _KEEP_UM
        left, top, right, bottom = frame
        return np.flatnonzero(
            (x + reach > left) & (x - reach < right) & (y + reach > top) & (y - reach < bottom)
        )


# A recipe's inclusions are asked for by every block.
@lru_cache(maxsize=8)
def place_inclusions(recipe: SlideRecipe, *, seed: int) -> Inclusions:
    """Scatter the inclusions that a recipe asks for over its tissue, as many as find place."""
    area_mm2 = recipe.width_um * recipe.height_um / 1e6
    kinds, regions, shapes = [], [], []
    for position, entry in enumerate(recipe.all_regions):
        for kind, (name, least, most, longest) in _KINDS.items():
            density = getattr(entry, name)
            if density <= 0:
                continue
            rng = stream(seed, 26, position, kind)
            n = int(rng.poisson(density * area_mm2))
            x, y, size, aspect, angle, phase, lumen = rng.random((7, n))
            x, y = x * recipe.width_um, y * recipe.height_um
            half = least * (most / least) ** size
            seen = (region_at(x, y, recipe) == position) & (
                tissue_depth(x, y, recipe, seed=seed) > 0.5 * half
            )
            shape = np.column_stack(
                [
                    x,
                    y,
                    half * longest**aspect,
                    half,
                    math.pi * angle,
                    512 * phase,
                    # Every third wall is a whorl: muscle without a lumen.
                    np.where(lumen < 1 / 3, 0.0, 0.10 + 0.45 * lumen),
                ]
            )[seen]
            shapes.append(shape)
            kinds.append(np.full(len(shape), kind, np.int64))
            regions.append(np.full(len(shape), position, np.int64))
    if not shapes:
        return Inclusions(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 7)))
    shape = np.concatenate(shapes)
    # In random order, so that no kind takes the place of the others.
    order = np.argsort(shape[:, 5], kind="stable")
    order = order[_apart(shape[order])]
    return Inclusions(np.concatenate(kinds)[order], np.concatenate(regions)[order], shape[order])


@nb.njit(cache=True)
def _apart(shape: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which inclusions lie clear of all earlier ones that do, about."""
    kept = np.zeros(len(shape), np.bool_)
    size = np.sqrt(shape[:, 2] * shape[:, 3])
    for i in range(len(shape)):
        kept[i] = True
        for j in range(i):
            if not kept[j]:
                continue
            dx, dy = shape[i, 0] - shape[j, 0], shape[i, 1] - shape[j, 1]
            least = size[i] + size[j]
            if dx * dx + dy * dy < least * least:
                kept[i] = False
                break
    return kept


def nests_beside(recipe: SlideRecipe, column: int, row: int, *, seed: int) -> list[Nest]:
    """Return the nests of a block, cut where they meet an inclusion."""
    nests = nests_of_block(recipe, column, row, seed=seed)
    inclusions = place_inclusions(recipe, seed=seed)
    if len(inclusions.kind) == 0:
        return nests
    kept = (_beside(nest, inclusions, recipe.all_regions) for nest in nests)
    return [nest for nest in kept if nest is not None]


def _beside(nest: Nest, inclusions: Inclusions, regions: tuple[RegionRecipe, ...]) -> Nest | None:
    largest = float(nest.radii.max())
    frame = (nest.x - largest, nest.y - largest, nest.x + largest, nest.y + largest)
    near = inclusions.near(frame)
    if len(near) == 0:
        return nest
    steps = np.linspace(0.0, 1.0, _N_STEPS)
    angle = np.arange(N_RADII) * (2 * math.pi / N_RADII)
    x = nest.x + np.outer(steps, nest.radii * np.cos(angle))
    y = nest.y + np.outer(steps, nest.radii * np.sin(angle))
    hit = inclusion_at(x.ravel(), y.ravel(), inclusions, near, margin_um=_KEEP_UM) >= 0
    free = np.cumprod(~hit.reshape(x.shape), axis=0).sum(axis=0) / _N_STEPS
    if free.min() == 1:
        return nest
    radii = nest.radii * free
    if nest.is_smooth:
        radii = np.minimum(rounded(radii), radii + 2.0)
    if radii.mean() < 1.2 * regions[nest.region].cell_um:
        return None
    return replace(nest, radii=radii)


def inclusion_at(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    inclusions: Inclusions,
    near: NDArray[np.intp],
    *,
    margin_um: float = 0.0,
) -> NDArray[np.int64]:
    """Return the topmost inclusion among `near` that holds each point, −1 = none.

    Parameters
    ----------
    x, y : ndarray of shape (p,), float64
        Points, µm.
    inclusions : Inclusions
        Of the slide.
    near : ndarray of shape (k,), intp
        Those that may matter.
    margin_um : float
        How far outside a border still counts as inside.
    """
    return _topmost(x, y, inclusions.shape, near, margin_um)


@nb.njit(cache=True)
def _topmost(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: NDArray[np.float64],
    near: NDArray[np.intp],
    margin_um: float,
) -> NDArray[np.int64]:
    out = np.full(x.size, -1, np.int64)
    for k in near:
        trig = _trig(shape[k])
        for i in range(x.size):
            far = _polar(x[i], y[i], shape[k], trig)[0]
            if (far - 1) * shape[k, 3] < margin_um:
                out[i] = k
    return out


@nb.njit(cache=True)
def _trig(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `_polar` needs of an inclusion's direction and phase, computed once."""
    p = shape[5]
    return np.array(
        [
            np.cos(shape[4]),
            np.sin(shape[4]),
            0.07 * np.cos(p),
            -0.07 * np.sin(p),
            0.04 * np.cos(2 * p),
            -0.04 * np.sin(2 * p),
            0.03 * np.cos(3 * p),
            -0.03 * np.sin(3 * p),
        ]
    )


@nb.njit(cache=True)
def _polar(
    x: float, y: float, shape: NDArray[np.float64], trig: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return the share of the way to the border (1 = on it), cosine and sine of the direction.

    Far outside the lobes are left out: nobody asks for them there.
    """
    dx, dy = x - shape[0], y - shape[1]
    u = (dx * trig[0] + dy * trig[1]) / shape[2]
    v = (dy * trig[0] - dx * trig[1]) / shape[3]
    r = np.sqrt(u * u + v * v)
    if r > 1.6 or r < 1e-6:
        return r, 1.0, 0.0
    c, s = u / r, v / r
    # Cosines and sines of two, three and five times the direction.
    c2, s2 = c * c - s * s, 2 * c * s
    c3, s3 = c2 * c - s2 * s, s2 * c + c2 * s
    c5, s5 = c3 * c2 - s3 * s2, s3 * c2 + c3 * s2
    lobes = trig[2] * c2 + trig[3] * s2 + trig[4] * c3 + trig[5] * s3 + trig[6] * c5 + trig[7] * s5
    return r / (1 + lobes), c, s


def draw_inclusions(
    maps: StainMaps,
    inclusions: Inclusions,
    near: NDArray[np.intp],
    depth: NDArray[np.float32],
    step: int,
    haze: NDArray[np.float64],
    tone: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    noise: StromaNoise,
) -> None:
    """Draw the matter of inclusions over the stroma (in place); their nuclei come later.

    Parameters
    ----------
    maps : StainMaps
        Where it is drawn; nothing is but where the label is −1.
    inclusions, near :
        Of the slide, and those to draw.
    depth : ndarray, float32
        Depth in the tissue (µm) on a lattice of `step` pixels.
    haze, tone : ndarray of shape (regions,), float64
        DAB OD of the stroma and factor on its hematoxylin, of each region.
    x0, y0, mpp :
        First pixel of the maps and µm/px.
    """
    for k in near:
        _draw(
            maps.h,
            maps.d,
            maps.tissue,
            maps.label,
            depth,
            step,
            int(inclusions.kind[k]),
            inclusions.shape[k],
            float(haze[inclusions.region[k]]),
            float(tone[inclusions.region[k]]),
            x0,
            y0,
            mpp,
            noise.coarse,
            noise.fine,
        )


@nb.njit(cache=True)
def _draw(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    label: NDArray[np.int32],
    depth: NDArray[np.float32],
    step: int,
    kind: int,
    shape: NDArray[np.float64],
    haze: float,
    tone: float,
    x0: int,
    y0: int,
    mpp: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    rows, cols = h.shape
    reach = 1.15 * shape[2] + 4.0
    r_from = max(0, int((shape[1] - reach) / mpp) - y0)
    r_to = min(rows - 1, int((shape[1] + reach) / mpp) - y0 + 1)
    c_from = max(0, int((shape[0] - reach) / mpp) - x0)
    c_to = min(cols - 1, int((shape[0] + reach) / mpp) - x0 + 1)
    half = shape[3]
    trig = _trig(shape)
    for r in range(r_from, r_to + 1):
        y = (y0 + r + 0.5) * mpp
        lr = (y0 + r) // step - y0 // step
        tr = ((y0 + r) % step) / step
        for c in range(c_from, c_to + 1):
            if label[r, c] != -1:
                continue
            x = (x0 + c + 0.5) * mpp
            far, ct, st = _polar(x, y, shape, trig)
            if (far - 1) * half > 6.0:
                continue
            lc = (x0 + c) // step - x0 // step
            tc = ((x0 + c) % step) / step
            upper = depth[lr, lc] + tc * (depth[lr, lc + 1] - depth[lr, lc])
            lower = depth[lr + 1, lc] + tc * (depth[lr + 1, lc + 1] - depth[lr + 1, lc])
            edge = min(1.0, (upper + tr * (lower - upper)) / 1.5)
            if edge <= 0:
                continue
            # How far inside the border, µm; the border itself is ragged.
            inside = (1 - far) * half + 0.8 * sample(fine, x / 2.5 + 31.0, y / 2.5)
            if kind == 0:
                if inside < -3.0:
                    continue
                level = _nerve(x, y, inside, shape, trig, coarse, fine)
                cover = min(1.0, (inside + 3.0) / 1.5)
            elif kind == 1:
                if inside < 0:
                    continue
                level = _wall(x, y, far, ct, st, shape, coarse, fine)
                cover = min(1.0, inside / 2.0)
            else:
                # Infiltrates and histiocytes have no sheath: they thin out.
                cover = min(0.9, inside / 14.0)
                if cover <= 0:
                    continue
                grain = sample(fine, x / 0.9 + 12.0, y / 0.9)
                net = sample(fine, x / 3.1 + 4.0, y / 3.1 + 70.0)
                level = 0.028 * max(0.0, 1 + 0.5 * grain + 0.7 * net)
            tissue[r, c] = True
            h[r, c] += cover * (edge * tone * level - h[r, c])
            d[r, c] += cover * (edge * haze * min(1.0, 18.0 * level) - d[r, c])


@nb.njit(cache=True)
def wave_um(along: float, phase: float) -> float:
    """Return how far a nerve's fibres swerve aside at a place along it, µm."""
    return 3.2 * np.sin(along / 4.9 + phase) + 5.0 * np.sin(along / 11.8 + 2 * phase)


@nb.njit(cache=True)
def _nerve(
    x: float,
    y: float,
    inside: float,
    shape: NDArray[np.float64],
    trig: NDArray[np.float64],
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> float:
    """Return the hematoxylin of a nerve: pale wavy fibres in a layered sheath with a cleft."""
    grain = sample(fine, x * 2.2, y * 2.2)
    if inside < 0:
        # The sheath has shrunk away from the stroma here and there.
        gap = sample(coarse, x / 40.0 + 7.0, y / 40.0 + 140.0)
        return 0.045 if gap < 0.2 else 0.002
    if inside < 6.0:
        lamella = abs(np.sin(1.9 * inside + 0.6 * sample(fine, x / 5.0, y / 5.0 + 90.0)))
        return 0.030 + 0.075 * max(0.0, lamella - 0.45) + 0.010 * grain
    dx, dy = x - shape[0], y - shape[1]
    along, across = dx * trig[0] + dy * trig[1], dy * trig[0] - dx * trig[1]
    across += wave_um(along, shape[5]) + 2.0 * sample(coarse, x / 22.0, y / 22.0 + 55.0)
    # A nerve cut across shows its fibres shorter.
    shorter = 2.2 - 1.4 * min(1.0, shape[2] / shape[3] - 1.0)
    strand = sample(fine, along * 0.05 * shorter + shape[5], across * 0.55)
    thread = sample(fine, along * 0.11 * shorter + 33.0, across * 1.2 + 60.0)
    level = 0.040 + 0.016 * strand + 0.030 * max(0.0, 1.0 - 2.4 * abs(thread)) + 0.008 * grain
    # Myelin has gone: clear bubbles along the fibres.
    bubble = sample(fine, along * 0.22 * shorter + 90.0, across * 0.36 + 13.0)
    if bubble > 0.9:
        level *= 1 - 0.8 * min(1.0, 2.0 * (bubble - 0.9))
    return max(0.0, level)


@nb.njit(cache=True)
def _wall(
    x: float,
    y: float,
    far: float,
    ct: float,
    st: float,
    shape: NDArray[np.float64],
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> float:
    """Return the hematoxylin of muscle that runs round a lumen, or round nothing."""
    half = shape[3]
    lumen = shape[6]
    if lumen > 0:
        if abs(far - lumen) < 0.15 * lumen + 3.0 / half:
            # An artery's inner border is pleated.
            theta = np.arctan2(st, ct)
            lumen *= 1 + 0.05 * np.sin(15 * theta + shape[5]) + 0.04 * np.sin(7 * theta)
        within = (far - lumen) * half
        if within < 0:
            return 0.002
        if within < 1.3:
            return 0.12
        if within < 2.2:
            return 0.015
    # A circle in the noise: streaks close on themselves and wind outwards a little.
    along = half * ct + shape[5]
    across = far * half + 0.11 * half * st
    # Bundles swerve, most of all where there is no lumen to hold them.
    swerve = sample(coarse, x / 42.0 + 5.0, y / 42.0 + 260.0)
    across += (3.0 if lumen > 0 else 13.0) * swerve
    return muscle_od(x, y, along, across, 1.2, fine)
