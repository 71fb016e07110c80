import itertools

import pytest

from her2path.criteria import EXPRESSION_SCORES, IshResult, Organ, Score, Status
from her2path.criteria.ish import status
from her2path.errors import CriteriaError

AMPLIFIED, NOT_AMPLIFIED, G1, G2, G3, G4, G5 = IshResult
ZERO, ULTRALOW, ONE, TWO, THREE = EXPRESSION_SCORES


@pytest.mark.parametrize(
    ("score", "expected"),
    [(ZERO, "null"), (ULTRALOW, "ultralow"), (ONE, "low"), (TWO, "equivocal"), (THREE, "positive"),
     (Score.NOT_ASSESSABLE, "not_assessable")],
)  # fmt: skip
def test_without_ish_the_score_alone_speaks(score, expected):
    assert status(score).status == expected


@pytest.mark.parametrize(
    ("ish", "low", "two", "three"),
    [
        (G1, "positive", "positive", "positive"),
        (G2, "low", "low", "positive"),
        (G3, "low", "positive", "positive"),
        (G4, "low", "low", "positive"),
        (G5, "low", "low", "positive"),
        (AMPLIFIED, "positive", "positive", "positive"),
        (NOT_AMPLIFIED, "low", "low", "positive"),
    ],
)
def test_each_group_gives_its_status(ish, low, two, three):
    assert [status(score, ish).status for score in (ONE, TWO, THREE)] == [low, two, three]


@pytest.mark.parametrize("ish", [G2, G3, G4])
def test_negative_groups_come_with_a_comment(ish):
    for score in (ZERO, ULTRALOW, ONE):
        assert "negative with comment" in status(score, ish).comment
    assert status(ZERO, ish).status is Status.NULL


def test_discordant_results_ask_for_review():
    assert status(THREE, G5).needs_review
    assert "discordant" in status(THREE, G5).comment
    assert status(ONE, G1).needs_review
    assert not status(TWO, G1).needs_review


def test_a_2plus_is_equivocal_only_while_ish_is_missing():
    for ish in IshResult:
        assert status(TWO, ish).status is not Status.EQUIVOCAL


def test_stomach_is_positive_only_at_3plus_or_2plus_amplified():
    positive = {
        (score, ish)
        for score, ish in itertools.product(EXPRESSION_SCORES, (None, AMPLIFIED, NOT_AMPLIFIED))
        if status(score, ish, organ=Organ.STOMACH).status is Status.POSITIVE
    }
    assert positive == {(THREE, None), (THREE, AMPLIFIED), (THREE, NOT_AMPLIFIED), (TWO, AMPLIFIED)}
    assert status(TWO, organ=Organ.STOMACH).status is Status.EQUIVOCAL
    for score in (ZERO, ONE):
        assert status(score, organ=Organ.STOMACH).status is Status.NEGATIVE
    assert status(TWO, NOT_AMPLIFIED, organ=Organ.STOMACH).status is Status.NEGATIVE
    assert status(ONE, AMPLIFIED, organ=Organ.STOMACH).needs_review


def test_groups_of_breast_are_refused_for_stomach():
    with pytest.raises(CriteriaError, match="amplified or not_amplified"):
        status(TWO, G2, organ=Organ.STOMACH)


@pytest.mark.parametrize("ish", [None, *IshResult])
def test_what_cannot_be_assessed_has_no_status(ish):
    assert status(Score.NOT_ASSESSABLE, ish).status is Status.NOT_ASSESSABLE
