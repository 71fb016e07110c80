"""What a checkpoint folder says of itself: `model.json`, and the hashes of the files beside it."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from her2path.bounded import FileTooLargeError, read_bounded
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.errors import ModelError, list_faults
from her2path.results.atomic import PREFIX
from her2path.results.jsonable import canonical_json

__all__ = [
    "CARD_FILE",
    "DESCRIPTION_FILE",
    "MAX_DESCRIPTION_BYTES",
    "MAX_FILE_BYTES",
    "N_CUTS",
    "ONNX_FILE",
    "SHIFTED_PLANES",
    "WEIGHTS_FILE",
    "Architecture",
    "CodeVersion",
    "FileDigest",
    "ModelCalibration",
    "ModelDescription",
    "Normalisation",
    "Parameter",
    "TrainingData",
    "described",
    "read_description",
    "read_part",
    "read_verified",
    "strangers_in",
    "verify_folder",
]

DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
ONNX_FILE = "model.onnx"
CARD_FILE = "MODEL_CARD.md"
# What systems leave in folders that were looked at.
LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}
# macOS on shares, network file systems, and writing of our own that was killed.
LEFT_PREFIXES = ("._", ".nfs", PREFIX)

# A description is a few kB; the networks here have some million weights, own ones perhaps 100.
MAX_DESCRIPTION_BYTES = 2**20
MAX_FILE_BYTES = 2**30
MAX_FILES = 32
N_CUTS = len(EXPRESSION_SCORES) - 1

Parameter = bool | int | float | str | tuple[int, ...]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# Per-pixel outputs of a network that a cut may be stated for.
SHIFTED_PLANES = ("nucleus", "centre", "membrane", "tumor", "outside")
Share = Annotated[float, Field(ge=0, le=1)]
# Shown at terminals, which obey control characters.
Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A plain file name: no folder, nothing hidden.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class Part(BaseModel):
    """A frozen value that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Normalisation(Part):
    """What is taken off RGB (0–1) and what it is divided by, per channel."""

    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]


class Architecture(Part):
    """Which network it is, by the name that builds it, and with what."""

    name: Word
    parameters: dict[Word, Parameter] = Field(default_factory=dict, max_length=64)


class ModelCalibration(Part):
    """What turns raw outputs into stated probabilities, chosen on data kept for that.

    Attributes
    ----------
    temperature, shifts : float, tuple of float
        To the ordinal head's logits of lying above each cut between two scores `shifts` are
        added (empty: nothing), then they are divided by `temperature`.
    plane_cuts : mapping of str to float
        From which probability a per-pixel output counts, by its name: its logits are shifted so
        that this one becomes one half.
    coverage, conformal_quantile : float or None
        Stated coverage of the conformal set, and the quantile of the calibration scores that
        gives it; None when it was not calibrated.
    n_calibration : int
        Pictures that these numbers rest on.
    """

    temperature: Positive = 1.0
    shifts: tuple[Finite, ...] = ()
    plane_cuts: dict[Word, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=dict, max_length=64
    )
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = None
    conformal_quantile: Share | None = None
    n_calibration: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def check_parts(self) -> ModelCalibration:
        """Refuse a wrong number of shifts, unknown outputs, and half a conformal calibration."""
        if self.shifts and len(self.shifts) != N_CUTS:
            raise ValueError(f"{len(self.shifts)} shifts; give {N_CUTS}, one for each cut")
        unknown = sorted(set(self.plane_cuts) - set(SHIFTED_PLANES))
        if unknown:
            raise ValueError(f"plane_cuts of {unknown}; give some of {sorted(SHIFTED_PLANES)}")
        if (self.coverage is None) != (self.conformal_quantile is None):
            raise ValueError("coverage and conformal_quantile belong together; give both or none")
        return self


class TrainingData(Part):
    """What a network was trained on.

    Attributes
    ----------
    summary : str
        In words, with the licence of pictures that are not drawn.
    recipe : str
        Name or hash of the recipe that drew the pictures, or of the manifest.
    seeds : tuple of int
    laboratories : tuple of str
        Those of the training part only.
    sources : tuple of str
        Manifests and public sets that were used.
    n_pictures : int
        Pictures of the training part, drawn and annotated.
    n_annotated, n_patients : int
        Those of them that come from `sources`, and the patients that these name.
    """

    summary: Annotated[str, Field(max_length=4000)]
    recipe: str = ""
    seeds: tuple[int, ...] = ()
    laboratories: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    n_pictures: Annotated[int, Field(ge=0)] = 0
    n_annotated: Annotated[int, Field(ge=0)] = 0
    n_patients: Annotated[int, Field(ge=0)] = 0

    def with_earlier(self, earlier: Sequence[TrainingData]) -> TrainingData:
        """Return what weights learned from that come of other weights: nobody's data is forgotten.

        Laboratories and sources of all of them; counts as sums, so that a picture that was
        learned from twice counts twice. Summary, recipe and seeds are of the last.
        """
        every = (*earlier, self)
        return self.model_copy(
            update={
                "laboratories": tuple(dict.fromkeys(n for d in every for n in d.laboratories)),
                "sources": tuple(dict.fromkeys(n for d in every for n in d.sources)),
                "n_pictures": sum(d.n_pictures for d in every),
                "n_annotated": sum(d.n_annotated for d in every),
                "n_patients": sum(d.n_patients for d in every),
            }
        )


class CodeVersion(Part):
    """Which code made the weights: version of her2path, and the commit where it is known.

    A commit ends in "+" where files of the package were changed since.
    """

    version: str
    commit: str = ""


class FileDigest(Part):
    """Size in bytes and SHA-256 of a file of the folder."""

    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: Sha256


class ModelDescription(Part):
    """Everything about a model but its weights.

    Attributes
    ----------
    format : int
        Version of this layout.
    name : str
        As `her2path models list` shows it.
    planes : tuple of str
        Per-pixel outputs, in the order of the network's channels.
    tissue_classes : tuple of str
        Classes of a pixel, in their order; empty without such an output.
    scores : tuple of Score
        What the ordinal head tells apart, low to high; empty without one.
    mpp : float
        µm/px of the pictures that the network sees.
    mpp_range : tuple of 2 float
        µm/px of slides that may be resampled to `mpp`; others are refused.
    normalisation : Normalisation
    architecture : Architecture
    calibration : ModelCalibration
    data : TrainingData
    code : CodeVersion
    metrics : mapping of str to float
        What was measured, on data that did not train it.
    files : mapping of str to FileDigest
        Every file of the folder but `model.json`; filled in when it is saved.
    """

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    planes: tuple[Word, ...] = Field(default=(), max_length=64)
    tissue_classes: tuple[Word, ...] = Field(default=(), max_length=64)
    scores: tuple[Score, ...] = ()
    mpp: Annotated[float, Field(gt=0.05, le=20)]
    mpp_range: tuple[Positive, Positive]
    normalisation: Normalisation
    architecture: Architecture
    calibration: ModelCalibration = ModelCalibration()
    data: TrainingData
    code: CodeVersion
    metrics: dict[Word, Finite] = Field(default_factory=dict, max_length=1000)
    files: dict[FileName, FileDigest] = Field(default_factory=dict, max_length=MAX_FILES)

    @model_validator(mode="after")
    def check_parts(self) -> ModelDescription:
        """Refuse a range without the µm/px it was trained at, and doubled or strange names."""
        low, high = self.mpp_range
        if not low <= self.mpp <= high:
            raise ValueError(f"mpp {self.mpp} lies outside its own range {low} to {high}")
        if self.scores not in ((), EXPRESSION_SCORES):
            known = ", ".join(EXPRESSION_SCORES)
            raise ValueError(f"scores {self.scores}: an ordinal head tells apart {known}")
        for names in (self.planes, self.tissue_classes):
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice in {names}")
        if DESCRIPTION_FILE in self.files:
            raise ValueError(f"{DESCRIPTION_FILE} cannot hold its own hash")
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that an answer depends on; name, card and metrics are not in it."""
        weights, onnx = self.files.get(WEIGHTS_FILE), self.files.get(ONNX_FILE)
        parts = {
            "weights": weights.sha256 if weights else "",
            # What a processor runs; made from the weights, but a file of its own.
            "onnx": onnx.sha256 if onnx else "",
            "planes": self.planes,
            "tissue_classes": self.tissue_classes,
            "scores": self.scores,
            "mpp": self.mpp,
            "normalisation": self.normalisation,
            "architecture": self.architecture,
            "calibration": self.calibration,
        }
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()

    def check_mpp(self, mpp: float) -> None:
        """Refuse pictures that the network was not made for.

        Raises
        ------
        ModelError
            If `mpp` (µm/px) lies outside `mpp_range`.
        """
        low, high = self.mpp_range
        if not low <= mpp <= high:
            raise ModelError(
                f"the model {self.name} takes {low:g} to {high:g} µm/px, not {mpp:g}; choose "
                "another model, or --model none for the rule reader alone"
            )


def digest_of(data: bytes) -> FileDigest:
    """Return size and SHA-256 of the content of a file."""
    return FileDigest(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def read_description(folder: Path) -> ModelDescription:
    """Read `model.json` of a checkpoint folder; the other files are not looked at.

    Raises
    ------
    ModelError
        If it is absent, too large, or does not fit; all faults are listed.
    """
    path = folder / DESCRIPTION_FILE
    data = read_part(path, MAX_DESCRIPTION_BYTES)
    try:
        return ModelDescription.model_validate_json(data)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise ModelError(
            list_faults(f"{path} does not describe a model that this version can use", faults)
        ) from error


def read_verified(folder: Path, description: ModelDescription, name: str) -> bytes:
    """Return the content of one file of a checkpoint folder after its size and hash have held.

    The bytes that were hashed are the bytes returned: nobody can change the file in between.

    Raises
    ------
    ModelError
        If the description does not list the file, or the file is absent or another one.
    """
    known = description.files.get(name)
    if known is None:
        raise ModelError(f"{folder / DESCRIPTION_FILE} lists no {name}; save the model with it")
    data = read_part(folder / name, known.size)
    if digest_of(data) != known:
        raise ModelError(
            f"{folder / name} is not the file that {DESCRIPTION_FILE} describes ({len(data):,} "
            f"bytes, SHA-256 {digest_of(data).sha256[:12]}…, expected {known.size:,} bytes, "
            f"{known.sha256[:12]}…); fetch or train the model again"
        )
    return data


def verify_folder(folder: Path) -> ModelDescription:
    """Check every file of a checkpoint folder against its hash.

    Raises
    ------
    ModelError
        If a file is absent, damaged or unknown; all faults are listed.
    """
    description = read_description(folder)
    faults = []
    for name in sorted({WEIGHTS_FILE, *description.files}):
        try:
            read_verified(folder, description, name)
        except ModelError as error:
            faults.append(str(error))
    # A card is written by a person, mostly after the model; of a shipped one it is listed.
    strangers = strangers_in(folder, {DESCRIPTION_FILE, CARD_FILE, *description.files})
    faults.extend(f"{folder / name} is not part of the model; move it away" for name in strangers)
    if faults:
        raise ModelError(list_faults(f"the model in {folder} cannot be used", faults))
    return description


def strangers_in(folder: Path, known: Collection[str]) -> set[str]:
    """Return what is not of the model, but for what systems and broken runs leave in folders."""
    found = {part.name for part in folder.iterdir()} - set(known) - LEFT_BY_SYSTEMS
    return {name for name in found if not name.startswith(LEFT_PREFIXES)}


def read_part(path: Path, limit: int) -> bytes:
    """Read a file of a model, of at most `limit` bytes."""
    try:
        # A pipe would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is no plain file")
        return read_bounded(path, limit)
    except FileTooLargeError as error:
        raise ModelError(
            f"{path} is larger than the {limit:,} bytes expected; fetch or train the model again"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); a model is a folder with "
            f"{DESCRIPTION_FILE} and {WEIGHTS_FILE}: see `her2path models list`"
        ) from error


def described(description: ModelDescription, files: Mapping[str, bytes]) -> ModelDescription:
    """Return the description with the sizes and hashes of these files."""
    digests = {name: digest_of(data).model_dump() for name, data in sorted(files.items())}
    return ModelDescription.model_validate(description.model_dump() | {"files": digests})
