"""Write synthetic slides to disk: pixels, cells, masks and truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.results.atomic import remove_file, write_bytes
from her2path.results.jsonable import read_json
from her2path.synth.dicom import check_dicom
from her2path.synth.laboratory import Laboratory
from her2path.synth.membrane_mask import membrane_mask
from her2path.synth.pyramids import PyramidWriter
from her2path.synth.reading import read_laboratory, read_recipe
from her2path.synth.recipe import RecipeError, SlideRecipe
from her2path.synth.records import described, warn_of_missing, write_cells, write_truth
from her2path.synth.scene import Scene

__all__ = [
    "Progress",
    "WrittenSlide",
    "check_size",
    "draw_slides",
    "sha256_of",
    "truth_path",
    "write_slide",
]

SUFFIXES = (".svs", ".ome.tif", ".ome.tiff", ".dcm")
# One pixel of the masks per 16 of the slide: 4 µm, finer than anything they are used for.
MASK_STEP = 16
# Twelve times a slide of 100,000 × 80,000 px; its masks take 1.2 GB.
MAX_SLIDE_PX = 100_000_000_000
# What the three colours of the mask picture hold (255 = yes).
MASK_CHANNELS = ("tissue", "tumor", "artefacts")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class WrittenSlide:
    """A slide on disk: its files and its truth (as in the JSON).

    `membranes_path` is None where no mask of the membranes was asked for.
    """

    path: Path
    truth_path: Path
    cells_path: Path
    masks_path: Path
    truth: dict[str, Any]
    membranes_path: Path | None = None


def write_slide(
    recipe: SlideRecipe,
    laboratory: Laboratory,
    path: str | Path,
    *,
    seed: int,
    with_profile: bool = False,
    with_membranes: bool = False,
    resumes: bool = False,
    progress: Progress | None = None,
) -> WrittenSlide:
    """Draw a slide tile by tile and write it with its truth beside it.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    laboratory : Laboratory
        Stains, scanner, compression and µm/px.
    path : str or Path
        Slide to write: ``.svs`` (opened as Aperio), ``.ome.tif`` or ``.dcm``. Beside it are
        written ``NAME.truth.json``, ``NAME.cells.csv.gz`` and ``NAME.masks.png``.
    seed : int
        The same seed gives the same bytes.
    with_profile : bool
        Whether a color profile (ICC) that undoes the laboratory's gamma is written.
    with_membranes : bool
        Whether ``NAME.membranes.tif`` is written too: the class of the stained membrane (as
        `Intensity`) of each pixel.
    resumes : bool
        Whether a slide that was drawn before, by its truth, is left as it is.
    progress : callable, optional
        Called with the slide's file name, the rows drawn, and all rows; with all of them once the
        slide and its truth are written.

    Returns
    -------
    WrittenSlide

    Raises
    ------
    RecipeError
        When the suffix is none of those, the slide has more than MAX_SLIDE_PX, or what was to be
        gone on with is the truth of something else.
    """
    path = Path(path)
    suffix = next((s for s in SUFFIXES if path.name.endswith(s)), None)
    if suffix is None:
        raise RecipeError(f"{path.name}: the name of a slide must end in one of {SUFFIXES}")
    stem = path.name.removesuffix(suffix)
    beside = {
        "truth": truth_path(path.parent, stem),
        "cells": path.with_name(f"{stem}.cells.csv.gz"),
        "masks": path.with_name(f"{stem}.masks.png"),
    }
    membranes = path.with_name(f"{stem}.membranes.tif")
    if with_membranes:
        beside["membranes"] = membranes
    files = {"slide": path.name, **{k: p.name for k, p in beside.items() if k != "truth"}}

    def written(truth: dict[str, Any]) -> WrittenSlide:
        return WrittenSlide(
            path,
            beside["truth"],
            beside["cells"],
            beside["masks"],
            truth,
            membranes if with_membranes else None,
        )

    width, height = check_size(recipe, laboratory, path.name)
    drawn_as = f"{seed}\0{recipe!r}"
    writer = PyramidWriter(width, height, laboratory, stem, drawn_as, with_profile)
    if resumes and beside["truth"].exists():
        made = described(recipe, laboratory, seed=seed, files=files, with_profile=with_profile)
        truth = truth_of_before(beside["truth"], made, levels=writer.level_files(path))
        if progress is not None:
            progress(path.name, 1, 1)
        return written(truth)
    # The truth of a slide before must not stand beside what is drawn from here on.
    remove_file(beside["truth"])
    remove_file(membranes)
    scene = Scene(recipe, seed=seed)
    masks = np.zeros((-(-height // MASK_STEP), -(-width // MASK_STEP), 3), np.uint8)

    with (
        membrane_mask(membranes, width, height, laboratory.mpp) if with_membranes else nullcontext()
    ) as add_square:

        def draw(region: Region) -> NDArray[np.uint8]:
            rgb, maps = scene.render_with_maps(region, laboratory)
            top, left = region.y // MASK_STEP, region.x // MASK_STEP
            for channel, name in enumerate(MASK_CHANNELS):
                small = _shrunk(getattr(maps, name))
                masks[top : top + small.shape[0], left : left + small.shape[1], channel] = small
            if add_square is not None:
                add_square(maps.membrane)
            # The last rows are told when all is written: lower levels and cells take their time.
            if progress is not None and region.right >= width and region.bottom < height:
                progress(path.name, region.bottom, height)
            return rgb

        writer.write(path, draw)
    write_bytes(beside["masks"], bytes(imagecodecs.png_encode(masks, level=9)))
    write_cells(scene, laboratory, beside["cells"])
    # Last: a slide with its truth is whole.
    truth = write_truth(scene, laboratory, beside["truth"], files=files, with_profile=with_profile)
    if progress is not None:
        progress(path.name, height, height)
    warn_of_missing(scene, truth)
    return written(truth)


def truth_path(folder: Path, name: str) -> Path:
    """Return the truth of the slide of this name: as long as it is there, the slide is whole."""
    return folder / f"{name}.truth.json"


def check_size(recipe: SlideRecipe, laboratory: Laboratory, name: str) -> tuple[int, int]:
    """Return width and height of a slide (px), or refuse what its format cannot hold.

    Raises
    ------
    RecipeError
        When it has too many pixels, or what writes its format is not installed.
    """
    width = round(recipe.width_um / laboratory.mpp)
    height = round(recipe.height_um / laboratory.mpp)
    if width * height > MAX_SLIDE_PX:
        raise RecipeError(
            f"{name}: {width:,} × {height:,} px are more than any slide has (at most "
            f"{MAX_SLIDE_PX:,}): draw a smaller one, or with a laboratory of coarser µm/px"
        )
    if name.endswith(".dcm"):
        check_dicom(name, width, height)
    return width, height


def truth_of_before(path: Path, made: dict[str, Any], *, levels: Sequence[Path]) -> dict[str, Any]:
    """Return the truth of a slide that was drawn before, in just this way and whole.

    `levels` are files of its lower levels, which the truth does not name.

    Raises
    ------
    RecipeError
        If it is of another recipe, laboratory, seed or format, or a file of it is missing.
    """
    truth = read_json(path)
    # As the file has it: a tuple is a list there.
    wanted = json.loads(json.dumps(made))
    names = ("has_profile", *wanted) if isinstance(truth, dict) else ()
    found = {name: truth[name] for name in names if name in truth}
    if found != wanted:
        raise RecipeError(
            f"{path.name} is the truth of a slide drawn otherwise (another recipe, laboratory, "
            "seed, profile, masks or format): choose another --out, or --overwrite"
        )
    needed = [*made["files"].values(), *(level.name for level in levels)]
    missing = [name for name in needed if not path.with_name(name).exists()]
    if missing:
        raise RecipeError(
            f"{path.name} is there, but {missing[0]} is not: delete it to draw the slide again"
        )
    return truth


def _shrunk(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    rows, cols = -(-mask.shape[0] // MASK_STEP), -(-mask.shape[1] // MASK_STEP)
    if not mask.any():
        return np.zeros((rows, cols), np.uint8)
    padded = np.zeros((rows * MASK_STEP, cols * MASK_STEP, 2), np.uint8)
    padded[: mask.shape[0], : mask.shape[1], 0] = mask
    padded[: mask.shape[0], : mask.shape[1], 1] = 1
    held, there = cv2.split(cv2.resize(padded * 255, (cols, rows), interpolation=cv2.INTER_AREA))
    # Half of a square; where the border of the slide leaves less than that, half of what is left.
    least = np.where(there < 128, np.maximum(there // 2, 1), 128)
    return (held >= least).astype(np.uint8) * np.uint8(255)


def draw_slides(
    recipe_path: str | Path,
    folder: str | Path,
    *,
    laboratory: str = "reference",
    seeds: Iterable[int] = (1,),
    suffix: str = ".svs",
    with_profile: bool = False,
    with_membranes: bool = False,
    resumes: bool = False,
    progress: Progress | None = None,
) -> list[WrittenSlide]:
    """Write one slide per seed from a recipe file.

    Parameters
    ----------
    recipe_path : str or Path
        TOML recipe, at most 1 MB.
    folder : str or Path
        Where the slides go; made when missing.
    laboratory : str
        Name of a laboratory that comes with the package, or a TOML file.
    seeds : iterable of int
        One slide each, named ``NAME-SEED``.
    suffix : str
        ``.svs``, ``.ome.tif`` or ``.dcm``.
    with_profile, with_membranes, resumes, progress
        As for `write_slide`.
    """
    recipe, lab = read_recipe(recipe_path), read_laboratory(laboratory)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for seed in seeds:
        named = replace(recipe, name=f"{recipe.name}-{seed}")
        path = folder / f"{named.name}{suffix}"
        written.append(
            write_slide(
                named,
                lab,
                path,
                seed=seed,
                with_profile=with_profile,
                with_membranes=with_membranes,
                resumes=resumes,
                progress=progress,
            )
        )
    return written


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
