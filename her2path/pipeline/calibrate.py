"""Make the calibration of a site from control slides of known scores.

Controls are looked at twice: once to pool their white points and stain vectors, then to measure
their cells with these, as slides of the site will be measured later.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from her2path.cells.calibrating import Calibrated, ControlCells, calibrate_cells
from her2path.cells.calibration import Calibration, generic_calibration
from her2path.cells.table import CellMeasurements
from her2path.criteria.rule_set import DEFAULT_CRITERIA, load_rule_set
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.criteria.words import score_named
from her2path.errors import CalibrationError, list_faults
from her2path.geometry import Region
from her2path.pipeline.batch import words_of
from her2path.pipeline.executors import SPARE_TASKS, Executor, executor_for
from her2path.pipeline.manifest import jobs_of_manifest
from her2path.pipeline.network import NetworkUse
from her2path.pipeline.parts import measure_tiles, plan_parts, read_parts
from her2path.pipeline.selection import selected_cells
from her2path.pipeline.settings import ScoreSettings, SlideJob
from her2path.pipeline.sources import JobDefaults
from her2path.pipeline.survey import FIELD_MPP, Survey, survey_slide
from her2path.slides.color import Icc
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp
from her2path.slides.tiling import Tile
from her2path.stain.estimate import StainEstimate, estimate_stains, sample_od
from her2path.stain.od import WhitePoint

__all__ = ["Control", "Progress", "SiteCalibration", "calibrate_site", "controls_of_manifest"]

SCORE_COLUMN = "score"
# What the manifest calls a column of that name among the extras of a job.
SCORE_EXTRA = "manifest_score"
# 100 tiles are about 25 mm² and 100,000 cells: more of one control changes no cut.
MAX_TILES = 100
# Tiles whose colors are sampled for the stain vectors, per control.
COLOR_TILES = 12
# A scan this much finer or coarser blurs lines about as much as those of the controls.
MPP_MARGIN = 0.1

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# Called with the stage in words, the tasks of it that are done, and all of them.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Control:
    """A control slide and the score that it is known to have."""

    job: SlideJob
    score: Score


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the first look at a control found."""

    survey: Survey
    od: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SiteCalibration:
    """The calibration of a site, how it came about, and what a person should know about it."""

    calibrated: Calibrated
    stains: StainEstimate
    remarks: tuple[str, ...]

    @property
    def calibration(self) -> Calibration:
        """The cut-offs themselves."""
        return self.calibrated.calibration


def controls_of_manifest(
    path: Path, *, mpp: float | None = None, icc: Icc = Icc.OFF
) -> tuple[Control, ...]:
    """Read a list of control slides: columns path and score, and those of a manifest of slides.

    Raises
    ------
    ManifestError
        If it cannot be used; all faults are listed with their line.
    """
    defaults = JobDefaults(
        rule_set=load_rule_set(DEFAULT_CRITERIA),
        calibration=generic_calibration(),
        mpp=mpp,
        icc=icc,
    )
    # Under two names a control would count twice.
    jobs = jobs_of_manifest(path, defaults, needed={SCORE_COLUMN: known_score}, may_repeat=False)
    idle = {
        "criteria": any(job.rule_set.name != defaults.rule_set.name for job in jobs),
        "ish": any(job.ish is not None for job in jobs),
        "calibration": any(job.calibration != defaults.calibration for job in jobs),
    }
    if named := [column for column, is_filled in idle.items() if is_filled]:
        logger.warning(
            "%s: %s of a control take no part in a calibration", path.name, ", ".join(named)
        )
    return tuple(Control(job, known_score(job.extras[SCORE_EXTRA])) for job in jobs)


def known_score(text: str) -> Score:
    """Read the score of a control, in any of the words that name one.

    Raises
    ------
    ValueError
        If it is none, or one that no control can be of use with.
    """
    score = score_named(text)
    # Told here with its row, not after all controls are measured.
    if score is Score.ULTRALOW:
        raise ValueError(
            "a control of 0+ sets neither the limit of blank nor a cut; leave it out, or take one "
            "of 0 or 1+"
        )
    if score is None or score not in EXPRESSION_SCORES:
        known = ", ".join(s.value for s in EXPRESSION_SCORES if s is not Score.ULTRALOW)
        raise ValueError(f"{text!r:.40} is none of {known}")
    return score


def calibrate_site(
    controls: Sequence[Control],
    *,
    name: str,
    scanner: str = "",
    network: NetworkUse | None = None,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> SiteCalibration:
    """Measure control slides and find the cut-offs that tell their scores apart.

    Parameters
    ----------
    controls : sequence of Control
    name : str
        Name of the calibration.
    scanner : str
        Scanner that it belongs to; by default the one that all controls name.
    network : NetworkUse, optional
        Finds the cells, as it does when slides are scored.
    n_workers : int
        Processes; changes no result.
    progress : callable, optional

    Raises
    ------
    CalibrationError
        If a control cannot be used or the scores cannot be told apart; all faults are listed.
    """
    settings = ScoreSettings(network=network)
    tell = progress or (lambda words, n_done, n: None)  # noqa: ARG005 - nobody listens
    executor = executor_for(n_workers)
    try:
        with tempfile.TemporaryDirectory(prefix="her2path-") as folder:
            tasks = {c.job.slide_id: (c.job, settings) for c in controls}
            looks = run_all(
                executor, sample_control, tasks, lambda *n: tell("looking at controls", *n)
            )
            ordered = [looks[control.job.slide_id] for control in controls]
            stains = estimate_stains(
                [look.od for look in ordered],
                without_dab=[control.score is Score.ZERO for control in controls],
            )
            surveys = [look.survey for look in ordered]
            draft, remarks = draft_of(surveys, stains, name=name, scanner=scanner, network=network)
            measured = measure_controls(
                executor, controls, draft, settings, folder=Path(folder), tell=tell
            )
    finally:
        executor.close()
    calibrated = calibrate_cells(measured, draft)
    return SiteCalibration(calibrated, stains, (*remarks, *calibrated.remarks))


def run_all(
    executor: Executor,
    function: Callable[..., Result],
    calls: Mapping[str, tuple[Any, ...]],
    tell: Callable[[int, int], None],
) -> dict[str, Result]:
    """Run a function for each name and return the results by name, or list what went wrong."""
    found: dict[str, Result] = {}
    faults: dict[str, str] = {}
    pending: dict[Future[Any], str] = {}

    def take_finished() -> None:
        finished, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            name, error = pending.pop(future), future.exception()
            if error is None:
                found[name] = future.result()
            else:
                faults[name] = words_of(error)
        tell(len(found) + len(faults), len(calls))

    for name, arguments in calls.items():
        pending[executor.submit(function, *arguments)] = name
        while len(pending) >= executor.n_workers + SPARE_TASKS:
            take_finished()
    while pending:
        take_finished()
    if faults:
        listed = [f"{name}: {faults[name]}" for name in calls if name in faults]
        raise CalibrationError(list_faults("controls cannot be used", listed))
    return found


def survey_control(job: SlideJob, settings: ScoreSettings) -> Survey:
    """Assess a control; raise when it is not worth scoring."""
    survey = survey_slide(job, settings)
    if not survey.tiles:
        raise CalibrationError(survey.tissue_facts.explanation)
    return survey


def sample_control(job: SlideJob, settings: ScoreSettings) -> Look:
    """Assess a control and sample the colors of its tissue."""
    survey = survey_control(job, settings)
    chosen = spread(survey.tiles, COLOR_TILES)
    samples = [np.empty((0, 3), np.float32)]
    with open_slide(job.path, mpp=job.mpp, icc=job.icc) as slide:
        for tile in chosen:
            rgb = read_at_mpp(slide, tile.core, max(FIELD_MPP, survey.mpp.mean))
            pixels = rgb[sample_mask(survey, tile.core, (rgb.shape[0], rgb.shape[1]))]
            samples.append(sample_od(pixels, survey.measure.white_point))
    return Look(survey, np.concatenate(samples))


def sample_mask(survey: Survey, region: Region, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a picture of a region shows tissue without artefacts."""
    rows, cols = (
        ((start + (np.arange(n) + 0.5) * length / n) / survey.mask_downsample).astype(np.int64)
        for start, length, n in (
            (region.y, region.height, shape[0]),
            (region.x, region.width, shape[1]),
        )
    )
    mask = survey.tissue & ~survey.excluded
    limited = np.ix_(np.minimum(rows, mask.shape[0] - 1), np.minimum(cols, mask.shape[1] - 1))
    return np.asarray(mask[limited], np.bool_)


def spread(tiles: Sequence[Tile], at_most: int) -> tuple[Tile, ...]:
    """Return at most so many tiles, evenly over all of them."""
    if len(tiles) <= at_most:
        return tuple(tiles)
    return tuple(tiles[k * len(tiles) // at_most] for k in range(at_most))


def draft_of(
    surveys: Sequence[Survey],
    stains: StainEstimate,
    *,
    name: str,
    scanner: str,
    network: NetworkUse | None,
) -> tuple[Calibration, list[str]]:
    """Return the calibration before its cut-offs are found: scanner, glass and stain vectors."""
    remarks = []
    scanners = sorted({survey.scan.scanner for survey in surveys})
    if len(scanners) > 1 and not scanner:
        known = ", ".join(found or "not named" for found in scanners)
        remarks.append(f"controls come from several scanners ({known}): make a calibration of each")
    if scanner and (others := [s for s in scanners if s and s.casefold() != scanner.casefold()]):
        remarks.append(
            f"files of the controls name the scanner {', '.join(others)}, not {scanner}: slides of "
            "it will count as not calibrated"
        )
    scales = [survey.working_mpp for survey in surveys]
    if max(scales) > (1 + MPP_MARGIN) * min(scales):
        remarks.append(
            f"controls have {min(scales):.3f} to {max(scales):.3f} µm/px: make a calibration of "
            "each, lines look thinner and darker at finer pixels"
        )
    in_srgb = {survey.scan.is_srgb for survey in surveys}
    if len(in_srgb) > 1:
        remarks.append(
            "some controls were brought to sRGB and others hold no color profile: make a "
            "calibration of each"
        )
    white = pooled_white_point(surveys)
    if white is None:
        remarks.append("no control shows glass: the white point of the scanner is not known")
    if not stains.is_measured:
        remarks.append(f"the stain vectors are the reference, not measured: {stains.reason}")
    generic = generic_calibration()
    draft = Calibration.model_validate(
        generic.model_dump()
        | {
            "name": name,
            "scanner": scanner or (scanners[0] if len(scanners) == 1 else ""),
            "is_srgb": all(in_srgb),
            "network": "" if network is None else network.fingerprint,
            "mpp_range": (
                round(min(scales) * (1 - MPP_MARGIN), 4),
                round(max(scales) * (1 + MPP_MARGIN), 4),
            ),
            "white_point": white,
            "hematoxylin": stains.matrix.hematoxylin,
            "dab": stains.matrix.dab,
        }
    )
    return draft, remarks


def pooled_white_point(surveys: Sequence[Survey]) -> WhitePoint | None:
    """Return the median of the white points that were measured or stated, None when none was."""
    sources = ("measured", "stated")
    known = [s.stain.white_point for s in surveys if s.stain.white_point_source in sources]
    if not known:
        return None
    red, green, blue = (round(float(v), 2) for v in np.median(known, axis=0))
    return red, green, blue


def measure_controls(
    executor: Executor,
    controls: Sequence[Control],
    draft: Calibration,
    settings: ScoreSettings,
    *,
    folder: Path,
    tell: Progress,
) -> list[ControlCells]:
    """Measure the cells of all controls with the white points and stain vectors of the draft."""
    jobs = {c.job.slide_id: replace(c.job, calibration=draft) for c in controls}
    surveys = run_all(
        executor,
        survey_control,
        {name: (job, settings) for name, job in jobs.items()},
        lambda *n: tell("planning", *n),
    )
    tasks = {}
    for k, (name, survey) in enumerate(surveys.items()):
        place = folder / f"{k}"
        place.mkdir()
        thinned = replace(survey, tiles=spread(survey.tiles, MAX_TILES))
        tasks[name] = plan_parts(thinned, place)
    run_all(
        executor,
        measure_tiles,
        {
            f"{name}, part {k + 1}": (part,)
            for name, of in tasks.items()
            for k, part in enumerate(of)
        },
        lambda *n: tell("measuring cells", *n),
    )
    return [
        ControlCells(
            control.job.slide_id,
            control.score,
            tumor_cells(
                read_parts([part.part for part in tasks[control.job.slide_id]]),
                surveys[control.job.slide_id],
                settings,
            ),
        )
        for control in controls
    ]


def tumor_cells(
    cells: CellMeasurements, survey: Survey, settings: ScoreSettings
) -> CellMeasurements:
    """Return the cells that a score of the slide would count, but for those told by nuclei alone.

    See Also
    --------
    her2path.pipeline.told_by_nuclei
    """
    cells, selection = selected_cells(cells, survey, settings)
    return cells.select(selection.is_counted)
