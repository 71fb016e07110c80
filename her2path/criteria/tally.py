"""Additive counts of tumour cells by intensity and extent, before any ratio.

Tallies of tiles add up in any order and any grouping to the same slide, bit for bit; shares are
computed once, from the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.criteria.score import Extent, Intensity, Pattern

__all__ = [
    "H_WEIGHTS",
    "STAINED",
    "TALLY_SHAPE",
    "Shares",
    "Tally",
    "accumulate",
    "extent_of",
    "h_scores",
    "measure_name",
    "part_of_staining",
]

N_INTENSITIES, N_EXTENTS = len(Intensity), len(Extent)
TALLY_SHAPE = (N_INTENSITIES, N_EXTENTS)
EXTENTS = np.array([pattern.extent for pattern in Pattern], np.int8)
# Weight of each intensity class in the H-score: faint and weak count 1, moderate 2, intense 3.
H_WEIGHTS = (0, 1, 1, 2, 3)

Counts = tuple[tuple[int, int, int], ...]


def accumulate(counts: ArrayLike) -> NDArray[np.float64]:
    """Sum counts upwards: how many cells have at least this intensity and this extent.

    Parameters
    ----------
    counts : array_like of shape (..., 5, 3)
        Cells per intensity (none … intense) and extent (incomplete, basolateral, complete).

    Returns
    -------
    ndarray of shape (..., 5, 3), float64
        Element (i, e) counts the cells of intensity ≥ i and extent ≥ e; exact for whole numbers.
    """
    downward = np.asarray(counts, np.float64)[..., ::-1, ::-1]
    return downward.cumsum(axis=-2).cumsum(axis=-1)[..., ::-1, ::-1]


def h_scores(counts: ArrayLike) -> NDArray[np.float64]:
    """Compute H-scores (0–300) of tallies of shape (..., 5, 3); 0 where there is no cell."""
    by_intensity = np.asarray(counts, np.float64).sum(axis=-1)
    n = by_intensity.sum(axis=-1)
    points = 100.0 * (by_intensity @ np.asarray(H_WEIGHTS, np.float64))
    return np.divide(points, n, out=np.zeros_like(points), where=n > 0)


# The share of cells with any staining.
STAINED = "pct_stained"


def measure_name(intensity: Intensity, extent: Extent) -> str:
    """Name the share of cells with at least this intensity and extent, as columns spell it.

    >>> measure_name(Intensity.FAINT, Extent.INCOMPLETE)
    'pct_stained'
    >>> measure_name(Intensity.WEAK, Extent.COMPLETE)
    'pct_complete'
    >>> measure_name(Intensity.MODERATE, Extent.BASOLATERAL)
    'pct_moderate_or_stronger_basolateral_or_complete'
    """
    if (intensity, extent) == (Intensity.FAINT, Extent.INCOMPLETE):
        return STAINED
    if (intensity, extent) == (Intensity.WEAK, Extent.COMPLETE):
        return "pct_complete"
    name = f"pct_{intensity.label}"
    if intensity is not Intensity.INTENSE:
        name += "_or_stronger"
    if extent is Extent.BASOLATERAL:
        name += "_basolateral_or_complete"
    elif extent is Extent.COMPLETE:
        name += "_complete"
    return name


def part_of_staining(intensity: Intensity, extent: Extent) -> float:
    """Return which part of all classes of stained cells is at least so strong and extensive.

    It shares out what is believed before a cell is seen: without it, no stained cell among a
    hundred would make an unseen 3 % of intense cells as probable as an unseen 3 % of faint ones.
    """
    n_classes = (N_INTENSITIES - intensity) * (N_EXTENTS - extent)
    return n_classes / ((N_INTENSITIES - 1) * N_EXTENTS)


def extent_of(pattern: NDArray[np.integer]) -> NDArray[np.int8]:
    """Return the `Extent` that the criteria count each `Pattern` as, of any shape."""
    return EXTENTS[pattern]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of tumour cells: rows are intensities (none … intense), columns extents.

    Unstained cells stand in the first column. Build one with `of`, `from_array` or `zero`.

    Raises
    ------
    ValueError
        If the table has another shape, a negative count, or an unstained cell with an extent.
    """

    counts: Counts

    def __post_init__(self) -> None:
        if len(self.counts) != N_INTENSITIES or any(len(row) != N_EXTENTS for row in self.counts):
            raise ValueError(
                f"a tally has {N_INTENSITIES} × {N_EXTENTS} counts, got {self.counts!r}"
            )
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError(f"counts of cells cannot be negative, got {self.counts!r}")
        if any(self.counts[Intensity.NONE][1:]):
            raise ValueError(
                "cells without staining have no extent: count them in the first column, "
                f"got {self.counts[Intensity.NONE]!r}"
            )

    @classmethod
    def zero(cls) -> Tally:
        """Return the tally of no cell: the neutral element of `+`."""
        return cls.from_array(np.zeros(TALLY_SHAPE, np.int64))

    @classmethod
    def from_array(cls, counts: ArrayLike) -> Tally:
        """Build a tally from whole numbers of shape (5, 3)."""
        array = np.asarray(counts)
        if array.shape != TALLY_SHAPE or not np.array_equal(array, array.astype(np.int64)):
            raise ValueError(
                f"a tally is {N_INTENSITIES} × {N_EXTENTS} whole numbers, got shape {array.shape}, "
                f"type {array.dtype}"
            )
        rows = array.astype(np.int64).tolist()
        return cls(tuple((int(a), int(b), int(c)) for a, b, c in rows))

    @classmethod
    def of(cls, intensity: ArrayLike, extent: ArrayLike) -> Tally:
        """Count cells.

        Parameters
        ----------
        intensity : array_like of shape (n,), int
            `Intensity` of each tumour cell, 0–4.
        extent : array_like of shape (n,), int
            `Extent` of each, 0–2; ignored where the intensity is none.

        Raises
        ------
        ValueError
            If the lengths differ or a class is out of range.
        """
        i, e = np.asarray(intensity, np.int64), np.asarray(extent, np.int64)
        if i.shape != e.shape or i.ndim != 1:
            raise ValueError(
                f"give one intensity and one extent per cell, got {i.shape}, {e.shape}"
            )
        if i.size and (
            i.min() < 0 or e.min() < 0 or i.max() >= N_INTENSITIES or e.max() >= N_EXTENTS
        ):
            raise ValueError(
                f"intensity must be 0–{N_INTENSITIES - 1} and extent 0–{N_EXTENTS - 1}, got "
                f"{i.min()}–{i.max()} and {e.min()}–{e.max()}"
            )
        flat = i * N_EXTENTS + np.where(i == Intensity.NONE, 0, e)
        return cls.from_array(
            np.bincount(flat, minlength=N_INTENSITIES * N_EXTENTS).reshape(TALLY_SHAPE)
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally.from_array(self.array + other.array)

    @property
    def array(self) -> NDArray[np.int64]:
        """The counts as a new array of shape (5, 3)."""
        return np.array(self.counts, np.int64)

    @property
    def n_cells(self) -> int:
        """All tumour cells counted."""
        return sum(map(sum, self.counts))

    def shares(self) -> Shares:
        """Divide, once."""
        return Shares(self)


@dataclass(frozen=True, slots=True)
class Shares:
    """Percentages (0–100) of the tumour cells of one tally.

    The counts stay inside, so that a share of exactly 10 % compares as exactly 10 %. With no
    cell at all every share is 0, also `pct_none`; `n_tumor_cells` tells this from a tumour
    without staining, and a call on it is *not assessable*.
    """

    tally: Tally

    @property
    def n_tumor_cells(self) -> int:
        """The denominator of every share."""
        return self.tally.n_cells

    def _pct(self, n_cells: int) -> float:
        return 100 * n_cells / self.n_tumor_cells if self.n_tumor_cells else 0.0

    def of(self, intensity: Intensity, extent: Extent) -> float:
        """Percent of cells of exactly this intensity and extent."""
        return self._pct(self.tally.counts[intensity][extent])

    def at_least(self, intensity: Intensity, extent: Extent) -> float:
        """Percent of cells of at least this intensity and at least this extent."""
        return self._pct(sum(sum(row[extent:]) for row in self.tally.counts[intensity:]))

    def _of_intensity(self, intensity: Intensity) -> float:
        return self._pct(sum(self.tally.counts[intensity]))

    @property
    def pct_none(self) -> float:
        """Percent without membrane staining."""
        return self._of_intensity(Intensity.NONE)

    @property
    def pct_faint(self) -> float:
        """Percent with faint staining, any extent."""
        return self._of_intensity(Intensity.FAINT)

    @property
    def pct_weak(self) -> float:
        """Percent with weak staining, any extent."""
        return self._of_intensity(Intensity.WEAK)

    @property
    def pct_moderate(self) -> float:
        """Percent with moderate staining, any extent."""
        return self._of_intensity(Intensity.MODERATE)

    @property
    def pct_intense(self) -> float:
        """Percent with intense staining, any extent."""
        return self._of_intensity(Intensity.INTENSE)

    @property
    def pct_stained(self) -> float:
        """Percent with any membrane staining."""
        return self.at_least(Intensity.FAINT, Extent.INCOMPLETE)

    @property
    def pct_complete(self) -> float:
        """Percent with complete staining, weak or stronger."""
        return self.at_least(Intensity.WEAK, Extent.COMPLETE)

    @property
    def h_score(self) -> float:
        """H-score, 0–300."""
        return float(h_scores(self.tally.array))

    def columns(self) -> dict[str, float]:
        """Return the shares and the H-score under the names of the results table."""
        return {
            "pct_none": self.pct_none,
            "pct_faint": self.pct_faint,
            "pct_weak": self.pct_weak,
            "pct_moderate": self.pct_moderate,
            "pct_intense": self.pct_intense,
            "pct_complete": self.pct_complete,
            "pct_stained": self.pct_stained,
            "h_score": self.h_score,
        }
