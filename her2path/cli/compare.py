"""`her2path compare` and `her2path repeatability`: whether HER2 changed, or its reading."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    SOME_FAILED,
    check_free,
    fail,
    new_file,
    readable_errors,
    refuse_resume_and_overwrite,
    refuse_unused,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import (
    ColorProfile,
    CriteriaName,
    Debug,
    Device,
    IccChoice,
    Json,
    MppOfPairs,
    NetworkDevice,
    OverwriteFile,
    Quiet,
    RegionSide,
    SeedOfResampling,
    SpecimenKind,
    WhitePointText,
    Workers,
    mpp_of,
    worker_count,
)
from her2path.criteria.score import IshResult

if TYPE_CHECKING:
    from her2path.compare.bands import Bands
    from her2path.compare.pair import Pair
    from her2path.compare.sources import SideSource
    from her2path.pipeline.settings import ScoreSettings, SlideJob

__all__ = ["COMPARE_EXAMPLES", "REPEATABILITY_EXAMPLES", "compare", "repeatability"]

COMPARE_EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path compare --before first.svs --after second.svs --out pair\n\n"
    "her2path compare --before results/first --after results/second --out pair\n\n"
    "her2path compare --before a.svs --before b.svs --after c.svs --out pair "
    "--repeatability site-bands.json\n\n"
    "Exit status: 0 compared (not comparable is an answer) · 1 a slide failed · 2 wrong use"
)
REPEATABILITY_EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path repeatability repeats.csv --out bands.json --name 'Site A, rescans'\n\n"
    "repeats.csv has a column subject and, one row per reading, result (a slide.json or its "
    "folder) or columns named as in slides.csv."
)


# How slides are read; --criteria may also hold the table that results were scored by.
OF_READING = (
    *("mpp", "before_mpp", "after_mpp", "roi", "roi_offset", "specimen", "calibration"),
    *("white_point", "icc", "exclude_controls", "region_um", "model", "device"),
)


def compare(
    context: typer.Context,
    *,
    before: Annotated[
        list[str] | None,
        typer.Option(
            "--before",
            metavar="SLIDE_OR_RESULT",
            help="A slide, a slide.json, or the results folder of a slide; may be repeated.",
        ),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            "--after", metavar="SLIDE_OR_RESULT", help="The same, of the later time; repeatable."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the comparison.")],
    repeatability: Annotated[
        Path | None,
        typer.Option(help="Bands from `her2path repeatability`; without, defaults that say so."),
    ] = None,
    before_ish: Annotated[
        IshResult | None, typer.Option(help="In-situ hybridisation before, where known.")
    ] = None,
    after_ish: Annotated[IshResult | None, typer.Option(help="The same, after.")] = None,
    mpp: MppOfPairs = None,
    before_mpp: Annotated[
        float | None,
        typer.Option(
            parser=mpp_of, metavar="<float>", help="The same for the slides before alone."
        ),
    ] = None,
    after_mpp: Annotated[
        float | None,
        typer.Option(parser=mpp_of, metavar="<float>", help="The same for the slides after alone."),
    ] = None,
    roi: Annotated[
        Path | None,
        typer.Option(help="Folder of outlines, one file per slide, for slides to be scored."),
    ] = None,
    roi_offset: Annotated[
        str, typer.Option(metavar="X,Y", help="Added to outlines, level-0 px.")
    ] = "0,0",
    criteria: CriteriaName = "asco-cap-2018",
    specimen: SpecimenKind = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Cut-offs of your site; without, a generic one.")
    ] = None,
    white_point: WhitePointText = "",
    icc: ColorProfile = IccChoice.OFF,
    exclude_controls: Annotated[
        bool,
        typer.Option(
            "--exclude-controls", help="Leave out separate pieces that look like control tissue."
        ),
    ] = False,
    region_um: RegionSide = 500.0,
    model: Annotated[
        str, typer.Option(metavar="NAME|none", help="Network for slides to be scored, as score.")
    ] = "auto",
    device: NetworkDevice = Device.AUTO,
    workers: Workers = 0,
    seed: SeedOfResampling = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep slides that are scored in --out already.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a comparison that is in --out.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two slides of one patient, and say whether HER2 changed or its reading."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug):
        from her2path.cli.score import check_outlines, offset_of, warn_of_specimen
        from her2path.compare import compare_sides
        from her2path.compare.bands import default_bands, read_bands
        from her2path.compare.record import PAIR_JSON, forget_pair, write_pair_json
        from her2path.compare.sources import find_side_sources, read_sides
        from her2path.pipeline.manifest import parse_white_point
        from her2path.pipeline.network import find_network
        from her2path.pipeline.settings import ScoreSettings, find_calibration, find_rule_set
        from her2path.pipeline.sources import JobDefaults, jobs_of_paths, outlines_for
        from her2path.report.pair import write_pair_report
        from her2path.results.folder import ResultsFolder
        from her2path.results.record import read_record
        from her2path.slides.color import Icc
        from her2path.slides.mpp import as_mpp

        if context.args:
            raise fail(
                f"{', '.join(context.args)}: name each with its side, --before SLIDE --after SLIDE"
            )
        refuse_resume_and_overwrite(resume=resume, overwrite=overwrite)
        folder = Path(os.path.abspath(out))
        if not (overwrite or resume):
            check_free(out, PAIR_JSON, "a comparison", "--overwrite to replace it")

        bands = default_bands() if repeatability is None else read_bands(repeatability)
        rule_set = find_rule_set(criteria, specimen=specimen)
        stated = {"before": before_mpp, "after": after_mpp}
        stated = {name: mpp if own is None else own for name, own in stated.items()}
        scales = {name: None if own is None else as_mpp(own).mean for name, own in stated.items()}
        ish = {"before": before_ish, "after": after_ish}
        of_both = JobDefaults(
            rule_set=rule_set,
            calibration=find_calibration(calibration),
            roi=roi,
            roi_offset=offset_of(roi_offset),
            white_point=parse_white_point(white_point) if white_point else None,
            specimen=specimen,
            icc=Icc(icc.value),
        )

        sources = find_side_sources({"before": before or [], "after": after or []}, mpp=scales)
        network = None
        if any(source.pictures for source in sources.values()):
            check_outlines(of_both)
            warn_of_specimen(specimen, [rule_set])
            network = find_network(model, device=device.value)
        else:
            # Results need no network: they were read already.
            refuse_unused(
                context,
                OF_READING,
                "both sides are results, which were read already; give the slides, or score them "
                "again",
            )
            records = [read_record(path) for side in sources.values() for path in side.results]
            scored_by = {record.rule_set for record in records}
            if rule_set.name not in scored_by:
                refuse_unused(
                    context,
                    ("criteria",),
                    f"the results were scored by {', '.join(sorted(scored_by))} and stay so; leave "
                    "it out, or score the slides again",
                )
        for name, source in sources.items():
            if not source.pictures:
                refuse_unused(
                    context,
                    (f"{name}_mpp",),
                    f"the side {name} is a result, which was read already; give the slide, or "
                    "score it again",
                )
        settings = ScoreSettings(
            exclude_controls=exclude_controls, region_um=region_um, seed=seed, network=network
        )
        pictures = [path for source in sources.values() for path in source.pictures]
        if pictures:
            # What is drawn on the slide of one side is no outline of the other's.
            outlines_for(pictures, roi)
        jobs = {
            name: jobs_of_paths(source.pictures, replace(of_both, mpp=scales[name], ish=ish[name]))
            for name, source in sources.items()
            if source.pictures
        }

        ResultsFolder(folder).create()
        # What is scored anew may not lie under the verdict of another run.
        forget_pair(folder)
        results = {
            name: score_side(
                source,
                jobs.get(name, ()),
                folder / name,
                settings,
                n_workers=worker_count(workers),
                resume=resume,
                overwrite=overwrite,
                is_shown=not (quiet or as_json),
            )
            for name, source in sources.items()
        }
        sides = read_sides(results, ish=ish, rule_set=rule_set)
        pair = compare_sides(*sides, bands=bands, seed=seed)

        page = write_pair_report(folder, pair, *sides)
        document = write_pair_json(folder, pair)
        if as_json:
            OUTPUT.print(document.read_text(encoding="utf-8"))
        elif not quiet:
            say_pair(pair, page)


def score_side(
    source: SideSource,
    jobs: Sequence[SlideJob],
    folder: Path,
    settings: ScoreSettings,
    *,
    n_workers: int,
    resume: bool,
    overwrite: bool,
    is_shown: bool,
) -> tuple[Path, ...]:
    """Score the pictures of a side and return all its slide.json files; end when one failed."""
    from her2path.cli.display import Display
    from her2path.cli.score import UNREAD
    from her2path.errors import list_faults
    from her2path.pipeline.batch import run_batch
    from her2path.report import illustrate_slide, write_report
    from her2path.results.folder import ResultsFolder
    from her2path.results.record import read_records

    if not jobs:
        return source.results
    results = ResultsFolder(folder)
    with Display(ERRORS) if is_shown else nullcontext() as listener:
        run = run_batch(
            jobs,
            settings,
            results,
            n_workers=n_workers,
            resume=resume,
            overwrite=overwrite,
            after_slide=illustrate_slide,
            listener=listener,
        )
    if run.failed:
        faults = [f"{source.name}: {name}: {error}" for name, error in run.failed.items()]
        raise fail(list_faults("slides could not be scored", faults), status=SOME_FAILED)
    scored = [results.slide(job.slide_id) for job in jobs]
    lost: list[str] = []
    write_report(results, read_records(scored, lost=lost), unread=lost)
    if lost:
        faults = [f"{source.name}: {name}: was scored before, and {UNREAD}" for name in lost]
        raise fail(list_faults("results are damaged", faults), status=SOME_FAILED)
    return (*source.results, *(slide.slide_json for slide in scored))


def say_pair(pair: Pair, page: Path) -> None:
    """Say the verdict and where the page is."""
    from her2path.results.record import RESEARCH_USE

    ERRORS.print(pair.sentence, style="bold")
    for reason in pair.reasons:
        ERRORS.print(f"  {reason}")
    ERRORS.print(f"Report: {page}")
    ERRORS.print(RESEARCH_USE, style="dim")


def repeatability(
    repeats: Annotated[
        Path,
        typer.Argument(
            metavar="REPEATS.csv",
            help="Repeated readings: subject, and result or columns named as in slides.csv.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Bands to write, .json.")],
    name: Annotated[str, typer.Option(help="What was repeated, as reports will name it.")] = "",
    overwrite: OverwriteFile = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how far repeated readings differ: the band that a change must clear."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.compare.bands import write_bands
        from her2path.compare.repeats import bands_of_table
        from her2path.results.jsonable import to_json

        out = new_file(out, suffix=".json", what="bands are a JSON file", overwrite=overwrite)
        bands = bands_of_table(repeats, name=name)
        write_bands(out, bands)
        if as_json:
            OUTPUT.print(json.dumps(to_json(bands), ensure_ascii=False))
        elif not quiet:
            say_bands(bands, out)


def say_bands(bands: Bands, out: Path) -> None:
    """Print the bands as a table."""
    from rich.table import Table

    from her2path.results.record import RESEARCH_USE

    table = Table(title=bands.source)
    for heading in ("measure", "Sw", "band (±)", "95 % interval", "unit", "subjects"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for name, band in bands.measures.items():
        ends = f"{band.ci95.lower:.3g}–{band.ci95.upper:.3g}" if band.ci95 else "–"
        table.add_row(
            name, f"{band.sw:.3g}", f"{band.band:.3g}", ends, band.unit, str(band.n_subjects)
        )
    ERRORS.print(table)
    for remark in bands.remarks:
        ERRORS.print(remark, style="yellow")
    ERRORS.print(f"Bands: {out}", style="bold")
    ERRORS.print(RESEARCH_USE, style="dim")
