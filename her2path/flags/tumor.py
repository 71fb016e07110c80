"""Flags of which cells count: tumor that is in doubt, told by its nuclei, or left out."""

from __future__ import annotations

from collections.abc import Iterator

from her2path.flags.evidence import (
    LOW_SCORES,
    Flag,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    beside,
    spoken_score,
)

__all__ = ["tumor_flags"]


def tumor_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    """Flag a score or share that hangs on cells that may or may not be tumor."""
    yield from doubt_flags(evidence, cuts)
    yield from by_nuclei_flags(evidence)
    yield from left_out_flags(evidence, cuts)


def doubt_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    score = evidence.call.score
    with_all, without = evidence.score_with_uncertain, evidence.score_without_uncertain
    uncertain = evidence.uncertain_tumor_pct
    if (
        uncertain is not None
        and uncertain > cuts.uncertain_tumor_pct
        and with_all is not None
        and without is not None
        and len({with_all, without, score}) > 1
    ):
        yield Flag(
            ReviewFlag.TUMOR_UNCERTAIN,
            uncertain,
            cuts.uncertain_tumor_pct,
            "%",
            f"{beside(uncertain, cuts.uncertain_tumor_pct, least=1)} % of the cells that are or "
            f"may be tumour are in doubt (more than {cuts.uncertain_tumor_pct:g} %); with all of "
            f"them the score is {spoken_score(with_all)}, without them {spoken_score(without)}.",
        )
    elif (
        uncertain is not None
        and uncertain > cuts.undecided_tumor_pct
        and not evidence.are_nuclei_seen
        and score in LOW_SCORES
    ):
        yield Flag(
            ReviewFlag.TUMOR_UNCERTAIN,
            uncertain,
            cuts.undecided_tumor_pct,
            "%",
            "No network read this slide, and "
            f"{beside(uncertain, cuts.undecided_tumor_pct, least=0)} % of the cells that are or "
            f"may be tumour are in doubt (more than {cuts.undecided_tumor_pct:g} %): the shares "
            "are of cells that the rules can hardly tell from others here.",
        )
    elif evidence.score_as_read not in (None, score):
        yield Flag(
            ReviewFlag.TUMOR_UNCERTAIN,
            100 * evidence.tumor_parts_at,
            50,
            "%",
            f"The cells of this slide part into tumour and others at a probability of "
            f"{beside(100 * evidence.tumor_parts_at, 50, least=1)} % instead of 50 %: what decides "
            f"which cells count has not seen such a stain or tissue. Counted from 50 % on the "
            f"score would be {spoken_score(evidence.score_as_read)}.",
        )


def by_nuclei_flags(evidence: FlagEvidence) -> Iterator[Flag]:
    share, score = evidence.by_nuclei_pct, evidence.score_as_recognized
    now, before = evidence.stained_pct, evidence.stained_as_recognized_pct
    if share is None or now is None or before is None:
        return
    is_other = score not in (None, evidence.call.score)
    yield Flag(
        ReviewFlag.TUMOR_BY_NUCLEI,
        share,
        0,
        "%",
        f"{share:.1f} % of the cells that count do so for their nuclei alone: what decides which "
        "cells are tumour recognised little but stained ones, and these cells have nuclei like "
        f"theirs. Without them {beside(before, now, least=0)} % are stained instead of "
        f"{beside(now, before, least=0)} %"
        f"{f', and the score would be {spoken_score(score)}' if is_other else ''}.",
    )


def left_out_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    left_out, score = evidence.left_out_pct, evidence.score_with_left_out
    now, then = evidence.stained_pct, evidence.stained_with_left_out_pct
    if left_out is None or now is None or then is None or left_out <= cuts.left_out_pct:
        return
    is_other = score not in (None, evidence.call.score)
    if is_other or now - then > cuts.left_out_points:
        yield Flag(
            ReviewFlag.UNSTAINED_LEFT_OUT,
            left_out,
            cuts.left_out_pct,
            "%",
            "Unstained cells that do not count as tumour have nuclei like those that do beside "
            f"them: {beside(left_out, cuts.left_out_pct, least=0)} % of both together (more than "
            f"{cuts.left_out_pct:g} %). With them {beside(then, now, least=0)} % are stained "
            f"instead of {beside(now, then, least=0)} %"
            f"{f', and the score would be {spoken_score(score)}' if is_other else ''}.",
        )
