"""Second reading in a browser: slides to look at, blinded, and a log of what readers gave."""

from her2path.review.queue import CaseState, ReviewQueue, open_queue, reader_name
from her2path.review.server import make_app, serve
from her2path.review.tiles import SlidePool, finder

__all__ = [
    "CaseState",
    "ReviewQueue",
    "SlidePool",
    "finder",
    "make_app",
    "open_queue",
    "reader_name",
    "serve",
]
