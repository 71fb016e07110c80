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
from her2path.synth.noise import stream
from her2path.synth.recipe import RegionRecipe, SlideRecipe

__all__ = [
    "LOBES",
    "WALL_FROM",
    "InclusionKind",
    "Inclusions",
    "inclusion_at",
    "nests_beside",
    "place_inclusions",
    "polar",
    "trig_of",
    "wave_um",
]

# How far outside its border an inclusion keeps nests away, µm: a nerve has its sheath.
_KEEP_UM = 4.0
# Steps along a radius of a nest that look for an inclusion: 1–3 µm each.
_N_STEPS = 48
# How far the lobes of an outline go beyond its ellipse.
LOBES = 1.15
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
        x, y, reach = self.shape[:, 0], self.shape[:, 1], LOBES * self.shape[:, 2] + _KEEP_UM
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
    # Of very many most find no place: only the others are looked through.
    placed = np.empty(len(shape), np.int64)
    n_placed = 0
    for i in range(len(shape)):
        is_clear = True
        for k in range(n_placed):
            j = placed[k]
            dx, dy = shape[i, 0] - shape[j, 0], shape[i, 1] - shape[j, 1]
            least = size[i] + size[j]
            if dx * dx + dy * dy < least * least:
                is_clear = False
                break
        if is_clear:
            kept[i] = True
            placed[n_placed] = i
            n_placed += 1
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
        trig = trig_of(shape[k])
        for i in range(x.size):
            far = polar(x[i], y[i], shape[k], trig)[0]
            if (far - 1) * shape[k, 3] < margin_um:
                out[i] = k
    return out


@nb.njit(cache=True)
def trig_of(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `polar` needs of an inclusion's direction and phase, computed once."""
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
def polar(
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


@nb.njit(cache=True)
def wave_um(along: float, phase: float) -> float:
    """Return how far a nerve's fibres swerve aside at a place along it, µm."""
    return 3.2 * np.sin(along / 4.9 + phase) + 5.0 * np.sin(along / 11.8 + 2 * phase)
