"""The text and the figure beside a calibration."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from her2path.cells.calibrating import Calibrated, ControlReading
from her2path.cells.calibration import generic_calibration
from her2path.criteria.score import Score
from her2path.pipeline.calibrate import SiteCalibration
from her2path.report.calibration import calibration_words, write_calibration_summary
from her2path.stain import StainMatrix
from her2path.stain.estimate import StainEstimate


def site() -> SiteCalibration:
    rng = np.random.default_rng(0)
    readings = tuple(
        ControlReading(f"{name} $x$ [b]", score, 200, 50.0, 10.0, od.astype(np.float32), counts)
        for name, score, od, counts in (
            ("null", Score.ZERO, np.empty(0), (200, 0, 0, 0, 0)),
            ("strong", Score.THREE_PLUS, rng.lognormal(-0.2, 0.3, 100), (100, 0, 0, 20, 80)),
        )
    )
    # As a formula it would be a faulty one.
    calibration = generic_calibration().model_copy(update={"name": "Lab $1_2_3$"})
    calibrated = Calibrated(calibration, readings, ("no control of 1+",))
    stains = StainEstimate(StainMatrix(), False, "2 slides are fewer than 3", 2, 100)
    return SiteCalibration(calibrated, stains, calibrated.remarks)


def test_the_text_names_cuts_controls_and_what_to_mind():
    words = calibration_words(site())
    for part in ("weak from 0.140", "strong $x$ [b]", "no control of 1+", "Research Use Only"):
        assert part in words


@pytest.mark.slow
def test_text_and_figure_are_written_the_same_each_time(tmp_path: Path):
    words, figure = write_calibration_summary(site(), tmp_path / "site.json")
    assert words.name == "site.txt"
    picture = cv2.imread(str(figure))
    assert picture is not None
    assert picture.shape[0] > 300
    again = write_calibration_summary(site(), tmp_path / "again.json")[1]
    assert figure.read_bytes() == again.read_bytes()
