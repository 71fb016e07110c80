"""What lies on and between cells: vacuoles, secretion, granules along nests; how far nests are."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.layout import N_RADII, Nest, NestKind
from her2path.synth.noise import sample
from her2path.synth.stain_maps import pixels_about

__all__ = [
    "FAR_UM",
    "between_nodes",
    "draw_bodies",
    "draw_edge_granules",
    "draw_secretion",
    "draw_vacuoles",
    "nest_distance",
    "quantile",
]

# Beyond this distance no nest matters.
FAR_UM = 20.0


@nb.njit(cache=True)
def between_nodes(
    lattice: NDArray[np.float32], row: int, col: int, down: float, right: float
) -> float:
    """Return the value within a cell of a lattice, `down` and `right` (0–1) of its first node."""
    upper = lattice[row, col] + right * (lattice[row, col + 1] - lattice[row, col])
    lower = lattice[row + 1, col] + right * (lattice[row + 1, col + 1] - lattice[row + 1, col])
    value: float = upper + down * (lower - upper)
    return value


@nb.njit(cache=True)
def quantile(share: float) -> float:
    """Return what a standard normal exceeds with the chance `share` (0–1), to a few percent."""
    p = min(max(share, 1e-4), 0.9999)
    t = np.sqrt(-2.0 * np.log(min(p, 1 - p)))
    q = t - (2.30753 + 0.27061 * t) / (1.0 + 0.99229 * t + 0.04481 * t * t)
    return q if p < 0.5 else -q


def nest_distance(
    nests: list[Nest], x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Return how far outside the nearest nest points lie, at most `FAR_UM`; negative = inside.

    Cords and single cells have no border of their own: they are left out.

    Parameters
    ----------
    nests : list of Nest
        All nests that may be near.
    x, y : ndarray of shape (N,) and (M,), float64
        Columns and rows of a lattice, µm.

    Returns
    -------
    ndarray of shape (M, N), float32
    """
    out = np.full((len(y), len(x)), FAR_UM, np.float32)
    bordered = [n for n in nests if n.kind not in (NestKind.SCATTERED, NestKind.CORD)]
    if bordered:
        _distance(
            np.array([n.x for n in bordered]),
            np.array([n.y for n in bordered]),
            np.stack([n.radii for n in bordered]),
            x.astype(np.float64),
            y.astype(np.float64),
            out,
        )
    return out


@nb.njit(cache=True)
def _distance(
    nest_x: NDArray[np.float64],
    nest_y: NDArray[np.float64],
    radii: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    for k in range(nest_x.size):
        reach = radii[k].max() + FAR_UM
        for r in range(y.size):
            dy = y[r] - nest_y[k]
            if abs(dy) > reach:
                continue
            for c in range(x.size):
                dx = x[c] - nest_x[k]
                if abs(dx) > reach:
                    continue
                at = (np.arctan2(dy, dx) / (2 * np.pi) % 1.0) * N_RADII
                low = int(at) % N_RADII
                t = at - int(at)
                border = (1 - t) * radii[k, low] + t * radii[k, (low + 1) % N_RADII]
                far = np.float32(np.sqrt(dx * dx + dy * dy) - border)
                if far < out[r, c]:
                    out[r, c] = far


@nb.njit(cache=True)
def draw_vacuoles(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    own: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius_um: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    fine: NDArray[np.float32],
) -> None:
    """Clear a disc in the cytoplasm of the cells of the labels `own` (in place)."""
    rows, cols = h.shape
    for k in range(x.size):
        reach = 1.2 * radius_um[k]
        r_from, r_to, c_from, c_to = pixels_about(x[k], y[k], reach, x0, y0, mpp, rows, cols)
        for r in range(r_from, r_to + 1):
            for c in range(c_from, c_to + 1):
                if label[r, c] != own[k]:
                    continue
                px, py = (x0 + c + 0.5) * mpp, (y0 + r + 0.5) * mpp
                far = np.sqrt((px - x[k]) ** 2 + (py - y[k]) ** 2) / radius_um[k]
                far += 0.08 * sample(fine, px / 2.0, py / 2.0)
                inside = min(1.0, max(0.0, (1.0 - far) * radius_um[k] / 0.4))
                h[r, c] *= 1 - 0.72 * inside
                d[r, c] *= 1 - 0.80 * inside


@nb.njit(cache=True)
def draw_bodies(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    a_um: NDArray[np.float32],
    b_um: NDArray[np.float32],
    angle: NDArray[np.float32],
    h_od: NDArray[np.float64],
    dab_od: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    fine: NDArray[np.float32],
) -> None:
    """Draw the cytoplasm of cells of the stroma under their nuclei (in place).

    Parameters
    ----------
    h, d : ndarray of shape (M, N), float32
        Hematoxylin and DAB OD.
    label : ndarray of shape (M, N), int32
        Nothing is drawn but where it is −1.
    x, y, a_um, b_um, angle : ndarray of shape (n,)
        Ellipses, µm and radians.
    h_od, dab_od : ndarray of shape (n,), float64
        Stain of each; where that of hematoxylin is 0 nothing is drawn.
    """
    rows, cols = h.shape
    for k in range(x.size):
        if h_od[k] <= 0:
            continue
        reach = 1.3 * a_um[k]
        r_from, r_to, c_from, c_to = pixels_about(x[k], y[k], reach, x0, y0, mpp, rows, cols)
        ca, sa = np.cos(angle[k]), np.sin(angle[k])
        for r in range(r_from, r_to + 1):
            for c in range(c_from, c_to + 1):
                if label[r, c] != -1:
                    continue
                px, py = (x0 + c + 0.5) * mpp, (y0 + r + 0.5) * mpp
                dx, dy = px - x[k], py - y[k]
                u, v = dx * ca + dy * sa, -dx * sa + dy * ca
                rho = np.sqrt((u / a_um[k]) ** 2 + (v / b_um[k]) ** 2)
                rho += 0.10 * sample(fine, px / 2.2 + 3.0, py / 2.2)
                inside = min(1.0, max(0.0, (1.0 - rho) * b_um[k] / 0.5))
                if inside > 0:
                    texture = max(0.2, 1 + 0.25 * sample(fine, px / 0.7, py / 0.7 + 9.0))
                    h[r, c] += inside * (h_od[k] * texture - h[r, c])
                    if dab_od[k] > 0:
                        d[r, c] += inside * (dab_od[k] * texture - d[r, c])


@nb.njit(cache=True)
def draw_secretion(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    region: NDArray[np.int16],
    step: int,
    share: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Fill a share of the lumens (label −2) with granular matter and cell debris (in place)."""
    rows, cols = h.shape
    cuts = np.array([quantile(s) if s > 0 else 99.0 for s in share])
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        lr = (y0 + r) // step - y0 // step
        for c in range(cols):
            if label[r, c] != -2:
                continue
            cut = cuts[region[lr, (x0 + c) // step - x0 // step]]
            if cut > 90:
                continue
            x = (x0 + c + 0.5) * mpp
            ragged = 0.35 * sample(fine, x / 3.5 + 41.0, y / 3.5)
            fill = sample(coarse, x / 45.0 + 210.0, y / 45.0 + 130.0) + ragged - cut
            if fill < 0:
                continue
            # Crumbs with bright rims and dark shadows, some of them old nuclei.
            crumb = sample(fine, x / 0.8 + 7.0, y / 0.8 + 77.0)
            clot = sample(fine, x / 2.4 + 15.0, y / 2.4)
            old = max(0.0, sample(fine, x / 2.9 + 5.0, y / 2.9 + 55.0) - 1.5)
            body = min(1.0, 3.0 * fill)
            h[r, c] += body * max(-0.015, 0.035 + 0.045 * crumb + 0.025 * clot + 0.25 * old)
            d[r, c] += body * max(0.0, 0.012 + 0.012 * crumb)


@nb.njit(cache=True)
def draw_edge_granules(
    d: NDArray[np.float32],
    distance: NDArray[np.float32],
    region: NDArray[np.int16],
    step: int,
    od: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Put brown granules along the borders of nests (in place): no membrane, but like one.

    Parameters
    ----------
    d : ndarray of shape (M, N), float32
        DAB OD.
    distance, region : ndarray
        Distance outside the nests (µm) and region on a lattice of `step` pixels.
    od : ndarray of shape (regions,), float64
        Of each region; 0 = none.
    """
    rows, cols = d.shape
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        lr = (y0 + r) // step - y0 // step
        tr = ((y0 + r) % step) / step
        for c in range(cols):
            lc = (x0 + c) // step - x0 // step
            level = od[region[lr, lc]]
            # A cell of the lattice is a few microns wide.
            if level <= 0 or abs(distance[lr, lc]) > 5 + 2 * step * mpp:
                continue
            tc = ((x0 + c) % step) / step
            far = between_nodes(distance, lr, lc, tr, tc)
            if abs(far) > 5:
                continue
            x = (x0 + c + 0.5) * mpp
            # They gather in places along the border.
            where = max(0.0, 0.4 + sample(coarse, x / 38.0 + 77.0, y / 38.0 + 310.0))
            grain = sample(fine, x / 0.6 + 3.0, y / 0.6 + 66.0)
            clump = sample(fine, x / 1.7 + 8.0, y / 1.7 + 21.0)
            near = np.exp(-((far / 2.0) ** 2))
            d[r, c] += level * where * near * max(0.0, grain + 0.8 * clump - 0.7)
