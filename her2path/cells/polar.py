"""One cell in polar coordinates: nucleus contour and membrane contour by shortest closed paths.

Rays leave the nucleus center in N_SECTORS directions and are sampled every quarter micron. On this
small grid a closed contour is a path that returns to where it began; dynamic programming finds the
one with the most evidence. No outline goes beyond REACH_UM from the center, and the feet of its
line are read FOOT_UM further: a tile with a wider halo gives the same answer as the whole slide.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from her2path.cells.sampling import sample_ray, sampled
from her2path.cells.table import N_SECTORS
from her2path.stain.separate import STEPS_PER_OD

__all__ = [
    "COSINES",
    "RADIAL_STEP_UM",
    "REACH_UM",
    "SINES",
    "best_closed_path",
    "membrane_contours",
    "nucleus_contours",
]

RADIAL_STEP_UM = 0.25
# Largest radius of an outline: a columnar cell seen lengthwise. Large cells beyond it are cut here.
REACH_UM = 14.0
N_STEPS = int(REACH_UM / RADIAL_STEP_UM)
# Nuclei of tumor cells reach 8 µm in radius (60 µm² to 200 µm²); below 1.5 µm it is debris.
NUCLEUS_MIN_UM, NUCLEUS_MAX_UM = 1.5, 9.0
# An edge is what three samples inside differ from three outside.
EDGE_STEPS = 3

# What a change of radius costs between neighboring rays, by steps up to 2 and up to 8: an outline
# 9 µm away that turns as a line of it may (MOST_TURN), at the ends of a long cell, changes by 2 µm.
NUCLEUS_JUMPS = tuple(np.float32(8.0 * steps) for steps in range(3))
MEMBRANE_JUMPS = tuple(np.float32(0.12 * steps) for steps in range(9))
# What a micron away from the expected place costs a membrane, in the same unit. Where neighbors are
# far it is expected where the cytoplasm of a tumor cell usually ends, this far outside the nucleus.
PLACE_COST, CYTOPLASM_UM = 0.05, 3.0
# Evidence of a line grows with the logarithm of its contrast, so that a faint near membrane is not
# left for a strong one of the next cell; this contrast counts ln 2.
HALF_SIGNAL_OD = 0.02
GAIN_SHIFT, N_GAINS = 3, 4096
NEVER = np.float32(-1e9)
ANGLES = 2.0 * np.pi * np.arange(N_SECTORS) / N_SECTORS
COSINES, SINES = np.cos(ANGLES), np.sin(ANGLES)
# Degrees; a line that turns further crosses the outline instead of running along it.
MOST_TURN = 50.0
# Fainter lines are noise on any scanner; their profile is not looked at.
LEAST_LINE_OD = 0.005
# The feet of a line lie within this distance: clear of half a 3+ line (2 µm) and its blur.
FOOT_UM = 2.5
FOOT_STEPS = int(FOOT_UM / RADIAL_STEP_UM)
# Cytoplasm is rarely as dark; two 3+ lines that touch are, on the side where they do.
DARK_FOOT_OD = 0.3
# Inside a cell no line is a membrane: clear of the rim of the nucleus, and of what the membrane
# lends to its surroundings.
CLEAR_OF_NUCLEUS_UM, CLEAR_OF_OUTLINE_UM = 0.5, 1.25


@numba.njit(nogil=True, cache=True)
def best_closed_path(
    evidence: NDArray[np.float32], jumps: tuple[np.float32, ...]
) -> NDArray[np.int64]:
    """Find the closed path with the highest evidence over the rays.

    Parameters
    ----------
    evidence : ndarray of shape (n_rays, n_steps), float32
        Gain of passing through each radius; −1e9 forbids it. Without gaps in memory it is read
        fastest.
    jumps : tuple of float32
        What a change of radius between neighboring rays costs, by steps from 0 to the most.

    Returns
    -------
    ndarray of shape (n_rays,), int64
        Index of the radius on each ray. The path is closed by running twice round and cutting out
        the second half of the first and the first half of the second round.
    """
    n_rays, n_steps = evidence.shape
    most = len(jumps) - 1
    # Room for a jump on both sides, forbidden: no bounds to test in the loop.
    gains = np.full((2 * n_rays, n_steps + 2 * most), NEVER * 2, np.float32)
    inner = slice(most, most + n_steps)
    gains[0, inner] = evidence[0]
    for k in range(1, 2 * n_rays):
        row, before, gain = evidence[k % n_rays], gains[k - 1], gains[k, inner]
        # The number of jumps is known when this is compiled (a tuple, not an array): the inner
        # loop is written out, and the outer one becomes vector instructions. It would not if the
        # best jump were kept here, too: that is asked again on the way back, of one radius.
        for r in range(n_steps):
            best = NEVER * 2
            for steps in range(len(jumps)):
                higher = max(before[r + most - steps], before[r + most + steps])
                best = max(best, higher - jumps[steps])
            gain[r] = max(best + row[r], NEVER)
    path = np.empty(n_rays, np.int64)
    r = int(np.argmax(gains[-1, inner]))
    for k in range(2 * n_rays - 1, 0, -1):
        if n_rays // 2 <= k < n_rays // 2 + n_rays:
            path[k % n_rays] = r
        best, came_by = NEVER * 2, 0
        for steps in range(-most, most + 1):
            value = gains[k - 1, r + most + steps] - jumps[abs(steps)]
            if value > best:
                best, came_by = value, steps
        r += came_by
    return path


@numba.njit(nogil=True, cache=True)
def ray_limits(
    x: NDArray[np.float64], y: NDArray[np.float64], i: int, neighbors: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Distance from center i to the Voronoi border along each ray, in the unit of x and y.

    `neighbors` are indices of centers, those past the last stand for none.
    """
    limits = np.full(N_SECTORS, np.float32(1e6))
    for j in neighbors:
        if j >= x.shape[0]:
            continue
        dx, dy = x[j] - x[i], y[j] - y[i]
        square = dx * dx + dy * dy
        if square <= 0.0 or not math.isfinite(square):
            continue
        for k in range(N_SECTORS):
            along = dx * COSINES[k] + dy * SINES[k]
            if along > 0.0:
                limits[k] = min(limits[k], square / (2.0 * along))
    return limits


@numba.njit(nogil=True, cache=True)
def nucleus_contours(
    blue: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    neighbors: NDArray[np.int64],
    sigma_um: NDArray[np.float32],
    mpp: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Trace the nucleus round each center where the blue falls off.

    Parameters
    ----------
    blue : ndarray of shape (M, N), float32
        Hematoxylin minus a share of DAB, smoothed, in steps of 1/1024 OD.
    x, y : ndarray of shape (n,), float64
        Centers in px of `blue`.
    neighbors : ndarray of shape (n, k), int64
        Indices of the nearest centers, n where there are fewer.
    sigma_um : ndarray of shape (n,), float32
        Scale at which the nucleus responds most; its radius is about √2 times that.
    mpp : float
        µm/px of `blue`.

    Returns
    -------
    contours : ndarray of shape (n, N_SECTORS), float32
        Radius in µm.
    edges : ndarray of shape (n, N_SECTORS), float32
        How much bluer it is inside than outside on each ray, steps of `blue`.
    """
    n = x.shape[0]
    edges = np.empty((n, N_SECTORS), np.float32)
    contours = np.empty((n, N_SECTORS), np.float32)
    step_px = RADIAL_STEP_UM / mpp
    most_steps = int(NUCLEUS_MAX_UM / RADIAL_STEP_UM) + 1
    values = np.empty(most_steps + 2 * EDGE_STEPS, np.float32)
    room = np.empty(N_SECTORS * most_steps, np.float32)
    for i in range(n):
        limits = ray_limits(x, y, i, neighbors[i])
        first = int(max(NUCLEUS_MIN_UM, 0.75 * sigma_um[i]) / RADIAL_STEP_UM)
        last = int(2.6 * sigma_um[i] / RADIAL_STEP_UM)
        n_radii = min(most_steps, last + 1) - first
        # Whole arrays without gaps, from zero on: loops over those become vector instructions.
        evidence = room[: N_SECTORS * n_radii].reshape((N_SECTORS, n_radii))
        profile = values[: n_radii + 2 * EDGE_STEPS]
        for k in range(N_SECTORS):
            dx, dy = COSINES[k] * step_px, SINES[k] * step_px
            r = first - EDGE_STEPS
            sample_ray(blue, x[i] + r * dx, y[i] + r * dy, dx, dy, profile)
            limit = max(min(limits[k] / step_px + 1.0, last), first)
            n_free = min(n_radii, int(limit) + 1 - first)
            fall = evidence[k]
            for s in range(n_free):
                inside = profile[s + 2] + profile[s + 1] + profile[s]
                fall[s] = inside - (profile[s + 4] + profile[s + 5] + profile[s + 6])
            fall[n_free:] = NEVER
        path = best_closed_path(evidence, NUCLEUS_JUMPS)
        for k in range(N_SECTORS):
            contours[i, k] = (first + path[k]) * RADIAL_STEP_UM
            edges[i, k] = max(evidence[k, path[k]], NEVER) / EDGE_STEPS
    return contours, edges


@numba.njit(nogil=True, cache=True)
def line_gains(steps_per_od: float) -> NDArray[np.float32]:
    """Return the evidence of a line by its contrast, in bins of 2**GAIN_SHIFT units."""
    gains = np.empty(N_GAINS, np.float32)
    for i in range(N_GAINS):
        contrast_od = i * (1 << GAIN_SHIFT) / steps_per_od
        gains[i] = math.log1p(contrast_od / HALF_SIGNAL_OD)
    return gains


@numba.njit(nogil=True, cache=True)
def runs_along(n_directions: int) -> NDArray[np.bool_]:
    """Tell which directions of a line run along the outline, (N_SECTORS, n_directions)."""
    found = np.empty((N_SECTORS, n_directions), np.bool_)
    for k in range(N_SECTORS):
        tangent = (k * 2.0 * n_directions / N_SECTORS + n_directions / 2.0) % n_directions
        for d in range(n_directions):
            turn = abs(d - tangent)
            turn = min(turn, n_directions - turn)
            found[k, d] = turn * 180.0 / n_directions <= MOST_TURN
    return found


class MembraneLines(NamedTuple):
    """The membranes of n cells, as `membrane_contours` traces them; arrays of float32.

    Attributes
    ----------
    outline_um, width_um : ndarray of shape (n, N_SECTORS)
        Radius of the outline; full width at half height across the line, 0 where there is none.
    line_contrast : ndarray of shape (n, N_SECTORS)
        Contrast of a line that runs along the outline (within 50°), steps of `contrast`.
    line_dab : ndarray of shape (n, N_SECTORS)
        DAB on the line, steps of `dab`.
    line_height : ndarray of shape (n, N_SECTORS)
        What the line rises above the higher of its two feet, steps of `dab`; 0 without a line.
    inner_line : ndarray of shape (n,)
        Contrast of the lines between nucleus and outline (`clearest_inside`).
    """

    outline_um: NDArray[np.float32]
    line_contrast: NDArray[np.float32]
    line_dab: NDArray[np.float32]
    line_height: NDArray[np.float32]
    width_um: NDArray[np.float32]
    inner_line: NDArray[np.float32]


@numba.njit(nogil=True, cache=True)
def membrane_contours(
    contrast: NDArray[np.int16],
    direction: NDArray[np.uint8],
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    overlap: float,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    neighbors: NDArray[np.int64],
    nucleus_um: NDArray[np.float32],
    spacing_um: NDArray[np.float32],
    wanted: NDArray[np.int64],
    mpp: float,
    steps_per_od: float,
    n_directions: int,
) -> MembraneLines:
    """Trace the membrane round nuclei along its best line, and read the line there.

    Parameters
    ----------
    contrast : ndarray of shape (M, N), int16
        Line contrast, in steps of 1 / `steps_per_od` OD.
    direction : ndarray of shape (M, N), uint8
        Direction of the best line, in steps of 180° / `n_directions` from +x towards +y (down).
    hematoxylin, dab : ndarray of shape (M, N), int16
        Smoothed stains, in steps of 1/1024 OD.
    overlap : float
        What one OD of hematoxylin absorbs along the DAB vector (`StainMatrix.overlap`).
    x, y : ndarray of shape (m,), float64
        Centers of nuclei in px.
    neighbors : ndarray of shape (m, k), int64
        Indices of the nearest centers, m where there are fewer.
    nucleus_um : ndarray of shape (m, N_SECTORS), float32
        Radius of each nucleus.
    spacing_um : ndarray of shape (m,), float32
        Mean distance to the nearest nuclei; an outline reaches hardly further.
    wanted : ndarray of shape (n,), int64
        Indices of the nuclei to trace: the others only stand beside them.
    mpp : float
        µm/px of the planes.
    steps_per_od : float
        Of `contrast`.
    n_directions : int
        Into which a half turn is divided.

    Returns
    -------
    MembraneLines
    """
    n = wanted.shape[0]
    outline = np.empty((n, N_SECTORS), np.float32)
    line_contrast = np.empty((n, N_SECTORS), np.float32)
    line_dab = np.empty((n, N_SECTORS), np.float32)
    line_height = np.zeros((n, N_SECTORS), np.float32)
    width = np.zeros((n, N_SECTORS), np.float32)
    inner_line = np.empty(n, np.float32)
    step_px = RADIAL_STEP_UM / mpp
    n_rows, n_cols = contrast.shape
    room = np.empty(N_SECTORS * N_STEPS, np.float32)
    aligned = np.empty((N_SECTORS, N_STEPS), np.float32)
    gains = line_gains(steps_per_od)
    is_along = runs_along(n_directions)
    least_line = LEAST_LINE_OD * steps_per_od
    for j in range(n):
        i = wanted[j]
        limits = ray_limits(x, y, i, neighbors[i])
        cap = min(max(1.1 * spacing_um[i], 6.0), REACH_UM - 1.0)
        n_steps = min(N_STEPS, int((cap + 0.5) / RADIAL_STEP_UM) + 2)
        evidence = room[: N_SECTORS * n_steps].reshape((N_SECTORS, n_steps))
        for k in range(N_SECTORS):
            dx, dy = COSINES[k] * step_px, SINES[k] * step_px
            voronoi_um = limits[k] * mpp
            nucleus = nucleus_um[i, k]
            low = max(nucleus - 0.3, 1.5)
            high = min(1.3 * voronoi_um + 0.5, cap)
            high = min(max(high, low + 0.5), (n_steps - 1) * RADIAL_STEP_UM)
            low = min(low, high - 0.5)
            expected = min(voronoi_um, min(nucleus + CYTOPLASM_UM, cap))
            gained, line = evidence[k], aligned[k]
            gained[:] = NEVER
            line[:] = 0.0
            for r in range(math.ceil(low / RADIAL_STEP_UM), int(high / RADIAL_STEP_UM) + 1):
                col, row = math.floor(x[i] + r * dx + 0.5), math.floor(y[i] + r * dy + 0.5)
                value = np.int16(0)
                if 0 <= row < n_rows and 0 <= col < n_cols and is_along[k, direction[row, col]]:
                    value = contrast[row, col]
                line[r] = value
                gain = gains[min(value >> GAIN_SHIFT, N_GAINS - 1)]
                gained[r] = gain - PLACE_COST * abs(r * RADIAL_STEP_UM - expected)
        path = best_closed_path(evidence, MEMBRANE_JUMPS)
        inner_line[j] = clearest_inside(aligned, nucleus_um[i], path)
        for k in range(N_SECTORS):
            dx, dy = COSINES[k] * step_px, SINES[k] * step_px
            r = path[k]
            best, where = aligned[k, r], r
            for s in range(max(0, r - 1), min(n_steps, r + 2)):
                if aligned[k, s] > best:
                    best, where = aligned[k, s], s
            outline[j, k] = r * RADIAL_STEP_UM
            line_contrast[j, k] = best
            peak, peak_at = -1e9, where
            for s in range(max(0, where - 2), where + 3):
                value = sampled(dab, x[i] + s * dx, y[i] + s * dy)
                if value > peak:
                    peak, peak_at = value, s
            line_dab[j, k] = peak
            if best > least_line:
                width[j, k], line_height[j, k] = line_profile(
                    hematoxylin, dab, overlap, x[i], y[i], dx, dy, peak_at, peak
                )
    return MembraneLines(outline, line_contrast, line_dab, line_height, width, inner_line)


@numba.njit(nogil=True, cache=True)
def clearest_inside(
    aligned: NDArray[np.float32], nucleus_um: NDArray[np.float32], path: NDArray[np.int64]
) -> float:
    """Return the mean contrast of the clearest quarter of what lines lie inside a cell.

    Parameters
    ----------
    aligned : ndarray of shape (N_SECTORS, N_STEPS), float32
        Contrast on each ray of lines that run along the outline.
    nucleus_um : ndarray of shape (N_SECTORS,), float32
        Radius of the nucleus.
    path : ndarray of shape (N_SECTORS,), int64
        Step of the outline on each ray. A ray with no room inside has no line.
    """
    clearest = np.zeros(N_SECTORS, np.float32)
    for k in range(N_SECTORS):
        first = math.ceil((nucleus_um[k] + CLEAR_OF_NUCLEUS_UM) / RADIAL_STEP_UM)
        last = path[k] - int(CLEAR_OF_OUTLINE_UM / RADIAL_STEP_UM)
        for r in range(first, last + 1):
            clearest[k] = max(clearest[k], aligned[k, r])
    return float(np.sort(clearest)[N_SECTORS * 3 // 4 :].mean())


@numba.njit(nogil=True, cache=True)
def line_profile(
    hematoxylin: NDArray[np.int16],
    dab: NDArray[np.int16],
    overlap: float,
    x: float,
    y: float,
    dx: float,
    dy: float,
    at: int,
    peak: float,
) -> tuple[float, float]:
    """Width and height of the line at step `at` of a ray.

    Returns
    -------
    width_um : float
        Full width at half height, at most 2·FOOT_UM.
    height : float
        What the line rises above the higher of its two feet, in steps of `dab`; a foot is the
        palest place within FOOT_UM on its side, unless the line goes on there. Hematoxylin that
        rises with the line counts with what it shares with DAB (`overlap`).
    """
    profile = np.empty(2 * FOOT_STEPS + 1, np.float32)
    # No further in than the center, which then stands for what would lie beyond it.
    beyond = max(FOOT_STEPS - at, 0)
    s = at - FOOT_STEPS + beyond
    sample_ray(dab, x + s * dx, y + s * dy, dx, dy, profile[beyond:])
    profile[:beyond] = profile[beyond]
    inner = int(np.argmin(profile[:FOOT_STEPS]))
    outer = FOOT_STEPS + 1 + int(np.argmin(profile[FOOT_STEPS + 1 :]))
    higher, lower = (inner, outer) if profile[inner] > profile[outer] else (outer, inner)
    # Dark and not even half way down to the other foot: the line of the next cell, drawn thick.
    if profile[higher] > DARK_FOOT_OD * STEPS_PER_OD and profile[higher] > 0.5 * (
        peak + profile[lower]
    ):
        higher = lower
    foot = min(profile[higher], peak)
    height = peak - foot
    # A membrane takes up one stain only. What of it seems to be hematoxylin is DAB of a laboratory
    # whose brown is not that of the vectors in use.
    s = max(at + higher - FOOT_STEPS, 0)
    blue = sampled(hematoxylin, x + at * dx, y + at * dy)
    blue -= sampled(hematoxylin, x + s * dx, y + s * dy)
    height += overlap * min(max(blue, 0.0), height)
    half = 0.5 * (peak + foot)
    total = 0.0
    for sign in (-1, 1):
        before = peak
        side = float(FOOT_STEPS)
        for t in range(1, FOOT_STEPS + 1):
            value = profile[FOOT_STEPS + sign * t]
            if value <= half:
                side = t - 1 + (before - half) / max(before - value, 1e-6)
                break
            before = value
        total += side
    return total * RADIAL_STEP_UM, height
