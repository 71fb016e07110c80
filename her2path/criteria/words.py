"""The words in which people write a score."""

from __future__ import annotations

from her2path.criteria.score import Score

__all__ = ["SCORE_WORDS", "score_named"]

SCORE_WORDS = ("0", "0+", "1+", "2+", "3+", "null", "ultralow", "not_assessable")
NAMED = {
    **{score.value: score for score in Score},
    "null": Score.ZERO,
    "ultralow": Score.ULTRALOW,
}


def score_named(text: str) -> Score | None:
    """Return the score that a text names, None when it names none.

    Examples
    --------
    >>> score_named("Ultralow").value, score_named("1")
    ('0+', None)
    """
    return NAMED.get(text.strip().lower().replace(" ", "_"))
