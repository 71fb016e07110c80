"""Cases that tests of the evaluation share."""

from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.criteria.label import parse_score
from her2path.evaluation.case import Case

__all__ = ["case", "sure"]


def sure(score: Score, share: float = 1.0) -> dict[Score, float]:
    """Return probabilities with `share` on one score and the rest spread evenly."""
    rest = (1 - share) / (len(EXPRESSION_SCORES) - 1)
    return {s: share if s is score else rest for s in EXPRESSION_SCORES}


def case(reference: str, score: str, **values: object) -> Case:
    """Return a case; flags make it flagged."""
    values.setdefault("is_flagged", bool(values.get("flags")))
    values.setdefault("slide_id", f"{reference}-{score}")
    return Case(reference=parse_score(reference), score=Score(score), **values)
