"""Show a running batch on standard error: a live line at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn
from rich.text import Text

from her2path.cli.bar import PLAIN_EVERY_S, Bar
from her2path.cli.console import ERRORS
from her2path.criteria.score import Score
from her2path.pipeline.progress import (
    BatchBegan,
    Event,
    SlideDone,
    SlideFailed,
    SlideStarted,
    SlideSurveyed,
    TilesMeasured,
    WorkerDied,
)

__all__ = ["Display", "duration_words", "say_failures"]

SCORE_WIDTH = 4
# The one task of the bar.
BATCH = "batch"


def duration_words(seconds: float) -> str:
    """Say how long something takes.

    >>> duration_words(200)
    '3 min 20 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Estimate:
    """How much is done, how fast it goes, and how long the rest may take."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.n_slides = 0
        self.n_ended = 0
        self.mm2_done = 0.0
        self.mm2_by_slide: dict[str, float] = {}
        self.left_by_slide: dict[str, float] = {}
        self.is_measuring_since: float | None = None

    def take(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case BatchBegan():
                self.n_slides, self.n_ended = event.n_slides, event.n_done
            case SlideSurveyed():
                share = (event.n_tiles - event.n_known) / max(event.n_tiles, 1)
                self.mm2_by_slide[event.slide_id] = event.mm2
                self.left_by_slide[event.slide_id] = event.mm2 * share
                if self.is_measuring_since is None:
                    self.is_measuring_since = time.perf_counter()
            case TilesMeasured():
                self.mm2_done += event.mm2
                self.left_by_slide[event.slide_id] -= event.mm2
            case SlideDone() | SlideFailed():
                self.n_ended += 1
                self.left_by_slide.pop(event.slide_id, None)

    @property
    def mm2_per_s(self) -> float:
        """Speed since the first tile was planned; 0 before."""
        if self.is_measuring_since is None:
            return 0.0
        return self.mm2_done / max(time.perf_counter() - self.is_measuring_since, 0.1)

    @property
    def mm2_left(self) -> float:
        """Area left in slides that were looked at, and as much as these have in the others."""
        n_unseen = self.n_slides - self.n_ended - len(self.left_by_slide)
        typical = sum(self.mm2_by_slide.values()) / max(len(self.mm2_by_slide), 1)
        return sum(self.left_by_slide.values()) + max(n_unseen, 0) * typical

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0–1."""
        total = self.mm2_done + self.mm2_left
        return self.mm2_done / total if total > 0 else 0.0

    def words(self) -> str:
        """Say where the batch stands."""
        text = f"slide {min(self.n_ended + 1, self.n_slides)} of {self.n_slides}"
        if self.mm2_per_s > 0:
            left = duration_words(self.mm2_left / self.mm2_per_s)
            text += f" · {self.mm2_per_s:.2f} mm²/s · about {left} left"
        return text


class Display(Bar):
    """A listener that shows events; use it in a `with` block.

    Parameters
    ----------
    console : Console
        Standard error.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console=console)
        self.estimate = Estimate()
        self.spoken = time.perf_counter()

    def __enter__(self) -> Self:
        self.show(BATCH, 0.0, 1.0, words="looking at slides")
        return self

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return what the line consists of."""
        return (
            SpinnerColumn(),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.description}", markup=False),
        )

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self.estimate.take(event)
        line = self.line_of(event)
        if line is not None:
            self.console.print(line)
        if self.is_shown:
            self.show(BATCH, self.estimate.fraction, 1.0, words=self.estimate.words())
        # However many lines slides have made meanwhile: these do not say how long it takes yet.
        elif time.perf_counter() - self.spoken > PLAIN_EVERY_S:
            self.console.print(self.estimate.words())
            self.spoken = time.perf_counter()

    def line_of(self, event: Event) -> Text | None:
        """Return the line that stays on the screen, None for events that only move the bar."""
        match event:
            case BatchBegan(n_done=n) if n:
                return Text(f"{n} of {event.n_slides} slides are done already.")
            case SlideDone():
                return done_line(event)
            case SlideFailed():
                return failed_line(event)
            case WorkerDied():
                names = ", ".join(event.slide_ids)
                return Text(f"A worker process died; trying again one by one: {names}")
            case SlideStarted() if not self.is_shown:
                return Text(f"       {event.slide_id} …")
        return None


def say_failures(event: Event) -> None:
    """Show slides that failed and nothing else: what is left to say when asked to be quiet."""
    if isinstance(event, SlideFailed):
        ERRORS.print(failed_line(event))


def failed_line(event: SlideFailed) -> Text:
    """Return name and reason of a slide that could not be scored."""
    return Text.assemble((" fail  ", "bold red"), f"{event.slide_id}  ", (event.error, "red"))


def done_line(event: SlideDone) -> Text:
    """Return score, name and what to look at of a slide that is done."""
    is_open = bool(event.explanation) or event.score is Score.NOT_ASSESSABLE
    if is_open:
        words = (" n/a ", "bold yellow")
        rest = event.explanation or "no tumor cell was counted: look at tissue and outlines"
    else:
        words = (f" {event.score.value:^{SCORE_WIDTH}}", "bold green")
        rest = f"{event.status.value}, {event.n_tumor_cells:,} tumor cells"
    text = Text.assemble(words, "  ", event.slide_id, "  ", (rest, "default"))
    if event.review_reasons and not is_open:
        reasons = ", ".join(reason.replace("_", " ") for reason in event.review_reasons)
        text.append(f"  review: {reasons}", style="yellow")
    # Workers share a slide, and the time of each counts: it may be longer than the run.
    text.append(f"  ({duration_words(event.seconds)} of work)", style="dim")
    return text
