"""Tables, rates, kappa and boundaries of known cases."""

import numpy as np
import pytest
from evaluation_cases import case, sure
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria import EXPRESSION_SCORES, Score
from her2path.criteria.label import parse_score
from her2path.evaluation.agreement import agree
from her2path.evaluation.case import FIVE_GRADES, on_one_scale, scale_of, shared_scale

WORDS = [score.value for score in EXPRESSION_SCORES]
pairs = st.lists(
    st.tuples(
        st.sampled_from([*WORDS, "0|0+", "1+|2+"]), st.sampled_from([*WORDS, "not_assessable"])
    ),
    min_size=1,
    max_size=25,
)


def agreed(cases: list) -> object:
    return agree(on_one_scale(cases), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("reference", "score", "distance"),
    [
        ("1+", "1+", 0),
        ("1+", "3+", 2),
        ("2+", "0", -3),
        ("0|0+", "0", 0),
        ("0|0+", "0+", 0),
        ("0|0+", "1+", 1),
        ("1+|2+", "0+", -1),
        ("1+|2+", "0", -2),
    ],
)
def test_distance_is_in_grades_from_the_reference(
    reference: str, score: str, distance: int
) -> None:
    (found,) = on_one_scale([case(reference, score)])
    assert found.distance == distance
    assert found.is_exact == (distance == 0)


def test_a_slide_without_a_score_is_never_exact() -> None:
    found = case("0", "not_assessable", probabilities=sure(Score.ZERO))
    assert found.distance is None
    assert not found.is_exact
    assert found.stated is None


@pytest.mark.parametrize(
    ("references", "grades"),
    [
        (["0", "3+"], ["0", "0+", "1+", "2+", "3+"]),
        (["0|0+"], ["0|0+", "1+", "2+", "3+"]),
        (["0|0+", "0+|1+"], ["0|1+", "2+", "3+"]),
        (["2+|3+", "0|0+"], ["0|0+", "1+", "2+|3+"]),
    ],
)
def test_a_scale_joins_what_was_not_told_apart(references: list[str], grades: list[str]) -> None:
    found = scale_of(map(parse_score, references))
    assert [str(grade) for grade in found.grades] == grades
    assert sum(found.pooled(sure(Score.ONE_PLUS, 0.6))) == pytest.approx(1)


def test_known_cases_give_known_rates() -> None:
    found = agreed(
        [
            case("0", "0"),
            case("0", "0+"),
            case("0+", "1+"),
            case("1+", "1+"),
            case("2+", "0"),
            case("3+", "not_assessable"),
        ]
    )
    assert (found.exact.k, found.exact.n) == (2, 6)
    assert (found.within_one.k, found.within_one.n) == (4, 6)
    table = {row.reference: (row.counts, row.n_not_assessed) for row in found.table}
    assert table["0"] == ((1, 1, 0, 0, 0), 0)
    assert table["3+"] == ((0, 0, 0, 0, 0), 1)
    first, second, third, fourth = found.boundaries
    # Beside 0/0+: of three slides the second crossed it.
    assert (first.beside.k, first.beside.n) == (2, 3)
    assert (first.below.k, first.below.n) == (1, 2)
    # The slide without a score is on no side.
    assert (first.above.k, first.above.n) == (2, 4)
    assert (second.beside.k, second.beside.n) == (1, 2)
    assert (third.beside.k, third.beside.n) == (1, 2)
    assert (fourth.beside.k, fourth.beside.n) == (1, 2)


def test_joined_grades_count_as_one() -> None:
    found = agreed([case("0|0+", "0+"), case("0", "0"), case("0|0+", "1+"), case("1+", "1+")])
    assert found.grades == ("0|0+", "1+", "2+", "3+")
    assert (found.exact.k, found.exact.n) == (3, 4)
    assert found.boundaries[0].low == "0|0+"


def test_one_reference_joins_grades_for_every_case() -> None:
    halves = {Score.ZERO: 0.3, Score.ULTRALOW: 0.6, Score.ONE_PLUS: 0.1}
    exact, joined, wrong = on_one_scale(
        [
            case("0", "0+", probabilities=halves, score_set=(Score.ZERO, Score.ULTRALOW)),
            case("0|0+", "0"),
            case("0+", "2+"),
        ]
    )
    assert exact.is_exact
    assert exact.stated == 0.9
    assert exact.set_grades == {0}
    assert joined.is_exact
    assert wrong.distance == 2


def test_figures_of_several_scales_are_refused() -> None:
    assert shared_scale([]) == FIVE_GRADES
    with pytest.raises(ValueError, match="more than one grade"):
        agree([case("0|0+", "0")], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="on_one_scale"):
        agree([case("0", "0"), *on_one_scale([case("0|0+", "0")])], rng=np.random.default_rng(0))


@settings(deadline=None, max_examples=25)
@given(pairs)
def test_rates_are_consistent_whatever_the_cases(found_pairs: list[tuple[str, str]]) -> None:
    cases = on_one_scale(case(*pair, slide_id=str(k)) for k, pair in enumerate(found_pairs))
    found = agreed(cases)
    assert found.exact.k == sum(c.is_exact for c in cases)
    assert found.exact.k <= found.within_one.k <= found.n == len(cases)
    assert sum(row.n for row in found.table) == len(cases)
    diagonal = sum(row.counts[k] for k, row in enumerate(found.table))
    assert diagonal == found.exact.k
    for boundary in found.boundaries:
        assert boundary.below.n + boundary.above.n == len(cases)
        assert boundary.beside.n <= len(cases)
    kappa = found.kappa_quadratic.kappa
    assert kappa is None or -1 <= kappa <= 1


def test_kappa_is_one_where_all_agree_and_draws_patients() -> None:
    cases = [case(word, word, slide_id=f"{word}{k}") for word in WORDS for k in range(3)]
    assert agreed(cases).kappa_linear.kappa == pytest.approx(1)
    mixed = [case("0", "0"), case("3+", "2+"), case("1+", "2+"), case("2+", "2+")]
    assert "pairs" in agreed(mixed).kappa_linear.method
    owned = [
        case(c.reference.low.value, c.score.value, patient=p)
        for c, p in zip(mixed, "AABB", strict=True)
    ]
    assert "patients" in agreed(owned).kappa_linear.method
