"""How numbers and words of a result are written for a reader, in one place.

Percent have one decimal, OD two, counts a thin space between thousands; what was not measured is
a dash. Every template and chart writes numbers through these functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from her2path.criteria.score import Score, Status
from her2path.criteria.words import decimals_apart

__all__ = [
    "DASH",
    "FIXED_SPACE",
    "SCORE_WORDS",
    "STATUS_WORDS",
    "beside_cut",
    "count",
    "counted",
    "decimal",
    "interval",
    "length",
    "od",
    "percent",
    "quantity",
    "sentence",
    "spoken_list",
]

DASH = "–"
# Decimals of each unit; things that are counted have none.
DIGITS = {"%": 1, "OD": 2, "°": 0, "×": 3, "µm/px": 3, "mm²": 2, "µm": 1}
# Keeps a number and its unit on one line.
FIXED_SPACE = "\u00a0"
THIN_SPACE = "\u202f"

SCORE_WORDS: dict[Score, str] = {
    Score.ZERO: "0",
    Score.ULTRALOW: "0+",
    Score.ONE_PLUS: "1+",
    Score.TWO_PLUS: "2+",
    Score.THREE_PLUS: "3+",
    Score.NOT_ASSESSABLE: "Not assessable",
}

STATUS_WORDS: dict[Status, str] = {
    Status.NULL: "HER2-null",
    Status.ULTRALOW: "HER2-ultralow",
    Status.LOW: "HER2-low",
    Status.NEGATIVE: "HER2 negative",
    Status.EQUIVOCAL: "HER2 equivocal",
    Status.POSITIVE: "HER2 positive",
    Status.NOT_ASSESSABLE: "Status not assessable",
}


def is_missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a number with so many decimals; a dash when it was not measured."""
    if value is None or not math.isfinite(value):
        return DASH
    # Adding zero turns -0.00 into 0.00.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace(",", THIN_SPACE)


def percent(value: float | None) -> str:
    """Write a percentage, 0–100, with one decimal."""
    return DASH if is_missing(value) else f"{decimal(value, 1)}{FIXED_SPACE}%"


def od(value: float | None) -> str:
    """Write an optical density with two decimals."""
    return DASH if is_missing(value) else f"{decimal(value, 2)}{FIXED_SPACE}OD"


def count(value: float | None) -> str:
    """Write a whole number."""
    return decimal(value, 0)


def counted(n: int, one: str, many: str = "") -> str:
    """Write a number of things: '1 cell', '12 cells'."""
    return f"{count(n)}{FIXED_SPACE}{one if n == 1 else many or one + 's'}"


def interval(lower: float | None, upper: float | None) -> str:
    """Write the ends of an interval in percent, without the sign, which stands beside it."""
    if is_missing(lower) or is_missing(upper):
        return DASH
    return f"{decimal(lower, 1)}–{decimal(upper, 1)}"


def beside_cut(value: float, cut: float, unit: str) -> tuple[str, str]:
    """Write a number and its cut so that one sees on which side it lies: 10.04 % and 10.00 %."""
    digits = decimals_apart(value, cut, least=DIGITS.get(unit, 0))
    return quantity(value, unit, digits=digits), quantity(cut, unit, digits=digits)


def quantity(value: float | None, unit: str, *, digits: int | None = None) -> str:
    """Write a number as its unit asks, or with so many digits: percent one, OD two, counts none."""
    if is_missing(value):
        return DASH
    number = decimal(value, DIGITS.get(unit, 0) if digits is None else digits)
    if unit == "°":
        return f"{number}°"
    one = unit.removesuffix("s") if value == 1 else unit
    return f"{number}{FIXED_SPACE}{one}".rstrip()


def length(micrometre: float) -> str:
    """Write the length of a scale bar: '20 µm', '2 mm'."""
    if micrometre >= 1000:
        return f"{micrometre / 1000:g}{FIXED_SPACE}mm"
    return f"{micrometre:g}{FIXED_SPACE}µm"


def spoken_list(words: Sequence[str]) -> str:
    """Join words as a sentence does: 'a, b and c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(words: str) -> str:
    """Return words as a sentence: a capital in front and a full stop behind."""
    text = words.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
