"""What a rectangle of a scene holds, pixel by pixel, before any optics."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "Lattice", "StainMaps", "pixels_about"]

# Tuples with names, not dataclasses: numba's functions take them as they are.


class Grid(NamedTuple):
    """Where the pixels of stain maps lie on the slide.

    Attributes
    ----------
    x0, y0 : int
        First column and row, px of the slide at `mpp`; may be negative.
    mpp : float
        µm per pixel.
    """

    x0: int
    y0: int
    mpp: float

    def frame(self, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
        """Return the rectangle (left, top, right, bottom; µm) of maps of this shape."""
        height, width = shape
        x0, y0, mpp = self
        return x0 * mpp, y0 * mpp, (x0 + width) * mpp, (y0 + height) * mpp


class Lattice(NamedTuple):
    """What changes slowly over the tissue, at every `step`-th pixel of the slide.

    Attributes
    ----------
    step : int
        Pixels from node to node. The first node lies at or before the grid's first pixel.
    depth : ndarray of shape (R, C), float32
        Depth in the tissue, µm; ≤ 0 = glass.
    region : ndarray of shape (R, C), int16
        Region of the recipe.
    distance : ndarray of shape (R, C), float32
        Distance outside the nests, µm; negative = inside.
    """

    step: int
    depth: NDArray[np.float32]
    region: NDArray[np.int16]
    distance: NDArray[np.float32]


class StainMaps(NamedTuple):
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
        Where there is invasive tumor, also cells that are passed beside their nucleus.
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
        return StainMaps._make(plane[rows, cols] for plane in self)


@nb.njit(cache=True, inline="always")
def pixels_about(
    x: float, y: float, reach: float, x0: int, y0: int, mpp: float, rows: int, cols: int
) -> tuple[int, int, int, int]:
    """Return the first and last row and column of maps within `reach` of a place, all in µm.

    None where the last comes before the first.
    """
    return (
        max(0, int((y - reach) / mpp) - y0),
        min(rows - 1, int((y + reach) / mpp) - y0 + 1),
        max(0, int((x - reach) / mpp) - x0),
        min(cols - 1, int((x + reach) / mpp) - x0 + 1),
    )
