"""Files that hold the pixels of a slide beside the one that names it."""

from __future__ import annotations

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
    if suffix == ".dcm":
        series = series_of(path)
        beside = path.parent.glob(f"*{path.suffix}") if series else ()
        return tuple(sorted(p for p in beside if p != path and series_of(p) == series))
    return ()


def named_in(index: Path) -> list[Path]:
    try:
        with index.open("rb") as file:
            lines = file.read(MAX_INDEX_BYTES).decode("latin-1").splitlines()
    except OSError:
        return []
    names = [line.partition("=")[2].strip() for line in lines]
    # A name, no path: what lies elsewhere is none of its files.
    return [index.parent / n for n in names if Path(n).name == n and (index.parent / n).is_file()]
