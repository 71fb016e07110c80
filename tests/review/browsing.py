"""A running review page, and windows of a real browser that look at it."""

from __future__ import annotations

import base64
import csv
import json
import queue
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import uvicorn

from her2path.results.folder import ResultsFolder
from her2path.results.review_log import ReviewLog
from her2path.review import ReviewQueue, SlidePool, finder, open_queue, serve
from her2path.review.tiles import TILE_PX

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        Request,
        Response,
        Route,
    )

__all__ = [
    "NO_PLAYWRIGHT",
    "READER",
    "HeldBack",
    "Site",
    "Sites",
    "Windows",
    "level_0_px",
    "magnify",
    "received",
    "whole_view",
]

NO_PLAYWRIGHT = (
    "playwright is not here: pip install -c constraints.txt -e '.[browser]' brings it, and the "
    "system's package manager a Chromium"
)
READER = "A. Reader"
# Machines that do something else meanwhile are slow; what is awaited comes at once on others.
PATIENCE_S = 20.0

# Where each tile that has come lies on the screen; the address holds zoom, column, row.
TILES_SHOWN = r"""() => [...document.querySelectorAll("#slide .leaflet-tile-loaded")].map(tile => {
  const [zoom, column, row] = tile.src.match(/(\d+)\/(\d+)\/(\d+)\.jpg\?/).slice(1).map(Number);
  const { left, top, width } = tile.getBoundingClientRect();
  return { zoom, column, row, left, top, width };
})"""
ALL_TILES_ARE_THERE = """() => {
  const tiles = [...document.querySelectorAll("#slide .leaflet-tile")];
  return tiles.length > 0 && !document.querySelector(".leaflet-zoom-anim")
    && tiles.every((tile) => tile.matches(".leaflet-tile-loaded") && tile.style.opacity === "1");
}"""


class Site:
    """The review page over a folder of results, on a port of this machine."""

    def __init__(self, results: ResultsFolder) -> None:
        self.results = results
        self.address = ""
        self.queue: ReviewQueue | None = None
        self.server: uvicorn.Server | None = None
        self.thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self.address.split(":")[2].split("/")[0])

    @property
    def names(self) -> list[str]:
        """The slides in the order of their cases."""
        return [case.slide_id for case in self.queue.cases]

    def start(self, *, port: int = 0, **choice: Any) -> str:
        """Serve until `stop`, and return the address that is announced."""
        announced: queue.Queue[str | BaseException] = queue.Queue()
        options = {"reader": READER, "only_flagged": True, "is_blinded": True} | choice
        site = self

        class Kept(uvicorn.Server):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                site.server = self

        def work() -> None:
            try:
                with ReviewLog(self.results.review_log) as log:
                    self.queue = open_queue(self.results, log=log, **options)
                    serve(
                        self.queue,
                        SlidePool(finder(None)),
                        port=port,
                        announce=announced.put,
                        opens_browser=False,
                    )
            except BaseException as error:  # noqa: BLE001 - told where it is waited for
                announced.put(error)

        with mock.patch.object(uvicorn, "Server", Kept):
            self.thread = threading.Thread(target=work, daemon=True)
            self.thread.start()
            found = announced.get(timeout=PATIENCE_S)
            if isinstance(found, BaseException):
                raise found
            while self.server is None:
                self.thread.join(0.01)
        self.address = found
        return found

    def stop(self) -> None:
        """End it, as Ctrl+C does."""
        if self.thread is None:
            return
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.server = self.thread = None

    def readings(self) -> list[dict[str, str]]:
        """The rows of reviews.csv; none before there is one."""
        if not self.results.reviews_csv.exists():
            return []
        with self.results.reviews_csv.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


# The type of the fixture ``sites``.
Sites = Callable[[ResultsFolder], Site]


class Windows:
    """Windows of a browser, and whatever went wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.faults: list[str] = []
        self.wanted: list[str] = []

    def open(self, address: str, **options: Any) -> Page:
        """Open a window of a browser that has not been here before, and wait for its case."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(PATIENCE_S * 1000)
        self.contexts.append(context)
        return self.open_beside(context, address)

    def open_beside(self, context: BrowserContext, address: str) -> Page:
        """Open another window of the same browser."""
        page = context.new_page()
        page.on("console", self.note_said)
        page.on("pageerror", lambda error: self.note("thrown", str(error)))
        page.on("requestfailed", self.note_failed)
        page.on("response", self.note_refused)
        page.goto(address)
        page.wait_for_selector("#title")
        return page

    def note(self, kind: str, words: str, is_fault: bool = True) -> None:
        if is_fault:
            self.faults.append(f"{kind}: {words}")

    def note_said(self, said: ConsoleMessage) -> None:
        self.note("console", f"{said.text} {said.location['url']}", said.type == "error")

    def note_failed(self, request: Request) -> None:
        # The page itself calls off tiles that are out of view by now.
        is_called_off = "ERR_ABORTED" in (request.failure or "") and "/tiles/" in request.url
        self.note("failed", f"{request.url} {request.failure}", not is_called_off)

    def note_refused(self, response: Response) -> None:
        self.note("refused", f"{response.status} {response.url}", response.status >= 400)

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.contexts.clear()

    def expecting(self, *patterns: str) -> None:
        """Take from now on what fits for wanted; `unexpected` tells which did not turn up."""
        self.wanted += patterns

    def unexpected(self) -> list[str]:
        """Return what went wrong and was not wanted, and what was wanted and did not."""
        seen = {one for one in self.wanted for fault in self.faults if re.search(one, fault)}
        return [
            *(one for one in self.faults if not any(re.search(w, one) for w in self.wanted)),
            *(f"never came: {one}" for one in self.wanted if one not in seen),
        ]


class HeldBack:
    """Tiles of a window that do not come before they are let go."""

    def __init__(self, page: Page) -> None:
        self.waiting: list[Route] = []
        self.is_over = False
        page.route("**/tiles/**", self.take)

    def take(self, route: Route) -> None:
        if self.is_over:
            route.continue_()
        else:
            self.waiting.append(route)

    def let_go(self) -> None:
        self.is_over = True
        for route in self.waiting:
            route.continue_()


def whole_view(page: Page) -> None:
    """Wait until everything in view has come."""
    page.wait_for_function(ALL_TILES_ARE_THERE)


def close_unasked(page: Page, windows: Windows) -> None:
    """Close a window as a person does; a question before it closes is one fault of `windows`."""
    page.on("dialog", lambda dialog: windows.note("dialog", dialog.type))
    with page.expect_event("close"):
        page.close(run_before_unload=True)


def magnify(page: Page, power: str) -> None:
    """Take a magnification by its button, and wait until it is shown."""
    button = f"#powers [data-power='{power}']"
    page.click(button)
    page.wait_for_selector(f"{button}[aria-pressed=true]")
    whole_view(page)


def level_0_px(page: Page, *, max_zoom: int) -> tuple[float, float, float]:
    """Return where the corner of the slide lies on the screen, and how many px of it one px shows.

    Measured at the tiles themselves, not by what the page says of them.
    """
    found = set()
    for tile in page.evaluate(TILES_SHOWN):
        side = TILE_PX * 2 ** (max_zoom - tile["zoom"])
        scale = side / tile["width"]
        left = tile["left"] - tile["column"] * side / scale
        top = tile["top"] - tile["row"] * side / scale
        found.add((round(left), round(top), round(scale, 3)))
    assert found
    # Rounding apart, all tiles lie on one grid.
    first = min(found)
    assert all(max(abs(a - b) for a, b in zip(first, one, strict=True)) <= 2 for one in found)
    return first


def received(har: Path) -> dict[str, bytes]:
    """Return what a browser got from each address, as its own record of the network tells it.

    What tells servers apart is taken out: port, session, the mark of a list of cases.
    """
    found: dict[str, bytes] = {}
    for entry in json.loads(har.read_text("utf-8"))["log"]["entries"]:
        content = entry["response"]["content"]
        body = content.get("text", "")
        is_coded = content.get("encoding") == "base64"
        url = entry["request"]["url"]
        # Some are asked for again and again.
        if "?token=" in url:
            # A page that only leads on; browsers forget it before it can be noted.
            continue
        found[url] = found.get(url, b"") + (base64.b64decode(body) if is_coded else body.encode())
    told = b"".join(found.values())
    marks = [
        re.search(rb'"%s": ?"([\w-]+)"' % name, told).group(1).decode()
        for name in (b"session", b"list")
    ]
    return {
        without(url, marks): without(body.decode("latin-1"), marks).encode("latin-1")
        for url, body in found.items()
    }


def without(text: str, marks: list[str]) -> str:
    """Take out the place of the server and these words."""
    return re.sub("|".join(["^http://[^/]+", *marks]), "", text)
