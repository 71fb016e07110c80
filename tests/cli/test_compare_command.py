"""The commands on made-up results; slides are scored in the slow test only."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from her2path.cli.main import app
from her2path.results.record import RESEARCH_USE, read_record, write_record

sys.path.append(str(Path(__file__).resolve().parents[1] / "report"))
from report_slides import make_slide

pytestmark = pytest.mark.slow


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def slides(tmp_path):
    """Return the result folders of two made-up slides."""
    folders = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made = make_slide(tmp_path / name, slide_id=name)
        write_record(made.folder.slide_json, made.record)
        folders.append(made.folder)
    return folders


@pytest.fixture
def glass_pair(tmp_path):
    """Return two fields of empty glass, which are read in no time."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, path in enumerate(paths):
        noise = np.random.default_rng(seed).integers(238, 243, (300, 400, 3))
        cv2.imwrite(str(path), noise.astype(np.uint8))
    return paths


def test_two_results_become_a_page_and_a_document(tmp_path, slides):
    out = tmp_path / "pair"
    arguments = ("compare", "--before", slides[0].path, "--after", slides[1].slide_json)
    shown = run(*arguments, "--out", out, "--json")
    assert shown.exit_code == 0, shown.output
    document = json.loads((out / "pair.json").read_text("utf-8"))
    assert json.loads(shown.stdout)["verdict"] == document["verdict"] == "unchanged"
    assert document["research_use"] == RESEARCH_USE
    assert RESEARCH_USE in (out / "pair.html").read_text("utf-8")
    again = run(*arguments, "--out", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert run(*arguments, "--out", out, "--overwrite", "--quiet").exit_code == 0


def test_not_comparable_is_an_answer_and_no_failure(tmp_path, slides):
    record = make_slide(tmp_path / "second", slide_id="second").record
    write_record(slides[1].slide_json, replace(record, patient_id="P-18"))
    shown = run("compare", "--before", slides[0].path, "--after", slides[1].path, "--out", tmp_path)
    assert shown.exit_code == 0
    assert "different patients" in shown.output
    document = json.loads((tmp_path / "pair.json").read_text("utf-8"))
    assert document["verdict"] == "not_comparable"
    assert [reason["code"] for reason in document["comparability"]["reasons"]] == ["patient"]


def test_wrong_use_lists_every_fault_and_writes_nothing(tmp_path):
    out = tmp_path / "pair"
    shown = run("compare", "--before", tmp_path / "no.svs", "--out", out)
    assert shown.exit_code == 2
    assert shown.stderr.splitlines() == [
        "her2path: the pair cannot be compared: 2 faults",
        f"  - before: {tmp_path / 'no.svs'} does not exist; check the path",
        "  - after: no slide and no result; give at least one with --after",
    ]
    assert not out.exists()


def test_slides_without_a_side_are_refused_with_the_options_that_name_it(tmp_path):
    shown = run("compare", "first.svs", "second.svs", "--out", tmp_path / "pair")
    assert shown.exit_code == 2
    assert shown.stderr == (
        "her2path: first.svs, second.svs: name each with its side, --before SLIDE --after SLIDE\n"
    )
    assert not (tmp_path / "pair").exists()
    shown = run("compare", "--befor", "first.svs", "--out", tmp_path / "pair")
    assert (shown.exit_code, "No such option" in shown.stderr) == (2, True)


def test_bands_are_measured_and_used(tmp_path, slides):
    table, bands = tmp_path / "repeats.csv", tmp_path / "bands.json"
    table.write_text("subject,pct_stained,h_score\na,40,52\na,44,57\n")
    made = run("repeatability", table, "--out", bands, "--name", "site A")
    assert made.exit_code == 0, made.output
    assert made.stderr.splitlines()[-1] == RESEARCH_USE
    assert run("repeatability", table, "--out", bands).exit_code == 2
    shown = run(
        "compare",
        *("--before", slides[0].path, "--after", slides[1].path),
        *("--out", tmp_path / "pair", "--repeatability", bands, "--json"),
    )
    found = json.loads(shown.stdout)["bands"]
    assert found["source"].startswith("site A")
    assert not found["is_default"]


def test_one_result_is_no_repeat_of_itself(tmp_path, slides):
    table = tmp_path / "repeats.csv"
    table.write_text(f"subject,result\na,{slides[0].path}\na,{slides[0].slide_json}\n")
    shown = run("repeatability", table, "--out", tmp_path / "bands.json")
    assert shown.exit_code == 2
    assert "row 3, result: is the result of row 2" in " ".join(shown.output.split())


def test_a_copy_of_a_result_is_no_repeat_of_it(tmp_path, slides):
    copy = tmp_path / "copy"
    shutil.copytree(slides[0].path, copy)
    for folder in (slides[0].path, copy):
        record = read_record(folder / "slide.json")
        scan = replace(record.scan, sha256_ends="0" * 64)
        write_record(folder / "slide.json", replace(record, scan=scan))
    table = tmp_path / "repeats.csv"
    table.write_text(
        f"subject,result,h_score\na,{slides[0].path},\na,{copy},\nb,,20\nb,,26\n", "utf-8"
    )
    shown = run("repeatability", table, "--out", tmp_path / "bands.json")
    assert shown.exit_code == 2
    found = " ".join(shown.output.split())
    assert "row 3, result: is of the same cells of one scan as that of row 2" in found


def test_options_of_reading_are_refused_where_nothing_is_read(tmp_path, slides):
    sides = ("--before", slides[0].path, "--after", slides[1].path)
    shown = run("compare", *sides, "--out", tmp_path / "pair", "--mpp", 0.3, "--exclude-controls")
    assert shown.exit_code == 2
    assert "--mpp, --exclude-controls: both sides are results" in " ".join(shown.output.split())
    shown = run(
        "compare", *sides, "--out", tmp_path / "pair", "--model", "none", "--region-um", 900
    )
    assert "--region-um, --model: both sides are results" in " ".join(shown.output.split())
    assert not (tmp_path / "pair").exists()


def test_a_faulty_table_of_repeats_leaves_nothing_behind(tmp_path):
    table = tmp_path / "repeats.csv"
    table.write_text("subject,pct_stained\na,x\n,5\n")
    shown = run("repeatability", table, "--out", tmp_path / "bands.json")
    assert shown.exit_code == 2
    assert "row 2" in shown.output
    assert "row 3" in shown.output
    assert not (tmp_path / "bands.json").exists()


def test_help_has_examples():
    for command in ("compare", "repeatability"):
        assert f"her2path {command} " in run(command, "--help").output


def test_slides_are_scored_first(tmp_path):
    folder = Path(__file__).resolve().parents[2] / "sample_slides"
    sides = ("--before", folder / "patient-before.svs", "--after", folder / "patient-after.svs")
    out = tmp_path / "pair"
    shown = run("compare", *sides, "--out", out, "--model", "none", "--workers", 1, "--quiet")
    assert shown.exit_code == 0, shown.output
    document = json.loads((out / "pair.json").read_text("utf-8"))
    assert document["score"]["change"] == "loss"
    assert document["verdict"] == "changed"
    assert (out / "before" / "slides.csv").is_file()


def test_wrong_use_of_a_pair_is_refused_before_anything_is_read(tmp_path, slides):
    pair = ("compare", "--before", slides[0].path, "--after", slides[1].path)
    nowhere = tmp_path / "nowhere"
    assert "--device" in run(*pair, "--out", nowhere, "--device", "gpu").output
    scale = run(*pair, "--out", nowhere, "--before-mpp", 0)
    assert (scale.exit_code, "µm" in scale.output) == (2, True), scale.output
    scored = tmp_path / "scored"
    scored.mkdir()
    (scored / "run.json").write_text("{}")
    taken = run(*pair, "--out", scored)
    assert (taken.exit_code, "results folder of her2path score" in taken.output) == (2, True)
    assert not nowhere.exists()


def test_a_comparison_that_fails_leaves_no_verdict_of_an_earlier_one(tmp_path, slides):
    out = tmp_path / "pair"
    sides = ("--before", slides[0].path, "--after", slides[1].path, "--out", out)
    assert run("compare", *sides, "--quiet").exit_code == 0
    slides[1].cells_parquet.write_bytes(b"damaged")
    # What cannot be used is known before anything is written.
    assert run("compare", *sides, "--overwrite").exit_code == 2
    assert (out / "pair.json").is_file()
    slides[1].cells_parquet.unlink()
    (out / "after").write_text("in the way of the results")
    picture = Path(__file__).resolve().parents[2] / "sample_slides" / "blank.svs"
    sides = ("--before", slides[0].path, "--after", picture, "--out", out)
    shown = run("compare", *sides, "--overwrite", "--model", "none")
    assert shown.exit_code == 2, shown.output
    assert sorted(path.name for path in out.iterdir()) == ["after"]


def test_the_scale_of_a_side_that_is_a_result_is_refused(tmp_path, slides):
    picture = Path(__file__).resolve().parents[2] / "sample_slides" / "patient-after.svs"
    sides = ("--before", slides[0].path, "--after", picture, "--out", tmp_path / "pair")
    shown = run("compare", *sides, "--before-mpp", 0.9, "--model", "none")
    assert shown.exit_code == 2
    assert "--before-mpp: the side before is a result" in " ".join(shown.output.split())
    assert not (tmp_path / "pair").exists()


def test_criteria_that_results_were_not_scored_by_are_refused(tmp_path, slides):
    sides = ("--before", slides[0].path, "--after", slides[1].path, "--out", tmp_path / "pair")
    shown = run("compare", *sides, "--criteria", "gastric-biopsy")
    assert shown.exit_code == 2
    assert "--criteria: the results were scored by asco-cap-2018" in " ".join(shown.output.split())
    assert not (tmp_path / "pair").exists()
    assert run("compare", *sides, "--criteria", "asco-cap-2018", "--quiet").exit_code == 0


def test_options_of_outlines_and_specimen_are_judged_as_by_score(tmp_path, glass_pair, caplog):
    sides = ("--before", glass_pair[0], "--after", glass_pair[1], "--mpp", 0.25)
    asked = ("compare", *sides, "--out", tmp_path / "pair", "--model", "none", "--workers", 1)
    shown = run(*asked, "--roi-offset", "5,5")
    assert shown.exit_code == 2
    assert "--roi-offset moves outlines, and there are none" in " ".join(shown.output.split())
    assert not (tmp_path / "pair").exists()
    assert run(*asked, "--specimen", "biopsy", "--quiet").exit_code == 0
    assert "--specimen biopsy is noted and decides nothing" in caplog.text


def test_outlines_of_one_slide_are_not_laid_on_the_other(tmp_path, glass_pair):
    ring = [[10, 10], [90, 10], [90, 90], [10, 90], [10, 10]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    tumor = {"classification": {"name": "Tumor"}}
    feature = {"type": "Feature", "id": "a", "geometry": geometry, "properties": tumor}
    folder = tmp_path / "outlines"
    folder.mkdir()
    only = folder / "a.geojson"
    only.write_text(json.dumps(feature), "utf-8")
    asked = ("compare", "--before", glass_pair[0], "--after", glass_pair[1], "--mpp", 0.25)
    asked += ("--out", tmp_path / "pair", "--model", "none", "--workers", 1)
    shown = run(*asked, "--roi", only)
    assert shown.exit_code == 2
    assert "holds the outlines of one slide, but 2 are to be" in " ".join(shown.output.split())
    # Nothing is scored before all is right.
    shown = run(*asked, "--roi", folder)
    assert shown.exit_code == 2
    assert "b.png: no b.geojson" in " ".join(shown.output.split())
    assert not (tmp_path / "pair").exists()


def test_ish_that_the_criteria_do_not_know_is_told_before_anything_is_scored(tmp_path, glass_pair):
    asked = ("compare", "--before", glass_pair[0], "--after", glass_pair[1], "--mpp", 0.25)
    asked += ("--out", tmp_path / "pair", "--model", "none", "--workers", 1)
    shown = run(*asked, "--criteria", "gastric-resection", "--after-ish", "group1")
    assert shown.exit_code == 2
    assert not (tmp_path / "pair").exists()


def test_a_damaged_result_of_a_side_is_told_with_its_remedy(tmp_path, glass_pair):
    sides = ("--before", glass_pair[0], "--after", glass_pair[1], "--mpp", 0.25)
    out = tmp_path / "pair"
    asked = ("compare", *sides, "--out", out, "--model", "none", "--workers", 1, "--quiet")
    assert run(*asked).exit_code == 0
    (out / "before" / "a" / "slide.json").write_text("{", "utf-8")
    shown = run(*asked, "--resume")
    assert shown.exit_code == 1
    assert "before: a: was scored before, and no result can be read (delete its folder" in " ".join(
        shown.output.split()
    )
    # And that is a remedy.
    shutil.rmtree(out / "before" / "a")
    assert run(*asked, "--resume").exit_code == 0
