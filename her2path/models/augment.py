"""Colour training fields on the fly: random stains, scanners, focus, noise, JPEG, scale, turn.

The generator's own optics give the same bytes whatever the tiling, which costs ten times as much;
pictures that only have to be plausible are coloured here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numba as nb
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from her2path.models.network import CELL_CLASSES, STRIDE_PX
from her2path.models.scenes import FIELD_MPP, NETWORK_MPP, TrainingField, decode_od, halved
from her2path.synth.laboratory import Laboratory
from her2path.synth.variety import random_laboratory

__all__ = ["NETWORK_MPP", "Appearance", "Crop", "appearance_of", "random_appearance", "take_crop"]

# Spread of the bump that marks a nucleus's centre.
CENTRE_SIGMA_UM = 1.2
# Scorers' classes rest on how dark a membrane is: beyond this, the stain of the whole run was
# too weak or strong for its truth to be read off the picture.
HONEST_STRENGTH = (0.78, 1.3)
# Within a window of this side, nuclei nearer to their surroundings than so many of 255 in every
# colour are hardly seen by anyone.
UNSEEN_WINDOW_UM = 18.0
UNSEEN_CONTRAST = 7.0
_GRAIN_SIDE = 1024
_GRAIN = np.random.default_rng(1).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE), dtype=np.float32)
# The tone curve as a table: steps per unit of light, up to half as bright again as glass.
_TONE_STEPS = 2048
_TONES = 3 * _TONE_STEPS // 2


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a picture looks: stains, scanner and scale.

    Attributes
    ----------
    laboratory : Laboratory
        Stains, optics, camera and compression.
    scale_mpp : float
        µm/px of the picture that the network sees, about 0.5.
    is_coarse : bool
        Whether the scanner's own pixels are the network's, not half their size.
    defocus_um : float
        Standard deviation of blur over the whole picture, on top of the optics.
    illumination : tuple of 2 float
        Change of light from one side of the picture to the other, along x and y.
    nuclear, background : float
        Factors on the hematoxylin of nuclei, and of all between them.
    """

    laboratory: Laboratory
    scale_mpp: float = NETWORK_MPP
    is_coarse: bool = False
    defocus_um: float = 0.0
    illumination: tuple[float, float] = (0.0, 0.0)
    nuclear: float = 1.0
    background: float = 1.0


@dataclass(frozen=True, slots=True)
class Crop:
    """One training picture with its labels.

    Attributes
    ----------
    rgb : ndarray of shape (S, S, 3), uint8
    planes : ndarray of shape (9, S, S), uint8
        Nucleus, centre, membrane, tumor, other, outside, then how well nucleus, membrane and
        tissue are known; 255 = 1.
    cells : ndarray of shape (len(CELL_CLASSES), S / 16, S / 16), float32
        Tumor cells by kind at each position of the ordinal head.
    kind_tally : ndarray of shape (len(CELL_CLASSES),), int64
        Tumor cells in the picture by kind.
    x, y : ndarray of shape (n,), float32
        Nucleus centres, px.
    is_tumor : ndarray of shape (n,), bool
    kinds_known : bool
        Whether the classes of the cells can be read off the picture.
    count_known : bool
        Whether `cells` holds every tumor cell.
    """

    rgb: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    cells: NDArray[np.float32]
    kind_tally: NDArray[np.int64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    is_tumor: NDArray[np.bool_]
    kinds_known: bool
    count_known: bool = True


def appearance_of(laboratory: Laboratory) -> Appearance:
    """Return how pictures of a laboratory look, scanned in focus."""
    per_px = max(1, round(NETWORK_MPP / laboratory.mpp))
    return Appearance(laboratory, per_px * laboratory.mpp)


def random_appearance(rng: np.random.Generator, laboratories: tuple[Laboratory, ...]) -> Appearance:
    """Return how a picture looks: one of these laboratories, any other, or one beyond all.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all that is random.
    laboratories : tuple of Laboratory
        Those kept for training.
    """
    kind = rng.random()
    laboratory = random_laboratory(rng, mpp=FIELD_MPP)
    if kind < 0.15:
        laboratory = laboratories[rng.integers(len(laboratories))]
    elif kind < 0.5:
        laboratory = widened_laboratory(rng, laboratory)
    nuclear = float(np.exp(rng.normal(0, 0.22)).clip(0.5, 1.7))
    return Appearance(
        laboratory=laboratory,
        scale_mpp=float(np.exp(rng.uniform(np.log(0.40), np.log(0.62)))),
        is_coarse=bool(rng.random() < 0.65),
        defocus_um=float(rng.exponential(0.35)) if rng.random() < 0.25 else 0.0,
        illumination=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
        nuclear=nuclear,
        # Nuclei must not drown in what lies between them.
        background=float(np.exp(rng.normal(0, 0.35)).clip(0.25, 1.25 * nuclear)),
    )


def widened_laboratory(rng: np.random.Generator, laboratory: Laboratory) -> Laboratory:
    """Return a laboratory of colours, tones and sharpness that hardly any scanner gives."""
    glass = rng.uniform(200, 252) + rng.normal(0, 4, 3)
    white_r, white_g, white_b = (float(v) for v in np.clip(glass, 185, 255))
    return replace(
        laboratory,
        hematoxylin=from_box(rng, ((0.50, 0.82), (0.42, 0.74), (0.18, 0.52))),
        dab=from_box(rng, ((0.18, 0.46), (0.42, 0.64), (0.62, 0.88))),
        counterstain=float(np.exp(rng.normal(0, 0.5)).clip(0.2, 3.0)),
        white_point=(white_r, white_g, white_b),
        gamma=float(np.exp(rng.normal(0, 0.16)).clip(0.6, 1.6)),
        sharpen=float(rng.uniform(0, 2.4)),
        saturation=float(rng.uniform(0.55, 1.45)),
        noise=float(min(12.0, rng.exponential(3.0))),
        quality=int(rng.integers(35, 97)),
    )


def from_box(
    rng: np.random.Generator, box: tuple[tuple[float, float], ...]
) -> tuple[float, float, float]:
    """Return a stain vector from anywhere in a box."""
    a, b, c = (float(rng.uniform(low, high)) for low, high in box)
    return a, b, c


def take_crop(
    field: TrainingField,
    appearance: Appearance,
    size_px: int,
    *,
    centre: tuple[float, float],
    turn: float,
    is_mirrored: bool,
    rng: np.random.Generator,
) -> Crop:
    """Cut a square out of a field, turn it, colour it and take its labels along.

    Parameters
    ----------
    field : TrainingField
        What is drawn.
    appearance : Appearance
        How it looks.
    size_px : int
        Side of the crop, a multiple of `STRIDE_PX`.
    centre : tuple (x, y) of float
        Middle of the crop in the field, px.
    turn : float
        Turn in radians.
    is_mirrored : bool
        Whether left and right are changed.
    rng : numpy.random.Generator
        For the noise.
    """
    if size_px % STRIDE_PX:
        raise ValueError(f"size_px = {size_px}: give a multiple of {STRIDE_PX}")
    # The scanner's pixels are the network's, or half their size.
    per_px = 1 if appearance.is_coarse else 2
    fine = per_px * size_px
    drawn = field.coarse if appearance.is_coarse else field
    drawn_mpp = NETWORK_MPP if appearance.is_coarse else FIELD_MPP
    centre = (centre[0] * FIELD_MPP / drawn_mpp, centre[1] * FIELD_MPP / drawn_mpp)
    step = appearance.scale_mpp / per_px / drawn_mpp
    ca, sa = math.cos(turn) * step, math.sin(turn) * step
    flip = -1.0 if is_mirrored else 1.0
    # From px of the crop's fine grid to px of the field.
    linear = np.array([[ca * flip, -sa], [sa * flip, ca]])
    middle = np.array([fine / 2 - 0.5, fine / 2 - 0.5])
    shift = np.asarray(centre) - linear @ middle
    matrix = np.column_stack([linear, shift])

    def warped(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(planes, matrix, (fine, fine), flags=flags, borderMode=cv2.BORDER_REFLECT)
        )

    place, stain, truth = warped(drawn.place), warped(drawn.stain), warped(drawn.truth)
    rgb = colour(stain, place, truth[..., 0], appearance, rng)
    if not appearance.is_coarse:
        place, truth = halved(place), halved(truth)
    x, y, kept = inside(drawn, linear, shift, size_px, per_px)
    kind = drawn.kind[kept]
    planes = label_planes(truth, place, appearance.defocus_um)
    doubt_unseen(planes, rgb, round(UNSEEN_WINDOW_UM / appearance.scale_mpp))
    planes[1] = centre_bumps(x, y, size_px, CENTRE_SIGMA_UM / appearance.scale_mpp)
    is_tumor = kind >= 0
    low, high = HONEST_STRENGTH
    return Crop(
        rgb=rgb,
        planes=planes,
        cells=cell_grid(x[is_tumor], y[is_tumor], kind[is_tumor], size_px),
        kind_tally=np.bincount(kind[is_tumor], minlength=len(CELL_CLASSES)).astype(np.int64),
        x=x,
        y=y,
        is_tumor=is_tumor,
        kinds_known=low <= appearance.laboratory.dab_strength <= high
        and appearance.defocus_um < 0.7,
    )


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
    scale_hematoxylin(od, nucleus, appearance)
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
        subsampling = ("444", "422", "420")[int(rng.integers(3))]
        packed = simplejpeg.encode_jpeg(rgb, quality=lab.quality, colorsubsampling=subsampling)
        rgb = np.asarray(simplejpeg.decode_jpeg(packed))
    return rgb if appearance.is_coarse else halved(rgb)


def scale_hematoxylin(
    od: NDArray[np.float32], nucleus: NDArray[np.uint8], appearance: Appearance
) -> None:
    """Make nuclei and what lies between them paler or darker, each by its own factor (in place)."""
    between, inside = np.float32(appearance.background), np.float32(appearance.nuclear)
    if between != 1 or inside != 1:
        od[..., 0] *= between + nucleus * ((inside - between) / np.float32(255))


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


_GRAIN = np.random.default_rng(1).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE), dtype=np.float32)


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


def inside(
    field: TrainingField,
    linear: NDArray[np.float64],
    shift: NDArray[np.float64],
    size_px: int,
    per_px: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Return the nuclei whose centre lies in the crop, in its px, and which they are."""
    # Places count from the corner of a pixel, warps from its middle.
    points = np.stack([field.x - 0.5, field.y - 0.5]) - shift[:, None]
    fine = np.linalg.solve(linear, points) + 0.5
    x, y = fine[0] / per_px, fine[1] / per_px
    kept = np.flatnonzero((x >= 0) & (y >= 0) & (x < size_px) & (y < size_px))
    return x[kept].astype(np.float32), y[kept].astype(np.float32), kept


def label_planes(
    truth: NDArray[np.uint8], place: NDArray[np.uint8], defocus_um: float
) -> NDArray[np.uint8]:
    """Return the nine planes of a crop; the centres are left empty."""
    rows, cols = truth.shape[:2]
    planes = np.zeros((9, rows, cols), np.uint8)
    spoilt = place[..., 1] > 127
    outside = spoilt | (place[..., 0] < 128)
    tumor = np.where(outside, np.uint8(0), truth[..., 2])
    planes[0] = truth[..., 0]
    planes[2] = truth[..., 1]
    planes[3] = tumor
    planes[4] = np.where(outside, np.uint8(0), 255 - tumor)
    planes[5] = np.where(outside, np.uint8(255), np.uint8(0))
    known = np.where(spoilt, np.uint8(0), np.uint8(255))
    planes[6] = known
    planes[7] = known if defocus_um < 0.7 else 0
    # What a nucleus is matters more than where its cell ends.
    weight = np.where(truth[..., 0] > 127, np.uint8(255), np.uint8(90))
    # In-situ cells (127) count little, those of a control (254) not at all.
    doubt = truth[..., 3]
    weight = np.where(doubt > 190, np.uint8(0), np.where(doubt > 60, weight // 4, weight))
    planes[8] = weight
    return planes


def doubt_unseen(planes: NDArray[np.uint8], rgb: NDArray[np.uint8], window_px: int) -> None:
    """Let nuclei that have the colour of what lies round them count little (in place)."""
    # At half the size it says the same in a quarter of the time.
    nucleus = halved(planes[0]).astype(np.float32) / np.float32(255)
    picture = halved(rgb).astype(np.float32)
    box = (window_px // 2, window_px // 2)
    n_inside = np.maximum(cv2.blur(nucleus, box), 1e-6)[..., None]
    n_outside = np.maximum(cv2.blur(1 - nucleus, box), 1e-6)[..., None]
    inside = cv2.blur(picture * nucleus[..., None], box) / n_inside
    outside = cv2.blur(picture * (1 - nucleus[..., None]), box) / n_outside
    contrast = np.abs(inside - outside).max(axis=2)
    unseen = (contrast < UNSEEN_CONTRAST) & (n_inside[..., 0] > 0.02) & (n_outside[..., 0] > 0.02)
    size = planes.shape[:0:-1]
    unseen = cv2.resize(unseen.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    planes[6] = np.where(unseen > 0, planes[6] // 6, planes[6])


def centre_bumps(
    x: NDArray[np.float32], y: NDArray[np.float32], size_px: int, sigma_px: float
) -> NDArray[np.uint8]:
    """Return Gaussian bumps at the centres, 255 at their tops, the higher one where they meet."""
    out = np.zeros((size_px, size_px), np.float32)
    reach = math.ceil(3 * sigma_px)
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    for px, py in zip(x, y, strict=True):
        c, r = int(px), int(py)
        across = np.exp(-0.5 * ((c + 0.5 + offset - px) / sigma_px) ** 2)
        down = np.exp(-0.5 * ((r + 0.5 + offset - py) / sigma_px) ** 2)
        r0, r1 = max(0, r - reach), min(size_px, r + reach + 1)
        c0, c1 = max(0, c - reach), min(size_px, c + reach + 1)
        bump = np.outer(
            down[r0 - r + reach : r1 - r + reach], across[c0 - c + reach : c1 - c + reach]
        )
        np.maximum(out[r0:r1, c0:c1], bump, out=out[r0:r1, c0:c1])
    return (255 * out).astype(np.uint8)


def cell_grid(
    x: NDArray[np.float32], y: NDArray[np.float32], kind: NDArray[np.int8], size_px: int
) -> NDArray[np.float32]:
    """Share each cell out over the four positions round its centre; the sums stay."""
    n = size_px // STRIDE_PX
    grid = np.zeros((len(CELL_CLASSES), n, n), np.float32)
    gx, gy = x / STRIDE_PX - 0.5, y / STRIDE_PX - 0.5
    c, r = np.floor(gx).astype(int), np.floor(gy).astype(int)
    fx, fy = gx - c, gy - r
    for dr, dc, share in (
        (0, 0, (1 - fy) * (1 - fx)),
        (0, 1, (1 - fy) * fx),
        (1, 0, fy * (1 - fx)),
        (1, 1, fy * fx),
    ):
        rows, cols = np.clip(r + dr, 0, n - 1), np.clip(c + dc, 0, n - 1)
        np.add.at(grid, (kind.astype(int), rows, cols), share)
    return grid
