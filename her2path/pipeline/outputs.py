"""Write what was concluded on a slide into its folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from her2path.annotations.roi import RoiKind
from her2path.cells.classify import CellClasses
from her2path.cells.table import N_SECTORS
from her2path.criteria.score import Intensity, Pattern
from her2path.geometry import Region
from her2path.pipeline.conclude import Conclusion, Counted
from her2path.pipeline.regions import Grid
from her2path.pipeline.rows import region_row
from her2path.pipeline.selection import Selection
from her2path.pipeline.settings import CellsGeojson, ScoreSettings
from her2path.pipeline.survey import Survey
from her2path.results.cells import write_cells
from her2path.results.columns import CELL_COLUMNS, Kind
from her2path.results.folder import SlideFolder
from her2path.results.geojson import (
    Feature,
    OutlineKind,
    cell_feature,
    outline_feature,
    outline_polygon,
    region_feature,
    write_geojson,
)
from her2path.results.record import RegionKind, SlideRecord, write_record
from her2path.results.tables import write_regions, write_regions_csv

__all__ = ["write_conclusion"]

INTENSITIES = np.array([level.label for level in Intensity])
PATTERNS = np.array([pattern.label for pattern in Pattern])
# More chosen cells than a person looks at only stall the viewer.
MAX_CHOSEN = 20_000


def write_conclusion(
    folder: SlideFolder, survey: Survey, conclusion: Conclusion, settings: ScoreSettings
) -> None:
    """Write tables, outlines and, last, slide.json; each file whole or not at all.

    Raises
    ------
    ResultsError
        If a file cannot be written.
    """
    record = conclusion.record
    regions = [region_row(region, record) for region in record.regions]
    write_regions_csv(folder.regions_csv, regions, slide_id=record.slide_id)
    write_regions(
        folder.regions_parquet,
        regions,
        slide_id=record.slide_id,
        mpp=survey.mpp,
        software_version=record.software_version,
    )
    counted = conclusion.counted
    columns = no_columns() if counted is None else cell_columns(counted, survey, settings)
    write_cells(
        folder.cells_parquet,
        columns,
        slide_id=record.slide_id,
        mpp=survey.mpp,
        software_version=record.software_version,
    )
    write_outlines = partial(
        write_geojson,
        slide_id=record.slide_id,
        origin=settings.geojson_origin,
        bounds=record.scan.bounds,
    )
    write_outlines(folder.regions_geojson, outlines_of(record, survey))
    if settings.cells_geojson is not CellsGeojson.NONE:
        outlines = iter(()) if counted is None else cell_outlines(counted, survey, settings)
        write_outlines(folder.cells_geojson, outlines)
    write_record(folder.slide_json, record)


def no_columns() -> dict[str, NDArray[np.generic]]:
    """Return the columns of cells.parquet of a slide on which no cell was measured."""
    empty = {
        Kind.BOOLEAN: np.zeros(0, np.bool_),
        Kind.FLOAT: np.zeros(0, np.float32),
        Kind.DOUBLE: np.zeros(0, np.float64),
        Kind.BITS: np.zeros(0, np.uint32),
        Kind.OUTLINE: np.zeros((0, N_SECTORS), np.float32),
    }
    words: NDArray[np.generic] = np.zeros(0, np.str_)
    return {column.name: empty.get(column.kind, words) for column in CELL_COLUMNS}


def cell_columns(
    counted: Counted, survey: Survey, settings: ScoreSettings
) -> dict[str, NDArray[np.generic]]:
    """Return the columns of cells.parquet."""
    cells, classes, selection = counted.cells, counted.classes, counted.selection
    grid = Grid.of(survey.dimensions, survey.mpp, side_um=settings.region_um)
    is_stained = classes.intensity > Intensity.NONE
    unmeasured = np.float32(np.nan)
    return {
        "x": cells.x,
        "y": cells.y,
        "region_id": grid.names(cells.x, cells.y),
        "is_tumor": selection.is_counted,
        "tumor_probability": selection.probability,
        "excluded": selection.words(),
        "intensity": INTENSITIES[classes.intensity],
        "completeness": classes.completeness,
        "longest_arc_frac": classes.longest_arc_frac,
        "pattern": PATTERNS[classes.pattern],
        "membrane_od": np.where(is_stained, classes.membrane_od, unmeasured),
        "membrane_contrast_od": np.where(is_stained, classes.membrane_contrast_od, unmeasured),
        "line_limit_od": classes.line_limit_od,
        "membrane_width_um": np.where(is_stained, cells.membrane_width_um, unmeasured),
        "cytoplasm_od": cells.cytoplasm_od,
        "nucleus_area_um2": cells.nucleus_area_um2,
        "nucleus_elongation": cells.nucleus_elongation,
        "nucleus_h_od": cells.nucleus_h_od,
        "nucleus_dab_od": cells.nucleus_dab_od,
        "spacing_um": cells.spacing_um,
        "is_nucleus_hidden": cells.is_hidden,
        "outline_um": cells.outline_um,
        "stained_sectors": classes.stained_sectors,
        "has_own_line": counted.has_own_line,
    }


def outlines_of(record: SlideRecord, survey: Survey) -> Iterator[Feature]:
    """Yield regions, tissue, control tissue and ignored outlines."""
    for index, part in enumerate(polygons_of(survey.tissue, survey.mask_downsample)):
        yield outline_feature(f"tissue {index + 1}", part, kind=OutlineKind.TISSUE)
    for index, part in enumerate(polygons_of(survey.control, survey.mask_downsample)):
        yield outline_feature(f"control {index + 1}", part, kind=OutlineKind.CONTROL)
    for index, part in enumerate(polygons_of(survey.excluded, survey.mask_downsample)):
        yield outline_feature(f"artefact {index + 1}", part, kind=OutlineKind.IGNORED)
    for roi in survey.rois_of(RoiKind.IGNORE):
        yield outline_feature(roi.roi_id, roi.polygon, kind=OutlineKind.IGNORED)
    drawn = {roi.roi_id: roi.polygon for roi in survey.rois}
    for region in record.regions:
        if region.kind is RegionKind.CONTROL and region.region_id not in drawn:
            continue
        yield region_feature(
            region.region_id,
            drawn[region.region_id]
            if region.kind is not RegionKind.GRID
            else square_of(region.box),
            score=region.score,
            name=region.name or region.region_id,
            is_control=region.kind is RegionKind.CONTROL,
            measurements={
                "HER2: tumor cells": float(region.reading.n_tumor_cells),
                **{
                    f"HER2: {name}": value if region.reading.n_tumor_cells else math.nan
                    for name, value in region.reading.shares.items()
                },
            },
        )


def square_of(box: Region) -> Polygon:
    """Return a square of the grid as a polygon."""
    return shapely.box(box.x, box.y, box.right, box.bottom)


def polygons_of(mask: NDArray[np.bool_], downsample: float) -> list[Polygon]:
    """Return the outlines of a mask in level-0 px, with their holes."""
    # Drawn twice as fine, so that single pixels and lines of them have an outline, too.
    rows, cols = mask.shape
    fine = cv2.resize(
        np.ascontiguousarray(mask, np.uint8), (2 * cols, 2 * rows), interpolation=cv2.INTER_NEAREST
    )
    rings, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found: dict[int, tuple[NDArray[np.float64], list[NDArray[np.float64]]]] = {}
    for index, ring in enumerate(rings):
        if len(ring) < 3:
            continue
        points = (ring[:, 0, :] + 0.5) * (downsample / 2)
        parent = int(tree[0][index][3])
        if parent < 0:
            found.setdefault(index, (points, []))
        elif parent in found:
            found[parent][1].append(points)

    def moved(ring: NDArray[np.float64], distance: float) -> BaseGeometry:
        part = Polygon(ring)
        whole = part if part.is_valid else shapely.make_valid(part)
        return shapely.buffer(whole, distance, join_style="mitre")

    # From the centres of the outermost fine pixels to their edges. Ring by ring: where pixels that
    # meet at a corner close a loop, shell and hole share a piece, and together are no polygon.
    edge = downsample / 4
    whole = [
        shapely.difference(
            moved(shell, edge), shapely.union_all([moved(hole, -edge) for hole in holes])
        )
        for shell, holes in found.values()
    ]
    return [
        piece
        for part in whole
        for piece in shapely.get_parts(part)
        if isinstance(piece, Polygon) and piece.area > 0
    ]


def chosen_cells(
    classes: CellClasses, selection: Selection, settings: ScoreSettings
) -> NDArray[np.intp]:
    """Return the cells to write: all, or stained tumor cells and those that may be tumor."""
    if settings.cells_geojson is CellsGeojson.ALL:
        return np.arange(len(classes))
    margin = settings.uncertain_margin
    is_doubtful = selection.counted_at(-margin) & ~selection.counted_at(margin)
    is_stained = selection.is_counted & (classes.intensity > Intensity.NONE)
    chosen = np.flatnonzero(is_stained | is_doubtful)
    return chosen[:: max(1, -(-len(chosen) // MAX_CHOSEN))]


def cell_outlines(counted: Counted, survey: Survey, settings: ScoreSettings) -> Iterator[Feature]:
    """Yield the outlines of cells with what was measured on them."""
    cells, classes = counted.cells, counted.classes
    chosen = chosen_cells(classes, counted.selection, settings)
    for index in chosen.tolist():
        x, y = float(cells.x[index]), float(cells.y[index])
        yield cell_feature(
            f"{index}",
            outline_polygon(x, y, cells.outline_um[index], mpp=survey.mpp),
            intensity=Intensity(int(classes.intensity[index])),
            is_counted=bool(counted.selection.is_counted[index]),
            measurements={
                "HER2: membrane completeness": float(classes.completeness[index]),
                "Membrane: DAB OD": float(classes.membrane_od[index])
                if classes.intensity[index] > Intensity.NONE
                else math.nan,
                "Cytoplasm: DAB OD": float(cells.cytoplasm_od[index]),
                "HER2: line of its own": float(counted.has_own_line[index]),
            },
        )
