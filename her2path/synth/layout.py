"""Where tissue, regions and nests lie: pure functions of seed and place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import noise_tile, sample, sampled, stream
from her2path.synth.recipe import RegionRecipe, SlideRecipe

__all__ = [
    "N_RADII",
    "Nest",
    "NestKind",
    "block_grid",
    "control_disc",
    "nests_of_block",
    "region_at",
    "rounded",
    "tissue_depth",
]

# Directions in which the border of a nest is stored: 5.6° is 7 µm at a radius of 70 µm.
N_RADII = 64
# Nests of one block share one quota of cells; a square millimetre holds some thousand cells.
BLOCK_UM = 1024.0
# Further than this the frayed edge of the tissue never reaches.
FRAYED_UM = 250.0


class NestKind(IntEnum):
    """Growth pattern of a nest."""

    SOLID = 0
    GLAND = 1
    CRIBRIFORM = 2
    CORD = 3
    BENIGN = 4
    DCIS = 5
    STRATIFIED = 6
    SCATTERED = 7
    SQUAMOUS = 8


@dataclass(frozen=True, slots=True)
class Nest:
    """An island of epithelium: star-shaped round its seed.

    Attributes
    ----------
    x, y : float
        Seed, µm.
    radii : ndarray of shape (N_RADII,), float64
        Distance of the border from the seed, µm, clockwise from +x.
    kind : NestKind
        Growth pattern.
    region : int
        Position of its region in the recipe.
    column, row : int
        Place in the region's lattice of nests; names the nest's own random stream.
    is_smooth : bool
        Whether the cells fill the nest to a smooth border.
    is_branched, is_grazed : bool
        Whether a gland branches, and whether the section runs along its wall.
    """

    x: float
    y: float
    radii: NDArray[np.float64]
    kind: NestKind
    region: int
    column: int
    row: int
    is_smooth: bool = False
    is_branched: bool = False
    is_grazed: bool = False


def block_grid(recipe: SlideRecipe) -> tuple[int, int]:
    """Return how many blocks (columns, rows) the recipe is planned in."""
    return (
        max(1, round(recipe.width_um / BLOCK_UM)),
        max(1, round(recipe.height_um / BLOCK_UM)),
    )


def control_disc(recipe: SlideRecipe) -> tuple[float, float, float]:
    """Return centre and radius (µm) of the control tissue: at the right, on glass of its own."""
    width, height = recipe.width_um, recipe.height_um
    return 0.89 * width, 0.5 * height, min(0.085 * width, 0.4 * height)


def tissue_depth(
    x: NDArray[np.float64], y: NDArray[np.float64], recipe: SlideRecipe, *, seed: int
) -> NDArray[np.float64]:
    """Return how deep in the tissue each point lies, in µm (negative = on glass).

    The depth is exact near straight borders and an estimate elsewhere.
    """
    depth = _sample_depth(x, y, recipe, seed)
    if recipe.control:
        cx, cy, radius = control_disc(recipe)
        depth = np.maximum(depth, radius - np.hypot(x - cx, y - cy))
    return depth


def _sample_depth(
    x: NDArray[np.float64], y: NDArray[np.float64], recipe: SlideRecipe, seed: int
) -> NDArray[np.float64]:
    shape = recipe.tissue
    if shape.kind == "fill":
        return np.full(np.shape(x), 1e6)
    if shape.kind == "none":
        return np.full(np.shape(x), -1e6)
    rng = stream(seed, 11)
    width = recipe.sample_width_um
    height = recipe.height_um
    ragged = noise_tile(seed, 12, rolloff=2.0)
    # Bays of some ten microns, and the frayed edge itself.
    fray = (
        14 * sampled(ragged, x / 28.0, y / 28.0)
        + 5 * sampled(ragged, x / 7.0 + 90, y / 7.0)
        + 2 * sampled(ragged, x / 2.0, y / 2.0 + 50)
    )
    if shape.kind == "biopsy":
        thickness = min(700.0, (height - 2 * shape.margin_um) / 1.3)
        n = max(1, int((height - 2 * shape.margin_um) // (1.5 * thickness)))
        depth = np.full(np.shape(x), -1e6)
        for k in range(n):
            mid = height * (k + 0.5) / n
            bend = rng.uniform(-0.12, 0.12) * thickness
            axis = mid + bend * np.sin(np.asarray(x) / width * math.pi * rng.uniform(1, 2.5))
            half = thickness * (0.44 + 0.03 * sampled(ragged, x / 90.0, np.full_like(x, 7.0 * k)))
            ends = np.minimum(x, width - x) - shape.margin_um * rng.uniform(1, 2)
            depth = np.maximum(depth, np.minimum(half - np.abs(y - axis), ends))
        return depth + fray
    centre_x, centre_y = width / 2, height / 2
    half_w, half_h = width / 2 - shape.margin_um, height / 2 - shape.margin_um
    if shape.kind == "core":
        half_w = half_h = min(half_w, half_h)
    angle = np.arctan2((y - centre_y) / half_h, (x - centre_x) / half_w)
    outline = np.full(np.shape(x), 0.96)
    spread = 0.006 if shape.kind == "core" else 0.035
    for k in range(1, 7):
        outline -= spread * rng.uniform(0.3, 1.0) * (1 + np.cos(k * angle + rng.uniform(0, 7)))
    # A rounded rectangle fills the slide better than an ellipse.
    power = 2.0 if shape.kind == "core" else 3.0
    reach = (
        np.abs((x - centre_x) / half_w) ** power + np.abs((y - centre_y) / half_h) ** power
    ) ** (1 / power)
    return (outline - reach) * min(half_w, half_h) + fray


def region_at(
    x: NDArray[np.float64], y: NDArray[np.float64], recipe: SlideRecipe
) -> NDArray[np.int16]:
    """Return the position of the region that each point belongs to."""
    region = np.zeros(np.shape(x), dtype=np.int16)
    for position, entry in enumerate(recipe.regions):
        if entry.disc is not None:
            cx, cy, radius = entry.disc
            inside = (
                np.hypot(x - cx * recipe.width_um, y - cy * recipe.height_um)
                <= radius * recipe.width_um
            )
            region[inside] = position
    if recipe.control:
        cx, cy, radius = control_disc(recipe)
        region[np.hypot(x - cx, y - cy) <= radius + 30] = len(recipe.regions)
    return region


def nests_of_block(recipe: SlideRecipe, column: int, row: int, *, seed: int) -> list[Nest]:
    """Return the nests whose seeds fall to a block (border blocks own what lies outside)."""
    columns, rows = block_grid(recipe)
    block_w, block_h = recipe.width_um / columns, recipe.height_um / rows
    nests: list[Nest] = []
    warp = noise_tile(seed, 21, rolloff=2.0)
    for position, region in enumerate(recipe.all_regions):
        pitch = region.nest_um
        seeds: list[tuple[int, int, float, float]] = []
        # One pitch outside the picture keeps nests that stick into it.
        x_from = -pitch if column == 0 else column * block_w
        x_to = recipe.width_um + pitch if column == columns - 1 else (column + 1) * block_w
        y_from = -pitch if row == 0 else row * block_h
        y_to = recipe.height_um + pitch if row == rows - 1 else (row + 1) * block_h
        for i in range(math.floor(x_from / pitch) - 1, math.ceil(x_to / pitch) + 1):
            for j in range(math.floor(y_from / pitch) - 1, math.ceil(y_to / pitch) + 1):
                x, y = _seed_of(seed, position, i, j, pitch)
                if x_from <= x < x_to and y_from <= y < y_to:
                    seeds.append((i, j, x, y))
        if not seeds:
            continue
        _, _, xs, ys = np.array(seeds).T
        depth = tissue_depth(xs, ys, recipe, seed=seed)
        # A nest needs tissue within an eighth of its radius: on bare glass none is tried.
        near = depth > -(FRAYED_UM + 0.4 * pitch)
        for (i, j, x, y), is_near in zip(seeds, near, strict=True):
            if is_near:
                nest = _grow(recipe, position, i, j, x, y, seed, warp)
                if nest is not None:
                    nests.append(nest)
    if recipe.control:
        cx, cy, _ = control_disc(recipe)
        if (column, row) == (int(cx // block_w), int(cy // block_h)):
            nests += _nest_of_bare_control(recipe, seed, warp)
    return nests


def _nest_of_bare_control(recipe: SlideRecipe, seed: int, warp: NDArray[np.float32]) -> list[Nest]:
    """Return one nest in the middle of control tissue where none grows by itself, else none."""
    cx, cy, radius = control_disc(recipe)
    position = len(recipe.regions)
    pitch = recipe.all_regions[position].nest_um
    reach = radius + pitch
    for i in range(math.floor((cx - reach) / pitch) - 1, math.ceil((cx + reach) / pitch) + 1):
        for j in range(math.floor((cy - reach) / pitch) - 1, math.ceil((cy + reach) / pitch) + 1):
            x, y = _seed_of(seed, position, i, j, pitch)
            if math.hypot(x - cx, y - cy) <= reach and _grow(
                recipe, position, i, j, x, y, seed, warp
            ):
                return []
    # The place that it lies at has no nest, so its random stream is free.
    i, j = math.floor(cx / pitch), math.floor(cy / pitch)
    radii = stream(seed, 27, position).uniform(0.6, 0.85, N_RADII) * radius
    return [Nest(cx, cy, rounded(radii), NestKind.SOLID, position, i, j, is_smooth=True)]


def _seed_of(seed: int, region: int, i: int, j: int, pitch: float) -> tuple[float, float]:
    x, y = _lattice_point(seed, region, i, j, pitch)
    return float(x), float(y)


@nb.njit(cache=True)
def _lattice_point(seed: int, region: int, i: int, j: int, pitch: float) -> tuple[float, float]:
    mask = np.int64(0x7FFFFFFF)
    a = np.int64(i) * 7919 + np.int64(region) * 104729
    u = _mix(seed, a & mask, np.int64(j) & mask)
    v = _mix(seed + 1, a & mask, np.int64(j) & mask)
    return (i + 0.5 + 0.7 * (u - 0.5)) * pitch, (j + 0.5 + 0.7 * (v - 0.5)) * pitch


@nb.njit(cache=True)
def _mix(seed: int, a: int, b: int) -> float:
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(a) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    z ^= np.uint64(b) * np.uint64(0x165667B19E3779F9)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0


def _grow(
    recipe: SlideRecipe,
    position: int,
    i: int,
    j: int,
    x: float,
    y: float,
    seed: int,
    warp: NDArray[np.float32],
) -> Nest | None:
    region = recipe.all_regions[position]
    rng = stream(seed, 22, position, i, j)
    if rng.random() >= region.tumor_share:
        return None
    kind = _kind_of(region, rng)
    kind, is_smooth = _variant(region, kind, stream(seed, 23, position, i, j))
    gap = region.septum_um * rng.uniform(0.6, 1.5)
    limit = region.nest_um * rng.uniform(0.75, 1.3)
    if kind == NestKind.GLAND:
        # Larger glands than this have no place for their cells but the lumen.
        limit = min(limit, rng.uniform(30, 66))
    if kind == NestKind.CORD:
        limit = min(limit, rng.uniform(25, 60))
    is_branched = is_grazed = False
    if kind == NestKind.STRATIFIED:
        limit = min(limit, rng.uniform(40, 120))
        shape = stream(seed, 25, position, i, j)
        branched, grazed = shape.random(2)
        is_grazed = bool(grazed < region.grazed_share)
        is_branched = bool(branched < region.branched_share) and not is_grazed
        if is_branched:
            # Branches need room.
            limit = max(limit, float(shape.uniform(70, 150)))
    stretch = region.nest_stretch
    turn = float(stream(seed, 24, position).uniform(0, math.pi)) if stretch > 1 else 0.0
    radii = _march(seed, position, x, y, i, j, region.nest_um, gap, limit, warp, stretch, turn)
    if is_smooth:
        # A border without corners, that keeps within its own domain but for a micron.
        radii = np.minimum(rounded(radii), radii + 1.0)
    if is_branched:
        radii = _branched(radii, shape)
    angles = np.arange(N_RADII) * (2 * math.pi / N_RADII)
    smooth = (np.roll(radii, 1) + 2 * radii + np.roll(radii, -1)) / 4
    radii = np.minimum(radii, smooth)
    steps = np.linspace(0.0, 1.0, 9)[1:]
    px = x + np.outer(steps, radii * np.cos(angles))
    py = y + np.outer(steps, radii * np.sin(angles))
    inside = (tissue_depth(px, py, recipe, seed=seed) > 3.0) & (
        region_at(px, py, recipe) == position
    )
    reach = np.cumprod(inside, axis=0).sum(axis=0) / len(steps)
    # Cells bulge a little over the border of their nest: keep clear of what cuts it.
    radii = np.where(reach < 1, np.maximum(radii * reach - 4.0, 0.0), radii)
    if radii.mean() < 1.2 * region.cell_um:
        return None
    return Nest(x, y, radii, kind, position, i, j, is_smooth, is_branched, is_grazed)


def rounded(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return radii of a border without its corners."""
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.8) ** 2)
    wrapped = np.concatenate([radii[-5:], radii, radii[:5]])
    return np.convolve(wrapped, weights / weights.sum(), mode="valid")


def _branched(radii: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Cut clefts between two to five branches of unequal width into a border."""
    n = int(rng.integers(2, 6))
    width = rng.dirichlet(np.full(n, 6.0)) * 2 * math.pi
    turn = rng.uniform(0, 2 * math.pi)
    angles = np.arange(N_RADII) * (2 * math.pi / N_RADII)
    out = radii.copy()
    for at in np.cumsum(width) + turn:
        deep, half = rng.uniform(0.3, 0.72), rng.uniform(0.16, 0.34)
        off = np.angle(np.exp(1j * (angles - at)))
        out = np.minimum(out, radii * (1 - deep * np.exp(-((off / half) ** 2))))
    return out


def _variant(
    region: RegionRecipe, kind: NestKind, rng: np.random.Generator
) -> tuple[NestKind, bool]:
    """Return the kind after the shares of variants, and whether the border is smooth."""
    scattered, variant, smooth = rng.random(3)
    if kind in (NestKind.SOLID, NestKind.CORD) and scattered < region.scattered_share:
        return NestKind.SCATTERED, False
    if kind == NestKind.GLAND and variant < region.stratified_share:
        return NestKind.STRATIFIED, True
    if kind == NestKind.BENIGN and variant < region.squamous_share:
        return NestKind.SQUAMOUS, True
    can_be_smooth = kind not in (NestKind.GLAND, NestKind.CORD)
    return kind, can_be_smooth and bool(smooth < region.smooth_share)


def _kind_of(region: RegionRecipe, rng: np.random.Generator) -> NestKind:
    u = rng.random()
    for kind, share in (
        (NestKind.BENIGN, region.benign_share),
        (NestKind.DCIS, region.dcis_share),
        (NestKind.GLAND, region.gland_share),
        (NestKind.CRIBRIFORM, region.cribriform_share),
        (NestKind.CORD, region.cord_share),
    ):
        if u < share:
            return kind
        u -= share
    return NestKind.SOLID


@nb.njit(cache=True)
def _march(
    seed: int,
    region: int,
    x: float,
    y: float,
    i: int,
    j: int,
    pitch: float,
    gap: float,
    limit: float,
    warp: NDArray[np.float32],
    stretch: float,
    turn: float,
) -> NDArray[np.float64]:
    """Walk outwards until another seed is about as near: a warped Voronoi cell less the septum.

    With a `stretch` above 1 what lies along the direction `turn` counts as nearer.
    """
    along, across = 1.0 / np.sqrt(stretch), np.sqrt(stretch)
    ct, st = np.cos(turn), np.sin(turn)
    amplitude = 0.13 * pitch
    scale = 1 / (0.12 * pitch)
    seeds = np.empty((49, 2))
    for a in range(7):
        for b in range(7):
            p, q = _lattice_point(seed, region, i + a - 3, j + b - 3, pitch)
            # Seeds are warped like the points: so the domains of two nests never overlap.
            seeds[a * 7 + b, 0] = p + amplitude * sample(warp, p * scale, q * scale)
            seeds[a * 7 + b, 1] = q + amplitude * sample(warp, p * scale + 101.5, q * scale + 37.25)
    radii = np.empty(N_RADII)
    for k in range(N_RADII):
        angle = 2 * np.pi * k / N_RADII
        dx = np.cos(angle)
        dy = np.sin(angle)
        r = 0.0
        furthest = limit
        if stretch > 1:
            furthest /= np.sqrt(
                ((dx * ct + dy * st) * along) ** 2 + ((dy * ct - dx * st) * across) ** 2
            )
        while r < furthest:
            px = x + r * dx
            py = y + r * dy
            wx = px + amplitude * sample(warp, px * scale, py * scale)
            wy = py + amplitude * sample(warp, px * scale + 101.5, py * scale + 37.25)
            own = 0.0
            free = 1e9
            for s in range(24, 73):
                # The own seed first.
                q = s if s < 49 else s - 49
                ox, oy = wx - seeds[q, 0], wy - seeds[q, 1]
                if stretch > 1:
                    ox, oy = (ox * ct + oy * st) * along, (oy * ct - ox * st) * across
                d = np.sqrt(ox**2 + oy**2)
                if q == 24:
                    own = d
                else:
                    free = min(free, d - own)
            if free < gap:
                break
            r += 1.5
        radii[k] = r
    return radii
