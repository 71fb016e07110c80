"""Read the outlines of a QuPath GeoJSON file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from her2path.annotations.shapes import (
    MAX_COORDINATE,
    MAX_TEXT,
    Budget,
    Ring,
    Shape,
    ring_fault,
)
from her2path.errors import AnnotationError
from her2path.results.geojson import ORIGIN_KEY

__all__ = ["shapes_of_geojson"]

logger = logging.getLogger(__name__)

# Cells, tiles and the root of a hierarchy are no regions that somebody drew.
CORE_TYPES = {"tmacore", "tmacoreobject"}
READ_TYPES = {"", "annotation", "pathannotationobject", "unknown"} | CORE_TYPES
# QuPath 0.2 wrote the kind of an object in place of its identifier, and nowhere else.
KINDS_AS_ID = READ_TYPES | {f"path{kind}object" for kind in ("cell", "detection", "root", "tile")}
MAX_COLLECTION_DEPTH = 8
# Lists and objects, however short: each takes some 70 bytes. More are not needed for the most
# vertices that are read with as many cells beside them that are passed over.
MAX_PARTS = 10_000_000


def shapes_of_geojson(data: bytes, budget: Budget) -> list[Shape]:
    """Return the outlines of a FeatureCollection, a single Feature, or a bare list of Features.

    Faults of single features are added to `budget.faults`; cells, points and lines are passed over.

    Raises
    ------
    AnnotationError
        If the bytes are no GeoJSON at all or exceed a limit.
    """
    if data.count(b"[") + data.count(b"{") > MAX_PARTS:
        raise AnnotationError(
            f"the annotation file holds more than {MAX_PARTS:,} lists and objects; "
            "export the outlines of regions only, without cells"
        )
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise AnnotationError("the annotation file is nested too deeply to be GeoJSON") from error
    except ValueError as error:
        raise AnnotationError(
            f"the annotation file is not valid JSON ({error}); export it again"
        ) from error
    shapes = []
    origin = origin_of(document)
    for where, feature in features_of(document):
        shape = shape_of_feature(feature, where, budget)
        if shape is not None:
            budget.use_shape()
            shapes.append(replace(shape, origin=origin))
    return shapes


def origin_of(document: object) -> tuple[float, float]:
    """Return where on the slide the coordinates begin: `score --geojson-origin bounds` says so."""
    said = document.get(ORIGIN_KEY, (0, 0)) if isinstance(document, dict) else (0, 0)
    try:
        x, y = (float(value) for value in said)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{ORIGIN_KEY} is {said!r:.60}, not two numbers") from error
    if not max(abs(x), abs(y)) <= MAX_COORDINATE:
        raise AnnotationError(f"{ORIGIN_KEY} is {said!r:.60}, further than any slide reaches")
    return x, y


def features_of(document: object) -> Iterator[tuple[str, object]]:
    features: object
    if isinstance(document, list):
        features = document
    elif isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features")
    elif isinstance(document, dict) and document.get("type") == "Feature":
        features = [document]
    else:
        kind = document.get("type") if isinstance(document, dict) else type(document).__name__
        raise AnnotationError(
            f"the annotation file is JSON but its type is {kind!r:.60}; "
            "a FeatureCollection, a Feature or a list of Features is needed"
        )
    if not isinstance(features, list):
        raise AnnotationError("the FeatureCollection has no list of features; export it again")
    for index, feature in enumerate(features):
        yield f"feature {index}", feature


def shape_of_feature(feature: object, where: str, budget: Budget) -> Shape | None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        budget.add_fault(f"{where}: is no Feature")
        return None
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        budget.add_fault(f"{where}: properties is {type(properties).__name__}, not an object")
        return None
    shape_id = feature.get("id", "")
    id_text = str(shape_id) if isinstance(shape_id, str | int) else ""
    kind_as_id = id_text if id_text.lower() in KINDS_AS_ID else ""
    # Null says no more than nothing.
    object_type = properties.get("objectType") or properties.get("object_type") or kind_as_id
    if not isinstance(object_type, str) or object_type.lower() not in READ_TYPES:
        logger.debug("%s is a %r, not an annotation: passed over", where, object_type)
        return None
    if properties.get("isMissing") is True:
        return None

    name = properties.get("name") or ""
    texts = {
        "id": "" if kind_as_id else id_text,
        "name": name if isinstance(name, str) else str(name)[:MAX_TEXT],
        "classification": classification_of(properties.get("classification"), where, budget),
    }
    for key, text in texts.items():
        if len(text) > MAX_TEXT:
            budget.add_fault(f"{where}: {key} has {len(text):,} letters, {MAX_TEXT} at most")
            return None
        if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
            budget.add_fault(f"{where}: {key} holds half a letter, which no file can store")
            return None
    parts = parts_of_geometry(feature.get("geometry"), where, budget)
    if not parts:
        return None
    is_core = object_type.lower() in CORE_TYPES
    named = texts["id"], texts["name"], texts["classification"]
    return Shape(where, *named, tuple(parts), is_core=is_core)


def classification_of(value: object, where: str, budget: Budget) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        name, names = value.get("name"), value.get("names")
        if isinstance(name, str):
            return name
        if isinstance(names, list) and all(isinstance(part, str) for part in names):
            return ": ".join(names)
        if name is None and names is None:
            return ""
    budget.add_fault(f"{where}: classification {str(value)[:60]!r} has no readable name")
    return ""


def parts_of_geometry(
    geometry: object, where: str, budget: Budget, *, depth: int = 0
) -> list[tuple[Ring, ...]]:
    """Return the polygons of a geometry; none when it is of points or lines or has a fault."""
    if not isinstance(geometry, Mapping):
        budget.add_fault(f"{where}: has no geometry")
        return []
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        return [rings] if (rings := rings_of(coordinates, where, budget)) else []
    if kind == "MultiPolygon":
        if not isinstance(coordinates, list) or not coordinates:
            budget.add_fault(f"{where}: a MultiPolygon without polygons")
            return []
        found = (
            rings_of(polygon, f"{where}, polygon {index}", budget)
            for index, polygon in enumerate(coordinates)
        )
        return [rings for rings in found if rings]
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        if depth >= MAX_COLLECTION_DEPTH:
            budget.add_fault(
                f"{where}: GeometryCollections in each other, more than {MAX_COLLECTION_DEPTH} deep"
            )
            return []
        if not isinstance(members, list):
            budget.add_fault(f"{where}: a GeometryCollection without a list of geometries")
            return []
        return [
            part
            for index, member in enumerate(members)
            for part in parts_of_geometry(
                member, f"{where}, geometry {index}", budget, depth=depth + 1
            )
        ]
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        budget.add_remark(f"{where} is a {kind} and encloses no area: passed over")
        return []
    budget.add_fault(f"{where}: geometry type {str(kind)[:40]!r} is unknown")
    return []


def rings_of(coordinates: object, where: str, budget: Budget) -> tuple[Ring, ...]:
    if not isinstance(coordinates, list) or not coordinates:
        budget.add_fault(f"{where}: a Polygon without rings")
        return ()
    rings = []
    for index, ring in enumerate(coordinates):
        if not isinstance(ring, list):
            budget.add_fault(f"{where}, ring {index}: is no list of vertices")
            return ()
        budget.use_vertices(len(ring))
        points = [point_of(vertex) for vertex in ring]
        if None in points:
            bad = points.index(None)
            budget.add_fault(
                f"{where}, ring {index}: vertex {bad} is {str(ring[bad])[:40]!r}, not [x, y]"
            )
            return ()
        whole = [point for point in points if point is not None]
        if (fault := ring_fault(whole)) is not None:
            budget.add_fault(f"{where}, ring {index}: {fault}")
            return ()
        rings.append(whole)
    return tuple(rings)


def point_of(vertex: Any) -> tuple[float, float] | None:  # noqa: ANN401 - whatever the file holds
    if not isinstance(vertex, list) or len(vertex) < 2:
        return None
    x, y = vertex[0], vertex[1]
    # A bool is an int to Python; a string would be taken for a number by numpy.
    if type(x) not in (int, float) or type(y) not in (int, float):
        return None
    try:
        return float(x), float(y)
    except OverflowError:
        return None
