"""Turn ROIs into masks and answer which points they contain."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.annotations.roi import Roi
from her2path.annotations.shapes import areal_part
from her2path.geometry import Region

__all__ = ["contains", "rasterise"]

# Fractional bits that cv2 takes for coordinates: 1/256 px, far below the band of exact tests.
SHIFT = 8
# The band of exact tests must cover what filling in fixed point may get wrong: about one pixel.
BAND_PX = 3
MARGIN_PX = 4
MAX_MASK_PX = 2**31 - 1


def contains(
    rois: Iterable[Roi], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which points lie in at least one ROI; the outline itself belongs to it.

    Parameters
    ----------
    rois : iterable of Roi
        Of one kind, as a rule.
    x, y : ndarray of shape (n,)
        Level-0 px.

    Returns
    -------
    ndarray of shape (n,), bool
    """
    inside = np.zeros(np.shape(x), bool)
    for roi in rois:
        left = ~inside
        if not left.any():
            break
        # Only the points in the box are worth an exact test: a slide has a million cells.
        x0, y0, x1, y1 = roi.polygon.bounds
        left &= (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        shapely.prepare(roi.polygon)
        inside[left] = shapely.intersects_xy(roi.polygon, x[left], y[left])
    return inside


def rasterise(rois: Iterable[Roi], region: Region, *, downsample: float) -> NDArray[np.bool_]:
    """Return the mask of a region: a pixel is set when its centre lies in at least one ROI.

    Parameters
    ----------
    rois : iterable of Roi
        Outlines in level-0 px; holes stay open.
    region : Region
        The part of level 0 that the mask shows.
    downsample : float
        Level-0 px per mask px, > 0.

    Returns
    -------
    ndarray of shape (ceil(height / downsample), ceil(width / downsample)), bool

    Raises
    ------
    ValueError
        If `downsample` is not positive or the mask would exceed 2³¹ px.
    """
    if not (math.isfinite(downsample) and downsample > 0):
        raise ValueError(f"downsample must be positive, got {downsample}")
    rows = math.ceil(max(region.height, 0) / downsample)
    cols = math.ceil(max(region.width, 0) / downsample)
    if rows * cols > MAX_MASK_PX:
        raise ValueError(f"a mask of {cols} × {rows} px is too large; use a larger downsample")
    mask = np.zeros((rows, cols), np.uint8)
    if mask.size == 0:
        return mask.astype(bool)
    for roi in rois:
        paint(mask, roi, region, downsample)
    return mask.astype(bool)


def paint(mask: NDArray[np.uint8], roi: Roi, region: Region, downsample: float) -> None:
    """Set the pixels of one ROI: filled by cv2, then decided exactly along the outline."""
    # Only the part of the mask round the ROI is looked at: a slide may have thousands of them.
    left, top, right, bottom = roi.polygon.bounds
    rows = span_of((top - region.y) / downsample, (bottom - region.y) / downsample, mask.shape[0])
    cols = span_of((left - region.x) / downsample, (right - region.x) / downsample, mask.shape[1])
    part = mask[rows, cols]
    if part.size == 0:
        return
    x, y = region.x + cols.start * downsample, region.y + rows.start * downsample
    height, width = part.shape
    # cv2 computes in 32 bits and is inexact where an outline leaves the picture: the outline is
    # cut a little beyond the mask and drawn on a canvas that holds all of what is left.
    frame = shapely.box(
        x - MARGIN_PX * downsample,
        y - MARGIN_PX * downsample,
        x + (width + MARGIN_PX) * downsample,
        y + (height + MARGIN_PX) * downsample,
    )
    cut = areal_part(shapely.intersection(roi.polygon, frame))
    if cut.is_empty:
        return
    shape = height + 2 * MARGIN_PX, width + 2 * MARGIN_PX
    filled, band = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for polygon in shapely.get_parts(cut):
        rings = [
            fixed_point((shapely.get_coordinates(ring) - (x, y)) / downsample)
            for ring in (polygon.exterior, *polygon.interiors)
        ]
        cv2.fillPoly(filled, rings, 1, shift=SHIFT)
        cv2.polylines(band, rings, True, 1, thickness=BAND_PX, shift=SHIFT)
    inner = slice(MARGIN_PX, -MARGIN_PX), slice(MARGIN_PX, -MARGIN_PX)
    filled, band = filled[inner], band[inner]
    row, col = np.nonzero(band)
    shapely.prepare(roi.polygon)
    filled[row, col] = shapely.intersects_xy(
        roi.polygon,
        region.x + (cols.start + col + 0.5) * downsample,
        region.y + (rows.start + row + 0.5) * downsample,
    )
    part |= filled


def span_of(first: float, last: float, length: int) -> slice:
    """Return the px from one place to another, limited to those that there are."""
    return slice(min(max(math.floor(first), 0), length), min(max(math.ceil(last), 0), length))


def fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return mask (x, y) as cv2 counts them: on the canvas, from the centre of its first pixel."""
    return np.round((points + (MARGIN_PX - 0.5)) * 2**SHIFT).astype(np.int32)
