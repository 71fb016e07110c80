"""The three stages of a slide as tasks that a worker process can run by themselves.

What goes in and comes out can be sent between processes; what is large lies on the disk.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from her2path.errors import ResultsError, SlideError
from her2path.pipeline.conclude import Conclusion, conclude_cells, conclude_without_cells
from her2path.pipeline.outputs import write_conclusion
from her2path.pipeline.parts import (
    TileTask,
    has_part,
    measure_tiles,
    plan_parts,
    read_parts,
    read_positions,
)
from her2path.pipeline.settings import ScoreSettings, SlideJob
from her2path.pipeline.survey import Survey, survey_slide
from her2path.results.folder import PARTS, SlideFolder
from her2path.results.journal import Fingerprint, fingerprint_of
from her2path.results.record import SlideRecord, write_record
from her2path.slides.companions import companions

__all__ = [
    "PICTURES_FAILED",
    "AfterSlide",
    "Measured",
    "Surveyed",
    "conclude",
    "measure",
    "remove_parts",
    "survey",
]

logger = logging.getLogger(__name__)

# How the remark begins; it goes when the pictures have been drawn after all.
PICTURES_FAILED = "The pictures could not be drawn"

AfterSlide = Callable[[SlideFolder, SlideRecord], None]


@dataclass(frozen=True, slots=True, eq=False)
class Surveyed:
    """Stage A is done: what was found, the tasks of stage B, and those done by an earlier run.

    `file` is the slide as it was before it was opened.
    """

    file: Fingerprint
    survey: Survey
    tasks: tuple[TileTask, ...]
    is_done: tuple[bool, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A task of stage B is done."""

    n_cells: int
    seconds: float


def survey(job: SlideJob, settings: ScoreSettings, folder: SlideFolder) -> Surveyed:
    """Run stage A; parts of an earlier run that still hold are kept, others deleted."""
    begun = time.perf_counter()
    # Of an earlier run, perhaps of another file of this name: nothing of it may stay beside ours.
    folder.create().forget()
    file = file_of(job)
    found = survey_slide(job, settings)
    parts = SlideFolder(folder.path / PARTS).create().path
    tasks = plan_parts(found, parts)
    is_done = tuple(has_part(task) for task in tasks)
    wanted = {task.part for task, done in zip(tasks, is_done, strict=True) if done}
    for path in parts.iterdir():
        if path not in wanted:
            path.unlink()
    return Surveyed(file, found, tasks, is_done, time.perf_counter() - begun)


def file_of(job: SlideJob) -> Fingerprint:
    """Return what tells whether the file of a slide has changed."""
    return fingerprint_of(job.path, settings_hash="", beside=companions(job.path))


def measure(task: TileTask) -> Measured:
    """Run one task of stage B."""
    begun = time.perf_counter()
    n_cells = measure_tiles(task)
    return Measured(n_cells, time.perf_counter() - begun)


def conclude(
    surveyed: Surveyed,
    settings: ScoreSettings,
    folder: SlideFolder,
    measure_s: float,
    after_slide: AfterSlide | None,
) -> SlideRecord:
    """Run stage C: score, write, draw; the parts go when everything else is there.

    Parameters
    ----------
    measure_s : float
        Seconds that the tasks of stage B took together.
    after_slide : callable, optional
        What a floor above wants done with each slide, such as drawing its pictures.

    Raises
    ------
    SlideError
        If the file has changed since stage A: its tiles may be of two slides.
    ResultsError
        If a part is damaged, or a file cannot be written.
    """
    begun = time.perf_counter()
    refuse_changed(surveyed)
    timings = {"survey": surveyed.seconds, "measure": measure_s}
    conclusion = concluded(surveyed, settings, timings)
    write_conclusion(folder, surveyed.survey, conclusion, settings)
    record = conclusion.record
    written = time.perf_counter()
    timings["conclude"] = written - begun
    if after_slide is not None:
        try:
            after_slide(folder, record)
        except Exception as error:  # whatever goes wrong there, the score stands
            logger.debug("the pictures of %s failed", record.slide_id, exc_info=True)
            remark = (
                f"{PICTURES_FAILED} ({type(error).__name__}: {error}); "
                "`her2path report DIR --pictures` tries again."
            )
            logger.warning("%s: %s", record.slide_id, remark)
            record = replace(record, remarks=(*record.remarks, remark))
        timings["illustrate"] = time.perf_counter() - written
    record = replace(record, timings=timings)
    write_record(folder.slide_json, record)
    remove_parts(folder.path)
    return record


def refuse_changed(surveyed: Surveyed) -> None:
    """Raise SlideError where a slide is no longer the file that stage A looked at."""
    job = surveyed.survey.job
    try:
        is_same = file_of(job) == surveyed.file
    except ResultsError:
        # All of it was read before it went.
        return
    if not is_same:
        raise SlideError(
            f"{job.path} changed while it was read, so its cells may be of two files; when it is "
            "written in full, score it again with --resume"
        )


def concluded(surveyed: Surveyed, settings: ScoreSettings, timings: dict[str, float]) -> Conclusion:
    if not surveyed.tasks:
        return conclude_without_cells(surveyed.survey, settings, timings=timings)
    parts = [task.part for task in surveyed.tasks]
    positions = None if settings.network is None else read_positions(parts)
    return conclude_cells(
        surveyed.survey, read_parts(parts), settings, timings=timings, positions=positions
    )


def remove_parts(folder: Path) -> None:
    """Delete what was measured; what cannot be deleted harms no result."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)
