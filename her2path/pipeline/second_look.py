"""Tumor beside strong brown, as the network sees it with the brown taken out.

Unstained tumor must count like stained tumor, else every share reads too high. But a network has
learned what tumor looks like, membranes included: between strongly stained cells it takes unstained
ones for other cells, where it knows the same cells among unstained ones. So where much brown lies
it is shown the tissue a second time, without DAB, and a cell is as surely tumor as in that picture
of the two that makes it more so. Stroma and lymphocytes look hardly more like tumor without brown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.cells.measure import MeasureSettings
from her2path.stain.bleach import bleached
from her2path.stain.separate import STEPS_PER_OD, separate

if TYPE_CHECKING:
    from her2path.models.inference import NetworkPlanes, NetworkReader

__all__ = ["tumor_at_second_look"]

# Much brown: a mean DAB OD of this over what lies this near. On the sample slides nearly all of 3+
# has it, about half of complete 2+ and nothing of 1+ (a test); strongly stained cells far apart
# make no more than 2+ does.
STRONG_OD, NEAR_UM = 0.06, 25.0
# What unstained tissue has, or about it.
KEPT_OD = 0.03


def tumor_at_second_look(
    reader: NetworkReader,
    rgb: NDArray[np.uint8],
    planes: NetworkPlanes,
    measure: MeasureSettings,
    mpp: float,
) -> NDArray[np.uint8] | None:
    """Return how probable tumor is by both looks, None where no strong brown asks for a second.

    Whether there is much brown hangs on what lies near and not on the frame, so frames agree where
    they overlap as those of `NetworkReader.read` do.

    Parameters
    ----------
    reader : NetworkReader
    rgb : ndarray of shape (M, N, 3), uint8
    planes : NetworkPlanes
        What the reader sees in the picture as it is.
    measure : MeasureSettings
        White point and stain vectors.
    mpp : float
        µm/px of the picture.

    Returns
    -------
    ndarray of the shape of the planes, uint8, or None
        The higher of the two probabilities, 255 = 1.
    """
    small, _ = reader.resampled(rgb, mpp)
    is_strong = beside_strong_brown(small, measure, planes.mpp)
    if not is_strong.any():
        return None
    # From a corner where the network's positions begin, with all that it looks at.
    rows, cols = (
        slice(
            max(0, (int(where[0]) - reader.halo_px) // planes.stride * planes.stride),
            int(where[-1]) + 1 + reader.halo_px,
        )
        for where in (np.flatnonzero(is_strong.any(axis=axis)) for axis in (1, 0))
    )
    plain = bleached(
        np.ascontiguousarray(small[rows, cols]),
        measure.white_point,
        measure.matrix,
        kept_od=KEPT_OD,
    )
    # As of its own µm/px, which any network takes: the picture is on the grid of the planes.
    seen = reader.read(plain, reader.description.mpp).tumor
    tumor = planes.tumor.copy()
    part = tumor[rows, cols]
    np.maximum(part, seen, out=part, where=is_strong[rows, cols])
    return tumor


def beside_strong_brown(
    rgb: NDArray[np.uint8], measure: MeasureSettings, mpp: float
) -> NDArray[np.bool_]:
    """Tell which pixels have much brown round them."""
    _, dab = separate(rgb, measure.white_point, measure.matrix)
    reach = round(NEAR_UM / mpp)
    side = 2 * reach + 1
    # Whole numbers: their sum is the same wherever the picture begins.
    total = cv2.boxFilter(
        np.maximum(dab, 0), cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(total >= STRONG_OD * STEPS_PER_OD * side * side)
