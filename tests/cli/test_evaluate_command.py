import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from her2path.cli.main import app
from her2path.criteria import EXPRESSION_SCORES

pytestmark = pytest.mark.slow

HEAD = (
    "slide_id,path,state,score,p_0,p_0plus,p_1plus,p_2plus,p_3plus,review,review_reasons,error,"
    "network_score,network_set"
)
SURE = {score.value: ",".join("1" if s is score else "0" for s in EXPRESSION_SCORES)
        for score in EXPRESSION_SCORES}  # fmt: skip
P_NAMES = ("0", "0plus", "1plus", "2plus", "3plus")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


def line(slide_id: str, score: str, flags: str = "", network: str = "2+") -> str:
    p = SURE.get(score, ",,,,")
    review = str(bool(flags)).lower()
    return f"{slide_id},{slide_id}.svs,done,{score},{p},{review},{flags},,{network},1+;2+"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    rows = [
        line("a", "0"),
        line("b", "1+", "few_cells"),
        line("c", "2+"),
        line("d", "not_assessable", "not_assessable"),
        line("e", "3+"),
        "f,f.svs,failed,,,,,,,true,failed,<b>cannot</b> be opened,,",
    ]
    (folder / "slides.csv").write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readings") / "readings.csv"
    path.write_text(
        "slide_id,reference,laboratory\n"
        "a,0|0+,A\nb,2+,A\nc,2+,B\nd,not_assessable,B\ne,3+,B\nf,1+,B\nz,1+,B\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def evaluated(results: Path, readings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one evaluation; drawing its figures takes a while."""
    out = tmp_path_factory.mktemp("evaluated") / "new"
    shown = run(results, "--reference", readings, "--out", out)
    assert shown.exit_code == 0, shown.stderr
    assert "in brackets slides and 95 % intervals\nexact score" in shown.stderr
    return out


def test_results_are_held_against_readings(evaluated: Path) -> None:
    out = evaluated
    found = json.loads((out / "evaluation.json").read_text())
    assert found["n_slides"] == 4
    assert [found["scores"]["exact"][name] for name in ("n", "of", "rate")] == [3, 4, 0.75]
    assert found["scores"]["grades"] == ["0|0+", "1+", "2+", "3+"]
    assert found["not_assessable"]["n"] == 1
    assert found["failed"] == {"f": "<b>cannot</b> be opened"}
    assert found["without_result"] == ["z"]
    assert found["flags"]["wrong_flagged"]["n"] == 1
    assert set(found["by_group"]) == {"A", "B"}
    # Of 0 or 0+, 2+, 2+ and 3+ a set of 1+ and 2+ holds two.
    assert found["score_sets"]["covered"]["n"] == 2
    assert found["score_sets"]["mean_size"] == 2
    with (out / "confusion.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["reference", "0|0+", "1+", "2+", "3+", "not_assessable"]
    assert table[3] == ["2+", "0", "1", "1", "0", "0"]
    with (out / "evaluation_slides.csv").open() as file:
        rows = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert rows["b"]["distance"] == "-1"
    assert rows["b"]["flags"] == "few_cells"


def test_calibration_network_and_criteria_are_named_at_the_head(tmp_path: Path) -> None:
    table, known = tmp_path / "slides.csv", tmp_path / "readings.csv"
    rows = [line("a", "1+") + ",<i>A</i>,none,x", line("b", "2+") + ",B,her2-broad,x"]
    table.write_text("\n".join([f"{HEAD},calibration,model,rule_set", *rows]), encoding="utf-8")
    known.write_text("slide_id,reference\na,1+\nb,2+\n")
    out = tmp_path / "o"
    shown = run(table, "--reference", known, "--out", out)
    assert shown.exit_code == 0, shown.stderr
    words = "criteria x{0} calibrations {1} and B{0} networks none and her2-broad"
    assert f"read by {words.format(',', '<i>A</i>')}\nexact score" in shown.stderr
    page = (out / "evaluation.html").read_text("utf-8")
    assert f"Read by {words.format(';', '&lt;i&gt;A&lt;/i&gt;')}." in page
    assert json.loads((out / "evaluation.json").read_text("utf-8"))["read_by"] == {
        "calibration": ["<i>A</i>", "B"],
        "model": ["none", "her2-broad"],
        "rule_set": ["x"],
    }
    assert "\nprobability error  0.000 between what was stated and what came true" in shown.stderr
    assert "calibration error" not in shown.stderr


def test_the_page_stands_alone_and_escapes_what_it_shows(evaluated: Path) -> None:
    page = (evaluated / "evaluation.html").read_text("utf-8")
    assert "&lt;b&gt;cannot&lt;/b&gt;" in page
    assert "<b>cannot" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Research Use Only" in page
    assert "Robbins 2023" in page
    assert "one that failed is in no figure" in page
    for name in ("boundaries", "reliability", "risk-coverage"):
        assert (evaluated / f"{name}.svg").is_file()


def test_the_same_seed_gives_the_same_bytes(
    evaluated: Path, results: Path, readings: Path, tmp_path: Path
) -> None:
    run(results, "--reference", readings, "--out", tmp_path, "--seed", 0, "-q")
    for file in ("evaluation.json", "evaluation.html", "boundaries.png"):
        assert (evaluated / file).read_bytes() == (tmp_path / file).read_bytes()


def test_another_reader_of_the_table_can_be_evaluated(
    results: Path, readings: Path, tmp_path: Path
) -> None:
    shown = run(
        results / "slides.csv", "--reference", readings, "--out", tmp_path / "o", "--reader",
        "network", "--json",
    )  # fmt: skip
    found = json.loads(shown.stdout)
    assert found["reader"] == "network"
    assert found["scores"]["exact"]["n"] == 2
    assert found["stated_probabilities"] is None


def test_a_reader_who_said_nothing_of_a_slide_did_not_assess_it(
    readings: Path, tmp_path: Path
) -> None:
    table = tmp_path / "slides.csv"
    table.write_text("\n".join([HEAD, line("a", "0", network=""), line("c", "2+", network="2+")]))
    arguments = ("--reference", readings, "--out", tmp_path / "o", "--reader", "network")
    found = json.loads(run(table, *arguments, "--json").stdout)
    assert found["scores"]["exact"]["n"] == 1
    assert found["scores"]["table"][0]["not_assessable"] == 1
    table.write_text("\n".join([HEAD, line("a", "0", network="")]))
    shown = run(table, *arguments, "--overwrite")
    assert shown.exit_code == 2
    assert "no slide has a network_score" in shown.stderr


def test_one_slide_is_counted_as_one(tmp_path: Path) -> None:
    table, known = tmp_path / "slides.csv", tmp_path / "readings.csv"
    table.write_text("\n".join([HEAD, line("a", "1+")]))
    known.write_text("slide_id,reference\na,1+\n")
    shown = run(table, "--reference", known, "--out", tmp_path / "o")
    page = (tmp_path / "o" / "evaluation.html").read_text("utf-8")
    assert "1\xa0slide against reference scores" in shown.stderr
    assert "1 of 1\xa0slide got the score of its reference" in page
    assert "hold the reference in 1 of 1\xa0slide:" in page
    assert "1 of 1\xa0slide, 0 of them wrong" in page
    assert not re.search(r"\b1[ \xa0](slides|references|statements|scores)\b", page + shown.stderr)


def test_wrong_use_ends_with_two_and_a_remedy(
    results: Path, readings: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "o")
    assert run(results, *out).exit_code == 2
    assert run(results, "--reference", readings, "--truth", tmp_path, *out).exit_code == 2
    assert run(tmp_path / "nothing", "--reference", readings, *out).exit_code == 2
    other = tmp_path / "other.csv"
    other.write_text("slide_id,reference\nq,1+\n")
    shown = run(results, "--reference", other, *out)
    assert shown.exit_code == 2
    assert "matched by slide_id" in shown.stderr
    assert not (tmp_path / "o").exists()


def test_damaged_tables_are_refused_with_their_rows(readings: Path, tmp_path: Path) -> None:
    table = tmp_path / "slides.csv"
    broken = line("b", "1+").replace("0,0,1,0,0", "0,0,7,0,0")
    table.write_text("\n".join([HEAD, line("a", "purple"), broken, line("c", "0"), line("c", "0")]))
    shown = run(table, "--reference", readings, "--out", tmp_path / "o")
    assert shown.exit_code == 2
    for words in (
        "row 2, score: 'purple, 1+, 2+'",
        "row 3: probabilities",
        "row 5, slide_id: 'c' stands twice",
    ):
        assert words in shown.stderr


def test_an_evaluation_that_is_there_is_replaced_only_when_asked(
    results: Path, readings: Path, evaluated: Path, tmp_path: Path
) -> None:
    before = (evaluated / "evaluation.json").read_bytes()
    given = (results, "--reference", readings, "--out", evaluated)
    shown = run(*given)
    assert shown.exit_code == 2
    assert "add --overwrite" in shown.stderr
    assert (evaluated / "evaluation.json").read_bytes() == before
    (tmp_path / "evaluation.json").write_text("{}")
    again = run(results, "--reference", readings, "--out", tmp_path, "--overwrite", "--quiet")
    assert again.exit_code == 0
    assert (tmp_path / "evaluation.json").stat().st_size > 100


def test_results_of_score_are_no_folder_for_an_evaluation(
    results: Path, readings: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "results"))
    (folder / "journal.sqlite").touch()
    given = (folder, "--reference", readings, "--out", folder)
    shown = run(*given)
    assert shown.exit_code == 2
    assert "is a results folder of her2path score" in shown.stderr
    assert {path.name for path in folder.iterdir()} == {"slides.csv", "journal.sqlite"}
    assert run(*given, "--overwrite", "--quiet").exit_code == 0


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(
    results: Path, readings: Path
) -> None:
    shown = run(results, "--reference", readings, "--out", readings)
    assert shown.exit_code == 2
    assert "choose another with --out" in shown.stderr


def test_the_page_speaks_of_slides_csv_only_where_the_call_is_evaluated(
    readings: Path, evaluated: Path, tmp_path: Path
) -> None:
    words = "of the rules and the network together"
    assert words in (evaluated / "evaluation.html").read_text(encoding="utf-8")
    table = tmp_path / "theirs.csv"
    rows = [f"a,0,{SURE['0']}", f"b,2+,{SURE['2+']}"]
    head = "slide_id,their_score," + ",".join(f"their_p_{s}" for s in P_NAMES)
    table.write_text("\n".join([head, *rows]), encoding="utf-8")
    out = tmp_path / "out"
    shown = run(table, "--reference", readings, "--reader", "their", "--out", out, "--quiet")
    assert shown.exit_code == 0, shown.stderr
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "Probability error of the score given (expected calibration error" in page
    assert "Read by" not in page
    assert words not in page
    # Nor where another program's table has its scores and probabilities under the plain names.
    table.write_text(table.read_text("utf-8").replace("their_", ""), encoding="utf-8")
    shown = run(table, "--reference", readings, "--out", out, "--quiet", "--overwrite")
    assert shown.exit_code == 0, shown.stderr
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "Probability error of the score given" in page
    assert words not in page


@pytest.mark.parametrize(
    "cut", ["report.evaluation.write_evaluation_page", "evaluation.writing.write_sheet"]
)
def test_a_run_that_is_cut_short_leaves_no_document(
    results: Path, readings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
):
    given = (results, "--reference", readings, "--out", tmp_path)
    assert run(*given, "--quiet").exit_code == 0

    def cut_short(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"her2path.{cut}", cut_short)
    assert run(*given, "--overwrite").exit_code != 0
    assert not (tmp_path / "evaluation.json").exists()
