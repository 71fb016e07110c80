"""Stain on membranes: derive each cell's truth from painted sides, meet the asked shares.

A stained line between two touching cells counts for the outline of both, so a cell's truth is
never what was meant for it but what its own outline shows. Cells are first meant to be of some
class, sides are painted, the truth is read off the sides, and cells of classes that came out too
many are taken out of the tissue (a lymphocyte, a cleft or stroma stands there instead; the sides
of their neighbours stay). So the shares among the cells that remain are exactly those asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Intensity, Pattern
from her2path.synth.cells import LUMEN, CellGraph
from her2path.synth.painting import Paint
from her2path.synth.recipe import MixEntry, common_denominator

__all__ = [
    "COMPLETE_FROM",
    "LINE_OD",
    "LINE_WIDTH_UM",
    "UNDECIDED",
    "MembraneTruth",
    "derive_truth",
    "largest_remainders",
    "surplus_cells",
]

# Peak DAB OD of a line, low and high end, as it shows through the reference optics. The classes
# keep clear of the common cut-offs 0.2, 0.4 and 0.6.
LINE_OD = {
    Intensity.FAINT: (0.07, 0.13),
    Intensity.WEAK: (0.16, 0.26),
    Intensity.MODERATE: (0.36, 0.60),
    Intensity.INTENSE: (0.78, 1.45),
}
# Mean and standard deviation of the line's width at half height: 1+ 0.64 ± 0.10, 2+ 1.0 ± 0.23,
# 3+ 2.14 ± 0.40 µm (Scheel 2018); faint and weak lie below and above the first.
LINE_WIDTH_UM = {
    Intensity.FAINT: (0.62, 0.08),
    Intensity.WEAK: (0.70, 0.10),
    Intensity.MODERATE: (1.0, 0.20),
    Intensity.INTENSE: (2.14, 0.35),
}
# A cell is complete from this share of its outline on, with the side to the lumen stained too.
COMPLETE_FROM = 0.92
# Incomplete cells keep clear of it, and of a trace that nobody would see.
_INCOMPLETE_TO = 0.80
_INCOMPLETE_FROM = 0.10
UNDECIDED = 255


@dataclass(frozen=True, slots=True)
class MembraneTruth:
    """What the outlines show, per cell.

    Attributes
    ----------
    intensity : ndarray of shape (n,), uint8
        Class that covers most of the stained outline.
    pattern : ndarray of shape (n,), uint8
        Pattern, or UNDECIDED where the outline lies between incomplete and complete.
    completeness : ndarray of shape (n,), float32
        Stained share of the outline's length, 0–1.
    od, width_um : ndarray of shape (n,), float32
        Mean over the outline of that class; 0 where there is none.
    """

    intensity: NDArray[np.uint8]
    pattern: NDArray[np.uint8]
    completeness: NDArray[np.float32]
    od: NDArray[np.float32]
    width_um: NDArray[np.float32]


def derive_truth(graph: CellGraph, paint: Paint, meant_pattern: NDArray[np.uint8]) -> MembraneTruth:
    """Read each cell's class off its outline.

    Parameters
    ----------
    graph : CellGraph
        Cells and sides.
    paint : Paint
        Stain on the sides.
    meant_pattern : ndarray of shape (n,), uint8
        Tells an arc drawn round the base from one drawn anywhere.
    """
    n = graph.n_cells
    out_class = np.zeros(n, np.uint8)
    completeness = np.zeros(n, np.float32)
    od = np.zeros(n, np.float32)
    width = np.zeros(n, np.float32)
    lumen_open = np.zeros(n, np.bool_)
    _derive(
        graph.side_b,
        graph.segment_start,
        graph.length,
        graph.cell_start,
        graph.cell_side,
        paint.intensity,
        paint.od,
        paint.width_um,
        out_class,
        completeness,
        od,
        width,
        lumen_open,
    )
    pattern = np.full(n, UNDECIDED, np.uint8)
    arc = (completeness >= _INCOMPLETE_FROM) & (completeness <= _INCOMPLETE_TO)
    pattern[completeness == 0] = Pattern.ABSENT
    pattern[arc] = Pattern.INCOMPLETE
    pattern[arc & (meant_pattern == Pattern.BASOLATERAL) & (completeness >= 0.35)] = (
        Pattern.BASOLATERAL
    )
    pattern[(completeness >= COMPLETE_FROM) & ~lumen_open] = Pattern.COMPLETE
    return MembraneTruth(out_class, pattern, completeness, od, width)


@nb.njit(cache=True)
def _derive(
    side_b: NDArray[np.int32],
    segment_start: NDArray[np.int64],
    length: NDArray[np.float64],
    cell_start: NDArray[np.int64],
    cell_side: NDArray[np.int32],
    seg_class: NDArray[np.uint8],
    seg_od: NDArray[np.float32],
    seg_width: NDArray[np.float32],
    out_class: NDArray[np.uint8],
    completeness: NDArray[np.float32],
    od: NDArray[np.float32],
    width: NDArray[np.float32],
    lumen_open: NDArray[np.bool_],
) -> None:
    # Rows: length, length × OD, length × width of each class.
    sums = np.zeros((3, 5))
    for c in range(cell_start.size - 1):
        sums[:] = 0
        for k in range(cell_start[c], cell_start[c + 1]):
            s = cell_side[k]
            for g in range(segment_start[s], segment_start[s + 1]):
                q = seg_class[g]
                sums[0, q] += length[g]
                sums[1, q] += seg_od[g] * length[g]
                sums[2, q] += seg_width[g] * length[g]
                if q == 0 and side_b[s] == LUMEN:
                    lumen_open[c] = True
        stained = sums[0, 1:].sum()
        if stained == 0:
            continue
        best = 1
        for q in range(2, 5):
            if sums[0, q] > sums[0, best]:
                best = q
        out_class[c] = best
        completeness[c] = stained / (stained + sums[0, 0])
        od[c] = sums[1, best] / sums[0, best]
        width[c] = sums[2, best] / sums[0, best]


def surplus_cells(
    truth: MembraneTruth,
    mix: tuple[MixEntry, ...],
    *,
    is_counted: NDArray[np.bool_],
    order: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Choose the cells to take out so that the others have exactly the asked shares.

    Parameters
    ----------
    truth : MembraneTruth
        What the outlines show.
    mix : tuple of MixEntry
        Shares asked for.
    is_counted : ndarray of shape (n,), bool
        Cells that the shares are about; others are never taken out.
    order : ndarray of shape (n,), float64
        Cells with small values are taken out first.

    Returns
    -------
    surplus : ndarray of shape (n,), bool
        Cells to take out. Of few cells a share may be off by less than one cell; from some
        thousand on it is met without rounding.
    factor : ndarray of shape (len(mix),), float64
        By how much each class came out short (> 1) or in excess (< 1), to mend what is meant.
    """
    surplus = is_counted.copy()
    members = [
        np.flatnonzero(
            is_counted & (truth.intensity == entry.intensity) & (truth.pattern == entry.pattern)
        )
        for entry in mix
    ]
    found = np.array([len(m) for m in members], dtype=np.float64)
    share = np.array([entry.share for entry in mix])
    wanted = _counts(share, found, common_denominator(mix))
    for position, cells in enumerate(members):
        last_out_first = cells[np.argsort(-order[cells], kind="stable")]
        surplus[last_out_first[: wanted[position]]] = False
    factor = share / np.maximum(found / max(1.0, float(is_counted.sum())), 1e-3)
    return surplus, factor


# Largest part of the cells given up to meet shares without any rounding.
_ROUNDING_LOSS = 0.05


def _counts(
    share: NDArray[np.float64], found: NDArray[np.float64], denominator: int
) -> NDArray[np.int64]:
    """Return how many cells of each class to keep: the most that have the asked shares."""
    asked = share > 0
    whole = int(min(np.floor(found[asked] / share[asked] + 1e-9)))
    whole -= whole % denominator
    for n_total in range(int(found.sum()), whole, -1):
        wanted = largest_remainders(share, n_total)
        if np.all(wanted <= found):
            if whole >= (1 - _ROUNDING_LOSS) * n_total:
                break
            return wanted
    return np.rint(share * whole).astype(np.int64)


def largest_remainders(share: NDArray[np.float64], n_total: int) -> NDArray[np.int64]:
    """Return whole numbers of this sum that are as near to the shares as can be."""
    exact = share * n_total
    whole = np.floor(exact + 1e-9).astype(np.int64)
    rest = n_total - int(whole.sum())
    if rest > 0:
        whole[np.argsort(-(exact - whole), kind="stable")[:rest]] += 1
    return whole
