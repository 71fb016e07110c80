"""What became of a score between two time points, in words that a denominator can be named for."""

from __future__ import annotations

from enum import StrEnum

from her2path.criteria.score import Score

__all__ = ["LOSSES", "ScoreChange", "expresses", "score_change"]


class ScoreChange(StrEnum):
    """Change of the score of one pair; each pair has exactly one.

    *Expressing* is 1+ or more. Loss, decrease and increase begin there; gain ends there. A step
    between 0 and 0+ is neither gain nor loss, and has its own word.
    """

    LOSS_TO_NULL = "loss_to_null"
    LOSS_TO_ULTRALOW = "loss_to_ultralow"
    DECREASE = "decrease"
    STABLE = "stable"
    INCREASE = "increase"
    GAIN = "gain"
    ULTRALOW_TO_NULL = "ultralow_to_null"
    NULL_TO_ULTRALOW = "null_to_ultralow"
    NOT_EVALUABLE = "not_evaluable"


LOSSES = frozenset({ScoreChange.LOSS_TO_NULL, ScoreChange.LOSS_TO_ULTRALOW})


def expresses(score: Score) -> bool:
    """Return whether a tumour expresses HER2 in the sense of paired biopsies: 1+ or more."""
    return score.rank >= Score.ONE_PLUS.rank


def score_change(before: Score, after: Score) -> ScoreChange:
    """Name the change from one score to another.

    Parameters
    ----------
    before, after : Score
        Of one edition of the criteria.

    Returns
    -------
    ScoreChange
        `NOT_EVALUABLE` when either side is not assessable.

    Examples
    --------
    >>> score_change(Score.TWO_PLUS, Score.ULTRALOW).value
    'loss_to_ultralow'

    References
    ----------
    Loss and decrease as Gouda 2025, 10.1158/1078-0432.CCR-24-3468, counts them.
    """
    if Score.NOT_ASSESSABLE in (before, after):
        return ScoreChange.NOT_EVALUABLE
    if before is after:
        return ScoreChange.STABLE
    if expresses(before):
        if after is Score.ZERO:
            return ScoreChange.LOSS_TO_NULL
        if after is Score.ULTRALOW:
            return ScoreChange.LOSS_TO_ULTRALOW
        return ScoreChange.DECREASE if after.rank < before.rank else ScoreChange.INCREASE
    if expresses(after):
        return ScoreChange.GAIN
    return ScoreChange.NULL_TO_ULTRALOW if before is Score.ZERO else ScoreChange.ULTRALOW_TO_NULL
