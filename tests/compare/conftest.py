"""Sides made of simulated cells: the model of `scripts/pair_cells.py`, read without error."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2path.pipeline.scoring import CountedCells

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="session")
def study():
    """The modules of the pair study."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return {
            name: importlib.import_module(name)
            for name in ("pair_scenarios", "pair_cells", "pair_samples", "pair_study")
        }
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="session")
def make_side(study):
    """Return a maker of sides: percents of the mix, cells, control, and the factor of the run."""
    scenarios, cells = study["pair_scenarios"], study["pair_cells"]

    def make(
        name="before",
        *,
        seed=1,
        n_cells=1200,
        has_control=False,
        factor=1.0,
        counterstain=1.0,
        **mix,
    ):
        scenario = scenarios.Scenario("", (), has_control=has_control, n_cells=n_cells)
        tissue, reading = np.random.default_rng(seed).spawn(2)
        return cells.side_of(
            name,
            scenarios.mix(**mix),
            scenario,
            factor=factor,
            counterstain=counterstain,
            tissue=tissue,
            reading=reading,
        )

    return make


@pytest.fixture(scope="session")
def with_record():
    """Return a function that changes the record of a side's slides."""

    def change(side, **values):
        slides = tuple(
            replace(slide, record=replace(slide.record, **values)) for slide in side.slides
        )
        return replace(side, slides=slides)

    return change


@pytest.fixture(scope="session")
def make_cells():
    """Return a maker of counted cells by their columns, each alone in a block unless told."""

    def make(intensity, *, extent=0, block=None, membrane_od=0.3, contrast=0.2):
        n = len(intensity)
        place = np.arange(n) if block is None else np.asarray(block)

        def floats(values):
            return np.full(n, values, np.float32)

        return CountedCells(
            # So far apart that no two blocks are neighbors.
            x_um=place * 1e5,
            y_um=np.zeros(n),
            block=place.astype(np.int64),
            intensity=np.asarray(intensity, np.int8),
            extent=np.full(n, extent, np.int8),
            membrane_od=floats(membrane_od),
            membrane_contrast_od=floats(contrast),
            membrane_width_um=floats(1.0),
            cytoplasm_od=floats(0.0),
        )

    return make
