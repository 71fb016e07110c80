"""Where compiled functions go, and which are forgotten."""

import os
import time
from pathlib import Path

import pytest

from her2path import compiled


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """A machine on which nothing can be kept; what is registered to be done at the end."""
    at_end: list[object] = []
    # Set first: what a test leaves in it goes again.
    monkeypatch.setenv(compiled.VARIABLE, "")
    monkeypatch.delenv(compiled.VARIABLE)
    monkeypatch.setattr(compiled, "can_be_written", lambda _: False)
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(compiled.atexit, "register", lambda *call, **_: at_end.append(call))
    return at_end


def test_where_nothing_can_be_kept_there_is_a_folder_for_this_run(
    nowhere: list[object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compiled.provide_place()
    folder = Path(os.environ[compiled.VARIABLE])
    assert folder.is_dir()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    assert [call[1] for call in nowhere] == [str(folder)]
    assert compiled.VARIABLE in caplog.text


def test_a_place_that_a_user_gives_stays(
    nowhere: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiled.VARIABLE, "mine")
    compiled.provide_place()
    assert os.environ[compiled.VARIABLE] == "mine"
    assert not nowhere


def test_where_the_package_can_be_written_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    compiled.provide_place()
    assert compiled.VARIABLE not in os.environ


def test_a_file_is_no_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not compiled.can_be_written(tmp_path / "file" / "below")
    assert compiled.can_be_written(tmp_path / "new" / "folder")


def test_compiled_functions_that_may_be_stale_are_forgotten(tmp_path: Path) -> None:
    def written(name: str, at: float) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (at, at))
        return path

    for room in ("cells", "slides"):
        written(f"{room}/lines.py", 100)
        written(f"{room}/table.py", 100)
    old = written("cells/__pycache__/lines.best-7.py311.nbi", 200)
    other = written("slides/__pycache__/lines.box-9.py311.nbi", 400)
    compiled.forget_stale(tmp_path)
    assert old.exists()
    assert other.exists()
    # A constant in the same room, of which a function elsewhere knows nothing.
    written("cells/table.py", 300)
    compiled.forget_stale(tmp_path)
    assert not old.exists()
    assert other.exists()
    # A function that any other may have taken in.
    again = written("cells/__pycache__/lines.best-7.py311.nbi", 500)
    written("slides/lines.py", 450)
    compiled.forget_stale(tmp_path)
    assert again.exists()
    assert not other.exists()
    # By the clock of another machine.
    written("cells/table.py", time.time() + 86_400)
    compiled.forget_stale(tmp_path)
    assert again.exists()


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_first_run_is_known_by_what_is_not_compiled_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    package, cache = tmp_path / "her2path", tmp_path / "cache"
    kept = (cache / "cells_1a2b" if is_elsewhere else package / "cells/__pycache__") / "x"
    if is_elsewhere:
        monkeypatch.setenv(compiled.VARIABLE, str(cache))
    else:
        monkeypatch.delenv(compiled.VARIABLE, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert not compiled.is_compiled(package)
    kept.parent.mkdir(parents=True)
    kept.with_name("line_contrast.best_lines-200.py311.nbi").write_bytes(b"")
    assert compiled.is_compiled(package)


def test_a_user_without_a_home_gets_a_folder_for_this_run(
    nowhere: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(compiled.Path, "expanduser", unknown)
    compiled.provide_place()
    assert Path(os.environ[compiled.VARIABLE]).parent == tmp_path
    assert len(nowhere) == 1
    assert not compiled.is_compiled(tmp_path / "her2path")
