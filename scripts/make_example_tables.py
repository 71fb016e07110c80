"""Write the example tables of the documents: docs/tables/pairs.csv and docs/tables/patients.csv.

Both are made up. The pairs have the counts that Gouda 2025 (10.1158/1078-0432.CCR-24-3468)
reports: 41 pairs, 34 expressing before, 11 of these lost and 10 decreased; how they spread over the
scores is not theirs. The patients are drawn, with hazards that fall as HER2 rises.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tables"
PAIRS = (
    ("3+", "0", 3), ("2+", "0", 3), ("1+", "0", 5),
    ("3+", "1+", 4), ("3+", "2+", 3), ("2+", "1+", 3),
    ("3+", "3+", 6), ("2+", "2+", 2), ("1+", "1+", 3), ("1+", "2+", 2),
    ("0", "0", 5), ("0", "1+", 2),
)  # fmt: skip
N_PATIENTS = 160
SCORES = (("0", 0.2), ("0+", 0.15), ("1+", 0.25), ("2+", 0.2), ("3+", 0.2))
# Per month; and the probability of a response.
HAZARD = {"0": 0.12, "0+": 0.1, "1+": 0.08, "2+": 0.07, "3+": 0.045}
RESPONSE = {"0": 0.2, "0+": 0.35, "1+": 0.45, "2+": 0.5, "3+": 0.6}


def pair_rows() -> Iterable[Sequence[object]]:
    """Yield the pairs, one patient each."""
    pairs = [(before, after) for before, after, n in PAIRS for _ in range(n)]
    for number, (before, after) in enumerate(pairs, start=1):
        ish = ["not_amplified" if score == "2+" else "" for score in (before, after)]
        yield f"P{number:02}", before, after, *ish, "ASCO/CAP 2018", "ASCO/CAP 2018"


def patient_rows(rng: np.random.Generator) -> Iterable[Sequence[object]]:
    """Yield drawn patients."""
    names, shares = zip(*SCORES, strict=True)
    for number in range(1, N_PATIENTS + 1):
        score = str(rng.choice(names, p=shares))
        ish = str(rng.choice(["not_amplified", "amplified", ""], p=[0.6, 0.25, 0.15]))
        grade, site = int(rng.choice([1, 2, 3], p=[0.15, 0.5, 0.35])), str(rng.choice(["A", "B"]))
        hazard = HAZARD[score] * (1.3 if grade == 3 else 1) * (1.2 if site == "B" else 1)
        event, end = rng.exponential(1 / hazard), rng.uniform(4, 36)
        responds = rng.random() < RESPONSE[score]
        best = str(rng.choice(["CR", "PR"] if responds else ["SD", "PD"]))
        yield (
            f"P{number:03}", score, ish if score == "2+" else "",
            int(np.clip(rng.normal(57, 12), 27, 88)), grade, site,
            "NE" if rng.random() < 0.05 else best, f"{min(event, end):.1f}", int(event < end),
        )  # fmt: skip


def write(name: str, header: str, rows: Iterable[Sequence[object]]) -> None:
    """Write one table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


if __name__ == "__main__":
    write(
        "pairs.csv",
        "patient_id,before,after,before_ish,after_ish,before_edition,after_edition",
        pair_rows(),
    )
    write(
        "patients.csv",
        "patient_id,score,ish,age,grade,site,response,months,progressed",
        patient_rows(np.random.default_rng(11)),
    )
