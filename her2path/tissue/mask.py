"""Where tissue is: pale counterstained tissue kept, shading, scratches and dust left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.stain.od import WhitePoint, optical_density
from her2path.tissue.overview import check_rgb, disc
from her2path.tissue.white_point import find_padding

__all__ = [
    "TissueMask",
    "box_of",
    "find_tissue",
    "label_mask",
    "mean_density",
    "tissue_from_density",
]

# All measured on seven real cores at 6 µm/px. Mean OD of three channels: palest tissue 0.015–0.03,
# a lost core's ghost ≤ 0.004, glass shading ≤ 0.010.
LOW_OD = 0.006
SEED_OD = 0.011
# Texture (deviation of OD after a high pass): palest tissue ≥ 0.0027, ghost and glass ≤ 0.0012.
LOW_TEXTURE = 0.0014
SEED_TEXTURE = 0.0022
MAX_DETAIL = 0.012
# Above this no shading is known: smooth mucin, serum and solid stain count without texture.
SMOOTH_OD = 0.020
# Specks below this are detached cells and dust: about one 100 µm square.
MIN_PIECE_UM2 = 10_000.0
# Capillaries and vacuoles are part of tissue; lumens wider than 70 µm are not.
MAX_FILLED_HOLE_UM2 = 4_000.0
# Smoothing carries the mask this far beyond the tissue.
RIM_UM = 30.0
# Scratches, fibers and edges of the coverslip are thinner than this.
MIN_HALF_WIDTH_UM = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class TissueMask:
    """Where tissue is.

    Parameters
    ----------
    mask : ndarray of shape (M, N), bool
    mpp : float
        µm per pixel of `mask`.
    """

    mask: NDArray[np.bool_]
    mpp: float

    @property
    def area_mm2(self) -> float:
        """Area of tissue in mm²."""
        return float(np.count_nonzero(self.mask)) * self.mpp**2 * 1e-6

    @property
    def tissue_frac(self) -> float:
        """Share of the picture that is tissue, 0–1."""
        return float(self.mask.mean())


def label_mask(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label the 8-connected parts of a mask.

    Returns
    -------
    labels : ndarray of shape (M, N), int32
        0 is background.
    areas : ndarray of shape (K + 1,), int64
        Pixels of each label, background first.
    """
    n_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return labels, np.bincount(labels.ravel(), minlength=n_labels)


def find_tissue(
    overview_rgb: NDArray[np.uint8],
    mpp: float,
    *,
    white_point: WhitePoint,
    exclude: NDArray[np.bool_] | None = None,
) -> TissueMask:
    """Find tissue by optical density and texture, with hysteresis.

    Parameters
    ----------
    overview_rgb : ndarray of shape (M, N, 3), uint8
        At about 4–8 µm/px (`to_working_scale`).
    mpp : float
        µm per pixel.
    white_point : tuple of 3 float
        Intensity of empty glass per channel.
    exclude : ndarray of shape (M, N), bool, optional
        Never tissue: pen, dirt, control tissue.

    Returns
    -------
    TissueMask

    Raises
    ------
    ValueError
        Wrong type or shape.
    """
    check_rgb(overview_rgb, mpp)
    blocked = find_padding(overview_rgb)
    if exclude is not None:
        if exclude.shape != blocked.shape:
            raise ValueError(f"exclude has shape {exclude.shape}, the overview {blocked.shape}")
        blocked = blocked | exclude
    density = mean_density(optical_density(overview_rgb, white_point))
    return tissue_from_density(density, mpp, blocked=blocked)


def mean_density(od: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the three channels."""
    density: NDArray[np.float32] = cv2.transform(od, np.full((1, 3), 1 / 3, np.float32))
    return density


def tissue_from_density(
    density: NDArray[np.float32], mpp: float, *, blocked: NDArray[np.bool_]
) -> TissueMask:
    """Find tissue on a picture of mean optical density; `blocked` is never tissue."""
    # The step from padding to glass is no texture; above 0.5 OD nothing more is to be learned.
    density = np.clip(density, -0.03, 0.5)
    if blocked.any():
        density[blocked] = 0.0
    smooth = cv2.GaussianBlur(density, (0, 0), max(9.0 / mpp, 0.5))
    detail = density - cv2.GaussianBlur(density, (0, 0), max(12.0 / mpp, 0.7))
    # A cap keeps strong tissue from lending its texture to the shading beside it.
    detail = np.clip(detail, -MAX_DETAIL, MAX_DETAIL)
    if blocked.any():
        rim = cv2.dilate(blocked.astype(np.uint8), disc(15.0, mpp)).astype(bool)
        detail[rim] = 0.0
    variance = cv2.GaussianBlur(detail * detail, (0, 0), max(15.0 / mpp, 1.0))
    seeds = (smooth > SEED_OD) & (variance > SEED_TEXTURE**2)
    low = (smooth > LOW_OD) & (variance > LOW_TEXTURE**2) | (smooth > SMOOTH_OD)
    if not seeds.any():
        return TissueMask(np.zeros(blocked.shape, bool), mpp)
    mask = grow(seeds & ~blocked, low & ~blocked, mpp)
    mask = trim_rim(close(mask, mpp), density, mpp)
    mask = fill_holes(close(mask, mpp), mpp) & ~blocked
    return TissueMask(drop_slight(mask, mpp), mpp)


def close(mask: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Close gaps of a cell's width; beyond the picture goes on what lies at its border."""
    kernel = disc(9.0, mpp)
    margin = kernel.shape[0]
    # By itself OpenCV takes what lies beyond for tissue, and would close any gap up to it.
    wider = cv2.copyMakeBorder(mask.astype(np.uint8), *(margin,) * 4, cv2.BORDER_REPLICATE)
    inner = np.s_[margin:-margin, margin:-margin]
    return cv2.morphologyEx(wider, cv2.MORPH_CLOSE, kernel)[inner].astype(bool)


def grow(seeds: NDArray[np.bool_], low: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Keep the parts of `low` of which a good share is seed."""
    labels, areas = label_mask(low)
    n_seeds = np.bincount(labels[seeds], minlength=areas.size)
    keep = (n_seeds * mpp**2 >= MIN_PIECE_UM2 / 4) & (n_seeds >= 0.1 * areas)
    keep[0] = False
    return keep[labels]


def fill_holes(mask: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Fill holes up to the size of a capillary or vacuole."""
    labels, areas = label_mask(~mask)
    small = areas * mpp**2 <= MAX_FILLED_HOLE_UM2
    small[0] = False
    return mask | small[labels]


def trim_rim(
    mask: NDArray[np.bool_], density: NDArray[np.float32], mpp: float
) -> NDArray[np.bool_]:
    """Take back the glass that smoothing added along the border."""
    fine = cv2.GaussianBlur(density, (0, 0), max(4.0 / mpp, 0.5))
    # Smoothing may have carried the mask up to the border of the picture.
    outside = np.pad((~mask).astype(np.uint8), 1, constant_values=1)
    rim = cv2.dilate(outside, disc(RIM_UM, mpp))[1:-1, 1:-1].astype(bool)
    return mask & ~(rim & (fine < SEED_OD))


def drop_slight(mask: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Drop pieces that are too small, or thin everywhere."""
    labels, areas = label_mask(mask)
    core = cv2.erode(mask.astype(np.uint8), disc(MIN_HALF_WIDTH_UM, mpp)).astype(bool)
    n_core = np.bincount(labels[core], minlength=areas.size)
    keep = (areas * mpp**2 >= MIN_PIECE_UM2) & (n_core >= 0.05 * areas)
    keep[0] = False
    return keep[labels]


def box_of(mask: NDArray[np.bool_], downsample: float) -> Region:
    """Return the level-0 box round the marked pixels of a mask; an empty one without any.

    Parameters
    ----------
    mask : ndarray of shape (M, N), bool
    downsample : float
        Level-0 px per pixel of the mask.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return Region(0, 0, 0, 0)
    x, y = math.floor(cols[0] * downsample), math.floor(rows[0] * downsample)
    right, bottom = math.ceil((cols[-1] + 1) * downsample), math.ceil((rows[-1] + 1) * downsample)
    return Region(x, y, right - x, bottom - y)
