"""Compare two sides: what changed, how surely, and what may be said about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from her2path.compare.bands import Bands, default_bands
from her2path.compare.change import ScoreMove, StatusMove, move_of_scores, move_of_status
from her2path.compare.comparability import (
    Reason,
    find_obstacles,
    find_remarks,
    find_voids,
    scanner_remark,
)
from her2path.compare.continuous import N_DRAWS, N_PERMUTATIONS, Change, changes_of
from her2path.compare.drift import (
    Adjustment,
    DriftCheck,
    adjusted_cells,
    adjustment_of,
    drift_checks,
)
from her2path.compare.sides import PairSlide, Side
from her2path.compare.verdict import Deciding, Verdict, conclude_pair
from her2path.criteria.call import Call
from her2path.criteria.criterion import Criterion
from her2path.criteria.score import Extent, Intensity, Score, Status
from her2path.criteria.tally import measure_name
from her2path.pipeline.scoring import CountedCells
from her2path.statistics.neighborhoods import cautious_share
from her2path.statistics.resampling import score_probabilities

__all__ = ["Comparison", "Pair", "SideReading", "compare_sides"]

# Measures that every reader knows, and what they are called in a sentence.
PLAIN_MEASURES = {
    "pct_stained": "the share of stained cells",
    "pct_complete": "the share of completely stained cells",
    "h_score": "the H-score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed, on one scale.

    Attributes
    ----------
    score : ScoreMove
    status : StatusMove
    continuous : mapping of str to Change
    deciding : Deciding or None
        The share that separates the scores, against its band and cut; None without a cell.
    """

    score: ScoreMove
    status: StatusMove
    continuous: Mapping[str, Change]
    deciding: Deciding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideReading:
    """A side in short: score and status as read, over all its slides."""

    slides: tuple[Mapping[str, object], ...]
    score: Score
    status: Status
    n_tumor_cells: int
    n_blocks: int
    n_control_cells: int
    ish: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The comparison of two sides.

    Attributes
    ----------
    before, after : SideReading
    verdict : Verdict
    sentence : str
        The verdict in one sentence.
    reasons : tuple of str
        What it rests on.
    as_read : Comparison
    adjusted : Comparison or None
        On the scale common to both sides, on which the verdict rests; None where it is the same.
    voids, obstacles : tuple of Reason
        Why a side says nothing; why the sides cannot be compared.
    remarks : tuple of str
        What does not stop a comparison but should be known.
    adjustment : Adjustment
    checks : tuple of DriftCheck
    bands : Bands
    seed, n_draws, n_permutations : int
    """

    before: SideReading
    after: SideReading
    verdict: Verdict
    sentence: str
    reasons: tuple[str, ...]
    as_read: Comparison
    adjusted: Comparison | None
    voids: tuple[Reason, ...]
    obstacles: tuple[Reason, ...]
    remarks: tuple[str, ...]
    adjustment: Adjustment
    checks: tuple[DriftCheck, ...]
    bands: Bands
    seed: int
    n_draws: int = N_DRAWS
    n_permutations: int = N_PERMUTATIONS

    @property
    def common(self) -> Comparison:
        """The comparison that the verdict rests on."""
        return self.adjusted or self.as_read


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """One side, read on one scale."""

    side: Side
    counted: CountedCells
    call: Call
    probabilities: Mapping[Score, float] = field(default_factory=dict)

    def status_probabilities(self) -> dict[Status, float]:
        """Return how probable each status is, with the side's ISH."""
        found: dict[Status, float] = {}
        for score, p in self.probabilities.items():
            status = self.side.status(score)
            found[status] = found.get(status, 0.0) + p
        return found


def compare_sides(before: Side, after: Side, *, bands: Bands | None = None, seed: int = 0) -> Pair:
    """Compare two sides of one patient.

    Parameters
    ----------
    before, after : Side
    bands : Bands, optional
        Repeatability; by default the shipped bands, which say so.
    seed : int
        Of the resampling and the permutations.

    Returns
    -------
    Pair
        The same for the same sides and seed.
    """
    bands = default_bands() if bands is None else bands
    adjustment = adjustment_of(before, after)
    checks = drift_checks(before, after)
    plain = [read(side, side.counted, side.blank_upper_pct, seed) for side in (before, after)]
    as_read = comparison(plain, bands, seed=seed)
    adjusted = None
    if not adjustment.is_none:
        adjusted = comparison(
            adjusted_reads(before, after, adjustment, seed), bands, seed=seed, adjustment=adjustment
        )
    common = adjusted or as_read
    voids = find_voids(before, after)
    obstacles = find_obstacles(before, after, adjustment=adjustment, checks=checks)
    verdict, reasons, sentence = conclude_pair(
        voids=voids,
        obstacles=obstacles,
        move=common.score,
        raw_move=as_read.score,
        deciding=common.deciding,
        status=common.status,
        beyond=beyond_band(common),
        scanner=scanner_remark(before, after),
    )
    return Pair(
        before=side_reading(plain[0]),
        after=side_reading(plain[1]),
        verdict=verdict,
        sentence=sentence,
        reasons=reasons,
        as_read=as_read,
        adjusted=adjusted,
        voids=voids,
        obstacles=obstacles,
        remarks=find_remarks(before, after, adjustment=adjustment, checks=checks),
        adjustment=adjustment,
        checks=checks,
        bands=bands,
        seed=seed,
    )


def beyond_band(found: Comparison) -> tuple[tuple[str, float], ...]:
    """Return name and change of the plain measures whose change is beyond their band."""
    return tuple(
        (words, float(found.continuous[name].change or 0.0))
        for name, words in PLAIN_MEASURES.items()
        if found.continuous[name].is_beyond_band
    )


def comparison(
    sides: list[Read], bands: Bands, *, seed: int, adjustment: Adjustment | None = None
) -> Comparison:
    """Compare two sides that were read on one scale."""
    calls = [side.call for side in sides]
    row, call = deciding_row(*calls)
    continuous = changes_of(
        [side.side for side in sides],
        [side.counted for side in sides],
        bands,
        also=None if row is None else (row.intensity, row.extent),
        adjustment=adjustment,
        seed=seed,
    )
    return Comparison(
        score=move_of_scores(
            calls[0].score, calls[1].score, sides[0].probabilities, sides[1].probabilities
        ),
        status=move_of_status(
            sides[0].side.status(calls[0].score),
            sides[1].side.status(calls[1].score),
            sides[0].status_probabilities(),
            sides[1].status_probabilities(),
        ),
        continuous=continuous,
        deciding=None if row is None else deciding_of(row, call, continuous, bands),
    )


def read(side: Side, counted: CountedCells, blank_upper_pct: float, seed: int) -> Read:
    """Score a side, with the probability of each score."""
    call = side.call(counted, blank_upper_pct=blank_upper_pct)
    if call.score is Score.NOT_ASSESSABLE:
        return Read(side=side, counted=counted, call=call)
    number = 1 if side.name == "before" else 2
    probabilities = score_probabilities(
        side.rule_set,
        counted.block_tallies(),
        blank_upper_pct=blank_upper_pct,
        rng=np.random.default_rng([seed, number]),
        n_resamples=N_DRAWS,
        clusters=side.clusters(counted),
        wider=counted.wider_blocks(),
        share_of=cautious_share,
    )
    return Read(side=side, counted=counted, call=call, probabilities=probabilities)


def adjusted_reads(before: Side, after: Side, adjustment: Adjustment, seed: int) -> list[Read]:
    # What both sides cannot tell from blank is blank on the common scale.
    blank = max(before.blank_upper_pct, after.blank_upper_pct)
    return [read(side, adjusted_cells(side, adjustment), blank, seed) for side in (before, after)]


def deciding_row(before: Call, after: Call) -> tuple[Criterion | None, Call]:
    """Return the row that makes the higher of two scores, or the nearest cut of a common one."""
    if before.score is after.score:
        call = before if before.deciding else after
        return (call.deciding.criterion if call.deciding else None), call
    call = max((before, after), key=lambda c: c.score.rank)
    return (call.deciding_lower.criterion if call.deciding_lower else None), call


def deciding_of(
    row: Criterion, call: Call, continuous: Mapping[str, Change], bands: Bands
) -> Deciding | None:
    """Return the deciding share with its interval, band and cut."""
    name = measure_name(row.intensity, row.extent)
    change = continuous[name]
    if change.before is None or change.after is None or change.change is None:
        return None
    held = next(
        (d for d in (call.deciding_lower, call.deciding_upper) if d and d.criterion == row), None
    )
    found = bands.of(name)
    return Deciding(
        measure=name,
        words=words_of(row.intensity, row.extent),
        cut=held.cut if held is not None and held.unit == "%" else None,
        higher_score=row.score,
        before=change.before,
        after=change.after,
        change=change.change,
        ci95=change.ci95,
        band=found[0] if found else None,
        band_measure=found[1] if found else "",
    )


def words_of(intensity: Intensity, extent: Extent) -> str:
    """Say which cells a share counts."""
    strength = {Intensity.FAINT: "any", Intensity.INTENSE: "intense"}.get(
        intensity, f"{intensity.label} or stronger"
    )
    reach = {Extent.BASOLATERAL: ", basolateral or complete", Extent.COMPLETE: ", complete"}
    return f"tumour cells with {strength}{reach.get(extent, '')} staining"


def side_reading(plain: Read) -> SideReading:
    """Return a side in short."""
    side = plain.side
    return SideReading(
        slides=tuple(slide_row(slide) for slide in side.slides),
        score=plain.call.score,
        status=side.status(plain.call.score),
        n_tumor_cells=len(side.counted),
        n_blocks=len(np.unique(side.counted.block)),
        n_control_cells=len(side.control),
        ish=None if side.ish is None else side.ish.value,
    )


def slide_row(slide: PairSlide) -> Mapping[str, object]:
    """Return what pair.json says of one slide."""
    record = slide.record
    return {
        "slide_id": record.slide_id,
        "path": record.path,
        "results": None if slide.folder is None else str(slide.folder),
        "score": record.score,
        "status": record.status,
        "n_tumor_cells": record.reading.n_tumor_cells,
        "mpp": math.sqrt(record.scan.mpp_x * record.scan.mpp_y),
        "scanner": record.scan.scanner,
        "rule_set": record.rule_set,
        "edition": record.edition,
        "organ": record.organ,
        "calibration": record.calibration.name,
        "flags": [
            {"flag": f.flag, "severity": f.severity, "sentence": f.sentence} for f in record.flags
        ],
    }
