"""What a page shows of a slide beside its record."""

from dataclasses import replace

import pytest

from her2path.criteria.score import EXPRESSION_SCORES, Organ, Score
from her2path.report.view import tells_score, view_slide
from her2path.results.record import NetworkFacts
from her2path.statistics.readers import JointReading, Opinion

SHARES = dict(zip(EXPRESSION_SCORES, (0.5, 0.25, 0.125, 0.125, 0.0), strict=True))


def read_twice(record, **changes):
    opinion = Opinion(Score.ZERO, SHARES)
    joint = JointReading(
        rule=opinion,
        network=opinion,
        probabilities=SHARES,
        rule_weight=0.5,
        distance=0,
        coverage=None,
        conformal_set=(),
    )
    network = NetworkFacts(name="net", fingerprint="f", n_expected_cells=9.0, joint=joint)
    return replace(record, network=network, **changes)


def test_both_readers_and_their_pool_are_listed_for_the_breast(made):
    view = view_slide(read_twice(made.record), made.folder, key="k")
    assert view.scores == EXPRESSION_SCORES
    assert [row.name for row in view.readers] == ["Rules", "Network", "Together"]
    assert view.readers[0].percents == (50.0, 25.0, 12.5, 12.5, 0.0)


def test_by_criteria_of_the_stomach_the_0plus_of_the_network_stays_what_it_is(made):
    record = read_twice(made.record, rule_set="gastric-biopsy", organ=Organ.STOMACH)
    shares = {Score.ZERO: 0.75, Score.ULTRALOW: 0.0, Score.TWO_PLUS: 0.25}
    joint = replace(record.network.joint, rule=Opinion(Score.ZERO, shares))
    record = replace(record, network=replace(record.network, joint=joint))
    view = view_slide(record, made.folder, key="k")
    assert Score.ULTRALOW not in view.scores
    assert view.reader_scores == EXPRESSION_SCORES
    assert [row.name for row in view.readers] == ["Rules", "Network"]
    assert view.readers[0].percents == (75.0, None, 0.0, 25.0, 0.0)
    assert view.readers[1].percents == (50.0, 25.0, 12.5, 12.5, 0.0)


def test_by_other_criteria_of_the_breast_both_readers_tell_of_their_scores(made):
    record = read_twice(made.record, rule_set="asco-cap-2013", organ=Organ.BREAST)
    view = view_slide(record, made.folder, key="k")
    assert view.reader_scores == view.scores
    assert Score.ULTRALOW not in view.reader_scores
    assert [len(row.percents) for row in view.readers] == [4, 4, 4]
    assert None not in view.readers[0].percents


def test_criteria_of_another_version_show_all_scores(made):
    view = view_slide(replace(made.record, rule_set="retired"), made.folder, key="k")
    assert view.scores == EXPRESSION_SCORES


@pytest.mark.parametrize(
    ("name", "value", "is_telling"),
    [
        ("expected_score", "x", True),
        ("Truth", "x", True),
        ("what", "ultralow beside a control tissue of 3+", True),
        ("note", "HER2-low", True),
        ("reference", "0", True),
        ("her2_old", "2", True),
        ("ihc local", "Positive", True),
        ("ihc_platform", "Ultra", False),
        ("er", "positive", False),
        ("block", "A3", False),
        ("batch", "23+4", False),
        ("sha256", "86c07ce2", False),
    ],
)
def test_columns_that_tell_the_score_by_name_or_words_are_known(name, value, is_telling):
    assert tells_score(name, value) is is_telling
