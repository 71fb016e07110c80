import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from her2path.statistics.repeatability import within_subject

# Peak expiratory flow of 20 schoolchildren, four readings each: Bland and Altman 1996, BMJ
# 312:1654, 10.1136/bmj.312.7047.1654, table 1.
FLOWS = (
    (190, 220, 200, 200), (220, 200, 240, 230), (260, 260, 240, 280), (210, 300, 280, 265),
    (270, 265, 280, 270), (280, 280, 270, 275), (260, 280, 280, 300), (275, 275, 275, 305),
    (280, 290, 300, 290), (320, 290, 300, 290), (300, 300, 310, 300), (270, 250, 330, 370),
    (320, 330, 330, 330), (335, 320, 335, 375), (350, 320, 340, 365), (360, 320, 350, 345),
    (330, 340, 380, 390), (335, 385, 360, 370), (400, 420, 425, 420), (430, 460, 480, 470),
)  # fmt: skip
subjects_of = [child for child, row in enumerate(FLOWS) for _ in row]


def test_it_gives_the_worked_example_of_bland_and_altman():
    found = within_subject(np.ravel(FLOWS), subjects_of)
    assert found.sw**2 == pytest.approx(460.52, abs=0.01)
    assert found.sw == pytest.approx(21.5, abs=0.05)
    assert found.df == 60
    assert found.band == pytest.approx(1.96 * math.sqrt(2) * found.sw)
    assert found.sw in found.sw_interval


def test_two_readings_give_the_deviation_of_their_differences():
    a, b = np.array([10.0, 12, 30, 8]), np.array([11.0, 15, 27, 8])
    found = within_subject([*a, *b], [*range(4), *range(4)])
    assert found.sw == pytest.approx(math.sqrt(((a - b) ** 2).sum() / 8))


def test_subjects_read_once_tell_nothing():
    once = within_subject([1.0, 2.0, 50.0], ["a", "a", "b"])
    assert once == within_subject([1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match="more than once"):
        within_subject([1.0, 2.0], ["a", "b"])


def test_scatter_that_grows_with_the_level_is_noticed():
    rng = np.random.default_rng(1)
    levels = np.repeat(np.linspace(5, 80, 25), 3)
    found = within_subject(levels + rng.normal(0, 0.08 * levels), np.repeat(np.arange(25), 3))
    assert found.level_correlation > 0.3
    assert found.level_p < 0.05


@given(st.floats(-100, 100), st.floats(0.1, 10))
def test_it_moves_with_the_unit_and_not_with_the_origin(shift, factor):
    y = np.ravel(FLOWS).astype(float)
    plain, moved = (within_subject(v, subjects_of) for v in (y, factor * y + shift))
    assert moved.sw == pytest.approx(factor * plain.sw, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "subjects"), [([1.0], ["a", "a"]), ([1.0, math.nan], ["a", "a"])]
)
def test_wrong_input_is_refused(values, subjects):
    with pytest.raises(ValueError, match=r"reading|finite"):
        within_subject(values, subjects)


def test_the_interval_of_three_readings_is_that_of_an_exponential():
    # A chi-square of two degrees of freedom: its quantiles are −2 ln(1 − q).
    found = within_subject([8.0, 10.0, 15.0], ["a"] * 3)
    ends = [found.sw / math.sqrt(-math.log(p)) for p in (0.025, 0.975)]
    assert (found.sw_interval.lower, found.sw_interval.upper) == pytest.approx(ends)


def test_the_interval_of_two_readings_is_that_of_a_normal_difference():
    # Sw over the true one is the size of a standard normal number.
    found = within_subject([8.0, 10.0], ["a", "a"])
    ends = [found.sw / stats.norm.ppf((1 + p) / 2) for p in (0.975, 0.025)]
    assert (found.sw_interval.lower, found.sw_interval.upper) == pytest.approx(ends)


def test_equal_readings_have_no_scatter_at_all():
    # The mean of three times 0.1 is not 0.1 to the last bit.
    found = within_subject([0.1] * 3 + [0.3] * 6, ["a"] * 3 + ["b"] * 6)
    assert found.sw == 0


def test_four_subjects_in_perfect_order_are_no_proof_of_scatter_that_grows():
    readings, subjects = [1.0, 1.1, 5, 5.2, 9, 9.3, 13, 13.4], [0, 0, 1, 1, 2, 2, 3, 3]
    found = within_subject(readings, subjects)
    assert found.level_correlation == pytest.approx(1)
    # Of the 24 orders two are as far from none.
    assert found.level_p == pytest.approx(2 / 24)


@pytest.mark.parametrize("n_subjects", [4, 5])
def test_scatter_that_does_not_grow_is_rarely_said_to(n_subjects):
    rng = np.random.default_rng(n_subjects)
    subjects = np.repeat(np.arange(n_subjects), 2)
    found = [
        within_subject(np.repeat(rng.normal(50, 10, n_subjects), 2) + noise, subjects).level_p
        for noise in rng.normal(0, 2, (1000, 2 * n_subjects))
    ]
    # By the t distribution it is 9 %.
    assert np.mean(np.array(found) < 0.05) < 0.05
