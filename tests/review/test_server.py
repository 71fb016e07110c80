"""The review page: who gets in, what a blinded reader is told, what becomes of what they send."""

import csv
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi.testclient import TestClient
from opener import Opener, score_again

from her2path.criteria.score import Score
from her2path.errors import ResultsError
from her2path.results.folder import ResultsFolder
from her2path.results.record import SlideRecord, read_record, write_record
from her2path.review import SlidePool, finder, make_app, serve
from her2path.review.server import STATIC, listening

TOKEN = "a-token"
HERE = "http://127.0.0.1:8765"
OWN_SCRIPTS = ("panel.js", "review.js", "server.js", "slide_map.js")
WHOLE = {"x": 0, "y": 0, "width": 1600, "height": 1200}


@pytest.fixture
def client(opened: Opener) -> Iterator[TestClient]:
    """A browser that has been let in, blinded."""
    yield from browser(opened())


@pytest.fixture
def seeing(opened: Opener) -> Iterator[TestClient]:
    """A browser that has been let in, not blinded."""
    yield from browser(opened(is_blinded=False))


def browser(queue) -> Iterator[TestClient]:
    slides = SlidePool(finder(None))
    app = make_app(queue, slides, token=TOKEN)
    with TestClient(app, base_url=HERE) as client:
        client.get("/", params={"token": TOKEN})
        client.event_hooks = {"request": [partial(for_its_list, queue.key)]}
        yield client
    slides.close()


def for_its_list(key: str, request: httpx2.Request) -> None:
    """Name the list that a reading is for, as the page does."""
    if request.method == "POST" and "list" not in request.url.params:
        request.url = request.url.copy_add_param("list", key)


def tile(client: TestClient, number: int, place: str) -> str:
    """The address of a tile, as the page makes it."""
    return f"/api/cases/{number}/tiles/{sent(client.get('/api/queue'))['session']}/{place}.jpg"


def sent(answer: httpx2.Response) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_token_opens_the_page_and_leaves_the_address(client: TestClient) -> None:
    client.cookies.clear()
    assert client.get("/").status_code == 403
    assert client.get("/?token=another").status_code == 403
    answer = client.get(f"/?token={TOKEN}")
    # The page goes on by itself: after a link on another site's page, a redirect would come
    # without the cookie, which no other site may make a browser send.
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/"' in answer.text
    # Without an icon of its own a browser asks for one that is not there, and says so.
    assert '<link rel="icon" href="data:,">' in answer.text
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert 'src="/static/review.js"' in client.get("/").text
    assert client.get("/api/queue").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/static/review.js", "/api/queue", "/api/cases/1", "/api/cases/1/tiles/x/0/0/0.jpg"],
)
def test_nothing_is_given_without_the_token(client: TestClient, path: str) -> None:
    client.cookies.clear()
    assert client.get(path).status_code == 403
    # In the address it counts for the page alone.
    if path != "/":
        assert client.get(path, params={"token": TOKEN}).status_code == 403


def test_another_name_of_this_machine_is_refused(client: TestClient) -> None:
    assert client.get("/api/queue", headers={"Host": "evil.example:8765"}).status_code == 421
    assert client.get("/api/queue", headers={"Host": "localhost:8765"}).status_code == 200


def test_a_page_of_another_site_cannot_send(client: TestClient) -> None:
    given = {"score": "1+"}
    foreign = {"Origin": "http://evil.example"}
    assert client.post("/api/cases/1/reading", json=given, headers=foreign).status_code == 403
    own = {"Origin": HERE}
    assert client.post("/api/cases/1/reading", json=given, headers=own).status_code == 200


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    headers = client.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/docs", "/openapi.json", "/static/../server.py", "/static/server.py"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("name", STATIC)
def test_what_the_page_needs_is_shipped(client: TestClient, name: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert len(answer.content) > 500


def test_a_blinded_reader_is_told_nothing_that_gives_the_score_away(client: TestClient) -> None:
    told = json.dumps([sent(client.get("/api/queue"))["cases"], sent(client.get("/api/cases/1"))])
    for secret in ("a & b", "b 3+", "P-17", "slide.png", "Interval includes", "probabilities"):
        assert secret not in told
    assert client.get("/api/cases/1/outlines", params=WHOLE).status_code == 403


def test_what_is_given_for_an_earlier_result_is_not_saved(
    client: TestClient, run: ResultsFolder
) -> None:
    scored = sent(client.get("/api/cases/1"))["scored"]
    sent(client.post("/api/cases/1/reading", json={"score": "0", "scored": scored}))
    for path in run.path.glob("*/slide.json"):
        record = replace(read_record(path), created="2031-01-01T00:00:00+00:00")
        write_record(path, record)
    given = {"score": "0", "scored": scored, "reason": "faint"}
    late = client.post("/api/cases/1/decision", json=given)
    assert late.status_code == 412
    assert "scored again since you opened it" in late.json()["detail"]
    assert sent(client.get("/api/cases/1"))["decision"] is None
    # The other case has no reading yet, and was scored again as well.
    other = {"score": "0", "scored": scored}
    assert client.post("/api/cases/2/reading", json=other).status_code == 412
    now = sent(client.get("/api/cases/2"))["scored"]
    assert sent(client.post("/api/cases/2/reading", json=other | {"scored": now}))["reading"]


def test_what_was_given_before_the_slide_was_scored_again_is_told_as_such(
    client: TestClient, run: ResultsFolder
) -> None:
    sent(client.post("/api/cases/1/reading", json={"score": "1+"}))
    given = {"score": "3+", "reason": "a ring"}
    before = sent(client.post("/api/cases/1/decision", json=given))
    assert (before["reading"]["is_earlier"], before["decision"]["is_earlier"]) == (False, False)
    assert before["earlier_decision"] is None
    score_again(run)
    told = sent(client.get("/api/cases/1"))
    assert (told["state"], told["result"]["score"], told["own_score"]) == ("read", "0", "1+")
    assert (told["reading"]["is_earlier"], told["decision"]) == (True, None)
    earlier = told["earlier_decision"]
    assert (earlier["score"], earlier["is_earlier"]) == ("3+", True)


def test_a_reader_of_another_file_of_the_same_name_is_blinded_again(
    client: TestClient, run: ResultsFolder
) -> None:
    score_again(run, file="one")
    sent(client.post("/api/cases/1/reading", json={"score": "1+"}))
    assert sent(client.get("/api/cases/1/outlines", params=WHOLE))["n_cells"]
    score_again(run, file="two", score=Score.THREE_PLUS)
    told = sent(client.get("/api/cases/1"))
    assert told["state"] == "open"
    assert [told[name] for name in ("slide_id", "result", "reading")] == [None, None, None]
    assert sent(client.get("/api/queue"))["cases"][0]["own_score"] is None
    assert client.get("/api/cases/1/outlines", params=WHOLE).status_code == 403


def test_a_reading_opens_what_the_program_found(client: TestClient, run: ResultsFolder) -> None:
    given = {"score": "0+", "is_sure": False, "pct_stained": 4, "remark": "<b>few</b>"}
    told = sent(client.post("/api/cases/1/reading", json=given))
    assert told["slide_id"] in ("a & b", "b 3+")
    assert told["state"] == "read"
    assert told["reading"]["remark"] == "<b>few</b>"
    assert told["result"]["score"] == "2+"
    assert told["result"]["flags"][0]["title"] == "Interval includes the cut"
    assert "<b>few</b>" in run.reviews_csv.read_text("utf-8")
    second = sent(client.get("/api/cases/2"))
    assert (second["result"], second["slide_id"]) == (None, None)


def test_a_second_reading_and_an_early_decision_are_conflicts(client: TestClient) -> None:
    early = client.post("/api/cases/1/decision", json={"score": "2+"})
    assert (early.status_code, "read case 1 first" in early.json()["detail"]) == (409, True)
    sent(client.post("/api/cases/1/reading", json={"score": "0"}))
    again = client.post("/api/cases/1/reading", json={"score": "1+"})
    assert again.status_code == 409
    sent(client.post("/api/cases/1/decision", json={"score": "2+"}))
    lacking = client.post("/api/cases/1/decision", json={"score": "0"})
    assert "reason" in lacking.json()["detail"]


@pytest.mark.parametrize(
    "given",
    [
        {"score": "4+"},
        {},
        {"score": "1+", "pct_stained": 101},
        {"score": "1+", "remark": "x" * 2001},
        {"score": "1+", "reader": "somebody else"},
    ],
)
def test_what_makes_no_reading_is_refused(
    client: TestClient, given: dict, run: ResultsFolder
) -> None:
    assert client.post("/api/cases/1/reading", json=given).status_code == 422
    assert not run.reviews_csv.exists()


def test_a_body_without_bound_is_not_read(client: TestClient) -> None:
    long = client.post("/api/cases/1/reading", content=b" " * 40_000)
    assert long.status_code == 413
    endless = client.post("/api/cases/1/reading", content=iter([b"{}"]))
    assert endless.status_code == 411


def test_tiles_are_pictures_and_end_where_the_slide_ends(client: TestClient) -> None:
    answer = client.get(tile(client, 1, "0/0/0"))
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    assert client.get(tile(client, 1, "0/1/0")).status_code == 409
    assert client.get(tile(client, 9, "0/0/0")).status_code == 409
    assert client.get(tile(client, 1, "0/-1/0")).status_code == 422


def test_a_tile_of_an_earlier_server_is_none_of_this_one(opened: Opener) -> None:
    # Browsers keep tiles by their address, and the number of a case is another slide's next time.
    (first,), (second,) = ([tile(client, 1, "0/0/0") for client in browser(opened())] for _ in "ab")
    assert first != second
    for client in browser(opened()):
        assert client.get(first).status_code == 404


def test_what_is_given_to_another_list_of_cases_is_not_logged(
    opened: Opener, run: ResultsFolder
) -> None:
    (before,) = (sent(one.get("/api/queue"))["list"] for one in browser(opened(reader="A")))
    for again in browser(opened(reader="A")):
        assert sent(again.get("/api/queue"))["list"] == before
    for other in browser(opened(reader="B")):
        answer = other.post(f"/api/cases/1/reading?list={before}", json={"score": "1+"})
        assert (answer.status_code, "load the page again" in answer.text) == (410, True)
        assert other.get(f"/api/cases/1?list={before}").status_code == 410
        # A page of an earlier version names none.
        other.event_hooks = {}
        assert other.post("/api/cases/1/reading", json={"score": "1+"}).status_code == 410
    assert not run.reviews_csv.exists()


def test_two_servers_in_one_browser_do_not_shut_each_other_out(opened: Opener) -> None:
    names = set()
    for port in (8771, 8772):
        app = make_app(opened(), SlidePool(finder(None)), token=TOKEN)
        with TestClient(app, base_url=f"http://127.0.0.1:{port}") as client:
            client.get("/", params={"token": TOKEN})
            names |= set(client.cookies)
    assert len(names) == 2


def test_outlines_in_view_have_their_class_and_sectors(seeing: TestClient) -> None:
    found = sent(seeing.get("/api/cases/1/outlines", params=WHOLE))
    assert found["n_cells"] == 400
    counted = [cell for cell in found["cells"] if cell[2] is not None]
    assert 0 < len(counted) < 400
    x, y, intensity, radii, sectors = counted[0]
    assert 100 <= x <= 1500
    assert 100 <= y <= 1100
    assert intensity in ("none", "faint", "weak", "moderate", "intense")
    # 5 to 8 µm, in tenths.
    assert len(radii) == 32
    assert all(50 <= radius <= 80 for radius in radii)
    assert 0 <= sectors < 2**32
    corner = {"x": 0, "y": 0, "width": 10, "height": 10}
    assert sent(seeing.get("/api/cases/1/outlines", params=corner))["n_cells"] < 5


def test_a_slide_that_is_gone_is_told_with_the_remedy_and_its_name_to_who_may_know_it(
    client: TestClient, run: ResultsFolder
) -> None:
    (run.path.parent / "slide.png").unlink()
    answer = client.get(tile(client, 1, "0/0/0"))
    assert (answer.status_code, "--slide-folder" in answer.json()["detail"]) == (404, True)
    assert "slide.png" not in answer.text
    assert str(run.path.parent) not in answer.text
    # It can still be read and decided on what was kept.
    sent(client.post("/api/cases/1/reading", json={"score": "1+"}))
    assert "slide.png" in client.get(tile(client, 1, "0/0/0")).json()["detail"]


def test_a_slide_that_may_not_be_read_is_not_named_either(
    client: TestClient, run: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_record: SlideRecord, path: Path) -> bool:
        raise ResultsError(f"{path} cannot be read (Permission denied); check the path")

    monkeypatch.setattr("her2path.review.tiles.is_scored_file", refuse)
    answer = client.get(tile(client, 1, "0/0/0"))
    assert answer.status_code == 404
    assert "slide.png" not in answer.text
    assert str(run.path.parent) not in answer.text


def test_a_result_that_is_gone_is_not_named_to_a_blinded_reader(
    client: TestClient, run: ResultsFolder
) -> None:
    for record in run.path.glob("*/slide.json"):
        record.unlink()
    answer = client.get("/api/cases/1")
    assert answer.status_code == 409
    assert "the result of case 1 cannot be read" in answer.json()["detail"]


def test_what_no_number_can_be_is_refused(client: TestClient) -> None:
    answer = client.post(
        "/api/cases/1/reading",
        content=b'{"score": "1+", "pct_stained": NaN}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert "pct_stained" in answer.text


def test_a_port_that_is_taken_is_named() -> None:
    with listening(0) as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(OSError, match="choose another by --port"), listening(port):
            pass


def test_the_page_asks_for_nothing_that_it_is_not_told(seeing: TestClient) -> None:
    sent(seeing.post("/api/cases/1/reading", json={"score": "1+"}))
    told = sent(seeing.post("/api/cases/1/decision", json={"score": "2+"}))
    queue = sent(seeing.get("/api/queue"))
    script = "".join(seeing.get(f"/static/{name}").text for name in STATIC if name in OWN_SCRIPTS)
    for name, document in {
        "shown": told,
        "result": told["result"],
        "entry": told["reading"],
        "flag": told["result"]["flags"][0],
        "queue": queue,
        "one": queue["cases"][0],
    }.items():
        # Elements of the page are called so too: their own properties are no fields.
        used = set(re.findall(rf"\b{name}\??\.(\w+)", script)) - {"dataset", "setAttribute"}
        assert used
        assert used <= set(document), name
    # What it calls by its address is there.
    routes = {"queue", "cases"}
    assert set(re.findall(r"/api/(\w+)", script)) == routes
    ids = set(re.findall(r'byId\("([\w-]+)"\)', script))
    page = seeing.get("/").text
    made = set(re.findall(r'\bid: "([\w-]+)"', script))
    assert [one for one in ids - made if f'id="{one}"' not in page] == []


@pytest.mark.parametrize("host", ["evil.example:99999", "", "evil\xe9.example", "localhost.evil"])
def test_a_name_that_cannot_be_is_not_taken_for_this_machine(client: TestClient, host: str) -> None:
    answer = client.get("/api/queue", headers={"Host": host.encode("latin-1")})
    assert answer.status_code == 421


def test_the_time_at_a_case_begins_anew_with_another_file(
    client: TestClient, run: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("her2path.review.server.time.monotonic", lambda: now[0])
    score_again(run, file="one")
    sent(client.get("/api/cases/1"))
    now[0] += 3600
    score_again(run, file="two")
    sent(client.get("/api/cases/1"))
    now[0] += 30
    sent(client.post("/api/cases/1/reading", json={"score": "1+"}))
    with run.reviews_csv.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["seconds"]) == 30


def test_a_browser_that_keeps_its_caller_does_not_keep_the_page(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_served, is_closed = threading.Event(), threading.Event()
    came: list[bool] = []

    def look(_address: str) -> None:
        came.append(is_served.wait(5))
        is_closed.set()

    monkeypatch.setattr("webbrowser.open", look)
    monkeypatch.setattr(uvicorn.Server, "run", lambda _self, **_options: is_served.set())
    serve(opened(), SlidePool(finder(None)), port=0, announce=lambda _: None, opens_browser=True)
    assert is_closed.wait(10)
    assert came == [True]


def test_a_page_that_is_loaded_again_knows_what_was_read_elsewhere_meanwhile(
    client: TestClient, opened: Opener
) -> None:
    sent(client.post("/api/cases/1/reading", json={"score": "1+"}))
    ours = opened()
    other = opened(reader="B")
    name = ours.case(1).slide_id
    other.read(next(case for case in other.cases if case.slide_id == name), Score.ZERO)
    ours.read(ours.case(2), Score.TWO_PLUS)
    assert [case["state"] for case in sent(client.get("/api/queue"))["cases"]] == ["read", "read"]
    (seen,) = sent(client.get("/api/cases/1"))["others"]
    assert (seen["reader"], seen["score"]) == ("B", "0")
