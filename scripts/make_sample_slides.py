"""Make the sample slides again, bit for bit: ``python scripts/make_sample_slides.py``.

The bytes depend on the versions of the libraries in constraints.txt; with others the pictures
look the same and the hashes differ. ``--check`` compares what is there with the manifest and with
SHA256SUMS, which has the hash of every file: ``sha256sum -c SHA256SUMS`` reads it too.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from control_outline import outline_control

from her2path.synth import (
    Artefacts,
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    load_laboratory,
    mix_of,
)
from her2path.synth.pairs import pair_path, write_pair
from her2path.synth.writing import WrittenSlide, sha256_of, write_slide

FOLDER = Path(__file__).resolve().parents[1] / "sample_slides"
SUMS = "SHA256SUMS"
# Columns of the manifest that name a file.
FILES = ("path", "roi", "truth", "cells", "masks")
COLUMNS = (
    "slide_id",
    "path",
    "roi",
    "expected_score",
    "mpp",
    "n_tumor_cells",
    "pct_stained",
    "pct_complete",
    "h_score",
    "what",
    "pair_id",
    "truth",
    "cells",
    "masks",
    "sha256",
)
# 0.25 µm/px as on the scanners; strong compression keeps each file at 2–3 MB.
SITE = replace(Laboratory(), name="sample", quality=58, noise=1.0, read_noise=0.4)
OTHER_SITE = replace(load_laboratory("training-b"), mpp=0.25, compression="jpeg", quality=58)

NULL = mix_of(none=1.0)
LOW = mix_of(none=0.62, faint_incomplete=0.26, weak_incomplete=0.12)
INTENSE = mix_of(intense_complete=0.76, moderate_complete=0.12, moderate_incomplete=0.12)


def slide(name: str, *regions: RegionRecipe, **more: object) -> SlideRecipe:
    """Return a small resection of about 2 mm²."""
    return SlideRecipe(
        name=name,
        width_um=1550.0,
        height_um=1150.0,
        tissue=TissueShape("blob", 70.0),
        regions=regions,
        **more,  # type: ignore[arg-type]
    )


SLIDES: tuple[tuple[str, int, SlideRecipe], ...] = (
    ("no stained membrane", 101, slide("s0_null", RegionRecipe(mix=NULL))),
    (
        "faint, incomplete membranes in 4 %",
        102,
        slide("s0plus_ultralow", RegionRecipe(mix=mix_of(none=0.96, faint_incomplete=0.04))),
    ),
    ("faint to weak, incomplete membranes in 38 %", 103, slide("s1plus", RegionRecipe(mix=LOW))),
    (
        "weak to moderate, complete membranes in 45 %",
        104,
        slide(
            "s2plus_complete",
            RegionRecipe(
                mix=mix_of(
                    none=0.2,
                    faint_incomplete=0.2,
                    weak_incomplete=0.15,
                    weak_complete=0.15,
                    moderate_complete=0.3,
                ),
                cytoplasm_od=0.03,
            ),
        ),
    ),
    (
        "moderate, basolateral membranes in glands",
        105,
        slide(
            "s2plus_basolateral",
            RegionRecipe(
                mix=mix_of(none=0.25, weak_incomplete=0.25, moderate_basolateral=0.5),
                gland_share=0.85,
                nest_um=130.0,
                cord_share=0.0,
            ),
        ),
    ),
    (
        "intense, complete membranes in 76 %",
        106,
        slide(
            "s3plus",
            RegionRecipe(mix=INTENSE, nest_um=230.0, gland_share=0.05, cytoplasm_od=0.06),
        ),
    ),
    (
        "1+ with a distinct cluster of intense cells in less than 10 %",
        107,
        slide(
            "heterogeneous",
            RegionRecipe(name="low", mix=LOW),
            RegionRecipe(name="cluster", mix=INTENSE, disc=(0.66, 0.46, 0.075), nest_um=130.0),
        ),
    ),
    (
        "1+ under folds, pen, bubbles, dust, defocus, pigment and stained edges",
        108,
        slide(
            "artefacts",
            RegionRecipe(mix=LOW, granular_od=0.05, stroma_haze_od=0.02),
            artefacts=Artefacts(
                folds=2,
                pen_marks=1,
                bubbles=1,
                dust=8,
                blurred_patches=2,
                pigment_per_mm2=60,
                debris_per_mm2=40,
                edge_stain_od=0.12,
                tears=2,
            ),
        ),
    ),
    (
        "ultralow beside a control tissue of 3+",
        109,
        slide(
            "control",
            RegionRecipe(mix=mix_of(none=0.94, faint_incomplete=0.06)),
            control=True,
        ),
    ),
    (
        "glass without tissue",
        110,
        replace(
            slide("blank", RegionRecipe(), artefacts=Artefacts(dust=4)),
            tissue=TissueShape("none"),
            width_um=900.0,
            height_um=700.0,
        ),
    ),
)


def known_of(truth: dict[str, Any]) -> dict[str, object]:
    """Return what the manifest takes from the truth of a slide."""
    known = truth["slide"]
    return {
        "slide_id": truth["slide_id"],
        "expected_score": truth["score"],
        "mpp": truth["mpp"],
        "n_tumor_cells": known["n_tumor_cells"],
        "pct_stained": known.get("pct_stained", ""),
        "pct_complete": known.get("pct_complete", ""),
        "h_score": known.get("h_score", ""),
    }


def row_of(written: WrittenSlide, what: str, pair_id: str = "") -> dict[str, object]:
    """Return the manifest's row of a slide."""
    roi = outline_control(written.cells_path)
    return {
        **known_of(written.truth),
        "path": written.path.name,
        "roi": "" if roi is None else roi.name,
        "what": what,
        "pair_id": pair_id,
        "truth": written.truth_path.name,
        "cells": written.cells_path.name,
        "masks": written.masks_path.name,
        "sha256": sha256_of(written.path),
    }


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a text as it was written, whatever ends its lines now."""
    if path.suffix not in (".csv", ".json", ".geojson"):
        return sha256_of(path)
    # A checkout on Windows may have turned them.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def files_of(folder: Path, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the names of all files that belong to the rows of the manifest, and its own."""
    names = {str(row[column]) for row in rows for column in FILES if row[column]}
    names |= {pair_path(folder, str(row["pair_id"])).name for row in rows if row["pair_id"]}
    return sorted({*names, "manifest.csv"})


def make(folder: Path) -> list[dict[str, object]]:
    """Write all slides, the manifest and the hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for what, seed, recipe in SLIDES:
        written = write_slide(recipe, SITE, folder / f"{recipe.name}.svs", seed=seed)
        rows.append(row_of(written, what))
        print(f"{recipe.name}: {rows[-1]['expected_score']}")
    patient = SlideRecipe(
        name="patient",
        width_um=2000.0,
        height_um=800.0,
        tissue=TissueShape("biopsy", 60.0),
        regions=(
            RegionRecipe(
                mix=mix_of(
                    none=0.15, weak_incomplete=0.35, weak_complete=0.2, moderate_complete=0.3
                )
            ),
        ),
    )
    pair = write_pair(
        patient,
        mix_of(none=0.97, faint_incomplete=0.03),
        folder,
        laboratories=(SITE, OTHER_SITE),
        seed=60,
    )
    rows.append(row_of(pair.before, "before treatment", "patient"))
    rows.append(row_of(pair.after, "after treatment, other laboratory", "patient"))
    print(f"patient: {pair.truth['score_before']} to {pair.truth['score_after']}")
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"{hash_of(folder / name)}  {name}\n" for name in files_of(folder, rows)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")
    return rows


def check(folder: Path) -> int:
    """Compare the files with the manifest and their hashes; return how many have faults."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known_hashes = hashes_in(folder / SUMS)
    # One fault a file, the first that shows.
    faults = {} if known_hashes else {SUMS: "missing"}
    for name in files_of(folder, rows):
        if not (folder / name).is_file():
            faults[name] = "missing"
        elif known_hashes and hash_of(folder / name) != known_hashes.get(name):
            faults[name] = f"not the file of {SUMS}"
    for row in rows:
        if row["path"] not in faults and sha256_of(folder / row["path"]) != row["sha256"]:
            faults[row["path"]] = "not the slide of the manifest"
        if row["truth"] not in faults:
            known = known_of(json.loads((folder / row["truth"]).read_text("utf-8")))
            if any(row[name] != str(value) for name, value in known.items()):
                faults[row["truth"]] = "not the truth of the manifest's row"
    for name, fault in faults.items():
        print(f"{name}: {fault}", file=sys.stderr)
    return len(faults)


def hashes_in(path: Path) -> dict[str, str]:
    """Return the hashes that a file of sha256sum has, by name; none where it is missing."""
    if not path.is_file():
        return {}
    lines = [line.partition("  ") for line in path.read_text("utf-8").splitlines()]
    return {name: digest for digest, _, name in lines}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (sample_slides/)")
    parser.add_argument("--check", action="store_true", help="only compare with the manifest")
    arguments = parser.parse_args()
    if arguments.check:
        if not (arguments.out / "manifest.csv").is_file():
            parser.error(f"{arguments.out} holds no manifest.csv to compare with")
        return 1 if check(arguments.out) else 0
    make(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
