"""A file is there whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from her2path.errors import ResultsError, SlideError
from her2path.results.atomic import atomic_path, remove_leftovers, write_bytes, write_text


def test_text_is_written_as_utf8_with_its_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "µm\r\n한글\n")

    assert (tmp_path / "a.txt").read_bytes() == "µm\r\n한글\n".encode()


def test_nothing_but_the_file_is_left(tmp_path):
    write_bytes(tmp_path / "a.bin", b"1")
    write_bytes(tmp_path / "a.bin", b"2")

    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"2"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SlideError])
def test_a_failed_block_leaves_the_old_file_and_no_other(tmp_path, failure):
    write_bytes(tmp_path / "a.bin", b"old")

    def write_half():
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise failure("stop")

    with pytest.raises(failure):
        write_half()

    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_the_temporary_file_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


def test_a_file_cannot_be_written_into_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ResultsError, match="cannot be written"):
        write_bytes(tmp_path / "nothing" / "a.bin", b"")


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX")
def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a.bin", b"")
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o644


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "a.bin", b"old")
    code = (
        "import os, sys, pathlib\n"
        "from her2path.results.atomic import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os._exit(9)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")], check=False)

    assert done.returncode == 9
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
def test_a_share_that_cannot_flush_folders_keeps_what_was_written(tmp_path, monkeypatch):
    flush_to_disk = os.fsync

    def refusing(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush_to_disk(handle)

    monkeypatch.setattr(os, "fsync", refusing)
    write_text(tmp_path / "a.txt", "kept")
    assert (tmp_path / "a.txt").read_text() == "kept"
