"""Pairs of drawn slides through the whole chain: drawn, scored, compared; kept to go on with."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from control_outline import outline_control
from pair_cells import RUN_H_SD, RUN_SD
from pair_samples import sampled_mix
from pair_scenarios import Mix, Outcome, Scenario, stained_pct

from her2path.compare.pair import compare_sides
from her2path.compare.sources import read_sides
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import find_network
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.results.atomic import write_text
from her2path.results.folder import ResultsFolder
from her2path.synth import Artefacts, RegionRecipe, SlideRecipe, TissueShape, laboratories
from her2path.synth.laboratory import Laboratory
from her2path.synth.pairs import write_pair
from her2path.synth.writing import WrittenSlide, write_slide

# Two runs of one laboratory: darkness of brown and counterstain (log SD, as `pair_cells` has them),
# focus (µm), glass (counts), and the grid of pixels, which never falls on the same place twice.
RUN_BLUR_UM, RUN_GLASS, RUN_MPP = 0.04, 1.0, 0.003
# With so much scatter blocks of 250 µm correlate about as those of simulated cells.
SCATTER_BELOW_HALF, SCATTER = 1.5, 0.5
# Tumor cells on a square millimetre of glass of such a recipe, tissue not everywhere.
CELLS_PER_MM2 = 1100.0


def laboratories_of(scenario: Scenario, rng: np.random.Generator) -> tuple[Laboratory, Laboratory]:
    """Return a test laboratory for each side."""
    known = laboratories("test")
    first, second = rng.permutation(len(known))[:2]
    return known[first], known[second if scenario.is_other_laboratory else first]


def another_run(laboratory: Laboratory, rng: np.random.Generator) -> Laboratory:
    """Return the laboratory on another day."""
    white_r, white_g, white_b = (
        min(255.0, float(white + rng.normal(0, RUN_GLASS))) for white in laboratory.white_point
    )
    return replace(
        laboratory,
        dab_strength=laboratory.dab_strength * float(np.exp(rng.normal(0, RUN_SD))),
        counterstain=laboratory.counterstain * float(np.exp(rng.normal(0, RUN_H_SD))),
        blur_um=laboratory.blur_um + abs(float(rng.normal(0, RUN_BLUR_UM))),
        white_point=(white_r, white_g, white_b),
        mpp=laboratory.mpp * float(np.exp(rng.normal(0, RUN_MPP))),
    )


def write_repeat(
    recipe: SlideRecipe, laboratory: Laboratory, place: Path, rng: np.random.Generator
) -> tuple[WrittenSlide, WrittenSlide]:
    """Write the same cells twice, as two runs of a laboratory show them."""
    seed = int(rng.integers(2**40))
    before, after = (
        write_slide(
            replace(recipe, name=f"{recipe.name}-{name}"),
            another_run(laboratory, rng),
            place / f"{recipe.name}-{name}.svs",
            seed=seed,
        )
        for name in ("before", "after")
    )
    return before, after


def recipe_of(
    scenario: Scenario, name: str, position: int, rng: np.random.Generator
) -> SlideRecipe:
    """Return the tissue of a patient, with the mix before."""
    side_um = 1000 * float(np.sqrt(scenario.n_cells / CELLS_PER_MM2))
    return SlideRecipe(
        name=name,
        width_um=side_um,
        height_um=side_um,
        tissue=TissueShape("blob", 50.0),
        regions=(
            RegionRecipe(
                mix=scenario.mixes[position % len(scenario.mixes)][0],
                nest_um=float(rng.uniform(120, 220)),
                septum_um=float(rng.uniform(8, 24)),
                cell_um=float(rng.uniform(12, 14.5)),
                clustering=scenario.clustering,
                scatter=SCATTER_BELOW_HALF if scenario.clustering < 0.5 else SCATTER,
                lymphocytes=float(rng.uniform(1, 5)),
                cytoplasm_od=float(rng.choice([0.0, 0.0, 0.03])),
                stroma_haze_od=float(rng.uniform(0, 0.02)),
            ),
        ),
        artefacts=Artefacts(),
        control=scenario.has_control,
    )


def with_mix(recipe: SlideRecipe, mix: Mix) -> SlideRecipe:
    """Return the recipe with another mix in its one region."""
    return replace(recipe, regions=(replace(recipe.regions[0], mix=mix),))


def picture_pair(scenario: Scenario, seed: int, folder: Path, model: str) -> Outcome:
    """Draw, score and compare one pair; what an earlier run has found is taken from there."""
    cv2.setNumThreads(1)
    network = find_network(model)
    number = zlib.crc32(scenario.name.encode())
    name = f"{number:08x}-{seed}-{'none' if network is None else network.fingerprint[:8]}"
    done = folder / f"{name}.json"
    if done.is_file():
        return Outcome(**json.loads(done.read_text("utf-8")))
    rng = np.random.default_rng([seed, number])
    labs = laboratories_of(scenario, rng)
    recipe = recipe_of(scenario, name, seed, rng)
    tumor = scenario.mixes[seed % len(scenario.mixes)]
    before, after = (
        sampled_mix(with_mix(recipe, mix), int(rng.integers(2**40)), rng) for mix in tumor
    )
    recipe = with_mix(recipe, before)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    if scenario.is_repeat:
        slides = write_repeat(recipe, labs[0], place, rng)
    else:
        pair = write_pair(recipe, after, place, laboratories=labs, seed=int(rng.integers(2**40)))
        slides = pair.before, pair.after
    out = ResultsFolder(place / "results")
    jobs = [
        SlideJob(
            slide_id=name_of_side,
            path=side.path,
            rule_set=find_rule_set(DEFAULT_CRITERIA),
            calibration=find_calibration(None),
            roi=outline_control(side.cells_path) if scenario.has_control else None,
        )
        for name_of_side, side in zip(("before", "after"), slides, strict=True)
    ]
    settings = ScoreSettings(network=network)
    result = run_batch(jobs, settings, out, overwrite=True)
    if result.failed:
        raise RuntimeError(f"{name} could not be scored: {dict(result.failed)}")
    sides = read_sides({job.slide_id: [out.slide(job.slide_id).slide_json] for job in jobs})
    found = compare_sides(*sides, seed=seed)
    # What a comparison is to tell of is the tumor, of which each slide is a sample.
    outcome = Outcome.of(scenario, seed, (stained_pct(tumor[0]), stained_pct(tumor[1])), found)
    write_text(done, json.dumps(asdict(outcome)) + "\n")
    shutil.rmtree(place)
    return outcome
