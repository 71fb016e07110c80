"""Score real, unstained tissue that membranes of known truth are drawn on.

Slides of `her2path.synth` and of foreign_slides.py are drawn from the glass up. Here nuclei,
stroma, inflammation, focus and noise are real: crops of microarray cores that were stained for HER2
and have none, or hardly any. Round cells that are found by other means than her2path's, DAB is
drawn in optical density; then the crop is turned, mirrored, dyed and scanned as by another
laboratory, and compressed.

    python scripts/drawn_on_real.py --real ../shared/data/tma --out FOLDER
    python scripts/drawn_on_real.py --real ../shared/data/tma --out FOLDER --model none
    python scripts/drawn_on_real.py --real ../shared/data/tma --out FOLDER --seed 5

--real is the folder of 0_a6d0.jpg, 0_ccb6.jpg and 1_154a.jpg, of bozeklab/HER2-overexpression; they
are not in the repository. There are 24 designs, three to six of each score: tissue left as it is,
tissue with brown cytoplasm and no membrane, 0+, 1+, 2+ and 3+, none near a cut. The same seed draws
the same pictures; another one draws other cells, turns, laboratories and resolutions for the same
designs.

Written to --out:
    rNN.png, rNN_cells.csv   a picture, and every nucleus with what is true of its membrane
    manifest.csv             for `her2path score manifest.csv`
    truth.csv                for `her2path evaluate results-MODEL --reference truth.csv`
    results-MODEL/           what `her2path score` makes of them

Where tumor is was marked by eye, roughly, by a language model (tests/marks/README.md). Shares are
true of the tumor cells that were found there; a reader that counts others as well reads other
shares. What stained, complete and the score mean exactly stands in drawn_truth.py.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from drawn_designs import DESIGNS, SEED, SOURCES, Design, View, views_of
from drawn_picture import Picture, draw_picture
from drawn_tissue import source_faults
from drawn_truth import Shares, drawn_shares, visible_shares
from PIL import Image
from scored_slides import network_asked, score_slides, short

from her2path.pipeline.network import SHIPPED_NETWORK
from her2path.pipeline.settings import ScoreSettings
from her2path.results.sheet import SheetRow, write_sheet

# Names tell nothing of what is drawn, so that the pictures can be shown to a reader as well.
ORDER_SEED = 20240
MANIFEST_COLUMNS = ("path", "slide_id", "mpp")
CELL_COLUMNS = (
    "x",
    "y",
    "is_tumor",
    "is_nucleus_seen",
    "is_stained",
    "is_complete",
    "is_intense_complete",
    "intensity",
    "peak_od",
    "stained_frac",
    "is_drawn",
    "is_drawn_complete",
    "drawn_od",
)
TRUTH_COLUMNS = (
    "slide_id",
    "source",
    "design",
    "score",
    "score_drawn",
    "n_tumor_cells",
    "n_unseen_nuclei",
    "pct_stained",
    "pct_complete",
    "pct_intense_complete",
    "pct_drawn",
    "pct_drawn_complete",
    "pct_drawn_intense_complete",
    "pct_touched",
    "pct_real_brown",
    "pct_real_brown_barely",
    "laboratory",
    "n_turns",
    "is_mirrored",
    "mpp",
    "optics_um",
    "dab",
    "jpeg_quality",
    "jpeg_subsampling",
    "note",
)
Row = dict[str, object]


@dataclass(frozen=True)
class Task:
    """One picture to draw."""

    slide_id: str
    design: Design
    view: View
    seed: int
    real: Path
    out: Path


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn: where, its shares, and its row of truth.csv."""

    task: Task
    path: Path
    shares: Shares
    row: Row


def tasks_of(real: Path, out: Path, seed: int) -> list[Task]:
    """Plan the pictures of a seed."""
    views = views_of(seed)
    order = np.random.default_rng(ORDER_SEED).permutation(len(DESIGNS)).tolist()
    return [
        Task(f"r{number:02}", DESIGNS[k], views[k], seed + k, real, out)
        for number, k in enumerate(order, start=1)
    ]


def draw(task: Task) -> Drawn:
    """Draw one picture and write it with its cells."""
    cv2.setNumThreads(1)
    picture = draw_picture(task.real, task.design, task.view, task.seed)
    path = task.out / f"{task.slide_id}.png"
    Image.fromarray(picture.rgb).save(path)
    write_sheet(task.out / f"{task.slide_id}_cells.csv", CELL_COLUMNS, cell_rows(picture))
    shares = visible_shares(picture.cells)
    return Drawn(task, path, shares, truth_row(task, picture, shares))


def draw_all(tasks: Sequence[Task], n_workers: int) -> Iterator[Drawn]:
    """Draw pictures in processes of their own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        yield from pool.map(draw, tasks)


def cell_rows(picture: Picture) -> list[Row]:
    """Return a row for each nucleus.

    One that is not tumor lies outside what was marked, at an edge, or in a territory of no cell's
    size: marks are rough, so it may be tumor all the same.
    """
    rows: list[Row] = []
    for i, (x, y) in enumerate(picture.places):
        row: Row = {"x": x, "y": y, "is_tumor": False, "is_nucleus_seen": i < picture.n_seen}
        if cell := picture.cells.get(i):
            row |= {name: getattr(cell, name) for name in CELL_COLUMNS[4:10]} | {
                "is_tumor": True,
                "is_drawn": cell.membrane is not None,
                "is_drawn_complete": cell.is_drawn_complete,
                "drawn_od": cell.drawn_od,
            }
        rows.append(row)
    return rows


def truth_row(task: Task, picture: Picture, shares: Shares) -> Row:
    """Return the row of truth.csv."""
    drawn, source = drawn_shares(picture.cells), task.design.crop.source
    cells = picture.cells.values()
    return {
        "slide_id": task.slide_id,
        "source": source,
        "design": task.design.name,
        "score": shares.score,
        "score_drawn": drawn.score,
        "n_tumor_cells": len(cells),
        "n_unseen_nuclei": sum(i >= picture.n_seen for i in picture.cells),
        "pct_stained": 100 * shares.stained,
        "pct_complete": 100 * shares.complete,
        "pct_intense_complete": 100 * shares.intense_complete,
        "pct_drawn": 100 * drawn.stained,
        "pct_drawn_complete": 100 * drawn.complete,
        "pct_drawn_intense_complete": 100 * drawn.intense_complete,
        "pct_touched": 100 * float(np.mean([cell.is_touched for cell in cells])),
        "pct_real_brown": 100 * picture.real_brown[0],
        "pct_real_brown_barely": 100 * picture.real_brown[1],
        "laboratory": task.view.laboratory,
        "n_turns": task.view.n_turns,
        "is_mirrored": task.view.is_mirrored,
        "mpp": task.view.mpp,
        "optics_um": picture.optics_um,
        "dab": " ".join(f"{part:.3f}" for part in picture.dab),
        "jpeg_quality": picture.quality,
        "jpeg_subsampling": "4:2:0" if picture.subsampling else "4:4:4",
        "note": SOURCES[source].note,
    }


def write_tables(drawn: Sequence[Drawn], out: Path) -> None:
    """Write the truth, and a manifest whose paths are relative to it."""
    write_sheet(out / "truth.csv", TRUTH_COLUMNS, [one.row for one in drawn])
    rows = [
        {"path": one.path.name, "slide_id": one.task.slide_id, "mpp": one.task.view.mpp}
        for one in drawn
    ]
    write_sheet(out / "manifest.csv", MANIFEST_COLUMNS, rows)


def print_comparison(drawn: Sequence[Drawn], rows: Mapping[str, SheetRow]) -> None:
    """Print what is read of each picture beside what is true, by true score, and sums."""
    print(f"{'picture':9}{'design':37}{'score':>9}{'stained %':>15}{'complete %':>15}  flagged for")
    errors, n_exact, n_flagged = [], 0, 0
    reasons_of: Counter[str] = Counter()
    for one in sorted(drawn, key=lambda one: (one.shares.score, one.task.slide_id)):
        row, true = rows[one.task.slide_id], one.shares
        is_exact, is_flagged = row.get("score") == true.score, row.get("review") == "true"
        n_exact += is_exact
        n_flagged += is_flagged and not is_exact
        reasons_of.update(row.get("review_reasons").split(";") if is_flagged else ())
        shares = {"pct_stained": 100 * true.stained, "pct_complete": 100 * true.complete}
        if row.get("pct_stained"):
            errors.append([abs(float(row.get(name)) - share) for name, share in shares.items()])
        stained, complete = (f"{short(row.get(k))} / {v:.1f}" for k, v in shares.items())
        reasons = row.get("review_reasons").replace(";", ", ") if is_flagged else "–"
        print(
            f"{one.task.slide_id:9}{one.task.design.name:37}"
            f"{row.get('score') + ' / ' + true.score:>9}{stained:>15}{complete:>15}"
            f"{' ' if is_exact else '*'} {reasons}"
        )
    stained_off, complete_off = np.mean(errors, axis=0) if errors else (np.nan, np.nan)
    print(
        f"exact {n_exact} of {len(drawn)}; misses (*) flagged {n_flagged} of "
        f"{len(drawn) - n_exact}; mean absolute error in points, of {len(errors)} assessed: "
        f"stained {stained_off:.1f}, complete {complete_off:.1f}"
    )
    n_read = sum(rows[one.task.slide_id].get("review") == "true" for one in drawn)
    counted = ", ".join(f"{reason} {n}" for reason, n in reasons_of.most_common())
    print(f"flagged {n_read} of {len(drawn)}: {counted or 'none'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, score and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, help="folder of the real cores, needed")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and results")
    parser.add_argument("--seed", type=int, default=SEED, help=f"{SEED} without it")
    parser.add_argument(
        "--model", default=SHIPPED_NETWORK, help="network, as for her2path score, or none"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args(arguments)
    faults = source_faults(given.real) if given.real else ["--real is not given"]
    if faults:
        parser.error(
            f"{'; '.join(faults)}: give the folder of the cores {', '.join(SOURCES)} with --real; "
            "bozeklab/HER2-overexpression on GitHub has them (JPEG, Apache-2.0)"
        )
    if given.seed < 0 or given.workers < 1:
        parser.error("--seed must be at least 0 and --workers at least 1")
    settings = ScoreSettings(network=network_asked(parser, given.model))
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = list(draw_all(tasks_of(given.real, given.out, given.seed), given.workers))
    write_tables(drawn, given.out)
    strayed = [one.task.slide_id for one in drawn if one.shares.score != one.task.design.score]
    if strayed:
        parser.error(f"lines of neighbours move {strayed} to another score: take another --seed")
    rows = score_slides(
        {one.task.slide_id: one.path for one in drawn},
        settings,
        given.out / f"results-{given.model}",
        n_workers=given.workers,
        mpps={one.task.slide_id: one.task.view.mpp for one in drawn},
    )
    print(f"seed {given.seed}, network {settings.model}; given / true")
    print_comparison(drawn, {row.get("slide_id"): row for row in rows})


if __name__ == "__main__":
    main()
