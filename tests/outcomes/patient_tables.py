"""Tables of patients for the tests."""

import csv
from collections.abc import Mapping
from pathlib import Path

# Weeks of remission under 6-mercaptopurine and placebo (Freireich 1963,
# 10.1182/blood.V21.6.699.699); a negative time is one that observation ended at.
TREATED = (
    6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35,
)  # fmt: skip
PLACEBO = (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)

# Yan 2025, table 1: 98 patients by IHC and ISH.
YAN = (("1+", "", 20), ("2+", "not_amplified", 32), ("2+", "amplified", 11), ("3+", "", 35))


def write_rows(path: Path, *rows: Mapping[str, object]) -> Path:
    """Write rows given by their columns; what a row lacks is empty."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_remission(path: Path, **values: object) -> Path:
    """Write the remission data; columns `arm`, `weeks`, `relapse` and what else is given."""
    arms = (("6-MP", TREATED), ("placebo", PLACEBO))
    rows = [
        {"arm": arm, "weeks": abs(weeks), "relapse": int(weeks > 0)} | values
        for arm, times in arms
        for weeks in times
    ]
    return write_rows(path, *rows)
