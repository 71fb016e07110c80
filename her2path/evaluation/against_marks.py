"""What a reader finds on a picture, compared with the marks made there by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.evaluation.cells import REACH_UM
from her2path.evaluation.marks import Label, MarkedMembrane, MarkedWindow
from her2path.geometry import Region
from her2path.statistics.intervals import Interval
from her2path.statistics.matching import match_points

__all__ = [
    "CellReading",
    "Estimate",
    "WindowCounts",
    "compare_window",
    "estimate_measures",
    "outlined_share",
]

# A line is drawn by eye to about a micron.
LINE_UM = 1.5
SAMPLE_UM = 0.25

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellReading:
    """What a reader finds on a picture.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Nucleus centers, level-0 px.
    p_tumor : ndarray of shape (n,)
        Probability that each is a tumor cell, 0–1.
    line_x, line_y : ndarray of shape (k,), float64
        Points on membranes that are read as stained, level-0 px, closer together than a line's
        width.
    """

    x: Points
    y: Points
    p_tumor: NDArray[np.floating]
    line_x: Points
    line_y: Points


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts of one window; they can be added up.

    Attributes
    ----------
    n_marked, n_met : int
        Marked nuclei, and those that were found.
    n_found, n_right : int
        Finds that count against the reader if wrong, and those that are a marked nucleus. They are
        counted farther from the window's edge than a match reaches: nearer, a find may be a nucleus
        whose center lies outside, where nothing is marked.
    n_tumor, n_tumor_right, n_other, n_other_right : int
        Of the marked nuclei that were found: tumor and other cells, and those called so.
    n_traps, n_trapped : int
        Marks where no cell is, and those taken for one.
    """

    n_marked: int
    n_met: int
    n_found: int
    n_right: int
    n_tumor: int
    n_tumor_right: int
    n_other: int
    n_other_right: int
    n_traps: int
    n_trapped: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its 95 % interval; NaN and None where nothing was counted."""

    value: float
    interval: Interval | None


def compare_window(
    window: MarkedWindow, reading: CellReading, *, within_um: float = REACH_UM, cut: float = 0.5
) -> WindowCounts:
    """Compare what a reader finds with the marks of one window.

    A find belongs to the nearest mark of a nucleus within `within_um`, one to one. Finds at an
    unsure mark count neither for nor against the reader.

    Parameters
    ----------
    window : MarkedWindow
    reading : CellReading
        Of the picture or any part of it that holds the window and `within_um` around it.
    within_um : float
        Greatest distance of find and mark.
    cut : float
        Probability from which a find is called tumor.
    """
    reach = within_um / window.mpp
    box = window.region
    is_near = inside(reading.x, reading.y, box, -reach)
    x, y, p_tumor = reading.x[is_near], reading.y[is_near], reading.p_tumor[is_near]
    is_sure, is_trap = (
        np.isin(window.labels, (Label.TUMOR, Label.OTHER)),
        window.labels == Label.NOT_A_CELL,
    )
    nuclei = np.flatnonzero(~is_trap)
    mark, found = match_points(
        np.column_stack([window.x[nuclei], window.y[nuclei]]), np.column_stack([x, y]), reach=reach
    )
    met = nuclei[mark]
    found, met = found[is_sure[met]], met[is_sure[met]]
    is_right = np.zeros(len(x), bool)
    is_right[found] = True
    is_unsure = window.labels == Label.UNSURE
    is_excused = has_near(x, y, window.x[is_unsure], window.y[is_unsure], reach) & ~is_right
    counts = inside(x, y, box, reach) & ~is_excused
    wrong = ~is_right & ~is_excused
    trapped = has_near(window.x[is_trap], window.y[is_trap], x[wrong], y[wrong], reach)
    called, is_tumor = p_tumor[found] >= cut, window.labels[met] == Label.TUMOR
    return WindowCounts(
        n_marked=int(is_sure.sum()),
        n_met=len(met),
        n_found=int(counts.sum()),
        n_right=int((counts & is_right).sum()),
        n_tumor=int(is_tumor.sum()),
        n_tumor_right=int((called & is_tumor).sum()),
        n_other=int((~is_tumor).sum()),
        n_other_right=int((~called & ~is_tumor).sum()),
        n_traps=int(is_trap.sum()),
        n_trapped=int(trapped.sum()),
    )


def inside(x: Points, y: Points, box: Region, margin: float) -> NDArray[np.bool_]:
    """Tell which points lie in the box and at least `margin` from its edge."""
    is_in_x = (x >= box.x + margin) & (x < box.right - margin)
    is_in: NDArray[np.bool_] = is_in_x & (y >= box.y + margin) & (y < box.bottom - margin)
    return is_in


def has_near(x: Points, y: Points, to_x: Points, to_y: Points, reach: float) -> NDArray[np.bool_]:
    """Tell which points have one of the others within reach."""
    squares = (x[:, None] - to_x[None]) ** 2 + (y[:, None] - to_y[None]) ** 2
    return np.asarray((squares <= reach**2).any(axis=1), np.bool_)


def measures(sums: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Compute the measures from sums of counts, shape (…, 10); NaN where nothing was counted."""
    (
        n_marked,
        n_met,
        n_found,
        n_right,
        n_tumor,
        n_tumor_right,
        n_other,
        n_other_right,
        n_traps,
        n_trapped,
    ) = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = n_met / n_marked, n_right / n_found
        f1 = np.where(
            n_found > 0, 2 * recall * precision / np.maximum(recall + precision, 1e-12), 0.0
        )
        tumor, other = n_tumor_right / n_tumor, n_other_right / n_other
        return {
            "nucleus_f1": np.where(n_marked > 0, f1, np.nan),
            "nucleus_precision": precision,
            "nucleus_recall": recall,
            "balanced_accuracy": (tumor + other) / 2,
            "tumor_right": tumor,
            "other_right": other,
            "trapped": n_trapped / n_traps,
        }


def estimate_measures(
    counts: Sequence[WindowCounts], *, rng: np.random.Generator, n_resamples: int = 2000
) -> dict[str, Estimate]:
    """Estimate the measures over windows, with intervals from drawing the windows again.

    Returns
    -------
    dict of str to Estimate
        ``nucleus_f1`` with ``nucleus_precision`` and ``nucleus_recall``; ``balanced_accuracy`` of
        tumor against other over the nuclei found, with ``tumor_right`` and ``other_right``;
        ``trapped``, the share of the marks without a cell that were taken for one. All 0–1. With
        fewer than two windows there is no interval.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    table = np.array([astuple(count) for count in counts], np.float64).reshape(
        -1, len(fields(WindowCounts))
    )
    n = len(table)
    values = measures(table.sum(axis=0))
    if n < 2:
        return {name: Estimate(float(value), None) for name, value in values.items()}
    times = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
    estimates = {}
    for name, drawn in measures(times @ table).items():
        known = drawn[np.isfinite(drawn)]
        value, interval = float(values[name]), None
        if math.isfinite(value) and len(known):
            low, high = np.percentile(known, (2.5, 97.5))
            interval = Interval(float(low), float(high))
        estimates[name] = Estimate(value, interval)
    return estimates


def outlined_share(
    membrane: MarkedMembrane, reading: CellReading, *, within_um: float = LINE_UM
) -> float:
    """Return the share of a marked membrane's length that is read as stained, 0–1."""
    line = shapely.LineString(np.column_stack([membrane.x, membrane.y]))
    n = max(2, math.ceil(line.length * membrane.mpp / SAMPLE_UM))
    along = shapely.get_coordinates(line.interpolate(np.linspace(0, line.length, n)))
    reach = within_um / membrane.mpp
    left, top, right, bottom = line.bounds
    around = Region(
        math.floor(left), math.floor(top), math.ceil(right - left), math.ceil(bottom - top)
    )
    is_near = inside(reading.line_x, reading.line_y, around, -reach - 1)
    x, y = reading.line_x[is_near], reading.line_y[is_near]
    return float(has_near(along[:, 0], along[:, 1], x, y, reach).mean())
