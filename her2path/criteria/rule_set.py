"""Rule sets: written criteria as data, and the call that they give on a tally.

Every row looks at a share that counts upwards (at least so strong, at least so extensive), and
the highest score with a row that fires wins. So more or stronger staining never lowers a score,
and a table is total by construction: where no row fires the score is 0.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.criteria.call import Call, Deciding
from her2path.criteria.clusters import Clusters
from her2path.criteria.criterion import Criterion
from her2path.criteria.score import EXPRESSION_SCORES, Extent, Intensity, Organ, Score
from her2path.criteria.tally import (
    STAINED,
    TALLY_SHAPE,
    Shares,
    Tally,
    accumulate,
    part_of_staining,
)
from her2path.errors import CriteriaError

__all__ = [
    "DEFAULT_CRITERIA",
    "RuleSet",
    "load_rule_set",
    "rule_set_names",
]

# What is meant where nobody names criteria; the options of the command line repeat it, since
# `--help` loads nothing.
DEFAULT_CRITERIA = "asco-cap-2018"

# A table of a guideline has a dozen rows in a few kB; more is not a rule set.
MAX_TEXT = 64_000
MAX_ROWS = 100

CellClass = tuple[Intensity, Extent]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A named, versioned table of criteria; see `load_rule_set` and `RuleSet.parse`.

    `left_open` are classes of cells that the guideline's own wording does not name: a score that
    rests on counting them is the matrix's.
    """

    name: str
    edition: str
    source: str
    organ: Organ
    zero_text: str
    criteria: tuple[Criterion, ...]
    left_open: tuple[CellClass, ...] = ()

    @classmethod
    def parse(cls, text: str) -> RuleSet:
        """Read a rule set from TOML text.

        Raises
        ------
        CriteriaError
            If the text is too long, no TOML, or a row is faulty, doubled or can never decide.
        """
        if len(text) > MAX_TEXT:
            raise CriteriaError(f"a rule set of {len(text)} characters; at most {MAX_TEXT} allowed")
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # Of numbers with thousands of digits Python itself complains.
            raise CriteriaError(f"the rule set is not valid TOML: {error}") from error
        words = {key: table.get(key) for key in ("name", "edition", "source", "organ", "zero")}
        missing = [
            key for key, value in words.items() if not isinstance(value, str) or not value.strip()
        ]
        unknown = sorted(set(table) - set(words) - {"rows", "left_open"})
        rows = table.get("rows")
        if missing or unknown or not isinstance(rows, list) or not 0 < len(rows) <= MAX_ROWS:
            raise CriteriaError(
                "a rule set has the texts name, edition, source, organ and zero, and 1–"
                f"{MAX_ROWS} [[rows]]; missing: {missing}, unknown: {unknown}, rows: "
                f"{len(rows) if isinstance(rows, list) else rows!r}"
            )
        # They stand in tables, on pages and in the terminal.
        strange = [key for key, value in words.items() if not str(value).isprintable()]
        if strange:
            raise CriteriaError(
                f"{', '.join(strange)} of the rule set: write it in one line, without signs that "
                "cannot be seen"
            )
        if not all(isinstance(row, dict) for row in rows):
            raise CriteriaError("each row of a rule set is a table under [[rows]]")
        if words["organ"] not in list(Organ):
            raise CriteriaError(f"organ must be one of {', '.join(Organ)}, got {words['organ']!r}")
        criteria = tuple(
            Criterion.parse(row, where=f"rule set {words['name']}, row {number}")
            for number, row in enumerate(rows, start=1)
        )
        rule_set = cls(
            name=str(words["name"]),
            edition=str(words["edition"]),
            source=str(words["source"]),
            organ=Organ(str(words["organ"])),
            zero_text=str(words["zero"]),
            criteria=criteria,
            left_open=classes_of(table.get("left_open", []), where=f"rule set {words['name']}"),
        )
        rule_set.check()
        return rule_set

    def check(self) -> None:
        """Raise `CriteriaError` when two rows share an id or a row can never decide."""
        ids = [row.id for row in self.criteria]
        doubled = sorted({name for name in ids if ids.count(name) > 1})
        if doubled:
            raise CriteriaError(f"rule set {self.name}: each id once, doubled: {doubled}")
        for row in self.criteria:
            for other in self.criteria:
                if other.score.rank > row.score.rank and row.is_implied_by(other):
                    raise CriteriaError(
                        f"rule set {self.name}: row {row.id!r} can never decide, since "
                        f"{other.id!r} gives a higher score whenever it fires"
                    )

    @property
    def scores_used(self) -> tuple[Score, ...]:
        """The scores that this rule set can give, from low to high."""
        used = {Score.ZERO, *(row.score for row in self.criteria)}
        return tuple(score for score in EXPRESSION_SCORES if score in used)

    @property
    def told_as(self) -> Mapping[Score, Score]:
        """What this rule set makes of 0+ where it has none: the score of a few faint cells.

        0 by ASCO/CAP 2013, 1+ by the edition of 2007; empty where 0+ is a score.
        """
        if Score.ULTRALOW in self.scores_used:
            return {}
        few = np.zeros(TALLY_SHAPE, np.int64)
        few[Intensity.NONE, 0], few[Intensity.FAINT, 0] = 95, 5
        clusters = Clusters(0, 0, 0, 0) if self.needs_clusters else None
        call = self.call(Tally.from_array(few), blank_upper_pct=1.0, clusters=clusters)
        return {Score.ULTRALOW: call.score}

    @property
    def needs_clusters(self) -> bool:
        """Whether a row looks at clusters of cells."""
        return any(row.cluster_cells is not None for row in self.criteria)

    def call(
        self, counted: Tally | Shares, *, blank_upper_pct: float, clusters: Clusters | None = None
    ) -> Call:
        """Score one tally.

        Parameters
        ----------
        counted : Tally or Shares
            The tumour cells.
        blank_upper_pct : float
            Upper bound of the share of cells that look stained where there is no HER2, in
            percent, > 0: even no such cell of n has an upper bound above zero.
        clusters : Clusters, optional
            Largest clusters; asked for by the rules of biopsies of the stomach.

        Raises
        ------
        CriteriaError
            If the blank is not above 0 and below 100, or clusters are needed and missing.
        """
        tally = counted.tally if isinstance(counted, Shares) else counted
        fires = self.fires(tally.array, blank_upper_pct=blank_upper_pct, clusters=clusters)
        if tally.n_cells == 0:
            return Call(
                score=Score.NOT_ASSESSABLE,
                rule_set=self.name,
                edition=self.edition,
                criterion_id="",
                criterion_text="no tumour cell was counted",
                deciding=None,
                deciding_lower=None,
                deciding_upper=None,
                pattern_2plus="",
                is_decided_by_matrix=False,
            )
        fired = [row for row, is_firing in zip(self.criteria, fires, strict=True) if is_firing]
        rank = max((row.score.rank for row in fired), default=0)
        # Among rows of one score the guideline's own come first, then the order of the table.
        holding = sorted((r for r in fired if r.score.rank == rank), key=lambda r: r.is_matrix)
        first = holding[0] if holding else None
        shares = tally.shares()
        is_filled = bool(first and self.rests_on_open(tally, rank, blank_upper_pct, clusters))

        def deciding(row: Criterion) -> Deciding:
            return deciding_of(row, shares, blank_upper_pct, clusters)

        above = [deciding(row) for row in self.criteria if row.score.rank > rank]
        missed = [
            deciding(row) for row in self.criteria if row.score.rank == rank and row not in fired
        ]
        held = [deciding(row) for row in holding if first and row.is_matrix == first.is_matrix]
        lower = max(held, key=lambda d: d.distance, default=None)

        def nearest(rows: list[Deciding]) -> Deciding | None:
            # Two rows equally near: the one of the lower score is reached first.
            return min(rows, key=lambda d: (d.distance, d.criterion.score.rank), default=None)

        upper = nearest(above)
        return Call(
            score=EXPRESSION_SCORES[rank],
            rule_set=self.name,
            edition=self.edition,
            criterion_id=first.id if first else "0",
            criterion_text=self.words_of(first, is_filled=is_filled),
            fired=deciding(first) if first else None,
            deciding=min((d for d in (upper, lower) if d), key=lambda d: d.distance, default=None),
            deciding_lower=lower,
            deciding_upper=upper,
            pattern_2plus=first.pattern if first else "",
            is_decided_by_matrix=is_filled or bool(first and first.is_matrix),
            stained_upper=nearest([d for d in above if d.measure == STAINED]),
            stained_missed=nearest([d for d in missed if d.measure == STAINED]),
            higher=tuple(above),
        )

    def rests_on_open(
        self, tally: Tally, rank: int, blank_upper_pct: float, clusters: Clusters | None
    ) -> bool:
        """Whether the score is lower without the classes that the wording leaves open."""
        if not self.left_open:
            return False
        named = tally.array
        for intensity, extent in self.left_open:
            named[Intensity.NONE, Extent.INCOMPLETE] += named[intensity, extent]
            named[intensity, extent] = 0
        return bool(self.scores(named, blank_upper_pct=blank_upper_pct, clusters=clusters) < rank)

    def words_of(self, row: Criterion | None, *, is_filled: bool) -> str:
        """Return the row in words, for score 0 those of the rule set."""
        if row is None or not is_filled:
            return row.text if row else self.zero_text
        classes = " and ".join(f"{i.label}, {e.label}" for i, e in self.left_open)
        return f"{row.text}; matrix: {classes} staining counts, which the guideline does not name"

    def fires(
        self,
        tallies: ArrayLike,
        *,
        blank_upper_pct: ArrayLike,
        clusters: Clusters | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which rows fire on each tally.

        Parameters
        ----------
        tallies : array_like of shape (..., 5, 3)
            Cells per intensity and extent.
        blank_upper_pct : array_like of shape (...) or scalar
            Upper bound of the blank, percent.
        clusters : Clusters, optional
            The same for all tallies: a cluster is found or not, resampling does not move it.

        Returns
        -------
        ndarray of shape (..., n_criteria), bool
        """
        blank = np.asarray(blank_upper_pct, np.float64)
        if not np.all((blank > 0) & (blank < 100)):
            raise CriteriaError(
                f"blank_upper_pct lies above 0 and below 100, got {blank.min()}–{blank.max()}; no "
                "stained cell among n cells without HER2 still has an upper bound (upper_limit)"
            )
        if self.needs_clusters and clusters is None:
            raise CriteriaError(
                f"rule set {self.name} looks at clusters of cells; give the largest clusters"
            )
        upward = accumulate(tallies)
        n = upward[..., 0, 0]
        fires = np.zeros((*n.shape, len(self.criteria)), np.bool_)
        for column, row in enumerate(self.criteria):
            if row.cluster_cells is not None:
                if clusters is not None:
                    fires[..., column] = clusters.largest(row.intensity) >= row.cluster_cells
                continue
            # Compared as 100·k against cut·n, so that exactly 10 % is exactly 10 %.
            hundredfold = 100.0 * upward[..., row.intensity, row.extent]
            fires[..., column] = hundredfold > blank * n
            if row.percent is not None:
                cut = row.percent * n
                fires[..., column] &= (
                    hundredfold > cut if row.comparison == ">" else hundredfold >= cut
                )
        return fires

    def scores(
        self,
        tallies: ArrayLike,
        *,
        blank_upper_pct: ArrayLike,
        clusters: Clusters | None = None,
    ) -> NDArray[np.int64]:
        """Score many tallies at once: the same scores as `call`, as ranks.

        Returns
        -------
        ndarray of shape (...), int64
            `Score.rank` of each tally, 0–4; −1 where there is no cell.
        """
        fires = self.fires(tallies, blank_upper_pct=blank_upper_pct, clusters=clusters)
        ranks = np.array([row.score.rank for row in self.criteria], np.int64)
        best = np.where(fires, ranks, 0).max(axis=-1)
        return np.where(np.asarray(tallies).sum(axis=(-2, -1)) > 0, best, -1)


def classes_of(value: object, *, where: str) -> tuple[CellClass, ...]:
    known = {
        f"{intensity.label} {extent.label}": (intensity, extent)
        for intensity in Intensity
        if intensity is not Intensity.NONE
        for extent in Extent
    }
    if not isinstance(value, list) or not all(isinstance(v, str) and v in known for v in value):
        raise CriteriaError(
            f"{where}: left_open must be a list of {', '.join(known)}, got {value!r}"
        )
    return tuple(known[name] for name in dict.fromkeys(value))


def deciding_of(
    row: Criterion, shares: Shares, blank_upper_pct: float, clusters: Clusters | None
) -> Deciding:
    if row.cluster_cells is not None and clusters is not None:
        size = clusters.largest(row.intensity)
        return Deciding(
            measure=row.measure,
            value=float(size),
            cut=float(row.cluster_cells),
            comparison="≥",
            unit="cells",
            # A cluster one cell short lies as far from the cut as one that just reaches it.
            distance=abs(math.log((size + 0.5) / row.cluster_cells)),
            criterion=row,
        )
    n = shares.n_tumor_cells
    value, cut = shares.at_least(row.intensity, row.extent), row.cut_pct(blank_upper_pct)
    k = value * n / 100
    prior = 0.5 * part_of_staining(row.intensity, row.extent)
    log_odds = math.log((k + prior) / (n - k + 1 - prior))
    return Deciding(
        measure=row.measure,
        value=value,
        cut=cut,
        comparison=row.comparison if (row.percent or 0.0) > blank_upper_pct else ">",
        unit="%",
        distance=abs(log_odds - math.log(cut / (100 - cut))),
        criterion=row,
    )


def rule_set_names() -> tuple[str, ...]:
    """List the rule sets that come with the package."""
    folder = resources.files("her2path.criteria") / "rules"
    names = (file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in names))


@cache
def load_rule_set(name: str) -> RuleSet:
    """Load a rule set of the package by name.

    Raises
    ------
    CriteriaError
        If the name is unknown; the message lists the known ones.

    Examples
    --------
    >>> load_rule_set("asco-cap-2018").edition
    'ASCO/CAP 2018, affirmed 2023; 0+ and null after Rakha 2026'
    """
    if name not in rule_set_names():
        raise CriteriaError(f"unknown rule set {name!r}; known are {', '.join(rule_set_names())}")
    file = resources.files("her2path.criteria") / "rules" / f"{name}.toml"
    return RuleSet.parse(file.read_text(encoding="utf-8"))
