"""A region of interest, and what its class name means for scoring."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from shapely import MultiPolygon, Polygon

from her2path.geometry import Mpp, Region

__all__ = ["GENERIC_NAME", "Roi", "RoiKind", "kind_of_name"]


class RoiKind(StrEnum):
    """What an outline asks for.

    `TUMOR` is scored, `IGNORE` is left out even inside tumor, `CONTROL` is control tissue on the
    slide (used, never counted), `OTHER` has a class that says nothing about scoring.
    """

    TUMOR = "tumor"
    IGNORE = "ignore"
    CONTROL = "control"
    OTHER = "other"


# Names that drawing programs give by themselves: they say no more than "somebody drew this".
GENERIC_NAME = re.compile(
    r"(annotation|layer|shape|polygon|rectangle|ellipse|unclassified|none|null)?[\s_#-]*\d*"
)
# Classes that say tumor, and words that only say where to look.
TUMOR_NAME = (
    r"\b(tumou?rs?|tumou?ral|invasive|\w*carcinomas?|cancers?|metasta\w+|idc|ilc)[\s_#-]*\d*\b"
    r"|^(her-?2\s*)?[0-3]\+?$"
)
PLACE_NAME = r"\b(rois?|regions?)\b"
# Order matters: "tumour stroma" and "non-invasive carcinoma" must never be scored as tumor, and
# a control with tumor in it is a control.
KINDS_BY_WORD: tuple[tuple[RoiKind, re.Pattern[str]], ...] = (
    (
        RoiKind.IGNORE,
        re.compile(
            r"\b(ignored?|exclu\w+|necro\w+|artefacts?|artifacts?|dcis|lcis|cis|in[\s_-]*situ"
            r"|strom\w+|normal|benign|background|immune[\s_-]*cells?"
            r"|lympho\w+|tils?|(peri|non?|not|outside|adjacent|beside|next)[\s_-]*(to|of|the|\s)*"
            r"[\s_-]*(invasive|tumou?r\w*|cancer\w*|carcinoma\w*|roi)"
            r"|(tumou?r|cancer|carcinoma)[\s_-]*(free|infiltrating|associated|adjacent|negative)"
            r"|intra[\s_-]*(duct|dutt|dukt|canal)\w+|comedo\w*|pre[\s_-]*invasive"
            r"|non[\s_-]*neoplas\w+|(no|without|free of|negative for|uninvolved by|away from|near"
            r"|keine?|ohne|sans|senza|sin)( \w+){0,2} (tumou?r\w*|cancer\w*|carcinom\w*))\b"
        ),
    ),
    (RoiKind.CONTROL, re.compile(r"\bcontrols?\b")),
    (
        RoiKind.TUMOR,
        re.compile(f"{TUMOR_NAME}|{PLACE_NAME}"),
    ),
)


# Words that say of a tumor what is not in it, and numbers of outlines: "Tumor, no necrosis".
DENIED = re.compile(
    r"\bnon?[\s-]*necrotic\b|\b(no|without|excluding|excl\.?) (necros[ie]s|dcis|lcis|stroma)\b"
    r"|\bno special type\b|\bno\.? ?\d+\b"
)


@dataclass(frozen=True, slots=True)
class Roi:
    """One outline drawn by a person.

    Attributes
    ----------
    roi_id : str
        Identifier, unique within the file.
    name : str
        Name given by the person, may be empty.
    kind : RoiKind
        What the outline asks for.
    classification : str
        Class as written in the file; empty when there is none.
    polygon : Polygon or MultiPolygon
        Valid, not empty, level-0 px.
    is_core : bool
        Whether it is a core of a microarray: of its tissue nobody has said what it is.
    """

    roi_id: str
    name: str
    kind: RoiKind
    classification: str
    polygon: Polygon | MultiPolygon
    is_core: bool = False

    @property
    def says_tumor(self) -> bool:
        """Whether its class, or its name where it has none, says tumor and not only where to look.

        Scored is either; a pixel of it is surely tumor only of the first.
        """
        words = plain_words(self.classification or self.name)
        return self.kind is RoiKind.TUMOR and re.search(TUMOR_NAME, words) is not None

    @property
    def bounds(self) -> Region:
        """The level-0 box round it."""
        left, top, right, bottom = self.polygon.bounds
        x, y = math.floor(left), math.floor(top)
        return Region(x, y, math.ceil(right) - x, math.ceil(bottom) - y)

    def area_mm2(self, mpp: Mpp) -> float:
        """Return the area that it encloses, mm²."""
        return float(self.polygon.area) * mpp.x * mpp.y * 1e-6


def plain_words(name: str) -> str:
    # One blank between words: patterns that allow any number of them would take long over many.
    return " ".join(name.casefold().replace("_", " ").split()).strip(" *")


def kind_of_name(name: str) -> RoiKind:
    """Return what a class name means for scoring, whatever its case.

    An outline without a class, or with a name made up by the drawing program ("Annotation 3"), is
    a region to score: the person who drew it and gave it to `--roi` had no other use for it.
    A class that is not recognised is `OTHER`: it is neither scored nor left out.
    """
    words = plain_words(name)
    if GENERIC_NAME.fullmatch(words):
        return RoiKind.TUMOR
    rest = DENIED.sub(" ", words)
    if re.search(TUMOR_NAME, rest):
        words = rest
    for kind, pattern in KINDS_BY_WORD:
        if pattern.search(words):
            return kind
    return RoiKind.OTHER
