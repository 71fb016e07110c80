"""Training crops: a field turned, scaled and coloured, with its labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.models.appearance import Appearance
from her2path.models.colouring import colour
from her2path.models.design import CELL_CLASSES, STRIDE_PX
from her2path.models.scenes import FIELD_MPP, NETWORK_MPP, TrainingField, halved

__all__ = ["Crop", "take_crop"]

# Spread of the bump that marks a nucleus's centre.
CENTRE_SIGMA_UM = 1.2
# Scorers' classes rest on how dark a membrane is: beyond this, the stain of the whole run was
# too weak or strong for its truth to be read off the picture.
HONEST_STRENGTH = (0.78, 1.3)
# Within a window of this side, nuclei nearer to their surroundings than so many of 255 in every
# colour, and no more uneven than these, are hardly seen by anyone.
UNSEEN_WINDOW_UM = 18.0
UNSEEN_CONTRAST = 7.0
UNSEEN_TEXTURE = 5.0


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


def inside(
    field: TrainingField,
    linear: NDArray[np.float64],
    shift: NDArray[np.float64],
    size_px: int,
    per_px: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Return the nuclei whose centre lies in the crop, in its px, and which they are.

    A crop that leaves the field sees its edge mirrored, and the nuclei there again.
    """
    rows, cols = field.stain.shape[:2]
    ways = [(x, y) for x in mirrored(field.x, cols) for y in mirrored(field.y, rows)]
    x, y = (np.concatenate(part) for part in zip(*ways, strict=True))
    # Places count from the corner of a pixel, warps from its middle.
    points = np.stack([x - 0.5, y - 0.5]) - shift[:, None]
    fine = np.linalg.solve(linear, points) + 0.5
    x, y = fine[0] / per_px, fine[1] / per_px
    kept = np.flatnonzero((x >= 0) & (y >= 0) & (x < size_px) & (y < size_px))
    return x[kept].astype(np.float32), y[kept].astype(np.float32), kept % max(1, len(field.x))


def mirrored(places: NDArray[np.float32], length: int) -> tuple[NDArray[np.float32], ...]:
    """Return places along an axis, and where they are seen beyond its two ends."""
    return places, -places, 2 * np.float32(length) - places


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
    # Grain is on both sides alike: what nuclei have more of is chromatin.
    grey = picture.mean(axis=2)
    square = grey * grey
    rough_inside = cv2.blur(square * nucleus, box) / n_inside[..., 0] - inside.mean(axis=2) ** 2
    rough_outside = (
        cv2.blur(square * (1 - nucleus), box) / n_outside[..., 0] - outside.mean(axis=2) ** 2
    )
    is_even = rough_inside - rough_outside < UNSEEN_TEXTURE**2
    unseen = (contrast < UNSEEN_CONTRAST) & is_even
    unseen &= (n_inside[..., 0] > 0.02) & (n_outside[..., 0] > 0.02)
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
