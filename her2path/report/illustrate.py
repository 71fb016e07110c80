"""Take the pictures of a scored slide: its map, and fields that show what the score rests on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from her2path.cells.table import OUTLINE_STEP_UM
from her2path.criteria.score import Intensity, Pattern
from her2path.flags.evidence import ReviewFlag
from her2path.geometry import Mpp, Region, Size
from her2path.report.fields import REACH_UM, FieldCell, FieldPicture, Gallery, write_gallery
from her2path.report.interest import INTEREST_COLUMNS, FieldKind, Interest, find_interest
from her2path.report.overview import NumberedBox, draw_map, with_scale_bar
from her2path.report.pictures import as_jpeg, as_png
from her2path.report.regions import has_tumor_outline
from her2path.report.shapes import map_shapes
from her2path.report.windows import choose_windows
from her2path.results.atomic import write_bytes
from her2path.results.cells import read_cells
from her2path.results.columns import UNSEEN
from her2path.results.folder import SlideFolder
from her2path.results.record import SlideRecord
from her2path.results.scored_slide import open_scored, scored_mpp
from her2path.slides.reading import read_at_mpp, read_overview
from her2path.slides.slide import Slide

__all__ = ["FIELD_MPP", "FIELD_UM", "describe_field", "illustrate_slide"]

logger = logging.getLogger(__name__)

# 40×, and a field that a microscope of this power would show in its middle.
FIELD_MPP = 0.25
FIELD_UM = (160.0, 112.0)
# Half a page each for what decides and for what is in doubt.
N_FIELDS: Mapping[FieldKind, int] = {
    FieldKind.DECIDING: 3,
    FieldKind.DOUBTFUL: 3,
    FieldKind.TYPICAL: 2,
}
# As many px as a page is wide at 150 dots per inch.
OVERVIEW_PX = 1100
OVERVIEW_FILE = "overview.jpg"

Cells = Mapping[str, NDArray[np.generic]]


def illustrate_slide(folder: SlideFolder, record: SlideRecord) -> None:
    """Write overview.png and the folder of fields of a scored slide.

    A slide that is not assessable gets its overview, which shows why. Where the slide cannot be
    read any more, the pictures of before stay.

    Parameters
    ----------
    folder : SlideFolder
        Results of the slide; cells.parquet and regions.geojson are read from it where present.
    record : SlideRecord
        What was found; names the file and its µm/px.

    Raises
    ------
    SlideError
        If the slide cannot be opened or read any more.
    ResultsError
        If cells.parquet is damaged, or nothing can be written.
    """
    at_zero = scored_mpp(record)
    with open_scored(record) as slide:
        whole = slide.dimensions
        finest = max(whole.width, whole.height) * at_zero.mean / OVERVIEW_PX
        rgb, downsample = read_overview(slide, mpp=finest)
        plain = with_scale_bar(rgb, mpp=at_zero.mean * downsample)
        gallery, pictures = take_fields(slide, folder, record, at_zero)
    drawn = draw_map(
        rgb,
        map_shapes(record, folder.regions_geojson, downsample=downsample),
        mpp=at_zero.mean * downsample,
        fields=[
            NumberedBox(
                shown.number,
                (
                    shown.box.x / downsample,
                    shown.box.y / downsample,
                    shown.box.width / downsample,
                    shown.box.height / downsample,
                ),
            )
            for shown in gallery.fields
        ],
    )
    pictures[OVERVIEW_FILE] = as_jpeg(plain)
    # Of earlier pictures none may stay beside the new ones, and none go before these are taken.
    shutil.rmtree(folder.fields, ignore_errors=True)
    folder.fields.mkdir(parents=True, exist_ok=True)
    for name, jpeg in pictures.items():
        write_bytes(folder.fields / name, jpeg)
    write_bytes(folder.overview_png, as_png(drawn))
    # Last: where it is, the pictures are.
    write_gallery(folder.path, gallery)


def take_fields(
    slide: Slide, folder: SlideFolder, record: SlideRecord, at_zero: Mpp
) -> tuple[Gallery, dict[str, bytes]]:
    """Choose fields and return what they show, with their pictures as JPEG by name."""
    pictures: dict[str, bytes] = {}
    if record.call is None or not folder.cells_parquet.exists():
        return Gallery(overview_file=OVERVIEW_FILE), pictures
    columns = dict(read_cells(folder.cells_parquet, columns=INTEREST_COLUMNS).columns)
    interest = find_interest(
        columns,
        call=record.call,
        calibration=record.calibration,
        uncertain_range=uncertain_range(record),
        is_read=record.network is not None,
        are_lines_asked=any(flag.flag is ReviewFlag.SHARED_LINES for flag in record.flags),
        mpp=at_zero.mean,
    )
    boxes = choose_boxes(columns, interest, at_zero, slide.dimensions)
    if not boxes:
        return Gallery(overview_file=OVERVIEW_FILE, typical=interest.typical), pictures
    drawn = ("region_id", "outline_um", "stained_sectors")
    columns |= read_cells(folder.cells_parquet, columns=drawn).columns
    fields = []
    for number, (kind, box) in enumerate(boxes, start=1):
        rgb = read_at_mpp(slide, box, FIELD_MPP)
        shown = describe_field(
            columns,
            interest,
            kind=kind,
            box=box,
            at_zero=at_zero,
            number=number,
            size=Size(rgb.shape[1], rgb.shape[0]),
        )
        pictures[shown.file] = as_jpeg(rgb)
        fields.append(shown)
    logger.info("%s: %d fields", record.slide_id, len(fields))
    gallery = Gallery(
        overview_file=OVERVIEW_FILE,
        fields=tuple(fields),
        wanted={kind: int((weight > 0).sum()) for kind, weight in interest.weights.items()},
        typical=interest.typical,
    )
    return gallery, pictures


def uncertain_range(record: SlideRecord) -> tuple[float, float]:
    """Return the probabilities of a tumor cell that are neither yes nor no."""
    selection = record.selection
    cut = selection.cut_in_roi if has_tumor_outline(record.regions) else selection.cut
    return cut - selection.uncertain_margin, cut + selection.uncertain_margin


def choose_boxes(
    cells: Cells, interest: Interest, at_zero: Mpp, whole: Size
) -> list[tuple[FieldKind, Region]]:
    """Return the fields of each kind, none overlapping another."""
    size = Size(round(FIELD_UM[0] / at_zero.x), round(FIELD_UM[1] / at_zero.y))
    boxes: list[tuple[FieldKind, Region]] = []
    for kind, n_fields in N_FIELDS.items():
        chosen = choose_windows(
            cells["x"],
            cells["y"],
            weight=interest.weights[kind],
            size=size,
            within=Region(0, 0, whole.width, whole.height),
            n_windows=n_fields,
            taken=[box for _, box in boxes],
        )
        boxes += [(kind, box) for box in chosen]
    return boxes


def describe_field(
    cells: Cells,
    interest: Interest,
    *,
    kind: FieldKind,
    box: Region,
    at_zero: Mpp,
    number: int,
    size: Size,
) -> FieldPicture:
    """Count and collect the cells of a field."""
    x = (np.asarray(cells["x"], np.float64) - box.x) * at_zero.x
    y = (np.asarray(cells["y"], np.float64) - box.y) * at_zero.y
    width_um, height_um = box.width * at_zero.x, box.height * at_zero.y
    is_near = (x > -REACH_UM) & (x < width_um + REACH_UM)
    is_near &= (y > -REACH_UM) & (y < height_um + REACH_UM)
    near = np.flatnonzero(is_near)
    near = near[~np.isin(cells["excluded"][near].astype(str), UNSEEN)]
    is_inside = (x[near] >= 0) & (x[near] < width_um) & (y[near] >= 0) & (y[near] < height_um)
    inside = near[is_inside]
    counted = inside[interest.is_counted[inside]]
    is_complete = (cells["pattern"][counted] == Pattern.COMPLETE.label) & (
        interest.intensity[counted] >= Intensity.WEAK
    )
    # The typical ones are many: marking them would mark the field.
    is_marked = interest.weights[kind] > (np.inf if kind is FieldKind.TYPICAL else 0)
    radii = np.round(np.asarray(cells["outline_um"][near], np.float64) / OUTLINE_STEP_UM)
    return FieldPicture(
        file=f"{number:02d}_{kind.value}.jpg",
        number=number,
        kind=kind,
        box=box,
        width=size.width,
        height=size.height,
        mpp=FIELD_MPP,
        region_id=most_frequent(cells["region_id"][counted if len(counted) else inside]),
        by_intensity={
            level: int((interest.intensity[counted] == level).sum()) for level in Intensity
        },
        n_complete=int(is_complete.sum()),
        n_marked=int((interest.weights[kind][inside] > 0).sum()),
        n_not_counted=len(inside) - len(counted),
        doubts={doubt: int(is_near[inside].sum()) for doubt, is_near in interest.doubts.items()},
        cells=tuple(
            FieldCell(
                x=round(float(x[index]) / FIELD_MPP, 1),
                y=round(float(y[index]) / FIELD_MPP, 1),
                radii=tuple(int(radius) for radius in radii[row]),
                stained_sectors=int(cells["stained_sectors"][index]),
                intensity=Intensity(int(interest.intensity[index])),
                is_counted=bool(interest.is_counted[index]),
                is_marked=bool(is_marked[index]),
            )
            for row, index in enumerate(near.tolist())
        ),
    )


def most_frequent(words: NDArray[np.generic]) -> str:
    if len(words) == 0:
        return ""
    found, times = np.unique(words.astype(str), return_counts=True)
    return str(found[times.argmax()])
