from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from her2path.cli.calibrate import Display
from her2path.cli.main import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["calibrate", *(str(argument) for argument in arguments)])


@pytest.fixture
def controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Wide, so that no message is broken in the middle of a word.
    monkeypatch.setenv("COLUMNS", "300")
    path = tmp_path / "controls.csv"
    path.write_text("path,score\na.svs,0\nb.svs,7\n", encoding="utf-8")
    return path


def test_help_shows_how_to_make_and_use_one():
    shown = run("--help").output
    assert "her2path calibrate controls.csv" in shown
    assert "--calibration site.json" in shown


def test_a_target_that_cannot_be_is_refused_before_anything_is_measured(
    controls: Path, tmp_path: Path
):
    there = tmp_path / "there.json"
    there.write_text("{}", encoding="utf-8")
    for target, words in (
        (tmp_path / "site.txt", "is a JSON file"),
        (tmp_path / "no" / "site.json", "does not exist"),
        (there, "--overwrite"),
    ):
        shown = run(controls, "--out", target, "--name", "site")
        assert shown.exit_code == 2
        assert words in shown.output
    assert there.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("beside", ["site.txt", "site.png"])
def test_what_lies_where_the_summary_goes_is_kept(controls: Path, tmp_path: Path, beside: str):
    (tmp_path / beside).write_text("of somebody else", encoding="utf-8")
    shown = run(controls, "--out", tmp_path / "site.json", "--name", "site")
    assert shown.exit_code == 2
    assert f"{beside} is there already; add --overwrite" in shown.output


@pytest.mark.parametrize("name", ["list", "a"])
def test_a_calibration_replaces_none_of_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv("COLUMNS", "300")
    table, slide = tmp_path / "list.txt", tmp_path / "a.png"
    table.write_text("path,score\na.png,0\n", encoding="utf-8")
    slide.write_bytes(b"a slide")
    shown = run(table, "--out", tmp_path / f"{name}.json", "--name", "site", "--overwrite")
    assert shown.exit_code == 2
    lost = {"list": table, "a": slide}[name]
    assert f"--out {name}.json would replace {lost}" in shown.output


def test_a_target_that_cannot_be_written_is_known_before_anything_is_measured(
    controls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "folder.json").mkdir()
    shown = run(controls, "--out", tmp_path / "folder.json", "--name", "site", "--overwrite")
    assert (shown.exit_code, "is a folder" in shown.output) == (2, True)
    # As for a folder that one may only look into; root may write into any.
    monkeypatch.setattr("os.access", lambda path, *_, **__: Path(path) != tmp_path)
    shown = run(controls, "--out", tmp_path / "site.json", "--name", "site")
    assert (shown.exit_code, "you may not write into" in shown.output) == (2, True)


def test_a_name_is_needed_and_bounded(controls: Path, tmp_path: Path):
    for name in (" ", "x" * 101, "a\nb", "\x1b[31ma"):
        shown = run(controls, "--out", tmp_path / "site.json", "--name", name)
        assert shown.exit_code == 2
        assert "1 to 100" in shown.output


def test_faults_of_the_list_are_wrong_use(controls: Path, tmp_path: Path):
    shown = run(controls, "--out", tmp_path / "site.json", "--name", "site")
    assert shown.exit_code == 2
    assert "row 3, score: '7' is none of 0, 1+, 2+, 3+" in shown.output
    assert not (tmp_path / "site.json").exists()


def test_progress_is_one_line_per_stage_in_a_log(capsys: pytest.CaptureFixture[str]):
    with Display() as display:
        display("measuring cells", 1, 2)
        display("measuring cells", 2, 2)
    assert capsys.readouterr().err == "measuring cells: 2 done\n"


def test_progress_is_not_told_to_the_quiet(capsys: pytest.CaptureFixture[str]):
    with Display(is_quiet=True) as display:
        display("measuring cells", 2, 2)
    assert capsys.readouterr().err == ""
