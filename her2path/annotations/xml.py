"""Read the outlines of Aperio ImageScope, HALO and ASAP XML files.

The parser refuses a document type declaration, the only way by which XML brings entities and
outside files along, and keeps no tree: memory is bounded by the vertices it may hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError, XMLParser

from her2path.annotations.roi import GENERIC_NAME, RoiKind, kind_of_name
from her2path.annotations.shapes import MAX_TEXT, Budget, Ring, Shape, ring_fault
from her2path.errors import AnnotationError

__all__ = ["shapes_of_xml"]

MAX_DEPTH = 16
MAX_ELEMENTS = 4_000_000
# Sides of the polygon that stands for an ellipse: it loses 0.04 % of the area.
ELLIPSE_SIDES = 128

SHAPE_WORDS = {
    "0": "polygon",
    "1": "rectangle",
    "2": "ellipse",
    "freehand": "polygon",
    "spline": "polygon",
    "": "polygon",
}


@dataclass(slots=True)
class OpenShape:
    """A shape whose end tag has not come yet."""

    where: str
    shape_id: str
    kind: str
    names: list[str]
    is_negative: bool
    points: list[tuple[float, float, float]] = field(default_factory=list)
    fault: str | None = None


class ShapeTarget:
    """Receives the parser's events and keeps finished shapes; the two dialects side by side."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.shapes: list[Shape] = []
        self.depth = 0
        self.n_elements = 0
        self.n_drawn = 0
        self.dialect = ""
        self.layer_name = ""
        self.n_layers = 0
        self.current: OpenShape | None = None

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002
        raise AnnotationError(
            "the annotation file declares a document type, which could pull in other files; "
            "remove the <!DOCTYPE …> line"
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.n_elements += 1
        if self.depth > MAX_DEPTH or self.n_elements > MAX_ELEMENTS:
            raise AnnotationError(
                f"the annotation file is nested deeper than {MAX_DEPTH} or holds more than "
                f"{MAX_ELEMENTS:,} elements; export the outlines of regions only"
            )
        if not self.dialect:
            self.dialect = self.dialect_of(tag)
        elif self.dialect == "asap":
            self.start_asap(tag, attributes)
        else:
            self.start_aperio(tag, attributes)

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag == ("Annotation" if self.dialect == "asap" else "Region"):
            self.finish_shape()

    def dialect_of(self, root: str) -> str:
        dialects = {"Annotations": "aperio", "ASAP_Annotations": "asap"}
        if root not in dialects:
            raise AnnotationError(
                f"the annotation file is XML with the root <{root[:60]}>; Aperio and HALO "
                "(<Annotations>), ASAP (<ASAP_Annotations>) and QuPath GeoJSON are read"
            )
        return dialects[root]

    def start_aperio(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotation":
            self.layer_name = attributes.get("Name", "")
            self.n_layers += 1
        elif tag == "Attribute" and self.current is None and not self.layer_name:
            self.layer_name = attributes.get("Value", "")
        elif tag == "Region":
            self.open_shape(
                shape_id=attributes.get("Id", ""),
                kind=attributes.get("Type", ""),
                names=[attributes.get("Text", ""), self.layer_name],
                is_negative=attributes.get("NegativeROA", "0").strip().lower() in {"1", "true"},
            )
        elif tag in {"Vertex", "V"}:
            self.add_point(attributes)

    def start_asap(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotation":
            self.open_shape(
                shape_id="",
                kind=attributes.get("Type", ""),
                names=[attributes.get("Name", ""), attributes.get("PartOfGroup", "")],
                is_negative=False,
            )
        elif tag == "Coordinate":
            self.add_point(attributes)

    def open_shape(self, *, shape_id: str, kind: str, names: list[str], is_negative: bool) -> None:
        where = f"outline {self.n_drawn}"
        if self.current is not None:
            self.budget.add_fault(f"{self.current.where}: {where} begins before it ends")
        self.n_drawn += 1
        word = kind.strip().lower()
        self.current = OpenShape(where, shape_id, SHAPE_WORDS.get(word, word), names, is_negative)
        if any(len(text) > MAX_TEXT for text in (shape_id, *names)):
            self.current.fault = f"a name has more than {MAX_TEXT} letters"

    def add_point(self, attributes: dict[str, str]) -> None:
        shape = self.current
        if shape is None:
            return
        self.budget.use_vertices(1)
        index = len(shape.points)
        try:
            x, y = float(attributes["X"]), float(attributes["Y"])
            order = float(attributes.get("Order", index))
            if math.isnan(order):
                raise ValueError("vertices without an order cannot be sorted")
        except (KeyError, ValueError):
            shown = str(attributes)[:60]
            shape.fault = (
                shape.fault or f"vertex {index} is {shown}, X, Y and Order must be numbers"
            )
            # Keeps the numbers of the vertices that follow right.
            x, y, order = 0.0, 0.0, float(index)
        shape.points.append((order, x, y))

    def finish_shape(self) -> None:
        shape, self.current = self.current, None
        if shape is None:
            return
        points: list[tuple[float, float]] = [
            (x, y) for _, x, y in sorted(shape.points, key=lambda point: point[0])
        ]
        if shape.kind not in {"polygon", "rectangle", "ellipse"}:
            self.budget.add_remark(
                f"{shape.where} is a {shape.kind!r} and encloses no area: passed over"
            )
            return
        # Two opposite corners, or four, stand for the box of a rectangle or an ellipse.
        ring: Ring = points
        if shape.kind == "rectangle" and len(points) == 2:
            (left, top), (right, bottom) = points
            ring = [(left, top), (right, top), (right, bottom), (left, bottom)]
        elif shape.kind == "ellipse" and 2 <= len(points) <= 4:
            ring = ellipse_within(points)
        fault = shape.fault or ring_fault(ring)
        if fault is not None:
            self.budget.add_fault(f"{shape.where}: {fault}")
            return
        self.budget.use_shape()
        name, layer = shape.names
        self.shapes.append(
            Shape(
                shape.where,
                shape.shape_id,
                name,
                most_telling([layer, name]),
                ((ring,),),
                shape.is_negative,
                layer=self.n_layers,
            )
        )


def shapes_of_xml(data: bytes, budget: Budget) -> list[Shape]:
    """Return the outlines of an Aperio, HALO or ASAP file; faults go to `budget.faults`.

    Raises
    ------
    AnnotationError
        If the bytes are no such XML, declare a document type, or exceed a limit.
    """
    target = ShapeTarget(budget)
    parser = XMLParser(target=target)
    try:
        parser.feed(data)
        parser.close()
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(
            f"the annotation file is not valid XML ({error}); export it again"
        ) from error
    return target.shapes


def ellipse_within(points: list[tuple[float, float]]) -> Ring:
    """Return the ellipse that fills the box of `points`, as a ring."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    center_x, center_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    radius_x, radius_y = (max(xs) - min(xs)) / 2, (max(ys) - min(ys)) / 2
    angles = (2 * math.pi * side / ELLIPSE_SIDES for side in range(ELLIPSE_SIDES))
    return [
        (center_x + radius_x * math.cos(angle), center_y + radius_y * math.sin(angle))
        for angle in angles
    ]


def most_telling(names: list[str]) -> str:
    """Return the first name with a known meaning, else the first that is no default."""
    own = [name for name in names if not GENERIC_NAME.fullmatch(name.casefold().strip(" *"))]
    for name in own:
        if kind_of_name(name) is not RoiKind.OTHER:
            return name
    return own[0] if own else ""
