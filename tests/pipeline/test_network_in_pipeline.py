"""The network's place in the pipeline, with a reader that knows what it will say."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.special import expit

from her2path.annotations.roi import Roi, RoiKind
from her2path.cells.odds import EVEN
from her2path.cells.polar import REACH_UM
from her2path.cells.seen_lines import LEAST_EVEN, LEAST_EVEN_OF_MANY
from her2path.cells.tumor import tumor_probability
from her2path.cells.tumor_groups import agreed_probability
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.errors import ModelError
from her2path.flags.evidence import ReviewFlag
from her2path.geometry import Mpp, Region
from her2path.models.description import ModelCalibration
from her2path.models.inference import NetworkPlanes
from her2path.pipeline import network, parts
from her2path.pipeline.conclude import conclude_cells
from her2path.pipeline.network import NetworkUse, Positions, find_network, positions_of
from her2path.pipeline.parts import (
    OPEN_SLIDES,
    measure_tiles,
    plan_parts,
    read_parts,
    read_positions,
)
from her2path.pipeline.rows import row_of
from her2path.pipeline.selection import read_tumor
from her2path.pipeline.settings import ScoreSettings, find_rule_set
from her2path.pipeline.survey import survey_slide
from her2path.results.record import read_record, write_record

pytestmark = pytest.mark.slow

USE = NetworkUse("told", Path("nowhere"), "0" * 64, "cpu")
STRIDE = 16


class ToldReader:
    """Sees dark spots as nuclei, all of them tumor, and is sure of one score."""

    # Further than cells are measured, as of any network that ships.
    halo_um = 60.0
    runs = "what it was told"

    def __init__(self, score: Score = Score.ONE_PLUS) -> None:
        self.score = score
        self.description = SimpleNamespace(
            mpp=0.5,
            check_mpp=lambda _: None,
            calibration=ModelCalibration(coverage=0.9, conformal_quantile=0.2),
        )

    def resampled(self, rgb: np.ndarray, _mpp: float) -> tuple[np.ndarray, float]:
        size = (-(-rgb.shape[1] // 2), -(-rgb.shape[0] // 2))
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), 2.0

    def read(self, rgb: np.ndarray, mpp: float) -> NetworkPlanes:
        size = (-(-rgb.shape[1] // 2), -(-rgb.shape[0] // 2))
        dark = 255.0 - cv2.resize(rgb[..., 0], size, interpolation=cv2.INTER_AREA)
        spot = cv2.GaussianBlur(dark, (0, 0), 3.0) - cv2.GaussianBlur(dark, (0, 0), 9.0)
        seen = (8 * spot).clip(0, 255).astype(np.uint8)
        grid = (-(-size[1] // STRIDE), -(-size[0] // STRIDE))
        return NetworkPlanes(
            nucleus=seen,
            centre=seen,
            # Even odds: the lines of the picture decide.
            membrane=np.full_like(seen, 128),
            tumor=np.full_like(seen, 255),
            outside=np.zeros_like(seen),
            weight=np.full(grid, 0.5, np.float32),
            features=np.full((*grid, 4), 0.25, np.float32),
            mpp=2 * mpp,
            downsample=2.0,
            stride=STRIDE,
        )

    def score_probabilities(self, mean_features: np.ndarray) -> np.ndarray:
        assert mean_features == pytest.approx(0.25)
        return np.array([[1.0 if score is self.score else 0.0 for score in EXPRESSION_SCORES]])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    """Every use of a network gets a reader that says this score."""

    def tell(score: Score) -> None:
        reader = ToldReader(score)
        for module in (network, parts):
            monkeypatch.setattr(module, "reader_of", lambda _: reader)

    tell(Score.ONE_PLUS)
    return tell


@pytest.fixture(autouse=True)
def _closed_slides():
    yield
    OPEN_SLIDES.close()


def measured(job, settings: ScoreSettings, folder: Path):
    survey = survey_slide(job, settings)
    folder.mkdir(exist_ok=True)
    tasks = plan_parts(survey, folder)
    for task in tasks:
        measure_tiles(task)
    paths = [task.part for task in tasks]
    positions = read_positions(paths)
    # Beyond the tissue it hangs on the tiles which of them are read.
    is_covered = survey.looked_up(survey.covered, positions.x, positions.y)
    return survey, read_parts(paths), positions.select(is_covered)


@pytest.fixture(scope="module")
def read_once(drawn, job_on, settings, tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        for module in (network, parts):
            patch.setattr(module, "reader_of", lambda _: ToldReader())
        folder = tmp_path_factory.mktemp("parts")
        return measured(job_on(drawn), replace(settings, network=USE), folder)


@pytest.fixture
def conclude(told, read_once, settings):
    def run(score: Score, **job_values: object):
        told(score)
        survey, cells, positions = read_once
        survey = replace(survey, job=replace(survey.job, **job_values))
        chosen = replace(settings, network=USE)
        return conclude_cells(survey, cells, chosen, timings={}, positions=positions).record

    return run


@pytest.mark.usefixtures("told")
def test_cells_and_positions_are_the_same_whatever_the_tile(
    drawn, job_on, settings, read_once, tmp_path: Path
):
    small = replace(settings, network=USE, tile_um=120.0)
    one, many = read_once, measured(job_on(drawn), small, tmp_path / "small")
    assert len(many[0].tiles) > len(one[0].tiles)
    for name in ("x", "y", "weight", "features"):
        np.testing.assert_array_equal(getattr(one[2], name), getattr(many[2], name))
    cells = [
        part[1].select(part[0].looked_up(part[0].covered, part[1].x, part[1].y))
        for part in (one, many)
    ]
    np.testing.assert_array_equal(cells[0].x, cells[1].x)
    np.testing.assert_array_equal(cells[0].seen_tumor, cells[1].seen_tumor)
    np.testing.assert_allclose(cells[0].line_contrast_od, cells[1].line_contrast_od, atol=1e-6)


def test_what_the_network_takes_for_tumor_is_counted(conclude, read_once):
    survey, cells, _ = read_once
    record = conclude(Score.ONE_PLUS)
    assert (cells.seen_tumor > 0.9).all()
    assert record.reading.n_tumor_cells > 0.8 * record.selection.n_cells
    assert record.selection.method == "told"
    assert record.model == "told"
    assert survey.network == USE


def test_network_and_rule_say_together_what_is_tumor(read_once):
    survey, cells, _ = read_once
    place_um = {"x_um": cells.x * survey.mpp.x, "y_um": cells.y * survey.mpp.y}
    by_rule = tumor_probability(cells, **place_um)
    as_read = read_tumor(cells, survey).as_read
    assert (as_read >= np.minimum(by_rule, cells.seen_tumor) - 1e-3).all()
    assert (as_read <= np.maximum(by_rule, cells.seen_tumor) + 1e-3).all()
    np.testing.assert_allclose(as_read, agreed_probability(cells.seen_tumor_twice, by_rule))
    alone = replace(survey, network=None)
    np.testing.assert_array_equal(read_tumor(cells, alone).as_read, by_rule)


@pytest.mark.parametrize(("at_once", "at_twice"), [(0.4, 0.5), (0.5, 0.1)])
def test_a_second_look_brings_cells_in_and_loses_none(
    read_once, monkeypatch, at_once: float, at_twice: float
):
    survey, cells, _ = read_once
    is_brought = np.arange(len(cells)) % 2 == 0
    once = np.full(len(cells), 0.3, np.float32)
    told = replace(
        cells,
        seen_tumor=once,
        seen_tumor_twice=np.where(is_brought, np.float32(0.99), once),
    )
    by_rule = read_tumor(cells, replace(survey, network=None)).as_read
    by_one_look = agreed_probability(once, by_rule)
    part = iter((at_once, at_twice))
    monkeypatch.setattr("her2path.pipeline.selection.parting", lambda _: next(part))
    monkeypatch.setattr("her2path.pipeline.selection.told_by_sure_nuclei", lambda p, *_, **__: p)
    found = read_tumor(told, survey)
    assert found.parts_at == min(at_once, at_twice)
    np.testing.assert_allclose(found.as_read[~is_brought], by_one_look[~is_brought])
    assert (found.as_read[is_brought] > by_one_look[is_brought] + 0.05).all()


def test_a_slide_is_cut_where_its_cells_part(conclude, read_once, monkeypatch):
    _, cells, _ = read_once
    usual = conclude(Score.ONE_PLUS)
    # A reader of the same cells who is too low everywhere, and one who parts them.
    low = expit(np.where(np.arange(len(cells)) % 3 == 0, -5.5, -1.5)).astype(np.float32)
    monkeypatch.setattr("her2path.pipeline.selection.agreed_probability", lambda *_: low)
    monkeypatch.setattr("her2path.pipeline.selection.parting", lambda _: 0.05)
    record = conclude(Score.ONE_PLUS)
    assert record.selection.parts_at == 0.05
    assert record.reading.n_tumor_cells == pytest.approx(2 / 3 * usual.selection.n_cells, rel=0.15)
    assert record.selection.score_as_read is Score.NOT_ASSESSABLE
    (flag,) = (f for f in record.flags if f.flag is ReviewFlag.TUMOR_UNCERTAIN)
    assert flag.number == pytest.approx(5)
    assert record.review


def test_counting_stained_cells_alone_is_flagged(conclude, read_once, monkeypatch):
    _, cells, _ = read_once
    assert conclude(Score.ONE_PLUS).selection.left_out_pct < 5
    clearest = np.partition(cells.line_contrast_od, -8, axis=1)[:, -8:].mean(axis=1)
    by_stain = np.where(clearest > np.median(clearest), 0.99, 0.01).astype(np.float32)
    monkeypatch.setattr("her2path.pipeline.selection.agreed_probability", lambda *_: by_stain)
    record = conclude(Score.ONE_PLUS)
    facts = record.selection
    assert facts.left_out_pct > 10
    assert facts.stained_with_left_out_pct < record.reading.shares["pct_stained"] - 8
    (flag,) = (f for f in record.flags if f.flag is ReviewFlag.UNSTAINED_LEFT_OUT)
    assert flag.number == facts.left_out_pct
    assert record.review


@pytest.mark.parametrize("score", [Score.ONE_PLUS, Score.TWO_PLUS])
def test_tumor_that_is_hardly_known_counts_for_its_nuclei_unless_that_takes_back_2_plus(
    conclude, read_once, monkeypatch, score
):
    _, cells, _ = read_once
    usual = conclude(Score.ONE_PLUS)
    assert usual.selection.by_nuclei_pct is None
    clearest = np.partition(cells.line_contrast_od, -8, axis=1)[:, -8:].mean(axis=1)
    is_clear = clearest > np.quantile(clearest, 0.6)
    third = np.where(is_clear & (np.arange(len(cells)) % 3 == 0), 0.99, 0.01).astype(np.float32)
    monkeypatch.setattr("her2path.pipeline.selection.agreed_probability", lambda *_: third)
    # Half of this core is stroma.
    monkeypatch.setattr("her2path.cells.lookalikes.LEAST_ALIKE", 0.3)
    monkeypatch.setattr("her2path.pipeline.told_by_nuclei.score_of", lambda *_, **__: (score, None))
    record = conclude(Score.ONE_PLUS)
    facts, stained = record.selection, record.reading.shares["pct_stained"]
    flags = [flag for flag in record.flags if flag.flag is ReviewFlag.TUMOR_BY_NUCLEI]
    if score is Score.TWO_PLUS:
        assert (flags, facts.by_nuclei_pct) == ([], None)
        return
    assert [flag.number for flag in flags] == [facts.by_nuclei_pct]
    assert facts.by_nuclei_pct > 40
    assert record.review
    assert stained < facts.stained_as_recognized_pct - 8
    # Nearer to what all cells show than without them.
    truth = usual.reading.shares["pct_stained"]
    assert abs(stained - truth) < abs(facts.stained_as_recognized_pct - truth)


def test_a_score_that_hangs_on_cells_below_the_blank_is_flagged(conclude, read_once):
    usual = conclude(Score.ONE_PLUS)
    assert usual.blank.below_pct < 70
    assert usual.blank.score_without_below is usual.score
    # As if no line reached its limit by itself, and the network saw them all.
    survey, cells, positions = read_once
    faint = np.minimum(cells.line_contrast_od, np.float32(0.012))
    seen = np.full_like(cells.seen_line, 255)
    record = conclude_cells(
        survey,
        replace(cells, line_contrast_od=faint, seen_line=seen),
        ScoreSettings(network=USE),
        timings={},
        positions=positions,
    ).record
    assert record.blank.below_pct == 100
    assert record.blank.score_without_below is Score.ZERO
    (flag,) = (f for f in record.flags if f.flag is ReviewFlag.BELOW_BLANK)
    assert flag.number == 100
    assert record.review


@pytest.mark.usefixtures("told")
def test_unstained_cells_say_how_sure_the_network_must_be(read_once):
    survey, cells, positions = read_once
    most = np.arange(len(cells)) % 3 > 0

    def read(others: int):
        """Half sure of a membrane on two of three cells, and so sure of it on all others."""
        seen = np.where(most, 115, others).astype(np.uint8)[:, None]
        found = conclude_cells(
            survey,
            replace(cells, seen_line=np.broadcast_to(seen, cells.seen_line.shape)),
            ScoreSettings(network=USE),
            timings={},
            positions=positions,
        )
        is_half_sure = found.counted.selection.is_counted & most
        return found.record, (found.counted.classes.intensity > 0)[is_half_sure].mean()

    (cold, stained_if_cold), (unsure, stained_if_unsure) = read(4), read(115)
    assert cold.blank.line_even == LEAST_EVEN
    # Many of its cells are stained all the same.
    assert LEAST_EVEN_OF_MANY <= unsure.blank.line_even < EVEN
    assert stained_if_cold > stained_if_unsure


@pytest.mark.parametrize("score", [Score.ONE_PLUS, Score.THREE_PLUS])
def test_the_networks_score_stands_beside_the_call_and_never_replaces_it(conclude, score):
    record = conclude(score)
    call = record.call.score
    joint = record.network.joint
    assert record.score is joint.rule.score is call
    assert joint.network.score is score
    assert (ReviewFlag.READERS_DISAGREE in {flag.flag for flag in record.flags}) == (
        score is not call
    )
    assert record.probabilities[score] > 0.04
    assert sum(record.probabilities.values()) == pytest.approx(1)
    assert joint.conformal_set == (score,)
    assert {region.network_score for region in record.regions} <= {score, None}
    assert any(region.network_score is score for region in record.regions)


def test_other_organs_criteria_raise_no_disagreement(conclude):
    record = conclude(Score.THREE_PLUS, rule_set=find_rule_set("gastric-resection"))
    assert record.score is not Score.THREE_PLUS
    assert ReviewFlag.READERS_DISAGREE not in {flag.flag for flag in record.flags}
    # Nor does it have a say in their probabilities: they may have no 0+ at all.
    assert record.probabilities == record.reading.probabilities
    assert record.probabilities[Score.ULTRALOW] == 0


@pytest.mark.parametrize(
    ("edition", "meant"), [("asco-cap-2013", Score.ZERO), ("asco-cap-2007", Score.ONE_PLUS)]
)
def test_an_edition_without_0plus_hears_of_none(conclude, edition, meant):
    record = conclude(Score.ULTRALOW, rule_set=find_rule_set(edition))
    assert record.network.joint.network.score is meant
    assert record.network.joint.conformal_set == (meant,)
    assert record.probabilities[Score.ULTRALOW] == 0
    assert sum(record.probabilities.values()) == pytest.approx(1)
    assert {region.network_score for region in record.regions} <= {meant, None}
    is_flagged = ReviewFlag.READERS_DISAGREE in {flag.flag for flag in record.flags}
    assert is_flagged == (record.score is not meant)


def test_an_outline_called_like_a_square_is_read_for_itself(conclude, read_once):
    _, _, positions = read_once
    square, *_ = conclude(Score.ONE_PLUS).regions
    elsewhere = Roi(square.region_id, "", RoiKind.TUMOR, "", shapely.box(9000, 9000, 9100, 9100))
    (read,) = network.with_network_scores(
        [replace(square, network_score=None)],
        USE,
        positions,
        {elsewhere.roi_id: elsewhere},
        told_as={},
    )
    assert read.network_score is Score.ONE_PLUS


def test_both_readers_are_stored_and_stand_in_the_table(conclude, tmp_path: Path):
    record = conclude(Score.TWO_PLUS)
    write_record(tmp_path / "slide.json", record)
    again = read_record(tmp_path / "slide.json")
    assert again.network == record.network
    assert again.network.runs == "what it was told"
    row = row_of(again)
    assert row["network_score"] is Score.TWO_PLUS
    assert row["network_set"] == ["2+"]
    assert row["p_2plus"] == record.probabilities[Score.TWO_PLUS]
    assert row["model"] == "told"


@given(
    cuts=st.lists(st.integers(1, 599), min_size=0, max_size=4, unique=True),
    mpp=st.sampled_from([0.2, 0.25, 0.5]),
)
@hypothesis_settings(deadline=None)
def test_every_position_belongs_to_one_tile(cuts, mpp):
    edges = [0, *sorted(cuts), 600]
    grid = STRIDE * 2
    owned = []
    for left, right in itertools.pairwise(edges):
        core = Region(left, 0, right - left, 600)
        x = max(0, (left - 100) // grid * grid)
        frame = Region(x, 0, min(700, right + 100) - x, 700)
        rgb = np.zeros((frame.height, frame.width, 3), np.uint8)
        planes = ToldReader().read(rgb, mpp)
        owned.append(positions_of(planes, frame, core, mpp, Mpp(mpp, mpp)))
    positions = Positions.concatenate(owned)
    places = sorted(zip(positions.y, positions.x, strict=True))
    expected = sorted((y, x) for y in range(16, 600, 32) for x in range(16, 600, 32))
    assert places == expected


def test_positions_count_by_the_tumor_cells_expected_at_them():
    positions = Positions(
        x=np.zeros(2),
        y=np.zeros(2),
        weight=np.array([3.0, 1.0], np.float32),
        features=np.array([[1.0], [0.0]], np.float16),
    )
    assert positions.mean_features() == pytest.approx([0.75])
    assert positions.select(np.array([False, False])).mean_features() is None


@pytest.mark.usefixtures("told")
def test_frames_of_a_network_see_all_that_it_looks_at(drawn, job_on, settings):
    plain = survey_slide(job_on(drawn), replace(settings, tile_um=100.0))
    seen = survey_slide(job_on(drawn), replace(settings, tile_um=100.0, network=USE))
    inner = next(t for t in seen.tiles if t.frame.x > 0 and t.frame.y > 0)
    margin_um = (inner.core.x - inner.frame.x) * seen.mpp.x
    assert margin_um >= 2 * REACH_UM + ToldReader.halo_um
    assert inner.frame.x % (2 * STRIDE) == 0
    assert [t.core for t in plain.tiles] == [t.core for t in seen.tiles]


def test_rules_alone_is_a_choice_and_an_unknown_network_an_error():
    assert find_network("none") is None
    with pytest.raises(ModelError, match="known are"):
        find_network("no-such-network")


@pytest.mark.parametrize("is_in_hardware", [True, False])
def test_bfloat16_is_asked_for_where_it_is_in_hardware(
    monkeypatch: pytest.MonkeyPatch, is_in_hardware: bool
) -> None:
    monkeypatch.setattr(network, "multiplies_bfloat16", lambda _: is_in_hardware)
    if not is_in_hardware:
        with pytest.raises(ModelError, match="no hardware here that multiplies bfloat16"):
            find_network("auto", device="cpu", precision="bf16")
        return
    use = find_network("auto", device="cpu", precision="bf16")
    assert use is not None
    # The one that ships has its ONNX, which is fp32.
    assert network.reader_of(use).runs == "torch, bf16, on cpu"
    assert network.reader_of(replace(use, precision="auto")).runs == "onnx, fp32, on cpu"
    # Another precision makes another result: a run does not go on in it.
    asked, plain = (ScoreSettings(network=one) for one in (use, replace(use, precision="auto")))
    assert asked.identity != plain.identity
