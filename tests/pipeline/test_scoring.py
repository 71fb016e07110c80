import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.cells.calibration import generic_calibration
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Extent, Intensity, Pattern, Score
from her2path.criteria.tally import Tally, extent_of
from her2path.geometry import Mpp, Size
from her2path.pipeline.regions import Grid
from her2path.pipeline.scoring import (
    CountedCells,
    borders_of,
    clusters_of,
    empty_reading,
    read_counted,
    score_of,
)
from her2path.statistics.means import mean_of_blocks
from her2path.statistics.paired import BlockRatio

RULES = load_rule_set("asco-cap-2018")


def cells(n: int, seed: int = 0, *, intensity: int | None = None) -> CountedCells:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, n) if intensity is None else np.full(n, intensity)
    od = rng.uniform(0.1, 0.5, n).astype(np.float32)
    return CountedCells(
        x_um=rng.uniform(0, 2000, n),
        y_um=rng.uniform(0, 2000, n),
        block=rng.integers(0, 12, n),
        intensity=classes.astype(np.int8),
        extent=rng.integers(0, 3, n).astype(np.int8),
        membrane_od=od,
        membrane_contrast_od=od,
        membrane_width_um=od,
        cytoplasm_od=od,
    )


@given(n=st.integers(0, 300), seed=st.integers(0, 50), factor=st.floats(0.2, 5))
def test_other_heights_move_the_intensity_of_stained_cells_and_of_no_others(
    n: int, seed: int, factor: float
):
    counted, cuts = cells(n, seed), generic_calibration().intensity
    as_read, moved = (counted.graded(cuts, height_factor=f) for f in (1.0, factor))
    is_stained = counted.intensity > Intensity.NONE
    assert np.array_equal(moved.intensity > Intensity.NONE, is_stained)
    graded = cuts.grade(counted.membrane_od[is_stained])
    assert np.array_equal(as_read.intensity[is_stained], graded)
    low, high = (as_read, moved) if factor >= 1 else (moved, as_read)
    assert (low.intensity <= high.intensity).all()


def test_an_uncertain_share_is_a_border_although_another_row_is_nearer_to_firing():
    blocks = np.zeros((40, 5, 3), int)
    blocks[:, Intensity.FAINT, Extent.INCOMPLETE] = 40
    blocks[:, Intensity.MODERATE, Extent.INCOMPLETE] = 8
    blocks[:5, Intensity.WEAK, Extent.COMPLETE] = 52
    blocks[:, Intensity.NONE, Extent.INCOMPLETE] = 100 - blocks.sum(axis=(1, 2))
    call = RULES.call(Tally.from_array(blocks.sum(axis=0)), blank_upper_pct=2.0)
    assert call.score is Score.ONE_PLUS
    assert "2+ complete" not in {deciding.criterion.id for deciding in call.near}
    borders = {border.deciding.criterion.id: border for border in borders_of(call, blocks, ())}
    assert borders["2+ complete"].deciding.cut in borders["2+ complete"].interval_pct
    distances = [border.deciding.distance for border in borders.values()]
    assert distances == sorted(distances)


@given(n=st.integers(0, 300), seed=st.integers(0, 50))
def test_tallies_of_blocks_sum_to_the_tally_of_the_slide(n: int, seed: int):
    counted = cells(n, seed)
    assert np.array_equal(counted.block_tallies().sum(axis=0), counted.tally.array)


@pytest.mark.slow
@given(n=st.integers(1, 200), seed=st.integers(0, 50))
def test_a_reading_does_not_depend_on_the_order_of_the_cells(n: int, seed: int):
    counted = cells(n, seed)
    order = np.random.default_rng(seed + 1).permutation(n)

    def read(some: CountedCells):
        return read_counted(
            some,
            RULES,
            blank_upper_pct=1.0,
            rng=np.random.default_rng(3),
            n_resamples=50,
        )

    one, two = read(counted), read(counted.select(order))
    assert one.tally == two.tally
    assert one.intervals == two.intervals
    assert one.probabilities == two.probabilities


def test_every_pattern_counts_as_the_extent_of_its_own():
    patterns = np.array(list(Pattern), np.int8)
    assert extent_of(patterns).tolist() == [pattern.extent for pattern in Pattern]
    assert extent_of(np.array([Pattern.CYTOPLASMIC], np.int8))[0] == Extent.INCOMPLETE


def test_means_are_of_stained_cells_and_of_all_for_the_cytoplasm():
    counted = cells(400)
    reading = read_counted(
        counted, RULES, blank_upper_pct=1.0, rng=np.random.default_rng(0), n_resamples=50
    )
    n_stained = int((counted.intensity > 0).sum())
    assert reading.measures["membrane_od"].n_cells == n_stained
    assert reading.measures["cytoplasm_od"].n_cells == 400
    assert reading.measures["cytoplasm_od"].value == pytest.approx(counted.cytoplasm_od.mean())


def test_no_cell_gives_no_score_and_an_empty_reading():
    score, tally = score_of(cells(0), RULES, blank_upper_pct=1.0)
    assert score is Score.NOT_ASSESSABLE
    assert tally.n_cells == 0
    assert empty_reading().n_tumor_cells == 0
    assert not any(empty_reading().probabilities.values())


def test_clusters_are_looked_for_only_where_the_rules_ask():
    strong = cells(30, intensity=Intensity.INTENSE)
    assert clusters_of(strong, RULES) is None
    clusters = clusters_of(strong, load_rule_set("gastric-biopsy"))
    assert clusters is not None
    assert clusters.largest_faint >= 1


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    mpp=st.floats(0.1, 0.7),
    side_um=st.sampled_from([100.0, 333.3, 500.0]),
    seed=st.integers(0, 99),
)
def test_each_point_lies_in_the_square_that_claims_it(
    width: int, height: int, mpp: float, side_um: float, seed: int
):
    grid = Grid.of(Size(width, height), Mpp(mpp, mpp), side_um=side_um)
    rng = np.random.default_rng(seed)
    # Quarters of a pixel fall on edges often.
    x, y = (np.floor(rng.uniform(0, s, 50) * 4) / 4 for s in (width, height))
    for row, col, px, py in zip(*grid.cell_of(x, y), x, y, strict=True):
        box = grid.box(int(row), int(col))
        assert box.x <= px < box.right
        assert box.y <= py < box.bottom


def by_block(values: np.ndarray, blocks: np.ndarray) -> BlockRatio:
    """Return a measurement as sums over blocks."""
    parts = (np.bincount(blocks, weights=w) for w in (values, np.ones_like(values), values**2))
    return BlockRatio(*parts, is_share=False)


@given(n=st.integers(2, 200), n_blocks=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_mean_lies_in_its_interval(n: int, n_blocks: int, seed: int):
    rng = np.random.default_rng(seed)
    values, blocks = rng.normal(size=n), rng.integers(0, n_blocks, n)
    found = mean_of_blocks(by_block(values, blocks))
    assert found is not None
    mean, interval = found
    assert mean == pytest.approx(values.mean())
    assert mean in interval


def test_cells_that_are_alike_within_blocks_widen_the_interval_of_their_mean():
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(10), 50)
    alike = rng.normal(size=10)[blocks] + 0.1 * rng.normal(size=500)
    independent = rng.permutation(alike)
    widths = [mean_of_blocks(by_block(v, blocks))[1].width for v in (alike, independent)]
    assert widths[0] > 3 * widths[1]


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    blocks = np.repeat(np.arange(12), 40)
    hits = 0
    for _ in range(400):
        values = rng.normal(size=12)[blocks] + rng.normal(size=480)
        hits += 0.0 in mean_of_blocks(by_block(values, blocks))[1]
    assert 0.92 <= hits / 400 <= 0.98


def test_one_cell_has_no_interval():
    assert mean_of_blocks(by_block(np.ones(1), np.zeros(1, int))) is None
