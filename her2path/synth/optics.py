"""From stain amounts to the picture a scanner stores: absorption, optics, camera, compression."""

from __future__ import annotations

import math

import imagecodecs
import numba as nb
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from her2path.synth.laboratory import Laboratory

__all__ = ["HALO_UM", "compress", "expose", "halo_px", "jpeg2000_level"]

# Reach of blur and sharpening of all but the softest laboratories (`halo_px`).
HALO_UM = 10.0
# Blur beyond this is of no use to anyone.
MAX_DEFOCUS_UM = 1.5
# Red cells and other eosin-free pink-brown matter, seen without eosin as yellow-brown.
_RED_CELL = (0.30, 0.58, 0.76)


def halo_px(laboratory: Laboratory, *, inset_um: float = 0.0) -> int:
    """Return how far round a picture is drawn: what lies further away does not change a pixel.

    Brown that fades towards the borders of cells (`inset_um`) depends on borders that far away.
    """
    mpp = laboratory.mpp
    softest_um = math.hypot(max(laboratory.blur_um, 0.05), MAX_DEFOCUS_UM)
    kernels = (_kernel(um / mpp, HALO_UM / mpp) for um in (softest_um, laboratory.sharpen_um))
    own = math.ceil(inset_um / mpp) + 1 if inset_um > 0 else 0
    return max(math.ceil(HALO_UM / mpp), sum(kernel.size // 2 for kernel in kernels) + own)


def expose(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    red: NDArray[np.float32],
    neutral: NDArray[np.float32],
    blur_um: NDArray[np.float32],
    laboratory: Laboratory,
    *,
    x0: int,
    y0: int,
    mpp: float,
    seed: int,
) -> NDArray[np.uint8]:
    """Return what the scanner's camera gives for stain maps, before compression.

    Parameters
    ----------
    h, d, red, neutral : ndarray of shape (M, N), float32
        OD of hematoxylin, DAB, red-cell colour and grey.
    blur_um : ndarray of shape (M, N), float32
        Defocus on top of the optics, standard deviation, at most `MAX_DEFOCUS_UM`.
    laboratory : Laboratory
        Stains, optics and camera.
    x0, y0 : int
        First pixel: noise and shading depend on the place on the slide.
    mpp : float
        µm/px of the maps.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray of shape (M, N, 3), uint8
        A border of `halo_px` is not valid and to be cut off.
    """
    matrix = laboratory.stain_matrix.astype(np.float32)
    vectors = np.stack(
        [
            matrix[0] * np.float32(laboratory.counterstain),
            matrix[1],
            np.asarray(_RED_CELL, np.float32),
        ]
    )
    shape = h.shape
    # Defocus mixes pictures whose weights sum to 1 but for rounding: that is left to each pixel.
    is_glass = not any(plane.any() for plane in (h, d, red, neutral, blur_um))
    if is_glass:
        # Light through glass is the same everywhere: one pixel stands for all.
        h, d, red, neutral, blur_um = (plane[:1, :1] for plane in (h, d, red, neutral, blur_um))
    light = _absorb(
        h,
        d * np.float32(laboratory.dab_strength),
        red,
        neutral,
        vectors,
        np.float32(laboratory.dab_darkening),
    )
    light = _focus(light, laboratory.blur_um, blur_um, mpp)
    if is_glass:
        light = np.repeat(light, shape[0] * shape[1], axis=2).reshape(3, *shape)
    white = np.asarray(laboratory.white_point, np.float32)
    counts = _count(
        light,
        np.float32(laboratory.noise / 255),
        np.float32(laboratory.read_noise / 255),
        np.float32(laboratory.shading),
        x0,
        y0,
        seed & 0x7FFFFFFF,
    )
    if laboratory.sharpen > 0:
        soft = _blur(counts, _kernel(laboratory.sharpen_um / mpp, HALO_UM / mpp))
        counts = counts + np.float32(laboratory.sharpen) * (counts - soft)
    return _develop(counts, white, np.float32(laboratory.gamma), np.float32(laboratory.saturation))


@nb.njit(cache=True)
def _absorb(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    red: NDArray[np.float32],
    neutral: NDArray[np.float32],
    vectors: NDArray[np.float32],
    darkening: np.float32,
) -> NDArray[np.float32]:
    rows, cols = h.shape
    out = np.empty((3, rows, cols), np.float32)
    k = np.float32(-2.302585)
    for q in range(3):
        for r in range(rows):
            for c in range(cols):
                dense = d[r, c] - np.float32(0.6)
                od = (
                    h[r, c] * vectors[0, q]
                    + d[r, c] * vectors[1, q]
                    + red[r, c] * vectors[2, q]
                    + neutral[r, c]
                )
                if dense > 0:
                    od += darkening * dense * dense
                out[q, r, c] = np.exp(k * od)
    return out


def _focus(
    light: NDArray[np.float32],
    optics_um: float,
    blur_um: NDArray[np.float32],
    mpp: float,
) -> NDArray[np.float32]:
    """Blur by the optics, and further where the picture is out of focus."""
    sharp = _blur(light, _kernel(max(optics_um, 0.05) / mpp, HALO_UM / mpp))
    if not blur_um.any():
        return sharp
    # Between a few fixed amounts of defocus the picture is mixed.
    stops = (0.0, 0.35, 0.75, MAX_DEFOCUS_UM)
    out = np.zeros_like(sharp)
    for k, stop in enumerate(stops):
        below = stops[k - 1] if k else -1.0
        above = stops[k + 1] if k + 1 < len(stops) else 1e9
        weight = np.clip(
            np.minimum((blur_um - below) / (stop - below), (above - blur_um) / (above - stop)), 0, 1
        ).astype(np.float32)
        if weight.any():
            sigma = math.hypot(max(optics_um, 0.05), stop)
            part = _blur(light, _kernel(sigma / mpp, HALO_UM / mpp)) if stop else sharp
            out += weight * part
    return out


def _kernel(sigma_px: float, reach_px: float) -> NDArray[np.float32]:
    radius = max(1, min(int(np.ceil(3.2 * sigma_px)), int(reach_px / 1.8)))
    at = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (at / sigma_px) ** 2)
    kernel: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return kernel


@nb.njit(cache=True)
def _blur(planes: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur planes of shape (3, M, N); the border is repeated.

    Written out, because a library's vector code may round pixels differently near the ends of
    rows, and then the picture would depend on the tiling.
    """
    n, rows, cols = planes.shape
    radius = kernel.size // 2
    out = np.empty_like(planes)
    across = np.empty((rows, cols), np.float32)
    padded = np.empty(cols + 2 * radius, np.float32)
    for q in range(n):
        for r in range(rows):
            for c in range(radius):
                padded[c] = planes[q, r, 0]
                padded[cols + radius + c] = planes[q, r, cols - 1]
            padded[radius : cols + radius] = planes[q, r]
            row = across[r]
            row[:] = padded[radius : radius + cols] * kernel[radius]
            for k in range(1, radius + 1):
                w = kernel[radius + k]
                for c in range(cols):
                    row[c] += w * (padded[radius + c - k] + padded[radius + c + k])
        for r in range(rows):
            row = out[q, r]
            row[:] = across[r] * kernel[radius]
            for k in range(1, radius + 1):
                w = kernel[radius + k]
                up = across[max(0, r - k)]
                down = across[min(rows - 1, r + k)]
                for c in range(cols):
                    row[c] += w * (up[c] + down[c])
    return out


# Pixels of one camera field: shading repeats with it.
_CAMERA_PX = 2048


@nb.njit(cache=True)
def _count(
    light: NDArray[np.float32],
    shot: np.float32,
    read: np.float32,
    shading: np.float32,
    x0: int,
    y0: int,
    seed: int,
) -> NDArray[np.float32]:
    """Add shading and noise that depend on the pixel's place alone."""
    n, rows, cols = light.shape
    out = np.empty_like(light)
    one = np.uint64(1)
    for q in range(n):
        base = (np.uint64(seed) * np.uint64(3) + np.uint64(q) + one) * np.uint64(0x9E3779B97F4A7C15)
        for r in range(rows):
            row = (np.uint64(y0 + r + (1 << 24)) * np.uint64(0xC2B2AE3D27D4EB4F)) ^ base
            fy = ((y0 + r) % _CAMERA_PX) / _CAMERA_PX - 0.5
            for c in range(cols):
                z = row + np.uint64(x0 + c + (1 << 24)) * np.uint64(0x9E3779B97F4A7C15)
                z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                z = z ^ (z >> np.uint64(31))
                # The sum of four uniform numbers is near enough to a normal one.
                total = (
                    (z & np.uint64(0xFFFF))
                    + ((z >> np.uint64(16)) & np.uint64(0xFFFF))
                    + ((z >> np.uint64(32)) & np.uint64(0xFFFF))
                    + (z >> np.uint64(48))
                )
                normal = (np.float32(total) - np.float32(131070.0)) * np.float32(1.7320508 / 65536)
                fx = ((x0 + c) % _CAMERA_PX) / _CAMERA_PX - 0.5
                value = light[q, r, c] * (1 - shading * np.float32(2 * (fx * fx + fy * fy)))
                spread = np.sqrt(shot * shot * max(value, np.float32(0)) + read * read)
                out[q, r, c] = value + spread * normal
    return out


@nb.njit(cache=True)
def _develop(
    counts: NDArray[np.float32],
    white: NDArray[np.float32],
    gamma: np.float32,
    saturation: np.float32,
) -> NDArray[np.uint8]:
    _, rows, cols = counts.shape
    out = np.empty((rows, cols, 3), np.uint8)
    zero, half, top = np.float32(0), np.float32(0.5), np.float32(255)
    third = np.float32(1 / 3)
    is_linear = gamma == np.float32(1)
    for r in range(rows):
        for c in range(cols):
            v0 = max(counts[0, r, c], zero)
            v1 = max(counts[1, r, c], zero)
            v2 = max(counts[2, r, c], zero)
            if not is_linear:
                v0, v1, v2 = v0**gamma, v1**gamma, v2**gamma
            v0, v1, v2 = v0 * white[0], v1 * white[1], v2 * white[2]
            mean = (v0 + v1 + v2) * third
            out[r, c, 0] = np.uint8(min(top, max(zero, mean + saturation * (v0 - mean) + half)))
            out[r, c, 1] = np.uint8(min(top, max(zero, mean + saturation * (v1 - mean) + half)))
            out[r, c, 2] = np.uint8(min(top, max(zero, mean + saturation * (v2 - mean) + half)))
    return out


def compress(rgb: NDArray[np.uint8], laboratory: Laboratory) -> NDArray[np.uint8]:
    """Return the picture as it comes back from the laboratory's compression."""
    if laboratory.compression == "jpeg":
        packed = simplejpeg.encode_jpeg(
            np.ascontiguousarray(rgb), quality=laboratory.quality, colorsubsampling="422"
        )
        return np.asarray(simplejpeg.decode_jpeg(packed))
    if laboratory.compression == "jpeg2000":
        # As tiles of slides: red, green and blue each by itself.
        level = jpeg2000_level(laboratory.quality)
        packed = imagecodecs.jpeg2k_encode(rgb, level=level, mct=False)
        return np.asarray(imagecodecs.jpeg2k_decode(packed))
    return rgb


def jpeg2000_level(quality: int) -> int:
    """Return the peak signal-to-noise ratio (dB) of JPEG 2000 that a JPEG quality stands for."""
    return round(30 + 0.15 * (quality - 30))
