"""Which cells decide, which are in doubt, which are typical."""

import numpy as np
import pytest
from report_slides import cell_columns, tally_of

from her2path.cells.calibration import generic_calibration
from her2path.criteria.clusters import Clusters
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Intensity, Score
from her2path.criteria.tally import Tally
from her2path.report.interest import (
    INTEREST_COLUMNS,
    Doubt,
    FieldKind,
    deciding_criterion,
    find_interest,
    typicality,
)

CALIBRATION = generic_calibration()
RANGE = (0.35, 0.65)
LIMIT = 0.03


def call_of(columns, rules="asco-cap-2018"):
    return load_rule_set(rules).call(tally_of(columns), blank_upper_pct=1.8)


def interest_of(columns, call=None):
    return find_interest(
        columns,
        call=call or call_of(columns),
        calibration=CALIBRATION,
        uncertain_range=RANGE,
    )


def one_cell(**changes):
    """Return a single counted cell that is clear in every respect, with changes."""
    columns = {name: values[:1].copy() for name, values in cell_columns().items()}
    clear = {
        "excluded": "",
        "intensity": "moderate",
        "pattern": "complete",
        "completeness": 1.0,
        "longest_arc_frac": 1.0,
        "membrane_od": CALIBRATION.intensity.moderate_od * 1.3,
        "membrane_contrast_od": 10 * LIMIT,
        "line_limit_od": LIMIT,
        "tumor_probability": 0.95,
        "has_own_line": True,
    }
    for name, value in (clear | changes).items():
        columns[name][0] = value
    return columns


@pytest.fixture
def everything():
    return cell_columns()


@pytest.fixture
def two_plus():
    """A call that hangs on complete staining, weak or stronger, and on intense staining."""
    columns = one_cell()
    call = call_of(columns)
    assert call.score is Score.TWO_PLUS
    return call


def test_only_counted_cells_of_the_deciding_row_decide(everything):
    call = call_of(everything)
    row = deciding_criterion(call)
    interest = interest_of(everything, call)
    deciding = interest.weights[FieldKind.DECIDING] > 0
    assert deciding.sum() / interest.is_counted.sum() == pytest.approx(
        tally_of(everything).shares().at_least(row.intensity, row.extent) / 100
    )
    assert np.all(interest.is_counted[deciding])


def test_a_clear_cell_is_in_no_doubt(two_plus):
    interest = interest_of(one_cell(), two_plus)
    assert interest.weights[FieldKind.DECIDING].tolist() == [1.0]
    assert interest.weights[FieldKind.DOUBTFUL].tolist() == [0.0]


@pytest.mark.parametrize(
    ("doubt", "changes"),
    [
        (Doubt.INTENSITY, {"membrane_od": CALIBRATION.intensity.intense_od * 0.97}),
        (Doubt.EXTENT, {"completeness": CALIBRATION.complete_frac - 0.01}),
        (Doubt.TUMOR, {"tumor_probability": 0.5}),
        (Doubt.TUMOR, {"tumor_probability": 0.45, "excluded": "not_tumor"}),
    ],
)
def test_a_cell_near_a_cut_is_in_doubt(doubt, changes, two_plus):
    interest = interest_of(one_cell(**changes), two_plus)
    assert [name for name, near in interest.doubts.items() if near.any()] == [doubt]
    assert interest.weights[FieldKind.DOUBTFUL].tolist() == [1.0]


def test_every_cell_of_the_most_frequent_class_is_counted_as_typical():
    od = np.r_[np.linspace(0.10, 0.11, 50), 9.0]
    cells = {"membrane_od": od}
    weights = typicality(cells, np.ones(51, bool), Intensity.WEAK)
    assert (weights > 0).all()
    assert weights[50] < 1e-9 < weights[25]


def test_extent_is_in_doubt_near_the_cut_in_use(two_plus):
    columns = one_cell(completeness=CALIBRATION.complete_frac_read - 0.01)
    found = [
        find_interest(
            columns,
            call=two_plus,
            calibration=CALIBRATION,
            uncertain_range=RANGE,
            is_read=is_read,
        )
        for is_read in (False, True)
    ]
    assert [Doubt.EXTENT in f.doubts and f.doubts[Doubt.EXTENT].any() for f in found] == [
        False,
        True,
    ]


def test_the_limit_of_blank_matters_where_any_staining_decides():
    columns = one_cell(
        intensity="faint", pattern="incomplete", membrane_od=0.05, membrane_contrast_od=1.1 * LIMIT
    )
    interest = interest_of(columns)
    assert interest.doubts[Doubt.BLANK].tolist() == [True]


def test_whose_line_it_is_matters_where_the_score_hangs_on_it():
    faint = {"intensity": "faint", "pattern": "incomplete", "membrane_od": 0.05}
    for is_own in (True, False):
        columns = one_cell(**faint, longest_arc_frac=0.5, has_own_line=is_own)
        assert Doubt.SHARED not in interest_of(columns).doubts
        found = find_interest(
            columns,
            call=call_of(columns),
            calibration=CALIBRATION,
            uncertain_range=RANGE,
            are_lines_asked=True,
        )
        assert found.doubts[Doubt.SHARED].tolist() == [not is_own]
        assert found.weights[FieldKind.DOUBTFUL].tolist() == [0.0 if is_own else 1.0]


@pytest.mark.parametrize(("limit", "is_near"), [(0.5 * LIMIT, False), (2 * LIMIT, True)])
def test_doubt_goes_by_the_limit_of_the_cell_itself(limit, is_near):
    faint = {"intensity": "faint", "pattern": "incomplete", "membrane_od": 0.05}
    columns = one_cell(**faint, membrane_contrast_od=2.2 * LIMIT, line_limit_od=limit)
    assert interest_of(columns).doubts[Doubt.BLANK].tolist() == [is_near]


def test_a_control_cell_is_never_shown_for_itself(two_plus):
    interest = interest_of(one_cell(excluded="control", tumor_probability=0.5), two_plus)
    assert all(weight.tolist() == [0.0] for weight in interest.weights.values())


def test_the_most_frequent_class_is_typical(everything):
    interest = interest_of(everything)
    assert interest.typical is Intensity.NONE
    weight = interest.weights[FieldKind.TYPICAL]
    assert np.all((weight >= 0) & (weight <= 1))
    assert np.all(interest.intensity[weight > 0] == Intensity.NONE)


def test_no_other_column_is_needed(everything):
    few = interest_of({name: everything[name] for name in INTEREST_COLUMNS}, call_of(everything))
    whole = interest_of(everything)
    assert few.typical is whole.typical
    for kind, weight in whole.weights.items():
        np.testing.assert_array_equal(few.weights[kind], weight)


def test_for_score_zero_the_nearest_higher_row_decides():
    tally = Tally.of([Intensity.NONE] * 2000, [0] * 2000)
    call = load_rule_set("asco-cap-2018").call(tally, blank_upper_pct=1.8)
    assert call.score is Score.ZERO
    assert deciding_criterion(call).score is Score.ULTRALOW


def test_in_a_biopsy_of_the_stomach_the_cells_of_the_cluster_decide():
    # Six stained cells side by side (8 µm), three elsewhere, and an unstained one among the six.
    x = np.array([0, 16, 32, 48, 64, 80, 40, 4000, 4016, 4032], np.float32)
    one = one_cell(intensity="weak", pattern="basolateral", membrane_od=0.2)
    columns = {name: np.repeat(values, len(x)) for name, values in one.items()}
    columns |= {"x": x, "y": np.zeros(len(x), np.float32)}
    columns["intensity"][6], columns["pattern"][6] = "none", "absent"
    rules = load_rule_set("gastric-biopsy")
    tally = tally_of(columns)
    call = rules.call(tally, blank_upper_pct=1.8, clusters=Clusters(6, 6, 0, 0))
    assert deciding_criterion(call).cluster_cells == 5
    interest = find_interest(
        columns, call=call, calibration=CALIBRATION, uncertain_range=RANGE, mpp=0.5
    )
    deciding = interest.weights[FieldKind.DECIDING] > 0
    assert deciding.tolist() == [True] * 6 + [False] * 4
