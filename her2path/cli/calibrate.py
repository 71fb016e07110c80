"""`her2path calibrate`: cut-offs of a site from control slides with known scores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.bar import Bar
from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    fail,
    new_file,
    readable_errors,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import (
    ColorProfile,
    Debug,
    IccChoice,
    Json,
    MppOfSlides,
    OverwriteFile,
    Quiet,
    Workers,
    worker_count,
)

if TYPE_CHECKING:
    from her2path.pipeline.calibrate import SiteCalibration

__all__ = ["EXAMPLES", "calibrate"]

# What lies beside a calibration, by its name.
BESIDE = (".txt", ".png")

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path calibrate controls.csv --out site.json --name 'Site A, 4B5, AT2'\n\n"
    "her2path score slide.svs --calibration site.json --out results\n\n"
    "controls.csv has the columns path and score (0, 1+, 2+ or 3+), and may have slide_id, mpp, "
    "roi. At least one control each of 0, 1+, 2+ and 3+ measures everything."
)


def calibrate(
    controls: Annotated[
        Path,
        typer.Argument(
            metavar="CONTROLS.csv",
            help="Control slides: columns path and score, and any of slide_id, mpp, roi.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Calibration to write, .json; a text and a figure too."),
    ],
    name: Annotated[str, typer.Option(help="Site, assay and scanner, as results will name them.")],
    scanner: Annotated[
        str, typer.Option(help="Scanner; by default the one that the controls name.")
    ] = "",
    mpp: MppOfSlides = None,
    icc: ColorProfile = IccChoice.OFF,
    model: Annotated[
        str, typer.Option(metavar="NAME|none", help="Network that finds the cells, as for score.")
    ] = "auto",
    workers: Workers = 0,
    overwrite: OverwriteFile = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the calibration of your site from control slides with known scores."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.pipeline.calibrate import calibrate_site, controls_of_manifest
        from her2path.pipeline.network import find_network
        from her2path.report.calibration import calibration_words, write_calibration_summary
        from her2path.results.atomic import write_text
        from her2path.slides.color import Icc
        from her2path.slides.mpp import as_mpp

        path = target_of(out, overwrite=overwrite)
        name = one_line("--name", name)
        scanner = one_line("--scanner", scanner) if scanner else ""
        scale = None if mpp is None else as_mpp(mpp).mean
        slides = controls_of_manifest(controls, mpp=scale, icc=Icc(icc.value))
        jobs = [slide.job for slide in slides]
        outlines = [job.roi for job in jobs if job.roi is not None]
        refuse_loss(path, (controls, *(job.path for job in jobs), *outlines))
        with Display(is_quiet=quiet or as_json) as progress:
            site = calibrate_site(
                slides,
                name=name,
                scanner=scanner,
                network=find_network(model),
                n_workers=worker_count(workers),
                progress=progress,
            )
        write_text(path, site.calibration.model_dump_json(indent=2) + "\n")
        words, figure = write_calibration_summary(site, path)
        if as_json:
            OUTPUT.print(json.dumps(summary_of(path, words, figure, site)))
        elif not quiet:
            ERRORS.print(calibration_words(site))
            ERRORS.print(f"\nCalibration: {path}", style="bold")
            ERRORS.print(f"Look at {figure} before you use it.")


def target_of(out: Path, *, overwrite: bool) -> Path:
    """Return where the calibration goes, or end when it cannot go there."""
    path = new_file(out, suffix=".json", what="a calibration is a JSON file", overwrite=overwrite)
    for suffix in BESIDE:
        new_file(path.with_suffix(suffix), suffix=suffix, what="it is beside", overwrite=overwrite)
    return path


def one_line(option: str, text: str) -> str:
    """Return a name without the spaces around it, or end when results could not show it."""
    name = text.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise fail(f"{option} {name[:40]!r} is no name; give 1 to 100 letters on one line")
    return name


def refuse_loss(path: Path, given: Iterable[Path]) -> None:
    """End the program where a calibration, or what lies beside it, would replace what it is of."""
    targets = [path, *map(path.with_suffix, BESIDE)]
    there = [target for target in targets if target.exists()]
    for source in given:
        # One that is not there is for its reader to name.
        if source.exists() and any(target.samefile(source) for target in there):
            raise fail(f"--out {path.name} would replace {source}; choose another name")


def summary_of(path: Path, words: Path, figure: Path, site: SiteCalibration) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "calibration": str(path),
        "summary": str(words),
        "figure": str(figure),
        "is_site_specific": site.calibration.is_site_specific,
        "intensity": site.calibration.intensity.model_dump(),
        "min_line_contrast_od": site.calibration.min_line_contrast_od,
        "blank_upper_pct": site.calibration.blank_upper_pct,
        "remarks": list(site.remarks),
        "controls": [
            {
                "slide_id": control.slide_id,
                "score": control.score.value,
                "n_tumor_cells": control.n_cells,
                "pct_stained": round(control.stained_pct, 3),
            }
            for control in site.calibrated.controls
        ],
    }


class Display(Bar):
    """Shows how far it is: a bar at a terminal, one line per stage elsewhere."""

    def __call__(self, stage: str, n_done: int, n: int) -> None:
        """Show that `n_done` of `n` tasks of a stage are done."""
        if self.is_shown:
            self.show(stage, n_done, n)
        elif n_done == n and not self.is_quiet:
            ERRORS.print(f"{stage}: {n} done")
