"""What a calibration rests on, for a person who decides whether to use it: a text and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from her2path.cells.calibrating import ControlReading
from her2path.criteria.score import EXPRESSION_SCORES, Intensity
from her2path.pipeline.calibrate import SiteCalibration
from her2path.report.charts import INK, QUIET
from her2path.results.atomic import write_bytes, write_text
from her2path.results.colors import INTENSITY_COLORS
from her2path.results.record import RESEARCH_USE

__all__ = ["calibration_words", "write_calibration_summary"]

OD_SHOWN = (0.01, 3.0)
BINS = np.geomspace(*OD_SHOWN, 61)
# Intensities between which each cut lies, low to high.
CLASSES = tuple(Intensity)[1:]


def write_calibration_summary(site: SiteCalibration, json_path: Path) -> tuple[Path, Path]:
    """Write the text and the figure beside a calibration; return their paths.

    Raises
    ------
    ResultsError
        If they cannot be written.
    """
    words, figure = json_path.with_suffix(".txt"), json_path.with_suffix(".png")
    write_text(words, calibration_words(site) + "\n")
    write_bytes(figure, figure_of(site))
    return words, figure


def calibration_words(site: SiteCalibration) -> str:
    """Return the numbers of a calibration, what it sees on its controls, and what to mind."""
    made = site.calibration
    cuts = made.intensity
    low, high = made.mpp_range
    vectors = "measured" if site.stains.is_measured else "reference"
    angles = made.matrix.angles_to_reference_deg()
    glass = ", ".join(f"{v:g}" for v in made.white_point) if made.white_point else "not known"
    reader = f"network {made.network[:12]}" if made.network else "the rules alone"
    lines = [
        f"Calibration {made.name}",
        f"  {made.source}",
        f"  scanner          {made.scanner or 'any'}, {low:.3f} to {high:.3f} µm/px",
        f"  cells found by   {'anything' if made.network is None else reader}",
        f"  white point      {glass}",
        f"  stain vectors    {vectors}; hematoxylin {angles[0]:.1f}° and DAB {angles[1]:.1f}° from "
        "the reference",
        f"  limit of blank   {made.min_line_contrast_od:.3f} OD of line contrast; up to "
        f"{made.blank_upper_pct:.1f} % of cells on tissue without HER2",
        f"  membrane OD      weak from {cuts.weak_od:.3f}, moderate from {cuts.moderate_od:.3f}, "
        f"intense from {cuts.intense_od:.3f}",
        "",
        "What it sees on its controls (percent of tumor cells)",
        f"  {'control':30} score   cells  none faint  weak  mod.  int. complete",
    ]
    lines += [control_line(control) for control in site.calibrated.controls]
    if site.remarks:
        lines += ["", "Mind", *(f"  - {remark}" for remark in site.remarks)]
    return "\n".join([*lines, "", RESEARCH_USE])


def control_line(control: ControlReading) -> str:
    shares = "".join(f"{100 * n / control.n_cells:6.1f}" for n in control.counts)
    return (
        f"  {control.slide_id:30.30} {control.score.value:5} {control.n_cells:7,}{shares}"
        f"{control.complete_pct:9.1f}"
    )


def figure_of(site: SiteCalibration) -> bytes:
    """Draw the membrane OD of each score with the cuts, as PNG."""
    groups = [
        (score.value, [c for c in site.calibrated.controls if c.score is score])
        for score in EXPRESSION_SCORES
    ]
    shown = [(name, controls) for name, controls in groups if controls]
    figure = Figure(figsize=(8.0, 1.4 + 1.3 * len(shown)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for at, (name, controls) in zip(axes, shown, strict=True):
        draw_score(at, name, controls, site)
    name_classes(axes[0], site)
    axes[-1].set_xlabel("DAB OD of the membrane line, stained cells")
    title = f"Calibration {site.calibration.name}"
    # A name may hold a dollar sign, which else begins a formula.
    figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    figure.text(0.005, 0.002, RESEARCH_USE, ha="left", va="bottom", fontsize=6, color=QUIET)
    data = BytesIO()
    # Without a date and a version the same controls give the same bytes.
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def name_classes(at: Axes, site: SiteCalibration) -> None:
    """Write the names of the classes over the cuts between them."""
    cuts = site.calibration.intensity
    edges = (OD_SHOWN[0], cuts.weak_od, cuts.moderate_od, cuts.intense_od, OD_SHOWN[1])
    for level, low, high in zip(CLASSES, edges[:-1], edges[1:], strict=True):
        at.text(
            (low * high) ** 0.5, 0.97, level.label, ha="center", va="top", fontsize=8,
            transform=at.get_xaxis_transform(),
        )  # fmt: skip


def draw_score(
    at: Axes, name: str, controls: Sequence[ControlReading], site: SiteCalibration
) -> None:
    """Draw the distribution of one score; the bars have the colors of the classes."""
    cuts = site.calibration.intensity
    edges = (cuts.weak_od, cuts.moderate_od, cuts.intense_od)
    values = np.concatenate([control.membrane_od for control in controls])
    n_cells = sum(control.n_cells for control in controls)
    counts, _ = np.histogram(np.clip(values, *OD_SHOWN), BINS)
    middles = np.sqrt(BINS[:-1] * BINS[1:])
    colors = [
        tuple(part / 255 for part in INTENSITY_COLORS[CLASSES[k]])
        for k in np.digitize(middles, edges)
    ]
    at.bar(
        BINS[:-1], 100 * counts / n_cells, np.diff(BINS), align="edge", color=colors,
        edgecolor=INK, linewidth=0.3,
    )  # fmt: skip
    for edge in edges:
        at.axvline(edge, color=INK, linewidth=1.0, linestyle="--")
    at.set_xscale("log")
    at.set_xlim(*OD_SHOWN)
    # Where no cell is stained the scale would be that of nothing, about zero.
    at.set_ylim(0, None if counts.any() else 1)
    ticks = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    at.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    at.set_ylabel("% of cells", fontsize=8)
    unstained = 100 * (1 - len(values) / n_cells)
    at.set_title(
        f"{name}: {len(controls)} control{'s' * (len(controls) != 1)}, {n_cells:,} cells, "
        f"{unstained:.1f} % without staining",
        loc="left", fontsize=9,
    )  # fmt: skip
    at.spines[["top", "right"]].set_visible(False)
