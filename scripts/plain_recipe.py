"""What one would write with openslide-python and scikit-image: the benchmark's peer, not a method.

Every step is the library's usual call with usual settings. Nothing here is tuned, for or against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops_table
from skimage.morphology import dilation, disk
from skimage.segmentation import expand_labels, find_boundaries, watershed

NUCLEUS_RADIUS_UM = 3.0
NUCLEUS_AREA_UM2 = (9.0, 250.0)
CELL_GROWTH_UM = 4.0
RING_UM = 1.0


class OpenSlideLike(Protocol):
    """The one method of openslide.OpenSlide that is needed."""

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> object:
        """Return a PIL picture."""


@dataclass(frozen=True)
class RecipeCells:
    """One row per cell: nucleus centre in px of the picture, area in px, ring mean of DAB."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area_px: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    ring_dab: NDArray[np.float64]


def read_rgb(
    slide: OpenSlideLike, location: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Read level-0 pixels as RGB through openslide-python, the documented way."""
    return np.asarray(slide.read_region(location, 0, size).convert("RGB"))  # type: ignore[attr-defined]


def measure(rgb: NDArray[np.uint8], mpp: float) -> RecipeCells:
    """Find nuclei by threshold, distance and watershed, and take the mean DAB of a ring."""
    hed = rgb2hed(rgb)
    hematoxylin, dab = gaussian(hed[..., 0], sigma=1), hed[..., 2]
    mask = ndimage.binary_fill_holes(hematoxylin > threshold_otsu(hematoxylin))
    distance = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(
        distance, min_distance=max(1, round(NUCLEUS_RADIUS_UM / mpp)), labels=mask.astype(np.int32)
    )
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    nuclei = watershed(-distance, markers, mask=mask)
    shown = regionprops_table(nuclei, properties=("label", "area", "centroid", "eccentricity"))
    area_um2 = shown["area"] * mpp**2
    keep = (area_um2 >= NUCLEUS_AREA_UM2[0]) & (area_um2 <= NUCLEUS_AREA_UM2[1])
    cells = expand_labels(nuclei, distance=CELL_GROWTH_UM / mpp)
    border = dilation(find_boundaries(cells, mode="inner"), disk(max(1, round(RING_UM / 2 / mpp))))
    labels = shown["label"][keep]
    return RecipeCells(
        x=shown["centroid-1"][keep],
        y=shown["centroid-0"][keep],
        area_px=shown["area"][keep],
        eccentricity=shown["eccentricity"][keep],
        ring_dab=np.asarray(ndimage.mean(dab, labels=cells * border, index=labels), np.float64),
    )
