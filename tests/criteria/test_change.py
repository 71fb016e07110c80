import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.change import LOSSES, ScoreChange, expresses, score_change
from her2path.criteria.score import EXPRESSION_SCORES, Score

scores = st.sampled_from(EXPRESSION_SCORES)
OPPOSITE = {
    ScoreChange.STABLE: {ScoreChange.STABLE},
    ScoreChange.GAIN: LOSSES,
    ScoreChange.INCREASE: {ScoreChange.DECREASE},
    ScoreChange.NULL_TO_ULTRALOW: {ScoreChange.ULTRALOW_TO_NULL},
}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("3+", "0", "loss_to_null"),
        ("1+", "0+", "loss_to_ultralow"),
        ("3+", "1+", "decrease"),
        ("2+", "2+", "stable"),
        ("1+", "2+", "increase"),
        ("0+", "1+", "gain"),
        ("0", "3+", "gain"),
        ("0+", "0", "ultralow_to_null"),
        ("0", "0+", "null_to_ultralow"),
        ("not_assessable", "3+", "not_evaluable"),
        ("3+", "not_assessable", "not_evaluable"),
    ],
)
def test_each_change_has_its_word(before: str, after: str, change: str):
    assert score_change(Score(before), Score(after)) == change


@given(scores, scores)
def test_the_way_back_is_the_opposite(before: Score, after: Score):
    there, back = score_change(before, after), score_change(after, before)
    assert any(
        (a in {up} and b in down) or (b in {up} and a in down)
        for up, down in OPPOSITE.items()
        for a, b in [(there, back)]
    )


@given(scores, scores)
def test_loss_begins_and_gain_ends_with_expression(before: Score, after: Score):
    change = score_change(before, after)
    assert (change in LOSSES) == (expresses(before) and not expresses(after))
    assert (change is ScoreChange.GAIN) == (expresses(after) and not expresses(before))
