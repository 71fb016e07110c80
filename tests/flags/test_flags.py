import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Score
from her2path.criteria.tally import Tally
from her2path.flags import (
    HEIGHT_FACTORS,
    SEVERITY,
    Border,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    needs_review,
    raise_flags,
)
from her2path.statistics.heterogeneity import Cluster3Plus, RegionSpread
from her2path.statistics.intervals import Interval

BREAST = load_rule_set("asco-cap-2018")


def call_of(intensity=1, extent=0, stained=500, n=1000):
    tally = Tally.of([intensity] * stained + [0] * (n - stained), [extent] * n)
    return BREAST.call(tally, blank_upper_pct=1.0)


def flags_of(call=None, **evidence):
    evidence = {"n_tumor_cells": 1000, **evidence}
    return raise_flags(FlagEvidence(call=call or call_of(), **evidence))


def names(flags):
    return [flag.flag for flag in flags]


SPREAD = RegionSpread(Score.ONE_PLUS, Score.THREE_PLUS, 4, {})
ISLAND = Cluster3Plus(80, 100, 7.0, Score.ONE_PLUS, is_distinct=True)


@pytest.mark.parametrize(
    ("flag", "evidence"),
    [
        ("few_cells", {"n_tumor_cells": 99}),
        ("sensitive_to_thresholds", {"changed_trials_pct": 20.1}),
        ("regions_differ", {"regions": SPREAD}),
        ("cluster_3plus", {"cluster": ISLAND}),
        ("cytoplasmic_staining", {"cytoplasmic_pct": 10.1}),
        ("readers_disagree", {"network_score": Score.TWO_PLUS}),
        ("readers_disagree", {"network_score": Score.NOT_ASSESSABLE}),
        (
            "tumor_uncertain",
            {
                "uncertain_tumor_pct": 5.0,
                "score_with_uncertain": Score.ONE_PLUS,
                "score_without_uncertain": Score.ULTRALOW,
            },
        ),
        # By the rules alone, whatever those cells would change.
        (
            "tumor_uncertain",
            {
                "uncertain_tumor_pct": 20.1,
                "score_with_uncertain": Score.ONE_PLUS,
                "score_without_uncertain": Score.ONE_PLUS,
            },
        ),
        ("tumor_uncertain", {"tumor_parts_at": 0.06, "score_as_read": Score.NOT_ASSESSABLE}),
        (
            "tumor_by_nuclei",
            {"stained_pct": 12.0, "by_nuclei_pct": 90.0, "stained_as_recognized_pct": 70.0},
        ),
        (
            "unstained_left_out",
            {"stained_pct": 97.0, "left_out_pct": 9.0, "stained_with_left_out_pct": 88.9},
        ),
        (
            "unstained_left_out",
            {
                "stained_pct": 10.6,
                "left_out_pct": 5.1,
                "stained_with_left_out_pct": 9.9,
                "score_with_left_out": Score.ULTRALOW,
            },
        ),
        ("below_blank", {"below_blank_pct": 33.1, "score_without_below": Score.ULTRALOW}),
        (
            "shared_lines",
            {"stained_pct": 14.8, "stained_alone_pct": 8.6, "score_alone": Score.ULTRALOW},
        ),
        ("hidden_nuclei", {"hidden_nuclei_pct": 20.1}),
        ("control_suspected", {"n_suspected_cells": 1}),
        (
            "control_suspected",
            {
                "n_suspected_cells": 9,
                "is_suspect_excluded": True,
                "score_other_way": Score.THREE_PLUS,
            },
        ),
        ("control_out_of_range", {"control_od": 0.2, "control_od_range": Interval(0.3, 0.5)}),
        ("few_blocks", {"n_effective_blocks": 1.0}),
        ("no_control", {"has_control": False}),
        ("not_calibrated", {"is_calibrated": False}),
        ("stain_vectors", {"stain_angle_deg": 20.1}),
        ("pale_counterstain", {"nuclear_hematoxylin_od": 0.09}),
        ("pale_counterstain", {"nuclear_hematoxylin_od": 0.05, "are_nuclei_seen": True}),
        ("coarse_scan", {"mpp": 0.46}),
        ("out_of_focus", {"out_of_focus_pct": 10.1}),
        ("artefacts", {"artefact_pct": 25.1}),
        ("mask_area", {"tissue_mm2": 0.05}),
        ("mask_area", {"tissue_pct": 99.0}),
        ("mpp_by_hand", {"mpp": 0.25, "is_mpp_by_hand": True}),
        ("mpp_by_hand", {"mpp": 0.25, "is_mpp_by_hand": True, "stated_mpp": 0.2534}),
        ("mpp_contradicted", {"mpp": 0.25, "is_mpp_by_hand": True, "stated_mpp": 0.5}),
        ("mpp_contradicted", {"mpp": 0.25, "stated_mpp": 0.5}),
        ("mpp_contradicted", {"mpp": 0.28, "objective_power": 60.0}),
        ("anisotropic_pixels", {"anisotropy": 1.02}),
        ("ish_discordant", {"ish_comment": "IHC 1+ and ISH amplified"}),
    ],
)
def test_each_reason_raises_its_flag_alone(flag, evidence):
    assert names(flags_of(**evidence)) == [flag]


@pytest.mark.parametrize(
    "evidence",
    [
        {"n_tumor_cells": 100},
        {"mpp": 0.25, "stated_mpp": 0.2646, "objective_power": 40.0},
        {"mpp": 0.11, "objective_power": 40.0},
        {"changed_trials_pct": 20.0},
        {"regions": RegionSpread(Score.ONE_PLUS, Score.TWO_PLUS, 4, {})},
        {"cluster": dataclasses.replace(ISLAND, is_distinct=False)},
        {"network_score": Score.ONE_PLUS},
        {"nuclear_hematoxylin_od": 0.07, "are_nuclei_seen": True},
        {
            "uncertain_tumor_pct": 20.0,
            "score_with_uncertain": Score.ONE_PLUS,
            "score_without_uncertain": Score.ONE_PLUS,
        },
        {
            "uncertain_tumor_pct": 50.0,
            "score_with_uncertain": Score.ONE_PLUS,
            "score_without_uncertain": Score.ONE_PLUS,
            "are_nuclei_seen": True,
        },
        {"tumor_parts_at": 0.06, "score_as_read": Score.ONE_PLUS},
        # Few, and many without an effect.
        {
            "stained_pct": 10.6,
            "left_out_pct": 5.0,
            "stained_with_left_out_pct": 9.9,
            "score_with_left_out": Score.ULTRALOW,
        },
        {
            "stained_pct": 50.0,
            "left_out_pct": 15.0,
            "stained_with_left_out_pct": 42.5,
            "score_with_left_out": Score.ONE_PLUS,
        },
        # A tenth of 50 % were close to the cut of 10 %; 45 % of it is not.
        {"below_blank_pct": 55.0, "score_without_below": Score.ONE_PLUS},
        {"below_blank_pct": 33.0, "score_without_below": Score.ZERO},
        {"stained_pct": 50.0, "stained_alone_pct": 30.0, "score_alone": Score.ONE_PLUS},
        {"control_od": 0.4, "control_od_range": Interval(0.3, 0.5)},
        # Left out, and it would change nothing.
        {"n_suspected_cells": 9, "is_suspect_excluded": True},
        {"has_control": True, "is_calibrated": True, "mpp": 0.26, "anisotropy": 1.0},
        {"cytoplasmic_pct": 10.0, "hidden_nuclei_pct": 20.0, "artefact_pct": 25.0},
        {},
    ],
)
def test_at_its_cut_no_flag_is_raised(evidence):
    assert flags_of(**evidence) == ()


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({"n_effective_blocks": 3.97}, "lie in 3.97 effective blocks of tissue (at least 4 "),
        ({"mpp": 0.3004}, "has 0.3004 µm/px; 1+ needs 0.30 µm/px or finer"),
        ({"stain_angle_deg": 20.2}, "lie 20.2° from the reference (more than 20°)"),
        ({"nuclear_hematoxylin_od": 0.0996}, "pale, 0.0996 OD in nuclei (less than 0.10 OD)"),
        (
            {"control_od": 0.299, "control_od_range": Interval(0.3, 0.5)},
            "stains at 0.299 OD, outside its range of 0.30–0.50 OD",
        ),
        ({"cytoplasmic_pct": 10.03}, "10.03 % of the tumour cells have brown cytoplasm"),
        ({"cytoplasmic_pct": 12.0}, "12.0 % of the tumour cells have brown cytoplasm"),
        ({"tissue_mm2": 0.0998}, "Only 0.0998 mm² of tissue were found (at least 0.1 mm²"),
        ({"changed_trials_pct": 20.3}, "changed in 20.3 % of trials"),
        (
            {
                "uncertain_tumor_pct": 1.04,
                "score_with_uncertain": Score.ONE_PLUS,
                "score_without_uncertain": Score.ULTRALOW,
            },
            "1.04 % of the cells that are or may be tumour are in doubt (more than 1 %)",
        ),
        (
            {"stained_pct": 97.0, "left_out_pct": 5.2, "stained_with_left_out_pct": 88.9},
            "5.2 % of both together (more than 5 %)",
        ),
        (
            {"below_blank_pct": 33.2, "score_without_below": Score.ZERO},
            "33.2 % have lines below the limit of blank (more than 33 %)",
        ),
        (
            {"stained_pct": 10.04, "stained_alone_pct": 9.98, "score_alone": Score.ULTRALOW},
            "10.04 % of the tumour cells are stained if a line between two cells counts for both, "
            "9.98 % if",
        ),
        (
            {"cluster": Cluster3Plus(504, 1000, 7.0, Score.ONE_PLUS, is_distinct=True)},
            "makes up 50.4 % of its surroundings (more than 50 %), which hold 7.0 %",
        ),
        (
            {
                "stained_pct": 2.3,
                "left_out_pct": 6.0,
                "stained_with_left_out_pct": 1.8,
                "score_with_left_out": Score.ULTRALOW,
            },
            "With them 1.8 % are stained instead of 2.3 %, and the score would be 0+.",
        ),
        (
            {
                "stained_pct": 9.6,
                "by_nuclei_pct": 93.1,
                "stained_as_recognized_pct": 71.2,
                "score_as_recognized": Score.THREE_PLUS,
            },
            "93.1 % of the cells that count do so for their nuclei alone",
        ),
        (
            {
                "stained_pct": 9.6,
                "by_nuclei_pct": 93.1,
                "stained_as_recognized_pct": 71.2,
                "score_as_recognized": Score.THREE_PLUS,
            },
            "Without them 71 % are stained instead of 10 %, and the score would be 3+.",
        ),
        # Rounded, the range would hold what lies outside.
        (
            {"control_od": 0.253, "control_od_range": Interval(0.254, 0.6)},
            "stains at 0.253 OD, outside its range of 0.254–0.60 OD",
        ),
    ],
)
def test_a_number_close_to_its_cut_is_not_written_as_its_cut(evidence, words):
    (flag,) = flags_of(**evidence)
    assert words in flag.sentence


def test_sentences_say_scores_in_words():
    nothing = Score.NOT_ASSESSABLE
    found = flags_of(
        network_score=nothing,
        uncertain_tumor_pct=5.0,
        score_with_uncertain=Score.ONE_PLUS,
        score_without_uncertain=nothing,
        n_suspected_cells=9,
        score_other_way=nothing,
    )
    assert names(found) == ["readers_disagree", "tumor_uncertain", "control_suspected"]
    for flag in found:
        assert "not assessable" in flag.sentence
        assert "_" not in flag.sentence


@pytest.mark.parametrize("intensity", [1, 4])
def test_no_score_against_any_score_is_one_grade(intensity):
    flags = flags_of(call_of(intensity), network_score=Score.NOT_ASSESSABLE)
    (found,) = (flag for flag in flags if flag.flag == "readers_disagree")
    assert found.number == 1
    assert "not assessable: 1 grade apart" in found.sentence


def test_where_no_cell_was_counted_there_are_no_blocks_to_be_few():
    assert flags_of(n_effective_blocks=0.0) == ()


def test_a_single_suspected_cell_is_one_cell():
    counted = flags_of(n_suspected_cells=1)[0].sentence
    assert counted.startswith("1 of the tumour cells counted lies in a separate piece")
    assert "without it" in counted
    excluded = flags_of(
        n_suspected_cells=1, is_suspect_excluded=True, score_other_way=Score.THREE_PLUS
    )[0].sentence
    assert "with its 1 tumour cell the score would be 3+ instead of 1+" in excluded


def test_an_interval_that_includes_the_cut_is_flagged():
    call = call_of(stained=130)
    border = Border(call.deciding_lower, Interval(8.0, 19.0))
    (crossing, double) = flags_of(call, borders=(border,))
    assert (crossing.flag, crossing.number, crossing.cut) == ("interval_crosses_cut", 13, 10)
    assert "13.0 % (95 % interval 8.0–19.0 %), which includes the cut of 10 %" in crossing.sentence
    assert double.flag == "double_read"
    # Another row of the same score says no more.
    assert names(flags_of(call, borders=(border, border))) == [
        "interval_crosses_cut",
        "double_read",
    ]
    clear = Border(call.deciding_lower, Interval(10.5, 16.0))
    assert names(flags_of(call, borders=(clear,))) == ["double_read"]


def test_an_interval_is_not_rounded_until_it_leaves_its_cut_out():
    tally = Tally.of([1] * 29 + [0] * 971, [0] * 1000)
    call = BREAST.call(tally, blank_upper_pct=2.27)
    flags = flags_of(call, borders=(Border(call.deciding_lower, Interval(2.26, 3.6)),))
    assert "(95 % interval 2.26–3.6 %), which includes the cut of 2.27 %" in flags[0].sentence


@pytest.mark.parametrize(
    ("stained", "is_flagged"),
    [(4, False), (6, True), (19, True), (30, False), (60, True), (190, True), (300, False)],
)
def test_borders_of_the_low_scores_are_read_twice(stained, is_flagged):
    assert ("double_read" in names(flags_of(call_of(stained=stained)))) == is_flagged


def test_more_staining_takes_no_second_reader_away():
    faint = Tally.of([1] * 700 + [0] * 9300, [0] * 10_000)
    some_moderate = Tally.of([3] * 140 + [1] * 560 + [0] * 9300, [0] * 10_000)
    for tally in (faint, some_moderate):
        call = BREAST.call(tally, blank_upper_pct=2.0)
        assert call.score is Score.ULTRALOW
        assert names(flags_of(call)) == ["double_read"]
        assert any(d.measure == "pct_stained" and d.cut == 10 for d in call.near)


@pytest.mark.parametrize(
    ("below", "stained", "is_flagged"), [(65, 293, True), (65, 800, False), (32, 150, False)]
)
def test_below_the_blank_is_flagged_where_what_is_left_is_close_to_the_cut(
    below, stained, is_flagged
):
    flags = flags_of(
        call_of(stained=stained), below_blank_pct=below, score_without_below=Score.ONE_PLUS
    )
    assert ("below_blank" in names(flags)) == is_flagged
    for flag in flags:
        if flag.flag == "below_blank":
            assert "without them 10.3 % are stained, close to the cut of 10 % for 1+" in (
                flag.sentence
            )


def test_staining_far_below_the_cut_is_not_said_to_be_close_to_it():
    counts = np.zeros((5, 3), np.int64)
    counts[1, 0], counts[3, 2], counts[0, 0] = 260, 40, 700
    call = BREAST.call(Tally.from_array(counts), blank_upper_pct=1.0)
    assert (call.score, call.deciding_lower.measure) == (Score.ONE_PLUS, "pct_stained")
    # What is left, 45 of 1000, is 1+ by its complete membranes.
    flags = flags_of(call, below_blank_pct=85.0, score_without_below=Score.ONE_PLUS)
    (flag,) = (flag for flag in flags if flag.flag == "below_blank")
    assert "without them 4.5 % are stained, below the cut of 10 % for 1+" in flag.sentence


def test_lines_between_two_cells_leave_no_doubt_that_some_cell_is_stained():
    shared = {"stained_pct": 3.0, "stained_alone_pct": 1.9, "score_alone": Score.ZERO}
    ultralow = call_of(stained=30)
    assert ultralow.score is Score.ULTRALOW
    assert "shared_lines" not in names(flags_of(ultralow, **shared))
    # Editions without 0+ call up to 10 % 0.
    (flag,) = flags_of(call_of(), stained_pct=14.0, stained_alone_pct=8.0, score_alone=Score.ZERO)
    assert (flag.flag, flag.number, flag.cut) == ("shared_lines", 8.0, 10.0)
    assert (
        "14.0 % of the tumour cells are stained if a line between two cells counts for both, "
        in (flag.sentence)
    )
    # A row that does not go by the share stained has no cut for it.
    matrix = call_of(3, 0, 500)
    found = flags_of(matrix, stained_pct=50.0, stained_alone_pct=8.0, score_alone=Score.ULTRALOW)
    (flag,) = (one for one in found if one.flag == "shared_lines")
    assert flag.cut == 50.0


def test_a_2plus_near_its_cut_needs_no_second_reader_of_low_scores():
    assert flags_of(call_of(2, 2, 120)) == ()


def test_unusual_patterns_and_gaps_of_the_guideline_are_flagged():
    assert names(flags_of(call_of(4, 2, 50))) == ["unusual_pattern"]
    assert names(flags_of(call_of(3, 1, 500))) == ["unusual_pattern"]
    assert names(flags_of(call_of(3, 0, 500))) == ["unusual_pattern", "decided_by_matrix"]
    assert names(flags_of(call_of(2, 2, 40), n_tumor_cells=1000)) == ["decided_by_matrix"]


@pytest.mark.parametrize(("n_stained", "is_flagged"), [(49, False), (50, True), (100, True)])
def test_a_1plus_by_the_matrix_stands_beside_the_cut_of_stained_cells_too(n_stained, is_flagged):
    # Weak and complete in 3 %: 1+ whatever the share stained, and 0+ to who sees them incomplete.
    counts = [[0, 0, 0] for _ in range(5)]
    counts[0][0], counts[2][2], counts[1][0] = 1000 - n_stained, 30, n_stained - 30
    call = BREAST.call(Tally.from_array(counts), blank_upper_pct=2.0)
    assert (call.score, call.is_decided_by_matrix) == (Score.ONE_PLUS, True)
    assert ("double_read" in names(flags_of(call))) is is_flagged


@pytest.mark.parametrize(
    ("intense", "faint", "score", "is_flagged"),
    [
        (5, 0, "0", True),
        (4, 0, "0", False),
        (8, 60, "0+", True),
        (8, 300, "1+", True),
        # More than the limit of blank is 2+ by the guideline's own row.
        (11, 0, "2+", False),
    ],
)
@pytest.mark.parametrize("name", ["asco-cap-2018", "total-matrix"])
def test_few_intense_cells_below_2plus_are_never_passed_over(
    name, intense, faint, score, is_flagged
):
    counts = np.zeros((5, 3), np.int64)
    counts[4, 2], counts[1, 0], counts[0, 0] = intense, faint, 1000 - intense - faint
    call = load_rule_set(name).call(Tally.from_array(counts), blank_upper_pct=1.0)
    assert call.score == score
    found = [flag for flag in flags_of(call) if flag.flag == "few_intense"]
    assert [(flag.number, flag.cut) for flag in found] == ([(intense, 5)] if is_flagged else [])
    assert all(flag.severity == "review" for flag in found)


def test_few_intense_cells_are_never_said_to_exceed_the_limit_that_they_do_not_exceed():
    counts = np.zeros((5, 3), np.int64)
    counts[4, 2], counts[0, 0] = 196, 9804
    call = BREAST.call(Tally.from_array(counts), blank_upper_pct=1.97)
    (flag,) = (f for f in flags_of(call, n_tumor_cells=10_000) if f.flag == "few_intense")
    assert "196 tumour cells (1.96 %)" in flag.sentence
    assert "the limit of blank, 1.97 %" in flag.sentence


def test_criteria_without_a_row_of_few_intense_cells_raise_no_flag_for_them():
    counts = np.zeros((5, 3), np.int64)
    counts[4, 2], counts[0, 0] = 8, 992
    call = load_rule_set("gastric-resection").call(Tally.from_array(counts), blank_upper_pct=1.0)
    assert "few_intense" not in names(flags_of(call))


def test_an_unusual_pattern_stands_beside_its_own_number():
    counts = np.zeros((5, 3), np.int64)
    counts[3, 1], counts[4, 2], counts[0, 0] = 150, 80, 770
    call = load_rule_set("asco-cap-2018").call(Tally.from_array(counts), blank_upper_pct=2.0)
    assert (call.fired.value, call.deciding_lower.value) == (23.0, 8.0)
    (flag,) = (f for f in flags_of(call) if f.flag == "unusual_pattern")
    assert flag.number == 23.0
    assert "(incomplete)" in flag.sentence
    assert "moderate or stronger" in flag.sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "staining is 50.0 %, above 10 %."),
        ({"comparison": "≥"}, "staining is 50.0 %, at least 10 %."),
        (
            {"comparison": "≥", "unit": "cells", "value": 7.0, "cut": 5.0},
            "staining is 7 cells, at least 5 cells.",
        ),
    ],
)
def test_what_holds_an_unusual_score_is_said_in_its_own_unit(changes, words):
    call = call_of(3, 0, 500)
    fired = dataclasses.replace(call.fired, **changes)
    flags = flags_of(dataclasses.replace(call, fired=fired))
    assert names(flags) == ["unusual_pattern", "decided_by_matrix"]
    assert words in flags[0].sentence
    assert words.replace("is ", "", 1)[:-1] in flags[1].sentence


def test_a_missing_calibration_asks_for_review_only_where_it_matters():
    same = dict.fromkeys(HEIGHT_FACTORS, Score.ONE_PLUS)
    assert not needs_review(flags_of(is_calibrated=False, scores_by_height=same))
    matters = flags_of(is_calibrated=False, scores_by_height={**same, 1.6: Score.TWO_PLUS})
    assert names(matters) == ["not_calibrated", "calibration_matters"]
    assert needs_review(matters)
    assert matters[1].number == matters[1].cut == 1.6
    assert "2+ if lines were 1.6 times as high" in matters[1].sentence


def test_heights_that_are_twice_as_high_or_low_are_known_but_ask_for_nobody():
    heights = {0.5: Score.ZERO, 1 / 1.6: Score.ONE_PLUS, 1.6: Score.ONE_PLUS, 2.0: Score.TWO_PLUS}
    found = flags_of(is_calibrated=False, scores_by_height=heights)
    assert names(found) == ["not_calibrated"]
    assert found[0].sentence.endswith(
        "0 if lines were 0.5 times as high and 2+ if lines were 2 times as high."
    )


def test_a_coarse_scan_matters_only_for_low_scores():
    assert flags_of(call_of(4, 2, 500), mpp=0.5) == ()


def test_no_cell_is_flagged_as_not_assessable():
    call = BREAST.call(Tally.zero(), blank_upper_pct=1.0)
    assert names(flags_of(call, n_tumor_cells=0)) == ["not_assessable", "few_cells"]


def test_cuts_can_be_set():
    evidence = FlagEvidence(call=call_of(), n_tumor_cells=150)
    assert names(raise_flags(evidence, FlagCuts(least_cells=200))) == ["few_cells"]


def test_a_number_that_is_none_is_refused_before_it_hides_a_flag():
    with pytest.raises(ValueError, match="artefact_pct is nan"):
        FlagEvidence(call=call_of(), n_tumor_cells=1, artefact_pct=float("nan"))
    with pytest.raises(ValueError, match="mpp is inf"):
        FlagEvidence(call=call_of(), n_tumor_cells=1, mpp=np.inf)


DOUBTS_OF_CUTS = {
    "changed_trials_pct": 40.0,
    "is_calibrated": False,
    "scores_by_height": {1.6: Score.TWO_PLUS},
}


def test_a_network_that_rules_out_every_other_score_answers_doubt_about_heights_and_no_other():
    score = call_of().score
    found = flags_of(**DOUBTS_OF_CUTS, network_set=(score,), mpp=0.5)
    answered = {flag.flag: flag for flag in found if flag.is_answered}
    assert set(answered) == {"calibration_matters"}
    for flag in answered.values():
        assert flag.severity == "note"
        assert flag.sentence.endswith(f"rules out every score but {score}.")
    assert {flag.flag for flag in found if flag.severity == "review"} == {
        "sensitive_to_thresholds",
        "coarse_scan",
    }


@pytest.mark.parametrize("seen", [(), (Score.ONE_PLUS, Score.TWO_PLUS), (Score.TWO_PLUS,)])
def test_a_network_that_states_no_set_or_another_one_answers_nothing(seen):
    found = flags_of(**DOUBTS_OF_CUTS, network_set=seen)
    assert {"sensitive_to_thresholds", "calibration_matters"} <= {
        flag.flag for flag in found if flag.severity == "review"
    }
    assert not any(flag.is_answered or "network" in flag.sentence for flag in found)


def test_every_flag_has_a_severity():
    assert set(SEVERITY) == set(ReviewFlag)
    assert set(SEVERITY.values()) == {"review", "note"}


pcts = st.none() | st.floats(0, 100)


@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.integers(0, 2),
    st.builds(
        dict,
        changed_trials_pct=pcts,
        cytoplasmic_pct=pcts,
        hidden_nuclei_pct=pcts,
        out_of_focus_pct=pcts,
        artefact_pct=pcts,
        tissue_pct=pcts,
        tissue_mm2=st.none() | st.floats(0, 500),
        mpp=st.none() | st.floats(0.1, 1),
        stain_angle_deg=st.none() | st.floats(0, 90),
        has_control=st.none() | st.booleans(),
        is_calibrated=st.none() | st.booleans(),
    ),
)
def test_each_sentence_is_finished_and_holds_a_number(stained, intensity, extent, evidence):
    flags = flags_of(call_of(intensity, extent, stained), **evidence)
    for flag in flags:
        assert flag.sentence.endswith(".")
        assert flag.sentence[0].isupper() or flag.sentence[0].isdigit()
        assert re.search(r"\d", flag.sentence)
        assert "None" not in flag.sentence
        assert flag.unit
    assert needs_review(flags) == any(SEVERITY[flag.flag] == "review" for flag in flags)


def test_a_share_that_hardly_exceeds_its_cut_is_not_said_to_equal_it():
    call = call_of(3, 1, 1004, n=10_000)
    (flag,) = (flag for flag in flags_of(call, n_tumor_cells=10_000) if "pattern" in flag.flag)
    assert "is 10.04 %, above 10 %." in flag.sentence
    call = call_of(1, 0, 996, n=10_000)
    (flag,) = (flag for flag in flags_of(call, n_tumor_cells=10_000) if flag.flag == "double_read")
    assert "are 9.96 %, close to the cut of 10 %" in flag.sentence
