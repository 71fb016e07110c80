"""Numbers and words are written in one way."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import IshResult, Score, Status
from her2path.flags.evidence import ReviewFlag
from her2path.report import phrases, wording
from her2path.report.interest import FieldKind
from her2path.results.columns import Exclusion


@given(st.floats(0, 100))
@settings(deadline=None, max_examples=50)
def test_percent_has_one_decimal(value):
    number, unit = wording.percent(value).split(wording.FIXED_SPACE)
    assert unit == "%"
    assert len(number.split(".")[1]) == 1
    assert abs(float(number) - value) <= 0.0500001


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (wording.percent(12.44), "12.4\u00a0%"),
        (wording.percent(-0.01), "0.0\u00a0%"),
        (wording.od(0.305), "0.30\u00a0OD"),
        (wording.count(1234567), "1\u202f234\u202f567"),
        (wording.counted(1, "cell"), "1\u00a0cell"),
        (wording.counted(0, "cell"), "0\u00a0cells"),
        (wording.interval(9.84, 15.06), "9.8–15.1"),
        (wording.length(2000), "2\u00a0mm"),
        (wording.length(20), "20\u00a0µm"),
        (wording.quantity(1, "calibrations"), "1\u00a0calibration"),
        (wording.quantity(0.23, "µm/px"), "0.230\u00a0µm/px"),
        (wording.quantity(33.47, "%"), "33.5\u00a0%"),
        (wording.sentence("no tissue was found"), "No tissue was found."),
        (wording.spoken_list(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_and_sentences_are_written_as_expected(written, expected):
    assert written == expected


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
@pytest.mark.parametrize("unit", ["%", "OD", "µm", "µm/px", "cells", "°", "×", "mm²"])
def test_what_was_not_measured_is_a_dash(missing, unit):
    assert wording.quantity(missing, unit) == wording.DASH


def test_every_code_has_words():
    assert set(wording.SCORE_WORDS) == set(Score)
    assert set(wording.STATUS_WORDS) == set(Status)
    assert set(phrases.FLAG_TITLES) == set(ReviewFlag)
    assert set(phrases.EXCLUSION_WORDS) == set(Exclusion) - {Exclusion.COUNTED}
    assert set(phrases.ISH_WORDS) == set(IshResult)
    assert set(phrases.FIELD_TITLES) == set(FieldKind)


def test_an_unknown_code_still_reads_as_words():
    assert phrases.code_words("not_her2_ihc") == "not HER2 IHC"


@pytest.mark.parametrize(
    ("value", "cut", "words"),
    [
        (12.34, 10.0, ("12.3", "10.0")),
        (10.04, 10.0, ("10.04", "10.00")),
        (9.96, 10.0, ("9.96", "10.00")),
        (10.0, 10.0, ("10.0", "10.0")),
        (2.0412, 2.0337, ("2.04", "2.03")),
        (10.000001, 10.0, ("10.0000", "10.0000")),
    ],
)
def test_a_share_beside_its_cut_shows_on_which_side_it_lies(value, cut, words):
    found = tuple(
        text.split(wording.FIXED_SPACE)[0] for text in wording.beside_cut(value, cut, "%")
    )
    assert found == words
    assert wording.beside_cut(7, 5, "cells") == (
        wording.quantity(7, "cells"), wording.quantity(5, "cells")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "cut", "unit", "words"),
    [
        (3.97, 4.0, "blocks", ("3.97 blocks", "4.00 blocks")),
        (2.0, 4.0, "blocks", ("2 blocks", "4 blocks")),
        (0.3004, 0.30, "µm/px", ("0.3004 µm/px", "0.3000 µm/px")),
        (0.35, 0.30, "µm/px", ("0.350 µm/px", "0.300 µm/px")),
        (0.0996, 0.10, "OD", ("0.0996 OD", "0.1000 OD")),
        (20.2, 20.0, "°", ("20.2°", "20.0°")),
        (99, 100, "cells", ("99 cells", "100 cells")),
        (1, 2, "grades", ("1 grade", "2 grades")),
    ],
)
def test_a_number_of_any_unit_shows_on_which_side_of_its_cut_it_lies(value, cut, unit, words):
    found = wording.beside_cut(value, cut, unit)
    assert tuple(text.replace(wording.FIXED_SPACE, " ") for text in found) == words


@pytest.mark.parametrize(
    ("rule_set", "row", "words"),
    [
        ("gastric-biopsy", "3+", "intense"),
        ("gastric-biopsy", "2+", "weak or stronger"),
        ("gastric-biopsy", "1+", "any"),
    ],
)
def test_no_staining_is_stronger_than_intense(rule_set, row, words):
    criterion = next(one for one in load_rule_set(rule_set).criteria if one.id == row)
    assert phrases.intensity_words(criterion) == words
