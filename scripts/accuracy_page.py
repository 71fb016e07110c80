"""The page of an accuracy run: tables, and true against measured shares as drawings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from accuracy_measures import SlideAccuracy

from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.results.atomic import write_text
from her2path.results.colors import SCORE_COLORS

SIDE, MARGIN = 360, 44
STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:82rem;padding:0 1rem}
table{border-collapse:collapse;margin:0 0 1.5rem;font-variant-numeric:tabular-nums}
td,th{padding:2px 9px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.wide{overflow-x:auto}svg{margin-right:1rem;max-width:100%}text{font:12px system-ui,sans-serif}"""


def write_page(
    path: Path,
    slides: Sequence[SlideAccuracy],
    *,
    title: str,
    lines: Mapping[str, str],
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]],
) -> None:
    """Write one HTML file that needs nothing else.

    Parameters
    ----------
    path : Path
        The file.
    slides : sequence of SlideAccuracy
        What the drawings show.
    title : str
        Heading.
    lines : mapping of str to str
        Figures over all slides by name.
    tables : mapping of str to (heads, rows)
        Further tables by heading.
    """
    drawings = [
        scatter(slides, "pct_stained", "Share stained, %", 100),
        scatter(slides, "pct_complete", "Share complete, %", 100),
        scatter(slides, "h_score", "H-score", 300),
    ]
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>",
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
        table_of(("figure", "value"), list(lines.items())),
        "<h2>True (across) against measured (up)</h2><div>",
        *drawings,
        "</div><p>Colour is the true score: ",
        ", ".join(
            f"<span style='color:{color_of(score)}'>●</span> {score}" for score in EXPRESSION_SCORES
        ),
        "; a black ring marks a wrong score. Axes go by the square root.</p>",
    ]
    for heading, (heads, rows) in tables.items():
        parts.append(f"<h2>{escape(heading)}</h2><div class='wide'>{table_of(heads, rows)}</div>")
    parts.append("<p>For research use only. Synthetic slides: not a clinical accuracy.</p></html>")
    write_text(path, "\n".join(parts) + "\n")


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML."""
    first = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{first}</tr>{body}</table>"


def scatter(slides: Sequence[SlideAccuracy], name: str, label: str, most: float) -> str:
    """Draw known against measured values; colour tells the true score, a ring a miss."""

    def at(value: float) -> float:
        # The square root spreads the low end, where 0, 0+ and 1+ part.
        return (SIDE - MARGIN - 12) * math.sqrt(max(value, 0) / most)

    left, bottom = MARGIN, SIDE - MARGIN
    parts = [
        f"<svg width='{SIDE}' height='{SIDE}' viewBox='0 0 {SIDE} {SIDE}' role='img' "
        f"aria-label='{escape(label)}: true against measured'>",
        f"<line x1='{left}' y1='{bottom}' x2='{left + at(most):.0f}' "
        f"y2='{bottom - at(most):.0f}' stroke='#999' stroke-dasharray='4 3'/>",
    ]
    for tick in (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0):
        value, shift = tick * most, at(tick * most)
        parts.append(
            f"<path d='M{left} {bottom - shift:.1f}h-5M{left + shift:.1f} {bottom}v5' "
            f"stroke='#333'/><text x='{left - 8}' y='{bottom - shift + 4:.1f}' "
            f"text-anchor='end'>{value:g}</text><text x='{left + shift:.1f}' y='{bottom + 18}' "
            f"text-anchor='middle'>{value:g}</text>"
        )
    parts.append(
        f"<path d='M{left} {bottom - at(most):.0f}V{bottom}H{left + at(most):.0f}' "
        f"fill='none' stroke='#333'/><text x='{SIDE / 2}' y='{SIDE - 6}' "
        f"text-anchor='middle'>{escape(label)}</text>"
    )
    for slide in slides:
        if not slide.is_assessed:
            continue
        ring = "none" if slide.is_exact else "#000"
        parts.append(
            f"<circle cx='{left + at(slide.known[name]):.1f}' "
            f"cy='{bottom - at(slide.measured[name]):.1f}' r='5' "
            f"fill='{color_of(slide.true_score)}' stroke='{ring}' stroke-width='2'>"
            f"<title>{escape(slide.slide_id)}: true {slide.known[name]:.1f}, measured "
            f"{slide.measured[name]:.1f}; {slide.true_score} scored {slide.score}</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def color_of(score: Score) -> str:
    """Return the colour of a score as CSS."""
    red, green, blue = SCORE_COLORS[score]
    return f"rgb({red},{green},{blue})"
