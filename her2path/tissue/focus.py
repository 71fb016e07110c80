"""Focus in µm: how wide the sharpest edges on tissue are, whatever the scanner and pixel size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.tissue.overview import check_rgb

__all__ = ["BLURRED_UM", "field_blurs_um", "focus_blur_um"]

# From here on faint membranes are lost: of drawn slides, blurred step by step, a tenth of the
# stained cells where 0.80 is read, a fifth at 0.95 (`scripts/focus_limit.py`). Six real cores read
# 0.0–0.3 as scanned, 0.66–0.89 after a blur of 1 µm; drawn ones have softer edges.
BLURRED_UM = 0.75

# Two scales of derivative, µm; never finer than a pixel, where noise and sharpening rule.
FINE_UM = 0.35
COARSE_UM = 0.9
# Edges are the strongest gradients: outlines of nuclei, clefts, membranes.
EDGE_SHARE = 0.02
MIN_EDGE_PX = 100
# A gradient must stand out of the noise by this factor to be an edge.
MIN_SIGNAL_TO_NOISE = 6.0
# Gray values per pixel below which a gradient is glass, shading or JPEG residue.
MIN_GRADIENT = 0.1
# Membranes of 2+ and 3+ are lines up to 2 µm wide, darker than any edge of a nucleus, and read as
# blur: edges are looked at again without pixels that let so much more red than blue through
# (log10), and what lies this near to them.
BROWN_LOG_RATIO = 0.08
BROWN_REACH_UM = 1.5
# Beyond four times the coarse scale the ratio is 1 within its error.
LARGEST_IN_COARSE = 4.0


def focus_blur_um(
    rgb: NDArray[np.uint8], mpp: float, *, mask: NDArray[np.bool_] | None = None
) -> float:
    """Estimate the blur of a field from its sharpest edges.

    An edge of Gaussian width s has, after smoothing by σ, a gradient in proportion to
    1 / √(s² + σ²). The ratio of the gradient energy at two σ therefore gives s.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        At 1 µm/px or finer.
    mpp : float
        µm per pixel.
    mask : ndarray of shape (M, N), bool, optional
        Tissue; all of the field by default.

    Returns
    -------
    float
        Standard deviation of the blur in µm, ≥ 0, what the optics and the edges themselves have
        included (0.3–0.6 for a sharp scan at 0.25–0.5 µm/px); nan where no edge is to be judged.

    Raises
    ------
    ValueError
        Wrong type or shape.

    References
    ----------
    Zhuo S, Sim T. Pattern Recognition 2011;44:1852–1858 (the ratio of re-blurred gradients).
    """
    check_rgb(rgb, mpp)
    if mask is not None and mask.shape != rgb.shape[:2]:
        raise ValueError(f"mask has shape {mask.shape}, the field {rgb.shape[:2]}")
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(gray.shape) < 16:
        return float("nan")
    fine = max(FINE_UM / mpp, 1.0)
    coarse = max(COARSE_UM / mpp, 2.0)
    inner = np.zeros(gray.shape, bool)
    margin = min(int(2 * coarse) + 1, min(gray.shape) // 4)
    inner[margin:-margin, margin:-margin] = True
    if mask is not None:
        inner &= mask
    noise = noise_variance(gray[margin:-margin, margin:-margin])
    energies = gradient_energy(gray, fine), gradient_energy(gray, coarse)
    # Edges have a width of their own, so every reading is too high: the lower one is nearer.
    everywhere, off_brown = (
        edge_width_px(energies, where, fine=fine, coarse=coarse, noise=noise) * mpp
        for where in (inner, inner & ~near_brown(rgb, mpp))
    )
    return float(np.fmin(everywhere, off_brown))


def field_blurs_um(
    fields: Sequence[NDArray[np.uint8]], scanned: Sequence[NDArray[np.bool_] | None], mpp: float
) -> tuple[float, ...]:
    """Return the blur of each quarter of the fields, µm, of what of it was scanned.

    The sharpest edges of what is judged decide, and half of a field may lie out of focus.

    Parameters
    ----------
    fields : sequence of ndarray of shape (M, N, 3), uint8
    scanned : sequence of ndarray of shape (M, N), bool, or None
        What of each was scanned; None: all of it.
    mpp : float
        µm per pixel.
    """
    return tuple(
        focus_blur_um(
            np.ascontiguousarray(rgb[where]), mpp, mask=None if part is None else part[where]
        )
        for rgb, part in zip(fields, scanned, strict=True)
        for where in quarters(*rgb.shape[:2])
    )


def quarters(rows: int, cols: int) -> list[tuple[slice, slice]]:
    """Return where the quarters of a field of so many pixels lie."""
    top, left = rows // 2, cols // 2
    return [
        (row, col)
        for row in (slice(0, top), slice(top, rows))
        for col in (slice(0, left), slice(left, cols))
        # A field one pixel high has no upper half.
        if row.stop > row.start and col.stop > col.start
    ]


def edge_width_px(
    energies: tuple[NDArray[np.float32], NDArray[np.float32]],
    where: NDArray[np.bool_],
    *,
    fine: float,
    coarse: float,
    noise: float,
) -> float:
    """Estimate the width of the strongest edges from their energy at two scales, px; nan of none.

    Parameters
    ----------
    energies : pair of ndarray of shape (M, N), float32
        Squared gradients at the fine and the coarse scale.
    where : ndarray of shape (M, N), bool
        Pixels to judge.
    fine, coarse : float
        The scales, px.
    noise : float
        Variance of the pixels' noise.
    """
    if np.count_nonzero(where) < MIN_EDGE_PX:
        return float("nan")
    energy_fine, energy_coarse = energies
    # The strongest edges of the coarse scale: chosen on the fine one, noise would choose itself.
    threshold = float(np.quantile(energy_coarse[where], 1.0 - EDGE_SHARE))
    edges = where & (energy_coarse >= threshold)
    # Variance that white noise leaves in both derivatives after smoothing by σ: 2 / (8 π σ⁴).
    noise_fine, noise_coarse = (noise / (4.0 * np.pi * s**4) for s in (fine, coarse))
    strength_fine = float(energy_fine[edges].mean()) - noise_fine
    strength_coarse = float(energy_coarse[edges].mean()) - noise_coarse
    is_edge = strength_coarse > MIN_SIGNAL_TO_NOISE**2 * max(noise_coarse, MIN_GRADIENT**2)
    if np.count_nonzero(edges) < MIN_EDGE_PX or not is_edge:
        return float("nan")
    ratio = strength_fine / strength_coarse
    if ratio <= 1.0:
        # No finer at the fine scale: blurred beyond what these scales can measure.
        return coarse * LARGEST_IN_COARSE
    width2 = (coarse**2 - ratio * fine**2) / (ratio - 1.0)
    return float(min(np.sqrt(max(width2, 0.0)), LARGEST_IN_COARSE * coarse))


def near_brown(rgb: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Tell which pixels are brown or lie next to brown."""
    soft = cv2.GaussianBlur(rgb, (0, 0), max(FINE_UM / mpp, 0.5)).astype(np.float32) + 1.0
    brown = np.log10(soft[..., 0] / soft[..., 2]) > BROWN_LOG_RATIO
    side = 2 * max(1, round(BROWN_REACH_UM / mpp)) + 1
    return cv2.dilate(brown.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)


def gradient_energy(gray: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Squared gradient after Gaussian smoothing, gray values² per px²."""
    smooth = cv2.GaussianBlur(gray, (0, 0), sigma)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return dx * dx + dy * dy


def noise_variance(gray: NDArray[np.float32]) -> float:
    """Variance of pixel noise, from the quiet half of a Laplacian difference mask.

    References
    ----------
    Immerkær J. Comput Vis Image Underst 1996;64:300–302 (the mask; the median is ours, so that
    edges do not count as noise).
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6.0
    response = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel))
    return float((np.median(response) / 0.6745) ** 2)
