"""cells.parquet keeps what was measured and refuses what does not fit."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.cells.table import N_SECTORS, OUTLINE_STEP_UM
from her2path.criteria.score import Intensity, Pattern
from her2path.errors import ResultsError
from her2path.geometry import Mpp
from her2path.results.cells import read_cells, write_cells
from her2path.results.columns import CELL_COLUMNS, Exclusion, Kind, data_dictionary, names

FACTS = {"slide_id": "slide 1", "mpp": Mpp(0.25, 0.2501), "software_version": "0.1.0"}


def cells(n, seed=0):
    rng = np.random.default_rng(seed)

    def words(options):
        return np.array(options)[rng.integers(0, len(options), n)]

    columns = {
        "region_id": words(["roi-1", "Región 2", "<script>"]),
        "excluded": words([reason.value for reason in Exclusion]),
        "intensity": words([level.label for level in Intensity]),
        "pattern": words([pattern.label for pattern in Pattern]),
        "outline_um": rng.uniform(0, 25.4, (n, N_SECTORS)).astype(np.float32),
        "stained_sectors": rng.integers(0, 2**32, n, dtype=np.uint32),
        "has_own_line": rng.random(n) < 0.5,
    }
    for column in CELL_COLUMNS:
        if column.kind is Kind.BOOLEAN:
            columns[column.name] = rng.random(n) < 0.5
        elif column.kind is Kind.FLOAT:
            columns[column.name] = rng.random(n).astype(np.float32)
        elif column.kind is Kind.DOUBLE:
            columns[column.name] = rng.random(n) * 1e5
    return columns


@given(st.integers(0, 40), st.integers(0, 1000))
def test_cells_come_back_as_they_were(tmp_path_factory, n, seed):
    path = tmp_path_factory.mktemp("cells") / "cells.parquet"
    written = cells(n, seed)

    write_cells(path, written, **FACTS)
    found = read_cells(path)

    assert tuple(found.columns) == names(CELL_COLUMNS)
    assert len(found) == n
    for name, values in written.items():
        if name == "outline_um":
            np.testing.assert_allclose(found[name], values, atol=OUTLINE_STEP_UM / 2 + 1e-5)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_the_file_says_what_it_is(tmp_path):
    write_cells(tmp_path / "c.parquet", cells(3), **FACTS)

    schema = pq.read_schema(tmp_path / "c.parquet")

    assert schema.metadata[b"slide_id"] == b"slide 1"
    assert schema.metadata[b"mpp_y"] == b"0.2501"
    assert schema.field("nucleus_area_um2").metadata[b"unit"] == "µm²".encode()
    assert schema.field("outline_um").type == pa.list_(pa.uint8(), N_SECTORS)
    assert schema.field("x").type == pa.float64()
    assert schema.field("completeness").type == pa.float32()
    assert pa.types.is_dictionary(schema.field("intensity").type)
    assert read_cells(tmp_path / "c.parquet").metadata["software"] == "her2path 0.1.0"


def test_equal_cells_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_cells(tmp_path / name, cells(50), **FACTS)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_was_not_measured_stays_nan(tmp_path):
    written = cells(2)
    written["completeness"] = np.array([np.nan, 1.0], np.float32)

    write_cells(tmp_path / "c.parquet", written, **FACTS)

    np.testing.assert_array_equal(
        read_cells(tmp_path / "c.parquet")["completeness"], written["completeness"]
    )


def test_a_radius_beyond_a_byte_is_the_largest_that_fits(tmp_path):
    written = cells(1)
    written["outline_um"] = np.full((1, N_SECTORS), 99, np.float32)

    write_cells(tmp_path / "c.parquet", written, **FACTS)

    assert read_cells(tmp_path / "c.parquet")["outline_um"].max() == pytest.approx(25.5)


def test_all_wrong_columns_are_listed_at_once(tmp_path):
    wrong = cells(4)
    del wrong["pattern"]
    wrong["surprise"] = np.zeros(4)
    wrong["y"] = np.zeros(3)
    wrong["x"] = np.array([0, np.nan, 1, 2])
    wrong["is_tumor"] = np.ones(4)
    wrong["completeness"] = np.array([0, 0.5, 1.1, 1], np.float32)
    wrong["membrane_od"] = np.array([0, np.inf, 1, 1], np.float32)
    wrong["nucleus_area_um2"] = np.array([0, -1, 1, 1], np.float32)
    wrong["intensity"] = np.array(["strong"] * 4)
    wrong["excluded"] = np.array(["", None, "", ""], object)
    wrong["region_id"] = np.array(["a", 1, b"", {}], object)
    wrong["stained_sectors"] = np.zeros(4, np.int64)
    wrong["outline_um"] = np.zeros((4, 8), np.float32)
    wrong["spacing_um"] = np.array(["1"] * 4)

    with pytest.raises(ResultsError) as caught:
        write_cells(tmp_path / "c.parquet", wrong, **FACTS)

    message = str(caught.value)
    for part in (
        "pattern is missing",
        "surprise is unknown",
        "differ in length",
        "x has no value in row 1",
        "is_tumor is float64, not bool",
        "completeness is 1.1",
        "membrane_od is infinite in row 1",
        "nucleus_area_um2 is -1.0 in row 1, below 0",
        "intensity holds 'strong'",
        "excluded holds None",
        "region_id holds something else than text",
        "stained_sectors is int64, not uint32",
        "outline_um has the shape (4, 8)",
        "spacing_um is <U1, not a number",
    ):
        assert part in message
    assert list(tmp_path.iterdir()) == []


def test_chosen_columns_are_read_alone(tmp_path):
    write_cells(tmp_path / "c.parquet", cells(5), **FACTS)

    assert tuple(read_cells(tmp_path / "c.parquet", columns=["y", "x"]).columns) == ("y", "x")
    with pytest.raises(ResultsError, match="no column nothing"):
        read_cells(tmp_path / "c.parquet", columns=["nothing"])


def test_a_table_of_another_program_is_read_when_its_columns_fit(tmp_path):
    table = pa.table({"x": [1, 2], "y": [3.0, None], "intensity": ["none", "weak"], "more": [0, 0]})
    pq.write_table(table, tmp_path / "c.parquet")

    found = read_cells(tmp_path / "c.parquet")

    assert found["x"].dtype == np.float64
    assert np.isnan(found["y"][1])
    assert list(found["intensity"]) == ["none", "weak"]
    assert "more" not in found.columns


def test_too_many_rows_are_refused_before_they_are_read(tmp_path):
    write_cells(tmp_path / "c.parquet", cells(5), **FACTS)

    with pytest.raises(ResultsError, match="5 rows"):
        read_cells(tmp_path / "c.parquet", max_rows=4)


@pytest.mark.parametrize("keep", [0, 3, 100, -20])
def test_damaged_files_are_refused_in_words(tmp_path, keep):
    path = tmp_path / "c.parquet"
    write_cells(path, cells(50), **FACTS)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(ResultsError, match="score the slide again"):
        read_cells(path)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_flipped_byte_is_noticed_or_harmless(tmp_path_factory, where, change):
    path = tmp_path_factory.mktemp("flip") / "c.parquet"
    written = cells(30)
    write_cells(path, written, **FACTS)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= change
    path.write_bytes(data)

    try:
        found = read_cells(path, columns=["x", "intensity"])
    except ResultsError:
        return
    np.testing.assert_array_equal(found["x"], written["x"])
    np.testing.assert_array_equal(found["intensity"], written["intensity"])


def test_a_column_of_another_type_is_refused(tmp_path):
    pq.write_table(pa.table({"x": ["a"]}), tmp_path / "c.parquet")

    with pytest.raises(ResultsError, match="cannot be read"):
        read_cells(tmp_path / "c.parquet")


def test_the_data_dictionary_names_every_column_once():
    text = data_dictionary()

    for column in CELL_COLUMNS:
        assert f"| `{column.name}` |" in text
        assert column.meaning in text
    assert len(set(names(CELL_COLUMNS))) == len(CELL_COLUMNS)
