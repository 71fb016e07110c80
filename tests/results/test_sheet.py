from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import TableError
from her2path.results.sheet import number_in, read_sheet, word, write_sheet


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark_blue"


def sheet_of(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    return read_sheet(path)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_separate(tmp_path: Path, sign: str):
    sheet = sheet_of(tmp_path / "t.csv", f"a{sign}b\n1{sign}2\n")
    assert sheet.columns == ("a", "b")
    assert dict(sheet.rows[0].cells) == {"a": "1", "b": "2"}


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path):
    sheet = sheet_of(tmp_path / "t.csv", 'a,b\n1,"two\nlines"\n\n3,4\n')
    assert [row.number for row in sheet.rows] == [2, 4]


def test_short_rows_are_empty_at_the_end(tmp_path: Path):
    sheet = sheet_of(tmp_path / "t.csv", "a,b,\n1\n")
    assert sheet.rows[0].get("b") == sheet.rows[0].get("no such column") == ""
    assert (sheet.has("a"), sheet.has("b")) == (True, False)


def test_all_faults_of_the_frame_are_listed(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,a\n1,2,3\n", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_sheet(path, needed=("b",))
    for words in ("column 'a' stands 2 times", "no column b", "row 2: 3 values for 2 columns"):
        assert words in str(caught.value)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("her2path.results.sheet.MAX_BYTES", 10)
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 20, encoding="utf-8")
    with pytest.raises(TableError, match="larger than"):
        read_sheet(tmp_path / "t.csv")


def test_too_many_rows_and_columns_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("her2path.results.sheet.MAX_ROWS", 3)
    monkeypatch.setattr("her2path.results.sheet.MAX_COLUMNS", 3)
    with pytest.raises(TableError, match="more than 3 rows"):
        sheet_of(tmp_path / "t.csv", "a\n" + "1\n" * 5)
    with pytest.raises(TableError, match="4 columns are more than 3"):
        sheet_of(tmp_path / "t.csv", "a,b,c,d\n1,2,3,4\n")


@given(
    st.lists(
        st.fixed_dictionaries({"a": st.text(max_size=8), "b": st.integers() | st.none()}),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, rows):
    path = tmp_path_factory.mktemp("sheet") / "t.csv"
    write_sheet(path, ("k", "a", "b"), [{"k": "x", **row} for row in rows])
    found = read_sheet(path).rows
    assert len(found) == len(rows)
    for row, cells in zip(rows, found, strict=True):
        assert cells.get("b") == ("" if row["b"] is None else str(row["b"]))


def test_text_that_a_spreadsheet_would_run_is_made_harmless(tmp_path: Path):
    write_sheet(tmp_path / "t.csv", ("=a",), [{"=a": "=1+1"}, {"=a": "-3"}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "'=a\n'=1+1\n-3\n"
    write_sheet(tmp_path / "t.csv", ("a",), [{"a": "x;=1+1"}, {"a": "2+;3+"}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a\nx;'=1+1\n2+;3+\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1,5", 1.5),
        ("-2", -2),
        ("nan", None),
        ("1e999", None),
        ("", None),
        ("x", None),
    ],
)
def test_numbers_have_a_point_or_a_comma(text: str, value: float | None):
    assert number_in(text) == value


@pytest.mark.parametrize(("text", "value"), [("1,5", 1.5), ("0,125", 0.125), ("1095", 1095)])
def test_a_comma_among_commas_is_a_decimal_sign_where_it_can_be_nothing_else(text, value):
    assert number_in(text, separator=",") == value


@pytest.mark.parametrize("text", ["1,095", "12,345,678", "-1,000.5", "1_000"])
def test_thousands_are_no_fractions(text: str):
    assert number_in(text, separator=",") is None


def test_words_are_read_whatever_their_case():
    read = word(Colour)
    assert read(" Dark Blue ") is Colour.DARK_BLUE
    with pytest.raises(TableError, match="'green' is none of red, dark_blue"):
        read("green")
