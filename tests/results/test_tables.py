"""slides.csv and regions.parquet hold the contract, and no spreadsheet runs what they hold."""

import csv

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.score import Score, Status
from her2path.errors import ResultsError
from her2path.geometry import Mpp
from her2path.results.tables import harmless, write_regions, write_slides

CONTRACT = (
    "slide_id,path,state,score,status,n_tumor_cells,pct_none,pct_faint,pct_weak,pct_moderate,"
    "pct_intense,pct_complete,pct_stained,h_score,p_0,p_0plus,p_1plus,p_2plus,p_3plus,review,"
    "review_reasons,mpp,seconds,error,network_score,network_set,pct_stained_alone,rule_set,edition,"
    "calibration,model,patient_id"
)
FACTS = {"slide_id": "s", "mpp": Mpp(0.25, 0.25), "software_version": "0.1.0"}


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slide(**values):
    return {"slide_id": "s", "path": "s.svs", "state": "done", **values}


def test_columns_stand_in_the_order_of_the_contract_and_extras_follow(tmp_path):
    write_slides(tmp_path / "slides.csv", [slide(batch="b"), slide(timepoint=1, batch="c")])

    header = (tmp_path / "slides.csv").read_text(encoding="utf-8").splitlines()[0]

    assert header == CONTRACT + ",batch,timepoint"


def test_values_are_written_as_the_contract_says(tmp_path):
    row = slide(
        score=Score.ULTRALOW,
        status=Status.ULTRALOW,
        n_tumor_cells=1200,
        pct_none=100 / 3,
        h_score=0.0,
        p_0=float("nan"),
        review=True,
        review_reasons=("low count", "a;b"),
        mpp=0.25,
        error=None,
    )

    write_slides(tmp_path / "slides.csv", [row])

    (found,) = read_csv(tmp_path / "slides.csv")
    assert found["score"] == "0+"
    assert found["status"] == "ultralow"
    assert found["n_tumor_cells"] == "1200"
    assert float(found["pct_none"]) == pytest.approx(100 / 3, rel=1e-9)
    assert found["h_score"] == "0"
    assert found["p_0"] == ""
    assert found["review"] == "true"
    assert found["review_reasons"] == "low count;a,b"
    assert found["error"] == ""


def test_a_failed_slide_needs_no_more_than_its_reason(tmp_path):
    row = {"slide_id": "s", "path": "s.svs", "state": "failed", "error": 'no µm/px\n"s.svs"'}

    write_slides(tmp_path / "slides.csv", [row])

    (found,) = read_csv(tmp_path / "slides.csv")
    assert found["error"] == 'no µm/px\n"s.svs"'
    assert found["score"] == ""


def test_a_run_of_no_slides_has_a_header(tmp_path):
    write_slides(tmp_path / "slides.csv", [])

    assert (tmp_path / "slides.csv").read_text() == CONTRACT + "\n"


def test_all_wrong_values_are_listed_at_once(tmp_path):
    rows = [
        {"path": "a", "state": "maybe", "score": "4+", "pct_none": 101, "review": "yes"},
        slide(n_tumor_cells=1.5, h_score=-1, mpp=True, path=3, extra=object(), other={"a": 1}),
    ]

    with pytest.raises(ResultsError) as caught:
        write_slides(tmp_path / "slides.csv", rows)

    message = str(caught.value)
    for part in (
        "row 0, slide_id: has no value",
        "row 0, state: is 'maybe'",
        "row 0, score: is '4+'",
        "row 0, pct_none: is 101, above 100",
        "row 0, review: is 'yes', not boolean",
        "row 1, n_tumor_cells: is 1.5, not integer",
        "row 1, h_score: is -1, below 0",
        "row 1, mpp: is True",
        "row 1, path: is 3",
        "row 1, extra:",
        "row 1, other:",
    ):
        assert part in message
    assert not (tmp_path / "slides.csv").exists()


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        " =1",
        "＝1",
        "-1+1",
        "+1-",
        "-A1",
        "+-+a",
        "--1",
        "-inf",
    ],
)
def test_formulas_are_made_harmless(tmp_path, text):
    write_slides(tmp_path / "slides.csv", [slide(error=text, batch=text)])

    (found,) = read_csv(tmp_path / "slides.csv")
    assert found["error"] == "'" + text
    assert found["batch"] == "'" + text


@pytest.mark.parametrize(
    "text",
    [
        "0+",
        "1+",
        "3+",
        "-5",
        "+1",
        "-2.5e-3",
        "a=b",
        "",
        "plain",
        "+",
        "-",
        "+++",
        "-1,5",
        "+12.5%",
        "-1.000,5",
        "+;-",
        "ER;+",
        "x; -3",
    ],
)
def test_scores_and_numbers_stay_as_they_are(text):
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x; =1", "x; '=1"),
        ("+;-1+1", "+;'-1+1"),
        ("x\t=1", "x\t'=1"),
        ("\t=1", "'\t'=1"),
        ("x\t -2;\t@A1", "x\t -2;'\t'@A1"),
        ("x\t-\t1+", "x\t-\t1+"),
        ("\r=1", "\n'=1"),
        ("see\n=1+1;x", "see\n'=1+1;x"),
        ("a\r\n+cmd|' /C calc'!A0", "a\n'+cmd|' /C calc'!A0"),
        ("2+\n-1+\nx", "2+\n'-1+\nx"),
    ],
)
def test_each_part_between_semicolons_tabs_and_line_breaks_is_looked_at(text, written):
    assert harmless(text) == written


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("\r\n,;'\"=a"))
def test_any_text_comes_back_from_the_csv(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "slides.csv"

    write_slides(path, [slide(error=text)])

    (found,) = read_csv(path)
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    # Nothing but apostrophes is added, in front and behind semicolons, tabs and line breaks.
    assert found["error"].replace("'", "") == expected.replace("'", "")
    if not set(";\t\n") & set(expected):
        assert found["error"] in {expected, "'" + expected}


def test_regions_come_back_as_they_were(tmp_path):
    rows = [
        {
            "region_id": "a",
            "score": Score.ONE_PLUS,
            "n_tumor_cells": 5,
            "review": False,
            "extra": 1,
        },
        {"region_id": "b", "h_score": 12.5, "review_reasons": ["few cells", "blur"]},
    ]

    write_regions(tmp_path / "r.parquet", rows, **FACTS)
    first, second = pq.read_table(tmp_path / "r.parquet").to_pylist()

    assert (first["region_id"], first["score"], first["n_tumor_cells"]) == ("a", "1+", 5)
    assert first["review"] is False
    assert first["h_score"] is None
    assert second["h_score"] == 12.5
    assert second["score"] is None
    assert second["review_reasons"] == "few cells;blur"


def test_a_slide_without_regions_has_an_empty_table(tmp_path):
    write_regions(tmp_path / "r.parquet", [], **FACTS)

    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == []


def test_regions_with_mixed_extras_are_refused(tmp_path):
    with pytest.raises(ResultsError, match="extra mixes kinds"):
        write_regions(
            tmp_path / "r.parquet",
            [{"region_id": "a", "extra": 1}, {"region_id": "b", "extra": "x"}],
            **FACTS,
        )
