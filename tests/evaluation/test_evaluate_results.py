"""A folder of results against the truth beside drawn slides, cells too."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from her2path.cells.table import N_SECTORS
from her2path.criteria import Score
from her2path.errors import ResultsError, TableError
from her2path.evaluation import (
    evaluate,
    read_readings,
    read_references,
    read_truths,
    write_evaluation,
)
from her2path.geometry import Mpp
from her2path.report.evaluation import summary_lines
from her2path.results.cells import write_cells
from her2path.results.columns import CELL_COLUMNS, Kind

HEAD = "slide_id,state,score,p_0,p_0plus,p_1plus,p_2plus,p_3plus,review,review_reasons,patient_id"
TRUE_HEAD = "x,y,is_tumor,intensity,pattern,completeness,outline"


def draw_slide(folder: Path, name: str, score: str, n: int) -> None:
    """Write the truth of a slide with `n` weakly, completely stained tumor cells in a row."""
    truth = {"score": score, "mpp": 0.5, "laboratory": {"name": f"lab-{name}"}}
    (folder / f"{name}.truth.json").write_text(json.dumps(truth))
    rows = [f"{40 * k},20,true,weak,complete,1.0,1 2;3 4" for k in range(n)]
    text = "\n".join([TRUE_HEAD, *rows]) + "\n"
    (folder / f"{name}.cells.csv.gz").write_bytes(gzip.compress(text.encode()))


def write_found(path: Path, n: int) -> None:
    """Write cells.parquet with `n` cells at the same places, read as moderate and complete."""
    columns: dict[str, np.ndarray] = {}
    for column in CELL_COLUMNS:
        kind = {Kind.BOOLEAN: bool, Kind.FLOAT: np.float32}.get(column.kind, np.float64)
        columns[column.name] = np.ones(n, kind)
    columns |= {
        "x": 40.0 * np.arange(n),
        "y": np.full(n, 21.0),
        "region_id": np.array(["r"] * n),
        "excluded": np.array([""] * n),
        "intensity": np.array(["moderate"] * n),
        "pattern": np.array(["complete"] * n),
        "outline_um": np.ones((n, N_SECTORS), np.float32),
        "stained_sectors": np.zeros(n, np.uint32),
        "has_own_line": np.zeros(n, np.bool_),
    }
    path.parent.mkdir(parents=True)
    write_cells(path, columns, slide_id="s", mpp=Mpp(0.5, 0.5), software_version="0")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    folder = tmp_path / "drawn"
    folder.mkdir()
    draw_slide(folder, "a", "2+", 5)
    draw_slide(folder, "b", "1+", 4)
    draw_slide(folder, "c", "0", 3)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    rows = [
        "a,done,2+,0,0,0.1,0.9,0,false,,P1",
        "b,done,2+,0,0,0.4,0.6,0,true,few_cells;artefacts,P2",
        "x,done,3+,0,0,0,0,1,false,,",
    ]
    (folder / "slides.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    write_found(folder / "a" / "cells.parquet", 4)
    write_found(folder / "b" / "cells.parquet", 4)
    return folder


def test_scores_and_cells_meet_their_truth(results: Path, drawn: Path, tmp_path: Path) -> None:
    found = evaluate(read_readings(results), read_truths(drawn), is_truth=True)
    assert [case.slide_id for case in found.cases] == ["a", "b"]
    assert found.cases[1].flags == ("few_cells", "artefacts")
    assert [case.patient for case in found.cases] == ["P1", "P2"]
    assert (found.scores.exact.k, found.scores.exact.n) == (1, 2)
    assert set(found.by_group) == {"lab-a", "lab-b"}
    assert found.without_reference == ("x",)
    assert found.without_result == ("c",)
    assert found.all_cells is not None
    assert found.all_cells.nuclei.n_known == 9
    assert found.all_cells.nuclei.n_right == 8
    assert found.all_cells.complete.precision == 1
    assert found.all_cells.intensity.frac == 0
    assert write_evaluation(tmp_path, found)[-1].name == "evaluation_cells.csv"
    with (tmp_path / "evaluation_cells.csv").open() as file:
        rows = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert float(rows["a"]["nuclei_recall"]) == pytest.approx(0.8)
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert document["cells"]["n_slides"] == 2
    assert document["cells"]["nuclei_f1"] == pytest.approx(16 / 17)
    assert document["stated_probabilities"]["of_score"]["mean_stated"] == pytest.approx(0.75)


def test_the_terminal_tells_how_many_cells_got_their_class(results: Path, drawn: Path) -> None:
    found = evaluate(read_readings(results), read_truths(drawn), is_truth=True)
    words = "intensity class    0.000 right, of tumor cells met and counted"
    assert words in summary_lines(found)
    alone = evaluate(read_readings(results / "slides.csv"), read_truths(drawn), is_truth=True)
    assert not any(line.startswith("intensity class") for line in summary_lines(alone))


def test_by_what_slides_were_read_is_told_of_those_in_the_figures(tmp_path: Path) -> None:
    table, known = tmp_path / "slides.csv", tmp_path / "readings.csv"
    table.write_text(
        "slide_id,score,network_score,their_score,calibration,model,rule_set\n"
        "a,1+,1+,1+,site A,her2-broad,asco-cap-2018\n"
        "b,2+,2+,2+,site B,her2-broad,asco-cap-2018\n"
        "c,2+,2+,2+,site A,,asco-cap-2018\n"
        "x,2+,2+,2+,of no reference,none,gastric\n"
    )
    known.write_text("slide_id,reference\na,1+\nb,2+\nc,2+\n")
    for reader in ("", "network"):
        readings = read_readings(table, reader=reader)
        found = evaluate(readings, read_references(known), is_truth=False)
        assert found.read_by == {
            "calibration": ("site A", "site B"),
            "model": ("her2-broad",),
            "rule_set": ("asco-cap-2018",),
        }
    # Another reader's scores did not come by them.
    theirs = evaluate(read_readings(table, reader="their"), read_references(known), is_truth=False)
    assert not any(theirs.read_by.values())


def test_a_table_alone_has_no_cells(results: Path, drawn: Path) -> None:
    found = evaluate(read_readings(results / "slides.csv"), read_truths(drawn), is_truth=True)
    assert found.cells == {}
    assert found.all_cells is None


def test_the_same_seed_gives_the_same_intervals(results: Path, drawn: Path) -> None:
    readings, truths = read_readings(results), read_truths(drawn)
    one, two = (evaluate(readings, truths, is_truth=True, seed=4) for _ in range(2))
    assert one.scores == two.scores
    assert one.stated == two.stated


def test_one_reference_joins_grades_for_every_figure(tmp_path: Path) -> None:
    table, known = tmp_path / "slides.csv", tmp_path / "readings.csv"
    rows = [
        "a,done,0+,0.4,0.6,0,0,0,false,,",
        "b,done,0,0.5,0.5,0,0,0,false,,",
        "c,done,1+,0,0,1,0,0,false,,",
        "d,done,0+,0.4,0.6,0,0,0,true,few_cells,",
        "e,done,2+,0,0,0,1,0,true,few_cells,",
    ]
    table.write_text("\n".join([HEAD, *rows]) + "\n")
    known.write_text("slide_id,reference,laboratory\na,0,A\nb,0|0+,B\nc,1+,A\nd,0,A\ne,1+,B\n")
    found = evaluate(read_readings(table), read_references(known), is_truth=False)
    assert (found.scores.exact.k, found.scores.exact.n) == (4, 5)
    assert (found.flags.wrong_flagged.k, found.flags.wrong_flagged.n) == (1, 1)
    assert found.flags.curve is not None
    assert found.flags.curve.points[0].coverage == 1
    assert found.flags.curve.points[0].risk == pytest.approx(0.2)
    assert found.by_group["A"].grades == found.scores.grades
    assert sum(group.exact.k for group in found.by_group.values()) == 4
    write_evaluation(tmp_path, found)
    with (tmp_path / "evaluation_slides.csv").open() as file:
        written = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert [written[name]["is_exact"] for name in "abcde"] == [*["true"] * 4, "false"]
    assert [float(written[name]["p_of_score"]) for name in "abcde"] == [1] * 5


def test_references_that_tell_no_scores_apart_are_refused(tmp_path: Path) -> None:
    table, known = tmp_path / "slides.csv", tmp_path / "readings.csv"
    table.write_text("slide_id,score\n" + "".join(f"{name},1+\n" for name in "abcd"))
    known.write_text("slide_id,reference\na,0|0+\nb,0+|1+\nc,1+|2+\nd,2+|3+\n")
    with pytest.raises(ResultsError, match="tell no scores apart"):
        evaluate(read_readings(table), read_references(known), is_truth=False)


def test_a_set_of_scores_that_are_none_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "slides.csv"
    table.write_text("slide_id,score,network_set\na,1+,1+;not_assessable\n")
    with pytest.raises(ResultsError, match="row 2"):
        read_readings(table)


def test_flags_of_other_programs_are_read_and_strange_ones_refused(tmp_path: Path) -> None:
    table = tmp_path / "slides.csv"
    table.write_text("slide_id,score,review\na,1+,yes\nb,1+,0\nc,1+,TRUE\nd,1+,\n")
    cases = read_readings(table).cases
    assert [name for name, case in cases.items() if case.is_flagged] == ["a", "c"]
    table.write_text("slide_id,score,review\na,1+,maybe\n")
    with pytest.raises(ResultsError, match="row 2, review: 'maybe'"):
        read_readings(table)


def test_nothing_to_compare_is_an_error(results: Path, tmp_path: Path) -> None:
    table = tmp_path / "readings.csv"
    table.write_text("slide_id,reference\nother,1+\nx,not_assessable\n")
    with pytest.raises(ResultsError, match=r"none of the 1 slides that have both.*not assessable"):
        evaluate(read_readings(results), read_references(table), is_truth=False)


def test_a_table_without_scores_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "slides.csv"
    table.write_text("slide_id,grade\na,1\n")
    with pytest.raises(TableError, match="no column score"):
        read_readings(table)
    table.write_text("slide_id,score\na,1+\n")
    assert read_readings(table).cases["a"].score is Score.ONE_PLUS
    with pytest.raises(TableError, match="network_score"):
        read_readings(table, reader="network")


def test_columns_of_a_table_of_results_are_known_however_they_are_written(tmp_path: Path):
    table = tmp_path / "r.csv"
    table.write_text("Slide_ID,Score,State,Error\na,1+,done,\nb,,failed,too coarse\n", "utf-8")
    found = read_readings(table)
    assert found.cases["a"].score is Score.ONE_PLUS
    assert found.failed == {"b": "too coarse"}


def test_probabilities_with_decimal_commas_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    table = tmp_path / "theirs.csv"
    head = "slide_id;score;p_0;p_0plus;p_1plus;p_2plus;p_3plus\n"
    table.write_text(head + "a;1+;0,1;0,1;0,6;0,2;0\n")
    found = read_readings(table).cases["a"].probabilities
    assert found is not None
    assert found[Score.ONE_PLUS] == 0.6
    table.write_text(head + "a;1+;-0,5;0,5;0;0;0\nb;1+;0;x;1;0;0\nc;1+;0;0;0;1;1\n")
    with pytest.raises(ResultsError, match=r"row 2, p_0: '-0,5'") as caught:
        read_readings(table)
    assert "row 3, p_0plus: 'x' is no probability" in str(caught.value)
    assert "row 4: probabilities 0; 0; 0; 1; 1 do not sum to 1" in str(caught.value)


def test_a_slide_is_named_and_stands_once_failed_or_not(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("slide_id,score,state\na,1+,done\na,,failed\n,2+,done\nb,,failed\nb,,failed\n")
    with pytest.raises(ResultsError, match=r"row 3, slide_id: 'a' stands twice") as caught:
        read_readings(table)
    assert "row 4, slide_id: is empty" in str(caught.value)
    assert "row 6, slide_id: 'b' stands twice" in str(caught.value)


def test_scores_of_other_programs_are_read_as_references_are(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("slide_id,score,state\na,Ultralow,\nb,2,\nc,Not assessable,\nd,,Failed\n")
    found = read_readings(table)
    assert [case.score for case in found.cases.values()] == ["0+", "2+", "not_assessable"]
    assert set(found.failed) == {"d"}
