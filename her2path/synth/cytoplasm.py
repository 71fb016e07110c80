"""The cytoplasm of epithelial cells: its stains, and brown in it that is no membrane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.cell_kinds import CellKind
from her2path.synth.noise import sample, stream
from her2path.synth.nuclei import Nuclei
from her2path.synth.recipe import SlideRecipe
from her2path.synth.stain_maps import pixels_about

__all__ = [
    "Cytoplasm",
    "Dots",
    "dots_beside_nuclei",
    "draw_cytoplasm",
    "draw_dots",
    "fade_to_borders",
    "stain_cytoplasm",
]

# No cell is deeper than this; squares up to it are whole numbers of float32.
MOST_DEPTH_PX = 2000.0
# Cells that are no tumor take up this share of its brown.
_OF_OTHER_CELLS = 0.4
# Streaks: size of their noise across, µm, and how many times longer they are.
_STREAK_UM = (0.22, 0.6)
_STREAK_STRETCH = (3.0, 7.0)
# Dots beside a nucleus, as of the Golgi apparatus: how many, radius and distance from it, µm, and
# how many times longer they are along its outline.
_MOST_DOTS = 3
_DOT_UM = (0.35, 1.1)
_DOT_OFF_UM = (0.0, 1.2)
_DOT_STRETCH = (1.0, 2.2)


@dataclass(frozen=True, slots=True)
class Cytoplasm:
    """Stain between nucleus and outline of each cell.

    Attributes
    ----------
    h_od, dab_od, granular_od, blotch_od, streak_od : ndarray of shape (n,), float32
        Hematoxylin; DAB that is diffuse, in granules, in blotches and in streaks.
    streak_angle, streak_um, streak_stretch : ndarray of shape (n,), float32
        Direction of the streaks (radians), size across (µm) and along, as a multiple of it.
    """

    h_od: NDArray[np.float32]
    dab_od: NDArray[np.float32]
    granular_od: NDArray[np.float32]
    blotch_od: NDArray[np.float32]
    streak_od: NDArray[np.float32]
    streak_angle: NDArray[np.float32]
    streak_um: NDArray[np.float32]
    streak_stretch: NDArray[np.float32]

    @staticmethod
    def join(parts: Sequence[Cytoplasm]) -> Cytoplasm:
        """Join what several blocks hold, in their order."""
        return Cytoplasm(
            *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Cytoplasm))
        )


@dataclass(frozen=True, slots=True)
class Dots:
    """Brown dots beside nuclei.

    Attributes
    ----------
    cell : ndarray of shape (k,), int64
        Cell that each lies in.
    x, y, long_um, short_um, angle, dab_od : ndarray of shape (k,), float64
        Center and half axes (µm), direction of the long one (radians), DAB OD.
    """

    cell: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    long_um: NDArray[np.float64]
    short_um: NDArray[np.float64]
    angle: NDArray[np.float64]
    dab_od: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cell)


def stain_cytoplasm(
    recipe: SlideRecipe,
    tone: NDArray[np.float64],
    region: NDArray[np.int32],
    kind: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    seed: int,
    block: tuple[int, int],
) -> Cytoplasm:
    """Draw the stain of the cytoplasm of each cell at random.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    tone : ndarray of shape (n,), float64
        Hematoxylin of the nest that a cell lies in, as a multiple of the region's.
    region, kind : ndarray of shape (n,)
        Region of the recipe, and `CellKind`, of each cell.
    rng : Generator
        Source of what every recipe has.
    seed, block : int, (int, int)
        Source of what few have: recipes without it draw what they always drew.
    """
    n = len(region)

    def of_region(name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.array([getattr(r, name) for r in recipe.all_regions])
        return values[region]

    share = np.where(kind == CellKind.TUMOR, 1.0, _OF_OTHER_CELLS)
    parts = [of_region("cytoplasm_h_od") * tone * np.exp(rng.normal(0, 0.18, n))]
    for name, spread in (("cytoplasm_od", 0.3), ("granular_od", 0.3), ("blotch_od", 0.6)):
        parts.append(of_region(name) * np.exp(rng.normal(0, spread, n)) * share)
    streaks = [np.zeros(n), np.zeros(n), np.ones(n), np.ones(n)]
    level = of_region("streak_od")
    if level.any():
        own = stream(seed, 44, *block)
        streaks = [
            level * np.exp(own.normal(0, 0.6, n)) * share,
            own.uniform(0, math.pi, n),
            own.uniform(*_STREAK_UM, n),
            own.uniform(*_STREAK_STRETCH, n),
        ]
    return Cytoplasm(*(part.astype(np.float32) for part in (*parts, *streaks)))


def dots_beside_nuclei(
    recipe: SlideRecipe,
    nuclei: Nuclei,
    region: NDArray[np.int32],
    *,
    seed: int,
    block: tuple[int, int],
) -> Dots:
    """Draw dots beside the nuclei of a share of the cells at random.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    nuclei : Nuclei
        One per cell.
    region : ndarray of shape (n,), int32
        Region of the recipe that each cell lies in.
    seed, block : int, (int, int)
        Source of what is random.
    """
    share = np.array([r.dot_share for r in recipe.all_regions])[region]
    od = np.array([r.dot_od for r in recipe.all_regions])[region]
    if not (share * od).any():
        return Dots(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(6)))
    rng = stream(seed, 45, *block)
    n = len(region)
    count = np.where(rng.random(n) < share, rng.integers(1, _MOST_DOTS + 1, n), 0)
    side = rng.uniform(0, 2 * math.pi, n)
    cell = np.repeat(np.arange(n), count)
    k = len(cell)
    # Those of one cell lie at one side of its nucleus.
    at = side[cell] + rng.normal(0, 0.5, k)
    off = rng.uniform(*_DOT_OFF_UM, k)
    turn = nuclei.angle[cell].astype(np.float64)
    u = (nuclei.a_um[cell] + off) * np.cos(at)
    v = (nuclei.b_um[cell] + off) * np.sin(at)
    short = rng.uniform(*_DOT_UM, k)
    return Dots(
        cell,
        nuclei.x[cell] + u * np.cos(turn) - v * np.sin(turn),
        nuclei.y[cell] + u * np.sin(turn) + v * np.cos(turn),
        short * rng.uniform(*_DOT_STRETCH, k),
        short,
        turn + np.arctan2(v, u) + math.pi / 2 + rng.normal(0, 0.3, k),
        od[cell] * np.exp(rng.normal(0, 0.4, k)),
    )


@nb.njit(cache=True)
def draw_cytoplasm(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    h_od: NDArray[np.float32],
    dab_od: NDArray[np.float32],
    granular_od: NDArray[np.float32],
    blotch_od: NDArray[np.float32],
    streak_od: NDArray[np.float32],
    streak_angle: NDArray[np.float32],
    streak_um: NDArray[np.float32],
    streak_stretch: NDArray[np.float32],
    granule_um: NDArray[np.float64],
    blotch_um: NDArray[np.float64],
    foam_cut: NDArray[np.float64],
    foam_um: NDArray[np.float64],
    mottle: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    fine: NDArray[np.float32],
) -> None:
    """Fill the cells (label ≥ 0; −2 is a lumen) with cytoplasm (in place).

    Each value belongs to the cell of that label; `mottle` is the contrast of its texture, and
    noise of the size `foam_um` above `foam_cut` is clear (infinite: none is).
    """
    rows, cols = h.shape
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        for c in range(cols):
            cell = label[r, c]
            if cell == -1:
                continue
            x = (x0 + c + 0.5) * mpp
            if cell == -2:
                wisp = max(0.0, sample(fine, x / 2.2 + 11.0, y / 2.2) - 1.2)
                h[r, c] = 0.03 * wisp
                d[r, c] = 0.004 * wisp
                continue
            foam = sample(fine, x / 0.42, y / 0.42)
            cloud = sample(fine, x / 2.6 + 50.0, y / 2.6)
            net = sample(fine, x / 0.95 + 90.0, y / 0.95 + 12.0)
            m = mottle[cell]
            h[r, c] = h_od[cell] * max(0.0, 1 + m * 0.42 * foam + m * 0.26 * cloud + m * 0.30 * net)
            brown = dab_od[cell] * max(
                0.0, 1 + m * 0.35 * foam + (0.2 + 0.8 * m) * 0.4 * cloud + m * 0.4 * net
            )
            if granular_od[cell] > 0:
                size = granule_um[cell]
                grain = sample(fine, x / size + 17.0, y / size + 5.0)
                brown += granular_od[cell] * max(0.0, grain - 0.9) * 1.2
            if blotch_od[cell] > 0:
                size = blotch_um[cell]
                blotch = sample(fine, x / size + 29.0, y / size + 61.0)
                brown += blotch_od[cell] * min(1.0, max(0.0, 0.5 + blotch))
            if streak_od[cell] > 0:
                ca, sa = np.cos(streak_angle[cell]), np.sin(streak_angle[cell])
                size = streak_um[cell]
                bend = 0.8 * sample(fine, x / 3.0 + 7.0, y / 3.0 + 43.0)
                along = (x * ca + y * sa) / (size * streak_stretch[cell])
                across = (y * ca - x * sa + bend) / size
                streak = sample(fine, along + 83.0, across + 21.0)
                brown += streak_od[cell] * max(0.0, streak - 0.7) * 1.2
            if foam_cut[cell] < np.inf:
                size = foam_um[cell]
                bubble = sample(fine, x / size + 37.0, y / size + 71.0)
                clear = 0.85 * min(1.0, max(0.0, 2.5 * (bubble - foam_cut[cell])))
                h[r, c] *= 1 - clear
                brown *= 1 - clear
            d[r, c] = brown


def fade_to_borders(
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    inset_um: NDArray[np.float64],
    mpp: float,
) -> None:
    """Let the brown of cells fade within `inset_um` (of each cell) of their borders (in place)."""
    is_border = np.zeros(label.shape, np.bool_)
    across, down = label[:, 1:] != label[:, :-1], label[1:] != label[:-1]
    is_border[:, 1:] |= across
    is_border[:, :-1] |= across
    is_border[1:] |= down
    is_border[:-1] |= down
    # Exact distances: those of the chamfer kind would depend on where a tile begins.
    depth_px = cv2.distanceTransform(
        (~is_border).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    # Its last bit depends on where an array lies in memory; the square of a distance is whole.
    depth_px = np.sqrt(np.rint(np.minimum(depth_px, MOST_DEPTH_PX) ** 2))
    # Labels −1 and −2 pick the two last values: what lies outside keeps its brown.
    inset_px = np.append(inset_um / mpp, [0.0, 0.0]).astype(np.float32)[label]
    d *= np.where(inset_px > 0, np.minimum(depth_px / np.maximum(inset_px, 1e-3), 1), 1)


@nb.njit(cache=True)
def draw_dots(
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    own: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    long_um: NDArray[np.float64],
    short_um: NDArray[np.float64],
    angle: NDArray[np.float64],
    dab_od: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
) -> None:
    """Add dots to the brown of the cells of the labels `own` (in place); the rest as in `Dots`."""
    rows, cols = d.shape
    for k in range(x.size):
        reach = 2.0 * long_um[k]
        ca, sa = np.cos(angle[k]), np.sin(angle[k])
        r_from, r_to, c_from, c_to = pixels_about(x[k], y[k], reach, x0, y0, mpp, rows, cols)
        for r in range(r_from, r_to + 1):
            for c in range(c_from, c_to + 1):
                if label[r, c] != own[k]:
                    continue
                dx, dy = (x0 + c + 0.5) * mpp - x[k], (y0 + r + 0.5) * mpp - y[k]
                u, v = (dx * ca + dy * sa) / long_um[k], (dy * ca - dx * sa) / short_um[k]
                d[r, c] += dab_od[k] * np.exp(-0.7 * (u * u + v * v) ** 2)
