"""The second renderer: what it says of its slides must be what it draws."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from her2path.stain import StainMatrix, separate
from her2path.stain.separate import STEPS_PER_OD


@pytest.fixture
def drawn(load_script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Draw a small slide of a score: its picture and its truth."""
    renderer = load_script("foreign_slides")
    monkeypatch.setattr(renderer, "SIDE_UM", 300.0)

    def run(score: str):
        path = tmp_path / f"{score}.tif"
        truth = renderer.draw(renderer.STYLES["textbook"], renderer.MIXES[score], 3, path)
        return tifffile.imread(path), truth

    return run


@pytest.mark.slow
def test_truth_is_the_mix_and_only_stained_slides_are_brown(drawn):
    brown = {}
    for score, stained, complete in (("0", 0, 0), ("1+", 40, 0), ("3+", 77, 71)):
        rgb, truth = drawn(score)
        assert truth.n_tumor > 60
        assert truth.pct_stained == pytest.approx(stained, abs=1)
        assert truth.pct_complete == pytest.approx(complete, abs=1)
        _, dab = separate(rgb, (245.0, 244.0, 242.0), StainMatrix())
        brown[score] = np.percentile(dab, 99) / STEPS_PER_OD
    assert brown["0"] < brown["1+"] < brown["3+"]
    assert brown["0"] < 0.1
    assert brown["3+"] > 0.6


@pytest.mark.slow
def test_the_same_seed_draws_the_same_slide(drawn):
    np.testing.assert_array_equal(drawn("2+")[0], drawn("2+")[0])
