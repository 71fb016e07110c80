"""A call: the score that written criteria give on a tally, and what holds it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from her2path.criteria.criterion import Comparison, Criterion
from her2path.criteria.score import Score

__all__ = ["Call", "Deciding"]


@dataclass(frozen=True, slots=True)
class Deciding:
    """The number and the cut that lie between two scores.

    `distance` is how far they are apart: in log odds for a share, with half a cell added as by
    Jeffreys' prior (of it, the part that `part_of_staining` gives this share) so that 0 of n is
    not infinitely far; in log size for a cluster.
    """

    measure: str
    value: float
    cut: float
    comparison: Comparison
    unit: Literal["%", "cells"]
    distance: float
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Call:
    """A score and why.

    Attributes
    ----------
    criterion_id, criterion_text : str
        The row that fired; for score 0 the rule set's words for it.
    fired : Deciding or None
        The number and the cut of that row; None for score 0.
    deciding_lower : Deciding or None
        What holds the call above the score below: of the rows that give this score, the one that
        would be last to stop firing. Rows from the matrix count only when it decided.
    deciding_upper : Deciding or None
        What holds it below a higher score: of the rows of higher scores, the nearest to firing.
    stained_upper : Deciding or None
        Of those rows, the nearest that counts every stained cell: the cut of 0+ or 1+, although
        a row of a higher class may be nearer to firing.
    stained_missed : Deciding or None
        Of the rows of this score, the nearest that counts every stained cell and does not fire,
        where another row, as of the matrix, gives the score: the cut beside which it stands.
    higher : tuple of Deciding
        All rows of higher scores; a share far below its cut, but uncertain, may still decide.
    deciding : Deciding or None
        The nearer of the first two; None when there was no cell.
    pattern_2plus : str
        'complete', 'incomplete', 'intense ≤ 10 %', … for 2+ where the rule set names it, else ''.
    is_decided_by_matrix : bool
        The guideline's own wording does not give this score; the published matrix does.
    """

    score: Score
    rule_set: str
    edition: str
    criterion_id: str
    criterion_text: str
    deciding: Deciding | None
    deciding_lower: Deciding | None
    deciding_upper: Deciding | None
    pattern_2plus: str
    is_decided_by_matrix: bool
    stained_upper: Deciding | None = None
    stained_missed: Deciding | None = None
    fired: Deciding | None = None
    higher: tuple[Deciding, ...] = ()

    @property
    def near(self) -> tuple[Deciding, ...]:
        """The rows that hold the score where it is, each once."""
        found = (self.deciding_lower, self.deciding_upper, self.stained_upper)
        return tuple(dict.fromkeys(d for d in found if d is not None))
