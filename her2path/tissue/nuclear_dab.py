"""DAB inside nuclei: compact brown discs of nuclear size that are pale all around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.matrix import StainMatrix
from her2path.tissue.mask import label_mask
from her2path.tissue.overview import disc

__all__ = ["MAX_NUCLEAR_MPP", "NuclearDab", "measure_nuclear_dab"]

# Coarser than this a nucleus is not told from a spot.
MAX_NUCLEAR_MPP = 1.0
# DAB OD of a pixel that is brown at all, and of a clearly stained nucleus.
MIN_BROWN_OD = 0.10
# Even thick membranes (up to 4 µm) do not hold a disc of this radius.
CORE_RADIUS_UM = 2.2
NUCLEUS_UM2 = (18.0, 160.0)
MIN_SOLIDITY = 0.85
MAX_ELONGATION = 2.5
# DAB around a brown nucleus over the DAB in it; HER2 stains what surrounds.
MAX_AROUND = 0.5
MIN_NUCLEAR_FRAC = 0.4
MIN_NUCLEI = 20
# Red cells and macrophages with pigment are brown discs as well, some 60 per mm² where nothing else
# is brown, or thousands in one field where it bled; nuclei of a marker lie everywhere, thousands
# per mm² where a tenth of them is positive.
MIN_PER_MM2 = 150.0
MIN_BROWN_FRAC = 0.01


@dataclass(frozen=True, slots=True)
class NuclearDab:
    """How much of the DAB lies in nuclei.

    Parameters
    ----------
    n_nuclei : int
        Brown nuclei found.
    nuclear_frac : float
        Share of the DAB in them, 0–1.
    brown_frac : float
        Share of the fields that is brown, 0–1.
    per_mm2 : float
        Brown nuclei per mm² in the median field.
    """

    n_nuclei: int
    nuclear_frac: float
    brown_frac: float
    per_mm2: float

    @property
    def is_nuclear(self) -> bool:
        """Whether most of the DAB is nuclear."""
        return (
            self.n_nuclei >= MIN_NUCLEI
            and self.per_mm2 >= MIN_PER_MM2
            and self.nuclear_frac >= MIN_NUCLEAR_FRAC
            and self.brown_frac >= MIN_BROWN_FRAC
        )

    def numbers(self) -> dict[str, float]:
        """Return the measurements by name."""
        return {
            "n_brown_nuclei": float(self.n_nuclei),
            "nuclear_dab_frac": self.nuclear_frac,
            "brown_px_frac": self.brown_frac,
            "brown_nuclei_per_mm2": self.per_mm2,
        }


def measure_nuclear_dab(ods: Sequence[NDArray[np.float32]], mpp: float) -> NuclearDab:
    """Measure how much of the DAB lies in compact discs of nuclear size.

    Parameters
    ----------
    ods : sequence of ndarray of shape (M, N, 3), float32
        Optical density of fields at 1 µm/px or finer.
    mpp : float
        µm per pixel before `field_od`, which leaves 0.5 µm/px or coarser.

    Returns
    -------
    NuclearDab
    """
    mpp = mpp * max(1, round(0.5 / mpp))
    unmixing = StainMatrix().unmixing.astype(np.float32)
    n_brown, n_px = 0, 0
    n_nuclei, per_mm2 = [], []
    nuclear_dab, all_dab = 0.0, 0.0
    for od in ods:
        hematoxylin, dab = (od @ unmixing[:, k] for k in range(2))
        # Brown means more DAB than gray would show, so that dark blue nuclei do not count.
        brown = (dab > MIN_BROWN_OD) & (dab > hematoxylin * 0.9)
        n_px += brown.size
        n_brown += int(np.count_nonzero(brown))
        all_dab += float(dab[brown].sum())
        nuclei = brown_nuclei(brown, dab, mpp)
        n_nuclei.append(int(nuclei.max()))
        per_mm2.append(n_nuclei[-1] / (brown.size * mpp**2 * 1e-6))
        nuclear_dab += float(dab[(nuclei > 0) & brown].sum())
    return NuclearDab(
        n_nuclei=sum(n_nuclei),
        nuclear_frac=nuclear_dab / all_dab if all_dab > 0 else 0.0,
        brown_frac=n_brown / n_px,
        per_mm2=float(np.median(per_mm2)),
    )


def brown_nuclei(
    brown: NDArray[np.bool_], dab: NDArray[np.float32], mpp: float
) -> NDArray[np.int32]:
    """Label compact brown discs that are paler all around."""
    core = cv2.morphologyEx(brown.astype(np.uint8), cv2.MORPH_OPEN, disc(CORE_RADIUS_UM, mpp))
    labels, areas = label_mask(core.astype(bool))
    result = np.zeros(brown.shape, np.int32)
    low, high = (area / mpp**2 for area in NUCLEUS_UM2)
    around = dab_around(dab, core.astype(bool), mpp)
    outlines, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = 0
    for outline in outlines:
        col, row = outline[0, 0]
        label = labels[row, col]
        if not low <= areas[label] <= high or len(outline) < 5:
            continue
        hull = max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
        solidity = cv2.contourArea(outline) / hull
        (_, axes, _) = cv2.fitEllipse(outline)
        if solidity < MIN_SOLIDITY or max(axes) > MAX_ELONGATION * max(min(axes), 1.0):
            continue
        left, top, width, height = cv2.boundingRect(outline)
        box = np.s_[top : top + height, left : left + width]
        inside = labels[box] == label
        if around[box][inside].max() > MAX_AROUND * float(dab[box][inside].mean()):
            continue
        found += 1
        result[box][inside] = found
    return result


def dab_around(
    dab: NDArray[np.float32], core: NDArray[np.bool_], mpp: float
) -> NDArray[np.float32]:
    """Mean DAB of the pixels outside all cores within about 3 µm beyond a nucleus, per pixel.

    Valid inside nuclei: their own pixels and those of neighbors do not count.
    """
    outside = cv2.erode((~core).astype(np.uint8), disc(0.8, mpp)).astype(np.float32)
    size = 2 * round(7.0 / mpp) + 1
    weight = cv2.blur(outside, (size, size))
    level = cv2.blur(np.maximum(dab, 0.0) * outside, (size, size))
    return np.where(weight > 0.02, level / np.maximum(weight, 1e-6), np.float32(np.inf))
