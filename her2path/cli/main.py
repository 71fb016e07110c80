"""The commands and their options; what they do is loaded when it is asked for."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from her2path.cli import (
    calibrate,
    cohort,
    compare,
    control_range,
    cores,
    evaluate,
    export,
    outcomes,
    review,
    synth,
    train,
)
from her2path.cli.console import (
    OUTPUT,
    readable_errors,
    readable_output,
    refuse_empty,
    set_up_logging,
    set_up_outputs,
    use_threads,
)
from her2path.cli.models import models_app
from her2path.cli.options import (
    ColorProfile,
    CriteriaName,
    Debug,
    Device,
    IccChoice,
    Json,
    MppOfSlides,
    NetworkDevice,
    NetworkPrecision,
    Precision,
    Quiet,
    RegionSide,
    SeedOfResampling,
    SpecimenKind,
    WhitePointText,
    Workers,
    mpp_of,
)
from her2path.criteria.score import IshResult

__all__ = ["app", "main"]

# As the record of a slide says it, which is not for `--help` to load.
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

app = typer.Typer(
    name="her2path",
    help="Score HER2 immunohistochemistry slides: 0, 0+, 1+, 2+, 3+.\n\n"
    f"[bold]{RESEARCH_USE}[/bold]\n\n"
    "Start with: her2path score SLIDE --out RESULTS",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
criteria_app = typer.Typer(
    help="The written criteria that slides are scored by.", no_args_is_help=True
)
app.add_typer(criteria_app, name="criteria")
app.add_typer(models_app, name="models")


class CellsChoice(StrEnum):
    """Which cells are written for QuPath; the words of `CellsGeojson`, not for `--help` to load."""

    NONE = "none"
    CHOSEN = "chosen"
    ALL = "all"


class OriginChoice(StrEnum):
    """Where coordinates of GeoJSON count from; the words of `Origin`, not for `--help` to load."""

    LEVEL0 = "level0"
    BOUNDS = "bounds"


def version_shown(is_wanted: bool) -> None:
    """Print the version and end."""
    if is_wanted:
        from her2path.results.run_record import software_version

        OUTPUT.print(f"her2path {software_version()} · {RESEARCH_USE}")
        raise typer.Exit


@app.callback()
def her2path(
    version: Annotated[
        bool,
        typer.Option("--version", callback=version_shown, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take options that stand before the command."""


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    "her2path score slide.svs --out results\n\n"
    "her2path score field.png --mpp 0.25 --out results\n\n"
    "her2path score slides/ --out results --workers 8 --resume\n\n"
    "her2path score manifest.csv --out results\n\n"
    "her2path score slide.svs --roi tumor.geojson --criteria gastric --specimen biopsy "
    "--out results\n\n"
    "Exit status: 0 all scored (not assessable is a score) · 1 some slides failed · 2 wrong use"
)
def score(
    slides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SLIDE...",
            help="Slides, plain PNG/JPEG/TIFF fields (with --mpp), folders, patterns in quotes, "
            "or one manifest CSV.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="CSV with one row per slide: path, and any of slide_id, mpp, roi, roi_x, roi_y, "
            "criteria, ish, specimen, calibration, white_point, icc, patient_id. Other columns are "
            "kept."
        ),
    ] = None,
    roi: Annotated[
        Path | None,
        typer.Option(
            help="Outlines: QuPath GeoJSON, Aperio or ASAP XML. Classes Tumor, Ignore*, Control. "
            "For several slides a folder with one file per slide."
        ),
    ] = None,
    roi_offset: Annotated[
        str,
        typer.Option(
            metavar="X,Y",
            help="Added to outlines, level-0 px: for viewers that crop the slide to its bounds.",
        ),
    ] = "0,0",
    mpp: MppOfSlides = None,
    criteria: CriteriaName = "asco-cap-2018",
    specimen: SpecimenKind = None,
    ish: Annotated[
        IshResult | None, typer.Option(help="In-situ hybridisation, where it is known.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Cut-offs of your site; without, a generic one that says so."),
    ] = None,
    white_point: WhitePointText = "",
    icc: ColorProfile = IccChoice.OFF,
    exclude_controls: Annotated[
        bool,
        typer.Option(
            "--exclude-controls",
            help="Leave out separate pieces that look like control tissue; without it they count, "
            "and are flagged with the score that the slide has without them.",
        ),
    ] = False,
    region_um: RegionSide = 500.0,
    cells_geojson: Annotated[
        CellsChoice,
        typer.Option(help="Write cell outlines for QuPath: none, chosen (stained, doubtful), all."),
    ] = CellsChoice.NONE,
    geojson_origin: Annotated[
        OriginChoice,
        typer.Option(
            help="Where GeoJSON counts from: level0, or bounds for slides that QuPath crops to "
            "their bounds (MRXS, some BIF and VMS)."
        ),
    ] = OriginChoice.LEVEL0,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|none",
            help="Network that finds nuclei and tumor and reads beside the rules: auto is the one "
            "that ships, none the rules alone; `her2path models list` names others.",
        ),
    ] = "auto",
    device: NetworkDevice = Device.AUTO,
    precision: NetworkPrecision = Precision.AUTO,
    workers: Workers = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --out; tries failed slides again."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Score all slides again although --out holds results."),
    ] = False,
    seed: SeedOfResampling = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score slides and write a report that a pathologist can check."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug):
        from her2path.cli.score import ScoreOptions
        from her2path.cli.score import score as score_slides
        from her2path.results.geojson import Origin
        from her2path.slides.color import Icc

        status = score_slides(
            ScoreOptions(
                sources=tuple(slides or ()),
                out=out,
                manifest=manifest,
                roi=roi,
                roi_offset=roi_offset,
                mpp=mpp,
                criteria=criteria,
                specimen=specimen,
                ish=ish,
                calibration=calibration,
                white_point=white_point,
                icc=Icc(icc.value),
                exclude_controls=exclude_controls,
                region_um=region_um,
                cells_geojson=cells_geojson.value,
                geojson_origin=Origin(geojson_origin.value),
                model=model,
                device=device.value,
                precision=precision.value,
                workers=workers,
                resume=resume,
                overwrite=overwrite,
                seed=seed,
                quiet=quiet,
                as_json=as_json,
            )
        )
    raise typer.Exit(status)


@app.command(epilog="Example: her2path info slide.svs --json")
def info(
    slide: Annotated[
        Path, typer.Argument(metavar="SLIDE", help="A slide or a plain field.", show_default=False)
    ],
    *,
    mpp: Annotated[
        float | None,
        typer.Option(parser=mpp_of, metavar="<float>", help="µm per pixel, as for score."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what was understood of a slide, and the problems to expect."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.cli.info import show_info

        show_info(slide, mpp=mpp, as_json=as_json)


@app.command()
def doctor(*, as_json: Json = False, debug: Debug = False) -> None:
    """Check this installation: versions, readers of slides, processors, disk."""
    use_threads(1)
    set_up_logging(debug=debug)
    from her2path.cli.doctor import examine

    raise typer.Exit(0 if examine(as_json=as_json) else 1)


@app.command(epilog="Example: her2path report results")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that score has written.")],
    *,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Draw the pictures again from the slides.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write the report of a finished run again."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.cli.report import rebuild_report

        OUTPUT.print(f"{rebuild_report(folder, with_pictures=pictures)}")


app.command(epilog=review.EXAMPLES)(review.review)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=cores.EXAMPLES)(cores.cores)
app.command(epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command(epilog=control_range.EXAMPLES)(control_range.control_range)
# What stands without an option is refused by the command itself, which knows the remedy.
app.command(epilog=compare.COMPARE_EXAMPLES, context_settings={"allow_extra_args": True})(
    compare.compare
)
app.command(epilog=compare.REPEATABILITY_EXAMPLES)(compare.repeatability)
app.command(epilog=cohort.EXAMPLES)(cohort.cohort)
app.command(epilog=outcomes.EXAMPLES)(outcomes.outcomes)
app.command(epilog=synth.EXAMPLES)(synth.synth)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)


@criteria_app.command("list")
def list_criteria(*, as_json: Json = False) -> None:
    """List the criteria that come with her2path."""
    from her2path.cli.criteria import show_list

    show_list(as_json=as_json)


@criteria_app.command("show", epilog="Example: her2path criteria show asco-cap-2018")
def show_criteria(
    name: Annotated[str, typer.Argument(help="A name from the list, or a TOML file.")],
    *,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show every row of one set of criteria, highest score first."""
    with readable_errors(debug=debug, resumes=False):
        from her2path.cli.criteria import show_rule_set

        show_rule_set(name, as_json=as_json)


def main() -> None:
    """Run the command line."""
    set_up_outputs()
    refuse_empty(sys.argv[1:])
    with readable_output():
        app()
