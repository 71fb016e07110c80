"""Outlines of control tissue on drawn slides, as a person would draw them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import shapely

# Membranes lie 7 µm from the centers of cells; a hand keeps a little more distance.
CONTROL_MARGIN_PX = 60.0


def outline_control(cells: Path) -> Path | None:
    """Write what a person would draw round the control tissue of a slide, if it has any."""
    with gzip.open(cells, "rt", encoding="utf-8", newline="") as file:
        places = [
            (float(row["x"]), float(row["y"]))
            for row in csv.DictReader(file)
            if row["kind"] == "control"
        ]
    if not places:
        return None
    hull = shapely.MultiPoint(places).convex_hull.buffer(CONTROL_MARGIN_PX, quad_segs=4)
    name = cells.name.removesuffix(".cells.csv.gz")
    feature = {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, f"{name}/control")),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[round(x), round(y)] for x, y in hull.exterior.coords]],
        },
        "properties": {
            "objectType": "annotation",
            "classification": {"name": "Control", "color": [120, 120, 200]},
        },
    }
    path = cells.with_name(f"{name}.roi.geojson")
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    path.write_text(text + "\n", encoding="utf-8")
    return path
