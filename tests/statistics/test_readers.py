"""Two readers are set side by side, pooled, and told apart when they disagree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.statistics.readers import (
    Conformal,
    Opinion,
    combine_readers,
    median_score,
    network_opinion,
)


def spread(*shares: float) -> dict[Score, float]:
    return dict(zip(EXPRESSION_SCORES, shares, strict=True))


def sure_of(score: Score) -> Opinion:
    return Opinion(score, {s: float(s is score) for s in EXPRESSION_SCORES})


NOTHING = Opinion(Score.NOT_ASSESSABLE, spread(0, 0, 0, 0, 0))
opinions = (
    st.lists(st.floats(0, 1), min_size=5, max_size=5)
    .filter(lambda parts: sum(parts) > 0.1)
    .map(lambda parts: network_opinion(spread(*(part / sum(parts) for part in parts))))
)


@settings(deadline=None)
@given(opinions, opinions, st.floats(0, 1))
def test_pooled_probabilities_sum_to_one_and_veto_nothing(
    rule: Opinion, network: Opinion, weight: float
) -> None:
    found = combine_readers(rule, network, rule_weight=weight).probabilities
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0


@settings(deadline=None)
@given(opinions, opinions, st.floats(0, 1))
def test_swapping_readers_and_weights_changes_nothing(
    rule: Opinion, network: Opinion, weight: float
) -> None:
    a = combine_readers(rule, network, rule_weight=weight)
    b = combine_readers(network, rule, rule_weight=1 - weight)
    np.testing.assert_allclose(list(a.probabilities.values()), list(b.probabilities.values()))
    assert a.distance == b.distance


@settings(deadline=None)
@given(opinions)
def test_readers_that_agree_are_no_surer_than_one(opinion: Opinion) -> None:
    found = combine_readers(opinion, opinion)
    assert max(found.probabilities.values()) <= max(opinion.probabilities.values()) + 1e-9
    assert found.distance == 0


@settings(deadline=None)
@given(opinions, opinions)
def test_the_call_stays_the_rule_readers(rule: Opinion, network: Opinion) -> None:
    assert combine_readers(rule, network).rule.score is rule.score


def test_two_sure_readers_of_different_mind_are_even() -> None:
    found = combine_readers(sure_of(Score.ZERO), sure_of(Score.ONE_PLUS))
    assert found.probabilities[Score.ZERO] == pytest.approx(found.probabilities[Score.ONE_PLUS])
    assert found.distance == 2
    assert found.probabilities[Score.ZERO] < 0.5


def test_two_sure_readers_of_one_mind_stay_above_95_percent() -> None:
    found = combine_readers(sure_of(Score.TWO_PLUS), sure_of(Score.TWO_PLUS))
    assert found.probabilities[Score.TWO_PLUS] > 0.95


def test_the_weight_moves_the_pool_towards_its_reader() -> None:
    rule, network = sure_of(Score.ZERO), sure_of(Score.ULTRALOW)
    shares = [
        combine_readers(rule, network, rule_weight=w).probabilities[Score.ZERO]
        for w in (0.1, 0.5, 0.9)
    ]
    assert shares == sorted(shares)


def test_grades_are_counted_in_both_directions() -> None:
    for other, grades in ((Score.ULTRALOW, 1), (Score.THREE_PLUS, 4)):
        assert combine_readers(sure_of(Score.ZERO), sure_of(other)).distance == grades
        assert combine_readers(sure_of(other), sure_of(Score.ZERO)).distance == grades


def test_where_nothing_is_assessable_nothing_is_probable() -> None:
    found = combine_readers(NOTHING, sure_of(Score.ZERO))
    assert sum(found.probabilities.values()) == 0
    assert found.distance is None


def test_without_a_readable_network_the_rule_reader_stands_alone() -> None:
    rule = Opinion(Score.ULTRALOW, spread(0.3, 0.7, 0, 0, 0))
    found = combine_readers(rule, NOTHING, conformal=Conformal(0.9, 0.5))
    assert dict(found.probabilities) == rule.probabilities
    assert found.conformal_set == ()
    assert found.coverage is None
    assert found.distance is None


def test_the_conformal_set_is_the_networks_alone() -> None:
    network = network_opinion(spread(0, 0.1, 0.7, 0.2, 0))
    found = combine_readers(sure_of(Score.ZERO), network, conformal=Conformal(0.9, 0.75))
    assert found.conformal_set == (Score.ONE_PLUS, Score.TWO_PLUS)
    assert found.coverage == 0.9
    near = combine_readers(sure_of(Score.TWO_PLUS), network, conformal=Conformal(0.9, 0.75))
    assert near.conformal_set == found.conformal_set


@pytest.mark.parametrize("told", [Score.ZERO, Score.ONE_PLUS])
def test_criteria_without_0plus_make_of_it_what_they_do(told: Score) -> None:
    network = network_opinion(spread(0.2, 0.7, 0.1, 0, 0))
    rule = Opinion(told, {Score.ZERO: 0.5, Score.ONE_PLUS: 0.5})
    found = combine_readers(
        rule, network, conformal=Conformal(0.9, 0.75), told_as={Score.ULTRALOW: told}
    )
    assert found.network.score is told
    assert found.distance == 0
    assert found.network.probabilities[told] == pytest.approx(0.7 + network.probabilities[told])
    assert found.network.probabilities[Score.ULTRALOW] == 0
    assert found.probabilities[Score.ULTRALOW] == 0
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert Score.ULTRALOW not in found.conformal_set
    assert told in found.conformal_set


def test_grades_are_counted_among_the_scores_of_the_criteria() -> None:
    apart = combine_readers(
        sure_of(Score.ZERO), sure_of(Score.ONE_PLUS), told_as={Score.ULTRALOW: Score.ZERO}
    )
    assert apart.distance == 1
    # What could not be read is still nothing.
    nothing = combine_readers(
        sure_of(Score.ZERO), network_opinion({}), told_as={Score.ULTRALOW: Score.ZERO}
    )
    assert nothing.distance is None
    assert dict(nothing.probabilities) == sure_of(Score.ZERO).probabilities


@pytest.mark.parametrize(
    ("shares", "score"),
    [
        ((1, 0, 0, 0, 0), Score.ZERO),
        ((0.5, 0, 0, 0, 0.5), Score.ZERO),
        ((0.45, 0.1, 0, 0, 0.45), Score.ULTRALOW),
        ((0, 0, 0, 0.1, 0.9), Score.THREE_PLUS),
        ((0, 0, 0, 0, 0), Score.NOT_ASSESSABLE),
    ],
)
def test_the_median_is_where_half_is_reached(shares: tuple[float, ...], score: Score) -> None:
    assert median_score(spread(*shares)) is score


@settings(deadline=None)
@given(opinions)
def test_no_score_errs_by_fewer_grades_than_the_median(opinion: Opinion) -> None:
    shares = np.array([opinion.probabilities[s] for s in EXPRESSION_SCORES])
    expected = [float((shares * np.abs(np.arange(5) - k)).sum()) for k in range(5)]
    assert expected[opinion.score.rank] <= min(expected) + 1e-9


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        combine_readers(Opinion(Score.ZERO, spread(0.5, 0, 0, 0, 0)), NOTHING)
    with pytest.raises(ValueError, match="rule_weight"):
        combine_readers(NOTHING, NOTHING, rule_weight=1.5)
