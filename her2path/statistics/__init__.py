"""Counts, shares and how sure they are.

What needs no criteria is here; `resampling` (probabilities of scores) and `heterogeneity` (scores
of regions) build on `her2path.criteria.rule_set` and are imported by their own names.
"""

from her2path.statistics.clustered import (
    ClusteredShare,
    effective_number,
    estimate_share,
    intraclass_correlation,
)
from her2path.statistics.intervals import Interval, clopper_pearson, upper_limit, wilson
from her2path.statistics.tally import Shares, Tally, accumulate, h_scores, measure_name

__all__ = [
    "ClusteredShare",
    "Interval",
    "Shares",
    "Tally",
    "accumulate",
    "clopper_pearson",
    "effective_number",
    "estimate_share",
    "h_scores",
    "intraclass_correlation",
    "measure_name",
    "upper_limit",
    "wilson",
]
