"""`her2path train`: train the network that reads slides beside the rules."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2path.cli.bar import PLAIN_EVERY_S, Bar
from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    fail,
    readable_errors,
    refuse_unused,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import Debug, Device, Quiet, mpp_of, processors

if TYPE_CHECKING:
    from rich.console import Console

    from her2path.models.training import Progress, TrainingResult
    from her2path.models.training_recipe import TrainingRecipe

__all__ = ["EXAMPLES", "train"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path train --recipe small --out first-try\n\n"
    "her2path train --recipe cpu --out run\n\n"
    "her2path train my-recipe.toml --out run --data manifest.csv\n\n"
    "her2path train --recipe adapt --out run --data manifest.csv --start-from her2-broad\n\n"
    "her2path train --recipe cpu --out run --resume\n\n"
    "torchrun --nproc-per-node 4 -m her2path train --recipe gpu --out run\n\n"
    "Fields with known truth are drawn first, coloured anew for each batch, and two laboratories "
    "are kept aside: RUN/curves.csv shows how well those are read, RUN/samples what is seen in "
    "them. RUN/model is the best network so far; use it with\n\n"
    "her2path score slide.svs --model run/model --out results"
)
FIGURES = {
    "nucleus_f1": "nuclei",
    "tumor_accuracy": "tumor",
    "membrane_f1": "membranes",
    "score_kappa": "score",
    "data_tumor_accuracy": "tumor in --data",
    "data_score_kappa": "scores in --data",
}
MOST_MAKERS = 64
GOES_ON = "from the last validation; before the first one give the command again without it"


def train(
    context: typer.Context,
    recipe_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE.toml",
            help="A recipe of your own; --print-recipe shows one to start from.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the run and its network.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="A recipe of the package: small (minutes, to try), cpu (under two hours on two "
            "processor cores), gpu (full: how the network that ships was begun), widen (goes on "
            "with a network of gpu, --start-from: how it was finished), adapt (goes on with the "
            "one that ships, --start-from her2-broad, and pictures of yours, --data)."
        ),
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MANIFEST.csv|KIND:FOLDER",
            help="Annotated pictures to train on beside the drawn ones; may be given again.",
        ),
    ] = None,
    data_mpp: Annotated[
        float | None,
        typer.Option(
            parser=mpp_of,
            metavar="<float>",
            help="µm per pixel of pictures in --data that hold none.",
        ),
    ] = None,
    start_from: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Begin with the weights of this network (a name of `her2path models list`, or a "
            "folder), to adapt it to pictures of your own.",
        ),
    ] = "",
    fields: Annotated[
        Path | None,
        typer.Option(help="Folder for the drawn fields, to share them between runs."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Annotated[
        Device, typer.Option(help="auto takes a graphics card where torch sees one.")
    ] = Device.AUTO,
    threads: Annotated[
        int, typer.Option(min=1, max=256, help="Threads of the processor for the network.")
    ] = 1,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_MAKERS,
            help="Processes that draw and colour; 0: none beside this. Unless given, one for each "
            "processor that --threads leaves.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**20, help="Seed of the first weights and of the batches.")
    ] = 0,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Learn no longer than this (drawing comes before); else as the recipe says.",
        ),
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx/--no-onnx", help="Write the network as ONNX too, if onnx is there."),
    ] = True,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the recipe and end.")
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the result as JSON, and say nothing else.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train a network on drawn slides, and on annotated ones where you have them."""
    use_threads(threads)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug, goes_on=GOES_ON):
        chosen = chosen_recipe(recipe, recipe_file, max_minutes=max_minutes)
        if print_recipe:
            OUTPUT.print(chosen.to_toml())
            return
        if out is None:
            raise fail("give a folder for the run: --out RUN")
        if not data:
            refuse_unused(context, ["data_mpp"], "is of the pictures in --data, and there are none")
        # torch takes seconds to load: not for a recipe that is only printed.
        from her2path.models.training import TrainingOptions
        from her2path.models.training import train as train_network

        options = TrainingOptions(
            out=out,
            fields=fields,
            sources=tuple(data or ()),
            sources_mpp=data_mpp,
            device=device.value,
            threads=threads,
            workers=makers_of_batches(threads) if workers is None else workers,
            resume=resume,
            write_onnx=onnx,
            start_from=start_from,
        )
        # Of the processes that torchrun starts one speaks for all.
        speaks = os.environ.get("RANK", "0") == "0"
        if not speaks:
            logging.disable(logging.WARNING)
        with Display(is_quiet=quiet or as_json or not speaks) as display:
            result = train_network(chosen, options, seed=seed, progress=display)
        if speaks:
            say_end(result, as_json=as_json, is_quiet=quiet)


def makers_of_batches(threads: int) -> int:
    """Return how many processes draw and colour beside `threads` of each process of torchrun.

    Where there are more than processors, the threads of the network wait for one another.
    """
    if multiprocessing.get_start_method() != "fork":
        # Each would hold fields of its own, gigabytes of them.
        return 0
    own = processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(max(1, own - threads), MOST_MAKERS)


def chosen_recipe(name: str, file: Path | None, *, max_minutes: float | None) -> TrainingRecipe:
    """Return the recipe of that name or file, or end when not just one of them is given."""
    from her2path.models.training_recipe import read_training_recipe, shipped_recipes

    if bool(name) == (file is not None):
        known = ", ".join(shipped_recipes())
        raise fail(f"give a recipe with --recipe, one of {known}; or a RECIPE.toml")
    recipe = read_training_recipe(name if file is None else file)
    if max_minutes is None:
        return recipe
    return recipe.model_copy(update={"max_minutes": max_minutes})


def say_end(result: TrainingResult, *, as_json: bool, is_quiet: bool) -> None:
    """Say what came out."""
    if as_json:
        OUTPUT.print(
            json.dumps(
                {
                    "model": str(result.model),
                    "steps": result.n_steps,
                    "minutes": round(result.minutes, 2),
                    "validation": result.figures,
                }
            ),
        )
    elif not is_quiet:
        OUTPUT.print(f"{result.model}  ({words_of(result.figures)})")


def words_of(figures: dict[str, float]) -> str:
    """Return the figures of a validation in one line."""
    known = {name: word for name, word in FIGURES.items() if name in figures}
    return " · ".join(f"{word} {figures[name]:.3f}" for name, word in known.items())


class Display(Bar):
    """Shows how far training is: a bar at a terminal, and a line for each validation.

    Where there is no terminal, also a line when a stage begins and now and then while it goes on.
    """

    def __init__(self, *, is_quiet: bool = False, console: Console = ERRORS) -> None:
        super().__init__(is_quiet=is_quiet, console=console)
        self.stage = ""
        self.spoken = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        if self.is_quiet:
            return
        line = self.line_of(progress)
        if line is not None:
            self.console.print(line)
            self.spoken = time.perf_counter()
        if not progress.words:
            self.stage = progress.stage
            self.show(progress.stage, progress.done, progress.of)

    def line_of(self, progress: Progress) -> str | None:
        """Return the line that stays, None where only the bar moves or too little time went by."""
        if progress.words:
            return progress.words
        step = f"step {progress.done} of {progress.of}: loss {progress.loss:.3f}"
        if progress.figures is not None:
            return f"{step} · {words_of(progress.figures)}"
        is_due = time.perf_counter() - self.spoken > PLAIN_EVERY_S
        if self.is_shown:
            return None
        if progress.stage == "drawing" and (progress.done in (0, progress.of) or is_due):
            return f"drawing fields: {progress.done} of {progress.of}"
        if progress.stage == "training" and self.stage != "training":
            return f"training, {step}"
        return step if progress.stage == "training" and is_due else None
