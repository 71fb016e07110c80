"""Pairs: one patient at two times, with a change that is known."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from her2path.criteria.score import Intensity, Pattern, Score
from her2path.results.atomic import remove_file, write_text
from her2path.synth.laboratory import Laboratory
from her2path.synth.recipe import MixEntry, RegionRecipe, SlideRecipe
from her2path.synth.writing import Progress, WrittenSlide, truth_path, write_slide

__all__ = ["WrittenPair", "pair_path", "write_pair"]

SIDES = ("before", "after")


def shares_of(region: RegionRecipe) -> dict[tuple[Intensity, Pattern], float]:
    """Return the share of each class of cells; one that is 0 is none."""
    return {(e.intensity, e.pattern): e.share for e in region.mix if e.share > 0}


def pair_path(folder: Path, name: str) -> Path:
    """Return the file that says what changed in the patient of this name."""
    return folder / f"{name}.pair.json"


@dataclass(frozen=True, slots=True)
class WrittenPair:
    """Two slides of one patient, and what changed between them."""

    before: WrittenSlide
    after: WrittenSlide
    truth_path: Path
    truth: dict[str, Any]


def write_pair(
    recipe: SlideRecipe,
    after_mix: tuple[MixEntry, ...] | None,
    folder: str | Path,
    *,
    laboratories: tuple[Laboratory, Laboratory],
    seed: int,
    suffix: str = ".svs",
    with_profile: bool = False,
    with_membranes: bool = False,
    resumes: bool = False,
    progress: Progress | None = None,
) -> WrittenPair:
    """Write the slides of one patient before and after.

    The second slide is another piece of the same tumor: other cells, the same kind of tissue.

    Parameters
    ----------
    recipe : SlideRecipe
        The patient's tissue with the score mix before; its name is the patient's.
    after_mix : tuple of MixEntry or None
        Score mix after, in all regions; None = unchanged.
    folder : str or Path
        Where ``NAME-before``, ``NAME-after`` and ``NAME.pair.json`` go.
    laboratories : tuple of 2 Laboratory
        Before and after; the same one twice for a pair from one site.
    seed : int
        Seed of the patient.
    suffix : str
        ``.svs``, ``.ome.tif`` or ``.dcm``.
    with_profile, with_membranes, resumes, progress
        As for `write_slide`.
    """
    folder = Path(folder)
    regions = recipe.regions
    if after_mix is not None:
        regions = tuple(replace(region, mix=after_mix) for region in regions)
    name = recipe.name
    before_recipe = replace(recipe, name=f"{name}-{SIDES[0]}")
    after_recipe = replace(recipe, name=f"{name}-{SIDES[1]}", regions=regions)
    path = pair_path(folder, name)
    if not (resumes and all(truth_path(folder, f"{name}-{s}").exists() for s in SIDES)):
        # What it says of slides before must not stand beside those of now.
        remove_file(path)
    before, after = (
        write_slide(
            side,
            laboratory,
            folder / f"{side.name}{suffix}",
            seed=2 * seed + position,
            with_profile=with_profile,
            with_membranes=with_membranes,
            resumes=resumes,
            progress=progress,
        )
        for position, (side, laboratory) in enumerate(
            zip((before_recipe, after_recipe), laboratories, strict=True)
        )
    )
    sides = (before, after)
    scores = [Score(side.truth["score"]) for side in sides]
    truth: dict[str, Any] = {
        "patient_id": name,
        "before": before.path.name,
        "after": after.path.name,
        "score_before": str(scores[0]),
        "score_after": str(scores[1]),
        "steps": scores[1].rank - scores[0].rank if min(s.rank for s in scores) >= 0 else None,
        "is_changed": any(
            # What would change where no cell lies has not changed.
            shares_of(was) != shares_of(now)
            and any(side.truth["regions"][k]["n_tumor_cells"] for side in sides)
            for k, (was, now) in enumerate(zip(recipe.regions, regions, strict=True))
        ),
        "seeds": [2 * seed, 2 * seed + 1],
        "is_same_laboratory": laboratories[0] == laboratories[1],
        "pct_stained": [side.truth["slide"].get("pct_stained") for side in (before, after)],
        "pct_complete": [side.truth["slide"].get("pct_complete") for side in (before, after)],
        "h_score": [side.truth["slide"].get("h_score") for side in (before, after)],
    }
    write_text(path, json.dumps(truth, indent=1) + "\n")
    return WrittenPair(before, after, path, truth)
