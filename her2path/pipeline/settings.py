"""What a run depends on: one frozen value for all slides, and one for each slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from her2path.bounded import read_bounded_text
from her2path.cells.calibration import Calibration, generic_calibration, parse_calibration
from her2path.criteria.ish import check_ish
from her2path.criteria.rule_set import DEFAULT_CRITERIA, RuleSet, load_rule_set, rule_set_names
from her2path.criteria.score import IshResult, Specimen
from her2path.errors import CalibrationError, CriteriaError
from her2path.geometry import Location
from her2path.pipeline.network import NetworkUse
from her2path.results.geojson import Origin
from her2path.results.journal import Fingerprint, fingerprint_of
from her2path.results.run_record import settings_hash, software_version
from her2path.slides.color import Icc
from her2path.slides.companions import companions
from her2path.stain.od import WhitePoint

__all__ = [
    "DEFAULT_CRITERIA",
    "CellsGeojson",
    "ScoreSettings",
    "SlideJob",
    "check_specimen",
    "find_calibration",
    "find_rule_set",
    "fingerprint_of_job",
]

# `gastric` alone leaves open what the specimen decides.
GASTRIC = {
    Specimen.RESECTION: "gastric-resection",
    Specimen.BIOPSY: "gastric-biopsy",
}
# A rule set or calibration is a few kB of text.
MAX_FILE_BYTES = 1_000_000


class CellsGeojson(StrEnum):
    """Which cells are written for QuPath."""

    NONE = "none"
    CHOSEN = "chosen"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """Everything that a score depends on beside the slide; hashed and stored with each result.

    Attributes
    ----------
    exclude_controls : bool
        Leave out separate pieces that look like control tissue; else they are only reported.
    region_um : float
        Side of the squares that are scored by themselves.
    tile_um : float
        Wanted side of the tiles that are measured in one go; changes no result.
    seed, n_resamples : int
        Of the resampling of blocks.
    tumor_cut, tumor_cut_in_roi : float
        Probability from which a cell counts as tumor, and inside a drawn tumor outline.
    uncertain_margin : float
        Cells within this of the cut may or may not be tumor.
    cells_geojson : CellsGeojson
        Which cells are written for QuPath; chosen are stained tumor cells and those
        that may or may not be tumor.
    geojson_origin : Origin
        Where the GeoJSON files count from.
    network : NetworkUse, optional
        The network that finds nuclei and tumor, and reads beside the rules.
    software : str
        Version that measures: another may give another result.
    """

    exclude_controls: bool = False
    # A field at 20×; some hundred tumor cells, as many as a reader asks for.
    region_um: float = 500.0
    # About 3072 px at 40×; its halo adds a quarter to the work, that of smaller tiles more.
    tile_um: float = 768.0
    seed: int = 0
    n_resamples: int = 1000
    tumor_cut: float = 0.5
    # A person has said that it is tumor: what is left to tell apart is stroma between the nests.
    tumor_cut_in_roi: float = 0.35
    uncertain_margin: float = 0.15
    cells_geojson: CellsGeojson = CellsGeojson.NONE
    geojson_origin: Origin = Origin.LEVEL0
    network: NetworkUse | None = None
    software: str = field(default_factory=software_version)

    @property
    def model(self) -> str:
        """Name of the network; `none` without one."""
        return "none" if self.network is None else self.network.name

    @property
    def identity(self) -> ScoreSettings:
        """The settings without where the network lies and runs: a run may go on elsewhere."""
        if self.network is None:
            return self
        return replace(self, network=replace(self.network, folder=Path(), device=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideJob:
    """One slide to score, with what holds for it alone.

    `patient_id` is None where nobody says who it is of, and empty where a manifest says so.
    `extras` are columns of a manifest that mean nothing to her2path; they go into slides.csv.

    Raises
    ------
    CriteriaError
        If the criteria do not know such a result of ISH.
    """

    slide_id: str
    path: Path
    rule_set: RuleSet
    calibration: Calibration
    mpp: float | None = None
    roi: Path | None = None
    roi_offset: Location = field(default=Location(0, 0))
    white_point: WhitePoint | None = None
    ish: IshResult | None = None
    specimen: Specimen | None = None
    icc: Icc = Icc.OFF
    patient_id: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Refused before hours of measuring: a result of ISH that these criteria do not know.
        check_ish(self.ish, self.rule_set.organ)

    @property
    def unlabelled(self) -> SlideJob:
        """The job without what stands beside a result and changes none: patient, own columns."""
        return replace(self, patient_id="", extras={})


def fingerprint_of_job(job: SlideJob, settings: ScoreSettings) -> Fingerprint:
    """Return what tells whether a result of this slide still holds.

    Raises
    ------
    ResultsError
        If the slide or its outlines cannot be looked at.
    """
    roi = None if job.roi is None else fingerprint_of(job.roi, settings_hash="")
    return fingerprint_of(
        job.path,
        settings_hash=settings_hash([settings.identity, job.unlabelled, roi]),
        beside=companions(job.path),
    )


def find_rule_set(name: str, *, specimen: Specimen | None = None) -> RuleSet:
    """Return a rule set of the package by name, or one from a TOML file.

    Parameters
    ----------
    name : str
        A name, `gastric` (the specimen decides which), or the path of a TOML file.
    specimen : Specimen, optional

    Raises
    ------
    CriteriaError
        If there is no such rule set, or it is not the one of the specimen.
    """
    if name == "gastric":
        if specimen is None:
            raise CriteriaError(
                "the gastric criteria depend on the specimen: name gastric-resection or "
                "gastric-biopsy (score also takes --specimen)"
            )
        name = GASTRIC[specimen]
    path = Path(name)
    if name in rule_set_names() or path.suffix.lower() != ".toml":
        found = load_rule_set(name)
    else:
        found = RuleSet.parse(read_small(path, CriteriaError))
        # Results keep the name alone, and are read again by the rule set of that name.
        if found.name in rule_set_names() and found != load_rule_set(found.name):
            raise CriteriaError(
                f"{path} calls itself {found.name}, but its rows are not those of the rule set of "
                "that name that comes with her2path; give yours a name and an edition of its own"
            )
    check_specimen(found, specimen)
    return found


def check_specimen(rule_set: RuleSet, specimen: Specimen | None) -> None:
    """Refuse gastric criteria that are not those of the specimen.

    Raises
    ------
    CriteriaError
        If they contradict each other.
    """
    wanted = GASTRIC.get(specimen) if specimen is not None else None
    if wanted is not None and rule_set.name in GASTRIC.values() and rule_set.name != wanted:
        raise CriteriaError(
            f"the specimen is a {specimen} but {rule_set.name} was asked for; use {wanted}"
        )


def find_calibration(path: Path | None) -> Calibration:
    """Return the calibration in a file, or without one that of the package.

    Raises
    ------
    CalibrationError
        If the file cannot be read or is no calibration.
    StainError
        If its stain vectors are implausible.
    """
    if path is None:
        return generic_calibration()
    return parse_calibration(read_small(path, CalibrationError), where=str(path))


def read_small(path: Path, kind: type[CriteriaError] | type[CalibrationError]) -> str:
    try:
        return read_bounded_text(path, MAX_FILE_BYTES)
    except OSError as error:
        raise kind(
            f"{path} cannot be read ({error.strerror or error}); is it the right file?"
        ) from error
