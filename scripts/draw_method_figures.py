"""Draw the figures of docs/method.md from a synthetic field.

``python scripts/draw_method_figures.py`` writes docs/figures/field.png and cell.png.

Everything shown is what the package itself computes; only the drawing is done here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import CellClasses, classify_cells
from her2path.cells.line_contrast import SMOOTHING_UM, LineMap, line_map
from her2path.cells.measure import MeasureSettings, measure_planes
from her2path.cells.nuclei import typical_counterstain
from her2path.cells.nucleus_tracing import Nuclei, fill_nuclei, trace_nuclei
from her2path.cells.polar import FOOT_UM, RADIAL_STEP_UM
from her2path.cells.table import N_SECTORS, CellMeasurements
from her2path.criteria.score import Intensity, Pattern
from her2path.results.colors import INTENSITY_COLORS
from her2path.stain.matrix import StainMatrix
from her2path.stain.separate import STEPS_PER_OD, separate
from her2path.synth import Laboratory, RegionRecipe, SlideRecipe, draw_field, mix_of

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"
SEED = 7
SIDE_UM = 220.0
# Part of the field that is shown: away from its rim, where cells see less than they need.
SHOWN_UM = (80.0, 145.0)
DPI = 110
# More colors than a pathologist tells apart on a page; keeps the files small.
N_COLORS = 160

RECIPE = SlideRecipe(
    name="method",
    width_um=SIDE_UM,
    height_um=SIDE_UM,
    regions=(
        RegionRecipe(
            mix=mix_of(
                none=0.25,
                faint_incomplete=0.2,
                weak_incomplete=0.15,
                weak_complete=0.15,
                moderate_complete=0.25,
            ),
            tumor_share=1.0,
            nest_um=200.0,
            gland_share=0.0,
        ),
    ),
)


class Field:
    """A drawn field and all that is computed on the way to its cells."""

    def __init__(self) -> None:
        """Draw and measure."""
        laboratory = Laboratory()
        drawn = draw_field(RECIPE, laboratory, seed=SEED)
        matrix = StainMatrix()
        white = (240.0, 240.0, 240.0)
        self.rgb, self.mpp = drawn.rgb, drawn.mpp
        hematoxylin, dab = separate(self.rgb, white, matrix)
        counterstain = typical_counterstain([(hematoxylin, dab)], mpp=self.mpp)
        settings = MeasureSettings(white_point=white, matrix=matrix, counterstain=counterstain)
        self.nuclei: Nuclei = trace_nuclei(hematoxylin, dab, counterstain, mpp=self.mpp)
        guarded = cv2.addWeighted(dab, 1.0, hematoxylin, -matrix.guard, 0.0)
        places = self.nuclei.x, self.nuclei.y, self.nuclei.contours
        filled_dab, filled_guarded = fill_nuclei((dab, guarded), *places, self.mpp)
        self.lines: LineMap = line_map(filled_dab, filled_guarded, mpp=self.mpp)
        self.dab_od = cv2.GaussianBlur(dab, (0, 0), SMOOTHING_UM / self.mpp) / STEPS_PER_OD
        self.contrast_od = self.lines.contrast / self.lines.steps_per_od
        self.cells: CellMeasurements = measure_planes(hematoxylin, dab, settings, mpp=self.mpp)
        self.classes: CellClasses = classify_cells(self.cells, generic_calibration())


def rim(x: float, y: float, radii_um: NDArray[np.float32], mpp: float) -> NDArray[np.float64]:
    """Return the corners of an outline in px, closed, shape (N_SECTORS + 1, 2)."""
    angle = 2 * np.pi * np.arange(N_SECTORS + 1) / N_SECTORS
    radius = np.append(radii_um, radii_um[0]) / mpp
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def show_part(
    axes: Axes, picture: NDArray[np.generic], title: str, mpp: float, **how: object
) -> None:
    """Show the chosen part of a picture with a bar of 10 µm."""
    axes.imshow(picture, interpolation="nearest", **how)
    low, high = (value / mpp for value in SHOWN_UM)
    axes.set_xlim(low, high)
    axes.set_ylim(high, low)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9, loc="left")
    bar = 10 / mpp
    axes.plot([low + 8, low + 8 + bar], [high - 8, high - 8], color="black", linewidth=2.5)
    axes.text(low + 8, high - 14, "10 µm", fontsize=7, va="bottom", color="black")


def draw_field_figure(field: Field) -> Figure:
    """Draw the field plain, as line contrast, and with contours."""
    figure, (plain, lines, traced) = plt.subplots(1, 3, figsize=(9.6, 3.45), layout="constrained")
    show_part(plain, field.rgb, "a  the field", field.mpp)
    show_part(
        lines,
        field.contrast_od,
        "b  line contrast, 0 (white) to 0.3 OD",
        field.mpp,
        cmap="gray_r",
        vmin=0,
        vmax=0.3,
    )
    show_part(traced, field.rgb, "c  nuclei, outlines, stained arcs", field.mpp, alpha=0.55)
    for i in range(len(field.nuclei.x)):
        corners = rim(field.nuclei.x[i], field.nuclei.y[i], field.nuclei.contours[i], field.mpp)
        traced.plot(*corners.T, color="#2b4a8b", linewidth=0.7)
    for i in range(len(field.cells)):
        corners = rim(field.cells.x[i], field.cells.y[i], field.cells.outline_um[i], field.mpp)
        traced.plot(*corners.T, color="#999999", linewidth=0.5)
        sectors = np.stack([corners[:-1], corners[1:]], axis=1)
        stained = (int(field.classes.stained_sectors[i]) >> np.arange(N_SECTORS)) & 1
        color = np.array(INTENSITY_COLORS[Intensity(int(field.classes.intensity[i]))]) / 255
        arcs = LineCollection(list(sectors[stained > 0]), colors=[tuple(color)], linewidths=2.0)
        traced.add_collection(arcs)
    return figure


def chosen_cell(field: Field) -> int:
    """Return the cell near the middle of the shown part whose membrane is incomplete but clear."""
    middle = sum(SHOWN_UM) / 2 / field.mpp
    away = np.hypot(field.cells.x - middle, field.cells.y - middle)
    is_partly = (field.classes.pattern == Pattern.BASOLATERAL) | (
        field.classes.pattern == Pattern.INCOMPLETE
    )
    is_clear = field.classes.membrane_od > 0.1
    return int(np.argmin(np.where(is_partly & is_clear, away, np.inf)))


def draw_cell_figure(field: Field) -> Figure:
    """Draw one cell unrolled, and the profile of its line on one ray."""
    i = chosen_cell(field)
    x, y, outline = field.cells.x[i], field.cells.y[i], field.cells.outline_um[i]
    radii = np.arange(0, 13, RADIAL_STEP_UM)
    angle = 2 * np.pi * np.arange(N_SECTORS) / N_SECTORS
    columns = x + radii[:, None] * np.cos(angle) / field.mpp
    rows = y + radii[:, None] * np.sin(angle) / field.mpp

    def along(
        plane: NDArray[np.floating], cols: NDArray[np.float64], rows: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        taken = cv2.remap(
            plane.astype(np.float32),
            np.asarray(cols, np.float32),
            np.asarray(rows, np.float32),
            cv2.INTER_LINEAR,
        )
        return np.asarray(taken)

    figure, (unrolled, profile) = plt.subplots(
        1, 2, figsize=(9.6, 3.3), layout="constrained", width_ratios=(3, 2)
    )
    unrolled.imshow(
        along(field.contrast_od, columns, rows),
        origin="lower",
        aspect="auto",
        cmap="gray_r",
        vmin=0,
        vmax=0.3,
        extent=(-0.5, N_SECTORS - 0.5, 0, radii[-1]),
    )
    sectors = np.arange(N_SECTORS)
    nearest = int(np.argmin(np.hypot(field.nuclei.x - x, field.nuclei.y - y)))
    unrolled.plot(sectors, field.nuclei.contours[nearest], color="#2b4a8b", label="nucleus")
    unrolled.plot(sectors, outline, color="#888888", linewidth=1, label="outline")
    stained = ((int(field.classes.stained_sectors[i]) >> sectors) & 1).astype(bool)
    unrolled.scatter(
        sectors[stained], outline[stained], color="#b3541e", s=22, zorder=3, label="stained sector"
    )
    unrolled.set_xlabel("sector (11.25° each, clockwise from the right)", fontsize=8)
    unrolled.set_ylabel("distance from the nucleus centre, µm", fontsize=8)
    unrolled.set_title("a  one cell unrolled: line contrast along 32 rays", fontsize=9, loc="left")
    unrolled.legend(fontsize=7, loc="lower right", framealpha=0.9)

    ray = int(np.argmax(np.where(stained, field.cells.line_contrast_od[i], -1)))
    distance = np.arange(-4, 4.01, 0.125)
    at = outline[ray] + distance
    cols = (x + at * np.cos(angle[ray]) / field.mpp)[None]
    line = along(field.dab_od, cols, (y + at * np.sin(angle[ray]) / field.mpp)[None])[0]
    near = np.abs(distance) <= 1.0
    top = int(np.flatnonzero(near)[np.argmax(line[near])])
    at_peak, peak = distance[top], float(line[top])
    sides = [
        line[(distance < at_peak) & (distance >= at_peak - FOOT_UM)].min(),
        line[(distance > at_peak) & (distance <= at_peak + FOOT_UM)].min(),
    ]
    foot = float(max(sides))
    profile.plot(distance, line, color="#5b3a1a")
    profile.axhline(foot, color="#888888", linewidth=0.8, linestyle="--")
    profile.annotate(
        "",
        xy=(at_peak, peak),
        xytext=(at_peak, foot),
        arrowprops={"arrowstyle": "<->", "color": "#b3541e"},
    )
    profile.text(at_peak + 0.25, (peak + foot) / 2, "line height", fontsize=8, color="#b3541e")
    profile.text(-3.9, foot, "higher foot", fontsize=7, va="bottom", color="#666666")
    profile.set_xlabel("across the line, µm (negative: towards the nucleus)", fontsize=8)
    profile.set_ylabel("DAB OD", fontsize=8)
    profile.set_title("b  the line on one of the rays", fontsize=9, loc="left")
    for axes in (unrolled, profile):
        axes.tick_params(labelsize=7)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a PNG with few colors, and no time or version in it."""
    figure.canvas.draw()
    rgb = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    Image.fromarray(rgb).quantize(N_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Draw both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the figures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    plt.rcParams["figure.dpi"] = DPI
    field = Field()
    write(draw_field_figure(field), out / "field.png")
    write(draw_cell_figure(field), out / "cell.png")


if __name__ == "__main__":
    main()
