"""Cut-offs from control slides: they lie between the scores, rise, and say where they come from."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from drawing import WHITE, grid_of_cells, paint
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.cells.calibrating import (
    MANY_BLANKS,
    ControlCells,
    calibrate_cells,
    cut_between,
)
from her2path.cells.calibration import (
    Calibration,
    IntensityCuts,
    generic_calibration,
    parse_calibration,
)
from her2path.cells.measure import MeasureSettings, measure_cells
from her2path.cells.membranes import read_membranes
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity, Score
from her2path.errors import CalibrationError
from her2path.stain import StainMatrix

GENERIC = generic_calibration()
ODS = {Score.ONE_PLUS: 0.10, Score.TWO_PLUS: 0.30, Score.THREE_PLUS: 0.9}


@pytest.fixture(scope="module")
def drawn() -> CellMeasurements:
    """Ringed cells of membrane OD 0.3, measured from a picture."""
    h_od, dab_od, _ = grid_of_cells(n_side=4, membrane_od=0.3)
    rgb = paint(h_od, dab_od, noise=1.0)
    cells = measure_cells(rgb, MeasureSettings(WHITE, StainMatrix()), mpp=0.25)
    # Enough for a control: `scaled` makes the copies different.
    return cells.select(np.tile(np.arange(len(cells)), 8))


def scaled(cells: CellMeasurements, factor: float, *, seed: int = 0) -> CellMeasurements:
    """The same cells with all brown `factor` times as strong, each a little different."""
    spread = np.random.default_rng(seed).lognormal(0, 0.2, (len(cells), 1)).astype(np.float32)
    names = ("line_contrast_od", "line_od", "line_height_od")
    return replace(cells, **{n: getattr(cells, n) * spread * np.float32(factor) for n in names})


def blank(cells: CellMeasurements, noise_od: float = 0.006) -> CellMeasurements:
    """The same cells without lines."""
    rng = np.random.default_rng(5)
    noise = rng.normal(0, noise_od, cells.line_contrast_od.shape).astype(np.float32)
    return replace(cells, line_contrast_od=noise, line_od=noise, line_height_od=noise)


def controls(cells: CellMeasurements, scores: str, strength: float = 1.0) -> list[ControlCells]:
    found = []
    for k, word in enumerate(scores.split()):
        score = Score(word)
        own = (
            blank(cells)
            if score is Score.ZERO
            else scaled(cells, strength * ODS[score] / 0.3, seed=k)
        )
        found.append(ControlCells(f"slide{k}", score, own))
    return found


def test_cuts_lie_between_the_scores_of_the_controls(drawn):
    found = calibrate_cells(controls(drawn, "0 1+ 2+ 3+"), GENERIC)
    cuts = found.calibration.intensity
    medians = [np.median(c.membrane_od) for c in found.controls[1:]]
    assert medians[0] < cuts.weak_od < medians[1] < cuts.intense_od < medians[2]
    assert cuts.weak_od < cuts.moderate_od < cuts.intense_od
    assert found.calibration.is_site_specific
    assert found.calibration.made_from == ("slide0", "slide1", "slide2", "slide3")
    assert found.remarks == ()


@settings(deadline=None, max_examples=20)
@given(strength=st.floats(0.6, 2.5))
def test_cuts_follow_the_strength_of_the_stain(drawn, strength):
    usual = calibrate_cells(controls(drawn, "0 1+ 2+ 3+"), GENERIC).calibration.intensity
    found = calibrate_cells(controls(drawn, "0 1+ 2+ 3+", strength), GENERIC).calibration
    cuts = found.intensity
    assert cuts.weak_od < cuts.moderate_od < cuts.intense_od
    for name in ("weak_od", "moderate_od", "intense_od"):
        assert getattr(cuts, name) == pytest.approx(strength * getattr(usual, name), rel=0.12)


def test_a_control_without_membranes_sets_the_limit_of_blank(drawn):
    clean = calibrate_cells(controls(drawn, "0 1+ 2+ 3+"), GENERIC)
    noisy = controls(drawn, "0 1+ 2+ 3+")
    noisy[0] = ControlCells("noisy", Score.ZERO, blank(drawn, 0.02))
    raised = calibrate_cells(noisy, GENERIC)
    assert clean.controls[0].stained_pct <= 1.0
    assert raised.controls[0].stained_pct <= 1.0
    assert raised.calibration.min_line_contrast_od > clean.calibration.min_line_contrast_od
    # The bound lies above what was seen: a hundred cells do not show that there are none.
    assert clean.calibration.blank_upper_pct > clean.controls[0].stained_pct


def with_some_lines(
    cells: CellMeasurements, *, share: float, line_od: float, seen: float, seed: int
) -> CellMeasurements:
    """Unstained cells that a network has read; a share has a line that it sees so surely."""
    rng = np.random.default_rng(seed)
    has_line = rng.permutation(np.arange(len(cells)) < round(share * len(cells)))[:, None]
    lines = rng.normal(0, 0.0008, cells.line_contrast_od.shape)
    lines = np.where(has_line, line_od, lines).astype(np.float32)
    none = np.zeros(len(cells), np.float32)
    return replace(
        cells,
        line_contrast_od=lines,
        line_od=lines,
        line_height_od=lines,
        seen_line=np.where(has_line, np.uint8(255 * seen), np.zeros(lines.shape, np.uint8)),
        seen_tumor=np.full(len(cells), 0.9, np.float32),
        cytoplasm_od=none,
        shared_cytoplasm_od=none,
    )


def scored_pct(cells: CellMeasurements, calibration: Calibration) -> float:
    """Percent of stained cells on a slide of these tumor cells alone."""
    is_tumor = np.ones(len(cells), np.bool_)
    found = read_membranes(cells, calibration, is_tumor=is_tumor, is_reference=~is_tumor)
    return 100 * float((found.classes.intensity > Intensity.NONE).mean())


@pytest.mark.parametrize("n_blanks", [1, MANY_BLANKS])
@pytest.mark.parametrize(
    ("share", "line_od", "seen"),
    [
        # Even odds for a slide whose unstained cells leave the network cold.
        pytest.param(0.05, 0.032, 0.3, id="half seen"),
        # Below a quarter of the generic limit, beyond one of a new limit.
        pytest.param(0.05, 0.005, 0.95, id="fainter than ever"),
    ],
)
def test_no_control_of_0_is_scored_above_its_own_limit(drawn, n_blanks, share, line_od, seen):
    blanks = [
        ControlCells(
            f"blank{k}",
            Score.ZERO,
            with_some_lines(drawn, share=share, line_od=line_od, seen=seen, seed=k),
        )
        for k in range(n_blanks)
    ]
    found = calibrate_cells(blanks, GENERIC)
    for control, reading in zip(blanks, found.controls, strict=True):
        stained_pct = scored_pct(control.cells, found.calibration)
        assert stained_pct <= found.calibration.blank_upper_pct
        assert stained_pct == pytest.approx(reading.stained_pct)


def test_cuts_rest_on_the_cells_that_a_slide_would_count(drawn):
    _, *stained = controls(drawn, "1+ 2+ 3+")
    half_seen = with_some_lines(drawn, share=0.5, line_od=0.04, seen=0.3, seed=0)
    # With even odds none of its cells would be stained, and it would be no control of 1+.
    found = calibrate_cells([ControlCells("half", Score.ONE_PLUS, half_seen), *stained], GENERIC)
    assert found.controls[0].stained_pct == pytest.approx(50)
    assert found.calibration.intensity.weak_od > 0.04


def test_only_many_blanks_lower_the_limits(drawn):
    few, many = (
        calibrate_cells(controls(drawn, "0 " * n + "1+ 2+ 3+"), GENERIC).calibration
        for n in (2, MANY_BLANKS)
    )
    assert few.min_line_contrast_od >= GENERIC.min_line_contrast_od
    assert few.blank_upper_pct >= GENERIC.blank_upper_pct
    assert many.min_line_contrast_od < GENERIC.min_line_contrast_od
    assert many.blank_upper_pct < GENERIC.blank_upper_pct


def test_a_stained_control_called_0_is_remarked(drawn):
    wrong = controls(drawn, "0 1+ 2+ 3+")
    wrong[0] = ControlCells("stained", Score.ZERO, scaled(drawn, 1.0))
    found = calibrate_cells(wrong, GENERIC)
    assert any("look stained even at" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ("0 2+ 3+", "no control of 1+"),
        ("0 1+ 2+", "no control of 3+"),
        ("0 1+ 3+", "no control of 2+"),
        ("1+ 2+ 3+", "no control of score 0"),
    ],
)
def test_what_is_missing_keeps_the_generic_ratio_and_says_so(drawn, scores, words):
    found = calibrate_cells(controls(drawn, scores), GENERIC)
    assert any(words in remark for remark in found.remarks)
    assert "generic" in found.calibration.source
    assert not found.calibration.is_site_specific
    if "0" not in scores.split():
        assert found.calibration.min_line_contrast_od == GENERIC.min_line_contrast_od
    else:
        cuts, usual = found.calibration.intensity, GENERIC.intensity
        ratio = usual.intense_od / usual.weak_od
        assert cuts.intense_od / cuts.weak_od == pytest.approx(ratio)


def test_a_blank_alone_leaves_the_intensities(drawn):
    found = calibrate_cells(controls(drawn, "0"), GENERIC)
    assert found.calibration.intensity == GENERIC.intensity
    assert "limit of blank" in found.calibration.source


def test_all_faults_are_listed_at_once(drawn):
    few = drawn.select(np.arange(20))
    with pytest.raises(CalibrationError, match=r"4 faults[\s\S]*small[\s\S]*tiny[\s\S]*score 0"):
        calibrate_cells(
            [
                ControlCells("small", Score.ONE_PLUS, few),
                ControlCells("tiny", Score.ULTRALOW, few),
            ],
            GENERIC,
        )


def test_a_2plus_control_without_complete_membranes_is_a_fault_of_the_controls(drawn):
    zero, one, two = controls(drawn, "0 1+ 2+")
    arc = np.arange(two.cells.line_contrast_od.shape[1]) < 7
    lines = two.cells.line_contrast_od * arc
    short = replace(two, cells=replace(two.cells, line_contrast_od=lines.astype(np.float32)))
    with pytest.raises(CalibrationError, match=r"control of 2\+ shows only 0 cells"):
        calibrate_cells([zero, one, short], GENERIC)


def test_a_control_of_0plus_sets_nothing_and_is_refused(drawn):
    faint = ControlCells("faint", Score.ULTRALOW, scaled(drawn, 0.3))
    with pytest.raises(CalibrationError, match=r"faint: a control of 0\+ sets neither"):
        calibrate_cells([*controls(drawn, "0 1+ 2+ 3+"), faint], GENERIC)


def test_scores_that_were_swapped_are_refused(drawn):
    swapped = controls(drawn, "0 1+ 2+ 3+")
    wrong = (Score.THREE_PLUS, Score.TWO_PLUS, Score.ONE_PLUS)
    swapped[1:] = [
        ControlCells(c.slide_id, score, c.cells)
        for c, score in zip(swapped[1:], wrong, strict=True)
    ]
    with pytest.raises(CalibrationError, match=r"1\+ and 2\+ cannot be told apart"):
        calibrate_cells(swapped, GENERIC)


def test_a_calibration_survives_its_file(drawn):
    made = calibrate_cells(controls(drawn, "0 1+ 2+ 3+"), GENERIC).calibration
    assert parse_calibration(made.model_dump_json(), where="test") == made


od = st.lists(st.floats(0.02, 2.5), min_size=1, max_size=60)


@settings(deadline=None)
@given(low=od, high=od)
def test_a_cut_is_wrong_about_no_more_cells_than_a_guess(low, high):
    groups = [np.array(low, np.float32)], [np.array(high, np.float32)]
    cut, wrong = cut_between(*groups)
    assert 0.01 <= cut <= 3.0
    assert wrong <= 0.5 + 1e-9 + 0.02


@settings(deadline=None)
@given(low=st.lists(st.floats(0.02, 0.25), min_size=1, max_size=60), gap=st.floats(1.3, 8))
def test_a_cut_lies_in_the_gap_between_separate_groups(low, gap):
    below = np.array(low, np.float32)
    above = np.array([below.max() * gap, below.max() * gap * 1.2], np.float32)
    cut, wrong = cut_between([below], [above])
    assert wrong == 0
    assert below.max() <= cut <= above.min() * 1.02


def test_each_control_has_one_vote():
    many, few = np.full(10_000, 0.30, np.float32), np.full(50, 0.10, np.float32)
    high = [np.full(100, 0.6, np.float32)]
    assert cut_between([many, few], high)[0] == pytest.approx(
        cut_between([many[:50], few], high)[0]
    )


def test_a_calibration_says_which_scans_it_is_not_for():
    made = GENERIC.model_copy(update={"scanner": "Aperio AT2", "mpp_range": (0.225, 0.275)})
    assert made.misfit(0.25, "") == made.misfit(0.25, "aperio at2") == ""
    assert "0.46" in made.misfit(0.46, "Aperio AT2")
    assert "Hamamatsu" in made.misfit(0.25, "Hamamatsu C9600")
    assert GENERIC.misfit(0.25, "Hamamatsu C9600") == ""
    in_srgb = made.model_copy(update={"is_site_specific": True, "is_srgb": True})
    assert in_srgb.misfit(0.25, "", is_srgb=True) == ""
    assert "as scanned" in in_srgb.misfit(0.25, "")
    assert GENERIC.misfit(0.25, "", is_srgb=True) == ""


@pytest.mark.parametrize(
    ("made_with", "read_with", "words"),
    [
        (None, "abc", ""),
        ("abc", "abc", ""),
        ("", "", ""),
        ("abc", "", "a network found, this scan is read by the rules"),
        ("", "abc", "the rules alone found, this scan is read by a network"),
        ("abc", "def", "a network found, this scan is read by another network"),
    ],
)
def test_a_calibration_is_for_the_reader_that_it_was_made_with(made_with, read_with, words):
    made = GENERIC.model_copy(update={"network": made_with})
    said = made.misfit(0.25, "", network=read_with)
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    "wrong",
    [
        {"white_point": (5.0, 5.0, 5.0)},
        {"white_point": (math.nan, 240.0, 240.0)},
        {"mpp_range": (0.6, 0.2)},
        {"mpp_range": (math.nan, 0.5)},
        {"mpp_range": (0.0, 0.5)},
    ],
)
def test_a_calibration_of_no_possible_scan_is_refused(wrong):
    document = json.loads(generic_calibration().model_dump_json())
    # As a file would hold it: NaN is no JSON, but is read as such.
    with pytest.raises(CalibrationError):
        parse_calibration(json.dumps(document | wrong), where="test")


def test_cuts_that_no_line_reaches_are_a_fault_with_a_remedy(drawn):
    # Controls that were taken for a step less than they are.
    wrong = [
        ControlCells("a", Score.ONE_PLUS, scaled(drawn, 3.0)),
        ControlCells("b", Score.TWO_PLUS, scaled(drawn, 9.0, seed=1)),
    ]
    with pytest.raises(CalibrationError, match=r"intense would begin .* check the known scores"):
        calibrate_cells(wrong, GENERIC)


def test_trials_may_shift_the_highest_cuts_further_up():
    highest = IntensityCuts(weak_od=1.0, moderate_od=2.0, intense_od=4.0)
    shifted = highest.scaled(2.0)
    assert (shifted.weak_od, shifted.moderate_od, shifted.intense_od) == (2.0, 4.0, 8.0)
    heights = np.array([0.5, 2.5, 5.0, 9.0], np.float32)
    assert shifted.grade(heights).tolist() == [
        Intensity.FAINT,
        Intensity.WEAK,
        Intensity.MODERATE,
        Intensity.INTENSE,
    ]
