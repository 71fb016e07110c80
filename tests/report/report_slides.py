"""A made-up slide with its results: drawn cells, a record, files as a run leaves them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from her2path.cells.calibration import generic_calibration
from her2path.cells.table import N_SECTORS
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import Intensity, IshResult, Organ, Pattern, Score, Status
from her2path.criteria.tally import Tally
from her2path.flags.evidence import Flag, ReviewFlag
from her2path.geometry import Mpp, Region
from her2path.results.cells import write_cells
from her2path.results.columns import Exclusion
from her2path.results.folder import ResultsFolder
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
)
from her2path.results.review_log import EntryKind, ReviewEntry
from her2path.statistics.heterogeneity import Cluster3Plus, RegionSpread
from her2path.statistics.intervals import Interval

MPP = 0.5
WIDTH, HEIGHT = 1600, 1200
SHARES = (
    *(f"pct_{level.label}" for level in Intensity),
    "pct_complete",
    "pct_stained",
    "h_score",
)


@dataclass(frozen=True)
class MadeSlide:
    """A results folder with one slide whose pictures were not taken yet."""

    results: ResultsFolder
    record: SlideRecord

    @property
    def folder(self):
        return self.results.slide(self.record.slide_id)


def drawn_slide(path: Path) -> None:
    # Blocks of 8 px: structure to draw on that is quick to encode.
    rng = np.random.default_rng(5)
    rgb = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    blocks = rng.integers(150, 220, (125, 175, 3), dtype=np.uint8)
    rgb[100:1100, 100:1500] = blocks.repeat(8, axis=0).repeat(8, axis=1)
    Image.fromarray(rgb).save(path)


def cell_columns(n: int = 400, seed: int = 3):
    """Return n cells: a third is no tumor, the rest of all classes."""
    rng = np.random.default_rng(seed)
    is_tumor = rng.random(n) < 0.67
    intensity = np.where(is_tumor, rng.choice(5, n, p=(0.5, 0.2, 0.15, 0.1, 0.05)), 0)
    is_stained = intensity > 0
    arc = np.where(is_stained, rng.uniform(0.15, 1, n), 0)
    pattern = np.where(arc > 0.8, Pattern.COMPLETE, Pattern.INCOMPLETE)
    pattern = np.where(is_stained, pattern, Pattern.ABSENT)
    floats = {
        "completeness": arc,
        "longest_arc_frac": arc,
        "membrane_od": np.where(is_stained, rng.uniform(0.05, 0.9, n), 0),
        "membrane_contrast_od": np.where(is_stained, rng.uniform(0.03, 0.4, n), 0),
        "line_limit_od": np.full(n, 0.03),
        "tumor_probability": np.where(is_tumor, rng.uniform(0.5, 1, n), rng.uniform(0, 0.5, n)),
        "membrane_width_um": rng.uniform(0.5, 2, n),
        "cytoplasm_od": rng.uniform(0, 0.2, n),
        "nucleus_area_um2": rng.uniform(20, 80, n),
        "nucleus_elongation": rng.uniform(1, 2, n),
        "nucleus_h_od": rng.uniform(0.2, 0.5, n),
        "nucleus_dab_od": rng.uniform(0, 0.2, n),
        "spacing_um": rng.uniform(8, 15, n),
    }
    bits = np.where(is_stained, rng.integers(1, 2**32, n, dtype=np.uint64), 0)
    return {
        **{name: values.astype(np.float32) for name, values in floats.items()},
        "x": rng.uniform(100, 1500, n),
        "y": rng.uniform(100, 1100, n),
        "region_id": np.array(["r1"] * n, dtype=object),
        "is_tumor": is_tumor,
        "excluded": np.where(is_tumor, "", Exclusion.NOT_TUMOR.value).astype(object),
        "intensity": np.array([level.label for level in Intensity], dtype=object)[intensity],
        "pattern": np.array([kind.label for kind in Pattern], dtype=object)[pattern],
        "is_nucleus_hidden": np.zeros(n, np.bool_),
        "outline_um": rng.uniform(5, 8, (n, N_SECTORS)).astype(np.float32),
        "stained_sectors": bits.astype(np.uint32),
        "has_own_line": bits > 0,
    }


def tally_of(columns) -> Tally:
    is_counted = columns["excluded"] == ""
    levels = {level.label: level for level in Intensity}
    kinds = {kind.label: kind for kind in Pattern}
    return Tally.of(
        [levels[word] for word in columns["intensity"][is_counted]],
        [kinds[word].extent for word in columns["pattern"][is_counted]],
    )


def reading_of(tally: Tally) -> Reading:
    shares = tally.shares()
    found = {name: getattr(shares, name) for name in SHARES}
    return Reading(
        tally=tally,
        shares=found,
        intervals={
            name: Interval(max(0.0, value - 3.21), value + 4.32) for name, value in found.items()
        },
        probabilities={
            Score.ZERO: 0.0,
            Score.ULTRALOW: 0.0123,
            Score.ONE_PLUS: 0.0877,
            Score.TWO_PLUS: 0.8234,
            Score.THREE_PLUS: 0.0766,
        },
        n_blocks=17,
        measures={"membrane_od": Estimate(0.2134, Interval(0.1876, 0.2412), 901, "OD")},
    )


def record_of(path: Path, tally: Tally, slide_id: str = "slide A") -> SlideRecord:
    rules = load_rule_set("asco-cap-2018")
    call = rules.call(tally, blank_upper_pct=1.8)
    reading = reading_of(tally)
    return SlideRecord(
        slide_id=slide_id,
        path=str(path),
        software_version="0.1.0",
        created="2026-11-21T03:40:00+00:00",
        settings_hash="3f" * 32,
        scan=ScanFacts(
            backend="image",
            vendor="png",
            scanner="Scanner 3000",
            width=WIDTH,
            height=HEIGHT,
            level_count=1,
            mpp_x=MPP,
            mpp_y=MPP,
            mpp_source="given",
            objective_power=40.0,
            compression="deflate",
            has_icc=False,
            working_mpp=MPP,
            problems=("a problem of the file",),
        ),
        tissue=TissueFacts(
            is_assessable=True,
            reason="",
            explanation="",
            area_mm2=0.351,
            tissue_frac=0.7312,
            artefact_frac={"pen": 0.0, "fold": 0.0213},
            staining="her2_ihc",
            staining_reason="brown and blue",
            staining_numbers={"stained_frac": 0.7},
            focus=FocusFacts(0.42, 1.5, 8),
            remarks=("control_excluded",),
            controls=(ControlFacts("found", "piece 2", Region(1300, 900, 200, 150), 0.03, True),),
        ),
        stain=StainFacts(
            white_point=(243.1, 242.0, 244.6),
            white_point_source="measured",
            hematoxylin=(0.651, 0.701, 0.29),
            dab=(0.269, 0.568, 0.778),
            angle_to_reference_deg=(1.2, 3.4),
            counterstain_contrast_od=0.11,
            counterstain_h_od=0.27,
            nuclear_hematoxylin_od=0.31,
        ),
        calibration=generic_calibration(),
        rule_set=rules.name,
        edition=rules.edition,
        organ=Organ.BREAST,
        score=call.score,
        status=Status.EQUIVOCAL,
        status_comment="reflex ISH decides",
        call=call,
        ish=IshResult.GROUP_4,
        blank=BlankFacts(
            source="slide",
            min_line_contrast_od=0.034,
            n_reference=1312,
            stained_pct=0.9,
            upper_pct=1.8,
        ),
        selection=CellSelection(
            method="measurements",
            cut=0.5,
            cut_in_roi=0.35,
            n_cells=400,
            excluded={Exclusion.COUNTED: tally.n_cells, Exclusion.NOT_TUMOR: 400 - tally.n_cells},
            uncertain_margin=0.15,
            uncertain_pct=7.25,
            score_without_uncertain=Score.ONE_PLUS,
            score_with_uncertain=Score.TWO_PLUS,
            cytoplasmic_pct=1.13,
            hidden_nuclei_pct=0.24,
        ),
        reading=reading,
        stability=Stability(
            (
                Trial("line limit", "× 0.8", Score.TWO_PLUS, 36.06, 11.73),
                Trial("line limit", "× 1.25", Score.ONE_PLUS, 27.04, 9.31),
            ),
            50.0,
        ),
        heterogeneity=Heterogeneity(
            RegionSpread(Score.ONE_PLUS, Score.THREE_PLUS, 6, {"r1": Score.TWO_PLUS}),
            Cluster3Plus(61, 80, 8.2, Score.ONE_PLUS, True),
        ),
        flags=(
            Flag(
                ReviewFlag.INTERVAL_CROSSES_CUT, 12.44, 10.0, "%", "The interval includes the cut."
            ),
            Flag(ReviewFlag.MPP_BY_HAND, 0.5, 0.5, "µm/px", "Given by hand."),
        ),
        review=True,
        regions=(
            RegionRecord(
                region_id="r1",
                kind=RegionKind.GRID,
                name="",
                box=Region(0, 0, 800, 1200),
                area_mm2=0.17,
                n_cells=200,
                score=Score.TWO_PLUS,
                reading=reading,
            ),
            RegionRecord(
                region_id="roi-1",
                kind=RegionKind.ROI,
                name="Tumor nest",
                box=Region(850, 100, 500, 900),
                area_mm2=0.11,
                n_cells=150,
                score=Score.THREE_PLUS,
                reading=reading,
                outline=((((850, 100), (1350, 100), (1350, 1000)),),),
            ),
        ),
        timings={"survey": 1.0, "measure": 2.5},
        remarks=("control tissue was left out",),
        patient_id="P-17",
        extras={"block": "A3"},
    )


def refused(record: SlideRecord) -> SlideRecord:
    """Return the record of the same slide, had it been not assessable."""
    words = "no tissue was found: the slide or core is empty"
    zero = Tally.zero()
    return replace(
        record,
        score=Score.NOT_ASSESSABLE,
        status=Status.NOT_ASSESSABLE,
        status_comment=words,
        call=None,
        ish=None,
        tissue=replace(
            record.tissue, is_assessable=False, reason="no_tissue", explanation=words, controls=()
        ),
        reading=replace(
            reading_of(zero),
            intervals={},
            probabilities={},
            measures={},
            n_blocks=0,
        ),
        stability=Stability((), 0.0),
        heterogeneity=Heterogeneity(),
        flags=(Flag(ReviewFlag.NOT_ASSESSABLE, 0, 1, "cells", words),),
        regions=(),
    )


def make_slide(folder: Path, slide_id: str = "slide A") -> MadeSlide:
    results = ResultsFolder(folder / "out").create()
    picture = folder / "slide.png"
    if not picture.exists():
        drawn_slide(picture)
    columns = cell_columns()
    made = MadeSlide(results, record_of(picture, tally_of(columns), slide_id))
    write_cells(
        made.folder.create().cells_parquet,
        columns,
        slide_id=slide_id,
        mpp=Mpp(MPP, MPP),
        software_version="0.1.0",
    )
    return made


def reading_on(record: SlideRecord) -> ReviewEntry:
    """A reading of a slide as it is scored."""
    return ReviewEntry(
        kind=EntryKind.READING,
        reader="A <b>Reader</b>",
        slide_id=record.slide_id,
        score=Score.ZERO,
        is_blinded=True,
        program_score=record.score,
        program_created=record.created,
        sha256_ends=record.scan.sha256_ends,
        is_sure=False,
        pct_stained=3,
    )
