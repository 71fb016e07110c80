"""Find the cells of real, unstained tissue that membranes can be drawn round.

Nothing of her2path is used: what finds cells here must not be what is tested. Where tumor is was
marked by eye (`tests/marks/tumor_outlines.json`); nuclei are spots of hematoxylin, and the
territory of a cell is what a watershed gives its nucleus. All px are those of the source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from drawn_designs import MPP, SOURCES, Crop
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.measure import find_contours
from skimage.segmentation import watershed

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rng = np.random.Generator
Number = TypeVar("Number", bound=np.generic)

TUMOR_OUTLINES = Path(__file__).resolve().parents[1] / "tests" / "marks" / "tumor_outlines.json"
# Outside marked tumor a spot must be this much like a nucleus.
LEAST_OTHER_NUCLEUS = 0.16
# Above this OD in red nuclei are dark enough.
DARK_OD = 0.35
# Deviations of the spots looked for at half size, px, and weights: the outer ones hold noise too.
SPOT_SIGMAS = (5.0, 6.0, 7.2, 8.6, 10.2)
SPOT_WEIGHTS = (0.95, 1.0, 1.0, 0.98, 0.92)
# A disc answers most to a deviation of its radius / sqrt(2).
RADIUS_PER_SIGMA = 1.41
# Two nuclei are nearer than this share of the sum of their radii only if they are one.
LEAST_APART = 0.58
# Where this far round, px, no nucleus is, there is room for one that was overlooked.
ROOM_PX = 21
APART_PX = 36
SUPPOSED_RADIUS_PX = 14.0
# OD of all colors, mean: less is glass.
TISSUE_OD = 0.019
# How far cells outside tumor reach beyond their nucleus.
OTHER_REACH_UM = 3.5
# Smaller or larger territories are no whole cell: about 60 to 1,160 µm².
CELL_PX = (1100, 22000)
EDGE_PX = 20
# Fewer contour points are a remnant.
LEAST_POINTS = 40
# Points of an outline are this far apart, px.
STEP_PX = 0.5


@dataclass(frozen=True)
class Tissue:
    """What was found on a crop.

    Attributes
    ----------
    od : ndarray of shape (M, N, 3), float32
        Optical density, log10, red, green, blue.
    is_marked, is_tissue : ndarray of shape (M, N), bool
        Marked as tumor by eye; not glass.
    nuclei : ndarray of shape (n, 3), float64
        x, y and radius in px.
    n_seen : int
        The first so many nuclei were seen; the others are supposed where tumor as dense as a
        nucleus is left without one, because its nucleus is pale or overlooked.
    territories : ndarray of shape (M, N), int32
        Label image, nucleus i as i + 1.
    outlines : dict of int to ndarray of shape (k, 2), float64
        Closed outline, x and y in px, of each tumor cell by its nucleus.
    """

    od: NDArray[np.float32]
    is_marked: Mask
    is_tissue: Mask
    nuclei: Floats
    n_seen: int
    territories: NDArray[np.int32]
    outlines: dict[int, Floats]

    @property
    def tumor(self) -> NDArray[np.intp]:
        """Nuclei of the tumor cells."""
        return np.array(list(self.outlines), np.intp)


def source_faults(folder: Path) -> list[str]:
    """Return in words what is wrong with the sources in a folder."""
    faults = []
    for name, source in SOURCES.items():
        try:
            with Image.open(folder / f"{name}.jpg") as picture:
                size = picture.size
        except OSError:
            faults.append(f"{name}.jpg is missing or no picture")
            continue
        # Crops and marks are places in the whole core.
        if size != source.size:
            faults.append(f"{name}.jpg is of {size} px, not {source.size}")
    return faults


def read_crop(folder: Path, crop: Crop) -> NDArray[np.uint8]:
    """Return the pixels of a crop, red, green, blue."""
    picture = np.asarray(cv2.imread(str(folder / f"{crop.source}.jpg")), np.uint8)
    part = picture[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    return np.ascontiguousarray(part[:, :, ::-1])


def find_cells(rgb: NDArray[np.uint8], crop: Crop, rng: Rng) -> Tissue:
    """Find nuclei, territories, and the outlines of whole tumor cells."""
    source = SOURCES[crop.source]
    od = -np.log10(np.maximum(rgb.astype(np.float32), 1) / np.array(source.white, np.float32))
    is_marked = marked_tumor(crop)
    stained = stained_nuclei(od)
    solid = solid_nuclei(stained)
    seen = find_nuclei(stained, solid, is_marked, least=source.least_nucleus)
    density = cv2.resize(solid, (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    nuclei = np.vstack([seen, supposed_nuclei(od, density, is_marked, seen)])
    is_tissue = tissue_of(od)
    # Eye and hand are no finer than this.
    inside = cv2.dilate(is_marked.astype(np.uint8), np.ones((5, 5)))
    reach_px = np.where(inside > 0, source.reach_um, OTHER_REACH_UM) / MPP
    territories = territories_of(nuclei, density, is_tissue, reach_px, rng)
    outlines = outlines_of(nuclei, territories, is_marked)
    return Tissue(od, is_marked, is_tissue, nuclei, len(seen), territories, outlines)


def marked_tumor(crop: Crop) -> Mask:
    """Return where tumor was marked by eye on a crop."""
    polygons = json.loads(TUMOR_OUTLINES.read_text("utf-8"))[crop.source]
    mask = np.zeros((crop.height, crop.width), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.array(polygon, np.int32) - np.array([crop.x, crop.y], np.int32)], 1)
    return mask > 0


def disc(side: int) -> NDArray[np.uint8]:
    """Return a round element for morphology."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def blurred(plane: NDArray[Number], sigma: float) -> NDArray[Number]:
    """Return a plane after a Gaussian of this deviation in px; its kind of number stays."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma))


def nucleus_map(shape: tuple[int, int], nuclei: Floats, part: float) -> NDArray[np.uint8]:
    """Return a map that is 1 within this part of the radius of any nucleus, 0 elsewhere."""
    found = np.zeros(shape, np.uint8)
    for x, y, radius in nuclei:
        cv2.circle(found, (int(x), int(y)), int(radius * part), 1, -1)
    return found


def at_nuclei(plane: NDArray[Number], nuclei: Floats) -> NDArray[Number]:
    """Return the values of a plane in the middles of nuclei."""
    x, y = nuclei[:, :2].astype(int).T
    return np.asarray(plane[y.clip(0, plane.shape[0] - 1), x.clip(0, plane.shape[1] - 1)])


def stained_nuclei(od: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return OD in red at half size, where the darkest nuclei count no more than dark ones."""
    half = cv2.resize(od[..., 0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return blurred(np.clip(half, 0, DARK_OD), 1.0)


def solid_nuclei(stained: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill pale middles of vesicular nuclei, flatten nucleoli and drop thin lines."""
    filled = cv2.morphologyEx(stained, cv2.MORPH_CLOSE, disc(7))
    return blurred(cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc(9)), 1.2)


def find_nuclei(
    stained: NDArray[np.float32], solid: NDArray[np.float32], is_marked: Mask, *, least: float
) -> Floats:
    """Find spots of many sizes (Laplacian of Gaussian), against what lies round them.

    Parameters
    ----------
    stained, solid : ndarray of shape (M / 2, N / 2), float32
        As `stained_nuclei` and `solid_nuclei` give.
    is_marked : ndarray of shape (M, N), bool
    least : float
        Answer that a spot needs inside marked tumor.

    Returns
    -------
    ndarray of shape (n, 3), float64
        x, y and radius, px of the source; the clearest first.
    """
    contrast = np.minimum(solid / (blurred(stained, 40) + 0.03), 3.0)
    answers = np.stack([-(s**2) * ndimage.gaussian_laplace(contrast, s) for s in SPOT_SIGMAS])
    answers = answers.astype(np.float32) * np.array(SPOT_WEIGHTS, np.float32)[:, None, None]
    best, which = answers.max(0), answers.argmax(0)
    inside = cv2.resize(
        is_marked.astype(np.uint8), best.shape[::-1], interpolation=cv2.INTER_NEAREST
    )
    needed = np.where(inside > 0, least, LEAST_OTHER_NUCLEUS)
    y, x = np.nonzero((cv2.dilate(best, disc(9)) == best) & (best > needed))
    radius = np.array(SPOT_SIGMAS)[which[y, x]] * RADIUS_PER_SIGMA
    return 2 * apart(np.column_stack([x, y, radius])[np.argsort(-best[y, x])])


def apart(spots: Floats) -> Floats:
    """Keep of spots that lie on each other the first."""
    kept = spots[:0]
    for spot in spots:
        away = np.hypot(*(kept[:, :2] - spot[:2]).T)
        if (away >= LEAST_APART * (spot[2] + kept[:, 2])).all():
            kept = np.vstack([kept, spot])
    return kept


def supposed_nuclei(
    od: NDArray[np.float32], density: NDArray[np.float32], is_marked: Mask, seen: Floats
) -> Floats:
    """Suppose nuclei where marked tumor as dense as a nucleus is left without one.

    Parameters
    ----------
    od : ndarray of shape (M, N, 3), float32
    density : ndarray of shape (M, N), float32
        As `solid_nuclei`, at full size.
    is_marked : ndarray of shape (M, N), bool
    seen : ndarray of shape (n, 3), float64

    Returns
    -------
    ndarray of shape (k, 3), float64
        x, y and radius in px.
    """
    inside = seen[at_nuclei(is_marked, seen)]
    smooth = blurred(density, 5)
    least = np.percentile(at_nuclei(smooth, inside), 15) * 0.9
    room = cv2.distanceTransform(1 - nucleus_map(density.shape, seen, 0.95), cv2.DIST_L2, 5)
    is_open = is_marked & (blurred(od.mean(2), 4) > 0.03) & (smooth > least) & (room >= ROOM_PX)
    y, x = np.nonzero(is_open)
    added = np.zeros((0, 3))
    for at in np.column_stack([x, y])[np.argsort(-smooth[y, x])]:
        if (((added[:, :2] - at) ** 2).sum(1) > APART_PX**2).all():
            added = np.vstack([added, [*at, SUPPOSED_RADIUS_PX]])
    return added


def tissue_of(od: NDArray[np.float32]) -> Mask:
    """Return where a crop is not glass."""
    is_dense = (blurred(od.mean(2), 4) > TISSUE_OD).astype(np.uint8)
    opened = cv2.morphologyEx(is_dense, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    return np.asarray(opened > 0)


def territories_of(
    nuclei: Floats,
    density: NDArray[np.float32],
    is_tissue: Mask,
    reach_px: Floats,
    rng: Rng,
) -> NDArray[np.int32]:
    """Give each nucleus the tissue round it, by a watershed at half size.

    Parameters
    ----------
    nuclei : ndarray of shape (n, 3), float64
    density : ndarray of shape (M, N), float32
        As `solid_nuclei`, at full size: borders run where it is low.
    is_tissue : ndarray of shape (M, N), bool
    reach_px : ndarray of shape (M, N), float64
        How far cells reach beyond their nucleus.
    rng : numpy.random.Generator
        Borders waver a little.

    Returns
    -------
    ndarray of shape (M, N), int32
        Label image, nucleus i as i + 1.
    """
    seeds = np.zeros(density.shape, np.int32)
    for i, (x, y, radius) in enumerate(nuclei):
        cv2.circle(seeds, (int(x), int(y)), max(3, int(radius * 0.55)), i + 1, -1)
    beyond = cv2.distanceTransform(1 - nucleus_map(density.shape, nuclei, 0.9), cv2.DIST_L2, 5)
    waver = blurred(rng.standard_normal(density.shape).astype(np.float32), 6)
    waver /= waver.std()
    height = beyond * 0.05 - blurred(density, 4) * 4 + waver * 0.06
    is_near = (beyond + waver * 1.2 < reach_px) & is_tissue
    seeds, height, is_near = (
        np.ascontiguousarray(plane[::2, ::2]) for plane in (seeds, height, is_near)
    )
    labels = watershed(height, seeds, mask=is_near | (seeds > 0))
    rows, cols = density.shape
    return np.kron(labels, np.ones((2, 2), np.int32))[:rows, :cols]


def outlines_of(
    nuclei: Floats, territories: NDArray[np.int32], is_marked: Mask
) -> dict[int, Floats]:
    """Return the outlines of tumor cells that lie whole in the crop, by nucleus."""
    rows, cols = territories.shape
    x, y = nuclei[:, :2].T
    area = np.bincount(territories.ravel(), minlength=len(nuclei) + 1)[1:]
    is_tumor = at_nuclei(is_marked, nuclei) & (area > CELL_PX[0]) & (area < CELL_PX[1])
    is_tumor &= (x >= EDGE_PX) & (y >= EDGE_PX) & (x <= cols - EDGE_PX) & (y <= rows - EDGE_PX)
    boxes = ndimage.find_objects(territories, len(nuclei))
    whole = np.flatnonzero(is_tumor).tolist()
    found = {i: outline_of(territories, i + 1, boxes[i]) for i in whole}
    return {i: outline for i, outline in found.items() if outline is not None}


def outline_of(
    territories: NDArray[np.int32], label: int, box: tuple[slice, slice]
) -> Floats | None:
    """Return the smoothed outline of a territory, None where too little is left of it."""
    top, left = (max(part.start - 8, 0) for part in box)
    own = territories[top : box[0].stop + 8, left : box[1].stop + 8] == label
    own = np.pad(ndimage.binary_fill_holes(own), 14).astype(np.uint8)
    own = cv2.morphologyEx(own, cv2.MORPH_CLOSE, disc(19))
    own = cv2.morphologyEx(own, cv2.MORPH_OPEN, disc(15))
    lines = find_contours(blurred(own.astype(np.float32), 3.5), 0.5)
    longest = max(lines, key=len, default=np.zeros((0, 2)))
    if len(longest) < LEAST_POINTS:
        return None
    x, y = longest[:, 1] + (left - 14), longest[:, 0] + (top - 14)
    along = np.r_[0, np.hypot(np.diff(x), np.diff(y)).cumsum()]
    at = np.linspace(0, along[-1], int(along[-1] / STEP_PX), endpoint=False)
    even = np.column_stack([np.interp(at, along, x), np.interp(at, along, y)])
    return np.asarray(ndimage.gaussian_filter1d(even, 3.0, axis=0, mode="wrap"))
