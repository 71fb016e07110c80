"""`her2path cohort`: what became of HER2 in a table of pairs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.bar import Bar
from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    SOME_FAILED,
    check_free,
    readable_errors,
    refuse_resume_and_overwrite,
    refuse_unused,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import (
    ColorProfile,
    Debug,
    Device,
    IccChoice,
    Json,
    MppOfPairs,
    NetworkDevice,
    Quiet,
    StudyFolder,
    WhitePointText,
    Workers,
)

if TYPE_CHECKING:
    from her2path.cli.score import ScoreOptions
    from her2path.cohort.analysis import Cohort
    from her2path.cohort.pairs import Pair, Side
    from her2path.compare.bands import Bands
    from her2path.criteria.rule_set import RuleSet
    from her2path.results.record import SlideRecord

__all__ = ["EXAMPLES", "cohort"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path cohort pairs.csv --out cohort\n\n"
    "her2path cohort pairs.csv --out cohort --mpp 0.25 --calibration site.json --workers 4\n\n"
    "[bold]pairs.csv[/bold] has one row per pair with the columns patient_id, before, after. Each "
    "side is a score (0, 0+, 1+, 2+, 3+, null, ultralow, not_assessable), the slide.json of a "
    "scored slide, or a slide, which is scored first. It may have before_ish, after_ish "
    "(amplified, not_amplified, group1 … group5), before_edition, after_edition, before_date, "
    "after_date (2025-03-31), verdict, and pair, which tells pairs of one patient apart and may "
    "name a pair.json. Other columns are kept.\n\n"
    "patient_id,before,after,before_ish,after_ish\n\n"
    "P01,2+,0,not_amplified,\n\n"
    "P02,3+,1+,,\n\n"
    "[bold]--out[/bold] gets cohort.html, cohort.json, transitions.csv, pairs.csv, and the figures "
    "as SVG and PNG.\n\n"
    "Exit status: 0 done · 1 done, but slides failed (their pairs are not evaluable) · 2 wrong "
    "use: every fault of the table is listed with its row, and nothing is written"
)
SLIDES_FOLDER = "slides"
SCORING_OPTIONS = (
    "mpp",
    "calibration",
    "white_point",
    "icc",
    "exclude_controls",
    "model",
    "device",
    "workers",
)
COMPARING = "comparing"


def cohort(
    context: typer.Context,
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS.csv", help="One row per pair.", show_default=False)
    ],
    *,
    out: StudyFolder,
    mpp: MppOfPairs = None,
    criteria: Annotated[
        str, typer.Option(help="Criteria for slides that must be scored; as for score.")
    ] = "asco-cap-2018",
    calibration: Annotated[
        Path | None, typer.Option(help="Cut-offs of your site, for slides that must be scored.")
    ] = None,
    white_point: WhitePointText = "",
    icc: ColorProfile = IccChoice.OFF,
    exclude_controls: Annotated[
        bool, typer.Option("--exclude-controls", help="Leave out control tissue, as for score.")
    ] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME|none", help="Network that reads slides, as for score.")
    ] = "auto",
    device: NetworkDevice = Device.AUTO,
    workers: Workers = 0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Keep slides that are scored in --out already, write the rest again."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Write into --out although it holds results; score slides again."
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Compare the two slides of each pair that has both, and count the verdicts.",
        ),
    ] = True,
    repeatability: Annotated[
        Path | None,
        typer.Option(help="Bands from her2path repeatability, for the verdicts; else defaults."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of resampling and permutations.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Count what became of HER2 in pairs, test it, and put it beside untreated tumours."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug):
        from her2path.cohort.analysis import analyse
        from her2path.cohort.table import read_pairs
        from her2path.cohort.writing import COHORT_JSON, cohort_document, write_cohort
        from her2path.compare.bands import read_bands
        from her2path.pipeline.settings import find_rule_set
        from her2path.report.cohort import write_cohort_page
        from her2path.results.atomic import remove_file
        from her2path.results.folder import ResultsFolder
        from her2path.results.jsonable import to_json
        from her2path.results.run_record import describe_input

        refuse_resume_and_overwrite(resume=resume, overwrite=overwrite)
        if not (resume or overwrite):
            check_free(
                out,
                COHORT_JSON,
                "a cohort",
                "--overwrite to replace it, --resume to keep the slides that were scored for it",
            )
        if not compare:
            refuse_unused(context, ["repeatability"], "is for verdicts, which --no-compare omits")
        folder = ResultsFolder(Path(os.path.abspath(out)))
        slides = folder.path / SLIDES_FOLDER
        rule_set = find_rule_set(criteria)
        bands = None if repeatability is None else read_bands(repeatability)
        sheet, rows = read_pairs(pairs, rule_set=rule_set)
        source = describe_input(pairs)

        paths = slides_to_score(rows)
        if paths:
            from her2path.cli.score import ScoreOptions
            from her2path.slides.color import Icc

            options = ScoreOptions(
                sources=[str(path) for path in paths],
                out=slides,
                criteria=criteria,
                mpp=mpp,
                calibration=calibration,
                white_point=white_point,
                icc=Icc(icc.value),
                model=model,
                device=device.value,
                workers=workers,
                resume=not overwrite and ResultsFolder(slides).journal.exists(),
                overwrite=overwrite,
                exclude_controls=exclude_controls,
                seed=seed,
                quiet=quiet or as_json,
            )
            scored, failed = with_scores(rows, paths, options)
        else:
            refuse_unused(
                context,
                SCORING_OPTIONS,
                "no slide of the table is to be scored; all of its sides have their score",
            )
            if not (compare and any(pair.is_comparable for pair in rows)):
                refuse_unused(
                    context,
                    ("criteria", "repeatability"),
                    "no slide of the table is to be scored and none of its pairs compared; by "
                    "which criteria it was scored stands in before_edition and after_edition",
                )
            scored, failed = rows, ()
        remarks: tuple[str, ...] = ()
        if compare:
            scored, remarks = compared(
                scored, bands=bands, rule_set=rule_set, seed=seed, is_quiet=quiet or as_json
            )

        found = analyse(scored, seed=seed, remarks=remarks)
        folder.create()
        # It says that the rest is whole: that of an earlier run must not say so of half of this.
        remove_file(folder.path / COHORT_JSON)
        page = write_cohort_page(folder.path, found, source_name=pairs.name)
        write_cohort(folder.path, found, sheet=sheet, pairs=scored, source=source)
        if as_json:
            document = {"out": str(folder.path), "page": str(page), "failed": list(failed)}
            document.update(cohort_document(found, source=source))
            OUTPUT.print(json.dumps(to_json(document), ensure_ascii=False, allow_nan=False))
        elif not quiet:
            say_end(found, page, failed)
    raise typer.Exit(SOME_FAILED if failed else 0)


def slides_to_score(pairs: Sequence[Pair]) -> tuple[Path, ...]:
    """Return the slides of sides that have no score yet, each once."""
    sides = (side for pair in pairs for side in (pair.before, pair.after) if side.score is None)
    return tuple(dict.fromkeys(side.path for side in sides if side.path is not None))


def with_scores(
    pairs: Sequence[Pair], paths: Sequence[Path], options: ScoreOptions
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Score the slides of the pairs; return the pairs with scores, and the slides that failed."""
    from her2path.cli.score import score
    from her2path.errors import ResultsError
    from her2path.results.folder import ResultsFolder, name_slides
    from her2path.results.record import read_record

    score(options)
    results = ResultsFolder(options.out)
    records: dict[Path, tuple[SlideRecord | None, Path | None]] = {}
    for path, slide_id in zip(paths, name_slides(paths), strict=True):
        result = results.slide(slide_id).slide_json
        try:
            records[path] = (read_record(result), result)
        except ResultsError:
            # It failed, or was damaged since it was scored; `score` has said which.
            records[path] = (None, None)

    def scored(side: Side) -> Side:
        if side.score is not None or side.path is None:
            return side
        record, result = records[side.path]
        return side.scored(record, result)

    done = [replace(pair, before=scored(pair.before), after=scored(pair.after)) for pair in pairs]
    return tuple(done), tuple(str(path) for path, (record, _) in records.items() if record is None)


def compared(
    pairs: tuple[Pair, ...],
    *,
    bands: Bands | None,
    rule_set: RuleSet,
    seed: int,
    is_quiet: bool,
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Compare the slides of pairs that have both, behind a bar; return also why some were not."""
    n_comparable = sum(pair.is_comparable for pair in pairs)
    if not n_comparable:
        return pairs, ()
    from her2path.cohort.verdicts import with_verdicts

    with Bar(is_quiet=is_quiet) as bar:
        bar.show(COMPARING, 0, n_comparable)
        return with_verdicts(
            pairs,
            bands=bands,
            rule_set=rule_set,
            seed=seed,
            progress=partial(bar.advance, COMPARING),
        )


def say_end(found: Cohort, page: Path, failed: Sequence[str]) -> None:
    """Say in a few lines what the cohort shows and where the page is."""
    from her2path.report.cohort import findings
    from her2path.results.record import RESEARCH_USE

    for words in findings(found):
        ERRORS.print(words)
    for remark in found.remarks:
        ERRORS.print(f"  - {remark}", style="yellow")
    if failed:
        ERRORS.print(f"Slides that could not be scored: {', '.join(failed)}")
    ERRORS.print(f"Page: {page}", style="bold")
    ERRORS.print(RESEARCH_USE, style="dim")
