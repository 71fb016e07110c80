"""Find nuclei, also under brown: blobs of blue, and hollows in brown."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.separate import STEPS_PER_OD

__all__ = ["NucleusSeeds", "blue_plane", "find_nuclei"]

# DAB that is dark in red leaks into hematoxylin; this share of DAB is taken off again, so that a
# black-brown membrane does not look like a nucleus.
DAB_SHARE = 0.35
# Scales of the blobs: nuclei of lymphocytes (radius 2.5 µm) to large tumor nuclei (6 µm).
BLOB_SIGMAS_UM = (1.8, 2.5, 3.4)
# Chromatin clumps and nucleoli stand out more than the pale vesicular nucleus that holds them; the
# gain lets the whole nucleus win.
SCALE_GAIN = (1.0, 1.15, 1.3)
SCALE_RATIO = 1.25
# Brings the difference of Gaussians to about the contrast of a disc.
RESPONSE_GAIN = 2.2
# A hollow in brown counts a little less than blue: lumens and vacuoles are hollows as well, so
# some hematoxylin is asked for.
HOLLOW_GAIN = 0.8
HOLLOW_MIN_H_OD = 0.03
# Two centers closer than this are one nucleus (the smallest lymphocytes touch at 5 µm).
MIN_DISTANCE_UM = 2.2


@dataclass(frozen=True, slots=True)
class NucleusSeeds:
    """Centers of nuclei in px of the working picture, with their blob response (OD) and scale."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    response_od: NDArray[np.float32]
    sigma_um: NDArray[np.float32]
    is_hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)


def blue_plane(hematoxylin: NDArray[np.int16], dab: NDArray[np.int16]) -> NDArray[np.int16]:
    """Hematoxylin less the share of DAB that leaks into it, in steps of 1/1024 OD."""
    blue: NDArray[np.int16] = cv2.addWeighted(hematoxylin, 1.0, dab, -DAB_SHARE, 0.0)
    return blue


def blob_response(plane: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Difference of Gaussians, scaled to about the contrast of a disc of radius √2·sigma."""
    narrow = cv2.GaussianBlur(plane, (0, 0), sigma_px / SCALE_RATIO)
    wide = cv2.GaussianBlur(plane, (0, 0), sigma_px * SCALE_RATIO)
    response: NDArray[np.float32] = (narrow - wide) * np.float32(RESPONSE_GAIN)
    return response


def find_nuclei(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    *,
    mpp: float,
    min_response_od: float,
) -> NucleusSeeds:
    """Find the centers of nuclei.

    Parameters
    ----------
    hematoxylin, dab : ndarray of shape (M, N), int16
        Stain planes in steps of 1/1024 OD.
    mpp : float
        µm/px.
    min_response_od : float
        Least contrast of a nucleus against its surroundings.

    Returns
    -------
    NucleusSeeds
        A center is the highest response within 2.2 µm, so it depends on its surroundings alone.
    """
    factor = 2 if mpp <= 0.35 else 1
    coarse = [shrink(plane, factor) / np.float32(STEPS_PER_OD) for plane in (hematoxylin, dab)]
    h_od, d_od = coarse
    coarse_mpp = mpp * factor
    blue = h_od - np.float32(DAB_SHARE) * d_od
    best = np.full(blue.shape, -1.0, np.float32)
    is_hollow = np.zeros(blue.shape, bool)
    sigma = np.zeros(blue.shape, np.float32)
    has_blue = cv2.GaussianBlur(h_od, (0, 0), 1.0 / coarse_mpp) > HOLLOW_MIN_H_OD
    for sigma_um, gain in zip(BLOB_SIGMAS_UM, SCALE_GAIN, strict=True):
        response = blob_response(blue, sigma_um / coarse_mpp)
        hollow = blob_response(d_od, sigma_um / coarse_mpp) * np.float32(-HOLLOW_GAIN)
        hollow[~has_blue] = -1.0
        wins = hollow > response
        scaled = np.maximum(response, hollow) * np.float32(gain)
        is_better = scaled > best
        is_hollow = np.where(is_better, wins, is_hollow)
        sigma[is_better] = sigma_um
        np.maximum(best, scaled, out=best)
    radius = max(1, round(MIN_DISTANCE_UM / coarse_mpp))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    is_center = (best >= cv2.dilate(best, disc)) & (best >= min_response_od)
    rows, cols = np.nonzero(is_center)
    offset = (factor - 1) / 2
    return NucleusSeeds(
        x=(cols * factor + offset).astype(np.float64),
        y=(rows * factor + offset).astype(np.float64),
        response_od=best[rows, cols],
        sigma_um=sigma[rows, cols],
        is_hidden=is_hollow[rows, cols],
    )


def shrink(plane: NDArray[np.int16], factor: int) -> NDArray[np.float32]:
    """Average blocks of factor × factor px."""
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    cut = plane[: size[1] * factor, : size[0] * factor].astype(np.float32)
    small: NDArray[np.float32] = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    return small
