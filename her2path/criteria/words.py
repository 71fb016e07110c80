"""The words in which people write a score, and numbers beside the cut that decides."""

from __future__ import annotations

import re

from her2path.criteria.score import Score

__all__ = ["SCORE_WORDS", "decimals_apart", "score_named"]

# More would only show how a share was divided: of 10,000 cells one is 0.01 %.
MOST_DECIMALS = 4
SCORE_WORDS = ("0", "0+", "1+", "2+", "3+", "null", "ultralow", "not_assessable")
NAMED = {
    **{score.value: score for score in Score},
    "null": Score.ZERO,
    "ultralow": Score.ULTRALOW,
}
# Also as older reports (2, 2 +), spreadsheets that take it for a number (2.0 or 2,0) and columns
# and folders (2plus) write it. Of 0 the plus decides, of the others it may be missing.
NUMBERED = re.compile(r"([0-3])(?:[.,]0+)?[ _-]*(\+|plus)?")
BY_NUMBER = {"1": Score.ONE_PLUS, "2": Score.TWO_PLUS, "3": Score.THREE_PLUS}


def score_named(text: str) -> Score | None:
    """Return the score that a text names, None when it names none.

    Examples
    --------
    >>> score_named("Ultralow").value, score_named("1").value, score_named("low")
    ('0+', '1+', None)
    >>> score_named("2,0").value, score_named("0 +").value, score_named("4+")
    ('2+', '0+', None)
    """
    words = text.strip().casefold()
    numbered = NUMBERED.fullmatch(words)
    if numbered is None:
        return NAMED.get(words.replace(" ", "_"))
    number, plus = numbered.groups()
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    return Score.ULTRALOW if plus else Score.ZERO


def decimals_apart(value: float, cut: float, *, least: int = 1) -> int:
    """Return how many decimals, at least `least`, show on which side of its cut a number lies.

    Examples
    --------
    >>> decimals_apart(12.3, 10.0), decimals_apart(10.04, 10.0), decimals_apart(10.0, 10.0)
    (1, 2, 1)
    """
    if value == cut:
        return least
    return next(
        (n for n in range(least, MOST_DECIMALS) if round(value, n) != round(cut, n)), MOST_DECIMALS
    )
