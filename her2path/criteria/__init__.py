"""Written criteria as data: from counted cells to a score, from score and ISH to a status.

Here are the words of a result, light to import. Counts stand in `tally`, the rules in `rule_set`,
`clusters` and `ish`; they are imported by their own names.
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
