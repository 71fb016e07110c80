"""Outlines of cells over a picture, as SVG: sharp at every size, on screen and on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from her2path.cells.table import N_SECTORS, OUTLINE_STEP_UM
from her2path.criteria.score import Intensity
from her2path.report.charts import INK, hex_of
from her2path.report.fields import FieldCell, FieldPicture
from her2path.results.colors import INTENSITY_COLORS

__all__ = ["UNSTAINED_COLOR", "outline_paths", "overlay"]

# Sectors without staining: seen, but quieter than every class.
UNSTAINED_COLOR = (96, 125, 150)
NOT_COUNTED_COLOR = (70, 70, 70)
DIRECTIONS = [
    (math.cos(2 * math.pi * k / N_SECTORS), math.sin(2 * math.pi * k / N_SECTORS))
    for k in range(N_SECTORS)
]

Points = list[tuple[float, float]]


def outline_paths(cell: FieldCell, *, mpp: float) -> tuple[str, str]:
    """Return the stained and the unstained part of an outline as SVG path data, px.

    A sector reaches half-way to its neighbours on both sides.
    """
    scale = OUTLINE_STEP_UM / mpp
    points = [
        (cell.x + radius * scale * dx, cell.y + radius * scale * dy)
        for radius, (dx, dy) in zip(cell.radii, DIRECTIONS, strict=True)
    ]
    is_stained = [bool(cell.stained_sectors >> k & 1) for k in range(N_SECTORS)]
    return arcs(points, is_stained), arcs(points, [not stained for stained in is_stained])


def arcs(points: Points, is_drawn: Sequence[bool]) -> str:
    if all(is_drawn):
        return "M" + "L".join(written(point) for point in points) + "Z"
    if not any(is_drawn):
        return ""
    n = len(points)
    first = next(k for k in range(n) if is_drawn[k] and not is_drawn[k - 1])
    parts: list[str] = []
    is_open = False
    for step in range(n):
        k = (first + step) % n
        if not is_drawn[k]:
            is_open = False
            continue
        if not is_open:
            parts.append("M" + written(between(points[k - 1], points[k])))
            is_open = True
        parts.append("L" + written(points[k]))
        parts.append("L" + written(between(points[k], points[(k + 1) % n])))
    return "".join(parts)


def between(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def written(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def overlay(shown: FieldPicture) -> Markup:
    """Return the outlines of a field; one path per class, so that a page stays small."""
    unstained: list[str] = []
    thin: dict[Intensity, list[str]] = {level: [] for level in Intensity}
    thick: dict[Intensity, list[str]] = {level: [] for level in Intensity}
    dots: list[str] = []
    marks: list[str] = []
    for cell in shown.cells:
        if not cell.is_counted and not cell.is_marked:
            dots.append(f'<circle cx="{cell.x:.1f}" cy="{cell.y:.1f}" r="4"/>')
            continue
        if len(cell.radii) != N_SECTORS:
            continue
        stained, rest = outline_paths(cell, mpp=shown.mpp)
        unstained.append(rest)
        (thick if cell.is_marked else thin)[cell.intensity].append(stained)
        if cell.is_marked:
            # A white core tells the cells that the field is about from their neighbours.
            marks.append(f'<circle cx="{cell.x:.1f}" cy="{cell.y:.1f}" r="5"/>')
    parts = [stroke("".join(unstained), hex_of(UNSTAINED_COLOR), 1.2)]
    for level in Intensity:
        for paths, width in ((thin[level], 2.0), (thick[level], 3.2)):
            data = "".join(paths)
            # A pale edge keeps dark red apart from dark brown.
            parts.append(stroke(data, "#ffffff", width + 1.6, opacity=0.75))
            parts.append(stroke(data, hex_of(INTENSITY_COLORS[level]), width))
    grey = hex_of(NOT_COUNTED_COLOR)
    parts.append(f'<g fill="{grey}" stroke="#fff" stroke-width="1">{"".join(dots)}</g>')
    parts.append(f'<g fill="#fff" stroke="{INK}" stroke-width="2">{"".join(marks)}</g>')
    return Markup("".join(parts))


def stroke(data: str, color: str, width: float, *, opacity: float = 1.0) -> str:
    if not data:
        return ""
    clear = f' stroke-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<path d="{data}" fill="none" stroke="{color}" stroke-width="{width:g}"{clear} '
        'stroke-linecap="butt" stroke-linejoin="round"/>'
    )
