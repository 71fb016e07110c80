"""Score drawn slides as `her2path score` does, for the scripts that compare with a truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from her2path.errors import Her2pathError
from her2path.pipeline.batch import run_batch
from her2path.pipeline.network import NetworkUse, find_network
from her2path.pipeline.settings import (
    DEFAULT_CRITERIA,
    ScoreSettings,
    SlideJob,
    find_calibration,
    find_rule_set,
)
from her2path.results.folder import ResultsFolder
from her2path.results.sheet import SheetRow, read_sheet


def network_asked(parser: argparse.ArgumentParser, name: str) -> NetworkUse | None:
    """Return the network that `--model` names; end with one line where there is none of it.

    To be asked before anything is drawn or read, which takes minutes.
    """
    try:
        return find_network(name)
    except Her2pathError as error:
        parser.error(str(error))


def score_slides(
    paths: Mapping[str, Path],
    settings: ScoreSettings,
    folder: Path,
    *,
    n_workers: int,
    mpps: Mapping[str, float] | None = None,
) -> list[SheetRow]:
    """Score slides into a folder, over what it holds, and return the rows of slides.csv.

    Parameters
    ----------
    paths : mapping of str to Path
        The slides by their ids.
    settings : ScoreSettings
    folder : Path
    n_workers : int
        Processes.
    mpps : mapping of str to float, optional
        µm/px of slides whose files do not say it.
    """
    rules, calibration = find_rule_set(DEFAULT_CRITERIA), find_calibration(None)
    jobs = [
        SlideJob(
            slide_id=name,
            path=path,
            rule_set=rules,
            calibration=calibration,
            mpp=(mpps or {}).get(name),
        )
        for name, path in paths.items()
    ]
    out = ResultsFolder(folder)
    failed = run_batch(jobs, settings, out, overwrite=True, n_workers=n_workers).failed
    if failed:
        sys.exit(f"not read: {dict(failed)}")
    return list(read_sheet(out.slides_csv).rows)


def short(number: str) -> str:
    """Return a number of the table with one decimal; a dash where there is none."""
    return f"{float(number):.1f}" if number else "–"
