from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import TableError
from her2path.results.faults import SheetFaults
from her2path.results.sheet import (
    columns_like,
    look_alikes,
    number_in,
    read_sheet,
    warn_of_near_misses,
    word,
    write_sheet,
)


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('p,m,n\na,1,"open\nb,2,\nc,3,x\n', "row 2: a quote .* never closed"),
        ('p,m,n\na,1,x\n"open,2,\nc,3,x\n', "row 3: a quote .* never closed"),
        ('p,"m,n\na,1,x\n', "row 1: a quote .* never closed"),
        ('p,m,n\na,1,"open\nb,2,"note"\nc,3,x\n', "row 2: text .* right behind the quote"),
        ('p,m,n\na,1,x\nb,2,"x"y\n', "row 3: text .* right behind the quote"),
        ('p,m,n\na,1,"open\nb,2,\nc,3,x"\nd,4,\n', "row 2, value 3: .* may be rows"),
        ('p\n"a\nb"\n', "row 2, value 1: .* may be rows"),
        ('p,m\na,"' + "x\n" * 3000 + 'x"\n', "row 2, value 2: .* may be rows"),
        ('p,m\na,"' + "x" * 200_000 + "\n", "row 2: a value is longer .* never closed"),
        ("p,m\na," + "x" * 200_000 + "\n", "row 2: a value is longer than 131,072 letters"),
    ],
)
def test_a_quote_that_swallows_rows_is_named_with_its_row(tmp_path: Path, text: str, words: str):
    with pytest.raises(TableError, match=words):
        sheet_of(tmp_path / "t.csv", text)


def test_quotes_inside_a_cell_are_text(tmp_path: Path):
    sheet = sheet_of(tmp_path / "t.csv", 'a,b\n5" lens,"he said ""no"", twice"\n')
    assert dict(sheet.rows[0].cells) == {"a": '5" lens', "b": 'he said "no", twice'}


@pytest.mark.parametrize("head", ["sep=;\n", "sep=;\r\n", "SEP=;;;\n", '"sep=;"\n'])
def test_the_line_that_names_the_separator_is_understood(tmp_path: Path, head: str):
    sheet = sheet_of(tmp_path / "t.csv", f"{head}path;mpp\na,b.svs;0,25\n")
    assert (sheet.columns, sheet.separator) == (("path", "mpp"), ";")
    assert sheet.rows[0].number == 2
    assert dict(sheet.rows[0].cells) == {"path": "a,b.svs", "mpp": "0,25"}


def test_a_separator_that_cannot_be_one_is_named(tmp_path: Path):
    with pytest.raises(TableError, match="line 1: 'sep=x' names no sign"):
        sheet_of(tmp_path / "t.csv", "sep=x\npathxmpp\n")


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


def test_a_folder_in_place_of_a_table_is_called_one(tmp_path: Path):
    with pytest.raises(TableError, match="is a folder; name the table itself, a CSV file"):
        read_sheet(tmp_path)


def test_too_many_rows_and_columns_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("her2path.results.sheet.MAX_ROWS", 3)
    monkeypatch.setattr("her2path.results.sheet.MAX_COLUMNS", 3)
    with pytest.raises(TableError, match="more than 3 rows"):
        sheet_of(tmp_path / "t.csv", "a\n" + "1\n" * 5)
    with pytest.raises(TableError, match="4 columns are more than 3"):
        sheet_of(tmp_path / "t.csv", "a,b,c,d\n1,2,3,4\n")


def is_one_row(text: str) -> bool:
    """Return whether no line of a text could be a row of its own, as it stands in a cell."""
    return "," not in text.strip().replace("\r", "\n").partition("\n")[2]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"a": st.text(max_size=8).filter(is_one_row), "b": st.integers() | st.none()}
        ),
        min_size=1,
        max_size=5,
    )
)
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


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("P1", "p1", "P2", "P1"), "P1 and p1"),
        (("1", "1.0", "1,00", "2", "a", "A"), "1, 1.0 and 1,00; a and A"),
        (("12345678901234567", "12345678901234568"), ""),
        (("M\u00fcller", "Mu\u0308ller", "Muller"), "M\u00fcller and Mu\u0308ller"),
        ((), ""),
    ],
)
def test_names_that_look_alike_stand_together(names: tuple[str, ...], words: str):
    assert look_alikes(names) == words


def test_a_name_that_is_a_number_beyond_all_bounds_is_a_name_all_the_same():
    assert look_alikes(["1e-9999999999999999999999", "2", "2.0"]) == "2 and 2.0"


def test_of_many_names_that_look_alike_some_are_listed():
    names = [form for k in range(9) for form in (f"P{k}", f"p{k}")]
    assert look_alikes(names).endswith("P4 and p4; and 4 more")


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_spreadsheet_says_how_to_become_a_table(tmp_path, magic):
    path = tmp_path / "slides.csv"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(TableError, match="is a spreadsheet; save the sheet as CSV UTF-8"):
        read_sheet(path)


def test_known_columns_are_called_so_however_they_are_written(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("Patient_ID , ISH,Block No\nP1,amplified,A3\n", encoding="utf-8")
    sheet = read_sheet(path, needed=("patient_id",), known=("patient_id", "ish"))
    assert sheet.columns == ("patient_id", "ish", "Block No")
    assert dict(sheet.rows[0].cells) == {"patient_id": "P1", "ish": "amplified", "Block No": "A3"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("ish,ISH", "columns 'ish' and 'ISH' both mean ish"),
        ("ISH, Ish,ish", "columns 'ISH', 'Ish' and 'ish' all mean ish"),
        ("ish,ish", "column 'ish' stands 2 times"),
    ],
)
def test_columns_that_become_one_are_refused_by_the_names_they_have(
    tmp_path: Path, header: str, words: str
):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n1,2,3\n", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_sheet(path, known=("ish",))
    assert words in str(caught.value)


def test_own_columns_may_differ_in_capitals(tmp_path: Path):
    assert sheet_of(tmp_path / "t.csv", "block,Block\n1,2\n").columns == ("block", "Block")


def test_a_missing_column_that_differs_in_capitals_is_said_to(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(",".join([*(f"c{k}" for k in range(30)), "Slide_ID"]) + "\n1\n")
    with pytest.raises(TableError, match=r"no column slide_id \(in other capitals: Slide_ID\)"):
        read_sheet(path, needed=("slide_id",))


def test_faults_of_rows_can_be_told_beside_those_of_cells(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,2,3\n4,5\n6,"7\n8,9"\n0,"x\n', encoding="utf-8")
    faults = SheetFaults()
    sheet = read_sheet(path, faults=faults)
    assert [row.number for row in sheet.rows] == [3]
    with pytest.raises(TableError) as caught:
        faults.refuse(path)
    for words in ("row 2: 3 values for 2", "row 4, value 2: ", "row 5: a quote", "3 faults"):
        assert words in str(caught.value)
    with pytest.raises(TableError, match="3 faults"):
        read_sheet(path)


def test_a_table_without_a_whole_row_or_with_faults_of_columns_is_refused_at_once(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2,3\n", encoding="utf-8")
    with pytest.raises(TableError, match="row 2: 3 values"):
        read_sheet(path, faults=SheetFaults())
    path.write_text("a,a\n1,2,3\n4,5\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"column 'a' stands 2 times[\s\S]*row 2: 3 values"):
        read_sheet(path, faults=SheetFaults())


def test_the_columns_that_may_be_meant_come_first_and_the_rest_is_counted():
    columns = [f"column_{k}" for k in range(30)] + ["PFS_Months", "network_score"]
    words = columns_like(["months"], columns)
    assert words.startswith("PFS_Months, column_0, ")
    assert words.endswith(", column_10 and 20 more")
    assert columns_like(["foo_score"], columns).startswith("network_score, ")
    assert columns_like(["a"], ["", "b"]) == "b"
    assert columns_like(["a"], []) == "nothing"


def test_a_near_miss_is_told_unless_the_known_column_is_filled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    warn_of_near_misses(sheet_of(tmp_path / "a.csv", "ish,isch\n,2\n"), ("ish",))
    warn_of_near_misses(sheet_of(tmp_path / "b.csv", "ish,isch\n1,2\n"), ("ish",))
    warn_of_near_misses(sheet_of(tmp_path / "c.csv", "FISH\n1\n"), ("ish",), used=("FISH",))
    assert caplog.messages == ["a.csv: column isch is not read; did you mean ish?"]
