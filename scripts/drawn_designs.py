"""What is drawn on real tissue: the crops, the membranes, the laboratories and the 24 designs.

Data alone; `drawn_on_real.py` draws by it. No design lies near a cut of the criteria, so that its
score is beyond doubt although cells borrow lines from their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

Vector = tuple[float, float, float]

# With it each design has the view that stands beside it; another seed deals the views out anew.
SEED = 7000
# Of all sources: an estimate from the cores' size.
MPP = 0.23


@dataclass(frozen=True)
class Source:
    """A real core that is drawn on: unstained, or nearly so.

    Attributes
    ----------
    size : tuple of 2 int
        Width and height in px.
    white : tuple of 3 float
        Value of empty glass beside the tissue, red, green, blue.
    hematoxylin_blue : float
        OD of its hematoxylin in blue over that in red, read off its nuclei.
    least_nucleus : float
        How much a spot inside marked tumor must look like a nucleus. Where nuclei are crisp more
        can be asked than where tumor is out of focus.
    reach_um : float
        How far a tumor cell reaches beyond its nucleus at most.
    note : str
        What of the source itself may be mistaken.
    """

    size: tuple[int, int]
    white: Vector
    hematoxylin_blue: float
    least_nucleus: float
    reach_um: float
    note: str = ""


SOURCES = {
    "0_a6d0": Source((5468, 5467), (234, 233, 243), 0.442 / 0.640, 0.05, 7.5),
    "0_ccb6": Source(
        (5468, 5468), (232, 232, 238), 0.358 / 0.691, 0.085, 6.0, "very faint real brown in places"
    ),
    "1_154a": Source(
        (5468, 5468),
        (234, 233, 239),
        0.398 / 0.677,
        0.085,
        6.0,
        "faint real brown on lumens and in cytoplasm; glands, likely benign, are taken for tumor",
    ),
}


@dataclass(frozen=True)
class Crop:
    """A rectangle of a source, in px of the whole picture."""

    source: str
    x: int
    y: int
    width: int
    height: int


A1 = Crop("0_a6d0", 850, 700, 1600, 1600)
A2 = Crop("0_a6d0", 400, 1550, 1650, 1550)
A3 = Crop("0_a6d0", 420, 2480, 1800, 1560)
A4 = Crop("0_a6d0", 950, 3620, 1650, 1400)
A5 = Crop("0_a6d0", 2030, 3620, 1700, 1480)
A6 = Crop("0_a6d0", 3050, 1480, 1250, 1750)
B1 = Crop("0_ccb6", 1550, 2300, 1700, 1300)
B2 = Crop("0_ccb6", 2750, 2150, 1500, 1900)
B3 = Crop("0_ccb6", 1950, 3750, 1650, 1280)
B4 = Crop("0_ccb6", 1950, 980, 1200, 1700)
B5 = Crop("0_ccb6", 3050, 1000, 1700, 1700)
GLANDS = Crop("1_154a", 1060, 620, 1440, 1560)


@dataclass(frozen=True)
class Membrane:
    """A class of membrane: OD in blue at the line's peak after the optics, all round or not."""

    intensity: str
    od: tuple[float, float]
    is_complete: bool = False


FAINT = Membrane("faint", (0.06, 0.12))
WEAK = Membrane("weak", (0.12, 0.22))
WEAK_RING = Membrane("weak", (0.12, 0.22), is_complete=True)
MODERATE_RING = Membrane("moderate", (0.25, 0.50), is_complete=True)
INTENSE_RING = Membrane("intense", (0.60, 1.10), is_complete=True)
# The first is drawn where stained cells lie densest.
Mix = tuple[tuple[Membrane, float], ...]


@dataclass(frozen=True)
class Laboratory:
    """How a laboratory would have stained and scanned the source.

    Attributes
    ----------
    tissue : tuple of 3 float
        Factors on the tissue's own OD, red, green, blue.
    white : tuple of 3 float, optional
        Value of empty glass; that of the source without it.
    dab : tuple of 3 float
        OD in red, green and blue; a slide's own vector scatters round it.
    """

    tissue: Vector
    white: Vector | None
    dab: Vector


LABORATORIES = {
    "own": Laboratory((1, 1, 1), None, (0.36, 0.56, 0.745)),
    "bluer": Laboratory((1.25, 1.2, 1.12), (241, 239, 238), (0.30, 0.57, 0.765)),
    "redder": Laboratory((1.1, 1.18, 1.15), (236, 236, 232), (0.40, 0.56, 0.725)),
    "darker": Laboratory((1.35, 1.3, 1.3), (244, 242, 243), (0.33, 0.54, 0.775)),
}


@dataclass(frozen=True)
class View:
    """How a crop is shown: quarter turns against the clock, then mirrored left to right."""

    n_turns: int
    is_mirrored: bool
    laboratory: str
    mpp: float


@dataclass(frozen=True)
class Design:
    """What is drawn on one crop.

    Attributes
    ----------
    name, score : str
        In words; the score that the mix means.
    crop : Crop
    view : View
    mix : tuple of (Membrane, float)
        Shares of the tumor cells; the rest gets no line.
    clustering : float
        0: stained cells lie anywhere; 1: together.
    n_groups : int
        Stained cells lie round so many places instead.
    blush_od : tuple of 2 float, optional
        OD in blue of DAB in the cytoplasm of all tumor, which is no membrane.
    """

    name: str
    score: str
    crop: Crop
    view: View
    mix: Mix = ()
    clustering: float = 0.0
    n_groups: int = 0
    blush_od: tuple[float, float] | None = None


DESIGNS = (
    Design("unchanged", "0", A4, View(0, False, "own", 0.23)),
    Design("unchanged", "0", A5, View(1, False, "bluer", 0.25)),
    Design("unchanged", "0", B4, View(0, True, "own", 0.23)),
    Design("unchanged", "0", A3, View(2, False, "darker", 0.46)),
    Design(
        "ultralow cluster", "0+", A1, View(0, False, "own", 0.23), ((FAINT, 0.060),), n_groups=2
    ),
    Design("ultralow scattered", "0+", A4, View(1, True, "darker", 0.25), ((FAINT, 0.040),), 0.2),
    Design(
        "ultralow cluster", "0+", A5, View(3, False, "own", 0.23), ((FAINT, 0.050),), n_groups=2
    ),
    Design("ultralow scattered", "0+", A6, View(0, True, "own", 0.23), ((FAINT, 0.035),), 0.1),
    Design("ultralow mixed", "0+", B4, View(2, False, "redder", 0.35), ((FAINT, 0.050),), 0.6),
    Design("1+ faint 35%", "1+", A2, View(0, False, "own", 0.23), ((FAINT, 0.35),), 0.6),
    Design(
        "1+ faint/weak 45%",
        "1+",
        B1,
        View(1, False, "own", 0.23),
        ((FAINT, 0.25), (WEAK, 0.20)),
        0.5,
    ),
    Design(
        "1+ faint/weak 30%",
        "1+",
        B3,
        View(0, True, "bluer", 0.25),
        ((FAINT, 0.18), (WEAK, 0.12)),
        0.7,
    ),
    Design(
        "1+ faint/weak 55% +3% weak complete",
        "1+",
        A3,
        View(0, False, "own", 0.23),
        ((FAINT, 0.22), (WEAK, 0.30), (WEAK_RING, 0.03)),
        0.5,
    ),
    Design(
        "1+ weak 40%",
        "1+",
        GLANDS,
        View(0, False, "own", 0.23),
        ((FAINT, 0.15), (WEAK, 0.25)),
        0.5,
    ),
    Design(
        "2+ weak/moderate 50%",
        "2+",
        A1,
        View(2, True, "own", 0.23),
        ((MODERATE_RING, 0.28), (WEAK_RING, 0.22), (WEAK, 0.12)),
        0.6,
    ),
    Design(
        "2+ weak/moderate 70%",
        "2+",
        B2,
        View(0, False, "own", 0.23),
        ((MODERATE_RING, 0.40), (WEAK_RING, 0.30), (WEAK, 0.12)),
        0.5,
    ),
    Design(
        "2+ moderate 35%",
        "2+",
        A5,
        View(0, True, "bluer", 0.25),
        ((MODERATE_RING, 0.25), (WEAK_RING, 0.10), (WEAK, 0.15)),
        0.8,
    ),
    Design(
        "2+ moderate 50%",
        "2+",
        GLANDS,
        View(1, True, "redder", 0.35),
        ((MODERATE_RING, 0.35), (WEAK_RING, 0.15), (FAINT, 0.10)),
        0.5,
    ),
    Design(
        "2+ moderate 60% +3% intense",
        "2+",
        B5,
        View(0, False, "own", 0.23),
        ((INTENSE_RING, 0.03), (MODERATE_RING, 0.47), (WEAK_RING, 0.13), (WEAK, 0.10)),
        0.5,
    ),
    Design(
        "3+ intense 75%",
        "3+",
        A6,
        View(1, False, "own", 0.23),
        ((INTENSE_RING, 0.75), (MODERATE_RING, 0.10), (WEAK, 0.05)),
        0.4,
    ),
    Design(
        "3+ intense 35%",
        "3+",
        B1,
        View(3, True, "own", 0.23),
        ((INTENSE_RING, 0.35), (MODERATE_RING, 0.20), (WEAK, 0.15)),
        0.85,
    ),
    Design(
        "3+ intense 85%",
        "3+",
        A3,
        View(1, True, "darker", 0.46),
        ((INTENSE_RING, 0.85), (MODERATE_RING, 0.08)),
        0.4,
    ),
    Design("cytoplasmic blush", "0", A1, View(1, False, "redder", 0.23), blush_od=(0.03, 0.06)),
    Design("cytoplasmic blush", "0", B2, View(2, False, "own", 0.25), blush_od=(0.03, 0.05)),
)


def views_of(seed: int) -> list[View]:
    """Return the view of each design: its own, or dealt out anew with another seed than `SEED`.

    Turns, mirrors, laboratories and resolutions are dealt each by itself, so each occurs as often
    as among the designs' own views.
    """
    own = [design.view for design in DESIGNS]
    if seed == SEED:
        return own
    rng = np.random.default_rng(seed)
    dealt = [
        [getattr(own[i], part.name) for i in rng.permutation(len(own))] for part in fields(View)
    ]
    return [View(*parts) for parts in zip(*dealt, strict=True)]
