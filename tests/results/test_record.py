import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from her2path.cells.calibration import generic_calibration
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import EXPRESSION_SCORES, IshResult, Score, Status
from her2path.criteria.tally import Tally
from her2path.errors import ResultsError
from her2path.flags import Border, FlagEvidence, needs_review, raise_flags
from her2path.geometry import Region
from her2path.results.columns import Exclusion
from her2path.results.folder import SlideFolder
from her2path.results.record import (
    BlankFacts,
    CellSelection,
    ControlFacts,
    Estimate,
    FocusFacts,
    Heterogeneity,
    Reading,
    RegionKind,
    RegionRecord,
    ScanFacts,
    SlideRecord,
    Stability,
    StainFacts,
    TissueFacts,
    Trial,
    read_record,
    read_records,
    write_record,
)
from her2path.statistics import Interval
from her2path.statistics.heterogeneity import Cluster3Plus, RegionSpread
from her2path.statistics.resampling import score_probabilities, share_intervals

RULES = load_rule_set("asco-cap-2018")
BLANK_PCT = 1.8


def reading_of(blocks: np.ndarray) -> Reading:
    tally = Tally.from_array(blocks.sum(axis=0))
    return Reading(
        tally=tally,
        shares=tally.shares().columns(),
        intervals=share_intervals(blocks),
        probabilities=score_probabilities(
            RULES, blocks, blank_upper_pct=BLANK_PCT, rng=np.random.default_rng(1), n_resamples=200
        ),
        n_blocks=len(blocks),
        measures={
            "membrane_od": Estimate(0.21, Interval(0.18, 0.24), 900, "OD"),
            "membrane_width_um": Estimate(0.8, Interval(0.75, 0.86), 900, "µm"),
            "cytoplasm_od": Estimate(0.04, Interval(0.03, 0.05), tally.n_cells, "OD"),
        },
    )


def sample_record() -> SlideRecord:
    """A 1+ on an uncalibrated slide with an outline, a control and a few flags."""
    rng = np.random.default_rng(4)
    shares = [[0.68, 0, 0], [0.22, 0.03, 0.002], [0.04, 0.01, 0.012], [0, 0.004, 0.002], [0, 0, 0]]
    odds = np.ravel(shares) / np.sum(shares)
    blocks = rng.multinomial(120, odds, size=24).reshape(24, 5, 3)
    reading = reading_of(blocks)
    call = RULES.call(reading.tally, blank_upper_pct=BLANK_PCT)
    assert call.deciding_lower is not None
    cluster = Cluster3Plus(0, 0, 0.0, call.score, False)
    flags = raise_flags(
        FlagEvidence(
            call=call,
            n_tumor_cells=reading.n_tumor_cells,
            borders=(Border(call.deciding_lower, Interval(9.0, 36.0)),),
            is_calibrated=False,
            scores_by_height={1.6: Score.TWO_PLUS},
            mpp=0.23,
            is_mpp_by_hand=True,
            has_control=True,
        )
    )
    regions = tuple(
        RegionRecord(
            region_id=f"r{k // 3:03d}c{k % 3:03d}",
            kind=RegionKind.GRID,
            name="",
            box=Region(k % 3 * 2174, k // 3 * 2174, 2174, 2174),
            area_mm2=0.23,
            n_cells=700,
            score=RULES.call(part.tally, blank_upper_pct=BLANK_PCT).score,
            reading=part,
        )
        for k in range(6)
        for part in [reading_of(blocks[4 * k : 4 * k + 4])]
    )
    drawn = RegionRecord(
        region_id="b7e1",
        kind=RegionKind.ROI,
        name="invasive front",
        box=Region(100, 200, 5000, 4000),
        area_mm2=1.05,
        n_cells=4000,
        score=call.score,
        reading=reading,
        outline=((((100.0, 200.0), (5100.0, 200.0), (5100.0, 4200.0), (100.0, 4200.0)),),),
    )
    excluded = dict.fromkeys(Exclusion, 0) | {
        Exclusion.COUNTED: reading.n_tumor_cells,
        Exclusion.NOT_TUMOR: 1400,
        Exclusion.CONTROL: 210,
    }
    return SlideRecord(
        slide_id="S24-1183_HER2",
        path="slides/S24-1183_HER2.svs",
        software_version="0.1.0",
        created="2026-11-21T03:40:00+00:00",
        settings_hash="3f" * 32,
        scan=ScanFacts(
            backend="jpeg-tiff",
            vendor="aperio",
            scanner="Aperio GT 450",
            width=6522,
            height=4348,
            level_count=3,
            mpp_x=0.23,
            mpp_y=0.23,
            mpp_source="given",
            objective_power=40.0,
            compression="JPEG",
            has_icc=True,
            working_mpp=0.23,
        ),
        tissue=TissueFacts(
            is_assessable=True,
            reason="",
            explanation="",
            area_mm2=1.12,
            tissue_frac=0.75,
            artefact_frac={"pen": 0.0, "dirt": 0.01, "bubble": 0.0, "fold": 0.02, "edge": 0.07},
            staining="her2_ihc",
            staining_reason="brown and blue as of DAB and hematoxylin",
            staining_numbers={"stained_frac": 0.7},
            focus=FocusFacts(0.42, 0.0, 8),
            remarks=("control_excluded",),
            controls=(ControlFacts("found", "piece 2", Region(10, 20, 900, 800), 0.03, True),),
        ),
        stain=StainFacts(
            white_point=(243.1, 242.0, 244.6),
            white_point_source="measured",
            hematoxylin=(0.651, 0.701, 0.290),
            dab=(0.269, 0.568, 0.778),
            angle_to_reference_deg=(0.0, 0.0),
            counterstain_contrast_od=0.09,
            counterstain_h_od=0.25,
            nuclear_hematoxylin_od=0.31,
        ),
        calibration=generic_calibration(),
        rule_set=RULES.name,
        edition=RULES.edition,
        organ=RULES.organ,
        score=call.score,
        status=Status.LOW,
        status_comment="",
        call=call,
        ish=IshResult.GROUP_5,
        blank=BlankFacts(
            source="slide",
            min_line_contrast_od=0.034,
            n_reference=1312,
            stained_pct=0.9,
            upper_pct=BLANK_PCT,
        ),
        selection=CellSelection(
            method="measurements",
            cut=0.5,
            cut_in_roi=0.35,
            n_cells=sum(excluded.values()),
            excluded=excluded,
            uncertain_margin=0.15,
            uncertain_pct=7.2,
            score_without_uncertain=call.score,
            score_with_uncertain=call.score,
            cytoplasmic_pct=1.1,
            hidden_nuclei_pct=0.2,
        ),
        reading=reading,
        stability=Stability(
            trials=(
                Trial("line limit", "× 0.8", Score.ONE_PLUS, 36.0, 1.7),
                Trial("line limit", "× 1.25", Score.ONE_PLUS, 27.0, 1.3),
            ),
            changed_pct=0.0,
        ),
        heterogeneity=Heterogeneity(
            RegionSpread(
                Score.ONE_PLUS, Score.ONE_PLUS, 6, {r.region_id: r.score for r in regions}
            ),
            cluster,
        ),
        flags=flags,
        review=needs_review(flags),
        regions=(*regions, drawn),
        timings={"survey": 1.2, "measure": 9.8, "conclude": 1.1},
        remarks=("control tissue was left out",),
        patient_id="P-17",
        extras={"block": "A3"},
    )


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = sample_record()
    write_record(tmp_path / "slide.json", record)
    assert read_record(tmp_path / "slide.json") == record


def test_every_page_of_json_says_research_use_only(tmp_path: Path) -> None:
    write_record(tmp_path / "slide.json", sample_record())
    document = json.loads((tmp_path / "slide.json").read_text(encoding="utf-8"))
    assert document["research_use"].startswith("For Research Use Only")
    assert document["score"] == "1+"
    assert document["call"]["deciding_lower"]["criterion"]["intensity"] == "faint"


def test_review_reasons_are_the_flags_that_ask_for_a_second_read() -> None:
    record = sample_record()
    assert record.review
    assert record.review_reasons == ("interval_crosses_cut", "calibration_matters")


def test_a_slide_that_is_not_assessable_has_no_call(tmp_path: Path) -> None:
    record = dataclasses.replace(
        sample_record(), score=Score.NOT_ASSESSABLE, status=Status.NOT_ASSESSABLE, call=None
    )
    write_record(tmp_path / "slide.json", record)
    assert read_record(tmp_path / "slide.json").call is None


def test_probabilities_are_kept_under_their_scores(tmp_path: Path) -> None:
    write_record(tmp_path / "slide.json", sample_record())
    found = read_record(tmp_path / "slide.json").reading.probabilities
    assert tuple(found) == EXPRESSION_SCORES
    assert sum(found.values()) == pytest.approx(1)


def test_all_faults_of_a_record_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "slide.json"
    write_record(path, sample_record())
    document = json.loads(path.read_text(encoding="utf-8"))
    document["score"] = "4+"
    document["scan"]["width"] = "wide"
    del document["tissue"]["area_mm2"]
    document["mood"] = "good"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ResultsError) as caught:
        read_record(path)
    for part in ("4 faults", "$.score", "$.scan.width", "$.tissue.area_mm2", "$.mood"):
        assert part in str(caught.value)


def test_a_record_of_another_format_says_so(tmp_path: Path) -> None:
    path = tmp_path / "slide.json"
    path.write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ResultsError, match="format 99"):
        read_record(path)


def test_a_list_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "slide.json"
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(ResultsError, match="format"):
        read_record(path)


def test_a_deleted_or_damaged_record_costs_the_others_nothing(tmp_path: Path, caplog) -> None:
    folders = [SlideFolder(tmp_path / name) for name in ("kept", "deleted", "damaged")]
    for folder in (folders[0], folders[2]):
        folder.path.mkdir()
        write_record(folder.slide_json, sample_record())
    folders[2].slide_json.write_text("{")
    lost: list[str] = []
    assert list(read_records(folders, lost=lost)) == [sample_record()]
    assert lost == ["deleted", "damaged"]
    assert all(name in caplog.text for name in lost)
