"""`her2path outcomes`: HER2 groups, and what happened to the patients."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    check_free,
    readable_errors,
    refuse_unused,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import Debug, Json, OverwriteResults, Quiet, StudyFolder
from her2path.criteria.score import Organ

if TYPE_CHECKING:
    from her2path.outcomes.analysis import Outcomes

__all__ = ["EXAMPLES", "outcomes"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path outcomes patients.csv --out outcomes --covariates age,grade --response response\n\n"
    "her2path outcomes patients.csv --out outcomes --time pfs_months --event progressed "
    "--unit months --endpoint 'Progression-free survival' --adjust age,grade --strata site\n\n"
    "her2path outcomes results/slides.csv --out outcomes --time months --event died\n\n"
    "her2path outcomes cohort/pairs.csv --out outcomes --group score_change --response response\n\n"
    "[bold]patients.csv[/bold] has one row per patient. The groups (positive, low, ultralow, null, "
    "equivocal) come from the columns score and ish, from status in a slides.csv, or from any "
    "column named with --group. Responses are CR, PR, SD, PD, NE, or yes and no; events 1 and 0, "
    "or yes and no. Empty cells are unknown.\n\n"
    "patient_id,score,ish,age,response,months,died\n\n"
    "P01,2+,not_amplified,61,PR,14.2,0\n\n"
    "P02,0+,,48,SD,5.1,1\n\n"
    "[bold]--out[/bold] gets outcomes.html, outcomes.json, a CSV table of each part, and the "
    "figures as SVG and PNG. Survival needs the extra: pip install 'her2path\\[outcomes]'.\n\n"
    "Exit status: 0 done · 2 wrong use: every fault of the table is listed with its row, and "
    "nothing is written"
)


def outcomes(
    context: typer.Context,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.csv", help="One row per patient.", show_default=False)
    ],
    *,
    out: StudyFolder,
    score: Annotated[
        str, typer.Option(metavar="COLUMN", help="Score; score when there is such a column.")
    ] = "",
    ish: Annotated[
        str, typer.Option(metavar="COLUMN", help="ISH; ish when there is such a column.")
    ] = "",
    group: Annotated[
        str, typer.Option(metavar="COLUMN", help="Groups as they stand, instead of score and ISH.")
    ] = "",
    organ: Annotated[
        Organ, typer.Option(help="Whose rules make a status from score and ISH.")
    ] = Organ.BREAST,
    covariates: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="Columns of the baseline table.")
    ] = "",
    categorical: Annotated[
        str,
        typer.Option(metavar="COLUMN,…", help="Covariates whose numbers are names, like a grade."),
    ] = "",
    response: Annotated[str, typer.Option(metavar="COLUMN", help="Best response.")] = "",
    responders: Annotated[
        str,
        typer.Option(
            metavar="WORD,…",
            help="Words that count as response in place of CR, PR and yes; each must occur. Others "
            "count as none (beside usual words alone, an unusual one is a fault), NE, n.d. and the "
            "like as unknown.",
        ),
    ] = "",
    time: Annotated[
        str, typer.Option(metavar="COLUMN", help="Time to the event or the end of observation.")
    ] = "",
    event: Annotated[
        str, typer.Option(metavar="COLUMN", help="Whether the event happened, 1 or 0.")
    ] = "",
    endpoint: Annotated[
        str, typer.Option(help="What the time is to, as the plot names it.")
    ] = "Survival",
    unit: Annotated[str, typer.Option(help="What time is counted in, such as months.")] = "",
    adjust: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="Covariates of a second, adjusted Cox model.")
    ] = "",
    strata: Annotated[
        str, typer.Option(metavar="COLUMN", help="A factor to stratify tests and models by.")
    ] = "",
    reference: Annotated[
        str,
        typer.Option(metavar="GROUP", help="Group that hazards are compared with; the largest."),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of exact tests by random tables.")] = 0,
    overwrite: OverwriteResults = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare HER2 groups: baseline, response, survival, hazards."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.outcomes.analysis import analyse_outcomes
        from her2path.outcomes.patients import Columns, read_patients
        from her2path.outcomes.writing import OUTCOMES_JSON, outcomes_document, write_outcomes
        from her2path.report.outcomes import write_outcomes_page
        from her2path.results.atomic import remove_file
        from her2path.results.folder import ResultsFolder
        from her2path.results.jsonable import to_json
        from her2path.results.run_record import describe_input

        if not overwrite:
            check_free(out, OUTCOMES_JSON, "outcomes", "--overwrite to replace them")
        if not response:
            refuse_unused(
                context, ["responders"], "needs --response, the column that holds the words"
            )
        if not time:
            refuse_unused(
                context,
                ["reference", "adjust", "endpoint", "unit"],
                "need --time and --event: they are of survival and hazards",
            )
            if not response:
                refuse_unused(
                    context, ["strata"], "is of survival and response; add --time or --response"
                )
        if group:
            refuse_unused(
                context, ["ish", "organ"], "make groups from scores; --group takes them as they are"
            )
        columns = Columns(
            score=score,
            ish=ish,
            group=group,
            time=time,
            event=event,
            response=response,
            responders=listed(responders),
            covariates=listed(covariates),
            adjust=listed(adjust),
            categorical=listed(categorical),
            strata=strata,
        )
        patients = read_patients(table, columns, organ=organ)
        if not patients.is_scored:
            refuse_unused(
                context,
                ["organ"],
                f"makes groups from scores; those here are the column {patients.columns.group} as "
                "it stands: name the scores by --score",
            )
        found = analyse_outcomes(patients, reference=reference, seed=seed)
        source = describe_input(table)
        folder = ResultsFolder(Path(os.path.abspath(out))).create()
        # It says that the rest is whole: that of an earlier run must not say so of half of this.
        remove_file(folder.path / OUTCOMES_JSON)
        page = write_outcomes_page(
            folder.path, found, source_name=table.name, endpoint=endpoint, unit=unit
        )
        write_outcomes(folder.path, found, source=source)
        if as_json:
            document = {"out": str(folder.path), "page": str(page)}
            document.update(outcomes_document(found, source=source))
            OUTPUT.print(json.dumps(to_json(document), ensure_ascii=False, allow_nan=False))
        elif not quiet:
            say_end(found, page, endpoint=endpoint, unit=unit)


def listed(text: str) -> tuple[str, ...]:
    """Return names that commas separate, each once."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def say_end(found: Outcomes, page: Path, *, endpoint: str, unit: str) -> None:
    """Say in a few lines what was found, with its remarks, and where the page is."""
    from her2path.report.outcomes import outcome_findings
    from her2path.results.record import RESEARCH_USE

    for words in outcome_findings(found, endpoint=endpoint, unit=unit):
        ERRORS.print(words)
    of_models = [f"{m.name}: {words}" for m in found.models for words in m.remarks]
    for remark in (*found.remarks, *of_models):
        ERRORS.print(f"  - {remark}", style="yellow")
    ERRORS.print(f"Page: {page}", style="bold")
    ERRORS.print(RESEARCH_USE, style="dim")
