"""Put polygons, holes, nuclei and membranes into stain maps."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import sample
from her2path.synth.stain_maps import pixels_about

__all__ = [
    "draw_discs",
    "draw_lines",
    "draw_nuclei",
    "fill_polygons",
]

# Full width at half height over standard deviation of a Gaussian.
FWHM = 2.3548
# Width at half height that a point shows through the reference optics (0.75 NA, green light):
# the widths of lines are widths seen through it, so lines are drawn narrower by that much.
REFERENCE_PSF_UM = 0.45


@nb.njit(cache=True)
def fill_polygons(
    out: NDArray[np.int32],
    start: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    value: NDArray[np.int32],
    x0: int,
    y0: int,
    mpp: float,
) -> None:
    """Write `value` into the pixels whose centres lie in each polygon (in place)."""
    rows, cols = out.shape
    crossing = np.empty(256)
    for c in range(start.size - 1):
        first, last = start[c], start[c + 1]
        if last - first < 3:
            continue
        low, high = 1e18, -1e18
        left, right = 1e18, -1e18
        for i in range(first, last):
            low, high = min(low, y[i]), max(high, y[i])
            left, right = min(left, x[i]), max(right, x[i])
        r_from = max(0, int(np.floor(low / mpp - y0 - 0.5)))
        r_to = min(rows - 1, int(np.ceil(high / mpp - y0 - 0.5)))
        if r_from > r_to or right / mpp < x0 or left / mpp > x0 + cols:
            continue
        for r in range(r_from, r_to + 1):
            yc = (y0 + r + 0.5) * mpp
            m = 0
            for i in range(first, last):
                j = i + 1 if i + 1 < last else first
                if (y[i] <= yc) != (y[j] <= yc) and m < 256:
                    crossing[m] = x[i] + (yc - y[i]) / (y[j] - y[i]) * (x[j] - x[i])
                    m += 1
            span = np.sort(crossing[:m])
            for k in range(0, m - 1, 2):
                c_from = max(0, int(np.ceil(span[k] / mpp - x0 - 0.5)))
                c_to = min(cols - 1, int(np.floor(span[k + 1] / mpp - x0 - 0.5)))
                for col in range(c_from, c_to + 1):
                    out[r, col] = value[c]


@nb.njit(cache=True)
def draw_discs(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    discs: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    fine: NDArray[np.float32],
) -> None:
    """Clear holes in epithelium: x, y, radius and kind (0 clear, 1 secretion, 2 necrosis)."""
    rows, cols = h.shape
    for k in range(len(discs)):
        cx, cy, radius, kind = discs[k]
        r_from, r_to, c_from, c_to = pixels_about(cx, cy, 1.2 * radius, x0, y0, mpp, rows, cols)
        for r in range(r_from, r_to + 1):
            for c in range(c_from, c_to + 1):
                x = (x0 + c + 0.5) * mpp
                y = (y0 + r + 0.5) * mpp
                far = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) / radius
                if far > 1.1 + 0.1 * sample(fine, x / 4.0, y / 4.0):
                    continue
                mottle = sample(fine, x / 1.6, y / 1.6)
                if kind == 0:
                    h[r, c] = 0.0
                    d[r, c] = 0.0
                elif kind == 1:
                    h[r, c] = max(0.0, 0.04 + 0.03 * mottle)
                    d[r, c] *= 0.5
                else:
                    dust = max(0.0, sample(fine, x / 0.9 + 70.0, y / 0.9) - 1.1)
                    h[r, c] = max(0.0, 0.09 + 0.04 * mottle + 0.22 * dust)
                    d[r, c] = max(0.0, 0.03 + 0.02 * mottle)


@nb.njit(cache=True)
def draw_nuclei(
    h: NDArray[np.float32],
    d: NDArray[np.float32],
    label: NDArray[np.int32],
    own: NDArray[np.int32],
    clearing: NDArray[np.float64],
    roughness: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    a_um: NDArray[np.float32],
    b_um: NDArray[np.float32],
    angle: NDArray[np.float32],
    h_od: NDArray[np.float32],
    vesicular: NDArray[np.float32],
    clumping: NDArray[np.float32],
    nucleoli: NDArray[np.uint8],
    phase: NDArray[np.float32],
    edge_um: NDArray[np.float64],
    x0: int,
    y0: int,
    mpp: float,
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Draw nuclei (in place); one with ``own ≥ 0`` stays within the cell of that label.

    `clearing` is the share of the brown below that each one covers, `roughness` how much its
    outline wanders as a share of its radius.
    """
    rows, cols = h.shape
    for k in range(x.size):
        a, b = a_um[k], b_um[k]
        reach = 1.25 * a + 0.6
        r_from, r_to, c_from, c_to = pixels_about(x[k], y[k], reach, x0, y0, mpp, rows, cols)
        if r_from > r_to or c_from > c_to:
            continue
        ca, sa = np.cos(angle[k]), np.sin(angle[k])
        p = phase[k]
        bend = 0.10 * np.sin(p) * b / (a * a)
        rim_um = 0.34 + 0.16 * vesicular[k]
        for r in range(r_from, r_to + 1):
            for c in range(c_from, c_to + 1):
                if own[k] >= 0 and label[r, c] != own[k]:
                    continue
                dx = (x0 + c + 0.5) * mpp - x[k]
                dy = (y0 + r + 0.5) * mpp - y[k]
                u = dx * ca + dy * sa
                v = -dx * sa + dy * ca
                v -= bend * u * u * 2.0
                rho2 = (u / a) ** 2 + (v / b) ** 2
                if rho2 > 1.6:
                    continue
                rho = np.sqrt(rho2)
                inv = 1.0 / max(rho, 1e-3)
                rough = roughness[k] * sample(
                    coarse, p + 1.3 * u / a * inv, 3.0 * p + 1.3 * v / b * inv
                )
                inside = (1 + rough - rho) * b
                alpha = min(1.0, max(0.0, inside / edge_um[k] + 0.5))
                if alpha <= 0:
                    continue
                clump = sample(fine, u / 0.42 + p, v / 0.42 + 2.0 * p)
                broad = sample(fine, u / 1.1 + 3.0 * p, v / 1.1 + p)
                rim = max(0.0, 1.0 - abs(inside - 0.5 * rim_um) / rim_um)
                pale = vesicular[k]
                level = (1 - 0.55 * pale) * (1 + clumping[k] * (1.0 * clump + 0.8 * broad))
                level += rim * (0.30 + 0.35 * pale)
                for q in range(nucleoli[k]):
                    nu = a * 0.42 * np.cos(p * (q + 1.3))
                    nv = b * 0.42 * np.sin(p * (q + 2.1))
                    size = 0.5 + 0.4 * pale
                    far = ((u - nu) ** 2 + (v - nv) ** 2) / (size * size)
                    level += 0.8 * np.exp(-far * far)
                level = h_od[k] * max(0.05, level)
                h[r, c] += alpha * (level - 0.75 * h[r, c])
                d[r, c] *= 1 - clearing[k] * alpha


@nb.njit(cache=True)
def draw_lines(
    d: NDArray[np.float32],
    x_from: NDArray[np.float64],
    y_from: NDArray[np.float64],
    x_to: NDArray[np.float64],
    y_to: NDArray[np.float64],
    od: NDArray[np.float32],
    width_um: NDArray[np.float32],
    intensity: NDArray[np.uint8],
    patchiness: NDArray[np.float64],
    veiled: NDArray[np.float64],
    membrane: NDArray[np.uint8],
    x0: int,
    y0: int,
    mpp: float,
    fine: NDArray[np.float32],
) -> None:
    """Draw stained segments of membrane over what is there, and their class (in place).

    Where lines meet, the darker counts. `od` and `width_um` are as seen through the reference
    optics; `membrane` takes the class within half the width, class 0 leaves it as it is.
    """
    rows, cols = d.shape
    line = np.zeros((rows, cols), np.float32)
    veil = np.zeros((rows, cols), np.float32)
    for k in range(x_from.size):
        mid_x, mid_y = 0.5 * (x_from[k] + x_to[k]), 0.5 * (y_from[k] + y_to[k])
        # Thickness and darkness wander along a membrane.
        thick = sample(fine, mid_x / 2.1 + 71.0, mid_y / 2.1)
        dark = sample(fine, mid_x / 3.4, mid_y / 3.4 + 43.0)
        seen = max(width_um[k] * (1 + patchiness[k] * 0.20 * thick), 0.50)
        drawn = max(np.sqrt(seen * seen - REFERENCE_PSF_UM**2), 0.28)
        strength = od[k] * max(0.45, 1 + patchiness[k] * 0.22 * dark)
        peak = strength * min(1.9, seen / drawn)
        # The pixel's own size blurs too; it is part of what is drawn.
        sigma2 = (drawn / FWHM) ** 2 + mpp * mpp / 12.0
        # A membrane that stands oblique in the section trails a veil to one side.
        slope = sample(fine, mid_x / 6.5 + 19.0, mid_y / 6.5 + 83.0)
        veil_sigma = (0.45 + 0.35 * abs(slope)) * np.sqrt(max(1.0, veiled[k]))
        veil_peak = strength * (veiled[k] * min(0.30, 0.17 * abs(slope)))
        reach = 1.6 * drawn + 0.3 + (2.6 * veil_sigma if veil_peak > 0.004 else 0.0)
        lx, rx = min(x_from[k], x_to[k]) - reach, max(x_from[k], x_to[k]) + reach
        ty, by = min(y_from[k], y_to[k]) - reach, max(y_from[k], y_to[k]) + reach
        c_from, c_to = max(0, int(np.floor(lx / mpp)) - x0), min(cols - 1, int(rx / mpp) - x0 + 1)
        r_from, r_to = max(0, int(np.floor(ty / mpp)) - y0), min(rows - 1, int(by / mpp) - y0 + 1)
        ex, ey = x_to[k] - x_from[k], y_to[k] - y_from[k]
        e2 = max(ex * ex + ey * ey, 1e-9)
        side = (0.7 if slope > 0 else -0.7) / np.sqrt(e2)
        off_x, off_y = -ey * side, ex * side
        for r in range(r_from, r_to + 1):
            y = (y0 + r + 0.5) * mpp
            for c in range(c_from, c_to + 1):
                x = (x0 + c + 0.5) * mpp
                dx, dy = x - x_from[k], y - y_from[k]
                t = min(1.0, max(0.0, (dx * ex + dy * ey) / e2))
                fx, fy = dx - t * ex, dy - t * ey
                far2 = (fx * fx + fy * fy) / sigma2
                if far2 < 12.0:
                    value = peak * np.exp(-0.5 * far2)
                    if value > line[r, c]:
                        line[r, c] = value
                        if far2 < 1.386 and intensity[k] > 0:
                            membrane[r, c] = intensity[k]
                if veil_peak > 0.004:
                    gx, gy = fx - off_x, fy - off_y
                    far2 = (gx * gx + gy * gy) / (veil_sigma * veil_sigma)
                    if far2 < 12.0:
                        value = veil_peak * np.exp(-0.5 * far2)
                        if value > veil[r, c]:
                            veil[r, c] = value
    for r in range(rows):
        y = (y0 + r + 0.5) * mpp
        for c in range(cols):
            if line[r, c] + veil[r, c] > 0.003:
                x = (x0 + c + 0.5) * mpp
                beads = (
                    1
                    + 0.20 * sample(fine, x / 0.45, y / 0.45)
                    + 0.10 * sample(fine, x / 1.3 + 31.0, y / 1.3)
                )
                d[r, c] += (line[r, c] + veil[r, c]) * max(0.35, beads)
