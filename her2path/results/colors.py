"""One color per score, class and kind of outline, for every picture and export.

Scores run from light blue to dark red: order shows in lightness too, so it survives a printer and
the common forms of color blindness. None of them is close to hematoxylin or DAB.
"""

from __future__ import annotations

from her2path.criteria.score import Intensity, Score

__all__ = ["INTENSITY_COLORS", "OUTLINE_COLORS", "SCORE_COLORS", "Rgb"]

Rgb = tuple[int, int, int]

SCORE_COLORS: dict[Score, Rgb] = {
    Score.ZERO: (158, 202, 225),
    Score.ULTRALOW: (66, 146, 198),
    Score.ONE_PLUS: (254, 217, 118),
    Score.TWO_PLUS: (253, 141, 60),
    Score.THREE_PLUS: (189, 0, 38),
    Score.NOT_ASSESSABLE: (128, 128, 128),
}

INTENSITY_COLORS: dict[Intensity, Rgb] = {
    Intensity.NONE: SCORE_COLORS[Score.ZERO],
    Intensity.FAINT: SCORE_COLORS[Score.ULTRALOW],
    Intensity.WEAK: SCORE_COLORS[Score.ONE_PLUS],
    Intensity.MODERATE: SCORE_COLORS[Score.TWO_PLUS],
    Intensity.INTENSE: SCORE_COLORS[Score.THREE_PLUS],
}

OUTLINE_COLORS: dict[str, Rgb] = {
    "Tissue": (0, 0, 0),
    "Control": (106, 61, 154),
    "Ignore*": (128, 128, 128),
}
