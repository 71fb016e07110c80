from pathlib import Path

import pytest
from patient_tables import YAN, write_rows

from her2path.criteria.score import Organ
from her2path.errors import TableError
from her2path.outcomes.patients import Columns, read_patients
from her2path.results.columns import SLIDE_COLUMNS, names


def faults_of(path: Path, columns: Columns) -> str:
    with pytest.raises(TableError) as caught:
        read_patients(path, columns)
    return str(caught.value)


def test_groups_of_yan_2025_come_out_as_published(tmp_path: Path):
    rows = [{"score": s, "ish": ish} for s, ish, n in YAN for _ in range(n)]
    patients = read_patients(write_rows(tmp_path / "t.csv", *rows), Columns())
    assert patients.groups == ("positive", "low")
    assert [len(patients.of(group)) for group in patients.groups] == [46, 52]
    assert patients.counts == {(s, ish): n for s, ish, n in YAN}


def test_groups_stand_in_the_order_of_her2(tmp_path: Path):
    rows = [{"score": s} for s in ("0", "0+", "2+", "1+", "3+", "not_assessable")]
    patients = read_patients(write_rows(tmp_path / "t.csv", *rows), Columns())
    assert patients.groups == ("positive", "low", "ultralow", "null", "equivocal")
    assert patients.n_without_group == 1


def test_the_stomach_has_its_own_rules(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", {"score": "1+", "ish": "amplified"})
    assert read_patients(table, Columns()).groups == ("positive",)
    assert read_patients(table, Columns(), organ=Organ.STOMACH).groups == ("negative",)


def test_slides_csv_is_taken_by_its_status(tmp_path: Path):
    rows = [{"slide_id": "a", "score": "2+", "status": "low"}, {"slide_id": "b", "status": ""}]
    patients = read_patients(write_rows(tmp_path / "t.csv", *rows), Columns())
    assert (patients.groups, patients.n_without_group) == (("low",), 1)
    assert patients.group_source == "column status"


def test_a_status_in_words_is_that_of_her2(tmp_path: Path):
    words = ("Low", "Null", "Not assessable", "POSITIVE")
    table = write_rows(tmp_path / "t.csv", *({"status": word} for word in words))
    patients = read_patients(table, Columns())
    assert (patients.groups, patients.n_without_group) == (("positive", "low", "null"), 1)
    table = write_rows(tmp_path / "t.csv", *({"er": word} for word in words))
    patients = read_patients(table, Columns(group="er"))
    assert (patients.groups, patients.n_without_group) == (("Low", "Null", "POSITIVE"), 1)


def test_ish_that_the_stomach_does_not_know_is_listed_with_the_other_faults(tmp_path: Path):
    rows = [{"score": "2+", "ish": "group3"}, {"score": "7+", "ish": ""}]
    with pytest.raises(TableError) as caught:
        read_patients(write_rows(tmp_path / "t.csv", *rows), Columns(), organ=Organ.STOMACH)
    assert "row 2, ish: the dual-probe groups are defined for breast" in str(caught.value)
    assert "row 3, score: '7+' is no score" in str(caught.value)


def test_any_column_can_name_the_groups(tmp_path: Path):
    rows = [{"age_group": g} for g in ("<65", "≥65", "<65")]
    patients = read_patients(write_rows(tmp_path / "t.csv", *rows), Columns(group="age_group"))
    assert patients.groups == ("<65", "≥65")


def test_numbers_and_names_are_told_apart(tmp_path: Path):
    rows = [{"score": "0", "age": 40 + k, "grade": 1 + k % 3, "stage": 10 + k} for k in range(9)]
    columns = Columns(covariates=("age", "grade", "stage"), categorical=("stage",))
    (first, *_) = read_patients(write_rows(tmp_path / "t.csv", *rows), columns).rows
    assert first.numbers == {"age": 40}
    assert first.categories == {"grade": "1", "stage": "10"}


def test_decimal_commas_and_words_are_read(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("score;m;d;r\n1+;7,5;yes;PR\n0;3;Alive;PD\n3+;;;ne\n", encoding="utf-8")
    rows = read_patients(path, Columns(time="m", event="d", response="r")).rows
    assert [(p.time, p.event, p.response) for p in rows] == [
        (7.5, True, True), (3.0, False, False), (None, None, None),
    ]  # fmt: skip


def test_other_words_of_response_can_be_named(tmp_path: Path):
    rows = [{"score": "1+", "r": word} for word in ("RCB-0", "RCB-1", "RCB-2", "")]
    columns = Columns(response="r", responders=("rcb-0", "RCB-1"))
    found = [p.response for p in read_patients(write_rows(tmp_path / "t.csv", *rows), columns).rows]
    assert found == [True, True, False, None]


def test_responders_that_nobody_has_are_a_fault_and_unknown_is_not_none(tmp_path: Path):
    rows = [{"score": "1+", "r": word} for word in ("CR", "SD", "n.d.")]
    table = write_rows(tmp_path / "t.csv", *rows)
    found = read_patients(table, Columns(response="r", responders=("CR",))).rows
    assert [patient.response for patient in found] == [True, False, None]
    with pytest.raises(TableError, match="'MPR' is nowhere in r; it holds CR, SD"):
        read_patients(table, Columns(response="r", responders=("MPR",)))


def test_beside_usual_responders_an_answer_that_nobody_knows_is_a_fault(tmp_path: Path):
    rows = [{"score": "1+", "r": word} for word in ("CR", "pCR", "PR", "n. d.", "missing")]
    faults = faults_of(
        write_rows(tmp_path / "t.csv", *rows), Columns(response="r", responders=("CR", "pCR"))
    )
    assert "row 5, r: 'n. d.' is no response" in faults
    assert "row 6, r: 'missing' is no response" in faults
    assert "row 4" not in faults


def test_answers_beside_other_words_of_response_are_kept_to_be_told(tmp_path: Path):
    rows = [{"score": "1+", "r": word} for word in ("RCB-0", "RCB-2", "n. d.", "SD", "n.d.")]
    columns = Columns(response="r", responders=("RCB-0",))
    found = read_patients(write_rows(tmp_path / "t.csv", *rows), columns)
    assert [p.response for p in found.rows] == [True, False, False, False, None]
    assert found.taken_for_none == ("RCB-2", "n. d.")


def test_numbers_that_are_no_times_are_a_fault(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", {"score": "1+", "m": "1e300", "d": "1"})
    with pytest.raises(TableError, match="is no time"):
        read_patients(table, Columns(time="m", event="d"))


def test_every_fault_is_listed_at_once_with_its_row(tmp_path: Path):
    good = {"score": "1+", "ish": "", "m": 3, "d": 1, "r": "PR", "age": 50}
    table = write_rows(
        tmp_path / "t.csv",
        *({**good, "patient_id": k, "age": 50 + k} for k in range(6)),
        {**good, "patient_id": "A", "score": "4+"},
        {**good, "patient_id": "A", "m": -2},
        {**good, "patient_id": "B", "m": "soon"},
        {**good, "patient_id": "C", "d": "perhaps"},
        {**good, "patient_id": "D", "d": ""},
        {**good, "patient_id": "E", "r": "better"},
        {**good, "patient_id": "F", "age": "old"},
        {**good, "patient_id": "G", "ish": "group9"},
    )
    faults = faults_of(table, Columns(time="m", event="d", response="r", covariates=("age",)))
    for words in (
        "row 8, score: '4+' is no score",
        "row 9, m: '-2' is no time",
        "row 9, patient_id: 'A' stands in row 8 already",
        "row 10, m: 'soon' is no time",
        "row 11, d: 'perhaps' is no event",
        "row 12, d: is empty, though its partner is not",
        "row 13, r: 'better' is no response",
        "row 14, age: 'old' is no number",
        "row 15, ish: 'group9' is none of amplified",
    ):
        assert words in faults


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (Columns(time="m"), "--time and --event belong together"),
        (Columns(covariates=("weight",)), "no column 'weight'; known are"),
        (Columns(score="ihc"), "no column 'ihc'"),
        (Columns(score="score", group="score"), "exclude each other"),
        (Columns(categorical=("score",)), "which is no covariate"),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, columns: Columns, words: str):
    table = write_rows(tmp_path / "t.csv", {"score": "1+", "m": 1})
    assert words in faults_of(table, columns)


def test_a_table_without_groups_is_refused(tmp_path: Path):
    assert "name it with --score" in faults_of(
        write_rows(tmp_path / "t.csv", {"age": 1}), Columns()
    )
    table = write_rows(tmp_path / "t.csv", {"score": "", "age": 1})
    assert "no row belongs to a group" in faults_of(table, Columns())
    table = write_rows(tmp_path / "t.csv", *({"g": k} for k in range(30)))
    assert "is it the right column" in faults_of(table, Columns(group="g"))


def test_the_example_table_of_the_documents_is_read():
    table = Path(__file__).resolve().parents[2] / "docs" / "tables" / "patients.csv"
    columns = Columns(time="months", event="progressed", response="response", strata="site")
    assert len(read_patients(table, columns).groups) == 5


ISH = {"Patient_ID": "P1", "Score": "2+", " ISH ": "not_amplified", "Age": "61"}


def test_score_and_ish_are_known_in_any_case_and_own_columns_stay_as_written(tmp_path: Path):
    found = read_patients(write_rows(tmp_path / "t.csv", ISH), Columns(covariates=("Age",)))
    assert (found.groups, found.group_source) == (("low",), "column score with ISH in ish")
    assert (found.rows[0].patient_id, found.rows[0].categories) == ("P1", {"Age": "61"})


def test_options_may_name_a_known_column_as_it_is_written(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", {"Score": "2+", "FISH": "amplified", "Status": "low"})
    assert read_patients(table, Columns(score="Score", ish="FISH")).groups == ("positive",)
    assert read_patients(table, Columns(group="Status")).groups == ("low",)


def test_ish_is_found_by_itself_beside_a_named_score(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", {"ihc": "2+", "ish": "not_amplified"})
    assert read_patients(table, Columns(score="ihc")).groups == ("low",)


def test_two_columns_that_mean_one_are_refused_by_name(tmp_path: Path):
    table = write_rows(tmp_path / "t.csv", {"score": "2+", "ish": "", "ISH": "amplified"})
    assert "columns 'ish' and 'ISH' both mean ish" in faults_of(table, Columns())


def test_a_column_that_is_nearly_known_is_warned_of_unless_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    row = {"score": "2+", "fish": "amplified", "er_status": "1", "patient": "P1"}
    table = write_rows(tmp_path / "t.csv", row)
    assert read_patients(table, Columns(ish="fish")).groups == ("positive",)
    assert caplog.messages == ["t.csv: column patient is not read; did you mean patient_id?"]
    caplog.clear()
    assert read_patients(table, Columns(covariates=("patient",))).groups == ("equivocal",)
    assert caplog.messages == ["t.csv: column fish is not read; did you mean ish?"]


@pytest.mark.parametrize("word", ["alive", "1"])
def test_a_status_of_the_patient_makes_no_groups_of_her2(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, word: str
):
    table = write_rows(tmp_path / "t.csv", {"Score": "1+", "Status": word, "m": 3})
    assert read_patients(table, Columns(time="m", event="Status")).groups == ("low",)
    assert caplog.messages == []
    assert read_patients(table, Columns()).groups == ("low",)
    assert f"status is not read, {word!r} is no HER2 status" in caplog.text


def test_her2_status_is_taken_whatever_its_letters(tmp_path: Path):
    rows = [{"score": "2+", "Status": text} for text in ("low", "Not assessable", "")]
    assert read_patients(write_rows(tmp_path / "t.csv", *rows), Columns()).group_source == (
        "column status"
    )


def test_a_column_that_is_not_there_is_told_with_those_that_may_be_meant(tmp_path: Path):
    header = [*names(SLIDE_COLUMNS), "Clinic", "PFS_Months"]
    path = tmp_path / "t.csv"
    path.write_text(",".join(header) + "\n" + "a," * (len(header) - 1) + "1\n")
    faults = faults_of(path, Columns(group="status", covariates=("pfs_month", "weight")))
    rest = f" and {len(header) - 12} more"
    for words in (
        "no column 'pfs_month'; known are PFS_Months, Clinic, ",
        "no column 'weight'; known are Clinic, PFS_Months, ",
        rest,
    ):
        assert words in faults


def test_a_row_of_too_many_values_is_listed_beside_faults_of_cells(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("score,r\n1+,CR,MPR\n4+,PR\n1+,CR\n", encoding="utf-8")
    faults = faults_of(path, Columns(response="r", responders=("CR", "MPR")))
    assert "2 faults" in faults
    assert "row 2: 3 values for 2 columns" in faults
    assert "row 3, score: '4+' is no score" in faults
    assert "row 2: 3 values for 2 columns" in faults_of(path, Columns(covariates=("weight",)))


def test_whoever_progressed_or_died_has_no_response(tmp_path: Path):
    rows = [{"score": "1+", "r": word} for word in ("Progressed", "PR")]
    table = write_rows(tmp_path / "t.csv", *rows)
    assert [p.response for p in read_patients(table, Columns(response="r")).rows] == [False, True]
    table = write_rows(tmp_path / "t.csv", *rows, {"score": "1+", "r": "dead"})
    assert "row 4, r: 'dead' is no response" in faults_of(table, Columns(response="r"))


def test_a_text_for_each_patient_is_no_covariate(tmp_path: Path):
    rows = [{"score": "1+", "note": f"text {k}"} for k in range(101)]
    table = write_rows(tmp_path / "t.csv", *rows)
    words = "covariate 'note' holds 101 different words, more than 100"
    assert words in faults_of(table, Columns(adjust=("note",)))
    assert read_patients(write_rows(table, *rows[1:]), Columns(covariates=("note",))).rows
