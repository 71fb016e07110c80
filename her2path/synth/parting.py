"""Cells that have come apart: each with an outline of its own, and a gap to its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2path.synth.cells import OUTSIDE, CellGraph
from her2path.synth.nuclei import Moments
from her2path.synth.painting import Paint

__all__ = ["parted"]

# However wide the gap, a cell keeps so much of its radius.
_LEAST_RADIUS = 0.55


def parted(
    graph: CellGraph,
    paint: Paint,
    moments: Moments,
    gap_um: NDArray[np.float64],
    is_kept: NDArray[np.bool_],
) -> tuple[CellGraph, Paint]:
    """Draw cells in, so that sides which two cells shared become two, stained alike.

    What is stained of an outline stays, so the truth of each cell does.

    Parameters
    ----------
    graph : CellGraph
        Cells with common sides.
    paint : Paint
        Stain on the sides.
    moments : Moments
        Of the cells' outlines.
    gap_um : ndarray of shape (n,), float64
        Gap to a neighbour that draws in as far.
    is_kept : ndarray of shape (n,), bool
        Cells that stand in the tissue: the sides of others stay with their neighbours alone.

    Returns
    -------
    graph : CellGraph
        No two cells share a side.
    paint : Paint
        Stain on its sides.
    """
    n_round = np.diff(graph.cell_start)
    cell = np.repeat(np.arange(graph.n_cells), n_round)
    side = graph.cell_side
    n_segments = np.diff(graph.segment_start)[side]
    start = np.concatenate([[0], np.cumsum(n_segments)])
    # A side has one point more than segments.
    segment = _ranges(graph.segment_start[side], n_segments)
    point = _ranges(graph.segment_start[side] + side, n_segments + 1)
    radius = np.sqrt(moments.long_um * moments.short_um)
    scale = np.maximum(1 - 0.5 * gap_um / np.maximum(radius, 1e-6), _LEAST_RADIUS)
    of_point, of_segment = np.repeat(cell, n_segments + 1), np.repeat(cell, n_segments)
    x, y = moments.x[of_point], moments.y[of_point]
    is_shared = graph.side_b[side] >= 0
    alone = CellGraph(
        side_a=cell.astype(np.int32),
        side_b=np.where(is_shared, OUTSIDE, graph.side_b[side]).astype(np.int32),
        segment_start=start.astype(np.int64),
        point_x=x + scale[of_point] * (graph.point_x[point] - x),
        point_y=y + scale[of_point] * (graph.point_y[point] - y),
        length=scale[of_segment] * graph.length[segment],
        cell_start=graph.cell_start,
        cell_side=np.arange(len(side), dtype=np.int32),
        cell_forward=graph.cell_forward,
    )
    stain = Paint(
        intensity=np.where(is_kept[of_segment], paint.intensity[segment], 0).astype(np.uint8),
        od=paint.od[segment],
        width_um=paint.width_um[segment],
    )
    return alone, stain


def _ranges(first: NDArray[np.integer], count: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return first[0], first[0] + 1, … (count[0] of them), first[1], … as one array."""
    before = np.concatenate([[0], np.cumsum(count)[:-1]]) if len(count) else count
    return np.arange(int(count.sum()), dtype=np.intp) + np.repeat(first - before, count)
