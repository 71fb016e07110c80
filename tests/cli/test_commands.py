import csv
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from her2path.cli import cohort as cohort_module
from her2path.cli import compare as compare_module
from her2path.cli import export as export_module
from her2path.cli import main as main_module
from her2path.cli import outcomes as outcomes_module
from her2path.cli.cohort import cohort
from her2path.cli.compare import compare
from her2path.cli.console import OUTPUT, refuse_empty
from her2path.cli.display import Display, done_line, duration_words
from her2path.cli.main import RESEARCH_USE, app, score
from her2path.cli.options import IccChoice
from her2path.cli.score import ScoreOptions
from her2path.criteria.rule_set import DEFAULT_CRITERIA
from her2path.criteria.score import Score, Status
from her2path.models.shipped import shipped_models
from her2path.pipeline.progress import (
    BatchBegan,
    SlideDone,
    SlideFailed,
    SlideStarted,
    SlideSurveyed,
    TilesMeasured,
    WorkerDied,
)
from her2path.pipeline.settings import CellsGeojson, ScoreSettings
from her2path.results import record
from her2path.results.dicom_annotations import CellsWanted
from her2path.results.geojson import Origin
from her2path.slides.color import Icc

pytestmark = pytest.mark.slow


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def glass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "glass.png"
    noise = np.random.default_rng(0).integers(238, 243, (300, 400, 3)).astype(np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def test_help_teaches_with_examples_and_says_research_use():
    shown = run("--help")
    assert shown.exit_code == 0
    assert "Research Use Only" in shown.output
    of_score = run("score", "--help").output
    assert "her2path score slide.svs --out results" in of_score
    assert "Exit status" in of_score


def test_names_are_printed_as_they_are(glass: Path, tmp_path: Path):
    # Brackets are markup to rich, and words between colons pictures.
    named = tmp_path / ("S17 [b].png" if os.name == "nt" else "S17:A:2[b].png")
    named.write_bytes(glass.read_bytes())
    facts = json.loads(run("info", named, "--mpp", 0.25, "--json").stdout)
    assert Path(facts["path"]).name == named.name
    # As in tables, a number may have a decimal comma.
    assert json.loads(run("info", named, "--mpp", "0,25", "--json").stdout) == facts
    out = tmp_path / "run[old][" / "[b]"
    shown = run("score", named, "--mpp", 0.25, "--out", out, "--model", "none")
    assert shown.exit_code == 0, shown.output
    assert f"Report: {out / 'report.html'}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "work"),
    [
        (("info", "a.svs"), "info.show_info"),
        (("report", "results"), "report.rebuild_report"),
        (("criteria", "show", "gastric-biopsy"), "criteria.show_rule_set"),
    ],
)
def test_a_command_that_cannot_go_on_promises_no_resume(arguments, work, monkeypatch):
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"her2path.cli.{work}", stopped)
    shown = run(*arguments)
    assert "interrupted" in shown.output
    assert "--resume" not in shown.output


def test_gastric_alone_is_answered_with_names_that_every_command_takes():
    shown = run("criteria", "show", "gastric")
    assert shown.exit_code == 2
    words = " ".join(shown.output.split())
    assert "name gastric-resection or gastric-biopsy" in words
    assert "add --specimen" not in words


def test_the_version_says_research_use():
    assert "Research Use Only" in run("--version").output
    assert RESEARCH_USE == record.RESEARCH_USE


def test_help_loads_no_heavy_library():
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from her2path.cli.main import app\n"
        "assert CliRunner().invoke(app, ['score', '--help']).exit_code == 0\n"
        "heavy = {'cv2', 'numba', 'pyarrow', 'scipy', 'openslide', 'matplotlib', 'jinja2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_a_slide_that_is_not_assessable_is_scored(glass: Path, tmp_path: Path):
    shown = run("score", glass, "--mpp", 0.25, "--out", tmp_path / "out", "--workers", 1)
    assert shown.exit_code == 0, shown.output
    assert "No tissue was found" in shown.output
    assert "report.html" in shown.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"slides.csv", "run.json", "report.html", "glass"} <= names
    assert (tmp_path / "out" / "glass" / "overview.png").is_file()


def test_some_failed_is_status_1_and_names_them(glass: Path, tmp_path: Path):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    shown = run("score", bad, glass, "--mpp", 0.25, "--out", tmp_path / "out", "--workers", 1)
    assert shown.exit_code == 1
    assert "no reader understands it" in shown.output
    with (tmp_path / "out" / "slides.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["slide_id"]: row["state"] for row in csv.DictReader(file)}
    assert rows == {"bad": "failed", "glass": "done"}


def test_json_goes_to_standard_output_alone(glass: Path, tmp_path: Path):
    shown = run("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1, "--json")
    document = json.loads(shown.stdout)
    assert (document["n_done"], document["failed"]) == (1, [])
    assert document["model"] == shipped_models()[0].name
    assert document["slides"][0]["score"] == "not_assessable"
    assert shown.stderr == ""


@pytest.mark.parametrize("asked", ["auto", "none", "by path"])
def test_a_run_says_which_network_reads(glass: Path, tmp_path: Path, asked: str):
    (shipped,) = shipped_models()
    model = shipped.folder if asked == "by path" else asked
    shown = run("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1, "--model", model)
    said = {
        "auto": f"Network: {shipped.name}, which ships with her2path.",
        "none": "Network: none; the rules read alone.",
        "by path": f"Network: {shipped.name} in {shipped.folder}.",
    }
    assert shown.stderr.splitlines()[0] == said[asked]


def test_quiet_says_nothing(glass: Path, tmp_path: Path):
    shown = run("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1, "--quiet")
    assert shown.output == ""


def test_quiet_says_what_failed(glass: Path, tmp_path: Path):
    shown = run("score", glass, "--out", tmp_path, "--workers", 1, "--quiet")
    assert shown.exit_code == 1
    assert "no usable µm/px in the file: give it with --mpp" in " ".join(shown.stderr.split())


def test_a_manifest_gives_each_slide_its_own_settings(glass: Path, tmp_path: Path):
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        f"slide_id,path,mpp,criteria,block\nA,{glass},0.25,gastric-biopsy,7\n", encoding="utf-8"
    )
    shown = run("score", manifest, "--out", tmp_path / "out", "--workers", 1)
    assert shown.exit_code == 0, shown.output
    with (tmp_path / "out" / "slides.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["slide_id"], row["rule_set"], row["block"]) == ("A", "gastric-biopsy", "7")


@pytest.mark.parametrize("is_json", [False, True])
def test_a_damaged_result_costs_the_others_nothing(glass: Path, tmp_path: Path, *, is_json: bool):
    slides = [tmp_path / "a.png", tmp_path / "b.png"]
    for slide in slides:
        slide.write_bytes(glass.read_bytes())
    asked = ("score", *slides, "--mpp", 0.25, "--out", tmp_path / "out", "--model", "none")
    assert run(*asked, "--workers", 1, "--quiet").exit_code == 0
    (tmp_path / "out" / "a" / "slide.json").write_text("{", encoding="utf-8")
    (tmp_path / "out" / "report.html").unlink()
    shown = run(*asked, "--resume", *(["--json"] if is_json else []))
    assert shown.exit_code == 1, shown.output
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "its result cannot be read" in report
    assert "was interrupted" not in report
    assert "delete its folder" in shown.output
    if is_json:
        document = json.loads(shown.stdout)
        assert [slide["slide_id"] for slide in document["slides"]] == ["b"]
        assert [slide["slide_id"] for slide in document["failed"]] == ["a"]
        assert (document["n_done"], document["n_slides"]) == (1, 2)
    else:
        assert "1 of 2 slides scored" in shown.output
    # And that is a remedy.
    shutil.rmtree(tmp_path / "out" / "a")
    assert run(*asked, "--resume", "--quiet").exit_code == 0
    assert (tmp_path / "out" / "a" / "slide.json").is_file()


def test_results_are_overwritten_only_on_request(glass: Path, tmp_path: Path):
    given = ("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1)
    assert run(*given).exit_code == 0
    before = (tmp_path / "run.json").read_bytes()
    refused = run(*given)
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    assert "--overwrite" in refused.output
    assert (tmp_path / "run.json").read_bytes() == before
    assert run(*given, "--resume").exit_code == 0
    assert run(*given, "--overwrite").exit_code == 0
    assert run(*given, "--overwrite", "--resume").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option"),
        (("--out", "o"), "name at least one SLIDE"),
        (("gone.svs", "--out", "o"), "does not exist"),
        (("GLASS", "--out", "o", "--model", "big"), "known are"),
        (("GLASS", "--out", "o", "--criteria", "asco-1999"), "known are asco-cap-2007"),
        (("GLASS", "--out", "o", "--criteria", "gastric"), "--specimen"),
        (("GLASS", "--out", "o", "--mpp", "25"), "0.05"),
        (("GLASS", "--out", "o", "--mpp", "0;25"), "'0;25' is no number; write µm per pixel as"),
        (("GLASS", "--out", "o", "--mpp", "nan"), "'nan' is no number; write µm per pixel as"),
        (("GLASS", "--out", "o", "--white-point", "1,2"), "white point"),
        (("GLASS", "--out", "o", "--roi", "gone.geojson"), "does not exist"),
        (("GLASS", "--out", "o", "--roi-offset", "a"), "two whole numbers"),
        (("GLASS", "--out", "o", "--roi-offset", "9,9"), "add --roi"),
        (("--manifest", "MANIFEST", "--out", "o", "--roi-offset", "9,9"), "no row of the manifest"),
        (("GLASS", "--out", "o", "--workers", "-1"), "workers"),
        (("GLASS", "--out", "o", "--ish", "maybe"), "ish"),
        (("GLASS", "--out", "GLASS"), "cannot be made"),
        (("", "--out", "o"), "name at least one SLIDE"),
    ],
)
def test_wrong_use_is_status_2_with_a_remedy(
    glass: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
):
    monkeypatch.chdir(tmp_path)
    # Wide, so that no message is broken in the middle of a word.
    monkeypatch.setenv("COLUMNS", "300")
    manifest = tmp_path / "slides.csv"
    manifest.write_text(f"path,mpp\n{glass},0.25\n", "utf-8")
    known = {"GLASS": str(glass), "MANIFEST": str(manifest)}
    shown = run("score", *(known.get(argument, argument) for argument in arguments))
    assert shown.exit_code == 2
    assert words in shown.output
    assert "Traceback" not in shown.output


def test_a_graphics_card_that_is_not_there_is_wrong_use(
    glass: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    asked = ("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1, "--device", "cuda")
    shown = run(*asked)
    assert shown.exit_code == 2
    assert "--device cpu" in shown.output
    # The rules alone need none.
    assert run(*asked, "--model", "none").exit_code == 0


def test_info_shows_what_was_understood(glass: Path):
    shown = run("info", glass)
    assert shown.exit_code == 0
    assert "400 × 300 px" in shown.output
    assert "--mpp" in shown.output
    document = json.loads(run("info", glass, "--mpp", 0.25, "--json").stdout)
    assert document["mpp"] == [0.25, 0.25]
    assert document["problems"] == []


def test_info_of_no_slide_is_wrong_use(tmp_path: Path):
    assert run("info", tmp_path / "gone.svs").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("info",),
        ("report",),
        ("review",),
        ("export", "--out", "o"),
        ("evaluate", "--reference", "readings.csv", "--out", "o"),
    ],
)
def test_a_path_that_the_system_refuses_is_wrong_use(arguments: tuple[str, ...]):
    command, *others = arguments
    # Longer than any file system takes; a folder that may not be looked into ends alike.
    shown = run(command, "long" * 100, *others)
    assert shown.exit_code == 2
    assert "longlong" in shown.output
    assert "Traceback" not in shown.output


def test_a_path_is_shown_whole_however_long(
    glass: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(OUTPUT, "_width", 40)
    path = tmp_path / ("n" * 90 + ".png")
    path.write_bytes(glass.read_bytes())
    # In parts, one below the other.
    shown = "".join(run("info", path, "--mpp", 0.25).stdout.split())
    assert path.name in shown.replace("file", "", 1)


def test_names_of_criteria_are_not_cut_short(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(OUTPUT, "_width", 40)
    assert "…" not in run("criteria", "list").stdout


def run_under(encoding: str, *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose outputs take the letters of an encoding and no others."""
    return subprocess.run(
        [sys.executable, "-m", "her2path", *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_signs_that_an_output_lacks_end_no_command(encoding: str):
    shown = run_under(encoding, "criteria", "show", "asco-cap-2018")
    assert shown.returncode == 0, shown.stderr
    assert b"\\u2264" in shown.stdout
    document = run_under(encoding, "criteria", "show", "asco-cap-2018", "--json").stdout
    assert "≤" in json.dumps(json.loads(document.decode(encoding)), ensure_ascii=False)


def test_what_goes_into_a_file_is_utf_8_whatever_the_locale():
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"}
    shown = subprocess.run(
        [sys.executable, "-m", "her2path", "synth", "--print-recipe"],
        capture_output=True,
        env={**inherited, **plain},
        check=False,
        timeout=120,
    )
    assert shown.returncode == 0, shown.stderr
    text = shown.stdout.decode("utf-8")
    assert "µm" in text
    assert tomllib.loads(text)["name"] == "example"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are letters elsewhere")
def test_a_name_of_no_letters_is_told_and_comes_back(glass: Path, tmp_path: Path):
    named = os.fsencode(tmp_path) + b"/\xff.png"
    with open(named, "wb") as file:
        file.write(glass.read_bytes())
    shown = run_under("utf-8", "info", named, "--mpp", "0.25", "--json")
    assert shown.returncode == 0, shown.stderr
    assert os.fsencode(json.loads(shown.stdout)["path"]) == named


def test_criteria_are_listed_and_shown():
    assert "asco-cap-2018" in run("criteria", "list").output
    names = {row["name"] for row in json.loads(run("criteria", "list", "--json").stdout)}
    assert {"asco-cap-2018", "gastric-biopsy"} <= names
    shown = run("criteria", "show", "asco-cap-2018")
    assert all(row in shown.output for row in ("3+", "2+ intense", "1+", "0+"))
    assert json.loads(run("criteria", "show", "asco-cap-2018", "--json").stdout)["criteria"]
    assert run("criteria", "show", "nothing").exit_code == 2


def test_doctor_finds_this_installation_well():
    shown = run("doctor")
    assert shown.exit_code == 0, shown.output
    assert all(finding["is_well"] for finding in json.loads(run("doctor", "--json").stdout))


def test_doctor_shows_where_a_fault_lies_when_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken() -> str:
        raise ValueError("no such wheel")

    monkeypatch.setattr("her2path.cli.doctor.measure_field", broken)
    with caplog.at_level("DEBUG", logger="her2path"):
        shown = run("doctor", "--debug")
    assert shown.exit_code == 1
    assert "fault" in shown.stdout
    assert "Traceback" in caplog.text
    assert "in broken" in caplog.text


def test_a_report_is_written_again(glass: Path, tmp_path: Path):
    run("score", glass, "--mpp", 0.25, "--out", tmp_path, "--workers", 1, "--quiet")
    (tmp_path / "report.html").unlink()
    assert run("report", tmp_path, "--pictures").exit_code == 0
    assert "Research Use Only" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_needs_a_run(tmp_path: Path):
    shown = run("report", tmp_path)
    assert shown.exit_code == 2
    assert "holds no run" in shown.output


def test_a_slide_without_counted_cells_has_no_score_and_a_reason():
    event = SlideDone("a", Score.NOT_ASSESSABLE, Status.NOT_ASSESSABLE, 0, ("few_cells",), 1.0, "")
    assert done_line(event).plain.startswith(" n/a   a  no tumor cell was counted")


def test_what_workers_took_together_is_not_told_as_a_wait():
    event = SlideDone("a", Score.ONE_PLUS, Status.LOW, 812, (), 75.0, "")
    assert done_line(event).plain.endswith("(1 min 15 s of work)")


EVENTS = (
    BatchBegan(3, 1, 2),
    SlideStarted("a"),
    SlideSurveyed("a", 4, 1, 2.0),
    TilesMeasured("a", 1, 0.5, 900),
    WorkerDied(("a",)),
    SlideDone("a", Score.ONE_PLUS, Status.LOW, 812, ("double_read",), 75.0, ""),
    SlideFailed("[b]", "[red]damaged[/red]"),
)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_shown_at_a_terminal_and_in_a_log(is_terminal: bool):
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=200, color_system=None)
    with Display(console) as display:
        for event in EVENTS:
            display(event)
        words = display.estimate.words()
    text = stream.getvalue()
    for part in ("1 of 3 slides are done", "812 tumor cells", "double read", "worker process died"):
        assert part in text
    # Text of a file is shown as it is, never as markup.
    assert "[b]" in text
    assert "[red]damaged[/red]" in text
    assert words.startswith("slide 3 of 3")


def test_a_log_says_how_long_it_takes_yet_though_slide_after_slide_is_done(
    monkeypatch: pytest.MonkeyPatch,
):
    from io import StringIO

    from rich.console import Console

    now = iter(range(0, 10_000, 25))
    monkeypatch.setattr("her2path.cli.display.time.perf_counter", lambda: float(next(now)))
    stream = StringIO()
    with Display(Console(file=stream, width=200, color_system=None)) as display:
        for event in EVENTS:
            display(event)
    assert "mm²/s · about" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3700, "1 h 01 min")]
)
def test_durations_are_said_in_words(seconds: float, words: str):
    assert duration_words(seconds) == words


@pytest.mark.skipif(os.name != "posix", reason="the program's name differs elsewhere")
def test_the_installed_program_works_with_workers(glass: Path, tmp_path: Path):
    program = Path(sys.executable).with_name("her2path")
    command = [program, "score", glass, "--mpp", "0.25", "--out", tmp_path, "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert "1 of 1 slides scored" in ended.stderr
    assert "1 slide asks for a second read" in ended.stderr
    assert f"her2path review {shlex.quote(str(tmp_path))}" in ended.stderr


@pytest.mark.real
def test_real_slides_end_as_they_should(real_data: Path, tmp_path: Path):
    slides = real_data / "slides"
    names = ("CMU-1-Small-Region.svs", "test3-TRITC 2 (560).ndpi", "broken.svs")
    shown = run(
        "score", *(slides / n for n in names), real_data / "tma" / "3_99b3.jpg", "--out", tmp_path,
        "--workers", 1, "--mpp", 0.23,
    )  # fmt: skip
    assert shown.exit_code == 1
    with (tmp_path / "slides.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert rows.pop("broken")["state"] == "failed"
    assert {row["score"] for row in rows.values()} == {"not_assessable"}


@pytest.mark.parametrize("command", [score, compare, cohort])
def test_the_options_mean_the_default_criteria_where_nobody_names_any(command):
    assert inspect.signature(command).parameters["criteria"].default == DEFAULT_CRITERIA


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (main_module.CellsChoice, CellsGeojson),
        (main_module.OriginChoice, Origin),
        (export_module.CellsChoice, CellsWanted),
        (IccChoice, Icc),
    ],
)
def test_an_option_has_the_words_of_what_it_stands_for(words, meant):
    assert list(words) == list(meant)


def test_an_option_that_is_a_setting_has_its_default():
    settings = {field.name: field.default for field in fields(ScoreSettings)}
    options = {name: p.default for name, p in inspect.signature(score).parameters.items()}
    shared = settings.keys() & options.keys()
    assert shared == {"exclude_controls", "region_um", "seed", "cells_geojson", "geojson_origin"}
    assert {name: options[name] for name in shared} == {name: settings[name] for name in shared}
    # What cohort has no option for.
    left_out = {f.name: f.default for f in fields(ScoreOptions) if f.default is not MISSING}
    assert {name: options[name] for name in left_out if name in options} == {
        name: default for name, default in left_out.items() if name in options
    }


@pytest.mark.parametrize("module", [compare_module, cohort_module, outcomes_module])
def test_options_that_may_be_unused_are_options(module):
    # A name that is none would never be refused.
    command = getattr(module, module.__name__.rpartition(".")[2])
    known = set(inspect.signature(command).parameters)
    source = inspect.getsource(command)
    named = [*getattr(module, "OF_READING", ())]
    for words in re.findall(r"refuse_unused\(\s*context,\s*[\[(]([^\])]*)[\])]", source):
        named += re.findall(r'"(\w+)"', words)
    assert named
    assert set(named) <= known


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["score", "a.svs", "--out", ""], "--out is empty"),
        (["score", "a.svs", "--out="], "--out is empty"),
        (["score", "", "--out", "results"], "an argument is empty"),
    ],
)
def test_what_a_shell_left_empty_is_no_folder(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        refuse_empty(arguments)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err


def test_what_is_given_is_not_empty():
    refuse_empty(["score", "a=b.svs", "--out", "results", "--manifest=m.csv", "-v"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
@pytest.mark.parametrize("arguments", [("criteria", "list"), ("criteria", "list", "--json")])
def test_an_output_that_takes_no_more_is_told_in_one_line(arguments: tuple[str, ...]):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "her2path", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert "what was to be printed is lost" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_a_full_disk_under_the_log_ends_no_run(glass: Path, tmp_path: Path):
    command = [sys.executable, "-m", "her2path", "score", str(glass), "--mpp", "0.25"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*command, "--model", "none", "--workers", "1", "--out", str(tmp_path / "out")],
            stderr=full,
            check=False,
        )
    assert ended.returncode == 0
    assert (tmp_path / "out/report.html").is_file()


def test_a_current_folder_that_was_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    shown = run("score", "a.svs", "--out", tmp_path / "out")
    assert (shown.exit_code, "the current folder was deleted" in shown.output) == (2, True)
