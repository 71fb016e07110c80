"""What a fresh clone promises: one command each, exact versions, everything shipped."""

import importlib.util
import os
import re
import subprocess
import sys
import threading
import tomllib
import venv
from collections import Counter
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_package_is_in_the_wheel() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = document["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "her2path").rglob("__init__.py")
    }
    assert set(listed) == found | {"her2path_models"}


@pytest.fixture(scope="module")
def run() -> ModuleType:
    """scripts/run.py as a module."""
    spec = importlib.util.spec_from_file_location("her2path_run", ROOT / "scripts" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def needed_by(requirements: list[str]) -> set[str]:
    """Every distribution that these bring along here, directly or not."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            waiting += [Requirement(text) for text in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
    return found - {"her2path"}


def test_every_distribution_that_gets_installed_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    assert needed_by(wanted) <= set(pins())


def test_no_pin_is_below_what_the_project_asks_for() -> None:
    exact = pins()
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)])


def test_pins_are_in_the_spelling_that_the_test_compares() -> None:
    assert all(name == canonicalize_name(name) for name in pins())


def test_constraints_name_no_address() -> None:
    assert not re.search(r"://|^-", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)


def test_the_version_is_one() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert metadata.version("her2path") == PROJECT["version"]
    assert f"\nversion: {PROJECT['version']}\n" in citation


def test_types_and_license_are_shipped() -> None:
    assert (ROOT / "her2path" / "py.typed").is_file()
    license_text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in license_text
    assert "END OF TERMS AND CONDITIONS" in license_text


@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_every_link_between_documents_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "scripts/run.py"])
def test_the_intended_use_is_stated(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "For research use only. Not for use in diagnostic procedures." in text


def test_the_readme_lists_the_criteria_that_ship() -> None:
    shipped = {path.stem for path in (ROOT / "her2path" / "criteria" / "rules").glob("*.toml")}
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Criteria")[1]
    assert set(re.findall(r"`([a-z-]+[0-9a-z-]*)`", section.split("##")[0])) == shipped


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/run.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_command(run: ModuleType) -> None:
    shown = run_script("--help")
    assert shown.returncode == 0
    assert all(f"\n  {name} " in shown.stdout for name in run.COMMANDS)


def test_help_of_a_command_does_nothing_but_help(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.html"
    report.write_text("of an earlier demo", encoding="utf-8")
    monkeypatch.setattr(run, "DEMO_RESULTS", tmp_path)
    monkeypatch.setattr(run, "prepare", lambda *_: pytest.fail("nothing is to be made"))
    for command in ("setup", "demo", "lint"):
        assert run.main([command, "--help"]) == 0
    assert report.is_file()


def test_an_unknown_command_is_wrong_use_and_names_the_known_ones() -> None:
    shown = run_script("score")
    assert shown.returncode == 2
    assert "demo" in shown.stderr


def test_an_old_python_is_refused_with_a_remedy(run: ModuleType) -> None:
    with pytest.raises(run.RunError, match=r"needs 3\.11 or newer[\s\S]*python3\.11 scripts"):
        run.check_python((3, 10, 4))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2)])
def test_a_supported_python_is_accepted(run: ModuleType, version: tuple[int, ...]) -> None:
    run.check_python(version)


def test_programs_are_found_where_each_system_keeps_them(run: ModuleType, tmp_path: Path) -> None:
    assert run.venv_tool("python", tmp_path, "posix") == tmp_path / "bin" / "python"
    assert run.venv_tool("python", tmp_path, "nt") == tmp_path / "Scripts" / "python.exe"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_the_key_changes_with_what_gets_installed(
    run: ModuleType, checkout: Path, name: str
) -> None:
    before = run.environment_key(checkout, "3.11")
    (checkout / name).write_text("# another\n", encoding="utf-8")
    assert run.environment_key(checkout, "3.11") != before


def test_the_key_changes_with_the_python_but_not_with_line_ends(
    run: ModuleType, checkout: Path
) -> None:
    before = run.environment_key(checkout, "3.11")
    (checkout / "constraints.txt").write_bytes(b"# constraints.txt\r\n")
    assert run.environment_key(checkout, "3.11") == before
    assert run.environment_key(checkout, "3.12") != before


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"key": "a"}', '{"key": "a", "extras": 3}'])
def test_a_damaged_stamp_counts_as_none(run: ModuleType, tmp_path: Path, stamp: str) -> None:
    path = tmp_path / "stamp.json"
    path.write_text(stamp, encoding="utf-8")
    assert run.installed_extras(path, "a") is None


def test_a_stamp_serves_its_own_key_only(run: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "stamp.json"
    path.write_text('{"key": "a", "extras": ["test"]}', encoding="utf-8")
    assert run.installed_extras(path, "a") == {"test"}
    assert run.installed_extras(path, "b") is None


def test_an_absent_or_broken_environment_is_not_usable(run: ModuleType, tmp_path: Path) -> None:
    assert not run.is_usable(tmp_path / "absent")
    python = run.venv_tool("python", tmp_path)
    python.parent.mkdir()
    python.write_text("not a program", encoding="utf-8")
    python.chmod(0o755)
    assert not run.is_usable(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in interpreter is a shell script")
def test_an_environment_whose_making_was_cut_short_is_not_usable(
    run: ModuleType, tmp_path: Path
) -> None:
    python = run.venv_tool("python", tmp_path)
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho {}.{}\n".format(*sys.version_info), encoding="utf-8")
    python.chmod(0o755)
    assert run.is_usable(tmp_path)
    (tmp_path / run.UNFINISHED.name).touch()
    assert not run.is_usable(tmp_path)


def test_an_environment_whose_pip_is_half_there_is_not_usable(
    run: ModuleType, tmp_path: Path
) -> None:
    venv.create(tmp_path, with_pip=False)
    (packages,) = tmp_path.rglob("site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    assert not run.is_usable(tmp_path)


@pytest.fixture
def settled(run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in a folder of its own, where nothing is installed for real."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    home = tmp_path / ".venv"
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", home)
    monkeypatch.setattr(run, "STAMP", home / run.STAMP.name)
    monkeypatch.setattr(run, "UNFINISHED", home / run.UNFINISHED.name)
    monkeypatch.setattr(run, "is_usable", lambda place: (place / "made").is_file())
    monkeypatch.setattr(run, "pip_install", lambda *_: (home / "made").touch())
    return home


def made_at(folder: Path, place: Path) -> None:
    """Write what Python does of where an environment was made."""
    text = f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv --without-pip {place}\n"
    (folder / "pyvenv.cfg").write_text(text, encoding="utf-8")


def test_an_environment_that_was_moved_is_led_to_its_new_place(
    run: ModuleType, settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(*options: str) -> None:
        built.append(options)
        made_at(settled, settled)

    monkeypatch.setattr(run, "build_venv", build)
    run.prepare()
    assert built == [()]
    run.prepare()
    assert built == [()]
    made_at(settled, tmp_path / "old" / ".venv")
    (settled / "kept").touch()
    run.prepare()
    assert built == [(), ("--without-pip",)]
    assert (settled / "kept").is_file()


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_whatever_stands_in_the_way_is_replaced_and_marked_until_it_is_whole(
    run: ModuleType, settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    if kind == "folder":
        settled.mkdir()
        (settled / "old").touch()
    elif kind == "file":
        settled.touch()
    else:
        try:
            settled.symlink_to(elsewhere if kind == "link" else tmp_path / "nowhere")
        except OSError:
            pytest.skip("links are not allowed here")
    marked = []
    monkeypatch.setattr(run, "build_venv", lambda: marked.append(run.UNFINISHED.is_file()))
    run.prepare()
    assert marked == [True]
    assert not run.UNFINISHED.exists()
    assert not settled.is_symlink()
    assert not (settled / "old").exists()
    # What a link led to is not ours.
    assert (elsewhere / "mine").is_file()


def test_one_start_waits_for_another_that_makes_the_environment(
    run: ModuleType, settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    told = threading.Event()
    monkeypatch.setattr(run, "say", lambda text: told.set() if "waiting" in text else None)
    monkeypatch.setattr(run, "build_venv", lambda: None)
    later = threading.Thread(target=run.prepare)
    with open(run.__file__, "rb") as script:
        fcntl.flock(script, fcntl.LOCK_EX)
        later.start()
        assert told.wait(30)
        assert not settled.exists()
    later.join(30)
    assert (settled / "made").is_file()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("Failed to establish a new connection", "no package index answered"),
        ("ERROR: torch==2.13.0 (from versions: none)", "a package has no file for Python"),
        ("ERROR: ResolutionImpossible", "its own words are above"),
    ],
)
def test_what_is_said_of_a_failed_pip_is_what_hindered_it(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, remedy: str
) -> None:
    python = run.venv_tool("python", tmp_path)
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho '{complaint}' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(run, "venv_tool", lambda _: python)
    with pytest.raises(run.RunError, match=remedy):
        run.pip_install("torch")


def test_the_demo_refuses_another_folder_since_it_looks_into_its_own(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "prepare", lambda *_: pytest.fail("nothing is to be made"))
    for words in (["--out", "x"], ["--out=x"], ["-o", "x"]):
        assert run.main(["demo", *words]) == 1
        assert "the demo writes into demo_results/" in capsys.readouterr().err


def test_no_two_test_files_share_a_name() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == []
