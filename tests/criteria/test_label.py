"""Labels are read as people write them and run upwards."""

import pytest

from her2path.criteria import Score
from her2path.criteria.label import ScoreLabel, parse_score


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0", Score.ZERO, Score.ZERO),
        ("0+", Score.ULTRALOW, Score.ULTRALOW),
        (" 2+ ", Score.TWO_PLUS, Score.TWO_PLUS),
        ("3", Score.THREE_PLUS, Score.THREE_PLUS),
        ("ultralow", Score.ULTRALOW, Score.ULTRALOW),
        ("0|0+", Score.ZERO, Score.ULTRALOW),
        ("1+|2+", Score.ONE_PLUS, Score.TWO_PLUS),
    ],
)
def test_scores_are_read_as_people_write_them(text: str, low: Score, high: Score) -> None:
    found = parse_score(text)
    assert (found.low, found.high) == (low, high)
    assert found.is_exact == (low is high)
    assert parse_score(str(found)) == found


@pytest.mark.parametrize("text", ["", "4+", "2+|1+", "0|1|2", "not_assessable", "positive"])
def test_what_is_no_score_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="score"):
        parse_score(text)


def test_a_label_that_runs_downwards_or_is_no_score_is_refused() -> None:
    for low, high in ((Score.TWO_PLUS, Score.ZERO), (Score.NOT_ASSESSABLE, Score.NOT_ASSESSABLE)):
        with pytest.raises(ValueError, match="upwards"):
            ScoreLabel(low, high)


def test_a_label_allows_what_lies_between_its_ends() -> None:
    label = parse_score("0+|2+")
    assert [label.allows(score) for score in Score] == [False, True, True, True, False, False]
