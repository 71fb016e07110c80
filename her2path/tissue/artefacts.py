"""What lies on the tissue or spoils it: pen, dirt, bubbles, folds, and the band along its edge.

All of it is judged on the overview, by rules that are conservative: a stained gland must never be
taken for a fold or for ink, and what is missed here still meets the guards of the cell measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.od import WhitePoint, od_table
from her2path.tissue.mask import label_mask
from her2path.tissue.overview import channel_max, channel_min, disc
from her2path.tissue.white_point import find_padding

__all__ = [
    "ArtefactKind",
    "Artefacts",
    "closed",
    "edge_band",
    "find_bubbles",
    "find_dirt",
    "find_folds",
    "find_pen",
    "overview_od",
]

Mask = NDArray[np.bool_]


class ArtefactKind(StrEnum):
    """What was found; the value is the reason code in results."""

    PEN = "pen"
    DIRT = "dirt"
    BUBBLE = "bubble"
    FOLD = "fold"
    EDGE = "edge"


@dataclass(frozen=True, slots=True, eq=False)
class Artefacts:
    """Masks of what spoils tissue, at the scale of the overview.

    Parameters
    ----------
    pen, dirt, bubble, fold : ndarray of shape (M, N), bool
        To be left out of scoring.
    edge : ndarray of shape (M, N), bool
        Band of tissue along its outer border, where stain may pool; reported, not left out.
    area_frac : dict of ArtefactKind to float
        Share of the tissue (artefacts on it included) that each kind covers, 0–1; what two kinds
        cover counts for the first of them, so that the shares of what is left out add up.
    """

    pen: Mask
    dirt: Mask
    bubble: Mask
    fold: Mask
    edge: Mask
    area_frac: dict[ArtefactKind, float]

    @property
    def excluded(self) -> Mask:
        """Everything that must not be scored."""
        return self.pen | self.dirt | self.bubble | self.fold

    def reasons(self, *, min_frac: float = 0.02) -> tuple[ArtefactKind, ...]:
        """Return the kinds (edge aside) that cover at least `min_frac` of the tissue."""
        return tuple(
            kind
            for kind, share in self.area_frac.items()
            if kind is not ArtefactKind.EDGE and share >= min_frac
        )


# --- pen ------------------------------------------------------------------------------------

# Ink is an even layer: seeds need this OD in their strongest channel, over this area.
PEN_SEED_OD = 0.35
PEN_WEAK_OD = 0.15
MIN_PEN_UM2 = 10_000.0
# Black ink has no hue of its own, and that of dark blue ink is hematoxylin's: only an even patch is
# called ink. What is black and not as large is dirt.
BLACK_OD, MIN_BLACK_PEN_UM2, BLACK_RADIUS_UM = 0.5, 100_000.0, 40.0
# On 188 pictures without ink, drawn and real, this hue reaches 0.35 in red over 8 µm.
NAVY_OD, MIN_NAVY_PEN_UM2, NAVY_RADIUS_UM = 0.6, 20_000.0, 15.0
MAX_INK_GAP = 0.1
MIN_INK_EVEN_FRAC = 0.5
PEN_MARGIN_UM = 25.0
# Where a stroke crosses strong brown its hue is lost: dark gaps up to twice this are closed.
PEN_GAP_UM = 100.0

# Streaks brighter than the glass must not pull averages far down.
LEAST_OD = -0.03


def overview_od(rgb: NDArray[np.uint8], white_point: WhitePoint) -> NDArray[np.float32]:
    """Return the optical density that all finders here share: at least −0.03, padding 0.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    white_point : tuple of 3 float

    Returns
    -------
    ndarray of shape (M, N, 3), float32
    """
    # The table of `optical_density`, applied by OpenCV: a whole slide in a tenth of a second.
    table = np.maximum(od_table(white_point), LEAST_OD).T.astype(np.float32)
    od: NDArray[np.float32] = cv2.LUT(np.ascontiguousarray(rgb), table[None])
    padding = find_padding(rgb)
    if padding.any():
        od[padding] = 0.0
    return od


def find_pen(od: NDArray[np.float32], mpp: float) -> Mask:
    """Find blue, green, red and black marker by hue.

    The hues are ratios of optical density that neither stain nor any mixture of the two has:
    hematoxylin absorbs at least 0.4 as much in blue as in red, DAB 0.45 as much in red as in green
    and most of all in blue; a mixture lies between, and absorbs about as much in green as in the
    lesser of red and blue, or more (0.94 and more on 188 pictures).

    Parameters
    ----------
    od : ndarray of shape (M, N, 3), float32
        From `overview_od`.
    mpp : float
        µm per pixel.

    Returns
    -------
    ndarray of shape (M, N), bool
    """
    even = smoothed(od, mpp, 8.0)
    shape = even.shape[:2]
    strength = channel_max(even)
    colored = strength > PEN_WEAK_OD
    red, green, blue = even[colored].T
    strong = strength[colored] > PEN_SEED_OD
    hues = (
        (blue < 0.27 * red) & (green < 0.95 * red),  # blue ink
        green < 0.78 * np.minimum(red, blue),  # green ink, stained tissue under it or not
        (red < 0.22 * green) & (blue > 0.65 * green) & (blue < 1.1 * green),  # red ink
    )
    pen = np.zeros(shape, bool)
    for hue in hues:
        if np.count_nonzero(hue & strong) * mpp**2 >= MIN_PEN_UM2 / 4:
            weak, seeds = scatter(hue, colored), scatter(hue & strong, colored)
            pen |= parts_with(weak, opened(seeds, 10.0, mpp), MIN_PEN_UM2 / mpp**2)
    low = np.minimum(np.minimum(red, green), blue)
    black = (low > BLACK_OD) & (low > 0.75 * strength[colored])
    navy = (red > NAVY_OD) & (blue < 0.6 * red) & (green < red)
    for dark, least_um2, radius_um in (
        (black, MIN_BLACK_PEN_UM2, BLACK_RADIUS_UM),
        (navy, MIN_NAVY_PEN_UM2, NAVY_RADIUS_UM),
    ):
        if np.count_nonzero(dark) * mpp**2 >= least_um2:
            patches = even_patches(scatter(dark, colored), od, even, mpp, radius_um=radius_um)
            pen |= parts_with(*patches, least_um2 / mpp**2)
    pen |= closed(pen, PEN_GAP_UM, mpp) & (strength > PEN_SEED_OD)
    return widened(pen, PEN_MARGIN_UM, mpp)


def even_patches(
    dark: Mask,
    od: NDArray[np.float32],
    even: NDArray[np.float32],
    mpp: float,
    *,
    radius_um: float,
) -> tuple[Mask, Mask]:
    """Return the parts of `dark` that are mostly even, and what is even and wide in them.

    Tissue so dense that it looks dark still has gaps; ink has none.
    """
    gaps = cv2.morphologyEx(channel_min(od), cv2.MORPH_BLACKHAT, disc(20.0, mpp))
    seeds = opened(dark, radius_um, mpp) & (gaps < MAX_INK_GAP * channel_min(even))
    labels, areas = label_mask(dark)
    is_even = np.bincount(labels[seeds], minlength=areas.size) > MIN_INK_EVEN_FRAC * areas
    is_even[0] = False
    return dark & is_even[labels], seeds


# --- dirt -----------------------------------------------------------------------------------

# Dust above or below the tissue adds the same OD to all channels and raises the lower envelope too,
# which the gaps between nuclei and glands never are. On two real specks the added green was
# 0.98–1.03 of the mean of red and blue, on gray glands of hematoxylin and DAB 1.13–1.18 (1.07 is
# the least that known vectors allow), because both stains absorb green. Deviation over density was
# 0.10–0.12 on specks, 0.17–0.26 on glands.
DIRT_SEED_OD = 0.06
DIRT_SEED_FACTOR = 1.0
DIRT_WEAK_OD = 0.03
DIRT_EVENNESS = 0.55
# Where tissue around is brown already, more brown looks neutral in what it adds.
DIRT_ABSOLUTE = 0.85
MAX_DIRT_GREEN = 1.035
MAX_DIRT_TEXTURE = 0.12
MIN_DIRT_UM2 = 600.0
SURROUNDINGS_UM = 400.0
DIRT_MARGIN_UM = 15.0
DIRT_REACH_UM = 30.0


def find_dirt(od: NDArray[np.float32], mpp: float) -> Mask:
    """Find neutral dark specks, in or out of focus, on tissue and on glass.

    Parameters and return value as in `find_pen`.
    """
    even = smoothed(od, mpp, 5.0)
    dark = channel_min(even)
    envelope = cv2.erode(dark, disc(7.0, mpp))
    window = SURROUNDINGS_UM / mpp
    base = local_median(envelope, window, reach_px=window / 2)
    raised = envelope - base
    candidates = raised > DIRT_WEAK_OD
    if not (raised[candidates] > DIRT_SEED_OD).any():
        return np.zeros(dark.shape, bool)
    added = even[candidates] - local_median(even, window, reach_px=window / 2)[candidates]
    low, high = added.min(axis=1), added.max(axis=1)
    neutral = (low > DIRT_EVENNESS * high) & (low > DIRT_WEAK_OD / 2)
    neutral &= added[:, 1] < MAX_DIRT_GREEN * (added[:, 0] + added[:, 2]) / 2
    red = np.ascontiguousarray(od[..., 0])
    detail = red - cv2.GaussianBlur(red, (0, 0), max(9.0 / mpp, 0.7))
    variance = cv2.GaussianBlur(detail * detail, (0, 0), max(12.0 / mpp, 1.0))[candidates]
    level = even[candidates]
    neutral &= level.min(axis=1) > DIRT_ABSOLUTE * level.max(axis=1)
    is_smooth = variance < (MAX_DIRT_TEXTURE * level[:, 0]) ** 2
    # Sharp particles have hard edges, but are far darker than any mixture that looks gray.
    is_black = level.min(axis=1) > 0.4
    # Dense tissue varies by more than pale tissue: the step is in proportion.
    stands_out = raised[candidates] > np.maximum(DIRT_SEED_OD, DIRT_SEED_FACTOR * base[candidates])
    seeds = neutral & (is_smooth | is_black) & stands_out
    cores = scatter(seeds, candidates)
    # In gray tissue the surroundings look like the speck: it does not spread far.
    weak = scatter(neutral, candidates) & widened(cores, DIRT_REACH_UM, mpp)
    dirt = parts_with(weak, cores, MIN_DIRT_UM2 / mpp**2)
    return widened(dirt, DIRT_MARGIN_UM, mpp)


# --- bubbles --------------------------------------------------------------------------------

BUBBLE_LINE_OD = 0.04
MIN_BUBBLE_DIAMETER_UM = 200.0
MIN_BUBBLE_ROUNDNESS = 0.8


def find_bubbles(od: NDArray[np.float32], mpp: float) -> Mask:
    """Find air bubbles: a thin, neutral, closed and nearly round dark line; filled.

    Glands are round too, but their wall is colored and wider. Parameters and return value as in
    `find_pen`.
    """
    dark = channel_min(od)
    line = cv2.morphologyEx(dark, cv2.MORPH_TOPHAT, disc(24.0, mpp))
    ring = line > BUBBLE_LINE_OD
    ring[ring] = od[ring].min(axis=1) > 0.75 * od[ring].max(axis=1)
    if not ring.any():
        return ring
    ring = cv2.morphologyEx(ring.astype(np.uint8), cv2.MORPH_CLOSE, disc(10.0, mpp))
    outlines, _ = cv2.findContours(ring, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = np.zeros(ring.shape, np.uint8)
    min_area = np.pi / 4 * (MIN_BUBBLE_DIAMETER_UM / mpp) ** 2
    for outline in outlines:
        area = cv2.contourArea(outline)
        if area < min_area:
            continue
        hull = cv2.convexHull(outline)
        roundness = 4 * np.pi * cv2.contourArea(hull) / max(cv2.arcLength(hull, True), 1.0) ** 2
        if roundness < MIN_BUBBLE_ROUNDNESS or area < 0.9 * cv2.contourArea(hull):
            continue
        # Of a slide full of round cores each is asked: in its own box, not on the whole slide.
        left, top, width, height = cv2.boundingRect(outline)
        box = np.s_[top : top + height, left : left + width]
        filled = np.zeros((height, width), np.uint8)
        cv2.drawContours(filled, [outline - (left, top)], -1, 1, cv2.FILLED)
        if np.count_nonzero(ring[box] & filled) < 0.5 * np.count_nonzero(filled):
            found[box] |= filled
    return found.astype(bool)


# --- folds ----------------------------------------------------------------------------------

# Two layers of tissue absorb twice: both stains rise together against the surroundings, and above
# nearly all the tissue of the slide.
FOLD_LOCAL_FACTOR = 1.7
# A gland is browner than what surrounds it; a fold is more of the same.
FOLD_HUE_FACTOR = 1.6
FOLD_GLOBAL_FACTOR = 1.5
# Of the tissue's density in red; folds themselves rarely cover a tenth of it.
FOLD_PERCENTILE = 85.0
FOLD_MIN_OD = 0.10
MIN_FOLD_UM2 = 4_000.0
MIN_FOLD_LENGTH_UM = 150.0
MIN_FOLD_ELONGATION = 3.0


def find_folds(od: NDArray[np.float32], mpp: float, *, tissue: Mask) -> Mask:
    """Find folds: long dark strips in which all channels are about doubled.

    Parameters
    ----------
    od : ndarray of shape (M, N, 3), float32
        From `overview_od`.
    mpp : float
        µm per pixel.
    tissue : ndarray of shape (M, N), bool

    Returns
    -------
    ndarray of shape (M, N), bool
    """
    if not tissue.any():
        return np.zeros(tissue.shape, bool)
    level = smoothed(od, mpp, 8.0)
    values = level[tissue]
    typical = np.median(values, axis=0)
    thick = tissue.copy()
    thick[tissue] = values[:, 0] > max(
        FOLD_GLOBAL_FACTOR * float(np.percentile(values[:, 0], FOLD_PERCENTILE)), FOLD_MIN_OD
    )
    if not thick.any():
        return thick
    # Glass beside the tissue is no surroundings: it would make every border look thick.
    filled = np.where(tissue[..., None], level, typical.astype(np.float32))
    around = np.maximum(local_median(filled, SURROUNDINGS_UM / mpp)[thick], typical * 0.5)
    factor = level[thick] / np.maximum(around, np.float32(1e-3))
    least = factor.min(axis=1)
    thick[thick] = (least > FOLD_LOCAL_FACTOR) & (factor.max(axis=1) < FOLD_HUE_FACTOR * least)
    thick = cv2.morphologyEx(thick.astype(np.uint8), cv2.MORPH_CLOSE, disc(12.0, mpp)).astype(bool)
    labels, areas = label_mask(thick)
    if areas.size == 1:
        return thick
    depth = cv2.distanceTransform(np.pad(thick, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    half_width = np.zeros(areas.size, np.float32)
    np.maximum.at(half_width, labels[thick], depth[thick])
    width = np.maximum(2.0 * half_width - 1.0, 1.0)
    length = areas / width
    keep = (areas * mpp**2 >= MIN_FOLD_UM2) & (length * mpp >= MIN_FOLD_LENGTH_UM)
    keep &= length >= MIN_FOLD_ELONGATION * width
    keep[0] = False
    return keep[labels]


# --- edge -----------------------------------------------------------------------------------


def edge_band(tissue: Mask, mpp: float, *, width_um: float = 50.0) -> Mask:
    """Return the band of tissue along its border.

    Parameters
    ----------
    tissue : ndarray of shape (M, N), bool
    mpp : float
        µm per pixel.
    width_um : float
        Five cells by default: as deep as reagents pooling at a lifted edge are seen.

    Returns
    -------
    ndarray of shape (M, N), bool
        Tissue cut by the frame of the picture has no border there.
    """
    if width_um <= 0:
        raise ValueError(f"width_um is {width_um}: give a positive width in µm")
    if tissue.all():
        return np.zeros(tissue.shape, bool)
    distance = cv2.distanceTransform(tissue.astype(np.uint8), cv2.DIST_L2, 5)
    return tissue & (distance * mpp <= width_um)


# --- shared by the finders ------------------------------------------------------------------


def smoothed(od: NDArray[np.float32], mpp: float, sigma_um: float) -> NDArray[np.float32]:
    """Smooth each channel over `sigma_um`."""
    return cv2.GaussianBlur(od, (0, 0), max(sigma_um / mpp, 0.4))


MEDIAN_STEPS = 400.0


def local_median(
    od: NDArray[np.float32], window_px: float, *, reach_px: float = 0.0
) -> NDArray[np.float32]:
    """Median of each channel over a wide square window, by steps of 0.0025 OD up to 0.64.

    Computed on a coarser copy of 8 bits, for which the time does not grow with the window. The
    largest median within `reach_px` is taken, so that a border is compared with the tissue behind
    it and not with glass.
    """
    rows, cols = od.shape[:2]
    step = max(1, int(window_px // 16))
    size = (max(1, cols // step), max(1, rows // step))
    small = cv2.resize(od, size, interpolation=cv2.INTER_AREA)
    levels = np.clip(np.rint(small * MEDIAN_STEPS), 0, 255).astype(np.uint8)
    window = max(3, int(window_px / step) // 2 * 2 + 1)
    levels = cv2.medianBlur(levels, window)
    if reach_px >= step:
        reach = 2 * int(reach_px / step) + 1
        levels = cv2.dilate(levels, np.ones((reach, reach), np.uint8))
    median = levels.astype(np.float32) / np.float32(MEDIAN_STEPS)
    return cv2.resize(median, (cols, rows), interpolation=cv2.INTER_LINEAR)


def scatter(values: NDArray[np.bool_], where: Mask) -> Mask:
    """Put values taken at `where` back into a picture."""
    picture = np.zeros(where.shape, bool)
    picture[where] = values
    return picture


def opened(mask: Mask, radius_um: float, mpp: float) -> Mask:
    """Keep what a disc of the radius fits into."""
    kernel = disc(radius_um, mpp)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)


def closed(mask: Mask, radius_um: float, mpp: float) -> Mask:
    """Close gaps that a disc of the radius does not fit into; none at the edge of the picture."""
    kernel = disc(radius_um, mpp)
    margin = kernel.shape[0]
    padded = np.pad(mask.astype(np.uint8), margin)
    inner = np.s_[margin:-margin, margin:-margin]
    return cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[inner].astype(bool)


def widened(mask: Mask, margin_um: float, mpp: float) -> Mask:
    """Grow a mask by a margin on every side."""
    if not mask.any():
        return mask
    return cv2.dilate(mask.astype(np.uint8), disc(margin_um, mpp)).astype(bool)


def parts_with(weak: Mask, seeds: Mask, min_px: float) -> Mask:
    """Keep the connected parts of `weak` that hold a seed and at least `min_px` pixels."""
    labels, areas = label_mask(weak)
    n_seeds = np.bincount(labels[seeds & weak], minlength=areas.size)
    keep = (n_seeds > 0) & (areas >= min_px)
    keep[0] = False
    return keep[labels]
