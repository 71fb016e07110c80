"""Which sources can be named on the command line, as ``bci:FOLDER`` or ``manifest.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from her2path.errors import ManifestError
from her2path.models.sources.folders import read_class_folders
from her2path.models.sources.manifest import read_manifest
from her2path.models.sources.public_sets import read_bci, read_her2_ihc_40x, read_warwick
from her2path.models.sources.sample import Sample

__all__ = ["SOURCES", "read_source"]


class Reader(Protocol):
    """Reads a folder into samples."""

    def __call__(
        self, root: Path, *, mpp: float | None = None, laboratory: str = ""
    ) -> tuple[Sample, ...]:
        """Return the samples of a folder."""


SOURCES: Mapping[str, Reader] = MappingProxyType(
    {
        "folders": read_class_folders,
        "bci": read_bci,
        "her2-ihc-40x": read_her2_ihc_40x,
        "warwick": read_warwick,
    }
)


def read_source(text: str, *, mpp: float | None = None, laboratory: str = "") -> tuple[Sample, ...]:
    """Read ``KIND:FOLDER``, with a kind of `SOURCES`, or a manifest ending in .csv.

    Parameters
    ----------
    text : str
    mpp : float, optional
        µm/px of pictures that hold none, and for which a manifest gives none.
    laboratory : str
        Other name of the group of a public set.

    Raises
    ------
    ManifestError
        If the kind is unknown, or the source cannot be used.
    """
    kind, colon, folder = text.partition(":")
    if colon and kind.lower() in SOURCES:
        return SOURCES[kind.lower()](Path(folder), mpp=mpp, laboratory=laboratory)
    if text.lower().endswith(".csv"):
        return read_manifest(Path(text), mpp=mpp)
    raise ManifestError(
        f"{text!r:.100} is no source; give a manifest ending in .csv, or KIND:FOLDER with a kind "
        f"of {', '.join(SOURCES)}"
    )
