"""Flags of staining near the limit of blank: what counts below it, and what it takes away."""

from __future__ import annotations

from collections.abc import Iterator

from her2path.criteria.score import Extent, Intensity, Score
from her2path.criteria.tally import STAINED
from her2path.flags.evidence import (
    Flag,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    beside,
    spoken_score,
)

__all__ = ["below_blank_flags", "few_intense_flags"]


def below_blank_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    """Flag a score that hangs on cells whose lines lie below the limit of blank."""
    below, held = evidence.below_blank_pct, evidence.call.deciding_lower
    if below is None or below <= cuts.below_blank_pct:
        return
    score, other = evidence.call.score, evidence.score_without_below
    effect = (
        "" if other in (None, score) else f"without them the score would be {spoken_score(other)}"
    )
    if not effect and held is not None and held.measure == STAINED:
        # The same factor by which two readings of faint staining differ.
        clear = held.value * (1 - below / 100)
        if clear <= held.cut * cuts.double_read_factor:
            # Another row may hold the same score where this one no longer does.
            where = "below" if clear < held.cut / cuts.double_read_factor else "close to"
            effect = (
                f"without them {clear:.1f} % are stained, {where} the cut of {held.cut:.3g} % for "
                f"{held.criterion.score}"
            )
    if effect:
        yield Flag(
            ReviewFlag.BELOW_BLANK,
            below,
            cuts.below_blank_pct,
            "%",
            f"Of the stained tumour cells {beside(below, cuts.below_blank_pct, least=0)} % have "
            f"lines below the limit of blank (more than {cuts.below_blank_pct:.0f} %) and count "
            "because the network sees a membrane, which may be an unstained border; "
            f"{effect}.",
        )


def few_intense_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    """Flag intense, complete cells of which a row of 2+ asks for more than the limit of blank.

    That limit is measured on staining of any strength, which is faint where there is no HER2: a few
    intense cells below it are hardly false.
    """
    if evidence.call.score is Score.NOT_ASSESSABLE:
        return
    for above in evidence.call.higher:
        row = above.criterion
        is_strongest = (row.intensity, row.extent) == (Intensity.INTENSE, Extent.COMPLETE)
        if not is_strongest or row.percent is not None or above.unit != "%":
            continue
        n = round(above.value / 100 * evidence.n_tumor_cells)
        if n >= cuts.least_intense_cells:
            yield Flag(
                ReviewFlag.FEW_INTENSE,
                n,
                cuts.least_intense_cells,
                "cells",
                f"{n} tumour cells ({above.value:.3g} %) are stained intensely and completely. "
                f"{row.score} takes more of them than the limit of blank, {above.cut:.3g} %; but "
                "that limit is of staining of any strength, and without HER2 it is faint.",
            )
            return
