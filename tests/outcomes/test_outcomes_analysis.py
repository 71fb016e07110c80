import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.datasets import load_rossi
from lifelines.statistics import multivariate_logrank_test, proportional_hazard_test
from patient_tables import write_remission, write_rows
from scipy import stats

from her2path.errors import MissingLibraryError, TableError
from her2path.outcomes.analysis import Outcomes, analyse_outcomes
from her2path.outcomes.patients import Columns, read_patients
from her2path.outcomes.writing import (
    baseline_table,
    cox_json,
    cox_rows,
    curve_json,
    step_rows,
    survival_rows,
)

ARM = Columns(group="arm", time="weeks", event="relapse")


def outcomes_of(path: Path, columns: Columns, **options: object) -> Outcomes:
    return analyse_outcomes(read_patients(path, columns), **options)


@pytest.fixture(scope="session")
def rossi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recidivism of 432 men (Rossi 1980), which comes with lifelines."""
    data = load_rossi()
    data["age_group"] = np.where(data["age"] < 22, "young", "older")
    path = tmp_path_factory.mktemp("rossi") / "rossi.csv"
    data.to_csv(path, index=False)
    return path


def test_response_of_yan_2025_comes_out_as_published(tmp_path: Path):
    # Response by age group, its table 4: 38 of 81 and 9 of 17.
    counts = (("<65", "PR", 38), ("<65", "SD", 43), ("≥65", "CR", 9), ("≥65", "PD", 8))
    rows = [{"age": a, "best": r} for a, r, n in counts for _ in range(n)]
    columns = Columns(group="age", response="best")
    response = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).response
    found = [
        (r.n, r.of, *(round(100 * v, 1) for v in (r.rate, r.ci95.lower, r.ci95.upper)))
        for r in response.groups
    ]
    assert found == [(38, 81, 46.9, 35.7, 58.3), (9, 17, 52.9, 27.8, 77.0)]
    assert (response.overall.n, response.overall.of) == (47, 98)


def test_remission_agrees_with_the_textbook(tmp_path: Path):
    # Kleinbaum and Klein, Survival Analysis, 3rd ed.: medians 23 and 8 weeks, log-rank 16.79.
    found = outcomes_of(write_remission(tmp_path / "t.csv"), ARM).survival
    assert [(c.n, c.n_events, c.median) for c in found.curves] == [(21, 9, 23.0), (21, 21, 8.0)]
    assert found.logrank.statistic == pytest.approx(16.793, abs=0.001)
    assert found.logrank.df == 1
    treated = found.curves[0]
    assert treated.survival[np.searchsorted(treated.time, 10)] == pytest.approx(0.7529, abs=1e-4)
    assert treated.at_risk([0, 6, 7, 23, 36]) == (21, 21, 17, 6, 0)


@pytest.mark.parametrize("n", [6, 8, 14, 20, 58])
def test_the_median_is_the_first_time_at_which_half_are_left(tmp_path: Path, n: int):
    rows = [{"arm": "all", "weeks": week, "relapse": 1} for week in range(1, n + 1)]
    (curve,) = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM).survival.curves
    assert curve.median == n // 2


def test_a_curve_that_stops_at_one_half_has_a_median(tmp_path: Path):
    weeks = [(1, 1), (2, 1), (3, 1), (9, 0), (9, 0), (9, 0)]
    rows = [{"arm": "all", "weeks": week, "relapse": event} for week, event in weeks]
    (curve,) = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM).survival.curves
    assert curve.median == 3


def test_a_group_gone_before_the_first_event_is_named_and_hides_no_difference(tmp_path: Path):
    remission = write_remission(tmp_path / "t.csv")
    plain = outcomes_of(remission, ARM).survival
    with remission.open("a", encoding="utf-8") as file:
        file.write("other,0.5,0\n")
    found = outcomes_of(remission, ARM).survival
    assert found.logrank == plain.logrank
    assert any("other: nobody is observed up to the first event" in r for r in found.remarks)


def test_a_covariate_that_repeats_the_group_is_said_to(tmp_path: Path):
    rows = [
        {"arm": "ab"[k % 2], "site": "xy"[k % 2], "weeks": 1 + k, "relapse": int(k % 3 > 0)}
        for k in range(60)
    ]
    columns = Columns(**{**fields(ARM), "adjust": ("site",)})
    plain, adjusted = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).models
    assert len(plain.ratios) == 1
    assert adjusted.ratios == ()
    assert any("say the same of these patients" in remark for remark in adjusted.remarks)


def test_the_hazard_ratio_of_remission_agrees_with_r(tmp_path: Path):
    # survival::coxph with ties after Efron: 1.5721 with standard error 0.4124.
    (model,) = outcomes_of(write_remission(tmp_path / "t.csv"), ARM, reference="6-MP").models
    (ratio,) = model.ratios
    assert (ratio.level, ratio.reference, ratio.n, ratio.n_events) == ("placebo", "6-MP", 21, 21)
    assert np.log(ratio.ratio) == pytest.approx(1.5721, abs=1e-3)
    width = np.log(ratio.ci95.upper / ratio.ci95.lower) / (2 * stats.norm.ppf(0.975))
    assert width == pytest.approx(0.4124, abs=1e-3)


def test_survival_agrees_with_lifelines(rossi: Path):
    columns = Columns(group="age_group", time="week", event="arrest")
    found = outcomes_of(rossi, columns).survival
    data = load_rossi()
    young = (data["age"] < 22).to_numpy()
    fit = KaplanMeierFitter().fit(data["week"][young], data["arrest"][young])
    curve = found.curves[1]
    assert curve.group == "young"
    assert curve.survival == pytest.approx(fit.survival_function_.to_numpy()[:, 0])
    theirs = multivariate_logrank_test(data["week"], young, data["arrest"])
    assert found.logrank.statistic == pytest.approx(theirs.test_statistic)
    assert found.logrank.p == pytest.approx(theirs.p_value)
    # Half of them are never arrested.
    assert curve.median is None


def test_an_adjusted_stratified_model_agrees_with_lifelines(rossi: Path):
    columns = Columns(
        group="fin", time="week", event="arrest", adjust=("age", "prio"), strata="race"
    )
    plain, adjusted = outcomes_of(rossi, columns, reference="0").models
    data = load_rossi()[["fin", "week", "arrest", "age", "prio", "race"]]
    fit = CoxPHFitter().fit(data, "week", "arrest", strata=["race"])
    check = proportional_hazard_test(fit, data, time_transform=lambda t, _c, _w: t.rank())
    for ratio, name in zip(adjusted.ratios, ("fin", "age", "prio"), strict=True):
        assert ratio.ratio == pytest.approx(fit.summary.loc[name, "exp(coef)"], rel=1e-5)
        assert ratio.p == pytest.approx(fit.summary.loc[name, "p"], rel=1e-4)
        assert ratio.p_proportional == pytest.approx(float(check.summary.loc[name, "p"]), rel=1e-4)
    assert "stratified by race" in plain.name
    assert [(r.term, r.level) for r in plain.ratios] == [("group", "1")]


def test_the_check_of_hazards_knows_no_names_of_strata_and_no_order_of_rows(tmp_path: Path):
    rng = np.random.default_rng(5)
    rows = [
        {
            "arm": "ab"[int(rng.integers(2))],
            "site": site,
            "weeks": int(1 + rng.exponential(scale)),
            "relapse": int(rng.random() < 0.8),
        }
        for site, scale in (("A", 4), ("B", 12), ("C", 30))
        for _ in range(40)
    ]
    columns = Columns(**{**fields(ARM), "strata": "site"})
    names = {"A": "z", "B": "y", "C": "x"}
    renamed = [{**row, "site": names[row["site"]]} for row in rows]
    shuffled = [rows[k] for k in rng.permutation(len(rows))]
    found = [
        outcomes_of(write_rows(tmp_path / "t.csv", *each), columns, reference="a").models[0]
        for each in (rows, renamed, rows[::-1], shuffled)
    ]
    (expected, *others) = (model.ratios[0].p_proportional for model in found)
    assert others == pytest.approx([expected] * 3, rel=1e-6)


def test_a_covariate_called_group_is_not_the_group(tmp_path: Path):
    # Of one arm alone somebody relapses: the covariate does not stand in for what is compared.
    rows = [
        {"arm": "ab"[k % 2], "weeks": 1 + k, "relapse": int(k % 2), "group": "xyz"[k // 2 % 3]}
        for k in range(60)
    ]
    columns = Columns(**{**fields(ARM), "adjust": ("group",)})
    adjusted = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns, reference="b").models[1]
    assert adjusted.ratios == ()
    assert any("one group alone has events" in words for words in adjusted.remarks)
    for row in rows:
        row["relapse"] = 1
    adjusted = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns, reference="b").models[1]
    first, *others = adjusted.ratios
    assert (first.level, first.is_group) == ("a", True)
    assert not any(ratio.is_group for ratio in others)


def test_an_interval_is_undefined_where_nobody_is_left(tmp_path: Path):
    # One patient is left, who dies: neither end of the median's interval is known.
    weeks = [*((5, 0) for _ in range(6)), (30, 1)]
    rows = [{"arm": "all", "weeks": week, "relapse": event} for week, event in weeks]
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM)
    (curve,) = found.survival.curves
    assert (curve.median, curve.median_lower, curve.median_upper) == (30, None, None)
    (row,) = survival_rows(found)
    assert (row["median"], row["median_upper"]) == (30, None)
    assert curve_json(curve)["median_ci95"] == [None, None]
    *before, last = step_rows(found)
    assert last["survival"] == 0
    assert np.isnan([last["lower"], last["upper"]]).all()
    assert np.isfinite([[step["lower"], step["upper"]] for step in before]).all()


def test_an_upper_end_that_is_only_met_where_nobody_is_left_is_not_reached(tmp_path: Path):
    rows = [{"arm": "all", "weeks": week, "relapse": 1} for week in (10, 20, 30)]
    (curve,) = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM).survival.curves
    assert (curve.median, curve.median_lower, curve.median_upper) == (20, 10, None)


def test_one_stratum_changes_no_test(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv", site="A")
    once = outcomes_of(table, ARM).survival
    assert once.stratified_logrank is None
    within = outcomes_of(table, Columns(**{**fields(ARM), "strata": "site"}))
    assert within.survival.stratified_logrank is None
    assert within.models[0].ratios[0].ratio == pytest.approx(
        outcomes_of(table, ARM).models[0].ratios[0].ratio
    )


def fields(columns: Columns) -> dict[str, object]:
    return {name: getattr(columns, name) for name in columns.__dataclass_fields__}


def test_strata_that_differ_are_held_apart(tmp_path: Path):
    # Within each site both arms fare alike; the sites do not, and are filled unevenly.
    rng = np.random.default_rng(1)
    rows = [
        {"arm": arm, "site": site, "weeks": round(rng.exponential(scale), 2) + 0.1, "relapse": 1}
        for site, scale, sizes in (("A", 5, (60, 15)), ("B", 40, (15, 60)))
        for arm, n in zip(("old", "new"), sizes, strict=True)
        for _ in range(n)
    ]
    columns = Columns(**{**fields(ARM), "strata": "site"})
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).survival
    assert found.logrank.p < 0.001
    assert found.stratified_logrank.p > 0.05


def test_the_baseline_table_counts_and_compares(tmp_path: Path):
    rng = np.random.default_rng(2)
    rows = [
        {"score": s, "age": round(rng.normal(mean, 5), 1), "er": er, "site": "AB"[k % 2]}
        for s, mean, er in (("3+", 50, "neg"), ("1+", 60, "pos"))
        for k in range(30)
    ]
    rows[0]["age"] = rows[1]["er"] = ""
    columns = Columns(covariates=("age", "er"), strata="site")
    age, er = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).baseline
    positive = [r["age"] for r in rows[:30] if r["age"] != ""]
    assert age.by_group[0].median == pytest.approx(np.median(positive))
    assert (age.by_group[0].n, age.by_group[0].n_missing) == (29, 1)
    assert age.difference.value == pytest.approx(2, abs=0.6)
    low = [r["age"] for r in rows[30:]]
    assert age.test.p == pytest.approx(stats.kruskal(positive, low).pvalue)
    assert er.categories == ("neg", "pos")
    assert [cell.of for cell in er.by_group] == [(29, 0), (0, 30)]
    assert er.difference is None
    assert er.test.p < 1e-10
    assert er.stratified.method == "Cochran–Mantel–Haenszel"


def test_a_group_that_is_called_all_is_not_all_patients(tmp_path: Path):
    rows = [{"arm": arm, "age": 50 + k} for arm in ("all", "all_2") for k in range(8)]
    columns = Columns(group="arm", covariates=("age",))
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns)
    (row,) = baseline_table(found)
    assert {"all_median", "all_2_median", "all_3_median"} <= set(row)


def test_a_group_without_an_event_is_named_and_left_out(tmp_path: Path):
    rows = [
        {"score": s, "m": 1 + k % 7, "d": int(s != "0" and k % 2)}
        for s in ("0", "1+", "3+")
        for k in range(20)
    ]
    columns = Columns(time="m", event="d")
    table = write_rows(tmp_path / "t.csv", *rows)
    (model,) = outcomes_of(table, columns, reference="low").models
    assert [ratio.level for ratio in model.ratios] == ["positive"]
    assert any("no event in null" in words for words in model.remarks)
    (model,) = outcomes_of(table, columns, reference="null").models
    assert model.ratios == ()
    assert any("--reference" in words for words in model.remarks)


def test_what_cannot_be_estimated_says_so(tmp_path: Path):
    # The covariate tells every event: there is no largest likelihood.
    rows = [
        {"arm": "ab"[k % 2], "weeks": 1 + k % 5, "relapse": int(k % 4 < 2), "x": "ny"[k % 4 < 2]}
        for k in range(40)
    ]
    columns = Columns(**{**fields(ARM), "adjust": ("x",)})
    plain, adjusted = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).models
    assert plain.ratios
    assert any("separate" in w or "runs away" in w for w in adjusted.remarks)


def test_a_constant_covariate_and_unknown_values_are_left_out(tmp_path: Path):
    table = write_remission(tmp_path / "t.csv", country="X")
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].removesuffix("X")
    table.write_text("\n".join(lines), encoding="utf-8")
    columns = Columns(**{**fields(ARM), "adjust": ("country",)})
    adjusted = outcomes_of(table, columns).models[1]
    assert adjusted.n_incomplete == 1
    assert any("country is the same for all" in words for words in adjusted.remarks)
    assert len(adjusted.ratios) == 1


def test_groups_that_look_alike_are_told(tmp_path: Path):
    rows = [{"g": group} for group in ("1", "1.0", "2", "A", "a")]
    remarks = outcomes_of(write_rows(tmp_path / "t.csv", *rows), Columns(group="g")).remarks
    assert "groups that look alike and are taken for different ones: 1 and 1.0; A and a" in remarks


def test_answers_taken_for_none_are_told(tmp_path: Path):
    rows = [{"score": "1+", "r": answer} for answer in ("RCB-0", "RCB-2", "pending")]
    columns = Columns(response="r", responders=("RCB-0",))
    remarks = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns).remarks
    assert any(words.endswith("taken for none: RCB-2, pending") for words in remarks)


def test_few_events_are_remarked_on(tmp_path: Path):
    rows = [{"score": s, "m": k + 1, "d": int(k < 2)} for s in ("0", "3+") for k in range(9)]
    (model,) = outcomes_of(
        write_rows(tmp_path / "t.csv", *rows), Columns(time="m", event="d")
    ).models
    assert any("4 events for a coefficient" in words for words in model.remarks)


def test_nobody_observed_is_no_error(tmp_path: Path):
    rows = [{"score": s, "m": "", "d": ""} for s in ("0", "3+")]
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), Columns(time="m", event="d"))
    assert found.survival.curves == ()
    assert found.survival.n_unknown == 2
    assert found.survival.logrank is None
    assert found.models[0].ratios == ()


def test_an_unknown_reference_is_refused(tmp_path: Path):
    with pytest.raises(TableError, match="known are 6-MP, placebo"):
        outcomes_of(write_remission(tmp_path / "t.csv"), ARM, reference="surgery")


def test_a_missing_library_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "lifelines", None)
    with pytest.raises(MissingLibraryError, match=r"her2path\[outcomes\]"):
        outcomes_of(write_remission(tmp_path / "t.csv"), ARM)


def test_response_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("lifelines", "statsmodels", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    table = write_rows(tmp_path / "t.csv", {"score": "1+", "r": "PR"}, {"score": "0", "r": "PD"})
    assert outcomes_of(table, Columns(response="r")).response.overall.n == 1


def test_no_concordance_where_no_two_patients_can_be_put_in_order(tmp_path: Path):
    rows = [
        {"arm": "ab"[k % 2], "weeks": 5 + k // 2, "relapse": 1, "site": f"S{k // 2}"}
        for k in range(12)
    ]
    columns = Columns(group="arm", time="weeks", event="relapse", strata="site")
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), columns)
    (model,) = found.models
    assert model.concordance is None
    assert any("no concordance" in remark for remark in model.remarks)


def test_a_ratio_that_runs_away_is_no_number_in_the_tables(tmp_path: Path):
    # All of one arm relapse before anybody of the other does.
    rows = [
        {"arm": "ab"[k % 2], "weeks": 1 + k // 2 + 30 * (k % 2), "relapse": int(k % 3 < 2)}
        for k in range(40)
    ]
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM)
    (model,) = found.models
    assert any("or its events are told apart entirely" in words for words in model.remarks)
    (row,) = cox_rows(found)
    assert (list(row)[-1], row["estimate"]) == ("estimate", "runs_away")
    numbers = ("hazard_ratio", "lower", "upper", "p", "p_proportional")
    assert {row[name] for name in numbers} == {None}
    (told,) = cox_json(model)["ratios"]
    assert (told["hazard_ratio"], told["ci95"], told["p"]) == (None, None, None)
    assert (told["p_proportional"], told["estimate"]) == (None, "runs_away")


def test_a_ratio_that_runs_away_takes_no_other_with_it(tmp_path: Path):
    # All of c relapse before anybody of a and b, who are alike.
    rows = [
        {"arm": "abc"[k % 3], "weeks": 1 + k // 3 + (0 if k % 3 == 2 else 30 + k % 7), "relapse": 1}
        for k in range(60)
    ]
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), ARM, reference="a")
    told = {row["level"]: row for row in cox_rows(found)}
    assert {level: row["estimate"] for level, row in told.items()} == {"b": "ok", "c": "runs_away"}
    assert told["b"]["lower"] < told["b"]["hazard_ratio"] < told["b"]["upper"]
    assert told["b"]["p"] is not None


def hazard_remarks(path: Path, *rows: tuple[str, object, object, str], **columns: str) -> str:
    table = [dict(zip(("arm", "weeks", "relapse", "site"), row, strict=True)) for row in rows]
    (model,) = outcomes_of(write_rows(path, *table), replace(ARM, **columns)).models
    return "; ".join(model.remarks)


def test_a_cohort_without_an_event_is_not_sent_to_another_reference(tmp_path: Path):
    found = hazard_remarks(tmp_path / "t.csv", ("a", 3, 0, ""), ("b", 4, 0, ""))
    assert "there is no event" in found
    assert "--reference" not in found


def test_strata_that_are_the_groups_are_named_not_covariates(tmp_path: Path):
    rows = [(arm, 1 + k, 1, arm) for k in range(6) for arm in "ab"]
    found = hazard_remarks(tmp_path / "t.csv", *rows, strata="site")
    assert "within site a group has nobody to be compared with" in found
    assert "covariate" not in found


def test_a_group_that_nobody_followed_is_named(tmp_path: Path):
    rows = [(arm, 1 + k, 1, "") for k in range(6) for arm in "ab"]
    found = hazard_remarks(tmp_path / "t.csv", *rows, ("c", "", "", ""))
    assert "c: of nobody are time and event known; the group is left out" in found


def test_patients_that_look_alike_are_remarked_on(tmp_path: Path):
    rows = [{"patient_id": name, "score": "1+"} for name in ("P1", "p1 ", "P2")]
    found = outcomes_of(write_rows(tmp_path / "t.csv", *rows), Columns()).remarks
    assert "patients that look alike and are taken for different ones: P1 and p1" in found


def test_the_document_counts_the_patients_of_each_ratio(tmp_path: Path):
    (model,) = outcomes_of(write_remission(tmp_path / "t.csv"), ARM).models
    (row,) = cox_json(model)["ratios"]
    assert (row["level"], row["n"], row["n_events"]) == ("placebo", 21, 21)
