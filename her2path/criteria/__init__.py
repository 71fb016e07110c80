"""Written criteria as data: from counted cells to a score, from score and ISH to a status.

Here are the words of a result. The rules stand in `rule_set`, `clusters` and `ish`; they build on
`her2path.statistics.tally`, which needs these words: so they are imported by their own names.
"""

from her2path.criteria.score import (
    EXPRESSION_SCORES,
    Extent,
    Intensity,
    IshResult,
    Organ,
    Pattern,
    Score,
    Specimen,
    Status,
)

__all__ = [
    "EXPRESSION_SCORES",
    "Extent",
    "Intensity",
    "IshResult",
    "Organ",
    "Pattern",
    "Score",
    "Specimen",
    "Status",
]
