"""Tables of reference scores and the truth beside drawn slides."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from her2path.criteria import Intensity, Pattern
from her2path.errors import ResultsError, TableError
from her2path.evaluation.references import read_known_cells, read_references, read_truths


def sheet(folder: Path, text: str) -> Path:
    path = folder / "readings.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_references_are_read_by_slide_id_with_their_groups(tmp_path: Path) -> None:
    found = read_references(
        sheet(
            tmp_path,
            "slide_id;reference;patient_id;laboratory;remark\n"
            "a;2+;P1;Lab A;seen twice\n"
            "b;0|0+;P2;Lab B;\n"
            "c;not_assessable;;;\n"
            "d;;;;no reading\n",
        )
    )
    a, b, c = found
    assert (a.slide_id, str(a.label), a.patient, a.group) == ("a", "2+", "P1", "Lab A")
    assert str(b.label) == "0|0+"
    assert c.label is None


def test_a_path_stands_for_its_slide(tmp_path: Path) -> None:
    (found,) = read_references(sheet(tmp_path, "path,expected_score\nsite/x.ome.tif,3+\n"))
    assert found.slide_id == "x"


def test_all_faults_of_a_table_are_listed(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="3 faults"):
        read_references(sheet(tmp_path, "slide_id,reference\na,7\na,1+\n,2+\n"))
    with pytest.raises(TableError, match="needs a column"):
        read_references(sheet(tmp_path, "name,grade\na,1\n"))
    with pytest.raises(TableError, match="no row fills both"):
        read_references(sheet(tmp_path, "slide_id,reference\na,\n"))


@pytest.mark.parametrize("text", ["0|3+", "0|1+", "0+ | 2"])
def test_a_reference_of_scores_that_are_no_neighbours_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TableError, match=r"row 3, reference: .* no neighbouring scores; give"):
        read_references(sheet(tmp_path, f"slide_id,reference\na,0|0+\nb,{text}\n"))


HEAD = (
    "x,y,kind,is_tumor,region,intensity,pattern,completeness,membrane_od,membrane_width_um,"
    "nucleus_area_um2,outline\n"
)


def cells(path: Path, *rows: str) -> Path:
    path.write_bytes(gzip.compress((HEAD + "\n".join(rows) + "\n").encode()))
    return path


def test_the_cells_of_a_drawn_slide_are_read(tmp_path: Path) -> None:
    found = read_known_cells(
        cells(
            tmp_path / "s.cells.csv.gz",
            "10.5,20,tumor,true,0,weak,complete,0.95,0.3,1.0,40,1 2;3 4",
            "30,40,stroma,false,0,none,absent,0,0,0,20,",
        )
    )
    assert len(found) == 2
    assert found.x.tolist() == [10.5, 30]
    assert found.is_tumor.tolist() == [True, False]
    assert found.intensity.tolist() == [Intensity.WEAK, Intensity.NONE]
    assert found.pattern.tolist() == [Pattern.COMPLETE, Pattern.ABSENT]
    assert found.completeness.tolist() == [0.95, 0]


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b"x,y\n1,2\n"),
        gzip.compress((HEAD + "1,2,t,true,0,purple,complete,1,1,1,1,\n").encode()),
        gzip.compress((HEAD + "1,2\n").encode())[:-9],
    ],
    # gzip writes the time into its bytes: workers that name a test by them disagree
    ids=["no gzip", "other columns", "unknown intensity", "cut short"],
)
def test_damaged_cells_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "s.cells.csv.gz"
    path.write_bytes(data)
    with pytest.raises(ResultsError, match="cannot be read as cells"):
        read_known_cells(path)


def truth(folder: Path, name: str, **changes: object) -> None:
    document = {
        "slide_id": name,
        "mpp": 0.25,
        "score": "1+",
        "laboratory": {"name": "lab"},
    } | changes
    (folder / f"{name}.truth.json").write_text(json.dumps(document))


def test_truths_of_a_folder_are_read_with_their_cells(tmp_path: Path) -> None:
    truth(tmp_path, "a")
    truth(tmp_path, "blank", score="not_assessable")
    cells(tmp_path / "a.cells.csv.gz")
    a, blank = read_truths(tmp_path)
    assert (a.slide_id, str(a.label), a.group, a.mpp) == ("a", "1+", "lab", 0.25)
    assert a.cells_path == tmp_path / "a.cells.csv.gz"
    assert blank.label is None
    assert blank.cells_path is None


def test_a_folder_without_truth_and_a_strange_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="--reference"):
        read_truths(tmp_path)
    truth(tmp_path, "a", score="purple")
    with pytest.raises(ResultsError, match="no truth"):
        read_truths(tmp_path)


def test_columns_of_references_are_known_in_any_case(tmp_path: Path) -> None:
    text = "Slide_ID, REFERENCE ,Patient_ID,Laboratory\na,2+,P1,Lab A\n"
    (found,) = read_references(sheet(tmp_path, text))
    assert (found.slide_id, str(found.label), found.patient, found.group) == (
        "a", "2+", "P1", "Lab A",
    )  # fmt: skip


def test_two_columns_that_mean_one_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="columns 'score' and 'Score' both mean score"):
        read_references(sheet(tmp_path, "slide_id,score,Score\na,2+,1+\n"))


def test_an_optional_column_that_is_nearly_known_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "slide_id,reference,patientid,score_1,sites\na,2+,P1,1+,x\n"
    (found,) = read_references(sheet(tmp_path, text))
    assert (found.patient, found.group) == ("", "")
    assert caplog.messages == [
        "readings.csv: column patientid is not read; did you mean patient_id?",
        "readings.csv: column sites is not read; did you mean site?",
    ]


def test_what_a_table_of_references_lacks_is_told_with_what_may_be_meant(tmp_path: Path) -> None:
    header = ",".join([*(f"c{k}" for k in range(40)), "refscore"])
    with pytest.raises(TableError, match=r"it has refscore, c0, .* and 29 more"):
        read_references(sheet(tmp_path, f"{header}\na\n"))


def test_rows_of_too_many_values_are_listed_beside_faults_of_cells(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"2 faults[\s\S]*row 2: 3 values[\s\S]*row 3, ref"):
        read_references(sheet(tmp_path, "slide_id,reference\na,1+,2+\nb,7\n"))
    with pytest.raises(TableError, match=r"1 fault\n  - row 2: 3 values"):
        read_references(sheet(tmp_path, "slide_id,reference\na,1+,2+\nb,\n"))


def test_a_path_written_under_windows_stands_for_its_slide(tmp_path: Path) -> None:
    (found,) = read_references(sheet(tmp_path, "path,reference\nC:\\data\\x.svs,3+\n"))
    assert found.slide_id == "x"


def test_not_assessable_is_known_in_any_case(tmp_path: Path) -> None:
    (found,) = read_references(sheet(tmp_path, "slide_id,reference\na,Not assessable\n"))
    assert found.label is None


def write_cells(folder: Path, *rows: str, more: str = "") -> Path:
    path = folder / "x.cells.csv.gz"
    text = "\n".join([f"x,y,is_tumor,intensity,pattern,completeness{more}", *rows, ""])
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,true", "row 2 ends before intensity"),
        ("nan,2,true,weak,complete,1", "a cell has no place"),
        ("1,inf,true,weak,complete,1", "a cell has no place"),
        ("1,2,maybe,weak,complete,1", "maybe"),
    ],
)
def test_cells_that_say_nothing_are_refused(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(ResultsError, match=words):
        read_known_cells(write_cells(tmp_path, row))


def test_a_spreadsheet_may_write_the_kind_of_a_cell_in_capitals(tmp_path: Path) -> None:
    rows = ("1,2,TRUE,weak,complete,1", "1,2,False,none,absent,0")
    assert read_known_cells(write_cells(tmp_path, *rows)).is_tumor.tolist() == [True, False]


def test_columns_that_nobody_reads_take_no_memory(tmp_path: Path) -> None:
    row = "1,2,true,weak,complete,1" + ",1" * 3000
    path = write_cells(tmp_path, *[row] * 500, more="".join(f",c{k}" for k in range(3000)))
    tracemalloc.start()
    read_known_cells(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10e6


@pytest.mark.parametrize("mpp", ["0", "-0.5", "NaN", "Infinity"])
def test_a_truth_without_a_size_of_pixels_is_refused(tmp_path: Path, mpp: str) -> None:
    text = f'{{"score": "1+", "mpp": {mpp}, "laboratory": {{"name": "A"}}}}'
    (tmp_path / "a.truth.json").write_text(text)
    with pytest.raises(ResultsError, match="is no truth of a drawn slide"):
        read_truths(tmp_path)
