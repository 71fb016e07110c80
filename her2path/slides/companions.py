"""Files that hold the pixels of a slide beside the one that names it."""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from pathlib import Path

from her2path.slides.dicom_series import series_of

__all__ = ["INDEX_SUFFIXES", "companions"]

# Hamamatsu's index names its JPEG files, one to a line: "ImageFile(1,0)=scan(1,0).jpg".
INDEX_SUFFIXES = (".vms", ".vmu")
MAX_INDEX_BYTES = 2**20


def companions(path: Path) -> tuple[Path, ...]:
    """Return the files and folders beside a slide that belong to it, sorted.

    Those of MIRAX (a folder), Hamamatsu VMS and VMU (files that the index names) and DICOM (files
    of one series). Other formats are one file.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        return (folder,) if folder.is_dir() else ()
    if suffix in INDEX_SUFFIXES:
        return tuple(sorted(set(named_in(path))))
    series = series_of(path)
    if not series:
        return ()
    # Archives name DICOM files by numbers alone: then each file of the folder is looked at.
    shared = path.suffix if suffix == ".dcm" else ""
    try:
        changed = path.parent.stat().st_mtime_ns
    except OSError:
        return ()
    members = in_series(path.parent, shared, changed)[series]
    if any(series_of(member) != series for member in members):
        # One was written anew in its place, which the folder does not tell.
        in_series.cache_clear()
        members = in_series(path.parent, shared, changed)[series]
    return tuple(member for member in members if member != path)


@functools.lru_cache(maxsize=8)
def in_series(folder: Path, suffix: str, changed: int) -> defaultdict[str, list[Path]]:  # noqa: ARG001
    """Return the files of a folder by their series, sorted: each is opened once for all slides.

    `suffix` is that of all of them, empty for any.

    `changed`, when the folder was, keeps what was found from being used after a file has come or
    gone.
    """
    found = defaultdict(list)
    for path in sorted(folder.glob(f"*{suffix}")):
        # A pipe would wait for its writer.
        if path.is_file():
            found[series_of(path)].append(path)
    return found


def named_in(index: Path) -> list[Path]:
    try:
        with index.open("rb") as file:
            lines = os.fsdecode(file.read(MAX_INDEX_BYTES)).splitlines()
    except OSError:
        return []
    names = [line.partition("=")[2].strip() for line in lines]
    # A name, no path: what lies elsewhere is none of its files.
    found = (index.parent / name for name in names if Path(name).name == name)
    # It answers no where a name is too long to be one, or holds a NUL.
    return [path for path in found if os.path.isfile(path)]
