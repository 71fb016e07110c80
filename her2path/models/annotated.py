"""Training crops from annotated pictures, recoloured in optical density."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.criteria.label import ScoreLabel
from her2path.criteria.score import EXPRESSION_SCORES
from her2path.errors import ManifestError, list_faults
from her2path.models.augment import Crop
from her2path.models.colouring import compressed
from her2path.models.design import CELL_CLASSES, STRIDE_PX
from her2path.models.sources.catalogue import read_source
from her2path.models.sources.copies import without_copies
from her2path.models.sources.crops import Crops
from her2path.models.sources.pictures import MASK_VALUES, LabelledPicture, check_samples
from her2path.models.sources.sample import Label, Part, Sample
from her2path.models.sources.split import (
    Apart,
    check_split,
    group_of,
    split_samples,
    unchecked,
    without_tested,
)
from her2path.results.sheet import look_alikes

__all__ = ["annotated_crops", "n_patients", "read_annotated", "recoloured", "score_of_piece"]

logger = logging.getLogger(__name__)

# Share of groups (laboratories, or patients where all are of one) kept for validation.
VALIDATE_SHARE = 0.2
# Outlines are drawn by hand: a pixel says less than one of a drawn field.
WEIGHT = 160


def read_annotated(
    sources: Sequence[str],
    *,
    mpp: float | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
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
        laboratory, by picture where nobody says whose any of them are. What has no part and is
        of a patient in a test part is left out with that.
    say : callable
        Told in words what was taken and how it was split.

    Raises
    ------
    ManifestError
        When a source cannot be used, a group would stand on both sides or is named for a part of
        the pictures only, or there is nothing to train on.
    """
    if not sources:
        return (), ()
    found = [sample for text in sources for sample in read_source(text, mpp=mpp)]
    check_named_once(found)
    # A test part of public sets is used for nothing here; but nobody in it may be learned from.
    check_split([s for s in found if s.patient], apart=Apart.PATIENT)
    samples = without_tested(found)
    apart = known_groups(samples)
    if any(sample.part is None for sample in samples):
        samples = split_samples(samples, apart=apart, validate_share=VALIDATE_SHARE, seed=seed)
    check_split(samples, apart=apart)
    tested = [sample for sample in found if sample.part is Part.TEST]
    samples = without_tested(without_copies([*samples, *tested]))
    warn_of_look_alikes(found, samples)
    if apart is Apart.LABORATORY:
        warn_of_known_laboratories(samples, tested)
    useful = [s for s in samples if Label.TISSUE in s.labels or score_of_piece(s) is not None]
    unlabelled = set(check_samples([s for s in useful if s.part is not Part.TEST]))
    if silent := [s for s in unlabelled if Label.TISSUE in s.labels]:
        logger.warning(
            "masks or outlines of %s pictures label nothing, the first is %s: tumor is 1 in a "
            "mask, or an outline of class Tumor; such pictures teach their score alone",
            f"{len(silent):,}",
            min(s.path for s in silent),
        )
    useful = [s for s in useful if s not in unlabelled or score_of_piece(s) is not None]
    train = tuple(sample for sample in useful if sample.part is Part.TRAIN)
    if not train:
        raise ManifestError(
            f"{', '.join(sources)}: {len(found):,} pictures, and none with a label to train on; "
            "give a score, outlines or a mask, and a split other than test"
        )
    for name in sorted({s.source for s in found} - {s.source for s in train}):
        logger.warning(
            "%s: none of its pictures is trained on, all are kept for validation or test; "
            "give their split in a manifest to choose otherwise",
            name,
        )
    validate = tuple(sample for sample in useful if sample.part is Part.VALIDATE)
    say(
        f"annotated pictures: {len(found):,} read; {words_of(train)} for training; "
        f"{words_of(validate)} for validation; {len(found) - len(train) - len(validate):,} not "
        f"used (kept for test, copies, or without a label that teaches); each {apart} on one side "
        "of the two"
    )
    placed = [*samples, *tested]
    if n := unchecked(placed):
        logger.warning(
            "%s of %s pictures name no patient: whether pieces of one tumor stand on two sides of "
            "the split cannot be checked, and figures of it may be too good; name the patients in "
            "a manifest, or test on another laboratory",
            f"{n:,}",
            f"{len(placed):,}",
        )
    return train, validate


def warn_of_look_alikes(found: Sequence[Sample], placed: Sequence[Sample]) -> None:
    """Tell of names that may be one laboratory or patient and would then stand on two sides."""
    parts: dict[str, set[Part | None]] = defaultdict(set)
    for sample in (*placed, *(s for s in found if s.part is Part.TEST)):
        parts[sample.patient].add(sample.part)
    in_several: dict[str, set[str]] = defaultdict(set)
    for sample in found:
        in_several[sample.patient].add(sample.laboratory)
    shared = sorted(p for p in parts if p and len(parts[p]) > 1 and len(in_several[p]) > 1)
    alike = {
        "laboratories": look_alikes(s.laboratory for s in found),
        "patients": look_alikes(s.patient for s in found if s.patient),
    }
    for kind, names in alike.items():
        if names:
            logger.warning(
                "%s %s are taken for different ones; spell each the same way", kind, names
            )
    if shared:
        logger.warning(
            "patients %s stand in several laboratories and on several sides of the split; they "
            "are taken for different people: where they are one, name the split by hand",
            ", ".join(shared[:5]) + ("" if len(shared) <= 5 else f" and {len(shared) - 5} more"),
        )


def warn_of_known_laboratories(samples: Sequence[Sample], tested: Sequence[Sample]) -> None:
    """Tell of laboratories in a test part that are learned from as well, as in public sets."""
    learned = {sample.laboratory for sample in samples}
    if known := sorted({sample.laboratory for sample in tested} & learned):
        logger.warning(
            "laboratories %s stand in the part test and are learned from: figures of that part "
            "are of further pictures of laboratories that the network knows",
            ", ".join(known[:5]) + ("" if len(known) <= 5 else f" and {len(known) - 5} more"),
        )


def words_of(samples: Sequence[Sample]) -> str:
    """Return how many pictures, labels and patients there are."""
    n_scores = sum(score_of_piece(sample) is not None for sample in samples)
    n_outlined = sum(Label.TISSUE in sample.labels for sample in samples)
    return (
        f"{len(samples):,} (scores {n_scores:,}, outlines or masks {n_outlined:,}, named patients "
        f"{n_patients(samples):,})"
    )


def n_patients(samples: Sequence[Sample]) -> int:
    """Return how many patients are named."""
    return len({group_of(sample, Apart.PATIENT) for sample in samples} - {""})


def check_named_once(samples: Sequence[Sample]) -> None:
    """Refuse a picture that several sources name, under whatever spelling of its path."""
    count = Counter(os.path.realpath(sample.path) for sample in samples)
    faults = [f"{path} is named {n} times" for path, n in sorted(count.items()) if n > 1]
    if faults:
        raise ManifestError(list_faults("pictures stand in the sources more than once", faults))


def known_groups(samples: Sequence[Sample]) -> Apart:
    """Return what must be kept apart: laboratories if there are several, else patients if known.

    One known laboratory or patient is enough: a picture that names none may be of the same, so
    the others must name theirs too.
    """
    if len({s.laboratory for s in samples}) > 1:
        return Apart.LABORATORY
    if any(s.patient for s in samples):
        return Apart.PATIENT
    return Apart.PICTURE


def annotated_crops(
    source: Crops, n: int, rng: np.random.Generator
) -> tuple[list[Crop], ScoreLabel | None]:
    """Cut crops out of one annotated picture, recoloured, turned and scaled.

    Parameters
    ----------
    source : Crops
        Draws picture and places.
    n : int
        How many crops.
    rng : numpy.random.Generator
        Chooses everything.

    Returns
    -------
    crops : list of Crop
        Only their tissue can be known.
    score : ScoreLabel or None
        What all of them together may be read for: the score of the picture, or within a grade of
        that of the slide that the picture was cut from.
    """
    scale = float(np.exp(rng.uniform(np.log(0.42), np.log(0.58))))
    sample, pictures = source.draw(rng, n=n, mpp=scale)
    return [labelled_crop(picture, rng) for picture in pictures], score_of_piece(sample)


def score_of_piece(sample: Sample) -> ScoreLabel | None:
    """Return what pieces of a picture may be read for, None where that could be any score."""
    score = sample.score
    if score is not None and score.of == "slide":
        score = within_a_grade(score)
    if score is None or all(score.allows(any_one) for any_one in EXPRESSION_SCORES):
        return None
    return score


def within_a_grade(score: ScoreLabel) -> ScoreLabel:
    """Return the scores that a piece of a slide of this score may have: a grade less or more."""
    last = len(EXPRESSION_SCORES) - 1
    return ScoreLabel(
        EXPRESSION_SCORES[max(score.low.rank - 1, 0)],
        EXPRESSION_SCORES[min(score.high.rank + 1, last)],
        of="picture",
    )


def labelled_crop(picture: LabelledPicture, rng: np.random.Generator) -> Crop:
    """Return a recoloured crop with what is known of its tissue."""
    side = len(picture.tissue)
    planes = np.zeros((9, side, side), np.uint8)
    for plane, name in ((3, "tumor"), (4, "other"), (5, "outside")):
        planes[plane] = (picture.tissue == MASK_VALUES[name]) * np.uint8(255)
    planes[8] = (picture.tissue != MASK_VALUES["unknown"]) * np.uint8(WEIGHT)
    n = side // STRIDE_PX
    nothing = np.zeros(0, np.float32)
    return Crop(
        rgb=recoloured(picture.rgb, rng),
        planes=planes,
        cells=np.zeros((len(CELL_CLASSES), n, n), np.float32),
        kind_tally=np.zeros(len(CELL_CLASSES), np.int64),
        x=nothing,
        y=nothing,
        is_tumor=np.zeros(0, bool),
        kinds_known=False,
        count_known=False,
    )


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
        out = compressed(out, int(rng.integers(40, 97)), rng)
    return out
