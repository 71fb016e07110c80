"""Judge a reader by the marks made by eye on real pictures.

``python scripts/marks.py --real FOLDER`` scores the pictures with the rules and compares their
cells with the marks of tests/marks; ``--model NAME`` reads the windows with a network alone. Only
the half of the windows that is for choosing is printed. ``--final`` prints the kept half instead:
for one last figure, and never to choose anything by. ``--again`` compares some windows with what
the same reader marked there a second time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from scored_slides import network_asked

from her2path.cells.network_maps import nucleus_peaks
from her2path.cells.table import N_SECTORS
from her2path.evaluation.against_marks import (
    CellReading,
    Estimate,
    compare_window,
    estimate_measures,
    outlined_share,
)
from her2path.evaluation.cells import REACH_UM
from her2path.evaluation.marks import (
    Label,
    MarkedMembrane,
    MarkedWindow,
    Split,
    Staining,
    read_membranes,
    read_windows,
)
from her2path.models.inference import NetworkReader
from her2path.models.shipped import find_model
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import find_network
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.results.cells import CellTable, read_cells
from her2path.results.folder import ResultsFolder
from her2path.statistics.matching import match_points

MARKS = Path(__file__).resolve().parents[1] / "tests" / "marks"
# The one picture that comes with a library, by its name in the marks.
LIBRARY_PICTURE = "skimage_immunohistochemistry"
# Of the drawing of windows for intervals.
SEED = 20261121
# What a network sees round a place, and a little more.
MARGIN_UM = 80.0
# A cell is tumor if the network says so over the middle of its nucleus.
MIDDLE_UM = 2.0
# Points between two sectors of an outline: closer together than a line is wide.
POINTS_PER_SECTOR = 4
CELL_COLUMNS = ("x", "y", "excluded", "tumor_probability", "outline_um", "stained_sectors")
MEASURES = ("nucleus_f1", "nucleus_precision", "nucleus_recall", "balanced_accuracy")
COLORS = {
    Label.TUMOR: (220, 0, 0),
    Label.OTHER: (0, 140, 0),
    Label.UNSURE: (200, 0, 200),
    Label.NOT_A_CELL: (255, 150, 0),
}

SURE = (Label.TUMOR, Label.OTHER)

# A picture and its µm/px to what is found on it, in px of that picture.
Reader = Callable[[NDArray[np.uint8], float], CellReading]
# What was read in each window: two pictures may have windows of one name.
Readings = dict[tuple[str, str], CellReading]
NOTHING = CellReading(*(np.zeros(0) for _ in range(5)))


def read_picture(folder: Path, name: str) -> NDArray[np.uint8]:
    """Return a picture of the marks as RGB."""
    if name == LIBRARY_PICTURE:
        return np.ascontiguousarray(skimage.data.immunohistochemistry())
    found = cv2.imread(str(folder / f"{name}.jpg"))
    if found is None:
        sys.exit(f"{folder / name}.jpg cannot be read: --real is the folder of the marked pictures")
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def read_as_scored(
    pictures: dict[str, NDArray[np.uint8]], mpps: dict[str, float], model: str, *, n_jobs: int
) -> dict[str, CellReading]:
    """Score whole pictures as a user would, and return their cells."""
    settings = ScoreSettings(network=find_network(model))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        jobs = []
        for picture, rgb in pictures.items():
            path = work / f"{picture}.png"
            cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            jobs.append(
                SlideJob(
                    slide_id=picture,
                    path=path,
                    mpp=mpps[picture],
                    rule_set=find_rule_set(DEFAULT_CRITERIA),
                    calibration=find_calibration(None),
                )
            )
        out = ResultsFolder(work / "results")
        result = run_batch(jobs, settings, out, n_workers=n_jobs)
        if result.failed:
            sys.exit(f"not read: {dict(result.failed)}")
        readings = dict.fromkeys(pictures, NOTHING)
        for picture in pictures:
            path = out.slide(picture).cells_parquet
            if path.is_file():
                readings[picture] = reading_of(
                    read_cells(path, columns=CELL_COLUMNS), mpps[picture]
                )
    return readings


def reading_of(cells: CellTable, mpp: float) -> CellReading:
    """Return cells as read, with points along the stained sectors of their outlines."""
    x, y = (np.asarray(cells[name], np.float64) for name in ("x", "y"))
    outline = np.asarray(cells["outline_um"], np.float64)
    bits = np.asarray(cells["stained_sectors"], np.uint32)
    is_stained = (bits[:, None] >> np.arange(N_SECTORS, dtype=np.uint32)) & 1
    at = (np.arange(N_SECTORS * POINTS_PER_SECTOR) + 0.5) / POINTS_PER_SECTOR - 0.5
    sector, part = np.floor(at).astype(int), at - np.floor(at)
    radius = (1 - part) * outline[:, sector % N_SECTORS] + part * outline[
        :, (sector + 1) % N_SECTORS
    ]
    angle = 2 * np.pi * at / N_SECTORS
    is_drawn = is_stained[:, np.rint(at).astype(int) % N_SECTORS].astype(bool)
    line_x = x[:, None] + radius * np.cos(angle) / mpp
    line_y = y[:, None] + radius * np.sin(angle) / mpp
    p_tumor = np.asarray(cells["tumor_probability"], np.float64)
    seen = cells.has_nucleus
    return CellReading(x[seen], y[seen], p_tumor[seen], line_x[is_drawn], line_y[is_drawn])


def network_reader(name: str, *, threads: int) -> Reader:
    """Return what reads a picture with a network alone."""
    network = NetworkReader(find_model(name).folder, device="cpu", threads=threads)

    def read(rgb: NDArray[np.uint8], mpp: float) -> CellReading:
        planes = network.read(rgb, mpp)
        x, y, _ = nucleus_peaks(planes.centre, planes.nucleus, mpp=planes.mpp)
        x, y = x + 0.5, y + 0.5
        side = 2 * round(MIDDLE_UM / planes.mpp) + 1
        tumor = cv2.blur(planes.tumor, (side, side))
        p_tumor = tumor[y.astype(int), x.astype(int)] / 255.0
        line_y, line_x = np.nonzero(planes.membrane >= 128)
        scale = planes.downsample
        return CellReading(
            x * scale, y * scale, p_tumor, (line_x + 0.5) * scale, (line_y + 0.5) * scale
        )

    return read


def read_windows_with(
    read: Reader, rgb: NDArray[np.uint8], windows: Iterable[MarkedWindow]
) -> Readings:
    """Read each window of a picture with what surrounds it."""
    readings: Readings = {}
    for window in windows:
        margin = round(MARGIN_UM / window.mpp)
        box = window.region
        # A network reads on a coarse grid: windows begin on it whatever its step.
        left, top = (max(0, at - margin) // 64 * 64 for at in (box.x, box.y))
        part = rgb[top : box.bottom + margin, left : box.right + margin]
        found = read(np.ascontiguousarray(part), window.mpp)
        readings[window.picture, window.name] = CellReading(
            found.x + left, found.y + top, found.p_tumor, found.line_x + left, found.line_y + top
        )
    return readings


def in_words(estimate: Estimate) -> str:
    """Return a share with its interval."""
    if not np.isfinite(estimate.value):
        return "–"
    if estimate.interval is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.interval.lower:.2f}–{estimate.interval.upper:.2f})"


def print_cells(windows: Sequence[MarkedWindow], readings: Readings) -> None:
    """Print the measures of each picture and of all."""
    counts = [compare_window(w, readings[w.picture, w.name]) for w in windows]
    names = sorted({w.picture for w in windows})
    print(
        f"{'picture':30}{'windows':>8}{'nuclei':>8}"
        + "".join(f"{name.replace('_', ' '):>20}" for name in MEASURES)
        + f"{'no cell, taken':>20}"
    )
    for name in (*names, "all"):
        of_these = [
            count for w, count in zip(windows, counts, strict=True) if name in (w.picture, "all")
        ]
        found = estimate_measures(of_these, rng=np.random.default_rng(SEED))
        n = sum(count.n_marked for count in of_these)
        words = [in_words(found[measure]) for measure in (*MEASURES, "trapped")]
        print(f"{name:30}{len(of_these):>8}{n:>8}" + "".join(f"{word:>20}" for word in words))


def print_membranes(membranes: Sequence[MarkedMembrane], readings: Readings) -> None:
    """Print which share of the marked borders is read as stained membrane."""
    for staining in Staining:
        shares = [
            outlined_share(m, readings[m.picture, m.window])
            for m in membranes
            if m.staining is staining
        ]
        if shares:
            most = float(np.mean(np.array(shares) >= 0.5))
            print(
                f"membranes that are {staining:6}{len(shares):>4}: read as stained along "
                f"{np.mean(shares):.2f} of their length; {most:.2f} of them along half or more"
            )


def print_agreement(marks: Path) -> None:
    """Print how the second marking of some windows agrees with the first."""
    again = {
        (w.picture, w.name): w for w in read_windows(marks, points="points_again.csv") if len(w.x)
    }
    first = [w for w in read_windows(marks) if (w.picture, w.name) in again]
    readings: Readings = {}
    apart = []
    for window in first:
        second = again[window.picture, window.name]
        is_sure = np.isin(second.labels, SURE)
        x, y = second.x[is_sure], second.y[is_sure]
        is_tumor = (second.labels[is_sure] == Label.TUMOR).astype(float)
        readings[window.picture, window.name] = CellReading(
            x, y, is_tumor, np.zeros(0), np.zeros(0)
        )
        known = np.flatnonzero(np.isin(window.labels, SURE))
        there = np.column_stack([window.x[known], window.y[known]])
        i, j = match_points(there, np.column_stack([x, y]), reach=REACH_UM / window.mpp)
        apart.extend(np.hypot(there[i, 0] - x[j], there[i, 1] - y[j]) * window.mpp)
    print(
        f"marked twice: {len(first)} windows; the two marks of a nucleus are "
        f"{np.median(apart):.2f} µm apart (median), nine in ten within "
        f"{np.percentile(apart, 90):.2f} µm"
    )
    print_cells(first, readings)


def draw_window(
    rgb: NDArray[np.uint8], window: MarkedWindow, reading: CellReading, path: Path
) -> None:
    """Write a window with marks (dots) and finds (rings: red tumor, green other)."""
    box = window.region.expanded(round(8.0 / window.mpp))
    padded = cv2.copyMakeBorder(rgb, 99, 99, 99, 99, cv2.BORDER_REFLECT)
    part = padded[box.y + 99 : box.bottom + 99, box.x + 99 : box.right + 99]
    scale = 16.0 * window.mpp
    page = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)

    def place(x: float, y: float) -> tuple[int, int]:
        return round((x - box.x) * scale), round((y - box.y) * scale)

    for x, y in zip(reading.line_x, reading.line_y, strict=True):
        cv2.circle(page, place(x, y), 1, (255, 220, 0), -1)
    for x, y, p in zip(reading.x, reading.y, reading.p_tumor, strict=True):
        cv2.circle(page, place(x, y), 24, (220, 0, 0) if p >= 0.5 else (0, 140, 0), 2)
    for x, y, label in zip(window.x, window.y, window.labels, strict=True):
        cv2.circle(page, place(x, y), 5, COLORS[Label(label)], -1)
    edge = window.region
    cv2.rectangle(page, place(edge.x, edge.y), place(edge.right, edge.bottom), (0, 0, 0), 2)
    cv2.imwrite(str(path), cv2.cvtColor(page, cv2.COLOR_RGB2BGR))


def main() -> None:
    """Read the arguments and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--real", type=Path, help="folder of the marked pictures")
    parser.add_argument("--marks", type=Path, default=MARKS, help="folder of the marks")
    parser.add_argument("--model", default="none", help="none (the rules), or a network's name")
    parser.add_argument(
        "--scored",
        action="store_true",
        help="the cells of `her2path score` with that network, not what the network finds alone",
    )
    parser.add_argument("--final", action="store_true", help="print the kept half instead")
    parser.add_argument("--again", action="store_true", help="agreement of marks made twice")
    parser.add_argument("--overlays", type=Path, help="folder to draw the windows into")
    parser.add_argument("--jobs", type=int, default=1, help="processes or threads")
    given = parser.parse_args()
    if given.again:
        print_agreement(given.marks)
        return
    if given.real is None:
        parser.error("--real is needed: the folder of the marked pictures")
    if given.jobs < 1:
        parser.error("--jobs must be at least 1")
    network_asked(parser, given.model)
    split = Split.FINAL if given.final else Split.CHOOSING
    every = read_windows(given.marks)
    windows = [w for w in every if w.split is split]
    membranes = [m for m in read_membranes(given.marks, every) if m.split is split]
    mpps = {w.picture: w.mpp for w in windows}
    pictures = {name: read_picture(given.real, name) for name in mpps}
    readings: Readings = {}
    if given.model == "none" or given.scored:
        whole = read_as_scored(pictures, mpps, given.model, n_jobs=given.jobs)
        readings = {(w.picture, w.name): whole[w.picture] for w in windows}
    else:
        read = network_reader(given.model, threads=given.jobs)
        for name, rgb in pictures.items():
            readings |= read_windows_with(read, rgb, [w for w in windows if w.picture == name])
    reader = f"{given.model}, as scored" if given.scored else given.model
    print(f"reader {reader}, windows for {split}; 95 % intervals over windows, seed {SEED}")
    print_cells(windows, readings)
    print_membranes(membranes, readings)
    if given.overlays:
        given.overlays.mkdir(parents=True, exist_ok=True)
        for window in windows:
            path = given.overlays / f"{window.picture}_{window.name}.png"
            reading = readings[window.picture, window.name]
            draw_window(pictures[window.picture], window, reading, path)


if __name__ == "__main__":
    main()
