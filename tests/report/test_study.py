import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from her2path.report.alluvial import draw_alluvial, stacked
from her2path.report.forest import ForestRow, draw_forest, limits
from her2path.report.paper import Plate
from her2path.report.study import ends_pct, number_words, p_words, share_words
from her2path.statistics.intervals import Interval

SVG = "{http://www.w3.org/2000/svg}"


def drawn(plate: Plate) -> str:
    root = ElementTree.fromstring(plate.svg.decode())
    assert root.tag == f"{SVG}svg"
    assert plate.png.startswith(b"\x89PNG")
    return plate.words


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, "–"),
        (0.0, "<0.001"),
        (0.0004, "<0.001"),
        (0.0123, "0.012"),
        (0.2, "0.20"),
        (1, "1.00"),
    ],
)
def test_a_p_is_never_written_as_0(p: float | None, words: str):
    assert p_words(p) == words


def test_numbers_are_written_as_everywhere():
    assert share_words(11 / 34) == "32.4\u00a0%"
    assert share_words(None) == ends_pct(None) == number_words(None) == "–"
    assert ends_pct(Interval(0.191, 0.4916)) == "19.1–49.2"
    assert (number_words(37.0), number_words(14.4857)) == ("37", "14.49")


def test_nodes_are_as_high_as_their_pairs_and_do_not_touch():
    places = stacked([5, 0, 10, 8, 16])
    assert len(places) == 4
    heights = [top - bottom for bottom, top in places.values()]
    assert heights == pytest.approx([n / 39 for n in (5, 10, 8, 16)])
    ordered = list(places.values())
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ordered))


def test_an_alluvial_plot_says_its_numbers_in_words():
    table = np.zeros((5, 5), np.int64)
    table[4, 0], table[2, 2] = 3, 2
    assert drawn(draw_alluvial(table)) == "5 pairs: 3 from 3+ to 0, 2 from 1+ to 1+"
    assert drawn(draw_alluvial(np.zeros((5, 5), np.int64))) == "0 pairs: none"


def test_the_same_figure_has_the_same_bytes():
    table = np.diag([1, 2, 3, 4, 5])
    assert draw_alluvial(table) == draw_alluvial(table)


def test_a_ratio_that_runs_away_ends_within_the_axis():
    rows = [ForestRow("a", "", 1.2, 0.5, 3), ForestRow("b", "", 500, 1e-3, float("inf"))]
    assert limits(rows, is_ratio=True) == (2**-6, 2**6)
    assert limits(rows[:1], is_ratio=True) == (0.5, 4)
    assert limits([], is_ratio=True) == (0.5, 2)
    drawn(draw_forest(rows, name="x", axis="", numbers="", words="w", is_ratio=True, null=1))


def test_names_are_drawn_as_they_are_written():
    # A dollar sign would start a formula, and a broken formula would stop the drawing.
    row = ForestRow(r"cost $\frac{1$", "$_$", 50, 40, 60, reference=30)
    plate = draw_forest([row], name="x", axis="%", numbers="n", words="w", reference="floor")
    assert drawn(plate) == "w"
    assert plate.uri.startswith("data:image/svg+xml;base64,")
