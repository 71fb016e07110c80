"""A table of training pictures: one row each, with groups and the labels that there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Literal, TypeVar

from her2path.criteria.label import parse_score
from her2path.errors import Her2pathError, ManifestError, TableError, list_faults
from her2path.models.sources.sample import Part, Sample
from her2path.results.sheet import SheetRow, number, read_sheet, write_sheet
from her2path.slides.mpp import as_mpp

__all__ = ["COLUMNS", "read_manifest", "write_manifest"]

# `score_of` says whether the picture or its whole slide was scored.
COLUMNS = (
    "picture",
    "mpp",
    "patient",
    "laboratory",
    "split",
    "score",
    "score_of",
    "outlines",
    "mask",
)
NEEDED = ("picture", "patient", "laboratory")
# What people call the parts.
PARTS = {part.value: part for part in Part} | {
    "validation": Part.VALIDATE,
    "valid": Part.VALIDATE,
    "val": Part.VALIDATE,
    "training": Part.TRAIN,
    "testing": Part.TEST,
}

Value = TypeVar("Value")


def read_manifest(path: Path, *, mpp: float | None = None) -> tuple[Sample, ...]:
    """Read a manifest.

    Columns are `COLUMNS`; ``picture``, ``patient`` and ``laboratory`` must be there, and a row has
    a score, outlines, or a mask, or several. Paths are relative to the manifest. Other columns are
    passed over.

    Parameters
    ----------
    path : Path
    mpp : float, optional
        µm/px of rows without one whose files hold none either.

    Raises
    ------
    ManifestError
        If it cannot be used; all faults are listed with their rows.
    """
    try:
        sheet = read_sheet(path, needed=NEEDED, known=COLUMNS)
    except TableError as error:
        raise ManifestError(str(error)) from error
    faults: list[str] = []
    samples = [sample_of(row, path, faults, mpp) for row in sheet.rows]
    first: dict[Path, int] = {}
    for row, sample in zip(sheet.rows, samples, strict=True):
        if sample.path == path:
            # Its picture could not be found, and that has been said.
            continue
        before = first.setdefault(sample.path, row.number)
        if before != row.number:
            faults.append(f"row {row.number}, picture: stands in row {before} already")
    if faults:
        raise ManifestError(list_faults(f"{path.name} cannot be used", faults))
    return tuple(samples)


def sample_of(
    row: SheetRow, manifest: Path, faults: list[str], default_mpp: float | None
) -> Sample:
    """Return the sample of a row; what is wrong with it goes to `faults`."""

    def read(column: str, kind: Callable[[str], Value]) -> Value | None:
        text = row.get(column)
        if not text:
            return None
        try:
            return kind(text)
        except (Her2pathError, ValueError) as error:
            faults.append(f"row {row.number}, {column}: {error}")
            return None

    def file(text: str) -> Path:
        found = Path(os.path.abspath(manifest.parent / text))
        if "\\" in text and not found.is_file():
            # As a table has it that was written under Windows.
            found = Path(os.path.abspath(manifest.parent / PureWindowsPath(text).as_posix()))
        if not found.is_file():
            raise ManifestError(f"{found} does not exist")
        return found

    if not row.get("picture"):
        faults.append(f"row {row.number}, picture: is empty")
    of: Literal["picture", "slide"] = read("score_of", score_of) or "picture"
    sample = Sample(
        path=read("picture", file) or manifest,
        mpp=read("mpp", lambda text: as_mpp(number(text)).mean),
        mpp_if_none=default_mpp,
        patient=row.get("patient"),
        laboratory=row.get("laboratory"),
        part=read("split", part_of),
        score=read("score", lambda text: parse_score(text, of=of)),
        outlines=read("outlines", file),
        mask=read("mask", file),
        source=manifest.name,
    )
    if not any(row.get(column) for column in ("score", "outlines", "mask")):
        faults.append(f"row {row.number}: has no label; give score, outlines or mask")
    return sample


def score_of(text: str) -> Literal["picture", "slide"]:
    match text.casefold():
        case "picture":
            return "picture"
        case "slide":
            return "slide"
    raise ValueError(f"{text!r:.40} is neither picture nor slide")


def part_of(text: str) -> Part:
    found = PARTS.get(text.casefold())
    if found is None:
        raise ValueError(f"{text!r:.40} is none of {', '.join(Part)}")
    return found


def write_manifest(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as a manifest, atomically; `read_manifest` gives them back.

    Paths are written relative to the manifest where they lie below its folder.
    """
    folder = Path(os.path.abspath(path.parent))

    def placed(file: Path | None) -> str:
        if file is None:
            return ""
        whole = Path(os.path.abspath(file))
        return (whole.relative_to(folder) if whole.is_relative_to(folder) else whole).as_posix()

    write_sheet(
        path,
        COLUMNS,
        [
            {
                "picture": placed(sample.path),
                "mpp": sample.mpp_if_none if sample.mpp is None else sample.mpp,
                "patient": sample.patient,
                "laboratory": sample.laboratory,
                "split": "" if sample.part is None else sample.part.value,
                "score": "" if sample.score is None else str(sample.score),
                "score_of": "" if sample.score is None else sample.score.of,
                "outlines": placed(sample.outlines),
                "mask": placed(sample.mask),
            }
            for sample in samples
        ],
    )
