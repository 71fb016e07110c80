"""Forest plot: estimates with intervals in rows, numbers beside them, one line to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from her2path.report.charts import INK, LINE, QUIET
from her2path.report.paper import Plate, bare, new_figure, paper_look

__all__ = ["ForestRow", "draw_forest"]

ROW_INCHES = 0.27
REFERENCE = "#b35806"
# An interval beyond this ends in an arrow: a group without an event has no upper end.
WIDEST_RATIO = 64.0


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One row: a label, numbers as text, and an estimate with its ends; None draws no mark.

    A `reference` is marked by a bar in the same row: what the estimate is compared with.
    """

    label: str
    numbers: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    reference: float | None = None
    is_heading: bool = False


def draw_forest(
    rows: Sequence[ForestRow],
    *,
    name: str,
    axis: str,
    numbers: str,
    words: str,
    is_ratio: bool = False,
    null: float | None = None,
    reference: str = "",
) -> Plate:
    """Draw estimates in rows, the first on top.

    Parameters
    ----------
    rows : sequence of ForestRow
        Percent, or ratios.
    name : str
        Of the files.
    axis, numbers : str
        What the axis shows; heading of the numbers.
    words : str
        The figure in words.
    is_ratio : bool
        Ratios lie on a logarithmic axis, percent on one from 0 to 100.
    null : float, optional
        Where a line says *no difference*.
    reference : str
        What the marks of `ForestRow.reference` are, for the legend.
    """
    with paper_look():
        figure = new_figure(7.0, 0.85 + ROW_INCHES * len(rows) + (0.2 if reference else 0))
        label_at, axes, number_at = figure.subplots(1, 3, width_ratios=(2.6, 3.0, 1.9), sharey=True)
        low, high = limits(rows, is_ratio=is_ratio)
        if null is not None:
            axes.axvline(null, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        for place, row in enumerate(rows):
            weight = "bold" if row.is_heading else "normal"
            label_at.text(0, place, row.label, va="center", ha="left", fontweight=weight)
            number_at.text(0, place, row.numbers, va="center", ha="left")
            if row.reference is not None:
                axes.plot(
                    [row.reference] * 2, [place - 0.32, place + 0.32], color=REFERENCE,
                    label=reference if place == first_reference(rows) else None, linewidth=2.2,
                )  # fmt: skip
            if row.value is None:
                continue
            if row.lower is not None and row.upper is not None:
                ends = (max(row.lower, low), min(row.upper, high))
                axes.plot(ends, [place, place], color=INK, linewidth=1.1, zorder=2)
                for end, limit, mark in ((row.lower, low, "<"), (row.upper, high, ">")):
                    is_beyond = end < low if mark == "<" else end > high
                    if is_beyond:
                        axes.plot([limit], [place], mark, color=INK, markersize=5, clip_on=False)
            axes.plot(
                [min(max(row.value, low), high)], [place], "s", color=INK, markersize=5, zorder=3
            )
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(low, high)
        if is_ratio:
            axes.set_xscale("log", base=2)
            axes.set_xlim(low, high)
            ticks = [2.0**k for k in range(round(math.log2(low)), round(math.log2(high)) + 1)]
            while len(ticks) > 8:
                ticks = ticks[::2]
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(axis)
        axes.tick_params(left=False, labelleft=False)
        axes.grid(axis="x", color=LINE, linewidth=0.4)
        axes.set_axisbelow(True)
        bare(axes, keep=("bottom",))
        number_at.set_title(numbers, loc="left", fontsize=8, fontweight="bold")
        for at in (label_at, number_at):
            at.set_xlim(0, 1)
            at.set_axis_off()
        if reference and first_reference(rows) >= 0:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), frameon=False, borderpad=0)
    return Plate.of(figure, name=name, words=words)


def first_reference(rows: Sequence[ForestRow]) -> int:
    return next((i for i, row in enumerate(rows) if row.reference is not None), -1)


def limits(rows: Sequence[ForestRow], *, is_ratio: bool) -> tuple[float, float]:
    """Return the ends of the axis: whole steps, with 1 inside for ratios."""
    if not is_ratio:
        return 0.0, 100.0
    found = [
        number
        for row in rows
        for number in (row.value, row.lower, row.upper)
        if number is not None and math.isfinite(number) and number > 0
    ]
    low = min([*found, 0.5])
    high = max([*found, 2.0])
    low, high = max(low, 1 / WIDEST_RATIO), min(high, WIDEST_RATIO)
    return 2.0 ** math.floor(math.log2(low)), 2.0 ** math.ceil(math.log2(high))
