"""The limit of blank of a slide: of its calibration, its stroma and its tumor the middle one."""

from dataclasses import replace

import numpy as np
import pytest

from her2path.cells.blank import (
    INNER_FACTOR,
    LEAST_UNSTAINED_FRAC,
    MAX_FALL,
    MAX_RAISE,
    MIN_REFERENCE_CELLS,
    clearest_lines,
    measure_blank,
    palest_limit,
    sector_limit,
)
from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import MAX_DIFFUSE_LIMIT_OD
from her2path.cells.table import N_SECTORS, CellMeasurements

GENERIC = generic_calibration()
LEAST = GENERIC.min_line_contrast_od
SITE = GENERIC.model_copy(update={"is_site_specific": True})
N = 2000


def lines(make_cells, mean, deviation, *, n=N, seed=0) -> CellMeasurements:
    """Cells with one level of contrast all round, normal over the cells."""
    level = np.random.default_rng(seed).normal(mean, deviation, n).astype(np.float32)
    contrast = np.repeat(level[:, None], N_SECTORS, axis=1)
    return make_cells(n, line_contrast_od=contrast, line_height_od=contrast)


def limit_of(stroma, tumor, calibration=GENERIC) -> float:
    cells = CellMeasurements.concatenate([stroma, tumor])
    is_tumor = np.arange(len(cells)) >= len(stroma)
    blank = measure_blank(cells, ~is_tumor, calibration, is_tumor=is_tumor)
    return blank.min_line_contrast_od


def palest(cells: CellMeasurements) -> float:
    return palest_limit(clearest_lines(cells))


@pytest.mark.parametrize("limit", [sector_limit, palest])
def test_few_cells_of_the_blank_exceed_its_limit(make_cells, limit) -> None:
    cells = lines(make_cells, 0.010, 0.003)
    assert limit(cells) == pytest.approx(0.010 + 3 * 0.003, rel=0.06)


def test_up_to_half_of_the_tumor_may_be_stained(make_cells) -> None:
    unstained = lines(make_cells, 0.010, 0.003)
    stained = lines(make_cells, 0.15, 0.02, n=N // 2)
    mixed = CellMeasurements.concatenate([unstained, stained])
    assert palest(unstained) <= palest(mixed) < 0.024
    assert sector_limit(mixed) > 0.024


@pytest.mark.parametrize("stained_share", [0.5, 0.8])
def test_where_most_of_the_tumor_is_stained_the_rest_tells_its_own_limit(
    make_cells, stained_share
) -> None:
    unstained = lines(make_cells, 0.010, 0.003, n=20_000)
    n_stained = round(20_000 * stained_share / (1 - stained_share))
    stained = lines(make_cells, 0.15, 0.02, n=n_stained, seed=1)
    values = clearest_lines(CellMeasurements.concatenate([unstained, stained]))
    alone = palest_limit(clearest_lines(unstained))
    known = palest_limit(values, unstained_frac=1 - stained_share)
    assert known == pytest.approx(alone, rel=0.02)
    assert palest_limit(values) > alone
    # Known in part only, it lies between.
    assert (
        known < palest_limit(values, unstained_frac=1 - stained_share / 2) <= palest_limit(values)
    )


def test_too_few_unstained_cells_tell_nothing(make_cells) -> None:
    values = clearest_lines(lines(make_cells, 0.15, 0.02))
    few = (MIN_REFERENCE_CELLS - 1) / N
    assert palest_limit(values, unstained_frac=few) == palest_limit(values)


CLEAN, NOISY, STAINED = (0.010, 0.003), (0.02, 0.006), (0.2, 0.03)


@pytest.mark.parametrize(
    ("stroma", "tumor", "expected"),
    [
        # Both blanks are low, or both high: the one nearer to the calibration.
        (CLEAN, (0.004, 0.002), "stroma"),
        ((0.004, 0.002), CLEAN, "tumor"),
        (NOISY, (0.022, 0.008), "stroma"),
        ((0.022, 0.008), NOISY, "tumor"),
        # They differ: fibers of stroma, borders of unstained tumor, or a tumor that is all stained.
        (NOISY, CLEAN, "calibration"),
        (CLEAN, NOISY, "calibration"),
        (CLEAN, STAINED, "calibration"),
        (NOISY, STAINED, "stroma"),
    ],
)
def test_of_three_limits_the_middle_one_holds(make_cells, stroma, tumor, expected) -> None:
    a, b = lines(make_cells, *stroma), lines(make_cells, *tumor, seed=1)
    held = {"stroma": sector_limit(a), "tumor": palest(b), "calibration": LEAST}
    assert limit_of(a, b) == pytest.approx(held[expected])


def test_the_slide_moves_the_limit_within_bounds_only(make_cells) -> None:
    none, much = (lines(make_cells, m, 0.0005) for m in (0.001, 0.2))
    assert limit_of(none, none) == pytest.approx(MAX_FALL * LEAST)
    assert limit_of(much, much) == pytest.approx(MAX_RAISE * LEAST)


def test_controls_of_the_site_know_its_blank_better(make_cells) -> None:
    clean, noisy = lines(make_cells, *CLEAN), lines(make_cells, *NOISY)
    assert limit_of(clean, clean, SITE) == LEAST
    assert limit_of(noisy, noisy, SITE) == limit_of(noisy, noisy) > LEAST


def test_without_enough_tumor_cells_the_slide_only_raises(make_cells) -> None:
    few = MIN_REFERENCE_CELLS - 1
    clean, noisy = lines(make_cells, *CLEAN), lines(make_cells, *NOISY)
    assert limit_of(clean, lines(make_cells, *CLEAN, n=few)) == LEAST
    assert limit_of(noisy, lines(make_cells, *CLEAN, n=few)) == pytest.approx(sector_limit(noisy))


def test_too_few_cells_without_her2_leave_the_calibration(make_cells) -> None:
    cells = lines(make_cells, *NOISY, n=MIN_REFERENCE_CELLS - 1)
    blank = measure_blank(cells, np.ones(len(cells), np.bool_), GENERIC)
    assert (blank.min_line_contrast_od, blank.n_reference, blank.is_own) == (LEAST, 0, False)
    brown = replace(lines(make_cells, *NOISY), cytoplasm_od=np.full(N, 0.2, np.float32))
    assert measure_blank(brown, np.ones(N, np.bool_), GENERIC).n_reference == 0


def test_a_share_that_looks_stained_is_bounded_from_above(make_cells) -> None:
    cells = lines(make_cells, *CLEAN)
    blank = measure_blank(cells, np.ones(N, np.bool_), GENERIC)
    assert blank.reference_stained_pct < 1
    assert GENERIC.blank_upper_pct <= blank.upper_pct <= MAX_RAISE * GENERIC.blank_upper_pct


def test_where_all_of_the_blank_looks_stained_the_criteria_still_get_a_limit(make_cells) -> None:
    cells = replace(lines(make_cells, 0.3, 0.0), seen_tumor=np.full(N, np.nan, np.float32))
    stained_controls = GENERIC.model_copy(update={"blank_upper_pct": 50.0})
    blank = measure_blank(cells, np.ones(N, np.bool_), stained_controls)
    assert blank.reference_stained_pct == 100
    assert blank.upper_pct < 100


def limit_with_inside(make_cells, inner_od, *, stained_frac=0.2, n_stroma=N) -> float:
    """The limit where a part of the tumor was read as stained and the rest has lines inside."""
    stroma = lines(make_cells, *CLEAN, n=n_stroma)
    n_stained = round(stained_frac * N)
    inside = np.full(N, inner_od, np.float32)
    # What membranes lend to the inside of their own cells tells nothing.
    inside[:n_stained] = 1.0
    tumor = replace(lines(make_cells, *CLEAN, seed=1), inner_line_od=inside)
    cells = CellMeasurements.concatenate([stroma, tumor])
    is_tumor = np.arange(len(cells)) >= n_stroma
    is_unstained = np.arange(len(cells)) >= n_stroma + n_stained
    blank = measure_blank(
        cells, ~is_tumor, GENERIC, is_tumor=is_tumor, is_unstained=is_unstained & is_tumor
    )
    return blank.min_line_contrast_od


@pytest.mark.parametrize("n_stroma", [N, MIN_REFERENCE_CELLS - 1])
def test_lines_inside_unstained_cells_raise_what_is_asked_of_all(make_cells, n_stroma) -> None:
    smooth = limit_with_inside(make_cells, 0.0, n_stroma=n_stroma)
    granular = limit_with_inside(make_cells, 0.02, n_stroma=n_stroma)
    assert granular == pytest.approx(INNER_FACTOR * 0.02)
    assert granular > smooth
    assert limit_with_inside(make_cells, 0.3) == MAX_DIFFUSE_LIMIT_OD


def test_a_limit_that_the_insides_raised_is_the_slides_own(make_cells) -> None:
    cells = replace(lines(make_cells, *CLEAN), inner_line_od=np.full(N, 0.02, np.float32))
    everywhere, nowhere = np.ones(N, np.bool_), np.zeros(N, np.bool_)
    blank = measure_blank(cells, nowhere, GENERIC, is_tumor=everywhere, is_unstained=everywhere)
    assert blank.n_reference == 0
    assert blank.min_line_contrast_od == pytest.approx(INNER_FACTOR * 0.02)
    assert blank.is_own


def test_where_most_are_stained_insides_tell_nothing(make_cells) -> None:
    most = 1 - LEAST_UNSTAINED_FRAC + 0.05
    smooth = limit_with_inside(make_cells, 0.0, stained_frac=most)
    assert limit_with_inside(make_cells, 0.02, stained_frac=most) == smooth
