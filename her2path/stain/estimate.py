"""Stain vectors of a site, from the pixels of several slides taken together.

One slide alone is never enough: without DAB the brown direction is noise, without pale nuclei the
blue one is. What is known of control slides helps: one that carries no HER2 shows hematoxylin by
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.errors import StainError
from her2path.stain.matrix import REFERENCE_DAB, StainMatrix
from her2path.stain.od import WhitePoint, optical_density

__all__ = ["MIN_SLIDES", "StainEstimate", "estimate_stains", "sample_od"]

MIN_SLIDES = 3
# Fewer pixels of a stain than this are dust, pigment or a vessel.
MIN_PIXELS = 500
# Paler than this the direction of a pixel is mostly noise of the camera: one gray value turns it
# by a degree.
MIN_OD = 0.15
# Values this near to black have lost what tells brown from blue; 255 has lost how bright it was.
DARKEST, BRIGHTEST = 12, 254
# Nuclei are the densest of a section without DAB; the rest is cytoplasm with whatever haze it has.
DENSEST_FRAC = 0.1
# Brown by the vectors at hand: more DAB than hematoxylin, and clearly there.
BROWN_OD = 0.25
# The purest brown lies farthest from hematoxylin, but for the last outliers.
PUREST = (0.80, 0.98)


@dataclass(frozen=True, slots=True)
class StainEstimate:
    """Stain vectors, and whether they were measured.

    Attributes
    ----------
    matrix : StainMatrix
        Measured, or the reference.
    is_measured : bool
    reason : str
        Why the reference is used; empty when measured.
    n_slides, n_px : int
        Slides that were pooled, and their pixels.
    """

    matrix: StainMatrix
    is_measured: bool
    reason: str
    n_slides: int
    n_px: int


def sample_od(
    rgb: NDArray[np.uint8], white_point: WhitePoint, *, max_px: int = 50_000
) -> NDArray[np.float32]:
    """Return the optical density of stained pixels that the camera has seen unclipped.

    Parameters
    ----------
    rgb : ndarray of shape (..., 3), uint8
        About 0.5 µm/px: noise and compression of color are averaged.
    white_point : tuple of 3 float
    max_px : int
        Most pixels to return; they are picked evenly.

    Returns
    -------
    ndarray of shape (n, 3), float32
    """
    pixels = rgb.reshape(-1, 3)
    pixels = pixels[(pixels.min(axis=1) >= DARKEST) & (pixels.max(axis=1) <= BRIGHTEST)]
    od = optical_density(pixels, white_point)
    od = od[np.linalg.norm(od, axis=1) >= MIN_OD]
    return od[:: max(1, -(-len(od) // max_px))]


def estimate_stains(
    samples: Sequence[NDArray[np.floating]], *, without_dab: Sequence[bool]
) -> StainEstimate:
    """Estimate hematoxylin and DAB from the pixels of several slides.

    Hematoxylin is the direction of the densest pixels on slides known to carry no DAB, DAB that of
    the purest brown on the others. What is implausible is not used.

    Parameters
    ----------
    samples : sequence of ndarray of shape (n, 3)
        Optical densities of each slide, as from `sample_od`.
    without_dab : sequence of bool
        For each slide, whether it is known to carry no DAB (control of score 0).

    Returns
    -------
    StainEstimate
        The reference with the reason when there are fewer than three slides, none without DAB, too
        few pixels of a stain, or when what was found is no plausible pair of stains.

    References
    ----------
    Directions of pooled pixels instead of one slide's extremes: after Macenko 2009,
    10.1109/ISBI.2009.5193250.
    """
    n_px = sum(len(sample) for sample in samples)

    def fall_back(reason: str) -> StainEstimate:
        return StainEstimate(StainMatrix(), False, reason, len(samples), n_px)

    if len(samples) < MIN_SLIDES:
        return fall_back(f"{len(samples)} slides are fewer than {MIN_SLIDES}")
    blue = [s for s, is_blue in zip(samples, without_dab, strict=True) if is_blue]
    brown = [s for s, is_blue in zip(samples, without_dab, strict=True) if not is_blue]
    dense = np.concatenate([densest(sample) for sample in blue] or [np.empty((0, 3))])
    if len(dense) < MIN_PIXELS:
        return fall_back(f"only {len(dense):,} pixels show hematoxylin without DAB")
    hematoxylin = typical_direction(dense)
    pure = purest_brown(np.concatenate(brown or [np.empty((0, 3))]), hematoxylin)
    if len(pure) < MIN_PIXELS:
        return fall_back(f"only {len(pure):,} pixels show DAB")
    dab = typical_direction(pure)
    try:
        matrix = StainMatrix(vector_of(hematoxylin), vector_of(dab))
    except StainError as error:
        return fall_back(str(error))
    return StainEstimate(matrix, True, "", len(samples), n_px)


def densest(od: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the densest tenth of the pixels of a slide."""
    density = np.linalg.norm(od, axis=1)
    if density.size == 0:
        return np.empty((0, 3))
    return od[density >= np.quantile(density, 1 - DENSEST_FRAC)].astype(np.float64)


def purest_brown(od: NDArray[np.floating], hematoxylin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels with more DAB than hematoxylin that lie farthest from the latter."""
    both = np.column_stack([hematoxylin, np.array(REFERENCE_DAB)])
    amounts = od.astype(np.float64) @ np.linalg.pinv(both).T
    brown = od[(amounts[:, 1] >= BROWN_OD) & (amounts[:, 1] > amounts[:, 0])].astype(np.float64)
    if len(brown) == 0:
        return brown
    cosine = brown @ hematoxylin / np.linalg.norm(brown, axis=1)
    low, high = np.quantile(-cosine, PUREST)
    return brown[(-cosine >= low) & (-cosine <= high)]


def typical_direction(od: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median direction of pixels, of unit length."""
    middle = np.median(od / np.linalg.norm(od, axis=1, keepdims=True), axis=0)
    return np.asarray(middle / np.linalg.norm(middle), np.float64)


def vector_of(direction: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 5) for v in direction)
    return x, y, z
