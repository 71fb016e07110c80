"""Draw DAB onto the cells of real tissue: which cells, which lines, and brown that is no membrane.

Everything is OD in blue, before the vector of DAB gives it a color. px are those of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from drawn_designs import MPP, Design, Membrane
from drawn_tissue import STEP_PX, Floats, Mask, Rng, Tissue, at_nuclei, blurred, nucleus_map
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

# Clouds of stained cells are drawn at an eighth of the size, with this deviation there.
COARSE = 8
CLOUD_PX = 16
# How far a cell may lie off the order of its distance to a group's middle, px.
GROUP_SCATTER_PX = 12.0
# Stained share of the outline of an incomplete membrane, in one to three parts.
INCOMPLETE_SHARE = (0.35, 0.75)
# Full width at half height of lines, and deviation of the optics, µm.
WIDTH_UM = (0.6, 1.0)
OPTICS_UM = (0.30, 0.45)
# Deviation over full width at half height of a Gaussian.
SIGMA_PER_WIDTH = 1 / 2.355
# Along a line its OD, width and place vary over about this length.
VARIES_UM = 2.2
# How far a line strays from the cell's outline.
STRAYS_UM = 0.10
# Of the OD that would make up for the optics: lines that vary and meet add the rest.
DRAWN_PART = 0.86
# No line reaches farther, px.
LINE_REACH_PX = 12
# Cells with such membranes have brown cytoplasm, by this part of the membrane's OD.
BROWN_INSIDE = ("moderate", "intense")
CYTOPLASM_PART = (0.05, 0.14)
# Grain of DAB: deviation of its size, and by what part of the OD.
GRAIN_PX, GRAIN_PART = 1.2, 0.10
# Of the lines' light that the optics spread far, and how far.
OUT_OF_FOCUS_PART = 0.10
OUT_OF_FOCUS_UM = 1.3
# Granules in brown cytoplasm: how many to a µm², their deviation, and their OD.
GRANULES_PER_UM2 = 0.10
GRANULE_UM = 0.30
GRANULE_OD = 0.07


@dataclass(frozen=True)
class Staining:
    """What was drawn on a crop.

    Attributes
    ----------
    membranes : dict of int to Membrane
        The membrane of each cell that was chosen, by its nucleus.
    drawn_od : dict of int to float
        OD of its own line, before it varies along the outline.
    lines, haze : ndarray of shape (M, N), float
        Lines after the optics, without noise; brown that is no line.
    optics_um : float
        Deviation.
    """

    membranes: dict[int, Membrane]
    drawn_od: dict[int, float]
    lines: Floats
    haze: NDArray[np.float32]
    optics_um: float


def draw_membranes(tissue: Tissue, design: Design, rng: Rng) -> Staining:
    """Choose cells and draw the membranes of a design onto them."""
    membranes = choose_cells(tissue, design, rng)
    optics_um = rng.uniform(*OPTICS_UM)
    optics_px = optics_um / MPP
    shape = tissue.is_tissue.shape
    lines: Floats = np.zeros(shape)
    cytoplasm = np.zeros(shape, np.float32)
    drawn_od = {}
    for i, membrane in membranes.items():
        drawn_od[i] = od = od_of(membrane, rng)
        add_membrane(lines, tissue.outlines[i], membrane, od, optics_px, rng)
        if membrane.intensity in BROWN_INSIDE:
            cytoplasm[tissue.territories == i + 1] = od * rng.uniform(*CYTOPLASM_PART)
    lines = blurred(lines * grain(shape, rng), optics_px)
    haze = haze_of(tissue, design, lines, cytoplasm, rng)
    return Staining(membranes, drawn_od, lines, haze, optics_um)


def choose_cells(tissue: Tissue, design: Design, rng: Rng) -> dict[int, Membrane]:
    """Return which tumor cells, by nucleus, get which membrane of a design."""
    cells = tissue.nuclei[tissue.tumor]
    shape = (tissue.is_tissue.shape[0] // COARSE, tissue.is_tissue.shape[1] // COARSE)
    cloud = blurred(rng.standard_normal(shape).astype(np.float32), CLOUD_PX)
    cloud = (cloud - cloud.mean()) / cloud.std()
    warm = design.clustering * at_nuclei(cloud, cells / COARSE)
    warm = warm + (1 - design.clustering) * rng.standard_normal(len(cells))
    if design.n_groups:
        middles = cells[rng.choice(len(cells), design.n_groups, replace=False), :2]
        away = np.min([np.hypot(*(cells[:, :2] - middle).T) for middle in middles], axis=0)
        warm = rng.standard_normal(len(cells)) * GROUP_SCATTER_PX - away
    waiting = iter(tissue.tumor[np.argsort(-warm)])
    return {
        int(next(waiting)): membrane
        for membrane, share in design.mix
        for _ in range(round(share * len(cells)))
    }


def od_of(membrane: Membrane, rng: Rng) -> float:
    """Draw the OD of one cell's membrane, within its class."""
    low, high = membrane.od
    od = rng.uniform(low * 1.08, high * 0.92) * np.exp(rng.normal(0, 0.15))
    return float(np.clip(od, low, high))


def wavy(n: int, sigma: float, rng: Rng) -> Floats:
    """Return noise of deviation 1 round a closed line of n points, smooth over sigma points."""
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n), sigma, mode="wrap")
    return np.asarray(noise / max(noise.std(), 1e-6))


def stained_parts(n: int, rng: Rng, *, is_complete: bool) -> Floats:
    """Return how much of its OD a line has at each of n points, 0–1."""
    drawn = np.ones(n)
    if is_complete:
        # Some thin out at one place, which is no gap.
        if rng.random() < 0.4:
            middle = rng.integers(n)
            away = np.abs((np.arange(n) - middle + n // 2) % n - n // 2)
            drawn -= 0.45 * np.exp(-(away**2) / (2 * (n * 0.015) ** 2))
        return drawn
    share, n_parts = rng.uniform(*INCOMPLETE_SHARE), rng.integers(1, 4)
    parts = rng.dirichlet(np.ones(n_parts) * 4) * share
    gaps = rng.dirichlet(np.ones(n_parts) * 3) * (1 - share)
    drawn[:] = 0
    begin = rng.random()
    for part, gap in zip(parts, gaps, strict=True):
        points = np.arange(int(begin * n), int(begin * n) + max(int(part * n), 1)) % n
        drawn[points] = 1
        begin += part + gap
    return np.asarray(ndimage.gaussian_filter1d(drawn, 5, mode="wrap"))


def add_membrane(
    lines: Floats, outline: Floats, membrane: Membrane, od: float, optics_px: float, rng: Rng
) -> None:
    """Draw the membrane of one cell; where lines meet the darker one stands.

    Parameters
    ----------
    lines : ndarray of shape (M, N), float64
        Changed. OD before the optics, so high that the optics leave what is wanted.
    outline : ndarray of shape (k, 2), float64
        x and y in px.
    membrane : Membrane
    od : float
        Wanted at the peak after the optics.
    optics_px : float
    rng : numpy.random.Generator
    """
    n, varies = len(outline), VARIES_UM / MPP / STEP_PX
    astray = np.column_stack([wavy(n, 25, rng), wavy(n, 25, rng)])
    outline = outline + STRAYS_UM / MPP * astray
    along = od * stained_parts(n, rng, is_complete=membrane.is_complete)
    along *= np.clip(1 + 0.20 * wavy(n, varies, rng), 0.5, 1.6)
    mean_width = rng.uniform(*WIDTH_UM) * SIGMA_PER_WIDTH / MPP
    width = mean_width * np.clip(1 + 0.18 * wavy(n, varies * 1.5, rng), 0.6, 1.6)
    # Where a membrane is seen askew it is wide and pale.
    askew = np.clip(wavy(n, varies * 2, rng) - 0.9, 0, 1.2)
    along *= np.sqrt(width**2 + optics_px**2) / width * DRAWN_PART / (1 + 0.30 * askew)
    width *= 1 + 0.9 * askew
    box = box_of(outline, lines.shape)
    y, x = np.mgrid[box]
    away, nearest = cKDTree(outline).query(
        np.column_stack([x.ravel(), y.ravel()]), distance_upper_bound=LINE_REACH_PX
    )
    is_near = np.isfinite(away)
    away, nearest = away[is_near], nearest[is_near]
    drawn = np.zeros(x.shape)
    drawn[is_near.reshape(x.shape)] = along[nearest] * np.exp(
        -(away**2) / (2 * width[nearest] ** 2)
    )
    np.maximum(lines[box], drawn, out=lines[box])


def box_of(outline: Floats, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns that a line may reach."""
    low = np.floor(outline.min(0) - LINE_REACH_PX).astype(int).clip(0)
    high = np.ceil(outline.max(0) + LINE_REACH_PX + 1).astype(int)
    return slice(low[1], min(high[1], shape[0])), slice(low[0], min(high[0], shape[1]))


def grain(shape: tuple[int, ...], rng: Rng) -> Floats:
    """Return factors round 1 by which DAB is grainy."""
    noise = blurred(rng.standard_normal(shape), GRAIN_PX)
    return np.asarray(np.clip(1 + GRAIN_PART * noise / noise.std(), 0.5, 1.6))


def haze_of(
    tissue: Tissue, design: Design, lines: Floats, cytoplasm: NDArray[np.float32], rng: Rng
) -> NDArray[np.float32]:
    """Return brown that is no line: cytoplasm, light from out of focus, and the design's blush."""
    shape = tissue.is_tissue.shape
    nuclei = nucleus_map(shape, tissue.nuclei, 1.0).astype(np.float32)
    uneven = blurred(rng.standard_normal(shape).astype(np.float32), 9)
    uneven /= uneven.std()
    haze = (
        blurred(cytoplasm, 4) * (1 - 0.6 * blurred(nuclei, 3)) * np.clip(1 + 0.35 * uneven, 0.2, 2)
    )
    haze += OUT_OF_FOCUS_PART * blurred(lines.astype(np.float32), OUT_OF_FOCUS_UM / MPP)
    if design.blush_od:
        is_brown = brown_tumor(tissue)
        haze += blush(is_brown, nuclei, uneven, design.blush_od, rng)
        haze += granules(is_brown, nuclei, rng)
    return np.asarray(haze)


def brown_tumor(tissue: Tissue) -> Mask:
    """Return where cytoplasm of tumor is: its cells, and what else was marked."""
    cells = np.isin(tissue.territories, tissue.tumor + 1)
    marked = cv2.erode(tissue.is_marked.astype(np.uint8), np.ones((9, 9))) > 0
    return np.asarray((cells | marked) & tissue.is_tissue)


def blush(
    is_brown: Mask,
    nuclei: NDArray[np.float32],
    uneven: NDArray[np.float32],
    od: tuple[float, float],
    rng: Rng,
) -> NDArray[np.float32]:
    """Return even brown of cytoplasm, which wavers between two OD over the crop."""
    rows, cols = is_brown.shape
    coarse = blurred(rng.standard_normal((rows // COARSE, cols // COARSE)).astype(np.float32), 9)
    wide = cv2.resize(coarse / coarse.std(), (cols, rows))
    low, high = od
    level = np.clip((low + high) / 2 + (high - low) / 4 * wide, low, high)
    level *= np.clip(1 + 0.18 * uneven, 0.4, 1.7)
    cytoplasm = blurred(is_brown.astype(np.float32), 4) * (1 - 0.7 * blurred(nuclei, 3))
    return np.asarray(cytoplasm * level)


def granules(is_brown: Mask, nuclei: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """Return brown granules in cytoplasm."""
    n = int(is_brown.sum() * MPP**2 * GRANULES_PER_UM2)
    y, x = np.nonzero(is_brown)
    chosen = rng.integers(len(y), size=n)
    points = np.zeros(is_brown.shape, np.float32)
    points[y[chosen], x[chosen]] = rng.uniform(0.4, 1.2, n)
    sigma = GRANULE_UM / MPP
    # A point that is spread keeps its height by this factor.
    spread = blurred(points, sigma) * (2 * np.pi * sigma**2) * GRANULE_OD
    return spread * (1 - 0.7 * blurred(nuclei, 2))
