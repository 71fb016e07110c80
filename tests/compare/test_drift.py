"""What brings two sides to one scale: the control's factor, its error, and cells adjusted by it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from her2path.cells.calibration import generic_calibration
from her2path.compare import compare_sides
from her2path.compare.bands import default_bands
from her2path.compare.continuous import changes_of
from her2path.compare.drift import adjust, adjusted_cells, adjustment_of, drift_checks
from her2path.criteria.score import Intensity, Score


@pytest.fixture(scope="module")
def controlled(make_side, make_cells):
    """Two sides of equal cells, the second stained by 1.2, with the OD of 60 cells of control."""
    rng = np.random.default_rng(3)
    sides, controls = [], []
    for name, factor in (("before", 1.0), ("after", 1.2)):
        od = factor * rng.lognormal(math.log(0.5), 0.2, 60)
        control = make_cells([4] * 60, extent=2, membrane_od=od)
        counted = make_cells(
            [2] * 300, extent=2, block=np.arange(300) // 10, membrane_od=0.3 * factor
        )
        side = make_side(name, n_cells=120)
        slides = [replace(slide, counted=counted, control=control) for slide in side.slides]
        sides.append(replace(side, slides=tuple(slides)))
        controls.append(control.membrane_od.astype(float))
    return sides, controls


def test_the_factor_and_its_error_are_those_of_the_mean_log_od_of_the_control(controlled):
    sides, (before, after) = controlled
    found = adjustment_of(*sides)
    assert found.source == "control"
    assert found.factor_after / found.factor_before == pytest.approx(
        stats.gmean(before) / stats.gmean(after)
    )
    expected = math.hypot(stats.sem(np.log(before)), stats.sem(np.log(after)))
    assert found.log_error == pytest.approx(expected, rel=1e-6)


def test_the_error_of_the_control_is_in_the_interval_of_a_change(controlled):
    sides, _ = controlled
    adjustment = adjustment_of(*sides)
    cells = [adjusted_cells(side, adjustment) for side in sides]
    found = changes_of(sides, cells, default_bands(), also=None, adjustment=adjustment, seed=0)[
        "membrane_od"
    ]
    # All lines of a side are of one height: nothing else is unsure.
    half = stats.norm.ppf(0.975) * adjustment.log_error * 0.3 * 1.2 * adjustment.factor_after
    assert found.ci95.lower == pytest.approx(found.change - half, rel=0.1)
    assert found.ci95.upper == pytest.approx(found.change + half, rel=0.1)


def test_adjusting_down_raises_no_class(make_cells):
    # As classed with another calibration, or by a person: lower than the height of the line says.
    calibration = generic_calibration()
    od = calibration.intensity.intense_od * 1.5
    cells = make_cells([0, 1, 2, 3, 4], membrane_od=od)
    found = adjust(cells, calibration, factor=0.9, limit_od=0.03)
    assert found.intensity.tolist() == [0, 1, 2, 3, 4]
    assert found.membrane_od == pytest.approx(0.9 * od)


def test_adjusting_grades_a_line_as_the_weaker_side_would_show_it(make_cells):
    calibration = generic_calibration()
    cuts = calibration.intensity
    od = np.array([cuts.weak_od, cuts.moderate_od, cuts.intense_od, cuts.intense_od * 1.3])
    cells = make_cells([2, 3, 4, 4], membrane_od=od * 1.01)
    found = adjust(cells, calibration, factor=0.9, limit_od=0.03)
    assert found.intensity.tolist() == [1, 2, 3, 4]
    assert adjust(cells, calibration, factor=1.0, limit_od=0.03) is cells


def test_a_line_below_the_limit_of_the_weaker_side_is_none(make_cells):
    cells = make_cells([Intensity.WEAK] * 2, contrast=[0.2, 0.032])
    found = adjust(cells, generic_calibration(), factor=0.9, limit_od=0.03)
    assert found.intensity.tolist() == [Intensity.WEAK, Intensity.NONE]


def test_what_is_blank_on_one_side_is_blank_on_the_common_scale(make_side, with_record):
    faint = {"faint_incomplete": 30, "has_control": True, "n_cells": 200}
    clean, noisy = make_side(**faint), make_side("after", seed=2, factor=1.3, **faint)
    for blanks in ((1.0, 60.0), (60.0, 1.0)):
        sides = [
            with_record(side, blank=replace(side.first.blank, upper_pct=upper))
            for side, upper in zip((clean, noisy), blanks, strict=True)
        ]
        pair = compare_sides(*sides)
        raw, common = pair.as_read.score, pair.adjusted.score
        assert {raw.before, raw.after} == {Score.ZERO, Score.ONE_PLUS}
        assert common.before is common.after is Score.ZERO


def test_a_side_is_as_blurred_as_its_worst_slide(make_side, with_record):
    before, after = make_side("before", n_cells=120), make_side("after", n_cells=120)
    focus = after.first.tissue.focus
    tissue = replace(after.first.tissue, focus=replace(focus, median_blur_um=0.9))
    worse = with_record(after, slide_id="worse", tissue=tissue)
    both = replace(after, slides=(*after.slides, *worse.slides))
    (blur,) = (check for check in drift_checks(before, both) if check.name == "blur_um")
    assert (blur.before, blur.after) == (focus.median_blur_um, 0.9)
    assert not blur.is_within
