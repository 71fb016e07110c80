"""Outlines as a file states them, and how they become valid polygons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LinearRing, MultiPolygon, Polygon

from her2path.errors import AnnotationError

__all__ = [
    "MAX_COORDINATE",
    "MAX_SHAPES",
    "MAX_TEXT",
    "MAX_VERTICES",
    "Budget",
    "Ring",
    "Shape",
    "areal_part",
    "polygon_of_rings",
    "ring_fault",
]

# A careful outline has a few thousand vertices and a slide a few hundred outlines; a file far
# beyond that is an export of cells or an attack, and would exhaust memory either way.
MAX_VERTICES = 2_000_000
MAX_SHAPES = 50_000
MAX_TEXT = 500
# Beyond it a file is of another kind; each further fault would only take memory.
MAX_FAULTS = 1_000
# So many show what is passed over; a count by hand has thousands of points.
MAX_REMARKS = 10
# Ten times the side of the largest slides; beyond it float32 consumers lose whole pixels.
MAX_COORDINATE = 1e7
# A hand slips a dozen times; repair takes a second for a thousand crossings and grows with their
# square.
MAX_CROSSINGS = 1_000
MAX_CROSSED_VERTICES = 100_000
# Segments that are asked at once: each may meet all others.
SEGMENTS_AT_ONCE = 64

Ring = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One outline before it is checked.

    Attributes
    ----------
    where : str
        Position in the file, for messages.
    shape_id, name, classification : str
        As written; empty when absent.
    parts : tuple of tuple of ring
        Polygons, each an exterior followed by its holes.
    is_negative : bool
        Whether the file says that the area is to be left out of its layer.
    is_core : bool
        Whether it is a core of a microarray.
    layer : int
        Number of the layer that it was drawn in; 0 where a file has none.
    origin : tuple of 2 float
        Where on the slide (0, 0) of its coordinates lies, level-0 px.
    """

    where: str
    shape_id: str
    name: str
    classification: str
    parts: tuple[tuple[Ring, ...], ...]
    is_negative: bool = False
    is_core: bool = False
    layer: int = 0
    origin: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class Budget:
    """Counts what a file has used, so that it is stopped before memory is; keeps what is wrong.

    `faults` end the reading, `remarks` tell what is passed over: the first of `n_remarks`.
    """

    n_vertices: int = 0
    n_shapes: int = 0
    n_remarks: int = 0
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add_fault(self, words: str) -> None:
        """Note what is wrong; raise AnnotationError beyond the limit."""
        self.faults.append(words)
        if len(self.faults) > MAX_FAULTS:
            raise AnnotationError(
                f"the annotation file has more than {MAX_FAULTS:,} faults, such as: "
                f"{self.faults[0]}; export it again"
            )

    def add_remark(self, words: str) -> None:
        """Note what is passed over."""
        self.n_remarks += 1
        if len(self.remarks) < MAX_REMARKS:
            self.remarks.append(words)

    def use_vertices(self, n: int) -> None:
        """Count `n` vertices; raise AnnotationError beyond the limit."""
        self.n_vertices += n
        if self.n_vertices > MAX_VERTICES:
            raise AnnotationError(
                f"the annotation file holds more than {MAX_VERTICES:,} vertices; "
                "export the outlines of regions only, without cells"
            )

    def use_shape(self) -> None:
        """Count one outline; raise AnnotationError beyond the limit."""
        self.n_shapes += 1
        if self.n_shapes > MAX_SHAPES:
            raise AnnotationError(
                f"the annotation file holds more than {MAX_SHAPES:,} outlines; "
                "export the outlines of regions only, without cells"
            )


def ring_fault(points: Sequence[tuple[float, float]]) -> str | None:
    """Return what is wrong with a ring of (x, y), or None."""
    for index, (x, y) in enumerate(points):
        if not (math.isfinite(x) and math.isfinite(y)):
            return f"vertex {index} is ({x}, {y}), not a finite number"
        if abs(x) > MAX_COORDINATE or abs(y) > MAX_COORDINATE:
            return f"vertex {index} is ({x:g}, {y:g}), further than any slide reaches"
    n = len(points)
    if n and points[0] == points[-1]:
        n -= 1
    if n < 3:
        return f"a ring has {n} distinct vertices, at least 3 are needed"
    return None


def polygon_of_rings(
    parts: Iterable[Sequence[Ring]], *, shift: tuple[float, float] = (0.0, 0.0)
) -> Polygon | MultiPolygon:
    """Join parts (exterior, holes…) into one valid outline; it may be empty.

    An outline that crosses itself, or is traced twice, holds all that the hand went round; shared
    area of two parts counts once.

    Raises
    ------
    AnnotationError
        If it crosses itself too often to be repaired.
    """
    polygons = []
    for exterior, *holes in parts:
        shell, *gaps = (
            without_repeats(np.asarray(ring, np.float64) + shift) for ring in (exterior, *holes)
        )
        polygons.append(Polygon(shell, gaps))
    if len(polygons) == 1 and polygons[0].is_valid:
        return polygons[0]
    together = MultiPolygon(polygons)
    if together.is_valid:
        return together
    refuse_tangle(polygons)
    repaired = [repaired_polygon(polygon) for polygon in polygons]
    return repaired[0] if len(repaired) == 1 else areal_part(shapely.union_all(repaired))


def without_repeats(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring, shape (n, 2), without vertices that follow their like: they are no crossings.

    One that has not three others is returned as it is.
    """
    is_new = np.append(True, (ring[1:] != ring[:-1]).any(axis=1))
    kept = ring[is_new]
    n_distinct = len(kept) - int((kept[0] == kept[-1]).all())
    return kept if n_distinct >= 3 else ring


def repaired_polygon(polygon: Polygon) -> Polygon | MultiPolygon:
    """Return what a hand went round of a polygon that may cross itself, less its holes."""
    if polygon.is_valid:
        return polygon
    holes = shapely.union_all([enclosed(ring) for ring in polygon.interiors])
    return areal_part(shapely.difference(enclosed(polygon.exterior), holes))


def enclosed(ring: LinearRing) -> shapely.Geometry:
    """Return the area that a ring winds round at least once, in either direction.

    By parity, area where an outline laps over itself would fall out of it.
    """
    faces = shapely.get_parts(shapely.polygonize([shapely.node(ring)]))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    points = shapely.get_coordinates(ring)
    start, step = points[:-1], np.diff(points, axis=0)
    is_wound = []
    for x, y in inside:
        rises = (start[:, 1] <= y) & (start[:, 1] + step[:, 1] > y)
        falls = (start[:, 1] > y) & (start[:, 1] + step[:, 1] <= y)
        # > 0 where the point lies left of the segment.
        side = step[:, 0] * (y - start[:, 1]) - step[:, 1] * (x - start[:, 0])
        is_wound.append(np.sum(rises & (side > 0)) != np.sum(falls & (side < 0)))
    return shapely.union_all(faces[np.array(is_wound, np.bool_)])


def refuse_tangle(polygons: Sequence[Polygon]) -> None:
    """Raise AnnotationError when outlines cross each other more often than a hand would."""
    pieces = []
    for polygon in polygons:
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(ring)
            pieces.append(np.stack([points[:-1], points[1:]], axis=1))
    segments = shapely.linestrings(np.concatenate(pieces))
    is_tangle = len(segments) > MAX_CROSSED_VERTICES and not all(p.is_valid for p in polygons)
    # Each segment meets itself and its two neighbors, and each crossing is found from both sides.
    left = 3 * len(segments) + 2 * MAX_CROSSINGS
    if not is_tangle:
        tree = shapely.STRtree(segments)
        for start in range(0, len(segments), SEGMENTS_AT_ONCE):
            some = segments[start : start + SEGMENTS_AT_ONCE]
            left -= tree.query(some, predicate="intersects").shape[1]
            if left < 0:
                is_tangle = True
                break
    if is_tangle:
        raise AnnotationError(
            f"an outline of {len(segments):,} vertices crosses itself too often to be repaired; "
            "draw it again"
        )


def areal_part(geometry: shapely.Geometry) -> Polygon | MultiPolygon:
    """Return the polygons of a geometry, leaving out its points and lines."""
    if isinstance(geometry, Polygon):
        return geometry
    polygons = [
        part
        for part in shapely.get_parts(shapely.get_parts(geometry))
        if isinstance(part, Polygon) and not part.is_empty
    ]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
