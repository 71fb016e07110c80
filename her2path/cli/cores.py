"""`her2path cores`: outlines of the cores of a tissue microarray, to be scored one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import ERRORS, OUTPUT, fail, new_file, readable_errors, set_up_logging
from her2path.cli.options import Debug, Json, OverwriteFile, Quiet, mpp_of

if TYPE_CHECKING:
    from her2path.geometry import Mpp
    from her2path.results.geojson import Feature
    from her2path.slides.slide import Rgb
    from her2path.tissue.cores import CoreGrid

__all__ = ["EXAMPLES", "cores"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path cores tma.svs --out tma.geojson\n\n"
    "her2path score tma.svs --roi tma.geojson --out results\n\n"
    "Look at tma.png in between; cores can be moved, renamed or marked as missing in QuPath, which "
    "opens the file. regions.csv in the folder of the slide then has one row per core."
)
SUFFIX = ".geojson"
# Enough to read the names of two hundred cores.
PICTURE_PX = 3000
OVERVIEW_MPP = 6.0


def cores(
    slide: Annotated[
        Path, typer.Argument(metavar="SLIDE", help="A tissue microarray.", show_default=False)
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Outlines to write, .geojson; a picture too.")
    ],
    diameter: Annotated[
        float | None,
        typer.Option(
            min=0.4, max=3.0, help="Of a core, mm; measured on whole round ones by default."
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            parser=mpp_of,
            metavar="<float>",
            help="µm per pixel, where the file is silent or wrong.",
        ),
    ] = None,
    overwrite: OverwriteFile = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find the cores of a tissue microarray and name them by row and column."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.results.geojson import write_geojson
        from her2path.slides import open_slide, read_overview, require_mpp
        from her2path.tissue import estimate_white_point, find_tissue
        from her2path.tissue.cores import find_cores

        path = new_file(out, suffix=SUFFIX, what="outlines are GeoJSON", overwrite=overwrite)
        picture = new_file(
            path.with_suffix(".png"), suffix=".png", what="it is a picture", overwrite=overwrite
        )
        # A slide that is not there is for the reader to name.
        if slide.exists() and picture.exists() and picture.samefile(slide):
            raise fail(f"--out {out}: its picture would replace {slide}; choose another name")
        with open_slide(slide, mpp=mpp) as opened:
            at_zero = require_mpp(opened)
            rgb, downsample = read_overview(opened, mpp=OVERVIEW_MPP)
        scale = at_zero.mean * downsample
        white = estimate_white_point(rgb)
        tissue = find_tissue(rgb, scale, white_point=white.rgb)
        grid = find_cores(tissue, diameter_um=None if diameter is None else diameter * 1e3)
        write_geojson(path, features_of(grid, at_zero), slide_id=slide.name)
        write_picture(picture, rgb, grid, mpp=scale)
        if as_json:
            OUTPUT.print(json.dumps(summary_of(path, picture, grid)))
        elif not quiet:
            ERRORS.print(
                f"{grid.n_rows} rows of {grid.n_columns} cores of {grid.diameter_um * 1e-3:.2f} "
                f"mm, {grid.n_missing} missing.",
            )
            ERRORS.print(f"Outlines: {path}", style="bold")
            ERRORS.print(f"Look at {picture} before you score them.")


def features_of(grid: CoreGrid, mpp: Mpp) -> Iterator[Feature]:
    """Yield each place of the grid as QuPath knows it, missing ones marked."""
    from her2path.results.geojson import core_feature

    for core in grid.cores:
        center = core.x_um / mpp.mean, core.y_um / mpp.mean
        yield core_feature(core.name, center, grid.radius_um / mpp.mean, is_missing=core.is_missing)


def write_picture(path: Path, rgb: Rgb, grid: CoreGrid, *, mpp: float) -> None:
    """Write the overview with the cores drawn on it, made smaller where it is large."""
    import cv2
    import numpy as np

    from her2path.report.cores import draw_cores
    from her2path.report.pictures import as_png
    from her2path.results.atomic import write_bytes

    shrunk = min(1.0, PICTURE_PX / max(rgb.shape))
    size = [max(1, round(side * shrunk)) for side in rgb.shape[1::-1]]
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    write_bytes(path, as_png(draw_cores(small, grid, mpp=mpp / shrunk)))


def summary_of(path: Path, picture: Path, grid: CoreGrid) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "outlines": str(path),
        "picture": str(picture),
        "n_rows": grid.n_rows,
        "n_columns": grid.n_columns,
        "diameter_mm": round(grid.diameter_um * 1e-3, 4),
        "cores": [
            {"name": core.name, "is_missing": core.is_missing, "filled": round(core.filled_frac, 3)}
            for core in grid.cores
        ],
    }
