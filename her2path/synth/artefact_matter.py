"""What artefacts do to the stain: folds, pen, bubbles, dust, defocus, pigment, stained edges."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.artefacts import ArtefactKind, Placed
from her2path.synth.noise import sample
from her2path.synth.stain_maps import Grid, Lattice, StainMaps
from her2path.synth.stroma import StromaNoise

__all__ = ["draw_artefacts"]


def draw_artefacts(
    placed: Placed, maps: StainMaps, lattice: Lattice, grid: Grid, noise: StromaNoise
) -> None:
    """Draw artefacts over what is there (in place), in the order in which they were placed.

    Parameters
    ----------
    placed : Placed
        Of the slide.
    maps : StainMaps
        Where they are drawn.
    lattice : Lattice
        Depth in the tissue, for what its edge takes up.
    grid : Grid
        Where the maps lie.
    noise : StromaNoise
        Makes their borders ragged.
    """
    if placed.edge_od > 0:
        _stain_edge(maps, lattice, grid, placed.edge_od)
    _draw(placed.kind, placed.place, maps, grid, noise)


@nb.njit(cache=True)
def _stain_edge(maps: StainMaps, lattice: Lattice, grid: Grid, od: float) -> None:
    """Stain the edge of the tissue brown, most at the border."""
    d, step = maps.d, lattice.step
    rows, cols = d.shape
    for r in range(rows):
        lr = (grid.y0 + r) // step - grid.y0 // step
        for c in range(cols):
            if not maps.tissue[r, c]:
                continue
            deep = lattice.depth[lr, (grid.x0 + c) // step - grid.x0 // step]
            if deep < 60:
                d[r, c] += od * np.exp(-max(deep, np.float32(0)) / 18.0)


@nb.njit(cache=True)
def _draw(
    kind: NDArray[np.int64],
    place: NDArray[np.float64],
    maps: StainMaps,
    grid: Grid,
    noise: StromaNoise,
) -> None:
    for k in range(kind.size):
        what = kind[k]
        spot = _spot_of(k, place[k], maps.h.shape, grid)
        if what == ArtefactKind.FOLD:
            _draw_fold(spot, maps, grid, noise)
        elif what == ArtefactKind.PEN:
            _draw_pen(spot, maps, grid, noise)
        elif what == ArtefactKind.BUBBLE:
            _draw_bubble(spot, maps, grid)
        elif what == ArtefactKind.DUST:
            _draw_dust(spot, maps, grid, noise)
        elif what == ArtefactKind.DEBRIS:
            _draw_debris(spot, maps, grid, noise)
        elif what == ArtefactKind.BLUR:
            _draw_blur(spot, maps, grid)
        elif what == ArtefactKind.PIGMENT:
            _draw_pigment(spot, maps, grid)
        elif what == ArtefactKind.RED_CELLS:
            _draw_vessel(spot, maps, grid, noise)
        elif what == ArtefactKind.CRUSH:
            _draw_crush(spot, maps, grid, noise)
        else:
            _draw_tear(spot, maps, grid, noise)


class _Spot(NamedTuple):
    """An artefact, its direction, and the pixels that it may reach.

    Attributes
    ----------
    k : int
        Its rank among those of the slide: picks its own noise.
    x, y, long_um, short_um : float
        Centre and half axes, µm.
    cos, sin : float
        Of its direction.
    strength : float
        0.5–1.
    r_from, r_to, c_from, c_to : int
        Rows and columns of the maps, the last ones excluded.
    """

    k: int
    x: float
    y: float
    long_um: float
    short_um: float
    cos: float
    sin: float
    strength: float
    r_from: int
    r_to: int
    c_from: int
    c_to: int


@nb.njit(cache=True)
def _spot_of(k: int, place: NDArray[np.float64], shape: tuple[int, int], grid: Grid) -> _Spot:
    x, y, long_um, short_um, angle, strength = place
    reach = 1.3 * max(long_um, short_um) + 12.0
    return _Spot(
        k,
        x,
        y,
        long_um,
        short_um,
        np.cos(angle),
        np.sin(angle),
        strength,
        max(0, int((y - reach) / grid.mpp) - grid.y0),
        min(shape[0], int((y + reach) / grid.mpp) - grid.y0),
        max(0, int((x - reach) / grid.mpp) - grid.x0),
        min(shape[1], int((x + reach) / grid.mpp) - grid.x0),
    )


@nb.njit(cache=True)
def _along_across(spot: _Spot, grid: Grid, r: int, c: int) -> tuple[float, float]:
    """Return where a pixel lies along and across an artefact, µm from its centre."""
    dx = (grid.x0 + c + 0.5) * grid.mpp - spot.x
    dy = (grid.y0 + r + 0.5) * grid.mpp - spot.y
    return dx * spot.cos + dy * spot.sin, -dx * spot.sin + dy * spot.cos


@nb.njit(cache=True)
def _oval(u: float, v: float, spot: _Spot) -> float:
    """Return how deep a place lies in an artefact's oval: 1 in the middle, < 0 outside."""
    depth: float = 1.0 - (u / spot.long_um) ** 2 - (v / spot.short_um) ** 2
    return depth


@nb.njit(cache=True)
def _draw_fold(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Double the tissue in a strip with a dark crest and a soft border."""
    h, d, neutral = maps.h, maps.d, maps.neutral
    k, long_um, short_um = spot.k, spot.long_um, spot.short_um
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            v += 0.35 * short_um * sample(noise.coarse, u / 45.0 + k, 3.7 * k)
            v += 0.2 * long_um * np.sin(u / long_um * 1.4 + k)
            if abs(u) > long_um or abs(v) > short_um or not maps.tissue[r, c]:
                continue
            taper = min(1.0, (long_um - abs(u)) / 30.0)
            t = max(0.0, 1.0 - (v / (short_um * max(0.05, taper))) ** 2)
            if t <= 0:
                continue
            g = min(1.0, 3.0 * t)
            h[r, c] += g * (0.9 * h[r, c] + 0.10)
            d[r, c] += g * (0.9 * d[r, c] + 0.03)
            crest = max(0.0, sample(noise.fine, u / 9.0, v / 2.0))
            neutral[r, c] += 0.05 * g + 0.12 * t * t * crest
            maps.blur_um[r, c] = max(maps.blur_um[r, c], 0.7 * g)
            maps.artefacts[r, c] = True


@nb.njit(cache=True)
def _draw_pen(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Draw a bent stroke of felt pen, streaked and darker along its rim: blue or black."""
    k, long_um, strength = spot.k, spot.long_um, spot.strength
    is_blue = k % 2 == 0
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            v += 0.12 * long_um * np.sin(u / long_um * 2.0 + k)
            edge = spot.short_um * (1 + 0.05 * sample(noise.coarse, u / 12.0, 5.0 * k))
            if abs(u) > long_um or abs(v) > edge:
                continue
            streak = 1 + 0.10 * sample(noise.coarse, u / 160.0, v / 5.0)
            rim = 1 + 0.35 * np.exp(-(edge - abs(v)) / 6.0)
            if is_blue:
                maps.h[r, c] += 1.1 * strength * streak * rim
            maps.neutral[r, c] += (0.15 if is_blue else 0.9) * strength * streak * rim
            maps.blur_um[r, c] = max(maps.blur_um[r, c], 0.8)
            maps.artefacts[r, c] = True


@nb.njit(cache=True)
def _draw_bubble(spot: _Spot, maps: StainMaps, grid: Grid) -> None:
    """Draw the dark ring of a bubble of air; what lies within is out of focus."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            far = np.sqrt(u * u + v * v * 1.15)
            if far > spot.long_um + 8:
                continue
            ring = np.exp(-(((far - spot.long_um) / 2.2) ** 2))
            inner = np.exp(-(((far - spot.long_um + 5.0) / 2.0) ** 2))
            maps.neutral[r, c] += 0.55 * ring - 0.03 * inner
            if far < spot.long_um:
                maps.blur_um[r, c] = max(maps.blur_um[r, c], 1.2)
                maps.artefacts[r, c] = True
            elif ring > 0.1:
                maps.artefacts[r, c] = True


@nb.njit(cache=True)
def _speck(u: float, v: float, spot: _Spot, noise: StromaNoise) -> float:
    """Return how much of a place a ragged speck covers, 0–1; ≤ 0 outside."""
    rough = 1 + 0.3 * sample(noise.coarse, u / 1.6 + 7.0 * spot.k, v / 1.6)
    t = 1.0 - ((u / spot.long_um) ** 2 + (v / spot.short_um) ** 2) * rough
    return min(1.0, 2.5 * t)


@nb.njit(cache=True)
def _draw_dust(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Draw a speck of dust: dark, grey, and not in the plane of focus."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            g = _speck(u, v, spot, noise)
            if g <= 0:
                continue
            maps.neutral[r, c] += g * spot.strength * 0.9
            maps.blur_um[r, c] = max(maps.blur_um[r, c], 0.9)
            maps.artefacts[r, c] = True


@nb.njit(cache=True)
def _draw_debris(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Draw a crumb of precipitated DAB."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            g = _speck(u, v, spot, noise)
            if g > 0:
                maps.d[r, c] += g * spot.strength * 0.7


@nb.njit(cache=True)
def _draw_blur(spot: _Spot, maps: StainMaps, grid: Grid) -> None:
    """Take a patch out of focus; it is spoilt where that is more than half a micron."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            t = _oval(u, v, spot)
            if t > 0:
                blur_um = 1.5 * spot.strength * min(1.0, 2.0 * t)
                maps.blur_um[r, c] = max(maps.blur_um[r, c], blur_um)
                maps.artefacts[r, c] = maps.artefacts[r, c] or blur_um > 0.5


@nb.njit(cache=True)
def _draw_pigment(spot: _Spot, maps: StainMaps, grid: Grid) -> None:
    """Draw a grain of reddish brown pigment in the tissue."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            t = _oval(u, v, spot)
            if t > 0 and maps.tissue[r, c]:
                maps.red[r, c] += 0.8 * spot.strength * min(1.0, 2.0 * t)


@nb.njit(cache=True)
def _draw_vessel(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Draw a vessel in the stroma: thin wall, clear lumen, red cells in it."""
    h = maps.h
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            if maps.label[r, c] != -1 or not maps.tissue[r, c]:
                continue
            u, v = _along_across(spot, grid, r, c)
            v += 0.4 * spot.short_um * sample(noise.coarse, u / 20.0 + spot.k, 1.3 * spot.k)
            t = np.sqrt((u / spot.long_um) ** 2 + (v / spot.short_um) ** 2)
            if t > 1.25:
                continue
            wall = np.exp(-(((t - 1.06) * spot.short_um / 0.8) ** 2))
            if t > 1.0:
                h[r, c] = max(h[r, c], np.float32(0.07 * wall))
                continue
            h[r, c] = 0.05 * wall
            maps.d[r, c] = 0.0
            far = _from_red_cell(u, v, spot.k, noise)
            if far < 3.1:
                rim = np.exp(-(((far - 2.6) / 0.45) ** 2))
                maps.red[r, c] += 0.035 + 0.02 * sample(noise.fine, u / 0.8, v / 0.8) * 0.3
                maps.neutral[r, c] += 0.13 * rim - 0.012 * np.exp(-(far * far))


@nb.njit(cache=True)
def _from_red_cell(u: float, v: float, k: int, noise: StromaNoise) -> float:
    """Return the distance (µm) to the centre of the red cell whose place this is, 99 = no cell.

    They are discs of 6–7 µm with a dark rim and a bright middle.
    """
    gx, gy = u / 6.4, v / 6.4
    i, j = np.floor(gx), np.floor(gy)
    ox = gx - i - 0.5 - 0.15 * sample(noise.coarse, i * 3.3 + k, j * 5.7)
    oy = gy - j - 0.5 - 0.15 * sample(noise.coarse, i * 6.1, j * 2.9 + k)
    if sample(noise.coarse, i * 7.7 + 2.0 * k, j * 9.1) < -0.3:
        return 99.0
    far: float = np.sqrt(ox * ox + oy * oy) * 6.4
    return far


@nb.njit(cache=True)
def _draw_crush(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Smear the chromatin of squeezed cells into streaks."""
    h, d, k = maps.h, maps.d, spot.k
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            ragged = 0.25 * sample(noise.coarse, u / 14.0 + k, v / 14.0)
            t = 1.0 + ragged - (u / spot.long_um) ** 2 - (v / spot.short_um) ** 2
            if t <= 0 or not maps.tissue[r, c]:
                continue
            bent = v + 4.0 * sample(noise.coarse, u / 40.0, v / 40.0 + 3.0 * k)
            streak = sample(noise.fine, u / 7.0, bent / 1.0) + 0.6 * sample(
                noise.fine, u / 4.0 + 40.0, bent / 0.6
            )
            g = min(1.0, 3.0 * t)
            smeared = 0.03 + spot.strength * 0.30 * max(0.0, streak - 0.1)
            h[r, c] += g * (smeared - 0.75 * h[r, c])
            d[r, c] *= 1 - 0.5 * g
            maps.artefacts[r, c] = True


@nb.njit(cache=True)
def _draw_tear(spot: _Spot, maps: StainMaps, grid: Grid, noise: StromaNoise) -> None:
    """Tear the tissue open: a spindle of glass with a ragged border."""
    for r in range(spot.r_from, spot.r_to):
        for c in range(spot.c_from, spot.c_to):
            u, v = _along_across(spot, grid, r, c)
            v += 0.5 * spot.short_um * sample(noise.coarse, u / 25.0 + spot.k, 2.0 * spot.k)
            taper = 1 - (u / spot.long_um) ** 2
            if taper > 0 and abs(v) < spot.short_um * taper and maps.tissue[r, c]:
                maps.h[r, c] = 0.0
                maps.d[r, c] = 0.0
                maps.membrane[r, c] = 0
                maps.tissue[r, c] = False
                maps.artefacts[r, c] = True
