"""Say what was understood of a slide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from her2path.flags.evidence import FlagCuts
from her2path.slides.mpp import mpp_problem
from her2path.slides.slide import Slide

__all__ = ["describe_slide"]

BOUNDS = ("x", "y", "width", "height")
# Above this an overview has to decode the whole of level 0.
LARGE_WITHOUT_LEVELS_PX = 100_000_000


def describe_slide(slide: Slide) -> dict[str, Any]:
    """Return the facts of a slide and the problems to expect, as JSON-able values.

    Text comes from the file: escape it wherever it is shown.
    """
    properties = slide.properties
    size = slide.dimensions
    mpp = slide.mpp
    return {
        "path": str(slide.path),
        "format": slide.vendor,
        "backend": slide.backend,
        "dimensions": [size.width, size.height],
        "megapixels": round(size.n_px / 1e6, 3),
        "levels": [
            {
                "level": level,
                "dimensions": [of_level.width, of_level.height],
                "downsample": downsample,
                "mpp": None if mpp is None else mpp.mean * downsample,
            }
            for level, (of_level, downsample) in enumerate(
                zip(slide.level_dimensions, slide.level_downsamples, strict=True)
            )
        ],
        "mpp": None if mpp is None else [mpp.x, mpp.y],
        "mpp_source": slide.mpp_source,
        "size_mm": None if mpp is None else [size.width * mpp.x / 1e3, size.height * mpp.y / 1e3],
        "objective_power": slide.objective_power,
        "scanner": slide.scanner,
        "tile_size": [slide.tile_size.width, slide.tile_size.height],
        "compression": properties.get("her2path.compression", "unknown"),
        "has_icc": "her2path.icc-bytes" in properties,
        "associated_images": sorted(slide.associated_images),
        "bounds": _bounds(properties.get),
        "problems": _problems(slide),
    }


def _bounds(get: Callable[[str], str | None]) -> list[int] | None:
    """Return the scanned area (x, y, width, height) in level-0 px, where the file names it."""
    found = [get(f"openslide.bounds-{side}") for side in BOUNDS]
    try:
        return [int(side) for side in found if side is not None] if all(found) else None
    except ValueError:
        return None


def _problems(slide: Slide) -> list[str]:
    power = None if slide.mpp_source == "given" else slide.objective_power
    problem = mpp_problem(slide.mpp, power)
    problems = [problem] if problem else []
    if not problem and slide.mpp is not None and slide.mpp.mean > FlagCuts().coarse_mpp:
        problems.append(
            f"µm/px of {slide.mpp.mean:.3g} is coarser than a 40× scan: 0, 0+ and 1+ are hard to "
            "tell apart; scan at 40× where you can."
        )
    tagged, ratio = slide.tagged_mpp, FlagCuts().tagged_mpp_ratio
    if not problem and tagged is not None and slide.mpp is not None:
        low, high = sorted((tagged.mean, slide.mpp.mean))
        if high > ratio * low:
            problems.append(
                f"µm/px is {slide.mpp.mean:.3g} by the metadata and {tagged.mean:.3g} by the "
                "resolution tags: give the right one with --mpp."
            )
    if slide.level_count == 1 and slide.dimensions.n_px > LARGE_WITHOUT_LEVELS_PX:
        problems.append("only one level: overviews decode the whole slide and take longer.")
    return problems
