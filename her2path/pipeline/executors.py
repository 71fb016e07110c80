"""Where tasks run: in this process, or in a pool of worker processes that can be replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import parent_process
from typing import Any, Protocol

from her2path.errors import Her2pathError

__all__ = [
    "SPARE_TASKS",
    "BrokenProcessPool",
    "Executor",
    "InProcess",
    "WorkerPool",
    "executor_for",
]

# Tasks that wait in a pool beside those that run: no worker waits for the planner.
SPARE_TASKS = 2


class Executor(Protocol):
    """What a batch asks of the place where its tasks run."""

    @property
    def n_workers(self) -> int:
        """How many tasks run at once."""

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Run a function, now or soon."""

    def replace(self) -> None:
        """Start afresh after a worker has died."""

    def close(self) -> None:
        """Give up what has not begun and wait for what has."""


class InProcess:
    """Runs each task at once in this process, by the same code as a pool."""

    n_workers = 1

    def __init__(self) -> None:
        use_one_thread()

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Run a function and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - a future carries any error to who asks for it
            future.set_exception(error)
        return future

    def replace(self) -> None:
        """Do nothing: this process cannot be replaced."""

    def close(self) -> None:
        """Close the slides that tasks have left open."""
        from her2path.pipeline.parts import OPEN_SLIDES

        OPEN_SLIDES.close()


class WorkerPool:
    """A pool of processes that are started fresh ("spawn"): the same on every system."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        with readable_start():
            return ProcessPoolExecutor(
                self.n_workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=begin_worker,
            )

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Send a task to the pool."""
        try:
            # Workers are started as there is something to do for them.
            with readable_start():
                return self._pool.submit(function, *arguments)
        except BrokenProcessPool as error:
            # The same as when the worker dies a moment later.
            future: Future[Any] = Future()
            future.set_exception(error)
            return future

    def replace(self) -> None:
        """Start a new pool; the old one is of no use when one of its workers has died."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start()

    def close(self) -> None:
        """Give up what has not begun and wait for what has: seconds, a tile or two."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def readable_start() -> Iterator[None]:
    """Say what it means when the system starts no process."""
    try:
        yield
    except OSError as error:
        # A command line that sees a broken pipe thinks that nobody reads it, and ends silently.
        raise Her2pathError(
            f"worker processes cannot be started ({error.strerror or error}); --workers 1 works in "
            "this one"
        ) from error


def executor_for(n_workers: int) -> Executor:
    """Return the place where `n_workers` tasks run at once."""
    return InProcess() if n_workers == 1 else WorkerPool(n_workers)


def begin_worker() -> None:
    """Prepare a worker process."""
    # An interrupt is for the process that plans: it lets workers finish what they have begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    use_one_thread()


def end_with_parent() -> None:
    """End this worker when its parent is killed: nobody would ever send it a task again."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def use_one_thread() -> None:
    """Keep libraries from starting threads of their own: processes are enough."""
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)
