"""The page of a cohort: what became of HER2, and whether untreated tumours do the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from her2path.cohort.analysis import Cohort
from her2path.cohort.noise_floor import NOISE_FLOOR, FloorRow
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.report.alluvial import draw_alluvial
from her2path.report.forest import ForestRow, draw_forest
from her2path.report.paper import Plate, write_plates
from her2path.report.study import ends_pct, p_equals, share_words, write_page
from her2path.report.wording import counted

__all__ = ["findings", "write_cohort_page"]

RATE_LABELS = (
    ("loss", "Loss (to 0 or 0+)", ""),
    ("loss_to_null", "to 0", "indent"),
    ("loss_to_ultralow", "to 0+", "indent"),
    ("decrease", "Decrease (lower, still 1+ or more)", ""),
    ("loss_or_decrease", "Loss or decrease", ""),
    ("stable_expressing", "Stable, expressing", ""),
    ("increase", "Increase (higher, expressing before)", ""),
    ("gain", "Gain (0 or 0+ to 1+ or more)", ""),
    ("ultralow_to_null", "0+ to 0", ""),
    ("null_to_ultralow", "0 to 0+", ""),
    ("stable", "Stable, all", ""),
)
FLOOR_LABELS = {
    "low_to_zero": "HER2-low to 0 or 0+",
    "low_to_zero_if_2plus_is_low": "The same, 2+ without ISH taken for low",
    "zero_to_low": "0 or 0+ to HER2-low",
    "loss": "Loss: any expression to 0 or 0+",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of the matrix and what its place means."""

    n: int
    style: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A score before, and what it became."""

    score: Score
    cells: tuple[Cell, ...]
    total: int


def write_cohort_page(folder: Path, cohort: Cohort, *, source_name: str) -> Path:
    """Write cohort.html and its figures, SVG and PNG, and return the page.

    Parameters
    ----------
    folder : Path
        Where cohort.json lies.
    cohort : Cohort
    source_name : str
        Name of the table, as the page's head shows it.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    alluvial = draw_alluvial(cohort.transitions)
    floor_plate = draw_floor(cohort) if cohort.floor else None
    write_plates(folder, {"alluvial": alluvial, "noise_floor": floor_plate})
    page = folder / "cohort.html"
    write_page(
        page,
        "cohort.html",
        title=f"her2path cohort: {source_name}",
        source_name=source_name,
        cohort=cohort,
        findings=findings(cohort),
        alluvial=alluvial,
        floor_plate=floor_plate,
        matrix=matrix(cohort),
        rates=[(label, cohort.rates[name], style) for name, label, style in RATE_LABELS],
        rate_method=rate_method(cohort),
        floor=[(FLOOR_LABELS[row.name], row) for row in cohort.floor],
        floor_words=floor_words(),
        excess_method=excess_method(cohort.floor),
        is_stomach=cohort.is_stomach,
        floor_source=NOISE_FLOOR,
        tests=(
            ("McNemar–Bowker: symmetry of changes", cohort.bowker),
            ("Stuart–Maxwell: equal margins", cohort.stuart_maxwell),
            ("Wilcoxon signed-rank: direction", cohort.wilcoxon),
        ),
        scale=", ".join(score.value for score in cohort.scale),
    )
    return page


def findings(cohort: Cohort) -> list[str]:
    """Return what the cohort shows, in sentences for a clinician."""
    loss, decrease, either = (cohort.rates[k] for k in ("loss", "decrease", "loss_or_decrease"))
    if not cohort.n_evaluable:
        return ["No pair has a score on both sides: nothing can be said of HER2 in this cohort."]
    if not loss.of:
        return ["No pair expressed HER2 (1+ or more) before: nothing could be lost."]

    def share(name: str) -> str:
        rate = cohort.rates[name]
        return f"{share_words(rate.rate)} (95 % interval {ends_pct(rate.ci95)})"

    words = [
        f"Of {counted(loss.of, 'pair')} expressing HER2 before, {loss.n} lost it: {share('loss')}; "
        f"{decrease.n} more decreased: {share('decrease')}; together {either.n}: "
        f"{share('loss_or_decrease')}."
    ]
    low = cohort.floor[0] if cohort.floor else None
    if low is not None and low.observed.of and low.difference is not None:
        words.append(
            f"Of {counted(low.observed.of, 'HER2-low pair')}, {low.observed.n} fell to 0 or 0+ "
            f"({share_words(low.observed.rate)}). Two readings of untreated tumours differ so in "
            f"{share_words(low.reference[0] / low.reference[1])}: {excess_words(low)}."
        )
    return words


def excess_words(row: FloorRow) -> str:
    """Say whether a rate exceeds the floor; 5 % is only a convention, so the numbers stand by."""
    p = f"one-sided {p_equals(row.excess.p)}"
    if row.excess.p < 0.05:
        return f"the excess is more than chance explains ({p})"
    return f"an excess over that is not shown ({p})"


def excess_method(rows: Sequence[FloorRow]) -> str:
    """Say how the p of the rows were computed, which need not be alike for all."""
    methods = dict.fromkeys(row.excess.method for row in rows if row.observed.of)
    return "; or ".join(methods) or "none, no pair to compare"


def matrix(cohort: Cohort) -> list[MatrixRow]:
    """Return the transition matrix: before in rows, after in columns."""
    rows = []
    for before in EXPRESSION_SCORES:
        counts = cohort.transitions[before.rank]
        cells = tuple(
            Cell(int(counts[after.rank]), style_of(before, after, int(counts[after.rank])))
            for after in EXPRESSION_SCORES
        )
        rows.append(MatrixRow(before, cells, int(counts.sum())))
    return rows


def style_of(before: Score, after: Score, n: int) -> str:
    if not n:
        return "none"
    if before is after:
        return "same"
    if after.rank > before.rank:
        return "up"
    is_loss = before.rank >= Score.ONE_PLUS.rank > after.rank
    return "lost" if is_loss else "down"


def rate_method(cohort: Cohort) -> str:
    """Say how the intervals of the rates were made."""
    if not cohort.is_clustered:
        return "Intervals: Wilson."
    effects = [rate.design_effect for rate in cohort.rates.values()]
    return (
        "Intervals: Wilson with the effective number of pairs, since some patients have several; "
        f"design effects up to {max(effects):.2f}."
    )


def floor_words() -> str:
    """Say what the floor is and why it is there."""
    return (
        f"{NOISE_FLOOR.what[0].upper()}{NOISE_FLOOR.what[1:]}, read twice, differ without any "
        f"treatment ({NOISE_FLOOR.source}). A treatment has changed HER2 only as far as the "
        "observed rate goes beyond that."
    )


def draw_floor(cohort: Cohort) -> Plate:
    """Draw the observed rates beside those of untreated tumours."""
    rows = []
    for row in cohort.floor:
        rate, ends = row.observed.rate, row.observed.ci95
        rows.append(
            ForestRow(
                label=FLOOR_LABELS[row.name],
                numbers=f"{row.observed.n}/{row.observed.of}  {share_words(rate)}",
                value=None if rate is None else 100 * rate,
                lower=None if ends is None else 100 * ends.lower,
                upper=None if ends is None else 100 * ends.upper,
                reference=100 * row.reference[0] / row.reference[1],
            )
        )
    words = "; ".join(
        f"{row.label}: {row.numbers}, untreated {row.reference:.1f} %" for row in rows
    )
    return draw_forest(
        rows,
        name="noise_floor",
        axis="Percent of pairs",
        numbers="Observed",
        words=words,
        reference="Untreated tumours, two readings",
    )
