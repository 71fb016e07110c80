"""`her2path score`: what the command does once its options are read."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from her2path.cli.bar import Bar
from her2path.cli.console import ERRORS, OUTPUT, SOME_FAILED, fail, refuse_resume_and_overwrite
from her2path.cli.display import Display, duration_words, say_failures
from her2path.cli.options import worker_count
from her2path.compiled import is_compiled
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import IshResult, Organ, Specimen
from her2path.geometry import Location
from her2path.pipeline.batch import BatchResult, run_batch
from her2path.pipeline.manifest import jobs_of_manifest, parse_white_point
from her2path.pipeline.network import SHIPPED_NETWORK, find_network
from her2path.pipeline.settings import (
    CellsGeojson,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.pipeline.sources import (
    JobDefaults,
    check_manifest_alone,
    find_slides,
    jobs_of_paths,
)
from her2path.report import illustrate_slide, write_report
from her2path.results.folder import ResultsFolder
from her2path.results.geojson import Origin
from her2path.results.record import RESEARCH_USE, SlideRecord, read_records
from her2path.slides.color import Icc
from her2path.slides.mpp import as_mpp

__all__ = ["UNREAD", "ScoreOptions", "check_outlines", "offset_of", "score", "warn_of_specimen"]

logger = logging.getLogger(__name__)

# Of a slide that the journal calls done.
UNREAD = "no result can be read (delete its folder, and --resume scores it again)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """The command line as read, before any of it is checked.

    What `her2path cohort` has no option for is as `her2path score` has it by default.
    """

    sources: Sequence[str]
    out: Path
    criteria: str
    manifest: Path | None = None
    roi: Path | None = None
    roi_offset: str = "0,0"
    mpp: float | None
    calibration: Path | None
    white_point: str
    icc: Icc
    ish: IshResult | None = None
    specimen: Specimen | None = None
    model: str
    device: str
    precision: str = "auto"
    workers: int
    resume: bool
    overwrite: bool
    exclude_controls: bool
    region_um: float = 500.0
    seed: int
    cells_geojson: str = "none"
    geojson_origin: Origin = Origin.LEVEL0
    quiet: bool
    as_json: bool = False


def score(options: ScoreOptions) -> int:
    """Score the slides and return the exit status."""
    settings = settings_of(options)
    jobs = jobs_of(options)
    out = ResultsFolder(Path(os.path.abspath(options.out)))
    n_workers = worker_count(options.workers)
    if not (options.quiet or options.as_json):
        ERRORS.print(network_words(options.model, settings))
        if not is_compiled():
            ERRORS.print("Code that measures cells is compiled first, which takes a minute or two.")
    # The summary names what failed by itself.
    silent = nullcontext(None if options.as_json else say_failures)
    display = silent if options.quiet or options.as_json else Display(ERRORS)
    with display as listener:
        result = run_batch(
            jobs,
            settings,
            out,
            n_workers=n_workers,
            resume=options.resume,
            overwrite=options.overwrite,
            after_slide=illustrate_slide,
            listener=listener,
        )
    # As slides.csv: slides of earlier runs that this one does not name stay.
    lost: list[str] = []
    everything = read_records(map(out.slide, result.done), lost=lost)
    with Bar(is_quiet=options.quiet or options.as_json) as bar:
        report = write_report(
            out,
            bar.over(everything, len(result.done), "writing the report"),
            failed=result.all_failed,
            unread=lost,
            only_changed=True,
        )
    by_id = {record.slide_id: record for record in report.slides}
    records = [by_id[job.slide_id] for job in jobs if job.slide_id in by_id]
    # Scored by an earlier run, and damaged or deleted since.
    unread = [job.slide_id for job in jobs if job.slide_id in lost]
    if options.as_json:
        summary = summary_of(out, records, result, unread, model=settings.model)
        OUTPUT.print(json.dumps(summary, ensure_ascii=False))
    elif not options.quiet:
        say_end(out, result, unread, n_review=sum(record.review for record in records))
    return SOME_FAILED if result.failed or unread else 0


def settings_of(options: ScoreOptions) -> ScoreSettings:
    """Return the settings of the run, or end it when they cannot be meant."""
    refuse_resume_and_overwrite(resume=options.resume, overwrite=options.overwrite)
    return ScoreSettings(
        exclude_controls=options.exclude_controls,
        region_um=options.region_um,
        seed=options.seed,
        cells_geojson=CellsGeojson(options.cells_geojson),
        geojson_origin=options.geojson_origin,
        network=find_network(options.model, device=options.device, precision=options.precision),
    )


def jobs_of(options: ScoreOptions) -> tuple[SlideJob, ...]:
    """Return the slides to score."""
    manifest = options.manifest or check_manifest_alone(options.sources)
    is_by_specimen = options.criteria == "gastric"
    # Where each row says what it is, that of the command stands in until then.
    stands_in = Specimen.RESECTION if is_by_specimen and manifest is not None else None
    defaults = JobDefaults(
        rule_set=find_rule_set(options.criteria, specimen=options.specimen or stands_in),
        is_by_specimen=is_by_specimen,
        calibration=find_calibration(options.calibration),
        mpp=None if options.mpp is None else as_mpp(options.mpp).mean,
        roi=options.roi,
        roi_offset=offset_of(options.roi_offset),
        white_point=parse_white_point(options.white_point) if options.white_point else None,
        ish=options.ish,
        specimen=options.specimen,
        icc=options.icc,
    )
    if manifest is not None:
        if options.manifest is not None and options.sources:
            raise fail("--manifest and SLIDE together; put all slides into the manifest")
        jobs = jobs_of_manifest(manifest, defaults)
        if defaults.roi_offset != Location(0, 0) and not any(job.roi for job in jobs):
            raise fail(
                "--roi-offset moves outlines, and no row of the manifest names any; fill roi"
            )
        warn_of_specimen(options.specimen, [job.rule_set for job in jobs])
        return jobs
    check_outlines(defaults)
    # To the file system a name without a letter is the folder in which the command was given.
    if not options.sources or "" in options.sources:
        raise fail("name at least one SLIDE, a folder, or a --manifest")
    paths = find_slides(options.sources, with_fields=options.mpp is not None)
    jobs = jobs_of_paths(paths, defaults)
    warn_of_specimen(options.specimen, [job.rule_set for job in jobs])
    return jobs


def network_words(asked: str, settings: ScoreSettings) -> str:
    """Say which network reads, and whether that was asked for."""
    network = settings.network
    if network is None:
        return "Network: none; the rules read alone."
    if asked == SHIPPED_NETWORK:
        return f"Network: {network.name}, which ships with her2path."
    return f"Network: {network.name} in {network.folder}."


def offset_of(text: str) -> Location:
    """Read "X,Y"."""
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError as error:
        raise fail(
            f"--roi-offset {text!r}: give two whole numbers of px, for example 0,0"
        ) from error
    return Location(x, y)


def check_outlines(defaults: JobDefaults) -> None:
    """End the program where outlines are to be moved that nobody has named."""
    if defaults.roi is None and defaults.roi_offset != Location(0, 0):
        raise fail("--roi-offset moves outlines, and there are none; add --roi")


def warn_of_specimen(specimen: Specimen | None, rule_sets: Sequence[RuleSet]) -> None:
    """Say so where the kind of specimen decides nothing."""
    if specimen is not None and all(rules.organ is Organ.BREAST for rules in rule_sets):
        logger.warning(
            "--specimen %s is noted and decides nothing: %s are criteria of the breast; those of "
            "the stomach need --criteria gastric",
            specimen,
            ", ".join(dict.fromkeys(rules.name for rules in rule_sets)),
        )


def summary_of(
    out: ResultsFolder,
    records: Sequence[SlideRecord],
    result: BatchResult,
    unread: Sequence[str],
    *,
    model: str,
) -> dict[str, object]:
    """Return what `--json` prints."""
    failed = {**result.failed, **dict.fromkeys(unread, f"was scored, and {UNREAD}")}
    return {
        "out": str(out.path),
        "report": str(out.report_html),
        "model": model,
        "n_slides": result.n_slides,
        "n_done": len(records),
        "seconds": round(result.seconds, 3),
        "slides": [
            {
                "slide_id": record.slide_id,
                "path": record.path,
                "score": record.score.value,
                "status": record.status.value,
                "n_tumor_cells": record.reading.n_tumor_cells,
                "review": record.review,
                "review_reasons": list(record.review_reasons),
            }
            for record in records
        ],
        "failed": [{"slide_id": name, "error": error} for name, error in failed.items()],
        "research_use": RESEARCH_USE,
    }


def say_end(
    out: ResultsFolder, result: BatchResult, unread: Sequence[str], *, n_review: int
) -> None:
    """Say how the run ended, where the report is, and how to give the second reads asked for."""
    n_failed = len(result.failed)
    ending = f"{result.n_done - len(unread)} of {result.n_slides} slides scored"
    if unread:
        ending += f", {len(unread)} scored before, of which {UNREAD}"
    if n_failed:
        ending += f", {n_failed} failed (slides.csv says why; --resume tries them again)"
    ERRORS.print(f"{ending} in {duration_words(result.seconds)}.")
    ERRORS.print(f"Report: {out.report_html}", style="bold")
    if n_review:
        asking = "1 slide asks" if n_review == 1 else f"{n_review:,} slides ask"
        command = f"her2path review {shlex.quote(str(out.path))}"
        words = f"{asking} for a second read; blinded, in the browser: {command}"
        ERRORS.print(words)
    ERRORS.print(RESEARCH_USE, style="dim")
