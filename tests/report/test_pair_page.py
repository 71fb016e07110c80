import re
from dataclasses import replace

import numpy as np
import pytest
from report_slides import make_slide

from her2path.compare import compare_sides
from her2path.compare.sources import read_sides
from her2path.geometry import Region, Size
from her2path.report.matching import matched_windows, typical_window, windows_of
from her2path.report.pair import write_pair_report
from her2path.report.pair_fields import PairPictures, SlideOverview
from her2path.results.record import RESEARCH_USE, write_record

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def sides(tmp_path):
    made = make_slide(tmp_path)
    record = replace(made.record, slide_id=EVIL, patient_id=EVIL, remarks=(EVIL,))
    write_record(made.folder.slide_json, record)
    return read_sides({"before": [made.folder.slide_json], "after": [made.folder.slide_json]})


def page_of(tmp_path, sides):
    pair = compare_sides(*sides)
    return write_pair_report(tmp_path, pair, *sides).read_text("utf-8"), pair


def test_the_page_says_the_verdict_in_one_sentence_and_is_for_research(tmp_path, sides):
    page, pair = page_of(tmp_path, sides)
    assert pair.sentence in page
    assert RESEARCH_USE in page
    assert "never advises treatment" in page


def test_text_that_came_with_a_slide_is_escaped(tmp_path, sides):
    page, _ = page_of(tmp_path, sides)
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_needs_nothing_from_outside(tmp_path, sides):
    page, _ = page_of(tmp_path, sides)
    plain = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http://" not in plain
    assert "https://" not in plain
    assert "default-src 'none'" in page


def test_both_sides_have_their_picture_fields_and_flags(tmp_path, sides):
    page, _ = page_of(tmp_path, sides)
    assert page.count('class="overview"') == 2
    assert page.count('class="field"') >= 4
    assert page.count("Interval includes the cut") == 2


def test_slides_of_any_size_are_shrunk_alike(tmp_path, sides):
    page, _ = page_of(tmp_path, sides)
    figures = re.findall(r'<figure class="overview"><svg viewBox="0 0 (\d+) \d+"', page)
    assert len(figures) == 2
    assert len(set(figures)) == 1
    biopsy, resection, core = (
        SlideOverview("a", "", *size) for size in ((520, 90), (300, 400), (60, 60))
    )
    assert PairPictures((biopsy, core), (resection,), (), ()).frame_px == 520
    assert PairPictures((core,), (resection,), (), ()).frame_px == 400


def test_a_slide_that_is_gone_leaves_a_page_without_its_pictures(tmp_path, sides):
    (tmp_path / "slide.png").unlink()
    page, _ = page_of(tmp_path, sides)
    assert "no picture" in page
    assert page.count('class="field"') == 0


def cells_at(points):
    x, y, intensity = (np.array(part) for part in zip(*points, strict=True))
    return {"x": x.astype(float), "y": y.astype(float), "intensity": intensity}


def windows(points, slide=0):
    return windows_of(slide, cells_at(points), size=Size(100, 100), within=Region(0, 0, 1000, 1000))


def strewn(left, top, n, stained):
    rng = np.random.default_rng(1)
    return [
        (left + rng.uniform(0, 100), top + rng.uniform(0, 100), int(k < stained)) for k in range(n)
    ]


def test_windows_count_each_cell_that_lies_in_them():
    points = strewn(200, 300, 40, 10)
    found = next(w for w in windows(points) if w.box == Region(200, 300, 100, 100))
    assert found.n_cells == 40
    assert found.mix[1] == pytest.approx(0.25)
    assert sum(found.mix) == pytest.approx(1)


def test_matched_fields_are_nearest_in_their_mix():
    before = windows(strewn(0, 0, 40, 40) + strewn(600, 600, 40, 10))
    after = windows(strewn(300, 100, 40, 12) + strewn(700, 700, 40, 0))
    one, other = next(matched_windows(before, after, n_pairs=1))
    assert one.mix[1] == pytest.approx(0.25, abs=0.1)
    assert other.mix[1] == pytest.approx(0.3, abs=0.1)


def test_matched_fields_do_not_overlap():
    points = strewn(0, 0, 60, 30) + strewn(400, 400, 60, 30)
    pairs = list(matched_windows(windows(points), windows(points), n_pairs=5))
    for index, (one, other) in enumerate(pairs):
        for before, after in pairs[:index]:
            assert not one.overlaps(before)
            assert not other.overlaps(after)


def test_a_typical_field_has_the_mix_of_its_side():
    found = typical_window(
        windows(strewn(0, 0, 40, 40) + strewn(500, 500, 40, 4)), np.array([0.9, 0.1, 0, 0, 0])
    )
    assert found.mix[1] == pytest.approx(0.1, abs=0.05)
    assert typical_window([], np.zeros(5)) is None


@pytest.mark.parametrize("side", [100, 101, 333])
def test_a_field_holds_the_cells_that_its_mix_is_of(side):
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 1000, (2, 5000))
    cells = {"x": x, "y": y, "intensity": np.zeros(5000, np.int8)}
    found = windows_of(0, cells, size=Size(side, side), within=Region(0, 0, 1000, 1000))
    assert found
    for window in found:
        box = window.box
        inside = (x >= box.x) & (x < box.right) & (y >= box.y) & (y < box.bottom)
        assert window.n_cells == inside.sum()
