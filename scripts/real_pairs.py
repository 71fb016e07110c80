"""Compare real cores with each other and with themselves, and say what `compare` finds.

``python scripts/real_pairs.py --real FOLDER`` compares two different cores, and one core with
itself re-encoded, brightened and rescanned at another scale. Nothing changed in the last three, so
none of them may be called *changed*. Writes the page of each pair beside the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scored_slides import network_asked

from her2path.compare.pair import compare_sides
from her2path.compare.sources import read_sides
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import SHIPPED_NETWORK
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.report.pair import write_pair_report
from her2path.results.folder import ResultsFolder

Picture = NDArray[np.uint8]
# The cores are about 0.23 µm/px (an estimate from their size).
MPP, OTHER_MPP = 0.23, 0.30
CORES = ("1_154a", "1_f8a2", "2_0123")
QUALITY, BRIGHTER = 60, 1.05


def reencoded(picture: Picture) -> Picture:
    """Return what JPEG of a lower quality leaves."""
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def brightened(picture: Picture) -> Picture:
    """Return the picture with every value a little higher."""
    return np.clip(np.rint(picture * BRIGHTER), 0, 255).astype(np.uint8)


def rescanned(picture: Picture) -> Picture:
    """Return the picture with coarser pixels."""
    scale = MPP / OTHER_MPP
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


CHANGES: dict[str, tuple[Callable[[Picture], Picture], float]] = {
    f"JPEG {QUALITY}": (reencoded, MPP),
    "5 % brighter": (brightened, MPP),
    f"{OTHER_MPP:g} µm/px": (rescanned, OTHER_MPP),
}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=Path("../shared/data/tma"))
    parser.add_argument("--model", default=SHIPPED_NETWORK, help="network, or none")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("real_pairs_results"), help="folder")
    arguments = parser.parse_args()
    missing = [name for name in CORES if not (arguments.real / f"{name}.jpg").is_file()]
    if missing:
        print(f"{arguments.real} lacks {', '.join(missing)}: give the folder with --real")
        return 2
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    settings = ScoreSettings(network=network_asked(parser, arguments.model))
    arguments.out.mkdir(parents=True, exist_ok=True)
    first, second, same = CORES
    paths = {name: (arguments.real / f"{name}.jpg", MPP) for name in CORES}
    picture = np.asarray(cv2.imread(str(paths[same][0])), np.uint8)
    for position, (name, (change, mpp)) in enumerate(CHANGES.items()):
        paths[name] = arguments.out / f"{same}-{position + 1}.png", mpp
        cv2.imwrite(str(paths[name][0]), change(picture))
    jobs = [
        SlideJob(
            slide_id=path.stem,
            path=path,
            mpp=mpp,
            rule_set=find_rule_set(DEFAULT_CRITERIA),
            calibration=find_calibration(None),
        )
        for path, mpp in paths.values()
    ]
    out = ResultsFolder(arguments.out / "results")
    failed = run_batch(jobs, settings, out, overwrite=True, n_workers=arguments.jobs).failed
    if failed:
        print(f"not scored: {dict(failed)}")
        return 1
    pairs = {f"{first} and {second}": (first, second)}
    pairs |= {f"{same} and itself, {name}": (same, name) for name in CHANGES}
    for position, (words, (before, after)) in enumerate(pairs.items()):
        sides = read_sides(
            {
                "before": [out.slide(paths[before][0].stem).slide_json],
                "after": [out.slide(paths[after][0].stem).slide_json],
            }
        )
        found = compare_sides(*sides, seed=0)
        place = arguments.out / f"pair-{position + 1}"
        place.mkdir(exist_ok=True)
        write_pair_report(place, found, *sides)
        stained = found.as_read.continuous["pct_stained"]
        scores = found.as_read.score
        reasons = ", ".join(reason.code for reason in (*found.voids, *found.obstacles))
        print(
            f"{words:<32} {found.verdict.value:<15} {scores.before} {stained.before:.1f} % → "
            f"{scores.after} {stained.after:.1f} %  {reasons}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
