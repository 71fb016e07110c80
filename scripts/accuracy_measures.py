"""How far a scored slide is from its truth, and the sums over many slides."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy_recipes import Plan
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from her2path.criteria import EXPRESSION_SCORES, Extent, Intensity, Pattern, Score
from her2path.criteria.tally import Tally
from her2path.results.cells import CellTable
from her2path.results.record import SlideRecord
from her2path.statistics import Interval, wilson
from her2path.synth.writing import WrittenSlide

# Half the radius of a small tumor nucleus: the centre lies well inside.
REACH_UM = 3.0
BOUNDARIES = tuple(itertools.pairwise(EXPRESSION_SCORES))
SHARES = (*(f"pct_{intensity.label}" for intensity in Intensity), "pct_stained", "pct_complete")


@dataclass(frozen=True, slots=True)
class SlideAccuracy:
    """One slide: what is known, what was measured, and how its cells were met.

    Shares are in percent, keyed as in slides.csv; `known` and `measured` hold `h_score` too.

    Attributes
    ----------
    nucleus_precision, nucleus_recall, nucleus_f1 : float
        All nuclei, matched one to one within `REACH_UM`.
    tumor_accuracy : float
        Share of the matched cells whose kind (invasive tumor or not) is right.
    tumor_found : float
        Share of the tumor nuclei that were met.
    tumor_precision, tumor_recall : float
        Of the matched cells: those counted that are tumor, the tumor cells that were counted.
    unmatched_frac : float
        Share of the counted cells that meet no nucleus.
    stained_recall, stained_fallout : float
        Stained, and unstained, tumor cells that were counted and read as stained; NaN without any.
    complete_recall, complete_fallout : float
        The same of complete staining, weak or stronger.
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
    criterion: str
    is_flagged: bool
    flags: tuple[str, ...]
    n_true: int
    n_counted: int
    known: dict[str, float]
    measured: dict[str, float]
    blank_upper_pct: float
    nucleus_precision: float
    nucleus_recall: float
    nucleus_f1: float
    tumor_accuracy: float
    tumor_found: float
    tumor_precision: float
    tumor_recall: float
    unmatched_frac: float
    stained_recall: float
    stained_fallout: float
    complete_recall: float
    complete_fallout: float
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
        """Tumor cells counted against those there are, in percent of these."""
        return 100 * (self.n_counted - self.n_true) / self.n_true

    def error(self, name: str) -> float:
        """Return measured minus known of a share (points) or the H-score."""
        return self.measured[name] - self.known[name]

    def row(self) -> dict[str, object]:
        """Return the row of the CSV."""
        row: dict[str, object] = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("known", "measured", "flags")
        }
        row["flags"] = ";".join(self.flags)
        row["count_error_pct"] = self.count_error_pct
        for name in (*SHARES, "h_score"):
            row[f"true_{name}"], row[name] = self.known[name], self.measured[name]
        return {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in row.items()
        }


@dataclass(frozen=True, slots=True)
class KnownCells:
    """Cells of the truth: places in level-0 px and classes, all of shape (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    is_tumor: NDArray[np.bool_]
    intensity: NDArray[np.int64]
    pattern: NDArray[np.int64]


def read_known_cells(path: Path) -> KnownCells:
    """Read the cells that were written beside a synthetic slide."""
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    return KnownCells(
        x=np.array([float(row["x"]) for row in rows]),
        y=np.array([float(row["y"]) for row in rows]),
        is_tumor=np.array([row["is_tumor"] == "true" for row in rows], np.bool_),
        intensity=codes_of([row["intensity"] for row in rows], Intensity),
        pattern=codes_of([row["pattern"] for row in rows], Pattern),
    )


def codes_of(words: Iterable[str], kind: type[Intensity] | type[Pattern]) -> NDArray[np.int64]:
    """Return words of a table as numbers of their enumeration."""
    return np.array([int(kind[word.upper()]) for word in words], np.int64)


def match_cells(
    known: NDArray[np.float64], found: NDArray[np.float64], *, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair points one to one, nearest pairs first.

    Parameters
    ----------
    known, found : ndarray of shape (n, 2) and (m, 2)
        Places in one unit.
    reach : float
        Largest distance of a pair.

    Returns
    -------
    known_index, found_index : ndarray of shape (p,)
    """
    if not len(known) or not len(found):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = cKDTree(known).sparse_distance_matrix(cKDTree(found), reach, output_type="ndarray")
    free_known, free_found = np.ones(len(known), np.bool_), np.ones(len(found), np.bool_)
    pairs = []
    for i, j, _ in np.sort(near, order=["v", "i", "j"]):
        if free_known[i] and free_found[j]:
            free_known[i] = free_found[j] = False
            pairs.append((i, j))
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def compare(
    plan: Plan, written: WrittenSlide, record: SlideRecord, cells: CellTable | None, draw_s: float
) -> SlideAccuracy:
    """Compare a scored slide with its truth; `cells` is None where none were measured."""
    known_cells = read_known_cells(written.cells_path)
    mpp = plan.laboratory.mpp
    n_found = 0 if cells is None else len(cells)
    is_counted = np.zeros(n_found, np.bool_)
    intensity, pattern = np.zeros(n_found, np.int64), np.zeros(n_found, np.int64)
    found = np.zeros((n_found, 2))
    if cells is not None:
        found = np.column_stack([cells["x"], cells["y"]]).astype(np.float64) * mpp
        is_counted = cells["is_tumor"].astype(np.bool_) & (cells["excluded"] == "")
        intensity = codes_of(cells["intensity"].tolist(), Intensity)
        pattern = codes_of(cells["pattern"].tolist(), Pattern)
    places = np.column_stack([known_cells.x, known_cells.y]) * mpp
    i, j = match_cells(places, found, reach=REACH_UM)
    is_tumor = known_cells.is_tumor[i]
    both = is_tumor & is_counted[j]
    true_stained = known_cells.intensity[i][both] > Intensity.NONE
    read_stained = intensity[j][both] > Intensity.NONE
    true_complete = is_complete(known_cells.intensity[i][both], known_cells.pattern[i][both])
    read_complete = is_complete(intensity[j][both], pattern[j][both])
    truth = Tally.from_array(written.truth["slide"]["counts"])
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
        criterion=record.call.criterion_id if record.call is not None else "",
        is_flagged=record.review,
        flags=record.review_reasons,
        n_true=truth.n_cells,
        n_counted=record.reading.n_tumor_cells,
        known=truth.shares().columns(),
        measured=record.reading.tally.shares().columns(),
        blank_upper_pct=record.blank.upper_pct,
        nucleus_precision=share(len(j), n_found),
        nucleus_recall=share(len(i), len(places)),
        nucleus_f1=share(2 * len(i), n_found + len(places)),
        tumor_accuracy=share(int((is_tumor == is_counted[j]).sum()), len(i)),
        tumor_found=share(int(is_tumor.sum()), int(known_cells.is_tumor.sum())),
        tumor_precision=share(int(both.sum()), int(is_counted[j].sum())),
        tumor_recall=share(int(both.sum()), int(is_tumor.sum())),
        unmatched_frac=1 - share(int(is_counted[j].sum()), int(is_counted.sum())),
        stained_recall=mean_of(read_stained[true_stained]),
        stained_fallout=mean_of(read_stained[~true_stained]),
        complete_recall=mean_of(read_complete[true_complete]),
        complete_fallout=mean_of(read_complete[~true_complete]),
        draw_s=draw_s,
        score_s=record.seconds,
    )


def is_complete(intensity: NDArray[np.int64], pattern: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which cells count for `pct_complete`: complete and weak or stronger."""
    wanted = [int(p) for p in Pattern if p.extent is Extent.COMPLETE]
    return np.isin(pattern, wanted) & (intensity >= Intensity.WEAK)


def share(k: int, n: int) -> float:
    """Return k / n, NaN for none of none."""
    return k / n if n else math.nan


def mean_of(values: Iterable[float]) -> float:
    """Return the mean of the values that are numbers, NaN when there is none."""
    numbers = [float(value) for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def quadratic_kappa(pairs: Sequence[tuple[int, int]], *, n_classes: int) -> float:
    """Return Cohen's κ with quadratic weights of pairs of ranks; NaN when all ranks are one."""
    table = np.zeros((n_classes, n_classes))
    for one, other in pairs:
        table[one, other] += 1
    weight = np.subtract.outer(np.arange(n_classes), np.arange(n_classes)).astype(np.float64) ** 2
    chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(len(pairs), 1)
    expected = float((weight * chance).sum())
    return 1 - float((weight * table).sum()) / expected if expected else math.nan


def kappa_of(slides: Sequence[SlideAccuracy]) -> float:
    """Return quadratic κ between true and given scores of the slides that got one."""
    pairs = [(s.true_score.rank, s.score.rank) for s in slides if s.is_assessed]
    return quadratic_kappa(pairs, n_classes=len(EXPRESSION_SCORES))


@dataclass(frozen=True, slots=True)
class Counted:
    """k of n, with a 95 % Wilson interval."""

    k: int
    n: int

    @property
    def frac(self) -> float:
        """The share k / n, NaN for none of none."""
        return share(self.k, self.n)

    @property
    def interval(self) -> Interval | None:
        """The interval as fractions, None for none of none."""
        return wilson(self.k, self.n) if self.n else None

    def __str__(self) -> str:
        interval = self.interval
        if interval is None:
            return "–"
        return f"{self.frac:.3f} ({self.k}/{self.n}; {interval.lower:.2f}–{interval.upper:.2f})"


def exact(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the exact scores; a slide that was not assessed is none."""
    return Counted(sum(s.is_exact for s in slides), len(slides))


def at_boundary(slides: Sequence[SlideAccuracy], low: Score, high: Score) -> Counted:
    """Count slides of the two true scores beside a boundary that got a score on their side."""
    beside = [s for s in slides if s.true_score in (low, high)]
    right = [
        s.is_assessed and (s.score.rank > low.rank) == (s.true_score.rank > low.rank)
        for s in beside
    ]
    return Counted(sum(right), len(beside))


def misses_flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged among wrong scores."""
    misses = [s for s in slides if not s.is_exact]
    return Counted(sum(s.is_flagged for s in misses), len(misses))


def hits_flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged among right scores: what flags cost."""
    hits = [s for s in slides if s.is_exact]
    return Counted(sum(s.is_flagged for s in hits), len(hits))


def flagged(slides: Sequence[SlideAccuracy]) -> Counted:
    """Count the flagged slides."""
    return Counted(sum(s.is_flagged for s in slides), len(slides))


def sums_of(slides: Sequence[SlideAccuracy]) -> dict[str, float]:
    """Return the figures of a group of slides, by their name; errors of assessed ones only."""
    assessed = [s for s in slides if s.is_assessed]
    figures: dict[str, float] = {"slides": len(slides), "exact": exact(slides).frac}
    for name, word in (("pct_stained", "stained"), ("pct_complete", "complete"), ("h_score", "H")):
        errors = [s.error(name) for s in assessed]
        figures[f"{word} bias"] = mean_of(errors)
        figures[f"{word} abs"] = mean_of([abs(e) for e in errors])
    figures["nucleus F1"] = mean_of([s.nucleus_f1 for s in slides])
    figures["tumor found"] = mean_of([s.tumor_found for s in slides])
    figures["unmatched"] = mean_of([s.unmatched_frac for s in slides])
    figures["tumor acc"] = mean_of([s.tumor_accuracy for s in slides])
    figures["count bias %"] = mean_of([s.count_error_pct for s in assessed])
    figures["count abs %"] = mean_of([abs(s.count_error_pct) for s in assessed])
    figures["stained recall"] = mean_of([s.stained_recall for s in assessed])
    figures["stained fallout"] = mean_of([s.stained_fallout for s in assessed])
    figures["complete recall"] = mean_of([s.complete_recall for s in assessed])
    figures["complete fallout"] = mean_of([s.complete_fallout for s in assessed])
    figures["misses"] = sum(not s.is_exact for s in slides)
    figures["flagged misses"] = misses_flagged(slides).k
    figures["flag rate"] = flagged(slides).frac
    return figures
