"""Measure accuracy against truth: draw fresh slides of fresh laboratories and score them.

``python scripts/accuracy.py`` prints exact scores, κ, errors of shares and counts, cells met, and
what was flagged, and writes accuracy.csv and accuracy.html. The seed changes from run to run, so
that nothing can be tuned to its slides or laboratories; it is printed, and ``--seed`` draws both
again. ``--laboratories test`` takes the seven that the package holds for tests; nothing is to be
fitted to them either. ``--calibrate`` draws controls of known score for each laboratory as well and
reads its slides with the calibration that comes of them, as a site would.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from accuracy_controls import calibrations_of, plan_controls
from accuracy_measures import (
    BOUNDARIES,
    SlideAccuracy,
    at_boundary,
    compare,
    exact,
    flagged,
    hits_flagged,
    misses_flagged,
    read_for_all_misses,
    sums_of,
)
from accuracy_page import write_page
from accuracy_recipes import Plan, fresh_laboratories, plan_slides

from her2path.cells.calibration import Calibration
from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.errors import ModelError
from her2path.evaluation.agreement import agree
from her2path.evaluation.cells import CELL_COLUMNS, mean_of
from her2path.evaluation.stated import examine_stated
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import SHIPPED_NETWORK, NetworkUse, find_network
from her2path.pipeline.progress import Event, SlideDone, SlideFailed
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.results.atomic import write_text
from her2path.results.cells import read_cells
from her2path.results.folder import ResultsFolder
from her2path.results.record import read_record
from her2path.statistics.agreement import Agreement
from her2path.statistics.counted import Counted
from her2path.synth.records import describe_recipe
from her2path.synth.writing import WrittenSlide, write_slide

# Some 1.4 mm² of glass, of it about 1 mm² tissue: one to three thousand tumor cells.
SIDE_UM = 1200.0
QUICK_SIDE_UM = 800.0
# Smaller ones may hold no tumor cell at all.
LEAST_SIDE_UM = 500.0
# Every score in every test laboratory once; quick: every score and every laboratory.
N_SLIDES = 35
N_QUICK = 7


@dataclass(frozen=True, slots=True)
class Aims:
    """What a reader aims at, as docs/accuracy.md has it; None where it aims at nothing."""

    exact: float
    stained_points: float
    count_pct: float = 10.0
    kappa_quadratic: float | None = None
    flagged: float | None = None
    nucleus_f1: float | None = None
    kind: float | None = None


AIMS_OF_RULES = Aims(exact=0.90, stained_points=3.0)
AIMS_WITH_NETWORK = Aims(
    exact=0.95, stained_points=2.0, kappa_quadratic=0.97, flagged=0.35, nucleus_f1=0.90, kind=0.95
)


def draw(plan: Plan, folder: Path) -> tuple[WrittenSlide, float]:
    """Draw one slide with its truth and return how long that took."""
    cv2.setNumThreads(1)
    begun = time.perf_counter()
    path = folder / f"{plan.slide_id}.svs"
    written = write_slide(plan.recipe, plan.laboratory, path, seed=plan.seed)
    return written, time.perf_counter() - begun


def drawn_before(plan: Plan, folder: Path) -> WrittenSlide | None:
    """Return the slide of this plan that an earlier run has kept, None without one."""
    path, truth_path, cells, masks = (
        folder / f"{plan.slide_id}.{suffix}"
        for suffix in ("svs", "truth.json", "cells.csv.gz", "masks.png")
    )
    # The truth is written last.
    if not truth_path.is_file():
        return None
    truth = json.loads(truth_path.read_text("utf-8"))
    wanted = json.loads(
        json.dumps([describe_recipe(plan.recipe), asdict(plan.laboratory), plan.seed])
    )
    if [truth["recipe"], truth["laboratory"], truth["seed"]] != wanted:
        return None
    return WrittenSlide(path, truth_path, cells, masks, truth)


def draw_all(
    plans: Sequence[Plan], folder: Path, *, n_jobs: int
) -> Iterator[tuple[Plan, WrittenSlide, float]]:
    """Draw the slides in processes of their own and yield each as it is done, kept ones first."""
    missing = []
    for plan in plans:
        kept = drawn_before(plan, folder)
        if kept is None:
            missing.append(plan)
        else:
            yield plan, kept, math.nan
    if not missing:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        running = {pool.submit(draw, plan, folder): plan for plan in missing}
        for future in as_completed(running):
            written, seconds = future.result()
            yield running[future], written, seconds


def calibrate(
    plans: Sequence[Plan], folder: Path, *, seed: int, n_jobs: int, network: NetworkUse | None
) -> dict[str, Calibration]:
    """Draw controls for the laboratories of all slides and return the calibration of each."""
    laboratories = {plan.laboratory.name: plan.laboratory for plan in plans}
    planned = plan_controls(list(laboratories.values()), seed=seed)
    paths = {}
    for plan, written, _ in draw_all([plan for plan, _ in planned], folder, n_jobs=n_jobs):
        paths[plan.slide_id] = written.path
        say(f"drawn {len(paths)}/{len(planned)}: {plan.slide_id}")
    found = {}
    for name, calibration, fault in calibrations_of(planned, paths, n_jobs=n_jobs, network=network):
        found[name] = calibration
        cuts = calibration.intensity
        say(
            f"{name}: not calibrated: {fault}"
            if fault
            else f"{name}: limit of blank {calibration.min_line_contrast_od:.3f} OD, weak from "
            f"{cuts.weak_od:.2f}, intense from {cuts.intense_od:.2f}"
        )
    return found


def measure(
    plans: Sequence[Plan],
    folder: Path,
    *,
    n_jobs: int,
    network: NetworkUse | None,
    calibrations: Mapping[str, Calibration],
) -> tuple[list[SlideAccuracy], dict[str, str]]:
    """Draw and score all slides; return their accuracy, and why slides failed by their name.

    Laboratories that `calibrations` does not name are read with the generic one.
    """
    drawn: dict[str, tuple[WrittenSlide, float]] = {}
    for plan, written, seconds in draw_all(plans, folder, n_jobs=n_jobs):
        drawn[plan.slide_id] = written, seconds
        say(f"drawn {len(drawn)}/{len(plans)}: {plan.slide_id}, {written.truth['score']}")
    plans = with_score(plans, {name: written for name, (written, _) in drawn.items()})
    rule_set, generic = find_rule_set(DEFAULT_CRITERIA), find_calibration(None)
    jobs = [
        SlideJob(
            slide_id=plan.slide_id,
            path=drawn[plan.slide_id][0].path,
            rule_set=rule_set,
            calibration=calibrations.get(plan.laboratory.name, generic),
        )
        for plan in plans
    ]

    def tell(event: Event) -> None:
        if isinstance(event, SlideDone):
            known = drawn[event.slide_id][0].truth["score"]
            say(f"scored {event.slide_id}: {event.score}, truth {known}, {event.seconds:.0f} s")
        elif isinstance(event, SlideFailed):
            say(f"failed {event.slide_id}: {event.error}")

    shutil.rmtree(folder / "results", ignore_errors=True)
    out = ResultsFolder(folder / "results")
    result = run_batch(jobs, ScoreSettings(network=network), out, n_workers=n_jobs, listener=tell)
    slides = []
    for plan in plans:
        if plan.slide_id in result.failed:
            continue
        found = out.slide(plan.slide_id)
        cells = None
        if found.cells_parquet.is_file():
            cells = read_cells(found.cells_parquet, columns=CELL_COLUMNS)
        written, seconds = drawn[plan.slide_id]
        slides.append(compare(plan, written, read_record(found.slide_json), cells, seconds))
    return slides, dict(result.failed)


def with_score(plans: Sequence[Plan], drawn: Mapping[str, WrittenSlide]) -> list[Plan]:
    """Return the plans of slides that have a true score; one without a tumor cell has none."""
    kept = []
    for plan in plans:
        if drawn[plan.slide_id].truth["score"] == Score.NOT_ASSESSABLE:
            say(f"left out {plan.slide_id}: no tumor cell was drawn; give a larger --side-um")
        else:
            kept.append(plan)
    return kept


def figures_of(
    slides: Sequence[SlideAccuracy], failed: dict[str, str], aims: Aims
) -> dict[str, str]:
    """Return the figures over all slides, with their aims, in words."""
    sums = sums_of(slides)
    right, misses = exact(slides), misses_flagged(slides)
    cases = [slide.case for slide in slides]
    agreement = agree(cases, rng=np.random.default_rng(0))
    stated = examine_stated(cases, rng=np.random.default_rng(0))
    figures = {
        "slides": f"{len(slides)} scored, {len(failed)} failed",
        "exact score": f"{right}{least(right.frac, aims.exact)}",
        "within one grade": str(agreement.within_one),
        "κ, linear / quadratic": f"{kappa_words(agreement.kappa_linear)} / "
        f"{kappa_words(agreement.kappa_quadratic)}"
        + least(agreement.kappa_quadratic.kappa, aims.kappa_quadratic),
        "misses flagged": f"{misses}{aim(misses.k == misses.n, 'all')}",
        "right scores flagged": str(hits_flagged(slides)),
        "slides flagged": f"{flagged(slides)}{most(flagged(slides).frac, aims.flagged)}",
        "read by doubt until no miss is left": str(read_for_all_misses(slides)),
    }
    if stated is not None:
        of_score = stated.of_score
        figures["stated probability"] = (
            f"expected calibration error {of_score.expected_error:.3f} (by chance "
            f"{of_score.error_by_chance:.3f}); {of_score.mean_stated:.2f} stated, "
            f"{of_score.came_true:.2f} came true"
        )
    read = [s for s in slides if s.network_score is not None]
    if read:
        alone = Counted.of(s.network_score is s.true_score for s in read)
        figures["network alone, exact"] = str(alone)
        figures["readers a grade apart"] = str(
            Counted.of(s.network_score is not s.score for s in read)
        )
    sets = [s for s in read if s.network_set]
    if sets:
        figures["true score in the network's set"] = (
            f"{Counted.of(s.true_score in s.network_set for s in sets)}, "
            f"{mean_of(float(len(s.network_set)) for s in sets):.2f} scores in a set"
        )
    for low, high in BOUNDARIES:
        figures[f"right side of {low}/{high}"] = str(at_boundary(slides, low, high))
    stained, count = sums["stained abs"], sums["count abs %"]
    figures |= {
        "share stained": f"bias {sums['stained bias']:+.2f}, mean absolute {stained:.2f} points"
        + most(stained, aims.stained_points),
        "share complete": f"bias {sums['complete bias']:+.2f}, mean absolute "
        f"{sums['complete abs']:.2f} points",
        "H-score": f"bias {sums['H bias']:+.1f}, mean absolute {sums['H abs']:.1f}",
        "tumor cells counted": f"bias {sums['count bias %']:+.1f} %, mean absolute {count:.1f} %"
        + most(count, aims.count_pct, " %"),
        "nucleus F1 at 3 µm": f"{sums['nucleus F1']:.3f} (precision "
        f"{mean_of(s.cells.nuclei.precision for s in slides):.3f}, recall "
        f"{mean_of(s.cells.nuclei.recall for s in slides):.3f})"
        + least(sums["nucleus F1"], aims.nucleus_f1),
        "tumor nuclei found": f"{sums['tumor found']:.3f} at 3 µm; "
        f"{sums['unmatched']:.3f} of the counted cells meet no nucleus",
        "tumor or not": f"{sums['tumor acc']:.3f} of matched cells (counted ones that are tumor "
        f"{sums['counted are tumor']:.3f}, tumor cells counted "
        f"{mean_of(s.cells.kind_tumor.frac for s in slides):.3f})"
        + least(sums["tumor acc"], aims.kind),
        "stained cells": f"{number(sums['stained recall'], 3)} of the stained read as stained, "
        f"{number(sums['stained fallout'], 3)} of the unstained",
        "complete cells": f"{number(sums['complete recall'], 3)} of the complete read as complete, "
        f"{number(sums['complete fallout'], 3)} of the others",
        "heights of lines": heights_words([s.cells.height_ratio for s in slides]),
        "time": f"{number(mean_of(s.draw_s for s in slides), 1)} s to draw, "
        f"{mean_of(s.score_s for s in slides):.1f} s to score a slide",
    }
    return figures


def heights_words(ratios: Sequence[float]) -> str:
    """Say how heights of lines read against their truth, one number a slide."""
    known = np.array([ratio for ratio in ratios if not math.isnan(ratio)])
    if not known.size:
        return "–"
    factors = np.exp(np.abs(np.log(known)))
    return (
        f"{np.median(known):.2f} of the true ones in the middle one of {known.size} slides, 95 % "
        f"within a factor of {np.percentile(factors, 95):.2f}"
    )


def aim(is_met: bool, words: str) -> str:
    """Return an aim and whether it is met."""
    return f"; aim {words}: {'met' if is_met else 'not met'}"


def least(value: float | None, aimed: float | None) -> str:
    """Return the aim of at least so much; nothing without a figure or an aim."""
    if value is None or aimed is None or math.isnan(value):
        return ""
    return aim(value >= aimed, f"≥ {aimed:.2f}")


def most(value: float, aimed: float | None, unit: str = "") -> str:
    """Return the aim of at most so much; nothing without a figure or an aim."""
    if aimed is None or math.isnan(value):
        return ""
    return aim(value <= aimed, f"≤ {aimed:g}{unit}")


def kappa_words(found: Agreement) -> str:
    """Return a κ with its interval."""
    if found.kappa is None:
        return "–"
    ends = found.interval
    return f"{found.kappa:.3f}" + (f" ({ends.lower:.2f}–{ends.upper:.2f})" if ends else "")


Table = tuple[Sequence[str], list[list[str]]]


def grouped(slides: Sequence[SlideAccuracy], key: Callable[[SlideAccuracy], str]) -> Table:
    """Return the figures of each group of slides."""
    groups: dict[str, list[SlideAccuracy]] = {}
    for slide in sorted(slides, key=key):
        groups.setdefault(key(slide), []).append(slide)
    rows = []
    heads: Sequence[str] = ()
    for name, members in groups.items():
        sums = sums_of(members)
        heads = ("", *sums)
        rows.append([name, *(number(value, digits_of(word)) for word, value in sums.items())])
    return heads, rows


def digits_of(word: str) -> int:
    """Return the decimals that a figure is shown with."""
    if word in ("slides", "misses", "flagged misses"):
        return 0
    return 1 if "bias" in word or "abs" in word else 2


def number(value: float, digits: int) -> str:
    """Return a number as text, a dash for none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def crossed(slides: Sequence[SlideAccuracy]) -> Table:
    """Return true scores (rows) against given ones."""
    given = (*EXPRESSION_SCORES, Score.NOT_ASSESSABLE)
    rows = [
        [
            str(known),
            *(
                str(sum(s.true_score is known and s.score is score for s in slides))
                for score in given
            ),
        ]
        for known in EXPRESSION_SCORES
    ]
    return ("true", *map(str, given)), rows


def by_flag(slides: Sequence[SlideAccuracy]) -> Table:
    """Return how many misses and right scores carry each flag, and how many it alone flags."""
    rows = []
    for name in sorted({name for slide in slides for name in slide.flags}):
        carriers = [s for s in slides if name in s.flags]
        n_misses = sum(not s.is_exact for s in carriers)
        n_alone = sum(s.flags == (name,) for s in carriers)
        rows.append([name, str(n_misses), str(len(carriers) - n_misses), str(n_alone)])
    return ("flag", "misses", "right scores", "alone"), rows


def brown_of(slide: SlideAccuracy) -> str:
    """Say in words how much brown lies off the membrane."""
    granules = ", granules" if slide.granular_od else ""
    return f"cytoplasm OD {slide.cytoplasm_od:.2f}{granules}"


def listed(slides: Sequence[SlideAccuracy]) -> Table:
    """Return slides one by one, with the shares that decide: true → measured."""
    heads = ("slide", "design", "score", "criterion", "none", "faint", "weak", "moderate",
             "intense", "stained", "complete", "cells", "blank ≤", "F1", "tumor acc",
             "stained recall/fallout", "complete recall/fallout", "flags")  # fmt: skip
    rows = []
    for s in slides:
        pairs = [
            f"{s.known[name]:.1f} → {s.measured[name]:.1f}"
            for name in ("pct_none", "pct_faint", "pct_weak", "pct_moderate", "pct_intense",
                         "pct_stained", "pct_complete")
        ]  # fmt: skip
        rows.append(
            [
                s.slide_id,
                s.design + ("" if s.distance is None else f" ({s.distance:.1f} from the cut)"),
                f"{s.true_score} → {s.score}",
                s.criterion,
                *pairs,
                f"{s.n_true} → {s.n_counted}",
                f"{s.blank_upper_pct:.2f}",
                number(s.cells.nuclei.f1, 2),
                number(s.cells.kind.frac, 2),
                f"{number(s.cells.stained.recall, 2)}/{number(s.cells.unstained.frac, 3)}",
                f"{number(s.cells.complete.recall, 2)}/{number(s.cells.incomplete.frac, 3)}",
                ", ".join(s.flags) or "none",
            ]
        )
    return heads, rows


def show(heading: str, table: Table) -> None:
    """Print a table."""
    heads, rows = table
    if not rows:
        return
    widths = [max(len(str(row[k])) for row in (heads, *rows)) for k in range(len(heads))]
    print(f"\n{heading}")
    for row in (heads, *rows):
        print("  ".join(str(value).rjust(width) for value, width in zip(row, widths, strict=True)))


def write_csv(path: Path, slides: Sequence[SlideAccuracy]) -> None:
    """Write one row per slide."""
    text = io.StringIO()
    rows = [slide.row() for slide in slides]
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["slide_id"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def say(words: str) -> None:
    """Tell how far it is, apart from the results."""
    print(words, file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slides", type=int, help=f"how many ({N_SLIDES}; quick: {N_QUICK})")
    parser.add_argument("--seed", type=int, help="draw the slides of this seed again")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--model", default=SHIPPED_NETWORK, help="network, as for her2path score, or none"
    )
    parser.add_argument(
        "--laboratories",
        choices=("fresh", "test"),
        default="fresh",
        help="fresh: drawn by the seed in the ranges of the test laboratories, so that nobody has "
        "seen them; test: the seven of her2path",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="calibrate each laboratory with controls of its own, 0, 1+, 2+ and 3+",
    )
    parser.add_argument("--quick", action="store_true", help="few small slides: a look, no figure")
    parser.add_argument(
        "--side-um",
        type=float,
        help=f"side of a slide ({SIDE_UM:g}, a biopsy; quick: {QUICK_SIDE_UM:g}): with more tissue "
        "fewer intervals hold a cut",
    )
    parser.add_argument("--out", type=Path, default=Path("accuracy_results"), help="folder")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep slides and results; the next run of this seed and folder scores them again "
        "without drawing (delete them when the generator has changed)",
    )
    arguments = parser.parse_args()
    standard = (N_QUICK, QUICK_SIDE_UM) if arguments.quick else (N_SLIDES, SIDE_UM)
    n_slides = standard[0] if arguments.slides is None else arguments.slides
    if n_slides < 1 or arguments.jobs < 1:
        parser.error("--slides and --jobs must be at least 1")
    side_um = standard[1] if arguments.side_um is None else arguments.side_um
    if not LEAST_SIDE_UM <= side_um <= 20_000:
        parser.error(f"--side-um must be {LEAST_SIDE_UM:g} to 20,000")
    seed = arguments.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    if seed < 0:
        parser.error("--seed must not be negative")
    try:
        network = find_network(arguments.model)
    except ModelError as error:
        parser.error(str(error))
    reader = "rules alone" if network is None else f"network {network.name}"
    reader += ", calibrated with controls" if arguments.calibrate else ", generic calibration"
    print(f"seed {seed}: {n_slides} slides of {side_um:g} µm, {reader}", flush=True)
    known = fresh_laboratories(seed) if arguments.laboratories == "fresh" else None
    plans = plan_slides(n_slides, seed=seed, side_um=side_um, known=known)
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = arguments.out / f"slides-{seed}"
    folder.mkdir(exist_ok=True)
    try:
        calibrations = {}
        if arguments.calibrate:
            calibrations = calibrate(
                plans, folder, seed=seed, n_jobs=arguments.jobs, network=network
            )
        slides, failed = measure(
            plans, folder, n_jobs=arguments.jobs, network=network, calibrations=calibrations
        )
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for name, reason in failed.items():
        say(f"{name} failed: {reason}")
    if not slides:
        say("no slide was scored, there is nothing to compare")
        return 1
    aims = AIMS_OF_RULES if network is None else AIMS_WITH_NETWORK
    figures = figures_of(slides, failed, aims)
    tables = {
        "True score (rows) against score given": crossed(slides),
        "By true score": grouped(slides, lambda s: str(s.true_score)),
        "By laboratory": grouped(slides, lambda s: s.laboratory),
        "By brown off the membrane": grouped(slides, brown_of),
        "By flag": by_flag(slides),
        "By design": grouped(slides, lambda s: s.design),
        "Misses": listed([s for s in slides if not s.is_exact]),
    }
    width = max(map(len, figures))
    print()
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")
    for heading, table in tables.items():
        show(heading, table)
    write_csv(arguments.out / "accuracy.csv", slides)
    page = arguments.out / "accuracy.html"
    tables["All slides"] = listed(slides)
    title = f"Accuracy on {len(slides)} synthetic slides, {reader}, seed {seed}"
    write_page(page, slides, title=title, lines=figures, tables=tables)
    print(f"\n{arguments.out / 'accuracy.csv'}\n{page}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
