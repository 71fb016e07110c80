from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohort_tables import GOUDA, write_counts, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from report_slides import record_of

from her2path.cohort.analysis import Cohort, analyse
from her2path.cohort.pairs import Pair, Side
from her2path.cohort.rates import rate_of
from her2path.cohort.table import read_pairs
from her2path.compare.verdict import Verdict
from her2path.criteria.score import EXPRESSION_SCORES, IshResult, Score, Status
from her2path.criteria.tally import Tally
from her2path.report.cohort import findings
from her2path.statistics.intervals import wilson

scores = st.sampled_from(tuple(Score))
cohorts = st.lists(st.tuples(scores, scores, st.integers(0, 8)), min_size=1, max_size=25)


def pairs_of(rows: Iterable[tuple[str, str, object]]) -> list[Pair]:
    return [
        Pair(
            row=k + 2, patient_id=str(patient), name=str(k), before=Side(score=Score(before)),
            after=Side(score=Score(after)),
        )
        for k, (before, after, patient) in enumerate(rows)
    ]  # fmt: skip


def cohort_of(counts: Iterable[tuple[str, str, int]]) -> Cohort:
    rows = [(b, a, k) for k, (b, a) in enumerate((b, a) for b, a, n in counts for _ in range(n))]
    return analyse(pairs_of(rows))


def percents(cohort: Cohort, name: str) -> tuple[float, float, float]:
    rate = cohort.rates[name]
    assert rate.rate is not None
    assert rate.ci95 is not None
    return tuple(round(100 * v, 1) for v in (rate.rate, rate.ci95.lower, rate.ci95.upper))


def test_gouda_2025_comes_out_as_published(tmp_path: Path):
    # 41 pairs under trastuzumab deruxtecan, 10.1158/1078-0432.CCR-24-3468.
    cohort = analyse(read_pairs(write_counts(tmp_path / "t.csv", GOUDA))[1])
    assert (cohort.n_pairs, cohort.n_expressing_before) == (41, 34)
    assert (cohort.rates["loss"].n, cohort.rates["decrease"].n) == (11, 10)
    assert percents(cohort, "loss") == (32.4, 19.1, 49.2)
    assert percents(cohort, "decrease") == (29.4, 16.8, 46.2)
    assert percents(cohort, "loss_or_decrease") == (61.8, 45.0, 76.1)
    assert cohort.rates["loss"].method == "Wilson"


def test_the_noise_floor_is_no_excess_over_itself():
    # PMC9777154: low to 0 in 387 of 3,209, 0 to low in 530 of 1,066.
    cohort = cohort_of(
        [("1+", "0", 387), ("1+", "1+", 3209 - 387), ("0", "1+", 530), ("0", "0", 1066 - 530)]
    )
    rows = {row.name: row for row in cohort.floor}
    for name, rate in (("low_to_zero", 12.1), ("zero_to_low", 49.7)):
        row = rows[name]
        assert row.is_like_for_like
        assert row.difference == 0
        assert 100 * row.observed.rate == pytest.approx(rate, abs=0.05)
        assert (row.observed.n, row.observed.of) == row.reference
        assert row.excess.p > 0.45


def test_a_loss_beyond_the_floor_is_an_excess():
    loss = cohort_of([("1+", "0", 12), ("1+", "1+", 22)]).floor[0]
    assert loss.excess.p < 0.001
    assert loss.difference_ci95.lower > 0
    assert cohort_of([("1+", "0", 4), ("1+", "1+", 30)]).floor[0].excess.p > 0.4


def test_the_floor_compares_like_with_like():
    sides = [
        (Side(score=Score.TWO_PLUS, ish=IshResult.NOT_AMPLIFIED), Score.ZERO),
        (Side(score=Score.TWO_PLUS, ish=IshResult.AMPLIFIED), Score.ZERO),
        (Side(score=Score.TWO_PLUS), Score.ULTRALOW),
        (Side(score=Score.THREE_PLUS), Score.ZERO),
        (Side(score=Score.ONE_PLUS), Score.ONE_PLUS),
        (Side(score=Score.ZERO), Score.TWO_PLUS),
        (Side(score=Score.ULTRALOW), Score.ONE_PLUS),
    ]
    pairs = [
        Pair(row=k, patient_id=str(k), name="", before=before, after=Side(score=after))
        for k, (before, after) in enumerate(sides)
    ]
    rows = {row.name: row for row in analyse(pairs).floor}
    found = {name: (row.observed.n, row.observed.of) for name, row in rows.items()}
    assert found == {
        "low_to_zero": (1, 2),
        "low_to_zero_if_2plus_is_low": (2, 3),
        # A 2+ after without ISH may be low or positive: it is in neither.
        "zero_to_low": (1, 1),
        "loss": (4, 5),
    }
    assert not rows["loss"].is_like_for_like
    assert "1 at 2+ without ISH" in rows["low_to_zero"].note


def test_a_loss_is_split_into_null_and_ultralow():
    cohort = cohort_of([("1+", "0", 2), ("2+", "0+", 3), ("3+", "3+", 5), ("0+", "0", 4)])
    counts = {name: (rate.n, rate.of) for name, rate in cohort.rates.items()}
    assert counts["loss"] == (5, 10)
    assert counts["loss_to_null"] == (2, 10)
    assert counts["loss_to_ultralow"] == (3, 10)
    assert counts["ultralow_to_null"] == (4, 4)
    assert counts["decrease"] == (0, 10)
    assert counts["stable"] == (5, 14)


@given(cohorts)
@settings(max_examples=60)
def test_every_evaluable_pair_is_counted_once(rows):
    cohort = analyse(pairs_of(rows))
    n = {name: rate.n for name, rate in cohort.rates.items()}
    of = {name: rate.of for name, rate in cohort.rates.items()}
    parts = ("loss", "decrease", "stable", "increase", "gain", "ultralow_to_null")
    assert sum(n[name] for name in parts) + n["null_to_ultralow"] == cohort.n_evaluable
    assert n["loss_to_null"] + n["loss_to_ultralow"] == n["loss"]
    assert n["loss"] + n["decrease"] == n["loss_or_decrease"]
    expressing = ("loss", "decrease", "stable_expressing", "increase")
    assert sum(n[name] for name in expressing) == of["loss"] == cohort.n_expressing_before
    assert of["loss"] + of["gain"] == cohort.n_evaluable == cohort.transitions.sum()
    assert cohort.n_evaluable + cohort.n_not_evaluable == len(rows)
    assert sum(cohort.status.table.values()) == len(rows)
    for rate in cohort.rates.values():
        assert (rate.ci95 is None) == (rate.of == 0)
        assert rate.ci95 is None or rate.ci95.lower <= rate.rate <= rate.ci95.upper
    for test in (cohort.bowker, cohort.stuart_maxwell, cohort.wilcoxon):
        assert 0 < test.p <= 1


@given(cohorts)
@settings(max_examples=20)
def test_the_order_of_the_rows_changes_no_count(rows):
    there, back = analyse(pairs_of(rows)), analyse(pairs_of(rows[::-1]))
    assert np.array_equal(there.transitions, back.transitions)
    for name, rate in there.rates.items():
        assert (rate.n, rate.of) == (back.rates[name].n, back.rates[name].of)
        assert rate.design_effect == pytest.approx(back.rates[name].design_effect)


def test_several_pairs_of_a_patient_are_not_several_patients():
    rows = [("2+", "0" if patient < 5 else "2+", patient) for patient in range(15)]
    once = analyse(pairs_of(rows))
    thrice = analyse(pairs_of(rows * 3))
    loss = thrice.rates["loss"]
    assert not once.is_clustered
    assert thrice.is_clustered
    assert loss.rate == once.rates["loss"].rate
    assert loss.design_effect == pytest.approx(3, rel=0.1)
    assert loss.ci95.width >= 0.95 * once.rates["loss"].ci95.width
    assert loss.ci95.width > 1.4 * wilson(15, 45).width
    assert "15 patients as clusters" in loss.method
    assert thrice.bowker.p == pytest.approx(once.bowker.p, abs=0.01)
    assert thrice.floor[-1].excess.method.startswith("one-sided t test with the effective number")
    assert thrice.floor[-1].excess.df == loss.df == pytest.approx(14)
    assert once.rates["loss"].df is None
    assert any("45 pairs come from 15 patients" in remark for remark in thrice.remarks)


@pytest.mark.parametrize(("n_patients", "n_each"), [(3, 4), (20, 10)])
def test_pairs_that_are_all_alike_count_as_their_patients(n_patients, n_each):
    rows = [("1+", "0", patient) for patient in range(n_patients) for _ in range(n_each)]
    cohort = analyse(pairs_of(rows))
    single = analyse(pairs_of([("1+", "0", patient) for patient in range(n_patients)]))
    loss, alone = cohort.rates["loss"].ci95, single.rates["loss"].ci95
    assert loss is not None
    assert alone is not None
    assert loss.lower == pytest.approx(alone.lower)
    assert loss.upper == alone.upper == 1
    assert cohort.floor[0].excess.p == pytest.approx(single.floor[0].excess.p)


def test_patients_with_equal_shares_count_as_patients():
    # 2 of 4 pairs in each of 6 patients: no variance between patients says nothing of pairs.
    rows = [("1+", after, patient) for patient in range(6) for after in ("0", "0", "1+", "1+")]
    cohort = analyse(pairs_of(rows))
    single = analyse(pairs_of([("1+", "0" if k < 3 else "1+", k) for k in range(6)]))
    loss, alone = cohort.rates["loss"], single.rates["loss"]
    assert loss.design_effect == 4
    assert loss.ci95 is not None
    assert alone.ci95 is not None
    assert loss.ci95.lower == pytest.approx(alone.ci95.lower)
    assert loss.ci95.upper == pytest.approx(alone.ci95.upper)
    assert cohort.floor[0].excess.p == pytest.approx(single.floor[0].excess.p)


def test_patients_that_are_few_are_told_however_many_their_pairs():
    rows = [("2+", ("0", "1+", "2+")[(k // 2 + k % 2) % 3], f"P{k % 2}") for k in range(24)]
    cohort = analyse(pairs_of(rows))
    assert "few patients (2): intervals are wide and tests weak" in cohort.remarks
    assert cohort.kappa["linear"].interval is None
    alone = analyse(pairs_of([(before, after, k) for k, (before, after, _) in enumerate(rows)]))
    assert not any(remark.startswith("few") for remark in alone.remarks)
    fewer = analyse(pairs_of([(before, after, k) for k, (before, after, _) in enumerate(rows[:9])]))
    assert "few pairs (9): intervals are wide and tests weak" in fewer.remarks


def test_a_variance_that_is_clipped_keeps_its_degrees_of_freedom():
    # Pairs of a patient differ more than those of two: no design effect, but three patients.
    rows = [("1+", after, k) for k in range(3) for after in ("0", "1+")] + [("1+", "0", 3)]
    cohort = analyse(pairs_of(rows))
    loss = cohort.rates["loss"]
    assert loss.design_effect == 1
    assert loss.df is not None
    assert cohort.floor[0].excess.method.startswith("one-sided t test")
    assert cohort.floor[0].excess.df == loss.df


def test_one_patient_is_told_in_the_singular():
    cohort = analyse(pairs_of([("1+", "0", "P1")] * 10))
    assert any("10 pairs come from 1 patient:" in remark for remark in cohort.remarks)
    assert cohort.rates["loss"].method.endswith("1 patient as cluster")


def test_many_pairs_of_one_patient_tell_little():
    rows = [("1+", "0", "P1")] * 7 + [("1+", "1+", "P1")] * 3
    ends = analyse(pairs_of(rows)).rates["loss"].ci95
    assert ends is not None
    assert ends.width > 0.85


def test_losses_that_compare_did_not_accept_are_told(tmp_path: Path):
    verdicts = ["not_comparable", "not_evaluable", "apparent", "unchanged"]
    afters = ["0", "0", "0+", "1+"]
    rows = [
        {"patient_id": f"P{k}", "before": "1+", "after": after, "verdict": verdict}
        for k, (after, verdict) in enumerate(zip(afters, verdicts, strict=True))
    ]
    remarks = " ".join(analyse(read_pairs(write_rows(tmp_path / "t.csv", *rows))[1]).remarks)
    assert "with 2 of the 3 losses and 2 of the 3 changes" in remarks
    assert "without them 1 of 2 expressing pairs (50.0 %) lost HER2" in remarks


def test_changes_without_a_loss_that_compare_did_not_accept_are_told(tmp_path: Path):
    row = {"patient_id": "P1", "before": "0", "after": "2+", "verdict": "not_comparable"}
    remarks = " ".join(analyse(read_pairs(write_rows(tmp_path / "t.csv", row))[1]).remarks)
    assert "with 0 of the 0 losses and 1 of the 1 changes" in remarks
    assert "without them no pair expressed HER2 before" in remarks


def test_patients_whose_names_differ_in_capitals_are_told():
    cohort = analyse(pairs_of([("1+", "0", "P1"), ("1+", "1+", "p1"), ("1+", "1+", "P2")]))
    (remark,) = [words for words in cohort.remarks if "taken for different" in words]
    assert "P1 and p1" in remark
    assert "P2" not in remark


def test_the_stomach_has_no_noise_floor(tmp_path: Path):
    row = {"patient_id": "P1", "before": "0", "after": "1+", "before_edition": "ToGA"}
    cohort = analyse(read_pairs(write_rows(tmp_path / "t.csv", row))[1])
    assert cohort.floor == ()
    assert cohort.is_stomach
    assert "0+" not in " ".join(cohort.remarks)


def test_kappa_without_a_pair_says_that_there_is_none():
    cohort = analyse(pairs_of([("not_assessable", "0", 1)]))
    assert cohort.kappa["linear"].method == "not defined: no pair has a score on both sides"


def test_kappa_uses_the_scale_of_the_laboratory():
    four = cohort_of([("0", "1+", 5), ("1+", "1+", 9), ("3+", "3+", 9), ("0", "0", 9)])
    five = cohort_of([("0", "1+", 5), ("1+", "1+", 9), ("3+", "3+", 9), ("0", "0+", 9)])
    assert [score.value for score in four.scale] == ["0", "1+", "2+", "3+"]
    assert five.scale == EXPRESSION_SCORES
    assert any("no score written in the table is 0+" in remark for remark in four.remarks)


def test_status_conversions_have_their_denominator():
    cohort = cohort_of([("3+", "1+", 3), ("3+", "3+", 5), ("1+", "0", 2), ("2+", "0", 4)])
    status = cohort.status
    assert (status.changed.n, status.changed.of, status.n_unknown) == (5, 10, 4)
    assert [(c.before, c.after, c.rate.n, c.rate.of) for c in status.conversions] == [
        (Status.POSITIVE, Status.LOW, 3, 8),
        (Status.LOW, Status.NULL, 2, 2),
    ]
    assert status.table[Status.EQUIVOCAL, Status.NULL] == 4


def test_verdicts_are_counted_where_there_are_any(tmp_path: Path):
    rows = [
        {"patient_id": k, "before": "2+", "after": "0", "verdict": verdict}
        for k, verdict in enumerate(["changed", "apparent", "changed", ""])
    ]
    verdicts = analyse(read_pairs(write_rows(tmp_path / "t.csv", *rows))[1]).verdicts
    assert verdicts == {
        Verdict.CHANGED: 2, Verdict.APPARENT: 1, Verdict.UNCHANGED: 0,
        Verdict.NOT_COMPARABLE: 0, Verdict.NOT_EVALUABLE: 0,
    }  # fmt: skip
    assert cohort_of(GOUDA).verdicts is None


def test_a_cohort_without_a_single_score_says_so():
    cohort = cohort_of([("not_assessable", "0", 3)])
    assert (cohort.n_evaluable, cohort.n_not_evaluable) == (0, 3)
    assert cohort.rates["loss"].rate is None
    assert cohort.kappa["linear"].kappa is None
    assert cohort.wilcoxon.p == 1
    assert findings(cohort) == [
        "No pair has a score on both sides: nothing can be said of HER2 in this cohort."
    ]


def test_a_cohort_needs_pairs_with_their_scores():
    with pytest.raises(ValueError, match="at least one pair"):
        analyse([])
    pair = Pair(row=2, patient_id="P", name="", before=Side(score=None), after=Side(score=None))
    with pytest.raises(ValueError, match="score the slides"):
        analyse([pair])


def test_only_eligible_pairs_are_counted():
    rate = rate_of([True, True], [True, False], patients=["a", "b"], denominator="some")
    assert (rate.n, rate.of) == (1, 1)


def test_the_example_table_of_the_documents_is_gouda_2025():
    table = Path(__file__).resolve().parents[2] / "docs" / "tables" / "pairs.csv"
    cohort = analyse(read_pairs(table)[1])
    assert (cohort.n_pairs, cohort.n_expressing_before) == (41, 34)
    assert percents(cohort, "loss_or_decrease") == (61.8, 45.0, 76.1)
    assert cohort.editions == ("asco-cap-2018",)


def test_however_many_pairs_a_patient_has_they_are_one_witness():
    # Three patients, all of whose pairs fell: one of eight ways in which they could have moved.
    cohort = analyse(pairs_of([("3+", "0", patient) for patient in range(3) for _ in range(20)]))
    for test in (cohort.bowker, cohort.stuart_maxwell, cohort.wilcoxon):
        assert test.p == pytest.approx(2 / 2**3)


def test_pairs_listed_again_under_their_patients_make_kappa_no_surer():
    scores = ("0", "1+", "2+", "3+")
    # Every third patient moved by one score.
    rows = [(scores[k % 4], scores[(k + (k % 3 == 0)) % 4], k) for k in range(12)]
    twice, often = analyse(pairs_of(rows * 2)), analyse(pairs_of(rows * 6))
    for name in ("linear", "quadratic"):
        few, many = twice.kappa[name], often.kappa[name]
        assert few.kappa == pytest.approx(many.kappa)
        assert few.interval is not None
        assert many.interval is not None
        assert few.interval.lower == pytest.approx(many.interval.lower)
        assert few.interval.upper == pytest.approx(many.interval.upper)
        assert "12 patients" in many.method


def test_ish_of_the_table_comes_before_that_of_the_slide():
    record = replace(record_of(Path("a.svs"), Tally.of([3], [2])), ish=IshResult.NOT_AMPLIFIED)
    told = Side(score=None, ish=IshResult.AMPLIFIED)
    assert told.scored(record).ish is IshResult.AMPLIFIED
    assert Side(score=None).scored(record).ish is IshResult.NOT_AMPLIFIED
    assert told.scored(replace(record, ish=None)).ish is IshResult.AMPLIFIED
