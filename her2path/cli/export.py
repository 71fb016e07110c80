"""`her2path export`: results as DICOM, for viewers and archives."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    SOME_FAILED,
    fail,
    readable_errors,
    set_up_logging,
)
from her2path.cli.options import Debug, Json, Quiet

if TYPE_CHECKING:
    from her2path.results.folder import ResultsFolder
    from her2path.results.run_record import InputFile

__all__ = ["EXAMPLES", "export"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path export results --out dicom\n\n"
    "her2path export results --out dicom --slide A12 --slide B7 --cells tumor\n\n"
    "Needs slides that are DICOM themselves, and the libraries of her2path\\[dicom].\n\n"
    "Exit status: 0 all written · 1 some slides left out or failed (named, the rest done) · "
    "2 wrong use"
)
ANNOTATIONS = "annotations.dcm"
REPORT = "report.dcm"


class CellsChoice(StrEnum):
    """Which cells are written; the words of `CellsWanted`, which loads the table library."""

    STAINED = "stained"
    TUMOR = "tumor"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one slide; paths are None where nothing was written."""

    slide_id: str
    report: Path | None = None
    annotations: Path | None = None
    n_cells: int = 0
    error: str = ""


def export(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS", help="A folder that score has written.", show_default=False
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the files, one folder per slide in it.")
    ],
    slide: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this slide; may be given several times."),
    ] = None,
    cells: Annotated[
        CellsChoice,
        typer.Option(
            help="Which outlines: stained tumor cells, all tumor cells counted, or all cells."
        ),
    ] = CellsChoice.STAINED,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier export has written.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write results as DICOM: cells as bulk annotations, the score as structured report."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        from her2path.results.dicom_source import check_libraries
        from her2path.results.folder import ResultsFolder

        run = ResultsFolder(results)
        chosen = chosen_slides(run, slide or ())
        check_libraries()
        target = ResultsFolder(Path(os.path.abspath(out)))
        check_target(target, chosen, overwrite=overwrite)
        target.make()
        inputs = inputs_of(run)
        done = []
        for slide_id in chosen:
            exported = export_slide(run, target, slide_id, inputs=inputs, cells=cells)
            done.append(exported)
            if exported.error:
                ERRORS.print(f"{slide_id}: left out: {exported.error}")
            elif not (quiet or as_json):
                ERRORS.print(line_of(exported))
    if as_json:
        OUTPUT.print(json.dumps([document_of(e) for e in done], indent=2))
    raise typer.Exit(SOME_FAILED if any(e.error for e in done) else 0)


def chosen_slides(run: ResultsFolder, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the slides to be written: those that were scored, or those named of them."""
    from her2path.results.journal import JournalState, entries_of_run

    scored = [e.slide_id for e in entries_of_run(run) if e.state is JournalState.DONE]
    unknown = [name for name in wanted if name not in scored]
    if unknown:
        known = ", ".join(scored[:20]) + (", …" if len(scored) > 20 else "")
        raise fail(
            f"--slide {', '.join(unknown)}: not scored in {run.path}; scored are {known or 'none'}"
        )
    if not scored:
        raise fail(f"{run.path} holds no slide that was scored; look at its slides.csv")
    return tuple(name for name in scored if not wanted or name in wanted)


def check_target(target: ResultsFolder, chosen: Sequence[str], *, overwrite: bool) -> None:
    """End the program where files would be lost, or mixed with the results of a run."""
    if target.journal.exists() or target.run_json.exists():
        raise fail(
            f"--out {target.path} is a results folder of her2path score; choose another folder"
        )
    there = [
        name
        for name in chosen
        if any((target.slide(name).path / file).exists() for file in (REPORT, ANNOTATIONS))
    ]
    if there and not overwrite:
        raise fail(
            f"--out {target.path} holds an export of {', '.join(there[:5])} already; choose "
            "another folder, or add --overwrite to replace it"
        )


def inputs_of(run: ResultsFolder) -> Mapping[str, InputFile]:
    """Return what run.json says of the files that were read, by path."""
    from her2path.errors import ResultsError
    from her2path.results.jsonable import read_json
    from her2path.results.run_record import InputFile

    try:
        found = [InputFile(**entry) for entry in read_json(run.run_json)["inputs"]]
    except (ResultsError, KeyError, TypeError):
        # Of the files only; results stand by themselves.
        return {}
    return {entry.path: entry for entry in found}


def export_slide(
    run: ResultsFolder,
    target: ResultsFolder,
    slide_id: str,
    *,
    inputs: Mapping[str, InputFile],
    cells: CellsChoice,
) -> Exported:
    """Write the files of one slide; one that cannot be written does not stop the others."""
    from her2path.errors import Her2pathError, ResultsError
    from her2path.results.dicom_annotations import CellsWanted, annotations_of
    from her2path.results.dicom_report import report_of
    from her2path.results.dicom_source import read_source_image, write_dataset
    from her2path.results.record import read_record

    source, folder = run.slide(slide_id), target.slide(slide_id)
    try:
        record = read_record(source.slide_json)
        image = read_source_image(record, inputs)
        annotations, n_cells, fault = None, 0, ""
        # A slide that is not assessable has a score and no cells.
        if source.cells_parquet.exists():
            try:
                annotations, n_cells = annotations_of(
                    record, source.cells_parquet, image, wanted=CellsWanted(cells.value)
                )
            except ResultsError as error:
                # The score is as it is.
                fault = f"{error}; {REPORT} is written alone"
        report = report_of(record, image)
        folder.create()
        paths = folder.path / REPORT, folder.path / ANNOTATIONS
        write_dataset(paths[0], report)
        if annotations is None:
            # Of an earlier export, of other cells.
            paths[1].unlink(missing_ok=True)
        else:
            write_dataset(paths[1], annotations)
    except (Her2pathError, OSError) as error:
        return Exported(slide_id, error=str(error))
    written = None if annotations is None else paths[1]
    return Exported(slide_id, paths[0], written, n_cells, fault)


def line_of(exported: Exported) -> str:
    if exported.annotations is None:
        return f"{exported.slide_id}: {exported.report}; no such cell, so no {ANNOTATIONS}"
    return (
        f"{exported.slide_id}: {exported.report}, {exported.annotations} "
        f"({exported.n_cells:,} cells)"
    )


def document_of(exported: Exported) -> dict[str, object]:
    return {
        "slide_id": exported.slide_id,
        "report": exported.report and str(exported.report),
        "annotations": exported.annotations and str(exported.annotations),
        "n_cells": exported.n_cells,
        "error": exported.error,
    }
