"""One training picture and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from her2path.criteria.label import ScoreLabel

__all__ = ["Label", "Part", "Sample"]


class Part(StrEnum):
    """Which side of the split a picture stands on."""

    TRAIN = "train"
    VALIDATE = "validate"
    TEST = "test"


class Label(StrEnum):
    """A kind of label; a loss is masked where its label is missing."""

    SCORE = "score"
    TISSUE = "tissue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture (a field, a core, or a slide) and its labels.

    Attributes
    ----------
    path : Path
    mpp : float or None
        µm/px at full resolution, whatever the file says; None: as the file says.
    mpp_if_none : float or None
        µm/px where neither `mpp` nor the file gives one.
    patient, laboratory : str
        Groups that must not stand on both sides of the split; empty where not known.
    part : Part or None
        None: still to be assigned.
    score : ScoreLabel or None
    outlines : Path or None
        Outlines drawn by a person (QuPath GeoJSON and others): classes Tumor, Ignore*, Stroma.
    mask : Path or None
        PNG of the picture's size with the values of `pictures.MASK_VALUES`.
    source : str
        Manifest or public set that it comes from.
    """

    path: Path
    mpp: float | None = None
    mpp_if_none: float | None = None
    patient: str = ""
    laboratory: str = ""
    part: Part | None = None
    score: ScoreLabel | None = None
    outlines: Path | None = None
    mask: Path | None = None
    source: str = ""

    @property
    def labels(self) -> frozenset[Label]:
        """Which labels exist."""
        found = set()
        if self.score is not None:
            found.add(Label.SCORE)
        if self.outlines is not None or self.mask is not None:
            found.add(Label.TISSUE)
        return frozenset(found)
