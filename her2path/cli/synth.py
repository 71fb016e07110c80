"""`her2path synth`: draw slides whose every cell is known."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from enum import StrEnum
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from her2path.cli.bar import Bar
from her2path.cli.console import (
    ERRORS,
    OUTPUT,
    fail,
    readable_errors,
    refuse_resume_and_overwrite,
    set_up_logging,
    use_threads,
)
from her2path.cli.options import Debug, Json, Quiet

if TYPE_CHECKING:
    from her2path.synth.laboratory import Laboratory
    from her2path.synth.pairs import WrittenPair
    from her2path.synth.recipe import MixEntry, SlideRecipe
    from her2path.synth.writing import WrittenSlide

__all__ = ["EXAMPLES", "synth"]

EXAMPLES = (
    "[bold]Examples[/bold]\n\n"
    "her2path synth --print-recipe > recipe.toml\n\n"
    "her2path synth recipe.toml --out slides --laboratory test-b --seed 7 --count 3\n\n"
    "her2path synth recipe.toml --out pairs --pair none=0.9,faint_incomplete=0.1 "
    "--after-laboratory test-c\n\n"
    "Beside each slide lie NAME.truth.json, NAME.cells.csv.gz and NAME.masks.png, with "
    "--membranes NAME.membranes.tif too."
)
UNCHANGED = "same"
# More slides than this are a slip of a digit: each takes seconds to minutes and megabytes.
MAX_COUNT = 10_000

Given = TypeVar("Given")
Found = TypeVar("Found")


class SlideFormat(StrEnum):
    """What is written."""

    SVS = "svs"
    OME_TIFF = "ome.tif"
    DICOM = "dcm"


def synth(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE.toml", help="What to draw; see --print-recipe.", show_default=False
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for slides and their truth.")
    ] = None,
    laboratory: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml", help="Stains and scanner: a name from the list, or a file."
        ),
    ] = "reference",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="The same seed gives the same bytes.")
    ] = 1,
    count: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Slides or pairs, with seeds that follow.")
    ] = 1,
    slide_format: Annotated[
        SlideFormat,
        typer.Option(
            "--format",
            help="svs opens as Aperio; dcm is a file per level and needs the extra dicom.",
        ),
    ] = SlideFormat.SVS,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Write a color profile (ICC) that undoes the laboratory's gamma, as scanners do.",
        ),
    ] = False,
    membranes: Annotated[
        bool,
        typer.Option(
            "--membranes",
            help="Write a mask of the stained membranes too, as large as the slide: 0 none, "
            "1 faint, 2 weak, 3 moderate, 4 intense.",
        ),
    ] = False,
    pair: Annotated[
        str,
        typer.Option(
            metavar="MIX|same",
            help="Draw pairs of one patient: the recipe before, this mix after, such as "
            "none=0.9,faint_incomplete=0.1; or same, for no change.",
        ),
    ] = "",
    after_laboratory: Annotated[
        str,
        typer.Option(metavar="NAME|FILE.toml", help="Of the second slide of a pair, if another."),
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on: keep the slides that are drawn already.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace slides that are there.")
    ] = False,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print a recipe that explains every field.")
    ] = False,
    print_laboratory: Annotated[
        str, typer.Option(metavar="NAME", help="Print a laboratory as TOML, to start from.")
    ] = "",
    list_laboratories: Annotated[
        bool, typer.Option("--list-laboratories", help="List the laboratories that come along.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw slides with known truth: every cell, every membrane, the score."""
    use_threads(1)
    set_up_logging(debug=debug)
    with readable_errors(debug=debug):
        from her2path.synth.laboratory import load_laboratory
        from her2path.synth.reading import example_recipe

        if print_recipe:
            OUTPUT.print(example_recipe(), end="")
        elif print_laboratory:
            OUTPUT.print(toml_of(load_laboratory(print_laboratory)), end="")
        elif list_laboratories:
            show_laboratories(as_json=as_json)
        else:
            if recipe is None or out is None:
                raise fail("name a RECIPE.toml and --out DIR; --print-recipe shows a recipe")
            refuse_resume_and_overwrite(resume=resume, overwrite=overwrite)
            with Display(is_quiet=quiet or as_json) as progress:
                truths = drawn(
                    recipe,
                    out,
                    laboratories=(laboratory, after_laboratory),
                    seeds=range(seed, seed + count),
                    suffix=f".{slide_format}",
                    with_profile=profile,
                    with_membranes=membranes,
                    pair=pair,
                    resume=resume,
                    overwrite=overwrite,
                    progress=progress,
                )
            if as_json:
                OUTPUT.print(json.dumps(truths, ensure_ascii=False, indent=1))
            elif not quiet:
                kind = "pair" if pair else "slide"
                words = f"{len(truths)} {kind}{'s' * (len(truths) != 1)} drawn"
                ERRORS.print(f"{words} in {os.path.abspath(out)}")


def drawn(
    recipe_path: Path,
    out: Path,
    *,
    laboratories: tuple[str, str],
    seeds: range,
    suffix: str,
    with_profile: bool,
    with_membranes: bool,
    pair: str,
    resume: bool,
    overwrite: bool,
    progress: Display,
) -> list[dict[str, Any]]:
    """Draw slides or pairs and return what `--json` prints; nothing is drawn when a fault shows."""
    from her2path.results.atomic import remove_file, remove_leftovers
    from her2path.results.lock import only_run_in
    from her2path.synth.pairs import pair_path, write_pair
    from her2path.synth.writing import draw_slides, truth_path

    recipe, labs, after = checked(
        recipe_path,
        out,
        laboratories=laboratories,
        seeds=seeds,
        suffix=suffix,
        pair=pair,
        may_be_there=resume or overwrite,
    )
    make_folder(out)
    with only_run_in(out):
        remove_leftovers(out)
        if overwrite:
            # All of them now: a run that ends early goes on with --resume, which keeps what has
            # a truth.
            for stem in stems_of(recipe.name, seeds, pair):
                remove_file(truth_path(out, stem))
            for stem in stems_of(recipe.name, seeds, "") if pair else ():
                remove_file(pair_path(out, stem))
        progress.begin(len(stems_of(recipe.name, seeds, pair)))
        if not pair:
            written = draw_slides(
                recipe_path,
                out,
                laboratory=laboratories[0],
                seeds=seeds,
                suffix=suffix,
                with_profile=with_profile,
                with_membranes=with_membranes,
                resumes=resume,
                progress=progress,
            )
            return [slide_words(slide) for slide in written]
        pairs = [
            write_pair(
                replace(recipe, name=f"{recipe.name}-{seed}"),
                after,
                out,
                laboratories=labs,
                seed=seed,
                suffix=suffix,
                with_profile=with_profile,
                with_membranes=with_membranes,
                resumes=resume,
                progress=progress,
            )
            for seed in seeds
        ]
        return [pair_words(written) for written in pairs]


def checked(
    recipe_path: Path,
    out: Path,
    *,
    laboratories: tuple[str, str],
    seeds: range,
    suffix: str,
    pair: str,
    may_be_there: bool,
) -> tuple[SlideRecipe, tuple[Laboratory, Laboratory], tuple[MixEntry, ...] | None]:
    """Return recipe, laboratories and the mix after, or end and tell every fault at once."""
    from her2path.errors import list_faults
    from her2path.synth.reading import read_laboratory, read_recipe
    from her2path.synth.recipe import RecipeError
    from her2path.synth.writing import check_size

    faults: list[str] = []

    def read(function: Callable[[Given], Found], given: Given) -> Found | None:
        try:
            return function(given)
        except RecipeError as error:
            faults.append(str(error))
            return None

    recipe = read(read_recipe, recipe_path)
    # Without a name the second is as the first, which must have one.
    names = dict.fromkeys((laboratories[0], laboratories[1] or laboratories[0]))
    found = [read(read_laboratory, name) for name in names]
    labs = [lab for lab in found if lab is not None]
    after = read(mix_after, pair)
    if laboratories[1] and not pair:
        faults.append("--after-laboratory is for pairs: add --pair MIX or --pair same")
    if recipe is not None:
        for lab in labs:
            read(lambda lab: check_size(recipe, lab, f"{recipe.name}{suffix}"), lab)
        stems = stems_of(recipe.name, seeds, pair)
        endings = [f".{known}" for known in SlideFormat if suffix != f".{known}"]
        others = files_there(out, stems, endings)
        if others:
            faults.append(
                f"{', '.join(others[:8])} in {out}: drawn otherwise, in another format, and would "
                "stand beside the truth of a slide that it is not: delete it, or choose another "
                "--out"
            )
        # The truth carries no format in its name: another format would replace that of a slide.
        there = [] if may_be_there else files_there(out, stems, (suffix, ".truth.json"))
        if there and not others:
            faults.append(
                f"{len(there)} files of these slides are in {out} already, {there[0]} first: add "
                "--resume to go on or --overwrite, or choose another --seed or --out"
            )
    if faults or recipe is None:
        words = faults[0] if len(faults) == 1 else list_faults("nothing was drawn", faults)
        raise fail(words)
    return recipe, (labs[0], labs[-1]), after


def stems_of(name: str, seeds: range, pair: str) -> list[str]:
    """Return the names of the slides, without their endings, that a recipe of this name gives."""
    sides = ("-before", "-after") if pair else ("",)
    return [f"{name}-{seed}{side}" for seed in seeds for side in sides]


def files_there(out: Path, stems: Sequence[str], endings: Sequence[str]) -> list[str]:
    """Return the names of files, ending by ending, that are in the folder already."""
    names = [f"{stem}{ending}" for ending in endings for stem in stems]
    found = [name for name in names if (out / name).exists()]
    if ".dcm" in endings:
        # A lower level that was left behind would be taken for a slide.
        for stem in stems:
            found += sorted(path.name for path in out.glob(f"{escape(stem)}_level*.dcm"))
    return found


def mix_after(text: str) -> tuple[MixEntry, ...] | None:
    """Read the mix after, such as "none=0.9,faint_incomplete=0.1"; None for no change.

    Raises
    ------
    RecipeError
        When it is no mix.
    """
    from her2path.synth.recipe import RecipeError, mix_of

    if text in ("", UNCHANGED):
        return None
    shares = {}
    for part in text.split(","):
        word, _, share = part.partition("=")
        if word.strip() in shares:
            raise RecipeError(f"--pair {text}: {word.strip()} is given twice")
        try:
            shares[word.strip()] = float(share)
        except ValueError as error:
            raise RecipeError(
                f"--pair {text}: {part!r} is no WORD=SHARE; write for example "
                "none=0.9,faint_incomplete=0.1, or same"
            ) from error
    try:
        return mix_of(**shares)
    except RecipeError as error:
        raise RecipeError(f"--pair {text}: {error}") from error


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail(
            f"--out {out} cannot be made ({error.strerror or error}); choose another"
        ) from error


def slide_words(slide: WrittenSlide) -> dict[str, Any]:
    """Return what `--json` says of a slide."""
    return {
        "path": str(slide.path),
        "truth": str(slide.truth_path),
        "score": slide.truth["score"],
        "n_tumor_cells": slide.truth["slide"]["n_tumor_cells"],
    }


def pair_words(pair: WrittenPair) -> dict[str, Any]:
    """Return what `--json` says of a pair."""
    return {
        "truth": str(pair.truth_path),
        "before": slide_words(pair.before),
        "after": slide_words(pair.after),
    }


def known_laboratories() -> list[tuple[str, Laboratory]]:
    """Return each laboratory with what it is for."""
    from her2path.synth.laboratory import laboratories, load_laboratory

    found = [("any", load_laboratory("reference"))]
    return found + [(use, lab) for use in ("training", "test") for lab in laboratories(use)]


def show_laboratories(*, as_json: bool) -> None:
    """Print the laboratories of the package."""
    known = known_laboratories()
    if as_json:
        rows = [
            {"use": use, **{f.name: getattr(lab, f.name) for f in fields(lab)}}
            for use, lab in known
        ]
        OUTPUT.print(json.dumps(rows, indent=1))
        return
    from rich.table import Table

    table = Table("name", "for", "µm/px", "DAB", "counterstain", "file", box=None, pad_edge=False)
    for use, lab in known:
        numbers = (f"{lab.mpp:g}", f"{lab.dab_strength:g}", f"{lab.counterstain:g}")
        table.add_row(lab.name, use, *numbers, lab.compression)
    OUTPUT.print(table)


def toml_of(laboratory: Laboratory) -> str:
    """Return a laboratory as a TOML file that --laboratory reads."""

    def literal(value: str | float | Sequence[float]) -> str:
        # JSON writes texts, numbers and lists as TOML does.
        return json.dumps(value if isinstance(value, str | int | float) else list(value))

    lines = [f"{f.name} = {literal(getattr(laboratory, f.name))}" for f in fields(laboratory)]
    return "\n".join([*lines, ""])


class Display(Bar):
    """Shows how far it is: a bar at a terminal, and a line for each slide that is drawn."""

    def __init__(self, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self.n_slides = 0
        self.n_done = 0

    def begin(self, n_slides: int) -> None:
        """Show that so many slides will be drawn."""
        self.n_slides = n_slides
        self.show("slides", 0, n_slides, words="drawing")

    def __call__(self, name: str, n_rows: int, of: int) -> None:
        """Show that `n_rows` of a slide's rows are drawn."""
        is_done = n_rows >= of
        self.show("slides", self.n_done + n_rows / of, self.n_slides, words=name)
        self.n_done += is_done
        if is_done and not self.is_quiet:
            ERRORS.print(f"{self.n_done} of {self.n_slides}: {name}")
