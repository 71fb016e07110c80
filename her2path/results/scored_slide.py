"""Open the slide behind a result as it was read when it was scored."""

from __future__ import annotations

from pathlib import Path

from her2path.geometry import Mpp
from her2path.results.record import SlideRecord
from her2path.slides.color import Icc
from her2path.slides.opening import open_slide
from her2path.slides.slide import Slide

__all__ = ["open_scored", "scored_mpp"]


def scored_mpp(record: SlideRecord) -> Mpp:
    """Return the µm/px of level 0 that a slide was scored with."""
    return Mpp(record.scan.mpp_x, record.scan.mpp_y)


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
        It cannot be opened any more.
    """
    icc = Icc.of(is_srgb=record.scan.is_srgb)
    return open_slide(path or record.path, mpp=scored_mpp(record), icc=icc)
