"""`her2path evaluate`: results held against references."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    check_free,
    fail,
    readable_errors,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import Debug, OverwriteResults, Quiet, SeedOfResampling

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path evaluate results --reference readings.csv --out evaluation\n\n"
    "her2path evaluate results --truth slides/ --out evaluation\n\n"
    "readings.csv has the columns slide_id (or path) and reference (0, 0+, 1+, 2+, 3+, 0|0+ where "
    "these were not told apart, or not_assessable), and may have patient_id and laboratory."
)


def evaluate(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="A folder that score has written, or a CSV with its columns.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the evaluation.")],
    reference: Annotated[
        Path | None, typer.Option(metavar="TABLE.csv", help="Scores given by people.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Drawn slides with their truth, cells too."),
    ] = None,
    reader: Annotated[
        str,
        typer.Option(
            help="Evaluate another reader's columns of the table: WORD_score, WORD_p_0 …; "
            "without, the call."
        ),
    ] = "",
    seed: SeedOfResampling = 0,
    overwrite: OverwriteResults = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write evaluation.json to standard output as well.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Hold scores, probabilities, flags and cells against references."""
    use_threads(1)
    set_up_logging(debug=debug)
    if (reference is None) == (truth is None):
        raise fail("give either --reference TABLE.csv or --truth FOLDER")
    with readable_errors(debug=debug, resumes=False):
        if not results.exists():
            raise fail(f"{results} does not exist; name the folder given to score with --out")
        from her2path.evaluation import evaluate as hold_against
        from her2path.evaluation import (
            read_readings,
            read_references,
            read_truths,
            write_evaluation,
        )
        from her2path.evaluation.writing import EVALUATION_JSON, document_of
        from her2path.report.evaluation import summary_lines, write_evaluation_page
        from her2path.results.atomic import remove_file
        from her2path.results.folder import ResultsFolder
        from her2path.results.jsonable import to_json

        if not overwrite:
            check_free(out, EVALUATION_JSON, "an evaluation", "--overwrite to replace it")
        readings = read_readings(results, reader=reader)
        references = read_references(reference) if reference else read_truths(truth or Path())
        found = hold_against(readings, references, is_truth=truth is not None, seed=seed)
        folder = ResultsFolder(Path(os.path.abspath(out))).create().path
        # It says that the rest is whole: that of an earlier run must not say so of half of this.
        remove_file(folder / EVALUATION_JSON)
        page = write_evaluation_page(folder, found, source_name=results.name or str(results))
        write_evaluation(folder, found)
        if as_json:
            text = json.dumps(to_json(document_of(found)), ensure_ascii=False, indent=2)
            OUTPUT.print(text)
        elif not quiet:
            for line in summary_lines(found):
                ERRORS.print(line)
            ERRORS.print(f"\nEvaluation: {page}", style="bold")
