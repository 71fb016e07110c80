"""Drawn cells of known geometry: the analytic truth of the tests in this folder."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from her2path.stain import StainMatrix
from her2path.stain.od import transmitted

WHITE = (240.0, 240.0, 240.0)


def paint(h_od, dab_od, matrix=None, *, noise=0.0, seed=0, gray_od=None):
    """Turn maps of stain into a picture, uint8 RGB."""
    matrix = matrix or StainMatrix()
    od = h_od[..., None] * matrix.rows[0] + dab_od[..., None] * matrix.rows[1]
    if gray_od is not None:
        od = od + gray_od[..., None]
    light = transmitted(od, WHITE)
    light = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    return np.rint(light).clip(0, 255).astype(np.uint8)


def soft_disc(shape, x, y, radius_um, mpp, *, edge_um=0.3):
    """Disc with a soft edge, 1 inside and 0 outside."""
    rows, cols = np.indices(shape)
    distance = np.hypot(cols - x, rows - y) * mpp
    return expit((radius_um - distance) / (edge_um / 2))


def arc(shape, x, y, radius_um, width_um, mpp, *, start_deg=0.0, extent_deg=360.0, edge_um=0.3):
    """Ring or arc of a given width (full width at half height), 1 on the line."""
    rows, cols = np.indices(shape)
    distance = np.hypot(cols - x, rows - y) * mpp
    line = expit((width_um / 2 - np.abs(distance - radius_um)) / (edge_um / 2))
    angle = (np.degrees(np.arctan2(rows - y, cols - x)) - start_deg) % 360
    return line * (angle <= extent_deg)


def grid_of_cells(
    *,
    mpp=0.25,
    n_side=4,
    pitch_um=22.0,
    membrane_od=0.3,
    width_um=1.0,
    start_deg=0.0,
    extent_deg=360.0,
    cytoplasm_od=0.0,
    margin_um=45.0,
    radius_um=7.0,
    nucleus_od=0.35,
):
    """Round cells on a grid; returns maps of H and DAB, and the centers (x, y) in px."""
    side = round((2 * margin_um + (n_side - 1) * pitch_um) / mpp)
    h_od, dab_od = np.full((side, side), 0.03), np.zeros((side, side))
    centers = []
    for i in range(n_side):
        for j in range(n_side):
            x, y = (margin_um + i * pitch_um) / mpp, (margin_um + j * pitch_um) / mpp
            h_od += nucleus_od * soft_disc(h_od.shape, x, y, 3.5, mpp)
            dab_od += cytoplasm_od * soft_disc(h_od.shape, x, y, radius_um, mpp)
            dab_od += membrane_od * arc(
                h_od.shape,
                x,
                y,
                radius_um,
                width_um,
                mpp,
                start_deg=start_deg,
                extent_deg=extent_deg,
            )
            centers.append((x, y))
    return h_od, dab_od, np.array(centers)
