"""The range in which control tissue stains, from the records of good runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from her2path.cli.main import app
from her2path.criteria.score import Score
from her2path.errors import CalibrationError, ResultsError
from her2path.geometry import Region
from her2path.pipeline.conclude import conclude_without_cells
from her2path.pipeline.control_range import (
    LEAST_CELLS,
    LEAST_RUNS,
    ControlRange,
    measure_control_range,
    with_control_range,
)
from her2path.pipeline.settings import ScoreSettings, find_calibration
from her2path.pipeline.survey import survey_slide
from her2path.report.control_range import control_range_words
from her2path.results.folder import ResultsFolder
from her2path.results.record import Estimate, RegionKind, RegionRecord, SlideRecord, write_record
from her2path.statistics.intervals import Interval, prediction_interval

SITE = find_calibration(None)
GOOD = (0.41, 0.44, 0.40, 0.43, 0.45, 0.42)


@pytest.fixture(scope="module")
def blank(glass: Path, job_on) -> SlideRecord:
    """The record of a slide without a control."""
    settings = ScoreSettings(n_resamples=20)
    return conclude_without_cells(
        survey_slide(job_on(glass), settings), settings, timings={}
    ).record


@pytest.fixture
def write(tmp_path: Path, blank: SlideRecord) -> Callable[..., Path]:
    """Write a results folder: the OD of each slide's control, and what else is said of all."""

    def control(od: float, n_cells: int) -> RegionRecord:
        mean = Estimate(od, Interval(od, od), n_cells, "OD")
        return RegionRecord(
            region_id="control",
            kind=RegionKind.CONTROL,
            name="control",
            box=Region(0, 0, 10, 10),
            area_mm2=0.1,
            n_cells=n_cells,
            score=Score.NOT_ASSESSABLE,
            reading=replace(blank.reading, measures={"membrane_od": mean}),
        )

    def written(*ods: float, n_cells: int = 200, name: str = "run", **said: object) -> Path:
        results = ResultsFolder(tmp_path / name).create()
        rows = "".join(f"{name}-{k},done\n" for k in range(len(ods)))
        results.slides_csv.write_text(f"slide_id,state\n{rows}", encoding="utf-8")
        for k, od in enumerate(ods):
            scan = replace(blank.scan, sha256_ends=f"{name}{k}")
            values = {"slide_id": f"{name}-{k}", "scan": scan, "regions": (control(od, n_cells),)}
            record = replace(blank, **values | said)
            write_record(results.slide(record.slide_id).create().slide_json, record)
        return results.path

    return written


def test_the_range_is_where_the_next_good_run_lies(write):
    expected = measure_control_range([write(*GOOD)], SITE)
    of_logarithms = prediction_interval(np.log(GOOD).tolist())
    assert np.log(expected.interval.lower) == pytest.approx(of_logarithms.lower)
    assert np.log(expected.interval.upper) == pytest.approx(of_logarithms.upper)
    # A darker scanner moves the range by its factor.
    darker = measure_control_range([write(*(1.3 * od for od in GOOD), name="darker")], SITE)
    assert darker.interval.lower == pytest.approx(1.3 * expected.interval.lower)


def test_slides_that_a_later_run_left_behind_are_of_none(write):
    folder = write(*GOOD)
    left = write(0.9, name="left")
    (left / "left-0").rename(folder / "left-0")
    assert len(measure_control_range([folder], SITE).runs) == len(GOOD)


def test_several_folders_are_one_and_the_calibration_keeps_all_else(write):
    folders = [write(*GOOD[:3], name="a"), write(*GOOD[3:], name="b")]
    expected = measure_control_range(folders, SITE)
    assert [run.slide_id for run in expected.runs] == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
    assert expected.typical_od == pytest.approx(np.exp(np.log(GOOD).mean()))
    changed = with_control_range(SITE, expected)
    low, high = changed.control_od
    assert low < min(GOOD) < max(GOOD) < high
    assert changed.model_copy(update={"control_od": None}) == SITE


def test_a_slide_has_one_vote_however_often_it_was_scored(write):
    first = write(*GOOD)
    expected = measure_control_range([first, first], SITE)
    assert len(expected.runs) == len(expected.left_out) == len(GOOD)
    assert expected.left_out[0] == "run-0: the same control as on run-0"


@pytest.mark.parametrize(
    ("said", "n_cells", "reason"),
    [
        ({"regions": ()}, 200, "no stained cell of control tissue"),
        ({}, LEAST_CELLS - 1, "49 stained cells, 50 are needed"),
    ],
)
def test_slides_that_say_nothing_are_left_out_with_the_reason(write, said, n_cells, reason):
    silent = write(0.9, n_cells=n_cells, name="silent", **said)
    expected = measure_control_range([write(*GOOD), silent], SITE)
    assert len(expected.runs) == len(GOOD)
    assert reason in expected.left_out[0]
    assert f"left out: {expected.left_out[0]}" in control_range_words(expected)
    with pytest.raises(CalibrationError, match=rf"0 slides show.*{LEAST_RUNS} are needed"):
        measure_control_range([silent], SITE)


def test_slides_of_other_cut_offs_and_networks_are_refused(write):
    other = SITE.model_copy(update={"complete_frac": 0.5, "name": "other"})
    with pytest.raises(
        CalibrationError, match=r"other cut-offs than those of .*\n  - run-0: other"
    ):
        measure_control_range([write(*GOOD, calibration=other)], SITE)
    two = [write(*GOOD, name="a"), write(0.4, name="b", model="other")]
    with pytest.raises(CalibrationError, match="different ways"):
        measure_control_range(two, SITE)


def test_an_earlier_range_does_not_stand_in_the_way(write):
    earlier = SITE.model_copy(update={"control_od": (0.2, 0.3)})
    assert len(measure_control_range([write(*GOOD, calibration=earlier)], SITE).runs) == len(GOOD)


def test_a_run_outside_of_the_range_is_named(write):
    many = [0.5 * 1.02**k for k in range(-5, 6)] * 2
    expected = measure_control_range([write(*many, 0.2)], SITE)
    assert [run.od for run in expected.outside] == [0.2]
    assert "run-22 stains at 0.200 OD, outside" in control_range_words(expected)


def test_a_folder_that_is_none_is_an_error(tmp_path: Path):
    with pytest.raises(ResultsError, match="no results folder"):
        measure_control_range([tmp_path], SITE)


def test_a_range_that_no_dye_reaches_is_an_error():
    wild = ControlRange((), Interval(0.1, 50.0), ())
    with pytest.raises(CalibrationError, match="control_od"):
        with_control_range(SITE, wild)


def test_the_command_writes_calibration_and_chart(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "300")
    site, out = tmp_path / "site.json", tmp_path / "site-controls.json"
    site.write_text(SITE.model_dump_json(), encoding="utf-8")
    command = ["control-range", str(write(*GOOD)), "--calibration", str(site), "--out", str(out)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "Control tissue of 6 slides" in shown.output
    assert "20 runs are usual" in shown.output
    low, high = find_calibration(out).control_od
    assert low < 0.42 < high
    chart = tmp_path / "site-controls.controls.png"
    assert chart.read_bytes().startswith(b"\x89PNG")
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
