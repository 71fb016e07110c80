import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.compare.change import (
    ScoreChange,
    StatusChange,
    move_of_scores,
    move_of_status,
    score_change,
    steps_interval,
)
from her2path.criteria.score import EXPRESSION_SCORES, Score, Status

scores = st.sampled_from(EXPRESSION_SCORES)
weights = st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(any)


def distribution(parts):
    return {s: part / sum(parts) for s, part in zip(EXPRESSION_SCORES, parts, strict=True)}


@pytest.mark.parametrize(
    ("before", "after", "change", "loss_to"),
    [
        ("3+", "0", "loss", "null"),
        ("1+", "0+", "loss", "ultralow"),
        ("3+", "1+", "decrease", ""),
        ("0+", "0", "decrease", ""),
        ("2+", "2+", "stable", ""),
        ("1+", "2+", "increase", ""),
        ("0", "0+", "increase", ""),
        ("0+", "1+", "gain", ""),
        ("not_assessable", "3+", "not_evaluable", ""),
    ],
)
def test_changes_have_the_names_of_the_field(before, after, change, loss_to):
    found = move_of_scores(Score(before), Score(after), {}, {})
    assert (found.change, found.loss_to) == (change, loss_to)


def test_the_way_back_is_the_opposite():
    opposite = {
        ScoreChange.LOSS: ScoreChange.GAIN,
        ScoreChange.DECREASE: ScoreChange.INCREASE,
        ScoreChange.STABLE: ScoreChange.STABLE,
    }
    for a, b in itertools.combinations_with_replacement(EXPRESSION_SCORES, 2):
        assert score_change(a, b) is opposite[score_change(b, a)]


@given(scores, scores, weights, weights)
def test_probabilities_of_a_move_add_up(before, after, p, q):
    found = move_of_scores(before, after, distribution(p), distribution(q))
    assert found.p_moved == pytest.approx(found.p_lower + found.p_higher)
    same = sum(distribution(p)[s] * distribution(q)[s] for s in EXPRESSION_SCORES)
    assert found.p_moved + same == pytest.approx(1)
    assert -4 <= found.ci95[0] <= found.ci95[1] <= 4


def test_sure_scores_move_surely():
    sure = {Score.TWO_PLUS: 1.0}, {Score.ZERO: 1.0}
    found = move_of_scores(Score.TWO_PLUS, Score.ZERO, *sure)
    assert (found.steps, found.ci95, found.p_moved, found.p_higher) == (-3, (-3, -3), 1.0, 0.0)


def test_a_status_without_ish_stays_between():
    found = move_of_status(Status.EQUIVOCAL, Status.LOW, {Status.EQUIVOCAL: 1}, {Status.LOW: 1})
    assert (found.change, found.steps) == (StatusChange.LOWER, -1)
    unknown = move_of_status(Status.NOT_ASSESSABLE, Status.LOW, {}, {})
    assert unknown.change is StatusChange.NOT_EVALUABLE


def test_a_negative_stomach_lies_just_below_equivocal():
    moves = [
        move_of_status(Status.NEGATIVE, after, {}, {})
        for after in (Status.NEGATIVE, Status.EQUIVOCAL, Status.POSITIVE)
    ]
    assert [move.steps for move in moves] == [0, 1, 2]


@given(st.dictionaries(st.integers(-4, 4), st.integers(1, 60), min_size=1))
def test_the_interval_of_steps_leaves_out_at_most_a_fortieth_on_either_side(parts):
    total = sum(parts.values())
    low, high = steps_interval({step: part / total for step, part in parts.items()})

    def fortieths(steps):
        return 40 * sum(parts[step] for step in steps) / total

    assert fortieths(step for step in parts if step < low) <= 1
    assert fortieths(step for step in parts if step > high) <= 1
    # And no step could be left out besides.
    assert fortieths(step for step in parts if step <= low) >= 1
    assert fortieths(step for step in parts if step >= high) >= 1


def test_the_interval_of_steps_turns_round_with_them():
    joint = {-1: 0.025, 0: 0.95, 1: 0.025}
    assert steps_interval(joint) == (-1, 1)
    assert steps_interval({-1: 0.024, 0: 0.95, 1: 0.026}) == (0, 1)
    assert steps_interval({-1: 0.026, 0: 0.95, 1: 0.024}) == (-1, 0)


def test_steps_without_a_probability_have_no_interval():
    assert steps_interval({}) is None
    assert steps_interval({0: 0.0}) is None
