import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from her2path.cohort.rates import rate_of
from her2path.statistics.excess import difference_interval, excess
from her2path.statistics.intervals import wilson

FLOOR = (387, 3209)
counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_the_exact_test_is_fishers(observed, reference):
    (k, n), (k0, n0) = observed, reference
    theirs = stats.fisher_exact([[k, n - k], [k0, n0 - k0]], alternative="greater").pvalue
    assert excess(k, n, reference=reference).p == pytest.approx(theirs, rel=1e-6, abs=1e-12)


def test_gouda_lost_more_than_the_noise_floor_allows():
    assert excess(11, 34, reference=FLOOR).p < 0.005
    assert excess(4, 34, reference=FLOOR).p > 0.5


def test_the_effective_number_agrees_with_statsmodels_at_its_own_size():
    ours = excess(21, 60, reference=FLOOR, design_effect=2.4)
    theirs = proportions_ztest([21 / 2.4, 387], [25, 3209], alternative="larger")
    assert (ours.statistic, ours.p) == (pytest.approx(theirs[0]), pytest.approx(theirs[1]))


def test_clustering_makes_less_certain():
    alone = excess(20, 60, reference=FLOOR, design_effect=1.0001)
    assert excess(20, 60, reference=FLOOR, design_effect=3.0).p > alone.p


@given(st.integers(1, 60), st.floats(1, 8), st.floats(2, 40))
def test_degrees_of_freedom_make_it_a_t_test(k, effect, df):
    found = excess(k, 60, reference=FLOOR, design_effect=effect, df=df)
    assert found.p == pytest.approx(stats.t.sf(found.statistic, df))
    assert (found.df, "t test" in found.method) == (df, True)


def test_few_patients_make_less_certain_than_many():
    few, many = (excess(20, 60, reference=FLOOR, design_effect=2.4, df=df).p for df in (2, 50))
    normal = excess(20, 60, reference=FLOOR, design_effect=2.4)
    assert "z test" in normal.method
    assert few > 10 * many > 10 * normal.p


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.6])
def test_few_patients_exceed_the_floor_as_rarely_as_p_says(correlation: float):
    # Of three patients with one pair and one with 20 a z test finds an excess in 10 %.
    source, floor, n = np.random.default_rng(3), FLOOR[0] / FLOOR[1], 400
    spread = 1 / correlation - 1
    n_found = 0
    for _ in range(n):
        sizes = source.choice([1, 1, 1, 20], 5)
        shares = source.beta(floor * spread, (1 - floor) * spread, 5)
        lost = np.concatenate(
            [np.arange(m) < source.binomial(m, p) for m, p in zip(sizes, shares, strict=True)]
        )
        rate = rate_of(
            lost, np.ones(len(lost), np.bool_),
            patients=np.repeat(np.arange(5), sizes).astype(str), denominator="pairs",
        )  # fmt: skip
        n_found += (
            excess(rate.n, rate.of, reference=FLOOR, design_effect=rate.design_effect, df=rate.df).p
            <= 0.05
        )
    assert n_found / n < 0.08


def test_the_difference_agrees_with_statsmodels():
    difference, interval = difference_interval(11 / 34, wilson(11, 34), reference=FLOOR)
    low, high = confint_proportions_2indep(11, 34, *FLOOR, compare="diff", method="newcomb")
    assert difference == pytest.approx(11 / 34 - 387 / 3209)
    assert (interval.lower, interval.upper) == (pytest.approx(low), pytest.approx(high))


def test_nothing_counted_shows_no_excess():
    assert excess(0, 0, reference=FLOOR).p == 1


@pytest.mark.parametrize(("k", "n", "effect"), [(3, 2, 1.0), (1, 2, 0.5), (-1, 2, 1.0)])
def test_impossible_counts_are_refused(k, n, effect):
    with pytest.raises(ValueError, match="got"):
        excess(k, n, reference=FLOOR, design_effect=effect)


@pytest.mark.parametrize("df", [0.0, float("nan")])
def test_a_variance_has_degrees_of_freedom(df):
    with pytest.raises(ValueError, match="df"):
        excess(1, 2, reference=FLOOR, design_effect=1.0, df=df)
