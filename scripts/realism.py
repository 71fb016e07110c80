"""Compare synthetic with real pictures: ``python scripts/realism.py --real FOLDER --out DIR``.

Prints, for each measure, the distance between the distributions (share of overlap that is
missing, 0 = alike, 1 = apart) and the medians of both, and writes a page with pictures side by
side.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from her2path.synth import Laboratory, RegionRecipe, SlideRecipe, draw_field, mix_of

SIDE_PX = 700
# The cores are about 0.23 µm/px (an estimate from their size).
LAB = replace(
    Laboratory(),
    mpp=0.23,
    hematoxylin=(0.655, 0.62, 0.43),
    dab=(0.31, 0.53, 0.79),
    white_point=(236.0, 235.0, 245.0),
    haze_od=0.0,
    dab_darkening=0.05,
    sharpen=1.8,
    sharpen_um=0.35,
)
SIDE_UM = SIDE_PX * LAB.mpp
# About that of the picture that comes with scikit-image.
STRONG_MPP = 0.5
# How the tissue of the cores is built, whatever its stain.
PLAIN = RegionRecipe(
    mix=mix_of(none=1.0),
    tumor_share=1.0,
    cell_um=10.5,
    cord_share=0.0,
    cribriform_share=0.0,
    benign_share=0.0,
    dcis_share=0.0,
    fat_share=0.0,
    stroma_haze_od=0.0,
    stratified_share=1.0,
    smooth_share=1.0,
    cell_stretch=1.5,
    nest_stretch=1.6,
    nucleus_fill=0.5,
    secretion_share=0.5,
    stroma_cells=2.5,
    stroma_bodies_od=0.06,
    fibre_scale=0.65,
    fibre_contrast=1.6,
    mottle=0.9,
    wobble=1.6,
    patchiness=2.5,
    veil=2.2,
    askew_um=0.8,
)


@dataclass(frozen=True, slots=True)
class Match:
    """A real crop and the recipe that should look like it."""

    name: str
    file: str
    x: int
    y: int
    region: RegionRecipe


@dataclass(frozen=True, slots=True)
class Pair:
    """A real picture and the drawn one beside it, both of this µm/px."""

    name: str
    mpp: float
    real: NDArray[np.uint8]
    drawn: NDArray[np.uint8]


MATCHES = (
    Match(
        "2+ solid and glandular",
        "2_0123.jpg",
        2100,
        2200,
        replace(
            PLAIN,
            mix=mix_of(weak_complete=0.25, moderate_complete=0.25, weak_incomplete=0.5),
            nest_um=230.0,
            gland_share=0.5,
            septum_um=6.0,
            cytoplasm_od=0.04,
        ),
    ),
    Match(
        "2+ basolateral",
        "2_0123.jpg",
        1900,
        600,
        replace(
            PLAIN,
            mix=mix_of(moderate_basolateral=0.4, weak_basolateral=0.4, none=0.2),
            nest_um=140.0,
            gland_share=0.8,
            septum_um=10.0,
            cytoplasm_od=0.04,
            defocus_share=0.4,
        ),
    ),
    Match(
        "0, solid",
        "0_a6d0.jpg",
        1200,
        1500,
        replace(
            PLAIN,
            nest_um=230.0,
            gland_share=0.4,
            nucleus_od=0.12,
            cytoplasm_h_od=0.06,
            vesicular_share=0.8,
            cleft_share=0.1,
            defocus_share=0.4,
        ),
    ),
    Match(
        "0, glands",
        "1_154a.jpg",
        1700,
        1500,
        replace(
            PLAIN,
            gland_share=1.0,
            nest_um=105.0,
            tumor_share=0.6,
            septum_um=15.0,
            oedema=0.8,
            vacuole_share=0.3,
            mesh_share=1.0,
        ),
    ),
    Match(
        "stroma and single cells",
        "0_ccb6.jpg",
        2500,
        1800,
        replace(
            PLAIN,
            scattered_share=0.8,
            lymphocytes=4.0,
            stroma_od=1.3,
            vesicular_share=0.8,
            mesh_share=0.4,
            activated_share=0.6,
            defocus_share=0.4,
        ),
    ),
    Match(
        "muscle",
        "2_ac71.jpg",
        2000,
        3500,
        replace(
            PLAIN,
            tumor_share=0.0,
            muscle_share=0.95,
            cleft_share=0.3,
            lymphocytes=0.3,
            stroma_od=0.8,
            stroma_cells=1.5,
        ),
    ),
    Match(
        "pale gland with granules",
        "1_f8a2.jpg",
        2700,
        3500,
        replace(
            PLAIN,
            gland_share=1.0,
            tumor_share=0.4,
            nest_um=240.0,
            nucleus_od=0.08,
            cytoplasm_h_od=0.02,
            cytoplasm_od=0.02,
            vesicular_share=1.0,
            lymphocytes=0.5,
            stroma_od=0.7,
            edge_granules_od=0.4,
        ),
    ),
)


def stain_od(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return hematoxylin and DAB OD under the reference vectors and white point."""
    white = np.asarray(LAB.white_point)
    od = -np.log10(np.clip(rgb.astype(np.float64), 1, None) / white)
    amounts = od.reshape(-1, 3) @ np.linalg.inv(LAB.stain_matrix)
    h, d, _ = amounts.T
    return h.reshape(rgb.shape[:2]), d.reshape(rgb.shape[:2])


def measure(rgb: NDArray[np.uint8], mpp: float) -> dict[str, NDArray[np.float64]]:
    """Return samples of every measure of a picture."""
    h, d = stain_od(rgb)
    green = rgb[..., 1].astype(np.float64)
    blurred = [cv2.GaussianBlur(green, (0, 0), s) for s in (1.0, 2.0, 4.0, 8.0)]
    bands = [green - blurred[0], *(a - b for a, b in itertools.pairwise(blurred))]
    energy = {
        f"local contrast, {name}": cv2.GaussianBlur(band**2, (0, 0), 24.0)[16::32, 16::32] ** 0.5
        for name, band in zip(("1 px", "1-2 px", "2-4 px", "4-8 px"), bands, strict=True)
    }
    areas, spacing = nuclei(h, d, mpp)
    return {
        "hematoxylin OD": h[::3, ::3].ravel(),
        "DAB OD": d[::3, ::3].ravel(),
        "nucleus area, µm²": areas,
        "spacing of nuclei, µm": spacing,
        "width of brown lines, µm": line_widths(d, mpp),
        **{name: values.ravel() for name, values in energy.items()},
        "fine over medium contrast": (
            energy["local contrast, 1 px"] / np.maximum(energy["local contrast, 2-4 px"], 0.3)
        ).ravel(),
        "noise, gray levels": noise(green),
    }


def noise(green: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the noise (a standard deviation) of the quarter of fields that hold least else.

    References
    ----------
    Immerkær 1996, Fast noise variance estimation, 10.1006/cviu.1996.0060.
    """
    # Neither planes nor straight edges along rows and columns pass.
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    passed = np.abs(cv2.filter2D(green, -1, kernel)) * math.sqrt(math.pi / 2) / 6
    fields = cv2.blur(passed, (24, 24))[12:-11:24, 12:-11:24].ravel()
    return np.sort(fields)[: max(1, len(fields) // 4)]


def nuclei(
    h: NDArray[np.float64], d: NDArray[np.float64], mpp: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Segment dark blue blobs crudely (the same way in both) and return area and spacing."""
    blue = cv2.GaussianBlur(h - 0.35 * d, (0, 0), 2.5)
    level = np.clip((blue - np.percentile(blue, 1)) / (np.ptp(blue) + 1e-9) * 255, 0, 255)
    _, mask = cv2.threshold(level.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    area = stats[1:, cv2.CC_STAT_AREA] * mpp**2
    chosen = (area > 8) & (area < 250)
    points = centres[1:][chosen] * mpp
    if len(points) < 3:
        return area[chosen], np.zeros(0)
    far = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(far, np.inf)
    return area[chosen], far.min(axis=1)


def line_widths(d: NDArray[np.float64], mpp: float) -> NDArray[np.float64]:
    """Return widths at half height of brown ridges, across rows and columns."""
    widths = []
    smooth = cv2.GaussianBlur(d, (0, 0), 0.6)
    for picture in (smooth, smooth.T):
        for row in picture[::7]:
            peaks = np.flatnonzero(
                (row[1:-1] > 0.12) & (row[1:-1] >= row[:-2]) & (row[1:-1] > row[2:])
            )
            for p in peaks + 1:
                half = row[p] / 2
                left = p
                while left > 0 and row[left] > half and p - left < 20:
                    left -= 1
                right = p
                while right < len(row) - 1 and row[right] > half and right - p < 20:
                    right += 1
                if p - left < 20 and right - p < 20:
                    widths.append((right - left - 1) * mpp)
    return np.array(widths)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return 1 − overlap of two histograms over their common range; NaN without values."""
    if len(a) < 20 or len(b) < 20:
        return float("nan")
    low, high = np.percentile(np.concatenate([a, b]), [0.5, 99.5])
    bins = np.linspace(low, high + 1e-9, 25)
    p, q = (np.histogram(np.clip(v, low, high), bins)[0] / len(v) for v in (a, b))
    return float(1 - np.minimum(p, q).sum())


def median(values: NDArray[np.float64]) -> str:
    """Return the median in words, a dash without values."""
    return f"{np.median(values):.3g}" if len(values) else "-"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("realism"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.seed < 0:
        parser.error("--seed must be at least 0")
    cores = arguments.real / "tma"
    missing = sorted({m.file for m in MATCHES if not (cores / m.file).is_file()})
    if missing:
        print(f"{cores} lacks {', '.join(missing)}: give the folder that holds tma/ with --real")
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    pairs = []
    for match in MATCHES:
        core = cv2.cvtColor(cv2.imread(str(cores / match.file)), cv2.COLOR_BGR2RGB)
        real = core[match.y : match.y + SIDE_PX, match.x : match.x + SIDE_PX]
        recipe = SlideRecipe(width_um=SIDE_UM, height_um=SIDE_UM, regions=(match.region,))
        drawn = draw_field(recipe, LAB, seed=arguments.seed).rgb
        pairs.append(Pair(match.name, LAB.mpp, real, drawn))
    # The picture that comes with scikit-image is strongly stained.
    strong = replace(
        PLAIN,
        mix=mix_of(intense_basolateral=0.3, moderate_basolateral=0.7),
        gland_share=0.8,
        nest_um=170.0,
        cytoplasm_od=0.7,
        nucleus_brown=0.4,
        mottle=0.3,
    )
    recipe = SlideRecipe(width_um=256.0, height_um=256.0, regions=(strong,))
    drawn = draw_field(
        recipe,
        replace(LAB, mpp=STRONG_MPP, dab_strength=0.75, noise=0.8, sharpen=0.5),
        seed=arguments.seed,
    ).rgb
    strong_real = np.asarray(skimage.data.immunohistochemistry(), np.uint8)
    pairs.append(Pair("3+ (scikit-image)", STRONG_MPP, strong_real, drawn))

    names: list[str] = []
    table: list[list[float]] = []
    medians: list[list[str]] = []
    for pair in pairs:
        a, b = measure(pair.real, pair.mpp), measure(pair.drawn, pair.mpp)
        names = list(a)
        table.append([distance(a[name], b[name]) for name in names])
        medians.append([f"{median(a[name])}/{median(b[name])}" for name in names])
    rows = np.array(table)
    width = max(len(name) for name in names)
    print(" " * width, *(f"{k + 1:>6}" for k in range(len(pairs))), "  mean")
    for column, name in enumerate(names):
        cells = " ".join(f"{v:6.2f}" for v in rows[:, column])
        print(f"{name:<{width}} {cells} {np.nanmean(rows[:, column]):6.2f}")
    print(f"{'all':<{width}} {' '.join(f'{v:6.2f}' for v in np.nanmean(rows, axis=1))}")
    print("\nMedians, real/synthetic")
    for column, name in enumerate(names):
        print(f"{name:<{width}}", *(f"{row[column]:>12}" for row in medians))
    write_page(arguments.out, pairs, names, rows)
    print(f"page: {arguments.out / 'index.html'}")
    return 0


def write_page(
    folder: Path,
    pairs: list[Pair],
    names: list[str],
    rows: NDArray[np.float64],
) -> None:
    """Write the pictures and a page that shows them side by side."""
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Real and synthetic</title>",
        "<style>body{font:15px sans-serif}td,th{padding:2px 8px}img{width:48%}</style>",
        "<h1>Real (left) and synthetic (right)</h1><table><tr><th>distance, 0 = alike</th>",
        *(f"<th>{pair.name}</th>" for pair in pairs),
        "</tr>",
    ]
    for column, name in enumerate(names):
        cells = "".join(f"<td>{v:.2f}</td>" for v in rows[:, column])
        parts.append(f"<tr><td>{name}</td>{cells}</tr>")
    parts.append("</table>")
    for k, pair in enumerate(pairs):
        parts.append(f"<h2>{pair.name}</h2>")
        for kind, rgb in (("real", pair.real), ("synthetic", pair.drawn)):
            file = f"{k + 1}-{kind}.png"
            cv2.imwrite(str(folder / file), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            parts.append(f"<img src='{file}' alt='{kind}'>")
    (folder / "index.html").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
