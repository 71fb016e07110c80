"""What a test found, whatever the test."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Significance"]


@dataclass(frozen=True, slots=True)
class Significance:
    """A test statistic with its p.

    Attributes
    ----------
    statistic : float or None
        None for exact tests that have none.
    df : float or None
        Degrees of freedom, whole but for those of an estimated variance; None for statistics
        without any.
    p : float
        Two-sided unless `method` says otherwise, 0–1.
    method : str
        How p was computed, in words.
    """

    statistic: float | None
    df: float | None
    p: float
    method: str
