"""Pairs with a change that is known: what is drawn on each side, and what is recorded of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from her2path.compare import Pair
from her2path.compare.measures import MEASURES
from her2path.statistics import wilson
from her2path.synth import MixEntry, mix_of

Mix = tuple[MixEntry, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of pair.

    Attributes
    ----------
    name : str
    mixes : tuple of (before, after)
        Shares of the tumor cells on each side; pairs take them in turn.
    is_changed : bool
        Whether anything changed between the sides.
    is_other_laboratory : bool
        Whether the second side comes from another laboratory and scanner.
    has_control : bool
        Whether control tissue of one block stands on both slides.
    n_cells : int
        Tumor cells a side, about.
    clustering : float
        0: classes cell by cell; 1: by nest of tumor.
    is_repeat : bool
        Whether both sides are the same cells, stained and scanned in two runs: what differs is
        the error of reading, and no scatter of cells.
    """

    name: str
    mixes: tuple[tuple[Mix, Mix], ...]
    is_changed: bool = False
    is_other_laboratory: bool = False
    has_control: bool = False
    n_cells: int = 1300
    clustering: float = 0.2
    is_repeat: bool = False


def mix(**percents: float) -> Mix:
    """Return a mix from percents; the rest is unstained."""
    shares = {word: value / 100 for word, value in percents.items()}
    return mix_of(none=1 - math.fsum(shares.values()), **shares)


NULL = mix()
FAINT_5 = mix(faint_incomplete=5)
FAINT_12 = mix(faint_incomplete=12)
FAINT_25 = mix(faint_incomplete=25)
ONE_PLUS = mix(faint_incomplete=30, weak_incomplete=10)
ONE_PLUS_LESS = mix(faint_incomplete=22, weak_incomplete=10)
TWO_PLUS = mix(faint_incomplete=20, weak_incomplete=15, weak_complete=20, moderate_complete=15)
TWO_PLUS_LESS = mix(faint_incomplete=25, weak_incomplete=21, weak_complete=3, moderate_complete=1)
THREE_PLUS = mix(weak_complete=10, moderate_complete=25, intense_complete=45)
SAME = tuple((m, m) for m in (FAINT_5, FAINT_12, FAINT_25, ONE_PLUS, TWO_PLUS, THREE_PLUS))
TWENTY = ((FAINT_25, FAINT_5), (TWO_PLUS, TWO_PLUS_LESS))

REPEAT = Scenario("the same cells, stained and scanned twice", SAME, is_repeat=True)
SCENARIOS = (
    REPEAT,
    Scenario("no change, same laboratory", SAME),
    Scenario("no change, classes by nest (clustering 0.6)", SAME, clustering=0.6),
    Scenario("no change, other laboratory", SAME, is_other_laboratory=True),
    Scenario(
        "no change, other laboratory, control on both",
        SAME,
        is_other_laboratory=True,
        has_control=True,
    ),
    Scenario("small change: 40 to 32 % stained", ((ONE_PLUS, ONE_PLUS_LESS),), is_changed=True),
    Scenario("20 points less stained", TWENTY, is_changed=True),
    Scenario("20 points less stained, clustering 0.6", TWENTY, is_changed=True, clustering=0.6),
    Scenario("loss to 0+", ((ONE_PLUS, FAINT_5), (TWO_PLUS, FAINT_5)), is_changed=True),
    Scenario("loss to null", ((ONE_PLUS, NULL), (TWO_PLUS, NULL)), is_changed=True),
    Scenario("loss to null, under 100 cells", ((TWO_PLUS, NULL),), is_changed=True, n_cells=70),
)


def stained_pct(shares: Mix) -> float:
    """Return the percent of cells with any staining."""
    return 100 * math.fsum(entry.share for entry in shares if entry.intensity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found of one pair; shares in percent."""

    scenario: str
    seed: int
    verdict: str
    true_before: float
    true_after: float
    read_before: float | None
    read_after: float | None
    low: float | None
    high: float | None
    adjusted_change: float | None
    p_permutation: float | None
    n_before: int
    n_after: int
    score_before: str
    score_after: str
    p_moved: float | None
    is_clear: bool
    adjustment: float
    obstacles: str
    measures: tuple[dict[str, float | None], dict[str, float | None]]

    @classmethod
    def of(cls, scenario: Scenario, seed: int, truth: tuple[float, float], pair: Pair) -> Outcome:
        """Take from a comparison what the study looks at."""
        stained = pair.common.continuous["pct_stained"]
        raw = pair.as_read.continuous["pct_stained"]
        return cls(
            scenario=scenario.name,
            seed=seed,
            verdict=pair.verdict.value,
            true_before=truth[0],
            true_after=truth[1],
            read_before=raw.before,
            read_after=raw.after,
            low=stained.ci95.lower if stained.ci95 else None,
            high=stained.ci95.upper if stained.ci95 else None,
            adjusted_change=stained.change,
            p_permutation=stained.p_permutation,
            n_before=pair.before.n_tumor_cells,
            n_after=pair.after.n_tumor_cells,
            score_before=pair.as_read.score.before.value,
            score_after=pair.as_read.score.after.value,
            p_moved=pair.common.score.p_moved,
            is_clear=pair.common.deciding is not None and pair.common.deciding.is_clear,
            adjustment=pair.adjustment.size,
            obstacles=";".join(reason.code for reason in (*pair.voids, *pair.obstacles)),
            measures=(
                {name: pair.as_read.continuous[name].before for name in MEASURES},
                {name: pair.as_read.continuous[name].after for name in MEASURES},
            ),
        )

    @property
    def holds_truth(self) -> bool | None:
        """Whether the interval of the change holds the true one; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.true_after - self.true_before <= self.high


def repeats_of(outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    """Return both readings of the same cells, as `her2path repeatability` reads them."""
    return [
        {"subject": outcome.seed, **reading}
        for outcome in outcomes
        if outcome.scenario == REPEAT.name
        for reading in outcome.measures
    ]


VERDICTS = ("changed", "apparent", "unchanged", "not_comparable", "not_evaluable")
HEADS = ("pairs of", "n", *VERDICTS, "interval holds truth", "half width", "p ≤ 0.05")


def table_of(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return one row per scenario, in percent of its pairs."""
    rows = [HEADS]
    for scenario in SCENARIOS:
        found = [o for o in outcomes if o.scenario == scenario.name]
        if not found:
            continue
        n = len(found)
        shares = [100 * sum(o.verdict == v for o in found) / n for v in VERDICTS]
        held = [o.holds_truth for o in found if o.holds_truth is not None]
        widths = [(o.high - o.low) / 2 for o in found if o.low is not None and o.high is not None]
        p = [o.p_permutation for o in found if o.p_permutation is not None]
        rows.append(
            (
                scenario.name,
                str(n),
                *(f"{share:.0f}" for share in shares),
                with_interval(sum(held), len(held)),
                f"{sum(widths) / len(widths):.1f}" if widths else "–",
                f"{100 * sum(v <= 0.05 for v in p) / len(p):.0f}" if p else "–",
            )
        )
    return rows


def with_interval(k: int, n: int) -> str:
    """Write a share in percent with its 95 % interval."""
    if n == 0:
        return "–"
    ends = wilson(k, n).scaled(100)
    return f"{100 * k / n:.0f} ({ends.lower:.0f}–{ends.upper:.0f})"


def summary_of(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return the figures that the study is about, with their aims."""
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    rows = [(by_name[o.scenario], o) for o in outcomes if o.scenario != REPEAT.name]
    same = [o for s, o in rows if not s.is_changed and not s.is_other_laboratory]
    other = [o for s, o in rows if not s.is_changed and s.is_other_laboratory]
    twenty = [o for s, o in rows if s.name == "20 points less stained"]
    held = [o.holds_truth for s, o in rows if not s.is_other_laboratory]
    known = [h for h in held if h is not None]

    def changed(found: Sequence[Outcome]) -> str:
        return with_interval(sum(o.verdict == "changed" for o in found), len(found))

    return {
        "changed though nothing changed, same laboratory (aim ≤ 5 %)": changed(same),
        "changed though nothing changed, other laboratory (aim ≤ 5 %)": changed(other),
        "changed when 20 points less are stained (aim ≥ 90 %)": changed(twenty),
        "intervals that hold the truth, one laboratory (aim 93–97 %)": with_interval(
            sum(known), len(known)
        ),
    }


def deviations_of(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return how far readings of unchanged tumors lie apart.

    Of the same cells that is the error of reading; elsewhere the scatter of cells is in it too.
    """
    found = {}
    for scenario in SCENARIOS:
        if scenario.is_changed:
            continue
        differences = [
            o.read_after - o.read_before
            for o in outcomes
            if o.scenario == scenario.name
            and o.read_before is not None
            and o.read_after is not None
        ]
        if differences:
            sw = math.sqrt(sum(d * d for d in differences) / (2 * len(differences)))
            found[scenario.name] = f"Sw {sw:.2f} points, band ±{1.96 * math.sqrt(2) * sw:.1f}"
    return found
