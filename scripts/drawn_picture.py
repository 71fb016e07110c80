"""One picture: real tissue with drawn membranes, as a laboratory would have scanned it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from drawn_designs import LABORATORIES, MPP, SOURCES, Design, Vector, View
from drawn_membranes import Staining, draw_membranes
from drawn_tissue import Floats, Rng, Tissue, blurred, find_cells, read_crop
from drawn_truth import CellTruth, measure_cells, real_brown_shares
from numpy.typing import NDArray
from PIL import Image

# Scatter of each part of the vector of DAB between slides, natural log.
DAB_SCATTER = 0.03
# A scanner sharpens a little.
SHARPENED_PX, SHARPENED_PART, LEAST_OD = 2.5, 0.25, -0.012
# Noise where DAB took light away, in values of 255; that of blue is stronger.
NOISE, NOISE_PX, NOISE_OF_COLORS = 2.0 * 1.2, 0.7, (1.0, 1.0, 1.4)
QUALITIES = (80, 93)
# Of color in JPEG: 0 as fine as light (4:4:4), 2 half as fine (4:2:0).
SUBSAMPLINGS = (0, 2)


@dataclass(frozen=True)
class Picture:
    """A picture and what is true of it.

    Attributes
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        As decoded from JPEG.
    places : ndarray of shape (n, 2), float64
        x and y of all nuclei, px of the picture.
    n_seen : int
        The first so many nuclei were seen, the others supposed.
    cells : dict of int to CellTruth
        Of the tumor cells, by nucleus.
    dab : tuple of 3 float
        Unit vector of DAB, OD in red, green and blue.
    optics_um : float
    quality, subsampling : int
        Of the JPEG.
    real_brown : list of 2 float
        Shares of tumor cells that are brown in the source: clearly, barely.
    """

    rgb: NDArray[np.uint8]
    places: Floats
    n_seen: int
    cells: dict[int, CellTruth]
    dab: Vector
    optics_um: float
    quality: int
    subsampling: int
    real_brown: list[float]


def draw_picture(folder: Path, design: Design, view: View, seed: int) -> Picture:
    """Draw a design onto its crop of the sources in a folder.

    The same seed draws the same picture, to the last bit.
    """
    rng = np.random.default_rng(seed)
    tissue = find_cells(read_crop(folder, design.crop), design.crop, rng)
    staining = draw_membranes(tissue, design, rng)
    dab = dab_of(view, rng)
    light = light_through(tissue, staining, design, view, dab, rng)
    light, places = shown(light, tissue.nuclei[:, :2], view)
    quality, subsampling = int(rng.integers(*QUALITIES)), int(rng.choice(SUBSAMPLINGS))
    return Picture(
        compressed(light, quality, subsampling),
        places,
        tissue.n_seen,
        measure_cells(tissue, staining),
        dab,
        staining.optics_um,
        quality,
        subsampling,
        real_brown_shares(tissue, design.crop.source),
    )


def dab_of(view: View, rng: Rng) -> Vector:
    """Draw the unit vector of DAB of one slide of a laboratory."""
    vector = np.array(LABORATORIES[view.laboratory].dab) * np.exp(rng.normal(0, DAB_SCATTER, 3))
    red, green, blue = (vector / np.linalg.norm(vector)).tolist()
    return red, green, blue


def light_through(
    tissue: Tissue, staining: Staining, design: Design, view: View, dab: Vector, rng: Rng
) -> Floats:
    """Return the light, 0–255 and of shape (M, N, 3), that tissue and what is drawn let through.

    Where nothing is drawn the tissue's own light stays as it is, noise included.
    """
    laboratory = LABORATORIES[view.laboratory]
    white = np.array(laboratory.white or SOURCES[design.crop.source].white, np.float64)
    own = tissue.od * np.array(laboratory.tissue, np.float64)
    if not design.mix and not design.blush_od:
        return np.asarray(white * 10**-own)
    drawn = sharpened(staining.lines + staining.haze)
    light = white * 10 ** -(own + (drawn / dab[2])[..., None] * np.array(dab))
    noise = rng.standard_normal(light.shape) * np.array(NOISE_OF_COLORS)
    return np.asarray(light + NOISE * blurred(noise, NOISE_PX) * (1 - 10**-drawn)[..., None])


def sharpened(od: Floats) -> Floats:
    """Sharpen what is drawn as the scanner sharpened the tissue."""
    return np.clip(od + SHARPENED_PART * (od - blurred(od, SHARPENED_PX)), LEAST_OD, None)


def shown(light: Floats, places: Floats, view: View) -> tuple[Floats, Floats]:
    """Turn, mirror and resample a picture, and the places (x, y) with it."""
    for _ in range(view.n_turns):
        places = np.column_stack([places[:, 1], light.shape[1] - 1 - places[:, 0]])
        light = np.rot90(light)
    if view.is_mirrored:
        places = np.column_stack([light.shape[1] - 1 - places[:, 0], places[:, 1]])
        light = light[:, ::-1]
    light = np.ascontiguousarray(light)
    if view.mpp == MPP:
        return light, places
    scale = MPP / view.mpp
    size = (round(light.shape[1] * scale), round(light.shape[0] * scale))
    return cv2.resize(light, size, interpolation=cv2.INTER_AREA), (places + 0.5) * scale - 0.5


def compressed(light: Floats, quality: int, subsampling: int) -> NDArray[np.uint8]:
    """Return what JPEG leaves of a picture."""
    packed = io.BytesIO()
    rgb = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    Image.fromarray(rgb).save(packed, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(packed) as picture:
        return np.asarray(picture)
