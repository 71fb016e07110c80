"""How the control tissue of a site stains in good runs: the range that later runs are held to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2path.cells.calibration import Calibration, parse_calibration
from her2path.errors import CalibrationError, ResultsError, list_faults
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.record import RegionKind, RegionRecord, SlideRecord, read_records
from her2path.results.sheet import read_sheet
from her2path.statistics.intervals import Interval, prediction_interval

__all__ = [
    "USUAL_RUNS",
    "ControlRange",
    "ControlRun",
    "control_od_of",
    "measure_control_range",
    "with_control_range",
]

# Of five the interval is half again as wide as of many; of fewer it would hold any stain.
LEAST_RUNS = 5
# As many as laboratories take before they set the limits of a control.
USUAL_RUNS = 20
# The mean of fewer stained cells tells of those cells, not of the run.
LEAST_CELLS = 50


@dataclass(frozen=True, slots=True)
class ControlRun:
    """The control tissue of one slide.

    Attributes
    ----------
    slide_id : str
    od : float
        Mean membrane OD of its stained cells.
    n_cells : int
        How many these are.
    """

    slide_id: str
    od: float
    n_cells: int


@dataclass(frozen=True, slots=True)
class ControlRange:
    """What is expected of the next control.

    Attributes
    ----------
    runs : tuple of ControlRun
        In the order in which they were given.
    interval : Interval
        Membrane OD between which 95 of 100 controls of further good runs lie.
    left_out : tuple of str
        Slides that say nothing about it, each with the reason.
    """

    runs: tuple[ControlRun, ...]
    interval: Interval
    left_out: tuple[str, ...]

    @property
    def typical_od(self) -> float:
        """Geometric mean of the runs."""
        return math.exp(math.fsum(math.log(run.od) for run in self.runs) / len(self.runs))

    @property
    def outside(self) -> tuple[ControlRun, ...]:
        """Runs outside of the range that all of them make: hardly good ones."""
        return tuple(run for run in self.runs if run.od not in self.interval)


def control_od_of(regions: Sequence[RegionRecord]) -> tuple[float, int] | None:
    """Return mean membrane OD and number of the stained cells of control tissue; None without."""
    found = [
        region.reading.measures["membrane_od"]
        for region in regions
        if region.kind is RegionKind.CONTROL and "membrane_od" in region.reading.measures
    ]
    n = sum(estimate.n_cells for estimate in found)
    return (sum(estimate.value * estimate.n_cells for estimate in found) / n, n) if n else None


def measure_control_range(folders: Iterable[Path], calibration: Calibration) -> ControlRange:
    """Measure the range of the control on slides of good runs.

    Two runs of one assay differ by a factor, so the interval is one of logarithms
    (`prediction_interval`). Each slide has one vote.

    Parameters
    ----------
    folders : iterable of Path
        Results folders of slides that were scored with this calibration.
    calibration : Calibration
        With another range or none.

    Raises
    ------
    ResultsError
        If a folder holds no results.
    CalibrationError
        If slides were scored with other cut-offs or several networks, or too few show a control.
    """
    lost: list[str] = []
    runs: list[ControlRun] = []
    left_out: list[str] = []
    other_cuts: list[str] = []
    networks: set[str] = set()
    of_file: dict[tuple[str, float], str] = {}
    # A record of a large slide takes megabytes: only what is asked of it is kept.
    for record in read_records(scored_in(folders), lost=lost):
        if not record.calibration.is_same_but_for_control(calibration):
            other_cuts.append(f"{record.slide_id}: {record.calibration.name}")
        networks.add(network_of(record))
        run, reason = run_of(record)
        if run is None:
            left_out.append(f"{record.slide_id}: {reason}")
            continue
        # One file may hold two samples, each with a control of its own.
        mark = record.scan.sha256_ends, run.od
        if all(mark) and mark in of_file:
            left_out.append(f"{run.slide_id}: the same control as on {of_file[mark]}")
        else:
            of_file[mark] = run.slide_id
            runs.append(run)
    left_out += [f"{name}: its results cannot be read" for name in lost]
    if other_cuts:
        heading = (
            f"slides were scored with other cut-offs than those of {calibration.name}; score them "
            "with --calibration"
        )
        raise CalibrationError(list_faults(heading, other_cuts, what="slide"))
    if len(networks) > 1:
        raise CalibrationError(
            f"the slides were read in different ways ({', '.join(sorted(networks))}), which find "
            "other cells stained; score all of them with one"
        )
    if len(runs) < LEAST_RUNS:
        few = (
            f"{len(runs)} slides show how a control stains, {LEAST_RUNS} are needed and "
            f"{USUAL_RUNS} usual: score slides of more runs, the control drawn (--roi, class "
            "Control) or found (--exclude-controls)"
        )
        raise CalibrationError(list_faults(few, left_out, what="slide") if left_out else few)
    interval = prediction_interval([math.log(run.od) for run in runs])
    ends = Interval(math.exp(interval.lower), math.exp(interval.upper))
    return ControlRange(tuple(runs), ends, tuple(left_out))


def scored_in(folders: Iterable[Path]) -> Iterator[SlideFolder]:
    """Yield the folder of each slide that the runs of some results folders scored, by name.

    Slides of an earlier run, which `--overwrite` left behind, are of none.
    """
    for folder in folders:
        results = ResultsFolder(folder)
        if not results.slides_csv.is_file():
            raise ResultsError(f"{folder} is no results folder of her2path score; check the path")
        rows = read_sheet(results.slides_csv, needed=("slide_id", "state")).rows
        for slide_id in sorted(r.get("slide_id") for r in rows if r.get("state") == "done"):
            yield results.slide(slide_id)


def network_of(record: SlideRecord) -> str:
    """Name what found the cells of a slide; networks in folders of one name may be two."""
    mark = f" {record.network.fingerprint[:12]}" if record.network else ""
    return f"{record.model}{mark}"


def run_of(record: SlideRecord) -> tuple[ControlRun | None, str]:
    """Return the control of a slide, or why it says nothing."""
    found = control_od_of(record.regions)
    if found is None:
        return None, "no stained cell of control tissue was measured"
    od, n_cells = found
    if n_cells < LEAST_CELLS:
        return None, f"its control has {n_cells} stained cells, {LEAST_CELLS} are needed"
    return ControlRun(record.slide_id, od, n_cells), ""


def with_control_range(calibration: Calibration, expected: ControlRange) -> Calibration:
    """Return a calibration that holds controls to a range; all else is as it was.

    Raises
    ------
    CalibrationError
        If no dye reaches the range, as where runs differ by far too much.
    """
    ends = (round(expected.interval.lower, 4), round(expected.interval.upper, 4))
    changed = calibration.model_copy(update={"control_od": ends})
    return parse_calibration(changed.model_dump_json(), where="the calibration with its range")
