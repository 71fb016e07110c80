"""Open the slide behind a result as it was read when it was scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from her2path.errors import SlideError
from her2path.geometry import Mpp
from her2path.results.record import SlideRecord
from her2path.results.run_record import describe_input
from her2path.slides.color import Icc
from her2path.slides.opening import open_slide
from her2path.slides.slide import Slide

__all__ = ["SlideIdentity", "is_scored_file", "open_scored", "scored_mpp"]


@dataclass(frozen=True, slots=True)
class SlideIdentity:
    """What tells that two results, or a result and a file, are of the same cells.

    Attributes
    ----------
    sha256_ends : str
        Of the file (`describe_input`); empty where a record does not know it.
    n_tumor_cells : int or None
        Counted in it; None where it is not scored. One file may hold two samples, told apart by
        outlines.
    """

    sha256_ends: str
    n_tumor_cells: int | None = None

    @classmethod
    def of_record(cls, record: SlideRecord) -> SlideIdentity:
        """Return that of a scored slide."""
        return cls(record.scan.sha256_ends, record.reading.n_tumor_cells)

    @classmethod
    def of_file(cls, path: Path) -> SlideIdentity:
        """Return that of a slide that is to be scored."""
        return cls(describe_input(path).sha256_ends)

    def is_same(self, other: SlideIdentity) -> bool:
        """Tell whether the cells of both are the same, as far as is known."""
        counts = {self.n_tumor_cells, other.n_tumor_cells} - {None}
        return bool(self.sha256_ends) and self.sha256_ends == other.sha256_ends and len(counts) < 2


def scored_mpp(record: SlideRecord) -> Mpp:
    """Return the µm/px of level 0 that a slide was scored with."""
    return Mpp(record.scan.mpp_x, record.scan.mpp_y)


def is_scored_file(record: SlideRecord, path: Path) -> bool:
    """Tell whether a file is the one that was scored, as far as its ends and the record tell.

    Raises
    ------
    ResultsError
        It cannot be read.
    """
    known = record.scan.sha256_ends
    return not known or describe_input(path).sha256_ends == known


def open_scored(record: SlideRecord, path: Path | None = None) -> Slide:
    """Open a slide with the µm/px and the colors that it was scored with.

    Parameters
    ----------
    record : SlideRecord
    path : Path, optional
        Where the slide lies now; by default where it lay then.

    Raises
    ------
    SlideError
        It cannot be opened any more, or is another file.
    """
    place = Path(record.path) if path is None else path
    icc = Icc.of(is_srgb=record.scan.is_srgb)
    # What is not there is for the opener to say.
    if place.exists() and not is_scored_file(record, place):
        raise SlideError(
            f"{place} is not the file that was scored; score it again, or put back the one that was"
        )
    return open_slide(place, mpp=scored_mpp(record), icc=icc)
