"""Pixels and labels of a sample at the network's µm/px."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2path.annotations.raster import rasterise
from her2path.annotations.read import read_annotations
from her2path.annotations.roi import Roi, RoiKind
from her2path.criteria.label import ScoreLabel
from her2path.errors import Her2pathError, ManifestError, MppError, list_faults
from her2path.geometry import Location, Mpp, Region, Size
from her2path.models.sources.sample import Sample
from her2path.slides.mpp import require_mpp
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp
from her2path.slides.slide import Slide

__all__ = ["MASK_VALUES", "LabelledPicture", "OpenSample", "check_samples", "open_sample"]

# What the pixels of a mask mean, in masks given by a person and in those returned.
MASK_VALUES = {"unknown": 0, "tumor": 1, "other": 2, "outside": 3}
# Rows of a mask that are looked at in one go.
BAND_PX = 1024
# Outlines with such a name mark what is no tissue to read; other ones to be ignored are tissue.
OUTSIDE_NAME = re.compile(
    r"background|glass|artefact|artifact|fold|pen\b|blur|out[\s_-]*of[\s_-]*focus"
)


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A piece of a sample.

    Attributes
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
    tissue : ndarray of shape (M, N), uint8
        As `MASK_VALUES`; 0 (unknown) wherever nobody said anything: mask the loss there.
    score : ScoreLabel or None
        Of the whole sample, not of this piece.
    """

    rgb: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    score: ScoreLabel | None


@dataclass(frozen=True, slots=True)
class OpenSample:
    """A sample that can be read from, its µm/px settled; get it from `open_sample`."""

    sample: Sample
    slide: Slide
    rois: tuple[Roi, ...]
    mask: Slide | None

    @property
    def size(self) -> Size:
        """Level-0 px."""
        return self.slide.dimensions

    @property
    def mpp(self) -> Mpp:
        """µm/px of level 0."""
        return require_mpp(self.slide)

    def read(self, region: Region, mpp: float) -> LabelledPicture:
        """Read a region (level-0 px) at a wanted µm/px; outside the picture it is white, unknown.

        Raises
        ------
        SlideError
            If pixels cannot be read.
        ManifestError
            If the mask holds a value that means nothing.
        """
        rgb = read_at_mpp(self.slide, region, mpp)
        height, width = rgb.shape[:2]
        tissue = np.zeros((height, width), np.uint8)
        row = under_centres(height, mpp / self.mpp.y, region.height)
        col = under_centres(width, mpp / self.mpp.x, region.width)
        if self.mask is not None:
            given = self.mask_values(self.mask, region)[np.ix_(row, col)]
            # Beyond the edge of the picture the reader gives white.
            is_inside = np.outer(
                (row + region.y >= 0) & (row + region.y < self.size.height),
                (col + region.x >= 0) & (col + region.x < self.size.width),
            )
            tissue = np.where(is_inside, given, 0).astype(np.uint8)
            self.check_values(tissue)
        for value, rois in self.outlined():
            mask = rasterise(rois, region, downsample=1.0)
            tissue[mask[np.ix_(row, col)]] = value
        return LabelledPicture(rgb=rgb, tissue=tissue, score=self.sample.score)

    def labels_something(self) -> bool:
        """Read a corner of the picture and the whole mask: whether any pixel is labelled.

        Raises
        ------
        SlideError, ManifestError
            As `read`.
        """
        width, height = self.size.width, self.size.height
        self.slide.read_region(Location(0, 0), 0, Size(min(width, 8), min(height, 8)))
        found = any(value != MASK_VALUES["unknown"] for value, _ in self.outlined())
        if self.mask is not None:
            for top in range(0, height, BAND_PX):
                band = Region(0, top, width, min(BAND_PX, height - top))
                given = self.mask_values(self.mask, band)
                self.check_values(given)
                found |= bool(given.any())
        return found

    def mask_values(self, mask: Slide, region: Region) -> NDArray[np.uint8]:
        """Return what a mask says in a region, level-0 px; white, 255, beyond its edge."""
        colors = mask.read_region(region.location, 0, Size(region.width, region.height))
        given: NDArray[np.uint8] = colors[..., 0]
        if (colors != given[..., None]).any():
            raise ManifestError(
                f"{self.sample.mask} is in color or has a palette; save its values as gray"
            )
        return given

    def check_values(self, given: NDArray[np.uint8]) -> None:
        """Refuse values that mean nothing."""
        strange = sorted(set(np.unique(given).tolist()) - set(MASK_VALUES.values()))
        if strange:
            words = ", ".join(f"{value} {name}" for name, value in MASK_VALUES.items())
            raise ManifestError(
                f"{self.sample.mask} holds the values {strange[:5]}; a mask holds {words}"
            )

    def outlined(self) -> Iterator[tuple[int, list[Roi]]]:
        """Yield what outlines say, in the order in which the later ones win."""
        is_outside = [bool(OUTSIDE_NAME.search(roi.classification.casefold())) for roi in self.rois]
        pairs = list(zip(self.rois, is_outside, strict=True))
        kinds = (
            # A box that says where to score may hold stroma as well: it labels nothing.
            ("tumor", [r for r in self.rois if r.says_tumor]),
            ("other", [r for r, outside in pairs if r.kind is RoiKind.IGNORE and not outside]),
            ("outside", [r for r, outside in pairs if r.kind is RoiKind.IGNORE and outside]),
            ("unknown", [roi for roi in self.rois if roi.kind is RoiKind.CONTROL]),
        )
        for name, rois in kinds:
            if rois:
                yield MASK_VALUES[name], rois


def under_centres(n: int, step: float, length: int) -> NDArray[np.int64]:
    """Return the level-0 px under the centre of each of `n` pixels of `step` level-0 px."""
    place = ((np.arange(n, dtype=np.float64) + 0.5) * step).astype(np.int64)
    return np.minimum(place, length - 1)


def check_samples(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Read a little of every picture and all of its labels before hours are spent on training.

    Returns
    -------
    tuple of Sample
        Those whose masks or outlines label nothing.

    Raises
    ------
    ManifestError
        With every file that cannot be used.
    """
    faults: list[str] = []
    unlabelled: list[Sample] = []
    for sample in samples:
        try:
            with open_sample(sample) as opened:
                require_mpp(opened.slide)
                if not opened.labels_something():
                    unlabelled.append(sample)
        except MppError as error:
            faults.append(
                f"{sample.path}: its µm/px cannot be used ({error}); give it in the column mpp of "
                "a manifest, or with --data-mpp where the file holds none"
            )
        except Her2pathError as error:
            faults.append(str(error))
    if faults:
        raise ManifestError(list_faults("annotated pictures cannot be used", faults))
    return tuple(unlabelled)


@contextmanager
def open_sample(sample: Sample) -> Iterator[OpenSample]:
    """Open the picture of a sample with its labels, and close it afterwards.

    Raises
    ------
    SlideError, MppError, AnnotationError
        If a file cannot be used.
    ManifestError
        If the mask has another size than the picture.
    """
    with ExitStack() as stack:
        slide = stack.enter_context(open_slide(sample.path, mpp=sample.mpp))
        if slide.mpp is None and sample.mpp_if_none is not None:
            sample = replace(sample, mpp=sample.mpp_if_none)
            slide = stack.enter_context(open_slide(sample.path, mpp=sample.mpp))
        mask = None
        if sample.mask is not None:
            # Read like any plain picture: its size is bounded before it is decoded.
            mask = stack.enter_context(
                open_slide(sample.mask, mpp=require_mpp(slide), backend="image")
            )
            if mask.dimensions != slide.dimensions:
                raise ManifestError(
                    f"{sample.mask} has {mask.dimensions.width} × {mask.dimensions.height} px, "
                    f"its picture {slide.dimensions.width} × {slide.dimensions.height}; give a "
                    "mask of the same size"
                )
        rois: tuple[Roi, ...] = ()
        if sample.outlines is not None:
            rois = read_annotations(sample.outlines, slide_dimensions=slide.dimensions)
        yield OpenSample(sample, slide, rois, mask)
