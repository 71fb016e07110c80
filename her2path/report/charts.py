"""Charts as inline SVG: each has a title, a description in words, and its numbers as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from her2path.report.wording import beside_cut, interval, percent
from her2path.results.colors import Rgb

__all__ = [
    "INK",
    "LINE",
    "QUIET",
    "Segment",
    "axis_limit",
    "box",
    "deciding_axis",
    "framed",
    "hex_of",
    "line",
    "probability_bars",
    "stacked_bar",
    "text",
    "text_on",
    "tick_step",
]

# Of every chart and figure; the style sheets of report and review have the same.
INK = "#1c2430"
QUIET = "#5b6573"
LINE = "#c4cbd4"
# Narrower than this a number does not fit into its part of the bar; the table beside it has it.
LEAST_LABEL_PCT = 5.0
# Of bold text of the size of a chart, px, on the wide side.
LETTER_WIDTH = 8.2


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar: its name, its value (percent) and its color."""

    name: str
    value: float
    color: Rgb


def hex_of(color: Rgb) -> str:
    """Return a color as SVG and CSS write it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def text_on(color: Rgb) -> str:
    """Return black or white, whichever reads better on a color (WCAG relative luminance)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in color)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Equally far from both at 0.179; pure black keeps at least 4.5 on a medium grey.
    return "#000000" if luminance > 0.179 else "#ffffff"


def framed(body: str, *, key: str, size: tuple[int, int], title: str, words: str) -> Markup:
    """Wrap a drawing; `key` must be unique in the page. `body` holds escaped text only."""
    name = escape(key)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-labelledby="{name}-t {name}-d" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(words)}</desc>{body}</svg>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", style: str = "") -> str:
    """Return a text as SVG, held by its start, middle or end; `style` is a class of the page."""
    look = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    """Return a rectangle as SVG; `more` holds further attributes, escaped."""
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{height:.2f}" '
        f'fill="{fill}"{more}/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> str:
    """Return a straight line as SVG."""
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" '
        f'stroke="{color}" stroke-width="{width:g}"/>'
    )


def stacked_bar(segments: Sequence[Segment], *, key: str, title: str) -> Markup:
    """Draw shares that sum to 100 as one bar; parts too narrow for their number show none."""
    width, height = 720, 34
    total = sum(segment.value for segment in segments) or 1.0
    parts, x = [], 0.0
    for segment in segments:
        share = width * segment.value / total
        if share > 0:
            edge = ' stroke="#fff" stroke-width="1"'
            parts.append(box(x, 0, share, height, hex_of(segment.color), edge))
        if 100 * segment.value / total >= LEAST_LABEL_PCT:
            label = f'<text x="{x + share / 2:.1f}" y="22" text-anchor="middle"'
            ink = text_on(segment.color)
            parts.append(f'{label} fill="{ink}">{escape(percent(segment.value))}</text>')
        x += share
    parts.append(box(0.5, 0.5, width - 1, height - 1, "none", f' stroke="{QUIET}"'))
    words = ", ".join(f"{segment.name} {percent(segment.value)}" for segment in segments)
    return framed("".join(parts), key=key, size=(width, height), title=title, words=words)


def probability_bars(segments: Sequence[Segment], *, key: str, title: str) -> Markup:
    """Draw one bar per score; values are percent."""
    row, left, right = 19, 30, 62
    width, height = 280, row * len(segments) + 2
    room = width - left - right
    parts = []
    for index, segment in enumerate(segments):
        y = index * row + 2
        parts.append(text(left - 8, y + 13, segment.name, anchor="end", style="strong"))
        parts.append(box(left, y, room, row - 6, "#eef1f4"))
        if segment.value > 0:
            bar = max(room * segment.value / 100, 1.0)
            parts.append(box(left, y, bar, row - 6, hex_of(segment.color), f' stroke="{QUIET}"'))
        parts.append(text(width - 2, y + 13, percent(segment.value), anchor="end"))
    words = ", ".join(f"{segment.name}: {percent(segment.value)}" for segment in segments)
    return framed("".join(parts), key=key, size=(width, height), title=title, words=words)


def axis_limit(largest: float, *, highest: float = 100.0) -> float:
    """Return the end of an axis that shows `largest` with room beyond it: 1, 2, 5, 10."""
    if largest <= 0:
        return min(1.0, highest)
    wanted = 1.15 * largest
    power = 10.0 ** math.floor(math.log10(wanted))
    end = next(power * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if power * step >= wanted)
    return min(end, highest)


def tick_step(limit: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that gives about five ticks."""
    power = 10.0 ** math.floor(math.log10(limit / 4))
    return max(step * power for step in (1, 2, 5) if step * power <= limit / 4)


def deciding_axis(
    value: float,
    cut: float,
    *,
    comparison: str,
    unit: str,
    ends: tuple[float, float] | None,
    beyond: Segment,
    key: str,
    title: str,
) -> Markup:
    """Draw a number and its interval on an axis, with the cut and what lies beyond it.

    Parameters
    ----------
    value, cut : float
        In `unit`.
    comparison : str
        '>' or '≥': how the number must compare with the cut.
    unit : str
        '%' or 'cells'.
    ends : tuple of 2 float or None
        95 % interval, where there is one.
    beyond : Segment
        Name and color of the score that lies beyond the cut; its value is not used.
    key, title : str
        Unique name in the page; what is shown.
    """
    width, height, left, base = 280, 88, 8, 60
    # Room for the unit beside the last number of the axis.
    right = 18 + LETTER_WIDTH * len(unit)
    largest = max(value, cut, ends[1] if ends else 0.0)
    limit = axis_limit(largest, highest=100.0 if unit == "%" else math.inf)
    room = width - left - right

    def at(number: float) -> float:
        return left + room * min(max(number, 0.0), limit) / limit

    tint = hex_of(beyond.color)
    parts = [
        box(at(cut), 20, at(limit) - at(cut), base - 20, tint, ' fill-opacity="0.22"'),
        line(left, base, at(limit), base, QUIET),
    ]
    step, tick = tick_step(limit), 0.0
    while tick <= limit * (1 + 1e-9):
        parts.append(line(at(tick), base, at(tick), base + 5, QUIET))
        parts.append(text(at(tick), base + 20, f"{tick:g}", anchor="middle", style="quiet"))
        tick += step
    parts.append(text(width - 2, base + 20, unit, anchor="end", style="quiet"))
    parts.append(line(at(cut), 16, at(cut), base + 5, INK, 2))
    number, limit_words = beside_cut(value, cut, unit)
    label = f"{beyond.name} when {comparison} {limit_words}"
    if at(cut) + 6 + LETTER_WIDTH * len(label) <= width:
        parts.append(text(at(cut) + 6, 12, label, style="strong"))
    else:
        # Fonts differ: held by its end, it keeps its last letter with each of them.
        parts.append(text(width - 2, 12, label, anchor="end", style="strong"))
    if ends:
        low, high = at(ends[0]), at(ends[1])
        parts += [line(low, 43, high, 43, INK, 2), line(low, 37, low, 49, INK, 2)]
        parts.append(line(high, 37, high, 49, INK, 2))
    parts.append(
        f'<circle cx="{at(value):.2f}" cy="43" r="6" fill="{INK}" stroke="#fff" stroke-width="2"/>'
    )
    words = f"{title}: {number}"
    if ends:
        words += f", 95 % interval {interval(*ends)} %"
    words += f"; {beyond.name} needs {comparison} {limit_words}."
    return framed("".join(parts), key=key, size=(width, height), title=title, words=words)
