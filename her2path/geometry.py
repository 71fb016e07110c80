"""Frames and units: stored coordinates are level-0 (x, y); arrays are (row, col).

The crossing between the two happens here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Location", "Mpp", "Region", "Size"]


@dataclass(frozen=True, slots=True)
class Mpp:
    """Microns per pixel along x and y, both > 0."""

    x: float
    y: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y) and self.x > 0 and self.y > 0):
            raise ValueError(f"mpp must be finite and positive, got ({self.x}, {self.y})")

    @property
    def mean(self) -> float:
        """Geometric mean in µm/px: keeps areas right when x and y differ a little."""
        return math.sqrt(self.x * self.y)

    @property
    def anisotropy(self) -> float:
        """Larger over smaller side of a pixel, ≥ 1."""
        return max(self.x, self.y) / min(self.x, self.y)

    def scaled(self, downsample: float) -> Mpp:
        """Return the mpp of a picture that is `downsample` times coarser."""
        return Mpp(self.x * downsample, self.y * downsample)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in px."""

    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """The (rows, cols) of an array of this size."""
        return self.height, self.width

    @property
    def n_px(self) -> int:
        """Number of pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Location:
    """Top-left corner in level-0 px."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in level-0 px: location (x, y) and size, right and bottom edges excluded."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First x beyond the region."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First y beyond the region."""
        return self.y + self.height

    @property
    def location(self) -> Location:
        """Top-left corner."""
        return Location(self.x, self.y)

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.width, self.height)

    @property
    def is_empty(self) -> bool:
        """Whether the region holds no pixel."""
        return self.width <= 0 or self.height <= 0

    def expanded(self, margin_px: int) -> Region:
        """Return the region grown by `margin_px` on every side (may leave the slide)."""
        return Region(
            self.x - margin_px,
            self.y - margin_px,
            self.width + 2 * margin_px,
            self.height + 2 * margin_px,
        )

    def intersection(self, other: Region) -> Region:
        """Return the common part; its width and height are 0 when there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width = max(0, min(self.right, other.right) - x)
        height = max(0, min(self.bottom, other.bottom) - y)
        return Region(x, y, width, height)

    def slices_within(self, frame: Region) -> tuple[slice, slice]:
        """Return (rows, cols) of this region in an array that shows `frame` at level 0."""
        return (
            slice(self.y - frame.y, self.bottom - frame.y),
            slice(self.x - frame.x, self.right - frame.x),
        )
