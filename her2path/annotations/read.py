"""Read an annotation file into ROIs, whatever program wrote it."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import shapely
from shapely import MultiPolygon, Polygon

from her2path.annotations.geojson import shapes_of_geojson
from her2path.annotations.roi import Roi, RoiKind, kind_of_name
from her2path.annotations.shapes import (
    MAX_COORDINATE,
    Budget,
    Shape,
    areal_part,
    polygon_of_rings,
)
from her2path.annotations.xml import shapes_of_xml
from her2path.bounded import FileTooLargeError, read_bounded
from her2path.errors import AnnotationError, list_faults
from her2path.geometry import Location, Size
from her2path.slides.limits import plain

__all__ = ["MAX_FILE_BYTES", "read_annotations"]

logger = logging.getLogger(__name__)

# Outlines of regions take a few MB at most; parsed JSON needs about ten times the file.
MAX_FILE_BYTES = 128 * 2**20
# A hand that draws round the edge goes a little beyond it.
LEAST_INSIDE_FRAC = 0.5


def read_annotations(
    path: Path | str,
    *,
    slide_dimensions: Size | None = None,
    offset: Location = Location(0, 0),  # noqa: B008 - frozen
) -> tuple[Roi, ...]:
    """Read the outlines of a QuPath GeoJSON, Aperio ImageScope, HALO or ASAP file.

    The format is told from the content. Outlines that cross themselves are repaired; holes are
    kept; cells, points and lines are passed over. See `kind_of_name` for the meaning of classes:
    an outline without a class is a region to score.

    Parameters
    ----------
    path : path
        The file, at most `MAX_FILE_BYTES`.
    slide_dimensions : Size, optional
        Size of level 0. When given, outlines are cut at the slide's edge and one mostly outside
        is a fault: it belongs to another slide, or needs an offset.
    offset : Location
        Added to each vertex: the slide's bounds for outlines drawn in QuPath on an image that it
        cropped to its bounds (MRXS, BIF).

    Returns
    -------
    tuple of Roi
        In the order of the file, at least one.

    Raises
    ------
    AnnotationError
        If the file cannot be understood; all faults are listed at once with their positions.
    """
    path = Path(path)
    if max(abs(offset.x), abs(offset.y)) > MAX_COORDINATE:
        raise AnnotationError(
            f"{path.name} cannot be moved by {offset.x!s:.20}, {offset.y!s:.20} px, further than "
            "any slide reaches; check the offset"
        )
    budget = Budget()
    shapes = shapes_of(bytes_of(path), path, budget)
    for remark in budget.remarks:
        logger.warning("%s: %s", path.name, remark)
    if left := budget.n_remarks - len(budget.remarks):
        logger.warning("%s: %s more passed over", path.name, f"{left:,}")
    frame = None
    if slide_dimensions is not None:
        frame = shapely.box(0, 0, slide_dimensions.width, slide_dimensions.height)
    if any(shape.origin != (0.0, 0.0) for shape in shapes) and offset != Location(0, 0):
        raise AnnotationError(
            f"{path.name} says itself where on the slide it begins; leave the offset out"
        )
    drawn: list[tuple[Shape, Roi]] = []
    given: Counter[str] = Counter()
    for index, shape in enumerate(shapes):
        shift = (offset.x + shape.origin[0], offset.y + shape.origin[1])
        try:
            polygon = polygon_of_rings(shape.parts, shift=shift)
        except AnnotationError as error:
            budget.faults.append(f"{shape.where}: {error}")
            continue
        if polygon.is_empty or polygon.area == 0:
            budget.faults.append(f"{shape.where}: the outline encloses no area")
            continue
        if frame is not None:
            inside = areal_part(shapely.intersection(polygon, frame))
            if inside.area < LEAST_INSIDE_FRAC * polygon.area:
                budget.faults.append(outside_fault(shape, polygon, frame))
                continue
            polygon = inside
        roi = Roi(
            roi_id=unique_id(shape.shape_id or f"roi-{index + 1}", given),
            name=shape.name,
            kind=RoiKind.IGNORE if shape.is_negative else kind_of(shape),
            classification=shape.classification,
            polygon=polygon,
            is_core=shape.is_core,
        )
        drawn.append((shape, roi))
    if budget.faults:
        raise AnnotationError(list_faults(f"{path.name} cannot be used", budget.faults))
    rois = with_islands_cut_out(drawn)
    if not rois:
        raise AnnotationError(
            f"{path.name} holds no outline of a region; draw at least one and export annotations "
            "(not detections)"
        )
    logger.info("%s: %d outlines", path.name, len(rois))
    return tuple(rois)


def with_islands_cut_out(drawn: Sequence[tuple[Shape, Roi]]) -> list[Roi]:
    """Return the outlines; a negative one is cut out of those of its layer that are no tumor.

    What is cut out of necrosis is not left out with it. Out of tumor it is, wherever it lies; and
    one that lies in nothing of its layer says by itself what is to be left out.
    """
    of_layer: defaultdict[int, list[Polygon | MultiPolygon]] = defaultdict(list)
    for shape, roi in drawn:
        if not shape.is_negative:
            of_layer[shape.layer].append(roi.polygon)
    trees = {layer: shapely.STRtree(parts) for layer, parts in of_layer.items()}
    islands: defaultdict[int, list[Polygon | MultiPolygon]] = defaultdict(list)
    found: list[tuple[int, Roi]] = []
    for shape, roi in drawn:
        is_island = shape.is_negative and kind_of(shape) is not RoiKind.TUMOR
        tree = trees.get(shape.layer) if is_island else None
        if tree is not None and tree.query(roi.polygon, predicate="intersects").size:
            islands[shape.layer].append(roi.polygon)
        else:
            found.append((shape.layer, roi))
    cut = {layer: shapely.union_all(parts) for layer, parts in islands.items()}
    left = [
        replace(roi, polygon=areal_part(shapely.difference(roi.polygon, cut[layer])))
        if layer in cut and roi.kind is not RoiKind.TUMOR
        else roi
        for layer, roi in found
    ]
    return [roi for roi in left if not roi.polygon.is_empty]


def kind_of(shape: Shape) -> RoiKind:
    """Return what an outline asks for: its class says so, but for a name that rules it out.

    Whoever calls one outline of the class Tumor "necrosis" does not want it scored.
    """
    kind = kind_of_name(shape.classification)
    named = kind_of_name(shape.name)
    if kind is RoiKind.TUMOR and named in (RoiKind.IGNORE, RoiKind.CONTROL):
        return named
    return kind


def bytes_of(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_FILE_BYTES)
    except FileTooLargeError as error:
        raise AnnotationError(
            f"{path.name} is larger than {MAX_FILE_BYTES // 2**20} MiB; "
            "export the outlines of regions only, without cells"
        ) from error
    except OSError as error:
        raise AnnotationError(
            f"{path.name} cannot be read ({error.strerror or error}); check the path"
        ) from error


def shapes_of(data: bytes, path: Path, budget: Budget) -> list[Shape]:
    # The bytes of a byte order mark and of the second half of UTF-16 letters are no content.
    first = data[:256].translate(None, b"\xef\xbb\xbf\xff\xfe\x00").lstrip()[:1]
    readers = {b"{": shapes_of_geojson, b"[": shapes_of_geojson, b"<": shapes_of_xml}
    if first in readers:
        try:
            return [in_plain_text(shape) for shape in readers[first](data, budget)]
        except AnnotationError as error:
            raise AnnotationError(f"{path.name}: {error}") from error
    raise AnnotationError(
        f"{path.name} is neither JSON nor XML; QuPath GeoJSON, Aperio ImageScope, HALO and ASAP "
        "files are read"
    )


def in_plain_text(shape: Shape) -> Shape:
    """Return a shape whose names can be shown on a terminal and written into a table."""
    return replace(
        shape,
        shape_id=plain(shape.shape_id),
        name=plain(shape.name),
        classification=plain(shape.classification),
    )


def outside_fault(shape: Shape, polygon: shapely.Geometry, frame: shapely.Geometry) -> str:
    left, top, right, bottom = polygon.bounds
    _, _, width, height = frame.bounds
    return (
        f"{shape.where}: spans x {left:.0f}–{right:.0f}, y {top:.0f}–{bottom:.0f}, mostly outside "
        f"the slide of {width:.0f} × {height:.0f} px; is it of this slide, and in level-0 px?"
    )


def unique_id(wanted: str, given: Counter[str]) -> str:
    """Return `wanted`, numbered when it was given before, and remember it.

    `given` holds how often each was wanted: thousands of shapes may bear one name.
    """
    found = wanted
    while found in given:
        given[wanted] += 1
        found = f"{wanted}-{given[wanted]}"
    given[found] = 1
    return found
