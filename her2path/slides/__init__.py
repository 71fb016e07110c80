"""Reading slides: open, read at a wanted µm/px, tile, describe."""

from her2path.slides.color import Icc
from her2path.slides.info import describe_slide
from her2path.slides.mpp import require_mpp
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp, read_overview, size_at_mpp
from her2path.slides.slide import Slide
from her2path.slides.tiling import Tile, plan_tiles

__all__ = [
    "Icc",
    "Slide",
    "Tile",
    "describe_slide",
    "open_slide",
    "plan_tiles",
    "read_at_mpp",
    "read_overview",
    "require_mpp",
    "size_at_mpp",
]
