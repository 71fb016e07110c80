"""The change of every continuous measure between two sides, with interval and test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.compare.bands import DISTANCE, Bands
from her2path.compare.drift import Adjustment, adjusted_cells
from her2path.compare.measures import (
    class_distance,
    cumulative,
    drawn,
    highest_of,
    ratios_of,
    scale_of,
    unit_of,
    values_of,
)
from her2path.compare.sides import Side
from her2path.criteria.score import Extent, Intensity
from her2path.pipeline.scoring import CountedCells
from her2path.statistics.intervals import Interval
from her2path.statistics.neighborhoods import cautious_share
from her2path.statistics.paired import (
    SIGNIFICANT,
    BlockRatio,
    change_interval,
    draw_levels,
    draw_ratio,
    joint_permutation_p,
    permutation_p,
    permuted_labels,
)

__all__ = ["N_DRAWS", "N_PERMUTATIONS", "Change", "changes_of"]

Floats = NDArray[np.float64]

# Percentiles at 2.5 % then rest on a hundred draws each.
N_DRAWS = 4000
# The smallest p is 1 in 2000.
N_PERMUTATIONS = 1999
# Classes from no staining to intense.
MOST_APART = float(Intensity.INTENSE)
# Of the cells that are stained, faintly most of them, so many are read as stained in the worse
# laboratories; in half of them it is 0.86 (drawn pairs, `scripts/pair_study.py --level pictures`).
# A share that is read too low on both sides makes its change too small by as much.
# The share without any staining is the rest to 100 %, and changes by as much the other way.
LEAST_FOUND = {"pct_stained": 0.65, "pct_none": 0.65}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change of one continuous measure.

    Attributes
    ----------
    unit : str
    before, after, change : float or None
        None where nothing was measured on a side. The distance between the two distributions of
        cells has no before and after.
    ci95 : Interval or None
        Of the change, from resampled blocks of both sides and the error of an adjustment. For a
        share that is read too low where cells are faint it reaches as much further from zero
        (`LEAST_FOUND`). None, too, for a mean that rests on one cell.
    before_ci95, after_ci95 : Interval or None
        Of each side.
    p_permutation : float or None
        That blocks of both sides could have changed places; None where blocks are too few to
        tell.
    band : float or None
        By how much two readings of an unchanged thing may differ.
    is_beyond_band : bool or None
        Whether the whole interval lies beyond the band; None where there is no band.
    """

    unit: str
    before: float | None
    after: float | None
    change: float | None
    ci95: Interval | None
    before_ci95: Interval | None
    after_ci95: Interval | None
    p_permutation: float | None
    band: float | None
    is_beyond_band: bool | None


def changes_of(
    sides: Sequence[Side],
    counted: Sequence[CountedCells],
    bands: Bands,
    *,
    also: tuple[Intensity, Extent] | None,
    adjustment: Adjustment | None,
    seed: int,
) -> dict[str, Change]:
    """Return the change of every measure, with interval and test."""
    ratios = [ratios_of(cells, also=also) for cells in counted]
    values = [values_of(part) for part in ratios]
    n_blocks = [len(part["pct_stained"].sizes) for part in ratios]
    rng = np.random.default_rng([seed, 3])
    levels = [draw_levels(n, N_DRAWS, rng) for n in n_blocks]
    draws = [drawn(part, level) for part, level in zip(ratios, levels, strict=True)]
    labels = permuted_labels(n_blocks[0], n_blocks[1], N_PERMUTATIONS, rng)
    slopes = {} if adjustment is None else slopes_of(sides, adjustment, also)
    wobble = rng.standard_normal(N_DRAWS)
    changes = {}
    for name in ratios[0]:
        early, late = (side[name] for side in draws)
        changes[name] = change_of(
            name,
            (values[0][name], values[1][name]),
            ci95=reaching_further(
                change_interval(early, late + slopes.get(name, 0.0) * wobble),
                LEAST_FOUND.get(name, 1.0),
                most=highest_of(name),
            ),
            each=(
                side_interval(name, ratios[0][name], early),
                side_interval(name, ratios[1][name], late),
            ),
            p=p_of_places(ratios[0][name], ratios[1][name], labels, seed=seed),
            bands=bands,
        )
    changes[DISTANCE] = distance_change(counted, levels, labels, bands)
    return changes


def p_of_places(before: BlockRatio, after: BlockRatio, labels: Floats, *, seed: int) -> float:
    """Test whether blocks of both sides could have changed places.

    `labels` are of all blocks; where some hold no cell of the measure, those that do are relabelled
    by themselves.
    """
    held = [side.where_filled() for side in (before, after)]
    n_blocks = [len(side.sizes) for side in held]
    if sum(n_blocks) < labels.shape[1]:
        rng = np.random.default_rng([seed, 4])
        labels = permuted_labels(n_blocks[0], n_blocks[1], N_PERMUTATIONS, rng)
    return permutation_p(held[0], held[1], labels)


def side_interval(name: str, ratio: BlockRatio, draws: Floats) -> Interval | None:
    """Return the interval of a measure on one side; of a share as the slide's own results say it.

    Quantiles of the draws would leave 0 out where no cell was found.
    """
    if ratio.is_share and ratio.n_cells:
        share = cautious_share(ratio.points, ratio.sizes, ratio.wider)
        return share.interval().scaled(scale_of(name))
    return change_interval(np.zeros(len(draws)), draws)


def reaching_further(
    interval: Interval | None, least_found: float, *, most: float = 100.0
) -> Interval | None:
    """Let an interval of a change reach what it is if as few cells were found as `least_found`.

    Limits nearer to zero stay: what clears a band still does, and nothing new does. No limit lies
    further from zero than `most`, by which the measure can change at all: the error of an
    adjustment knows no such end.

    >>> reaching_further(Interval(-26.0, -13.0), 0.65)
    Interval(lower=-40.0, upper=-13.0)
    """
    if interval is None:
        return None
    lower = min(interval.lower, interval.lower / least_found)
    upper = max(interval.upper, interval.upper / least_found)
    return Interval(*(min(max(end, -most), most) for end in (lower, upper)))


def slopes_of(
    sides: Sequence[Side], adjustment: Adjustment, also: tuple[Intensity, Extent] | None
) -> dict[str, float]:
    """Return by how much each change moves with one standard error of the control's factor."""
    if adjustment.log_error == 0:
        return {}
    found = []
    for n_errors in (-1.0, 1.0):
        shifted = adjustment.shifted(n_errors)
        values = [values_of(ratios_of(adjusted_cells(side, shifted), also=also)) for side in sides]
        found.append({k: (values[1][k] or 0.0) - (values[0][k] or 0.0) for k in values[0]})
    return {name: (found[1][name] - found[0][name]) / 2 for name in found[0]}


def change_of(
    name: str,
    values: tuple[float | None, float | None],
    *,
    ci95: Interval | None,
    each: tuple[Interval | None, Interval | None],
    p: float,
    bands: Bands,
) -> Change:
    """Gather what is known of the change of one measure."""
    before, after = values
    found = bands.of(name)
    return Change(
        unit=unit_of(name),
        before=before,
        after=after,
        change=None if before is None or after is None else after - before,
        ci95=ci95,
        before_ci95=each[0],
        after_ci95=each[1],
        p_permutation=None if math.isnan(p) else p,
        band=found[0].band if found else None,
        is_beyond_band=found[0].is_cleared_by(ci95) if found else None,
    )


def distance_change(
    counted: Sequence[CountedCells],
    levels: Sequence[tuple[Floats, Floats]],
    labels: Floats,
    bands: Bands,
) -> Change:
    """Return the distance between the two distributions over the classes, with its interval.

    A distance is never negative, so scatter alone makes one. Where the permutation test tells the
    distributions apart, the interval is pivotal, which takes that bias out; else it runs from 0 to
    the distance that scatter may hide.
    """
    shares = [cumulative(cells) for cells in counted]
    values = [np.array([ratio.value for ratio in side]) for side in shares]
    found = float(class_distance(*values))
    band = bands.measures.get(DISTANCE)
    ci95, p = None, math.nan
    if math.isfinite(found):
        draws = [
            np.stack([draw_ratio(ratio, level) for ratio in side])
            for side, level in zip(shares, levels, strict=True)
        ]
        low, high = np.quantile(class_distance(*draws), [0.025, 0.975])
        p = joint_permutation_p(list(zip(*shares, strict=True)), labels)
        ci95 = Interval(0.0, float(high))
        if p <= SIGNIFICANT:
            low, high = 2 * found - float(high), 2 * found - float(low)
            # No further than a distance can be, and round what was found.
            ci95 = Interval(min(max(low, 0.0), found), min(max(high, found), MOST_APART))
    return Change(
        unit="classes",
        before=None,
        after=None,
        change=found if math.isfinite(found) else None,
        ci95=ci95,
        before_ci95=None,
        after_ci95=None,
        p_permutation=None if math.isnan(p) else p,
        band=band.band if band else None,
        is_beyond_band=band.is_cleared_by(ci95) if band else None,
    )
