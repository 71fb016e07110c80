"""`her2path models`: which networks there are, where they lie, and whether they are whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.console import ERRORS, OUTPUT, readable_errors
from her2path.cli.options import Debug, Json

if TYPE_CHECKING:
    from her2path.models.shipped import FoundModel

__all__ = ["models_app"]

# More than the longest path that a system knows.
PIPE_WIDTH = 10_000

models_app = typer.Typer(
    help="The networks that can be the second reader: shipped ones, and your own.",
    epilog="Your own are found by their folder, or by name in the folders of HER2PATH_MODELS.",
    no_args_is_help=True,
)


@models_app.command("list")
def list_them(*, as_json: Json = False, debug: Debug = False) -> None:
    """List the models that can be asked for by name."""
    with readable_errors(debug=debug, resumes=False):
        from her2path.models.shipped import list_models

        rows = [row_of(model) for model in list_models()]
    if as_json:
        OUTPUT.print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        ERRORS.print("There is no model; `her2path train` makes one.")
        return
    from rich.console import Console
    from rich.table import Column, Table

    # A folder is to be copied: it may take several lines, but no part of it may be left out.
    names = ("name", "from", "µm/px", "reads", "folder")
    columns = (Column(name, overflow="fold") for name in names)
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("name", "origin", "mpp", "reads", "folder")))
    # A pipe has no width: one line per model.
    wide = Console(file=OUTPUT.file, markup=False, emoji=False, highlight=False, width=PIPE_WIDTH)
    (OUTPUT if OUTPUT.is_terminal else wide).print(table, soft_wrap=False)


def row_of(model: FoundModel) -> dict[str, object]:
    """Return one line of the list; a model that cannot be used says so in its place."""
    from her2path.errors import ModelError

    row: dict[str, object] = {
        "name": model.name,
        "origin": model.origin,
        "folder": str(model.folder),
    }
    try:
        found = model.describe()
    except ModelError as error:
        return row | {"mpp": "–", "reads": "cannot be used", "error": str(error)}
    low, high = found.mpp_range
    kinds = ["/".join(found.tissue_classes)] if found.tissue_classes else []
    reads = [*found.planes, *kinds, *(["score"] if found.scores else [])]
    return row | {
        "mpp": f"{found.mpp:g} (takes {low:g}–{high:g})",
        "reads": ", ".join(reads),
        "fingerprint": found.fingerprint,
        "metrics": found.metrics,
    }


@models_app.command("verify", epilog="Example: her2path models verify my-model/")
def verify(
    model: Annotated[
        str | None, typer.Argument(help="A name or a folder; without, all of the list.")
    ] = None,
    *,
    debug: Debug = False,
) -> None:
    """Check every file of a model against its SHA-256, and that what runs it agrees.

    Each is named by its folder, with the fingerprint that results keep.
    """
    with readable_errors(debug=debug, resumes=False):
        from her2path.errors import ModelError
        from her2path.models.description import verify_folder
        from her2path.models.shipped import find_model, list_models

        chosen = list_models() if model is None else (find_model(model),)
        n_bad = 0
        for found in chosen:
            try:
                description = verify_folder(found.folder)
                # torch takes seconds to load: only where the files are whole.
                from her2path.models.runtimes import check_runtimes

                check_runtimes(found.folder)
            except ModelError as error:
                n_bad += 1
                ERRORS.print(str(error), style="red")
            else:
                n = len(description.files)
                words = f"{n} files are whole, fingerprint {description.fingerprint}"
                OUTPUT.print(f"{found.folder}: {words}")
    raise typer.Exit(1 if n_bad else 0)


@models_app.command("path", epilog="Example: cat $(her2path models path NAME)/MODEL_CARD.md")
def path(
    model: Annotated[str, typer.Argument(help="A name from the list.")], *, debug: Debug = False
) -> None:
    """Print the folder of a model."""
    with readable_errors(debug=debug, resumes=False):
        from her2path.models.shipped import find_model

        OUTPUT.print(str(find_model(model).folder))
