"""Kaplan–Meier curves with the numbers at risk below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from her2path.outcomes.survival import Curve, Survival
from her2path.report.charts import INK, QUIET
from her2path.report.paper import Plate, bare, new_figure, paper_look

__all__ = ["draw_survival", "has_bands"]

# Of the numbers at risk, one row per group.
ROW_INCHES = 0.19
# More intervals than this hide each other.
MOST_BANDS = 3
# Curves are told apart without their colors too.
Dashes = str | tuple[float, Sequence[float]]
DASHES: tuple[Dashes, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
)


def has_bands(survival: Survival) -> bool:
    """Return whether the curves are drawn with their intervals."""
    return len(survival.curves) <= MOST_BANDS


def draw_survival(
    survival: Survival, *, colors: Mapping[str, str], endpoint: str, unit: str, note: str
) -> Plate:
    """Draw the curves of all groups.

    Parameters
    ----------
    survival : Survival
    colors : mapping of str to str
        Color of each group.
    endpoint, unit : str
        What is survived without, and what times are counted in.
    note : str
        The test, written into the plot.
    """
    curves = survival.curves
    with paper_look():
        figure = new_figure(6.2, 3.9 + ROW_INCHES * len(curves))
        axes, below = figure.subplots(
            2, 1, height_ratios=(3.4, 0.25 + ROW_INCHES * len(curves)), sharex=True
        )
        last = max([float(curve.observed.max()) for curve in curves], default=1.0) or 1.0
        lines = [
            draw_curve(
                axes, curve, colors[curve.group], dashes=dashes, has_band=has_bands(survival)
            )
            for curve, dashes in zip(curves, cycle(DASHES), strict=False)
        ]
        axes.axhline(50, color=QUIET, linewidth=0.6, linestyle=(0, (2, 3)), zorder=0)
        axes.set_ylim(0, 102)
        axes.set_xlim(0, last * 1.02)
        axes.set_ylabel(f"{endpoint} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, min_n_ticks=3))
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"Time ({unit})" if unit else "Time")
        bare(axes)
        if curves:
            # A label that begins with _ is passed over unless it is given.
            axes.legend(
                lines, [f"{curve.group} ({curve.n_events} of {curve.n})" for curve in curves],
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(3, len(curves)),
                frameon=False, handlelength=2.8, title=note or None, title_fontsize=8,
                alignment="left", borderaxespad=0.2,
            )  # fmt: skip
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= last * 1.02]
        draw_numbers(below, curves, ticks, colors)
    words = "; ".join(
        f"{curve.group}: {curve.n} patients, {curve.n_events} events, median "
        + ("not reached" if curve.median is None else f"{curve.median:.1f} {unit}".strip())
        for curve in curves
    )
    return Plate.of(figure, name="survival", words=f"{endpoint}: {words or 'nobody observed'}")


def draw_curve(
    axes: Axes,
    curve: Curve,
    color: str,
    *,
    dashes: Dashes,
    has_band: bool,
) -> Line2D:
    """Draw a curve, its interval and its ticks; return the line."""
    end = float(curve.observed.max())
    time = np.append(curve.time, end)
    steps = {
        name: 100 * np.append(values, values[-1])
        for name, values in (
            ("survival", curve.survival), ("lower", curve.lower), ("upper", curve.upper),
        )
    }  # fmt: skip
    if has_band:
        # An end is undefined where nobody is left: the band holds its last width up to there.
        lower, upper = (held(steps[name]) for name in ("lower", "upper"))
        axes.fill_between(time, lower, upper, step="post", color=color, alpha=0.13, linewidth=0)
    (line,) = axes.step(
        time, steps["survival"], where="post", color=color, linewidth=1.5, linestyle=dashes
    )
    if curve.censored.size:
        places = np.searchsorted(curve.time, curve.censored, side="right") - 1
        axes.plot(
            curve.censored, 100 * curve.survival[places], "|", color=color, markersize=5,
            markeredgewidth=0.9,
        )  # fmt: skip
    return line


def held(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with nan replaced by what stands before it."""
    places = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(places)]


def draw_numbers(
    axes: Axes, curves: Sequence[Curve], ticks: Sequence[float], colors: Mapping[str, str]
) -> None:
    """Write how many are at risk under each tick of the time axis."""
    for place, curve in enumerate(curves):
        for tick, n in zip(ticks, curve.at_risk(ticks), strict=True):
            axes.text(tick, place, str(n), ha="center", va="center", fontsize=7.5, color=INK)
        axes.text(
            -0.045, place, curve.group, ha="right", va="center", fontsize=8, fontweight="bold",
            color=colors[curve.group], transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set_ylim(max(len(curves) - 0.4, 0.6), -0.7)
    axes.set_title("Number at risk", loc="left", fontsize=8, color=QUIET, pad=3)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    bare(axes, keep=())
