"""Outlines of cells as DICOM Microscopy Bulk Simple Annotations, one group per class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Intensity, Organ
from her2path.errors import ResultsError
from her2path.results.cells import CellTable, read_cells
from her2path.results.colors import INTENSITY_COLORS, OUTLINE_COLORS, Rgb
from her2path.results.columns import Exclusion
from her2path.results.dicom_source import (
    RESEARCH_USE,
    Dicom,
    Identity,
    coding_schemes,
    equipment,
    library,
    one_line,
    private_code,
    readable_faults,
    stamp,
)
from her2path.results.geojson import OutlineKind, outline_corners
from her2path.results.jsonable import canonical_json
from her2path.results.record import SlideRecord
from her2path.results.scored_slide import scored_mpp

__all__ = ["MAX_ANNOTATIONS", "CellsWanted", "annotations_of"]

# 256 MB of corners, and some 2 GB of memory while they are written; viewers stop before.
MAX_ANNOTATIONS = 1_000_000
# Cells whose corners are computed together.
BLOCK = 65_536
SERIES_NUMBER = 9101
COLUMNS = ("x", "y", "excluded", "intensity", "completeness", "membrane_od", "outline_um")


class CellsWanted(StrEnum):
    """Which cells are written: stained tumor cells, all tumor cells, or all cells."""

    STAINED = "stained"
    TUMOR = "tumor"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Group:
    """Cells of one class, with what a viewer shows of them."""

    key: str
    label: str
    description: str
    color: Rgb
    is_member: NDArray[np.bool_]


def annotations_of(
    record: SlideRecord,
    cells_path: Path,
    image: Dicom,
    *,
    wanted: CellsWanted,
) -> tuple[Dicom, int]:
    """Return the outlines of a slide's cells as a DICOM instance, and how many there are.

    Parameters
    ----------
    record : SlideRecord
        The result of the slide.
    cells_path : Path
        Its cells.parquet.
    image : pydicom Dataset
        Attributes of the level-0 image (`read_source_image`).
    wanted : CellsWanted
        Which cells.

    Returns
    -------
    tuple of (highdicom MicroscopyBulkSimpleAnnotations or None, int)
        None where there is no such cell: DICOM has no empty annotations.

    Raises
    ------
    ResultsError
        If the cells cannot be read, are too many, or an attribute of the slide is refused.

    References
    ----------
    DICOM PS3.3, A.87, Microscopy Bulk Simple Annotations IOD.
    """
    cells = read_cells(cells_path, columns=COLUMNS, is_strict=True)
    groups = list(groups_of(cells, wanted))
    n_cells = sum(int(group.is_member.sum()) for group in groups)
    if n_cells > MAX_ANNOTATIONS:
        raise ResultsError(
            f"{record.slide_id} has {n_cells:,} such cells, more than the {MAX_ANNOTATIONS:,} that "
            "a viewer can be given"
            + ("; write fewer with --cells stained" if wanted is CellsWanted.ALL else "")
        )
    identity = Identity(
        str(image.SOPInstanceUID),
        canonical_json([hash_of(cells_path), canonical_json(record), wanted.value]),
        "annotations",
    )
    with readable_faults(record.slide_id):
        items: list[Dicom] = []
        for group in groups:
            made = group_item(record, cells, group, number=len(items) + 1, identity=identity)
            if made is not None:
                items.append(made)
        if not items:
            return None, 0
        return instance(record, image, items, identity), sum(i.NumberOfAnnotations for i in items)


def groups_of(cells: CellTable, wanted: CellsWanted) -> Iterator[Group]:
    is_counted = cells["excluded"] == Exclusion.COUNTED.value
    for level in Intensity:
        if level is Intensity.NONE and wanted is CellsWanted.STAINED:
            continue
        yield Group(
            key=level.label,
            label=f"HER2 membrane staining: {level.label}",
            description=f"Tumor cells counted, with {level.label} membrane staining.",
            color=INTENSITY_COLORS[level],
            is_member=np.asarray(is_counted & (cells["intensity"] == level.label), np.bool_),
        )
    if wanted is CellsWanted.ALL:
        yield Group(
            key="not_counted",
            label="Cells not counted",
            description="No tumor cells, or left out: cells.parquet says why.",
            color=OUTLINE_COLORS[OutlineKind.IGNORED.value],
            is_member=np.asarray(~is_counted, np.bool_),
        )


def group_item(
    record: SlideRecord, cells: CellTable, group: Group, *, number: int, identity: Identity
) -> Dicom | None:
    """Return the annotations of one group, or None without a cell in it."""
    ann, highdicom = library("highdicom.ann"), library("highdicom")
    codes = library("pydicom.sr.codedict").codes
    of_group = cells.select(group.is_member)
    polygons, is_drawn = polygons_of(of_group, record)
    if not polygons:
        return None
    of_group = of_group.select(is_drawn)
    measured = (
        # Where DICOM has a code for neither, the column of cells.parquet names it.
        ("completeness", "Membrane completeness", codes.UCUM.Percent, 100.0),
        ("membrane_od", "Membrane DAB optical density (log10)", codes.UCUM.NoUnits, 1.0),
    )
    measurements = [
        ann.Measurements(private_code(name, meaning), values, unit)
        for name, meaning, unit, factor in measured
        for values in [np.asarray(of_group[name], np.float32) * np.float32(factor)]
        # A list without a value is no list: unstained cells have no OD of a membrane.
        if not np.isnan(values).all()
    ]
    return ann.AnnotationGroup(
        number=number,
        uid=identity.uid(f"group {group.key}"),
        label=group.label,
        description=group.description,
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=codes.SCT.Cell,
        graphic_type=ann.GraphicTypeValues.POLYGON,
        graphic_data=polygons,
        algorithm_type=ann.AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="her2path",
            family=(
                codes.cid7162.EdgeDetection
                if record.model == "none"
                else codes.cid7162.ArtificialIntelligence
            ),
            version=one_line(record.software_version),
            source="her2path",
            parameters={"model": one_line(record.model), "settings": record.settings_hash[:64]},
        ),
        measurements=measurements or None,
        display_color=highdicom.color.CIELabColor.from_rgb(*group.color),
    )


def polygons_of(
    cells: CellTable, record: SlideRecord
) -> tuple[list[NDArray[np.float32]], NDArray[np.bool_]]:
    """Return the outlines in px of the total pixel matrix, and which cells have one.

    That matrix is level 0, and both count from its top left corner. An outline that reaches beyond
    the picture ends at its edge; one without area is left out.
    """
    polygons: list[NDArray[np.float32]] = []
    is_drawn = np.zeros(len(cells), np.bool_)
    mpp = scored_mpp(record)
    for start in range(0, len(cells), BLOCK):
        block = slice(start, start + BLOCK)
        x, y, outline_um = (cells[name][block] for name in ("x", "y", "outline_um"))
        exact = outline_corners(
            np.asarray(x, np.float64),
            np.asarray(y, np.float64),
            np.asarray(outline_um, np.float32),
            mpp=mpp,
        )
        edge = (record.scan.width, record.scan.height)
        corners = np.clip(exact, 0, edge, out=exact).astype(np.float32)
        is_drawn[block] = areas_of(corners) > 0
        polygons += [open_ring(polygon) for polygon in corners[is_drawn[block]]]
    return polygons, is_drawn


def areas_of(corners: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the areas of polygons, px²."""
    # From a corner of their own, so that large coordinates do not swallow a small area.
    x, y = np.moveaxis((corners - corners[:, :1]).astype(np.float64), -1, 0)
    twice = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    return np.asarray(np.abs(twice) / 2, np.float64)


def open_ring(polygon: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a polygon whose last corner is not its first: DICOM closes it by itself."""
    n_corners = len(polygon)
    while n_corners > 1 and np.array_equal(polygon[n_corners - 1], polygon[0]):
        n_corners -= 1
    return polygon[:n_corners]


def instance(record: SlideRecord, image: Dicom, groups: list[Dicom], identity: Identity) -> Dicom:
    ann = library("highdicom.ann")
    made = ann.MicroscopyBulkSimpleAnnotations(
        source_images=[image],
        annotation_coordinate_type=ann.AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        series_instance_uid=identity.uid("series"),
        series_number=SERIES_NUMBER,
        series_description="HER2 membrane staining, cells",
        sop_instance_uid=identity.uid("instance"),
        instance_number=1,
        content_label="HER2_CELLS",
        content_description=RESEARCH_USE,
        coding_schemes=coding_schemes(),
        **equipment(),
    )
    if record.organ is Organ.BREAST:
        # One side is meant; a slide does not say which.
        made.Laterality = None
    stamp(made, record)
    return made


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
