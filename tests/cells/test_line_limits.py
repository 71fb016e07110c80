"""What a line must reach on each cell: the blank, brown cytoplasm, and what a network sees."""

from dataclasses import replace

import numpy as np
import pytest

from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import (
    BEYOND_REACH_OD,
    INSIDE_SHARE,
    LEAST_FACTOR,
    LEAST_SEEN_OF_CLEAR,
    MAX_DIFFUSE_LIMIT_OD,
    MEMBRANOUS_RATIO,
    STRETCH,
    STRETCH_RATIO,
    classify_cells,
    goes_on,
    limits_by_both,
    line_limits,
)
from her2path.cells.line_contrast import CLEAR_LINE_OD
from her2path.cells.table import N_SECTORS
from her2path.criteria.score import Intensity, Pattern
from her2path.pipeline.stability import Shift, shifts_of

LIMIT = 0.03


def seen_over(shares, part=1.0):
    """Sectors in which a network sees a membrane, over so much of each outline."""
    seen = np.zeros((len(shares), N_SECTORS))
    seen[:, : round(part * N_SECTORS)] = np.asarray(shares)[:, None]
    return np.rint(255 * seen).astype(np.uint8)


def test_trials_move_the_limit_of_cells_that_the_network_is_sure_of_too(make_cells) -> None:
    calibration = generic_calibration()
    least = LEAST_FACTOR * calibration.min_line_contrast_od
    contrast = np.repeat([[0.9 * least], [1.1 * least]], N_SECTORS, axis=1).astype(np.float32)
    cells = make_cells(
        2, line_contrast_od=contrast, line_height_od=contrast, seen_line=seen_over([0.9, 0.9])
    )

    def stained(shift: Shift) -> list[bool]:
        limit = calibration.min_line_contrast_od * shift.line_factor
        classes = classify_cells(cells, shift.calibration, min_line_contrast_od=limit)
        return (classes.intensity > Intensity.NONE).tolist()

    assert stained(Shift("none", "", calibration)) == [False, True]
    for name in ("line limit", "all of stain"):
        down, up = (shift for shift in shifts_of(calibration) if shift.name == name)
        assert (stained(down), stained(up)) == ([True, True], [False, False])


def test_without_a_network_only_blank_and_cytoplasm_count(make_cells) -> None:
    brown = np.array([0.0, 0.02, 0.08, 0.9], np.float32)
    cells = make_cells(4, shared_cytoplasm_od=brown, seen_tumor=np.full(4, np.nan, np.float32))
    expected = [LIMIT, LIMIT, STRETCH_RATIO * 0.08, MAX_DIFFUSE_LIMIT_OD]
    assert line_limits(cells, LIMIT) == pytest.approx(expected)


def test_brown_asks_less_of_a_line_where_no_network_looked(make_cells) -> None:
    brown = np.array([0.08, 0.08], np.float32)
    read = np.array([0.5, np.nan], np.float32)
    cells = make_cells(2, shared_cytoplasm_od=brown, seen_tumor=read)
    expected = [MEMBRANOUS_RATIO * 0.08, STRETCH_RATIO * 0.08]
    assert line_limits(cells, LIMIT) == pytest.approx(expected, rel=0.01)


def seen_lines(make_cells, levels_od, shares, *, n_sectors):
    """Cells with one line each, over its first sectors, and what a network sees all round."""
    contrast = np.zeros((len(levels_od), N_SECTORS), np.float32)
    contrast[:, :n_sectors] = levels_od[:, None]
    return make_cells(
        len(levels_od),
        line_contrast_od=contrast,
        line_height_od=contrast,
        seen_line=seen_over(shares),
    )


def both_limits(cells):
    return limits_by_both(cells, line_limits(cells, LIMIT), lowest_od=0.0)


def with_lines(make_cells, values, *, seen_tumor):
    contrast = np.zeros((len(values), N_SECTORS), np.float32)
    for row, (start, length, factor) in enumerate(values):
        contrast[row, np.arange(start, start + length) % N_SECTORS] = factor * LIMIT
    tumor = np.full(len(values), seen_tumor, np.float32)
    return make_cells(
        len(values), line_contrast_od=contrast, line_height_od=contrast, seen_tumor=tumor
    )


def test_a_line_goes_on_where_its_mean_over_a_stretch_reaches_the_limit(make_cells) -> None:
    # Just as clear all along, also over the first sector; too short; short but clear enough.
    values = [(0, STRETCH, 1.01), (28, STRETCH, 1.01), (4, STRETCH // 2, 1.5), (4, 5, 2.5)]
    limits = np.full(4, LIMIT, np.float32)
    alone = with_lines(make_cells, values, seen_tumor=np.nan)
    assert goes_on(alone, limits).tolist() == [True, True, False, True]
    read = with_lines(make_cells, values, seen_tumor=0.5)
    assert goes_on(read, limits).all()


def test_a_short_faint_line_is_no_membrane_without_a_network(make_cells) -> None:
    cells = with_lines(make_cells, [(4, 5, 1.5), (4, STRETCH, 1.5)], seen_tumor=np.nan)
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert (found.intensity > 0).tolist() == [False, True]


def test_the_limit_falls_with_what_the_network_sees_and_stays_within_bounds(make_cells) -> None:
    shares = np.linspace(0, 1, 21)
    found = both_limits(make_cells(21, seen_line=seen_over(shares)))
    assert (np.diff(found) <= 1e-9).all()
    assert found[0] == pytest.approx(BEYOND_REACH_OD)
    assert found[-1] == pytest.approx(LEAST_FACTOR * LIMIT)
    even = make_cells(1, seen_line=seen_over([0.5]))
    assert both_limits(even)[0] == pytest.approx(LIMIT, rel=0.01)


def test_a_quarter_of_the_outline_is_enough_for_the_network(make_cells) -> None:
    quarter = make_cells(1, seen_line=seen_over([0.9], part=0.25))
    whole = make_cells(1, seen_line=seen_over([0.9]))
    assert both_limits(quarter) == pytest.approx(both_limits(whole))


def test_a_line_counts_only_where_the_network_sees_it(make_cells) -> None:
    limit = generic_calibration().min_line_contrast_od
    levels = np.array([1.0, 1.0, 3.5, 3.5, 0.2]) * limit
    cells = seen_lines(make_cells, levels, [0.9, 0.0, 0.15, 0.25, 0.9], n_sectors=8)
    found = classify_cells(cells, generic_calibration())
    # The fainter, the surer it must be; but nothing that it sees makes a line of noise.
    assert (found.intensity > 0).tolist() == [True, False, False, True, False]


def test_a_clear_line_in_which_the_network_sees_no_membrane_is_none(make_cells) -> None:
    just, well = LEAST_SEEN_OF_CLEAR + 0.01, 0.9
    seen = [LEAST_SEEN_OF_CLEAR - 0.01, just, well]
    levels = np.full(3, 1.05 * CLEAR_LINE_OD)
    clear = seen_lines(make_cells, levels, seen, n_sectors=16)
    found = classify_cells(clear, generic_calibration())
    assert (found.intensity > 0).tolist() == [False, True, True]
    assert found.line_limit_od[0] == BEYOND_REACH_OD
    assert found.is_diffuse.tolist() == [True, False, False]
    assert (found.pattern == Pattern.CYTOPLASMIC).tolist() == [True, False, False]
    # Of a line that is not as clear, and where no network looked, nothing of the kind is said.
    fainter = seen_lines(make_cells, 0.95 * levels, seen, n_sectors=16)
    alone = replace(clear, seen_tumor=np.full(3, np.nan, np.float32))
    for cells in (fainter, alone):
        found = classify_cells(cells, generic_calibration())
        assert (found.intensity > 0).all()
        assert not found.is_diffuse.any()


def test_lines_inside_stained_cells_tell_of_brown_where_no_network_looked(make_cells) -> None:
    inside = np.array([1.1, 0.9], np.float32) * INSIDE_SHARE * 4 * LIMIT
    cells = replace(
        gapped(make_cells, [1.0, 1.0], n_gap=0, seen_tumor=np.nan), inner_line_od=inside
    )
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert found.is_diffuse.tolist() == [True, False]
    assert (found.intensity > 0).all()
    dark = replace(cells, line_height_od=np.ones_like(cells.line_height_od))
    assert not classify_cells(dark, generic_calibration()).is_diffuse.any()
    read = replace(cells, seen_tumor=np.full(2, 0.5, np.float32))
    found = classify_cells(read, generic_calibration(), min_line_contrast_od=LIMIT)
    assert not found.is_diffuse.any()


def test_a_weaker_stretch_is_part_of_the_membrane_where_the_network_sees_it(make_cells) -> None:
    strong, weak = 1.0, 0.15
    contrast = np.full((2, N_SECTORS), weak, np.float32)
    contrast[:, : N_SECTORS // 2] = strong
    seen = seen_over([0.45, 0.9])
    cells = make_cells(2, line_contrast_od=contrast, line_height_od=contrast, seen_line=seen)
    found = classify_cells(cells, generic_calibration())
    # Where the network is not sure, the weaker half may be lent by the strong one.
    assert found.completeness == pytest.approx([0.5, 1.0])


def test_a_cell_is_below_the_blank_where_only_the_network_makes_its_line_count(make_cells) -> None:
    cells = seen_lines(
        make_cells, np.array([0.6, 1.2, 0.6, 3.5]) * LIMIT, [1.0, 1.0, 0.0, 0.25], n_sectors=16
    )
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert (found.intensity > 0).tolist() == [True, True, False, True]
    assert found.is_below_blank.tolist() == [True, False, False, False]


def test_on_a_clean_slide_the_network_lowers_no_limit_further_than_elsewhere(make_cells) -> None:
    cells = make_cells(1, seen_line=seen_over([1.0]))
    low = np.float32(0.6 * LIMIT)
    lowest = LEAST_FACTOR * LIMIT
    assert limits_by_both(cells, low[None], lowest_od=lowest)[0] == pytest.approx(lowest)
    # A limit below it stays what it is.
    assert limits_by_both(cells, low[None] / 3, lowest_od=lowest)[0] == pytest.approx(low / 3)


def gapped(make_cells, seen_in_gap, *, n_gap, seen_tumor=0.5):
    """Cells with a clear line but for a gap, and what a network sees in it."""
    n = len(seen_in_gap)
    contrast = np.full((n, N_SECTORS), 4 * LIMIT, np.float32)
    contrast[:, :n_gap] = 0.0
    seen = seen_over(np.ones(n))
    seen[:, :n_gap] = np.rint(255 * np.asarray(seen_in_gap))[:, None]
    return make_cells(
        n,
        line_contrast_od=contrast,
        line_height_od=contrast,
        seen_line=seen,
        seen_tumor=np.full(n, seen_tumor, np.float32),
    )


def test_a_network_closes_the_ring_where_it_sees_the_membrane_go_on(make_cells) -> None:
    cells = gapped(make_cells, [0.05, 0.45, 0.55, 0.95], n_gap=6)
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert found.completeness == pytest.approx([26 / 32, 26 / 32, 1, 1])
    complete = Pattern.COMPLETE
    assert (found.pattern == complete).tolist() == [False, False, True, True]
    # What a person sees of it is what was counted; how dark it is, the line alone says.
    assert found.stained_sectors.tolist()[1:3] == [0xFFFFFFC0, 0xFFFFFFFF]
    assert (found.membrane_od == found.membrane_od[0]).all()
    assert found.longest_arc_frac == pytest.approx(np.full(4, 26 / 32))


def test_a_ring_is_asked_for_more_where_a_network_reads(make_cells) -> None:
    calibration = generic_calibration()
    n_gap = round(N_SECTORS * (1 - calibration.complete_frac))
    for seen_tumor, is_complete in ((np.nan, True), (0.5, False)):
        cells = gapped(make_cells, [0.0], n_gap=n_gap, seen_tumor=seen_tumor)
        found = classify_cells(cells, calibration, min_line_contrast_od=LIMIT)
        assert (found.pattern[0] == Pattern.COMPLETE) == is_complete


def test_a_network_alone_stains_no_cell(make_cells) -> None:
    cells = gapped(make_cells, [0.9], n_gap=N_SECTORS)
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert (found.completeness[0], found.stained_sectors[0]) == (0, 0)


@pytest.mark.parametrize(("n_clear", "is_stained"), [(7, True), (6, True), (5, False)])
def test_half_of_a_stretch_must_be_clear_by_itself(make_cells, n_clear, is_stained) -> None:
    contrast = np.zeros((1, N_SECTORS), np.float32)
    contrast[0, 3:15] = 0.6 * LIMIT
    contrast[0, 3 : 3 + n_clear] = 1.1 * LIMIT
    cells = make_cells(
        1,
        line_contrast_od=contrast,
        line_height_od=contrast,
        # With even odds a network leaves the limit as it is.
        seen_line=np.full((1, N_SECTORS), 128, np.uint8),
        seen_tumor=np.ones(1, np.float32),
    )
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert (found.intensity[0] > 0) == is_stained


@pytest.mark.parametrize(("seen", "is_below"), [(120, False), (160, True)])
def test_below_the_blank_is_only_what_a_network_let_count(make_cells, seen, is_below) -> None:
    # Half of the line is clear, so that its median lies below the limit of blank.
    contrast = np.zeros((1, N_SECTORS), np.float32)
    contrast[0, 3:15] = 0.6 * LIMIT
    contrast[0, 3:9] = 1.2 * LIMIT
    cells = make_cells(
        1,
        line_contrast_od=contrast,
        line_height_od=contrast,
        seen_line=np.full((1, N_SECTORS), seen, np.uint8),
        seen_tumor=np.ones(1, np.float32),
    )
    found = classify_cells(cells, generic_calibration(), min_line_contrast_od=LIMIT)
    assert found.intensity[0] > 0
    assert found.membrane_contrast_od[0] < LIMIT
    assert found.is_below_blank[0] == is_below


@pytest.mark.parametrize("seen_tumor", [0.9, np.nan], ids=["with a network", "rules alone"])
@pytest.mark.parametrize("shift", [1, 5, 31])
def test_it_does_not_matter_which_sector_is_the_first(make_cells, shift, seen_tumor) -> None:
    rng = np.random.default_rng(11)
    shape = (400, N_SECTORS)
    # Long lines with single sectors missing, as where three cells meet, and with weak ones.
    line = np.where(rng.random(shape) < 0.15, 0.0, rng.choice([0.6, 1.0, 2.0], shape))
    line[:200] *= np.repeat(rng.random((200, 4)) < 0.5, N_SECTORS // 4, axis=1)
    contrast = (line * LIMIT).astype(np.float32)
    seen = rng.choice([0, 120, 140, 255], shape).astype(np.uint8)
    is_measurable = rng.random(shape) < 0.95
    tumor = np.full(len(line), seen_tumor, np.float32)

    def classes(turn):
        return classify_cells(
            make_cells(
                len(line),
                line_contrast_od=np.roll(contrast, turn, axis=1),
                line_height_od=np.roll(contrast, turn, axis=1),
                seen_line=np.roll(seen, turn, axis=1),
                is_measurable=np.roll(is_measurable, turn, axis=1),
                seen_tumor=tumor,
            ),
            generic_calibration(),
            min_line_contrast_od=LIMIT,
        )

    before, after = classes(0), classes(shift)
    assert (before.intensity > 0).sum() > 50
    assert after.completeness == pytest.approx(before.completeness, abs=1e-6)
    assert after.longest_arc_frac == pytest.approx(before.longest_arc_frac, abs=1e-6)
    bits, turned = (
        (found.stained_sectors[:, None] >> np.arange(N_SECTORS)) & 1 for found in (before, after)
    )
    np.testing.assert_array_equal(np.roll(bits, shift, axis=1), turned)
