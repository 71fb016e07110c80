"""One row of a guideline table, and how it is read from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from her2path.criteria.score import EXPRESSION_SCORES, Extent, Intensity, Score
from her2path.criteria.tally import measure_name
from her2path.errors import CriteriaError

__all__ = ["Comparison", "Criterion"]

Comparison = Literal[">", "≥"]

KNOWN_KEYS = frozenset(
    {
        "id",
        "score",
        "intensity",
        "extent",
        "percent",
        "comparison",
        "cluster_cells",
        "pattern",
        "is_matrix",
        "text",
    }
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row: enough cells, at least this strong and at least this extensive, give the score.

    Attributes
    ----------
    id, text : str
        Short name, unique in its rule set; the row in words.
    score : Score
        What the row gives when it fires and no row of a higher score does.
    intensity : Intensity
        Least intensity, faint or stronger.
    extent : Extent
        Least extent.
    percent : float or None
        Cut in percent of the tumour cells. None: more than the limit of blank is enough.
    comparison : {'>', '≥'}
        How the share compares with `percent`; with the limit of blank it is always '>'.
    cluster_cells : int or None
        Instead of a share: least size of the largest cohesive cluster.
    pattern : str
        The 2+ pattern that the row stands for, or ''.
    is_matrix : bool
        The row fills a gap of the guideline's own wording from the published matrix; it never
        contradicts that wording.
    """

    id: str
    text: str
    score: Score
    intensity: Intensity
    extent: Extent
    percent: float | None
    comparison: Comparison
    cluster_cells: int | None
    pattern: str
    is_matrix: bool

    @property
    def measure(self) -> str:
        """Name of the number that the row looks at."""
        if self.cluster_cells is not None:
            return f"largest_{self.intensity.label}_cluster"
        return measure_name(self.intensity, self.extent)

    def cut_pct(self, blank_upper_pct: float) -> float:
        """Return the cut in percent: no share within the blank fires any row."""
        return max(self.percent or 0.0, blank_upper_pct)

    def is_implied_by(self, other: Criterion) -> bool:
        """Whether `other` fires each time that this row fires, whatever the cells."""
        if (self.cluster_cells is None) != (other.cluster_cells is None):
            return False
        if other.intensity > self.intensity or other.extent > self.extent:
            return False
        if self.cluster_cells is not None and other.cluster_cells is not None:
            return other.cluster_cells <= self.cluster_cells
        cut, other_cut = self.percent or 0.0, other.percent or 0.0
        return other_cut < cut or (
            other_cut == cut and (other.comparison == "≥" or self.comparison == ">")
        )

    @classmethod
    def parse(cls, row: Mapping[str, object], *, where: str) -> Criterion:
        """Read one row of a table.

        Raises
        ------
        CriteriaError
            If a key is unknown or missing, or a value cannot be meant; `where` names the row.
        """
        unknown = sorted(set(row) - KNOWN_KEYS)
        if unknown:
            raise CriteriaError(
                f"{where}: unknown keys {', '.join(unknown)}; known are "
                f"{', '.join(sorted(KNOWN_KEYS))}"
            )
        intensity = Intensity[word_of(row, "intensity", [i.label for i in Intensity][1:], where)]
        cluster_cells = row.get("cluster_cells")
        percent = row.get("percent")
        comparison: Comparison = ">"
        extent = Extent.INCOMPLETE
        if cluster_cells is None:
            extent = Extent[word_of(row, "extent", [e.label for e in Extent], where)]
            if "comparison" in row and percent is None:
                raise CriteriaError(f"{where}: comparison compares a percent; add it, or remove it")
            if "comparison" in row and word_of(row, "comparison", [">", "≥"], where) == "≥":
                comparison = "≥"
        elif "extent" in row or percent is not None or "comparison" in row:
            raise CriteriaError(
                f"{where}: a row with cluster_cells looks at no share; remove extent, percent "
                "and comparison"
            )
        return cls(
            id=text_of(row, "id", where),
            text=text_of(row, "text", where),
            score=Score(word_of(row, "score", list(EXPRESSION_SCORES[1:]), where).lower()),
            intensity=intensity,
            extent=extent,
            percent=None if percent is None else percent_of(percent, where),
            comparison=comparison,
            cluster_cells=None if cluster_cells is None else count_of(cluster_cells, where),
            pattern=text_of(row, "pattern", where) if "pattern" in row else "",
            is_matrix=truth_of(row.get("is_matrix", False), where),
        )


def text_of(row: Mapping[str, object], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > 300:
        raise CriteriaError(f"{where}: {key} must be a text of 1–300 characters, got {value!r}")
    if not value.isprintable():
        raise CriteriaError(f"{where}: {key} must be one line of signs that can be seen, {value!r}")
    return value


def word_of(row: Mapping[str, object], key: str, words: list[str], where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or value not in words:
        raise CriteriaError(f"{where}: {key} must be one of {', '.join(words)}, got {value!r}")
    return value.upper()


def percent_of(value: object, where: str) -> float:
    # NaN and infinity fail the comparison too.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 100:
        return float(value)
    raise CriteriaError(
        f"{where}: percent must lie between 0 and 100, got {value!r}; leave it out for "
        "'more than the limit of blank'"
    )


def count_of(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
        raise CriteriaError(f"{where}: cluster_cells must be 1–10000 cells, got {value!r}")
    return value


def truth_of(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise CriteriaError(f"{where}: is_matrix must be true or false, got {value!r}")
    return value
