"""Written criteria as data: from counted cells to a score, from score and ISH to a status."""

from her2path.criteria.clusters import Clusters, cluster_labels, largest_clusters
from her2path.criteria.criterion import Criterion
from her2path.criteria.ish import StatusCall, status
from her2path.criteria.rule_set import Call, Deciding, RuleSet, load_rule_set, rule_set_names
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
    "Call",
    "Clusters",
    "Criterion",
    "Deciding",
    "Extent",
    "Intensity",
    "IshResult",
    "Organ",
    "Pattern",
    "RuleSet",
    "Score",
    "Specimen",
    "Status",
    "StatusCall",
    "cluster_labels",
    "largest_clusters",
    "load_rule_set",
    "rule_set_names",
    "status",
]
