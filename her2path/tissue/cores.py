"""The cores of a tissue microarray: where they lie, and their rows and columns.

Tissue is compared with a disc of a core's size; where a disc is well filled there is a core. Steps
from core to core give the two directions of the grid, whole numbers of steps give row and column,
and a smooth surface through all cores gives the places of those that are missing: microarrays are
turned and bent a little, and lose cores.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import CoreGridError
from her2path.tissue.mask import TissueMask
from her2path.tissue.overview import disc

__all__ = ["Core", "CoreGrid", "find_cores"]

# Needles of microarrays are 0.6 to 2 mm wide.
DIAMETER_RANGE_UM = (400.0, 3000.0)
# A core that crumbled is still one; a gap between cores is wider.
CRUMB_GAP_UM = 60.0
# A piece this full of the smallest circle round it is a whole core.
ROUND_FRAC = 0.6
LEAST_CORES = 4
# The densest arrays hold a thousand cores of 0.6 mm; a section full of summits would hold more, and
# the distances between all of them all memory.
MAX_CORES = 2000
# On a grid of so many px per core discs are told from their neighbors, and it is fast.
PX_PER_CORE = 24.0
# A tenth of a core may be all that is left of it.
LEAST_FILLED = 0.12
# Cores of one grid lie further apart than this, in diameters; neighbors nearer than that.
LEAST_PITCH, MOST_PITCH = 0.8, 3.5
# A grid is turned by less than this.
MOST_TURN_DEG = 30.0
# A core lies within this share of a step from where its neighbor says that it should.
STEP_TOLERANCE = 0.35
# A step is a single one where so many of all are whole multiples of it.
MOSTLY = 0.75
N_FITS = 4
# Steps to the next column and to the next row stand well apart; below this sine of the angle
# between them they say nothing of where a row is.
LEAST_SINE = 0.1
# Outlines are this much wider than cores, which are rarely round, but never overlap.
OUTLINE_MARGIN, OUTLINE_MOST = 1.1, 0.98
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NO_GRID = (
    "cores do not stand in rows and columns: state their diameter, turn the picture by less than "
    f"{MOST_TURN_DEG:g}°, or draw them in QuPath"
)


@dataclass(frozen=True, slots=True)
class Core:
    """One place of the grid.

    Attributes
    ----------
    row, column : int
        From 0, top to bottom and left to right as the picture lies.
    x_um, y_um : float
        Center from the picture's top-left corner.
    filled_frac : float
        Share of a whole core that is tissue, 0–1; 0 where the core is missing.
    """

    row: int
    column: int
    x_um: float
    y_um: float
    filled_frac: float

    @property
    def is_missing(self) -> bool:
        """Whether no tissue is left here."""
        return self.filled_frac == 0

    @property
    def name(self) -> str:
        """Row by letter and column by number: A-1, …, Z-1, AA-1."""
        first, last = divmod(self.row, len(LETTERS))
        return (LETTERS[first - 1] if first else "") + f"{LETTERS[last]}-{self.column + 1}"


@dataclass(frozen=True, slots=True)
class CoreGrid:
    """All places of a microarray, row by row.

    Attributes
    ----------
    cores : tuple of Core
    diameter_um : float
        Of a whole core.
    radius_um : float
        Of outlines round cores: a little wider than these, and free of the neighbors.
    """

    cores: tuple[Core, ...]
    diameter_um: float
    radius_um: float

    @property
    def n_rows(self) -> int:
        """Rows."""
        return 1 + max(core.row for core in self.cores)

    @property
    def n_columns(self) -> int:
        """Columns."""
        return 1 + max(core.column for core in self.cores)

    @property
    def n_missing(self) -> int:
        """Places without tissue."""
        return sum(core.is_missing for core in self.cores)


def find_cores(tissue: TissueMask, *, diameter_um: float | None = None) -> CoreGrid:
    """Find the cores of a microarray.

    Parameters
    ----------
    tissue : TissueMask
        At about 4–12 µm/px.
    diameter_um : float, optional
        Of a core; measured on whole ones where it is not given.

    Returns
    -------
    CoreGrid

    Raises
    ------
    CoreGridError
        There are no cores in rows and columns; the message names the remedy.
    """
    diameter = typical_diameter(tissue) if diameter_um is None else diameter_um
    low, high = DIAMETER_RANGE_UM
    if not low <= diameter <= high:
        raise CoreGridError(
            f"cores of {diameter * 1e-3:.2f} mm are not those of a microarray "
            f"({low * 1e-3:g} to {high * 1e-3:g} mm)"
        )
    places, filled = filled_discs(tissue, diameter)
    if len(places) < LEAST_CORES:
        raise CoreGridError(
            f"{len(places)} cores of {diameter * 1e-3:.2f} mm were found, {LEAST_CORES} are needed "
            "to see a grid: state their diameter, or draw them in QuPath"
        )
    if len(places) > MAX_CORES:
        raise CoreGridError(
            f"{len(places):,} places would be cores of {diameter * 1e-3:.2f} mm, more than any "
            f"microarray has ({MAX_CORES:,}): state another diameter, or draw them in QuPath"
        )
    steps = grid_steps(places, diameter)
    index = grid_index(places, steps)
    return complete_grid(places, filled, index, tissue, diameter)


def typical_diameter(tissue: TissueMask) -> float:
    """Return the median diameter of pieces as round and as large as cores, µm.

    Raises
    ------
    CoreGridError
        There are too few.
    """
    kernel = disc(CRUMB_GAP_UM / 2, tissue.mpp)
    whole = cv2.morphologyEx(tissue.mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    rings, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    low, high = DIAMETER_RANGE_UM
    found = []
    for ring in rings:
        area, (_, radius) = cv2.contourArea(ring), cv2.minEnclosingCircle(ring)
        is_round = area >= ROUND_FRAC * math.pi * radius**2
        diameter = 2 * math.sqrt(area / math.pi) * tissue.mpp
        if is_round and low <= diameter <= high:
            found.append(diameter)
    if len(found) < LEAST_CORES:
        raise CoreGridError(
            f"pieces of tissue that are round and as large as cores: {len(found)}; {LEAST_CORES} "
            "are needed: is it a tissue microarray? State the diameter of its cores, or draw them "
            "in QuPath"
        )
    return float(np.median(found))


def filled_discs(
    tissue: TissueMask, diameter_um: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centers (x, y) of discs that tissue fills better than any near them, µm.

    Returns
    -------
    places : ndarray of shape (n, 2), float64
    filled : ndarray of shape (n,), float64
        Share of each disc that is tissue, 0–1.
    """
    step = max(1.0, diameter_um / PX_PER_CORE / tissue.mpp)
    rows, cols = (max(1, round(side / step)) for side in tissue.mask.shape)
    small = cv2.resize(tissue.mask.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    # Rows and columns are rounded apart: of a narrow picture their px differ by several percent.
    px_um = tissue.mpp * np.array(tissue.mask.shape[::-1]) / (cols, rows)
    mpp = float(np.sqrt(px_um.prod()))
    # Beyond the picture there is no tissue.
    kernel = disc(diameter_um / 2, mpp).astype(np.float32)
    share = cv2.filter2D(small, cv2.CV_32F, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    # A plain of equal values has one summit.
    share = cv2.GaussianBlur(share, (0, 0), 1.5)
    around = cv2.dilate(share, disc(LEAST_PITCH / 2 * diameter_um, mpp))
    n_summits, _, _, centers = cv2.connectedComponentsWithStats(
        ((share >= around) & (share >= LEAST_FILLED)).astype(np.uint8), connectivity=8
    )
    places = centers[1:n_summits]
    r, c = np.rint(places[:, ::-1]).astype(int).T
    return (places + 0.5) * px_um, share[r, c].astype(np.float64)


def grid_steps(places: NDArray[np.float64], diameter_um: float) -> NDArray[np.float64]:
    """Return the typical step (x, y) to the next column and to the next row, shape (2, 2), µm.

    Raises
    ------
    CoreGridError
        Cores do not stand side by side, or not one above the other.
    """
    apart = places[None] - places[:, None]
    length = np.hypot(apart[..., 0], apart[..., 1])
    is_near = (length > LEAST_PITCH * diameter_um) & (length < MOST_PITCH * diameter_um)
    slope = math.tan(math.radians(MOST_TURN_DEG))
    steps = []
    for along, across, words in ((0, 1, "side by side"), (1, 0, "one above the other")):
        is_ahead = is_near & (apart[..., along] > 0)
        is_ahead &= np.abs(apart[..., across]) <= slope * apart[..., along]
        has_next = is_ahead.any(axis=1)
        if has_next.sum() < LEAST_CORES // 2:
            raise CoreGridError(f"cores do not stand {words}: draw them in QuPath")
        nearest = np.where(is_ahead, length, np.inf).argmin(axis=1)
        steps.append(single_step(apart[np.arange(len(places)), nearest][has_next]))
    return np.array(steps)


def single_step(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the step (x, y) that most of the found ones are whole multiples of.

    Beside a lost core the next one is two steps away, or three.

    Parameters
    ----------
    found : ndarray of shape (n, 2), float64
    """
    length = np.hypot(*found.T)
    shares = length[:, None] / np.sort(length)[::-1]
    times = np.rint(shares)
    fits = (np.abs(shares - times) <= STEP_TOLERANCE / 2) & (times >= 1)
    # The largest that will do: half of it would do as well.
    enough = fits.mean(axis=0) >= MOSTLY
    best = int(enough.argmax()) if enough.any() else int(fits.mean(axis=0).argmax())
    single: NDArray[np.float64] = np.median(
        found[fits[:, best]] / times[fits[:, best], best, None], axis=0
    )
    return single


def grid_index(places: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return column and row of each place, shape (n, 2), counted from any corner.

    From the core with the most neighbors on, steps lead from core to core; cores that no step
    reaches get the nearest place of the grid.
    """
    index = np.zeros((len(places), 2), np.int64)
    is_known = np.zeros(len(places), np.bool_)
    middle = np.median(places, axis=0)
    first = int(np.hypot(*(places - middle).T).argmin())
    is_known[first] = True
    waiting = deque([first])
    pitch = np.hypot(*steps.T).min()
    while waiting:
        here = waiting.popleft()
        for columns, rows in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            expected = places[here] + columns * steps[0] + rows * steps[1]
            away = np.hypot(*(places - expected).T)
            there = int(away.argmin())
            if away[there] <= STEP_TOLERANCE * pitch and not is_known[there]:
                index[there] = index[here] + (columns, rows)
                is_known[there] = True
                waiting.append(there)
    surface = np.concatenate([places[first][None], steps, np.zeros((3, 2))])
    for _ in range(N_FITS):
        if is_known.sum() >= 2 * LEAST_CORES:
            surface = fit_surface(index[is_known], places[is_known])
        index = nearest_index(places, surface, index)
        away = np.hypot(*(places - at_index(index, surface)).T)
        is_known = away <= STEP_TOLERANCE * pitch
    return index


def terms(index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1, column, row, and their products, shape (n, 6): what a bent grid follows."""
    column, row = index.astype(np.float64).T
    ones = np.ones_like(column)
    return np.stack([ones, column, row, column * row, column**2, row**2], axis=1)


def fit_surface(index: NDArray[np.int64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients, shape (6, 2), of the surface through places by column and row.

    What bends is fitted only where there are rows and columns enough to see it.
    """
    design = terms(index)
    spread = np.ptp(index, axis=0)
    n_terms = 6 if spread.min() >= 3 else 3
    coefficients = np.zeros((6, 2))
    coefficients[:n_terms] = np.linalg.lstsq(design[:, :n_terms], places, rcond=None)[0]
    return coefficients


def at_index(index: NDArray[np.int64], surface: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where places of the grid should lie, shape (n, 2), µm."""
    found: NDArray[np.float64] = terms(index) @ surface
    return found


def nearest_index(
    places: NDArray[np.float64], surface: NDArray[np.float64], index: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place of the grid that is nearest to each core; `index` is where to begin.

    Raises
    ------
    CoreGridError
        The surface has no rows and columns.
    """
    steps = surface[1:3]
    if abs(np.linalg.det(steps)) <= LEAST_SINE * np.hypot(*steps.T).prod():
        raise CoreGridError(NO_GRID)
    for _ in range(N_FITS):
        rest = places - at_index(index, surface)
        away = np.rint(rest @ np.linalg.inv(steps))
        # A surface that bends too far leads further away with every step.
        if np.abs(away).max() > MAX_CORES:
            raise CoreGridError(NO_GRID)
        index = index + away.astype(np.int64)
    return index


def complete_grid(
    places: NDArray[np.float64],
    filled: NDArray[np.float64],
    index: NDArray[np.int64],
    tissue: TissueMask,
    diameter_um: float,
) -> CoreGrid:
    """Return all places between the outermost rows and columns, one core at most at each.

    Of two cores at one place the fuller one stays: the other is a crumb beside it.
    """
    best: dict[tuple[int, int], int] = {}
    for k in np.argsort(-filled, kind="stable").tolist():
        best.setdefault((int(index[k, 1]), int(index[k, 0])), k)
    chosen = np.array(sorted(best.values()))
    index, places, filled = index[chosen], places[chosen], filled[chosen]
    index = index - index.min(axis=0)
    n_columns, n_rows = (index.max(axis=0) + 1).tolist()
    if min(n_columns, n_rows) < 2:
        raise CoreGridError("all cores lie in one line, which is no grid: draw them in QuPath")
    if n_columns * n_rows > MAX_CORES:
        raise CoreGridError(NO_GRID)
    every = np.stack(np.meshgrid(np.arange(n_columns), np.arange(n_rows)), axis=-1).reshape(-1, 2)
    expected = at_index(every, fit_surface(index, places))
    at = {(int(c), int(r)): k for k, (c, r) in enumerate(index)}
    height_um, width_um = (side * tissue.mpp for side in tissue.mask.shape)
    cores = []
    for (column, row), (x, y) in zip(every.tolist(), expected.tolist(), strict=True):
        k = at.get((column, row))
        if k is not None:
            x, y = places[k].tolist()
        elif not (0 <= x < width_um and 0 <= y < height_um):
            continue
        # A part of a core hardly stands out beside a whole neighbor.
        share = filled_at(tissue, x, y, diameter_um) if k is None else float(filled[k])
        cores.append(Core(row, column, x, y, share))
    between = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    nearest = between[between > 0].min()
    radius = min(OUTLINE_MARGIN * diameter_um, OUTLINE_MOST * nearest) / 2
    return CoreGrid(tuple(cores), diameter_um, float(radius))


def filled_at(tissue: TissueMask, x_um: float, y_um: float, diameter_um: float) -> float:
    """Return the share of a disc that is tissue, 0 where hardly any is."""
    radius = diameter_um / 2
    top, left = (max(0, int((at - radius) / tissue.mpp)) for at in (y_um, x_um))
    bottom, right = (math.ceil((at + radius) / tissue.mpp) for at in (y_um, x_um))
    part = tissue.mask[top:bottom, left:right]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    down, across = (
        (top + rows + 0.5) * tissue.mpp - y_um,
        (left + columns + 0.5) * tissue.mpp - x_um,
    )
    n_px = np.count_nonzero(part & (down**2 + across**2 <= radius**2))
    share = n_px * tissue.mpp**2 / (math.pi * radius**2)
    return float(share) if share >= LEAST_FILLED else 0.0
