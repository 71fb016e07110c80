"""The review page: a small server on this machine alone, for one reader.

It listens on the loopback address only, and answers nobody without the token that was printed when
it started: other users of the machine, and pages of other sites in the same browser, get nothing.
"""

from __future__ import annotations

import secrets
import socket
import time
import webbrowser
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from importlib.resources import files
from threading import Thread
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from her2path.criteria.score import Score
from her2path.errors import Her2pathError, ResultsError, SlideError
from her2path.geometry import Region
from her2path.results.cells import CellTable, read_cells
from her2path.results.jsonable import to_json
from her2path.results.scored_slide import scored_mpp
from her2path.review.queue import Case, ReviewQueue
from her2path.review.telling import OUTLINE_COLUMNS, tell_case, tell_outlines, tell_queue
from her2path.review.tiles import SlidePool, pyramid_of

__all__ = ["STATIC", "make_app", "serve", "static_bytes"]

HOST = "127.0.0.1"
# How a browser on this machine may name it; another name is another site that points here.
OWN_NAMES = frozenset({HOST, "localhost"})
# With the port: a browser sends the cookies of one server of this machine to all others.
COOKIE = "her2path_review_{port}"
HTML = "text/html; charset=utf-8"
GO_ON = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>her2path review</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0;url=/"></head>
<body><p><a href="/">Go on to the review page.</a></p></body></html>
"""
# Everything comes from this server; Leaflet places its tiles by style attributes set in script,
# which this allows.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# A screen goes back and forth over the same tiles; they never change while the server runs.
TILE_CACHE = "private, max-age=3600"
# name: package, path in it, media type
STATIC = {
    "review.css": ("her2path.review", "static/review.css", "text/css"),
    **{
        name: ("her2path.review", f"static/{name}", "text/javascript")
        for name in ("dom.js", "panel.js", "review.js", "server.js", "slide_map.js")
    },
    "leaflet.css": ("js_lib_leaflet", "static/js_lib_leaflet/leaflet.css", "text/css"),
    "leaflet.js": ("js_lib_leaflet", "static/js_lib_leaflet/leaflet.js", "text/javascript"),
}
MAX_REMARK = 2000
# Letters of a time as results state it, and room.
MAX_TIME = 64
# A remark of 2,000 letters in any script, with the rest.
MAX_BODY_BYTES = 32_000
# Cells of the slide in view and the one before it.
MAX_TABLES = 2

Number = Annotated[int, Path(ge=1, le=10_000_000)]
Position = Annotated[int, Path(ge=0, le=2**31)]
Pixel = Annotated[float, Query(ge=-(2.0**31), le=2.0**31, allow_inf_nan=False)]


class Given(BaseModel):
    """What a page sends; nothing but the fields named."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenReading(Given):
    """A reading as the page sends it; `scored` as `tell_case` told it."""

    score: Score
    scored: str | None = Field(default=None, max_length=MAX_TIME)
    is_sure: bool = True
    pct_stained: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    remark: str = Field(default="", max_length=MAX_REMARK)


class GivenDecision(Given):
    """A decision as the page sends it; `scored` as `tell_case` told it."""

    score: Score
    scored: str | None = Field(default=None, max_length=MAX_TIME)
    reason: str = Field(default="", max_length=MAX_REMARK)


def make_app(queue: ReviewQueue, slides: SlidePool, *, token: str) -> FastAPI:
    """Return the application: pages, tiles and outlines, and the two things that a reader sends.

    Parameters
    ----------
    queue : ReviewQueue
        What is read; its log is open as long as the application is used.
    slides : SlidePool
        Where tiles come from.
    token : str
        What a browser must bring, once in the address and then in a cookie.
    """
    # Its own pages load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    guard(app, token)
    explain_errors(app)
    app.include_router(page_routes(token))
    # A browser keeps tiles. The next run on this port has other slides under the same numbers.
    session = secrets.token_urlsafe(6)
    app.include_router(case_routes(queue, session))
    app.include_router(picture_routes(queue, slides, session))
    return app


def guard(app: FastAPI, token: str) -> None:
    """Let nobody in but this server's own page, and tell browsers what it may do."""

    @app.middleware("http")
    async def check(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        fault = refusal(request, token)
        response = await answer(request) if fault is None else fault
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def explain_errors(app: FastAPI) -> None:
    """Turn errors into words that the page shows."""

    @app.exception_handler(Her2pathError)
    async def explain(_request: Request, error: Exception) -> Response:
        status = 409 if isinstance(error, ResultsError) else 404
        return JSONResponse({"detail": str(error)}, status)

    @app.exception_handler(RequestValidationError)
    async def name_faults(_request: Request, error: RequestValidationError) -> Response:
        # Without what was given: a number that JSON cannot hold could not be answered with.
        faults = [{"loc": f["loc"], "msg": f["msg"]} for f in error.errors()]
        return JSONResponse({"detail": faults}, 422)


def page_routes(token: str) -> APIRouter:
    """Return the page and what it loads."""
    routes = APIRouter()

    @routes.get("/")
    def page(request: Request) -> Response:
        if "token" not in request.query_params:
            return Response(static_bytes("her2path.review", "static/review.html"), media_type=HTML)
        # Out of the address, which stands in histories and screenshots. The page goes on by itself
        # rather than by a redirect: after a link on another page, such as a terminal in a browser,
        # that would come without the cookie.
        response = Response(GO_ON, media_type=HTML)
        response.set_cookie(cookie_of(request), token, httponly=True, samesite="strict")
        return response

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404, "there is no such file")
        package, path, kind = STATIC[name]
        return Response(static_bytes(package, path), media_type=kind)

    return routes


def case_routes(queue: ReviewQueue, session: str) -> APIRouter:
    """Return the list of cases, each case, and what a reader gives it."""
    routes = APIRouter(prefix="/api", dependencies=[Depends(same_list(queue))])
    # By case and slide file: another one may take the name of the first.
    opened: dict[tuple[int, str], float] = {}

    def sitting(case: Case) -> tuple[int, str]:
        return case.number, queue.record(case).scan.sha256_ends

    @routes.get("/queue")
    def show_queue() -> Any:  # noqa: ANN401 - JSON has no narrower type
        queue.refresh()
        return to_json(tell_queue(queue) | {"session": session, "list": queue.key})

    @routes.get("/cases/{number}")
    def show_case(number: Number) -> Any:  # noqa: ANN401 - JSON has no narrower type
        case = queue.case(number)
        opened.setdefault(sitting(case), time.monotonic())
        return to_json(tell_case(queue, case))

    @routes.post("/cases/{number}/reading")
    def take_reading(number: Number, given: GivenReading) -> Any:  # noqa: ANN401 - JSON has no narrower type
        case = queue.case(number)
        check_same_result(queue, case, given.scored)
        began = opened.get(sitting(case))
        queue.read(
            case,
            given.score,
            is_sure=given.is_sure,
            pct_stained=given.pct_stained,
            remark=given.remark,
            seconds=None if began is None else round(time.monotonic() - began, 1),
        )
        return to_json(tell_case(queue, case))

    @routes.post("/cases/{number}/decision")
    def take_decision(number: Number, given: GivenDecision) -> Any:  # noqa: ANN401 - JSON has no narrower type
        case = queue.case(number)
        check_same_result(queue, case, given.scored)
        queue.decide(case, given.score, reason=given.reason)
        return to_json(tell_case(queue, case))

    return routes


def picture_routes(queue: ReviewQueue, slides: SlidePool, session: str) -> APIRouter:
    """Return tiles of the slides, and outlines of their cells where these may be told."""
    routes = APIRouter(prefix="/api/cases/{number}", dependencies=[Depends(same_list(queue))])

    @lru_cache(maxsize=MAX_TABLES)
    def cells_of(slide_id: str, _created: str) -> CellTable:
        return read_cells(queue.results.slide(slide_id).cells_parquet, columns=OUTLINE_COLUMNS)

    @routes.get("/tiles/{of}/{zoom}/{column}/{row}.jpg")
    def show_tile(
        number: Number, of: str, zoom: Position, column: Position, row: Position
    ) -> Response:
        if of != session:
            raise HTTPException(404, "The server was started again: press “Try again”.")
        case = queue.case(number)
        record = queue.record(case)
        # That there is no such tile anybody may hear; what else goes wrong names files.
        pyramid_of(record).region(zoom, column, row)
        try:
            jpeg = slides.tile(record, zoom, column, row)
        except Her2pathError:
            if queue.may_tell(case):
                raise
            raise unseen(case) from None
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": TILE_CACHE})

    @routes.get("/outlines")
    def show_outlines(number: Number, x: Pixel, y: Pixel, width: Pixel, height: Pixel) -> Any:  # noqa: ANN401 - JSON has no narrower type
        case = queue.case(number)
        if not queue.may_tell(case):
            raise HTTPException(403, "give your own reading first")
        record = queue.record(case)
        if not queue.folder(case).cells_parquet.exists():
            return {"n_cells": 0, "cells": []}
        cells = cells_of(case.slide_id, record.created)
        box = Region(int(x), int(y), int(width), int(height))
        return tell_outlines(cells, box, mpp=scored_mpp(record))

    return routes


def same_list(queue: ReviewQueue) -> Callable[[Request, str | None], None]:
    """Return the check that a page means the cases that are served.

    One that stayed open while the server was started again, for another reader say, has other
    slides under the same numbers: what is given there must not be logged for these.
    """
    key = queue.key

    def check(request: Request, named: Annotated[str | None, Query(alias="list")] = None) -> None:
        # Whoever only looks may leave the list out; what is given is given for a list.
        is_given = request.method == "POST"
        if named != key and (is_given or named is not None):
            raise HTTPException(410, "Another list of cases is served now: load the page again.")

    return check


def check_same_result(queue: ReviewQueue, case: Case, scored: str | None) -> None:
    """Refuse what is given for a result that was replaced since the page showed the case."""
    if scored is not None and scored != queue.record(case).created:
        raise HTTPException(
            412,
            f"Case {case.number} was scored again since you opened it. Nothing is saved: look at "
            "it once more, then save.",
        )


def unseen(case: Case) -> SlideError:
    """Return what a blinded reader is told of a slide that cannot be shown: not its name."""
    return SlideError(
        f"The slide of case {case.number} cannot be shown: it is not where it was scored, or is "
        "another file, or cannot be read. Name the folder that holds it now with --slide-folder; "
        "with --unblinded its name is told."
    )


def cookie_of(request: Request) -> str:
    """Return the name of the cookie that holds the token of this server."""
    return COOKIE.format(port=request.url.port)


def refusal(request: Request, token: str) -> Response | None:
    """Return the answer to a request that is not from this server's own page, or None."""
    # As it was sent: of a name with a port that cannot be, the address of this server is made.
    name, _, _ = request.headers.get("host", "").partition(":")
    if name.lower() not in OWN_NAMES:
        return JSONResponse({"detail": "this server answers to localhost only"}, 421)
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.url.netloc}":
        return JSONResponse({"detail": "another site may not ask here"}, 403)
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isascii() or not length.isdigit():
        return JSONResponse({"detail": "the length must be stated"}, 411)
    if int(length) > MAX_BODY_BYTES:
        return JSONResponse({"detail": "the remark is too long"}, 413)
    given = request.query_params.get("token") if request.url.path == "/" else None
    given = given or request.cookies.get(cookie_of(request), "")
    if not secrets.compare_digest(given.encode(), token.encode()):
        words = "open the address that her2path review printed when it started"
        return Response(f"No access: {words}.\n", 403, media_type="text/plain")
    return None


def static_bytes(package: str, path: str) -> bytes:
    """Return a file that is shipped inside a package."""
    return files(package).joinpath(path).read_bytes()


def serve(
    queue: ReviewQueue,
    slides: SlidePool,
    *,
    port: int,
    announce: Callable[[str], None],
    opens_browser: bool,
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    queue, slides
        As of `make_app`.
    port : int
        0 takes any that is free.
    announce : callable
        Is told the address, with the token, once the server can be reached.
    opens_browser : bool
        Whether to open the page.

    Raises
    ------
    ResultsError
        If the port is taken.
    """
    token = secrets.token_urlsafe(32)
    with closing(slides), listening(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"
        announce(address)
        if opens_browser:
            # Browsers in a terminal, and some others, keep their caller until they are closed.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        settings = uvicorn.Config(
            make_app(queue, slides, token=token),
            log_level="warning",
            # The address holds the token.
            access_log=False,
            server_header=False,
        )
        uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Hold a port of this machine, reachable from nowhere else."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ResultsError(
                f"port {port} cannot be used ({error.strerror or error}); choose another by "
                "--port, or leave it out"
            ) from error
        # From now on a browser that comes too early waits.
        listener.listen()
        yield listener
