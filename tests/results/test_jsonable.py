"""Values become JSON in one way."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.score import Intensity, Score
from her2path.errors import ResultsError
from her2path.results import jsonable
from her2path.results.jsonable import canonical_json, read_json, to_json, write_json


@dataclass(frozen=True, slots=True)
class Inner:
    value: float
    score: Score


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    path: Path


def test_dataclasses_enums_and_paths_become_plain_values():
    value = Outer((Inner(1.5, Score.ONE_PLUS),), Path("a") / "b")

    assert to_json(value) == {
        "inner": [{"value": 1.5, "score": "1+"}],
        "path": str(Path("a") / "b"),
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float32("inf"), None),
        (np.float64("nan"), None),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (Intensity.WEAK, "weak"),
        ({Score.ZERO: 1, 2: 3}, {"0": 1, "2": 3}),
        (frozenset({"b", "a"}), ["a", "b"]),
        ("half \udc80", "half ?"),
    ],
)
def test_values_without_a_json_form_of_their_own(value, expected):
    found = to_json(value)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [b"bytes", object(), {"a": [1, object()]}, {(1, 2): 3}, Inner])
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(TypeError, match=r"\$"):
        to_json(value)


def test_the_place_of_a_fault_is_named():
    with pytest.raises(TypeError, match=r"\$\.a\[1\]"):
        to_json({"a": [1, object()]})


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_plain_values_survive_the_file(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"

    write_json(path, value)

    assert read_json(path) == value


@pytest.mark.parametrize("parts", [[], [{"a": [1, '\n  "many": []']}], ["x", {}, None]])
def test_a_list_of_many_parts_has_a_line_for_each_and_comes_back(tmp_path, parts):
    value = {"first": '\n  "many": []', "many": parts, "last": {"many": []}}
    write_json(tmp_path / "a.json", value, many="many")
    assert read_json(tmp_path / "a.json") == value
    lines = (tmp_path / "a.json").read_text("utf-8").splitlines()
    assert len(lines) == (7 if not parts else 8 + len(parts))


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonable, "MAX_JSON_BYTES", 100)
    write_json(tmp_path / "a.json", ["x" * 80])
    with pytest.raises(ResultsError, match="could not be read again"):
        write_json(tmp_path / "a.json", ["x" * 100])
    assert read_json(tmp_path / "a.json") == ["x" * 80]


@given(st.dictionaries(st.text("abcdef", max_size=3), st.integers()))
def test_canonical_text_does_not_depend_on_the_order_of_keys(value):
    shuffled = dict(sorted(value.items(), reverse=True))

    assert canonical_json(value) == canonical_json(shuffled)
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xff"])
def test_files_that_are_no_json_are_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ResultsError, match="no valid JSON"):
        read_json(tmp_path / "a.json")


def test_files_beyond_the_limit_and_missing_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonable, "MAX_JSON_BYTES", 3)
    (tmp_path / "a.json").write_text("[1, 2]")

    with pytest.raises(ResultsError, match="larger than"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ResultsError, match="check the path"):
        read_json(tmp_path / "b.json")
