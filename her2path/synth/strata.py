"""Crowded columnar cells in one to several rows round a lumen of any shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.synth.cells import HOLE, LUMEN, OUTSIDE, RIM, voronoi_cells
from her2path.synth.layout import N_RADII, Nest, NestKind

__all__ = ["Strata", "border_of", "stratified_cells"]

# Points of the border of a nest: 1–3 µm apart.
_N_BORDER = 256
# Cells beyond either end of the unrolled strip that its ends must see.
_OVERLAP = 3.0


@dataclass(frozen=True, slots=True)
class Strata:
    """Cells of one gland.

    Attributes
    ----------
    polygons : list of ndarray of shape (k, 2), float64
        Corners of each cell, µm.
    neighbours : list of ndarray of shape (k,), int32
        Cell of this gland beyond the side from each corner to the next, or OUTSIDE or LUMEN.
    base : ndarray of shape (n, 2), float64
        Place on the border of the gland below each cell, µm.
    lumen : ndarray of shape (m, 2), float64
        Outline of the lumen, µm.
    is_column : bool
        Whether the cells stand in one row.
    """

    polygons: list[NDArray[np.float64]]
    neighbours: list[NDArray[np.int32]]
    base: NDArray[np.float64]
    lumen: NDArray[np.float64]
    is_column: bool


def border_of(nest: Nest, n: int = _N_BORDER) -> NDArray[np.float64]:
    """Return points of the border of a nest, shape (n, 2), evenly spaced along it, µm."""
    fine = 4 * n
    angle = np.arange(fine) * (2 * math.pi / fine)
    # A smooth curve through the stored radii: their Fourier series.
    spectrum = np.fft.rfft(nest.radii)
    spectrum[-1] /= 2
    wide = np.zeros(fine // 2 + 1, complex)
    wide[: len(spectrum)] = spectrum
    radius = np.fft.irfft(wide, fine) * (fine / N_RADII)
    curve = np.column_stack([nest.x + radius * np.cos(angle), nest.y + radius * np.sin(angle)])
    closed = np.vstack([curve, curve[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.arange(n) / n * along[-1]
    return np.column_stack([np.interp(at, along, closed[:, k]) for k in (0, 1)])


def stratified_cells(nest: Nest, cell_um: float, rng: np.random.Generator) -> Strata | None:
    """Fill a gland with cells, or return None where it is too narrow.

    The epithelium is unrolled into a strip, its cells are Voronoi cells of the strip (longer
    than wide once they are rolled up again), and the lumen is what the strip leaves free.
    Benign glands are lower and have one row.
    """
    outer = border_of(nest)
    is_benign = nest.kind == NestKind.BENIGN
    width = cell_um * rng.uniform(0.48, 0.72)
    height = float(np.clip(rng.normal(33, 10), 15, 62))
    if is_benign:
        height *= rng.uniform(0.35, 0.75)
    if nest.is_branched:
        # Two rows of cells and a lumen share each branch.
        height *= 0.6
    inner = _inner(nest, outer, height, rng)
    thick = np.hypot(*(inner - outer).T)
    length = float(np.hypot(*(np.roll(outer, -1, axis=0) - outer).T).sum())
    if float(np.median(thick)) < (7 if is_benign else 11) or length < 90:
        return None
    # Cells 1.7–3.5 times as long as wide stand in as many rows as there is height for.
    cell_length = width * rng.uniform(1.7, 3.5)
    rows = 1 if is_benign else max(1, round(float(np.median(thick)) / cell_length))
    columns = max(9, round(0.8 * length / width))
    i, j = np.meshgrid(np.arange(columns), np.arange(rows))
    spread = 0.13 if rows == 1 else 0.20
    u = (i + 0.5 * (j % 2)).ravel() + rng.normal(0, spread, i.size)
    v = (j + 0.5).ravel() + rng.normal(0, spread if rows > 1 else 0.05, i.size)
    v = np.clip(v, 0.25, rows - 0.25)
    n = len(u)
    # The strip closes on itself; mirrored points make its two borders straight.
    copy = np.concatenate([np.flatnonzero(u < _OVERLAP), np.flatnonzero(u > columns - _OVERLAP)])
    shift = np.where(u[copy] < _OVERLAP, columns, -columns)
    all_u = np.concatenate([u, u[copy] + shift])
    all_v = np.concatenate([v, v[copy]])
    source = np.concatenate([np.arange(n), copy])
    low, high = np.flatnonzero(all_v < 1.6), np.flatnonzero(all_v > rows - 1.6)
    code = np.zeros(len(all_u) + len(low) + len(high), np.uint8)
    code[len(all_u) : len(all_u) + len(low)] = RIM
    code[len(all_u) + len(low) :] = HOLE
    start, px, py, neighbour = voronoi_cells(
        np.concatenate([all_u, all_u[low], all_u[high]]),
        np.concatenate([all_v, -all_v[low], 2 * rows - all_v[high]]),
        np.zeros(len(code), np.int32),
        np.full(len(code), 1.5),
        code,
    )
    place = _rolled(outer, inner, px / columns, np.clip(py / rows, 0, 1))
    back = np.concatenate([source, [LUMEN, OUTSIDE]]).astype(np.int32)
    polygons = [place[start[c] : start[c + 1]] for c in range(n)]
    neighbours = [back[neighbour[start[c] : start[c + 1]]] for c in range(n)]
    return Strata(
        polygons, neighbours, _rolled(outer, inner, u / columns, np.zeros(n)), inner, rows == 1
    )


def _rolled(
    outer: NDArray[np.float64],
    inner: NDArray[np.float64],
    share: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return places from shares along the border and of the way to the lumen."""
    at = (share % 1.0) * len(outer)
    k = np.floor(at).astype(np.int64) % len(outer)
    t = (at - np.floor(at))[:, None]
    after = (k + 1) % len(outer)
    from_outer = outer[k] + t * (outer[after] - outer[k])
    from_inner = inner[k] + t * (inner[after] - inner[k])
    rolled: NDArray[np.float64] = from_outer + depth[:, None] * (from_inner - from_outer)
    return rolled


def _inner(
    nest: Nest, outer: NDArray[np.float64], height: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the apical border: along the normals, but short of the other side."""
    n = len(outer)
    tangent = np.roll(outer, -1, axis=0) - np.roll(outer, 1, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
    step = float(np.hypot(*tangent.T).mean()) / 2
    # Cells stand side by side: their direction turns slowly.
    normal = _smoothed(normal, 0.5 * height / step)
    normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
    # How far the other side is: the nearest crossing of the normal with the border.
    to = outer[None] - outer[:, None]
    ahead = (to * normal[:, None]).sum(axis=2)
    aside = np.abs(to[..., 0] * normal[:, None, 1] - to[..., 1] * normal[:, None, 0])
    room = np.where((ahead > 2 * step) & (aside < 1.5 * step), ahead, np.inf).min(axis=1)
    centre = np.hypot(outer[:, 0] - nest.x, outer[:, 1] - nest.y)
    room = np.minimum(np.where(np.isfinite(room), 0.5 * room, centre), 1.15 * centre)
    phase = rng.uniform(0, 2 * math.pi, 3)
    turn = np.arange(n) * (2 * math.pi / n)
    wave = 1 + sum(0.09 * np.cos((k + 2) * turn + phase[k]) for k in range(3))
    slit = rng.uniform(0.7, 0.93)
    depth = _smoothed(np.minimum(height * wave, slit * room)[:, None], 0.3 * height / step)
    inner = outer + normal * np.minimum(depth, 0.95 * room[:, None])
    return _smoothed(inner, 0.25 * height / step)


def _smoothed(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return values on a closed curve, smoothed by a Gaussian of `sigma` points."""
    frequency = np.fft.rfftfreq(len(values))
    gain = np.exp(-2 * (math.pi * sigma * frequency) ** 2)
    smooth: NDArray[np.float64] = np.fft.irfft(
        np.fft.rfft(values, axis=0) * gain[:, None], len(values), axis=0
    )
    return smooth
