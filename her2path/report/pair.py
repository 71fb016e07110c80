"""Write pair.html: one offline page about two sides of one patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from her2path.compare.change import ScoreChange, StatusChange
from her2path.compare.continuous import Change
from her2path.compare.measures import MEASURES
from her2path.compare.pair import Comparison, Pair
from her2path.compare.record import PAIR_HTML
from her2path.compare.sides import Side
from her2path.compare.verdict import Verdict
from her2path.criteria.score import Intensity
from her2path.report.charts import Segment, stacked_bar
from her2path.report.pair_charts import ChangeRow, change_chart, cut_chart, signed
from her2path.report.pair_fields import PairPictures, take_pictures
from her2path.report.phrases import MEASURE_WORDS
from her2path.report.wording import DASH, decimal
from her2path.report.write import environment
from her2path.results.atomic import write_text
from her2path.results.colors import INTENSITY_COLORS, SCORE_COLORS
from her2path.statistics.intervals import Interval

__all__ = ["write_pair_report"]

VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.CHANGED: "Changed",
    Verdict.APPARENT: "Apparent change",
    Verdict.UNCHANGED: "Unchanged",
    Verdict.NOT_COMPARABLE: "Not comparable",
    Verdict.NOT_EVALUABLE: "Not evaluable",
}
SCORE_CHANGE_WORDS: dict[ScoreChange, str] = {
    ScoreChange.LOSS: "loss",
    ScoreChange.DECREASE: "decrease",
    ScoreChange.STABLE: "stable",
    ScoreChange.INCREASE: "increase",
    ScoreChange.GAIN: "gain",
    ScoreChange.NOT_EVALUABLE: "not evaluable",
}
STATUS_CHANGE_WORDS: dict[StatusChange, str] = {
    StatusChange.LOWER: "lower",
    StatusChange.SAME: "the same",
    StatusChange.HIGHER: "higher",
    StatusChange.NOT_EVALUABLE: "not evaluable",
}
NAMES: dict[str, str] = {
    "pct_stained": "Any staining",
    "pct_complete": "Complete (weak or more)",
    **{f"pct_{level.label}": level.label.capitalize() for level in Intensity},
    "h_score": "H-score",
    "membrane_od": MEASURE_WORDS["membrane_od"],
    "membrane_width_um": MEASURE_WORDS["membrane_width_um"],
    "class_distance": "Distance of the distributions",
}
# Beside the chart there is room for one or two words.
CHART_NAMES = {"pct_stained": "Any staining", "pct_complete": "Complete"}
CHECK_NAMES = {
    "line_limit_od": "Limit of blank of a line",
    "counterstain_od": "Counterstain of cells that are no tumour",
    "background_od": "Brown of cells that are no tumour",
    "blur_um": "Blur",
}
DIGITS = {"%": 1, "0–300": 1, "OD": 3, "µm": 2, "classes": 2}


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure as the table shows it; texts are ready to be shown."""

    name: str
    unit: str
    before: str
    after: str
    change: str
    interval: str
    p: str
    band: str
    is_clear: bool | None


def write_pair_report(folder: Path, pair: Pair, before: Side, after: Side) -> Path:
    """Write pair.html into a folder and return its path.

    Parameters
    ----------
    folder : Path
    pair : Pair
    before, after : Side
        The sides that were compared; their slides are read for the pictures.

    Raises
    ------
    ResultsError
        If the page cannot be written.
    """
    path = folder / PAIR_HTML
    write_text(path, page_of(pair, before, after, take_pictures(before, after)))
    return path


def page_of(pair: Pair, before: Side, after: Side, pictures: PairPictures) -> str:
    """Return the page as text; everything that came with a slide is escaped."""
    common = pair.common
    patients = {s.record.patient_id for side in (before, after) for s in side.slides} - {""}
    return (
        environment()
        .get_template("pair.html")
        .render(
            title="her2path: before and after",
            pair=pair,
            patients=sorted(patients),
            verdict=VERDICT_WORDS[pair.verdict],
            common=common,
            score_words=SCORE_CHANGE_WORDS[common.score.change],
            status_change=STATUS_CHANGE_WORDS[common.status.change],
            sides=(("Before", pair.before, before), ("After", pair.after, after)),
            pictures=pictures,
            shares=share_charts(common, "shares"),
            raw_shares=share_charts(pair.as_read, "raw") if pair.adjusted else (),
            cut=deciding_chart(common),
            changes=changes_chart(common),
            rows=measure_rows(common),
            raw_rows=measure_rows(pair.as_read) if pair.adjusted else (),
            checks=check_rows(pair),
            step_words=step_words,
        )
    )


def share_charts(found: Comparison, key: str) -> tuple[tuple[str, Markup], ...]:
    """Return the stacked shares of both sides; none where nothing was counted."""
    charts = []
    for name in ("before", "after"):
        values = {
            level: getattr(found.continuous[f"pct_{level.label}"], name) for level in Intensity
        }
        if any(value is None for value in values.values()):
            continue
        segments = [
            Segment(level.label, float(value), INTENSITY_COLORS[level])
            for level, value in values.items()
        ]
        title = f"Tumour cells by membrane staining, {name}"
        charts.append((name.capitalize(), stacked_bar(segments, key=f"{key}-{name}", title=title)))
    return tuple(charts)


def deciding_chart(found: Comparison) -> Markup | None:
    deciding = found.deciding
    if deciding is None or deciding.cut is None:
        return None
    change = found.continuous[deciding.measure]
    return cut_chart(
        [
            ("before", deciding.before, change.before_ci95),
            ("after", deciding.after, change.after_ci95),
        ],
        cut=deciding.cut,
        beyond=(deciding.higher_score.value, SCORE_COLORS[deciding.higher_score]),
        key="deciding",
        title=f"Share of {deciding.words}, before and after",
    )


def changes_chart(found: Comparison) -> Markup | None:
    """Draw the changes in percent points: the deciding share first, then stained and complete."""
    names = [found.deciding.measure] if found.deciding else []
    names += [name for name in ("pct_stained", "pct_complete") if name not in names]
    rows = [
        ChangeRow(CHART_NAMES.get(name, "Deciding share"), change.change, change.ci95, change.band)
        for name in names
        if (change := found.continuous[name]).change is not None
    ]
    if not rows:
        return None
    return change_chart(rows, unit="points", key="changes", title="Changes against their bands")


def measure_rows(found: Comparison) -> tuple[MeasureRow, ...]:
    """Return the table of measures: the deciding share first."""
    order = [*MEASURES, "class_distance"]
    extra = [name for name in found.continuous if name not in order]
    return tuple(
        measure_row(name, found.continuous[name], found)
        for name in [*extra, *order]
        if name in found.continuous
    )


def measure_row(name: str, change: Change, found: Comparison) -> MeasureRow:
    digits = DIGITS[change.unit]
    words = NAMES.get(name)
    if words is None:
        words = found.deciding.words.capitalize() if found.deciding else name

    def number(value: float | None) -> str:
        return decimal(value, digits)

    def change_of(value: float | None) -> str:
        if value is None:
            return DASH
        rounded = round(value, digits) + 0.0
        sign = "+" if rounded > 0 and name != "class_distance" else "−" if rounded < 0 else ""
        return sign + number(abs(rounded))

    def interval_of(interval: Interval | None) -> str:
        if interval is None:
            return DASH
        return f"{change_of(interval.lower)} to {change_of(interval.upper)}"

    return MeasureRow(
        name=words,
        unit="%" if change.unit == "%" else change.unit,
        before=number(change.before),
        after=number(change.after),
        change=change_of(change.change),
        interval=interval_of(change.ci95),
        p=DASH if change.p_permutation is None else decimal(change.p_permutation, 4),
        band=DASH if change.band is None else f"±{number(change.band)}",
        is_clear=change.is_beyond_band,
    )


def check_rows(pair: Pair) -> tuple[Mapping[str, str], ...]:
    """Return the checks of drift as texts."""
    rows = []
    for check in pair.checks:
        digits = 2 if check.unit == "×" else 3
        unit = "µm" if check.name == "blur_um" else "OD"
        apart, answer = DASH, "not measured"
        if check.apart is not None:
            apart = f"{decimal(check.apart, digits)} {check.unit}"
            answer = "within" if check.is_within else "too far"
        rows.append(
            {
                "name": CHECK_NAMES[check.name],
                "before": f"{decimal(check.before, 3)} {unit}",
                "after": f"{decimal(check.after, 3)} {unit}",
                "apart": apart,
                "cut": f"{decimal(check.cut, digits)} {check.unit}",
                "answer": answer,
            }
        )
    return tuple(rows)


def step_words(ends: tuple[int, int] | None) -> str:
    """Say between which steps 95 % of resampled pairs lie."""
    if ends is None:
        return DASH
    low, high = (signed(float(end)).removesuffix(".0").replace("±", "") for end in ends)
    return low if low == high else f"{low} to {high}"
