"""`her2path review`: second reading in the browser."""

from __future__ import annotations

import getpass
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    fail,
    readable_errors,
    refuse_unused,
    set_up_logging,
)
from her2path.cli.options import Debug

__all__ = ["EXAMPLES", "review"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    'her2path review results --reader "A. Reader"\n\n'
    "her2path review results --slides all --unblinded\n\n"
    'her2path review results --export mine.csv --reader "A. Reader"\n\n'
    "her2path evaluate results --reference mine.csv --out agreement\n\n"
    "The page is on this machine only. From another one: "
    "ssh -L 8765:127.0.0.1:8765 MACHINE, and --port 8765 --no-browser there."
)


class Choice(StrEnum):
    """Which slides are read."""

    FLAGGED = "flagged"
    ALL = "all"


def review(
    context: typer.Context,
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS", help="A folder that score has written.", show_default=False
        ),
    ],
    *,
    reader: Annotated[
        str,
        typer.Option(help="Your name, as it stands in the log; without, the name you log in by."),
    ] = "",
    slides: Annotated[
        Choice, typer.Option(help="Which slides: those that ask for a second read, or all.")
    ] = Choice.FLAGGED,
    unblinded: Annotated[
        bool,
        typer.Option(
            "--unblinded",
            help="Show names and results from the start, the least sure first; without it they "
            "show once you have given your own score.",
        ),
    ] = False,
    slide_folder: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Where the slides lie now, if they were moved."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address without opening it.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Check the log and write the readings of --reader (without, of all) as a table, "
            "then end.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Read flagged slides in the browser, blinded, and keep what was read in a log."""
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, resumes=False):
        if not results.is_dir():
            raise fail(f"{results} is no folder; name the one given to score with --out")
        if export is not None:
            refuse_unused(
                context,
                ["slides", "unblinded", "slide_folder", "port", "no_browser"],
                "is of the page, and --export opens none",
            )
            OUTPUT.print(f"{export_readings(results, export, reader)}")
            return
        name = reader or login_name()
        serve_page(
            results,
            name,
            only_flagged=slides is Choice.FLAGGED,
            is_blinded=not unblinded,
            slide_folder=slide_folder,
            port=port,
            opens_browser=not no_browser,
        )


def login_name() -> str:
    """Return the name that the user logged in by; a container may have none."""
    from her2path.errors import ResultsError

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError) as error:
        raise ResultsError(
            "the name that you log in by is not known here; give yours by --reader"
        ) from error


def export_readings(folder: Path, table: Path, reader: str) -> Path:
    """Write the readings of a reader, or of all, and return the path of the table."""
    from her2path.errors import ResultsError
    from her2path.results.folder import ResultsFolder
    from her2path.results.review_log import (
        EntryKind,
        PresentResult,
        by_slide,
        of_file,
        read_log,
        write_reviews,
    )
    from her2path.review import reader_name

    results = ResultsFolder(folder)
    path = results.review_log
    entries = read_log(path) if path.exists() else ()
    if not entries:
        raise ResultsError(f"{folder} has no second readings yet; her2path review {folder} begins")
    if table.exists():
        raise ResultsError(f"{table} exists already; choose another name")
    reader = reader_name(reader) if reader else ""
    own = [entry for entry in entries if not reader or entry.reader == reader]
    if not own:
        known = ", ".join(sorted({entry.reader for entry in entries}))
        raise ResultsError(f"{reader} has read nothing here; readers are {known}")
    readings = by_slide(entry for entry in own if entry.kind is EntryKind.READING)
    presents = {name: PresentResult.of_slide(results, name) for name in readings}
    kept = [one for name, found in readings.items() for one in of_file(found, presents[name])]
    n_other = sum(map(len, readings.values())) - len(kept)
    if not kept:
        raise ResultsError(
            f"the readings {f'of {reader} ' if reader else ''}are of other files than "
            f"those now scored in {folder} by the same names; none is written, the log keeps them"
        )
    write_reviews(table, own, presents)
    if n_other:
        ERRORS.print(
            f"{n_other:,} reading{'s' * (n_other != 1)} of another file of the same name left "
            f"out; {path} keeps {'them' if n_other > 1 else 'it'}"
        )
    return table


def serve_page(
    folder: Path,
    reader: str,
    *,
    only_flagged: bool,
    is_blinded: bool,
    slide_folder: Path | None,
    port: int,
    opens_browser: bool,
) -> None:
    """Serve the page until it is interrupted, and say then how far the reader has come."""
    from her2path.errors import ResultsError
    from her2path.results.folder import ResultsFolder
    from her2path.results.review_log import ReviewLog
    from her2path.review import CaseState, SlidePool, finder, open_queue, serve

    results = ResultsFolder(folder)
    if not results.journal.is_file():
        # Before a log is begun in a folder that has nothing to do with her2path.
        raise ResultsError(f"{folder} holds no run of her2path; name the folder given to --out")
    with ReviewLog(results.review_log) as log:
        queue = open_queue(
            results, reader=reader, only_flagged=only_flagged, is_blinded=is_blinded, log=log
        )

        n_slides = len(queue.cases)
        for words in queue.missing:
            ERRORS.print(words)
        n_again = sum(queue.earlier_decision(case) is not None for case in queue.cases)
        if n_again:
            ERRORS.print(
                f"{n_again:,} slide{'s' * (n_again != 1)} scored again since you decided; decide "
                "again"
            )

        def announce(address: str) -> None:
            ERRORS.print(
                f"{n_slides:,} slide{'s' * (n_slides != 1)} for {queue.reader}, "
                f"{'blinded' if is_blinded else 'not blinded'}. Open this address; Ctrl+C ends.",
            )
            OUTPUT.print(address)

        # The way to end it; each reading is on the disk.
        with suppress(KeyboardInterrupt):
            serve(
                queue,
                SlidePool(finder(slide_folder)),
                port=port,
                announce=announce,
                opens_browser=opens_browser,
            )
        n_read = sum(queue.state(case) is not CaseState.OPEN for case in queue.cases)
        where = ""
        # The table holds the program's scores and the readings of others.
        if results.reviews_csv.exists() and (n_read == n_slides or not is_blinded):
            where = f"; readings are in {results.reviews_csv}"
        ERRORS.print(f"{n_read:,} of {n_slides:,} read{where}")
