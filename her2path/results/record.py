"""slide.json: everything that is known of one scored slide, with where it comes from.

The values of a record are the values of the rooms that made them (a call is a `Call`, a flag a
`Flag`), so that a report or a comparison needs no second reading of the same fact.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from her2path.cells.calibration import Calibration
from her2path.criteria.call import Call
from her2path.criteria.clusters import Clusters
from her2path.criteria.score import IshResult, Organ, Score, Specimen, Status
from her2path.criteria.tally import Tally
from her2path.errors import ResultsError
from her2path.flags.evidence import Flag
from her2path.geometry import Location, Region
from her2path.results.columns import Exclusion
from her2path.results.decoding import from_json
from her2path.results.folder import SlideFolder
from her2path.results.jsonable import read_json, write_json
from her2path.statistics.heterogeneity import Cluster3Plus, RegionSpread
from her2path.statistics.intervals import Interval
from her2path.statistics.readers import JointReading

__all__ = [
    "RESEARCH_USE",
    "BlankFacts",
    "CellSelection",
    "ControlFacts",
    "Estimate",
    "FocusFacts",
    "Heterogeneity",
    "NetworkFacts",
    "Reading",
    "RegionKind",
    "RegionRecord",
    "ScanFacts",
    "SharedLines",
    "SlideRecord",
    "Stability",
    "StainFacts",
    "TissueFacts",
    "Trial",
    "read_record",
    "read_records",
    "write_record",
]

logger = logging.getLogger(__name__)

RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."
FORMAT = 1

Rings = tuple[tuple[tuple[float, float], ...], ...]


class RegionKind(StrEnum):
    """What made a region."""

    GRID = "grid"
    ROI = "roi"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFacts:
    """What was understood of the file.

    `mpp_x`, `mpp_y` are of level 0; `working_mpp` is what cells were measured at, None when none
    were; `stated_mpp` is what the file says where a person gave a value, else what its
    resolution tags say beside its metadata. `has_icc` is whether the file holds a color profile,
    `is_srgb` whether that was applied before anything was measured. `bounds` is the corner that
    some viewers crop the slide to. `sha256_ends` is of the file's first and last MiB
    (`describe_input`), by which it is known again. Text comes from the file: escape it wherever
    it is shown.
    """

    backend: str
    vendor: str
    scanner: str
    width: int
    height: int
    level_count: int
    mpp_x: float
    mpp_y: float
    mpp_source: str
    objective_power: float | None
    compression: str
    has_icc: bool
    working_mpp: float | None
    is_srgb: bool = False
    problems: tuple[str, ...] = ()
    stated_mpp: float | None = None
    bounds: Location = field(default=Location(0, 0))
    sha256_ends: str = ""


@dataclass(frozen=True, slots=True)
class ControlFacts:
    """Control tissue: drawn by a person ("drawn"), or a separate piece that looks like it."""

    source: str
    name: str
    box: Region
    area_mm2: float
    is_excluded: bool


@dataclass(frozen=True, slots=True)
class FocusFacts:
    """Blur of fields on tissue, µm; None where nothing could be judged.

    `n_fields` are the parts that were judged: quarters of fields of 350 µm.
    """

    median_blur_um: float | None
    blurred_pct: float | None
    n_fields: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueFacts:
    """What is tissue and whether it is worth scoring; areas in mm², shares 0–1."""

    is_assessable: bool
    reason: str
    explanation: str
    area_mm2: float
    tissue_frac: float
    artefact_frac: Mapping[str, float]
    staining: str
    staining_reason: str
    staining_numbers: Mapping[str, float]
    focus: FocusFacts
    remarks: tuple[str, ...] = ()
    controls: tuple[ControlFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StainFacts:
    """What turned light into stain: OD is log10(I0 / I) with these values.

    `counterstain_contrast_od` and `counterstain_h_od` are of typical nuclei on a first look,
    `nuclear_hematoxylin_od` is the median of all cells, tumor or not, whose nuclei are seen by
    their blue.
    """

    white_point: tuple[float, float, float]
    white_point_source: str
    hematoxylin: tuple[float, float, float]
    dab: tuple[float, float, float]
    angle_to_reference_deg: tuple[float, float]
    counterstain_contrast_od: float
    counterstain_h_od: float
    nuclear_hematoxylin_od: float | None = None
    log_base: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BlankFacts:
    """What looks stained where there is no HER2.

    `stained_pct` of `n_reference` cells of this slide that are surely no tumor look stained; None
    when there were too few. `upper_pct` is the bound in use: no share up to it is staining.
    `below_pct` of the stained tumor cells have lines below the limit of blank, and count because a
    network sees the membrane; `score_without_below` is the score when these do not. `line_even` is
    the probability of a membrane, as a network says it, that counts as even odds on this slide.
    """

    source: str
    min_line_contrast_od: float
    n_reference: int
    stained_pct: float | None
    upper_pct: float
    below_pct: float | None = None
    score_without_below: Score | None = None
    line_even: float = 0.5


@dataclass(frozen=True, slots=True)
class SharedLines:
    """What is left if each stained line belongs to one cell only, not to both that it parts.

    `pct_stained` of the tumor cells stay stained, and the score is then `score`.
    """

    pct_stained: float
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSelection:
    """Which cells count, and what became of the others.

    `uncertain_pct` of the candidates lie within `uncertain_margin` of the cut in probability; the
    scores without and with them stand beside it. `parts_at` is the probability, as read, at which
    the slide's cells part in two and which counts as even odds; `score_as_read` has 0.5 in its
    place. `by_nuclei_pct` of the cells count for their nuclei alone (None: nobody); stained share
    and score of the others stand beside it. `left_out_pct` of the cells that count, and of
    unstained ones left out whose nuclei are alike, are the latter; share and score with them too.
    """

    method: str
    cut: float
    cut_in_roi: float
    n_cells: int
    excluded: Mapping[Exclusion, int]
    uncertain_margin: float
    uncertain_pct: float | None = None
    score_without_uncertain: Score | None = None
    score_with_uncertain: Score | None = None
    parts_at: float = 0.5
    score_as_read: Score | None = None
    by_nuclei_pct: float | None = None
    stained_as_recognized_pct: float | None = None
    score_as_recognized: Score | None = None
    left_out_pct: float | None = None
    stained_with_left_out_pct: float | None = None
    score_with_left_out: Score | None = None
    cytoplasmic_pct: float | None = None
    hidden_nuclei_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval from blocks of tissue; `unit` as in the tables."""

    value: float
    interval: Interval
    n_cells: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was counted, over the slide or a region.

    Attributes
    ----------
    tally : Tally
        Cells by intensity and extent.
    shares : mapping of str to float
        `pct_none … pct_intense, pct_complete, pct_stained` in percent and `h_score` (0–300).
    intervals : mapping of str to Interval
        95 % interval of each share.
    probabilities : mapping of Score to float
        Of each score; all 0 without a cell.
    n_blocks : int
        Blocks of tissue that the intervals rest on.
    measures : mapping of str to Estimate
        `membrane_od`, `membrane_contrast_od`, `membrane_width_um` of stained tumor cells and
        `cytoplasm_od` of all tumor cells; only what was measured.
    """

    tally: Tally
    shares: Mapping[str, float]
    intervals: Mapping[str, Interval]
    probabilities: Mapping[Score, float]
    n_blocks: int
    measures: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def n_tumor_cells(self) -> int:
        """Invasive tumor cells counted: the denominator of every share."""
        return self.tally.n_cells


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What the network, the second reader, said of the slide.

    Attributes
    ----------
    name, fingerprint, runs : str
        Which network, and what computed it, since answers differ a little; empty in older results.
    n_expected_cells : float
        Tumor cells that it expects where tumor counts.
    joint : JointReading
        Its score and probabilities beside those of the rules, and both together.
    """

    name: str
    fingerprint: str
    n_expected_cells: float
    joint: JointReading
    runs: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One shift of the cut-offs, in words, and what it gave."""

    name: str
    shift: str
    score: Score
    pct_stained: float
    pct_complete: float


@dataclass(frozen=True, slots=True)
class Stability:
    """The score under small shifts of the cut-offs."""

    trials: tuple[Trial, ...]
    changed_pct: float


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Scores of regions, the largest island of 3+, and the largest clusters where rules ask."""

    regions: RegionSpread | None = None
    cluster: Cluster3Plus | None = None
    clusters: Clusters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRecord:
    """One region: a square of the grid, an outline drawn by a person, or control tissue.

    `box` is in level-0 px; `outline` holds polygons of rings of (x, y), the first ring outside,
    the others holes, and is empty for a square. `network_score` is what the network read, None
    without a network or without a tumor cell that it expects. `is_core` is of a microarray: an
    outline that does not say that all of it is tumor.
    """

    region_id: str
    kind: RegionKind
    name: str
    box: Region
    area_mm2: float
    n_cells: int
    score: Score
    reading: Reading
    outline: tuple[Rings, ...] = ()
    network_score: Score | None = None
    is_core: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecord:
    """slide.json.

    A slide that is *not assessable* has no `call` or one without a score, and counts of zero.
    `extras` are the manifest's own columns.
    """

    slide_id: str
    path: str
    software_version: str
    created: str
    settings_hash: str
    scan: ScanFacts
    tissue: TissueFacts
    stain: StainFacts
    calibration: Calibration
    rule_set: str
    edition: str
    organ: Organ
    score: Score
    status: Status
    status_comment: str
    call: Call | None
    ish: IshResult | None
    blank: BlankFacts
    selection: CellSelection
    reading: Reading
    stability: Stability
    heterogeneity: Heterogeneity
    flags: tuple[Flag, ...]
    review: bool
    regions: tuple[RegionRecord, ...]
    timings: Mapping[str, float]
    remarks: tuple[str, ...] = ()
    specimen: Specimen | None = None
    patient_id: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)
    model: str = "none"
    network: NetworkFacts | None = None
    shared_lines: SharedLines | None = None
    research_use: str = RESEARCH_USE
    format: int = FORMAT

    @property
    def probabilities(self) -> Mapping[Score, float]:
        """Of each score, by both readers where a network has read, else by the rules.

        A network has learned the criteria of the breast and says nothing about others.
        """
        if self.network is None or self.organ is not Organ.BREAST:
            return self.reading.probabilities
        return self.network.joint.probabilities

    @property
    def review_reasons(self) -> tuple[str, ...]:
        """Names of the flags that ask for a second read, each once, in their order."""
        return tuple(dict.fromkeys(f.flag.value for f in self.flags if f.severity == "review"))

    @property
    def seconds(self) -> float:
        """Time taken by all stages."""
        return sum(self.timings.values())


def write_record(path: Path, record: SlideRecord) -> None:
    """Write slide.json, atomically; each region takes one line.

    Raises
    ------
    ResultsError
        If it cannot be written, or is too large to be read again.
    """
    write_json(path, record, many="regions")


def read_records(folders: Iterable[SlideFolder], *, lost: list[str]) -> Iterator[SlideRecord]:
    """Yield the records of slides that were scored, each read when it is asked for.

    A record of a large slide takes megabytes, and a run may have thousands. One that was deleted or
    damaged must not cost the others theirs: a warning says why, its name is added to `lost`.
    """
    for folder in folders:
        try:
            yield read_record(folder.slide_json)
        except ResultsError as error:
            logger.warning("the results of %s are left out: %s", folder.path.name, error)
            lost.append(folder.path.name)


def read_record(path: Path) -> SlideRecord:
    """Read slide.json.

    Raises
    ------
    ResultsError
        If it cannot be read, is of another format, or does not fit; all faults at once.
    """
    document = read_json(path)
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise ResultsError(
            f"{path} has the format {found!r:.20} instead of {FORMAT}; score the slide again"
        )
    return from_json(SlideRecord, document, where=str(path))
