"""Counts, shares and how sure they are: tallies, intervals, resampling, heterogeneity."""

from her2path.statistics.clustered import (
    ClusteredShare,
    effective_number,
    estimate_share,
    intraclass_correlation,
)
from her2path.statistics.heterogeneity import (
    Cluster3Plus,
    RegionSpread,
    find_3plus_cluster,
    region_spread,
)
from her2path.statistics.intervals import Interval, clopper_pearson, upper_limit, wilson
from her2path.statistics.resampling import (
    estimate_measures,
    resample_tallies,
    score_probabilities,
    share_at_least,
    share_intervals,
)
from her2path.statistics.tally import Shares, Tally, accumulate, h_scores, measure_name

__all__ = [
    "Cluster3Plus",
    "ClusteredShare",
    "Interval",
    "RegionSpread",
    "Shares",
    "Tally",
    "accumulate",
    "clopper_pearson",
    "effective_number",
    "estimate_measures",
    "estimate_share",
    "find_3plus_cluster",
    "h_scores",
    "intraclass_correlation",
    "measure_name",
    "region_spread",
    "resample_tallies",
    "score_probabilities",
    "share_at_least",
    "share_intervals",
    "upper_limit",
    "wilson",
]
