"""Colour training fields on the fly: random stains, scanners, focus, noise, JPEG, scale, turn.

The generator's own optics give the same bytes whatever the tiling, which costs ten times as much;
pictures that only have to be plausible are coloured here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from her2path.models.network import CELL_CLASSES, STRIDE_PX
from her2path.models.scenes import FIELD_MPP, TrainingField, decode_od
from her2path.synth.laboratory import Laboratory

__all__ = ["NETWORK_MPP", "Appearance", "Crop", "appearance_of", "random_appearance", "take_crop"]

NETWORK_MPP = 0.5
# Spread of the bump that marks a nucleus's centre.
CENTRE_SIGMA_UM = 1.2
# Scorers' classes rest on how dark a membrane is: beyond this, the stain of the whole run was
# too weak or strong for its truth to be read off the picture.
HONEST_STRENGTH = (0.78, 1.3)
_GRAIN_SIDE = 1024


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
    """

    laboratory: Laboratory
    scale_mpp: float = NETWORK_MPP
    is_coarse: bool = False
    defocus_um: float = 0.0
    illumination: tuple[float, float] = (0.0, 0.0)


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
    """

    rgb: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    cells: NDArray[np.float32]
    kind_tally: NDArray[np.int64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    is_tumor: NDArray[np.bool_]
    kinds_known: bool


def appearance_of(laboratory: Laboratory) -> Appearance:
    """Return how pictures of a laboratory look, scanned in focus."""
    per_px = max(1, round(NETWORK_MPP / laboratory.mpp))
    return Appearance(laboratory, per_px * laboratory.mpp)


def random_appearance(rng: np.random.Generator, laboratories: tuple[Laboratory, ...]) -> Appearance:
    """Return a random laboratory: between and well beyond those given."""
    base = laboratories[rng.integers(len(laboratories))]
    other = laboratories[rng.integers(len(laboratories))]

    def near(name: str, spread: float, low: float, high: float) -> float:
        t = rng.uniform(-0.3, 1.3)
        middle = (1 - t) * getattr(base, name) + t * getattr(other, name)
        return float(np.clip(middle + spread * rng.standard_normal(), low, high))

    hematoxylin = vector(rng, base.hematoxylin, ((0.50, 0.82), (0.42, 0.72), (0.18, 0.52)), 0.045)
    dab = vector(rng, base.dab, ((0.18, 0.46), (0.44, 0.64), (0.62, 0.86)), 0.035)
    glass = rng.uniform(205, 253)
    tint = rng.normal(0, 3.5, 3)
    is_plain = rng.random() < 0.15
    laboratory = Laboratory(
        name="random",
        mpp=FIELD_MPP,
        hematoxylin=hematoxylin,
        dab=dab,
        counterstain=float(np.exp(rng.normal(0.0, 0.42)).clip(0.25, 2.6)),
        dab_strength=near("dab_strength", 0.16, 0.45, 1.9),
        dab_darkening=float(rng.uniform(0, 0.5)),
        haze_od=float(rng.exponential(0.015)),
        white_point=tuple(np.clip(glass + tint, 190, 255).tolist()),
        shading=0.0,
        gamma=float(np.exp(rng.normal(0.0, 0.13)).clip(0.65, 1.5)),
        blur_um=float(rng.uniform(0.12, 0.42)),
        sharpen=0.0 if is_plain else float(rng.uniform(0, 2.2)),
        sharpen_um=float(rng.uniform(0.18, 0.6)),
        noise=float(rng.exponential(2.2)),
        read_noise=float(rng.exponential(0.8)),
        saturation=float(rng.uniform(0.65, 1.35)),
        compression="none" if is_plain else "jpeg",
        quality=int(rng.integers(35, 97)),
    )
    return Appearance(
        laboratory=laboratory,
        scale_mpp=float(np.exp(rng.uniform(np.log(0.40), np.log(0.62)))),
        is_coarse=bool(rng.random() < 0.5),
        defocus_um=float(rng.exponential(0.35)) if rng.random() < 0.3 else 0.0,
        illumination=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
    )


def vector(
    rng: np.random.Generator,
    middle: tuple[float, float, float],
    box: tuple[tuple[float, float], ...],
    spread: float,
) -> tuple[float, float, float]:
    """Return a stain vector near one, or from anywhere in a box."""
    if rng.random() < 0.4:
        parts = [rng.uniform(low, high) for low, high in box]
    else:
        parts = list(np.asarray(middle) + rng.normal(0, spread, 3))
    a, b, c = (float(max(0.02, part)) for part in parts)
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
    fine = 2 * size_px
    step = appearance.scale_mpp / 2 / FIELD_MPP
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

    place = warped(field.place)
    stain = warped(field.stain)
    truth = halved(warped(field.truth))
    rgb = colour(stain, place, appearance, rng)
    coarse_place = halved(place)
    x, y, kept = inside(field, linear, shift, size_px)
    kind = field.kind[kept]
    planes = label_planes(truth, coarse_place, appearance.defocus_um)
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


def halved(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 2 × 2 means."""
    rows, cols = planes.shape[:2]
    return np.asarray(cv2.resize(planes, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA))


def colour(
    stain: NDArray[np.uint8],
    place: NDArray[np.uint8],
    appearance: Appearance,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the picture at half the fine grid's size."""
    lab = appearance.laboratory
    mpp = appearance.scale_mpp / 2
    light = absorbed(stain, place, lab)
    if appearance.is_coarse:
        rows, cols = light.shape[:2]
        light = cv2.resize(light, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA)
        mpp *= 2
    blur_px = math.hypot(lab.blur_um, appearance.defocus_um) / mpp
    light = blurred(light, blur_px)
    local = place[..., 2]
    if local.any():
        if appearance.is_coarse:
            local = halved(local)
        part = np.clip(local * np.float32(2.0 / 255), 0, 1)[..., None]
        light = light * (1 - part) + blurred(light, 1.1 / mpp) * part
    rows, cols = light.shape[:2]
    fall_x, fall_y = appearance.illumination
    if fall_x or fall_y:
        light *= (
            1
            + np.linspace(-fall_x, fall_x, cols, dtype=np.float32)[None, :, None]
            + np.linspace(-fall_y, fall_y, rows, dtype=np.float32)[:, None, None]
        )
    if lab.noise or lab.read_noise:
        light += grain(rows, cols, rng) * (
            np.sqrt(np.maximum(light, 0)) * np.float32(lab.noise / 255)
            + np.float32(lab.read_noise / 255)
        )
    if lab.sharpen:
        light += np.float32(lab.sharpen) * (light - blurred(light, lab.sharpen_um / mpp))
    np.maximum(light, 0, out=light)
    if lab.gamma != 1.0:
        light = cv2.pow(light, lab.gamma)
    light *= np.asarray(lab.white_point, np.float32)
    if lab.saturation != 1.0:
        mean = light.mean(axis=2, keepdims=True)
        light = mean + np.float32(lab.saturation) * (light - mean)
    rgb = np.clip(light + 0.5, 0, 255).astype(np.uint8)
    if lab.compression != "none":
        subsampling = ("444", "422", "420")[int(rng.integers(3))]
        packed = simplejpeg.encode_jpeg(rgb, quality=lab.quality, colorsubsampling=subsampling)
        rgb = np.asarray(simplejpeg.decode_jpeg(packed))
    return rgb if appearance.is_coarse else halved(rgb)


def absorbed(
    stain: NDArray[np.uint8], place: NDArray[np.uint8], lab: Laboratory
) -> NDArray[np.float32]:
    """Return the light that stains let through, of shape (M, N, 3)."""
    od = decode_od(stain)
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


def grain(rows: int, cols: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of shape (rows, cols, 3): cut from one piece at random places, for speed."""
    if max(rows, cols) > _GRAIN_SIDE:
        return rng.standard_normal((rows, cols, 3), dtype=np.float32)
    planes = []
    for _ in range(3):
        r, c = rng.integers(_GRAIN_SIDE - rows + 1), rng.integers(_GRAIN_SIDE - cols + 1)
        planes.append(_GRAIN[r : r + rows, c : c + cols])
    return np.dstack(planes)


def inside(
    field: TrainingField, linear: NDArray[np.float64], shift: NDArray[np.float64], size_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Return the nuclei whose centre lies in the crop, in its px, and which they are."""
    # Places count from the corner of a pixel, warps from its middle.
    points = np.stack([field.x - 0.5, field.y - 0.5]) - shift[:, None]
    fine = np.linalg.solve(linear, points) + 0.5
    x, y = fine[0] / 2, fine[1] / 2
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
