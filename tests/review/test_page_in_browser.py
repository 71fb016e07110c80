"""A reader at the page in a real browser: let in, blinded, reading, deciding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import (
    NO_PLAYWRIGHT,
    PATIENCE_S,
    HeldBack,
    Site,
    Sites,
    Windows,
    close_unasked,
    magnify,
    received,
    whole_view,
)
from made_run import write_run
from opener import score_again
from report_slides import cell_columns, drawn_slide, record_of, tally_of

from her2path.criteria.score import EXPRESSION_SCORES, Score, Status
from her2path.flags.evidence import Flag, ReviewFlag
from her2path.results.folder import ResultsFolder

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect
expect.set_options(timeout=1000 * PATIENCE_S)

SAVE = "#panel form .save"


def score_button(page: Page, score: str):
    return page.locator(f".scores [data-score='{score}']")


def chosen(page: Page) -> list[str]:
    pressed = page.locator(".scores [aria-pressed=true]")
    return [one.get_attribute("data-score") for one in pressed.all()]


def case_button(page: Page, number: int):
    return page.locator("#cases button").nth(number - 1)


def read(page: Page, score: str) -> None:
    """Save a reading of the case in view."""
    whole_view(page)
    score_button(page, score).click()
    page.click(SAVE)
    expect(page.locator("#panel h3").nth(1)).to_have_text("Which score stands?")


def test_the_address_with_its_token_opens_the_page(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    expect(page.locator("#title")).to_have_text("Case 1")
    expect(page.locator("#progress")).to_have_text("0 of 3 read")
    expect(page.locator("#research-use")).to_contain_text("For Research Use Only")
    whole_view(page)
    # The token is out of the address, and the window stays let in.
    assert "token" not in page.url
    page.reload()
    expect(page.locator("#title")).to_have_text("Case 1")


def test_without_the_token_there_is_no_page(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    stranger = windows.browser.new_context().new_page()
    for address in (site.address.split("?")[0], site.address[:-1]):
        stranger.goto(address)
        expect(stranger.locator("body")).to_contain_text("No access: open the address")
        assert stranger.locator("#panel").count() == 0
    stranger.context.close()
    expect(page.locator("#title")).to_have_text("Case 1")


def one_case(folder: Path, picture: Path, name: str, score: Score, *, seed: int) -> ResultsFolder:
    """A run of one flagged slide; what the program found follows from `score` and `seed`."""
    columns = cell_columns(seed=seed)
    record = record_of(picture, tally_of(columns), name)
    certain = {one: float(one is score) for one in EXPRESSION_SCORES}
    record = replace(
        record,
        score=score,
        status=Status.POSITIVE if score is Score.THREE_PLUS else Status.NULL,
        status_comment=f"Comment {seed}",
        flags=(Flag(ReviewFlag.MPP_BY_HAND, seed, 1.0, "%", f"A sentence of {seed}."),),
        reading=replace(record.reading, probabilities=certain),
        patient_id=f"patient {seed}",
    )
    return write_run(folder, [record], columns)


def look_round(page: Page) -> None:
    """Do everything but save: look closely, ask for outlines, choose, type."""
    whole_view(page)
    magnify(page, "40")
    page.keyboard.press("o")
    expect(page.locator("#outlines-choice")).to_be_hidden()
    page.keyboard.press("2")
    page.fill("#remark", "typed and not saved")
    expect(page.locator(SAVE)).to_be_enabled()


def test_what_a_blinded_browser_gets_does_not_depend_on_the_result(
    sites: Sites, windows: Windows, tmp_path: Path
) -> None:
    picture = tmp_path / "slide.png"
    drawn_slide(picture)
    got, told = [], []
    for name, score, seed in (("zebra", Score.ZERO, 3), ("yak 3+", Score.THREE_PLUS, 4)):
        site = sites(one_case(tmp_path / name, picture, name, score, seed=seed))
        # What another reader gave is kept back as well.
        site.start(reader="Somebody else")
        site.queue.read(site.queue.case(1), score, remark=f"theirs {seed}")
        site.stop()
        site.start()
        page = windows.open(site.address, record_har_path=tmp_path / f"{seed}.har")
        look_round(page)
        context = page.context
        context.close()
        got.append(received(tmp_path / f"{seed}.har"))
        # The same places tell everything once the reading is saved.
        page = windows.open(site.address, record_har_path=tmp_path / f"{seed} read.har")
        read(page, "1+")
        page.keyboard.press("o")
        magnify(page, "20")
        page.context.close()
        told.append(received(tmp_path / f"{seed} read.har"))
        site.stop()
    assert len(got[0]) > 15
    assert got[0] == got[1]
    for seed, name, after, before in zip((3, 4), ("zebra", "yak 3+"), told, got, strict=True):
        words = (name, f"A sentence of {seed}", f"Comment {seed}", f"patient {seed}")
        for secret in (*words, f"theirs {seed}", "slide.png", str(tmp_path)):
            assert secret.encode() not in b"".join(before.values())
        for secret in (*words, f"theirs {seed}"):
            assert secret.encode() in b"".join(after.values())
        assert not [address for address in before if "outlines" in address]
        assert [address for address in after if "outlines" in address]
    # Else the comparison would show nothing.
    assert told[0]["/api/cases/1/reading?list="] != told[1]["/api/cases/1/reading?list="]


def test_the_cases_that_are_left_stay_blinded(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    read(page, "2+")
    first, *others = site.names
    expect(page.locator("#title")).to_have_text(first)
    expect(case_button(page, 1)).to_contain_text(first)
    everything = page.content()
    for name in others:
        assert name not in everything


def test_no_score_is_saved_before_the_slide_was_seen(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    whole_view(page)
    held = HeldBack(page)
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    page.keyboard.press("2")
    expect(page.locator("form [role=status]")).to_contain_text("The slide is not shown yet")
    expect(page.locator(SAVE)).to_be_disabled()
    page.focus("#remark")
    page.keyboard.press("Control+Enter")
    # That a slide cannot be assessed, one may say without it.
    page.click("#title")
    page.keyboard.press("n")
    expect(page.locator(SAVE)).to_be_enabled()
    page.keyboard.press("2")
    expect(page.locator(SAVE)).to_be_disabled()
    held.let_go()
    expect(page.locator(SAVE)).to_be_enabled()
    assert site.readings() == []
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")


def test_a_faint_score_without_a_look_at_40x_is_said(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    whole_view(page)
    said = page.locator("form [role=status]")
    page.keyboard.press("3")
    expect(score_button(page, "3+")).to_have_attribute("aria-pressed", "true")
    expect(said).to_have_text("")
    page.keyboard.press("0")
    expect(said).to_contain_text("You have not looked at 40×")
    magnify(page, "40")
    expect(said).to_have_text("")


def test_keys_choose_and_control_enter_saves(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    whole_view(page)
    for key, score in {
        "n": "not_assessable",
        **{one: one + "+" for one in "123"},
        "0": "0",
    }.items():
        page.keyboard.press(key)
        assert chosen(page) == [score]
    page.keyboard.press("u")
    assert chosen(page) == ["0+"]
    page.keyboard.press("Control+Enter")
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    expect(page.locator("#title")).to_have_text(site.names[0])
    # Once more decides nothing: nobody has looked at what the program found yet.
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.keyboard.press("Control+Enter")
    page.keyboard.press("3")
    assert chosen(page) == ["3+"]
    assert "POST" not in sent
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel h3").nth(1)).to_have_text("Your decision")
    (row,) = site.readings()
    assert (row["score"], row["final_score"]) == ("0+", "2+")
    assert len(site.queue.log.entries()) == 2


def test_a_slide_that_was_scored_again_asks_for_a_decision_again(
    site: Site, windows: Windows
) -> None:
    site.queue.read(site.queue.case(1), Score.ONE_PLUS)
    site.queue.decide(site.queue.case(1), Score.THREE_PLUS, reason="a ring")
    score_again(site.results)
    page = windows.open(f"{site.address}#1")
    case_button(page, 1).click()
    headings = page.locator("#panel h3")
    expect(headings.nth(1)).to_have_text("Your decision on the earlier result")
    expect(headings.nth(2)).to_have_text("Which score stands?")
    assert page.locator("#panel").inner_text().count("before the slide was scored again") == 2
    # The reader gave another score than the program does now: neither that nor what was decided
    # then is chosen for them.
    assert chosen(page) == []
    score_button(page, "0").click()
    expect(page.locator(SAVE)).to_have_text("Confirm 0")
    page.click(SAVE)
    expect(headings.nth(1)).to_have_text("Your decision")
    assert page.locator("#panel").inner_text().count("before the slide was scored again") == 1


def test_enter_in_a_field_saves_nothing_and_control_enter_does(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("2")
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.fill("#share", "12.5")
    page.press("#share", "Enter")
    page.press("#doubt", "Enter")
    page.check("#doubt")
    page.focus("#remark")
    # Keys that choose a score are letters in a field.
    page.keyboard.type("3 nuclei")
    page.keyboard.press("Enter")
    page.keyboard.type("a line")
    assert "POST" not in sent
    assert chosen(page) == ["2+"]
    page.keyboard.press("Control+Enter")
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    assert sent.count("POST") == 1
    (row,) = site.readings()
    assert (row["score"], row["is_sure"], row["pct_stained"], row["remark"]) == (
        ("2+", "false", "12.5", "3 nuclei / a line")
    )
    assert (row["is_blinded"], row["reader"]) == ("true", "A. Reader")


@pytest.mark.parametrize(
    ("typed", "kept"), [("1,5", "1.5"), ("1.5", "1.5"), ("12 %", "12"), ("", "")]
)
def test_a_share_is_kept_as_it_was_typed(
    site: Site, windows: Windows, typed: str, kept: str
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("2")
    page.focus("#share")
    page.keyboard.type(typed)
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    (row,) = site.readings()
    # Digits of the share choose no score.
    assert (row["score"], row["pct_stained"]) == ("2+", kept)


@pytest.mark.parametrize("typed", ["125", "-3", "few", "1e1", "1,2,3"])
def test_a_share_that_is_no_percentage_is_not_saved(
    site: Site, windows: Windows, typed: str
) -> None:
    page = windows.open(site.address)
    whole_view(page)
    page.keyboard.press("2")
    page.fill("#share", typed)
    page.click(SAVE)
    page.keyboard.press("Control+Enter")
    said = page.evaluate("document.querySelector('#share').validationMessage")
    assert said == "Give a number from 0 to 100, such as 12.5."
    expect(page.locator("#progress")).to_have_text("0 of 3 read")
    assert site.readings() == []
    page.fill("#share", "0")
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")


def test_what_is_typed_waits_while_other_cases_are_looked_at(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    page.keyboard.press("1")
    page.fill("#share", "30")
    page.fill("#remark", "of the first")
    page.check("#doubt")
    page.click("#title")
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    assert chosen(page) == []
    assert (page.input_value("#share"), page.input_value("#remark")) == ("", "")
    assert not page.is_checked("#doubt")
    page.fill("#remark", "of the second")
    case_button(page, 1).click()
    expect(page.locator("#title")).to_have_text("Case 1")
    assert chosen(page) == ["1+"]
    assert (page.input_value("#share"), page.input_value("#remark")) == ("30", "of the first")
    assert page.is_checked("#doubt")
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    assert page.input_value("#remark") == "of the second"
    page.keyboard.press("k")
    expect(page.locator("#title")).to_have_text("Case 1")
    whole_view(page)
    page.click(SAVE)
    expect(page.locator("#progress")).to_have_text("1 of 3 read")
    assert [row["remark"] for row in site.readings()] == ["of the first"]


def test_a_window_with_something_unsaved_asks_before_it_closes(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    page.fill("#remark", "not saved")
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    page.fill("#remark", "")
    close_unasked(page, windows)


def test_a_reading_shows_what_the_program_found_and_can_be_confirmed(
    site: Site, windows: Windows
) -> None:
    page = windows.open(site.address)
    read(page, "1+")
    panel = page.locator("#panel")
    for words in (
        "What the program found",
        "HER2 equivocal",
        "Reflex ISH decides.",
        "Probability of each score",
        "Why a second read was asked for",
        "Interval includes the cut: The interval includes the cut.",
        "P-17",
    ):
        expect(panel).to_contain_text(words)
    expect(panel.locator("table")).to_contain_text("273 invasive tumour cells")
    # The reader said another score: which of the two stands is for them to say.
    assert chosen(page) == []
    expect(page.locator(SAVE)).to_have_text("Choose the score that stands")
    expect(page.locator(SAVE)).to_be_disabled()
    score_button(page, "2+").click()
    expect(page.locator(SAVE)).to_have_text("Confirm 2+")
    page.click(SAVE)
    expect(panel).to_contain_text("Decide again")
    expect(case_button(page, 1)).to_have_attribute(
        "aria-label", f"Case 1, decided, 2+, {site.names[0]}"
    )
    (row,) = site.readings()
    assert (row["slide_id"], row["score"], row["program_score"], row["agrees"]) == (
        (site.names[0], "1+", "2+", "false")
    )
    assert (row["final_score"], row["is_override"], row["reason"]) == ("2+", "false", "")


def test_an_override_needs_its_reason_and_is_kept(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    read(page, "2+")
    score_button(page, "1+").click()
    expect(page.locator(SAVE)).to_have_text("Override with 1+")
    expect(page.locator("label[for=reason]")).to_have_text("Reason for the override")
    page.click(SAVE)
    # The browser says what is missing, at the field.
    expect(page.locator("#reason")).to_be_focused()
    assert page.evaluate("document.getElementById('reason').validity.valueMissing")
    # The server takes no blanks for a reason.
    page.fill("#reason", "  ")
    windows.expecting("409.*/decision", "console: Failed to load resource.*409")
    page.click(SAVE)
    expect(page.locator("form .error")).to_contain_text("an override needs its reason")
    assert [row["final_score"] for row in site.readings()] == [""]
    page.fill("#reason", "only the edge of a core")
    page.click(SAVE)
    expect(page.locator("#panel")).to_contain_text("Decide again")
    (row,) = site.readings()
    assert (row["final_score"], row["is_override"], row["reason"]) == (
        ("1+", "true", "only the edge of a core")
    )
    # The last decision counts.
    score_button(page, "2+").click()
    expect(page.locator(SAVE)).to_have_text("Confirm 2+")
    page.click(SAVE)
    expect(page.locator("#cases .chip").first).to_have_text("2+")
    (row,) = site.readings()
    assert (row["final_score"], row["is_override"]) == ("2+", "false")


def test_next_leads_through_what_is_not_read_to_the_end(site: Site, windows: Windows) -> None:
    page = windows.open(site.address)
    # Not from the top: what was left before comes too.
    page.keyboard.press("j")
    expect(page.locator("#title")).to_have_text("Case 2")
    for number in (2, 3, 1):
        expect(page.locator("#title")).to_have_text(f"Case {number}")
        expect(case_button(page, number)).to_have_attribute("aria-current", "true")
        assert page.locator("#next").count() == 0
        read(page, "2+")
        if number != 1:
            page.click("#next")
    expect(page.locator("#next")).to_have_text("Every case is read.")
    expect(page.locator("#progress")).to_have_text("3 of 3 read")
    assert {row["slide_id"] for row in site.readings()} == set(site.names)


def test_an_unblinded_reader_sees_names_and_results_at_once(site: Site, windows: Windows) -> None:
    site.stop()
    page = windows.open(site.start(is_blinded=False))
    expect(page.locator("#title")).to_have_text(site.names[0])
    expect(page.locator("#panel")).to_contain_text("What the program found")
    read(page, "2+")
    assert [row["is_blinded"] for row in site.readings()] == ["false"]
