"""Where nuclei may be, also under brown: blobs of blue, and hollows in brown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from her2path.stain.separate import STEPS_PER_OD

__all__ = [
    "Counterstain",
    "NucleusCandidates",
    "NucleusPlanes",
    "find_candidates",
    "typical_counterstain",
]

# DAB that is dark in red leaks into hematoxylin; this share of DAB is taken off again, so that a
# black-brown membrane does not look like a nucleus.
DAB_SHARE = 0.35
# Blurs whose differences show blobs, a factor of √2 apart: discs of 3 µm radius (lymphocytes) to
# 6.3 µm (large tumor nuclei) answer most. Which of the answers are nuclei is for their contours to
# tell: here a clump of chromatin, the nucleus that holds it and a pair of nuclei may all stand.
BLOB_LADDER_UM = (1.8, 2.6, 3.7, 5.3)
# A hollow in brown counts a little less than blue: lumens and vacuoles are hollows as well, so
# some hematoxylin is asked for.
HOLLOW_GAIN = 0.8
# Two candidates of one scale are further apart than this many scales.
CANDIDATE_DISTANCE = 0.8
# A candidate answers with this share of the contrast that is asked of a nucleus: an oblong or
# half-hidden one answers less than a disc.
MIN_RESPONSE_SHARE = 0.5
# On a first look, before anything is known of the slide: finer blurs, coarser ones raised so that
# a whole nucleus wins over its chromatin, and one center within the least distance of nuclei.
FIRST_LADDER_UM = (1.5, 2.1, 2.95, 4.1)
FIRST_GAIN = (1.0, 1.15, 1.3)
MIN_DISTANCE_UM = 3.0
# Brings the difference of Gaussians to about the contrast of a disc.
RESPONSE_GAIN = 2.9
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
MIN_TYPICAL_NUCLEI = 20
BROWN_OD = 0.3


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
class NucleusCandidates:
    """Places where a nucleus may be, several for most nuclei.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Px of the planes.
    sigma_um : ndarray of shape (n,), float32
        Scale of the blob, its radius over √2.
    is_hidden : ndarray of shape (n,), bool
        Found as a hollow in brown.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
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
        factor = working_factor(mpp, WORKING_MPP, hematoxylin.shape)
        h_od = shrink(hematoxylin, factor) / np.float32(STEPS_PER_OD)
        dab_od = shrink(dab, factor) / np.float32(STEPS_PER_OD)
        blue = fill_vesicles(h_od - np.float32(DAB_SHARE) * dab_od, mpp * factor)
        return cls(h_od, dab_od, blue, factor, mpp * factor)

    def to_picture(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where positions on the planes lie on the picture, px."""
        return upscaled(positions, self.factor)


def working_factor(mpp: float, coarsest_mpp: float, shape: tuple[int, ...]) -> int:
    """Return how many px make one of at most that many µm, of a strip no more than it is wide."""
    return max(1, min(int(coarsest_mpp / mpp), *shape))


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


def blob_responses(
    plane: NDArray[np.float32], mpp: float, ladder_um: Sequence[float]
) -> list[NDArray[np.float32]]:
    """Differences of Gaussians between the blurs of a ladder, fine to coarse.

    Scaled to about the contrast of a disc of radius √2 times the scale.
    """
    responses, blurred, reached = [], plane, 0.0
    previous: NDArray[np.float32] | None = None
    for sigma_um in ladder_um:
        # Blurs add up in squares: each step of the ladder continues from the one before.
        step = float(np.sqrt(sigma_um**2 - reached**2)) / mpp
        side = 2 * int(np.ceil(3 * step)) + 1
        blurred, reached = cv2.GaussianBlur(blurred, (side, side), step), sigma_um
        if previous is not None:
            responses.append((previous - blurred) * np.float32(RESPONSE_GAIN))
        previous = blurred
    return responses


def is_highest(values: NDArray[np.float32], radius_px: int) -> NDArray[np.bool_]:
    """Tell where a plane has its highest value within a disc."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    highest: NDArray[np.bool_] = values >= cv2.dilate(values, disc)
    return highest


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
    for hematoxylin, dab in planes:
        # Blobs of hematoxylin alone, off the brown: hollows in a 3+ membrane have the contrast of
        # the membrane, and black-brown leaks into hematoxylin.
        blue = np.where(dab < BROWN_OD * STEPS_PER_OD, hematoxylin, 0).astype(np.int16)
        nuclei = NucleusPlanes.of(blue, np.zeros_like(dab), mpp=mpp)
        x, y, response_od = first_look(nuclei)
        smooth = cv2.GaussianBlur(hematoxylin, (0, 0), 1.0 / mpp)
        rows, cols = (np.rint(nuclei.to_picture(v)).astype(int) for v in (y, x))
        rows, cols = rows.clip(0, smooth.shape[0] - 1), cols.clip(0, smooth.shape[1] - 1)
        contrast.append(response_od)
        h_od.append(smooth[rows, cols] / STEPS_PER_OD)
    all_contrast = np.concatenate(contrast) if contrast else np.empty(0)
    if len(all_contrast) < MIN_TYPICAL_NUCLEI:
        return Counterstain()
    typical = float(np.percentile(all_contrast, 80))
    is_clear = all_contrast >= 0.6 * typical
    return Counterstain(typical, float(np.median(np.concatenate(h_od)[is_clear])))


def first_look(
    planes: NucleusPlanes,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Return blobs of blue, whatever stands out: x, y (px of the planes) and contrast (OD)."""
    factor = working_factor(planes.mpp, BLOB_MPP, planes.h_od.shape)
    blob_mpp = planes.mpp * factor
    h_od, blue_od = shrink(planes.h_od, factor), shrink(planes.blue_od, factor)
    has_blue = cv2.GaussianBlur(h_od, (0, 0), 1.0 / blob_mpp) >= 0
    responses = blob_responses(blue_od, blob_mpp, FIRST_LADDER_UM)
    gains = np.array(FIRST_GAIN, np.float32)
    best = np.max([gain * r for gain, r in zip(gains, responses, strict=True)], axis=0)
    is_center = is_highest(best, max(1, round(MIN_DISTANCE_UM / blob_mpp)))
    rows, cols = np.nonzero(is_center & (best >= CONTRAST_RANGE_OD[0]) & has_blue)
    return upscaled(cols, factor), upscaled(rows, factor), best[rows, cols]


def find_candidates(planes: NucleusPlanes, counterstain: Counterstain) -> NucleusCandidates:
    """Find the places where nuclei may be, at every scale by itself.

    Parameters
    ----------
    planes : NucleusPlanes
    counterstain : Counterstain
        What nuclei of this slide look like.

    Returns
    -------
    NucleusCandidates
        Scale by scale in reading order; each depends on its surroundings alone.
    """
    # Blobs are wide: a grid half as fine shows them as well, in a quarter of the time.
    factor = working_factor(planes.mpp, BLOB_MPP, planes.h_od.shape)
    blob_mpp = planes.mpp * factor
    h_od, blue_od, dab_od = (
        shrink(plane, factor) for plane in (planes.h_od, planes.blue_od, planes.dab_od)
    )
    has_blue = cv2.GaussianBlur(h_od, (0, 0), 1.0 / blob_mpp) >= counterstain.min_h_od
    least = MIN_RESPONSE_SHARE * counterstain.min_contrast_od
    scales_um = np.sqrt(np.multiply(BLOB_LADDER_UM[:-1], BLOB_LADDER_UM[1:]))
    found = []
    for scale_um, blue, brown in zip(
        scales_um.tolist(),
        blob_responses(blue_od, blob_mpp, BLOB_LADDER_UM),
        blob_responses(dab_od, blob_mpp, BLOB_LADDER_UM),
        strict=True,
    ):
        hollow = np.float32(-HOLLOW_GAIN) * brown
        best = np.maximum(blue, hollow)
        is_center = is_highest(best, max(1, round(CANDIDATE_DISTANCE * scale_um / blob_mpp)))
        rows, cols = np.nonzero(is_center & (best >= least) & has_blue)
        is_hollow = hollow[rows, cols] > blue[rows, cols]
        found.append((cols, rows, np.full(len(rows), scale_um, np.float32), is_hollow))
    cols, rows, sigma_um, is_hidden = (np.concatenate(part) for part in zip(*found, strict=True))
    return NucleusCandidates(upscaled(cols, factor), upscaled(rows, factor), sigma_um, is_hidden)


def upscaled(positions: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Return where positions on a plane lie on the one that it was averaged from, px."""
    found: NDArray[np.float64] = positions * float(factor) + (factor - 1) / 2
    return found


def shrink(plane: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Average blocks of factor × factor px; what is left over at the far sides is cut off."""
    return plane.astype(np.float32) if factor == 1 else block_means(plane, factor)


@numba.njit(nogil=True, cache=True)
def block_means(plane: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Means of blocks of factor × factor px, without a copy of the plane in floating point."""
    n_rows, n_cols = plane.shape[0] // factor, plane.shape[1] // factor
    means = np.empty((n_rows, n_cols), np.float32)
    share = np.float32(1.0 / factor**2)
    sums = np.empty(n_cols * factor, np.float32)
    for row in range(n_rows):
        sums[:] = 0.0
        for r in range(factor):
            line = plane[row * factor + r, : n_cols * factor]
            for i in range(n_cols * factor):
                sums[i] += line[i]
        for col in range(n_cols):
            total = np.float32(0.0)
            for c in range(factor):
                total += sums[col * factor + c]
            means[row, col] = total * share
    return means
