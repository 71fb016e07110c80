"""What inclusions are made of, under their nuclei: nerve, muscle, the ground of cell sheets."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.inclusions import (
    LOBES,
    InclusionKind,
    Inclusions,
    polar,
    trig_of,
    wave_um,
)
from her2path.synth.matter import between_nodes
from her2path.synth.noise import sample
from her2path.synth.stain_maps import Grid, Lattice, StainMaps, pixels_about
from her2path.synth.stroma import StromaLook, StromaNoise, muscle_od

__all__ = ["draw_inclusions"]


def draw_inclusions(
    maps: StainMaps,
    inclusions: Inclusions,
    near: NDArray[np.intp],
    lattice: Lattice,
    look: StromaLook,
    grid: Grid,
    noise: StromaNoise,
) -> None:
    """Draw the matter of inclusions over the stroma (in place); their nuclei come later.

    Parameters
    ----------
    maps : StainMaps
        Where it is drawn; nothing is but where the label is −1.
    inclusions, near :
        Of the slide, and those to draw.
    lattice : Lattice
        Depth in the tissue.
    look : StromaLook
        Of the stroma round them, whose haze and tone they share.
    grid : Grid
        Where the maps lie.
    noise : StromaNoise
        As for the stroma.
    """
    for k in near:
        region = inclusions.region[k]
        _draw(
            int(inclusions.kind[k]),
            inclusions.shape[k],
            float(look.stroma_haze_od[region]),
            float(look.stroma_od[region]),
            maps,
            lattice,
            grid,
            noise,
        )


class _Point(NamedTuple):
    """A pixel of an inclusion.

    Attributes
    ----------
    x, y : float
        Place, µm.
    far, cos, sin : float
        As `inclusions.polar` returns them.
    inside : float
        How far inside the ragged border, µm.
    """

    x: float
    y: float
    far: float
    cos: float
    sin: float
    inside: float


@nb.njit(cache=True)
def _draw(
    kind: int,
    shape: NDArray[np.float64],
    haze: float,
    tone: float,
    maps: StainMaps,
    lattice: Lattice,
    grid: Grid,
    noise: StromaNoise,
) -> None:
    """Draw one inclusion; `haze` and `tone` are DAB OD and factor of the stroma round it."""
    h, d = maps.h, maps.d
    x0, y0, mpp = grid
    rows, cols = h.shape
    step = lattice.step
    reach = LOBES * shape[2] + 4.0
    r_from, r_to, c_from, c_to = pixels_about(shape[0], shape[1], reach, x0, y0, mpp, rows, cols)
    half = shape[3]
    trig = trig_of(shape)
    for r in range(r_from, r_to + 1):
        y = (y0 + r + 0.5) * mpp
        lr = (y0 + r) // step - y0 // step
        tr = ((y0 + r) % step) / step
        for c in range(c_from, c_to + 1):
            if maps.label[r, c] != -1:
                continue
            x = (x0 + c + 0.5) * mpp
            far, ct, st = polar(x, y, shape, trig)
            if (far - 1) * half > 6.0:
                continue
            lc = (x0 + c) // step - x0 // step
            tc = ((x0 + c) % step) / step
            edge = min(1.0, between_nodes(lattice.depth, lr, lc, tr, tc) / 1.5)
            if edge <= 0:
                continue
            inside = (1 - far) * half + 0.8 * sample(noise.fine, x / 2.5 + 31.0, y / 2.5)
            cover = _cover(kind, inside)
            if cover <= 0:
                continue
            level = _matter(kind, _Point(x, y, far, ct, st, inside), shape, trig, noise)
            maps.tissue[r, c] = True
            h[r, c] += cover * (edge * tone * level - h[r, c])
            d[r, c] += cover * (edge * haze * min(1.0, 18.0 * level) - d[r, c])


@nb.njit(cache=True, inline="always")
def _cover(kind: int, inside: float) -> float:
    """Return how much of the stroma an inclusion covers (≤ 1) so far inside its border (µm)."""
    if kind == InclusionKind.NERVE:
        return min(1.0, (inside + 3.0) / 1.5)
    if kind == InclusionKind.WALL:
        return min(1.0, inside / 2.0)
    # Infiltrates and histiocytes have no sheath: they thin out.
    return min(0.9, inside / 14.0)


@nb.njit(cache=True, inline="always")
def _matter(
    kind: int,
    at: _Point,
    shape: NDArray[np.float64],
    trig: NDArray[np.float64],
    noise: StromaNoise,
) -> float:
    """Return the hematoxylin OD of an inclusion at a pixel."""
    if kind == InclusionKind.NERVE:
        return _nerve(at, shape, trig, noise)
    if kind == InclusionKind.WALL:
        return _wall(at, shape, noise)
    grain = sample(noise.fine, at.x / 0.9 + 12.0, at.y / 0.9)
    net = sample(noise.fine, at.x / 3.1 + 4.0, at.y / 3.1 + 70.0)
    return 0.028 * max(0.0, 1 + 0.5 * grain + 0.7 * net)


@nb.njit(cache=True)
def _nerve(
    at: _Point, shape: NDArray[np.float64], trig: NDArray[np.float64], noise: StromaNoise
) -> float:
    """Return the hematoxylin of a nerve: pale wavy fibres in a layered sheath with a cleft."""
    x, y, inside = at.x, at.y, at.inside
    coarse, fine = noise.coarse, noise.fine
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
def _wall(at: _Point, shape: NDArray[np.float64], noise: StromaNoise) -> float:
    """Return the hematoxylin of muscle that runs round a lumen, or round nothing."""
    far, half = at.far, shape[3]
    lumen = shape[6]
    if lumen > 0:
        if abs(far - lumen) < 0.15 * lumen + 3.0 / half:
            # An artery's inner border is pleated.
            theta = np.arctan2(at.sin, at.cos)
            lumen *= 1 + 0.05 * np.sin(15 * theta + shape[5]) + 0.04 * np.sin(7 * theta)
        within = (far - lumen) * half
        if within < 0:
            return 0.002
        if within < 1.3:
            return 0.12
        if within < 2.2:
            return 0.015
    # A circle in the noise: streaks close on themselves and wind outwards a little.
    along = half * at.cos + shape[5]
    across = far * half + 0.11 * half * at.sin
    # Bundles swerve, most of all where there is no lumen to hold them.
    swerve = sample(noise.coarse, at.x / 42.0 + 5.0, at.y / 42.0 + 260.0)
    across += (3.0 if lumen > 0 else 13.0) * swerve
    return muscle_od(at.x, at.y, along, across, 1.2, noise.fine)
