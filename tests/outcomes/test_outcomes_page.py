"""The page of outcomes says no more than the tables do."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
from patient_tables import write_remission, write_rows

from her2path.criteria.score import Organ
from her2path.outcomes.analysis import Outcomes, analyse_outcomes
from her2path.outcomes.baseline import Numbers
from her2path.outcomes.patients import Columns, read_patients
from her2path.report.outcomes import (
    decimals,
    hazard_rows,
    numbers_words,
    outcome_findings,
    write_outcomes_page,
)
from her2path.report.survival_plot import draw_survival, held
from her2path.report.wording import DASH

ARM = Columns(group="arm", time="weeks", event="relapse")
BREAST = "HER2 groups after ASCO/CAP 2018"


def outcomes_of(path: Path, columns: Columns, *, organ: Organ = Organ.BREAST) -> Outcomes:
    return analyse_outcomes(read_patients(path, columns, organ=organ))


def page_of(folder: Path, outcomes: Outcomes) -> str:
    """Return the page with its pictures left out."""
    page = write_outcomes_page(
        folder, outcomes, source_name="t.csv", endpoint="Survival", unit="weeks"
    )
    text = re.sub(r'src="data:[^"]*"', "", page.read_text(encoding="utf-8"))
    return html.unescape(text)


def separated(folder: Path) -> Outcomes:
    """All of arm a relapse before anybody of arm b does."""
    rows = [
        {"arm": "ab"[k % 2], "weeks": 1 + k // 2 + 30 * (k % 2), "relapse": int(k % 3 < 2)}
        for k in range(40)
    ]
    return outcomes_of(write_rows(folder / "t.csv", *rows), ARM)


def test_a_ratio_that_runs_away_is_no_estimate_on_the_page(tmp_path: Path):
    text = page_of(tmp_path, separated(tmp_path))
    (row,) = re.findall(r'<tr><th scope="row" class="indent">b .*?</tr>', text)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[2:] == ["no estimate", DASH, DASH]
    assert "strong" not in row


def test_a_ratio_that_runs_away_gets_no_mark_in_the_figure(tmp_path: Path):
    _, row = hazard_rows(separated(tmp_path).models)
    assert (row.value, row.lower, row.upper, row.numbers) == (None, None, None, "no estimate")
    _, row = hazard_rows(outcomes_of(write_remission(tmp_path / "t.csv"), ARM).models)
    assert row.lower < row.value < row.upper


def test_an_undefined_end_of_a_median_is_not_shown_as_one(tmp_path: Path):
    weeks = [*((5, 0) for _ in range(6)), (30, 1)]
    rows = [{"arm": "all", "weeks": week, "relapse": event} for week, event in weeks]
    outcomes = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM)
    words = f"{DASH} to not reached"
    assert f"all: 30.0 ({words})" in outcome_findings(outcomes, endpoint="S", unit="weeks")[1]
    assert f'<td class="number">{words}</td>' in page_of(tmp_path, outcomes)


def test_a_median_of_which_nothing_was_reached_is_said_once(tmp_path: Path):
    rows = [{"arm": "all", "weeks": week, "relapse": int(week == 3)} for week in range(1, 40)]
    outcomes = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM)
    words = outcome_findings(outcomes, endpoint="S", unit="weeks")[1]
    assert words.endswith("all: not reached.")


def test_a_sentence_says_what_its_brackets_and_times_are(tmp_path: Path):
    outcomes = outcomes_of(write_remission(tmp_path / "t.csv"), ARM)
    _, words = outcome_findings(outcomes, endpoint="Remission", unit="weeks")
    assert words.startswith("Median remission in weeks (95 % interval): ")
    _, words = outcome_findings(outcomes, endpoint="Remission", unit="")
    assert outcome_findings(outcomes, endpoint="PFS", unit="")[1].startswith("Median PFS in")
    column = outcomes.patients.columns.time
    assert words.startswith(f"Median remission in units of the column {column} (95 % interval): ")


def test_a_band_holds_its_width_up_to_where_nobody_is_left():
    assert held(np.array([1.0, 0.8, np.nan, np.nan])).tolist() == [1.0, 0.8, 0.8, 0.8]


def test_groups_made_from_scores_are_explained_by_the_rules_of_the_organ(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", *({"score": s} for s in ("3+", "3+", "1+", "1+")))
    text = page_of(tmp_path, outcomes_of(table, Columns()))
    assert BREAST in text
    assert "<h1>HER2 groups and outcomes" in text
    text = page_of(tmp_path, outcomes_of(table, Columns(), organ=Organ.STOMACH))
    assert "HER2 groups of the stomach after Hofmann" in text
    assert "negative is 0, 1+, or 2+ without" in text
    assert BREAST not in text


def test_words_of_another_column_are_not_taken_for_those_of_her2(tmp_path: Path):
    words = ("positive", "negative", "equivocal")
    table = write_rows(tmp_path / "t.csv", *({"er": word} for word in words * 3))
    outcomes = outcomes_of(table, Columns(group="er"))
    text = page_of(tmp_path, outcomes)
    assert "<h1>Outcomes by er" in text
    assert "ASCO/CAP" not in text
    assert "2+" not in text
    assert "HER2 groups" not in text


@pytest.mark.parametrize(
    ("low", "median", "high", "words"),
    [
        (0.010, 0.020, 0.034, "0.020 (0.010–0.034)"),
        (0.0, 0.0, 0.25, "0.00 (0.00–0.25)"),
        (1.02, 1.30, 1.61, "1.30 (1.02–1.61)"),
        (2.0, 4.0, 9.0, "4.0 (2.0–9.0)"),
        (52.0, 61.5, 70.0, "62 (52–70)"),
        (-31.0, -20.0, -4.0, "-20 (-31–-4)"),
        (0.0, 0.0, 0.0, "0 (0–0)"),
    ],
)
def test_median_and_quartiles_have_the_decimals_of_their_size(low, median, high, words):
    cell = Numbers(n=9, n_missing=0, median=median, lower_quartile=low, upper_quartile=high)
    assert numbers_words(cell) == words


def test_the_larger_a_number_the_fewer_its_decimals():
    found = [decimals(10.0**power) for power in range(-4, 5)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0


def test_a_covariate_called_group_is_named_on_the_page(tmp_path: Path):
    rows = [
        {"arm": "ab"[k % 2], "weeks": 1 + k, "relapse": 1, "group": "xy"[k // 2 % 2]}
        for k in range(60)
    ]
    columns = Columns(group="arm", time="weeks", event="relapse", adjust=("group",))
    outcomes = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns)
    labels = [row.label.strip() for row in hazard_rows(outcomes.models) if not row.is_heading]
    assert labels == ["b against a", "b against a", "group y against x"]
    assert 'class="indent">group y <span' in page_of(tmp_path, outcomes)


def test_a_group_whose_name_begins_with_a_line_is_in_the_legend(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv")
    table.write_text(table.read_text(encoding="utf-8").replace("6-MP", "_6-MP"), encoding="utf-8")
    survival = outcomes_of(table, ARM).survival
    colors = dict.fromkeys(("_6-MP", "placebo"), "#000000")
    plate = draw_survival(survival, colors=colors, endpoint="Remission", unit="weeks", note="")
    # Letters are outlines; each text stands in a comment before them.
    assert "<!-- _6-MP (9 of 21) -->" in plate.svg.decode()
    assert "<!-- placebo (21 of 21) -->" in plate.svg.decode()
