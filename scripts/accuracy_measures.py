"""How far a scored slide is from its truth, and the sums over many slides.

Cells, scores and flags are compared by `her2path.evaluation`; here are the designs of the slides
and the errors of shares and counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from accuracy_recipes import Plan

from her2path.criteria import EXPRESSION_SCORES, Intensity, Score
from her2path.criteria.label import ScoreLabel
from her2path.criteria.tally import Tally
from her2path.evaluation import Case
from her2path.evaluation.cells import CellAgreement, compare_cells, mean_of
from her2path.evaluation.references import read_known_cells
from her2path.evaluation.writing import cell_figures
from her2path.results.cells import CellTable
from her2path.results.record import SlideRecord
from her2path.statistics.agreement import weighted_kappa
from her2path.statistics.counted import Counted
from her2path.synth.writing import WrittenSlide

BOUNDARIES = tuple(itertools.pairwise(EXPRESSION_SCORES))
SHARES = (*(f"pct_{intensity.label}" for intensity in Intensity), "pct_stained", "pct_complete")


@dataclass(frozen=True, slots=True)
class SlideAccuracy:
    """One slide: what is known, what was measured, and how its cells were met.

    Shares are in percent, keyed as in slides.csv; `known` and `measured` hold `h_score` too.
    `network_score` is None and `network_set` empty where no network read the slide.
    """

    slide_id: str
    laboratory: str
    design: str
    distance: float | None
    cytoplasm_od: float
    granular_od: float
    seed: int
    true_score: Score
    score: Score
    probabilities: dict[Score, float]
    network_score: Score | None
    network_set: tuple[Score, ...]
    criterion: str
    is_flagged: bool
    flags: tuple[str, ...]
    n_true: int
    n_counted: int
    known: dict[str, float]
    measured: dict[str, float]
    blank_upper_pct: float
    cells: CellAgreement
    draw_s: float
    score_s: float

    @property
    def is_exact(self) -> bool:
        """Whether the score is the true one."""
        return self.score is self.true_score

    @property
    def is_assessed(self) -> bool:
        """Whether there are shares to compare."""
        return self.score is not Score.NOT_ASSESSABLE

    @property
    def count_error_pct(self) -> float:
        """Tumor cells counted against those there are, in percent of these; NaN of none."""
        return 100 * (self.n_counted - self.n_true) / self.n_true if self.n_true else math.nan

    @property
    def case(self) -> Case:
        """The slide as the evaluation takes it."""
        return Case(
            slide_id=self.slide_id,
            reference=ScoreLabel(self.true_score, self.true_score),
            score=self.score,
            probabilities=self.probabilities if sum(self.probabilities.values()) else None,
            is_flagged=self.is_flagged,
            flags=self.flags,
            group=self.laboratory,
        )

    def error(self, name: str) -> float:
        """Return measured minus known of a share (points) or the H-score."""
        return self.measured[name] - self.known[name]

    def row(self) -> dict[str, object]:
        """Return the row of the CSV."""
        row: dict[str, object] = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("known", "measured", "flags", "cells", "probabilities", "network_set")
        }
        row |= cell_figures(self.cells)
        row["flags"] = ";".join(self.flags)
        row["network_set"] = ";".join(score.value for score in self.network_set)
        row["count_error_pct"] = self.count_error_pct
        for name in (*SHARES, "h_score"):
            row[f"true_{name}"], row[name] = self.known[name], self.measured[name]
        return {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in row.items()
        }


def compare(
    plan: Plan, written: WrittenSlide, record: SlideRecord, cells: CellTable | None, draw_s: float
) -> SlideAccuracy:
    """Compare a scored slide with its truth; `cells` is None where none were measured."""
    truth = Tally.from_array(written.truth["slide"]["counts"])
    network = None if record.network is None else record.network.joint
    return SlideAccuracy(
        slide_id=plan.slide_id,
        laboratory=plan.laboratory.name,
        design=plan.design.name,
        distance=plan.design.distance,
        cytoplasm_od=plan.recipe.regions[0].cytoplasm_od,
        granular_od=plan.recipe.regions[0].granular_od,
        seed=plan.seed,
        true_score=Score(written.truth["score"]),
        score=record.score,
        probabilities=dict(record.probabilities),
        network_score=None if network is None else network.network.score,
        network_set=() if network is None else network.conformal_set,
        criterion=record.call.criterion_id if record.call is not None else "",
        is_flagged=record.review,
        flags=record.review_reasons,
        n_true=truth.n_cells,
        n_counted=record.reading.n_tumor_cells,
        known=truth.shares().columns(),
        measured=record.reading.tally.shares().columns(),
        blank_upper_pct=record.blank.upper_pct,
        cells=compare_cells(read_known_cells(written.cells_path), cells, mpp=plan.laboratory.mpp),
        draw_s=draw_s,
        score_s=record.seconds,
    )


def exact(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the exact scores; a slide that was not assessed is none."""
    return Counted.of(s.is_exact for s in slides)


def at_boundary(slides: Sequence[SlideAccuracy], low: Score, high: Score) -> Counted:
    """Count slides of the two true scores beside a boundary that got a score on their side."""
    beside = [s for s in slides if s.true_score in (low, high)]
    return Counted.of(
        s.is_assessed and (s.score.rank > low.rank) == (s.true_score.rank > low.rank)
        for s in beside
    )


def kappa_of(slides: Sequence[SlideAccuracy]) -> float:
    """Return the quadratic κ of the assessed slides; NaN where they have one true score only."""
    assessed = [s for s in slides if s.is_assessed]
    # Slides of one true score agree as by chance, however they were read.
    if len({s.true_score for s in assessed}) < 2:
        return math.nan
    table = np.zeros((len(EXPRESSION_SCORES), len(EXPRESSION_SCORES)))
    np.add.at(table, ([s.true_score.rank for s in assessed], [s.score.rank for s in assessed]), 1)
    return float(weighted_kappa(table, weights="quadratic"))


def misses_flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged among wrong scores."""
    return Counted.of(s.is_flagged for s in slides if not s.is_exact)


def hits_flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged among right scores: what flags cost."""
    return Counted.of(s.is_flagged for s in slides if s.is_exact)


def flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged slides."""
    return Counted.of(s.is_flagged for s in slides)


def read_for_all_misses(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the slides that a person reads, least probable score first, to meet every miss."""
    held = [s.probabilities.get(s.score, 0.0) for s in slides]
    misses = [p for p, s in zip(held, slides, strict=True) if not s.is_exact]
    return Counted.of(p <= max(misses, default=-1.0) for p in held)


def sums_of(slides: Sequence[SlideAccuracy]) -> dict[str, float]:
    """Return the figures of a group of slides, by their name; errors of assessed ones only."""
    assessed = [s for s in slides if s.is_assessed]
    figures: dict[str, float] = {
        "slides": len(slides),
        "exact": exact(slides).frac,
        "κ quadratic": kappa_of(slides),
    }
    for low, high in BOUNDARIES:
        figures[f"side of {low}/{high}"] = at_boundary(slides, low, high).frac
    for name, word in (("pct_stained", "stained"), ("pct_complete", "complete"), ("h_score", "H")):
        errors = [s.error(name) for s in assessed]
        figures[f"{word} bias"] = mean_of(errors)
        figures[f"{word} abs"] = mean_of([abs(e) for e in errors])
    figures["nucleus F1"] = mean_of([s.cells.nuclei.f1 for s in slides])
    figures["tumor found"] = mean_of([s.cells.tumor_met.frac for s in slides])
    figures["counted are tumor"] = mean_of(
        Counted(s.cells.tumor.n_right, s.cells.counted_met.k).frac for s in slides
    )
    figures["unmatched"] = mean_of([1 - s.cells.counted_met.frac for s in slides])
    figures["tumor acc"] = mean_of([s.cells.kind.frac for s in slides])
    figures["count bias %"] = mean_of([s.count_error_pct for s in assessed])
    figures["count abs %"] = mean_of([abs(s.count_error_pct) for s in assessed])
    figures["stained recall"] = mean_of([s.cells.stained.recall for s in assessed])
    figures["stained fallout"] = mean_of([s.cells.unstained.frac for s in assessed])
    figures["complete recall"] = mean_of([s.cells.complete.recall for s in assessed])
    figures["complete fallout"] = mean_of([s.cells.incomplete.frac for s in assessed])
    figures["misses"] = sum(not s.is_exact for s in slides)
    figures["flagged misses"] = misses_flagged(slides).k
    figures["flag rate"] = flagged(slides).frac
    return figures
