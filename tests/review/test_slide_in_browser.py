"""The slide in view, in a real browser: true to scale, hatched where nothing is, in any window."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import (
    NO_PLAYWRIGHT,
    PATIENCE_S,
    HeldBack,
    Site,
    Sites,
    Windows,
    level_0_px,
    magnify,
    whole_view,
)
from made_run import write_run
from PIL import Image
from report_slides import HEIGHT, WIDTH, cell_columns, record_of, tally_of

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect
expect.set_options(timeout=1000 * PATIENCE_S)

SAVE = "#panel form .save"
MAX_ZOOM = 2
UM_PER_PX = {"half & half": 0.5, "quarter 3+": 0.25, "odd": 0.46}
NARROW = {"width": 360, "height": 640}


def seen(page: Page, left: float, top: float, width: float, height: float) -> np.ndarray:
    """What the screen shows there, of shape (M, N, 3)."""
    clip = {"x": left, "y": top, "width": width, "height": height}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"), int)


def is_hatched(rgb: np.ndarray) -> bool:
    """Whether it holds stripes of two greys, and nothing that is as bright as glass."""
    stripes = [np.abs(rgb - grey).max(axis=2) < 3 for grey in ((213, 218, 224), (227, 231, 235))]
    return rgb.max() < 238 and all(stripe.mean() > 0.3 for stripe in stripes)


def box_of(page: Page, selector: str) -> tuple[float, float, float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"], box["y"], box["width"], box["height"]


def read(page: Page, score: str) -> None:
    whole_view(page)
    page.click(f".scores [data-score='{score}']")
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("What the program found")


def test_what_is_not_loaded_is_hatched(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    whole_view(page)
    left, top, width, height = box_of(page, "#slide")
    middle = (left + 60, top + 150, width - 120, height - 300)
    assert not is_hatched(seen(page, *middle))
    held = HeldBack(page)
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    assert is_hatched(seen(page, *middle))
    held.let_go()
    whole_view(page)
    assert not is_hatched(seen(page, *middle))


@pytest.mark.parametrize("dots", [1, 2])
def test_beyond_the_scan_is_hatched_on_every_side(site: Site, windows: Windows, dots: int) -> None:
    page = windows.open(site.address, device_scale_factor=dots)
    whole_view(page)
    magnify(page, "5")
    left, top, scale = level_0_px(page, max_zoom=MAX_ZOOM)
    right, bottom = left + WIDTH / scale, top + HEIGHT / scale
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    for beyond in (
        (left - 44, middle_y, 40, 40),
        (right + 4, middle_y, 40, 40),
        (middle_x, top - 44, 40, 40),
        (middle_x, bottom + 4, 40, 40),
        (right + 4, bottom + 4, 40, 40),
    ):
        assert is_hatched(seen(page, *beyond)), beyond
    # The scan is shown to its edge.
    for inside in (
        (left + 4, middle_y, 6, 40),
        (right - 10, middle_y, 6, 40),
        (middle_x, top + 4, 40, 6),
        (middle_x, bottom - 10, 40, 6),
    ):
        assert np.abs(seen(page, *inside) - 240).max() < 12, inside


def test_tiles_meet_without_a_line_at_any_zoom(
    sites: Sites, windows: Windows, tmp_path: Path
) -> None:
    picture = tmp_path / "even.png"
    Image.new("RGB", (WIDTH, HEIGHT), (200, 200, 200)).save(picture)
    columns = cell_columns()
    results = write_run(tmp_path / "run", [record_of(picture, tally_of(columns), "even")], columns)
    site = sites(results)
    site.start()
    page = windows.open(site.address)
    # Each window fits the slide at another broken zoom.
    for width, height in ((1400, 900), (1310, 870), (1220, 812)):
        page.set_viewport_size({"width": width, "height": height})
        page.reload()
        whole_view(page)
        left, top, shown_width, shown_height = box_of(page, "#slide")
        rgb = seen(page, left, top, shown_width, shown_height)
        is_slide = np.abs(rgb - 200).max(axis=2) < 8
        rows = np.flatnonzero(is_slide.mean(axis=1) > 0.5)
        assert (np.diff(rows) == 1).all()
        assert rows.size > 100


@pytest.mark.parametrize("dots", [1, 2])
def test_40x_is_a_quarter_of_a_micron_on_each_px_whatever_the_scanner(
    site: Site, windows: Windows, dots: int
) -> None:
    page = windows.open(site.address, device_scale_factor=dots)
    for number, name in enumerate(site.names, start=1):
        page.locator("#cases button").nth(number - 1).click()
        expect(page.locator("#title")).to_have_text(f"Case {number}")
        whole_view(page)
        for power in ("40", "10"):
            magnify(page, power)
            scale = level_0_px(page, max_zoom=MAX_ZOOM)[2]
            assert scale * UM_PER_PX[name] == pytest.approx(10 / float(power), rel=0.01)
        # The bar is as long as it says.
        length, unit, said = (
            page.locator(".scale > div").first.inner_text().replace("·", "").split()
        )
        assert (unit, said) == ("µm", "10×")
        assert float(length) / box_of(page, ".scale .bar")[2] == pytest.approx(1, rel=0.02)


def test_keys_go_closer_and_farther_by_two(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    magnify(page, "10")
    for key, power in (("+", "20"), ("+", "40"), ("-", "20")):
        page.keyboard.press(key)
        page.wait_for_selector(f"#powers [data-power='{power}'][aria-pressed=true]")
        whole_view(page)


def test_outlines_lie_on_their_cells_after_the_reading(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    read(page, "2+")
    magnify(page, "20")
    left, top, width, height = box_of(page, "#slide")
    view = (left + 60, top + 150, width - 120, height - 250)
    plain = seen(page, *view)
    with page.expect_response("**/outlines?*") as answer:
        page.keyboard.press("o")
    expect(page.locator("#legend")).to_contain_text("moderate")
    expect(page.locator("#hint")).to_be_hidden()
    cells = answer.value.json()["cells"]
    x0, y0, scale = level_0_px(page, max_zoom=MAX_ZOOM)
    page.wait_for_function("document.querySelector('#slide canvas') !== null")
    marked = np.abs(seen(page, *view) - plain).max(axis=2) > 20
    # Each dot of a cell that was not counted is where the cell is, and little else is drawn on.
    dots = [
        (x0 + cell[0] / scale - view[0], y0 + cell[1] / scale - view[1])
        for cell in cells
        if cell[2] is None
    ]
    inside = [(x, y) for x, y in dots if 5 < x < view[2] - 5 and 5 < y < view[3] - 5]
    assert len(inside) > 10
    assert all(marked[round(y), round(x)] for x, y in inside)
    assert 0.005 < marked.mean() < 0.3
    page.keyboard.press("o")
    expect(page.locator("#legend")).to_be_hidden()
    assert np.abs(seen(page, *view) - plain).max() < 20
    # The next case begins without.
    page.keyboard.press("o")
    expect(page.locator("#legend")).to_be_visible()
    page.click("#next")
    expect(page.locator("#title")).to_have_text("Case 2")
    expect(page.locator("#outlines-choice")).to_be_hidden()
    expect(page.locator("#legend")).to_be_hidden()


def test_a_field_is_gone_to(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    read(page, "2+")
    page.locator(".fields button").first.click()
    whole_view(page)
    x0, y0, scale = level_0_px(page, max_zoom=MAX_ZOOM)
    left, top, width, height = box_of(page, "#slide")
    # The field is from (400, 300) to (600, 500).
    assert (x0 + 500 / scale, y0 + 400 / scale) == pytest.approx(
        (left + width / 2, top + height / 2), abs=3
    )
    assert 200 / scale > 0.8 * min(width, height)


def is_without_sideways_scroll(page: Page) -> bool:
    return page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")


def test_a_narrow_window_reaches_all_of_the_form(site: Site, windows: Windows) -> None:
    page = windows.open(site.address, viewport=NARROW)
    whole_view(page)
    assert is_without_sideways_scroll(page)
    # From the top, by keyboard alone.
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_be_focused()
    expect(page.locator("#title")).to_be_in_viewport()
    page.click(".scores [data-score='2+']")
    page.fill("#remark", "w" * 300)
    page.fill("#share", "5")
    for selector in ("#share", "#remark", SAVE):
        x, _, width, _ = box_of(page, selector)
        assert x >= 0
        assert x + width <= NARROW["width"]
    # The middle of the button is the button, not something that lies on it.
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("What the program found")
    assert is_without_sideways_scroll(page)
    page.click(".scores [data-score='1+']")
    page.fill("#reason", "w" * 300)
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("Decide again")
    expect(page.locator("#panel")).to_contain_text("w" * 300)
    assert is_without_sideways_scroll(page)
    page.click("#next")
    expect(page.locator("#title")).to_have_text("Case 2")
    assert site.readings()[0]["final_score"] == "1+"


def test_tools_in_a_narrow_window_leave_the_slide_in_view(site: Site, windows: Windows) -> None:
    page = windows.open(site.address, viewport=NARROW)
    magnify(page, "40")
    _, top, _, height = box_of(page, "#slide")
    _, tools_top, _, tools_height = box_of(page, "#tools")
    assert height >= 260
    assert tools_top + tools_height - top < height / 3
