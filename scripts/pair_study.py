"""How often a comparison says *changed*, and how often it is right.

Pairs with a known change: none (same laboratory, other laboratory), small, 20 points of the share
stained, loss to 0+ and to null, too few cells. ``python scripts/pair_study.py`` prints the table
and writes pair_study_cells.csv or pair_study_pictures.csv, by level.

``--level cells`` simulates cells and a reader with stated errors, hundreds of pairs in a minute:
it shows what the statistics do (false *changed*, power, coverage) when the truth is a tumor of
which each slide is a sample. ``--level pictures`` draws slides of the test laboratories and runs
the whole chain on them, about half a minute a pair and core: it shows what errors of measuring
cells do on top; there too each slide is a sample of its tumor. Finished pairs are kept in
``--out``: a second run goes on.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pair_cells import simulate_pair
from pair_pictures import picture_pair
from pair_scenarios import (
    SCENARIOS,
    Outcome,
    Scenario,
    deviations_of,
    repeats_of,
    summary_of,
    table_of,
)
from scored_slides import network_asked

from her2path.results.atomic import write_text

N_PAIRS = {"cells": 120, "pictures": 6}


def outcomes_of(
    scenarios: Sequence[Scenario], seeds: Sequence[int], arguments: argparse.Namespace
) -> Iterator[Outcome]:
    """Yield the outcome of each pair as it is known."""
    one: Callable[[Scenario, int], Outcome] = simulate_pair
    if arguments.level == "pictures":
        one = partial(picture_pair, folder=arguments.out / "pairs", model=arguments.model)
    tasks = [(scenario, seed) for seed in seeds for scenario in scenarios]
    if arguments.jobs == 1:
        yield from (one(scenario, seed) for scenario, seed in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        for future in as_completed(pool.submit(one, *task) for task in tasks):
            yield future.result()


def write_csv(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write rows of equal keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def show(table: Sequence[Sequence[str]]) -> None:
    """Print a table with its columns aligned."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        first = row[0].ljust(widths[0])
        rest = [value.rjust(width) for value, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([first, *rest]))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", choices=("cells", "pictures"), default="cells")
    parser.add_argument("--pairs", type=int, help="per scenario (cells: 120, pictures: 6)")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--model", default="auto", help="network that reads pictures, or none")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("pair_study_results"), help="folder")
    arguments = parser.parse_args()
    scenarios = [s for s in SCENARIOS if arguments.only in s.name]
    n_pairs = N_PAIRS[arguments.level] if arguments.pairs is None else arguments.pairs
    if not scenarios or n_pairs < 1 or arguments.jobs < 1:
        parser.error("nothing to do: --only names no scenario, or --pairs or --jobs is below 1")
    if arguments.seed < 0:
        parser.error("--seed must be at least 0")
    network_asked(parser, arguments.model)
    (arguments.out / "pairs").mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.seed, arguments.seed + n_pairs)
    begun = time.perf_counter()
    outcomes = []
    n_all = n_pairs * len(scenarios)
    found = outcomes_of(scenarios, seeds, arguments)
    for outcome in found:
        outcomes.append(outcome)
        if arguments.level == "pictures" or len(outcomes) % 100 == 0:
            elapsed = time.perf_counter() - begun
            print(
                f"{len(outcomes)}/{n_all} {outcome.scenario}: {outcome.verdict} ({elapsed:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    # As one process finds them: several end in any order.
    position = {scenario.name: k for k, scenario in enumerate(scenarios)}
    outcomes.sort(key=lambda outcome: (outcome.seed, position[outcome.scenario]))
    print(f"level {arguments.level}, seeds {seeds.start}–{seeds.stop - 1}, percent of pairs")
    show(table_of(outcomes))
    print()
    for name, value in {**summary_of(outcomes), **deviations_of(outcomes)}.items():
        print(f"{name}: {value}")
    path = arguments.out / f"pair_study_{arguments.level}.csv"
    rows = [asdict(outcome) for outcome in outcomes]
    write_csv(path, [{k: v for k, v in row.items() if k != "measures"} for row in rows])
    print(path)
    repeats = repeats_of(outcomes)
    if repeats:
        path = arguments.out / f"repeats_{arguments.level}.csv"
        write_csv(path, repeats)
        print(f"{path}: for `her2path repeatability`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
