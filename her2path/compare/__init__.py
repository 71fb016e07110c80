"""Two times of one patient: whether HER2 changed, or its reading.

Repeatability lives in `bands` and `repeats`, what is done with files in `sources`; import those
by their own names.
"""

from her2path.compare.continuous import Change
from her2path.compare.pair import Comparison, Pair, SideReading, compare_sides
from her2path.compare.sides import PairSlide, Side, read_pair_slide
from her2path.compare.verdict import Verdict

__all__ = [
    "Change",
    "Comparison",
    "Pair",
    "PairSlide",
    "Side",
    "SideReading",
    "Verdict",
    "compare_sides",
    "read_pair_slide",
]
