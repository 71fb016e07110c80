"""How good results are: held against reference scores, or against the truth of drawn slides."""

from her2path.evaluation.case import Case, Scale, on_one_scale, scale_of
from her2path.evaluation.evaluate import Evaluation, Readings, evaluate, read_readings
from her2path.evaluation.references import Reference, read_references, read_truths
from her2path.evaluation.writing import write_evaluation

__all__ = [
    "Case",
    "Evaluation",
    "Readings",
    "Reference",
    "Scale",
    "evaluate",
    "on_one_scale",
    "read_readings",
    "read_references",
    "read_truths",
    "scale_of",
    "write_evaluation",
]
