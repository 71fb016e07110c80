"""Nuclei as closed contours: of many candidates those that explain the picture, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.cells.nuclei import Counterstain, NucleusPlanes, find_candidates
from her2path.cells.polar import COSINES, REACH_UM, SINES, nucleus_contours
from her2path.cells.sampling import sampled
from her2path.cells.table import N_SECTORS
from her2path.stain.separate import STEPS_PER_OD

__all__ = ["NUCLEUS_AREA_UM2", "Nuclei", "contour_shape", "fill_nuclei", "nearest", "trace_nuclei"]

N_NEIGHBORS = 12
SPACING_NEIGHBORS = 5
# Neighbors further away than this are not neighbors: keeps the answer within the halo.
MAX_SPACING_UM = 2 * REACH_UM
# Nuclei outside this range are debris or clumps (lymphocytes 20 µm², giant tumor nuclei 220 µm²).
NUCLEUS_AREA_UM2 = (9.0, 250.0)
# Where the cytoplasm of a cell is looked for, and the most brown that it can have.
FILL_REACH_UM = 1.0
FILL_PCT = 40.0
FILL_MAX_OD = 0.25
# A nucleus is bluer inside than outside nearly all round: what counts of its edge is its worst
# quarter of rays.
RIM_PERCENTILE = 25
# That edge must reach this share of the contrast asked of a nucleus; for one smaller than usual
# as much more as its area is less, since chance closes short contours more easily than long ones.
MIN_RIM_SHARE, USUAL_AREA_UM2 = 0.5, 40.0
# Nuclei overlap in a section of 4 µm, but not by more than this share of the smaller one.
MAX_OVERLAP = 0.25
# Candidates looked at for overlap: some four for each of the nuclei around.
N_OVERLAPPING = 32
# What a contour explains (OD · µm, 0.1 to 3) is compared to so many decimals.
EXPLAINED_DECIMALS = 3
# Choices over one another: three rounds settle chains of six, some 40 µm.
N_ROUNDS = 3
# Blur of the blue before its fall is read at an edge.
EDGE_BLUR_UM = 0.4
# The first contour finds the middle of a nucleus that was seeded at its rim.
N_TRACINGS = 2


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Traced nuclei.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Center from which the rays of the contour leave, px.
    contours : ndarray of shape (n, N_SECTORS), float32
        Radius in µm.
    area_um2, elongation : ndarray of shape (n,), float32
    is_hidden : ndarray of shape (n,), bool
        Found as a hollow in brown.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    contours: NDArray[np.float32]
    area_um2: NDArray[np.float32]
    elongation: NDArray[np.float32]
    is_hidden: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Nuclei:
        """Return no nucleus at all."""
        zero, single = np.empty(0), np.empty(0, np.float32)
        contours = np.empty((0, N_SECTORS), np.float32)
        return cls(zero, zero, contours, single, single, np.empty(0, np.bool_))

    def select(self, index: NDArray[np.bool_]) -> Nuclei:
        """Return the nuclei that a mask picks."""
        return Nuclei(*(getattr(self, f.name)[index] for f in fields(self)))


def trace_nuclei(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    counterstain: Counterstain,
    *,
    mpp: float,
) -> Nuclei:
    """Find nuclei and trace their contours.

    Parameters
    ----------
    hematoxylin, dab : ndarray of shape (M, N), int16
        Stain planes in steps of 1/1024 OD.
    counterstain : Counterstain
        What nuclei of the slide look like.
    mpp : float
        µm/px.

    Returns
    -------
    Nuclei
        Without debris, without what has no edge all round, each nucleus once.
    """
    planes = NucleusPlanes.of(hematoxylin, dab, mpp=mpp)
    candidates = find_candidates(planes, counterstain)
    blue, mpp = planes.blue_od * np.float32(STEPS_PER_OD), planes.mpp
    sharp = cv2.GaussianBlur(blue, (0, 0), EDGE_BLUR_UM / mpp)
    x, y, sigma_um = candidates.x, candidates.y, candidates.sigma_um
    if not len(x):
        return Nuclei.none()
    # Candidates of one nucleus are no neighbors that would limit each other.
    alone = np.full((len(x), 1), len(x), np.int64)
    for _ in range(N_TRACINGS):
        contours, edges = nucleus_contours(sharp, x, y, alone, sigma_um, mpp)
        from_x, from_y = x, y
        x, y, area, _ = contour_shape(x, y, contours, mpp)
    rim_od = rim_of(edges)
    explained = np.where(
        is_nucleus(area, rim_od, counterstain), rim_od * np.sqrt(area), np.float32(0)
    )
    # Candidates of two scales often end in one contour: which is taken must not hang on the last
    # bits, which differ from tile to tile.
    explained = np.round(explained, EXPLAINED_DECIMALS)
    # Contours that overlap are no further apart than both their radii: fewer to look through.
    apart_um = min(2.0 * float(contours.max()), MAX_SPACING_UM)
    _, around = within_reach(from_x, from_y, mpp, N_OVERLAPPING, apart_um)
    chosen = choose_apart(explained, from_x, from_y, contours, around, mpp)
    x, y = x[chosen], y[chosen]
    neighbors, _ = nearest(x, y, mpp)
    contours, edges = nucleus_contours(sharp, x, y, neighbors, sigma_um[chosen], mpp)
    _, _, area, elongation = contour_shape(x, y, contours, mpp)
    x, y = planes.to_picture(x), planes.to_picture(y)
    nuclei = Nuclei(x, y, contours, area, elongation, candidates.is_hidden[chosen])
    return nuclei.select(is_nucleus(area, rim_of(edges), counterstain))


def rim_of(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much bluer nuclei are than what surrounds most of them, OD, shape (n,).

    Parameters
    ----------
    edges : ndarray of shape (n, N_SECTORS), float32
        Fall of the blue on each ray, steps.
    """
    if not len(edges):
        return np.empty(0, np.float32)
    return np.asarray(np.percentile(edges, RIM_PERCENTILE, axis=1) / STEPS_PER_OD, np.float32)


def is_nucleus(
    area_um2: NDArray[np.float32], rim_od: NDArray[np.float32], counterstain: Counterstain
) -> NDArray[np.bool_]:
    """Tell which contours bound a nucleus: neither debris nor clump, with an edge all round."""
    low, high = NUCLEUS_AREA_UM2
    least_od = MIN_RIM_SHARE * counterstain.min_contrast_od
    is_clear = rim_od * np.minimum(1.0, area_um2 / USUAL_AREA_UM2) >= least_od
    return (area_um2 >= low) & (area_um2 <= high) & is_clear


@numba.njit(nogil=True, cache=True)
def choose_apart(
    explained: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    contours: NDArray[np.float32],
    neighbors: NDArray[np.int64],
    mpp: float,
) -> NDArray[np.bool_]:
    """Choose the contours that explain most, none of them twice.

    In each round those are chosen that explain more than every other one that they overlap with,
    and the ones under them are out. Rounds are few, so that a choice hangs on what lies near it
    and not on a chain of choices across the picture; what is open after the last is left out.

    Parameters
    ----------
    explained : ndarray of shape (n,), float32
        0 for those that are not to be chosen at all. Of equals the first is taken.
    x, y : ndarray of shape (n,), float64
        Where the rays of the contours leave, px.
    contours : ndarray of shape (n, N_SECTORS), float32
        Radius, µm.
    neighbors : ndarray of shape (n, k), int64
        Candidates that could overlap each, itself too; n where there are fewer.
    mpp : float

    Returns
    -------
    ndarray of shape (n,), bool
        No two that overlap by more than MAX_OVERLAP of the smaller one.
    """
    n, n_neighbors = neighbors.shape
    overlaps = np.zeros((n, n_neighbors), np.bool_)
    extents = np.empty((n, 3), np.float32)
    for i in range(n):
        radius = contours[i]
        extents[i] = radius.min(), radius.max(), (radius**2).sum()
    for i in range(n):
        for k in range(n_neighbors):
            j = neighbors[i, k]
            if j < n and j != i and explained[i] > 0.0 and explained[j] > 0.0:
                away_x, away_y = (x[i] - x[j]) * mpp, (y[i] - y[j]) * mpp
                overlaps[i, k] = is_overlapping(
                    contours[i], contours[j], extents[i], extents[j], away_x, away_y
                )
    is_chosen = np.zeros(n, np.bool_)
    is_open = explained > 0.0
    for _ in range(N_ROUNDS):
        is_best = is_open.copy()
        for i in range(n):
            for k in range(n_neighbors):
                j = neighbors[i, k]
                if is_best[i] and overlaps[i, k] and is_open[j]:
                    more = explained[j] - explained[i]
                    is_best[i] = more < 0.0 or (more == 0.0 and i < j)
        is_chosen |= is_best
        for i in range(n):
            for k in range(n_neighbors):
                if overlaps[i, k] and is_best[neighbors[i, k]]:
                    is_open[i] = False
        is_open &= ~is_best
    return is_chosen


@numba.njit(nogil=True, cache=True)
def is_overlapping(
    contour: NDArray[np.float32],
    other: NDArray[np.float32],
    extent: NDArray[np.float32],
    other_extent: NDArray[np.float32],
    dx: float,
    dy: float,
) -> bool:
    """Whether two star-shaped contours share more than MAX_OVERLAP of the smaller one.

    Parameters
    ----------
    contour, other : ndarray of shape (N_SECTORS,), float32
        Radius, µm.
    extent, other_extent : ndarray of shape (3,), float32
        Least and largest radius, and the sum of radius² over sectors (2·area / angle).
    dx, dy : float
        Center of the first seen from that of the other, µm.
    """
    least, most, square = other_extent
    away = np.hypot(dx, dy)
    if away >= extent[1] + most:
        return False
    # Most candidates are of one nucleus: each middle lies well inside the other contour.
    if away <= 0.5 * min(extent[0], least):
        return True
    n_rings = 4
    enough = MAX_OVERLAP * min(extent[2], square)
    shared = 0.0
    for k in range(N_SECTORS):
        for ring in range(n_rings):
            # Rings of equal width; a sample stands for an area that grows with its radius.
            share = (ring + 0.5) / n_rings
            px, py = dx + share * contour[k] * COSINES[k], dy + share * contour[k] * SINES[k]
            from_other = px * px + py * py
            is_inside = from_other < least**2
            if least**2 <= from_other < most**2:
                sector = int(np.rint(np.arctan2(py, px) * N_SECTORS / (2 * np.pi))) % N_SECTORS
                is_inside = from_other < other[sector] ** 2
            if is_inside:
                shared += 2.0 * share / n_rings * contour[k] ** 2
        if shared > enough:
            return True
    return False


def nearest(
    x: NDArray[np.float64], y: NDArray[np.float64], mpp: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest centers and the mean spacing in µm.

    Parameters
    ----------
    x, y : ndarray of shape (n,), float64
        Centers, px.
    mpp : float
        µm per pixel.

    Returns
    -------
    index : ndarray of shape (n, N_NEIGHBORS), int64
        n where there is none within reach.
    spacing_um : ndarray of shape (n,), float32
    """
    distance, index = within_reach(x, y, mpp, N_NEIGHBORS + 1)
    if not len(x):
        return index[:, 1:], np.empty(0, np.float32)
    near = np.minimum(distance[:, 1 : SPACING_NEIGHBORS + 1] * mpp, MAX_SPACING_UM)
    return index[:, 1:], near.mean(axis=1).astype(np.float32)


def within_reach(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mpp: float,
    n_nearest: int,
    reach_um: float = MAX_SPACING_UM,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distance (px) and index of the nearest places, each itself among them, (n, n_nearest).

    Of several at one place any may come first; the index is n where there are fewer within reach.
    """
    if not len(x):
        return np.empty((0, n_nearest)), np.empty((0, n_nearest), np.int64)
    points = np.stack([x, y], 1)
    distance, index = cKDTree(points).query(
        points, k=n_nearest, distance_upper_bound=reach_um / mpp
    )
    return distance, index.astype(np.int64)


def contour_shape(
    x: NDArray[np.float64], y: NDArray[np.float64], contours: NDArray[np.float32], mpp: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Centroid (px), area (µm²) and elongation of star-shaped contours about (x, y)."""
    px, py = contours * COSINES, contours * SINES
    qx, qy = np.roll(px, -1, 1), np.roll(py, -1, 1)
    cross = px * qy - qx * py
    area = np.maximum(cross.sum(1) / 2, 1e-3)
    cx = ((px + qx) * cross).sum(1) / (6 * area)
    cy = ((py + qy) * cross).sum(1) / (6 * area)
    # Second moments of the rim: enough to tell a spindle from a disc.
    dx, dy = px - cx[:, None], py - cy[:, None]
    xx, yy, xy = (dx * dx).mean(1), (dy * dy).mean(1), (dx * dy).mean(1)
    root = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    mean = (xx + yy) / 2
    elongation = np.sqrt((mean + root) / np.maximum(mean - root, 1e-6))
    return (
        x + cx / mpp,
        y + cy / mpp,
        area.astype(np.float32),
        np.minimum(elongation, 20.0).astype(np.float32),
    )


def fill_nuclei(
    planes: Sequence[NDArray[np.int16]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    contours: NDArray[np.float32],
    mpp: float,
) -> list[NDArray[np.int16]]:
    """Return the planes with each nucleus painted like its own cytoplasm.

    A nucleus is a hole in the brown of its cell; without this the strip of brown cytoplasm between
    two nuclei would stand out like a line. Cytoplasm is FILL_PCT over the rays of the mean within
    FILL_REACH_UM of the nucleus, and never more than FILL_MAX_OD, so that a membrane that hugs
    half of the nucleus is not taken for it.
    """
    filled = [plane.copy() for plane in planes]
    if not len(x):
        return filled
    px, py = x[:, None] + contours * COSINES / mpp, y[:, None] + contours * SINES / mpp
    polygons = np.rint(np.stack([px, py], axis=2)).astype(np.int32)
    for plane, painted in zip(planes, filled, strict=True):
        rings = np.stack(
            [
                sample_rays(plane, x, y, contours + np.float32(away), mpp)
                for away in np.arange(0.5, FILL_REACH_UM + 0.01, 0.5)
            ]
        )
        level = np.percentile(rings.mean(axis=0), FILL_PCT, axis=1)
        level = np.minimum(level, FILL_MAX_OD * STEPS_PER_OD)
        for polygon, value in zip(polygons, level.tolist(), strict=True):
            cv2.fillPoly(painted, [polygon], round(value))
    return filled


@numba.njit(nogil=True, cache=True)
def sample_rays(
    plane: NDArray[np.int16],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius_um: NDArray[np.float32],
    mpp: float,
) -> NDArray[np.float32]:
    """Values of a plane at a radius on each ray, shape (n, N_SECTORS)."""
    out = np.empty(radius_um.shape, np.float32)
    for i in range(x.shape[0]):
        for k in range(N_SECTORS):
            radius = radius_um[i, k] / mpp
            out[i, k] = sampled(plane, x[i] + radius * COSINES[k], y[i] + radius * SINES[k])
    return out
