"""What a batch tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from her2path.criteria.score import Score, Status

__all__ = [
    "BatchBegan",
    "Event",
    "Listener",
    "SlideDone",
    "SlideFailed",
    "SlideStarted",
    "SlideSurveyed",
    "TilesMeasured",
    "WorkerDied",
]


@dataclass(frozen=True, slots=True)
class BatchBegan:
    """The slides are known; `n_done` of them were done by an earlier run."""

    n_slides: int
    n_done: int
    n_workers: int


@dataclass(frozen=True, slots=True)
class SlideStarted:
    """A slide is being looked at."""

    slide_id: str


@dataclass(frozen=True, slots=True)
class SlideSurveyed:
    """Its tiles are planned; `n_known` of them were measured by an earlier run."""

    slide_id: str
    n_tiles: int
    n_known: int
    mm2: float


@dataclass(frozen=True, slots=True)
class TilesMeasured:
    """Some tiles of a slide are measured."""

    slide_id: str
    n_tiles: int
    mm2: float
    n_cells: int


@dataclass(frozen=True, slots=True)
class SlideDone:
    """A slide is scored, which includes *not assessable*."""

    slide_id: str
    score: Score
    status: Status
    n_tumor_cells: int
    review_reasons: tuple[str, ...]
    seconds: float
    explanation: str


@dataclass(frozen=True, slots=True)
class SlideFailed:
    """A slide could not be scored."""

    slide_id: str
    error: str


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker process died; these slides are tried once more, one at a time."""

    slide_ids: tuple[str, ...]


Event = (
    BatchBegan | SlideStarted | SlideSurveyed | TilesMeasured | SlideDone | SlideFailed | WorkerDied
)
Listener = Callable[[Event], None]
