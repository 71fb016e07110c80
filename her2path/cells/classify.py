"""From measurements to classes: which sectors are stained, how complete, how intense."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibration import Calibration
from her2path.cells.line_contrast import CLEAR_LINE_OD
from her2path.cells.odds import EVEN
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity, Pattern

__all__ = [
    "MAX_DIFFUSE_LIMIT_OD",
    "MIN_DIFFUSE_OD",
    "CellClasses",
    "classify_cells",
    "has_clear_line",
    "is_refused",
    "seen_along",
    "was_read",
]

# Hysteresis: a sector half as clear as asked counts when it continues a clear one. Lines fade where
# three cells meet and where they run askew through the section.
CONTINUED_SHARE = 0.5
# A line that ends still lends its neighbor sector a little contrast (the segment reaches 1 µm
# beyond it): a sector must also reach this share of the clearest sectors of its own cell, unless a
# network sees the membrane there with at least this probability.
OWN_SHARE = 0.25
SEEN_SECTOR = 0.7
# A gap in the line of a stained cell is none where a network sees the membrane with even odds.
SEEN_GAP = EVEN
# Runs shorter than this are speckle (3 sectors are 4 µm on a cell of 7 µm radius).
MIN_RUN = 3
# Contrast of a line over the OD of its cytoplasm: membranous staining has 1 to 2, diffuse brown
# about 0.3 (real cores). A line must reach the first ratio to count, between the two; below the
# second the brown is diffuse.
MEMBRANOUS_RATIO = np.float32(0.85)
DIFFUSE_RATIO = np.float32(0.5)
# Uneven cytoplasm makes short lines, clearest where the outline looks for them; a membrane goes on.
# Without a network the limit is asked of the mean over this long a stretch too (a third of the
# outline), and since unevenness averages out along it, a line need stand out less from the brown.
STRETCH = 11
STRETCH_RATIO = np.float32(0.7)
# Between thick lines the cytoplasm cannot be seen and reads as brown as they are: no more than this
# is asked of a line for the sake of its cytoplasm.
MAX_DIFFUSE_LIMIT_OD = np.float32(0.13)
# Where a network reads beside the rules, both say whether there is a line: the limit of a cell
# falls where the network sees a membrane along the clearest quarter of its outline, and rises where
# it sees none, by its odds that there is none. It never falls further than by this factor, so that
# the network does not decide alone.
LEAST_FACTOR = 0.25
# Of faint lines of a stain that it never saw a network is unsure; of clear ones it is not, whatever
# the stain. A clear line that it sees with less than this probability is a row of granules, a fold
# of brown or a dot beside the nucleus (`scripts/line_evidence.py` counts them).
LEAST_SEEN_OF_CLEAR = np.float32(0.4)
# Where no network looked, lines inside a stained cell that are at least this share of those at its
# border show granular brown; not in an intense one, whose thick line may lie inside a wrong
# outline. One such cell proves nothing and stays stained; many of them raise a flag.
INSIDE_SHARE = np.float32(0.25)
# No contrast reaches this: planes of stain hold −0.5 to 3 OD where lines are looked for.
BEYOND_REACH_OD = np.float32(4.0)
# Cytoplasm fainter than this cannot hide a membrane.
MIN_DIFFUSE_OD = 0.08


@dataclass(frozen=True, slots=True)
class CellClasses:
    """Classes of n cells.

    Attributes
    ----------
    completeness : ndarray of shape (n,), float32
        Stained share of the measurable outline, 0–1.
    longest_arc_frac : ndarray of shape (n,), float32
        Longest contiguous share of it that the line reaches by itself, 0–1.
    membrane_od, membrane_contrast_od : ndarray of shape (n,), float32
        Median height of the line above its feet and median guarded contrast over the stained
        sectors, DAB OD; 0 for unstained cells.
    line_limit_od : ndarray of shape (n,), float32
        Guarded contrast that a line had to reach on each cell (`limits_by_both`), OD.
    intensity, pattern : ndarray of shape (n,), int8
        Values of Intensity and Pattern.
    is_diffuse : ndarray of shape (n,), bool
        Brown that could hide a membrane or be taken for one: diffuse cytoplasm, a clear line in
        which the network sees no membrane (`is_refused`), lines inside (`has_lines_inside`).
    is_below_blank : ndarray of shape (n,), bool
        Stained by a line that reaches its limit only because a network sees the membrane.
    stained_sectors : ndarray of shape (n,), uint32
        Bit k is set when sector k is stained, by the line itself or by `closed_rings`.
    """

    completeness: NDArray[np.float32]
    longest_arc_frac: NDArray[np.float32]
    membrane_od: NDArray[np.float32]
    membrane_contrast_od: NDArray[np.float32]
    line_limit_od: NDArray[np.float32]
    intensity: NDArray[np.int8]
    pattern: NDArray[np.int8]
    is_diffuse: NDArray[np.bool_]
    is_below_blank: NDArray[np.bool_]
    stained_sectors: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.intensity)

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> CellClasses:
        """Return the rows that `index` (a mask or positions) picks."""
        return CellClasses(*(getattr(self, f.name)[index] for f in fields(self)))


@numba.njit(nogil=True, cache=True)
def stained_runs(
    contrast: NDArray[np.float32],
    measurable: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    thresholds: NDArray[np.float32],
    min_arc_frac: float,
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """Mark the stained sectors of each cell; see `classify_cells`."""
    n, k = contrast.shape
    stained = np.zeros((n, k), np.bool_)
    completeness = np.zeros(n, np.float32)
    longest = np.zeros(n, np.float32)
    candidate = np.empty(k, np.bool_)
    is_strong = np.empty(k, np.bool_)
    for i in range(n):
        n_measurable = 0
        start = -1
        threshold = thresholds[i]
        n_clear = 0
        for s in range(k):
            n_clear += contrast[i, s] >= threshold
        # Most cells of most slides: nothing for a run to rest on.
        if n_clear == 0:
            continue
        of_clearest = OWN_SHARE * np.sort(contrast[i])[k - k // 8]
        for s in range(k):
            own = 0.0 if seen[i, s] else of_clearest
            is_strong[s] = contrast[i, s] >= max(threshold, own)
            least = max(CONTINUED_SHARE * threshold, own)
            candidate[s] = measurable[i, s] and contrast[i, s] >= least
            n_measurable += measurable[i, s]
        if n_measurable == 0:
            continue
        for s in range(k):
            if not candidate[s]:
                # A single sector (1.4 µm) without line between two stained ones is a junction.
                gap_ends = candidate[s - 1] and candidate[(s + 1) % k]
                if gap_ends and measurable[i, s]:
                    stained[i, s] = True
        for s in range(k):
            candidate[s] = candidate[s] or stained[i, s]
            stained[i, s] = False
            if not candidate[s]:
                start = s
        best_run, total = 0, 0
        if start < 0:
            n_strong = 0
            for s in range(k):
                n_strong += is_strong[s]
            if n_strong >= MIN_RUN:
                best_run = total = k
                stained[i, :] = True
        else:
            run, n_strong = 0, 0
            for t in range(1, k + 1):
                s = (start + t) % k
                if candidate[s]:
                    run += 1
                    n_strong += is_strong[s]
                if not candidate[s] and run > 0:
                    # At least half of a run must be clear of the blank by itself.
                    if run >= MIN_RUN and 2 * n_strong >= run:
                        total += run
                        best_run = max(best_run, run)
                        for back in range(1, run + 1):
                            stained[i, (s - back) % k] = True
                    run, n_strong = 0, 0
        longest[i] = best_run / n_measurable
        completeness[i] = total / n_measurable
        if longest[i] < min_arc_frac:
            stained[i, :] = False
            longest[i] = completeness[i] = 0.0
    return stained, np.minimum(completeness, 1.0), np.minimum(longest, 1.0)


def classify_cells(
    cells: CellMeasurements,
    calibration: Calibration,
    *,
    min_line_contrast_od: float | None = None,
) -> CellClasses:
    """Turn measurements into classes with the cut-offs of a calibration.

    A sector is stained when its line contrast reaches the limit of its cell (`limits_by_both`), or
    half of it next to sectors that do. A cell is stained when its longest contiguous stained arc
    reaches `calibration.min_arc_frac` and, where no network looked, its line goes on (`goes_on`);
    its intensity follows the median height of the line over the stained sectors.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    calibration : Calibration
    min_line_contrast_od : float, optional
        Limit of blank of this slide; by default the calibration's.

    Returns
    -------
    CellClasses
    """
    threshold = (
        calibration.min_line_contrast_od if min_line_contrast_od is None else min_line_contrast_od
    )
    alone = line_limits(cells, threshold)
    lowest_od = LEAST_FACTOR * calibration.min_line_contrast_od
    refused = is_refused(cells)
    limits = limits_by_both(cells, alone, lowest_od=lowest_od)
    limits = np.where(refused, BEYOND_REACH_OD, limits)
    stained, completeness, longest = stained_runs(
        cells.line_contrast_od,
        # Of a cell whose line does not go on, no sector is looked at.
        cells.is_measurable & goes_on(cells, limits)[:, None],
        cells.seen_line >= SEEN_SECTOR * 255,
        limits,
        calibration.min_arc_frac,
    )
    is_stained = completeness > 0
    contrast = median_where(cells.line_contrast_od, stained)
    membrane_od = median_where(cells.line_height_od, stained)
    graded = calibration.intensity.grade(membrane_od)
    intensity = np.where(is_stained, graded, Intensity.NONE).astype(np.int8)
    closed, completeness = closed_rings(cells, stained, completeness)
    alone_from, read_from = (calibration.complete_from(is_read=read) for read in (False, True))
    is_complete = completeness >= np.where(was_read(cells), read_from, alone_from)
    is_basolateral = longest >= calibration.basolateral_frac
    typical_contrast = np.maximum(contrast, 0.0)
    is_diffuse = (cells.cytoplasm_od >= MIN_DIFFUSE_OD) & (
        typical_contrast < DIFFUSE_RATIO * cells.cytoplasm_od
    )
    is_below_intense = is_stained & (intensity < Intensity.INTENSE)
    is_diffuse |= refused | (is_below_intense & has_lines_inside(cells))
    pattern = np.select(
        [is_stained & is_complete, is_stained & is_basolateral, is_stained, is_diffuse],
        [Pattern.COMPLETE, Pattern.BASOLATERAL, Pattern.INCOMPLETE, Pattern.CYTOPLASMIC],
        Pattern.ABSENT,
    ).astype(np.int8)
    bits = closed.astype(np.uint32) << np.arange(N_SECTORS, dtype=np.uint32)
    return CellClasses(
        completeness=completeness,
        longest_arc_frac=longest,
        membrane_od=membrane_od,
        membrane_contrast_od=contrast,
        line_limit_od=limits,
        intensity=intensity,
        pattern=pattern,
        is_diffuse=is_diffuse,
        is_below_blank=is_stained & (limits < alone) & (contrast < alone),
        stained_sectors=bits.sum(axis=1, dtype=np.uint32),
    )


def closed_rings(
    cells: CellMeasurements, stained: NDArray[np.bool_], completeness: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Close gaps in the line of stained cells where a network sees the membrane go on.

    A membrane that leans in the section, or meets a third one, rises less above its feet there; a
    side that is unstained, as that to a lumen, neither rises nor is seen.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    stained : ndarray of shape (n, N_SECTORS), bool
        Sectors that the line reaches by itself.
    completeness : ndarray of shape (n,), float32
        Their share of the measurable outline, 0–1.

    Returns
    -------
    closed : ndarray of shape (n, N_SECTORS), bool
        Those, and sectors that the network takes for membrane with even odds or better.
    completeness : ndarray of shape (n,), float32
        Their share of the measurable outline, 0–1; that given where no network looked.
    """
    may_close = was_read(cells) & (completeness > 0)
    is_seen = cells.is_measurable & (cells.seen_line >= SEEN_GAP * 255)
    closed = stained | (is_seen & may_close[:, None])
    n_measurable = np.maximum(cells.is_measurable.sum(axis=1), 1)
    share = (closed & cells.is_measurable).sum(axis=1) / n_measurable
    return closed, np.where(may_close, share, completeness).astype(np.float32)


def line_limits(cells: CellMeasurements, limit_of_blank_od: float) -> NDArray[np.float32]:
    """Return the guarded contrast that a line must reach by itself on each cell, OD, shape (n,).

    The limit of blank; brown cytoplasm raises it, because it makes lines of its own in proportion
    to how brown it is.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    limit_of_blank_od : float
    """
    ratio = np.where(was_read(cells), MEMBRANOUS_RATIO, STRETCH_RATIO)
    diffuse = np.minimum(ratio * cells.shared_cytoplasm_od, MAX_DIFFUSE_LIMIT_OD)
    return np.maximum(np.float32(limit_of_blank_od), diffuse).astype(np.float32)


def limits_by_both(
    cells: CellMeasurements, alone: NDArray[np.float32], *, lowest_od: float
) -> NDArray[np.float32]:
    """Return the limits as a network raises or lowers them, where one looked, OD, shape (n,).

    Parameters
    ----------
    cells : CellMeasurements of n cells
    alone : ndarray of shape (n,), float32
        See `line_limits`, OD.
    lowest_od : float
        No limit falls further than to this: on a slide whose limit of blank is low already the
        network would else decide alone.
    """
    seen = seen_along(cells)
    factor = np.maximum((1 - seen) / np.maximum(seen, np.float32(1e-6)), LEAST_FACTOR)
    moved = np.maximum(alone * factor, np.minimum(alone, np.float32(lowest_od)))
    moved = np.minimum(moved, BEYOND_REACH_OD)
    return np.where(was_read(cells), moved, alone).astype(np.float32)


def is_refused(cells: CellMeasurements) -> NDArray[np.bool_]:
    """Tell which cells have a clear line while a network sees no membrane on them, shape (n,)."""
    is_seen = seen_along(cells) >= LEAST_SEEN_OF_CLEAR
    refused: NDArray[np.bool_] = was_read(cells) & has_clear_line(cells) & ~is_seen
    return refused


def has_lines_inside(cells: CellMeasurements) -> NDArray[np.bool_]:
    """Tell of cells that no network looked at which have lines inside too, shape (n,)."""
    border = clearest_quarter(cells.line_contrast_od)
    inside: NDArray[np.bool_] = ~was_read(cells) & (cells.inner_line_od >= INSIDE_SHARE * border)
    return inside


def has_clear_line(cells: CellMeasurements) -> NDArray[np.bool_]:
    """Tell which cells have a clear line on the mean of their clearest quarter, shape (n,)."""
    clear: NDArray[np.bool_] = clearest_quarter(cells.line_contrast_od) >= CLEAR_LINE_OD
    return clear


def seen_along(cells: CellMeasurements) -> NDArray[np.float32]:
    """Return how surely a network sees a membrane on each cell, 0–1, shape (n,).

    The mean of its probability along the clearest quarter of the outline.
    """
    return clearest_quarter(cells.seen_line) / np.float32(255)


def clearest_quarter(values: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean of each row over its highest quarter, shape (n,)."""
    first = N_SECTORS * 3 // 4
    highest = np.partition(values, first, axis=1)[:, first:]
    mean: NDArray[np.float32] = highest.mean(axis=1, dtype=np.float32)
    return mean


def was_read(cells: CellMeasurements) -> NDArray[np.bool_]:
    """Tell which cells a network has looked at, shape (n,)."""
    read: NDArray[np.bool_] = ~np.isnan(cells.seen_tumor)
    return read


def goes_on(cells: CellMeasurements, limits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which cells have a line that reaches their limit on the mean of a stretch, shape (n,).

    True wherever a network looked, which sees by itself what is a membrane.

    Parameters
    ----------
    cells : CellMeasurements of n cells
    limits : ndarray of shape (n,), float32
        See `line_limits`, OD.
    """
    goes = was_read(cells)
    if goes.all():
        return goes
    # No mean reaches what its clearest sector does not.
    is_open = ~goes & (cells.line_contrast_od.max(axis=1) >= limits)
    contrast = cells.line_contrast_od[is_open]
    around = np.concatenate([contrast, contrast[:, : STRETCH - 1]], axis=1)
    stretches = np.zeros_like(contrast)
    for first in range(STRETCH):
        stretches += around[:, first : first + N_SECTORS]
    goes[is_open] = stretches.max(axis=1) / STRETCH >= limits[is_open]
    return goes


def median_where(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median of each row over its marked entries, 0 where none is marked; shape (n,)."""
    medians = np.zeros(len(values), np.float32)
    has_any = mask.any(axis=1)
    marked = mask[has_any]
    ordered = np.sort(np.where(marked, values[has_any], np.inf), axis=1)
    count = marked.sum(axis=1)
    rows = np.arange(len(marked))
    medians[has_any] = (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2
    return medians
