import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest
from cohort_tables import GOUDA, write_counts, write_rows
from typer.testing import CliRunner, Result

from her2path.cli.main import app
from her2path.cohort.table import read_pairs
from her2path.cohort.writing import write_pairs
from her2path.compare.bands import default_bands, write_bands

pytestmark = pytest.mark.slow

FILES = {
    "cohort.json", "cohort.html", "transitions.csv", "pairs.csv",
    "alluvial.svg", "alluvial.png", "noise_floor.svg", "noise_floor.png",
}  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def gouda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gouda")
    table = write_counts(folder / "pairs.csv", GOUDA)
    shown = run("cohort", table, "--out", folder / "out")
    assert shown.exit_code == 0, shown.output
    assert "11 lost it" in shown.output
    return folder / "out"


def test_the_folder_holds_page_tables_and_figures(gouda: Path):
    assert {path.name for path in gouda.iterdir()} == FILES


def test_cohort_json_keeps_the_contract(gouda: Path):
    document = json.loads((gouda / "cohort.json").read_text(encoding="utf-8"))
    assert (document["n_pairs"], document["n_expressing_before"]) == (41, 34)
    for name in ("loss", "decrease", "loss_or_decrease", "stable", "increase", "gain"):
        rate = document[name]
        assert rate["rate"] == pytest.approx(rate["n"] / rate["of"])
        low, high = rate["ci95"]
        assert 0 <= low <= rate["rate"] <= high <= 1
        assert rate["denominator"]
    assert document["loss"]["to_null"]["n"] + document["loss"]["to_ultralow"]["n"] == 11
    for kind in ("linear", "quadratic"):
        low, high = document["kappa"][kind]["ci95"]
        assert low < document["kappa"][kind]["value"] < high
    for name in ("bowker", "stuart_maxwell", "wilcoxon"):
        assert set(document[name]) == {"statistic", "df", "p", "method"}
    assert document["status"]["conversions"][0]["before"] == "low"
    floor = document["noise_floor"]
    assert floor["source"] == "PMC9777154"
    assert floor["rates"]["low_to_zero"]["reference"]["rate"] == pytest.approx(0.1206, abs=1e-4)
    assert document["research_use"].startswith("For Research Use Only")
    assert document["source"]["path"].endswith("pairs.csv")


def test_transitions_add_up(gouda: Path):
    rows = rows_of(gouda / "transitions.csv")
    assert len(rows) == 25
    assert sum(int(row["n"]) for row in rows) == 41
    (lost,) = [row for row in rows if (row["before"], row["after"]) == ("1+", "0")]
    assert (lost["n"], lost["of_before"], lost["pct_of_before"]) == ("5", "10", "50")


def test_pairs_csv_says_what_became_of_each_pair(gouda: Path):
    rows = rows_of(gouda / "pairs.csv")
    assert len(rows) == 41
    assert rows[0]["score_change"] == "loss"
    assert rows[0]["loss_to"] == "null"
    assert rows[0]["before_status"] == "positive"
    assert rows[0]["steps"] == "-4"


def test_the_page_stands_alone_and_says_research_use(gouda: Path):
    text = (gouda / "cohort.html").read_text(encoding="utf-8")
    assert "For Research Use Only" in text
    assert "19.1–49.2" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert 'src="data:image/svg+xml;base64,' in text
    assert "style=" not in text


def test_figures_are_drawn_in_both_formats(gouda: Path):
    for name in ("alluvial", "noise_floor"):
        ElementTree.parse(gouda / f"{name}.svg")
        height, width, _ = cv2.imread(str(gouda / f"{name}.png")).shape
        assert width > 1200
        assert height > 300


def test_the_same_table_gives_the_same_files(gouda: Path, tmp_path: Path):
    table = write_counts(tmp_path / "pairs.csv", GOUDA)
    assert run("cohort", table, "--out", tmp_path / "again", "--quiet").output == ""
    for name in FILES - {"cohort.json"}:
        assert (tmp_path / "again" / name).read_bytes() == (gouda / name).read_bytes(), name
    there, back = (
        json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
        for folder in (gouda, tmp_path / "again")
    )
    for document in (there, back):
        del document["created"], document["source"]
    assert there == back


def test_json_goes_to_standard_output_alone(tmp_path: Path):
    table = write_counts(tmp_path / "pairs.csv", [("2+", "0", 3), ("0", "0", 2)])
    shown = run("cohort", table, "--out", tmp_path / "out", "--json")
    document = json.loads(shown.stdout)
    assert (document["loss"]["n"], document["failed"]) == (3, [])
    assert shown.stderr == ""


def test_what_is_no_number_is_null_on_standard_output(tmp_path: Path):
    table = write_counts(tmp_path / "pairs.csv", [("0", "0", 2)])
    shown = run("cohort", table, "--out", tmp_path / "out", "--json")
    assert "NaN" not in shown.stdout
    rate = json.loads(shown.stdout)["loss"]
    assert (rate["of"], rate["rate"], rate["ci95"]) == (0, None, None)


@pytest.mark.parametrize(
    "options",
    [("--criteria", "gastric-biopsy"), ("--repeatability", "bands.json"), ("--workers", "2")],
)
def test_options_of_slides_are_refused_where_there_are_none(tmp_path: Path, options):
    write_bands(tmp_path / "bands.json", default_bands())
    options = [str(tmp_path / text) if text.endswith(".json") else text for text in options]
    table = write_counts(tmp_path / "pairs.csv", [("2+", "0", 3)])
    shown = run("cohort", table, "--out", tmp_path / "out", *options)
    assert shown.exit_code == 2
    assert f"{options[0]}: no slide of the table is to be scored" in " ".join(shown.output.split())
    assert not (tmp_path / "out").exists()


def test_a_cohort_that_is_there_is_replaced_only_when_asked(tmp_path: Path):
    out = tmp_path / "out"
    given = ("cohort", write_counts(tmp_path / "pairs.csv", [("2+", "0", 3)]), "--out", out, "-q")
    assert run(*given).exit_code == 0
    before = (out / "cohort.json").read_bytes()
    write_counts(tmp_path / "pairs.csv", [("2+", "0", 4)])
    shown = run(*given)
    assert shown.exit_code == 2
    assert "holds a cohort already" in shown.output
    assert (out / "cohort.json").read_bytes() == before
    assert run(*given, "--resume", "--overwrite").exit_code == 2
    for option, n in (("--overwrite", 4), ("--resume", 5)):
        write_counts(tmp_path / "pairs.csv", [("2+", "0", n)])
        assert run(*given, option).exit_code == 0
        assert json.loads((out / "cohort.json").read_text(encoding="utf-8"))["n_pairs"] == n


def test_results_of_score_are_no_folder_for_a_cohort(blank_slide: Path, tmp_path: Path):
    results = blank_slide.parent / "out"
    table = write_counts(tmp_path / "pairs.csv", [("2+", "0", 3)])
    shown = run("cohort", table, "--out", results)
    assert shown.exit_code == 2
    assert "is a results folder of her2path score" in shown.output
    assert not (results / "cohort.json").exists()


def test_wrong_input_lists_every_fault_and_writes_nothing(tmp_path: Path):
    row = {"patient_id": "P1", "before": "2+", "after": "5+"}
    table = write_rows(tmp_path / "pairs.csv", row, row | {"before": ""})
    shown = run("cohort", table, "--out", tmp_path / "out")
    assert shown.exit_code == 2
    for words in ("row 2, after: '5+'", "row 3, before: is empty", "row 3, patient_id: 'P1'"):
        assert words in shown.output
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in shown.output


def test_slides_are_scored_first(blank_slide: Path, tmp_path: Path):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    table = write_rows(
        tmp_path / "pairs.csv",
        {"patient_id": "P1", "before": "2+", "after": blank_slide},
        {"patient_id": "P2", "before": "2+", "after": "bad.svs"},
        {"patient_id": "P3", "before": "2+", "after": "0"},
    )
    given = (
        "cohort",
        table,
        "--out",
        tmp_path / "out",
        "--mpp",
        0.25,
        "--workers",
        1,
        "--model",
        "none",
    )
    shown = run(*given)
    assert shown.exit_code == 1, shown.output
    assert "Slides that could not be scored" in shown.output
    document = json.loads((tmp_path / "out" / "cohort.json").read_text(encoding="utf-8"))
    assert (document["n_pairs"], document["n_evaluable"], document["loss"]["n"]) == (3, 1, 1)
    after = [row["after"] for row in rows_of(tmp_path / "out" / "pairs.csv")]
    assert after == ["not_assessable", "not_assessable", "0"]
    assert (tmp_path / "out" / "slides" / "report.html").is_file()
    slide = tmp_path / "out" / "slides" / "glass" / "slide.json"
    scored = slide.stat().st_mtime_ns
    assert run(*given).exit_code == 2
    assert run(*given, "--resume").exit_code == 1
    assert slide.stat().st_mtime_ns == scored
    assert run(*given, "--overwrite").exit_code == 1
    assert slide.stat().st_mtime_ns > scored


def test_a_result_that_was_damaged_since_costs_the_other_pairs_nothing(
    tmp_path: Path, blank_slide: Path
):
    rows = [{"patient_id": "A", "before": "1+", "after": blank_slide}]
    rows.append({"patient_id": "B", "before": "2+", "after": "0"})
    table = write_rows(tmp_path / "pairs.csv", *rows)
    given = ("cohort", table, "--out", tmp_path / "out", "--mpp", 0.25, "--model", "none")
    assert run(*given, "--workers", 1, "--quiet").exit_code == 0
    slide = tmp_path / "out" / "slides" / "glass" / "slide.json"
    slide.write_text("{", encoding="utf-8")
    shown = run(*given, "--workers", 1, "--resume")
    assert shown.exit_code == 1, shown.output
    words = " ".join(shown.output.split())
    assert "delete its folder, and --resume scores it again" in words
    assert f"Slides that could not be scored: {blank_slide}" in words
    document = json.loads((tmp_path / "out" / "cohort.json").read_text(encoding="utf-8"))
    assert (document["n_pairs"], document["n_evaluable"]) == (2, 1)


def test_a_slide_json_needs_no_slide(tmp_path: Path, slide_json):
    slide_json("a.json", score="3+")
    slide_json("b.json", score="0+")
    row = {"patient_id": "P1", "before": "a.json", "after": "b.json"}
    table = write_rows(tmp_path / "pairs.csv", row)
    assert run("cohort", table, "--out", tmp_path / "out", "--quiet").exit_code == 0
    document = json.loads((tmp_path / "out" / "cohort.json").read_text(encoding="utf-8"))
    assert document["loss"]["to_ultralow"]["n"] == 1
    assert document["editions"] == ["asco-cap-2018"]
    # These results hold no cell: there is a verdict, and it is that nothing can be said.
    assert document["verdicts"]["not_evaluable"] == 1
    (row,) = rows_of(tmp_path / "out" / "pairs.csv")
    assert row["verdict"] == "not_evaluable"
    assert row["verdict_sentence"].startswith("No statement on a change of HER2")


def test_pairs_are_not_compared_when_nobody_wants_it(tmp_path: Path, slide_json):
    slide_json("a.json", score="3+")
    slide_json("b.json", score="0+")
    row = {"patient_id": "P1", "before": "a.json", "after": "b.json"}
    table = write_rows(tmp_path / "pairs.csv", row)
    given = ("cohort", table, "--out", tmp_path / "out", "--no-compare", "--json")
    assert json.loads(run(*given).stdout)["verdicts"] is None


def test_a_result_without_its_cells_is_remarked_on(tmp_path: Path, slide_json):
    source = json.loads(slide_json("a.json", score="3+").read_text(encoding="utf-8"))
    source["reading"]["tally"]["counts"][4][2] = 500
    slide_json("a.json", score="3+", reading=source["reading"])
    slide_json("b.json", score="0+")
    row = {"patient_id": "P1", "before": "a.json", "after": "b.json"}
    table = write_rows(tmp_path / "pairs.csv", row)
    document = json.loads(run("cohort", table, "--out", tmp_path / "out", "--json").stdout)
    assert document["verdicts"] is None
    assert any(remark.startswith("row 2 is not compared") for remark in document["remarks"])


def test_text_of_the_table_is_escaped_and_harmless(tmp_path: Path):
    name = "<script>alert(1)</script>.csv"
    row = {"patient_id": "=1+1", "before": "2+", "after": "0", "note": "=cmd()"}
    table = write_rows(tmp_path / "pairs.csv", row)
    assert run("cohort", table, "--out", tmp_path / "out", "--quiet").exit_code == 0
    (found,) = rows_of(tmp_path / "out" / "pairs.csv")
    assert (found["patient_id"], found["note"]) == ("'=1+1", "'=cmd()")
    from her2path.cohort.analysis import analyse
    from her2path.report.cohort import write_cohort_page

    page = write_cohort_page(tmp_path, analyse(read_pairs(table)[1]), source_name=name)
    assert "<script>alert" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "counts",
    [
        [("not_assessable", "0", 2)],
        [(b, a, 1) for b in ("0", "0+", "1+", "2+", "3+") for a in ("0", "0+", "1+", "2+", "3+")],
        [("1+", "0", 4000), ("1+", "0+", 1)],
    ],
)
def test_odd_cohorts_have_a_page_too(tmp_path: Path, counts):
    table = write_counts(tmp_path / "pairs.csv", counts)
    shown = run("cohort", table, "--out", tmp_path / "out", "--quiet")
    assert shown.exit_code == 0, shown.output


def test_the_page_of_the_stomach_names_its_rule_and_has_no_floor(tmp_path: Path):
    rows = {"patient_id": "P1", "before": "0", "after": "2+", "before_edition": "ToGA"}
    shown = run("cohort", write_rows(tmp_path / "t.csv", rows), "--out", tmp_path / "o", "--quiet")
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "o" / "cohort.html").read_text(encoding="utf-8")
    assert "by the criteria of the stomach" in page
    assert "ASCO/CAP 2018" not in page
    assert json.loads((tmp_path / "o" / "cohort.json").read_text())["noise_floor"]["rates"] == {}


def test_the_page_and_the_document_tell_what_few_patients_are_worth(tmp_path: Path):
    # Of those at 0 each patient has one pair.
    afters = {"P1": ("0", "1+", "1+"), "P2": ("0", "0", "1+"), "P3": ("1+", "1+", "1+")}
    rows = [
        {"patient_id": name, "pair": k, "before": "1+", "after": after}
        for name, found in afters.items()
        for k, after in enumerate(found)
    ]
    rows += [{"patient_id": f"Q{k}", "before": "0", "after": "1+"} for k in range(2)]
    table = write_rows(tmp_path / "t.csv", *rows)
    assert run("cohort", table, "--out", tmp_path / "c", "--quiet").exit_code == 0
    page = (tmp_path / "c" / "cohort.html").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "c" / "cohort.json").read_text(encoding="utf-8"))
    assert "one-sided t test with the effective number of pairs; or Fisher" in page
    assert document["loss"]["df"] == 2
    assert document["gain"]["df"] is None
    assert document["noise_floor"]["rates"]["loss"]["excess"]["df"] == 2
    assert document["kappa"]["linear"]["method"].startswith("jackknife over 5 patients")
    assert document["kappa"]["linear"]["method"] in page.replace("&#39;", "'")
    assert "few patients (5): intervals are wide and tests weak" in document["remarks"]


def test_help_teaches_the_table():
    shown = run("cohort", "--help").output
    assert "her2path cohort pairs.csv --out cohort" in shown
    assert "patient_id,before,after" in shown
    assert "Exit status" in shown


def test_no_column_of_the_table_is_lost_by_its_name(tmp_path: Path):
    header = "patient_id,before,after,row,table_row,table_table_row"
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\nP1,1+,0,a,b,c\n", encoding="utf-8")
    sheet, pairs = read_pairs(table)
    write_pairs(tmp_path / "pairs.csv", sheet, pairs)
    with (tmp_path / "pairs.csv").open(encoding="utf-8", newline="") as file:
        ((names, values),) = [tuple(csv.reader(file))]
    assert len(set(names)) == len(names)
    assert [v for name, v in zip(names, values, strict=True) if name.endswith("table_row")] == [
        "a", "b", "c",
    ]  # fmt: skip


def test_a_run_that_is_cut_short_leaves_no_document_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = ("cohort", write_counts(tmp_path / "pairs.csv", GOUDA), "--out", tmp_path / "out")
    assert run(*given, "--quiet").exit_code == 0

    def cut_short(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("her2path.cohort.writing.write_pairs", cut_short)
    assert run(*given, "--overwrite").exit_code != 0
    assert not (tmp_path / "out" / "cohort.json").exists()
