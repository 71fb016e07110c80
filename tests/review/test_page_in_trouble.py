"""The review page in a real browser where something is amiss: it says so, and loses nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import NO_PLAYWRIGHT, PATIENCE_S, Site, Sites, Windows, close_unasked, whole_view
from made_run import write_run
from report_slides import cell_columns, drawn_slide, record_of, tally_of

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.flags.evidence import Flag, ReviewFlag
from her2path.results.record import read_record, write_record

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect
expect.set_options(timeout=1000 * PATIENCE_S)

SAVE = "#panel form .save"
# What a browser says by itself of an answer that is no good, and of none.
REFUSED = r"console: Failed to load resource: the server responded with a status of (4\d\d)"
NO_ANSWER = ("^failed: .*ERR_CONNECTION_REFUSED", "console: .*ERR_CONNECTION_REFUSED")
HOSTILE = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"


def read_case(page: Page, score: str) -> None:
    whole_view(page)
    page.click(f".scores [data-score='{score}']")
    page.click(SAVE)


def test_a_damaged_case_locks_no_other(site: Site, windows: Windows) -> None:
    damaged = site.results.slide(site.names[0]).slide_json
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:200])
    windows.expecting(r"refused: 409 .*/api/cases/1\?", REFUSED)
    page = windows.open(site.address)
    alert = page.locator("#panel .error")
    expect(alert).to_have_text("the result of case 1 is damaged; score the slide again")
    assert site.names[0] not in page.content()
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    read_case(page, "2+")
    expect(page.locator("#title")).to_have_text(site.names[1])
    windows.expecting(r"refused: 409 .*/api/cases/1\?", REFUSED)
    page.keyboard.press("k")
    expect(alert).to_be_visible()
    # Nothing of the case before stays in view, and no key saves anything.
    assert page.locator("#slide .leaflet-tile").count() == 0
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    damaged.write_bytes(whole)
    page.click("#panel >> text=Try again")
    expect(page.locator("#panel h3").first).to_have_text("Your reading")
    read_case(page, "3+")
    expect(page.locator("#progress")).to_have_text("2 of 3 read")
    assert {row["slide_id"] for row in site.readings()} == set(site.names[:2])


def test_a_slide_that_is_gone_is_told_without_its_name_and_comes_back(
    sites: Sites, windows: Windows, tmp_path: Path
) -> None:
    picture = tmp_path / "zebra.png"
    drawn_slide(picture)
    columns = cell_columns()
    record = record_of(picture, tally_of(columns), "zebra")
    site = sites(write_run(tmp_path / "run", [record], columns))
    site.start()
    shutil.move(picture, tmp_path / "away")
    windows.expecting("refused: 404 .*/tiles/", REFUSED)
    page = windows.open(site.address)
    expect(page.locator("#trouble")).to_contain_text("The slide of case 1 cannot be shown")
    expect(page.locator("#trouble")).to_contain_text("--slide-folder")
    assert "zebra" not in page.content()
    page.keyboard.press("2")
    expect(page.locator(SAVE)).to_be_disabled()
    shutil.move(tmp_path / "away", picture)
    page.click("#retry")
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator(SAVE)).to_be_enabled()


def test_a_second_window_is_told_that_the_case_is_read_already(
    site: Site, windows: Windows
) -> None:
    first = windows.open(site.address)
    second = windows.open_beside(first.context, site.address.split("?")[0])
    whole_view(second)
    second.keyboard.press("3")
    second.fill("#remark", "of the second window")
    first.bring_to_front()
    read_case(first, "1+")
    expect(first.locator("#progress")).to_have_text("1 of 3 read")
    second.bring_to_front()
    windows.expecting(r"refused: 409 .*/api/cases/1/reading", REFUSED)
    second.click(SAVE)
    expect(second.locator("#panel .error")).to_contain_text(
        "case 1 has your reading already; confirm or override the program's score instead"
    )
    # What was given first stands, and is shown.
    expect(second.locator("#title")).to_have_text(site.names[0])
    expect(second.locator("#panel .chip").first).to_have_text("1+")
    expect(second.locator("#progress")).to_have_text("1 of 3 read")
    (row,) = site.readings()
    assert (row["score"], row["remark"]) == ("1+", "")
    # Nothing is left to lose, so nothing is asked.
    close_unasked(second, windows)


def test_a_server_that_was_stopped_and_started_again_costs_nothing_typed(
    site: Site, windows: Windows
) -> None:
    page = with_a_reading_typed(site, windows)
    port = site.port
    site.stop()
    trouble = page.locator("#trouble")
    windows.expecting(*NO_ANSWER)
    page.click(SAVE)
    expect(page.locator("form .error")).to_contain_text("The server does not answer")
    page.click("#powers [data-power='40']")
    expect(trouble).to_contain_text("The server does not answer: does her2path review still")
    page.click("#retry")
    expect(trouble).to_contain_text("The server does not answer")
    page.click("#title")
    page.keyboard.press("j")
    expect(page.locator("#panel .error")).to_contain_text("The server does not answer")
    page.click("#panel >> text=Try again")
    expect(page.locator("#panel .error")).to_contain_text("The server does not answer")
    site.start(port=port)
    # It has another token now.
    windows.expecting("refused: 403 .*/api/queue", REFUSED)
    page.click("#panel >> text=Try again")
    expect(page.locator("#panel .error")).to_contain_text(
        "No access: open the address that her2path review printed when it started"
    )
    windows.open_beside(page.context, site.address).close()
    page.click("#panel >> text=Try again")
    expect(page.locator("#title")).to_have_text("Case 2")
    page.keyboard.press("k")
    expect(page.locator("#title")).to_have_text("Case 1")
    whole_view(page)
    assert page.input_value("#remark") == "typed before"
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    assert [(row["score"], row["remark"]) for row in site.readings()] == [("2+", "typed before")]


def test_tiles_of_a_server_that_was_started_again_come_after_try_again(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.fill("#remark", "typed before")
    port = site.port
    site.stop()
    site.start(port=port)
    windows.open_beside(page.context, site.address).close()
    windows.expecting("refused: 404 .*/tiles/", REFUSED)
    page.click("#powers [data-power='5']")
    expect(page.locator("#trouble")).to_contain_text(
        "The server was started again: press “Try again”."
    )
    page.click("#retry")
    expect(page.locator("#trouble")).to_be_hidden()
    whole_view(page)
    page.click("#powers [data-power='20']")
    whole_view(page)
    # As does what is asked for again in between two zooms of the tiles.
    page.click("#powers [data-power='5']")
    whole_view(page)
    assert page.input_value("#remark") == "typed before"


def test_a_reading_given_to_another_list_of_cases_is_not_taken(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("3")
    page.fill("#remark", "of the first list")
    before, port = site.names, site.port
    site.stop()
    # The numbers of another reader's cases stand for other slides.
    readers = (f"Reader {n}" for n in range(100))
    for reader in readers:
        site.start(port=port, reader=reader)
        if site.names[0] != before[0]:
            break
        site.stop()
    windows.open_beside(page.context, site.address).close()
    windows.expecting("refused: 410 .*/api/cases/1/reading", REFUSED)
    page.click(SAVE)
    expect(page.locator("form .error")).to_contain_text("Another list of cases is served now")
    assert site.readings() == []
    windows.expecting("refused: 410 .*/api/cases/2", REFUSED)
    page.click("#cases button >> nth=1")
    expect(page.locator("#panel .error")).to_contain_text("load the page again")
    page.reload()
    expect(page.locator("#who")).to_contain_text(reader)
    expect(page.locator("#remark")).to_have_value("")


def test_a_slide_scored_again_is_looked_at_again_and_nothing_typed_is_lost(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("3")
    page.fill("#remark", "of the first result")
    path = site.results.slide(site.names[0]).slide_json
    write_record(path, replace(read_record(path), created="2031-01-01T00:00:00+00:00"))
    windows.expecting("refused: 412 .*/api/cases/1/reading", REFUSED)
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("Case 1 was scored again since you opened it")
    assert site.readings() == []
    expect(page.locator("#remark")).to_have_value("of the first result")
    whole_view(page)
    # Tiles that the browser has kept are those of the first result.
    addresses = page.eval_on_selector_all("#slide .leaflet-tile", "all => all.map((t) => t.src)")
    assert addresses
    assert all("scored=2031-01-01" in address for address in addresses)
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    (row,) = site.readings()
    assert (row["score"], row["remark"]) == ("3+", "of the first result")


def test_of_two_cases_asked_for_the_last_one_stays(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    whole_view(page)
    waiting: list[Route] = []
    page.route("**/api/cases/2*", lambda route: waiting.append(route))
    with page.expect_request("**/api/cases/2*"):
        page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 3")
    with page.expect_response("**/api/cases/2*"):
        waiting[0].continue_()
    whole_view(page)
    expect(page.locator("#title")).to_have_text("Case 3")
    addresses = page.eval_on_selector_all("#slide .leaflet-tile", "all => all.map((t) => t.src)")
    assert all("/cases/3/" in address for address in addresses)


def test_names_and_words_with_markup_stay_text(
    sites: Sites, windows: Windows, tmp_path: Path
) -> None:
    picture = tmp_path / "slide.png"
    drawn_slide(picture)
    columns = cell_columns()
    record = record_of(picture, tally_of(columns), "&lt;b&gt; & b")
    record = replace(
        record,
        patient_id=f"patient {HOSTILE}",
        status_comment=f"comment {HOSTILE}",
        flags=(Flag(ReviewFlag.INTERVAL_CROSSES_CUT, 1.0, 1.0, "%", f"flag {HOSTILE}"),),
    )
    site = sites(write_run(tmp_path / "run", [record], columns))
    site.start(reader=f"other {HOSTILE}"[:100])
    site.queue.read(site.queue.case(1), Score.ZERO, remark=f"other {HOSTILE}")
    site.stop()
    site.start(reader=f"Reader {HOSTILE}"[:100])
    page = windows.open(site.address)
    read_case(page, "2+")
    expect(page.locator("#title")).to_have_text("&lt;b&gt; & b")
    expect(page.locator("#cases .name")).to_have_text("&lt;b&gt; & b")

    def renamed(route: Route) -> None:
        # No folder of results has such a name; the page takes none for granted.
        answer = route.fetch()
        text = answer.text().replace("&lt;b&gt; & b", HOSTILE)
        route.fulfill(response=answer, body=text)

    page.route("**/api/**", renamed)
    page.fill("#reason", f"reason {HOSTILE}")
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("Decide again")
    expect(page.locator("#title")).to_have_text(HOSTILE)
    expect(page.locator("#cases .name")).to_have_text(HOSTILE)
    for word in ("patient", "Comment", "Flag", "other", "reason"):
        expect(page.locator("#panel")).to_contain_text(f"{word} {HOSTILE}")
    expect(page.locator("#who")).to_contain_text(f"Reader {HOSTILE}"[:100])
    assert (
        page.locator("#panel script, #panel img, header script, nav script, nav img").count() == 0
    )
    assert page.evaluate("window.hit") is None


def refuse_to_log(*_arguments: object) -> None:
    raise ResultsError("review.sqlite cannot be used (database is locked)")


def with_a_reading_typed(site: Site, windows: Windows) -> Page:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("2")
    page.fill("#remark", "typed before")
    return page


def test_a_log_that_cannot_be_written_costs_nothing_typed(
    site: Site, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_a_reading_typed(site, windows)
    windows.expecting("refused: 409 .*/api/cases/1/reading", REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(site.queue.log, "append", refuse_to_log)
        page.click(SAVE)
        expect(page.locator("form .error")).to_contain_text("database is locked")
    expect(page.locator("#remark")).to_have_value("typed before")
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    assert [(row["score"], row["remark"]) for row in site.readings()] == [("2+", "typed before")]


def test_a_reading_that_is_not_saved_is_told_where_another_case_is_open_by_then(
    site: Site, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_a_reading_typed(site, windows)
    monkeypatch.setattr(site.queue.log, "append", refuse_to_log)
    sent: list[Route] = []
    page.route("**/api/cases/1/reading*", lambda route: sent.append(route))
    with page.expect_request("**/api/cases/1/reading*"):
        page.click(SAVE)
    page.click("#cases button >> nth=1")
    expect(page.locator("#title")).to_have_text("Case 2")
    windows.expecting("refused: 409 .*/api/cases/1/reading", REFUSED)
    sent[0].continue_()
    expect(page.locator("#panel .error")).to_contain_text("Case 1 is not saved: review.sqlite")
    page.click("#cases button >> nth=0")
    expect(page.locator("#title")).to_have_text("Case 1")
    expect(page.locator("#remark")).to_have_value("typed before")
    expect(page.locator("#panel .error")).to_have_count(0)
    # The same where the reader has come back before it is known.
    whole_view(page)
    with page.expect_request("**/api/cases/1/reading*"):
        page.click(SAVE)
    page.click("#cases button >> nth=1")
    expect(page.locator("#title")).to_have_text("Case 2")
    page.click("#cases button >> nth=0")
    expect(page.locator("#title")).to_have_text("Case 1")
    sent[1].continue_()
    expect(page.locator("#panel .error")).to_contain_text("database is locked")
    expect(page.locator("#remark")).to_have_value("typed before")
