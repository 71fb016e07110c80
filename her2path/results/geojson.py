"""Stream regions, outlines and chosen cells to a GeoJSON file that opens in QuPath."""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Point, Polygon

from her2path.cells.table import N_SECTORS
from her2path.criteria.score import Intensity, Score
from her2path.geometry import Location, Mpp
from her2path.results.atomic import atomic_path
from her2path.results.colors import INTENSITY_COLORS, OUTLINE_COLORS, SCORE_COLORS, Rgb
from her2path.results.jsonable import canonical_json, clean_text

__all__ = [
    "ORIGIN_KEY",
    "Feature",
    "Origin",
    "OutlineKind",
    "cell_feature",
    "core_feature",
    "outline_corners",
    "outline_feature",
    "outline_polygon",
    "region_feature",
    "write_geojson",
]

logger = logging.getLogger(__name__)

NAMESPACE = uuid.UUID("7d0a6f0e-6a0f-5d0b-9a35-2f3c7b3d8c11")
# Level-0 px at which (0, 0) of a file lies, where that is not the corner of the slide.
ORIGIN_KEY = "her2path_origin"
# Class of a cell that is not among the tumor cells counted.
NOT_COUNTED = "Not counted"
# A hundredth of a pixel is finer than any outline is known, and half the file.
DECIMALS = 2


class Origin(StrEnum):
    """Where (0, 0) lies: at level 0, or at the bounds that QuPath crops some formats to."""

    LEVEL0 = "level0"
    BOUNDS = "bounds"


class OutlineKind(StrEnum):
    """Outlines beside the regions, by the class that QuPath shows."""

    TISSUE = "Tissue"
    CONTROL = "Control"
    IGNORED = "Ignore*"


@dataclass(frozen=True, slots=True)
class Feature:
    """One object of the file.

    Attributes
    ----------
    key : str
        Unique among the objects of its type on the slide; the identifier follows from it.
    polygon : Polygon or MultiPolygon
        Level-0 px.
    object_type : str
        QuPath's word: annotation, detection, cell or tmaCore.
    name, class_name : str
        Shown in QuPath; without a class there is none.
    color : tuple of int
        RGB, 0–255.
    measurements : mapping of str to float
        Flat; NaN and infinities are left out when written.
    nucleus : Polygon, optional
        Only for a cell.
    is_missing : bool, optional
        Only for a core.
    """

    key: str
    polygon: Polygon | MultiPolygon
    object_type: str
    name: str
    class_name: str
    color: Rgb
    measurements: Mapping[str, float] = field(default_factory=dict)
    nucleus: Polygon | None = None
    is_missing: bool | None = None


def region_feature(
    region_id: str,
    polygon: Polygon | MultiPolygon,
    *,
    score: Score,
    name: str = "",
    is_control: bool = False,
    measurements: Mapping[str, float] | None = None,
) -> Feature:
    """Return a scored region; its class is the score, but for control tissue, whose name has it.

    Whoever selects a score in QuPath selects tissue of the patient.
    """
    control = OutlineKind.CONTROL.value
    return Feature(
        key=f"region {region_id}",
        polygon=polygon,
        object_type="annotation",
        name=f"{name or region_id} ({score.value})" if is_control else name or region_id,
        class_name=control if is_control else score.value,
        color=OUTLINE_COLORS[control] if is_control else SCORE_COLORS[score],
        measurements=measurements or {},
    )


def outline_feature(key: str, polygon: Polygon | MultiPolygon, *, kind: OutlineKind) -> Feature:
    """Return an outline of tissue, control tissue or what was left out."""
    return Feature(
        key=f"{kind.value} {key}",
        polygon=polygon,
        object_type="annotation",
        name=key,
        class_name=kind.value,
        color=OUTLINE_COLORS[kind.value],
    )


def cell_feature(
    key: str,
    polygon: Polygon | MultiPolygon,
    *,
    intensity: Intensity,
    is_counted: bool = True,
    nucleus: Polygon | None = None,
    measurements: Mapping[str, float] | None = None,
) -> Feature:
    """Return a cell; without the outline of its nucleus QuPath knows it as a detection.

    Its class is that of its staining where it is among the tumor cells counted: classes of all
    cells, counted in QuPath, give the shares of the slide. The others have a class of their own.
    """
    return Feature(
        key=f"cell {key}",
        polygon=polygon,
        object_type="detection" if nucleus is None else "cell",
        name="",
        class_name=intensity.label.capitalize() if is_counted else NOT_COUNTED,
        color=INTENSITY_COLORS[intensity] if is_counted else OUTLINE_COLORS[OutlineKind.IGNORED],
        measurements=measurements or {},
        nucleus=nucleus,
    )


def core_feature(
    name: str, center: tuple[float, float], radius_px: float, *, is_missing: bool
) -> Feature:
    """Return a core of a microarray; center (x, y) and radius in level-0 px."""
    return Feature(
        key=f"core {name}",
        polygon=Point(center).buffer(radius_px),
        object_type="tmaCore",
        name=name,
        class_name="",
        color=OUTLINE_COLORS[OutlineKind.TISSUE.value],
        is_missing=is_missing,
    )


def outline_polygon(x: float, y: float, outline_um: NDArray[np.float32], *, mpp: Mpp) -> Polygon:
    """Return the outline of a cell in level-0 px from its centre and its radius per sector.

    `outline_um` as in `outline_corners`, of shape (N_SECTORS,).
    """
    return Polygon(outline_corners(np.asarray(x), np.asarray(y), outline_um, mpp=mpp))


def outline_corners(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    outline_um: NDArray[np.float32],
    *,
    mpp: Mpp,
) -> NDArray[np.float64]:
    """Return the corners (x, y) of outlines in level-0 px.

    Parameters
    ----------
    x, y : ndarray of shape (n,) or (), float64
        Centres, level-0 px.
    outline_um : ndarray of shape (n, N_SECTORS) or (N_SECTORS,), float32
        Radius in each sector, µm.
    mpp : Mpp
        Of level 0.

    Returns
    -------
    ndarray of shape (n, N_SECTORS, 2) or (N_SECTORS, 2), float64
    """
    angles = np.arange(N_SECTORS) * (2 * math.pi / N_SECTORS)
    return np.stack(
        [
            x[..., np.newaxis] + outline_um * np.cos(angles) / mpp.x,
            y[..., np.newaxis] + outline_um * np.sin(angles) / mpp.y,
        ],
        axis=-1,
    )


def write_geojson(
    path: Path,
    features: Iterable[Feature],
    *,
    slide_id: str,
    origin: Origin = Origin.LEVEL0,
    bounds: Location = Location(0, 0),  # noqa: B008 - frozen
) -> int:
    """Write features one by one, atomically, and return how many were written.

    Parameters
    ----------
    path : Path
        The file.
    features : iterable of Feature
        Consumed once, never held together; one without area is left out.
    slide_id : str
        Part of each identifier, so that the same slide gives the same file.
    origin : Origin
        With `BOUNDS`, coordinates count from `bounds`, as QuPath shows MRXS and BIF slides; the
        file then says so under `ORIGIN_KEY`.
    bounds : Location
        Top-left of the scanned area, level-0 px.

    Raises
    ------
    ResultsError
        If the file cannot be written.
    """
    shift = (bounds.x, bounds.y) if origin is Origin.BOUNDS else (0, 0)
    n_written = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # RFC 7946 lets a file hold more than it names; who does not know it passes over it.
        counts_from = f'"{ORIGIN_KEY}":[{shift[0]},{shift[1]}],' if any(shift) else ""
        file.write('{"type":"FeatureCollection",' + counts_from + '"features":[')
        for feature in features:
            if feature.polygon.is_empty or feature.polygon.area == 0:
                logger.warning("%s of %s has no area: left out", feature.key, slide_id)
                continue
            file.write(",\n" if n_written else "\n")
            document = document_of(feature, slide_id, shift)
            # Not json.dump: that walks the document in Python, four times slower.
            file.write(
                json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            )
            n_written += 1
        file.write("\n]}\n")
    return n_written


def document_of(feature: Feature, slide_id: str, shift: tuple[int, int]) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": feature.object_type}
    if feature.class_name:
        # QuPath refuses a class that has a name but no color.
        named = {"name": clean_text(feature.class_name), "color": list(feature.color)}
        properties["classification"] = named
    if feature.name:
        properties["name"] = clean_text(feature.name)
    if feature.object_type == "annotation":
        properties["isLocked"] = True
    if feature.is_missing is not None:
        properties["isMissing"] = feature.is_missing
    measurements = {
        clean_text(name): float(value)
        for name, value in feature.measurements.items()
        if math.isfinite(value)
    }
    if measurements:
        properties["measurements"] = measurements
    document: dict[str, Any] = {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, canonical_json([slide_id, feature.key]))),
        "geometry": geometry_of(feature.polygon, shift),
    }
    # QuPath looks for the nucleus beside the geometry, and only in a cell.
    if feature.nucleus is not None and feature.object_type == "cell":
        document["nucleusGeometry"] = geometry_of(feature.nucleus, shift)
    document["properties"] = properties
    return document


def geometry_of(polygon: Polygon | MultiPolygon, shift: tuple[int, int]) -> dict[str, Any]:
    # As RFC 7946 asks: outer rings counterclockwise by their numbers, holes clockwise.
    polygon = shapely.orient_polygons(polygon)
    parts = [
        [
            np.round(shapely.get_coordinates(ring) - shift, DECIMALS).tolist()
            for ring in (part.exterior, *part.interiors)
        ]
        for part in shapely.get_parts(polygon)
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
