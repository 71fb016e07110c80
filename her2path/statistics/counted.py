"""k of n, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from her2path.statistics.intervals import Interval, wilson

__all__ = ["Counted"]


@dataclass(frozen=True, slots=True)
class Counted:
    """k of n, with a 95 % Wilson interval.

    Examples
    --------
    >>> print(Counted(3, 4))
    0.750 (3/4; 0.30–0.95)
    """

    k: int
    n: int

    @classmethod
    def of(cls, hits: Iterable[bool]) -> Counted:
        """Count what is true."""
        found = [bool(hit) for hit in hits]
        return cls(sum(found), len(found))

    @property
    def frac(self) -> float:
        """The share k / n, NaN for none of none."""
        return self.k / self.n if self.n else math.nan

    @property
    def interval(self) -> Interval | None:
        """The interval as fractions, None for none of none."""
        return wilson(self.k, self.n) if self.n else None

    def __str__(self) -> str:
        interval = self.interval
        if interval is None:
            return "–"
        return f"{self.frac:.3f} ({self.k}/{self.n}; {interval.lower:.2f}–{interval.upper:.2f})"
