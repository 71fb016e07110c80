"""Score slides of another renderer: how her2path does on pictures that it was not made with.

Everything that her2path learned from was drawn by `her2path.synth`, and so are the slides of
`accuracy.py`. These are drawn by other means, on purpose simple: cells set apart by Poisson discs,
each a wavy ellipse with a line along its outline, added up in optical density. Nothing of
`her2path.synth` is used, and nothing is to be fitted to them. Prints the score, cells and shares of
each slide beside the truth. Results of an earlier run in FOLDER are replaced.

    python scripts/foreign_slides.py --out FOLDER [--model none]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from scored_slides import network_asked, score_slides, short

from her2path.pipeline.settings import ScoreSettings

Floats = NDArray[np.float32]
Rng = np.random.Generator
Vector = tuple[float, float, float]

SEED = 1000
SIDE_UM = 860.0
# Maps of tissue are drawn at this step and enlarged.
COARSE_UM = 2.0


@dataclass(frozen=True)
class Style:
    """How one laboratory stains and scans.

    Attributes
    ----------
    hematoxylin, dab : tuple of 3 float
        OD in red, green and blue.
    white : tuple of 3 float
        Value of empty glass.
    mpp, cell_um, blur_um : float
    photons : float
        Of white light in a pixel: the fewer, the more noise.
    quality : int
        Of the JPEG.
    counterstain, haze_od : float
        Strength of hematoxylin; DAB that lies everywhere.
    """

    hematoxylin: Vector
    dab: Vector
    white: Vector
    mpp: float
    cell_um: float
    blur_um: float
    photons: float
    quality: int
    counterstain: float
    haze_od: float


STYLES = {
    "textbook": Style(
        (0.65, 0.70, 0.29), (0.27, 0.57, 0.78), (245, 244, 242), 0.25, 13, 0.22, 4000, 85, 1, 0.01
    ),
    "gray-blue": Style(
        (0.74, 0.61, 0.28),
        (0.36, 0.58, 0.73),
        (236, 233, 224),
        0.25,
        15,
        0.32,
        2000,
        75,
        1.35,
        0.02,
    ),
    "violet": Style(
        (0.57, 0.75, 0.34), (0.30, 0.52, 0.80), (251, 251, 251), 0.25, 11.5, 0.26, 6000, 90, 0.65, 0
    ),
    "coarse": Style(
        (0.79, 0.57, 0.22), (0.37, 0.56, 0.74), (230, 235, 240), 0.50, 14, 0.30, 3000, 80, 0.9, 0.01
    ),
}


@dataclass(frozen=True)
class Line:
    """A membrane: OD where it is darkest, full width at half height in µm, all round or not."""

    od: tuple[float, float]
    width_um: float
    is_closed: bool


FAINT = Line((0.10, 0.15), 0.7, is_closed=False)
WEAK = Line((0.20, 0.25), 1.0, is_closed=True)
MODERATE = Line((0.40, 0.50), 1.2, is_closed=True)
INTENSE = Line((0.90, 1.30), 2.2, is_closed=True)
Mix = dict[Line, float]
# Shares of the tumor cells; the rest has no line.
MIXES: dict[str, Mix] = {
    "0": {},
    "0+": {FAINT: 0.05},
    "1+": {FAINT: 0.40},
    "2+": {MODERATE: 0.20, WEAK: 0.20, FAINT: 0.12},
    "3+": {INTENSE: 0.65, MODERATE: 0.06, FAINT: 0.06},
}


@dataclass(frozen=True)
class Truth:
    """Tumor cells drawn, and the shares of them in percent."""

    n_tumor: int
    pct_stained: float
    pct_complete: float


class Canvas:
    """Maps of hematoxylin and DAB, OD, that cells are added to."""

    def __init__(self, side_px: int, mpp: float) -> None:
        self.mpp = mpp
        self.hematoxylin, self.dab = (np.zeros((side_px, side_px), np.float32) for _ in range(2))

    def patch(
        self, y: float, x: float, reach_um: float
    ) -> tuple[tuple[slice, slice], Floats, Floats]:
        """Return the pixels round a place in µm, and how far they lie from it."""
        side = len(self.dab)
        rows, cols = (
            slice(
                max(int((at - reach_um) / self.mpp), 0), min(int((at + reach_um) / self.mpp), side)
            )
            for at in (y, x)
        )
        dy, dx = (
            ((np.arange(part.start, part.stop) + 0.5) * self.mpp - at).astype(np.float32)
            for part, at in ((rows, y), (cols, x))
        )
        return (rows, cols), *np.meshgrid(dy, dx, indexing="ij")


def cloud(rng: Rng, side: int, sigma: float) -> Floats:
    """Return smooth noise of mean 0 and deviation 1."""
    field = ndimage.gaussian_filter(
        rng.standard_normal((side, side), dtype=np.float32), sigma, mode="wrap"
    )
    return np.asarray(field / field.std(), np.float32)


def scattered(rng: Rng, mask: NDArray[np.bool_], apart_um: float, n_tries: int) -> Floats:
    """Throw points (y, x in µm) into a coarse mask, none nearer to another than given."""
    places = np.argwhere(mask)
    tries = (places[rng.integers(0, len(places), n_tries)] + rng.random((n_tries, 2))) * COARSE_UM
    boxes: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    kept = []
    for at in tries:
        row, col = (int(v / apart_um) for v in at)
        near = (
            p for i in (-1, 0, 1) for j in (-1, 0, 1) for p in boxes.get((row + i, col + j), ())
        )
        if all(np.hypot(*(at - p)) >= apart_um for p in near):
            boxes.setdefault((row, col), []).append(at)
            kept.append(at)
    return np.array(kept, np.float32)


def beyond(rng: Rng, dy: Floats, dx: Floats, radius: float, waves: float) -> tuple[Floats, Floats]:
    """Return how far pixels lie outside a wavy circle, µm, and in which direction."""
    angle = np.arctan2(dy, dx)
    rim = np.full_like(angle, radius)
    for k in range(2, 6):
        size, phase = rng.normal(0, waves / (k - 1)), rng.uniform(0, 2 * np.pi)
        rim += np.float32(radius * size) * np.cos(k * angle + np.float32(phase))
    return np.hypot(dy, dx) - rim, angle


def add_nucleus(
    canvas: Canvas, rng: Rng, y: float, x: float, radius: float, od: float, stretch: float
) -> None:
    """Add a nucleus with a darker rim and clumps of chromatin."""
    where, dy, dx = canvas.patch(y, x, 2.2 * radius + 1)
    turn = rng.uniform(0, np.pi)
    along = (dx * np.cos(turn) + dy * np.sin(turn)) / stretch
    across = (dy * np.cos(turn) - dx * np.sin(turn)) * stretch
    outside, _ = beyond(rng, across, along, radius, 0.03)
    texture = 1 + 0.35 * np.exp(-((outside / 0.7) ** 2))
    for _ in range(rng.integers(3, 8)):
        angle, away = rng.uniform(0, 2 * np.pi), 0.8 * radius * np.sqrt(rng.random())
        from_clump = np.hypot(along - away * np.cos(angle), across - away * np.sin(angle))
        texture += rng.uniform(0.2, 0.7) * np.exp(-((from_clump / 0.8) ** 2))
    canvas.hematoxylin[where] += od * expit(-outside / 0.18) * texture


def add_tumor_cell(
    canvas: Canvas, rng: Rng, style: Style, y: float, x: float, line: Line | None
) -> None:
    """Add a cell with its nucleus, and a line along its outline if it has one."""
    radius = style.cell_um / 2 * rng.uniform(0.92, 1.04)
    where, dy, dx = canvas.patch(y, x, 1.3 * radius + 3)
    outside, angle = beyond(rng, dy, dx, radius, 0.055)
    body = expit(-outside / 0.25)
    canvas.hematoxylin[where] += 0.045 * style.counterstain * body
    canvas.dab[where] += 0.012 * body
    shift = rng.normal(0, 0.06 * radius, 2)
    add_nucleus(
        canvas,
        rng,
        y + shift[0],
        x + shift[1],
        radius * rng.uniform(0.52, 0.62),
        style.counterstain * rng.uniform(0.22, 0.36),
        rng.uniform(1, 1.12),
    )
    if line is None:
        return
    od = rng.uniform(*line.od)
    # Just inside the outline.
    drawn = od * np.exp(-4 * np.log(2) * (outside / line.width_um + 0.3) ** 2)
    if not line.is_closed:
        middle, half = rng.uniform(-np.pi, np.pi), np.pi * rng.uniform(0.25, 0.6)
        off = np.abs((angle - middle + np.pi) % (2 * np.pi) - np.pi)
        drawn *= expit((half - off) / 0.05)
    canvas.dab[where] += drawn + 0.05 * od * body


def draw(style: Style, mix: Mix, seed: int, path: Path) -> Truth:
    """Draw one slide and write it as a tiled TIFF."""
    rng = np.random.default_rng(seed)
    side, n = round(SIDE_UM / style.mpp), int(SIDE_UM / COARSE_UM)
    from_middle = np.hypot(*(np.indices((n, n)) - n / 2)) * COARSE_UM
    tissue = from_middle + 12 * cloud(rng, n, 20) < 0.44 * SIDE_UM
    pattern = cloud(rng, n, 22)
    nest = (pattern > np.quantile(pattern[tissue], 0.35)) & (from_middle < 0.40 * SIDE_UM)
    nest = ndimage.binary_opening(nest, iterations=4)
    fibers = ndimage.gaussian_filter(rng.standard_normal((n, n), dtype=np.float32), (0.8, 6))
    pale = 0.035 + 0.018 * fibers / fibers.std() * ~nest
    canvas = Canvas(side, style.mpp)
    canvas.hematoxylin += style.counterstain * enlarged(tissue * pale.clip(0.005), side)
    canvas.dab += style.haze_od * enlarged(tissue.astype(np.float32), side)

    cells = scattered(rng, ndimage.binary_erosion(nest, iterations=2), 0.95 * style.cell_um, 50_000)
    numbers = {line: round(share * len(cells)) for line, share in mix.items()}
    # Stained cells lie together.
    warm = cloud(rng, n, 18)[tuple((cells / COARSE_UM).astype(int).T)]
    order = np.argsort(-warm - rng.normal(0, 1.2, len(cells)))
    of_cell: list[Line | None] = [None] * len(cells)
    first = 0
    for line, number in numbers.items():
        for i in order[first : first + number]:
            of_cell[i] = line
        first += number
    for (y, x), own in zip(cells, of_cell, strict=True):
        add_tumor_cell(canvas, rng, style, y, x, own)
    free = tissue & ~ndimage.binary_dilation(nest, iterations=4)
    for y, x in scattered(rng, free, 11.0, 2500):
        is_lymphocyte = rng.random() < 0.22
        radius = rng.uniform(2.6, 3.3) if is_lymphocyte else rng.uniform(2.2, 2.9)
        od = style.counterstain * (
            rng.uniform(0.5, 0.7) if is_lymphocyte else rng.uniform(0.3, 0.45)
        )
        add_nucleus(canvas, rng, y, x, radius, od, 1.03 if is_lymphocyte else rng.uniform(1.7, 2.2))
    write(canvas, style, rng, path)
    n_stained = sum(numbers.values())
    n_closed = sum(number for line, number in numbers.items() if line.is_closed)
    return Truth(len(cells), 100 * n_stained / len(cells), 100 * n_closed / len(cells))


def enlarged(coarse: Floats, side: int) -> Floats:
    """Enlarge a coarse map to the pixels of a slide."""
    smooth = ndimage.gaussian_filter(coarse.astype(np.float32), 1)
    at = ((np.arange(side) + 0.5) * len(coarse) / side - 0.5).clip(0, len(coarse) - 1)
    grid = np.meshgrid(at, at, indexing="ij")
    return np.asarray(ndimage.map_coordinates(smooth, grid, order=1), np.float32)


def write(canvas: Canvas, style: Style, rng: Rng, path: Path) -> None:
    """Let light through the maps, blur, count photons, and write."""
    vectors = [np.array(v) / np.linalg.norm(v) for v in (style.hematoxylin, style.dab)]
    rgb = np.empty((*canvas.dab.shape, 3), np.uint8)
    for k, white in enumerate(style.white):
        od = canvas.hematoxylin * vectors[0][k] + canvas.dab * vectors[1][k]
        light = ndimage.gaussian_filter(10.0**-od, style.blur_um / style.mpp)
        light += np.sqrt(light / style.photons) * rng.standard_normal(light.shape)
        rgb[..., k] = np.rint(white * light).clip(0, 255)
    tifffile.imwrite(
        path,
        rgb,
        tile=(256, 256),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": style.quality},
        resolution=(1e4 / style.mpp, 1e4 / style.mpp),
        resolutionunit="CENTIMETER",
    )


def slides(folder: Path, seed: int) -> Iterator[tuple[str, str, Path, Truth]]:
    """Draw all slides: name, score, path and truth of each."""
    for i, (name, style) in enumerate(STYLES.items()):
        for j, (score, mix) in enumerate(MIXES.items()):
            path = folder / f"{name}_{score}.tif"
            yield path.stem, score, path, draw(style, mix, seed + 10 * i + j, path)


def main() -> None:
    """Draw, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for slides and results")
    parser.add_argument("--model", default="auto", help="network, as for her2path score, or none")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    if given.seed < 0 or given.jobs < 1:
        parser.error("--seed must be at least 0 and --jobs at least 1")
    settings = ScoreSettings(network=network_asked(parser, given.model))
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = {
        name: (score, path, truth) for name, score, path, truth in slides(given.out, given.seed)
    }
    rows = score_slides(
        {name: path for name, (_, path, _) in drawn.items()},
        settings,
        given.out / f"results-{given.model}",
        n_workers=given.jobs,
    )
    print(f"seed {given.seed}, network {settings.model}; given / true")
    print(
        f"{'slide':16}{'score':>24}{'cells':>14}{'stained %':>14}{'alone %':>10}{'complete %':>14}"
        "  flagged for"
    )
    n_right = n_silent = 0
    for row in rows:
        score, _, truth = drawn[row.get("slide_id")]
        is_right = row.get("score") == score
        n_right += is_right
        n_silent += not is_right and row.get("review") != "true"
        print(
            f"{row.get('slide_id'):16}{row.get('score') + ' / ' + score:>24}"
            f"{row.get('n_tumor_cells') + f' / {truth.n_tumor}':>14}"
            f"{short(row.get('pct_stained')) + f' / {truth.pct_stained:.1f}':>14}"
            f"{short(row.get('pct_stained_alone')):>10}"
            f"{short(row.get('pct_complete')) + f' / {truth.pct_complete:.1f}':>14}"
            f"  {row.get('review_reasons').replace(';', ', ')}"
        )
    print(f"right {n_right} of {len(drawn)}; wrong and not flagged {n_silent}")


if __name__ == "__main__":
    main()
