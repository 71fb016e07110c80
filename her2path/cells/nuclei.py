"""Find nuclei, also under brown: blobs of blue, and hollows in brown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.polar import sampled
from her2path.cells.table import N_SECTORS
from her2path.stain.separate import STEPS_PER_OD

__all__ = [
    "Counterstain",
    "NucleusPlanes",
    "NucleusSeeds",
    "find_nuclei",
    "is_double",
    "typical_counterstain",
]

# DAB that is dark in red leaks into hematoxylin; this share of DAB is taken off again, so that a
# black-brown membrane does not look like a nucleus.
DAB_SHARE = 0.35
# Blurs whose differences show blobs: nuclei of lymphocytes (radius 2.5 µm) to large tumor nuclei
# (6 µm).
BLOB_LADDER_UM = (1.5, 2.1, 2.95, 4.1)
# Chromatin clumps and nucleoli stand out more than the pale vesicular nucleus that holds them; the
# gain lets the whole nucleus win.
SCALE_GAIN = (1.0, 1.15, 1.3)
# Brings the difference of Gaussians to about the contrast of a disc.
RESPONSE_GAIN = 2.9
# A hollow in brown counts a little less than blue: lumens and vacuoles are hollows as well, so
# some hematoxylin is asked for.
HOLLOW_GAIN = 0.8
# Two centers closer than this are one nucleus (the smallest lymphocytes lie 5 µm apart).
MIN_DISTANCE_UM = 3.0
# Nuclei are found on a picture of at most this µm/px, finer ones averaged.
WORKING_MPP = 0.55
# Blobs are looked for on one of at most this.
BLOB_MPP = 1.1
# The pale middle of a vesicular nucleus is at most this wide.
VESICLE_UM = 10.0
# A nucleus has at least these shares of the typical contrast and the typical hematoxylin: pale
# vesicular nuclei have a third of it, stroma and mucin less.
MIN_CONTRAST_SHARE = 0.2
MIN_H_SHARE = 0.3
CONTRAST_RANGE_OD = (0.014, 0.06)
# Peaks below this are noise on any scanner; used only to find out what is typical.
FAINTEST_PEAK_OD = 0.012
MIN_TYPICAL_NUCLEI = 20
BROWN_OD = 0.3
# Two seeds are one nucleus when the blue between them stays above this share of its height over
# the surroundings.
SADDLE_SHARE = 0.7
MAX_DOUBLE_UM = 7.0


@dataclass(frozen=True, slots=True)
class Counterstain:
    """What nuclei of a slide look like.

    Attributes
    ----------
    contrast_od : float
        Typical contrast of a nucleus against its surroundings.
    nucleus_h_od : float
        Typical hematoxylin OD in a nucleus.
    """

    contrast_od: float = 0.08
    nucleus_h_od: float = 0.2

    @property
    def min_contrast_od(self) -> float:
        """Least contrast of a nucleus."""
        low, high = CONTRAST_RANGE_OD
        return min(max(MIN_CONTRAST_SHARE * self.contrast_od, low), high)

    @property
    def min_h_od(self) -> float:
        """Least hematoxylin OD in a nucleus."""
        return MIN_H_SHARE * self.nucleus_h_od


@dataclass(frozen=True, slots=True)
class NucleusSeeds:
    """Centers of nuclei in px of the planes, with their blob response (OD) and scale."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    response_od: NDArray[np.float32]
    sigma_um: NDArray[np.float32]
    is_hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True, eq=False)
class NucleusPlanes:
    """A picture as nuclei are found on it: averaged to about 0.5 µm/px.

    Attributes
    ----------
    h_od, dab_od : ndarray of shape (M, N), float32
    blue_od : ndarray of shape (M, N), float32
        Hematoxylin less the share of DAB that leaks into it, vesicular nuclei filled.
    factor : int
        Pixels of the picture per pixel of the planes.
    mpp : float
        µm/px of the planes.
    """

    h_od: NDArray[np.float32]
    dab_od: NDArray[np.float32]
    blue_od: NDArray[np.float32]
    factor: int
    mpp: float

    @classmethod
    def of(
        cls, hematoxylin: NDArray[np.int16], dab: NDArray[np.int16], *, mpp: float
    ) -> NucleusPlanes:
        """Average stain planes (steps of 1/1024 OD) and fill vesicular nuclei."""
        factor = working_factor(mpp, WORKING_MPP)
        h_od = shrink(hematoxylin, factor) / np.float32(STEPS_PER_OD)
        dab_od = shrink(dab, factor) / np.float32(STEPS_PER_OD)
        blue = fill_vesicles(h_od - np.float32(DAB_SHARE) * dab_od, mpp * factor)
        return cls(h_od, dab_od, blue, factor, mpp * factor)

    def to_picture(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where positions on the planes lie on the picture, px."""
        return upscaled(positions, self.factor)


def working_factor(mpp: float, coarsest_mpp: float) -> int:
    """Return how many px make one of at most that many µm."""
    return max(1, int(coarsest_mpp / mpp))


def fill_vesicles(blue: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    """Raise pale spots that darker blue surrounds on all sides to the level of what surrounds them.

    Vesicular nuclei are a dark rim round a pale middle. Closing along a line fills whatever has
    something darker on both ends within its length; the minimum over the directions fills only
    what is enclosed in all of them.
    """
    smooth = cv2.GaussianBlur(blue, (0, 0), 0.5 / mpp)
    length = int(VESICLE_UM / mpp) | 1
    enclosed: NDArray[np.float32] | None = None
    for kernel in line_kernels(length):
        closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, kernel)
        enclosed = closed if enclosed is None else np.minimum(enclosed, closed)
    assert enclosed is not None
    filled: NDArray[np.float32] = blue + np.maximum(enclosed - smooth, 0.0)
    return filled


def line_kernels(length: int) -> list[NDArray[np.uint8]]:
    """Structuring elements of four lines of `length` px, 45° apart."""
    kernels = []
    middle = length // 2
    diagonal = int(middle / np.sqrt(2))
    for rows, cols in (
        (np.zeros(length, int), np.arange(length) - middle),
        (np.arange(length) - middle, np.zeros(length, int)),
        (np.arange(-diagonal, diagonal + 1), np.arange(-diagonal, diagonal + 1)),
        (np.arange(-diagonal, diagonal + 1), -np.arange(-diagonal, diagonal + 1)),
    ):
        kernel = np.zeros((length, length), np.uint8)
        kernel[middle + rows, middle + cols] = 1
        kernels.append(kernel)
    return kernels


def blob_responses(plane: NDArray[np.float32], mpp: float) -> list[NDArray[np.float32]]:
    """Differences of Gaussians at the scales of BLOB_LADDER_UM, fine to coarse.

    Scaled to about the contrast of a disc of radius √2 times the scale.
    """
    responses, blurred, reached = [], plane, 0.0
    previous: NDArray[np.float32] | None = None
    for sigma_um in BLOB_LADDER_UM:
        # Blurs add up in squares: each step of the ladder continues from the one before.
        step = float(np.sqrt(sigma_um**2 - reached**2)) / mpp
        side = 2 * int(np.ceil(3 * step)) + 1
        blurred, reached = cv2.GaussianBlur(blurred, (side, side), step), sigma_um
        if previous is not None:
            responses.append((previous - blurred) * np.float32(RESPONSE_GAIN))
        previous = blurred
    return responses


@numba.njit(nogil=True, cache=True)
def strongest_scale(
    blue: NDArray[np.float32], brown: NDArray[np.float32], gains: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
    """Strongest response over the scales, at which scale, and whether as a hollow in brown.

    Parameters
    ----------
    blue, brown : ndarray of shape (n_scales, M, N), float32
        Blob responses.
    gains : ndarray of shape (n_scales,), float32
    """
    n_scales, n_rows, n_cols = blue.shape
    best = np.full((n_rows, n_cols), np.float32(-1.0))
    scale = np.zeros((n_rows, n_cols), np.uint8)
    is_hollow = np.zeros((n_rows, n_cols), np.bool_)
    hollow_gain = np.float32(-HOLLOW_GAIN)
    for i in range(n_scales):
        for row in range(n_rows):
            for col in range(n_cols):
                hollow = brown[i, row, col] * hollow_gain
                value = max(blue[i, row, col], hollow) * gains[i]
                if value > best[row, col]:
                    best[row, col] = value
                    scale[row, col] = i
                    is_hollow[row, col] = hollow > blue[i, row, col]
    return best, scale, is_hollow


def typical_counterstain(
    planes: Sequence[tuple[NDArray[np.int16], NDArray[np.int16]]], *, mpp: float
) -> Counterstain:
    """Find out from some fields what the nuclei of a slide look like.

    Parameters
    ----------
    planes : sequence of (hematoxylin, dab), each ndarray of shape (M, N), int16
        Stain planes of fields on tissue.
    mpp : float
        µm/px of the fields, at most 0.7.

    Returns
    -------
    Counterstain
        Medians over the clearer nuclei; the defaults where there are none.
    """
    contrast, h_od = [], []
    any_nucleus = Counterstain(contrast_od=FAINTEST_PEAK_OD, nucleus_h_od=0.0)
    for hematoxylin, dab in planes:
        # Blobs of hematoxylin alone, off the brown: hollows in a 3+ membrane have the contrast of
        # the membrane, and black-brown leaks into hematoxylin.
        blue = np.where(dab < BROWN_OD * STEPS_PER_OD, hematoxylin, 0).astype(np.int16)
        nuclei = NucleusPlanes.of(blue, np.zeros_like(dab), mpp=mpp)
        seeds = find_nuclei(nuclei, any_nucleus)
        smooth = cv2.GaussianBlur(hematoxylin, (0, 0), 1.0 / mpp)
        rows, cols = (np.rint(nuclei.to_picture(v)).astype(int) for v in (seeds.y, seeds.x))
        rows, cols = rows.clip(0, smooth.shape[0] - 1), cols.clip(0, smooth.shape[1] - 1)
        contrast.append(seeds.response_od)
        h_od.append(smooth[rows, cols] / STEPS_PER_OD)
    all_contrast = np.concatenate(contrast) if contrast else np.empty(0)
    if len(all_contrast) < MIN_TYPICAL_NUCLEI:
        return Counterstain()
    typical = float(np.percentile(all_contrast, 80))
    is_clear = all_contrast >= 0.6 * typical
    return Counterstain(typical, float(np.median(np.concatenate(h_od)[is_clear])))


def find_nuclei(planes: NucleusPlanes, counterstain: Counterstain) -> NucleusSeeds:
    """Find the centers of nuclei.

    Parameters
    ----------
    planes : NucleusPlanes
    counterstain : Counterstain
        What nuclei of this slide look like.

    Returns
    -------
    NucleusSeeds
        A center is the highest response within 3 µm, so it depends on its surroundings alone.
    """
    # Blobs are wide: a grid half as fine shows them as well, in a quarter of the time.
    factor = working_factor(planes.mpp, BLOB_MPP)
    blob_mpp = planes.mpp * factor
    h_od, blue_od, dab_od = (
        shrink(plane, factor) for plane in (planes.h_od, planes.blue_od, planes.dab_od)
    )
    has_blue = cv2.GaussianBlur(h_od, (0, 0), 1.0 / blob_mpp) >= counterstain.min_h_od
    best, scale, is_hollow = strongest_scale(
        np.stack(blob_responses(blue_od, blob_mpp)),
        np.stack(blob_responses(dab_od, blob_mpp)),
        np.array(SCALE_GAIN, np.float32),
    )
    radius = max(1, round(MIN_DISTANCE_UM / blob_mpp))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    is_center = (best >= cv2.dilate(best, disc)) & (best >= counterstain.min_contrast_od) & has_blue
    rows, cols = np.nonzero(is_center)
    middles = np.sqrt(np.multiply(BLOB_LADDER_UM[:-1], BLOB_LADDER_UM[1:]))
    return NucleusSeeds(
        x=upscaled(cols, factor),
        y=upscaled(rows, factor),
        response_od=best[rows, cols],
        sigma_um=middles[scale[rows, cols]].astype(np.float32),
        is_hidden=is_hollow[rows, cols],
    )


def upscaled(positions: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Return where positions on a plane lie on the one that it was averaged from, px."""
    found: NDArray[np.float64] = positions * float(factor) + (factor - 1) / 2
    return found


def shrink(plane: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Average blocks of factor × factor px."""
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    cut = plane[: size[1] * factor, : size[0] * factor].astype(np.float32)
    small: NDArray[np.float32] = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    return small


@numba.njit(nogil=True, cache=True)
def is_double(
    blue: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    response: NDArray[np.float32],
    contours: NDArray[np.float32],
    neighbors: NDArray[np.int64],
    mpp: float,
    steps_per_od: float,
) -> NDArray[np.bool_]:
    """Tell which seeds belong to the nucleus of a stronger seed (vesicular nuclei seed twice).

    A seed is a double when it lies inside the contour of a stronger one, or when the blue on the
    way to it never falls to SADDLE_SHARE of the weaker one's height over its surroundings.
    """
    n = x.shape[0]
    doubles = np.zeros(n, np.bool_)
    for i in range(n):
        for j in neighbors[i]:
            if j >= n:
                continue
            is_stronger = response[j] > response[i] or (
                response[j] == response[i] and (y[j], x[j]) < (y[i], x[i])
            )
            dx, dy = x[i] - x[j], y[i] - y[j]
            distance = np.hypot(dx, dy) * mpp
            if not is_stronger or distance > MAX_DOUBLE_UM:
                continue
            sector = int(np.rint(np.arctan2(dy, dx) * N_SECTORS / (2 * np.pi))) % N_SECTORS
            if distance < 0.9 * contours[j, sector]:
                doubles[i] = True
                break
            n_steps = max(int(distance / 0.25), 2)
            lowest = 1e9
            for s in range(n_steps + 1):
                t = s / n_steps
                lowest = min(lowest, sampled(blue, x[j] + t * dx, y[j] + t * dy))
            own = sampled(blue, x[i], y[i])
            height = response[i] * steps_per_od
            if lowest > own - (1.0 - SADDLE_SHARE) * height:
                doubles[i] = True
                break
    return doubles
