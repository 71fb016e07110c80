"""Measure all cells of a picture: from stain planes to one row per cell."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.enclosures import shares_an_enclosure
from her2path.cells.line_contrast import CLEAR_LINE_OD, N_DIRECTIONS, SMOOTHING_UM, line_map
from her2path.cells.network_maps import (
    NetworkMaps,
    line_support,
    trace_seen_nuclei,
    tumor_support,
)
from her2path.cells.nuclei import Counterstain
from her2path.cells.nucleus_tracing import fill_nuclei, nearest, trace_nuclei
from her2path.cells.polar import RADIAL_STEP_UM, REACH_UM, membrane_contours
from her2path.cells.sampling import sampled
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.stain.matrix import StainMatrix
from her2path.stain.od import WhitePoint
from her2path.stain.separate import STEPS_PER_OD, separate

__all__ = ["HALO_UM", "MeasureSettings", "measure_cells", "measure_planes"]

# A cell depends on its neighbors' centers up to twice its own reach, and each center on its
# surroundings within the widest blob filter and the nuclei that it may be a double of.
HALO_UM = 2 * REACH_UM + 20.0
# Left, top, right and bottom, px.
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What a measurement depends on beside the picture.

    Attributes
    ----------
    white_point : tuple of 3 float
        Intensity of empty glass, 100–255.
    matrix : StainMatrix
    counterstain : Counterstain
        What nuclei of the slide look like; see `typical_counterstain`.
    """

    white_point: WhitePoint
    matrix: StainMatrix
    counterstain: Counterstain = field(default_factory=Counterstain)


def measure_cells(
    rgb: NDArray[np.uint8],
    settings: MeasureSettings,
    *,
    mpp: float,
    maps: NetworkMaps | None = None,
    within: Rectangle | None = None,
) -> CellMeasurements:
    """Find and measure the cells of a picture.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    settings : MeasureSettings
    mpp : float
        µm/px, at most 0.7 (a membrane line must span a pixel).
    maps : NetworkMaps, optional
        What a network sees on the picture: then its nuclei are measured.
    within : (left, top, right, bottom), optional
        Only cells with their centre in this rectangle (px of `rgb`, right and bottom excluded) are
        measured, as they would be among all: what lies round them takes its part.

    Returns
    -------
    CellMeasurements
        x and y in px of `rgb`; cells within HALO_UM of its rim see less than they need.
    """
    hematoxylin, dab = separate(rgb, settings.white_point, settings.matrix)
    return measure_planes(hematoxylin, dab, settings, mpp=mpp, maps=maps, within=within)


def measure_planes(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    settings: MeasureSettings,
    *,
    mpp: float,
    maps: NetworkMaps | None = None,
    within: Rectangle | None = None,
) -> CellMeasurements:
    """Find and measure the cells of a separated picture; see `measure_cells`."""
    if not 0.05 <= mpp <= 0.7:
        raise ValueError(f"cells are measured at 0.05–0.7 µm/px, got {mpp}")
    if maps is None:
        nuclei = trace_nuclei(hematoxylin, dab, settings.counterstain, mpp=mpp)
    else:
        nuclei = trace_seen_nuclei(maps, dab.shape)
    smooth_dab = cv2.GaussianBlur(dab, (0, 0), SMOOTHING_UM / mpp)
    guarded = cv2.addWeighted(dab, 1.0, hematoxylin, -settings.matrix.guard, 0.0)
    filled_dab, filled_guarded = fill_nuclei(
        (dab, guarded), nuclei.x, nuclei.y, nuclei.contours, mpp
    )
    lines = line_map(filled_dab, filled_guarded, mpp=mpp)
    if maps is None:
        neighbors, _ = nearest(nuclei.x, nuclei.y, mpp)
        clear = CLEAR_LINE_OD * lines.steps_per_od
        nuclei = nuclei.select(
            ~shares_an_enclosure(
                lines.contrast, nuclei.x, nuclei.y, nuclei.area_um2, neighbors, mpp, clear
            )
        )
    neighbors, spacing = nearest(nuclei.x, nuclei.y, mpp)
    is_wanted = inside(nuclei.x, nuclei.y, within)
    membranes = membrane_contours(
        lines.contrast,
        lines.direction,
        cv2.GaussianBlur(hematoxylin, (0, 0), SMOOTHING_UM / mpp),
        smooth_dab,
        settings.matrix.overlap,
        nuclei.x,
        nuclei.y,
        neighbors,
        nuclei.contours,
        spacing,
        np.flatnonzero(is_wanted),
        mpp,
        lines.steps_per_od,
        N_DIRECTIONS,
    )
    nuclei, spacing = nuclei.select(is_wanted), spacing[is_wanted]
    x, y, contours, outline = nuclei.x, nuclei.y, nuclei.contours, membranes.outline_um
    nucleus = nucleus_ods(hematoxylin, dab, x, y, contours, mpp)
    cytoplasm = cytoplasm_ods(hematoxylin, dab, x, y, contours, outline, mpp)
    visible_od = settings.counterstain.min_contrast_od
    unasked = np.full(x.shape, np.nan, np.float32)
    once, twice = (unasked, unasked) if maps is None else tumor_support(maps, x, y, contours)
    return CellMeasurements(
        x=x,
        y=y,
        nucleus_area_um2=nuclei.area_um2,
        nucleus_elongation=nuclei.elongation,
        nucleus_h_od=nucleus[:, 0],
        nucleus_dab_od=nucleus[:, 1],
        nucleus_texture_od=nucleus[:, 2],
        cytoplasm_od=cytoplasm[:, 1],
        shared_cytoplasm_od=cytoplasm[:, 1],
        cytoplasm_h_od=cytoplasm[:, 0],
        spacing_um=spacing,
        membrane_width_um=line_width(membranes.width_um, membranes.line_contrast),
        is_hidden=nuclei.is_hidden & (nucleus[:, 0] - cytoplasm[:, 0] < visible_od),
        outline_um=outline,
        line_contrast_od=membranes.line_contrast / np.float32(lines.steps_per_od),
        line_od=membranes.line_dab / np.float32(STEPS_PER_OD),
        line_height_od=membranes.line_height / np.float32(STEPS_PER_OD),
        inner_line_od=membranes.inner_line / np.float32(lines.steps_per_od),
        is_measurable=sectors_in_picture(x, y, outline, hematoxylin.shape, mpp),
        seen_tumor=once,
        seen_tumor_twice=twice,
        seen_line=(
            np.zeros(outline.shape, np.uint8) if maps is None else line_support(maps, x, y, outline)
        ),
    )


def inside(
    x: NDArray[np.float64], y: NDArray[np.float64], within: Rectangle | None
) -> NDArray[np.bool_]:
    """Tell which points lie in a rectangle; all where there is none."""
    if within is None:
        return np.ones(x.shape, np.bool_)
    left, top, right, bottom = within
    found: NDArray[np.bool_] = (x >= left) & (y >= top) & (x < right) & (y < bottom)
    return found


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
    between, the place half-way counts.
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
    # Pixel 0 begins half a pixel before its middle, and the last one ends half a pixel behind it.
    last_x, last_y = shape[1] - 0.5, shape[0] - 0.5
    inside: NDArray[np.bool_] = (px >= -0.5) & (py >= -0.5) & (px <= last_x) & (py <= last_y)
    return inside
