"""Calibrate what a network states: shifts, temperature, and the quantile of its conformal sets.

``python scripts/calibrate_model.py run/model`` draws fields of random laboratories with known
scores, lets the network read them, and writes these numbers into the checkpoint with how they were
made. Half of the fields choose shifts and temperature, the other half the quantile, so that the
promise of the sets holds: on average over fields of this kind, and no others. Nothing of the test
laboratories is seen; ``scripts/accuracy.py`` measures the coverage there. ``--tumor-cut`` states
from which probability a cell counts as tumor: on drawn fields many cuts do as well, real tissue
tells them apart (``scripts/marks.py``). ``--membrane-cut`` states from which probability a membrane
counts as seen (``scripts/line_evidence.py`` prints what each cut makes of faint and of unstained
cells).
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from accuracy_recipes import Plan, plan_slides
from numpy.typing import NDArray

from her2path.errors import ModelError
from her2path.geometry import Mpp, Region
from her2path.models.checkpoint import recalibrate
from her2path.models.description import N_CUTS, ModelCalibration, read_description
from her2path.models.shipped import find_model
from her2path.pipeline.network import positions_of
from her2path.statistics.conformal import calibrate_sets, conformal_sets
from her2path.statistics.counted import Counted
from her2path.statistics.temperature import fit_shifts, fit_temperature, ordinal_probabilities
from her2path.synth.fields import Field, draw_field
from her2path.synth.variety import random_laboratory

if TYPE_CHECKING:
    from her2path.models.inference import NetworkPlanes

N_FIELDS = 160
SIDE_UM = 450.0
COVERAGE = 0.9
# Fewer tumor cells have no score worth stating; the rule reader asks for 100 as well.
LEAST_CELLS = 100
# How often the fields are dealt into halves to say what coverage other fields would meet.
N_DEALS = 200


def read_field(plan: Plan, folder: Path, mpp_range: tuple[float, float]) -> list[float]:
    """Draw a field and return its true rank, tumor cells, and the logits of the network."""
    from her2path.models.inference import NetworkReader

    cv2.setNumThreads(1)
    rng = np.random.default_rng([plan.seed, 3])
    low, high = max(mpp_range[0], 0.17), min(mpp_range[1], 0.55)
    laboratory = random_laboratory(rng, mpp=float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    field = draw_field(plan.recipe, laboratory, seed=plan.seed)
    reader = NetworkReader(folder, device="cpu")
    mean = mean_features(reader.read(field.rgb, field.mpp), field)
    if mean is None:
        # The network has no opinion of such a field.
        return [float(field.truth.score.rank), 0.0, *[0.0] * N_CUTS]
    logits = reader.score_logits(mean[None])[0]
    n_cells = int(field.truth.cells.is_tumor.sum())
    return [float(field.truth.score.rank), float(n_cells), *logits.tolist()]


def mean_features(planes: NetworkPlanes, field: Field) -> NDArray[np.float64] | None:
    """Return what a score is read from, of the positions that count where slides are scored."""
    rows, cols = field.rgb.shape[:2]
    whole = Region(0, 0, cols, rows)
    found = positions_of(planes, whole, whole, field.mpp, Mpp(field.mpp, field.mpp))
    return found.mean_features()


def read_fields(
    plans: Sequence[Plan], folder: Path, *, n_jobs: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return true ranks and logits of fields with enough tumor cells, in the order of the plans."""
    mpp_range = read_description(folder).mpp_range
    rows: dict[int, list[float]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        running = {
            pool.submit(read_field, plan, folder, mpp_range): k for k, plan in enumerate(plans)
        }
        for future in as_completed(running):
            rows[running[future]] = future.result()
            print(f"read {len(rows)}/{len(plans)}", file=sys.stderr, flush=True)
    kept = [rows[k] for k in range(len(plans)) if rows[k][1] >= LEAST_CELLS]
    table = np.array(kept, np.float64).reshape(-1, 2 + N_CUTS)
    return table[:, 0].astype(np.int64), table[:, 2:]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The numbers that make logits into probabilities and sets."""

    shifts: tuple[float, ...]
    temperature: float
    quantile: float

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each score, shape (n, 5)."""
        return ordinal_probabilities(logits, self.temperature, self.shifts)


def fitted(
    ranks: NDArray[np.int64], logits: NDArray[np.float64], first: NDArray[np.bool_], coverage: float
) -> Fitted:
    """Let the first half choose shifts and temperature, and the other the quantile."""
    shifts = fit_shifts(logits[first], ranks[first])
    temperature = fit_temperature(logits[first] + np.asarray(shifts), ranks[first])
    p = ordinal_probabilities(logits[~first], temperature, shifts)
    return Fitted(shifts, temperature, calibrate_sets(p, ranks[~first], coverage=coverage))


def expected(
    ranks: NDArray[np.int64], logits: NDArray[np.float64], coverage: float, *, seed: int
) -> tuple[float, float]:
    """Return coverage and mean size of sets on fields that chose neither number."""
    rng = np.random.default_rng(seed)
    covered, sizes = [], []
    for _ in range(N_DEALS):
        order = rng.permutation(len(ranks))
        # A fifth is kept aside, the rest is halved as above.
        kept, rest = order[: len(order) // 5], order[len(order) // 5 :]
        first = np.arange(len(rest)) % 2 == 0
        found = fitted(ranks[rest], logits[rest], first, coverage)
        sets = conformal_sets(found.probabilities(logits[kept]), found.quantile)
        covered.append(sets[np.arange(len(kept)), ranks[kept]].mean())
        sizes.append(sets.sum(axis=1).mean())
    return float(np.mean(covered)), float(np.mean(sizes))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name or folder of a network")
    parser.add_argument("--fields", type=int, default=N_FIELDS, help=f"how many ({N_FIELDS})")
    parser.add_argument("--seed", type=int, default=1, help="of the fields (1)")
    parser.add_argument("--coverage", type=float, default=COVERAGE, help=f"wanted ({COVERAGE})")
    parser.add_argument("--tumor-cut", type=float, help="probability from which a cell is tumor")
    parser.add_argument("--membrane-cut", type=float, help="from which a membrane is one")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--dry-run", action="store_true", help="measure, and write nothing")
    arguments = parser.parse_args()
    if arguments.seed < 0:
        parser.error(f"--seed {arguments.seed}: give 0 or more")
    if arguments.fields < 50 or arguments.jobs < 1 or not 0.5 <= arguments.coverage < 1:
        parser.error("--fields must be at least 50, --jobs 1, --coverage from 0.5 to below 1")
    stated = {plane: getattr(arguments, f"{plane}_cut") for plane in ("tumor", "membrane")}
    new_cuts = {plane: cut for plane, cut in stated.items() if cut is not None}
    for plane, cut in new_cuts.items():
        if not 0 < cut < 1:
            parser.error(f"--{plane}-cut {cut:g} is no probability; give one between 0 and 1")
    try:
        folder = find_model(arguments.model).folder
    except ModelError as error:
        parser.error(str(error))
    plans = plan_slides(arguments.fields, seed=arguments.seed, side_um=SIDE_UM)
    ranks, logits = read_fields(plans, folder, n_jobs=arguments.jobs)
    if len(ranks) < 40:
        parser.error(f"only {len(ranks)} fields hold {LEAST_CELLS} tumor cells; ask for more")
    # Scores come in turn: neighbours in the order go to different halves.
    first = np.arange(len(ranks)) // 5 % 2 == 0
    found = fitted(ranks, logits, first, arguments.coverage)
    coverage, size = expected(ranks, logits, arguments.coverage, seed=arguments.seed)
    p = found.probabilities(logits)
    exact = Counted.of((np.cumsum(p, axis=1) < 0.5).sum(axis=1) == ranks)
    print(f"fields               {len(ranks)} of {arguments.fields} with {LEAST_CELLS} tumor cells")
    print(f"exact score          {exact}")
    print(f"shifts               {', '.join(f'{v:+.2f}' for v in found.shifts)}")
    print(f"temperature          {found.temperature:.3f}")
    print(f"quantile             {found.quantile:.3f} for a coverage of {arguments.coverage}")
    print(f"on fields kept aside {coverage:.3f} covered, {size:.2f} scores in a set")
    if not arguments.dry_run:
        old = read_description(folder).calibration
        new = ModelCalibration.model_validate(
            old.model_dump()
            | {
                "temperature": found.temperature,
                "shifts": found.shifts,
                "coverage": arguments.coverage,
                "conformal_quantile": found.quantile,
                "n_calibration": len(ranks),
                "plane_cuts": old.plane_cuts | new_cuts,
            }
        )
        metrics = {"conformal_coverage": coverage, "conformal_set_size": size}
        written = recalibrate(folder, new, metrics=metrics)
        print(f"{folder}: fingerprint {written.fingerprint[:12]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
