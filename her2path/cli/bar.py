"""The bar at a terminal; what is said in a log instead is each command's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from her2path.cli.console import ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

__all__ = ["PLAIN_EVERY_S", "Bar"]

# In a log file one line a minute tells that something long goes on.
PLAIN_EVERY_S = 60.0

Part = TypeVar("Part")


class Bar:
    """A line for each task that has begun, gone when the `with` block ends.

    Parameters
    ----------
    is_quiet : bool
        Whether nothing is to be shown even at a terminal.
    console : Console
        Where it is shown; `is_shown` says whether that is a terminal that can move its cursor, and
        not to be quiet.
    """

    def __init__(self, *, is_quiet: bool = False, console: Console = ERRORS) -> None:
        self.console = console
        self.is_quiet = is_quiet
        self.is_shown = console.is_terminal and not console.is_dumb_terminal and not is_quiet
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return what a line consists of."""
        from rich.progress import Progress, TextColumn

        _, *others = Progress.get_default_columns()
        # Names of slides may hold what rich takes for markup.
        return (TextColumn("{task.description}", markup=False), *others)

    def show(self, task: str, done: float, of: float, *, words: str = "") -> None:
        """Show that `done` of `of` are done, under the name of the task or other words."""
        if not self.is_shown:
            return
        if self.progress is None:
            from rich.progress import Progress

            self.progress = Progress(*self.columns(), console=self.console, transient=True)
            self.progress.start()
        if task not in self.tasks:
            self.tasks[task] = self.progress.add_task(words or task, total=of)
        self.progress.update(self.tasks[task], completed=done, description=words or task)

    def advance(self, task: str, n: int) -> None:
        """Show that `n` more of a task are done, which was shown before."""
        if self.progress is not None:
            self.progress.advance(self.tasks[task], n)

    def over(self, parts: Iterable[Part], n: int, task: str) -> Iterator[Part]:
        """Yield the parts of a task, about `n`, and show how many of them are done."""
        for n_done, part in enumerate(parts):
            self.show(task, n_done, n)
            yield part
