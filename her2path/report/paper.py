"""Figures fit for a paper: one look, and SVG and PNG of the same drawing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from her2path.report.charts import INK, QUIET
from her2path.results.atomic import remove_file, write_bytes

__all__ = ["Plate", "bare", "new_figure", "paper_look", "write_plates"]

# What journals ask of a figure with lines and text.
DPI = 300
LOOK: Any = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    # Letters as outlines look the same in every viewer; names of parts must not be random.
    # A dollar sign in a name is a dollar sign.
    "text.parse_math": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "her2path",
}


@dataclass(frozen=True, slots=True)
class Plate:
    """One drawing as SVG and PNG, with what it shows in words."""

    name: str
    words: str
    svg: bytes
    png: bytes

    @classmethod
    def of(cls, figure: Figure, *, name: str, words: str) -> Plate:
        """Draw a figure in both formats; the same figure gives the same bytes."""
        svg, png = StringIO(), BytesIO()
        with paper_look():
            figure.draw_without_rendering()
            # What fits once fits in both formats, and fitting takes most of the time.
            figure.set_layout_engine("none")
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        return cls(name, words, svg.getvalue().encode(), png.getvalue())

    @property
    def uri(self) -> Markup:
        """The SVG as a data URI, for a page that needs no other file."""
        return Markup("data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii"))


def write_plates(folder: Path, plates: Mapping[str, Plate | None]) -> None:
    """Write NAME.svg and NAME.png of each plate; those of an earlier run that has none now go."""
    for name, plate in plates.items():
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            if plate is None:
                remove_file(path)
            else:
                write_bytes(path, getattr(plate, suffix))


def paper_look() -> AbstractContextManager[None]:
    """Give whatever is drawn in the block the look of all figures."""
    return mpl.rc_context(LOOK)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes, *, keep: tuple[str, ...] = ("left", "bottom")) -> None:
    """Hide the sides of the frame that carry no axis."""
    for name, spine in axes.spines.items():
        spine.set_visible(name in keep)
