"""Fields shown to the reader: what a picture of a slide shows, kept beside the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from her2path.criteria.score import Intensity
from her2path.errors import ResultsError
from her2path.geometry import Region
from her2path.report.interest import Doubt, FieldKind
from her2path.results.decoding import from_json
from her2path.results.folder import FIELDS_FOLDER
from her2path.results.jsonable import read_json, write_json

__all__ = [
    "FIELDS_JSON",
    "REACH_UM",
    "FieldCell",
    "FieldPicture",
    "Gallery",
    "read_gallery",
    "write_gallery",
]

FIELDS_JSON = "fields.json"
# Outlines of cells with their nucleus this far outside still reach into view.
REACH_UM = 15.0


@dataclass(frozen=True, slots=True)
class FieldCell:
    """One cell of a field.

    Attributes
    ----------
    x, y : float
        Nucleus centre in px of the picture.
    radii : tuple of int
        Outline in tenths of a micron, one per sector; empty where only the nucleus is shown.
    stained_sectors : int
        Bit k is set when sector k is stained.
    intensity : Intensity
        Class of the cell.
    is_counted : bool
        Whether it is among the tumor cells counted.
    is_marked : bool
        Whether the field is shown because of it.
    """

    x: float
    y: float
    radii: tuple[int, ...]
    stained_sectors: int
    intensity: Intensity
    is_counted: bool
    is_marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPicture:
    """One field.

    Attributes
    ----------
    file : str
        Name of the plain picture in the folder of fields.
    number : int
        As written on the overview and in the report, from 1.
    kind : FieldKind
        Why it is shown.
    box : Region
        Level-0 px.
    width, height : int
        Size of the picture, px.
    mpp : float
        µm per px of the picture.
    region_id : str
        Region that holds most of its counted cells.
    by_intensity : mapping of Intensity to int
        Counted cells with their centre in the field.
    n_complete, n_marked, n_not_counted : int
        Of the cells with their centre in the field.
    doubts : mapping of Doubt to int
        Cells near each cut-off.
    cells : tuple of FieldCell
        To be drawn; some have their centre just outside.
    """

    file: str
    number: int
    kind: FieldKind
    box: Region
    width: int
    height: int
    mpp: float
    region_id: str
    by_intensity: Mapping[Intensity, int]
    n_complete: int
    n_marked: int
    n_not_counted: int
    doubts: Mapping[Doubt, int]
    cells: tuple[FieldCell, ...]

    @property
    def n_counted(self) -> int:
        """Tumor cells counted in the field."""
        return sum(self.by_intensity.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """All fields of a slide, and the plain overview beside them.

    `wanted` tells how many cells there were to choose from for each kind of field.
    """

    overview_file: str
    fields: tuple[FieldPicture, ...] = ()
    wanted: Mapping[FieldKind, int] = field(default_factory=dict)
    typical: Intensity = Intensity.NONE


def write_gallery(slide_folder: Path, gallery: Gallery) -> None:
    """Write fields.json into the folder of fields, atomically."""
    write_json(slide_folder / FIELDS_FOLDER / FIELDS_JSON, gallery)


def read_gallery(slide_folder: Path) -> Gallery | None:
    """Read what `write_gallery` wrote; None when the slide has no pictures.

    Raises
    ------
    ResultsError
        If the file is damaged or names a picture outside its folder.
    """
    path = slide_folder / FIELDS_FOLDER / FIELDS_JSON
    if not path.exists():
        return None
    gallery: Gallery = from_json(Gallery, read_json(path), where=str(path))
    for name in (gallery.overview_file, *(shown.file for shown in gallery.fields)):
        if name != Path(name).name or name in {"", ".", ".."}:
            raise ResultsError(
                f"{path} names the picture {name!r:.60} outside its folder; score the slide again"
            )
    return gallery
