import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from her2path.statistics.agreement import bca, weighted_agreement, weighted_kappa

squares = st.integers(2, 5).flatmap(
    lambda k: st.lists(
        st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k
    ).map(np.array)
)
KINDS = ("linear", "quadratic")


def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def drawn(n: int, agreement: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(7)
    before = source.integers(0, 5, n)
    other = np.clip(before + source.integers(-2, 3, n), 0, 4)
    return before, np.where(source.random(n) < agreement, before, other)


@pytest.mark.parametrize("kind", KINDS)
@given(squares)
def test_kappa_agrees_with_statsmodels(kind, table):
    ours = float(weighted_kappa(table, weights=kind))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if np.isnan(ours):
        assert np.count_nonzero(rows) <= 1
        assert np.count_nonzero(columns) <= 1
        return
    theirs = cohens_kappa(table, wt=kind, return_results=False)
    assert ours == pytest.approx(theirs, abs=1e-9)


@given(squares, st.sampled_from(KINDS))
def test_kappa_is_symmetric_and_at_most_one(table, kind):
    kappa = weighted_kappa(table, weights=kind)
    assert float(kappa) == pytest.approx(float(weighted_kappa(table.T, weights=kind)), nan_ok=True)
    assert np.isnan(kappa) or -1 - 1e-9 <= kappa <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_agrees_with_the_bootstrap_of_scipy(kind):
    before, after = drawn(80)

    def kappa(x, y):
        table = np.zeros((5, 5))
        np.add.at(table, (x, y), 1)
        return float(weighted_kappa(table, weights=kind))

    theirs = stats.bootstrap(
        (before, after), kappa, paired=True, vectorized=False, n_resamples=4000, rng=rng()
    ).confidence_interval
    ours = weighted_agreement(before, after, n_categories=5, weights=kind, rng=rng())
    assert ours.kappa == pytest.approx(kappa(before, after))
    assert ours.interval is not None
    assert ours.interval.lower == pytest.approx(theirs.low, abs=0.02)
    assert ours.interval.upper == pytest.approx(theirs.high, abs=0.02)


def test_pairs_listed_twice_under_one_patient_widen_nothing_away():
    before, after = drawn(60)
    once = weighted_agreement(before, after, n_categories=5, weights="linear", rng=rng())
    twice = weighted_agreement(
        np.repeat(before, 3), np.repeat(after, 3), n_categories=5, weights="linear",
        patients=np.repeat(np.arange(60), 3), rng=rng(),
    )  # fmt: skip
    careless = weighted_agreement(
        np.repeat(before, 3), np.repeat(after, 3), n_categories=5, weights="linear", rng=rng()
    )
    assert twice.kappa == pytest.approx(once.kappa)
    assert twice.interval.width == pytest.approx(once.interval.width, rel=0.05)
    assert careless.interval.width < 0.7 * once.interval.width
    assert "patients" in twice.method


def test_perfect_agreement_has_no_scatter_to_resample():
    found = weighted_agreement([0, 1, 4], [0, 1, 4], n_categories=5, weights="linear", rng=rng())
    assert (found.kappa, found.interval) == (1.0, None)


@pytest.mark.parametrize("scores", [[], [2, 2, 2]])
def test_one_score_defines_no_kappa(scores):
    found = weighted_agreement(scores, scores, n_categories=5, weights="quadratic", rng=rng())
    assert (found.kappa, found.interval) == (None, None)
    assert "not defined" in found.method


def test_the_same_seed_gives_the_same_interval():
    before, after = drawn(40)
    found = [
        weighted_agreement(before, after, n_categories=5, weights="linear", rng=rng())
        for _ in range(2)
    ]
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    source = np.random.default_rng(9)
    true = np.full((5, 5), 0.02) + 0.1 * np.eye(5)
    truth = float(weighted_kappa(true, weights="linear"))
    held = 0
    for _ in range(300):
        cells = source.choice(25, 60, p=(true / true.sum()).ravel())
        found = weighted_agreement(
            cells // 5, cells % 5, n_categories=5, weights="linear", rng=source, n_resamples=999
        )
        held += truth in found.interval
    assert 0.90 <= held / 300 <= 0.99


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [([0, 1], [0], "shapes"), ([0], [5], "scale"), ([-1], [0], "scale")],
)
def test_wrong_scores_are_refused(before, after, words):
    with pytest.raises(ValueError, match=words):
        weighted_agreement(before, after, n_categories=5, weights="linear", rng=rng())


def test_a_table_is_square():
    with pytest.raises(ValueError, match="square"):
        weighted_kappa([[1, 2, 3]], weights="linear")


def clustered(n_patients: int, each: int, source: np.random.Generator):
    """Draw scores of patients with several pairs, which resemble each other."""
    own = np.repeat(source.normal(size=n_patients), each)
    common = own * np.sqrt(0.7) + source.normal(size=own.size) * np.sqrt(0.3)
    apart = np.repeat(source.normal(size=n_patients), each) * 0.3
    before, after = (
        np.digitize(
            common + sign * apart + 0.4 * source.normal(size=own.size), [-1, -0.3, 0.4, 1.2]
        )
        for sign in (1, -1)
    )
    return before, after, np.repeat(np.arange(n_patients), each)


def test_several_pairs_of_few_patients_make_no_narrow_interval():
    before, after, patients = clustered(3, 8, np.random.default_rng(3))
    few = weighted_agreement(
        before, after, n_categories=5, weights="linear", patients=patients, rng=rng()
    )
    alone = weighted_agreement(before, after, n_categories=5, weights="linear", rng=rng())
    assert "jackknife over 3 patients" in few.method
    assert few.kappa == alone.kappa
    assert few.kappa in few.interval
    assert few.interval.width > 1.2 * alone.interval.width
    for of_few in (np.zeros(24), np.arange(24) % 2):
        none = weighted_agreement(
            before, after, n_categories=5, weights="linear", patients=of_few, rng=rng()
        )
        assert (none.interval, none.method) == (None, "no interval: too few patients")


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ([0, 1, 4, 0, 1, 4, 0, 1, 4], "no scatter"),
        # Every patient has the same pairs.
        ([0, 1, 3, 0, 1, 3, 0, 1, 3], "no scatter"),
        # Only the first patient has more than one score.
        ([3, 3, 3, 2, 2, 2, 2, 2, 2], "not defined"),
    ],
)
def test_patients_without_scatter_make_no_interval(after, words):
    before = [0, 1, 4] * 3 if after[0] == 0 else [3, 2, 3, 2, 2, 2, 2, 2, 2]
    found = weighted_agreement(
        before, after, n_categories=5, weights="linear",
        patients=np.repeat(np.arange(3), 3), rng=rng(),
    )  # fmt: skip
    assert found.kappa is not None
    assert found.interval is None
    assert words in found.method


@pytest.mark.parametrize(("each", "first"), [(1, "BCa"), (2, "jackknife over 24 patients")])
def test_only_pairs_that_share_a_patient_ask_for_a_jackknife(each: int, first: str):
    before, after, patients = clustered(24, each, np.random.default_rng(3))
    found = weighted_agreement(
        before, after, n_categories=5, weights="linear", patients=patients, rng=rng()
    )
    assert found.method.startswith(first)


def test_the_ends_of_a_jackknife_are_those_by_hand():
    before, after, patients = clustered(5, 4, np.random.default_rng(3))
    found = weighted_agreement(
        before, after, n_categories=5, weights="linear", patients=patients, rng=rng()
    )

    def kappa(chosen):
        table = np.zeros((5, 5))
        np.add.at(table, (before[chosen], after[chosen]), 1)
        return float(weighted_kappa(table, weights="linear"))

    estimate = kappa(patients >= 0)
    without = np.array([kappa(patients != one) for one in range(5)])
    error = np.sqrt(4 / 5 * ((without - without.mean()) ** 2).sum()) / (1 - estimate**2)
    # Four degrees of freedom: one fewer than patients.
    ends = np.tanh(np.arctanh(estimate) + np.array([-1, 1]) * 2.776445 * error)
    assert (found.interval.lower, found.interval.upper) == pytest.approx(tuple(ends), abs=1e-6)


@pytest.mark.parametrize(("n_patients", "first"), [(29, "jackknife over 29"), (30, "BCa")])
def test_from_thirty_patients_on_they_are_resampled(n_patients: int, first: str):
    before, after, patients = clustered(n_patients, 2, np.random.default_rng(3))
    found = weighted_agreement(
        before, after, n_categories=5, weights="linear", patients=patients, rng=rng()
    )
    assert found.method.startswith(first)


def test_a_kappa_of_minus_one_is_in_its_interval():
    before = np.array([0, 0, 0, 1, 1, 1])
    found = weighted_agreement(
        before, 1 - before, n_categories=2, weights="linear", patients=[0, 0, 1, 1, 2, 2], rng=rng()
    )
    assert found.kappa == -1
    assert -1 in found.interval


@pytest.mark.slow
@pytest.mark.parametrize(("n_patients", "each"), [(3, 8), (6, 4), (15, 4), (25, 2)])
def test_intervals_of_few_patients_hold_the_kappa_of_all(n_patients: int, each: int):
    many = clustered(200_000, 1, np.random.default_rng(6))
    table = np.zeros((5, 5))
    np.add.at(table, many[:2], 1)
    true, source = float(weighted_kappa(table, weights="linear")), np.random.default_rng(77)
    held = []
    for _ in range(200):
        before, after, patients = clustered(n_patients, each, source)
        found = weighted_agreement(
            before, after, n_categories=5, weights="linear", patients=patients, rng=rng()
        )
        if found.interval is not None:
            held.append(true in found.interval)
    assert np.mean(held) > 0.9


def test_the_ends_of_bca_are_those_of_scipy_where_readings_are_skewed():
    y = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 4.0])
    theirs = stats.bootstrap((y,), np.mean, n_resamples=2999, method="BCa", rng=rng())
    values, times = np.unique(y, return_counts=True)
    left_out = (y.sum() - values) / (y.size - 1)
    ours = bca(theirs.bootstrap_distribution, y.mean(), left_out, times, confidence=0.95)
    assert (ours.lower, ours.upper) == pytest.approx(tuple(theirs.confidence_interval))
    # The long tail draws both ends upwards.
    assert ours.lower > np.quantile(theirs.bootstrap_distribution, 0.05)
