from dataclasses import replace

import numpy as np
import pytest

from her2path.compare import Verdict, compare_sides
from her2path.compare.bands import Band, Bands, default_bands
from her2path.compare.change import ScoreChange
from her2path.compare.drift import drift_checks
from her2path.compare.record import pair_document
from her2path.compare.verdict import doubts_of
from her2path.criteria.score import IshResult, Score, Status
from her2path.geometry import Region
from her2path.pipeline.scoring import LEAST_UPPER_PCT
from her2path.results.jsonable import to_json
from her2path.results.record import FocusFacts, NetworkFacts, RegionKind, RegionRecord
from her2path.statistics.intervals import Interval
from her2path.statistics.resampling import share_intervals

FAINT = {"faint_incomplete": 40}
TWO_PLUS = {"weak_incomplete": 20, "weak_complete": 30, "moderate_complete": 20}


def codes(pair):
    return [reason.code for reason in (*pair.voids, *pair.obstacles)]


def test_a_lost_expression_is_a_change(make_side):
    pair = compare_sides(make_side(**TWO_PLUS), make_side("after", seed=2))
    assert pair.verdict is Verdict.CHANGED
    assert pair.as_read.score.change is ScoreChange.LOSS
    assert pair.as_read.score.loss_to == "null"
    assert pair.common.score.p_lower > 0.99
    assert pair.common.deciding.is_clear
    assert "fell from 2+ to 0" in pair.sentence


def test_the_same_tumor_twice_is_unchanged(make_side):
    pair = compare_sides(make_side(**FAINT), make_side("after", seed=2, **FAINT))
    assert pair.verdict is Verdict.UNCHANGED
    for change in pair.as_read.continuous.values():
        assert change.ci95 is None or change.ci95.lower <= 0 <= change.ci95.upper
        assert not change.is_beyond_band
        # Nothing is said of a measure without a band, as the width of lines.
        assert (change.is_beyond_band is None) == (change.band is None)


def test_exchanging_the_sides_exchanges_loss_and_gain(make_side):
    strong, weak = make_side(**FAINT), make_side(seed=2)
    there = compare_sides(strong, replace(weak, name="after"))
    back = compare_sides(weak, replace(strong, name="after"))
    assert there.verdict is back.verdict is Verdict.CHANGED
    assert back.as_read.score.change is ScoreChange.GAIN
    a, b = (p.as_read.continuous["pct_stained"] for p in (there, back))
    assert a.change == pytest.approx(-b.change)


def test_scores_on_both_sides_of_a_cut_are_an_apparent_change(make_side):
    pair = compare_sides(
        make_side(faint_incomplete=12, seed=5), make_side("after", faint_incomplete=8, seed=6)
    )
    assert pair.as_read.score.change is ScoreChange.LOSS
    assert pair.verdict is Verdict.APPARENT
    assert "within measurement error" in pair.sentence


def test_a_wide_band_turns_a_change_into_an_apparent_one(make_side):
    bands = Bands(
        source="x", is_default=False, measures={"pct_stained": Band(band=60, sw=20, unit="%")}
    )
    pair = compare_sides(make_side(**FAINT), make_side("after", seed=2), bands=bands)
    assert pair.verdict is Verdict.APPARENT
    assert any("does not clear" in reason for reason in pair.reasons)
    assert "points (95 % interval −" in pair.reasons[0]


def test_under_a_hundred_cells_nothing_is_said(make_side):
    pair = compare_sides(make_side(n_cells=60, **TWO_PLUS), make_side("after", seed=2))
    assert pair.verdict is Verdict.NOT_EVALUABLE
    assert codes(pair) == ["few_cells"]


def test_a_side_that_is_not_assessable_is_an_answer(make_side, with_record):
    empty = with_record(make_side("after", seed=2), score=Score.NOT_ASSESSABLE)
    pair = compare_sides(make_side(**TWO_PLUS), empty)
    assert pair.verdict is Verdict.NOT_EVALUABLE
    assert pair.as_read.score.change is ScoreChange.NOT_EVALUABLE
    assert pair.as_read.continuous["pct_stained"].ci95 is None
    assert to_json(pair_document(pair))["verdict"] == "not_evaluable"


def test_a_slide_that_is_left_out_makes_no_pair_incomparable(make_side, with_record):
    before, after = make_side(**FAINT), make_side("after", seed=2, **FAINT)
    record = before.first
    focus = replace(record.tissue.focus, median_blur_um=3.0)
    blurred = with_record(
        make_side(seed=3),
        score=Score.NOT_ASSESSABLE,
        tissue=replace(record.tissue, focus=focus),
        blank=replace(record.blank, upper_pct=40.0, min_line_contrast_od=0.2),
        calibration=record.calibration.model_copy(update={"name": "another"}),
    )
    both = replace(before, slides=(*before.slides, *blurred.slides))
    assert compare_sides(both, after).verdict is compare_sides(before, after).verdict
    assert codes(compare_sides(both, after)) == codes(compare_sides(before, after))
    assert drift_checks(both, after) == drift_checks(before, after)
    assert both.blank_upper_pct == before.blank_upper_pct


def test_a_plain_difference_of_stain_is_taken_out_by_the_control(make_side):
    before = make_side(has_control=True, weak_complete=30, weak_incomplete=20)
    after = make_side(
        "after", seed=2, has_control=True, factor=1.3, weak_complete=30, weak_incomplete=20
    )
    pair = compare_sides(before, after)
    assert pair.adjustment.source == "control"
    assert pair.adjustment.size == pytest.approx(1.3, abs=0.06)
    assert pair.adjustment.factor_before == 1.0
    raw, common = (part.continuous["membrane_od"] for part in (pair.as_read, pair.adjusted))
    assert raw.change > 0.03
    assert abs(common.change) < 0.015
    assert common.ci95.lower < 0 < common.ci95.upper


def test_adjusting_loses_no_line_that_the_weaker_side_would_show(make_side):
    before = make_side(has_control=True, weak_complete=30, weak_incomplete=20)
    after = make_side(
        "after", seed=2, has_control=True, factor=1.3, weak_complete=30, weak_incomplete=20
    )
    pair = compare_sides(before, after)
    raw, common = (part.continuous["pct_stained"].after for part in (pair.as_read, pair.adjusted))
    assert common == pytest.approx(raw, abs=0.5)


def test_a_difference_beyond_adjusting_is_not_comparable(make_side):
    before = make_side(has_control=True, **FAINT)
    after = make_side("after", seed=2, has_control=True, factor=1.8, **FAINT)
    pair = compare_sides(before, after)
    assert pair.verdict is Verdict.NOT_COMPARABLE
    assert "adjustment" in codes(pair)


def test_the_tumor_itself_never_adjusts(make_side):
    pair = compare_sides(make_side(**TWO_PLUS), make_side("after", seed=2, factor=1.4, **TWO_PLUS))
    assert pair.adjusted is None
    assert any("No control tissue" in remark for remark in pair.remarks)


def test_other_counterstain_is_not_comparable(make_side):
    pair = compare_sides(make_side(**FAINT), make_side("after", seed=2, counterstain=1.6, **FAINT))
    assert pair.verdict is Verdict.NOT_COMPARABLE
    assert codes(pair) == ["counterstain"]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("patient", lambda _: {"patient_id": "B"}),
        ("rule_edition", lambda _: {"edition": "1999"}),
        ("calibration", lambda r: {"calibration": r.calibration.model_copy(update={"name": "x"})}),
        (
            "calibration",
            lambda r: {"calibration": r.calibration.model_copy(update={"complete_frac": 0.5})},
        ),
        ("stain_vectors", lambda r: {"stain": replace(r.stain, dab=(0.1, 0.5, 0.86))}),
        ("reading", lambda _: {"model": "other"}),
        ("reading", lambda record: {"scan": replace(record.scan, is_srgb=True)}),
        ("assay", lambda _: {"extras": {"clone": "SP3"}}),
        ("sample", lambda r: {"extras": {**r.extras, "compartment": "node"}}),
        ("sample", lambda r: {"extras": {**r.extras, "Decalcified": "Yes"}}),
        ("mpp", lambda r: {"scan": replace(r.scan, working_mpp=0.5)}),
        ("scanner", lambda r: {"scan": replace(r.scan, scanner="Other 2")}),
        ("blank", lambda r: {"blank": replace(r.blank, min_line_contrast_od=0.06)}),
        ("focus", lambda r: {"tissue": replace(r.tissue, focus=FocusFacts(1.0, 90.0, 8))}),
    ],
)
def test_each_obstacle_is_named(make_side, with_record, code, change):
    known = {"patient_id": "A", "extras": {"clone": "4B5", "compartment": "primary"}}
    before = make_side(**FAINT)
    known["scan"] = replace(before.first.scan, scanner="Scanner 1")
    before = with_record(before, **known)
    after = with_record(make_side("after", seed=2, **FAINT), **known)
    assert codes(compare_sides(before, after)) == []
    changed = with_record(after, **change(after.first))
    pair = compare_sides(before, changed)
    assert pair.verdict is Verdict.NOT_COMPARABLE
    assert codes(pair) == [code]
    assert pair.reasons[0] in pair.sentence


def test_the_range_of_the_control_makes_no_other_calibration(make_side, with_record):
    before, after = make_side(**FAINT), make_side("after", seed=2, **FAINT)
    held = after.first.calibration.model_copy(update={"control_od": (0.3, 0.6)})
    assert codes(compare_sides(before, with_record(after, calibration=held))) == []


def test_two_networks_of_one_name_are_two(make_side, with_record):
    mine, other = (
        NetworkFacts(name="best", fingerprint=mark, n_expected_cells=1.0, joint=None)
        for mark in ("aaaa", "bbbb")
    )
    before = with_record(make_side(**FAINT), network=mine, model="best")
    after = with_record(make_side("after", seed=2, **FAINT), network=mine, model="best")
    assert codes(compare_sides(before, after)) == []
    assert codes(compare_sides(before, with_record(after, network=other))) == ["reading"]


@pytest.mark.parametrize(
    ("answers", "are_alike"),
    [
        (("", "no"), True),
        (("", "false"), True),
        (("yes", "1"), True),
        (("", "yes"), False),
        (("no", "EDTA"), False),
    ],
)
def test_bone_that_was_decalcified_is_compared_with_such_only(
    make_side, with_record, answers, are_alike
):
    sides = make_side(**FAINT), make_side("after", seed=2, **FAINT)
    told = [
        with_record(side, extras={"decalcified": answer} if answer else {})
        for side, answer in zip(sides, answers, strict=True)
    ]
    assert codes(compare_sides(*told)) == ([] if are_alike else ["sample"])


def test_an_outline_on_one_side_only_is_remarked_on(make_side, with_record):
    before, after = make_side(**FAINT), make_side("after", seed=2, **FAINT)
    outline = RegionRecord(
        region_id="1",
        kind=RegionKind.ROI,
        name="Tumor",
        box=Region(0, 0, 10, 10),
        area_mm2=1.0,
        n_cells=len(before.counted),
        score=before.first.score,
        reading=before.first.reading,
    )
    drawn = [with_record(side, regions=(outline,)) for side in (before, after)]
    for sides, side in (((drawn[0], after), "before"), ((before, drawn[1]), "after")):
        remarks = compare_sides(*sides).remarks
        assert any(f"drawn by a person on the side {side} only" in r for r in remarks)
    # The cores of an array were outlined by the program.
    core = with_record(before, regions=(replace(outline, is_core=True),))
    for alike in ((before, after), drawn, (core, after)):
        assert not any("drawn by a person" in r for r in compare_sides(*alike).remarks)


def test_control_tissue_of_a_slide_that_is_left_out_adjusts_nothing(make_side, with_record):
    before = make_side(has_control=True, weak_complete=30, weak_incomplete=20)
    after = make_side("after", seed=2, has_control=True, weak_complete=30, weak_incomplete=20)
    dark = with_record(make_side(seed=3, has_control=True, factor=1.4), score=Score.NOT_ASSESSABLE)
    both = replace(after, slides=(*after.slides, *dark.slides))
    assert compare_sides(before, both).adjustment == compare_sides(before, after).adjustment


def test_scanners_that_nobody_states_are_remarked_on(make_side, with_record):
    sides = [make_side(**FAINT), make_side("after", seed=2, **FAINT)]
    unknown, known = (
        [with_record(side, scan=replace(side.first.scan, scanner=name)) for side in sides]
        for name in ("", "Scanner 1")
    )
    assert any("No scanner is stated" in r for r in compare_sides(*unknown).remarks)
    assert not any("canner" in r for r in compare_sides(*known).remarks)


@pytest.mark.parametrize(
    ("scanners", "says"),
    [
        (("", ""), "No scanner is stated on either side"),
        (("Scanner 1", ""), "not stated everywhere (scanner 1 before, not stated after)"),
        (("", "Scanner 1"), "not stated everywhere (not stated before, scanner 1 after)"),
        (("Scanner 1", "Scanner 2"), "scanners differ (scanner 1 before, scanner 2 after)"),
        (("Scanner 1", "scanner 1 "), ""),
    ],
)
def test_a_change_says_why_it_may_be_the_scanners(make_side, with_record, scanners, says):
    sides = make_side(has_control=True, **TWO_PLUS), make_side("after", seed=2, has_control=True)
    pair = compare_sides(
        *(
            with_record(side, scan=replace(side.first.scan, scanner=name))
            for side, name in zip(sides, scanners, strict=True)
        )
    )
    assert pair.verdict is Verdict.CHANGED
    said = [reason for reason in pair.reasons if "canner" in reason]
    assert len(said) == bool(says)
    assert all(says in reason for reason in said)
    assert [remark for remark in pair.remarks if "canner" in remark] == said


def test_a_share_that_moved_within_one_score_says_so_of_the_scanners_too(make_side):
    pair = compare_sides(
        make_side(faint_incomplete=90), make_side("after", seed=2, faint_incomplete=40)
    )
    assert pair.verdict is Verdict.UNCHANGED
    assert any("No scanner is stated" in reason for reason in pair.reasons)
    still = compare_sides(make_side(**FAINT), make_side("after", seed=2, **FAINT))
    assert not any("canner" in reason for reason in still.reasons)


def test_control_tissue_bridges_two_scanners(make_side, with_record):
    sides = []
    for number, name in enumerate(("before", "after")):
        side = make_side(name, seed=number, has_control=True, **FAINT)
        sides.append(with_record(side, scan=replace(side.first.scan, scanner=f"scanner {number}")))
    assert "scanner" not in codes(compare_sides(*sides))


def test_several_slides_make_one_side(make_side):
    one, two = make_side(seed=1, **TWO_PLUS), make_side(seed=3, **TWO_PLUS)
    both = replace(one, slides=(*one.slides, *two.slides))
    after = make_side("after", seed=2)
    pair = compare_sides(both, after)
    assert pair.before.n_tumor_cells == len(one.counted) + len(two.counted)
    single = compare_sides(one, after)
    assert pair.before.n_blocks > single.before.n_blocks
    wide, narrow = (p.as_read.continuous["pct_stained"].before_ci95.width for p in (single, pair))
    assert narrow < wide


def test_ish_decides_what_a_2plus_means(make_side):
    before = replace(make_side(**TWO_PLUS), ish=IshResult.AMPLIFIED)
    after = make_side("after", seed=2, **TWO_PLUS)
    status = compare_sides(before, after).as_read.status
    assert (status.before, status.after) == (Status.POSITIVE, Status.EQUIVOCAL)


def test_the_same_sides_and_seed_give_the_same_numbers(make_side):
    sides = make_side(**FAINT), make_side("after", seed=2, **TWO_PLUS)
    one, two = (to_json(pair_document(compare_sides(*sides, seed=4))) for _ in range(2))
    assert {**one, "created": ""} == {**two, "created": ""}


def test_the_document_holds_what_the_contract_names(make_side):
    document = to_json(
        pair_document(compare_sides(make_side(**TWO_PLUS), make_side("after", seed=2)))
    )
    for part in ("score", "status"):
        assert set(document[part]) >= {"before", "after", "change", "ci95"}
    for change in document["continuous"].values():
        assert set(change) >= {"before", "after", "change", "ci95"}
    stained = document["continuous"]["pct_stained"]
    assert stained["ci95"][0] <= stained["change"] <= stained["ci95"][1]
    assert document["verdict"] in list(Verdict)
    assert document["comparability"]["reasons"] == []
    assert document["bands"]["source"] == default_bands().source


def test_the_distance_of_distributions_is_in_class_steps(make_side):
    before = make_side(moderate_complete=99.5)
    after = make_side("after", seed=2, faint_complete=99.5)
    distance = compare_sides(before, after).as_read.continuous["class_distance"]
    assert distance.change == pytest.approx(2, abs=0.3)
    assert distance.before is None
    assert distance.ci95.lower > 1


def test_the_share_without_staining_changes_as_much_the_other_way(make_side):
    # Few cells of one kind, where ties among the draws are many.
    sides = make_side(n_cells=120, **TWO_PLUS), make_side("after", n_cells=120, seed=2, **FAINT)
    pair = compare_sides(*sides)
    any_, none = (pair.as_read.continuous[name] for name in ("pct_stained", "pct_none"))
    assert none.change == pytest.approx(-any_.change)
    mirrored = (-any_.ci95.upper, -any_.ci95.lower)
    assert (none.ci95.lower, none.ci95.upper) == pytest.approx(mirrored)
    assert -100 <= none.ci95.lower <= none.ci95.upper <= 100
    rest = (100 - any_.before_ci95.upper, 100 - any_.before_ci95.lower)
    assert (none.before_ci95.lower, none.before_ci95.upper) == pytest.approx(rest)


def test_a_share_that_moved_against_the_score_changes_nothing(make_side):
    # Each side has its own limit of blank; between them the share may rise while the score falls.
    pair = compare_sides(make_side(**TWO_PLUS), make_side("after", seed=2))
    move, deciding = pair.common.score, pair.common.deciding
    against = replace(deciding, change=-deciding.change, ci95=Interval(60.0, 80.0))
    assert doubts_of(move, move, deciding) == []
    (doubt,) = doubts_of(move, move, against)
    assert "rose while the score fell" in doubt


def test_the_interval_of_a_side_is_that_of_its_slide(make_side):
    sides = make_side(**TWO_PLUS), make_side("after", seed=2)
    pair = compare_sides(*sides)
    for name in ("pct_stained", "pct_complete", "h_score"):
        change = pair.as_read.continuous[name]
        for side, found in zip(sides, (change.before_ci95, change.after_ci95), strict=True):
            own = share_intervals(side.counted.block_tallies(), side.counted.wider_blocks())[name]
            assert (found.lower, found.upper) == pytest.approx((own.lower, own.upper))
    # No cell of the later side is complete.
    none = pair.as_read.continuous["pct_complete"]
    assert none.after == none.after_ci95.lower == 0


def test_without_a_band_nothing_is_said_to_be_within_the_error(make_side):
    bands = replace(default_bands(), measures={})
    pair = compare_sides(make_side(**TWO_PLUS), make_side("after", seed=2), bands=bands)
    assert pair.verdict is Verdict.APPARENT
    assert "cannot be told" in pair.sentence
    assert "within measurement error" not in pair.sentence
    assert any("bands that ship" in reason for reason in pair.reasons)


def test_the_interval_of_a_distance_stays_within_what_a_distance_can_be(make_side):
    before = make_side(intense_complete=99.9)
    after = make_side("after", seed=2)
    distance = compare_sides(before, after).as_read.continuous["class_distance"]
    assert 0 <= distance.ci95.lower <= distance.change <= distance.ci95.upper <= 4


@pytest.mark.parametrize(
    ("blanks", "of_side"), [((0.5, 3.0), 3.0), ((3.0, 0.5), 3.0), ((0.0, 0.0), LEAST_UPPER_PCT)]
)
def test_a_side_is_as_blank_as_its_worst_slide(make_side, with_record, blanks, of_side):
    side = make_side(n_cells=120, **FAINT)
    slides = [
        with_record(side, blank=replace(side.first.blank, upper_pct=upper)).slides[0]
        for upper in blanks
    ]
    assert replace(side, slides=tuple(slides)).blank_upper_pct == of_side


def test_one_score_of_two_statuses_is_not_called_unchanged_her2(make_side):
    before = replace(make_side(**TWO_PLUS), ish=IshResult.NOT_AMPLIFIED)
    after = replace(make_side("after", seed=2, **TWO_PLUS), ish=IshResult.AMPLIFIED)
    pair = compare_sides(before, after)
    assert pair.verdict is Verdict.UNCHANGED
    words = "ith ISH the status is low before and positive after."
    assert pair.sentence == f"The score is unchanged, 2+ before and after, though w{words}"
    assert f"W{words}" in pair.reasons


def test_a_status_that_goes_another_way_than_the_score_is_among_the_reasons(make_side):
    before = replace(make_side(**TWO_PLUS), ish=IshResult.NOT_AMPLIFIED)
    weak = make_side("after", seed=2, **FAINT)
    pair = compare_sides(before, replace(weak, ish=IshResult.AMPLIFIED))
    assert pair.verdict is Verdict.CHANGED
    words = "With ISH the status is low before and positive after."
    assert words in pair.reasons
    # Where both go one way the page says the status, and nothing needs to be explained.
    positive = replace(make_side(**TWO_PLUS), ish=IshResult.AMPLIFIED)
    assert not any("ISH" in reason for reason in compare_sides(positive, weak).reasons)


def test_the_density_of_one_cell_tells_nothing_of_its_scatter(make_side):
    before = make_side(**FAINT)
    slide = before.slides[0]
    intensity = slide.counted.intensity.copy()
    stained = np.flatnonzero(intensity > 0)
    density = slide.counted.membrane_od.copy()
    intensity[stained[1:]], density[stained[0]] = 0, 0.9
    counted = replace(slide.counted, intensity=intensity, membrane_od=density)
    before = replace(before, slides=(replace(slide, counted=counted),))
    found = compare_sides(before, make_side("after", seed=2, **TWO_PLUS)).as_read.continuous
    change = found["membrane_od"]
    assert change.before == pytest.approx(0.9)
    assert change.change < -0.5
    assert (change.ci95, change.before_ci95, change.is_beyond_band) == (None, None, False)
    assert change.p_permutation is None
    assert change.after_ci95 is not None
    # Of a share one cell of many says enough.
    assert found["pct_stained"].ci95 is not None
