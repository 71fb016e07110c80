"""From control slides on disk to the calibration of a site."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from her2path.cells.calibration import generic_calibration, parse_calibration
from her2path.cells.classify import classify_cells
from her2path.cells.measure import measure_cells
from her2path.criteria.score import Score
from her2path.errors import CalibrationError, ManifestError
from her2path.pipeline.calibrate import (
    calibrate_site,
    controls_of_manifest,
    draft_of,
    known_score,
    run_all,
    spread,
)
from her2path.pipeline.executors import InProcess
from her2path.pipeline.settings import ScoreSettings, SlideJob, find_rule_set
from her2path.pipeline.survey import survey_slide
from her2path.stain import StainMatrix
from her2path.stain.estimate import StainEstimate
from her2path.stain.matrix import angle_deg
from her2path.synth import (
    Field,
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    mix_of,
)

MIXES: Mapping[str, dict[str, float]] = {
    "0": {"none": 1.0},
    "1+": {"none": 0.62, "faint_incomplete": 0.26, "weak_incomplete": 0.12},
    "2+": {
        "none": 0.2,
        "faint_incomplete": 0.2,
        "weak_incomplete": 0.15,
        "weak_complete": 0.15,
        "moderate_complete": 0.3,
    },
    "3+": {"intense_complete": 0.76, "moderate_complete": 0.12, "moderate_incomplete": 0.12},
    # Another slide of the laboratory, with every class.
    "other": {
        "none": 0.3,
        "faint_incomplete": 0.2,
        "weak_complete": 0.2,
        "moderate_complete": 0.15,
        "intense_complete": 0.15,
    },
}
PALE = replace(Laboratory(), name="pale", dab_strength=0.5)


def draw(mix: str, seed: int) -> Field:
    region = RegionRecipe(mix=mix_of(**MIXES[mix]), nest_um=150)
    recipe = SlideRecipe(
        width_um=420, height_um=420, tissue=TissueShape("core", 30.0), regions=(region,)
    )
    return draw_field(recipe, PALE, seed=seed)


def save(rgb: np.ndarray, path: Path) -> Path:
    cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return path


def write_list(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "controls.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("text", "score"),
    [("0", Score.ZERO), ("1", Score.ONE_PLUS), ("3+", Score.THREE_PLUS)],
)
def test_scores_are_read_as_people_write_them(text: str, score: Score):
    assert known_score(text) is score


@pytest.mark.parametrize("text", ["4+", "+", "positive", "not_assessable"])
def test_what_is_no_score_is_refused(text: str):
    with pytest.raises(ValueError, match="none of 0, 1"):
        known_score(text)


def test_a_control_of_0_plus_is_refused_before_anything_is_measured(tmp_path: Path):
    rows = [{"path": "a.png", "score": "0"}, {"path": "b.png", "score": "ultralow"}]
    with pytest.raises(ManifestError, match=r"row 3, score: a control of 0\+ sets neither"):
        controls_of_manifest(write_list(tmp_path, rows), mpp=0.25)


def test_faults_of_the_list_come_all_at_once(tmp_path: Path):
    path = write_list(
        tmp_path,
        [
            {"path": "a.png", "score": "5", "mpp": "0.25"},
            {"path": "b.png", "score": "", "mpp": "25"},
        ],
    )
    with pytest.raises(ManifestError, match=r"3 faults[\s\S]*row 2, score[\s\S]*row 3, mpp"):
        controls_of_manifest(path)


def test_a_list_without_scores_is_refused(tmp_path: Path):
    path = write_list(tmp_path, [{"path": "a.png", "mpp": "0.25"}])
    with pytest.raises(ManifestError, match="no column score"):
        controls_of_manifest(path)


def test_controls_that_cannot_be_used_are_all_named(tmp_path: Path, glass: Path, damaged: Path):
    rows = [
        {"path": glass, "score": "0", "mpp": 0.25},
        {"path": damaged, "score": "1+", "mpp": ""},
        {"path": tmp_path / "gone.svs", "score": "2+", "mpp": ""},
    ]
    controls = controls_of_manifest(write_list(tmp_path, rows))
    with pytest.raises(
        CalibrationError, match=r"3 faults[\s\S]*glass: No tissue[\s\S]*damaged[\s\S]*gone"
    ):
        calibrate_site(controls, name="site")


@pytest.mark.parametrize(
    ("named", "said", "words"),
    [
        (("Aperio AT2", "S360"), "", "several scanners"),
        (("Aperio AT2", "S360"), "aperio at2", "name the scanner S360, not aperio at2"),
        (("S360", "S360"), "AT2", "name the scanner S360, not AT2"),
        (("", "S360"), "s360", ""),
    ],
)
def test_scanners_that_the_calibration_is_not_for_are_remarked_on(
    drawn: Path, named: tuple[str, ...], said: str, words: str
):
    job = SlideJob(
        slide_id="drawn",
        path=drawn,
        rule_set=find_rule_set("asco-cap-2018"),
        calibration=generic_calibration(),
        mpp=0.25,
    )
    survey = survey_slide(job, ScoreSettings())
    surveys = [replace(survey, scan=replace(survey.scan, scanner=scanner)) for scanner in named]
    stains = StainEstimate(StainMatrix(), True, "", 2, 100)
    _, remarks = draft_of(surveys, stains, name="site", scanner=said, network=None)
    assert ("scanner" in " ".join(remarks)) == bool(words)
    assert words in " ".join(remarks)


def test_results_come_by_name_and_progress_is_told():
    told: list[tuple[int, int]] = []
    found = run_all(
        InProcess(), pow, {"a": (2, 3), "b": (3, 2)}, lambda *numbers: told.append(numbers)
    )
    assert found == {"a": 8, "b": 9}
    assert told[-1] == (2, 2)


def test_tiles_are_spread_over_all_of_them():
    assert spread(range(5), 10) == (0, 1, 2, 3, 4)  # type: ignore[arg-type]
    assert spread(range(100), 4) == (0, 25, 50, 75)  # type: ignore[arg-type]


def test_a_slide_says_that_its_calibration_is_for_another_scan(drawn: Path):
    def remarks(high: float) -> tuple[str, ...]:
        calibration = generic_calibration().model_copy(update={"mpp_range": (0.2, high)})
        job = SlideJob(
            slide_id="drawn",
            path=drawn,
            rule_set=find_rule_set("asco-cap-2018"),
            calibration=calibration,
            mpp=0.25,
        )
        return survey_slide(job, ScoreSettings()).remarks

    assert remarks(0.3) == ()
    assert "made for 0.2 to 0.24" in remarks(0.24)[0]


@pytest.mark.slow
def test_a_calibration_of_the_site_is_right_more_often_than_the_generic_one(tmp_path: Path):
    rows = [
        {"path": save(draw(score, 100 + k).rgb, tmp_path / f"c{k}.png"), "score": score}
        for k, score in enumerate(("0", "1+", "2+", "3+"))
    ]
    controls = controls_of_manifest(write_list(tmp_path, rows), mpp=PALE.mpp)
    stages: list[str] = []

    site = calibrate_site(controls, name="pale", progress=lambda words, *_: stages.append(words))

    made = site.calibration
    assert parse_calibration(made.model_dump_json(), where="test") == made
    assert made.is_site_specific
    assert site.remarks == ()
    assert site.stains.is_measured
    assert angle_deg(made.dab, PALE.dab) < 3
    assert made.white_point == pytest.approx(PALE.white_point, abs=3)
    assert made.mpp_range[0] < PALE.mpp < made.mpp_range[1]
    assert list(dict.fromkeys(stages)) == ["looking at controls", "planning", "measuring cells"]
    # Brown is half as strong as usual, and so are the cuts.
    generic = generic_calibration()
    assert made.intensity.intense_od < 0.75 * generic.intensity.intense_od

    other = draw("other", 7)
    path = save(other.rgb, tmp_path / "other.png")
    right = {}
    for name, calibration in (("generic", generic), ("site", made)):
        job = SlideJob(
            slide_id="other",
            path=path,
            rule_set=find_rule_set("asco-cap-2018"),
            calibration=calibration,
            mpp=PALE.mpp,
        )
        survey = survey_slide(job, ScoreSettings())
        cells = measure_cells(other.rgb, survey.measure, mpp=PALE.mpp)
        truth = other.truth.cells
        distance, nearest = cKDTree(np.column_stack([truth.x, truth.y])).query(
            np.column_stack([cells.x, cells.y])
        )
        use = (distance * PALE.mpp < 3) & truth.is_tumor[nearest]
        classes = classify_cells(cells.select(use), calibration)
        right[name] = float((classes.intensity == truth.intensity[nearest][use]).mean())
    assert right["site"] > right["generic"] + 0.2
    assert right["site"] > 0.75
