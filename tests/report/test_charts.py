"""Charts show their numbers as text, are well-formed, and keep inside their frame."""

import re
from importlib import resources
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.report.charts import (
    INK,
    LINE,
    QUIET,
    Segment,
    axis_limit,
    deciding_axis,
    probability_bars,
    stacked_bar,
    text_on,
)
from her2path.results.colors import SCORE_COLORS

SVG = "{http://www.w3.org/2000/svg}"
BLUE = (10, 20, 200)


def parsed(chart):
    return ElementTree.fromstring(str(chart))


def axis(value=12.4, cut=10.0, ends=(9.8, 15.1), unit="%", name="2+"):
    return deciding_axis(
        value,
        cut,
        comparison=">",
        unit=unit,
        ends=ends,
        beyond=Segment(name, 0, BLUE),
        key="k",
        title="Complete",
    )


def test_a_chart_says_its_numbers_in_its_description():
    words = parsed(axis()).find(f"{SVG}desc").text
    assert "12.4\u00a0%" in words
    assert "9.8–15.1" in words
    assert "> 10.0\u00a0%" in words


def test_text_of_a_slide_cannot_break_out_of_a_chart():
    hostile = '<script>alert("x")</script>&"\''
    charts = [
        axis(name=hostile),
        stacked_bar([Segment(hostile, 100, BLUE)], key='"><b>', title=hostile),
        probability_bars([Segment(hostile, 100, BLUE)], key="k", title=hostile),
    ]
    for chart in charts:
        root = parsed(chart)
        assert not root.findall(f".//{SVG}script")
        assert "<script" not in str(chart)


@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=5).filter(lambda parts: sum(parts) > 0.01),
)
@settings(deadline=None, max_examples=50)
def test_parts_of_a_bar_fill_it_and_never_overlap(parts):
    shares = [100 * part / sum(parts) for part in parts]
    bar = stacked_bar([Segment("a", share, BLUE) for share in shares], key="k", title="t")
    boxes = [box for box in parsed(bar).iter(f"{SVG}rect") if box.get("fill") != "none"]
    end = 0.0
    for box in boxes:
        assert abs(float(box.get("x")) - end) < 0.1
        end = float(box.get("x")) + float(box.get("width"))
    assert abs(end - 720) < 0.1


@given(st.floats(0, 100), st.floats(0.01, 99), st.floats(0, 30))
@settings(deadline=None, max_examples=100)
def test_an_axis_holds_value_cut_and_interval(value, cut, half):
    ends = (max(0.0, value - half), min(100.0, value + half))
    root = parsed(axis(value=value, cut=cut, ends=ends))
    width = float(root.get("viewBox").split()[2])
    for node in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            if node.get(name) is not None:
                assert 0 <= float(node.get(name)) <= width
    assert max(value, cut, ends[1]) <= axis_limit(max(value, cut, ends[1]))


def test_words_of_a_cut_near_the_end_are_held_by_their_end():
    for cut, anchor in ((10.0, "start"), (2.0, "end")):
        root = parsed(axis(value=0.0, cut=cut, ends=(0.0, 2.5 * cut if anchor == "start" else 0.2)))
        (words,) = [node for node in root.iter(f"{SVG}text") if "when" in (node.text or "")]
        assert words.get("text-anchor") == anchor


def test_an_axis_without_interval_or_in_cells_is_drawn_too():
    assert "interval" not in str(axis(ends=None))
    assert "7\u00a0cells" in str(axis(value=7, cut=5, ends=None, unit="cells"))


def test_charts_use_no_style_attribute_since_the_page_forbids_it():
    assert not re.search(r"\sstyle=", str(axis()))
    assert not re.search(
        r"\sstyle=", str(stacked_bar([Segment("a", 100, BLUE)], key="k", title="t"))
    )


def luminance(color):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (x / 255 for x in color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_on_every_score_color_can_be_read():
    for color in SCORE_COLORS.values():
        ink = text_on(color)
        other = tuple(int(ink[i : i + 2], 16) for i in (1, 3, 5))
        light, dark = sorted([luminance(color), luminance(other)], reverse=True)
        # WCAG AA for text of any size.
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("sheet", ["report/templates/report.css", "review/static/review.css"])
def test_pages_write_and_draw_in_the_colors_of_the_charts(sheet: str):
    style = resources.files("her2path").joinpath(sheet).read_text(encoding="utf-8")
    assert f"--ink: {INK}; --quiet: {QUIET}; --line: {LINE};" in style
