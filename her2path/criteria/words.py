"""The words in which people write a score."""

from __future__ import annotations

from her2path.criteria.score import Score

__all__ = ["SCORE_WORDS", "score_named"]

SCORE_WORDS = ("0", "0+", "1+", "2+", "3+", "null", "ultralow", "not_assessable")
# Also as older reports, spreadsheets and folders write them.
NAMED = {
    **{score.value: score for score in Score},
    "1": Score.ONE_PLUS,
    "2": Score.TWO_PLUS,
    "3": Score.THREE_PLUS,
    "null": Score.ZERO,
    "ultralow": Score.ULTRALOW,
}


def score_named(text: str) -> Score | None:
    """Return the score that a text names, None when it names none.

    Examples
    --------
    >>> score_named("Ultralow").value, score_named("1").value, score_named("low")
    ('0+', '1+', None)
    """
    return NAMED.get(text.strip().casefold().replace(" ", "_"))
