"""The continuous measures of a side, as sums over blocks of tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Extent, Intensity
from her2path.criteria.tally import H_WEIGHTS, accumulate, measure_name
from her2path.pipeline.scoring import CountedCells
from her2path.statistics.neighborhoods import Neighborhoods
from her2path.statistics.paired import BlockRatio, draw_ratio

__all__ = [
    "MEASURES",
    "Measure",
    "class_distance",
    "cumulative",
    "drawn",
    "highest_of",
    "ratios_of",
    "scale_of",
    "share_ratio",
    "unit_of",
    "values_of",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """Unit of a measure, and how many of it a ratio of 1 is."""

    unit: str
    scale: float


PERCENT = Measure("%", 100.0)
MEASURES: dict[str, Measure] = {
    "pct_stained": PERCENT,
    "pct_complete": PERCENT,
    **{f"pct_{level.label}": PERCENT for level in Intensity},
    "h_score": Measure("0–300", 300.0),
    "membrane_od": Measure("OD", 1.0),
    "membrane_width_um": Measure("µm", 1.0),
}


def share_ratio(
    blocks: NDArray[np.int64],
    intensity: Intensity,
    extent: Extent,
    wider: tuple[Neighborhoods, ...],
) -> BlockRatio:
    """Return the cells of at least this intensity and extent, over all, in each block."""
    upward = accumulate(blocks)
    points = upward[:, intensity, extent]
    return BlockRatio(points, upward[:, 0, 0], points, True, wider)


def ratios_of(
    counted: CountedCells, *, also: tuple[Intensity, Extent] | None = None
) -> dict[str, BlockRatio]:
    """Return every measure of a side.

    Parameters
    ----------
    counted : CountedCells
    also : (Intensity, Extent), optional
        One more share, counted upwards: the one that decides between two scores.
    """
    blocks, wider = counted.block_tallies(), counted.wider_blocks()
    by_intensity = blocks.sum(axis=2).astype(np.float64)
    n = by_intensity.sum(axis=1)
    ratios = {
        measure_name(intensity, extent): share_ratio(blocks, intensity, extent, wider)
        for intensity, extent in (
            (Intensity.FAINT, Extent.INCOMPLETE),
            (Intensity.WEAK, Extent.COMPLETE),
            *((also,) if also is not None else ()),
        )
    }
    for level in Intensity:
        points = by_intensity[:, level]
        ratios[f"pct_{level.label}"] = BlockRatio(points, n, points, True, wider)
    weights = np.asarray(H_WEIGHTS, np.float64) / max(H_WEIGHTS)
    ratios["h_score"] = BlockRatio(
        by_intensity @ weights, n, by_intensity @ weights**2, True, wider
    )
    for name in ("membrane_od", "membrane_width_um"):
        values = getattr(counted, name)
        is_used = (counted.intensity > Intensity.NONE) & np.isfinite(values)
        ratios[name] = counted.mean_by_block(values, is_used)
    return ratios


def cumulative(counted: CountedCells) -> tuple[BlockRatio, ...]:
    """Return the shares of cells of at least faint, weak, moderate, intense staining."""
    blocks, wider = counted.block_tallies(), counted.wider_blocks()
    return tuple(
        share_ratio(blocks, level, Extent.INCOMPLETE, wider) for level in Intensity if level.value
    )


def class_distance(before: Floats, after: Floats) -> Floats:
    """Return how far two distributions over the intensity classes lie apart.

    Wasserstein's first distance with one step from class to class: by how many classes a cell
    must be moved on average, 0–4.

    Parameters
    ----------
    before, after : ndarray of shape (4, ...)
        Shares (0–1) of cells of at least faint, weak, moderate and intense staining.
    """
    apart: Floats = np.abs(np.asarray(after) - np.asarray(before)).sum(axis=0)
    return apart


def drawn(ratios: Mapping[str, BlockRatio], levels: tuple[Floats, Floats]) -> dict[str, Floats]:
    """Draw every measure of a side from the same resampled blocks, in its own unit."""
    draws = {name: scale_of(name) * draw_ratio(ratio, levels) for name, ratio in ratios.items()}
    # Drawn for itself it would break ties the other way, and the two would not add up to 100 %.
    draws["pct_none"] = PERCENT.scale - draws["pct_stained"]
    return draws


def scale_of(name: str) -> float:
    """Return how many units of a measure a ratio of 1 is."""
    return MEASURES.get(name, PERCENT).scale


def highest_of(name: str) -> float:
    """Return the highest value that a measure can take, in its unit; infinite where none is."""
    return scale_of(name) if scale_of(name) > 1 else math.inf


def unit_of(name: str) -> str:
    """Return the unit of a measure; shares of other rows of the criteria are percent."""
    return MEASURES.get(name, PERCENT).unit


def values_of(ratios: Mapping[str, BlockRatio]) -> dict[str, float | None]:
    """Return the estimates in their units; None where no cell counted."""
    found = {name: scale_of(name) * ratio.value for name, ratio in ratios.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}
