"""Paint the sides of cells with what each cell is meant to be: all round, or in arcs."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Pattern
from her2path.synth.cells import LUMEN, CellGraph

__all__ = ["Meant", "Paint", "paint_membranes"]

# More segments than any outline has.
_MOST_SEGMENTS = 4096
# No arc leaves an incomplete neighbour with more of its outline stained, so that it stays one.
_MOST_OF_NEIGHBOUR = 0.72


class Paint(NamedTuple):
    """What is stained: class, OD and width of every segment (class 0 = unstained)."""

    intensity: NDArray[np.uint8]
    od: NDArray[np.float32]
    width_um: NDArray[np.float32]


class Meant(NamedTuple):
    """What each cell is meant to be, before its neighbours' lines come to its own.

    Attributes
    ----------
    intensity, pattern : ndarray of shape (n,), uint8
        As `Intensity` and `Pattern`.
    od, width_um : ndarray of shape (n,), float32
        Its line.
    base_x, base_y : ndarray of shape (n,), float64
        Place nearest to which an incomplete arc has its middle: the basal side, or any. µm.
    reach : ndarray of shape (n,), float64
        Share of the outline that an incomplete arc is meant to cover.
    n_pieces : ndarray of shape (n,), int64
        Even parts that it lies in, evenly round the cell, unless it is basolateral.
    """

    intensity: NDArray[np.uint8]
    pattern: NDArray[np.uint8]
    od: NDArray[np.float32]
    width_um: NDArray[np.float32]
    base_x: NDArray[np.float64]
    base_y: NDArray[np.float64]
    reach: NDArray[np.float64]
    n_pieces: NDArray[np.int64]


@nb.njit(cache=True)
def paint_membranes(graph: CellGraph, meant: Meant) -> Paint:
    """Paint the sides of all cells: complete ones all round, then the arcs of the others.

    Parameters
    ----------
    graph : CellGraph
        Cells and sides.
    meant : Meant
        What each cell is meant to be.
    """
    n_segments = graph.length.size
    paint = Paint(
        np.zeros(n_segments, np.uint8),
        np.zeros(n_segments, np.float32),
        np.zeros(n_segments, np.float32),
    )
    around = _perimeters(graph)
    stained = np.zeros(around.size)
    for c in range(around.size):
        if meant.pattern[c] == Pattern.COMPLETE:
            _paint_all_round(graph, meant, paint, stained, c)
    segment = np.empty(_MOST_SEGMENTS, np.int64)
    beyond = np.empty(_MOST_SEGMENTS, np.int32)
    for attempt in range(2):
        for c in range(around.size):
            if (
                meant.pattern[c] != Pattern.INCOMPLETE and meant.pattern[c] != Pattern.BASOLATERAL
            ) or (attempt == 1 and stained[c] > 0):
                continue
            n_round, middle = _walk(graph, meant, c, segment, beyond)
            outline = _Outline(segment[:n_round], beyond[:n_round], middle)
            # What found no place may lie beside unstained cells at last.
            _paint_arcs(graph, meant, paint, outline, stained, around, c, attempt == 1)
    return paint


class _Outline(NamedTuple):
    """Segments in order round a cell, what lies beyond each, and the one nearest to its base."""

    segment: NDArray[np.int64]
    beyond: NDArray[np.int32]
    middle: int


@nb.njit(cache=True)
def _perimeters(graph: CellGraph) -> NDArray[np.float64]:
    """Return the length of each cell's outline, µm."""
    around = np.zeros(graph.cell_start.size - 1)
    for c in range(around.size):
        for k in range(graph.cell_start[c], graph.cell_start[c + 1]):
            s = graph.cell_side[k]
            for g in range(graph.segment_start[s], graph.segment_start[s + 1]):
                around[c] += graph.length[g]
    return around


@nb.njit(cache=True)
def _paint_all_round(
    graph: CellGraph, meant: Meant, paint: Paint, stained: NDArray[np.float64], c: int
) -> None:
    """Paint all sides of cell `c`, and add what is new to the `stained` length of both cells.

    Of two lines the stronger shows on even sides, the weaker on odd ones, so that neither cell
    loses its class to the other everywhere.
    """
    for k in range(graph.cell_start[c], graph.cell_start[c + 1]):
        s = graph.cell_side[k]
        other = graph.side_b[s] if graph.side_a[s] == c else graph.side_a[s]
        for g in range(graph.segment_start[s], graph.segment_start[s + 1]):
            if paint.intensity[g] == 0:
                stained[c] += graph.length[g]
                if other >= 0:
                    stained[other] += graph.length[g]
            elif s % 2 == 0 and paint.intensity[g] >= meant.intensity[c]:
                continue
            paint.intensity[g] = meant.intensity[c]
            paint.od[g] = meant.od[c]
            paint.width_um[g] = meant.width_um[c]


@nb.njit(cache=True)
def _walk(
    graph: CellGraph,
    meant: Meant,
    c: int,
    segment: NDArray[np.int64],
    beyond: NDArray[np.int32],
) -> tuple[int, int]:
    """Fill in the segments round cell `c` and what lies beyond each (in place).

    Returns
    -------
    n_round, middle : int
        How many there are, and which one is nearest to the cell's base.
    """
    m = 0
    middle = 0
    nearest = 1e18
    for k in range(graph.cell_start[c], graph.cell_start[c + 1]):
        s = graph.cell_side[k]
        count = graph.segment_start[s + 1] - graph.segment_start[s]
        other = graph.side_b[s] if graph.side_a[s] == c else graph.side_a[s]
        for i in range(count):
            if m >= segment.size:
                break
            j = i if graph.cell_forward[k] else count - 1 - i
            segment[m] = graph.segment_start[s] + j
            beyond[m] = other
            p = graph.segment_start[s] + s + j
            d = (graph.point_x[p] - meant.base_x[c]) ** 2 + (
                graph.point_y[p] - meant.base_y[c]
            ) ** 2
            if d < nearest:
                nearest = d
                middle = m
            m += 1
    return m, middle


@nb.njit(cache=True)
def _paint_arcs(
    graph: CellGraph,
    meant: Meant,
    paint: Paint,
    outline: _Outline,
    stained: NDArray[np.float64],
    around: NDArray[np.float64],
    c: int,
    beside_unstained: bool,
) -> None:
    """Paint the pieces of cell `c`, each from its middle to both ends in turn.

    `stained` and `around` are the stained and the whole length of all outlines (the first in
    place); only `beside_unstained` are sides of cells painted that are meant to show none.
    """
    m = outline.segment.size
    parts = meant.n_pieces[c] if meant.pattern[c] == Pattern.INCOMPLETE else 1
    for part in range(parts):
        goal = meant.reach[c] * around[c] * (part + 1) / parts
        step = 0
        while step < m and stained[c] < goal:
            half = (step + 1) // 2
            i = (outline.middle + part * m // parts + (half if step % 2 == 0 else -half)) % m
            step += 1
            g = outline.segment[i]
            other = outline.beyond[i]
            if paint.intensity[g] > 0:
                continue
            if other == LUMEN and meant.pattern[c] == Pattern.BASOLATERAL:
                continue
            if other >= 0:
                if meant.pattern[other] == Pattern.ABSENT and not beside_unstained:
                    continue
                most = _MOST_OF_NEIGHBOUR * around[other]
                if meant.pattern[other] != Pattern.COMPLETE and (
                    stained[other] + graph.length[g] > most
                ):
                    continue
            paint.intensity[g] = meant.intensity[c]
            paint.od[g] = meant.od[c]
            paint.width_um[g] = meant.width_um[c]
            stained[c] += graph.length[g]
            if other >= 0:
                stained[other] += graph.length[g]
