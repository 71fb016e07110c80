"""Choose fields of two slides that belong together: typical ones, and ones of like cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Intensity
from her2path.geometry import Region, Size

__all__ = ["Window", "matched_windows", "typical_window", "windows_of"]

# As many cells as make a mix of five classes; where no field has so many, half of the fullest.
LEAST_CELLS = 20
# The fullest windows of a slide; pairs of them are looked at all.
MAX_WINDOWS = 300
# How much more alike two fields without staining must be to be shown before two with some.
STAINED_WORTH = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A field on one slide of a side.

    Attributes
    ----------
    slide : int
        Position of the slide in its side.
    box : Region
        Level-0 px.
    n_cells : int
        Tumor cells counted in it.
    mix : ndarray of shape (5,), float64
        Shares of them by intensity.
    """

    slide: int
    box: Region
    n_cells: int
    mix: NDArray[np.float64]

    def overlaps(self, other: Window) -> bool:
        """Whether both lie on one slide and share a place."""
        common = self.box.intersection(other.box)
        return self.slide == other.slide and not common.is_empty


def windows_of(
    slide: int, cells: Mapping[str, NDArray[np.generic]], *, size: Size, within: Region
) -> list[Window]:
    """Return the fields of a slide that hold cells, on a grid of half their size.

    Parameters
    ----------
    slide : int
        Position of the slide in its side.
    cells : mapping of str to ndarray of shape (n,)
        `x`, `y` (level-0 px) and `intensity` (values of `Intensity`) of the counted cells.
    size : Size
        Of a field, level-0 px.
    within : Region
        Fields stay inside it.
    """
    width, height = min(size.width, within.width), min(size.height, within.height)
    step_x, step_y = max(1, width // 2), max(1, height // 2)
    # Two steps, so that a field holds the cells that its mix is of.
    width, height = min(2 * step_x, width), min(2 * step_y, height)
    n_cols, n_rows = -(-within.width // step_x), -(-within.height // step_y)
    x, y = np.asarray(cells["x"], np.float64), np.asarray(cells["y"], np.float64)
    place = np.floor(y / step_y).astype(np.int64) * n_cols + np.floor(x / step_x).astype(np.int64)
    found, index = np.unique(place, return_inverse=True)
    counts = np.zeros((len(found), len(Intensity)))
    np.add.at(counts, (index, np.asarray(cells["intensity"], np.int64)), 1)
    bins = dict(zip(found.tolist(), counts, strict=True))
    windows = []
    corners = {p - dx - dy * n_cols for p in bins for dx in (0, 1) for dy in (0, 1)}
    for corner in sorted(corners):
        row, col = divmod(corner, n_cols)
        if row < 0 or col + 1 >= n_cols or row + 1 >= n_rows:
            continue
        total = np.zeros(len(Intensity))
        for place_of_bin in (corner, corner + 1, corner + n_cols, corner + n_cols + 1):
            total = total + bins.get(place_of_bin, 0.0)
        box = Region(col * step_x, row * step_y, width, height)
        if total.sum() and box.right <= within.right and box.bottom <= within.bottom:
            windows.append(Window(slide, box, int(total.sum()), total / total.sum()))
    return windows


def usable(windows: list[Window]) -> list[Window]:
    """Return the windows with enough cells, fullest first."""
    most = max((window.n_cells for window in windows), default=0)
    enough = [w for w in windows if w.n_cells >= min(LEAST_CELLS, max(1, most // 2))]
    ranked = sorted(enough, key=lambda w: (-w.n_cells, w.slide, w.box.y, w.box.x))
    return ranked[:MAX_WINDOWS]


def apart(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of mixes in class steps (Wasserstein), over the last axis."""
    cumulated = np.cumsum(one - others, axis=-1)
    distance: NDArray[np.float64] = np.abs(cumulated).sum(axis=-1)
    return distance


def typical_window(windows: list[Window], mix: NDArray[np.float64]) -> Window | None:
    """Return the field whose mix is nearest to that of the whole side; None without a field."""
    ranked = usable(windows)
    if not ranked:
        return None
    distance = apart(mix, np.stack([window.mix for window in ranked]))
    return ranked[int(np.round(distance, 6).argmin())]


def matched_windows(
    before: list[Window], after: list[Window], *, n_pairs: int
) -> Iterator[tuple[Window, Window]]:
    """Yield pairs of fields nearest in class mix, those with staining first.

    Like cells should look alike on both sides; where they do not, the stain or the scanner
    differs.
    """
    left, right = usable(before), usable(after)
    if not left or not right:
        return
    mixes = [np.stack([window.mix for window in side]) for side in (left, right)]
    distance = apart(mixes[0][:, None], mixes[1][None])
    stained = [1 - mix[:, Intensity.NONE] for mix in mixes]
    cost = distance - STAINED_WORTH * np.minimum(stained[0][:, None], stained[1][None])
    cost = np.round(cost, 6)
    for _ in range(n_pairs):
        row, col = np.unravel_index(int(cost.argmin()), cost.shape)
        if not np.isfinite(cost[row, col]):
            return
        one, other = left[int(row)], right[int(col)]
        yield one, other
        cost[[window.overlaps(one) for window in left], :] = np.inf
        cost[:, [window.overlaps(other) for window in right]] = np.inf
