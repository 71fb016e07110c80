"""Part files that were damaged between two runs."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from her2path.errors import ResultsError
from her2path.pipeline.parts import COLUMNS, has_part, read_positions


@pytest.fixture
def part(tmp_path: Path) -> SimpleNamespace:
    """Return what `has_part` asks of a task, with a part that is whole."""
    task = SimpleNamespace(part=tmp_path / "part-0000000.npz", key="k")
    np.savez(task.part, key=np.array("k"), n=np.array(0), **{name: np.empty(0) for name in COLUMNS})
    return task


def test_a_whole_part_counts_and_one_of_another_task_does_not(part) -> None:
    assert has_part(part)
    part.key = "other"
    assert not has_part(part)


# Where flags and compression stand in an entry of the directory at the end of an archive.
@pytest.mark.parametrize(("at", "value"), [(8, 1), (10, 99)], ids=["encrypted", "compression"])
def test_a_part_whose_archive_is_damaged_is_measured_again(part, at: int, value: int) -> None:
    data = bytearray(part.part.read_bytes())
    start = data.find(b"PK\x01\x02")
    while start >= 0:
        data[start + at] = value
        start = data.find(b"PK\x01\x02", start + 4)
    part.part.write_bytes(data)
    assert not has_part(part)
    with pytest.raises(ResultsError, match="--resume"):
        read_positions([part.part])


def test_a_part_with_a_damaged_array_is_measured_again(part) -> None:
    data = part.part.read_bytes()
    part.part.write_bytes(data.replace(b"{'descr'", b"{'descr("))
    assert not has_part(part)
