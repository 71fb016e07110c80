import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from her2path.statistics.contingency import association, stratified_association

# Income by job satisfaction, women and men: Agresti, Categorical Data Analysis, 2nd ed. 2002,
# table 7.8; its general association within gender is 10.20 with 9 df, p 0.3345 (7.5.3).
WOMEN = [[1, 3, 11, 2], [2, 3, 17, 3], [0, 1, 8, 5], [0, 2, 4, 2]]
MEN = [[1, 1, 2, 1], [0, 3, 5, 1], [0, 0, 7, 3], [0, 1, 9, 6]]

twos = st.lists(
    st.lists(st.lists(st.integers(1, 30), min_size=2, max_size=2), min_size=2, max_size=2),
    min_size=1, max_size=4,
)  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_the_stratified_test_agrees_with_the_textbook():
    found = stratified_association([WOMEN, MEN])
    assert found.statistic == pytest.approx(10.2001, abs=1e-4)
    assert found.df == 9
    assert found.p == pytest.approx(0.3345, abs=1e-4)


@pytest.mark.parametrize(
    "table",
    [[[1, 0], [0, 1], [0, 1]], [[2, 1, 0], [1, 0, 1]], [[0, 0, 3], [1, 1, 0]]],
)
def test_tables_of_a_few_patients_have_a_p(table):
    found = association(table, rng=rng())
    assert 0 < found.p <= 1


@given(twos)
def test_two_by_two_strata_agree_with_statsmodels(tables):
    found = stratified_association(tables)
    theirs = StratifiedTable(np.array(tables).transpose(1, 2, 0)).test_null_odds()
    assert found.statistic == pytest.approx(theirs.statistic, abs=1e-9)
    assert found.p == pytest.approx(theirs.pvalue)


def test_one_stratum_is_nearly_the_plain_test():
    table = np.array([[30, 20, 40], [25, 35, 20]])
    plain = association(table, rng=rng())
    within = stratified_association([table])
    n = table.sum()
    assert within.statistic == pytest.approx(plain.statistic * (n - 1) / n)


def test_strata_without_anything_to_compare_change_nothing():
    both = stratified_association([WOMEN, MEN, np.zeros((4, 4)), np.diag([1, 0, 0, 0])])
    alone = stratified_association([WOMEN, MEN])
    assert both.statistic == pytest.approx(alone.statistic)


def test_nothing_to_compare_is_none():
    assert stratified_association(np.zeros((2, 2, 2))) is None
    assert stratified_association([[[3, 4]]]) is None
    assert association([[3, 4]], rng=rng()) is None
    assert association([[3, 0], [4, 0]], rng=rng()) is None


def test_many_counts_are_chi_squared():
    table = np.array([[20, 30, 25], [40, 10, 15], [22, 31, 19]])
    theirs = stats.chi2_contingency(table, correction=False)
    ours = association(table, rng=rng())
    assert (ours.statistic, ours.df) == (pytest.approx(theirs.statistic), theirs.dof)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_few_counts_in_two_by_two_are_fishers():
    # Fisher's own tea: 3 of 4 cups told right, The Design of Experiments 1935.
    ours = association([[3, 1], [1, 3]], rng=rng())
    assert ours.p == pytest.approx(34 / 70)
    assert ours.method == "Fisher's exact test"


def test_few_counts_in_larger_tables_agree_with_all_tables():
    # Every table with these margins, by hand: p is the sum over those no likelier.
    table = np.array([[4, 1, 0], [0, 2, 3]])
    columns = table.sum(axis=0)
    first = table[0].sum()
    ways = {}
    for a in range(columns[0] + 1):
        for b in range(columns[1] + 1):
            c = first - a - b
            if 0 <= c <= columns[2]:
                ways[a, b, c] = np.prod([stats.binom.pmf(k, m, 0.5) for k, m in
                                         zip((a, b, c), columns, strict=True)])  # fmt: skip
    own = ways[4, 1, 0]
    exact = sum(w for w in ways.values() if w <= own * (1 + 1e-9)) / sum(ways.values())
    assert association(table, rng=rng()).p == pytest.approx(exact, abs=0.01)


def test_empty_categories_change_nothing():
    wide = association([[20, 0, 30], [0, 0, 0], [40, 0, 25]], rng=rng())
    assert wide == association([[20, 30], [40, 25]], rng=rng())


@pytest.mark.parametrize("table", [[1, 2], [[-1, 2], [3, 4]], [[np.nan, 2], [3, 4]]])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(ValueError, match="counts"):
        association(table, rng=rng())
    with pytest.raises(ValueError, match="counts"):
        stratified_association(table)
    with pytest.raises(ValueError, match="counts"):
        stratified_association([table])


def test_rare_categories_of_a_registry_are_tested():
    # scipy's own test ends in an error where a table counts six times 9,999 or more.
    found = association([[50_000, 1, 2], [60_000, 0, 3]], rng=rng())
    assert found.p == pytest.approx(0.81, abs=0.03)


@pytest.mark.parametrize("table", [[[3, 1, 0], [1, 0, 4]], [[10, 2], [1, 7], [0, 3]]])
def test_random_tables_agree_with_scipy(table):
    method = stats.MonteCarloMethod(n_resamples=9999, rng=rng())
    expected = stats.fisher_exact(np.array(table), method=method).pvalue
    assert association(table, rng=rng()).p == pytest.approx(expected, abs=0.002)
