"""Measure all cells of a picture: from stain planes to one row per cell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.cells.line_contrast import N_DIRECTIONS, line_map
from her2path.cells.nuclei import blue_plane, find_nuclei
from her2path.cells.polar import (
    RADIAL_STEP_UM,
    REACH_UM,
    membrane_contours,
    nucleus_contours,
    sampled,
)
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.stain.matrix import StainMatrix
from her2path.stain.od import WhitePoint
from her2path.stain.separate import STEPS_PER_OD, separate

__all__ = ["HALO_UM", "MeasureSettings", "measure_cells", "measure_planes"]

# A cell depends on its neighbors' centers up to twice its own reach, and each center on its
# surroundings within the widest blob filter.
HALO_UM = 2 * REACH_UM + 12.0
N_NEIGHBORS = 12
SPACING_NEIGHBORS = 5
# Neighbors further away than this are not neighbors: keeps the answer within the halo.
MAX_SPACING_UM = 2 * REACH_UM
# Nuclei outside this range are debris or clumps (lymphocytes 20 µm², giant tumor nuclei 220 µm²).
NUCLEUS_AREA_UM2 = (9.0, 250.0)
# A nucleus is bluer inside than outside nearly all round: the edge at its worst quarter of rays
# must reach this share of the contrast asked of the whole.
RIM_PERCENTILE, MIN_RIM_SHARE = 25, 0.3


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What a measurement depends on beside the picture.

    Attributes
    ----------
    white_point : tuple of 3 float
        Intensity of empty glass, 100–255.
    matrix : StainMatrix
    min_nucleus_od : float
        Least contrast of a nucleus; follows the counterstain of the slide.
    """

    white_point: WhitePoint
    matrix: StainMatrix
    min_nucleus_od: float = 0.02


def measure_cells(
    rgb: NDArray[np.uint8], settings: MeasureSettings, *, mpp: float
) -> CellMeasurements:
    """Find and measure all cells of a picture.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    settings : MeasureSettings
    mpp : float
        µm/px, at most 0.7 (a membrane line must span a pixel).

    Returns
    -------
    CellMeasurements
        x and y in px of `rgb`; cells within HALO_UM of its rim see less than they need.
    """
    hematoxylin, dab = separate(rgb, settings.white_point, settings.matrix)
    return measure_planes(hematoxylin, dab, settings, mpp=mpp)


def measure_planes(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    settings: MeasureSettings,
    *,
    mpp: float,
) -> CellMeasurements:
    """Find and measure all cells of a separated picture; see `measure_cells`."""
    if not 0.05 <= mpp <= 0.7:
        raise ValueError(f"cells are measured at 0.05–0.7 µm/px, got {mpp}")
    seeds = find_nuclei(hematoxylin, dab, mpp=mpp, min_response_od=settings.min_nucleus_od)
    lines = line_map(hematoxylin, dab, guard=settings.matrix.guard, mpp=mpp)
    blue = cv2.GaussianBlur(blue_plane(hematoxylin, dab), (0, 0), 0.4 / mpp)
    neighbors, _ = nearest(seeds.x, seeds.y, mpp)
    contours, edges = nucleus_contours(blue, seeds.x, seeds.y, neighbors, seeds.sigma_um, mpp)
    x, y, area, elongation = contour_shape(seeds.x, seeds.y, contours, mpp)
    keep = (area >= NUCLEUS_AREA_UM2[0]) & (area <= NUCLEUS_AREA_UM2[1])
    rim = np.percentile(edges, RIM_PERCENTILE, axis=1) / STEPS_PER_OD if len(edges) else np.empty(0)
    keep &= rim >= MIN_RIM_SHARE * settings.min_nucleus_od
    keep &= ~is_double(seeds.x, seeds.y, seeds.response_od, contours, neighbors, mpp)
    seed_x, seed_y, contours = seeds.x[keep], seeds.y[keep], contours[keep]
    neighbors, spacing = nearest(seed_x, seed_y, mpp)
    outline, contrast, line_dab, width = membrane_contours(
        lines.contrast,
        lines.direction,
        lines.dab,
        seed_x,
        seed_y,
        neighbors,
        contours,
        spacing,
        mpp,
        lines.steps_per_od,
        N_DIRECTIONS,
    )
    nucleus = nucleus_ods(hematoxylin, dab, seed_x, seed_y, contours, mpp)
    cytoplasm = cytoplasm_ods(hematoxylin, dab, seed_x, seed_y, contours, outline, mpp)
    return CellMeasurements(
        x=x[keep],
        y=y[keep],
        nucleus_area_um2=area[keep],
        nucleus_elongation=elongation[keep],
        nucleus_h_od=nucleus[:, 0],
        nucleus_dab_od=nucleus[:, 1],
        nucleus_texture_od=nucleus[:, 2],
        cytoplasm_od=cytoplasm[:, 1],
        cytoplasm_h_od=cytoplasm[:, 0],
        spacing_um=spacing,
        membrane_width_um=line_width(width, contrast),
        is_hidden=seeds.is_hidden[keep],
        outline_um=outline,
        line_contrast_od=contrast / np.float32(lines.steps_per_od),
        line_od=line_dab / np.float32(STEPS_PER_OD),
        is_measurable=sectors_in_picture(seed_x, seed_y, outline, hematoxylin.shape, mpp),
    )


def nearest(
    x: NDArray[np.float64], y: NDArray[np.float64], mpp: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest centers (index n where there is none) and the mean spacing in µm."""
    n = len(x)
    if n == 0:
        return np.empty((0, N_NEIGHBORS), np.int64), np.empty(0, np.float32)
    points = np.stack([x, y], 1)
    distance, index = cKDTree(points).query(
        points, k=N_NEIGHBORS + 1, distance_upper_bound=MAX_SPACING_UM / mpp
    )
    near = np.minimum(distance[:, 1 : SPACING_NEIGHBORS + 1] * mpp, MAX_SPACING_UM)
    return index[:, 1:].astype(np.int64), near.mean(axis=1).astype(np.float32)


def contour_shape(
    x: NDArray[np.float64], y: NDArray[np.float64], contours: NDArray[np.float32], mpp: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Centroid (px), area (µm²) and elongation of star-shaped contours about (x, y)."""
    angle = 2 * np.pi * np.arange(N_SECTORS) / N_SECTORS
    px, py = contours * np.cos(angle), contours * np.sin(angle)
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


@numba.njit(nogil=True, cache=True)
def is_double(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    response: NDArray[np.float32],
    contours: NDArray[np.float32],
    neighbors: NDArray[np.int64],
    mpp: float,
) -> NDArray[np.bool_]:
    """Tell which seeds lie inside the nucleus of a stronger seed (vesicular nuclei seed twice)."""
    n = x.shape[0]
    doubles = np.zeros(n, np.bool_)
    for i in range(n):
        for j in neighbors[i]:
            if j >= n:
                continue
            is_stronger = response[j] > response[i] or (
                response[j] == response[i] and (y[j], x[j]) < (y[i], x[i])
            )
            if not is_stronger:
                continue
            dx, dy = (x[i] - x[j]) * mpp, (y[i] - y[j]) * mpp
            sector = int(np.rint(np.arctan2(dy, dx) * N_SECTORS / (2 * np.pi))) % N_SECTORS
            if np.hypot(dx, dy) < 0.9 * contours[j, sector]:
                doubles[i] = True
                break
    return doubles


@numba.njit(nogil=True, cache=True)
def nucleus_ods(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    contours: NDArray[np.float32],
    mpp: float,
) -> NDArray[np.float32]:
    """Mean H, mean DAB and spread of H inside each nucleus, OD, shape (n, 3)."""
    n = x.shape[0]
    out = np.zeros((n, 3), np.float32)
    for i in range(n):
        total_h, total_d, total_hh, weight = 0.0, 0.0, 0.0, 0.0
        for k in range(N_SECTORS):
            angle = 2.0 * np.pi * k / N_SECTORS
            dx, dy = np.cos(angle) / mpp, np.sin(angle) / mpp
            radius = 0.5 * RADIAL_STEP_UM
            while radius < contours[i, k] - 0.2:
                h = sampled(hematoxylin, x[i] + radius * dx, y[i] + radius * dy) / STEPS_PER_OD
                d = sampled(dab, x[i] + radius * dx, y[i] + radius * dy) / STEPS_PER_OD
                # A sample at radius r stands for an area that grows with r.
                total_h += radius * h
                total_d += radius * d
                total_hh += radius * h * h
                weight += radius
                radius += 2.0 * RADIAL_STEP_UM
        if weight > 0.0:
            mean = total_h / weight
            out[i, 0] = mean
            out[i, 1] = total_d / weight
            out[i, 2] = np.sqrt(max(total_hh / weight - mean * mean, 0.0))
    return out


@numba.njit(nogil=True, cache=True)
def cytoplasm_ods(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    contours: NDArray[np.float32],
    outline: NDArray[np.float32],
    mpp: float,
) -> NDArray[np.float32]:
    """Median H and DAB between nucleus and outline, OD, shape (n, 2).

    Half a micron next to the nucleus and one next to the line are left out. Where nothing lies
    between, the thinnest place counts: the minimum along the ray.
    """
    n = x.shape[0]
    out = np.zeros((n, 2), np.float32)
    h_values = np.empty(N_SECTORS, np.float64)
    d_values = np.empty(N_SECTORS, np.float64)
    for i in range(n):
        for k in range(N_SECTORS):
            angle = 2.0 * np.pi * k / N_SECTORS
            dx, dy = np.cos(angle) / mpp, np.sin(angle) / mpp
            low, high = contours[i, k] + 0.5, outline[i, k] - 1.0
            if high < low:
                low = high = 0.5 * (contours[i, k] + outline[i, k])
            total_h, total_d, count = 0.0, 0.0, 0
            radius = low
            while radius <= high + 1e-6:
                total_h += sampled(hematoxylin, x[i] + radius * dx, y[i] + radius * dy)
                total_d += sampled(dab, x[i] + radius * dx, y[i] + radius * dy)
                count += 1
                radius += 0.5
            h_values[k] = total_h / count
            d_values[k] = total_d / count
        out[i, 0] = np.median(h_values) / STEPS_PER_OD
        out[i, 1] = np.median(d_values) / STEPS_PER_OD
    return out


def line_width(width_um: NDArray[np.float32], contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median width over the quarter of the sectors with the clearest lines, µm; 0 without lines."""
    if len(width_um) == 0:
        return np.empty(0, np.float32)
    best = np.argsort(-contrast, axis=1, kind="stable")[:, : N_SECTORS // 4]
    widths: NDArray[np.float32] = np.median(np.take_along_axis(width_um, best, 1), axis=1)
    return widths.astype(np.float32)


def sectors_in_picture(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    outline_um: NDArray[np.float32],
    shape: tuple[int, ...],
    mpp: float,
) -> NDArray[np.bool_]:
    """Tell which sectors' outline lies inside the picture."""
    angle = 2 * np.pi * np.arange(N_SECTORS) / N_SECTORS
    px = x[:, None] + outline_um * np.cos(angle) / mpp
    py = y[:, None] + outline_um * np.sin(angle) / mpp
    inside: NDArray[np.bool_] = (px >= 0) & (py >= 0) & (px < shape[1]) & (py < shape[0])
    return inside
