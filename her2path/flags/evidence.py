"""What flags are made of: their names, their cuts, and the numbers that they look at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Literal

from her2path.criteria.call import Call, Deciding
from her2path.criteria.score import Score
from her2path.criteria.words import decimals_apart
from her2path.statistics.heterogeneity import Cluster3Plus, RegionSpread
from her2path.statistics.intervals import Interval

__all__ = [
    "HEIGHT_FACTORS",
    "LOW_SCORES",
    "SEVERITY",
    "Border",
    "Flag",
    "FlagCuts",
    "FlagEvidence",
    "ReviewFlag",
    "Severity",
    "beside",
    "share_above",
    "spoken_score",
]

Severity = Literal["review", "note"]

LOW_SCORES = (Score.ZERO, Score.ULTRALOW, Score.ONE_PLUS)


class ReviewFlag(StrEnum):
    """Reasons to look again."""

    NOT_ASSESSABLE = "not_assessable"
    FEW_CELLS = "few_cells"
    FEW_BLOCKS = "few_blocks"
    INTERVAL_CROSSES_CUT = "interval_crosses_cut"
    SENSITIVE_TO_THRESHOLDS = "sensitive_to_thresholds"
    DOUBLE_READ = "double_read"
    REGIONS_DIFFER = "regions_differ"
    CLUSTER_3PLUS = "cluster_3plus"
    UNUSUAL_PATTERN = "unusual_pattern"
    DECIDED_BY_MATRIX = "decided_by_matrix"
    FEW_INTENSE = "few_intense"
    CYTOPLASMIC_STAINING = "cytoplasmic_staining"
    READERS_DISAGREE = "readers_disagree"
    TUMOR_UNCERTAIN = "tumor_uncertain"
    TUMOR_BY_NUCLEI = "tumor_by_nuclei"
    UNSTAINED_LEFT_OUT = "unstained_left_out"
    BELOW_BLANK = "below_blank"
    SHARED_LINES = "shared_lines"
    HIDDEN_NUCLEI = "hidden_nuclei"
    CONTROL_SUSPECTED = "control_suspected"
    CONTROL_OUT_OF_RANGE = "control_out_of_range"
    NO_CONTROL = "no_control"
    NOT_CALIBRATED = "not_calibrated"
    CALIBRATION_MATTERS = "calibration_matters"
    STAIN_VECTORS = "stain_vectors"
    PALE_COUNTERSTAIN = "pale_counterstain"
    COARSE_SCAN = "coarse_scan"
    OUT_OF_FOCUS = "out_of_focus"
    ARTEFACTS = "artefacts"
    MASK_AREA = "mask_area"
    MPP_BY_HAND = "mpp_by_hand"
    MPP_CONTRADICTED = "mpp_contradicted"
    ANISOTROPIC_PIXELS = "anisotropic_pixels"
    ISH_DISCORDANT = "ish_discordant"


# The one place that says what each flag asks for.
SEVERITY: dict[ReviewFlag, Severity] = {
    ReviewFlag.NOT_ASSESSABLE: "review",
    ReviewFlag.FEW_CELLS: "review",
    # A field is scored for what it shows; what it stands for is for its reader to know.
    ReviewFlag.FEW_BLOCKS: "note",
    ReviewFlag.INTERVAL_CROSSES_CUT: "review",
    ReviewFlag.SENSITIVE_TO_THRESHOLDS: "review",
    ReviewFlag.DOUBLE_READ: "review",
    ReviewFlag.REGIONS_DIFFER: "review",
    ReviewFlag.CLUSTER_3PLUS: "review",
    ReviewFlag.UNUSUAL_PATTERN: "review",
    ReviewFlag.DECIDED_BY_MATRIX: "review",
    ReviewFlag.FEW_INTENSE: "review",
    ReviewFlag.CYTOPLASMIC_STAINING: "review",
    ReviewFlag.READERS_DISAGREE: "review",
    ReviewFlag.TUMOR_UNCERTAIN: "review",
    ReviewFlag.TUMOR_BY_NUCLEI: "review",
    ReviewFlag.UNSTAINED_LEFT_OUT: "review",
    ReviewFlag.BELOW_BLANK: "review",
    ReviewFlag.SHARED_LINES: "review",
    ReviewFlag.HIDDEN_NUCLEI: "review",
    # A control counted as sample, or a sample left out as control, makes the score another's.
    ReviewFlag.CONTROL_SUSPECTED: "review",
    ReviewFlag.CONTROL_OUT_OF_RANGE: "review",
    # Most archives are scanned without their controls: a review of each would hide the rest.
    ReviewFlag.NO_CONTROL: "note",
    # A missing calibration asks for a person only where it could change the score.
    ReviewFlag.NOT_CALIBRATED: "note",
    ReviewFlag.CALIBRATION_MATTERS: "review",
    ReviewFlag.STAIN_VECTORS: "review",
    ReviewFlag.PALE_COUNTERSTAIN: "review",
    ReviewFlag.COARSE_SCAN: "review",
    ReviewFlag.OUT_OF_FOCUS: "review",
    ReviewFlag.ARTEFACTS: "review",
    ReviewFlag.MASK_AREA: "review",
    # Somebody decided it knowingly; it is repeated so that a reader can doubt it.
    ReviewFlag.MPP_BY_HAND: "note",
    ReviewFlag.MPP_CONTRADICTED: "review",
    ReviewFlag.ANISOTROPIC_PIXELS: "note",
    ReviewFlag.ISH_DISCORDANT: "review",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One raised flag: `number` met `cut`, both in `unit`; `sentence` says it in plain English.

    `is_answered` says that a reader who does not go by what is in doubt rules out every other
    score.
    """

    flag: ReviewFlag
    number: float
    cut: float
    unit: str
    sentence: str
    is_answered: bool = False

    @property
    def severity(self) -> Severity:
        """What the flag asks for: a second read, or only to be known."""
        return "note" if self.is_answered else SEVERITY[self.flag]


# How much higher or lower lines may be than they read where nothing is calibrated. Of 53 stained
# slides of 14 drawn laboratories (scripts/accuracy.py) 95 % read within 1.6 of their truth, two
# thirds of a class of intensity; cameras that sharpen hard have doubled heights, a whole class.
LIKELY_HEIGHT_FACTOR = 1.6
HEIGHT_FACTORS = (1 / 2, 1 / LIKELY_HEIGHT_FACTOR, LIKELY_HEIGHT_FACTOR, 2.0)


@dataclass(frozen=True, slots=True)
class Border:
    """A deciding number with the 95 % interval of its share, in percent."""

    deciding: Deciding
    interval_pct: Interval


@dataclass(frozen=True, slots=True)
class FlagCuts:
    """Where flags are raised; the reason of each default stands beside it."""

    # Fewest invasive tumour cells before 0, 0+ and 1+ are told apart (CAP 2025).
    least_cells: int = 100
    # Below so many effective blocks the scatter between places is hardly known (`compare` takes
    # the same number).
    least_blocks: float = 4.0
    # A call that changes in more than one of five small shifts is not stable.
    changed_trials_pct: float = 20.0
    # Two readings of one slide differ by a factor of two at the low end: within it, read twice.
    double_read_factor: float = 2.0
    # Two grades apart is more than readers of one region differ.
    grades_apart: int = 2
    # Intense, complete cells below 2+: one or two may be dirt round a nucleus.
    least_intense_cells: int = 5
    # The share that would decide a score by itself.
    cytoplasmic_pct: float = 10.0
    # Cells of which it is unsure whether they are tumour, when they can change the score: even
    # few may; below 1 % they are noise.
    uncertain_tumor_pct: float = 1.0
    # Where no network read: with a fifth of the candidates near the cut, which cells the share of
    # a low score is of is a guess, whatever it becomes with all of them or with none.
    undecided_tumor_pct: float = 20.0
    # Some cells of stroma have nuclei like those of tumor: fewer say nothing.
    left_out_pct: float = 5.0
    # By which the share stained may be too high for their want.
    left_out_points: float = 8.0
    # Cells below the limit of blank are few among the stained ones; where they are more than a
    # third, the network may see borders that are not stained.
    below_blank_pct: float = 33.0
    # A fifth of the nuclei guessed from their hollow: the count itself is in doubt.
    hidden_nuclei_pct: float = 20.0
    # A 1+ line is 0.64 µm wide: it needs two pixels. Scanners at 40× have 0.22–0.26 µm/px.
    coarse_mpp: float = 0.30
    # 0.8 µm of blur hid six of seven faintly stained cells: more than a tenth of the tissue so
    # blurred changes the denominator of the 10 % rule.
    out_of_focus_pct: float = 10.0
    # Pen, folds, crush and debris: beyond a quarter, what is left may not represent the tumour.
    artefact_pct: float = 25.0
    # Vectors of real sites lie within about 15° of each other; beyond 20° something else is seen.
    stain_angle_deg: float = 20.0
    # Nuclei paler than this in hematoxylin OD are missed in part by the rules. A network also goes
    # by their shape: on drawn slides it finds as many below 0.10 as above; on a real core of 0.03
    # it missed half.
    counterstain_od: float = 0.10
    seen_counterstain_od: float = 0.06
    # Beyond it a missing calibration is only to be known.
    height_factor: float = LIKELY_HEIGHT_FACTOR
    # Less tissue than a fine needle core of 1 mm length and 0.1 mm width.
    least_tissue_mm2: float = 0.1
    # Glass is left on every slide: more tissue than this means that the mask holds background.
    most_tissue_pct: float = 95.0
    # Scanners' x and y differ by far less than 1 %.
    anisotropy: float = 1.01
    # Nor do a file and a person who both know the scanner.
    mpp_ratio: float = 1.02
    # Resolution tags are rounded to whole px per cm or inch, and some scanners fill them with the
    # nominal value.
    tagged_mpp_ratio: float = 1.1
    # µm/px times magnification is near 10 for every scanner; cameras with small pixels go down to
    # 4, none is known above this.
    mpp_times_power: float = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEvidence:
    """Every number that flags look at; None where it was not measured (no flag then).

    Attributes
    ----------
    call : Call
        The call of the slide.
    n_tumor_cells : int
        Invasive tumour cells counted.
    n_effective_blocks : float
        Kish's number of blocks of tissue that hold them.
    borders : tuple of Border
        The shares that separate the call from other scores, with intervals, the nearest first.
    changed_trials_pct : float
        Percent of trials with slightly shifted thresholds in which the call changed.
    regions : RegionSpread
        Scores of the regions.
    cluster : Cluster3Plus
        The largest island of 3+ staining.
    cytoplasmic_pct : float
        Percent of tumour cells whose brown may hide a membrane or be taken for one.
    network_score : Score
        What the network read.
    network_set : tuple of Score
        The scores that it does not rule out at its stated coverage; empty where it states none.
    uncertain_tumor_pct : float
        Percent of the cells that may count of which it is unsure whether they are tumour.
    score_without_uncertain, score_with_uncertain : Score
        Score when all of those are left out, or all counted.
    tumor_parts_at : float
        Probability of tumor, as read, at which the cells of the slide part into two groups.
    score_as_read : Score
        Score when cells count from the usual probability instead of that one.
    stained_pct : float
        Percent of the counted cells.
    by_nuclei_pct, stained_as_recognized_pct : float
        Percent of the counted cells that count for their nuclei alone, and of the others that are
        stained; None where there are none of the former.
    score_as_recognized : Score
        Without them.
    left_out_pct, stained_with_left_out_pct : float
        Percent that unstained cells like the counted ones make of both together, and of both that
        are stained.
    score_with_left_out : Score
        With them.
    below_blank_pct : float
        Percent of the stained tumour cells whose lines lie below the limit of blank, and count
        because the network sees the membrane.
    score_without_below : Score
        Score when these do not count as stained.
    stained_alone_pct : float
        Percent of the tumour cells that are stained even if each line belongs to one cell only.
    score_alone : Score
        Score when no others are.
    hidden_nuclei_pct : float
        Percent of nuclei seen only as a hollow in brown.
    n_suspected_cells : int
        Tumour cells in separate pieces that look like control tissue.
    is_suspect_excluded : bool
        Whether these were left out.
    score_other_way : Score
        Score if they were counted when they were left out, or left out when they were counted.
    has_control : bool
        Whether on-slide or batch control tissue was measured.
    control_od, control_od_range : float, Interval
        Membrane OD of the control, and where it should lie.
    is_calibrated : bool
        Whether intensity cuts come from controls of this site.
    scores_by_height : mapping of float to Score
        Score when every line is so many times as high as it reads (`HEIGHT_FACTORS`).
    stain_angle_deg : float
        Largest angle of a stain vector to its reference, degrees.
    nuclear_hematoxylin_od : float
        Median hematoxylin OD of nuclei.
    are_nuclei_seen : bool
        A network found the nuclei.
    mpp, anisotropy : float
        µm/px of level 0; longer over shorter side of a pixel.
    is_mpp_by_hand : bool
        µm/px was given by the user.
    stated_mpp : float
        What the file itself says where a value was given, else what its resolution tags say
        beside its metadata.
    objective_power : float
        Nominal magnification that the file states, where nobody gave µm/px.
    out_of_focus_pct, artefact_pct : float
        Percent of the tissue.
    tissue_mm2, tissue_pct : float
        Area of the tissue mask, and its share of the scanned area (None for a plain field, which
        tissue may fill).
    ish_comment : str
        Why score and ISH do not go together, '' when they do.
    """

    call: Call
    n_tumor_cells: int
    n_effective_blocks: float | None = None
    borders: tuple[Border, ...] = ()
    changed_trials_pct: float | None = None
    regions: RegionSpread | None = None
    cluster: Cluster3Plus | None = None
    cytoplasmic_pct: float | None = None
    network_score: Score | None = None
    network_set: tuple[Score, ...] = ()
    uncertain_tumor_pct: float | None = None
    score_without_uncertain: Score | None = None
    score_with_uncertain: Score | None = None
    tumor_parts_at: float = 0.5
    score_as_read: Score | None = None
    stained_pct: float | None = None
    by_nuclei_pct: float | None = None
    stained_as_recognized_pct: float | None = None
    score_as_recognized: Score | None = None
    left_out_pct: float | None = None
    stained_with_left_out_pct: float | None = None
    score_with_left_out: Score | None = None
    below_blank_pct: float | None = None
    score_without_below: Score | None = None
    stained_alone_pct: float | None = None
    score_alone: Score | None = None
    hidden_nuclei_pct: float | None = None
    n_suspected_cells: int = 0
    is_suspect_excluded: bool = False
    score_other_way: Score | None = None
    has_control: bool | None = None
    control_od: float | None = None
    control_od_range: Interval | None = None
    is_calibrated: bool | None = None
    scores_by_height: Mapping[float, Score] = field(default_factory=dict)
    stain_angle_deg: float | None = None
    nuclear_hematoxylin_od: float | None = None
    are_nuclei_seen: bool = False
    mpp: float | None = None
    anisotropy: float | None = None
    is_mpp_by_hand: bool = False
    stated_mpp: float | None = None
    objective_power: float | None = None
    out_of_focus_pct: float | None = None
    artefact_pct: float | None = None
    tissue_mm2: float | None = None
    tissue_pct: float | None = None
    ish_comment: str = ""

    @property
    def is_confirmed(self) -> bool:
        """Whether the network, which knows no cut-off, rules out every score but the call's."""
        return self.network_set == (self.call.score,)

    def __post_init__(self) -> None:
        # A NaN compares as no flag: it would hide what it stands for.
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(
                    f"{known.name} is {value}: give a number, or None where it was not measured"
                )


def beside(value: float, cut: float, *, least: int) -> str:
    """Write a number with as many decimals, at least `least`, as show that it is not its cut."""
    return f"{value:.{decimals_apart(value, cut, least=least)}f}"


def spoken_score(score: Score | None) -> str:
    """Say a score as a sentence does, not by its code."""
    return "not assessable" if score is Score.NOT_ASSESSABLE else str(score)


def share_above(flag: ReviewFlag, pct: float | None, cut: float, what: str) -> Iterator[Flag]:
    """Raise a flag where a percentage is known and lies above its cut."""
    if pct is not None and pct > cut:
        number = beside(pct, cut, least=1)
        yield Flag(flag, pct, cut, "%", f"{number} % {what} (more than {cut:g} %).")
