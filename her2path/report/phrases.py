"""Words for codes: what each flag, exclusion, remark and measure is called in a report."""

from __future__ import annotations

from collections.abc import Sequence

from her2path.criteria.criterion import Criterion
from her2path.criteria.score import Extent, Intensity, IshResult
from her2path.flags.evidence import ReviewFlag
from her2path.report.interest import FieldKind
from her2path.report.wording import SCORE_WORDS, percent, spoken_list
from her2path.results.columns import Exclusion
from her2path.results.record import Trial
from her2path.results.review_log import EntryKind, ReviewEntry

__all__ = [
    "EXCLUSION_WORDS",
    "FIELD_TITLES",
    "FLAGS_WITHOUT_CUT",
    "FLAGS_WITHOUT_NUMBER",
    "FLAG_ADVICE",
    "FLAG_TITLES",
    "ISH_WORDS",
    "MEASURE_WORDS",
    "TRIAL_WORDS",
    "artefact_words",
    "code_words",
    "entry_words",
    "intensity_words",
    "read_by_words",
    "share_words",
    "shift_words",
]

FLAG_TITLES: dict[ReviewFlag, str] = {
    ReviewFlag.NOT_ASSESSABLE: "Not assessable",
    ReviewFlag.FEW_CELLS: "Few tumour cells",
    ReviewFlag.FEW_BLOCKS: "Little tissue",
    ReviewFlag.INTERVAL_CROSSES_CUT: "Interval includes the cut",
    ReviewFlag.SENSITIVE_TO_THRESHOLDS: "Not stable under small shifts",
    ReviewFlag.DOUBLE_READ: "Two readers needed",
    ReviewFlag.REGIONS_DIFFER: "Regions differ",
    ReviewFlag.CLUSTER_3PLUS: "Distinct 3+ cluster",
    ReviewFlag.UNUSUAL_PATTERN: "Unusual pattern",
    ReviewFlag.DECIDED_BY_MATRIX: "Not covered by the guideline's wording",
    ReviewFlag.FEW_INTENSE: "Few intense cells",
    ReviewFlag.CYTOPLASMIC_STAINING: "Cytoplasmic staining",
    ReviewFlag.READERS_DISAGREE: "Rules and network disagree",
    ReviewFlag.TUMOR_UNCERTAIN: "Tumour cells uncertain",
    ReviewFlag.TUMOR_BY_NUCLEI: "Most tumour told by its nuclei",
    ReviewFlag.UNSTAINED_LEFT_OUT: "Unstained tumour may be left out",
    ReviewFlag.BELOW_BLANK: "Staining below the limit of blank",
    ReviewFlag.SHARED_LINES: "Lines between two cells",
    ReviewFlag.HIDDEN_NUCLEI: "Nuclei hidden under brown",
    ReviewFlag.CONTROL_SUSPECTED: "Control tissue suspected",
    ReviewFlag.CONTROL_OUT_OF_RANGE: "Control out of range",
    ReviewFlag.NO_CONTROL: "No control measured",
    ReviewFlag.NOT_CALIBRATED: "Intensity not calibrated",
    ReviewFlag.CALIBRATION_MATTERS: "Calibration could change the score",
    ReviewFlag.STAIN_VECTORS: "Unusual stain colours",
    ReviewFlag.PALE_COUNTERSTAIN: "Pale counterstain",
    ReviewFlag.COARSE_SCAN: "Scan too coarse",
    ReviewFlag.OUT_OF_FOCUS: "Out of focus",
    ReviewFlag.ARTEFACTS: "Artefacts",
    ReviewFlag.MASK_AREA: "Unlikely tissue area",
    ReviewFlag.MPP_BY_HAND: "Pixel size given by hand",
    ReviewFlag.MPP_CONTRADICTED: "Pixel size contradicts the file",
    ReviewFlag.ANISOTROPIC_PIXELS: "Pixels not square",
    ReviewFlag.ISH_DISCORDANT: "ISH and score disagree",
}

# What to do about each; docs/results.md has the same words.
FLAG_ADVICE: dict[ReviewFlag, str] = {
    ReviewFlag.NOT_ASSESSABLE: "Scan the slide again, or draw where the tumour is (--roi).",
    ReviewFlag.FEW_CELLS: "Score more tissue of the case.",
    ReviewFlag.FEW_BLOCKS: "Take the intervals for those of this picture only.",
    ReviewFlag.INTERVAL_CROSSES_CUT: "Read the case; count in the fields shown.",
    ReviewFlag.SENSITIVE_TO_THRESHOLDS: "Read the case; calibrate.",
    ReviewFlag.DOUBLE_READ: "Have two readers look at 40×.",
    ReviewFlag.REGIONS_DIFFER: "Report the highest zone and its share; of an array, each core.",
    ReviewFlag.CLUSTER_3PLUS: "Look at the group; another block or ISH there.",
    ReviewFlag.UNUSUAL_PATTERN: "Look at the pattern; ISH.",
    ReviewFlag.DECIDED_BY_MATRIX: "Decide by the practice of your laboratory.",
    ReviewFlag.FEW_INTENSE: "Look at these cells: where they are tumour, 2+ and ISH.",
    ReviewFlag.CYTOPLASMIC_STAINING: "Look at membranes at 40×; the guideline allows 2+ and ISH.",
    ReviewFlag.READERS_DISAGREE: "Compare the fields with what you see; a person decides.",
    ReviewFlag.TUMOR_UNCERTAIN: "Draw the invasive tumour (--roi).",
    ReviewFlag.TUMOR_BY_NUCLEI: "Look whether the cells that count are tumour; draw it (--roi).",
    ReviewFlag.UNSTAINED_LEFT_OUT: "Look whether unstained tumour was missed; draw it (--roi).",
    ReviewFlag.BELOW_BLANK: "Look at the doubtful cells at 40×.",
    ReviewFlag.SHARED_LINES: "Decide at 40× whether both cells beside a line are stained.",
    ReviewFlag.HIDDEN_NUCLEI: "Take counts, not the score, for uncertain.",
    ReviewFlag.CONTROL_SUSPECTED: "Draw it as Control, or leave it out (--exclude-controls).",
    ReviewFlag.CONTROL_OUT_OF_RANGE: "Stain again.",
    ReviewFlag.NO_CONTROL: "Know that a failed stain looks like 0.",
    ReviewFlag.NOT_CALIBRATED: "Calibrate with controls of your site (her2path calibrate).",
    ReviewFlag.CALIBRATION_MATTERS: "Calibrate; until then read the case.",
    ReviewFlag.STAIN_VECTORS: "Look whether the stain is H-DAB; calibrate.",
    ReviewFlag.PALE_COUNTERSTAIN: "Look whether nuclei were missed.",
    ReviewFlag.COARSE_SCAN: "Scan at 40×.",
    ReviewFlag.OUT_OF_FOCUS: "Scan again.",
    ReviewFlag.ARTEFACTS: "Draw them as Ignore, or take another section.",
    ReviewFlag.MASK_AREA: "Look at the outline of tissue on the map.",
    ReviewFlag.MPP_BY_HAND: "Check it.",
    ReviewFlag.MPP_CONTRADICTED: "Give the right one (--mpp).",
    ReviewFlag.ANISOTROPIC_PIXELS: "Know that lengths are means.",
    ReviewFlag.ISH_DISCORDANT: "Repeat one of them, as the guideline says.",
}

# What they say is yes or no: a count of 0 or 1 beside it would only look like a measurement.
FLAGS_WITHOUT_NUMBER = frozenset(
    {ReviewFlag.NO_CONTROL, ReviewFlag.NOT_CALIBRATED, ReviewFlag.ISH_DISCORDANT}
)
# Raised by what was found or given, not by how much of it.
FLAGS_WITHOUT_CUT = FLAGS_WITHOUT_NUMBER | {ReviewFlag.MPP_BY_HAND, ReviewFlag.CONTROL_SUSPECTED}

EXCLUSION_WORDS: dict[Exclusion, str] = {
    Exclusion.NOT_TUMOR: "Not invasive tumour (stroma, inflammation and others)",
    Exclusion.OUTSIDE_ROI: "Outside the regions drawn by a person",
    Exclusion.IGNORED_ROI: "In a region marked to be ignored",
    Exclusion.CONTROL: "In control tissue",
    Exclusion.ARTEFACT: "On an artefact (pen, fold, dirt, bubble, edge)",
    Exclusion.NOT_TISSUE: "Outside the tissue found",
    Exclusion.NOT_MEASURABLE: "Membrane not measurable",
    Exclusion.NO_NUCLEUS: "No nucleus to be seen",
    Exclusion.FRAGMENT: "Fragment of a nucleus, far smaller than usual",
    Exclusion.PIGMENT: "Brown over the nucleus and no membrane to be seen (pigment, granules)",
}

ISH_WORDS: dict[IshResult, str] = {
    IshResult.AMPLIFIED: "amplified",
    IshResult.NOT_AMPLIFIED: "not amplified",
    IshResult.GROUP_1: "dual probe, group 1",
    IshResult.GROUP_2: "dual probe, group 2",
    IshResult.GROUP_3: "dual probe, group 3",
    IshResult.GROUP_4: "dual probe, group 4",
    IshResult.GROUP_5: "dual probe, group 5",
}

MEASURE_WORDS: dict[str, str] = {
    "membrane_od": "Membrane, stained cells",
    "membrane_contrast_od": "Line contrast, stained cells",
    "membrane_width_um": "Line width, stained cells",
    "cytoplasm_od": "Cytoplasm, tumour cells",
}

# What a trial of stability shifts, and the unit of a shift that is no factor.
TRIAL_WORDS: dict[str, tuple[str, str]] = {
    "line limit": ("Line limit", ""),
    "intensity cuts": ("Intensity cuts", ""),
    "complete from": ("Complete from", "of outline"),
    "basolateral from": ("Basolateral from", "of outline"),
    "least stained arc": ("Least stained arc", ""),
    "tumor from": ("Tumour from", "in probability"),
    "all of stain": ("All of the stain", ""),
}

FIELD_TITLES: dict[FieldKind, tuple[str, str]] = {
    FieldKind.DECIDING: (
        "Deciding cells",
        "thick outlines and a white dot mark them.",
    ),
    FieldKind.DOUBTFUL: (
        "Doubtful cells",
        "Close to a cut-off that bears on the score; thick outlines and a white dot mark them. "
        "Look here first when you doubt the score.",
    ),
    FieldKind.TYPICAL: (
        "Typical cells",
        "Near the middle of the most frequent class.",
    ),
}

# Abbreviations keep their capitals when a code becomes words.
ABBREVIATIONS = {
    "her2": "HER2",
    "ihc": "IHC",
    "dab": "DAB",
    "he": "H&E",
    "od": "OD",
    "roi": "ROI",
    "ish": "ISH",
    "tiff": "TIFF",
    "jpeg": "JPEG",
}


def entry_words(entry: ReviewEntry) -> str:
    """Say what a reader did: 'read blinded, in doubt', 'confirmed', 'overrode 1+'."""
    if entry.kind is EntryKind.DECISION:
        return f"overrode {SCORE_WORDS[entry.program_score]}" if entry.is_override else "confirmed"
    parts = ["read blinded" if entry.is_blinded else "read"]
    if not entry.is_sure:
        parts.append("in doubt")
    if entry.pct_stained is not None:
        parts.append(f"{percent(entry.pct_stained)} stained")
    return ", ".join(parts)


def read_by_words(
    *, rule_sets: Sequence[str], calibrations: Sequence[str], models: Sequence[str]
) -> tuple[str, ...]:
    """Say by what slides were read: 'criteria A', 'calibrations B and C', 'no network'."""
    found = [f"criteria {spoken_list(rule_sets)}"] if rule_sets else []
    for what, names in (("calibration", calibrations), ("network", models)):
        if names:
            found.append(f"{what}{'s' * (len(names) != 1)} {spoken_list(names)}")
    return tuple("no network" if words == "network none" else words for words in found)


def code_words(code: str) -> str:
    """Turn a code of the results into words: 'not_her2_ihc' is 'not HER2 IHC'."""
    return " ".join(ABBREVIATIONS.get(part, part) for part in code.split("_"))


def artefact_words(code: str) -> str:
    """Say what spoils tissue; the band along its edge is no artefact by itself."""
    return "band along the edge (counted all the same)" if code == "edge" else code_words(code)


def shift_words(trial: Trial) -> str:
    """Write by how much a trial shifts its cut-off, with the unit: '−0.07 of outline'."""
    _, unit = TRIAL_WORDS.get(trial.name, ("", ""))
    return f"{trial.shift.replace('-', '−')} {unit}".rstrip()


def share_words(criterion: Criterion) -> str:
    """Say which cells a row of the criteria counts: 'moderate or stronger, complete staining'."""
    words = intensity_words(criterion)
    if criterion.cluster_cells is not None:
        return f"Largest cluster with {words} staining"
    if criterion.extent is Extent.COMPLETE:
        words += ", complete"
    elif criterion.extent is Extent.BASOLATERAL:
        words += ", basolateral or complete"
    return f"Tumour cells with {words} staining"


def intensity_words(criterion: Criterion) -> str:
    """Say from where on staining counts for a row: 'any', 'weak or stronger', 'intense'."""
    if criterion.intensity is Intensity.FAINT:
        return "any"
    label = criterion.intensity.label
    return label if criterion.intensity is Intensity.INTENSE else f"{label} or stronger"
