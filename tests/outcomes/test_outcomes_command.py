import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from patient_tables import write_remission, write_rows
from typer.testing import CliRunner, Result

from her2path.cli.main import app

pytestmark = pytest.mark.slow

TABLES = {"groups.csv", "baseline.csv", "response.csv", "survival.csv", "curves.csv", "cox.csv"}
FIGURES = {
    f"{name}.{kind}" for name in ("survival", "response", "hazards") for kind in ("svg", "png")
}
OPTIONS = (
    "--covariates", "age,er", "--response", "best", "--time", "months", "--event", "died",
    "--unit", "months", "--endpoint", "Overall survival", "--adjust", "age", "--strata", "site",
)  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made_up(path: Path) -> Path:
    rng = np.random.default_rng(8)
    rows = []
    for k in range(90):
        score = ("0", "0+", "1+", "2+", "3+")[k % 5]
        rows.append(
            {
                "patient_id": f"P{k}",
                "score": score,
                "ish": ("amplified", "not_amplified", "")[k // 5 % 3] if score == "2+" else "",
                "age": round(rng.normal(60, 10)) if k != 4 else "",
                "er": ("pos", "neg")[int(rng.random() < 0.4)],
                "site": "AB"[k % 2],
                "best": ("CR", "PR", "SD", "PD", "NE")[int(rng.integers(5))],
                "months": round(rng.exponential(12), 1),
                "died": int(rng.random() < 0.7),
            }
        )
    return write_rows(path, *rows)


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcomes")
    shown = run("outcomes", made_up(folder / "patients.csv"), "--out", folder / "out", *OPTIONS)
    assert shown.exit_code == 0, shown.output
    assert "Median overall survival in months" in shown.output
    return folder / "out"


def test_the_folder_holds_page_tables_and_figures(ended: Path):
    names = {path.name for path in ended.iterdir()}
    assert names == TABLES | FIGURES | {"outcomes.html", "outcomes.json"}
    for name in FIGURES:
        if name.endswith("svg"):
            ElementTree.parse(ended / name)


def test_the_document_holds_what_the_page_says(ended: Path):
    document = json.loads((ended / "outcomes.json").read_text(encoding="utf-8"))
    groups = document["groups"]
    assert list(groups) == ["positive", "low", "ultralow", "null", "equivocal"]
    assert sum(group["n"] for group in groups.values()) == document["n_patients"] == 90
    rate = document["response"]["groups"]["low"]
    assert rate["ci95"][0] < rate["rate"] < rate["ci95"][1]
    assert document["survival"]["logrank"]["df"] == 4
    assert document["survival"]["stratified_logrank"]["method"] == "log-rank, stratified"
    assert [model["model"] for model in document["cox"]] == [
        "Group alone, stratified by site", "Adjusted for age, stratified by site",
    ]  # fmt: skip
    assert document["cox"][1]["n_incomplete"] == 1
    assert document["research_use"].startswith("For Research Use Only")


def test_the_tables_agree_with_the_document(ended: Path):
    document = json.loads((ended / "outcomes.json").read_text(encoding="utf-8"))
    survival = {row["group"]: row for row in rows_of(ended / "survival.csv")}
    for group, curve in document["survival"]["groups"].items():
        assert int(survival[group]["events"]) == curve["n_events"]
    assert len(rows_of(ended / "cox.csv")) == 4 + 5
    baseline = rows_of(ended / "baseline.csv")
    assert [(row["covariate"], row["category"]) for row in baseline] == [
        ("age", ""), ("er", "neg"), ("er", "pos"),
    ]  # fmt: skip
    assert baseline[0]["all_missing"] == "1"
    low = [row for row in rows_of(ended / "curves.csv") if row["group"] == "low"]
    heights = [float(row["survival"]) for row in low]
    assert heights == sorted(heights, reverse=True)
    assert int(low[0]["at_risk"]) == int(survival["low"]["n"])


def test_the_page_stands_alone_and_says_research_use(ended: Path):
    text = (ended / "outcomes.html").read_text(encoding="utf-8")
    assert "For Research Use Only" in text
    assert "style=" not in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert "reverse Kaplan–Meier" in text


def test_the_same_table_gives_the_same_files(ended: Path, tmp_path: Path):
    table = made_up(tmp_path / "patients.csv")
    assert run("outcomes", table, "--out", tmp_path, *OPTIONS, "--quiet").output == ""
    for name in TABLES | FIGURES | {"outcomes.html"}:
        assert (tmp_path / name).read_bytes() == (ended / name).read_bytes(), name


def test_outcomes_that_are_there_are_replaced_only_when_asked(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv")
    given = ("outcomes", table, "--out", tmp_path / "o", "--group", "arm", "--quiet")
    assert [run(*given).exit_code for _ in range(2)] == [0, 2]
    assert "add --overwrite" in run(*given).output
    assert run(*given, "--overwrite").exit_code == 0


def test_nothing_of_an_earlier_table_stays_beside_the_outcomes(tmp_path: Path):
    first = ("outcomes", made_up(tmp_path / "first.csv"), "--out", tmp_path / "o", *OPTIONS)
    assert run(*first, "--quiet").exit_code == 0
    assert (tmp_path / "o" / "response.csv").exists()
    second = ("outcomes", write_remission(tmp_path / "t.csv"), "--out", tmp_path / "o")
    assert run(*second, "--group", "arm", "--overwrite", "--quiet").exit_code == 0
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert not {"response.csv", "response.svg", "response.png", "cox.csv"} & names
    assert "groups.csv" in names


@pytest.mark.parametrize(
    ("option", "value"), [("--responders", "CR"), ("--reference", "null"), ("--adjust", "age")]
)
def test_options_without_what_they_are_about_are_refused(tmp_path: Path, option, value):
    given = ("outcomes", made_up(tmp_path / "t.csv"), "--out", tmp_path / "o")
    shown = run(*given, option, value)
    assert shown.exit_code == 2
    assert f"{option}: need" in shown.output


def test_results_of_score_are_no_folder_for_outcomes(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "run.json").write_text("{}", encoding="utf-8")
    given = ("outcomes", table, "--out", tmp_path / "results", "--group", "arm", "--quiet")
    shown = run(*given)
    assert shown.exit_code == 2
    assert "is a results folder of her2path score" in shown.output
    assert not (tmp_path / "results" / "outcomes.json").exists()
    assert run(*given, "--overwrite").exit_code == 0


def test_json_goes_to_standard_output_alone(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv")
    shown = run("outcomes", table, "--out", tmp_path / "o", "--group", "arm", "--json")
    assert json.loads(shown.stdout)["groups"]["6-MP"] == {"n": 21, "of": 42}
    assert shown.stderr == ""
    assert not (tmp_path / "o" / "survival.csv").exists()


def test_what_is_no_number_is_null_on_standard_output(tmp_path: Path):
    rows = [{"arm": "ab"[week % 2], "weeks": week, "died": int(week == 3)} for week in range(1, 20)]
    table = write_rows(tmp_path / "t.csv", *rows)
    given = ("--group", "arm", "--time", "weeks", "--event", "died", "--json")
    shown = run("outcomes", table, "--out", tmp_path / "o", *given)
    assert "NaN" not in shown.stdout
    assert json.loads(shown.stdout)["survival"]["groups"]["a"]["median"] is None


def test_wrong_input_lists_every_fault_and_writes_nothing(tmp_path: Path):
    table = write_rows(
        tmp_path / "t.csv", {"score": "5+", "m": 1, "d": 1}, {"score": "1+", "m": "x", "d": 1}
    )
    shown = run("outcomes", table, "--out", tmp_path / "o", "--time", "m", "--event", "d")
    assert shown.exit_code == 2
    assert "row 2, score: '5+'" in shown.output
    assert "row 3, m: 'x'" in shown.output
    assert not (tmp_path / "o").exists()
    assert "Traceback" not in shown.output


def test_outcomes_follow_a_change_of_score(tmp_path: Path):
    pairs = write_rows(
        tmp_path / "pairs.csv",
        *(
            {
                "patient_id": k,
                "before": "2+",
                "after": ("0", "2+")[k % 2],
                "best": ("PD", "PR")[k % 2],
            }
            for k in range(12)
        ),
    )
    assert run("cohort", pairs, "--out", tmp_path / "cohort", "--quiet").exit_code == 0
    given = ("--group", "score_change", "--response", "best", "--quiet")
    table = tmp_path / "cohort" / "pairs.csv"
    assert run("outcomes", table, "--out", tmp_path / "o", *given).exit_code == 0
    found = {row["group"]: row["n"] for row in rows_of(tmp_path / "o" / "response.csv")}
    assert found == {"loss": "0", "stable": "6", "all": "6"}


def test_text_of_the_table_is_escaped(tmp_path: Path):
    rows = [{"g": f"<b>{k}</b>$x_{k}$", "<i>c</i>": "<script>"} for k in (1, 2, 2)]
    table = write_rows(tmp_path / "t.csv", *rows)
    given = ("--group", "g", "--covariates", "<i>c</i>", "--quiet")
    shown = run("outcomes", table, "--out", tmp_path / "o", *given)
    assert shown.exit_code == 0, shown.output
    text = (tmp_path / "o" / "outcomes.html").read_text(encoding="utf-8")
    assert "<b>1" not in text
    assert "<i>c" not in text


def test_help_teaches_the_table():
    shown = run("outcomes", "--help").output
    assert "her2path outcomes patients.csv --out outcomes" in shown
    assert "patient_id,score,ish,age" in shown
    assert "Exit status" in shown


def test_a_run_that_is_cut_short_leaves_no_document_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    table = write_rows(tmp_path / "t.csv", {"score": "1+"}, {"score": "0"})
    given = ("outcomes", table, "--out", tmp_path / "out")
    assert run(*given, "--quiet").exit_code == 0

    def cut_short(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("her2path.outcomes.writing.write_sheet", cut_short)
    assert run(*given, "--overwrite").exit_code != 0
    assert not (tmp_path / "out" / "outcomes.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--unit", "months", "need --time"),
        ("--endpoint", "Survival", "need --time"),
        ("--ish", "score", "--group takes them as they are"),
        ("--organ", "stomach", "--group takes them as they are"),
    ],
)
def test_an_option_of_which_nothing_would_come_is_refused(
    tmp_path: Path, option: str, value: str, words: str
):
    table = write_rows(tmp_path / "t.csv", {"score": "1+"}, {"score": "0"})
    given = ("outcomes", table, "--out", tmp_path / "o", "--group", "score", option, value)
    shown = run(*given)
    assert shown.exit_code == 2
    assert words in " ".join(shown.output.split())
    assert not (tmp_path / "o").exists()


def test_options_that_nothing_would_come_of_are_refused(tmp_path: Path):
    table = made_up(tmp_path / "patients.csv")
    shown = run("outcomes", table, "--out", tmp_path / "o", "--strata", "site")
    assert shown.exit_code == 2
    assert "--strata: is of survival and response" in " ".join(shown.output.split())
    slides = write_rows(
        tmp_path / "slides.csv",
        {"patient_id": "A", "score": "1+", "status": "low"},
        {"patient_id": "B", "score": "0", "status": "null"},
    )
    shown = run("outcomes", slides, "--out", tmp_path / "o", "--organ", "stomach")
    assert shown.exit_code == 2
    assert "--organ: makes groups from scores; those here are the column status" in " ".join(
        shown.output.split()
    )
    assert not (tmp_path / "o").exists()
