import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import SquareTable, mcnemar

from her2path.statistics.marginal import bowker, signed_rank, stuart_maxwell

# Grade of unaided distance vision, right and left eye of 7,477 women: Stuart 1953,
# 10.1093/biomet/40.1-2.105; tests of it in Agresti, Categorical Data Analysis, 2nd ed., 10.4.
VISION = np.array(
    [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]
)
TESTS = (bowker, stuart_maxwell, signed_rank)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def pairs_of(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.indices(table.shape)
    times = table.ravel()
    return np.repeat(rows.ravel(), times), np.repeat(columns.ravel(), times)


tables = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=4, max_size=4).map(
    np.array
)


def test_bowker_agrees_with_the_textbook():
    found = bowker(*pairs_of(VISION), rng=rng())
    assert found.statistic == pytest.approx(19.107, abs=0.001)
    assert (found.df, found.method) == (6, "chi-squared")
    assert found.p == pytest.approx(0.004, abs=0.0005)


def test_stuart_maxwell_agrees_with_the_textbook():
    found = stuart_maxwell(*pairs_of(VISION), rng=rng())
    assert found.statistic == pytest.approx(11.957, abs=0.001)
    assert (found.df, found.method) == (3, "chi-squared")
    assert found.p == pytest.approx(0.0075, abs=0.0001)


def test_large_tables_agree_with_statsmodels():
    table = np.random.default_rng(3).integers(15, 60, (5, 5))
    square = SquareTable(table, shift_zeros=False)
    ours, theirs = bowker(*pairs_of(table), rng=rng()), square.symmetry()
    assert (ours.statistic, ours.df) == (pytest.approx(theirs.statistic), theirs.df)
    assert ours.p == pytest.approx(theirs.pvalue)
    ours, theirs = stuart_maxwell(*pairs_of(table), rng=rng()), square.homogeneity()
    assert (ours.statistic, ours.df) == (pytest.approx(theirs.statistic), theirs.df)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_the_signed_rank_test_agrees_with_scipy():
    table = np.random.default_rng(4).integers(5, 30, (5, 5))
    before, after = pairs_of(table)
    ours = signed_rank(before, after, rng=rng())
    theirs = stats.wilcoxon(after - before, method="asymptotic")
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_few_signed_ranks_are_exact_as_in_scipy():
    before, after = np.array([3, 3, 2, 3, 4, 1, 2]), np.array([0, 2, 0, 1, 0, 2, 2])
    ours = signed_rank(before, after, rng=rng())
    theirs = stats.wilcoxon(
        (after - before)[after != before], method=stats.PermutationMethod(n_resamples=10_000)
    )
    assert ours.method == "exact permutation"
    assert ours.statistic == theirs.statistic
    assert ours.p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("up", "down"), [(1, 6), (0, 4), (5, 5), (9, 2)])
def test_two_categories_are_mcnemars_exact_test(up: int, down: int):
    table = np.array([[3, up], [down, 8]])
    exact = mcnemar(table, exact=True).pvalue
    for test in (bowker, stuart_maxwell):
        found = test(*pairs_of(table), rng=rng())
        assert found.method == "exact permutation"
        assert found.p == pytest.approx(exact)


@given(tables)
def test_tests_are_symmetric_in_time_and_bounded(table: NDArray[np.int64]):
    before, after = pairs_of(table)
    for test in TESTS:
        there, back = test(before, after, rng=rng()), test(after, before, rng=rng())
        assert 0 < there.p <= 1
        assert there.statistic == pytest.approx(back.statistic, abs=1e-9)
        assert there.p == pytest.approx(back.p, abs=0.05)


@given(tables)
def test_unchanged_pairs_change_nothing(table: NDArray[np.int64]):
    more = table + 7 * np.eye(4, dtype=np.int64)
    for test in TESTS:
        assert test(*pairs_of(table), rng=rng()) == test(*pairs_of(more), rng=rng())


def test_no_change_is_no_evidence():
    for test in TESTS:
        found = test([0, 1, 2], [0, 1, 2], rng=rng())
        assert (found.statistic, found.p, found.method) == (0.0, 1.0, "no pair changed")


def test_margins_may_agree_while_changes_do_not():
    # Everybody moves on by one in a circle: as many of each score after as before.
    before = np.repeat([0, 1, 2], 30)
    after = (before + 1) % 3
    assert stuart_maxwell(before, after, rng=rng()).p == pytest.approx(1)
    assert bowker(before, after, rng=rng()).p < 1e-10


def test_pairs_of_one_patient_count_as_one_witness():
    before, after = np.full(12, 3), np.zeros(12, int)
    alone = bowker(before, after, rng=rng())
    together = bowker(before, after, patients=np.repeat([0, 1, 2], 4), rng=rng())
    assert alone.p == pytest.approx(2 * 0.5**12)
    # Three patients: all up or all down, of eight arrangements.
    assert together.p == pytest.approx(0.25)
    assert "each patient's pairs kept together" in together.method


def test_patients_of_one_pair_need_no_clustering():
    before, after = pairs_of(np.array([[2, 1, 3], [4, 2, 2], [6, 3, 1]]))
    for test in TESTS:
        named = test(before, after, patients=np.arange(before.size), rng=rng())
        assert named == test(before, after, rng=rng())


def test_many_patients_with_several_pairs_are_drawn():
    source = np.random.default_rng(5)
    before, after = source.integers(0, 5, 90), source.integers(0, 5, 90)
    patients = np.repeat(np.arange(45), 2)
    found = stuart_maxwell(before, after, patients=patients, rng=rng())
    assert found.method.startswith("permutation, 19,999 draws")
    assert found == stuart_maxwell(before, after, patients=patients, rng=rng())


def test_permutation_holds_its_level():
    source = np.random.default_rng(6)
    small = 0
    for _ in range(400):
        before, after = source.integers(0, 3, 14), source.integers(0, 3, 14)
        small += bowker(before, after, rng=source).p <= 0.05
    # An exact test of discrete data stays at or below its level.
    assert small <= stats.binom.ppf(0.999, 400, 0.05)


@pytest.mark.parametrize(
    ("before", "after", "patients", "words"),
    [([0, 1], [0], None, "shapes"), ([0], [-1], None, "ranks"), ([0], [1], [1, 2], "shapes")],
)
def test_wrong_pairs_are_refused(before, after, patients, words):
    for test in TESTS:
        with pytest.raises(ValueError, match=words):
            test(before, after, patients=patients, rng=rng())


@pytest.mark.parametrize("test", TESTS)
def test_however_many_pairs_a_patient_has_they_are_one_witness(test):
    # Changes enough for chi-squared, of three patients: all down is one of eight arrangements.
    patients = np.repeat([0, 1, 2], 30)
    found = test(np.full(90, 3), np.zeros(90, int), patients=patients, rng=rng())
    assert found.p == pytest.approx(2 / 2**3)
    assert "each patient's pairs kept together" in found.method


def test_what_was_seen_is_one_of_the_arrangements_so_no_p_is_zero():
    before, after = np.full(80, 3), np.zeros(80, int)
    found = bowker(before, after, patients=np.repeat(np.arange(40), 2), rng=rng())
    assert found.method.startswith("permutation, 19,999 draws")
    assert found.p == pytest.approx(1 / 20_000)
