"""Colour amounts of stain as a scanner would see them.

The generator's own optics give the same bytes whatever the tiling, which costs ten times as much;
pictures that only have to be plausible are coloured here.
"""

from __future__ import annotations

import math

import cv2
import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.models.appearance import Appearance
from her2path.models.scenes import MAX_OD, decode_od, halved
from her2path.synth.laboratory import Laboratory

__all__ = ["colour", "compressed"]

SUBSAMPLINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)
# The mean of a nucleus is taken over about so much.
CHROMATIN_SIGMA_UM = 2.0
_GRAIN_SIDE = 1024
_GRAIN = np.random.default_rng(1).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE), dtype=np.float32)
# The tone curve as a table: steps per unit of light, up to half as bright again as glass.
_TONE_STEPS = 2048
_TONES = 3 * _TONE_STEPS // 2


def colour(
    stain: NDArray[np.uint8],
    place: NDArray[np.uint8],
    nucleus: NDArray[np.uint8],
    appearance: Appearance,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the picture at the network's µm/px, from stain on the scanner's pixels."""
    lab = appearance.laboratory
    mpp = appearance.scale_mpp / (1 if appearance.is_coarse else 2)
    od = decode_od(stain)
    scale_hematoxylin(od, nucleus, appearance, mpp)
    light = absorbed(od, place, lab)
    blur_px = math.hypot(lab.blur_um, appearance.defocus_um) / mpp
    light = blurred(light, blur_px)
    local = place[..., 2]
    if local.any():
        part = np.clip(local * np.float32(2.0 / 255), 0, 1)[..., None]
        light = light * (1 - part) + blurred(light, 1.1 / mpp) * part
    noise = np.array([lab.noise / 255, lab.read_noise / 255], np.float32)
    corners = rng.integers(0, _GRAIN_SIDE, 6)
    add_noise(light, _GRAIN, corners, noise, np.asarray(appearance.illumination, np.float32))
    soft = blurred(light, lab.sharpen_um / mpp) if lab.sharpen else light
    rgb = developed(
        light,
        soft,
        np.float32(lab.sharpen),
        (np.arange(_TONES, dtype=np.float32) / _TONE_STEPS) ** np.float32(lab.gamma),
        np.asarray(lab.white_point, np.float32),
        np.float32(lab.saturation),
    )
    if lab.compression != "none":
        rgb = compressed(rgb, lab.quality, rng)
    return rgb if appearance.is_coarse else halved(rgb)


def scale_hematoxylin(
    od: NDArray[np.float32], nucleus: NDArray[np.uint8], appearance: Appearance, mpp: float
) -> None:
    """Make nuclei and what lies between them paler or darker, each by its own factor (in place)."""
    if appearance.chromatin != 1:
        coarsen_chromatin(od, nucleus, appearance.chromatin, CHROMATIN_SIGMA_UM / mpp)
    between, inside = np.float32(appearance.background), np.float32(appearance.nuclear)
    if between != 1 or inside != 1:
        od[..., 0] *= between + nucleus * ((inside - between) / np.float32(255))


def coarsen_chromatin(
    od: NDArray[np.float32], nucleus: NDArray[np.uint8], factor: float, sigma_px: float
) -> None:
    """Let what stands out of the mean of a nucleus stand out more (in place)."""
    inside = nucleus * np.float32(1 / 255)
    hematoxylin = np.ascontiguousarray(od[..., 0])
    # A mean of nuclei alone: rims keep their height where a nucleus ends.
    mean = blurred(hematoxylin * inside, sigma_px) / np.maximum(blurred(inside, sigma_px), 1e-3)
    grown = inside * np.float32(factor - 1) * (hematoxylin - mean)
    od[..., 0] = np.clip(hematoxylin + grown, 0.0, MAX_OD)


def compressed(rgb: NDArray[np.uint8], quality: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture as it comes back from JPEG with colours at full, half or quarter size."""
    how = SUBSAMPLINGS[int(rng.integers(len(SUBSAMPLINGS)))]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, how]
    _, packed = cv2.imencode(".jpg", rgb[..., ::-1], options)
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1])


def absorbed(
    od: NDArray[np.float32], place: NDArray[np.uint8], lab: Laboratory
) -> NDArray[np.float32]:
    """Return the light that stains let through, of shape (M, N, 3)."""
    dab = od[..., 1]
    if lab.haze_od:
        dab = dab + place[..., 0] * np.float32(lab.haze_od / 255)
    dab = dab * np.float32(lab.dab_strength)
    matrix = lab.stain_matrix.astype(np.float32)
    red = np.asarray((0.30, 0.58, 0.76), np.float32)
    # One product of matrices is the fastest way to mix planes.
    od[..., 1] = dab
    mixed = od.reshape(-1, 4) @ np.stack(
        [matrix[0] * np.float32(lab.counterstain), matrix[1], red, np.ones(3, np.float32)]
    )
    mixed = mixed.reshape(*dab.shape, 3)
    if lab.dab_darkening:
        dense = np.maximum(dab - np.float32(0.6), 0)
        mixed += (np.float32(lab.dab_darkening) * dense * dense)[..., None]
    return np.asarray(cv2.exp(mixed * np.float32(-math.log(10.0))))


def blurred(light: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    if sigma_px < 0.2:
        return light.copy()
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT))


@nb.njit(cache=True)
def add_noise(
    light: NDArray[np.float32],
    grain: NDArray[np.float32],
    corners: NDArray[np.int64],
    noise: NDArray[np.float32],
    illumination: NDArray[np.float32],
) -> None:
    """Add uneven light, and noise of dark and of photons cut from one large piece (in place)."""
    rows, cols = light.shape[:2]
    n = grain.shape[0]
    for r in range(rows):
        fall_r = 1 + illumination[1] * np.float32(2 * r / rows - 1)
        for c in range(cols):
            fall = fall_r + illumination[0] * np.float32(2 * c / cols - 1)
            for q in range(3):
                value = light[r, c, q] * fall
                spread = noise[0] * np.sqrt(max(value, np.float32(0))) + noise[1]
                drawn = grain[(r + corners[q]) % n, (c + corners[q + 3]) % n]
                light[r, c, q] = value + spread * drawn


@nb.njit(cache=True)
def developed(
    light: NDArray[np.float32],
    soft: NDArray[np.float32],
    sharpen: np.float32,
    tones: NDArray[np.float32],
    white: NDArray[np.float32],
    saturation: np.float32,
) -> NDArray[np.uint8]:
    """Return what the camera stores: sharpened, by its tone curve, white point and colours."""
    rows, cols = light.shape[:2]
    out = np.empty((rows, cols, 3), np.uint8)
    value = np.empty(3, np.float32)
    last = np.float32(len(tones) - 1)
    steps = np.float32(_TONE_STEPS)
    for r in range(rows):
        for c in range(cols):
            for q in range(3):
                v = light[r, c, q] + sharpen * (light[r, c, q] - soft[r, c, q])
                value[q] = tones[int(min(max(v * steps, np.float32(0)), last))] * white[q]
            mean = (value[0] + value[1] + value[2]) * np.float32(1 / 3)
            for q in range(3):
                v = mean + saturation * (value[q] - mean) + np.float32(0.5)
                out[r, c, q] = np.uint8(min(max(v, np.float32(0)), np.float32(255)))
    return out
