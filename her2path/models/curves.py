"""Curves of a run: a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from her2path.results.atomic import atomic_path

__all__ = ["CURVES_FILE", "add_to_curves"]

logger = logging.getLogger(__name__)

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
    rows: list[Mapping[str, str | float]] = []
    try:
        rows += rows_before(path, step)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        kept = path.with_name(f"curves-before-{step}.csv")
        logger.warning(
            "%s is no longer the table that was written (%r), as when a spreadsheet has saved it; "
            "it is kept as %s, and the curves go on in a new one",
            path,
            error,
            kept.name,
        )
        os.replace(path, kept)
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
    with SummaryWriter(folder / "tensorboard", purge_step=step) as board:
        for name, value in row.items():
            board.add_scalar(name, value, step)


def rows_before(path: Path, step: int) -> list[dict[str, str]]:
    """Return the rows of the curves that are of earlier steps, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [known for known in csv.DictReader(file) if int(known["step"]) < step]
