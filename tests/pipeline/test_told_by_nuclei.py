"""What counts for its nuclei alone, on drawn tissue read by the network that ships."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from her2path import synth
from her2path.cli.main import app
from her2path.criteria.score import Score
from her2path.results.folder import ResultsFolder
from her2path.results.record import read_record
from her2path.synth.laboratory import laboratories
from her2path.synth.recipe import RegionRecipe, SlideRecipe, TissueShape, mix_of

pytestmark = pytest.mark.slow

# Small, dark, uniform tumor cells in small nests, and lymphocytes nearly as large all round.
NESTS = RegionRecipe(
    name="tumor",
    mix=mix_of(intense_complete=1.0),
    cell_um=8.5,
    nucleus_od=0.28,
    nucleus_fill=0.5,
    pleomorphism=0.15,
    vesicular_share=0.1,
    tumor_share=0.15,
    nest_um=90.0,
    cord_share=0.2,
    scattered_share=0.2,
    lymphocytes=14.0,
    infiltrates_per_mm2=60.0,
)


def test_lymphocytes_round_small_nests_of_3_plus_never_count(tmp_path: Path) -> None:
    recipe = SlideRecipe(
        name="node",
        width_um=500,
        height_um=500,
        tissue=TissueShape("fill", 10.0),
        regions=(NESTS,),
    )
    laboratory = replace(laboratories("training")[1], mpp=0.25)
    picture = tmp_path / "node.png"
    Image.fromarray(synth.draw_field(recipe, laboratory, seed=1).rgb).save(picture)
    arguments = ("score", str(picture), "--mpp", "0.25", "--out", str(tmp_path / "out"))
    assert CliRunner().invoke(app, [*arguments, "--workers", "1", "--quiet"]).exit_code == 0
    record = read_record(ResultsFolder(tmp_path / "out").slide("node").slide_json)
    assert record.score is Score.THREE_PLUS
    assert record.selection.by_nuclei_pct is None
    assert record.reading.shares["pct_stained"] > 80
