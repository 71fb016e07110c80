"""Alluvial plot: what each score before became after; ribbons have the colour they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.report.charts import INK, QUIET, hex_of
from her2path.report.paper import Plate, bare, new_figure, paper_look
from her2path.results.colors import SCORE_COLORS

__all__ = ["draw_alluvial"]

# Of the width between the axes.
NODE = 0.045
# Of the height of all pairs, between two scores.
GAP = 0.035
# A ribbon thinner than this share of all pairs holds no number.
LEAST_LABELLED = 0.03


def draw_alluvial(transitions: NDArray[np.int64]) -> Plate:
    """Draw the transitions of a cohort.

    Parameters
    ----------
    transitions : ndarray of shape (5, 5), int
        Pairs before (rows) by after, in the order 0, 0+, 1+, 2+, 3+.
    """
    with paper_look():
        figure = new_figure(5.6, 4.2)
        axes = figure.subplots()
        if transitions.sum():
            draw(axes, transitions)
        axes.set_axis_off()
    return Plate.of(figure, name="alluvial", words=words_of(transitions))


def words_of(transitions: NDArray[np.int64]) -> str:
    """Say the transitions, most frequent first, for those who cannot see them."""
    found = [
        (int(transitions[before.rank, after.rank]), f"from {before.value} to {after.value}")
        for before in EXPRESSION_SCORES
        for after in EXPRESSION_SCORES
        if transitions[before.rank, after.rank]
    ]
    found.sort(key=lambda part: -part[0])
    parts = ", ".join(f"{n} {change}" for n, change in found)
    return f"{int(transitions.sum())} pairs: {parts or 'none'}"


def stacked(totals: Sequence[int]) -> dict[Score, tuple[float, float]]:
    """Return bottom and top of each score that occurs, 3+ on top, centred on one height."""
    n = sum(totals)
    shown = [score for score in EXPRESSION_SCORES if totals[score.rank]]
    # Both axes are as high as one with all scores would be.
    y = GAP * (len(EXPRESSION_SCORES) - len(shown)) / 2
    places = {}
    for score in shown:
        height = totals[score.rank] / n
        places[score] = (y, y + height)
        y += height + GAP
    return places


def draw(axes: Axes, transitions: NDArray[np.int64]) -> None:
    n = int(transitions.sum())
    before, after = transitions.sum(axis=1).tolist(), transitions.sum(axis=0).tolist()
    left, right = stacked(before), stacked(after)
    leaving = {score: bottom for score, (bottom, _) in left.items()}
    arriving = {score: bottom for score, (bottom, _) in right.items()}
    for source in EXPRESSION_SCORES:
        for target in EXPRESSION_SCORES:
            count = int(transitions[source.rank, target.rank])
            if not count:
                continue
            width = count / n
            y0, y1 = leaving[source], arriving[target]
            leaving[source] += width
            arriving[target] += width
            color = hex_of(SCORE_COLORS[source])
            axes.add_patch(
                PathPatch(ribbon(y0, y1, width), facecolor=color, alpha=0.55, edgecolor="none")
            )
            if width >= LEAST_LABELLED:
                for x, y, side in ((NODE + 0.012, y0, "left"), (1 - NODE - 0.012, y1, "right")):
                    axes.text(
                        x, y + width / 2, str(count), ha=side, va="center", fontsize=7, color=INK
                    )
    for places, totals, x, side in (
        (left, before, 0.0, "right"),
        (right, after, 1 - NODE, "left"),
    ):
        for score, (bottom, top) in places.items():
            axes.add_patch(
                Rectangle(
                    (x, bottom), NODE, top - bottom, facecolor=hex_of(SCORE_COLORS[score]),
                    edgecolor=INK, linewidth=0.6,
                )
            )  # fmt: skip
            share = 100 * totals[score.rank] / n
            axes.text(
                -0.015 if side == "right" else 1.015,
                (bottom + top) / 2,
                f"{score.value}   {totals[score.rank]} ({share:.0f} %)",
                ha=side, va="center", fontsize=8, fontweight="bold",
            )  # fmt: skip
    top = 1 + GAP * (len(EXPRESSION_SCORES) - 1)
    for x, words in ((NODE / 2, "Before"), (1 - NODE / 2, "After")):
        axes.text(x, top + 0.03, words, ha="center", va="bottom", fontsize=9, fontweight="bold")
    axes.text(0.5, top + 0.03, f"{n} pairs", ha="center", va="bottom", fontsize=8, color=QUIET)
    axes.set_xlim(-0.2, 1.2)
    axes.set_ylim(-0.02, top + 0.08)
    bare(axes, keep=())


def ribbon(y0: float, y1: float, width: float) -> Outline:
    """Return the outline of one ribbon, level at both ends."""
    x0, x1 = NODE, 1 - NODE
    middle = (x0 + x1) / 2
    points = [
        (x0, y0), (middle, y0), (middle, y1), (x1, y1),
        (x1, y1 + width), (middle, y1 + width), (middle, y0 + width), (x0, y0 + width), (x0, y0),
    ]  # fmt: skip
    curve = Outline.CURVE4
    codes = [
        Outline.MOVETO, curve, curve, curve,
        Outline.LINETO, curve, curve, curve, Outline.CLOSEPOLY,
    ]  # fmt: skip
    return Outline(points, codes)
