"""run.json says what ran."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from her2path.errors import ResultsError
from her2path.results.jsonable import read_json
from her2path.results.run_record import (
    MIB,
    RunRecord,
    describe_input,
    settings_hash,
    software_commit,
)


@dataclass(frozen=True)
class Settings:
    threshold_od: float = 0.02
    criteria: str = "breast"


def test_equal_settings_have_equal_hashes_and_others_do_not():
    assert settings_hash(Settings()) == settings_hash(Settings())
    assert settings_hash(Settings()) == settings_hash({"criteria": "breast", "threshold_od": 0.02})
    assert settings_hash(Settings()) != settings_hash(Settings(0.021))


@pytest.mark.parametrize("size", [0, 10, MIB, MIB + 7, 2 * MIB, 3 * MIB + 1])
def test_the_hash_covers_both_ends_of_a_file(tmp_path, size):
    data = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    path = tmp_path / "a.svs"
    path.write_bytes(data)

    found = describe_input(path)

    expected = data if size <= 2 * MIB else data[:MIB] + data[-MIB:]
    assert found.size == size
    assert found.sha256_ends == hashlib.sha256(expected).hexdigest()


def test_a_folder_is_known_by_the_files_in_it(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"abc")
    first = describe_input(tmp_path)
    (tmp_path / "1.dcm").rename(tmp_path / "2.dcm")

    assert first.size == 3
    assert describe_input(tmp_path).sha256_ends != first.sha256_ends


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(ResultsError, match="check the path"):
        describe_input(tmp_path / "nothing")


@pytest.mark.skipif(os.name != "posix", reason="pipes have names there only")
def test_a_pipe_is_refused_in_place_of_waiting_for_its_writer(tmp_path):
    pipe = tmp_path / "slide.svs"
    os.mkfifo(pipe)
    code = "import sys, pathlib, her2path.results as r; r.describe_input(pathlib.Path(sys.argv[1]))"
    # In a process of its own, which can be ended.
    found = subprocess.run(
        [sys.executable, "-c", code, str(pipe)], capture_output=True, text=True, timeout=60
    )
    assert "slide.svs is a pipe or a device" in found.stderr


def test_a_record_is_written_with_times_versions_and_settings(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"1")
    begun = RunRecord.begin(Settings(), [describe_input(tmp_path / "a.svs")])

    begun.ended().write(tmp_path / "run.json")

    found = read_json(tmp_path / "run.json")
    assert begun.finished is None
    assert found["settings"] == {"threshold_od": 0.02, "criteria": "breast"}
    assert found["settings_hash"] == settings_hash(Settings())
    assert found["inputs"][0]["size"] == 1
    assert found["software_version"]
    assert found["python"]
    assert found["packages"]["numpy"]
    # What runs the network by default.
    assert found["packages"]["onnxruntime"]
    assert found["started"] <= found["finished"]
    assert found["seconds"] >= 0


def test_a_run_that_goes_on_keeps_what_the_one_before_had_read(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs"):
        (tmp_path / name).write_text(name)
    first, second = (describe_input(tmp_path / name) for name in ("a.svs", "b.svs"))
    path = tmp_path / "run.json"
    RunRecord.begin(Settings(), [first]).write(path)
    again = RunRecord.begin(Settings(), [second])
    assert again.going_on(path).inputs == (first, second)
    RunRecord.begin(Settings(), [first, second]).write(path)
    assert again.going_on(path).inputs == (first, second)
    path.write_text("{")
    assert again.going_on(path) == again


def test_a_checkout_names_its_commit_and_whether_its_package_was_changed(tmp_path: Path):
    package = tmp_path / "her2path"
    package.mkdir()
    module = package / "module.py"
    module.write_text("one\n", encoding="utf-8")
    assert software_commit(package) == ""

    def git(*words: str) -> str:
        names = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *names, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    # Nothing is committed yet.
    assert software_commit(package) == ""
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert software_commit(package) == commit
    (tmp_path / "notes.txt").write_text("beside it\n", encoding="utf-8")
    assert software_commit(package) == commit
    module.write_text("two\n", encoding="utf-8")
    assert software_commit(package) == f"{commit}+"
