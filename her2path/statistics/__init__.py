"""How sure shares and scores are.

`resampling` (probabilities of scores) and `heterogeneity` (scores of regions) are imported by
their own names.
"""

from her2path.statistics.clustered import (
    ClusteredShare,
    effective_number,
    estimate_share,
)
from her2path.statistics.intervals import Interval, clopper_pearson, upper_limit, wilson

__all__ = [
    "ClusteredShare",
    "Interval",
    "clopper_pearson",
    "effective_number",
    "estimate_share",
    "upper_limit",
    "wilson",
]
