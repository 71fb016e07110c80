"""Tables of pairs for the tests."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# Gouda 2025, 10.1158/1078-0432.CCR-24-3468: 41 pairs, 34 of them 1+ or more before, 11 of these
# lost and 10 decreased. How the rest spreads over the scores is made up.
GOUDA = (
    ("3+", "0", 3), ("2+", "0", 3), ("1+", "0", 5),
    ("3+", "1+", 4), ("3+", "2+", 3), ("2+", "1+", 3),
    ("3+", "3+", 6), ("2+", "2+", 2), ("1+", "1+", 3), ("1+", "2+", 2),
    ("0", "0", 5), ("0", "1+", 2),
)  # fmt: skip


def write_table(path: Path, rows: Iterable[Sequence[object]], header: Sequence[str]) -> Path:
    """Write rows below their header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_counts(path: Path, counts: Iterable[tuple[str, str, int]]) -> Path:
    """Write a table of pairs with so many of each kind, one patient each."""
    pairs = [(before, after) for before, after, n in counts for _ in range(n)]
    rows = [(f"P{k:04}", *pair) for k, pair in enumerate(pairs)]
    return write_table(path, rows, ("patient_id", "before", "after"))


def write_rows(path: Path, *rows: Mapping[str, object]) -> Path:
    """Write rows given by their columns; what a row lacks is empty."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    return write_table(path, ([row.get(name, "") for name in header] for row in rows), header)
