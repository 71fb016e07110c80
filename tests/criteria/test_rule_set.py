import time
from importlib import resources

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2path.criteria import Extent, Intensity, Organ, Score
from her2path.criteria.clusters import Clusters
from her2path.criteria.rule_set import RuleSet, load_rule_set, rule_set_names
from her2path.criteria.tally import Tally
from her2path.errors import CriteriaError
from her2path.pipeline.settings import find_rule_set

BLANK = 1.0
INCOMPLETE, BASOLATERAL, COMPLETE = Extent
NONE, FAINT, WEAK, MODERATE, INTENSE = Intensity
BREAST = load_rule_set("asco-cap-2018")
MATRIX = load_rule_set("total-matrix")
BY_SHARE = [name for name in rule_set_names() if not load_rule_set(name).needs_clusters]

counts = arrays(np.int64, (5, 3), elements=st.sampled_from([0, 0, 0, 1, 2, 5, 9, 10, 40, 300])).map(
    lambda a: np.where((np.arange(5) == 0)[:, None] & (np.arange(3) > 0), 0, a)
)
blanks = st.sampled_from([0.01, 0.5, 1.0, 5.0, 10.0, 15.0])
rule_sets = st.sampled_from(BY_SHARE).map(load_rule_set)
NO_CLUSTER = Clusters(0, 0, 0, 0)


def tumour(*parts, n=1000):
    """Make a tally of n cells from (intensity, extent, n_cells); the rest is unstained."""
    array = np.zeros((5, 3), np.int64)
    for intensity, extent, n_cells in parts:
        array[intensity, extent] += n_cells
    array[0, 0] = n - array.sum()
    return Tally.from_array(array)


def score(rules, *parts, n=1000):
    return rules.call(tumour(*parts, n=n), blank_upper_pct=BLANK).score


@pytest.mark.parametrize(
    ("parts", "expected", "criterion"),
    [
        ([(INTENSE, COMPLETE, 101)], "3+", "3+"),
        ([(INTENSE, COMPLETE, 100)], "2+", "2+ intense"),
        ([(WEAK, COMPLETE, 101)], "2+", "2+ complete"),
        ([(MODERATE, COMPLETE, 101)], "2+", "2+ complete"),
        ([(MODERATE, BASOLATERAL, 101)], "2+", "2+ incomplete"),
        ([(INTENSE, BASOLATERAL, 101)], "2+", "2+ incomplete"),
        ([(FAINT, INCOMPLETE, 101)], "1+", "1+"),
        ([(FAINT, INCOMPLETE, 100)], "0+", "0+"),
        ([(FAINT, INCOMPLETE, 11)], "0+", "0+"),
        ([(FAINT, INCOMPLETE, 10)], "0", "0"),
        ([], "0", "0"),
    ],
)
def test_breast_follows_the_guideline(parts, expected, criterion):
    call = BREAST.call(tumour(*parts), blank_upper_pct=BLANK)
    assert call.score == expected
    assert call.criterion_id == criterion
    assert not call.is_decided_by_matrix


@pytest.mark.parametrize(
    ("rules", "intensity", "row"),
    [
        (MATRIX, INTENSE, ["3+", "2+", "2+", "1+"]),
        (MATRIX, MODERATE, ["2+", "2+", "2+", "1+"]),
        (MATRIX, WEAK, ["2+", "1+", "1+", "0+"]),
        (MATRIX, FAINT, ["1+", "0+", "1+", "0+"]),
        (BREAST, INTENSE, ["3+", "2+", "2+", "1+"]),
        # The guideline's own words ask for more than 10 % here.
        (BREAST, MODERATE, ["2+", "1+", "2+", "1+"]),
        (BREAST, WEAK, ["2+", "1+", "1+", "0+"]),
        (BREAST, FAINT, ["1+", "0+", "1+", "0+"]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_single_population_gets_the_matrix_unless_the_guideline_speaks(rules, intensity, row):
    cases = [(COMPLETE, 110), (COMPLETE, 90), (INCOMPLETE, 110), (INCOMPLETE, 90)]
    assert [score(rules, (intensity, extent, n)) for extent, n in cases] == row


@pytest.mark.parametrize(
    "part",
    [(WEAK, COMPLETE, 50), (MODERATE, INCOMPLETE, 50), (MODERATE, COMPLETE, 50)],
)
@pytest.mark.parametrize("rules", [BREAST, MATRIX], ids=lambda rules: rules.name)
def test_a_gap_of_the_guideline_is_filled_by_the_matrix_and_said(rules, part):
    assert rules.call(tumour(part), blank_upper_pct=BLANK).is_decided_by_matrix


@pytest.mark.parametrize("name", ["asco-cap-2018", "asco-cap-2013", "total-matrix"])
@pytest.mark.parametrize(
    ("complete", "incomplete", "is_filled"),
    [(900, 0, True), (40, 80, True), (0, 120, False), (40, 110, False)],
)
def test_faint_complete_staining_is_named_by_no_guideline(name, complete, incomplete, is_filled):
    parts = (FAINT, COMPLETE, complete), (FAINT, INCOMPLETE, incomplete)
    call = load_rule_set(name).call(tumour(*parts), blank_upper_pct=BLANK)
    assert call.score == "1+"
    assert call.is_decided_by_matrix is is_filled
    assert ("faint, complete staining counts" in call.criterion_text) is is_filled


def test_few_faint_complete_cells_are_ultralow_by_the_matrix():
    call = BREAST.call(tumour((FAINT, COMPLETE, 60)), blank_upper_pct=BLANK)
    assert (call.score, call.is_decided_by_matrix) == ("0+", True)
    # What is stronger decides by itself: faint cells beside it fill no gap.
    call = BREAST.call(tumour((FAINT, COMPLETE, 60), (WEAK, COMPLETE, 110)), blank_upper_pct=BLANK)
    assert (call.score, call.is_decided_by_matrix) == ("2+", False)


def test_in_2007_exactly_ten_percent_of_complete_staining_is_2plus():
    old = load_rule_set("asco-cap-2007")
    for n, expected in ((100, "2+"), (99, "1+")):
        call = old.call(tumour((WEAK, COMPLETE, n)), blank_upper_pct=BLANK)
        assert call.score == expected


def test_the_matrix_tells_no_short_arcs_from_basolateral_staining():
    part = (MODERATE, INCOMPLETE, 200)
    assert BREAST.call(tumour(part), blank_upper_pct=BLANK).is_decided_by_matrix
    assert not MATRIX.call(tumour(part), blank_upper_pct=BLANK).is_decided_by_matrix


def test_an_edition_without_0_plus_says_what_it_leaves_open():
    rules = load_rule_set("asco-cap-2013")
    for part in ((WEAK, COMPLETE, 50), (MODERATE, COMPLETE, 95), (INTENSE, INCOMPLETE, 50)):
        call = rules.call(tumour(part), blank_upper_pct=BLANK)
        assert call.score == "1+"
        assert call.is_decided_by_matrix
    assert rules.call(tumour((FAINT, INCOMPLETE, 95)), blank_upper_pct=BLANK).score == "0"


def test_shares_count_upwards():
    assert score(BREAST, (INTENSE, COMPLETE, 60), (WEAK, COMPLETE, 60)) == "2+"
    call = BREAST.call(tumour((INTENSE, COMPLETE, 60), (WEAK, COMPLETE, 60)), blank_upper_pct=BLANK)
    assert call.criterion_id == "2+ complete"
    assert score(BREAST, (WEAK, INCOMPLETE, 60), (FAINT, INCOMPLETE, 60)) == "1+"


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ((WEAK, COMPLETE, 200), "complete"),
        ((MODERATE, BASOLATERAL, 200), "incomplete"),
        ((INTENSE, COMPLETE, 50), "intense ≤ 10 %"),
        ((MODERATE, COMPLETE, 50), ""),
        ((FAINT, INCOMPLETE, 200), ""),
    ],
)
def test_a_2plus_names_its_pattern(part, pattern):
    assert BREAST.call(tumour(part), blank_upper_pct=BLANK).pattern_2plus == pattern


def test_the_row_that_fired_is_told_from_the_one_that_would_hold_longest():
    call = BREAST.call(
        tumour((MODERATE, COMPLETE, 150), (MODERATE, BASOLATERAL, 300)), blank_upper_pct=BLANK
    )
    assert (call.fired.criterion.id, call.fired.value) == (call.criterion_id, 15.0)
    assert call.deciding_lower.value == 45.0
    assert BREAST.call(tumour(), blank_upper_pct=BLANK).fired is None


def test_ten_percent_is_exact_for_awkward_numbers():
    for n in (30, 70, 90, 110, 130, 999_990):
        assert score(BREAST, (FAINT, INCOMPLETE, n // 10), n=n) == "0+"
        assert score(BREAST, (FAINT, INCOMPLETE, n // 10 + 1), n=n) == "1+"


def test_editions_disagree_where_they_should():
    old, middle = load_rule_set("asco-cap-2007"), load_rule_set("asco-cap-2013")
    ultralow = (FAINT, INCOMPLETE, 50)
    assert [score(r, ultralow) for r in (old, middle, BREAST)] == ["1+", "0", "0+"]
    strong = (INTENSE, COMPLETE, 250)
    assert [score(r, strong) for r in (old, middle, BREAST)] == ["2+", "3+", "3+"]
    incomplete = (WEAK, INCOMPLETE, 250)
    assert [score(r, incomplete) for r in (old, middle, BREAST)] == ["1+", "2+", "1+"]


def test_gastric_resection_needs_ten_percent_and_no_completeness():
    gastric = load_rule_set("gastric-resection")
    assert gastric.organ is Organ.STOMACH
    assert score(gastric, (INTENSE, BASOLATERAL, 100)) == "3+"
    assert score(gastric, (INTENSE, COMPLETE, 99)) == "0"
    assert score(gastric, (WEAK, BASOLATERAL, 100)) == "2+"
    assert score(gastric, (FAINT, INCOMPLETE, 100)) == "1+"
    assert Score.ULTRALOW not in gastric.scores_used


def test_gastric_biopsy_needs_five_cohesive_cells():
    gastric = load_rule_set("gastric-biopsy")
    tally = tumour((INTENSE, COMPLETE, 5))

    def call(*sizes):
        return gastric.call(tally, blank_upper_pct=BLANK, clusters=Clusters(*sizes))

    assert call(5, 5, 5, 5).score == "3+"
    assert call(9, 5, 5, 4).score == "2+"
    assert call(5, 4, 4, 4).score == "1+"
    assert call(4, 4, 4, 4).score == "0"
    nearest = call(4, 0, 0, 0).deciding
    assert (nearest.value, nearest.cut, nearest.unit) == (4, 5, "cells")
    with pytest.raises(CriteriaError, match="largest clusters"):
        gastric.call(tally, blank_upper_pct=BLANK)


def test_zero_is_decided_by_stained_cells_against_the_blank():
    for stained in (0, 5):
        deciding = BREAST.call(tumour((FAINT, 0, stained)), blank_upper_pct=BLANK).deciding
        assert (deciding.measure, deciding.cut) == ("pct_stained", BLANK)
        assert deciding.value == stained / 10


def test_where_the_blank_lies_above_the_cut_of_a_row_it_is_the_cut():
    call = BREAST.call(tumour((FAINT, 0, 120)), blank_upper_pct=15.0)
    assert call.score == "0"
    assert (call.deciding.value, call.deciding.cut) == (12, 15)
    assert {above.cut for above in call.higher} == {15.0}


def test_the_nearer_cut_decides():
    near_low = BREAST.call(tumour((FAINT, 0, 13)), blank_upper_pct=BLANK)
    near_high = BREAST.call(tumour((FAINT, 0, 90)), blank_upper_pct=BLANK)
    assert near_low.deciding == near_low.deciding_lower
    assert near_low.deciding.cut == BLANK
    assert near_high.deciding == near_high.deciding_upper
    assert (near_high.deciding.cut, near_high.deciding.criterion.score) == (10, "1+")


def test_the_own_wording_is_what_holds_a_call_that_it_gives():
    call = BREAST.call(
        tumour((WEAK, COMPLETE, 60), (MODERATE, COMPLETE, 60)), blank_upper_pct=BLANK
    )
    assert (call.deciding_lower.measure, call.deciding_lower.value) == ("pct_complete", 12)


def test_ends_of_the_scale_have_one_neighbour():
    assert BREAST.call(tumour(), blank_upper_pct=BLANK).deciding_lower is None
    assert BREAST.call(tumour((INTENSE, 2, 900)), blank_upper_pct=BLANK).deciding_upper is None


@pytest.mark.parametrize("name", rule_set_names())
def test_no_cell_is_not_assessable(name):
    call = load_rule_set(name).call(Tally.zero(), blank_upper_pct=BLANK, clusters=NO_CLUSTER)
    assert call.score is Score.NOT_ASSESSABLE
    assert call.deciding is None
    ranks = load_rule_set(name).scores(
        np.zeros((1, 5, 3)), blank_upper_pct=BLANK, clusters=NO_CLUSTER
    )
    assert ranks.tolist() == [-1]


@pytest.mark.parametrize("blank", [0.0, -1.0, 100.0, float("nan")])
def test_a_blank_of_zero_is_refused(blank):
    with pytest.raises(CriteriaError, match="blank_upper_pct"):
        BREAST.call(tumour(), blank_upper_pct=blank)


def test_shares_and_tally_are_called_alike():
    tally = tumour((WEAK, COMPLETE, 200))
    assert BREAST.call(tally, blank_upper_pct=BLANK) == BREAST.call(
        tally.shares(), blank_upper_pct=BLANK
    )


@given(rule_sets, counts, blanks)
def test_every_tumour_gets_one_score_and_a_reason(rules, array, blank):
    call = rules.call(Tally.from_array(array), blank_upper_pct=blank)
    if array.sum() == 0:
        assert call.score is Score.NOT_ASSESSABLE
        return
    assert call.score in rules.scores_used
    assert call.criterion_text
    assert call.deciding in (call.deciding_lower, call.deciding_upper)
    assert (call.deciding_lower is None) == (call.score is Score.ZERO)
    assert (call.deciding_upper is None) == (call.score is Score.THREE_PLUS)


@given(rule_sets, counts, blanks, st.integers(0, 14), st.integers(0, 14), st.integers(1, 300))
def test_more_or_stronger_staining_never_lowers_the_score(rules, array, blank, source, to, moved):
    (i, e), (j, f) = divmod(source, 3), divmod(to, 3)
    if j < i or (f < e and i > 0) or j == 0:
        return
    stronger = array.copy()
    moved = min(moved, array[i, e])
    stronger[i, e] -= moved
    stronger[j, f] += moved
    before, after = rules.scores(np.stack([array, stronger]), blank_upper_pct=blank)
    assert after >= before


@given(rule_sets, st.lists(counts, min_size=1, max_size=8), blanks)
def test_many_at_once_equal_each_alone(rules, arrays_, blank):
    ranks = rules.scores(np.stack(arrays_), blank_upper_pct=blank)
    alone = [rules.call(Tally.from_array(a), blank_upper_pct=blank).score.rank for a in arrays_]
    assert ranks.tolist() == alone


@given(counts, st.integers(1, 50), blanks)
def test_only_shares_matter_not_the_size_of_the_tumour(array, factor, blank):
    ranks = BREAST.scores(np.stack([array, array * factor]), blank_upper_pct=blank)
    assert ranks[0] == ranks[1]


FEW_MODERATE = "2+ moderate, complete, ≤ 10 %"


@given(counts, blanks)
@example(tumour((MODERATE, COMPLETE, 50)).array, BLANK)
@example(tumour((MODERATE, COMPLETE, 50), (INTENSE, COMPLETE, 50)).array, BLANK)
@example(tumour((MODERATE, COMPLETE, 50), (WEAK, COMPLETE, 51)).array, BLANK)
def test_the_guideline_differs_from_the_matrix_only_for_few_moderate_complete_cells(array, blank):
    breast, matrix = (rules.scores(array, blank_upper_pct=blank) for rules in (BREAST, MATRIX))
    fires = MATRIX.fires(array, blank_upper_pct=blank)
    high = {
        row.id
        for row, is_firing in zip(MATRIX.criteria, fires, strict=True)
        if is_firing and row.score.rank >= Score.TWO_PLUS.rank
    }
    assert breast == (Score.ONE_PLUS.rank if high == {FEW_MODERATE} else matrix)


@given(counts)
def test_a_higher_blank_never_raises_the_score(array):
    ranks = [BREAST.scores(array, blank_upper_pct=b) for b in (0.1, 1.0, 5.0, 20.0)]
    assert ranks == sorted(ranks, reverse=True)


def test_ten_thousand_tallies_are_scored_at_once():
    stack = np.random.default_rng(0).integers(0, 99, (10_000, 5, 3))
    start = time.perf_counter()
    BREAST.scores(stack, blank_upper_pct=np.full(10_000, BLANK))
    assert time.perf_counter() - start < 1.0


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CriteriaError, match=r"asco-cap-2018.*total-matrix"):
        load_rule_set("asco")


def text_of(name):
    return (resources.files("her2path.criteria") / "rules" / f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize("name", rule_set_names())
def test_a_rule_set_is_named_as_its_file(name):
    rules = load_rule_set(name)
    assert rules.name == name
    assert rules.edition
    assert rules.source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('score = "3+"', 'score = "4+"', "score must be one of"),
        ("percent = 10", "percent = 0", "percent must lie"),
        ("percent = 10", "percent = nan", "percent must lie"),
        ("percent = 10", "percent = true", "percent must lie"),
        ("percent = 10", "share = 10", "unknown keys share"),
        ('intensity = "intense"', 'intensity = "none"', "intensity must be one of"),
        ('id = "2+ complete"', 'id = "3+"', "doubled"),
        ('organ = "breast"', 'organ = "liver"', "organ must be"),
        ('organ = "breast"', "", "missing"),
        ('organ = "breast"', "organ =", "not valid TOML"),
        ('organ = "breast"', "organ = " + 9000 * "[", "not valid TOML"),
        ("is_matrix = true", 'is_matrix = "yes"', "true or false"),
        ('["faint complete"]', '["none complete"]', "left_open must be a list of faint incomplete"),
        ('["faint complete"]', '"faint complete"', "left_open must be a list"),
        ("percent = 10", "cluster_cells = 5", "looks at no share"),
        ("percent = 10", 'comparison = "≥"', "compares a percent"),
        ("percent = 10", f"percent = {5000 * '9'}", "not valid TOML"),
        ('name = "asco-cap-2018"', 'name = " "', "missing"),
        ('name = "asco-cap-2018"', r'name = "a\nb"', "one line"),
        ('text = "complete', r'text = "\u001b[31mcomplete', "one line"),
    ],
)
def test_a_faulty_table_is_refused_with_the_reason(old, new, message):
    text = text_of("asco-cap-2018")
    assert old in text
    with pytest.raises(CriteriaError, match=message):
        RuleSet.parse(text.replace(old, new, 1))


def test_rows_that_are_no_tables_are_refused():
    head, _ = text_of("asco-cap-2018").split("[[rows]]", 1)
    with pytest.raises(CriteriaError, match="is a table under"):
        RuleSet.parse(f"{head}rows = [1, 2]")


def test_a_row_that_can_never_decide_is_refused():
    text = text_of("asco-cap-2018").replace('score = "0+"', 'score = "3+"')
    with pytest.raises(CriteriaError, match="can never decide"):
        RuleSet.parse(text)


def test_an_enormous_table_is_refused_before_it_is_read():
    with pytest.raises(CriteriaError, match="at most"):
        RuleSet.parse("#" * 100_000)


def test_in_2007_intense_staining_of_few_cells_is_called_so():
    old = load_rule_set("asco-cap-2007")
    call = old.call(tumour((INTENSE, COMPLETE, 200)), blank_upper_pct=BLANK)
    assert (call.score, call.criterion_id) == ("2+", "2+ intense")
    weak = old.call(tumour((WEAK, COMPLETE, 200)), blank_upper_pct=BLANK)
    assert (weak.score, weak.criterion_id) == ("2+", "2+ complete")


def test_an_altered_copy_may_not_keep_the_name_of_a_rule_set_of_the_package(tmp_path):
    own = tmp_path / "own.toml"
    text = text_of("asco-cap-2018")
    own.write_text("\ufeff" + text, encoding="utf-8")
    assert find_rule_set(str(own)) == load_rule_set("asco-cap-2018")
    own.write_text(text.replace("percent = 10", "percent = 1", 1), encoding="utf-8")
    with pytest.raises(CriteriaError, match="calls itself asco-cap-2018"):
        find_rule_set(str(own))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("asco-cap-2018", {}),
        ("total-matrix", {}),
        ("asco-cap-2013", {Score.ULTRALOW: Score.ZERO}),
        ("asco-cap-2007", {Score.ULTRALOW: Score.ONE_PLUS}),
        ("gastric-biopsy", {Score.ULTRALOW: Score.ZERO}),
        ("gastric-resection", {Score.ULTRALOW: Score.ZERO}),
    ],
)
def test_criteria_tell_what_they_make_of_0plus(name, told):
    assert dict(load_rule_set(name).told_as) == told
