"""Outlines drawn by a person: read them, ask them, paint them."""

from her2path.annotations.raster import contains, rasterise
from her2path.annotations.read import read_annotations
from her2path.annotations.roi import Roi, RoiKind, kind_of_name

__all__ = ["Roi", "RoiKind", "contains", "kind_of_name", "rasterise", "read_annotations"]
