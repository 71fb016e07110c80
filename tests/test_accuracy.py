"""scripts/accuracy*.py: what is drawn means what it says, and the sums are right."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.criteria.tally import Tally
from her2path.evaluation.cells import KnownCells, compare_cells
from her2path.statistics.counted import Counted
from her2path.synth import laboratories
from her2path.synth.truth import score_of


@pytest.fixture
def recipes(load_script):
    return load_script("accuracy_recipes")


@pytest.fixture
def measures(load_script):
    return load_script("accuracy_measures")


@pytest.fixture
def page(load_script):
    return load_script("accuracy_page")


@pytest.fixture
def slide(measures):
    """A slide that was read without a fault."""
    zeros = dict.fromkeys((*measures.SHARES, "h_score"), 0.0)
    places, codes = np.zeros(0), np.zeros(0, np.int64)
    none = KnownCells(places, places, np.zeros(0, np.bool_), codes, codes, places, places)
    numbers = {
        name: 1.0
        for name, field in measures.SlideAccuracy.__dataclass_fields__.items()
        if field.type == "float"
    }
    return measures.SlideAccuracy(
        slide_id="s",
        laboratory="test-a",
        design="0",
        distance=None,
        seed=1,
        true_score=Score.ZERO,
        score=Score.ZERO,
        criterion="0",
        is_flagged=False,
        flags=(),
        n_true=1000,
        n_counted=1000,
        known=zeros,
        measured=zeros,
        probabilities={score: float(score is Score.ZERO) for score in EXPRESSION_SCORES},
        network_score=None,
        network_set=(),
        cells=compare_cells(none, None, mpp=0.25),
        **numbers,
    )


def tally_of_mix(mix):
    array = np.zeros((5, 3), np.int64)
    for entry in mix:
        array[entry.intensity, entry.pattern.extent] += round(1000 * entry.share)
    assert array.sum() == 1000
    return Tally.from_array(array)


def test_each_design_means_its_score_whatever_is_drawn(recipes):
    for score, designs in zip(EXPRESSION_SCORES, recipes.DESIGNS, strict=True):
        for design in designs:
            for seed in range(30):
                drawn = design(np.random.default_rng(seed))
                assert score_of(tally_of_mix(drawn.mix)) is score
                assert drawn.name.startswith(str(score))
                assert (drawn.distance is None) == (score is Score.ZERO)
                assert drawn.distance is None or drawn.distance > 0


def test_thirty_five_slides_meet_each_score_in_each_laboratory(recipes):
    plans = recipes.plan_slides(35, seed=4, side_um=500.0)
    met = {(plan.laboratory.name, plan.design.name.split()[0]) for plan in plans}
    assert len(met) == 35
    assert {plan.laboratory for plan in plans} == set(laboratories("test"))
    assert len({plan.slide_id for plan in plans}) == 35


def test_fresh_laboratories_are_new_with_each_seed_and_no_others(recipes):
    first, other = recipes.fresh_laboratories(3), recipes.fresh_laboratories(4)
    assert first == recipes.fresh_laboratories(3)
    assert len({lab.name for lab in first}) == len(first) == 7
    assert all(a.dab != b.dab for a in first for b in other)
    known = {lab.dab for kind in ("training", "test") for lab in laboratories(kind)}
    assert not known & {lab.dab for lab in first}
    plans = recipes.plan_slides(7, seed=3, side_um=500.0, known=first)
    assert {plan.laboratory for plan in plans} == set(first)


def test_more_laboratories_than_letters_have_names_too(recipes):
    names = [lab.name.removeprefix("fresh-") for lab in recipes.fresh_laboratories(3, 40)]
    assert names[:2] + names[25:27] == ["a", "b", "z", "27"]
    assert len(set(names)) == 40


def test_a_seed_draws_the_same_slides_however_many_are_asked_for(recipes):
    many = recipes.plan_slides(12, seed=9, side_um=500.0)
    assert recipes.plan_slides(5, seed=9, side_um=500.0) == many[:5]
    assert recipes.plan_slides(5, seed=10, side_um=500.0) != many[:5]


def test_a_boundary_counts_the_slides_beside_it(measures, slide):
    slides = [
        slide,
        replace(slide, score=Score.TWO_PLUS),
        replace(slide, true_score=Score.ULTRALOW, score=Score.THREE_PLUS),
        replace(slide, true_score=Score.ULTRALOW, score=Score.NOT_ASSESSABLE),
        replace(slide, true_score=Score.ONE_PLUS, score=Score.ONE_PLUS),
    ]
    found = measures.at_boundary(slides, Score.ZERO, Score.ULTRALOW)
    assert (found.k, found.n) == (2, 4)


def test_misses_are_counted_with_their_flags(measures, slide):
    slides = [
        slide,
        replace(slide, is_flagged=True),
        replace(slide, score=Score.ULTRALOW, is_flagged=True),
        replace(slide, score=Score.NOT_ASSESSABLE),
    ]
    assert measures.exact(slides) == Counted(2, 4)
    assert measures.misses_flagged(slides) == Counted(1, 2)
    assert measures.flagged(slides) == Counted(2, 4)


def test_each_group_has_its_kappa_and_its_boundaries(load_script, slide):
    accuracy = load_script("accuracy")
    low = replace(slide, true_score=Score.ULTRALOW)
    one = replace(slide, true_score=Score.ONE_PLUS, score=Score.ONE_PLUS)
    other = replace(low, laboratory="test-b", score=Score.NOT_ASSESSABLE)
    slides = [slide, low, one, other]

    def table(key):
        heads, rows = accuracy.grouped(slides, key)
        return {row[0]: dict(zip(heads, row, strict=True)) for row in rows}

    by_laboratory = table(lambda s: s.laboratory)
    # One slide is off by 1. Each known score against each read one, squared: 15 for 9 pairs.
    assert by_laboratory["test-a"]["κ quadratic"] == f"{1 - (1 / 3) / (15 / 9):.2f}"
    assert by_laboratory["test-a"]["side of 0/0+"] == "0.50"
    assert by_laboratory["test-a"]["side of 0+/1+"] == "1.00"
    assert by_laboratory["test-a"]["side of 2+/3+"] == "–"
    assert by_laboratory["test-b"]["κ quadratic"] == "–"
    by_score = table(lambda s: str(s.true_score))
    assert by_score["0+"]["κ quadratic"] == "–"
    assert by_score["0+"]["side of 0/0+"] == "0.00"
    assert by_score["1+"]["side of 0+/1+"] == "1.00"


def test_slides_are_read_by_doubt_until_no_miss_is_left(measures, slide):
    held = [0.99, 0.9, 0.7, 0.5]
    slides = [replace(slide, probabilities={Score.ZERO: p}) for p in held]
    assert measures.read_for_all_misses(slides) == Counted(0, 4)
    slides[2] = replace(slides[2], true_score=Score.ULTRALOW)
    assert measures.read_for_all_misses(slides) == Counted(2, 4)
    # What has no score comes first, whatever is said of it.
    slides = [slides[0], replace(slides[1], score=Score.NOT_ASSESSABLE, probabilities={})]
    assert measures.read_for_all_misses(slides) == Counted(1, 2)


def test_errors_leave_out_what_was_not_assessed(measures, slide):
    apart = replace(slide, measured={**slide.measured, "pct_stained": 4.0}, n_counted=900)
    below = replace(apart, measured={**slide.measured, "pct_stained": -2.0}, n_counted=1100)
    none = replace(slide, score=Score.NOT_ASSESSABLE, n_counted=0)
    sums = measures.sums_of([apart, below, none])
    assert sums["stained bias"] == pytest.approx(1.0)
    assert sums["stained abs"] == pytest.approx(3.0)
    assert sums["count bias %"] == pytest.approx(0.0)
    assert sums["count abs %"] == pytest.approx(10.0)


def test_aims_are_those_of_the_reader(load_script, slide):
    accuracy = load_script("accuracy")
    off = replace(slide, measured={**slide.measured, "pct_stained": 2.5}, is_flagged=True)
    slides = [*[off] * 23, *[replace(off, true_score=Score.ULTRALOW)] * 2]
    alone = accuracy.figures_of(slides, {}, accuracy.AIMS_OF_RULES)
    beside = accuracy.figures_of(slides, {}, accuracy.AIMS_WITH_NETWORK)
    assert alone["exact score"].endswith("aim ≥ 0.90: met")
    assert beside["exact score"].endswith("aim ≥ 0.95: not met")
    assert alone["share stained"].endswith("aim ≤ 3: met")
    assert beside["share stained"].endswith("aim ≤ 2: not met")
    assert "aim" not in alone["slides flagged"]
    assert beside["slides flagged"].endswith("aim ≤ 0.35: not met")
    # No slide has a stained cell.
    assert alone["stained cells"].startswith("– of the stained")


def test_a_slide_without_a_tumor_cell_has_no_score_to_compare_with(
    load_script, recipes, slide, capsys
):
    accuracy = load_script("accuracy")
    plans = recipes.plan_slides(2, seed=4, side_um=500.0)
    drawn = {
        plan.slide_id: SimpleNamespace(truth={"score": str(score)})
        for plan, score in zip(plans, (Score.NOT_ASSESSABLE, Score.ZERO), strict=True)
    }
    assert accuracy.with_score(plans, drawn) == plans[1:]
    assert f"left out {plans[0].slide_id}" in capsys.readouterr().err
    assert np.isnan(replace(slide, n_true=0).count_error_pct)


def test_slides_too_small_to_hold_a_tumor_are_refused_before_anything_is_drawn(
    load_script, monkeypatch, capsys, tmp_path
):
    accuracy = load_script("accuracy")
    given = ["accuracy.py", "--side-um", "300", "--model", "none", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit):
        accuracy.main()
    assert "--side-um must be 500 to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_slide_becomes_a_case_of_the_evaluation(slide):
    case = replace(slide, score=Score.TWO_PLUS, flags=("few_cells",), is_flagged=True).case
    assert (case.distance, case.flags, case.group) == (3, ("few_cells",), "test-a")
    assert case.stated == 0.0
    assert replace(slide, probabilities=dict.fromkeys(EXPRESSION_SCORES, 0.0)).case.stated is None


def test_a_row_of_the_table_holds_numbers_and_words_only(slide):
    row = slide.row()
    assert all(isinstance(value, str | int | float | None) for value in row.values())
    assert {"nuclei_f1", "stained_precision", "stained_recall"} <= set(row)


def test_the_page_shows_names_as_text(page, slide, tmp_path):
    path = tmp_path / "accuracy.html"
    slides = [slide, replace(slide, slide_id="<b>", score=Score.NOT_ASSESSABLE)]
    table = (("a",), [["<script>"]])
    page.write_page(path, slides, title="x & y", lines={"f": "v"}, tables={"t": table})
    text = path.read_text("utf-8")
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert text.count("<svg") == 3
    assert text.count("<circle") == 3
