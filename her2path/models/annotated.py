"""Training crops from annotated pictures, recoloured in optical density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from her2path.criteria.label import ScoreLabel
from her2path.geometry import Region
from her2path.models.augment import Crop
from her2path.models.network import CELL_CLASSES, STRIDE_PX
from her2path.models.sources.catalogue import read_source
from her2path.models.sources.pictures import MASK_VALUES, open_sample
from her2path.models.sources.sample import Label, Part, Sample
from her2path.models.sources.split import Apart, check_split, split_samples

__all__ = ["AnnotatedCrop", "annotated_crop", "read_annotated", "recoloured"]

# Share of groups (laboratories, or patients where all are of one) kept for validation.
VALIDATE_SHARE = 0.2
# A picture that a crop shows less of than this is scored by several crops together.
MIN_SHOWN = 0.6
# Outlines are drawn by hand: a pixel says less than one of a drawn field.
WEIGHT = 160


@dataclass(frozen=True, slots=True)
class AnnotatedCrop:
    """A crop of an annotated picture, and the score that it may be read for.

    Attributes
    ----------
    crop : Crop
        Only its tissue can be known.
    score : ScoreLabel or None
        Score of the picture; None = not known, or of a whole slide.
    shown : float
        Share of the picture that the crop shows, 0–1.
    """

    crop: Crop
    score: ScoreLabel | None
    shown: float


def read_annotated(
    sources: Sequence[str], *, mpp: float | None = None, seed: int = 0
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Read sources and return their pictures for training and for validation.

    Parameters
    ----------
    sources : sequence of str
        As `sources.read_source` takes them.
    mpp : float or None
        µm/px of pictures that hold none.
    seed : int
        Of the split where the sources give none: by laboratory, by patient where all are of one
        laboratory, by picture where nobody says whose they are.

    Raises
    ------
    ManifestError
        When a source cannot be used, or a group would stand on both sides.
    """
    samples = [sample for text in sources for sample in read_source(text, mpp=mpp)]
    apart = known_groups(samples)
    if any(sample.part is None for sample in samples):
        samples = list(
            split_samples(samples, apart=apart, validate_share=VALIDATE_SHARE, seed=seed)
        )
    check_split(samples, apart=apart)
    useful = [sample for sample in samples if sample.labels]
    return tuple(s for s in useful if s.part is Part.TRAIN), tuple(
        s for s in useful if s.part is Part.VALIDATE
    )


def known_groups(samples: Sequence[Sample]) -> Apart:
    """Return what can be kept apart: laboratories if there are several, else patients if known."""
    if all(s.laboratory for s in samples) and len({s.laboratory for s in samples}) > 1:
        return Apart.LABORATORY
    if all(s.patient for s in samples) and len({s.patient for s in samples}) > 1:
        return Apart.PATIENT
    return Apart.PICTURE


def annotated_crop(sample: Sample, size_px: int, rng: np.random.Generator) -> AnnotatedCrop:
    """Cut a random square out of an annotated picture, recoloured, turned and scaled.

    Parameters
    ----------
    sample : Sample
        The picture and its labels.
    size_px : int
        Side of the crop, a multiple of `STRIDE_PX`.
    rng : numpy.random.Generator
        Chooses place and colours.
    """
    scale = float(np.exp(rng.uniform(np.log(0.42), np.log(0.58))))
    with open_sample(sample) as opened:
        side_x = round(size_px * scale / opened.mpp.x)
        side_y = round(size_px * scale / opened.mpp.y)
        x = place_within(opened.size.width, side_x, rng)
        y = place_within(opened.size.height, side_y, rng)
        found = opened.read(Region(x, y, side_x, side_y), scale)
        shown = min(1.0, side_x / opened.size.width) * min(1.0, side_y / opened.size.height)
    rgb, tissue = squared(found.rgb, size_px), squared(found.tissue, size_px)
    quarter, is_mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
    rgb, tissue = (np.rot90(part, quarter) for part in (rgb, tissue))
    if is_mirrored:
        rgb, tissue = rgb[:, ::-1], tissue[:, ::-1]
    planes = np.zeros((9, size_px, size_px), np.uint8)
    if Label.TISSUE in sample.labels:
        for plane, name in ((3, "tumor"), (4, "other"), (5, "outside")):
            planes[plane] = (tissue == MASK_VALUES[name]) * np.uint8(255)
        planes[8] = (tissue != MASK_VALUES["unknown"]) * np.uint8(WEIGHT)
    n = size_px // STRIDE_PX
    nothing = np.zeros(0, np.float32)
    crop = Crop(
        rgb=recoloured(np.ascontiguousarray(rgb), rng),
        planes=planes,
        cells=np.zeros((len(CELL_CLASSES), n, n), np.float32),
        kind_tally=np.zeros(len(CELL_CLASSES), np.int64),
        x=nothing,
        y=nothing,
        is_tumor=np.zeros(0, bool),
        kinds_known=False,
        count_known=False,
    )
    # The score of a slide says little about a small piece of it.
    score = sample.score if sample.score is not None and sample.score.of == "picture" else None
    return AnnotatedCrop(crop, score, shown)


def place_within(length: int, side: int, rng: np.random.Generator) -> int:
    """Return where a piece begins; a piece longer than the picture holds it in its middle."""
    return int(rng.integers(length - side + 1)) if side <= length else (length - side) // 2


def squared(picture: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Return exactly `size_px` rows and columns; what is missing by rounding repeats the edge."""
    rows, cols = picture.shape[:2]
    grown = cv2.copyMakeBorder(
        picture, 0, max(0, size_px - rows), 0, max(0, size_px - cols), cv2.BORDER_REPLICATE
    )
    return np.asarray(grown[:size_px, :size_px], np.uint8)


def recoloured(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change strength and hue of stains in optical density, then focus, noise and compression.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        A picture.
    rng : numpy.random.Generator
        Chooses how much.
    """
    od = -np.log10((rgb.astype(np.float32) + 1.0) / 256.0)
    mix = np.eye(3) * np.exp(rng.normal(0, 0.12)) + rng.normal(0, 0.04, (3, 3))
    od = np.maximum(od.reshape(-1, 3) @ mix.astype(np.float32) + np.float32(rng.normal(0, 0.01)), 0)
    light = (10.0 ** -od.reshape(rgb.shape)).astype(np.float32)
    if rng.random() < 0.3:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.3, 1.2))))
    light += rng.normal(0, float(rng.exponential(0.006)), light.shape).astype(np.float32)
    out = np.clip(light * 256.0 - 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(40, 97))
        out = np.asarray(simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(out, quality=quality)))
    return out
