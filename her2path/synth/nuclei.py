"""Nuclei: shape, chromatin and place of every kind of cell."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.growth import Epithelium
from her2path.synth.recipe import RegionRecipe

__all__ = [
    "EDGE_UM",
    "NUCLEUS_OD",
    "Moments",
    "Nuclei",
    "defocused",
    "epithelial_nuclei",
    "join_nuclei",
    "polygon_moments",
]

# Mean hematoxylin OD of a nucleus where a recipe does not say otherwise.
NUCLEUS_OD = 0.165
# Width of the slope at the border of a nucleus in focus.
EDGE_UM = 0.35
# Chance makes no nucleus smaller than this share of its cell, nor than this share of the mean.
LEAST_FILL, LEAST_OF_MEAN = 0.18, 0.6


@dataclass(frozen=True, slots=True)
class Moments:
    """Centroid, area, axes and inner radius of polygons; lengths in µm, angle in radians."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: NDArray[np.float64]
    long_um: NDArray[np.float64]
    short_um: NDArray[np.float64]
    angle: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei as bent ellipses with chromatin.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Centre, µm.
    a_um, b_um, angle : ndarray of shape (n,), float32
        Half axes (a ≥ b) and direction of the long one, radians clockwise from +x.
    h_od : ndarray of shape (n,), float32
        Mean hematoxylin OD.
    vesicular : ndarray of shape (n,), float32
        0 = evenly dark, 1 = pale with a dark rim.
    clumping : ndarray of shape (n,), float32
        Contrast of the chromatin.
    nucleoli : ndarray of shape (n,), uint8
        Number of nucleoli, 0–2.
    phase : ndarray of shape (n,), float32
        Picks the nucleus's own piece of noise, 0–512.
    edge_um : ndarray of shape (n,), float64
        Width of the slope at the border.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    a_um: NDArray[np.float32]
    b_um: NDArray[np.float32]
    angle: NDArray[np.float32]
    h_od: NDArray[np.float32]
    vesicular: NDArray[np.float32]
    clumping: NDArray[np.float32]
    nucleoli: NDArray[np.uint8]
    phase: NDArray[np.float32]
    edge_um: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> Nuclei:
        """Return the nuclei that `index` (a mask or positions) picks."""
        return Nuclei(*(getattr(self, f.name)[index] for f in fields(self)))


def join_nuclei(parts: list[Nuclei]) -> Nuclei:
    """Return the nuclei of several lists in order."""
    return Nuclei(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Nuclei)))


def polygon_moments(
    start: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> Moments:
    """Return the moments of polygons; polygon c is points ``start[c]:start[c + 1]``."""
    return Moments(*_moments(start, x, y))


@nb.njit(cache=True)
def _moments(
    start: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    n = start.size - 1
    cx = np.zeros(n)
    cy = np.zeros(n)
    area = np.zeros(n)
    long_um = np.zeros(n)
    short_um = np.zeros(n)
    angle = np.zeros(n)
    for c in range(n):
        first, last = start[c], start[c + 1]
        if last - first < 3:
            continue
        ox, oy = x[first], y[first]
        a = sx = sy = sxx = syy = sxy = 0.0
        for i in range(first, last):
            j = i + 1 if i + 1 < last else first
            x0, y0 = x[i] - ox, y[i] - oy
            x1, y1 = x[j] - ox, y[j] - oy
            w = x0 * y1 - x1 * y0
            a += w / 2
            sx += w * (x0 + x1) / 6
            sy += w * (y0 + y1) / 6
            sxx += w * (x0 * x0 + x0 * x1 + x1 * x1) / 12
            syy += w * (y0 * y0 + y0 * y1 + y1 * y1) / 12
            sxy += w * (2 * x0 * y0 + x0 * y1 + x1 * y0 + 2 * x1 * y1) / 24
        if abs(a) < 1e-6:
            cx[c], cy[c] = ox, oy
            continue
        mx, my = sx / a, sy / a
        vxx = sxx / a - mx * mx
        vyy = syy / a - my * my
        vxy = sxy / a - mx * my
        root = np.sqrt(((vxx - vyy) / 2) ** 2 + vxy * vxy)
        mean = (vxx + vyy) / 2
        cx[c], cy[c] = ox + mx, oy + my
        area[c] = abs(a)
        # Half axes of the ellipse with the same second moments.
        long_um[c] = 2 * np.sqrt(max(mean + root, 1e-6))
        short_um[c] = 2 * np.sqrt(max(mean - root, 1e-6))
        angle[c] = 0.5 * np.arctan2(2 * vxy, vxx - vyy)
    return cx, cy, area, long_um, short_um, angle


def epithelial_nuclei(
    moments: Moments,
    tissue: Epithelium,
    kind: NDArray[np.uint8],
    regions: tuple[RegionRecipe, ...],
    region: NDArray[np.int32],
    rng: np.random.Generator,
) -> Nuclei:
    """Place one nucleus in each epithelial cell.

    Parameters
    ----------
    moments : Moments
        Of the cells' outlines.
    tissue : Epithelium
        Tells columns from others.
    kind : ndarray of shape (n,), uint8
        As `CellKind`: 0 tumor, 1 in situ, 2 benign.
    regions, region :
        Recipes, and the one of each cell.
    rng : Generator
        Randomness of the block.
    """
    n = len(moments.x)
    spread = np.array([r.pleomorphism for r in regions])[region] * np.where(kind == 2, 0.3, 1.0)
    vesicular_share = np.array([r.vesicular_share for r in regions])[region]
    column = tissue.is_column
    mean_fill = np.array([r.nucleus_fill for r in regions])[region]
    least = np.where(mean_fill < LEAST_FILL, LEAST_OF_MEAN * mean_fill, LEAST_FILL)
    fill = np.clip(mean_fill * np.exp(rng.normal(0, 0.55, n) * spread), least, 0.82)
    size = np.sqrt(fill)
    aspect = np.exp(rng.normal(0, 0.12, n))
    a = moments.long_um * size * aspect
    b = moments.short_um * size / aspect
    # A column holds a cigar: as wide as the cell allows, at any height (pseudostratified).
    a = np.where(column, np.clip(rng.normal(6.2, 0.9, n), 3.6, 0.6 * moments.long_um + 1e-3), a)
    b = np.where(column, moments.short_um * rng.uniform(0.66, 0.92, n), b)
    long_um, short_um = np.maximum(a, b), np.minimum(a, b)
    turned = np.where(b > a, np.pi / 2, 0.0)
    angle = moments.angle + turned + rng.normal(0, 0.10, n) * np.where(column, 0.5, 2.0)
    ux, uy = np.cos(moments.angle), np.sin(moments.angle)
    to_base = np.where(
        column,
        np.sign((tissue.base_x - moments.x) * ux + (tissue.base_y - moments.y) * uy),
        0.0,
    )
    to_base = np.nan_to_num(to_base)
    room = np.maximum(moments.long_um - long_um, 0.0)
    shift = np.where(column, to_base * room * np.clip(rng.normal(0.25, 0.45, n), -0.7, 0.95), 0.0)
    loose = 0.22 * (1 - size) * moments.short_um
    x = moments.x + ux * shift + np.where(column, 0.0, rng.normal(0, 1, n) * loose)
    y = moments.y + uy * shift + np.where(column, 0.0, rng.normal(0, 1, n) * loose)
    is_vesicular = rng.random(n) < vesicular_share
    vesicular = np.where(is_vesicular, rng.uniform(0.45, 0.95, n), rng.uniform(0.0, 0.35, n))
    tone = np.array([r.nucleus_od / NUCLEUS_OD for r in regions])[region]
    h_od = np.clip(rng.normal(NUCLEUS_OD, 0.035, n), 0.08, 0.45) * np.where(is_vesicular, 0.8, 1.0)
    h_od = h_od * tone
    mottle = np.array([r.mottle for r in regions])[region]
    return Nuclei(
        x=x,
        y=y,
        a_um=long_um.astype(np.float32),
        b_um=short_um.astype(np.float32),
        angle=angle.astype(np.float32),
        h_od=h_od.astype(np.float32),
        vesicular=vesicular.astype(np.float32),
        clumping=(rng.uniform(0.22, 0.46, n) * mottle).astype(np.float32),
        nucleoli=rng.choice(3, n, p=[0.45, 0.4, 0.15]).astype(np.uint8),
        phase=rng.uniform(0, 512, n).astype(np.float32),
        edge_um=np.full(n, EDGE_UM),
    )


def defocused(nuclei: Nuclei, share: NDArray[np.float64], rng: np.random.Generator) -> Nuclei:
    """Return nuclei of which a share (of each, 0–1) lies above or below the plane of focus."""
    chosen, far = rng.random((2, len(nuclei)))
    out = chosen < share
    fading = np.where(out, 0.3 + 0.4 * (1 - far), 1.0)
    return replace(
        nuclei,
        h_od=(nuclei.h_od * np.where(out, 1 - 0.35 * far, 1.0)).astype(np.float32),
        vesicular=(nuclei.vesicular * fading).astype(np.float32),
        clumping=(nuclei.clumping * fading).astype(np.float32),
        edge_um=np.where(out, 0.7 + 1.3 * far, nuclei.edge_um),
    )
