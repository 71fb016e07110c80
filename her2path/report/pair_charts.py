"""Charts of a pair: both sides against the cut, and changes against their bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from her2path.report.charts import (
    INK,
    LINE,
    QUIET,
    axis_limit,
    box,
    framed,
    hex_of,
    line,
    text,
    tick_step,
)
from her2path.report.wording import decimal, percent
from her2path.results.colors import Rgb
from her2path.statistics.intervals import Interval

__all__ = ["ChangeRow", "change_chart", "cut_chart", "signed"]

BAND = "#d9dee5"


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change: its name, value, interval and band, all in one unit."""

    name: str
    change: float
    interval: Interval | None
    band: float | None


def whisker(low: float, high: float, y: float) -> list[str]:
    return [
        line(low, y, high, y, INK, 2),
        line(low, y - 6, low, y + 6, INK, 2),
        line(high, y - 6, high, y + 6, INK, 2),
    ]


def dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="6" fill="{INK}" stroke="#fff" stroke-width="2"/>'


def change_chart(rows: Sequence[ChangeRow], *, unit: str, key: str, title: str) -> Markup:
    """Draw changes with their intervals about zero; the band of repeats is shaded."""
    row_height, left, right, top = 42, 130, 66, 24
    width, base = 520, top + row_height * len(rows)
    ends = [0.0]
    for row in rows:
        ends += [abs(row.change), row.band or 0.0]
        ends += [abs(row.interval.lower), abs(row.interval.upper)] if row.interval else []
    limit = axis_limit(max(ends))
    room = width - left - right

    def at(value: float) -> float:
        return left + room * (min(max(value, -limit), limit) + limit) / (2 * limit)

    parts = []
    for index, row in enumerate(rows):
        y = top + row_height * (index + 0.5)
        if row.band is not None:
            parts.append(box(at(-row.band), y - 15, at(row.band) - at(-row.band), 30, BAND))
        parts.append(text(left - 12, y - 2, row.name, anchor="end", style="strong"))
        parts.append(text(left - 12, y + 14, signed(row.change), anchor="end"))
        parts.append(line(left, y, width - right, y, LINE))
        if row.interval:
            parts += whisker(at(row.interval.lower), at(row.interval.upper), y)
        parts.append(dot(at(row.change), y))
    parts.append(line(at(0), top - 6, at(0), base, QUIET, 1.5))
    parts.append(line(left, base, width - right, base, QUIET))
    step = tick_step(2 * limit)
    tick = -step * int(limit / step + 1e-9)
    while tick <= limit * (1 + 1e-9):
        parts.append(line(at(tick), base, at(tick), base + 5, QUIET))
        parts.append(text(at(tick), base + 20, f"{tick:+g}" if tick else "0", anchor="middle"))
        tick += step
    parts.append(text(width - 2, base + 20, unit, anchor="end", style="quiet"))
    parts.append(text(at(0), 12, "lower after | higher after", anchor="middle", style="quiet"))
    words = "; ".join(
        f"{row.name}: {signed(row.change)}"
        + (
            f", 95 % interval {signed(row.interval.lower)} to {signed(row.interval.upper)}"
            if row.interval
            else ""
        )
        + (f", band ±{decimal(row.band, 1)}" if row.band is not None else "")
        for row in rows
    )
    size = (width, base + 26)
    return framed("".join(parts), key=key, size=size, title=title, words=words)


def signed(value: float) -> str:
    """Write a change with its sign and one decimal."""
    rounded = round(value, 1) + 0.0
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{decimal(abs(rounded), 1)}"


def cut_chart(
    sides: Sequence[tuple[str, float, Interval | None]],
    *,
    cut: float,
    beyond: tuple[str, Rgb],
    key: str,
    title: str,
) -> Markup:
    """Draw a share of both sides with intervals on one axis, with the cut between two scores."""
    row_height, left, right, top = 36, 60, 34, 22
    width, base = 520, top + row_height * len(sides)
    largest = max([cut, *(value for _, value, _ in sides), *(i.upper for _, _, i in sides if i)])
    limit = axis_limit(largest, highest=100.0)
    room = width - left - right

    def at(value: float) -> float:
        return left + room * min(max(value, 0.0), limit) / limit

    name, color = beyond
    parts = [
        box(at(cut), top, at(limit) - at(cut), base - top, hex_of(color), ' fill-opacity="0.22"'),
        line(left, base, at(limit), base, QUIET),
        line(at(cut), top - 4, at(cut), base + 5, INK, 2),
        text(min(at(cut) + 4, width - 170), 12, f"cut for {name}: {percent(cut)}", style="strong"),
    ]
    for index, (side, value, interval) in enumerate(sides):
        y = top + row_height * (index + 0.5)
        parts.append(text(left - 10, y + 5, side, anchor="end", style="strong"))
        if interval:
            parts += whisker(at(interval.lower), at(interval.upper), y)
        parts.append(dot(at(value), y))
    step, tick = tick_step(limit), 0.0
    while tick <= limit * (1 + 1e-9):
        parts.append(line(at(tick), base, at(tick), base + 5, QUIET))
        parts.append(text(at(tick), base + 20, f"{tick:g}", anchor="middle", style="quiet"))
        tick += step
    parts.append(text(width - 4, base + 20, "%", anchor="end", style="quiet"))
    words = "; ".join(f"{side} {percent(value)}" for side, value, _ in sides)
    size = (width, base + 26)
    return framed(
        "".join(parts), key=key, size=size, title=title, words=f"{words}; cut {percent(cut)}"
    )
