"""`her2path control-range`: how control tissue stains in good runs, and later runs should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import ERRORS, OUTPUT, new_file, readable_errors, set_up_logging
from her2path.cli.options import Debug, Json, OverwriteFile, Quiet

if TYPE_CHECKING:
    from her2path.pipeline.control_range import ControlRange

__all__ = ["EXAMPLES", "control_range"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path score good_runs/ --calibration site.json --exclude-controls --out good\n\n"
    "her2path control-range good --calibration site.json --out site-controls.json\n\n"
    "her2path score cases/ --calibration site-controls.json --exclude-controls --out scored\n\n"
    "One slide of each run, with control tissue beside the sample: drawn (--roi, class Control) or "
    "found. A slide whose control lies outside is then flagged control_out_of_range."
)
CHART = ".controls.png"


def control_range(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Results folders of slides of good runs, scored with the calibration.",
            show_default=False,
        ),
    ],
    *,
    calibration: Annotated[
        Path, typer.Option(help="Calibration that the range is added to, .json.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Calibration to write, .json; a figure too.")
    ],
    overwrite: OverwriteFile = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Add to a calibration the range in which your control tissue stains."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.pipeline.control_range import measure_control_range, with_control_range
        from her2path.pipeline.settings import find_calibration
        from her2path.report.control_range import control_range_words, write_control_chart
        from her2path.results.atomic import write_text

        path = new_file(
            out, suffix=".json", what="a calibration is a JSON file", overwrite=overwrite
        )
        chart = new_file(
            path.with_suffix(CHART), suffix=".png", what="it is a picture", overwrite=overwrite
        )
        site = find_calibration(calibration)
        expected = measure_control_range(results, site)
        changed = with_control_range(site, expected)
        write_text(path, changed.model_dump_json(indent=2) + "\n")
        write_control_chart(chart, expected)
        if as_json:
            OUTPUT.print(json.dumps(summary_of(path, chart, expected)))
        elif not quiet:
            ERRORS.print(control_range_words(expected))
            ERRORS.print(f"\nCalibration: {path}", style="bold")
            ERRORS.print(f"Look at {chart} before you use it.")


def summary_of(path: Path, chart: Path, expected: ControlRange) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "calibration": str(path),
        "figure": str(chart),
        "control_od": [expected.interval.lower, expected.interval.upper],
        "typical_od": expected.typical_od,
        "outside": [run.slide_id for run in expected.outside],
        "left_out": list(expected.left_out),
        "controls": [
            {"slide_id": run.slide_id, "membrane_od": run.od, "n_stained_cells": run.n_cells}
            for run in expected.runs
        ],
    }
