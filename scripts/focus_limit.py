"""How much blur faint membranes outlast: what `her2path.tissue.focus.BLURRED_UM` rests on.

``python scripts/focus_limit.py`` draws slides of low staining in laboratories that the seed draws,
blurs them step by step, adds camera noise again, scores each, and prints what the focus measure
reads beside the share of the stained cells that is still found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from accuracy_recipes import Plan, fresh_laboratories, one_plus, plan_slides, region_of
from PIL import Image

from her2path.evaluation.cells import CELL_COLUMNS, compare_cells
from her2path.evaluation.references import read_known_cells
from her2path.geometry import Location
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import SHIPPED_NETWORK, find_network
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.results.cells import read_cells
from her2path.results.folder import ResultsFolder
from her2path.results.record import read_record
from her2path.slides import open_slide
from her2path.synth.writing import WrittenSlide, write_slide
from her2path.tissue import BLURRED_UM

BLURS_UM = (0.0, 0.3, 0.5, 0.7, 0.9)
# Coarser scans are flagged by themselves; brown cytoplasm hides membranes by itself.
COARSEST_MPP = 0.29
CAMERA_NOISE = 1.5
SIDE_UM = 700.0


def low_plans(seed: int, n_slides: int) -> list[Plan]:
    """Plan slides of 1+ without brown cytoplasm, each in a laboratory of its own."""
    fine = [lab for lab in fresh_laboratories(seed, 2 * n_slides) if lab.mpp < COARSEST_MPP]
    planned = []
    for plan in plan_slides(n_slides, seed=seed, side_um=SIDE_UM, known=fine[:n_slides]):
        rng = np.random.default_rng([seed, plan.seed])
        design = one_plus(rng)
        region = replace(region_of(design, rng), cytoplasm_od=0.0, granular_od=0.0)
        recipe = replace(plan.recipe, regions=(region,))
        planned.append(replace(plan, design=design, recipe=recipe))
    return planned


def write_blurred(slide: WrittenSlide, mpp: float, folder: Path) -> dict[float, Path]:
    """Write the slide once for each step of blur."""
    with open_slide(slide.path) as opened:
        rgb = opened.read_region(Location(0, 0), 0, opened.dimensions)
    found = {}
    for blur_um in BLURS_UM:
        picture = rgb
        if blur_um:
            soft = cv2.GaussianBlur(rgb, (0, 0), blur_um / mpp).astype(np.float32)
            noise = np.random.default_rng(0).normal(0, CAMERA_NOISE, rgb.shape)
            picture = np.clip(soft + noise + 0.5, 0, 255).astype(np.uint8)
        found[blur_um] = folder / f"{slide.path.stem}-{blur_um:g}.png"
        Image.fromarray(picture).save(found[blur_um], compress_level=1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, blur, score, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--slides", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    if min(options.slides, options.workers) < 1 or options.seed < 0:
        parser.error("--slides and --workers must be at least 1 and --seed at least 0")
    network = find_network(SHIPPED_NETWORK)
    rules, calibration = find_rule_set(DEFAULT_CRITERIA), find_calibration(None)
    recalls, reads = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="her2path-") as name:
        folder = Path(name)
        jobs, slides = [], {}
        for plan in low_plans(options.seed, options.slides):
            slide = write_slide(
                plan.recipe, plan.laboratory, folder / f"{plan.slide_id}.svs", seed=plan.seed
            )
            for blur_um, path in write_blurred(slide, plan.laboratory.mpp, folder).items():
                slides[path.stem] = plan, slide, blur_um
                jobs.append(
                    SlideJob(
                        slide_id=path.stem,
                        path=path,
                        rule_set=rules,
                        calibration=calibration,
                        mpp=plan.laboratory.mpp,
                    )
                )
            print(f"drawn {plan.slide_id}", file=sys.stderr, flush=True)
        out = ResultsFolder(folder / "results")
        settings = ScoreSettings(network=network)
        failed = run_batch(jobs, settings, out, n_workers=options.workers).failed
        if failed:
            sys.exit(f"not read: {dict(failed)}")
        for slide_id, (plan, slide, blur_um) in slides.items():
            record = read_record(out.slide(slide_id).slide_json)
            cells = read_cells(out.slide(slide_id).cells_parquet, columns=CELL_COLUMNS)
            known = read_known_cells(slide.cells_path)
            met = compare_cells(known, cells, mpp=plan.laboratory.mpp)
            recalls[blur_um].append(met.stained.recall)
            reads[blur_um].append(record.tissue.focus.median_blur_um)
    print(f"{options.slides} slides of 1+, seed {options.seed}; BLURRED_UM is {BLURRED_UM:g}")
    print("added blur, µm   read, µm: median (range)   stained cells found: mean, of those before")
    before = np.array(recalls[0.0])
    for blur_um in BLURS_UM:
        read, left = np.array(reads[blur_um]), np.array(recalls[blur_um])
        print(
            f"{blur_um:14.1f}   {np.median(read):.2f} ({read.min():.2f}–{read.max():.2f})"
            f"{'':>14}{left.mean():.2f}, {(left / before).mean():.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
