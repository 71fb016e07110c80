"""Pairs of cells without pictures: nests of tumor whose cells resemble each other, and a reader.

A side is a sample of the tumor: its nests draw their own shares round the true mix, so that the
truth is the mix and not what happens to lie on the slide. The reader sees every line through one
factor of the run (stainer and scanner), loses what falls below the limit of blank, and takes some
unstained cells for stained ones. That is all that is wrong with it: no cell is missed, none is
taken for another kind.
"""

from __future__ import annotations

import copy
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pair_scenarios import Mix, Outcome, Scenario, stained_pct

from her2path.cells.calibration import generic_calibration
from her2path.compare.pair import compare_sides
from her2path.compare.sides import Bystanders, PairSlide, Side, no_cells
from her2path.criteria import Intensity, Pattern, Score
from her2path.criteria.ish import status
from her2path.criteria.rule_set import RuleSet, load_rule_set
from her2path.criteria.tally import extent_of
from her2path.pipeline.scoring import CountedCells, read_counted
from her2path.results.record import (
    BlankFacts,
    CellSelection,
    FocusFacts,
    Heterogeneity,
    ScanFacts,
    SlideRecord,
    Stability,
    StainFacts,
    TissueFacts,
)
from her2path.synth.membranes import LINE_OD, LINE_WIDTH_UM

# As drawn slides have them (`her2path.synth`).
NEST_UM, CELLS_PER_MM2, BLOCK_UM = 170.0, 1350.0, 250.0
# Two cells of one nest correlate by so much at clustering 0 and 1: with it blocks of 250 µm
# correlate about as those of drawn slides at clustering 0.2 and 0.6 (0.05–0.1 and 0.2–0.3).
NEST_CORRELATION = (0.04, 0.62)
# Runs of one laboratory, and laboratories, differ in how dark a line comes out (log SD).
RUN_SD, LABORATORY_SD = 0.04, 0.15
# The same for the counterstain.
RUN_H_SD, LABORATORY_H_SD = 0.06, 0.25
# Guarded contrast of a line beside its height, and the scatter of both from cell to cell.
CONTRAST_PER_OD, CELL_SD = 0.75, 0.10
FALSE_STAINED = 0.005
N_CONTROL_CELLS, N_BYSTANDERS = 300, 400
CLASSES = [(0, 0)] + [(i, p) for i in range(1, 5) for p in (1, 2, 3)]


@cache
def rules() -> RuleSet:
    """Return the criteria in use."""
    return load_rule_set("asco-cap-2018")


def simulate_pair(scenario: Scenario, seed: int) -> Outcome:
    """Simulate and compare one pair."""
    rng, *tissues = np.random.default_rng([seed, hash_of(scenario.name)]).spawn(3)
    if scenario.is_repeat:
        tissues = [copy.deepcopy(tissues[0]), tissues[0]]
    mixes = scenario.mixes[seed % len(scenario.mixes)]
    lab = rng.normal(0, LABORATORY_SD if scenario.is_other_laboratory else 0)
    lab_h = rng.normal(0, LABORATORY_H_SD if scenario.is_other_laboratory else 0)
    sides = [
        side_of(
            name,
            mixes[position],
            scenario,
            factor=float(np.exp(position * lab + rng.normal(0, RUN_SD))),
            counterstain=float(np.exp(position * lab_h + rng.normal(0, RUN_H_SD))),
            tissue=tissues[position],
            reading=rng,
        )
        for position, name in enumerate(("before", "after"))
    ]
    pair = compare_sides(sides[0], sides[1], seed=seed)
    return Outcome.of(scenario, seed, (stained_pct(mixes[0]), stained_pct(mixes[1])), pair)


def hash_of(name: str) -> int:
    """Return a number that is the same in every process."""
    return zlib.crc32(name.encode())


def side_of(
    name: str,
    mix: Mix,
    scenario: Scenario,
    *,
    factor: float,
    counterstain: float,
    tissue: np.random.Generator,
    reading: np.random.Generator,
) -> Side:
    """Simulate the slide of one side and its reading, each with randomness of its own."""
    n = int(tissue.poisson(scenario.n_cells))
    side_um = 1000 * np.sqrt(scenario.n_cells / CELLS_PER_MM2)
    place = tissue.uniform(0, side_um, (n, 2))
    nest = nests_of(place, side_um, tissue)
    low, high = NEST_CORRELATION
    classes = drawn_classes(mix, nest, low + scenario.clustering * (high - low), tissue)
    counted = read_cells_of(classes, place, factor, tissue=tissue, reading=reading)
    control = no_cells()
    if scenario.has_control:
        place = tissue.uniform(0, 700.0, (N_CONTROL_CELLS, 2))
        strong = np.full(N_CONTROL_CELLS, CLASSES.index((4, 3)))
        control = read_cells_of(strong, place, factor, tissue=tissue, reading=reading)
    h_od = tissue.normal(0.20, 0.04, N_BYSTANDERS) * counterstain
    bystanders = Bystanders(h_od, tissue.normal(0.015, 0.01, N_BYSTANDERS))
    slide = PairSlide(record_of(name, counted, reading), None, counted, control, bystanders)
    return Side(name, (slide,), rules())


def nests_of(
    place: NDArray[np.float64], side_um: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the nest of each cell: the nearest centre of a shaken grid."""
    steps = np.arange(-0.5, side_um / NEST_UM + 1) * NEST_UM
    centres = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.35, 0.35, centres.shape) * NEST_UM
    apart = ((place[:, None] - centres[None]) ** 2).sum(axis=-1)
    nearest: NDArray[np.int64] = apart.argmin(axis=1)
    return nearest


def drawn_classes(
    mix: Mix, nest: NDArray[np.int64], correlation: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the class of each cell: nests have shares of their own round the mix."""
    shares = np.zeros(len(CLASSES))
    for entry in mix:
        shares[CLASSES.index((int(entry.intensity), int(entry.pattern)))] = entry.share
    used = np.flatnonzero(shares)
    own = rng.dirichlet(shares[used] * (1 / correlation - 1), nest.max() + 1)
    levels = own.cumsum(axis=1)[nest]
    drawn = (rng.random(len(nest))[:, None] > levels).sum(axis=1)
    return used[np.minimum(drawn, len(used) - 1)]


def read_cells_of(
    classes: NDArray[np.int64],
    place: NDArray[np.float64],
    factor: float,
    *,
    tissue: np.random.Generator,
    reading: np.random.Generator,
) -> CountedCells:
    """Return the cells as read through the factor of a run."""
    calibration = generic_calibration()
    true = np.array([CLASSES[c][0] for c in range(len(CLASSES))])[classes]
    pattern = np.array([CLASSES[c][1] for c in range(len(CLASSES))])[classes]
    is_false = (true == Intensity.NONE) & (reading.random(len(true)) < FALSE_STAINED)
    true = np.where(is_false, Intensity.FAINT, true)
    pattern = np.where(is_false, Pattern.INCOMPLETE, pattern)
    ends = np.array([(0.0, 0.0), *(LINE_OD[Intensity(i)] for i in range(1, 5))])[true]
    stain = tissue.uniform(ends[:, 0], ends[:, 1])
    od = stain * np.exp(reading.normal(0, CELL_SD, len(true))) * factor
    contrast = CONTRAST_PER_OD * od * np.exp(reading.normal(0, CELL_SD, len(true)))
    cuts = calibration.intensity
    graded = 1 + np.digitize(od, [cuts.weak_od, cuts.moderate_od, cuts.intense_od])
    is_seen = (true > 0) & (contrast >= calibration.min_line_contrast_od)
    widths = np.array([0.0, *(LINE_WIDTH_UM[Intensity(i)][0] for i in range(1, 5))])[true]
    column, row = (np.floor(place[:, axis] / BLOCK_UM).astype(np.int64) for axis in (0, 1))
    return CountedCells(
        x_um=place[:, 0],
        y_um=place[:, 1],
        block=(row << 32) + column,
        intensity=np.where(is_seen, graded, 0).astype(np.int8),
        extent=extent_of(np.where(is_seen, pattern, 0).astype(np.int8)),
        membrane_od=np.where(is_seen, od, 0).astype(np.float32),
        membrane_contrast_od=np.where(is_seen, contrast, 0).astype(np.float32),
        membrane_width_um=np.where(is_seen, widths, np.nan).astype(np.float32),
        cytoplasm_od=tissue.normal(0.02, 0.01, len(true)).astype(np.float32),
    )


def record_of(name: str, counted: CountedCells, rng: np.random.Generator) -> SlideRecord:
    """Return a record such as the reading of a picture leaves, with what a comparison looks at."""
    calibration = generic_calibration()
    blank = BlankFacts(
        source="calibration",
        min_line_contrast_od=calibration.min_line_contrast_od,
        n_reference=0,
        stained_pct=None,
        upper_pct=calibration.blank_upper_pct,
    )
    reading = read_counted(
        counted, rules(), blank_upper_pct=blank.upper_pct, rng=rng, n_resamples=1
    )
    call = rules().call(counted.tally, blank_upper_pct=blank.upper_pct)
    return SlideRecord(
        slide_id=name,
        path=f"{name}.svs",
        software_version="",
        created="",
        settings_hash="",
        scan=ScanFacts(
            backend="",
            vendor="",
            scanner="",
            width=4000,
            height=4000,
            level_count=1,
            mpp_x=0.25,
            mpp_y=0.25,
            mpp_source="",
            objective_power=40.0,
            compression="",
            has_icc=False,
            working_mpp=0.25,
        ),
        tissue=TissueFacts(
            is_assessable=True,
            reason="",
            explanation="",
            area_mm2=1.0,
            tissue_frac=1.0,
            artefact_frac={},
            staining="her2_ihc",
            staining_reason="",
            staining_numbers={},
            focus=FocusFacts(0.3, 0.0, 8),
        ),
        stain=StainFacts(
            white_point=(240.0, 240.0, 240.0),
            white_point_source="measured",
            hematoxylin=calibration.hematoxylin,
            dab=calibration.dab,
            angle_to_reference_deg=(0.0, 0.0),
            counterstain_contrast_od=0.1,
            counterstain_h_od=0.2,
        ),
        calibration=calibration,
        rule_set=rules().name,
        edition=rules().edition,
        organ=rules().organ,
        score=call.score if len(counted) else Score.NOT_ASSESSABLE,
        status=status(call.score).status,
        status_comment="",
        call=call,
        ish=None,
        blank=blank,
        selection=CellSelection(
            method="simulated",
            cut=0.5,
            cut_in_roi=0.35,
            n_cells=len(counted),
            excluded={},
            uncertain_margin=0.15,
        ),
        reading=reading,
        stability=Stability((), 0.0),
        heterogeneity=Heterogeneity(),
        flags=(),
        review=False,
        regions=(),
        timings={},
    )
