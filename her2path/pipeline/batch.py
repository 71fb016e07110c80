"""Many slides: stages as tasks, few slides in flight, and a journal that survives a kill."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from her2path.errors import Her2pathError, ResultsError
from her2path.pipeline.executors import SPARE_TASKS, BrokenProcessPool, Executor, executor_for
from her2path.pipeline.parts import TileTask
from her2path.pipeline.planning import (
    fingerprints_of,
    label_again,
    planned_slides,
    warn_of_leftovers,
)
from her2path.pipeline.progress import (
    BatchBegan,
    Event,
    Listener,
    SlideDone,
    SlideFailed,
    SlideStarted,
    SlideSurveyed,
    TilesMeasured,
    WorkerDied,
)
from her2path.pipeline.rows import row_of, row_of_entry
from her2path.pipeline.settings import ScoreSettings, SlideJob
from her2path.pipeline.stages import (
    AfterSlide,
    Measured,
    Surveyed,
    conclude,
    measure,
    remove_parts,
    survey,
)
from her2path.results.folder import ResultsFolder
from her2path.results.journal import Fingerprint, Journal, JournalEntry, JournalState
from her2path.results.record import SlideRecord
from her2path.results.run_record import (
    RunRecord,
    settings_hash,
)
from her2path.results.tables import write_slides

__all__ = ["BatchResult", "run_batch", "words_of"]

logger = logging.getLogger(__name__)

# slides.csv is written as slides finish, but no more often than anybody looks, nor for more than a
# tenth of the time: of 20,000 slides it takes seconds, in which no worker gets a task.
WRITE_EVERY_S = 2.0
WRITE_PAUSE = 9.0
# A slide whose worker died once may have been the victim of another: it is tried alone, once.
MAX_DEATHS = 2


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How a batch ended; `done` and `all_failed` name slides of earlier runs too."""

    n_slides: int
    n_done: int
    failed: Mapping[str, str]
    seconds: float
    done: tuple[str, ...]
    all_failed: Mapping[str, str]


@dataclass(eq=False)
class Flight:
    """One slide in flight: where it stands and what it waits for."""

    job: SlideJob
    surveyed: Surveyed | None = None
    todo: deque[TileTask] = field(default_factory=deque)
    n_running: int = 0
    is_concluding: bool = False
    measure_s: float = 0.0
    deaths: int = 0
    begun: float = field(default_factory=time.perf_counter)

    @property
    def is_measured(self) -> bool:
        """Whether stage B is over."""
        return self.surveyed is not None and not self.todo and self.n_running == 0


def run_batch(
    jobs: Sequence[SlideJob],
    settings: ScoreSettings,
    out: ResultsFolder,
    *,
    n_workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    after_slide: AfterSlide | None = None,
    listener: Listener | None = None,
) -> BatchResult:
    """Score slides into a results folder.

    Results are the same for any number of workers. A slide that fails is named and does not stop
    the others; an interrupt leaves a journal to go on from.

    Parameters
    ----------
    jobs : sequence of SlideJob
        Each with an id of its own.
    settings : ScoreSettings
    out : ResultsFolder
    n_workers : int
        Processes; 1 works in this one.
    resume : bool
        Go on with what the folder holds.
    overwrite : bool
        Score all slides again although the folder holds results.
    after_slide : callable, optional
        Called in the worker with the slide's folder and record; must be a function of a module.
    listener : callable, optional
        Called in this process with each `Event`.

    Raises
    ------
    ResultsError
        If the folder cannot be used, holds results and neither `resume` nor `overwrite` was
        said, or the run to resume was made with other settings.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers must be at least 1, got {n_workers}")
    begun = time.perf_counter()
    # Nothing is swept before the journal is ours: another run may be writing here.
    out.make().refuse_foreign()
    hashed = settings_hash(settings.identity)
    known, lost = fingerprints_of(jobs, settings)
    run = RunRecord.begin(
        settings,
        [description for _, description in known.values()],
        identity=settings.identity,
    )
    with Journal(out.journal, settings_hash=hashed, resume=resume, overwrite=overwrite) as journal:
        out.create()
        for job in jobs:
            is_kept = out.slide(job.slide_id).slide_json.exists()
            if job.slide_id in lost and is_kept and journal.is_done(job.slide_id, job.path):
                logger.warning("%s; its results are kept", lost.pop(job.slide_id))
        prints = {slide_id: fingerprint for slide_id, (fingerprint, _) in known.items()}
        # What cannot be read has none, and comes last.
        prints |= dict.fromkeys(lost, Fingerprint(0, 0, hashed))
        # A slide whose results somebody deleted is scored again.
        gone = {i for i in known if not out.slide(i).slide_json.exists()}
        todo = set(journal.plan(planned_slides(jobs, prints, last=set(lost)), again=gone))
        label_again([job for job in jobs if job.slide_id not in todo], journal, out)
        if resume:
            run = run.going_on(out.run_json)
        run.write(out.run_json)
        warn_of_leftovers([job for job in jobs if job.slide_id not in lost], journal, out)
        batch = Batch(
            jobs=[job for job in jobs if job.slide_id in todo and job.slide_id not in lost],
            settings=settings,
            out=out,
            journal=journal,
            after_slide=after_slide,
            listener=listener,
            order={job.slide_id: job for job in jobs},
            is_resumed=resume,
        )
        batch.tell(BatchBegan(len(jobs), len(jobs) - len(todo), n_workers))
        for slide_id, error in lost.items():
            journal.start(slide_id)
            batch.fail(slide_id, error, seconds=0.0)
        executor = executor_for(n_workers)
        try:
            batch.run(executor)
        finally:
            executor.close()
            batch.write_table()
        run.ended().write(out.run_json)
        entries = journal.entries()
    return result_of(jobs, entries, seconds=time.perf_counter() - begun)


def result_of(
    jobs: Sequence[SlideJob], entries: Sequence[JournalEntry], *, seconds: float
) -> BatchResult:
    """Return how a batch ended, from all that stands in its journal."""
    named = {job.slide_id for job in jobs}
    done = tuple(e.slide_id for e in entries if e.state is JournalState.DONE)
    all_failed = {e.slide_id: e.error or "" for e in entries if e.state is JournalState.FAILED}
    failed = {name: error for name, error in all_failed.items() if name in named}
    n_done = sum(slide_id in named for slide_id in done)
    return BatchResult(len(jobs), n_done, failed, seconds, done, all_failed)


class Batch:
    """The state of a running batch; everything happens in the process that plans."""

    def __init__(
        self,
        *,
        jobs: Sequence[SlideJob],
        settings: ScoreSettings,
        out: ResultsFolder,
        journal: Journal,
        after_slide: AfterSlide | None,
        listener: Listener | None,
        order: Mapping[str, SlideJob],
        is_resumed: bool,
    ) -> None:
        self.settings = settings
        self.out = out
        self.journal = journal
        self.after_slide = after_slide
        self.listener = listener
        self.order = order
        self.is_resumed = is_resumed
        self.waiting = deque(jobs)
        # In the order in which slides were begun: the oldest is finished first.
        self.flying: list[Flight] = []
        self.alone: deque[Flight] = deque()
        self.futures: dict[Future[Any], tuple[Flight, TileTask | None]] = {}
        self.next_write = 0.0

    def tell(self, event: Event) -> None:
        """Tell the listener, if there is one."""
        if self.listener is not None:
            self.listener(event)

    def run(self, executor: Executor) -> None:
        """Go on until every slide is done or failed."""
        while True:
            while len(self.futures) < executor.n_workers + SPARE_TASKS and self.submit_next(
                executor
            ):
                pass
            if not self.futures:
                return
            finished, _ = wait(self.futures, return_when=FIRST_COMPLETED)
            dead: list[Flight] = []
            for future in finished:
                flight, task = self.futures.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    dead.append(flight)
                elif flight not in self.flying:
                    # It failed in another of its tasks meanwhile.
                    continue
                elif error is not None:
                    self.fail_flight(flight, words_of(error), error)
                else:
                    self.take(flight, task, future.result())
            if dead:
                self.recover(executor, dead)

    def submit_next(self, executor: Executor) -> bool:
        """Submit the next task, oldest slide first; False when there is none to submit."""
        if self.alone and not self.flying:
            self.flying.append(self.alone.popleft())
        for flight in self.flying:
            if self.submit_for(executor, flight):
                return True
        # One slide more than workers: a worker never waits for the last tile of another's.
        is_room = len(self.flying) <= executor.n_workers
        is_alone = any(flight.deaths for flight in self.flying)
        if not self.waiting or not is_room or self.alone or is_alone:
            return False
        job = self.waiting.popleft()
        flight = Flight(job)
        if not self.is_resumed:
            remove_parts(self.out.slide(job.slide_id).path)
        self.flying.append(flight)
        self.journal.start(job.slide_id)
        self.tell(SlideStarted(job.slide_id))
        return self.submit_for(executor, flight)

    def submit_for(self, executor: Executor, flight: Flight) -> bool:
        """Submit the next task of one slide, if it does not wait for others."""
        folder = self.out.slide(flight.job.slide_id)
        task: TileTask | None = None
        if flight.surveyed is None:
            if flight.n_running:
                return False
            future = executor.submit(survey, flight.job, self.settings, folder)
        elif flight.todo:
            task = flight.todo.popleft()
            future = executor.submit(measure, task)
        elif flight.is_measured and not flight.is_concluding:
            flight.is_concluding = True
            future = executor.submit(
                conclude,
                flight.surveyed,
                self.settings,
                folder,
                flight.measure_s,
                self.after_slide,
            )
        else:
            return False
        flight.n_running += 1
        self.futures[future] = flight, task
        return True

    def take(self, flight: Flight, task: TileTask | None, result: object) -> None:
        """Take the result of a task."""
        slide_id = flight.job.slide_id
        flight.n_running -= 1
        if isinstance(result, Surveyed):
            flight.surveyed = result
            pairs = list(zip(result.tasks, result.is_done, strict=True))
            flight.todo = deque(task for task, is_done in pairs if not is_done)
            n_known = sum(len(task.tiles) for task, is_done in pairs if is_done)
            n_tiles = len(result.survey.tiles)
            self.tell(SlideSurveyed(slide_id, n_tiles, n_known, result.survey.tile_mm2))
        elif isinstance(result, Measured) and task is not None:
            flight.measure_s += result.seconds
            self.tell(TilesMeasured(slide_id, len(task.tiles), task.mm2, result.n_cells))
        elif isinstance(result, SlideRecord):
            self.finish(flight, result)

    def finish(self, flight: Flight, record: SlideRecord) -> None:
        """Note that a slide is done; from here on it is skipped by --resume."""
        self.flying.remove(flight)
        self.journal.finish(record.slide_id, row_of(record), seconds=record.seconds)
        self.write_table(may_wait=True)
        self.tell(
            SlideDone(
                record.slide_id,
                record.score,
                record.status,
                record.reading.n_tumor_cells,
                record.review_reasons,
                record.seconds,
                record.tissue.explanation,
            )
        )

    def fail_flight(self, flight: Flight, words: str, error: BaseException | None = None) -> None:
        """Give up a slide; what it has left is no result."""
        self.flying.remove(flight)
        slide_id = flight.job.slide_id
        logger.debug("%s failed", slide_id, exc_info=error)
        folder = self.out.slide(slide_id)
        remove_parts(folder.path)
        try:
            folder.forget()
        except ResultsError as left:
            logger.warning("%s; it is of no result", left)
        self.fail(slide_id, words, seconds=time.perf_counter() - flight.begun)

    def fail(self, slide_id: str, error: str, *, seconds: float) -> None:
        """Note that a slide failed, and why."""
        self.journal.fail(slide_id, error, seconds=seconds)
        self.write_table(may_wait=True)
        self.tell(SlideFailed(slide_id, error))

    def recover(self, executor: Executor, dead: list[Flight]) -> None:
        """Start new workers after one died, and try the slides that were in flight alone.

        Any of them may be the one that ends its worker, for want of memory as a rule.
        """
        dead.extend(flight for flight, _ in self.futures.values())
        self.futures.clear()
        executor.replace()
        suspects = [flight for flight in self.flying if flight in dead]
        for flight in suspects:
            flight.deaths += 1
            if flight.deaths >= MAX_DEATHS:
                self.fail_flight(
                    flight,
                    "a worker process died twice on this slide, most likely for want of memory; "
                    "try it with fewer --workers or on a larger machine",
                )
            else:
                self.flying.remove(flight)
                self.alone.append(flight)
                # A new survey finds the parts that are there.
                flight.surveyed, flight.n_running, flight.is_concluding = None, 0, False
        self.alone.extend(self.flying)
        self.flying.clear()
        self.tell(WorkerDied(tuple(flight.job.slide_id for flight in suspects)))

    def write_table(self, *, may_wait: bool = False) -> None:
        """Write slides.csv with all slides that are done or failed."""
        begun = time.perf_counter()
        if may_wait and begun < self.next_write:
            return
        entries = {
            entry.slide_id: entry
            for entry in self.journal.entries()
            if entry.state in (JournalState.DONE, JournalState.FAILED)
        }
        # Slides of earlier runs that this one does not name stay, in front: their results do.
        order = [slide_id for slide_id in entries if slide_id not in self.order]
        order += [slide_id for slide_id in self.order if slide_id in entries]
        rows = [row_of_entry(entries[slide_id], self.order.get(slide_id)) for slide_id in order]
        try:
            write_slides(self.out.slides_csv, rows)
        except ResultsError as error:
            # Somebody may have it open: no reason to stop while there are slides to score.
            if not may_wait:
                raise
            logger.warning("%s; it is written again later", error)
        now = time.perf_counter()
        self.next_write = now + max(WRITE_EVERY_S, WRITE_PAUSE * (now - begun))


def words_of(error: BaseException) -> str:
    """Return an error as one line that a person can act on."""
    if isinstance(error, MemoryError):
        return "memory ran out; try fewer --workers or a larger machine"
    if isinstance(error, BrokenProcessPool):
        return "a worker process died, most likely for want of memory; try fewer --workers"
    if isinstance(error, Her2pathError):
        return " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}; please report it"
