"""Crops of samples for training: from every laboratory and score alike, where there is tissue."""

from __future__ import annotations

import os
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.annotations.roi import RoiKind
from her2path.errors import ManifestError
from her2path.geometry import Region
from her2path.models.sources.pictures import LabelledPicture, OpenSample, open_sample
from her2path.models.sources.sample import Sample
from her2path.slides.reading import read_overview
from her2path.tissue.mask import find_tissue
from her2path.tissue.overview import TARGET_MPP
from her2path.tissue.white_point import DEFAULT_WHITE_POINT

__all__ = ["Crops"]

# An open slide holds a file and some buffers.
MAX_OPEN = 16
# Places are kept for each sample: enough that no two epochs see the same ones.
MAX_PLACES = 4000
# A picture of so many crops is cut anywhere; only in larger ones is tissue looked for.
SMALL_CROPS = 4.0


class Crops:
    """Draws crops of samples.

    A laboratory is drawn first, then a score (or none) that it has, then one of its pictures: a
    large set does not drown a small one. Slides stay open between draws, in each process its own.

    Parameters
    ----------
    samples : sequence of Sample
        Of one part of the split.
    side_px : int
        Side of a crop.

    Raises
    ------
    ManifestError
        Without a sample.
    """

    def __init__(self, samples: Sequence[Sample], *, side_px: int) -> None:
        if not samples:
            raise ManifestError("there is no picture to cut from; check the split of the manifest")
        self.samples = list(samples)
        self.side_px = side_px
        self.places: dict[tuple[int, bool], NDArray[np.float64]] = {}
        self.open: OrderedDict[int, tuple[OpenSample, ExitStack]] = OrderedDict()
        self.process = os.getpid()
        tree: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, sample in enumerate(self.samples):
            tree[sample.laboratory][str(sample.score)].append(index)
        self.strata = [
            [indices for _, indices in sorted(scores.items())] for _, scores in sorted(tree.items())
        ]

    def __getstate__(self) -> dict[str, object]:
        """Open files stay in their process."""
        return self.__dict__ | {"open": OrderedDict()}

    def draw(
        self, rng: np.random.Generator, *, n: int, mpp: float
    ) -> tuple[Sample, list[LabelledPicture]]:
        """Return a sample and `n` crops of it, each turned and mirrored at random.

        Parameters
        ----------
        rng : numpy.random.Generator
            Decides everything: the same state gives the same crops.
        n : int
            How many.
        mpp : float
            µm/px of the crops.

        Raises
        ------
        SlideError, MppError, AnnotationError, ManifestError
            If a file cannot be used.
        """
        scores = self.strata[rng.integers(len(self.strata))]
        indices = scores[rng.integers(len(scores))]
        index = indices[rng.integers(len(indices))]
        opened = self.opened(index)
        long_um = max(opened.size.width * opened.mpp.x, opened.size.height * opened.mpp.y)
        # Of this draw's own crops, whatever those before it were like.
        is_small = long_um <= SMALL_CROPS * self.side_px * mpp
        if (index, is_small) not in self.places:
            self.places[index, is_small] = places_of(opened, is_small=is_small)
        places = self.places[index, is_small]
        # Level-0 px of a crop's side; places lie on a grid, so they are moved within a step of it.
        width, height = (self.side_px * mpp / at_zero for at_zero in (opened.mpp.x, opened.mpp.y))
        crops = []
        for _ in range(n):
            x, y = places[rng.integers(len(places))]
            shift_x, shift_y = rng.uniform(-0.5, 0.5, 2) * TARGET_MPP
            region = Region(
                fitted(x + shift_x / opened.mpp.x - width / 2, width, opened.size.width),
                fitted(y + shift_y / opened.mpp.y - height / 2, height, opened.size.height),
                round(width),
                round(height),
            )
            crop = squared(opened.read(region, mpp), self.side_px)
            crops.append(turned(crop, int(rng.integers(4)), is_mirrored=bool(rng.integers(2))))
        return opened.sample, crops

    def opened(self, index: int) -> OpenSample:
        """Return a sample that can be read from; the one unused for longest is closed."""
        if self.process != os.getpid():
            # After a fork: handles of the other process are not to be touched.
            self.open, self.process = OrderedDict(), os.getpid()
        if index in self.open:
            self.open.move_to_end(index)
            return self.open[index][0]
        stack = ExitStack()
        opened = stack.enter_context(open_sample(self.samples[index]))
        # Whose µm/px is settled need not be opened twice again.
        self.samples[index] = opened.sample
        self.open[index] = opened, stack
        if len(self.open) > MAX_OPEN:
            self.open.popitem(last=False)[1][1].close()
        return opened

    def close(self) -> None:
        """Close what is open."""
        while self.open:
            self.open.popitem()[1][1].close()


def fitted(start: float, side: float, length: int) -> int:
    """Return where a crop begins so that it lies in the picture, or in its middle if larger."""
    if side >= length:
        return round((length - side) / 2)
    return round(min(max(start, 0.0), length - side))


def places_of(opened: OpenSample, *, is_small: bool) -> NDArray[np.float64]:
    """Return centres of crops worth taking, level-0 px: in outlines, on tissue, or anywhere.

    In a picture that is small, to the crops, no tissue is looked for.

    Returns
    -------
    ndarray of shape (k, 2), float64
        At least one.
    """
    size, mpp = opened.size, opened.mpp
    outlined = [roi.polygon for roi in opened.rois if roi.kind is not RoiKind.OTHER]
    if outlined:
        found = grid_in(shapely.union_all(outlined), step_x=TARGET_MPP / mpp.x)
        if len(found):
            return found
    if not is_small:
        rgb, downsample = read_overview(opened.slide, mpp=TARGET_MPP)
        mask = find_tissue(rgb, mpp.mean * downsample, white_point=DEFAULT_WHITE_POINT).mask
        row, col = np.nonzero(mask)
        if len(row):
            return thinned(np.column_stack([col + 0.5, row + 0.5]) * downsample)
    step_x, step_y = TARGET_MPP / mpp.x, TARGET_MPP / mpp.y
    x, y = np.meshgrid(
        np.arange(step_x / 2, max(size.width, step_x), step_x),
        np.arange(step_y / 2, max(size.height, step_y), step_y),
    )
    return thinned(np.column_stack([x.ravel(), y.ravel()]))


def grid_in(shape: shapely.Geometry, *, step_x: float) -> NDArray[np.float64]:
    """Return points that lie in a shape: of grids, as dense in each part, and one of each at least.

    Outlines can be small and far apart: one grid over all of them would miss most.
    """
    least = max(step_x, (shape.area / MAX_PLACES) ** 0.5)
    found = []
    for part in shapely.get_parts(shape):
        left, top, right, bottom = part.bounds
        # A long thin part fills little of what is laid over it.
        step = max(least, ((right - left) * (bottom - top) / (16 * MAX_PLACES)) ** 0.5)
        x, y = np.meshgrid(
            np.arange(left + step / 2, right, step), np.arange(top + step / 2, bottom, step)
        )
        points = np.column_stack([x.ravel(), y.ravel()])
        shapely.prepare(part)
        points = points[shapely.intersects_xy(part, points[:, 0], points[:, 1])]
        inner = part.representative_point()
        found.append(points if len(points) else np.array([[inner.x, inner.y]]))
    return thinned(np.concatenate(found)) if found else np.empty((0, 2))


def thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most `MAX_PLACES` points, evenly taken."""
    if len(points) <= MAX_PLACES:
        return points
    return points[np.linspace(0, len(points) - 1, MAX_PLACES).astype(np.int64)]


def squared(picture: LabelledPicture, side: int) -> LabelledPicture:
    """Return a picture of exactly `side` px: rounding may have made it a pixel more or less."""
    rows, cols = picture.tissue.shape
    missing = (0, max(0, side - rows)), (0, max(0, side - cols))
    return LabelledPicture(
        rgb=np.ascontiguousarray(np.pad(picture.rgb, (*missing, (0, 0)), "edge")[:side, :side]),
        tissue=np.pad(picture.tissue, missing)[:side, :side],
        score=picture.score,
    )


def turned(picture: LabelledPicture, quarter_turns: int, *, is_mirrored: bool) -> LabelledPicture:
    """Return a picture turned by quarters of a circle, and mirrored."""
    parts = [np.rot90(part, quarter_turns) for part in (picture.rgb, picture.tissue)]
    if is_mirrored:
        parts = [part[:, ::-1] for part in parts]
    rgb, tissue = (np.ascontiguousarray(part) for part in parts)
    return LabelledPicture(rgb=rgb, tissue=tissue, score=picture.score)
