"""Guarded line contrast: how far a thin brown line stands out from both of its sides.

At each pixel and direction a short segment is compared with the *higher* of its two flanks, in DAB
and again in DAB − k·hematoxylin, and the smaller of the two answers is kept. A tissue edge and
smooth cytoplasm cancel in the flanks; whatever makes brown out of gray or blue (chromatin, dust,
refractile edges) moves both stains together and cancels in the guard. The white point cancels too.
What stands out as much along a segment as across it is a granule, not a line: of each direction
counts what it exceeds the one at right angles by. Where lines cross, little is left of either: an
outline has a gap of a sector there, which is closed (`classify`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.stain.separate import STEPS_PER_OD

__all__ = ["CLEAR_LINE_OD", "N_DIRECTIONS", "SMOOTHING_UM", "LineMap", "line_map"]

# In pairs at right angles, so an even number. 22.5° apart: a 2 µm segment turned by half of that
# leaves a 0.6 µm line by 0.2 µm at its ends.
N_DIRECTIONS = 8
# Half the length of the segment. A membrane of 5 µm radius bends by 0.1 µm over it.
HALF_LENGTH_UM = 1.0
# Distances of the flanks: for a line of 0.6 µm seen through an optic of 0.3 µm, of 1–1.5 µm, and
# for thick 3+ lines, whose flanks must clear up to 4 µm.
FLANKS_UM = (0.8, 1.3, 2.4)
# Only dark lines are that thick: with the widest flank a line counts by what it exceeds this OD,
# else the strip of cytoplasm between two nuclei would be a line.
THICK_LINE_OD = 0.3
# Blur before the filter: half an optical resolution length; takes pixel noise and JPEG grain.
SMOOTHING_UM = 0.22
# Contrast of weak to moderate staining: such a line bounds a cell beyond doubt, and no network that
# knows membranes is unsure of it.
CLEAR_LINE_OD = 0.12
# Sums of nine steps and their differences stay inside int16 within these bounds (−0.5 to 3.0 OD).
LOWEST_STEP, HIGHEST_STEP = -512, 3071
MAX_HALF_TAPS = 4
# Leaves of an int16 its sign alone: −1 below zero, 0 otherwise.
SIGN_SHIFT = np.int16(15)
LOWEST_SUM = np.int16(-32768)
# 64 × 1024 sums in two planes, and two contrasts, are 600 kB: they stay in the second-level cache.
BLOCK_ROWS, BLOCK_COLS = 64, 1024


@dataclass(frozen=True, slots=True)
class LineMap:
    """Line evidence of a picture.

    Attributes
    ----------
    contrast : ndarray of shape (M, N), int16
        Guarded contrast, ≥ 0, in units of 1 / `steps_per_od`; 0 at the rim of the picture.
    direction : ndarray of shape (M, N), uint8
        Direction of the best line, in steps of 180° / N_DIRECTIONS from +x towards +y (down).
    steps_per_od : float
        Units of `contrast` in one OD.
    """

    contrast: NDArray[np.int16]
    direction: NDArray[np.uint8]
    steps_per_od: float


def taps(direction: int, half_taps: int) -> NDArray[np.int64]:
    """Return (row, col) offsets of the segment in one direction, shape (2·half_taps + 1, 2)."""
    angle = math.pi * direction / N_DIRECTIONS
    along = np.arange(-half_taps, half_taps + 1)
    return np.stack([np.rint(along * math.sin(angle)), np.rint(along * math.cos(angle))], 1).astype(
        np.int64
    )


def flank_offsets(direction: int, mpp: float) -> NDArray[np.int64]:
    """Return (row, col) offsets at right angles to one direction, shape (n flanks, 2)."""
    angle = math.pi * direction / N_DIRECTIONS + math.pi / 2
    distances = np.array(FLANKS_UM) / mpp
    # A flank less than two pixels away lies on the line itself; along diagonals whole pixels still
    # take the first as near as 1.4.
    distances = np.maximum(distances, 2.0 + np.arange(len(FLANKS_UM)))
    return np.stack(
        [np.rint(distances * math.sin(angle)), np.rint(distances * math.cos(angle))], 1
    ).astype(np.int64)


@numba.njit(nogil=True, cache=True)
def tap(
    plane: NDArray[np.int16], at: tuple[int, int], offset: NDArray[np.int64], n_cols: int
) -> NDArray[np.int16]:
    """Return the part of a row that lies at an offset from `n_cols` px, the first at (row, col)."""
    left = at[1] + offset[1]
    return plane[at[0] + offset[0], left : left + n_cols]


@numba.njit(nogil=True, cache=True)
def sum_segments(
    plane: NDArray[np.int16],
    offsets: NDArray[np.int64],
    corner: tuple[int, int],
    size: tuple[int, int],
    sums: NDArray[np.int16],
) -> None:
    """Sum a plane over a segment about each pixel of a block."""
    # Rows of whole arrays, from zero on: only loops over those compile to vector instructions, and
    # only with four arrays at most. An odd number of taps is three and pairs.
    n_cols = size[1]
    for row in range(size[0]):
        total = sums[row, :n_cols]
        at = (corner[0] + row, corner[1])
        first = tap(plane, at, offsets[0], n_cols)
        second = tap(plane, at, offsets[1], n_cols)
        third = tap(plane, at, offsets[2], n_cols)
        for i in range(n_cols):
            total[i] = first[i] + second[i] + third[i]
        for t in range(3, offsets.shape[0], 2):
            first = tap(plane, at, offsets[t], n_cols)
            second = tap(plane, at, offsets[t + 1], n_cols)
            for i in range(n_cols):
                total[i] += first[i] + second[i]


@numba.njit(nogil=True, cache=True)
def stand_out(
    sums_dab: NDArray[np.int16],
    sums_guarded: NDArray[np.int16],
    flanks: NDArray[np.int64],
    pad: int,
    thick: np.int16,
    size: tuple[int, int],
    scratch: NDArray[np.int16],
    highest: NDArray[np.int16],
) -> None:
    """Put into `highest` how far the segments of a block stand out from both of their sides.

    `scratch` is room for a row of a block.
    """
    n_cols = size[1]
    n_flanks = flanks.shape[0]
    in_d = scratch[:n_cols]
    # Two loops for a flank: with more arrays in one the compiler cannot tell in time that none
    # overlaps another, and gives up vector instructions, which are four times as fast.
    for row in range(size[0]):
        middle, here = row + pad, slice(pad, pad + n_cols)
        line_d, line_g = sums_dab[middle, here], sums_guarded[middle, here]
        out = highest[row, :n_cols]
        out[:] = 0
        for f in range(n_flanks):
            dr, dc = flanks[f, 0], flanks[f, 1]
            ahead = slice(pad + dc, pad + dc + n_cols)
            behind = slice(pad - dc, pad - dc + n_cols)
            d_ahead, g_ahead = sums_dab[middle + dr, ahead], sums_guarded[middle + dr, ahead]
            d_behind, g_behind = sums_dab[middle - dr, behind], sums_guarded[middle - dr, behind]
            # Below every sum, so that it decides nothing but at the widest flank.
            least = thick if f == n_flanks - 1 else LOWEST_SUM
            for i in range(n_cols):
                in_d[i] = line_d[i] - max(max(d_ahead[i], d_behind[i]), least)
            for i in range(n_cols):
                in_g = np.int16(line_g[i] - max(g_ahead[i], g_behind[i]))
                out[i] = max(out[i], min(in_d[i], in_g))


@numba.njit(nogil=True, cache=True)
def raise_best(
    along: NDArray[np.int16],
    across: NDArray[np.int16],
    index: np.int16,
    corner: tuple[int, int],
    size: tuple[int, int],
    best: NDArray[np.int16],
    direction: NDArray[np.int16],
) -> None:
    """Raise a block of `best` where one of two directions at right angles exceeds the other more.

    `index` is the direction of `along`; `direction` has the rows and columns of the block alone.
    """
    n_cols = size[1]
    turned = np.int16(index + N_DIRECTIONS // 2)
    both = np.int16(index ^ turned)
    for row in range(size[0]):
        there = slice(corner[1], corner[1] + n_cols)
        out, chosen = best[corner[0] + row, there], direction[row, :n_cols]
        ahead, side = along[row, :n_cols], across[row, :n_cols]
        # A shifted sign is a mask: with one the compiler makes vector instructions of the loop,
        # with a choice between two values it does not, and the loop takes ten times as long.
        for i in range(n_cols):
            more = np.int16(ahead[i] - side[i])
            less = np.int16(-more)
            clearer = turned ^ (both & (less >> SIGN_SHIFT))
            exceeds = max(more, less)
            is_higher = np.int16(out[i] - exceeds) >> SIGN_SHIFT
            chosen[i] ^= np.int16((chosen[i] ^ clearer) & is_higher)
            out[i] = max(out[i], exceeds)


@numba.njit(nogil=True, cache=True)
def best_lines(
    dab: NDArray[np.int16],
    guarded: NDArray[np.int16],
    offsets: NDArray[np.int64],
    flanks: NDArray[np.int64],
    pad: int,
    thick: np.int16,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Highest contrast over all directions, and its direction, of planes but for their margin.

    The margin is 2·pad wide on each side. Block by block: the sums of a block stay in the cache
    for all directions.
    """
    margin = 2 * pad
    n_rows, n_cols = dab.shape[0] - 2 * margin, dab.shape[1] - 2 * margin
    best = np.zeros((n_rows, n_cols), np.int16)
    direction = np.zeros((n_rows, n_cols), np.uint8)
    sums_d = np.empty((BLOCK_ROWS + 2 * pad, BLOCK_COLS + 2 * pad), np.int16)
    sums_g = np.empty((BLOCK_ROWS + 2 * pad, BLOCK_COLS + 2 * pad), np.int16)
    # Along a direction, and at right angles to it.
    both = np.empty((2, BLOCK_ROWS, BLOCK_COLS), np.int16)
    scratch = np.empty(BLOCK_COLS, np.int16)
    chosen = np.empty((BLOCK_ROWS, BLOCK_COLS), np.int16)
    n_pairs = offsets.shape[0] // 2
    for top in range(0, n_rows, BLOCK_ROWS):
        for left in range(0, n_cols, BLOCK_COLS):
            corner, outer = (top, left), (top + pad, left + pad)
            rows = min(BLOCK_ROWS, n_rows - top)
            cols = min(BLOCK_COLS, n_cols - left)
            size, grown = (rows, cols), (rows + 2 * pad, cols + 2 * pad)
            chosen[:] = 0
            for k in range(n_pairs):
                for turn in range(2):
                    j = k + turn * n_pairs
                    sum_segments(dab, offsets[j], outer, grown, sums_d)
                    sum_segments(guarded, offsets[j], outer, grown, sums_g)
                    stand_out(sums_d, sums_g, flanks[j], pad, thick, size, scratch, both[turn])
                raise_best(both[0], both[1], np.int16(k), corner, size, best, chosen)
            direction[top : top + rows, left : left + cols] = chosen[:rows, :cols]
    return best, direction


def line_map(dab: NDArray[np.int16], guarded: NDArray[np.int16], *, mpp: float) -> LineMap:
    """Find thin brown lines.

    Parameters
    ----------
    dab : ndarray of shape (M, N), int16
        DAB in steps of 1/1024 OD.
    guarded : ndarray of shape (M, N), int16
        DAB − k·hematoxylin, k above the gray ratio of the stain vectors (`StainMatrix.guard`).
    mpp : float
        µm/px.

    Returns
    -------
    LineMap
    """
    half_taps = max(1, min(MAX_HALF_TAPS, round(HALF_LENGTH_UM / mpp)))
    n_taps = 2 * half_taps + 1
    sigma = SMOOTHING_UM / mpp
    smooth_d, smooth_g = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (dab, guarded))
    for plane in (smooth_d, smooth_g):
        np.clip(plane, LOWEST_STEP, HIGHEST_STEP, out=plane)
    offsets = np.stack([taps(i, half_taps) for i in range(N_DIRECTIONS)])
    flanks = np.stack([flank_offsets(i, mpp) for i in range(N_DIRECTIONS)])
    pad = max(half_taps, int(np.abs(flanks).max()))
    thick = np.int16(THICK_LINE_OD * STEPS_PER_OD * n_taps)
    # Mirrored, a line goes on beyond the picture, and a flank there is as brown as the other: else
    # no membrane would be seen within 5 µm of the border, which a cell in four of a small field
    # comes near.
    margin = (2 * pad,) * 4
    wider = [cv2.copyMakeBorder(p, *margin, cv2.BORDER_REFLECT_101) for p in (smooth_d, smooth_g)]
    best, direction = best_lines(*wider, offsets, flanks, pad, thick)
    return LineMap(best, direction, float(STEPS_PER_OD * n_taps))
