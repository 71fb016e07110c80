"""Doubtful cells, told by the nuclei of the sure ones of the same slide."""

import numpy as np
import pytest
from scipy.special import expit, logit

from her2path.cells.odds import EVEN
from her2path.cells.sure_nuclei import LEAST_SURE, MOST, SURE, WEIGHT, told_by_sure_nuclei

N = 2000
# Of tumor and of other cells: area, elongation, hematoxylin, texture, spacing.
LOOKS = {
    "nucleus_area_um2": (70.0, 34.0),
    "nucleus_elongation": (1.3, 1.2),
    "nucleus_h_od": (0.25, 0.35),
    "nucleus_texture_od": (0.05, 0.05),
    "spacing_um": (13.0, 9.0),
}


def slide_of(make_cells, *, apart=1.2, spread=1.2, n=N, looks=LOOKS, seed=0):
    """Return cells, what a reader says of them, and which are tumor."""
    rng = np.random.default_rng(seed)
    is_tumor = rng.random(n) < 0.4
    odds = np.where(is_tumor, apart, -apart) + rng.normal(0, spread, n)
    columns = {
        name: (np.where(is_tumor, own, other) * rng.lognormal(0, 0.2, n)).astype(np.float32)
        for name, (own, other) in looks.items()
    }
    return make_cells(n, is_hidden=np.zeros(n, np.bool_), **columns), as_said(odds), is_tumor


def as_said(odds):
    return expit(odds).astype(np.float32)


def told(cells, said, **options):
    options = {"at": EVEN, "is_asked": np.ones(len(said), np.bool_)} | options
    return told_by_sure_nuclei(said, cells, **options)


def rightly(probability, is_tumor, at=EVEN) -> float:
    return float(((probability >= at) == is_tumor).mean())


@pytest.mark.parametrize("at", [0.1, EVEN, 0.8])
def test_nuclei_alike_put_doubtful_cells_on_the_right_side(make_cells, at: float) -> None:
    cells, said, is_tumor = slide_of(make_cells)
    said = as_said(logit(said) + logit(at))
    found = told(cells, said, at=at)
    assert rightly(said, is_tumor, at) < 0.87
    assert rightly(found, is_tumor, at) > 0.95


def test_a_slide_with_few_doubts_is_left_as_read(make_cells) -> None:
    cells, said, _ = slide_of(make_cells, apart=3.0, spread=0.8)
    np.testing.assert_array_equal(told(cells, said), said)


def test_nuclei_that_look_the_same_say_hardly_anything(make_cells) -> None:
    same = {name: (own, own) for name, (own, _) in LOOKS.items()}
    cells, said, _ = slide_of(make_cells, looks=same)
    found = told(cells, said)
    assert ((found >= EVEN) != (said >= EVEN)).mean() < 0.03


def test_too_few_sure_cells_say_nothing(make_cells) -> None:
    cells, said, _ = slide_of(make_cells)
    is_sure = said > expit(SURE)
    is_asked = ~is_sure | (np.cumsum(is_sure) < LEAST_SURE)
    np.testing.assert_array_equal(told(cells, said, is_asked=is_asked), said)


def test_nuclei_hidden_under_brown_do_not_say_what_tumor_looks_like(make_cells) -> None:
    cells, said, is_tumor = slide_of(make_cells)
    hidden = make_cells(N, is_hidden=is_tumor, **{name: getattr(cells, name) for name in LOOKS})
    np.testing.assert_array_equal(told(hidden, said), said)


def test_what_was_not_measured_is_left_as_read(make_cells) -> None:
    cells, said, _ = slide_of(make_cells)
    cells.nucleus_h_od[:50] = np.nan
    found = told(cells, said)
    np.testing.assert_allclose(found[:50], said[:50], atol=1e-6)
    assert np.isfinite(found).all()


def test_without_a_cell_there_is_nothing_to_tell(make_cells) -> None:
    cells, said, _ = slide_of(make_cells, n=0)
    assert len(told(cells, said)) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("apart", [0.3, 1.0, 2.0])
def test_no_nucleus_says_more_than_it_may(make_cells, seed: int, apart: float) -> None:
    cells, said, _ = slide_of(make_cells, apart=apart, seed=seed)
    # Beyond, readers are taken for no surer.
    inside = (said > 0.003) & (said < 0.997)
    moved = np.abs(logit(told(cells, said).astype(float)) - logit(said.astype(float)))[inside]
    assert moved.max() <= WEIGHT * MOST + 1e-3
