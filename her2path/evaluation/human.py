"""How far people agree: the ceiling of any label that a person gave.

Figures of different studies have different readers, slides and measures; they say how much a
reference is worth, not what a program must reach.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HUMAN_AGREEMENT", "HumanFigure"]


@dataclass(frozen=True, slots=True)
class HumanFigure:
    """One published figure: who read what, what was measured, the value as published."""

    study: str
    readers: str
    measure: str
    value: str
    source: str = ""


HUMAN_AGREEMENT = (
    HumanFigure(
        "Fernandez 2022",
        "many readings",
        "readings with 70 % concordance or less for 0 against 1+",
        "19 %",
    ),
    HumanFigure("Robbins 2023", "18 readers, 170 cases", "four scores: agreement", "28.8 %"),
    HumanFigure("Robbins 2023", "18 readers, 170 cases", "three scores: agreement", "46.5 %"),
    HumanFigure("Robbins 2023", "18 readers, 170 cases", "score 0: Fleiss’ κ", "0.49"),
    HumanFigure(
        "Wu 2025",
        "36 readers",
        "null against ultralow: κ",
        "0.230",
        "10.1016/j.esmoop.2024.104127",
    ),
    HumanFigure(
        "Wu 2025", "36 readers", "0 kept whole: κ", "0.344", "10.1016/j.esmoop.2024.104127"
    ),
    HumanFigure(
        "Wu 2025",
        "36 readers",
        "null against any staining: κ",
        "0.292",
        "10.1016/j.esmoop.2024.104127",
    ),
    HumanFigure("Zaakouk 2023", "16 experts", "cases with one score by all (all 3+)", "6 %"),
    HumanFigure("Zaakouk 2023", "16 experts", "0 against the rest: agreement", "86 %"),
    HumanFigure("Karakas 2023", "two antibodies", "agreement", "57.8 %"),
)
