"""Faults of preparation and scanning: folds, pen, bubbles, dust, defocus, pigment, edge stain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import sample, stream
from her2path.synth.recipe import SlideRecipe
from her2path.synth.stain_maps import StainMaps
from her2path.synth.stroma import StromaNoise

__all__ = ["ArtefactKind", "Placed", "draw_artefacts", "place_artefacts"]


class ArtefactKind(IntEnum):
    """What spoils the picture."""

    FOLD = 0
    PEN = 1
    BUBBLE = 2
    DUST = 3
    BLUR = 4
    PIGMENT = 5
    DEBRIS = 6
    RED_CELLS = 7
    TEAR = 8
    CRUSH = 9


@dataclass(frozen=True, slots=True)
class Placed:
    """Artefacts of a slide.

    Attributes
    ----------
    kind : ndarray of shape (n,), int64
        As `ArtefactKind`.
    place : ndarray of shape (n, 6), float64
        x, y, half length, half width (µm), direction (radians) and strength.
    edge_od : float
        DAB OD that the edge of the tissue takes up.
    """

    kind: NDArray[np.int64]
    place: NDArray[np.float64]
    edge_od: float


def place_artefacts(recipe: SlideRecipe, *, seed: int) -> Placed:
    """Choose where the artefacts of a recipe lie."""
    rng = stream(seed, 71)
    faults = recipe.artefacts
    area_mm2 = recipe.width_um * recipe.height_um / 1e6
    side = min(recipe.width_um, recipe.height_um)
    counts = {
        ArtefactKind.FOLD: faults.folds,
        ArtefactKind.PEN: faults.pen_marks,
        ArtefactKind.BUBBLE: faults.bubbles,
        ArtefactKind.DUST: faults.dust,
        ArtefactKind.BLUR: faults.blurred_patches,
        ArtefactKind.PIGMENT: round(faults.pigment_per_mm2 * area_mm2),
        ArtefactKind.DEBRIS: round(faults.debris_per_mm2 * area_mm2),
        ArtefactKind.RED_CELLS: round(faults.vessels_per_mm2 * area_mm2),
        ArtefactKind.TEAR: faults.tears,
        ArtefactKind.CRUSH: faults.crushed_patches,
    }
    # Half length and half width of each kind, low and high end, µm.
    sizes = {
        ArtefactKind.FOLD: ((0.15 * side, 0.45 * side), (8.0, 22.0)),
        ArtefactKind.PEN: ((0.2 * side, 0.5 * side), (60.0, 200.0)),
        ArtefactKind.BUBBLE: ((60.0, 220.0), (1.0, 1.0)),
        ArtefactKind.DUST: ((2.0, 14.0), (1.5, 8.0)),
        ArtefactKind.BLUR: ((80.0, 260.0), (80.0, 260.0)),
        ArtefactKind.PIGMENT: ((0.5, 1.6), (0.4, 1.2)),
        ArtefactKind.DEBRIS: ((0.6, 3.0), (0.4, 1.8)),
        ArtefactKind.RED_CELLS: ((14.0, 60.0), (6.0, 14.0)),
        ArtefactKind.TEAR: ((40.0, 0.3 * side), (6.0, 40.0)),
        ArtefactKind.CRUSH: ((40.0, 160.0), (25.0, 70.0)),
    }
    kinds: list[int] = []
    rows: list[tuple[float, ...]] = []
    for kind, count in counts.items():
        for _ in range(count):
            (long_from, long_to), (short_from, short_to) = sizes[kind]
            kinds.append(int(kind))
            rows.append(
                (
                    rng.uniform(0, recipe.width_um),
                    rng.uniform(0, recipe.height_um),
                    rng.uniform(long_from, max(long_from, long_to)),
                    rng.uniform(short_from, short_to),
                    rng.uniform(0, math.pi),
                    rng.uniform(0.5, 1.0),
                )
            )
    return Placed(
        np.array(kinds, dtype=np.int64),
        np.array(rows, dtype=np.float64).reshape(-1, 6),
        faults.edge_stain_od,
    )


def draw_artefacts(
    placed: Placed,
    maps: StainMaps,
    depth: NDArray[np.float32],
    depth_step: int,
    x0: int,
    y0: int,
    mpp: float,
    noise: StromaNoise,
) -> None:
    """Draw artefacts over what is there (in place)."""
    if placed.edge_od > 0:
        _stain_edge(maps.d, maps.tissue, depth, depth_step, x0, y0, placed.edge_od)
    _draw(
        placed.kind,
        placed.place,
        maps.h,
        maps.d,
        maps.red,
        maps.neutral,
        maps.blur_um,
        maps.tissue,
        maps.label,
        maps.artefacts,
        x0,
        y0,
        mpp,
        noise.coarse,
        noise.fine,
    )


@nb.njit(cache=True)
def _stain_edge(
    d: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    depth: NDArray[np.float32],
    step: int,
    x0: int,
    y0: int,
    od: float,
) -> None:
    rows, cols = d.shape
    for r in range(rows):
        lr = (y0 + r) // step - y0 // step
        for c in range(cols):
            if not tissue[r, c]:
                continue
            deep = depth[lr, (x0 + c) // step - x0 // step]
            if deep < 60:
                d[r, c] += od * np.exp(-max(deep, np.float32(0)) / 18.0)


@nb.njit(cache=True)
def _draw(
    kind: NDArray[np.int64],
    place: NDArray[np.float64],
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    red: NDArray[np.float32],
    neutral: NDArray[np.float32],
    blur: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    label: NDArray[np.int32],
    spoilt: NDArray[np.bool_],
    x0: int,
    y0: int,
    mpp: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    rows, cols = h.shape
    for k in range(kind.size):
        cx, cy, long_um, short_um, angle, strength = place[k]
        what = kind[k]
        reach = 1.3 * max(long_um, short_um) + 12.0
        r_from, r_to = max(0, int((cy - reach) / mpp) - y0), min(rows, int((cy + reach) / mpp) - y0)
        c_from, c_to = max(0, int((cx - reach) / mpp) - x0), min(cols, int((cx + reach) / mpp) - x0)
        ca, sa = np.cos(angle), np.sin(angle)
        for r in range(r_from, r_to):
            y = (y0 + r + 0.5) * mpp
            for c in range(c_from, c_to):
                x = (x0 + c + 0.5) * mpp
                u = (x - cx) * ca + (y - cy) * sa
                v = -(x - cx) * sa + (y - cy) * ca
                if what == 0:
                    # A fold doubles the tissue in a strip with a dark crest and a soft border.
                    v += 0.35 * short_um * sample(coarse, u / 45.0 + k, 3.7 * k)
                    v += 0.2 * long_um * np.sin(u / long_um * 1.4 + k)
                    if abs(u) > long_um or abs(v) > short_um or not tissue[r, c]:
                        continue
                    taper = min(1.0, (long_um - abs(u)) / 30.0)
                    t = max(0.0, 1.0 - (v / (short_um * max(0.05, taper))) ** 2)
                    if t <= 0:
                        continue
                    g = min(1.0, 3.0 * t)
                    h[r, c] += g * (0.9 * h[r, c] + 0.10)
                    d[r, c] += g * (0.9 * d[r, c] + 0.03)
                    neutral[r, c] += 0.05 * g + 0.12 * t * t * max(
                        0.0, sample(fine, u / 9.0, v / 2.0)
                    )
                    blur[r, c] = max(blur[r, c], 0.7 * g)
                    spoilt[r, c] = True
                elif what == 1:
                    v += 0.12 * long_um * np.sin(u / long_um * 2.0 + k)
                    edge = short_um * (1 + 0.05 * sample(coarse, u / 12.0, 5.0 * k))
                    if abs(u) > long_um or abs(v) > edge:
                        continue
                    streak = 1 + 0.10 * sample(coarse, u / 160.0, v / 5.0)
                    rim = 1 + 0.35 * np.exp(-(edge - abs(v)) / 6.0)
                    if k % 2 == 0:
                        h[r, c] += 1.1 * strength * streak * rim
                    neutral[r, c] += (0.15 if k % 2 == 0 else 0.9) * strength * streak * rim
                    blur[r, c] = max(blur[r, c], 0.8)
                    spoilt[r, c] = True
                elif what == 2:
                    far = np.sqrt(u * u + v * v * 1.15)
                    if far > long_um + 8:
                        continue
                    ring = np.exp(-(((far - long_um) / 2.2) ** 2))
                    inner = np.exp(-(((far - long_um + 5.0) / 2.0) ** 2))
                    neutral[r, c] += 0.55 * ring - 0.03 * inner
                    if far < long_um:
                        blur[r, c] = max(blur[r, c], 1.2)
                        spoilt[r, c] = True
                    elif ring > 0.1:
                        spoilt[r, c] = True
                elif what == 3 or what == 6:
                    rough = 1 + 0.3 * sample(coarse, u / 1.6 + 7.0 * k, v / 1.6)
                    t = 1.0 - ((u / long_um) ** 2 + (v / short_um) ** 2) * rough
                    if t <= 0:
                        continue
                    g = min(1.0, 2.5 * t)
                    if what == 3:
                        neutral[r, c] += g * strength * 0.9
                        blur[r, c] = max(blur[r, c], 0.9)
                        spoilt[r, c] = True
                    else:
                        d[r, c] += g * strength * 0.7
                elif what == 4:
                    t = 1.0 - (u / long_um) ** 2 - (v / short_um) ** 2
                    if t > 0:
                        blur[r, c] = max(blur[r, c], 1.5 * strength * min(1.0, 2.0 * t))
                        spoilt[r, c] = spoilt[r, c] or 1.5 * strength * min(1.0, 2.0 * t) > 0.5
                elif what == 5:
                    t = 1.0 - (u / long_um) ** 2 - (v / short_um) ** 2
                    if t > 0 and tissue[r, c]:
                        red[r, c] += 0.8 * strength * min(1.0, 2.0 * t)
                elif what == 7:
                    _vessel(
                        r,
                        c,
                        u,
                        v,
                        long_um,
                        short_um,
                        k,
                        h,
                        d,
                        red,
                        neutral,
                        label,
                        tissue,
                        coarse,
                        fine,
                    )
                elif what == 9:
                    # Squeezed cells smear their chromatin into streaks.
                    ragged = 0.25 * sample(coarse, u / 14.0 + k, v / 14.0)
                    t = 1.0 + ragged - (u / long_um) ** 2 - (v / short_um) ** 2
                    if t <= 0 or not tissue[r, c]:
                        continue
                    bent = v + 4.0 * sample(coarse, u / 40.0, v / 40.0 + 3.0 * k)
                    streak = sample(fine, u / 7.0, bent / 1.0) + 0.6 * sample(
                        fine, u / 4.0 + 40.0, bent / 0.6
                    )
                    g = min(1.0, 3.0 * t)
                    smeared = 0.03 + strength * 0.30 * max(0.0, streak - 0.1)
                    h[r, c] += g * (smeared - 0.75 * h[r, c])
                    d[r, c] *= 1 - 0.5 * g
                    spoilt[r, c] = True
                else:
                    v += 0.5 * short_um * sample(coarse, u / 25.0 + k, 2.0 * k)
                    taper = 1 - (u / long_um) ** 2
                    if taper > 0 and abs(v) < short_um * taper and tissue[r, c]:
                        h[r, c] = 0.0
                        d[r, c] = 0.0
                        tissue[r, c] = False
                        spoilt[r, c] = True


@nb.njit(cache=True)
def _vessel(
    r: int,
    c: int,
    u: float,
    v: float,
    long_um: float,
    short_um: float,
    k: int,
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    red: NDArray[np.float32],
    neutral: NDArray[np.float32],
    label: NDArray[np.int32],
    tissue: NDArray[np.bool_],
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Draw a pixel of a vessel in the stroma: clear lumen, thin wall, refractile red cells."""
    if label[r, c] != -1 or not tissue[r, c]:
        return
    v += 0.4 * short_um * sample(coarse, u / 20.0 + k, 1.3 * k)
    t = np.sqrt((u / long_um) ** 2 + (v / short_um) ** 2)
    if t > 1.25:
        return
    wall = np.exp(-(((t - 1.06) * short_um / 0.8) ** 2))
    if t > 1.0:
        h[r, c] = max(h[r, c], np.float32(0.07 * wall))
        return
    h[r, c] = 0.05 * wall
    d[r, c] = 0.0
    # Discs of 6–7 µm with a dark rim and a bright middle.
    gx, gy = u / 6.4, v / 6.4
    i, j = np.floor(gx), np.floor(gy)
    ox = gx - i - 0.5 - 0.15 * sample(coarse, i * 3.3 + k, j * 5.7)
    oy = gy - j - 0.5 - 0.15 * sample(coarse, i * 6.1, j * 2.9 + k)
    if sample(coarse, i * 7.7 + 2.0 * k, j * 9.1) < -0.3:
        return
    far = np.sqrt(ox * ox + oy * oy) * 6.4
    if far < 3.1:
        rim = np.exp(-(((far - 2.6) / 0.45) ** 2))
        red[r, c] += 0.035 + 0.02 * sample(fine, u / 0.8, v / 0.8) * 0.3
        neutral[r, c] += 0.13 * rim - 0.012 * np.exp(-(far * far))
