"""Truth beside a slide: one JSON for the slide and its regions, one row per cell."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from her2path.criteria.rule_set import rule_set_names
from her2path.criteria.score import Intensity, Pattern
from her2path.geometry import Region
from her2path.results.atomic import atomic_path, write_text
from her2path.synth.cell_kinds import CellKind
from her2path.synth.laboratory import Laboratory
from her2path.synth.layout import control_disc
from her2path.synth.recipe import ADDED, Artefacts, RegionRecipe, SlideRecipe, TissueShape
from her2path.synth.scene import Scene
from her2path.synth.truth import CellTruth, KnownCells, cells_within, score_of

__all__ = [
    "cells_by_block",
    "describe",
    "describe_recipe",
    "described",
    "known_cells",
    "warn_of_missing",
    "write_cells",
    "write_truth",
]

logger = logging.getLogger(__name__)

_COLUMNS = (
    "x",
    "y",
    "kind",
    "is_tumor",
    "region",
    "intensity",
    "pattern",
    "completeness",
    "membrane_od",
    "membrane_width_um",
    "nucleus_area_um2",
    "outline",
)


def cells_by_block(scene: Scene, laboratory: Laboratory) -> Iterator[CellTruth]:
    """Yield the cells of a slide block by block; places are level-0 px of the slide."""
    mpp = laboratory.mpp
    width, height = round(scene.recipe.width_um / mpp), round(scene.recipe.height_um / mpp)
    xs = np.rint(np.linspace(0, width, scene.columns + 1)).astype(int)
    ys = np.rint(np.linspace(0, height, scene.rows + 1)).astype(int)
    for row in range(scene.rows):
        for column in range(scene.columns):
            part = Region(
                int(xs[column]),
                int(ys[row]),
                int(xs[column + 1] - xs[column]),
                int(ys[row + 1] - ys[row]),
            )
            yield cells_within(scene, part, mpp)[0].moved(part.x, part.y)


def known_cells(scene: Scene, laboratory: Laboratory) -> list[KnownCells]:
    """Return the tumor cells of each region of the recipe."""
    parts: list[list[KnownCells]] = [[] for _ in scene.recipe.regions]
    for cells in cells_by_block(scene, laboratory):
        for region, found in enumerate(parts):
            found.append(KnownCells.of(cells, mpp=laboratory.mpp, region=region))
    return [KnownCells.joined(found) for found in parts]


def describe(cells: KnownCells) -> dict[str, Any]:
    """Return counts, shares, and the score by every rule set."""
    tally, clusters = cells.tally, cells.clusters()
    shares = tally.shares()
    known: dict[str, Any] = {"n_tumor_cells": tally.n_cells, "counts": tally.array.tolist()}
    if tally.n_cells:
        known["shares_pct"] = {
            intensity.label: round(100 * float(row.sum()) / tally.n_cells, 6)
            for intensity, row in zip(Intensity, tally.array, strict=True)
        }
        known["pct_stained"] = round(shares.pct_stained, 6)
        known["pct_complete"] = round(shares.pct_complete, 6)
        known["h_score"] = round(shares.h_score, 6)
    known["scores"] = {
        name: str(score_of(tally, name, clusters=clusters)) for name in rule_set_names()
    }
    return known


def described(
    recipe: SlideRecipe,
    laboratory: Laboratory,
    *,
    seed: int,
    files: dict[str, str],
    with_profile: bool,
) -> dict[str, Any]:
    """Return what a truth says of how its slide was drawn: the same makes the same bytes."""
    return {
        "seed": seed,
        "files": files,
        **({"has_profile": True} if with_profile else {}),
        "laboratory": asdict(laboratory),
        "recipe": describe_recipe(recipe),
    }


def write_truth(
    scene: Scene,
    laboratory: Laboratory,
    path: Path,
    *,
    files: dict[str, str],
    with_profile: bool = False,
) -> dict[str, Any]:
    """Write the truth of a slide as JSON and return it.

    Parameters
    ----------
    scene, laboratory :
        What was drawn.
    path : Path
        The JSON file.
    files : dict
        Names of the files that belong to the slide, by what they hold.
    with_profile : bool
        Whether a color profile was written into the slide.
    """
    by_region = known_cells(scene, laboratory)
    total = KnownCells.joined(by_region)
    recipe = scene.recipe
    made = described(recipe, laboratory, seed=scene.seed, files=files, with_profile=with_profile)
    truth: dict[str, Any] = {
        "slide_id": recipe.name,
        "seed": made.pop("seed"),
        "mpp": laboratory.mpp,
        "width_px": round(recipe.width_um / laboratory.mpp),
        "height_px": round(recipe.height_um / laboratory.mpp),
        "score": str(score_of(total.tally)),
        "slide": describe(total),
        "regions": [
            {"name": entry.name, "disc": entry.disc, **describe(cells)}
            for entry, cells in zip(recipe.regions, by_region, strict=True)
        ],
        **made,
    }
    write_text(path, json.dumps(truth, indent=1, ensure_ascii=False) + "\n")
    return truth


def describe_recipe(recipe: SlideRecipe) -> dict[str, Any]:
    """Return a recipe as a table; what was added later is left out where it does nothing."""
    table = asdict(recipe)
    parts = [(region, asdict(RegionRecipe())) for region in table["regions"]]
    parts += [(table["artefacts"], asdict(Artefacts())), (table["tissue"], asdict(TissueShape()))]
    for part, plain in parts:
        for name in ADDED:
            if name in part and part[name] == plain[name]:
                del part[name]
    return table


def write_cells(scene: Scene, laboratory: Laboratory, path: Path) -> int:
    """Write all cells of a slide as gzipped CSV, block by block, and return how many.

    Places are level-0 px; an outline is a list ``dx dy;dx dy;…`` of offsets from the nucleus in
    px, empty for cells of the stroma.
    """
    n = 0
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        # No name and no time in the header: the same slide gives the same bytes.
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="ascii", newline="") as text,
    ):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for cells in cells_by_block(scene, laboratory):
            _write_rows(text, cells)
            n += len(cells)
    return n


def _write_rows(text: TextIO, cells: CellTruth) -> None:
    kinds = [kind.name.lower() for kind in CellKind]
    for i in range(len(cells)):
        first, last = cells.outline_start[i], cells.outline_start[i + 1]
        dx = np.rint((cells.outline_x[first:last] - cells.x[i]) * 10) / 10
        dy = np.rint((cells.outline_y[first:last] - cells.y[i]) * 10) / 10
        # Every third point is a bend of a few microns: enough to draw the outline again.
        outline = ";".join(f"{a:g} {b:g}" for a, b in zip(dx[::3], dy[::3], strict=True))
        text.write(
            f"{cells.x[i]:.2f},{cells.y[i]:.2f},{kinds[cells.kind[i]]},"
            f"{str(bool(cells.is_tumor[i])).lower()},{cells.region[i]},"
            f"{Intensity(int(cells.intensity[i])).label},{Pattern(int(cells.pattern[i])).label},"
            f"{cells.completeness[i]:.3f},{cells.membrane_od[i]:.3f},"
            f"{cells.membrane_width_um[i]:.2f},{cells.nucleus_area_um2[i]:.1f},{outline}\n"
        )


def warn_of_missing(scene: Scene, truth: dict[str, Any]) -> None:
    """Warn of cells that a recipe asks for where its slide has place for none.

    Parameters
    ----------
    scene : Scene
        What was drawn.
    truth : dict
        As `write_truth` returns it.
    """
    recipe = scene.recipe
    bare = [
        repr(entry.name)
        for entry, known in zip(recipe.regions, truth["regions"], strict=True)
        if known["n_tumor_cells"] == 0 and _has_tumor(entry)
    ]
    if bare and recipe.tissue.kind != "none":
        logger.warning(
            "%s: no tumor cell lies in region %s, whose mix is not drawn: give it more tissue, or "
            "narrower nests (nest_um)",
            recipe.name,
            ", ".join(bare),
        )
    if recipe.control and not _has_control_cells(scene):
        logger.warning(
            "%s: the control tissue holds no cell of 3+: choose another seed, or draw a larger "
            "slide",
            recipe.name,
        )


def _has_tumor(region: RegionRecipe) -> bool:
    return region.tumor_share > 0 and region.benign_share + region.dcis_share < 1


def _has_control_cells(scene: Scene) -> bool:
    x, y, radius = control_disc(scene.recipe)
    blocks = (
        scene.block(*key)
        for key in scene.blocks_near(x - radius, y - radius, x + radius, y + radius)
    )
    return any(bool((block.is_seen & (block.kind == CellKind.CONTROL)).any()) for block in blocks)
