import json
from pathlib import Path

import pytest
from cohort_tables import write_rows, write_table
from hypothesis import given
from hypothesis import strategies as st

from her2path.cohort.pairs import edition_name
from her2path.cohort.table import read_pairs
from her2path.compare.verdict import Verdict
from her2path.criteria.rule_set import RuleSet, load_rule_set
from her2path.criteria.score import IshResult, Organ, Score, Status
from her2path.criteria.words import score_named
from her2path.errors import TableError

PAIR = {"patient_id": "P1", "before": "2+", "after": "0"}


def read(path: Path, **options: RuleSet | None):
    return read_pairs(path, **options)[1]


def faults_of(path: Path) -> str:
    with pytest.raises(TableError) as caught:
        read_pairs(path)
    return str(caught.value)


def test_every_word_of_a_score_is_understood(tmp_path: Path):
    words = ["0", "0+", "1", "1+", "2+", "3+", "ultralow", "null", "NULL", "Not assessable"]
    rows = [{"patient_id": k, "before": word, "after": "0"} for k, word in enumerate(words)]
    assert [pair.before.score for pair in read(write_rows(tmp_path / "t.csv", *rows))] == [
        Score.ZERO, Score.ULTRALOW, Score.ONE_PLUS, Score.ONE_PLUS, Score.TWO_PLUS,
        Score.THREE_PLUS,
        Score.ULTRALOW, Score.ZERO, Score.ZERO, Score.NOT_ASSESSABLE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("2.0", Score.TWO_PLUS),
        ("3,0", Score.THREE_PLUS),
        ("0.0", Score.ZERO),
        ("1 +", Score.ONE_PLUS),
        ("2plus", Score.TWO_PLUS),
        ("0 PLUS", Score.ULTRALOW),
    ],
)
def test_spreadsheets_and_columns_write_scores_in_their_own_way(text: str, score: Score):
    assert score_named(text) is score


@pytest.mark.parametrize("text", ["", "4+", "low", "+", "2++", "2.5", "10", "plus", "negative"])
def test_other_words_are_no_score(text: str):
    assert score_named(text) is None


def test_ish_makes_the_status(tmp_path: Path):
    row = PAIR | {"before_ish": "Not amplified", "after": "2+", "after_ish": "group3"}
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.ish, pair.after.ish) == (IshResult.NOT_AMPLIFIED, IshResult.GROUP_3)
    assert (pair.before.status, pair.after.status) == (Status.LOW, Status.POSITIVE)


def test_a_2plus_without_ish_is_never_guessed(tmp_path: Path):
    (pair,) = read(write_rows(tmp_path / "t.csv", PAIR))
    assert pair.before.status is Status.EQUIVOCAL


def test_every_fault_is_listed_at_once_with_its_row(tmp_path: Path):
    faults = faults_of(
        write_rows(
            tmp_path / "t.csv",
            {**PAIR, "before": "4+"},
            {**PAIR, "patient_id": "P2", "after": ""},
            {**PAIR, "patient_id": "P3", "before_ish": "maybe"},
            {**PAIR, "patient_id": "P4", "before_date": "2024-02-30"},
            {**PAIR, "patient_id": "P5", "before_date": "2024-05-01", "after_date": "2023-05-01"},
            {**PAIR, "patient_id": "P6", "before": "one", "after": "gone.svs"},
            {**PAIR, "patient_id": "P1"},
            {**PAIR, "patient_id": ""},
            {**PAIR, "patient_id": "P8", "verdict": "surely"},
            {**PAIR, "patient_id": "P9", "before_date": "0204-05-01"},
        )
    )
    assert faults.startswith("t.csv cannot be used: 11 faults")
    for words in (
        "row 2, before: '4+' is no score and no file",
        "row 3, after: is empty",
        "row 4, before_ish: 'maybe' is none of amplified, not_amplified",
        "row 5, before_date: '2024-02-30' is no date; write it as 2025-03-31",
        "row 6, after_date: 2023-05-01 lies before 2024-05-01",
        "row 7, before: 'one' is no score and no file",
        "row 7, after: 'gone.svs' is no score and no file",
        "row 8, patient_id: 'P1' stands in row 2 already; name each pair",
        "row 9, patient_id: is empty",
        "row 10, verdict: 'surely' is none of changed",
        "row 11, before_date: '0204-05-01' lies outside",
    ):
        assert words in faults


def test_dates_may_be_named_the_other_way_round(tmp_path: Path):
    row = {**PAIR, "date_before": "2024-05-01", "date_after": "2023-05-01"}
    assert "row 2, date_after: 2023-05-01 lies before" in faults_of(
        write_rows(tmp_path / "t.csv", row)
    )


def test_faults_stand_in_the_order_of_their_rows(tmp_path: Path):
    rows = [{**PAIR, "patient_id": "P", "before": "x"} for _ in range(4)]
    numbers = [line.split("row ")[1].split(",")[0] for line in
               faults_of(write_rows(tmp_path / "t.csv", *rows)).splitlines()[1:]]  # fmt: skip
    assert numbers == sorted(numbers, key=int)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column patient_id, before, after"),
        ("patient_id,before,after\n", "there is no row"),
        ("patient_id,before,after\n\n , ,\n", "there is no row"),
        ("patient_id,before\nP1,0\n", "no column after"),
        ("patient_id,before,after,before\nP1,0,0,0\n", "column 'before' stands 2 times"),
        ("patient_id,before,after\nP1,0,0,0\n", "row 2: 4 values for 3 columns"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused(tmp_path: Path, text: str, words: str):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    assert words in faults_of(path)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path):
    assert "cannot be read" in faults_of(tmp_path / "gone.csv")
    (tmp_path / "t.csv").write_bytes("patient_id,before,after\nMüller,0,0".encode("latin-1"))
    assert "not UTF-8" in faults_of(tmp_path / "t.csv")


def test_semicolons_and_a_byte_order_mark_are_read(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeffpatient_id;before;after\r\nP1;3+;0\r\n\r\nP2;0;0\r\n", encoding="utf-8")
    assert [(p.row, p.before.score) for p in read(path)] == [
        (2, Score.THREE_PLUS), (4, Score.ZERO),
    ]  # fmt: skip


def test_pairs_of_one_patient_are_told_apart_by_their_name(tmp_path: Path):
    rows = [{**PAIR, "pair": "liver"}, {**PAIR, "pair": "skin"}]
    assert [p.name for p in read(write_rows(tmp_path / "t.csv", *rows))] == ["liver", "skin"]
    again = faults_of(write_rows(tmp_path / "t.csv", *rows, {**PAIR, "pair": "skin"}))
    assert "row 4, patient_id: 'P1' stands in row 3 already with the same pair" in again


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ASCO/CAP 2018", "asco-cap-2018"),
        ("asco-cap-2013", "asco-cap-2013"),
        ("2007", "asco-cap-2007"),
        ("ASCO CAP 2023", "asco-cap-2018"),
        ("gastric-biopsy", "gastric-biopsy"),
        ("Hofmann 2008", "hofmann-2008"),
        ("", ""),
    ],
)
def test_one_edition_has_one_name(text: str, name: str):
    assert edition_name(text) == name


def test_stomach_criteria_give_the_status_of_stomach(tmp_path: Path):
    row = {"patient_id": "P1", "before": "1+", "after": "0", "before_ish": "amplified"}
    (breast,) = read(write_rows(tmp_path / "t.csv", {**row, "after_edition": "2018"}))
    (stomach,) = read(write_rows(tmp_path / "t.csv", {**row, "after_edition": "gastric-biopsy"}))
    assert breast.before.status is Status.POSITIVE
    # By its rules 1+ is negative whatever the ISH.
    assert stomach.before.organ is stomach.after.organ is Organ.STOMACH
    assert stomach.before.status is not Status.POSITIVE


def test_editions_must_not_differ(tmp_path: Path):
    first = {**PAIR, "before_edition": "ASCO/CAP 2018", "after_edition": "2018"}
    assert len(read(write_rows(tmp_path / "t.csv", first))) == 1
    faults = faults_of(
        write_rows(
            tmp_path / "t.csv",
            first,
            {**first, "patient_id": "P2", "after_edition": "2013"},
            {**first, "patient_id": "P3", "before_edition": "2007"},
        )
    )
    assert "row 3, after_edition: asco-cap-2013, but before of row 2 has asco-cap-2018" in faults
    assert "row 4, before_edition: asco-cap-2007" in faults


def test_a_score_that_its_edition_lacks_is_a_fault(tmp_path: Path):
    row = {**PAIR, "before": "0+", "before_edition": "2013", "after_edition": "2013"}
    faults = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "row 2, before: is 0+, which asco-cap-2013 does not have; it has 0, 1+, 2+, 3+" in faults
    assert "name the edition that gave it" in faults


@pytest.mark.parametrize("edition", ["ToGA", "Hofmann", "gastric-biopsy"])
def test_the_stomach_has_no_ultralow(tmp_path: Path, edition: str):
    row = {**PAIR, "after": "0+", "before_edition": edition, "after_edition": edition}
    faults = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "row 2, after: is 0+, which" in faults
    assert "does not have; it has 0, 1+, 2+, 3+" in faults


def test_an_edition_that_stands_on_one_side_holds_for_the_row(tmp_path: Path):
    row = {**PAIR, "after": "0+", "before_edition": "2013"}
    faults = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "row 2, after: is 0+, which asco-cap-2013 does not have" in faults


def test_a_slide_json_gives_score_ish_and_edition(tmp_path: Path, slide_json):
    slide_json("a.json", score="3+")
    slide_json("results/b/slide.json", score="2+", ish="not_amplified")
    row = {"patient_id": "P1", "before": "a.json", "after": "results/b"}
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.score, pair.after.score) == (Score.THREE_PLUS, Score.TWO_PLUS)
    assert (pair.before.edition, pair.after.status) == ("asco-cap-2018", Status.LOW)


def test_what_a_table_says_of_a_slide_must_not_contradict_it(tmp_path: Path, slide_json):
    slide_json("a.json", score="2+", ish="amplified")
    faults = faults_of(
        write_rows(
            tmp_path / "t.csv",
            {**PAIR, "before": "a.json", "before_ish": "not_amplified", "before_edition": "2013"},
            {**PAIR, "patient_id": "P2", "before": "a.json"},
            {"patient_id": "P3", "before": "b.json", "after": "b.json"},
        )
    )
    assert "row 2, before_ish: is not_amplified, but a.json was scored with amplified" in faults
    assert "row 2, before_edition: is asco-cap-2013, but a.json has asco-cap-2018" in faults
    assert "row 3, before: a.json belongs to 'P1' in row 2" in faults
    assert "row 4, before:" in faults


def test_one_slide_under_two_names_is_one_slide(tmp_path: Path, slide_json):
    slide_json("a.json", score="2+", sha256_ends="one")
    slide_json("b.json", score="2+", sha256_ends="one")
    row = {"patient_id": "P1", "before": "a.json", "after": "b.json"}
    found = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "row 2, after: is the same slide as before" in found
    rows = [{"patient_id": f"P{k}", "before": f"{name}.json", "after": "0"}
            for k, name in enumerate("ab")]  # fmt: skip
    found = faults_of(write_rows(tmp_path / "t.csv", *rows))
    assert "row 3, before: b.json belongs to 'P0' in row 2" in found


def test_results_of_another_patient_are_a_fault(
    tmp_path: Path, slide_json, caplog: pytest.LogCaptureFixture
):
    for name, patient in (("a", "H1"), ("b", "H2"), ("c", "P2"), ("d", "")):
        slide_json(f"{name}.json", score="2+", patient_id=patient)
    rows = [
        {"patient_id": "P1", "before": "a.json", "after": "d.json"},
        {**PAIR, "patient_id": "P2"},
    ]
    assert len(read(write_rows(tmp_path / "t.csv", *rows))) == 2
    assert "1 results name another patient than their row, as 'H1' in row 2" in caplog.text
    rows[0]["after"] = "b.json"
    faults = faults_of(write_rows(tmp_path / "t.csv", *rows))
    assert "row 2, after: its result is of 'H2', that of before of 'H1'" in faults
    rows[0] |= {"before": "1+", "after": "c.json"}
    faults = faults_of(write_rows(tmp_path / "t.csv", *rows))
    assert "row 2, after: the result is of 'P2', who stands in row 3" in faults


def test_a_result_by_stomach_criteria_of_a_site_tells_the_organ_of_the_row(
    tmp_path: Path, slide_json
):
    slide_json("a.json", score="2+", rule_set="our-own", organ="stomach")
    row = {"patient_id": "P1", "before": "a.json", "after": "1+", "after_ish": "amplified"}
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.after.organ, pair.after.status) == (Organ.STOMACH, Status.NEGATIVE)


def test_ish_that_the_stomach_does_not_know_is_a_fault_of_its_row(tmp_path: Path):
    row = {**PAIR, "before_ish": "group3", "after_edition": "gastric-biopsy", "after": "0+"}
    faults = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "row 2, before_ish: the dual-probe groups are defined for breast" in faults
    assert "row 2, after: is 0+, which" in faults


def test_one_slide_is_not_both_sides(tmp_path: Path, slide_json):
    slide_json("a.json", score="2+")
    row = {"patient_id": "P1", "before": "a.json", "after": "a.json"}
    assert "row 2, after: is the same slide as before" in faults_of(
        write_rows(tmp_path / "t.csv", row)
    )


def test_a_damaged_slide_json_is_a_fault_of_its_row(tmp_path: Path):
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    faults = faults_of(write_rows(tmp_path / "t.csv", {**PAIR, "before": "a.json"}))
    assert "row 2, before:" in faults
    assert "no valid JSON" in faults


def test_a_slide_waits_to_be_scored(tmp_path: Path):
    (tmp_path / "a.svs").write_bytes(b"no slide yet")
    (pair,) = read(write_rows(tmp_path / "t.csv", {**PAIR, "after": "a.svs"}))
    assert pair.after.score is None
    assert pair.after.path == (tmp_path / "a.svs").resolve()
    assert pair.after.scored(None).score is Score.NOT_ASSESSABLE


def test_a_slide_to_be_scored_tells_the_organ_of_the_score_beside_it(tmp_path: Path):
    (tmp_path / "a.svs").write_bytes(b"no slide yet")
    row = {"patient_id": "P1", "before": "1+", "after": "a.svs"}
    table = write_rows(tmp_path / "t.csv", row)
    (pair,) = read(table, rule_set=load_rule_set("gastric-biopsy"))
    assert (pair.before.status, pair.after.organ) == (Status.NEGATIVE, Organ.STOMACH)
    (pair,) = read(table, rule_set=load_rule_set("asco-cap-2018"))
    assert (pair.before.status, pair.after.organ) == (Status.LOW, Organ.BREAST)


def write_pair_json(
    path: Path,
    *,
    rules: str = "asco-cap-2018",
    organ: str = "breast",
    ish: str | None = None,
    **values: object,
) -> None:
    side = {"ish": ish, "slides": [{"rule_set": rules, "organ": organ}]}
    document = {"verdict": "changed", "score": {"before": "2+", "after": "0"}}
    document |= {"before": side, "after": side | {"ish": None}}
    path.write_text(json.dumps(document | values), encoding="utf-8")


def test_a_pair_json_gives_verdict_and_scores(tmp_path: Path):
    write_pair_json(tmp_path / "pair.json")
    row = {"patient_id": "P1", "before": "", "after": "", "pair": "pair.json"}
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.score, pair.after.score) == (Score.TWO_PLUS, Score.ZERO)
    assert pair.verdict is Verdict.CHANGED
    assert pair.before.status is Status.EQUIVOCAL


def test_a_pair_json_gives_ish_criteria_and_organ(tmp_path: Path):
    write_pair_json(tmp_path / "pair.json", ish="not_amplified")
    row = {"patient_id": "P1", "before": "", "after": "", "pair": "pair.json"}
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.status, pair.before.edition) == (Status.LOW, "asco-cap-2018")
    faults = faults_of(
        write_rows(tmp_path / "t.csv", {**row, "before_ish": "amplified", "after_edition": "2013"})
    )
    assert "row 2, before_ish: is amplified, but pair.json was scored with not_ampl" in faults
    assert "row 2, after_edition: is asco-cap-2013, but pair.json has asco-cap-2018" in faults
    write_pair_json(tmp_path / "pair.json", rules="our-own", organ="stomach", ish="amplified")
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.status, pair.after.status) == (Status.POSITIVE, Status.NEGATIVE)


def test_a_pair_json_must_agree_with_its_row(tmp_path: Path):
    write_pair_json(tmp_path / "pair.json")
    write_pair_json(tmp_path / "bad.json", verdict="perhaps")
    faults = faults_of(
        write_rows(
            tmp_path / "t.csv",
            {**PAIR, "before": "3+", "pair": "pair.json", "verdict": "unchanged"},
            {**PAIR, "patient_id": "P2", "pair": "bad.json"},
            {**PAIR, "patient_id": "P3", "pair": "gone.json"},
        )
    )
    assert "row 2, before: is 3+, but pair.json says 2+" in faults
    assert "row 2, verdict: is unchanged, but pair.json says changed" in faults
    assert "row 3, pair: 'bad.json' is no pair.json" in faults
    assert "row 4, pair:" in faults


def test_other_columns_are_kept(tmp_path: Path):
    (pair,) = read(write_rows(tmp_path / "t.csv", {**PAIR, "age": "61", "time": "7.5"}))
    assert pair.extras == {"age": "61", "time": "7.5"}


@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=5), max_size=6))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, cells):
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    rows = [[text.encode("utf-8", "replace").decode() for text in row] for row in cells]
    write_table(path, rows, ("patient_id", "before", "after"))
    try:
        pairs = read(path)
    except TableError:
        return
    assert len(pairs) <= len(rows)


def test_columns_are_known_in_any_case_and_own_ones_stay_as_written(tmp_path: Path):
    row = {"Patient_ID": "P1", "Before": "2+", " AFTER": "2+", "before_ISH": "not_amplified",
           "After_ish ": "amplified", "Verdict": "changed", "Best Response": "CR"}  # fmt: skip
    (pair,) = read(write_rows(tmp_path / "t.csv", row))
    assert (pair.before.status, pair.after.status) == (Status.LOW, Status.POSITIVE)
    assert pair.verdict is Verdict.CHANGED
    assert pair.extras == {"Best Response": "CR"}


def test_two_columns_that_mean_one_are_refused_by_name(tmp_path: Path):
    row = PAIR | {"before_ish": "amplified", "before_ISH": "not_amplified"}
    faults = faults_of(write_rows(tmp_path / "t.csv", row))
    assert "columns 'before_ish' and 'before_ISH' both mean before_ish" in faults


def test_a_column_that_is_nearly_known_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (pair,) = read(write_rows(tmp_path / "t.csv", PAIR | {"beforeish": "amplified", "age": 50}))
    assert pair.extras == {"beforeish": "amplified", "age": "50"}
    assert caplog.messages == ["t.csv: column beforeish is not read; did you mean before_ish?"]


def test_a_row_of_too_many_values_is_listed_beside_faults_of_cells(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,before,after\nP1,0,0,1\nP2,4+,0\n", encoding="utf-8")
    faults = faults_of(path)
    assert "row 2: 4 values for 3 columns" in faults
    assert "row 3, before: '4+' is no score" in faults


def test_rules_of_a_site_with_a_year_in_their_name_are_not_those_of_that_year(
    tmp_path: Path, slide_json
):
    slide_json("a.json", rule_set="our-2018", edition="1", score="1+")
    slide_json("b.json", rule_set="asco-cap-2018", score="0")
    pair = {"patient_id": "P1", "before": "a.json", "after": "b.json"}
    faults = faults_of(write_rows(tmp_path / "t.csv", pair))
    assert "row 2, after_edition: asco-cap-2018, but before of row 2 has our-2018" in faults
    said = {"before_edition": "our-2018", "after": "a2.json", "after_edition": "ASCO/CAP 2018"}
    slide_json("a2.json", rule_set="our-2018", edition="1", score="0")
    faults = faults_of(write_rows(tmp_path / "t.csv", {**pair, **said}))
    assert "row 2, after_edition: is asco-cap-2018, but a2.json has our-2018" in faults
    assert "before_edition" not in faults
