"""Review flags: why a person should look again, each with its number and its cut.

A flag of severity *review* asks for a second read; a *note* only tells what the reader should know.
"""

from her2path.flags.checks import needs_review, raise_flags
from her2path.flags.evidence import (
    HEIGHT_FACTORS,
    SEVERITY,
    Border,
    Flag,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    Severity,
)

__all__ = [
    "HEIGHT_FACTORS",
    "SEVERITY",
    "Border",
    "Flag",
    "FlagCuts",
    "FlagEvidence",
    "ReviewFlag",
    "Severity",
    "needs_review",
    "raise_flags",
]
