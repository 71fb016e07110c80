"""Stated probabilities and flags, held against what happened."""

import math
import tracemalloc

import numpy as np
import pytest
from evaluation_cases import case, sure
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria import Score
from her2path.evaluation.case import on_one_scale
from her2path.evaluation.selective import risk_curve, worth_of_flags
from her2path.evaluation.stated import coverage_of_sets, examine_stated, reliability


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_known_statements_give_the_known_error() -> None:
    found = reliability([0.9, 0.9, 0.9, 0.9, 0.2], [True, True, True, False, False], rng=rng())
    # 4 statements of 0.9 of which 3 came true, one of 0.2 that did not.
    assert found.expected_error == pytest.approx(0.8 * 0.15 + 0.2 * 0.2)
    assert [part.came_true.n for part in found.bins] == [1, 4]
    assert found.bins[1].mean_stated == pytest.approx(0.9)
    assert found.came_true == pytest.approx(0.6)


def test_a_reader_who_is_right_about_himself_errs_by_chance_only() -> None:
    generator = rng()
    stated = generator.random(4000)
    found = reliability(stated, generator.random(4000) < stated, rng=generator)
    assert found.expected_error < 1.6 * found.error_by_chance
    over = reliability(stated, generator.random(4000) < stated**2, rng=generator)
    assert over.expected_error > 5 * over.error_by_chance
    assert over.mean_stated > over.came_true


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_the_error_lies_between_zero_and_one(statements: list[tuple[float, bool]]) -> None:
    stated, came_true = zip(*statements, strict=True)
    found = reliability(stated, came_true, rng=rng())
    assert 0 <= found.expected_error <= 1
    assert sum(part.came_true.n for part in found.bins) == len(statements)
    assert abs(found.mean_stated - found.came_true) <= found.expected_error + 1e-9


def test_no_statement_has_no_error_and_wrong_ones_are_refused() -> None:
    assert math.isnan(reliability([], [], rng=rng()).expected_error)
    with pytest.raises(ValueError, match="probability"):
        reliability([1.5], [True], rng=rng())


def test_certain_and_right_is_perfect_and_certain_and_wrong_is_not() -> None:
    right = examine_stated([case("2+", "2+", probabilities=sure(Score.TWO_PLUS))] * 3, rng=rng())
    assert right is not None
    assert right.of_score.expected_error == 0
    assert right.ranked_score == 0
    wrong = examine_stated([case("0", "3+", probabilities=sure(Score.THREE_PLUS))] * 3, rng=rng())
    assert wrong is not None
    assert wrong.of_score.expected_error == 1
    assert wrong.ranked_score == 1
    assert wrong.of_boundaries.n == 12


def test_joined_grades_pool_their_probabilities() -> None:
    halves = {**dict.fromkeys(Score, 0.0), Score.ZERO: 0.5, Score.ULTRALOW: 0.5}
    cases = on_one_scale([case("0|0+", "0", probabilities=halves)])
    found = examine_stated(cases, rng=rng())
    assert found is not None
    assert found.of_score.mean_stated == pytest.approx(1)
    assert found.ranked_score == 0


def test_without_probabilities_there_is_nothing_to_examine() -> None:
    assert examine_stated([case("0", "0")], rng=rng()) is None
    found = examine_stated(
        [case("0", "0"), case("0", "0", probabilities=sure(Score.ZERO, 0.8))], rng=rng()
    )
    assert found is not None
    assert (found.n_without, found.of_score.n) == (1, 1)


def test_flags_are_counted_among_wrong_and_right() -> None:
    found = worth_of_flags(
        [
            case("0", "0"),
            case("0", "0", flags=("few_cells",)),
            case("0", "1+", flags=("few_cells", "artefacts")),
            case("0", "2+"),
            case("0", "not_assessable", flags=("artefacts",)),
        ]
    )
    assert (found.flagged.k, found.flagged.n) == (3, 5)
    assert (found.wrong_flagged.k, found.wrong_flagged.n) == (2, 3)
    assert (found.right_flagged.k, found.right_flagged.n) == (1, 2)
    assert (found.wrong_left.k, found.wrong_left.n) == (1, 2)
    rows = {row.flag: (row.n_wrong, row.n_right, row.n_alone) for row in found.rows}
    assert rows == {"few_cells": (1, 1, 1), "artefacts": (2, 0, 1)}
    assert found.curve is None


def test_the_risk_curve_of_a_perfect_order_is_the_best_one() -> None:
    cases = [
        case(reference, "1+", probabilities=sure(Score.ONE_PLUS, share))
        for reference, share in (("1+", 0.95), ("1+", 0.9), ("0", 0.6), ("3+", 0.5))
    ]
    curve = risk_curve(cases)
    assert curve is not None
    assert [point.coverage for point in curve.points] == [0.25, 0.5, 0.75, 1.0]
    assert [point.risk for point in curve.points] == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve.area == pytest.approx(curve.area_at_best)
    assert curve.area_at_random == 0.5


def test_flags_curve_and_sets_are_on_the_scale_of_the_references() -> None:
    parts = {Score.ZERO: 0.3, Score.ULTRALOW: 0.6, Score.ONE_PLUS: 0.1}
    both = (Score.ZERO, Score.ULTRALOW)
    cases = on_one_scale(
        [
            case("0|0+", "0", probabilities=parts, score_set=both),
            case("0", "0+", probabilities=parts, score_set=(Score.ULTRALOW,), flags=("few_cells",)),
            case("1+", "1+", probabilities=sure(Score.ONE_PLUS, 0.9)),
        ]
    )
    found = worth_of_flags(cases)
    assert (found.wrong_flagged.n, found.right_flagged.n) == (0, 3)
    assert [(row.n_wrong, row.n_right) for row in found.rows] == [(0, 1)]
    # All state 0.9, two of them as 0.3 + 0.6.
    curve = risk_curve(cases)
    assert curve is not None
    assert [(point.coverage, point.risk) for point in curve.points] == [(1, 0)]
    sets = coverage_of_sets(cases)
    assert sets is not None
    assert (sets.covered.k, sets.covered.n, sets.mean_size) == (2, 2, 1)


def test_slides_of_equal_probability_are_kept_together() -> None:
    cases = [
        case("1+", "1+", probabilities=sure(Score.ONE_PLUS, 0.8)),
        case("0", "1+", probabilities=sure(Score.ONE_PLUS, 0.8)),
        case("0", "not_assessable"),
    ]
    curve = risk_curve(cases)
    assert curve is not None
    assert [point.coverage for point in curve.points] == pytest.approx([2 / 3, 1])
    assert curve.points[0].risk == 0.5


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.2, 1)), min_size=1, max_size=30))
def test_the_curve_ends_with_all_slides_and_no_order_beats_the_best(
    outcomes: list[tuple[bool, float]],
) -> None:
    cases = [
        case("1+" if right else "3+", "1+", probabilities=sure(Score.ONE_PLUS, share))
        for right, share in outcomes
    ]
    curve = risk_curve(cases)
    assert curve is not None
    assert curve.points[-1].coverage == 1
    assert curve.points[-1].risk == pytest.approx(curve.area_at_random)
    assert curve.area >= curve.area_at_best - 1e-9


def test_very_many_statements_err_by_chance_as_drawn_ones_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = rng()
    stated = generator.random(20_001) ** 3
    came_true = generator.random(20_001) < stated
    found = reliability(stated, came_true, rng=rng()).error_by_chance
    # A million would take a minute to draw: none is.
    other = np.random.default_rng(1)
    assert found == reliability(stated, came_true, rng=other).error_by_chance
    monkeypatch.setattr("her2path.evaluation.stated.MANY_STATEMENTS", 10**9)
    drawn = reliability(stated, came_true, rng=other).error_by_chance
    assert found == pytest.approx(drawn, rel=0.03)


def test_many_statements_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = rng()
    stated = generator.random(20_000)
    came_true = generator.random(20_000) < stated
    # As many as N_DRAWS readers at once would take 160 MB.
    tracemalloc.start()
    found = reliability(stated, came_true, rng=rng())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
    monkeypatch.setattr("her2path.evaluation.stated.N_AT_A_TIME", 10**9)
    assert reliability(stated, came_true, rng=rng()) == found


def test_the_risk_curve_keeps_slides_of_one_probability_together_and_counts_each_once() -> None:
    rng = np.random.default_rng(3)
    cases = [
        case("1+" if rng.random() < 0.7 else "2+", "1+", probabilities=sure(Score.ONE_PLUS, share))
        for share in rng.choice([0.5, 0.6, 0.9], 60).tolist()
    ]
    curve = risk_curve([*cases, case("1+", "1+")])
    assert curve is not None
    for point, least in zip(curve.points, (0.9, 0.6, 0.5, 0.0), strict=True):
        kept = [c for c in cases if (c.stated or 0) >= least] + [case("1+", "1+")] * (least == 0)
        assert point.coverage == pytest.approx(len(kept) / 61)
        assert point.risk == pytest.approx(sum(not c.is_exact for c in kept) / len(kept))
        assert point.least_stated == least
