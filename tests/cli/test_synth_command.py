import json
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from her2path.cli.main import app
from her2path.results.atomic import PREFIX
from her2path.results.lock import only_run_in
from her2path.synth import Artefacts, Laboratory, RegionRecipe, SlideRecipe, TissueShape
from her2path.synth.reading import example_recipe, read_laboratory, read_recipe
from her2path.synth.recipe import RecipeError, recipe_from_toml

pytestmark = pytest.mark.slow

SMALL = """name = "s"
width_um = 220
height_um = 200
[[regions]]
mix = {none = 0.5, weak_complete = 0.5}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["synth", *(str(argument) for argument in arguments)])


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Wide, so that no message is broken in the middle of a word.
    monkeypatch.setenv("COLUMNS", "300")
    path = tmp_path / "recipe.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_the_printed_recipe_teaches_every_field_and_can_be_drawn():
    shown = run("--print-recipe")
    assert shown.exit_code == 0
    assert shown.output == example_recipe()
    table = tomllib.loads(shown.output)
    recipe_from_toml(shown.output)
    assert set(table) == {f.name for f in fields(SlideRecipe)}
    assert set(table["tissue"]) == {f.name for f in fields(TissueShape)}
    assert set(table["artefacts"]) == {f.name for f in fields(Artefacts)}
    taught = {name for region in table["regions"] for name in region}
    assert taught == {f.name for f in fields(RegionRecipe)}
    # Optical densities say what is brown.
    assert all("#" in line for line in shown.output.splitlines() if "_od =" in line)


def test_laboratories_are_listed():
    shown = run("--list-laboratories").output
    assert "reference" in shown
    assert "test-b" in shown
    rows = json.loads(run("--list-laboratories", "--json").stdout)
    assert {row["use"] for row in rows} == {"any", "training", "test"}


def test_a_printed_laboratory_reads_back_as_itself(tmp_path: Path):
    path = tmp_path / "lab.toml"
    path.write_text(run("--print-laboratory", "test-b").output, encoding="utf-8")
    assert read_laboratory(str(path)) == read_laboratory("test-b")
    assert read_laboratory("reference") == Laboratory()


def test_slides_are_drawn_with_their_truth_the_same_for_the_same_seed(recipe: Path, tmp_path: Path):
    shown = run(recipe, "--out", tmp_path / "a", "--seed", 5, "--count", 2, "--json")
    assert shown.exit_code == 0, shown.output
    slides = json.loads(shown.stdout)
    assert [Path(slide["path"]).name for slide in slides] == ["s-5.svs", "s-6.svs"]
    assert slides[0]["score"] == "2+"
    assert slides[0]["n_tumor_cells"] > 20
    run(recipe, "--out", tmp_path / "b", "--seed", 5, "--quiet")
    for name in ("s-5.svs", "s-5.truth.json", "s-5.cells.csv.gz", "s-5.masks.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_masks_of_membranes_are_written_where_asked_for(recipe: Path, tmp_path: Path):
    asked = ("--membranes", "--pair", "same", "--quiet")
    assert run(recipe, "--out", tmp_path, *asked).exit_code == 0
    names = [f"s-1-{side}.membranes.tif" for side in ("before", "after")]
    assert all((tmp_path / name).is_file() for name in names)
    assert run(recipe, "--out", tmp_path, *asked, "--resume").exit_code == 0
    (tmp_path / names[1]).unlink()
    shown = run(recipe, "--out", tmp_path, *asked, "--resume")
    assert f"{names[1]} is not" in shown.output
    assert run(recipe, "--out", tmp_path / "plain", "--quiet").exit_code == 0
    assert not list((tmp_path / "plain").glob("*.membranes.tif"))


def test_progress_names_each_slide(recipe: Path, tmp_path: Path):
    shown = run(recipe, "--out", tmp_path / "a", "--format", "ome.tif")
    assert shown.stdout == ""
    assert "1 of 1: s-1.ome.tif" in shown.stderr


def test_a_pair_is_drawn_with_its_change(recipe: Path, tmp_path: Path):
    shown = run(recipe, "--out", tmp_path / "p", "--pair", "none=1.0", "--json")
    assert shown.exit_code == 0, shown.output
    (pair,) = json.loads(shown.stdout)
    assert (pair["before"]["score"], pair["after"]["score"]) == ("2+", "0")
    truth = json.loads(Path(pair["truth"]).read_text("utf-8"))
    assert truth["is_same_laboratory"]
    assert truth["steps"] == -3


def test_nothing_is_replaced_unless_asked(recipe: Path, tmp_path: Path):
    (tmp_path / "s-1.svs").write_text("mine", encoding="utf-8")
    shown = run(recipe, "--out", tmp_path)
    assert shown.exit_code == 2
    assert "--overwrite" in shown.output
    assert (tmp_path / "s-1.svs").read_text(encoding="utf-8") == "mine"


def test_another_format_does_not_replace_the_truth_of_a_slide(recipe: Path, tmp_path: Path):
    (tmp_path / "s-1.truth.json").write_text("of s-1.svs", encoding="utf-8")
    shown = run(recipe, "--out", tmp_path, "--format", "ome.tif")
    assert shown.exit_code == 2
    assert "s-1.truth.json" in shown.output
    shown = run(recipe, "--out", tmp_path / "p", "--pair", "none=0.5,none=1")
    assert shown.exit_code == 2
    assert "none is given twice" in shown.output


def test_all_faults_are_told_at_once(recipe: Path, tmp_path: Path):
    recipe.write_text(
        "width_um = 1e9\n[tissue]\nkind = 'cake'\n[artefacts]\nfolds = -1\ntears = -1\n"
        "[[regions]]\nmix = {none = 0.5}\n",
        encoding="utf-8",
    )
    shown = run(recipe, "--out", tmp_path / "o", "--laboratory", "moon", "--pair", "none=x")
    assert shown.exit_code == 2
    for words in ("width_um", "cake", "folds", "tears", "sum to 0.5", "moon", "'none=x'"):
        assert words in shown.output
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--print-recipe"),
        (("gone.toml", "--out", "o"), "cannot be read"),
        (("RECIPE", "--out", "o", "--laboratory", "gone.toml"), "cannot be read"),
        (("RECIPE", "--out", "o", "--after-laboratory", "test-a"), "--pair"),
        (("RECIPE", "--out", "o", "--after-laboratory", "reference"), "--pair"),
        (("RECIPE", "--out", "o", "--pair", "none=2"), "--pair none=2: none = 2"),
        (("RECIPE", "--out", "o", "--laboratory", ""), "unknown laboratory ''"),
        (("RECIPE", "--out", "RECIPE"), "cannot be made"),
        (("RECIPE", "--out", "o", "--count", "0"), "count"),
        (("--print-laboratory", "moon"), "unknown laboratory"),
    ],
)
def test_wrong_use_is_status_2_with_a_remedy(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
):
    monkeypatch.chdir(recipe.parent)
    shown = run(*(str(recipe) if argument == "RECIPE" else argument for argument in arguments))
    assert shown.exit_code == 2
    assert words in shown.output


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes"),
        (b"name = 3", "plain name"),
        (b"mpp = ", "no valid TOML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, data: bytes, words: str):
    path = tmp_path / "r.toml"
    path.write_bytes(data)
    with pytest.raises(RecipeError, match=words):
        read_recipe(path)


def test_a_recipe_may_begin_with_a_byte_order_mark(recipe: Path):
    plain = read_recipe(recipe)
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes())
    assert read_recipe(recipe) == plain


def test_a_name_as_long_as_may_be_is_drawn_with_every_seed_and_side(recipe: Path, tmp_path: Path):
    small = "width_um = 40\nheight_um = 40\n"
    recipe.write_text(f"name = '{120 * 'n'}'\n{small}", encoding="utf-8")
    out = tmp_path / "o"
    shown = run(recipe, "--out", out, "--seed", 2**31 - 1, "--count", 2, "--pair", "same")
    assert shown.exit_code == 0, shown.output
    assert len(list(out.glob("*.svs"))) == 4
    recipe.write_text(f"name = '{121 * 'n'}'\n{small}", encoding="utf-8")
    shown = run(recipe, "--out", out)
    assert (shown.exit_code, "at most 120 letters" in shown.output) == (2, True)


def test_a_slide_too_large_for_its_format_is_told_before_any_is_drawn(recipe: Path, tmp_path: Path):
    recipe.write_text("name = 'l'\nwidth_um = 20000\nheight_um = 20000\n", encoding="utf-8")
    asked = ("--format", "dcm", "--laboratory", "test-e", "--after-laboratory", "reference")
    shown = run(recipe, "--out", tmp_path / "o", *asked, "--pair", "same")
    assert (shown.exit_code, "too many for DICOM" in shown.output) == (2, True), shown.output
    assert not (tmp_path / "o").exists()


def test_a_faulty_laboratory_lists_its_numbers(tmp_path: Path):
    path = tmp_path / "lab.toml"
    path.write_text("mpp = 9\nnoise = -1\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mpp[\s\S]*noise"):
        read_laboratory(str(path))


def test_a_folder_is_drawn_into_by_one_run_and_what_a_killed_one_left_goes(
    recipe: Path, tmp_path: Path
):
    out = tmp_path / "out"
    (out / f"{PREFIX}pyramid").mkdir(parents=True)
    (out / f"{PREFIX}1.svs").touch()
    with only_run_in(out):
        shown = run(recipe, "--out", out)
    assert shown.exit_code == 2
    assert "another run is using" in shown.output
    assert run(recipe, "--out", out).exit_code == 0
    assert not list(out.glob(f"{PREFIX}*"))


def test_an_interrupted_series_goes_on_and_keeps_what_is_drawn(recipe: Path, tmp_path: Path):
    out = tmp_path / "out"
    asked = (recipe, "--out", out, "--count", 2, "--profile")
    assert run(*asked).exit_code == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    # Killed before the second truth, which is the last file of its slide.
    (out / "s-2.truth.json").unlink()
    (out / "s-2.cells.csv.gz").unlink()
    kept = (out / "s-1.svs").stat().st_mtime_ns
    shown = run(*asked, "--resume", "--json")
    assert shown.exit_code == 0, shown.output
    assert [Path(slide["path"]).name for slide in json.loads(shown.stdout)] == [
        "s-1.svs",
        "s-2.svs",
    ]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert (out / "s-1.svs").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--laboratory", "test-b"), "drawn otherwise"),
        (("--profile",), "drawn otherwise"),
        (("--format", "ome.tif"), "drawn otherwise"),
        (("--overwrite",), "choose one"),
    ],
)
def test_a_series_goes_on_only_as_it_began(recipe: Path, tmp_path: Path, more: tuple, words: str):
    assert run(recipe, "--out", tmp_path, "--quiet").exit_code == 0
    before = (tmp_path / "s-1.svs").read_bytes()
    shown = run(recipe, "--out", tmp_path, "--resume", *more)
    assert (shown.exit_code, words in shown.output) == (2, True), shown.output
    (tmp_path / "s-1.masks.png").unlink()
    assert "s-1.masks.png is not" in run(recipe, "--out", tmp_path, "--resume").output
    assert (tmp_path / "s-1.svs").read_bytes() == before


@pytest.mark.parametrize("pair", [(), ("--pair", "none=1.0")])
def test_a_series_that_replaces_another_goes_on_after_it_was_killed(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[str, ...]
):
    out, asked = tmp_path / "out", ("--out", tmp_path / "out", "--count", 2, *pair)
    assert run(recipe, "--out", tmp_path / "fresh", "--count", 2, *pair).exit_code == 0
    whole = {p.name: p.read_bytes() for p in (tmp_path / "fresh").iterdir()}
    other = tmp_path / "other.toml"
    other.write_text(SMALL.replace("weak", "intense"), encoding="utf-8")
    assert run(other, *asked).exit_code == 0

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("her2path.synth.writing.write_bytes", kill)
        assert run(recipe, *asked, "--overwrite").exit_code == 130
    assert not list(out.glob("*.truth.json"))
    assert not list(out.glob("*.pair.json"))
    shown = run(recipe, *asked, "--resume")
    assert shown.exit_code == 0, shown.output
    assert {p.name: p.read_bytes() for p in out.iterdir()} == whole


def test_a_level_of_a_dicom_slide_that_was_left_behind_is_named(recipe: Path, tmp_path: Path):
    (tmp_path / "s-1_level1.dcm").touch()
    shown = run(recipe, "--out", tmp_path, "--overwrite")
    assert (shown.exit_code, "s-1_level1.dcm in" in shown.output) == (2, True)


def test_a_pair_that_is_whole_stays_where_another_was_asked_for(recipe: Path, tmp_path: Path):
    assert run(recipe, "--out", tmp_path, "--pair", "none=1.0", "--quiet").exit_code == 0
    shown = run(recipe, "--out", tmp_path, "--pair", "same", "--resume")
    assert (shown.exit_code, "drawn otherwise" in shown.output) == (2, True)
    assert (tmp_path / "s-1.pair.json").exists()


def test_no_slide_of_another_format_is_left_beside_a_truth_that_is_not_its(
    recipe: Path, tmp_path: Path
):
    assert run(recipe, "--out", tmp_path, "--quiet").exit_code == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    shown = run(recipe, "--out", tmp_path, "--format", "dcm", "--overwrite")
    assert (shown.exit_code, "s-1.svs" in shown.output) == (2, True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_cells_that_are_asked_for_and_find_no_place_are_told(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    # Room for a handful of control cells at most, and of seed 1 for none.
    there = SMALL.replace("[[regions]]", "control = true\n[tissue]\nkind = 'blob'\n[[regions]]")
    there = (
        there.replace("220", "110").replace("200", "110").replace("'blob'", "'blob'\nmargin_um = 8")
    )
    beyond = (
        "[[regions]]\nname = 'beyond'\ndisc = [5.0, 5.0, 0.1]\nmix = {intense_complete = 1.0}\n"
    )
    recipe.write_text(there + beyond, encoding="utf-8")
    shown = run(recipe, "--out", tmp_path / "told")
    assert shown.exit_code == 0, shown.output
    assert "s-1: no tumor cell lies in region 'tumor', 'beyond'" in caplog.text
    assert "s-1: the control tissue holds no cell of 3+" in caplog.text
    caplog.clear()
    # Where none is asked for, none is missing.
    recipe.write_text(f"{SMALL}tumor_share = 0.0\n", encoding="utf-8")
    shown = run(recipe, "--out", tmp_path / "none")
    assert (shown.exit_code, caplog.text) == (0, ""), shown.output
