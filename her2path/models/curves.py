"""Curves of a run: a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
from pathlib import Path

from her2path.results.atomic import atomic_path

__all__ = ["CURVES_FILE", "add_to_curves"]

CURVES_FILE = "curves.csv"


def add_to_curves(folder: Path, step: int, row: dict[str, float]) -> None:
    """Add the figures of a validation to the curves of a run.

    A run that was killed after its row and before its state comes to the same step again: rows
    from there on are replaced.

    Parameters
    ----------
    folder : Path
        Folder of the run: ``curves.csv``, and ``tensorboard`` where that is installed.
    step : int
        Steps taken.
    row : dict
        Figures by name, the same names each time.
    """
    path = folder / CURVES_FILE
    rows: list[dict[str, str | float]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows += [known for known in csv.DictReader(file) if int(known["step"]) < step]
    rows.append({"step": step, **{name: round(value, 8) for name, value in row.items()}})
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["step", *row], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    # Opened anew each time: validations are minutes apart, and nothing is left open.
    with SummaryWriter(folder / "tensorboard") as board:
        for name, value in row.items():
            board.add_scalar(name, value, step)
