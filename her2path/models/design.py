"""What the network takes in and gives out, and how it is built: all that needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Extent, Intensity

__all__ = [
    "BACKBONES",
    "CELL_CLASSES",
    "INPUT",
    "N_DENSE",
    "OUTPUTS",
    "PLANES",
    "SCALE",
    "SHIFT",
    "STRIDE_PX",
    "NetworkDesign",
    "Runner",
    "cell_class",
    "unfolded",
]

# Dense planes in the order of the network's output. After the first `N_DENSE` come those that are
# one choice per pixel: area of an invasive tumor cell, other tissue, and neither (glass, fold, pen,
# out of focus).
PLANES = ("nucleus", "centre", "membrane", "tumor", "other", "outside")
N_DENSE = 3
# Kinds of tumor cell by what is stained of its membrane; shares of these are the first features.
CELL_CLASSES = (
    "none",
    *(
        f"{intensity.label}_{extent.label}"
        for intensity in Intensity
        if intensity != Intensity.NONE
        for extent in Extent
    ),
)
# Grid of the ordinal head, px: 8 µm, so that few positions hold two cells.
STRIDE_PX = 16
# Light (0–1) is centred on what stained tissue gives on average.
SCALE, SHIFT = 4.0, 3.0
# Names of what the network reads and says as ONNX.
INPUT = "rgb"
OUTPUTS = ("planes", "weight", "features")
# How far outside its position the deepest stage of each backbone looks, px: what each convolution
# adds, at its stride.
COMPACT_REACH_PX = 2 + 2 * 4 + 2 * 8 + 2 * 16
REACH_PX = {
    "compact": COMPACT_REACH_PX,
    "deep": COMPACT_REACH_PX + 2 * 8 + 2 * 16,
    "resnet18": 3 + 2 + 4 * 4 + (4 + 3 * 8) + (8 + 3 * 16),
}
BACKBONES = tuple(REACH_PX)
# What the way back from the deepest stage to the pixels adds: a convolution at 8, 4 and 2.
WAY_BACK_PX = 8 + 4 + 2

# Pictures (B, M, N, 3) to folded planes (B, 20, M / 2, N / 2), weight (B, 1, ·, ·) and features
# (B, K, ·, ·).
Runner = Callable[
    [NDArray[np.uint8]], tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
]


def cell_class(intensity: int, extent: int) -> int:
    """Return the position in `CELL_CLASSES` of an intensity and an extent."""
    return 0 if intensity == Intensity.NONE else 1 + len(Extent) * (intensity - 1) + extent


@dataclass(frozen=True, slots=True)
class NetworkDesign:
    """What is needed to build the network again.

    Attributes
    ----------
    backbone : str
        ``compact`` (half a million parameters, made for this), ``deep`` (the same with residual
        blocks: 0.9 million, and 1.5 times the work) or ``resnet18`` (torchvision's, without its
        last stage, untrained).
    n_features : int
        Features of a position that the score is read from; the first ``len(CELL_CLASSES)`` are
        shares of kinds of cell.
    n_hidden : int
        Width of the layer between the mean features and the score.
    """

    backbone: str = "compact"
    n_features: int = 32
    n_hidden: int = 32

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone {self.backbone!r}: use one of {list(BACKBONES)}")
        sizes = (self.n_features, self.n_hidden)
        if not all(type(size) is int for size in sizes):
            raise ValueError(f"n_features, n_hidden = {sizes}: give whole numbers")
        if not len(CELL_CLASSES) < self.n_features <= 256:
            raise ValueError(f"n_features = {self.n_features}: give {len(CELL_CLASSES) + 1} to 256")
        if not 4 <= self.n_hidden <= 256:
            raise ValueError(f"n_hidden = {self.n_hidden}: give 4 to 256")

    @property
    def reach_px(self) -> int:
        """How far outside itself a position or pixel depends on the picture, px at most."""
        return REACH_PX[self.backbone] + WAY_BACK_PX + STRIDE_PX


def unfolded(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return planes of shape (5, M, N) from one picture's (20, M / 2, N / 2)."""
    n, rows, cols = planes.shape
    out = np.empty((n // 4, 2 * rows, 2 * cols), np.uint8)
    for k in range(4):
        out[:, k // 2 :: 2, k % 2 :: 2] = planes[k::4]
    return out
