"""A folder per score: ``train/2+/patient/picture.png``, with or without first and third level."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from her2path.criteria.label import ScoreLabel, parse_score
from her2path.criteria.score import EXPRESSION_SCORES
from her2path.criteria.words import score_named
from her2path.errors import ManifestError
from her2path.models.sources.sample import Part, Sample

__all__ = [
    "ClassFolder",
    "class_folders",
    "label_of",
    "listed",
    "needed_mpp",
    "pictures_in",
    "read_class_folders",
]

logger = logging.getLogger(__name__)

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
# What may be meant to be read as well, and is not: a slide goes into a manifest.
OTHER_PICTURES = frozenset(
    {".bmp", ".gif", ".jp2", ".webp", ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".czi", ".dcm"}
)
MAX_PICTURES = 1_000_000
# Part and class stand among the topmost folders; deeper ones are patients.
MAX_DEPTH = 4
# What stands before the score in the name of a folder.
BEFORE_SCORE = re.compile(r"(?:her-?2|class|score|ihc)?[\s_-]*")
# Also testset, train2, her2_test: not seen as such, pictures for testing would be learned from.
PART_NAME = re.compile(
    r"(?:.*?[\s_-])??(train|training|val|valid|validate|validation|test|testing)"
    r"(?:set|data)?\d*(?:[\s_-].*)?"
)
# So many folders show where what was left out lies.
MAX_NAMED = 5
PARTS = {"train": Part.TRAIN, "val": Part.VALIDATE, "test": Part.TEST}


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder that is named after a score; `score` is as `parse_score` reads it."""

    path: Path
    score: str
    part: Part | None


def class_of(name: str) -> str | None:
    """Return the score that a folder is named after, None when it is named otherwise.

    >>> class_of("class_2+"), class_of("ultralow"), class_of("3plus"), class_of("slides")
    ('2+', '0+', '3+', None)
    """
    named = score_named(BEFORE_SCORE.sub("", name.strip().casefold(), count=1))
    return named.value if named in EXPRESSION_SCORES else None


def part_of(name: str) -> Part | None:
    """Return the part that a folder is named after: ``train``, ``train_data``, ``testset``."""
    found = PART_NAME.fullmatch(name.strip().casefold())
    if found is None:
        return None
    return next(part for word, part in PARTS.items() if found.group(1).startswith(word))


def class_folders(root: Path) -> tuple[ClassFolder, ...]:
    """Return the folders that are named after scores, to a bounded depth.

    Raises
    ------
    ManifestError
        If there is none, or the folder cannot be read.
    """
    found = tuple(walk(root, None, MAX_DEPTH))
    if not found:
        raise ManifestError(
            f"{root} holds no folder named after a score (0, 0+, 1+, 2+, 3+, or class_2+); name "
            "the folder that holds them, or write a manifest"
        )
    return found


def walk(folder: Path, part: Part | None, depth: int) -> Iterator[ClassFolder]:
    for child in listed(folder):
        if not child.is_dir() or child.name.startswith("."):
            continue
        score = class_of(child.name)
        if score is not None:
            yield ClassFolder(child, score, part)
        elif depth > 1:
            yield from walk(child, part_of(child.name) or part, depth - 1)


def listed(folder: Path) -> list[Path]:
    """Return what is in a folder, by name."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ManifestError(
            f"{folder} cannot be read ({error.strerror or error}); name the unpacked folder"
        ) from error


def pictures_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the pictures below a folder by name, each with the sub-folder it lies in, or ''."""

    def refuse(error: OSError) -> None:
        raise ManifestError(
            f"{error.filename} cannot be read ({error.strerror or error}); name the unpacked folder"
        ) from error

    n = 0
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        if Path(place) != folder and leads_back(Path(place)):
            folders.clear()
            continue
        folders.sort()
        below = Path(place).relative_to(folder).parts
        for name in sorted(files):
            if Path(name).suffix.lower() in PICTURES and not name.startswith("."):
                n += 1
                if n > MAX_PICTURES:
                    raise ManifestError(f"{folder} holds more than {MAX_PICTURES:,} pictures")
                yield Path(place, name), below[0] if below else ""


def leads_back(place: Path) -> bool:
    """Return whether a folder is a link to one that it lies in."""
    return Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(place))


def pictures_of_class(folder: ClassFolder) -> Iterator[tuple[Path, str]]:
    """Yield the pictures of a class as `pictures_in`; refuse those of a class or part below it."""
    for path, patient in pictures_in(folder.path):
        for name in path.relative_to(folder.path).parts[:-1]:
            # Patients may be numbers, but none is called 2+ or class_2.
            if not name.isdecimal() and class_of(name) is not None:
                raise ManifestError(
                    f"{path} lies in a folder named after a score ({name}) that lies in another "
                    f"({folder.path.name}); put patients below scores, or write a manifest"
                )
            # Taken for a patient of that name it would be trained on.
            if part_of(name) is not None:
                raise ManifestError(
                    f"{path} lies in a folder named after a part ({name}) below one named after a "
                    f"score ({folder.path.name}); put parts above scores, or write a manifest"
                )
        yield path, patient


def warn_of_left_out(root: Path, folders: Collection[ClassFolder]) -> None:
    """Tell of pictures that lie in no folder named after a score, or are of another kind.

    A folder ``Negative`` beside ``1+`` may be a whole class, which nobody would miss.
    """
    classes = {folder.path for folder in folders}
    count: Counter[str] = Counter()
    for place, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        here = Path(place)
        wanted = OTHER_PICTURES
        if classes.isdisjoint((here, *here.parents)):
            wanted = wanted | PICTURES
        n = sum(not f.startswith(".") and Path(f).suffix.lower() in wanted for f in files)
        if n:
            count[here.relative_to(root).as_posix()] = n
    if count:
        some = [f"{name!r:.60} ({n:,})" for name, n in list(count.items())[:MAX_NAMED]]
        more = f" and {len(count) - MAX_NAMED} more" if len(count) > MAX_NAMED else ""
        logger.warning(
            "%s: %s pictures are left out, for they lie in no folder named after a score (0, 0+, "
            "1+, 2+, 3+, or class_2+) or are no PNG, JPEG or TIFF: %s",
            root,
            f"{count.total():,}",
            ", ".join(some) + more,
        )


def needed_mpp(mpp: float | None, what: str) -> float:
    """Return µm/px, which pictures without metadata need.

    Raises
    ------
    ManifestError
        If it is not given.
    """
    if mpp is None:
        raise ManifestError(
            f"pictures of {what} hold no µm/px; give it with --data-mpp, as the paper of the "
            "set or the scanner says"
        )
    return mpp


def read_class_folders(
    root: Path,
    *,
    mpp: float | None = None,
    laboratory: str = "",
    source: str = "folders",
    score_of: Literal["picture", "slide"] = "picture",
) -> tuple[Sample, ...]:
    """Read pictures that lie in folders named after scores.

    A folder above the classes may be named after a part (``train``, ``val``, ``test``), a folder
    below them after a patient, but not after a score (``2+``, ``class_2``) or a part. Where no
    folder is named 0+, those named 0 hold both. Pictures elsewhere are left out with a warning.

    Parameters
    ----------
    root : Path
        The folder that holds them.
    mpp : float
        µm/px of the pictures; what a TIFF says of itself wins.
    laboratory : str
        Of all of them; by default the name of the folder.
    source : str
        What samples name as their source.
    score_of : {"picture", "slide"}
        What was scored.

    Raises
    ------
    ManifestError
        If there is no such folder, no picture, no µm/px, or a score or part below a score.
    """
    folders = class_folders(root)
    pixel = needed_mpp(mpp, str(root))
    is_split = any(folder.score == "0+" for folder in folders)
    samples = tuple(
        Sample(
            path=path,
            mpp_if_none=pixel,
            patient=patient,
            laboratory=laboratory or root.resolve().name,
            part=folder.part,
            score=label_of(folder.score, is_split=is_split, of=score_of),
            source=source,
        )
        for folder in folders
        for path, patient in pictures_of_class(folder)
    )
    if not samples:
        raise ManifestError(f"the folders of {root} hold no picture (PNG, JPEG, TIFF)")
    warn_of_left_out(root, folders)
    return samples


def label_of(score: str, *, is_split: bool, of: Literal["picture", "slide"]) -> ScoreLabel:
    """Return the label of a class; 0 means 0 or 0+ where the set does not tell them apart."""
    return parse_score("0|0+" if score == "0" and not is_split else score, of=of)
