"""A verdict for every pair whose two slides have results: did HER2 change, or its reading."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from her2path.cohort.pairs import Pair
from her2path.compare.bands import Bands
from her2path.compare.pair import compare_sides
from her2path.compare.sources import read_sides
from her2path.criteria.rule_set import RuleSet
from her2path.errors import ResultsError

__all__ = ["with_verdicts"]

logger = logging.getLogger(__name__)

Progress = Callable[[int], None]


def with_verdicts(
    pairs: Sequence[Pair],
    *,
    bands: Bands | None = None,
    rule_set: RuleSet | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Compare every pair that can be compared.

    Parameters
    ----------
    pairs : sequence of Pair
    bands : Bands, optional
        Repeatability; by default that of the package, which says so.
    rule_set : RuleSet, optional
        Criteria that do not come with the package, by which results were scored.
    seed : int
        Of the resampling.
    progress : callable, optional
        Called with the number of pairs done.

    Returns
    -------
    tuple of Pair, and of str
        All pairs in their order, and why some that have results could not be compared.
    """
    found, faults = [], []
    for pair in pairs:
        if not pair.is_comparable:
            found.append(pair)
            continue
        try:
            found.append(compared(pair, bands, rule_set, seed))
        except ResultsError as error:
            logger.info("row %d is not compared: %s", pair.row, error)
            found.append(pair)
            faults.append(f"row {pair.row} is not compared: {' '.join(str(error).split())}")
        if progress is not None:
            progress(1)
    return tuple(found), tuple(faults)


def compared(pair: Pair, bands: Bands | None, rule_set: RuleSet | None, seed: int) -> Pair:
    """Return the pair with its verdict."""
    results: dict[str, Sequence[Path]] = {
        end: [side.result]
        for end, side in (("before", pair.before), ("after", pair.after))
        if side.result is not None
    }
    ish = {"before": pair.before.ish, "after": pair.after.ish}
    before, after = read_sides(results, ish=ish, rule_set=rule_set)
    found = compare_sides(before, after, bands=bands, seed=seed)
    return replace(pair, verdict=found.verdict, sentence=found.sentence)
