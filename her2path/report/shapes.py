"""What is drawn on the map of a slide, from its record and its regions.geojson."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.errors import ResultsError
from her2path.geometry import Region
from her2path.report.overview import MapRegion, MapShapes
from her2path.report.regions import shown_score
from her2path.results.geojson import ORIGIN_KEY, OutlineKind
from her2path.results.jsonable import read_json
from her2path.results.record import RegionKind, SlideRecord

__all__ = ["map_shapes"]

logger = logging.getLogger(__name__)

Polygon = NDArray[np.float64]

# A ring of tissue has a few thousand corners.
MAX_CORNERS = 1_000_000


def map_shapes(record: SlideRecord, regions_geojson: Path, *, downsample: float) -> MapShapes:
    """Return everything to draw, in px of a picture that is `downsample` times smaller.

    Outlines of tissue come from the GeoJSON; without it the map shows regions and controls only.
    Regions of too few cells have no color.
    """
    regions = tuple(
        MapRegion(
            tuple(ring / downsample for ring in rings_of(region.box, region.outline)),
            shown_score(region),
            region.kind is RegionKind.ROI,
        )
        for region in record.regions
        if region.kind is not RegionKind.CONTROL
    )
    outlines = {
        kind: tuple(ring / downsample for ring in rings)
        for kind, rings in read_outlines(regions_geojson).items()
    }
    control = outlines[OutlineKind.CONTROL] or tuple(
        box_ring(found.box) / downsample for found in record.tissue.controls if found.is_excluded
    )
    return MapShapes(
        regions=regions,
        tissue=outlines[OutlineKind.TISSUE],
        control=control,
        ignored=outlines[OutlineKind.IGNORED],
    )


def rings_of(box: Region, outline: tuple[Any, ...]) -> tuple[Polygon, ...]:
    if outline:
        return tuple(np.array(ring, np.float64) for rings in outline for ring in rings)
    return (box_ring(box),)


def box_ring(box: Region) -> Polygon:
    return np.array(
        [[box.x, box.y], [box.right, box.y], [box.right, box.bottom], [box.x, box.bottom]],
        np.float64,
    )


def read_outlines(path: Path) -> dict[OutlineKind, list[Polygon]]:
    """Return the rings of each kind of outline, level-0 px; none when the file cannot be used.

    A file that counts from the bounds of the slide says so. A map without outlines still shows the
    scores, so a damaged file is only reported.
    """
    found: dict[OutlineKind, list[Polygon]] = {kind: [] for kind in OutlineKind}
    if not path.exists():
        return found
    try:
        document = read_json(path)
        origin = np.array(document.get(ORIGIN_KEY, (0, 0)), np.float64)
        for feature in document["features"]:
            name = feature["properties"]["classification"]["name"]
            if name in list(OutlineKind):
                rings = rings_of_geometry(feature["geometry"])
                found[OutlineKind(name)] += [ring + origin for ring in rings]
    except (ResultsError, AttributeError, KeyError, TypeError, ValueError) as error:
        logger.warning("the outlines of %s are not drawn: %s", path, error)
    return found


def rings_of_geometry(geometry: Mapping[str, Any]) -> Iterator[Polygon]:
    coordinates = geometry["coordinates"]
    polygons = coordinates if geometry["type"] == "MultiPolygon" else [coordinates]
    for polygon in polygons:
        for ring in polygon:
            corners = np.array(ring, np.float64)
            if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) > MAX_CORNERS:
                raise ValueError(f"a ring of the shape {corners.shape} is no outline")
            if np.isfinite(corners).all():
                yield corners
