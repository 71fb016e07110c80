"""Status: what a score means once in-situ hybridisation is known, or while it is not.

Breast follows ASCO/CAP 2018 with the dual-probe groups 1–5; a 2+ without ISH stays equivocal.
In the stomach (Hofmann) only 3+, or 2+ with amplification, is positive; 0, 1+ and 2+ without
amplification are negative.
"""

from __future__ import annotations

from dataclasses import dataclass

from her2path.criteria.score import IshResult, Organ, Score, Status
from her2path.errors import CriteriaError

__all__ = ["StatusCall", "check_ish", "status"]

BY_SCORE = {
    Score.ZERO: Status.NULL,
    Score.ULTRALOW: Status.ULTRALOW,
    Score.ONE_PLUS: Status.LOW,
    Score.TWO_PLUS: Status.EQUIVOCAL,
    Score.THREE_PLUS: Status.POSITIVE,
    Score.NOT_ASSESSABLE: Status.NOT_ASSESSABLE,
}
# Groups in which the answer rests on the IHC of the same sample, so that the report comments on it.
COMMENTED_GROUPS = frozenset({IshResult.GROUP_2, IshResult.GROUP_3, IshResult.GROUP_4})
AMPLIFIED = frozenset({IshResult.AMPLIFIED, IshResult.GROUP_1})
NOT_AMPLIFIED = frozenset({IshResult.NOT_AMPLIFIED, IshResult.GROUP_5})


@dataclass(frozen=True, slots=True)
class StatusCall:
    """A status with its comment ('' when there is nothing to say) and whether to look again."""

    status: Status
    comment: str
    needs_review: bool


def check_ish(ish: IshResult | None, organ: Organ) -> None:
    """Refuse a result of ISH that the rules of an organ do not know.

    Raises
    ------
    CriteriaError
        If a dual-probe group of breast is given for the stomach.
    """
    if organ is Organ.STOMACH and ish not in (None, IshResult.AMPLIFIED, IshResult.NOT_AMPLIFIED):
        raise CriteriaError(
            f"the dual-probe groups are defined for breast, got {ish} for stomach; "
            "give amplified or not_amplified"
        )


def status(
    score: Score, ish: IshResult | None = None, *, organ: Organ = Organ.BREAST
) -> StatusCall:
    """Combine score and ISH.

    Parameters
    ----------
    score : Score
        IHC score of the invasive tumour.
    ish : IshResult, optional
        Plain answer or dual-probe group; None while it is not known.
    organ : Organ
        Whose rules apply; see `RuleSet.organ`.

    Raises
    ------
    CriteriaError
        If a dual-probe group of breast is given for the stomach.

    References
    ----------
    ASCO/CAP 2018, 2023 affirmation 10.1200/JCO.22.02864; 10.3748/wjg.v20.i16.4526 (stomach).
    """
    if score is Score.NOT_ASSESSABLE:
        return StatusCall(Status.NOT_ASSESSABLE, "the score is not assessable", needs_review=True)
    check_ish(ish, organ)
    if organ is Organ.STOMACH:
        return status_of_stomach(score, ish)
    return status_of_breast(score, ish)


def status_of_breast(score: Score, ish: IshResult | None) -> StatusCall:
    by_score = BY_SCORE[score]
    if ish is None:
        comment = "reflex ISH is needed" if score is Score.TWO_PLUS else ""
        return StatusCall(by_score, comment, needs_review=False)
    if score is Score.THREE_PLUS:
        if ish in NOT_AMPLIFIED:
            return StatusCall(
                Status.POSITIVE, f"discordant: IHC 3+ and ISH {ish}; review", needs_review=True
            )
        return StatusCall(Status.POSITIVE, "", needs_review=False)
    if ish in AMPLIFIED:
        if score is Score.TWO_PLUS:
            return StatusCall(Status.POSITIVE, "", needs_review=False)
        return StatusCall(
            Status.POSITIVE, f"discordant: ISH {ish} and IHC {score}; review", needs_review=True
        )
    if score is Score.TWO_PLUS:
        if ish is IshResult.GROUP_3:
            return StatusCall(Status.POSITIVE, f"ISH {ish} with IHC 2+", needs_review=False)
        by_score = Status.LOW
    comment = f"negative with comment: ISH {ish}, IHC {score}" if ish in COMMENTED_GROUPS else ""
    return StatusCall(by_score, comment, needs_review=False)


def status_of_stomach(score: Score, ish: IshResult | None) -> StatusCall:
    if score is Score.THREE_PLUS:
        return StatusCall(Status.POSITIVE, "", needs_review=False)
    if score is Score.TWO_PLUS:
        if ish is None:
            return StatusCall(Status.EQUIVOCAL, "reflex ISH is needed", needs_review=False)
        if ish is IshResult.AMPLIFIED:
            return StatusCall(Status.POSITIVE, "", needs_review=False)
    if ish is IshResult.AMPLIFIED:
        comment = f"negative in the stomach, though ISH is amplified at IHC {score}"
        return StatusCall(Status.NEGATIVE, comment, needs_review=True)
    return StatusCall(Status.NEGATIVE, "", needs_review=False)
