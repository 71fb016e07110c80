"""Doubts about a change of score, each for itself."""

import pytest

from her2path.compare.bands import Band
from her2path.compare.change import move_of_scores
from her2path.compare.pair import deciding_row
from her2path.compare.verdict import Deciding, Verdict, conclude_pair
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Score
from her2path.criteria.tally import Tally
from her2path.statistics.intervals import Interval

CLEAR = Deciding(
    measure="pct_complete",
    words="tumour cells with weak or stronger, complete staining",
    cut=10.0,
    higher_score=Score.TWO_PLUS,
    before=60.0,
    after=5.0,
    change=-55.0,
    ci95=Interval(-65.0, -45.0),
    band=Band(band=4.3, sw=1.55, unit="%"),
    band_measure="pct_complete",
)


def move_to(after, probabilities):
    return move_of_scores(Score.TWO_PLUS, after, {Score.TWO_PLUS: 1.0}, probabilities)


def conclude(move, raw_move):
    verdict, reasons, _ = conclude_pair(
        voids=(), obstacles=(), move=move, raw_move=raw_move, deciding=CLEAR
    )
    return verdict, reasons


def test_a_score_that_differs_only_after_the_adjustment_is_an_apparent_change():
    fell = move_to(Score.ONE_PLUS, {Score.ONE_PLUS: 1.0})
    stayed = move_to(Score.TWO_PLUS, {Score.TWO_PLUS: 1.0})
    assert conclude(fell, fell)[0] is Verdict.CHANGED
    verdict, (doubt,) = conclude(fell, stayed)
    assert verdict is Verdict.APPARENT
    assert "differs only after the adjustment" in doubt


@pytest.mark.parametrize(
    ("after", "p_one_plus", "p_three_plus"),
    [(Score.ONE_PLUS, 0.5, 0.45), (Score.THREE_PLUS, 0.45, 0.5)],
)
def test_a_score_that_may_as_well_have_moved_the_other_way_did_not_change(
    after, p_one_plus, p_three_plus
):
    rest = 1 - p_one_plus - p_three_plus
    probabilities = {
        Score.ONE_PLUS: p_one_plus, Score.TWO_PLUS: rest, Score.THREE_PLUS: p_three_plus,
    }  # fmt: skip
    move = move_to(after, probabilities)
    assert move.p_moved == pytest.approx(0.95)
    verdict, doubts = conclude(move, move)
    assert verdict is Verdict.APPARENT
    assert "really moved this way is 0.50" in doubts[-1]


def test_what_decides_between_two_scores_is_what_holds_the_higher_one():
    rules = load_rule_set("asco-cap-2018")
    # 1+ by 60 % of faint cells, and 9 % of complete ones, which nearly make it 2+.
    nearly = rules.call(
        Tally.from_array([[31, 0, 0], [60, 0, 0], [0, 0, 9], [0, 0, 0], [0, 0, 0]]),
        blank_upper_pct=1.0,
    )
    nothing = rules.call(Tally.of([0] * 100, [0] * 100), blank_upper_pct=1.0)
    assert (nearly.score, nothing.score) == (Score.ONE_PLUS, Score.ZERO)
    assert nearly.deciding.criterion.score is Score.TWO_PLUS
    for calls in ((nearly, nothing), (nothing, nearly)):
        row, call = deciding_row(*calls)
        assert (row.id, call) == ("1+", nearly)
    # Of one score on both sides it is the nearest cut.
    assert deciding_row(nearly, nearly)[0] is nearly.deciding.criterion


def test_a_score_that_goes_the_other_way_only_after_the_adjustment_is_an_apparent_change():
    fell = move_to(Score.ONE_PLUS, {Score.ONE_PLUS: 1.0})
    rose = move_to(Score.THREE_PLUS, {Score.THREE_PLUS: 1.0})
    verdict, (doubt,) = conclude(fell, rose)
    assert verdict is Verdict.APPARENT
    assert doubt == "As read the score rose, from 2+ to 3+; it fell only after the adjustment."
