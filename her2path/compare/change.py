"""What a score and a status did between two times, in words and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from her2path.criteria.score import Score, Status

__all__ = [
    "STATUS_RANK",
    "ScoreChange",
    "ScoreMove",
    "StatusChange",
    "StatusMove",
    "move_of_scores",
    "move_of_status",
    "score_change",
]

# Equivocal lies between what its ISH may make of it: low (in the stomach negative) and positive.
STATUS_RANK = {
    Status.NULL: 0,
    Status.ULTRALOW: 1,
    Status.LOW: 2,
    Status.NEGATIVE: 2,
    Status.EQUIVOCAL: 3,
    Status.POSITIVE: 4,
}


class ScoreChange(StrEnum):
    """Loss and gain cross the border of expression (1+); decrease and increase do not.

    Decrease and increase lie on either side of it: 0+ to 0 is a decrease here, but in no rate of
    those that express HER2.
    """

    LOSS = "loss"
    DECREASE = "decrease"
    STABLE = "stable"
    INCREASE = "increase"
    GAIN = "gain"
    NOT_EVALUABLE = "not_evaluable"


class StatusChange(StrEnum):
    """What the status did, in the order null, ultralow, low, equivocal, positive.

    That of the stomach is negative, equivocal, positive.
    """

    LOWER = "lower"
    SAME = "same"
    HIGHER = "higher"
    NOT_EVALUABLE = "not_evaluable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMove:
    """Change of the score.

    Attributes
    ----------
    before, after : Score
    change : ScoreChange
    loss_to : str
        'null' or 'ultralow' for a loss, else empty.
    steps : int or None
        On 0, 0+, 1+, 2+, 3+; negative downwards.
    ci95 : tuple of 2 int, or None
        Steps that hold 95 % of the resampled pairs.
    p_moved, p_lower, p_higher : float or None
        How probable it is that the score moved, fell, rose, given how cells scatter.
    probabilities_before, probabilities_after : mapping of Score to float
    """

    before: Score
    after: Score
    change: ScoreChange
    loss_to: str
    steps: int | None
    ci95: tuple[int, int] | None
    p_moved: float | None
    p_lower: float | None
    p_higher: float | None
    probabilities_before: Mapping[Score, float]
    probabilities_after: Mapping[Score, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMove:
    """Change of the status, with ISH where it is known; `ci95` in steps of `STATUS_RANK`."""

    before: Status
    after: Status
    change: StatusChange
    steps: int | None
    ci95: tuple[int, int] | None


def score_change(before: Score, after: Score) -> ScoreChange:
    """Name the change of a score.

    >>> score_change(Score.TWO_PLUS, Score.ULTRALOW).value
    'loss'
    """
    if min(before.rank, after.rank) < 0:
        return ScoreChange.NOT_EVALUABLE
    if before is after:
        return ScoreChange.STABLE
    was, is_ = (score.rank >= Score.ONE_PLUS.rank for score in (before, after))
    if was != is_:
        return ScoreChange.LOSS if was else ScoreChange.GAIN
    return ScoreChange.DECREASE if after.rank < before.rank else ScoreChange.INCREASE


def steps_interval(joint: Mapping[int, float]) -> tuple[int, int] | None:
    """Return the steps between the 2.5th and 97.5th percentile of a distribution."""
    if not sum(joint.values()) > 0:
        return None
    steps = sorted(joint)
    below = np.cumsum([joint[step] for step in steps]) / sum(joint.values())
    # A step of exactly 2.5 % at either end belongs to it; it may come out a bit above or below.
    low = steps[int(np.searchsorted(below, 0.025 - 1e-9, side="right"))]
    high = steps[min(int(np.searchsorted(below, 0.975 + 1e-9)), len(steps) - 1)]
    return low, high


def joint_steps(before: Mapping[int, float], after: Mapping[int, float]) -> dict[int, float]:
    """Return the distribution of the steps between two independent ranks."""
    joint: dict[int, float] = {}
    for rank_before, p in before.items():
        for rank_after, q in after.items():
            step = rank_after - rank_before
            joint[step] = joint.get(step, 0.0) + p * q
    return joint


def move_of_scores(
    before: Score,
    after: Score,
    probabilities_before: Mapping[Score, float],
    probabilities_after: Mapping[Score, float],
) -> ScoreMove:
    """Return the change of the score with its probability; the sides are independent samples."""
    change = score_change(before, after)
    is_known = change is not ScoreChange.NOT_EVALUABLE
    joint = joint_steps(
        {score.rank: p for score, p in probabilities_before.items() if p > 0},
        {score.rank: p for score, p in probabilities_after.items() if p > 0},
    )
    is_drawn = is_known and sum(joint.values()) > 0
    lower = min(1.0, sum(p for step, p in joint.items() if step < 0))
    higher = min(1.0, sum(p for step, p in joint.items() if step > 0))
    return ScoreMove(
        before=before,
        after=after,
        change=change,
        loss_to={Score.ZERO: "null", Score.ULTRALOW: "ultralow"}.get(after, "")
        if change is ScoreChange.LOSS
        else "",
        steps=after.rank - before.rank if is_known else None,
        ci95=steps_interval(joint) if is_drawn else None,
        p_moved=min(1.0, lower + higher) if is_drawn else None,
        p_lower=lower if is_drawn else None,
        p_higher=higher if is_drawn else None,
        probabilities_before=probabilities_before,
        probabilities_after=probabilities_after,
    )


def move_of_status(
    before: Status,
    after: Status,
    probabilities_before: Mapping[Status, float],
    probabilities_after: Mapping[Status, float],
) -> StatusMove:
    """Return the change of the status."""
    if Status.NOT_ASSESSABLE in (before, after):
        return StatusMove(
            before=before, after=after, change=StatusChange.NOT_EVALUABLE, steps=None, ci95=None
        )
    steps = STATUS_RANK[after] - STATUS_RANK[before]
    change = (StatusChange.SAME, StatusChange.HIGHER, StatusChange.LOWER)[int(np.sign(steps))]
    joint = joint_steps(
        {STATUS_RANK[word]: p for word, p in probabilities_before.items() if p > 0},
        {STATUS_RANK[word]: p for word, p in probabilities_after.items() if p > 0},
    )
    return StatusMove(
        before=before, after=after, change=change, steps=steps, ci95=steps_interval(joint)
    )
