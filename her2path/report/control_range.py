"""The controls of good runs in words and a figure, for who holds later runs to them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from her2path.pipeline.control_range import USUAL_RUNS, ControlRange
from her2path.results.atomic import write_bytes
from her2path.results.record import RESEARCH_USE

__all__ = ["control_range_words", "write_control_chart"]

INK, INSIDE, OUTSIDE = "#1c2430", "#2f6f9f", "#b3261e"


def control_range_words(expected: ControlRange) -> str:
    """Return the range, the runs outside of it, and what to mind."""
    low, high = expected.interval.lower, expected.interval.upper
    n = len(expected.runs)
    lines = [
        f"Control tissue of {n} slides: {low:.3f} to {high:.3f} OD, typically "
        f"{expected.typical_od:.3f}"
    ]
    lines += [
        f"  - {run.slide_id} stains at {run.od:.3f} OD, outside: was its run a good one?"
        for run in expected.outside
    ]
    if n < USUAL_RUNS:
        lines.append(
            f"  - {USUAL_RUNS} runs are usual; with {n} the range is wider than the runs scatter"
        )
    lines += [f"  - left out: {reason}" for reason in expected.left_out]
    return "\n".join(lines)


def write_control_chart(path: Path, expected: ControlRange) -> None:
    """Draw the control of each run with the range (after Levey and Jennings), as PNG.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    runs, interval = expected.runs, expected.interval
    figure = Figure(figsize=(max(6.0, 2.0 + 0.22 * min(len(runs), 100)), 4.2), dpi=120)
    FigureCanvasAgg(figure)
    at = figure.subplots()
    at.axhspan(interval.lower, interval.upper, color=INSIDE, alpha=0.12, linewidth=0)
    at.axhline(expected.typical_od, color=INK, linewidth=1.0, linestyle="--")
    colors = [INSIDE if run.od in interval else OUTSIDE for run in runs]
    places = list(range(1, len(runs) + 1))
    at.scatter(places, [run.od for run in runs], c=colors, s=26, zorder=3)
    at.set_yscale("log")
    lowest = min(interval.lower, *(run.od for run in runs))
    highest = max(interval.upper, *(run.od for run in runs))
    at.set_ylim(lowest / 1.15, highest * 1.15)
    ends = (interval.lower, expected.typical_od, interval.upper)
    at.set_yticks(ends, [f"{value:.3f}" for value in ends])
    at.set_yticks([], minor=True)
    at.set_xlim(0, len(runs) + 1)
    at.set_xlabel("slide, in the order of the results")
    at.set_ylabel("membrane OD of the control")
    at.set_title(f"Control tissue of {len(runs)} slides", loc="left", fontsize=11)
    at.spines[["top", "right"]].set_visible(False)
    figure.text(0.005, 0.005, RESEARCH_USE, ha="left", va="bottom", fontsize=6, color="#5b6573")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    data = BytesIO()
    # Without a date and a version the same runs give the same bytes.
    figure.savefig(data, format="png", metadata={"Software": None})
    write_bytes(path, data.getvalue())
