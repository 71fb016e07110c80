"""What a rectangle of a scene holds, pixel by pixel, before any optics."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["StainMaps"]


@dataclass(frozen=True, slots=True)
class StainMaps:
    """Amounts of stain on a grid of pixels, before any optics.

    Attributes
    ----------
    h, d, red, neutral : ndarray of shape (M, N), float32
        OD of hematoxylin, DAB, red-cell colour and grey.
    tissue : ndarray of shape (M, N), bool
        Where there is tissue.
    label : ndarray of shape (M, N), int32
        Epithelial cell of each pixel (an index that holds within this grid), −1 stroma or
        glass, −2 lumen.
    tumor : ndarray of shape (M, N), bool
        Where there are counted tumor cells.
    membrane : ndarray of shape (M, N), uint8
        Class of the stained membrane, 0 = none.
    artefacts : ndarray of shape (M, N), bool
        Where the picture is spoilt.
    blur_um : ndarray of shape (M, N), float32
        Defocus on top of the optics, standard deviation.
    """

    h: NDArray[np.float32]
    d: NDArray[np.float32]
    red: NDArray[np.float32]
    neutral: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    label: NDArray[np.int32]
    tumor: NDArray[np.bool_]
    membrane: NDArray[np.uint8]
    artefacts: NDArray[np.bool_]
    blur_um: NDArray[np.float32]

    @staticmethod
    def blank(height: int, width: int) -> StainMaps:
        """Return maps of empty glass."""
        shape = (height, width)
        return StainMaps(
            h=np.zeros(shape, np.float32),
            d=np.zeros(shape, np.float32),
            red=np.zeros(shape, np.float32),
            neutral=np.zeros(shape, np.float32),
            tissue=np.zeros(shape, np.bool_),
            label=np.full(shape, -1, np.int32),
            tumor=np.zeros(shape, np.bool_),
            membrane=np.zeros(shape, np.uint8),
            artefacts=np.zeros(shape, np.bool_),
            blur_um=np.zeros(shape, np.float32),
        )

    def cut(self, rows: slice, cols: slice) -> StainMaps:
        """Return a part of the maps."""
        return StainMaps(*(getattr(self, f.name)[rows, cols] for f in fields(self)))
