"""What DICOM exports share: the image that they refer to, identifiers, texts, and the file."""

from __future__ import annotations

import io
import logging
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from her2path.errors import Her2pathError, ResultsError
from her2path.extras import library_of_extra
from her2path.results.atomic import atomic_path
from her2path.results.jsonable import canonical_json
from her2path.results.record import RESEARCH_USE, SlideRecord
from her2path.results.run_record import InputFile, describe_input, software_version
from her2path.results.scored_slide import is_scored_file
from her2path.slides.companions import companions
from her2path.slides.limits import plain
from her2path.slides.magic import DICOM_MAGIC, DICOM_MAGIC_AT

__all__ = [
    "MAX_TEXT",
    "RESEARCH_USE",
    "SCHEME",
    "Dicom",
    "Identity",
    "check_libraries",
    "code",
    "coding_schemes",
    "equipment",
    "library",
    "one_line",
    "private_code",
    "read_source_image",
    "readable_faults",
    "stamp",
    "write_dataset",
]

# A value, class or module of pydicom or highdicom, which may be absent and carry no types.
Dicom = Any

NAMESPACE = uuid.UUID("0f6f2b53-5f0e-5d0c-8b1f-6d2f5a1c9e40")
# Raised when the same result is written in another way: its identifiers must differ then.
LAYOUT = 2
SCHEME = "99HER2PATH"
MAKER = "her2path"
# A short text (VR LO) of DICOM, PS3.5 section 6.2.
MAX_TEXT = 64
# All that stands before the list of frames; a color profile is the largest part, 1 MB or so.
MAX_HEAD_BYTES = 16 * 2**20
# Per-frame Functional Groups Sequence: nothing from there on is needed.
FRAMES_TAG = 0x52009230
# Deflated Explicit VR Little Endian: 16 MiB of it may be 16 GiB.
DEFLATED = b"1.2.840.10008.1.2.1.99"
MAX_FILES = 1_000
WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
# Attributes that may be empty and are asked for by name.
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def library(name: str) -> Dicom:
    """Return a module of highdicom or pydicom.

    Raises
    ------
    MissingLibraryError
        If it is not installed.
    """
    return library_of_extra(name, extra="dicom", needed_by="DICOM exports")


def check_libraries() -> None:
    """Raise MissingLibraryError unless all that an export needs is installed."""
    for name in ("pydicom", "highdicom"):
        library(name)


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes an export what it is: the same result has the same identifiers each time.

    Attributes
    ----------
    source_uid : str
        SOP Instance UID of the image that was scored.
    content : str
        Hash of what is exported.
    kind : str
        Which of the exports.
    """

    source_uid: str
    content: str
    kind: str

    def uid(self, part: str) -> str:
        """Return the unique identifier of a part, under the root 2.25 (PS3.5, B.2)."""
        parts = [LAYOUT, software_version(), self.source_uid, self.content, self.kind, part]
        return f"2.25.{uuid.uuid5(NAMESPACE, canonical_json(parts)).int}"


def one_line(text: str, limit: int = MAX_TEXT) -> str:
    """Return text as one line that any DICOM text takes, cut to `limit` letters."""
    # A backslash would part the value in two.
    found = " ".join(plain(text).replace("\\", "/").split())
    return found if len(found) <= limit else found[: limit - 1].rstrip() + "…"


def code(value: str, scheme: str, meaning: str) -> Dicom:
    """Return a coded concept of a scheme."""
    return library("highdicom.sr").CodedConcept(value, scheme, meaning)


def private_code(value: str, meaning: str) -> Dicom:
    """Return a concept for which no standard has a code."""
    return code(value, SCHEME, meaning)


def coding_schemes() -> list[Dicom]:
    """Return what an instance says of the private codes in it."""
    item = library("highdicom").coding_schemes.CodingSchemeIdentificationItem
    return [item(SCHEME, name="her2path: columns of its tables", responsible_organization=MAKER)]


def equipment() -> dict[str, str]:
    """Return what an instance says of the program that made it."""
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": software_version(),
        "device_serial_number": software_version(),
    }


def read_source_image(record: SlideRecord, inputs: Mapping[str, InputFile]) -> Dicom:
    """Return the attributes of the level-0 image that a result was measured on, without pixels.

    Parameters
    ----------
    record : SlideRecord
        The result.
    inputs : mapping of str to InputFile
        What is known of the files that the run read, by path: one that has changed is refused.

    Raises
    ------
    ResultsError
        If the slide is not DICOM, is gone, is another one by now, or cannot be understood.
    MissingLibraryError
        If pydicom is not installed.
    """
    path = Path(record.path)
    if not is_dicom(path):
        raise ResultsError(
            f"the slide {path} is not DICOM, and what is written refers to the images of a DICOM "
            "slide; convert the slide to DICOM (with wsidicomizer, for example), score that, and "
            "export its result"
        )
    known = inputs.get(record.path)
    is_known = known is None or describe_input(path) == known
    if not (is_known and is_scored_file(record, path)):
        raise ResultsError(
            f"{path} is not the file that was scored, it has changed since; score it again"
        )
    wanted = (record.scan.width, record.scan.height)
    faults = []
    for file in (path, *companions(path)[:MAX_FILES]):
        try:
            image = head_of(file)
        except ResultsError as error:
            faults.append(str(error))
            continue
        if is_level_0(image, wanted):
            return completed(image, file)
    found = "; ".join(faults[:3])
    raise ResultsError(
        f"no file of the slide {path} holds its level 0 of {wanted[0]} × {wanted[1]} px"
        + (f" ({found})" if found else "")
        + "; keep the files of the slide in one folder, or score it again"
    )


def is_dicom(path: Path) -> bool:
    """Tell DICOM by its first bytes.

    Raises
    ------
    ResultsError
        If the file cannot be read.
    """
    try:
        if path.is_dir():
            return False
        with path.open("rb") as file:
            return file.read(DICOM_MAGIC_AT + len(DICOM_MAGIC)).endswith(DICOM_MAGIC)
    except OSError as error:
        raise ResultsError(
            f"the slide {path} cannot be read ({error.strerror or error}), and what is written "
            "refers to its images; put it back where it was scored"
        ) from error


def head_of(path: Path) -> Dicom:
    """Return what stands before frames and pixels, of a bounded part of the file."""
    reader = library("pydicom.filereader")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_HEAD_BYTES)
        if DEFLATED in data:
            raise ValueError("compressed as a whole, which no whole-slide image is")
        with quiet():
            image = reader.read_partial(
                io.BytesIO(data), stop_when=lambda tag, _vr, _length: tag >= FRAMES_TAG
            )
            # Texts become letters here, whatever their character set was.
            image.decode()
            return image
    except (Exception, RecursionError) as error:
        # Each damaged file has an error of its own.
        raise ResultsError(f"{path} is no DICOM file that can be read ({said(error)})") from error


def is_level_0(image: Dicom, size: tuple[int, int]) -> bool:
    kinds = [str(word) for word in image.get("ImageType") or ()]
    found = (image.get("TotalPixelMatrixColumns"), image.get("TotalPixelMatrixRows"))
    return (
        str(image.get("SOPClassUID")) == WHOLE_SLIDE_IMAGE and "VOLUME" in kinds and found == size
    )


def completed(image: Dicom, path: Path) -> Dicom:
    """Return an image with empty values for what it lacks and may lack."""
    missing = [name for name in IDENTIFIERS if not image.get(name)]
    if missing:
        raise ResultsError(f"{path} has no {', '.join(missing)}; nothing can refer to it")
    for name in MAY_BE_EMPTY:
        if name not in image:
            setattr(image, name, None)
    # What is written is UTF-8, whatever the slide was.
    image.SpecificCharacterSet = "ISO_IR 192"
    return image


def stamp(dataset: Dicom, record: SlideRecord) -> None:
    """Date an instance by the result, not by the clock: a repeated export is the same file."""
    date, time = day_and_time(record.created)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.ContentDate, dataset.ContentTime = date, time
    for item in dataset.get("ContributingEquipmentSequence") or ():
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = date + time


def day_and_time(created: str) -> tuple[str, str]:
    """Return DICOM's date and time, in UTC, of a time in ISO 8601."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError as error:
        raise ResultsError(
            f"the result says that it was made at {created!r:.40}, which is no time; "
            "score the slide again"
        ) from error
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")


def write_dataset(path: Path, dataset: Dicom) -> None:
    """Write an instance as a DICOM file, atomically.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    with readable_faults(str(path)), atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


@contextmanager
def readable_faults(what: str) -> Iterator[None]:
    """Say in one sentence what a DICOM library refuses of a slide's own attributes."""
    try:
        with quiet():
            yield
    except (Her2pathError, OSError):
        raise
    except (Exception, RecursionError) as error:
        # Odd values end in errors of every kind.
        raise ResultsError(
            f"{what} cannot be made into DICOM ({said(error)}); an attribute of the slide may be "
            "odd, `her2path info` shows what it is"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep remarks on odd values to the libraries: they repeat names of patients.

    What is refused ends in an error.
    """
    loggers = [logging.getLogger(name) for name in ("highdicom", "pydicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(str(error), 200)}"
