"""The page of an evaluation: how far results agree with their references, and what that is worth.

Colours follow the scores; every number of a figure stands in a table as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from her2path.evaluation.agreement import ScoreAgreement
from her2path.evaluation.cells import CellAgreement, Found
from her2path.evaluation.evaluate import Evaluation
from her2path.evaluation.selective import FlagWorth
from her2path.evaluation.stated import Reliability, StatedProbabilities
from her2path.evaluation.writing import EVALUATION_HTML
from her2path.flags.evidence import ReviewFlag
from her2path.report.charts import INK, LINE, QUIET
from her2path.report.forest import ForestRow, draw_forest
from her2path.report.paper import Plate, bare, new_figure, paper_look, write_plates
from her2path.report.phrases import FLAG_TITLES, code_words, read_by_words
from her2path.report.study import ends_pct, share_words, write_page
from her2path.report.wording import DASH, count, counted, decimal
from her2path.statistics.agreement import Agreement
from her2path.statistics.counted import Counted

__all__ = ["summary_lines", "write_evaluation_page"]

ACCENT = "#b35806"
# Beyond so many slides a list of misses is for a spreadsheet.
MAX_LISTED = 60


@dataclass(frozen=True, slots=True)
class TableCell:
    """A number of the confusion table and what its place means."""

    n: int
    style: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A reference grade and what was read."""

    reference: str
    cells: tuple[TableCell, ...]
    n_not_assessed: int
    n: int
    exact: Counted


def write_evaluation_page(folder: Path, evaluation: Evaluation, *, source_name: str) -> Path:
    """Write evaluation.html and its figures, SVG and PNG, and return the page.

    Parameters
    ----------
    folder : Path
        Where evaluation.json lies.
    evaluation : Evaluation
    source_name : str
        Name of the results, as the page's head shows it.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    boundaries = draw_boundaries(evaluation.scores)
    reliability = draw_reliability(evaluation.stated) if evaluation.stated else None
    risk = draw_risk(evaluation.flags) if evaluation.flags.curve else None
    write_plates(
        folder, {"boundaries": boundaries, "reliability": reliability, "risk-coverage": risk}
    )
    page = folder / EVALUATION_HTML
    misses = [case for case in evaluation.cases if not case.is_exact]
    write_page(
        page,
        "evaluation.html",
        title=f"her2path evaluation: {source_name}",
        source_name=source_name,
        evaluation=evaluation,
        read_by=read_by(evaluation),
        boundaries=boundaries,
        reliability=reliability,
        risk=risk,
        matrix=matrix_of(evaluation.scores),
        findings=findings(evaluation),
        kappa_words=kappa_words,
        counted_words=counted_words,
        flag_title=flag_title,
        cell_rows=[] if evaluation.all_cells is None else cell_rows(evaluation.all_cells),
        misses=sorted(misses, key=lambda case: -abs(case.distance or 0))[:MAX_LISTED],
        n_misses=len(misses),
    )
    return page


def counted_words(found: Counted) -> str:
    """Write a share with its interval: '76.7 % (59.1–88.2)'."""
    if not found.n:
        return DASH
    return f"{share_words(found.frac)} ({ends_pct(found.interval)})"


def kappa_words(found: Agreement) -> str:
    """Write a κ with its interval."""
    if found.kappa is None:
        return DASH
    ends = found.interval
    beside = f" ({decimal(ends.lower, 2)}–{decimal(ends.upper, 2)})" if ends else ""
    return f"{decimal(found.kappa, 2)}{beside}"


def flag_title(name: str) -> str:
    """Return what a flag is called; a word that is none stays as it is."""
    return FLAG_TITLES[ReviewFlag(name)] if name in set(ReviewFlag) else code_words(name)


def read_by(evaluation: Evaluation) -> tuple[str, ...]:
    """Say by what the slides were read; nothing where the table does not tell."""
    found = evaluation.read_by
    return read_by_words(
        rule_sets=found["rule_set"], calibrations=found["calibration"], models=found["model"]
    )


def summary_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the chief figures, a line each, for a terminal."""
    scores, flags = evaluation.scores, evaluation.flags
    lines = [
        f"{counted(len(evaluation.cases), 'slide')} against "
        + ("the truth of drawn slides" if evaluation.is_truth else "reference scores")
        + "; in brackets slides and 95 % intervals",
        *(f"read by {', '.join(words)}" for words in [read_by(evaluation)] if words),
        f"exact score        {scores.exact}",
        f"within one grade   {scores.within_one}",
        f"κ linear           {kappa_words(scores.kappa_linear)}",
        f"κ quadratic        {kappa_words(scores.kappa_quadratic)}",
        *(f"{f'boundary {b.low}/{b.high}':<18} {b.beside} beside it" for b in scores.boundaries),
        f"flagged            {flags.flagged}",
        f"wrong and flagged  {flags.wrong_flagged}",
        f"wrong, not flagged {flags.wrong_left} of those not flagged",
    ]
    if evaluation.stated is not None:
        of_score = evaluation.stated.of_score
        lines.append(
            f"probability error  {of_score.expected_error:.3f} between what was stated and what "
            f"came true (a perfect reader here: {of_score.error_by_chance:.3f})"
        )
    if evaluation.all_cells is not None:
        cells = evaluation.all_cells
        lines += [
            f"nucleus F1         {cells.nuclei.f1:.3f}",
            f"tumor or not       {cells.kind.frac:.3f} of matched cells",
            f"stained membranes  precision {cells.stained.precision:.3f}, "
            f"recall {cells.stained.recall:.3f}",
            f"intensity class    {cells.intensity.frac:.3f} right, of tumor cells met and counted",
        ]
    for what, names in (
        ("failed, not in any figure", tuple(evaluation.failed)),
        ("without a reference", evaluation.without_reference),
        ("references without a slide", evaluation.without_result),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"{what}: {', '.join(names[:5])}{more}")
    return tuple(lines)


def findings(evaluation: Evaluation) -> list[str]:
    """Return what was found, in sentences."""
    scores, flags = evaluation.scores, evaluation.flags
    words = [
        f"{count(scores.exact.k)} of {counted(scores.n, 'slide')} got the score of "
        f"{'its' if scores.n == 1 else 'their'} reference: "
        f"{counted_words(scores.exact)}; {counted_words(scores.within_one)} were within one grade. "
        f"Quadratic κ {kappa_words(scores.kappa_quadratic)}. In brackets: 95 % intervals.",
    ]
    n_wrong = flags.wrong_flagged.n
    if n_wrong:
        words.append(
            f"Of {counted(n_wrong, 'wrong score')} {count(flags.wrong_flagged.k)} "
            f"{'was' if flags.wrong_flagged.k == 1 else 'were'} flagged for a second read. Flags "
            f"cover {counted_words(flags.flagged)} of all slides; of those left without one, "
            f"{counted_words(flags.wrong_left)} are wrong."
        )
    else:
        words.append(
            f"No score was wrong; {counted_words(flags.flagged)} of the slides were flagged."
        )
    if not evaluation.is_truth:
        words.append(
            "References are readings by people, who agree among themselves only so far: see the "
            "last table before the method."
        )
    return words


def matrix_of(scores: ScoreAgreement) -> list[TableRow]:
    """Return the confusion table: reference in rows, score in columns."""
    rows = []
    for k, row in enumerate(scores.table):
        cells = []
        for j, n in enumerate(row.counts):
            style = "same" if j == k else "none" if not n else "down" if abs(j - k) == 1 else "lost"
            cells.append(TableCell(n, style))
        exact = Counted(row.counts[k], row.n)
        rows.append(TableRow(row.reference, tuple(cells), row.n_not_assessed, row.n, exact))
    return rows


def draw_boundaries(scores: ScoreAgreement) -> Plate:
    """Draw how often each boundary was kept, with intervals."""
    rows = []
    for boundary in scores.boundaries:
        rows.append(ForestRow(f"{boundary.low} / {boundary.high}", "", is_heading=True))
        for label, found in (
            ("slides of both grades beside it", boundary.beside),
            (f"all below it ({boundary.low} or lower)", boundary.below),
            (f"all above it ({boundary.high} or higher)", boundary.above),
        ):
            ends = found.interval
            rows.append(
                ForestRow(
                    f"   {label}",
                    f"{found.k} of {found.n}" if found.n else "none",
                    value=100 * found.frac if found.n else None,
                    lower=100 * ends.lower if ends else None,
                    upper=100 * ends.upper if ends else None,
                )
            )
    words = "; ".join(
        f"{b.low}/{b.high}: {b.beside.k} of {b.beside.n} beside it on their own side"
        for b in scores.boundaries
    )
    return draw_forest(
        rows, name="boundaries", axis="on the right side of the boundary, %",
        numbers="slides", words=words or "no boundary",
    )  # fmt: skip


def draw_reliability(stated: StatedProbabilities) -> Plate:
    """Draw stated against observed, for the score and for the boundaries."""
    with paper_look():
        figure = new_figure(7.0, 3.5)
        for axes, title, found in zip(
            figure.subplots(1, 2),
            ("The score given is right", "The score lies above a boundary"),
            (stated.of_score, stated.of_boundaries),
            strict=True,
        ):
            draw_bins(axes, found)
            axes.set_title(
                # In one line with the number of statements it would be wider than its half.
                f"{title}\n{counted(found.n, 'statement')}\n"
                f"error {found.expected_error:.3f}, by chance {found.error_by_chance:.3f}",
                loc="left",
            )
    parts = [
        f"stated {part.mean_stated:.2f}, came true {part.came_true.k} of {part.came_true.n}"
        for part in stated.of_score.bins
    ]
    return Plate.of(figure, name="reliability", words="Score given: " + "; ".join(parts))


def draw_bins(axes: Axes, found: Reliability) -> None:
    """Draw the bins of a reliability curve; the area of a mark goes with its statements."""
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    most = max((part.came_true.n for part in found.bins), default=1)
    for part in found.bins:
        ends = part.came_true.interval
        if ends is not None:
            axes.plot([part.mean_stated] * 2, [ends.lower, ends.upper], color=INK, linewidth=0.9)
        axes.scatter(
            [part.mean_stated], [part.came_true.frac], s=14 + 76 * part.came_true.n / most,
            color=ACCENT, edgecolor="white", linewidth=0.6, zorder=3,
        )  # fmt: skip
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("equal")
    axes.set_xlabel("stated probability")
    axes.set_ylabel("came true")
    axes.grid(color=LINE, linewidth=0.4)
    axes.set_axisbelow(True)
    bare(axes)


def draw_risk(flags: FlagWorth) -> Plate:
    """Draw risk against coverage by stated probability, with the point that flags make."""
    curve = flags.curve
    with paper_look():
        figure = new_figure(5.6, 3.2)
        axes = figure.subplots()
        points = curve.points if curve else ()
        coverage = [100 * point.coverage for point in points]
        risk = [100 * point.risk for point in points]
        axes.plot(
            coverage, risk, color=INK, linewidth=1.2, marker="o", markersize=2.6,
            label="kept by stated probability",
        )  # fmt: skip
        kept, ends = flags.wrong_left, flags.wrong_left.interval
        top = max([*risk, 10.0])
        if kept.n and ends is not None:
            at = 100 * kept.n / flags.flagged.n
            axes.plot([at] * 2, [100 * ends.lower, 100 * ends.upper], color=ACCENT, linewidth=1.1)
            axes.plot(
                [at], [100 * kept.frac], "D", color=ACCENT, markersize=6,
                label="kept by flags, with 95 % interval",
            )  # fmt: skip
            top = max(top, 100 * ends.upper)
        axes.set_xlim(0, 102)
        axes.set_ylim(-0.03 * top, 1.08 * top)
        axes.set_xlabel("slides kept without a second read, %")
        axes.set_ylabel("wrong among them, %")
        axes.grid(color=LINE, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2)
        bare(axes)
    words = (
        f"Flags keep {kept.n} of {counted(flags.flagged.n, 'slide')}, {kept.k} of them wrong; "
        f"with all slides "
        f"kept {risk[-1]:.1f} % are wrong"
        if risk
        else "no slide"
    )
    return Plate.of(figure, name="risk-coverage", words=words)


def cell_rows(cells: CellAgreement) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of the table of cells: what, how many, precision, recall, F1 or share."""

    def of(label: str, found: Found) -> tuple[str, str, str, str, str]:
        shares = (share_of(value) for value in (found.precision, found.recall, found.f1))
        return (label, count(found.n_known), *shares)  # type: ignore[return-value]

    return [
        of("nuclei met within 3 µm", cells.nuclei),
        of("tumour cells counted", cells.tumor),
        of("membranes with any staining", cells.stained),
        of("complete membranes, weak or stronger", cells.complete),
    ]


def share_of(value: float) -> str:
    return DASH if math.isnan(value) else decimal(value, 3)
