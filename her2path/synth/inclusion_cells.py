"""Cells of inclusions: Schwann cells, muscle, endothelium, lymphocytes, plasma, histiocytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.synth.cell_kinds import CellKind
from her2path.synth.inclusions import (
    WALL_FROM,
    InclusionKind,
    Inclusions,
    inclusion_at,
    wave_um,
)
from her2path.synth.layout import Nest, tissue_depth
from her2path.synth.noise import stream
from her2path.synth.nuclei import EDGE_UM, NUCLEUS_OD, Nuclei
from her2path.synth.recipe import RegionRecipe, SlideRecipe
from her2path.synth.stroma_cells import StromaCells, clear_of_nests, join_stroma, near_one

__all__ = ["inclusion_cells"]

Rng = np.random.Generator

# How deep in the tissue nuclei lie at least, µm.
_EDGE_UM = 4.0
# Distance between nuclei along and across the fibres, or in a sheet, µm.
_NERVE_PITCH_UM = (20.0, 11.0)
_MUSCLE_PITCH_UM = (15.0, 9.0)
_LYMPHOCYTE_PITCH_UM = 7.2
_HISTIOCYTE_PITCH_UM = 14.0


def inclusion_cells(
    recipe: SlideRecipe,
    inclusions: Inclusions,
    nests: list[Nest],
    bounds: tuple[float, float, float, float],
    *,
    seed: int,
) -> StromaCells:
    """Return the cells of all inclusions whose nuclei lie in a block.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    inclusions : Inclusions
        Of the slide.
    nests : list of Nest
        All nests that may reach into the block: their places are taken.
    bounds : tuple (left, top, right, bottom)
        The block, µm.
    seed : int
        Seed of the scene.
    """
    near = inclusions.near(bounds)
    left, top, right, bottom = bounds
    parts = []
    for k in near:
        # An inclusion has its cells from a stream of its own, whatever block asks.
        rng = stream(seed, 54, int(k))
        region = recipe.all_regions[inclusions.region[k]]
        made = _MAKERS[InclusionKind(int(inclusions.kind[k]))](inclusions.shape[k], region, rng)
        x, y = made.nuclei.x, made.nuclei.y
        own = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        own &= inclusion_at(x, y, inclusions, near) == k
        own &= clear_of_nests(x, y, nests, np.full(len(x), 2.5))
        own &= tissue_depth(x, y, recipe, seed=seed) > _EDGE_UM
        part = made.select(own)
        part.region[:] = inclusions.region[k]
        parts.append(part)
    return join_stroma(parts)


def _nerve(shape: NDArray[np.float64], region: RegionRecipe, rng: Rng) -> StromaCells:
    """Return wavy Schwann nuclei along the fibres and flat ones in the sheath."""
    long_um, half = shape[2], shape[3]
    u, v = _lattice(long_um, half, _NERVE_PITCH_UM, rng)
    far = np.hypot(u / long_um, v / half)
    inner = far < 1 - 7.0 / half
    u, v = u[inner], v[inner]
    v = v - wave_um(u, shape[5])
    slope = (wave_um(u + 1.0, shape[5]) - wave_um(u - 1.0, shape[5])) / 2.0
    n = len(u)
    # Cut across, fibres and nuclei are short.
    short = np.clip(2.2 - long_um / half, 0, 1)
    a = (7.0 - 3.2 * short) * near_one(rng, n)
    x, y = _placed(u, v, shape)
    fibres = _cells(
        CellKind.NERVE,
        x,
        y,
        a,
        np.minimum(1.35 * near_one(rng, n), a),
        shape[4] - np.arctan(slope) + rng.normal(0, 0.12 + 0.55 * short, n),
        h_od=0.17 * region.stroma_od**0.5 * near_one(rng, n, 0.2),
        vesicular=0.2,
        rng=rng,
    )
    around = int(2 * math.pi * math.sqrt((long_um**2 + half**2) / 2) / 26)
    theta = rng.uniform(0, 2 * math.pi, around)
    depth = 1 - rng.uniform(1.5, 5.0, around) / half
    u, v = depth * long_um * np.cos(theta), depth * half * np.sin(theta)
    x, y = _placed(u, v, shape)
    tangent = np.arctan2(half * np.cos(theta), -long_um * np.sin(theta))
    sheath = _cells(
        CellKind.STROMA,
        x,
        y,
        6.5 * near_one(rng, around),
        np.full(around, 0.9),
        shape[4] + tangent,
        h_od=0.18 * region.stroma_od**0.5 * near_one(rng, around, 0.2),
        vesicular=0.0,
        rng=rng,
    )
    return join_stroma([fibres, sheath])


def _wall(shape: NDArray[np.float64], region: RegionRecipe, rng: Rng) -> StromaCells:
    """Return rods of muscle round a lumen or a centre, and endothelium on the lumen."""
    long_um, half, lumen = shape[2], shape[3], shape[6]
    u, v = _lattice(long_um, half, _MUSCLE_PITCH_UM, rng)
    far = np.hypot(u / long_um, v / half)
    inside = (far < 0.97) & (far > lumen + (5.0 / half if lumen > 0 else 0.0))
    u, v = u[inside], v[inside]
    theta = np.arctan2(v / half, u / long_um)
    x, y = _placed(u, v, shape)
    n = len(u)
    tangent = np.arctan2(half * np.cos(theta), -long_um * np.sin(theta))
    # Some bundles are cut across: round nuclei.
    is_across = rng.random(n) < 0.15
    muscle = _cells(
        CellKind.STROMA,
        x,
        y,
        np.where(is_across, 2.2, 7.5 * near_one(rng, n)),
        np.where(is_across, 2.0, 1.7),
        shape[4] + tangent + rng.normal(0, 0.2, n),
        h_od=0.145 * region.stroma_od**0.5 * near_one(rng, n, 0.2),
        vesicular=0.2,
        rng=rng,
    )
    if lumen < WALL_FROM:
        return muscle
    around = int(2 * math.pi * lumen * math.sqrt((long_um**2 + half**2) / 2) / 14)
    theta = rng.uniform(0, 2 * math.pi, around)
    u, v = lumen * long_um * np.cos(theta), lumen * half * np.sin(theta)
    x, y = _placed(u, v, shape)
    lining = _cells(
        CellKind.ENDOTHELIUM,
        x,
        y,
        4.2 * near_one(rng, around),
        np.full(around, 1.3),
        shape[4] + np.arctan2(half * np.cos(theta), -long_um * np.sin(theta)),
        h_od=0.19 * region.stroma_od**0.5 * near_one(rng, around, 0.2),
        vesicular=0.0,
        rng=rng,
    )
    return join_stroma([muscle, lining])


def _infiltrate(shape: NDArray[np.float64], region: RegionRecipe, rng: Rng) -> StromaCells:
    """Return lymphocytes and plasma cells close together; some hold diffuse brown."""
    # From a loose scatter to a follicle; from lymphocytes alone to plasma cells alone.
    pitch = _LYMPHOCYTE_PITCH_UM * rng.uniform(0.85, 1.3)
    plasma_share = rng.uniform(0, 1) ** 1.5
    x, y = _sheet(shape, pitch, 12.0, rng)
    n = len(x)
    is_plasma = rng.random(n) < plasma_share
    a = np.where(is_plasma, rng.normal(3.1, 0.25, n), rng.normal(2.75, 0.28, n))
    # A germinal centre's cells are larger and paler than its mantle's.
    is_blast = rng.random(n) < rng.uniform(0, 0.25)
    a = np.where(is_blast, 1.35 * a, a)
    is_brown = rng.random(n) < rng.uniform(0.2, 1.0)
    size = np.where(is_plasma, 1.75, rng.uniform(1.1, 1.55, n))
    tone = (region.nucleus_od / NUCLEUS_OD) ** 0.5
    return _cells(
        np.where(is_plasma, CellKind.PLASMA, CellKind.LYMPHOCYTE),
        x,
        y,
        a,
        a * rng.uniform(0.8, 1.0, n),
        rng.uniform(0, math.pi, n),
        h_od=tone * np.where(is_blast, 0.14, 0.27) * near_one(rng, n, 0.18),
        vesicular=np.where(is_blast, 0.6, 0.05),
        clumping=region.stroma_mottle * np.where(is_plasma, 0.45, 0.30),
        body=(size * a, 0.88 * size * a),
        # A plasma cell's nucleus lies at one end of it.
        body_off_um=np.where(is_plasma, 0.55 * a, 0.0),
        body_h_od=np.where(is_plasma, 0.10, 0.06) * rng.uniform(0.4, 1.3),
        body_dab_od=np.where(is_brown, region.infiltrate_brown_od, 0.0) * near_one(rng, n, 0.4),
        rng=rng,
    )


def _histiocytes(shape: NDArray[np.float64], region: RegionRecipe, rng: Rng) -> StromaCells:
    """Return large pale cells with oval, folded nuclei in a sheet."""
    pitch = _HISTIOCYTE_PITCH_UM * rng.uniform(0.85, 1.4)
    x, y = _sheet(shape, pitch, 10.0, rng)
    n = len(x)
    a = 4.6 * near_one(rng, n, 0.15)
    size = 0.5 * pitch * rng.uniform(0.85, 1.15, n)
    tone = (region.nucleus_od / NUCLEUS_OD) ** 0.5
    is_brown = rng.random(n) < rng.uniform(0, 1.0)
    return _cells(
        CellKind.HISTIOCYTE,
        x,
        y,
        a,
        a * rng.uniform(0.5, 0.9, n),
        rng.uniform(0, math.pi, n),
        h_od=tone * 0.12 * near_one(rng, n, 0.2),
        vesicular=rng.uniform(0.4, 0.9, n),
        nucleoli=rng.choice(3, n, p=[0.5, 0.4, 0.1]),
        body=(1.12 * size, 0.95 * size),
        body_off_um=rng.uniform(0, 0.25, n) * size,
        body_h_od=rng.uniform(0.02, 0.08) * near_one(rng, n, 0.25),
        # Their cytoplasm is foam: it holds less than that of plasma cells.
        body_dab_od=np.where(is_brown, 0.5 * region.infiltrate_brown_od, 0.0)
        * near_one(rng, n, 0.4),
        rng=rng,
    )


_MAKERS = {
    InclusionKind.NERVE: _nerve,
    InclusionKind.WALL: _wall,
    InclusionKind.INFILTRATE: _infiltrate,
    InclusionKind.HISTIOCYTES: _histiocytes,
}


def _cells(
    kind: CellKind | NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    angle: NDArray[np.float64],
    *,
    h_od: NDArray[np.float64],
    vesicular: NDArray[np.float64] | float,
    rng: Rng,
    clumping: NDArray[np.float64] | float = 0.22,
    nucleoli: NDArray[np.int64] | int = 0,
    body: tuple[NDArray[np.float64] | float, NDArray[np.float64] | float] = (0.0, 0.0),
    body_off_um: NDArray[np.float64] | float = 0.0,
    body_h_od: NDArray[np.float64] | float = 0.0,
    body_dab_od: NDArray[np.float64] | float = 0.0,
) -> StromaCells:
    """Return cells of region 0 with nuclei of half axes `a` and `b`, and what else they show."""
    n = len(x)

    def each(values: ArrayLike, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(values), (n,)).astype(dtype)

    long_um, short_um = body
    return StromaCells(
        kind=each(kind, np.uint8),
        region=np.zeros(n, np.int32),
        nuclei=Nuclei(
            x=x,
            y=y,
            a_um=each(np.maximum(a, b)),
            b_um=each(np.minimum(a, b)),
            angle=each(angle),
            h_od=each(np.clip(h_od, 0.03, 0.9)),
            vesicular=each(vesicular),
            clumping=each(clumping),
            nucleoli=each(nucleoli, np.uint8),
            phase=rng.uniform(0, 512, n).astype(np.float32),
            edge_um=np.full(n, EDGE_UM),
        ),
        body_off_um=each(body_off_um, np.float64),
        body_a_um=each(long_um),
        body_b_um=each(short_um),
        body_h_od=each(body_h_od, np.float64),
        body_dab_od=each(body_dab_od, np.float64),
    )


def _lattice(
    long_um: float, half: float, pitch: tuple[float, float], rng: Rng
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return jittered places in an ellipse's own frame, along and across it, µm."""
    steps = [
        np.arange(-math.ceil(s / p), math.ceil(s / p) + 1)
        for s, p in zip((1.15 * long_um, 1.15 * half), pitch, strict=True)
    ]
    a, b = np.meshgrid(*steps)
    u = (a + 0.5 * (b % 2) + rng.uniform(-0.3, 0.3, a.shape)) * pitch[0]
    v = (b + rng.uniform(-0.3, 0.3, a.shape)) * pitch[1]
    inside = np.hypot(u / long_um, v / half) < 1.15
    return u[inside], v[inside]


def _sheet(
    shape: NDArray[np.float64], pitch_um: float, fringe_um: float, rng: Rng
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places (µm on the slide) of a sheet of cells that thins out over its fringe."""
    u, v = _lattice(shape[2], shape[3], (pitch_um, pitch_um), rng)
    density = (1 - np.hypot(u / shape[2], v / shape[3])) * shape[3] / fringe_um
    kept = rng.random(len(u)) < np.clip(density, 0, 0.95)
    return _placed(u[kept], v[kept], shape)


def _placed(
    u: NDArray[np.float64], v: NDArray[np.float64], shape: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    c, s = math.cos(shape[4]), math.sin(shape[4])
    return shape[0] + c * u - s * v, shape[1] + s * u + c * v
