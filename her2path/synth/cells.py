"""Epithelial cells as polygons that share their sides: Voronoi in nests, columns in glands."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import sample

__all__ = [
    "HOLE",
    "LUMEN",
    "OUTSIDE",
    "RIM",
    "SEGMENT_UM",
    "CellGraph",
    "Polygons",
    "polygons_to_graph",
    "voronoi_cells",
]

# What lies beyond a side that no neighbour shares.
OUTSIDE = -1
LUMEN = -2
# Points that cut like cells and are none: a hole leaves a lumen, the rim what lies outside.
HOLE = 1
RIM = 2
# Length of the pieces of membrane that are stained or not: about two optical resolution lengths.
SEGMENT_UM = 1.0
MAX_SIDES = 24
_LIMIT_SIDES = 14


class Polygons(NamedTuple):
    """Cells as polygons, before their sides are joined.

    Attributes
    ----------
    start : ndarray of shape (n + 1,), int64
        Vertices of polygon c are ``start[c]:start[c + 1]`` of the next three.
    x, y : ndarray of shape (v,), float64
        Vertices, µm.
    neighbour : ndarray of shape (v,), int32
        What shares the side from a vertex to the next: a cell, OUTSIDE or LUMEN.
    """

    start: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    neighbour: NDArray[np.int32]


class CellGraph(NamedTuple):
    """Cells, the sides between them, and the short segments that a side is made of.

    Attributes
    ----------
    side_a, side_b : ndarray of shape (n_sides,), int32
        The cells on both sides; `side_b` may be OUTSIDE or LUMEN.
    segment_start : ndarray of shape (n_sides + 1,), int64
        Segments of side s are ``segment_start[s]:segment_start[s + 1]``; it has one point more,
        and its points start at ``segment_start[s] + s``.
    point_x, point_y : ndarray, float64
        Points of the sides, µm.
    length : ndarray of shape (n_segments,), float64
        Length of each segment, µm.
    cell_start : ndarray of shape (n_cells + 1,), int64
        Sides round cell c are ``cell_start[c]:cell_start[c + 1]`` of the next two.
    cell_side : ndarray, int32
        Sides in order round the cell.
    cell_forward : ndarray, bool
        Whether the cell walks the side in the stored direction.
    """

    side_a: NDArray[np.int32]
    side_b: NDArray[np.int32]
    segment_start: NDArray[np.int64]
    point_x: NDArray[np.float64]
    point_y: NDArray[np.float64]
    length: NDArray[np.float64]
    cell_start: NDArray[np.int64]
    cell_side: NDArray[np.int32]
    cell_forward: NDArray[np.bool_]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cell_start) - 1

    def outlines(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (start, x, y): the outline of cell c is points ``start[c]:start[c + 1]``."""
        return _outlines(
            self.segment_start,
            self.point_x,
            self.point_y,
            self.cell_start,
            self.cell_side,
            self.cell_forward,
        )


@nb.njit(cache=True)
def _outlines(
    segment_start: NDArray[np.int64],
    point_x: NDArray[np.float64],
    point_y: NDArray[np.float64],
    cell_start: NDArray[np.int64],
    cell_side: NDArray[np.int32],
    cell_forward: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    n = cell_start.size - 1
    start = np.zeros(n + 1, np.int64)
    for c in range(n):
        count = 0
        for k in range(cell_start[c], cell_start[c + 1]):
            s = cell_side[k]
            count += segment_start[s + 1] - segment_start[s]
        start[c + 1] = start[c] + count
    x = np.empty(start[n])
    y = np.empty(start[n])
    for c in range(n):
        at = start[c]
        for k in range(cell_start[c], cell_start[c + 1]):
            s = cell_side[k]
            m = segment_start[s + 1] - segment_start[s]
            first = segment_start[s] + s
            for i in range(m):
                p = first + i if cell_forward[k] else first + m - i
                x[at] = point_x[p]
                y[at] = point_y[p]
                at += 1
    return start, x, y


@nb.njit(cache=True)
def voronoi_cells(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    nest: NDArray[np.int32],
    limit: NDArray[np.float64],
    hole: NDArray[np.uint8],
) -> Polygons:
    """Cut each point's polygon out of a disc by the bisectors with its neighbours.

    Points of one nest must stand together and see only each other. Holes (HOLE) cut like cells,
    but get no polygon; a side to a hole is a side to a lumen. So does the rim (RIM), whose sides
    are sides to what lies outside.

    Returns
    -------
    Polygons
        One of each point; their neighbours are points too.
    """
    n = x.size
    start = np.zeros(n + 1, np.int64)
    out_x = np.empty(n * MAX_SIDES)
    out_y = np.empty(n * MAX_SIDES)
    out_n = np.empty(n * MAX_SIDES, np.int32)
    px = np.empty(64)
    py = np.empty(64)
    pn = np.empty(64, np.int32)
    qx = np.empty(64)
    qy = np.empty(64)
    qn = np.empty(64, np.int32)
    total = 0
    first = 0
    for c in range(n):
        while nest[first] != nest[c]:
            first += 1
        if hole[c] != 0:
            start[c + 1] = total
            continue
        m = _LIMIT_SIDES
        for k in range(m):
            angle = 2 * np.pi * (k + 0.37 * (c % 3)) / m
            px[k] = x[c] + limit[c] * np.cos(angle)
            py[k] = y[c] + limit[c] * np.sin(angle)
            pn[k] = OUTSIDE
        j = first
        while j < n and nest[j] == nest[c]:
            dx = x[j] - x[c]
            dy = y[j] - y[c]
            d2 = dx * dx + dy * dy
            if j != c and d2 < (2 * limit[c]) ** 2:
                mid = 0.5 * d2
                k_out = 0
                label = j if hole[j] == 0 else (LUMEN if hole[j] == HOLE else OUTSIDE)
                for k in range(m):
                    k2 = k + 1 if k + 1 < m else 0
                    d_here = (px[k] - x[c]) * dx + (py[k] - y[c]) * dy - mid
                    d_next = (px[k2] - x[c]) * dx + (py[k2] - y[c]) * dy - mid
                    if d_here <= 0:
                        qx[k_out] = px[k]
                        qy[k_out] = py[k]
                        qn[k_out] = pn[k]
                        k_out += 1
                    if (d_here <= 0) != (d_next <= 0):
                        t = d_here / (d_here - d_next)
                        qx[k_out] = px[k] + t * (px[k2] - px[k])
                        qy[k_out] = py[k] + t * (py[k2] - py[k])
                        # Leaving: the new side runs along the bisector; entering: the old goes on.
                        qn[k_out] = label if d_here <= 0 else pn[k]
                        k_out += 1
                m = k_out
                for k in range(m):
                    px[k] = qx[k]
                    py[k] = qy[k]
                    pn[k] = qn[k]
            j += 1
        m = min(m, MAX_SIDES)
        for k in range(m):
            out_x[total] = px[k]
            out_y[total] = py[k]
            out_n[total] = pn[k]
            total += 1
        start[c + 1] = total
    return Polygons(start, out_x[:total], out_y[:total], out_n[:total])


# Membranes wander by half a micron over a cell's side, and a little within a micron.
_BEND_UM = 0.62
_BEND_SCALE = 0.26
_QUIVER_UM = 0.16
_QUIVER_SCALE = 0.9
# However long a side, it has no more segments.
_MOST_SEGMENTS = 60


@nb.njit(cache=True)
def polygons_to_graph(
    polygons: Polygons, warp: NDArray[np.float32], wobble: NDArray[np.float64]
) -> CellGraph:
    """Join polygons into cells with common sides and bend the sides a little.

    Parameters
    ----------
    polygons : Polygons
        As `voronoi_cells` returns them.
    warp : ndarray of shape (NOISE_SIZE, NOISE_SIZE), float32
        Noise that bends the sides; both cells of a side see the same bend.
    wobble : ndarray of shape (n,), float64
        Factor on the bend of each cell's sides; the same for cells that touch.
    """
    start, vx, vy, _ = polygons
    side_a, side_b, side_of, segment_start = _join_sides(polygons)
    n_sides = side_a.size
    px = np.empty(segment_start[n_sides] + n_sides)
    py = np.empty(segment_start[n_sides] + n_sides)
    length = np.empty(segment_start[n_sides])
    forward = np.zeros(side_of.size, np.bool_)
    for c in range(start.size - 1):
        for k in range(start[c], start[c + 1]):
            s = side_of[k]
            if side_a[s] != c:
                continue
            forward[k] = True
            k2 = k + 1 if k + 1 < start[c + 1] else start[c]
            m = segment_start[s + 1] - segment_start[s]
            first = segment_start[s] + s
            for i in range(m + 1):
                t = i / m
                x = vx[k] + t * (vx[k2] - vx[k])
                y = vy[k] + t * (vy[k2] - vy[k])
                px[first + i], py[first + i] = _bent(x, y, wobble[c], warp)
            for i in range(m):
                length[segment_start[s] + i] = np.sqrt(
                    (px[first + i + 1] - px[first + i]) ** 2
                    + (py[first + i + 1] - py[first + i]) ** 2
                )
    return CellGraph(side_a, side_b, segment_start, px, py, length, start.copy(), side_of, forward)


@nb.njit(cache=True)
def _join_sides(
    polygons: Polygons,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Make one side of the two that touching polygons have.

    Returns
    -------
    side_a, side_b, side_of, segment_start : ndarray
        Cells on both sides; the side that begins at each vertex; segments, as `CellGraph` says.
    """
    start, vx, vy, neighbour = polygons
    total = start[-1]
    side_a = np.empty(total, np.int32)
    side_b = np.empty(total, np.int32)
    side_of = np.full(total, -1, np.int32)
    segment_start = np.zeros(total + 1, np.int64)
    n_sides = 0
    for c in range(start.size - 1):
        for k in range(start[c], start[c + 1]):
            other = neighbour[k]
            if 0 <= other < c:
                # The neighbour has made this side already, unless rounding lost it there.
                for q in range(start[other], start[other + 1]):
                    if neighbour[q] == c and side_of[q] >= 0:
                        side_of[k] = side_of[q]
                        break
            if side_of[k] < 0:
                k2 = k + 1 if k + 1 < start[c + 1] else start[c]
                length = np.sqrt((vx[k2] - vx[k]) ** 2 + (vy[k2] - vy[k]) ** 2)
                n_segments = min(_MOST_SEGMENTS, max(1, int(length / SEGMENT_UM + 0.5)))
                side_of[k] = n_sides
                side_a[n_sides] = c
                side_b[n_sides] = other if other < 0 or other > c else OUTSIDE
                segment_start[n_sides + 1] = segment_start[n_sides] + n_segments
                n_sides += 1
    return (
        side_a[:n_sides].copy(),
        side_b[:n_sides].copy(),
        side_of,
        segment_start[: n_sides + 1].copy(),
    )


@nb.njit(cache=True)
def _bent(x: float, y: float, bend: float, warp: NDArray[np.float32]) -> tuple[float, float]:
    """Return where a point of a side lies when membranes wander; `bend` is a factor on how far."""
    wide_x, wide_y = x * _BEND_SCALE, y * _BEND_SCALE
    near_x, near_y = x * _QUIVER_SCALE, y * _QUIVER_SCALE
    return (
        x
        + bend * _BEND_UM * sample(warp, wide_x, wide_y)
        + bend * _QUIVER_UM * sample(warp, near_x, near_y),
        y
        + bend * _BEND_UM * sample(warp, wide_x + 211.5, wide_y + 97.25)
        + bend * _QUIVER_UM * sample(warp, near_x + 33.5, near_y + 301.0),
    )
