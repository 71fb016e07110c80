"""scripts/drawn_on_real.py: what it says of its pictures is what it draws, and nothing else is."""

import csv
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

SEED = 11
# Two of the marked nests and stroma round them.
SIDE_PX = 560


@pytest.fixture
def script(load_script):
    return load_script("drawn_on_real")


@pytest.fixture
def designs(load_script):
    return load_script("drawn_designs")


@pytest.fixture
def truth(load_script):
    return load_script("drawn_truth")


@pytest.fixture
def draw(script, designs, real_data, tmp_path):
    """Draw the first design of a name on a small crop, under a name of its own."""

    def run(name, slide_id, **view):
        design = next(d for d in designs.DESIGNS if d.name == name)
        crop = replace(design.crop, x=2400, y=4200, width=SIDE_PX, height=SIDE_PX)
        assert crop.source == "0_a6d0"
        small = replace(design, crop=crop)
        shown = replace(design.view, **view)
        return script.draw(script.Task(slide_id, small, shown, SEED, real_data / "tma", tmp_path))

    return run


def cells_of(drawn):
    path = drawn.path.with_name(f"{drawn.path.stem}_cells.csv")
    with path.open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


@pytest.mark.real
def test_the_same_seed_draws_the_same_bytes(draw):
    first, again = draw("2+ moderate 35%", "first"), draw("2+ moderate 35%", "again")
    assert first.path.read_bytes() == again.path.read_bytes()
    assert cells_of(first) == cells_of(again)


@pytest.mark.real
def test_shares_and_score_follow_from_the_cells(draw):
    drawn = draw("2+ moderate 35%", "drawn")
    tumor = [row for row in cells_of(drawn) if row["is_tumor"] == "true"]
    assert len(tumor) == drawn.row["n_tumor_cells"] > 20
    for share, column in (
        (drawn.shares.stained, "is_stained"),
        (drawn.shares.complete, "is_complete"),
        (drawn.shares.intense_complete, "is_intense_complete"),
    ):
        assert share == pytest.approx(np.mean([row[column] == "true" for row in tumor]))
    assert drawn.row["score"] == drawn.shares.score == "2+"
    meant = sum(share for _, share in drawn.task.design.mix)
    assert drawn.row["pct_drawn"] == pytest.approx(100 * meant, abs=150 / len(tumor))
    assert drawn.shares.stained >= drawn.row["pct_drawn"] / 100
    # A line is as dark as it was meant to be.
    heights = [
        float(row["peak_od"]) / float(row["drawn_od"])
        for row in tumor
        if row["is_drawn_complete"] == "true"
    ]
    assert np.median(heights) == pytest.approx(1.1, abs=0.2)


@pytest.mark.real
def test_nothing_is_drawn_on_an_unchanged_design(draw, designs, real_data):
    own = {"n_turns": 0, "is_mirrored": False, "laboratory": "own", "mpp": designs.MPP}
    drawn = draw("unchanged", "drawn", **own)
    crop = drawn.task.design.crop
    with Image.open(real_data / "tma" / f"{crop.source}.jpg") as picture:
        box = (crop.x, crop.y, crop.x + crop.width, crop.y + crop.height)
        source, packed = picture.crop(box), io.BytesIO()
    subsampling = {"4:4:4": 0, "4:2:0": 2}[drawn.row["jpeg_subsampling"]]
    source.save(packed, "JPEG", quality=drawn.row["jpeg_quality"], subsampling=subsampling)
    with Image.open(packed) as expected, Image.open(drawn.path) as found:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert drawn.row["score"] == "0"
    assert all(float(row["peak_od"] or 0) == 0 for row in cells_of(drawn))


def test_a_score_takes_more_than_a_tenth(truth):
    scores = {
        (0.0, 0.0, 0.0): "0",
        (0.01, 0.0, 0.0): "0+",
        (0.10, 0.10, 0.10): "0+",
        (0.11, 0.10, 0.10): "1+",
        (0.50, 0.11, 0.10): "2+",
        (0.50, 0.50, 0.11): "3+",
    }
    assert {shares: truth.Shares(*shares).score for shares in scores} == scores


def test_no_design_lies_near_a_cut(designs, truth):
    for design in designs.DESIGNS:
        shares = truth.Shares(
            sum(share for _, share in design.mix),
            sum(share for membrane, share in design.mix if membrane.is_complete),
            sum(share for membrane, share in design.mix if membrane is designs.INTENSE_RING),
        )
        assert shares.score == design.score
        for share in (shares.stained, shares.complete, shares.intense_complete):
            assert abs(share - truth.CUT_FRAC) >= 0.04


def test_another_seed_deals_the_same_views_out_anew(designs):
    own, dealt = designs.views_of(designs.SEED), designs.views_of(5)
    assert own == [design.view for design in designs.DESIGNS]
    assert dealt == designs.views_of(5) != own
    for part in ("n_turns", "is_mirrored", "laboratory", "mpp"):
        before, after = (Counter(getattr(v, part) for v in views) for views in (own, dealt))
        assert before == after


@pytest.mark.parametrize("given", [[], ["--real", "no/such/folder"]])
def test_without_the_folder_of_real_cores_the_remedy_is_named(script, given, capsys, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        script.main([*given, "--out", str(out)])
    said = capsys.readouterr().err
    assert "give the folder of the cores 0_a6d0, 0_ccb6, 1_154a with --real" in said
    assert "bozeklab/HER2-overexpression" in said
    assert not out.exists()
