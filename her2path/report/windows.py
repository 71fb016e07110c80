"""Choose windows of a slide that hold many wanted cells, apart from each other and spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.geometry import Region, Size

__all__ = ["choose_windows"]

# Windows lie on a grid of half their size: none misses more than a quarter of the best place.
STEPS = 2
# Beyond this share of the tissue's extent a window is far enough from the others.
FAR_SHARE = 0.3
# A slide of 75 × 26 mm in half windows of 80 × 60 µm has 0.4 million places.
MAX_PLACES = 4_000_000


def choose_windows(
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike,
    size: Size,
    within: Region,
    n_windows: int,
    taken: Sequence[Region] = (),
) -> tuple[Region, ...]:
    """Choose windows greedily: much weight inside, far from those chosen before.

    Parameters
    ----------
    x, y : array_like of shape (n,)
        Cells, level-0 px.
    weight : array_like of shape (n,), float
        How much each cell is wanted, ≥ 0.
    size : Size
        Of a window, level-0 px; cut down to `within`.
    within : Region
        Windows stay inside it.
    n_windows : int
        How many at most; fewer when no wanted cell is left outside the windows.
    taken : sequence of Region
        Windows of other kinds, which new ones must not overlap.

    Returns
    -------
    tuple of Region
        The same for the same cells in any order; best first.
    """
    wanted = np.asarray(weight, np.float64)
    is_wanted = wanted > 0
    xs = np.asarray(x, np.float64)[is_wanted]
    ys = np.asarray(y, np.float64)[is_wanted]
    width, height = min(size.width, within.width), min(size.height, within.height)
    if len(xs) == 0 or n_windows < 1 or width < 1 or height < 1:
        return ()
    left, top, worth = weigh_places(xs, ys, wanted[is_wanted], Size(width, height), within)
    extent = math.hypot(np.ptp(xs), np.ptp(ys))
    far = max(FAR_SHARE * extent, math.hypot(width, height))
    # Rounded, so that the order in which weights are added up decides nothing.
    worth = np.round(worth, 9)
    nearness = np.full(len(worth), np.inf)
    chosen: list[Region] = []
    for window in taken:
        worth[overlaps(left, top, width, height, window)] = 0
    while len(chosen) < n_windows:
        value = worth * np.minimum(nearness / far, 1.0)
        best = int(value.argmax())
        if worth[best] <= 0:
            break
        window = Region(int(left[best]), int(top[best]), width, height)
        chosen.append(window)
        worth[overlaps(left, top, width, height, window)] = 0
        nearness = np.minimum(nearness, np.hypot(left - window.x, top - window.y))
    return tuple(chosen)


def weigh_places(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    wanted: NDArray[np.float64],
    size: Size,
    within: Region,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return left, top and weight of every window of the grid that holds a wanted cell."""
    step_x, step_y = max(1, size.width // STEPS), max(1, size.height // STEPS)
    n_cols, n_rows = -(-within.width // step_x), -(-within.height // step_y)
    if n_cols * n_rows > MAX_PLACES:
        raise ValueError(
            f"{n_cols} × {n_rows} windows of {size.width} × {size.height} px: the window is too "
            f"small for {within.width} × {within.height} px"
        )
    cols = np.clip((xs - within.x) // step_x, 0, n_cols - 1).astype(np.int64)
    rows = np.clip((ys - within.y) // step_y, 0, n_rows - 1).astype(np.int64)
    bins = np.zeros((n_rows + 1, n_cols + 1))
    np.add.at(bins, (rows, cols), wanted)
    totals = bins[:-1, :-1] + bins[1:, :-1] + bins[:-1, 1:] + bins[1:, 1:]
    row, col = np.nonzero(totals)
    # Windows at the right and lower rim move inwards.
    left = np.minimum(within.x + col * step_x, within.right - size.width)
    top = np.minimum(within.y + row * step_y, within.bottom - size.height)
    return left.astype(np.int64), top.astype(np.int64), totals[row, col]


def overlaps(
    left: NDArray[np.int64], top: NDArray[np.int64], width: int, height: int, window: Region
) -> NDArray[np.bool_]:
    return (
        (left < window.right)
        & (left + width > window.x)
        & (top < window.bottom)
        & (top + height > window.y)
    )
