"""What a person names on the command line; made-up slides come from the tests of the report."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from her2path.compare import compare_sides, read_pair_slide
from her2path.compare.sources import find_side_sources, read_sides
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import IshResult, Score
from her2path.errors import ResultsError
from her2path.results.folder import SlideFolder
from her2path.results.record import read_record, write_record

sys.path.append(str(Path(__file__).resolve().parents[1] / "report"))
from report_slides import make_slide


@pytest.fixture
def slide(tmp_path):
    """Return the folder of a made-up scored slide."""
    made = make_slide(tmp_path)
    write_record(made.folder.slide_json, made.record)
    return made.folder


@pytest.fixture
def picture(tmp_path):
    """Return a picture that could be scored."""
    path = tmp_path / "field.png"
    Image.fromarray(np.full((64, 64, 3), 240, np.uint8)).save(path)
    return path


def test_a_folder_and_its_slide_json_mean_the_same(slide, picture):
    for named in (slide.path, slide.slide_json):
        found = find_side_sources(
            {"before": [str(named)], "after": [str(picture)]}, mpp={"after": 0.25}
        )
        assert found["before"].results == (slide.slide_json.resolve(),)
        assert not found["before"].pictures


def test_one_file_is_no_pair(slide, picture):
    for named in (slide.path, picture):
        with pytest.raises(ResultsError, match="is named on both sides"):
            find_side_sources(
                {"before": [str(named)], "after": [str(named)]},
                mpp={"before": 0.25, "after": 0.25},
            )


def test_a_picture_is_to_be_scored(slide, picture):
    found = find_side_sources(
        {"before": [str(slide.path)], "after": [str(picture)]}, mpp={"after": 0.25}
    )
    assert found["after"].pictures == (picture.resolve(),)
    assert found["after"].results == ()


def test_all_faults_of_both_sides_come_at_once(tmp_path, slide, picture):
    broken = tmp_path / "slide.json"
    broken.write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "slides.csv").write_text("")
    with pytest.raises(ResultsError) as caught:
        find_side_sources(
            {
                "before": [str(tmp_path / "no.svs"), str(broken), str(picture)],
                "after": [str(tmp_path / "run"), str(slide.path), str(slide.slide_json)],
            },
            mpp={},
        )
    text = str(caught.value)
    assert "5 faults" in text
    for words in ("no.svs", "format", "before: ", "µm/px", "run with 0 slides", "more than once"):
        assert words in text


def test_a_list_of_faults_within_a_fault_keeps_its_lines(tmp_path, slide):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError) as caught:
        find_side_sources({"before": [str(tmp_path / "empty")], "after": [str(slide.path)]}, mpp={})
    heading, nested, fault = str(caught.value).splitlines()
    assert heading.endswith("1 fault")
    assert nested == "  - before: nothing to score: 1 fault"
    assert fault.startswith(f"      - {tmp_path / 'empty'}: no slide in this folder")


def test_a_missing_side_is_named():
    with pytest.raises(ResultsError, match="after: no slide and no result"):
        find_side_sources({"before": [], "after": []}, mpp={})


def test_the_counted_cells_are_those_of_the_tally(slide):
    read = read_pair_slide(slide.slide_json)
    assert read.counted.tally == read.record.reading.tally
    assert len(read.counted) == read.record.reading.n_tumor_cells


def test_a_slide_compared_with_itself_is_unchanged(slide):
    both = {"before": [slide.slide_json], "after": [slide.slide_json]}
    before, after = read_sides(both)
    pair = compare_sides(before, after)
    assert pair.verdict.value == "unchanged"
    assert pair.as_read.continuous["class_distance"].change == 0
    assert any("same file" in remark for remark in pair.remarks)


def test_ish_is_that_of_the_slides_unless_given(slide):
    both = {"before": [slide.slide_json], "after": [slide.slide_json]}
    assert read_sides(both)[0].ish is IshResult.GROUP_4
    given = read_sides(both, ish={"before": IshResult.AMPLIFIED, "after": None})
    assert [side.ish for side in given] == [IshResult.AMPLIFIED, IshResult.GROUP_4]


def test_one_slide_scored_twice_is_not_counted_twice(slide, picture, tmp_path):
    record = read_record(slide.slide_json)
    known = replace(record, scan=replace(record.scan, sha256_ends="one"))
    write_record(slide.slide_json, known)
    again = SlideFolder(tmp_path / "again" / "slide")
    shutil.copytree(slide.path, again.path)
    for named in (
        {"before": [slide.path, again.path], "after": [picture]},
        {"before": [slide.path], "after": [again.path]},
    ):
        texts = {side: [str(path) for path in paths] for side, paths in named.items()}
        with pytest.raises(ResultsError, match="are the same cells of one slide"):
            find_side_sources(texts, mpp={"after": 0.25})


def test_a_slide_that_does_not_count_has_no_say_in_the_criteria(slide, tmp_path):
    other = SlideFolder(tmp_path / "other")
    shutil.copytree(slide.path, other.path)
    record = read_record(other.slide_json)
    gastric = load_rule_set("gastric-resection")
    out = replace(
        record, score=Score.NOT_ASSESSABLE, rule_set=gastric.name, edition=gastric.edition
    )
    write_record(other.slide_json, out)
    for both in ([other, slide], [slide, other]):
        sides = read_sides(
            {"before": [folder.slide_json for folder in both], "after": [slide.slide_json]}
        )
        assert [side.rule_set.name for side in sides] == [record.rule_set] * 2


def test_results_of_another_edition_must_be_scored_again(slide):
    record = read_record(slide.slide_json)
    write_record(slide.slide_json, replace(record, edition="1999"))
    both = {"before": [slide.slide_json], "after": [slide.slide_json]}
    with pytest.raises(ResultsError, match="2 faults"):
        read_sides(both)


def test_criteria_of_a_file_must_be_at_hand(slide):
    record = read_record(slide.slide_json)
    write_record(slide.slide_json, replace(record, rule_set="own"))
    both = {"before": [slide.slide_json], "after": [slide.slide_json]}
    with pytest.raises(ResultsError, match="--criteria"):
        read_sides(both)
    own = replace(load_rule_set("asco-cap-2018"), name="own")
    assert read_sides(both, rule_set=own)[0].rule_set is own


def test_a_slide_json_without_its_cells_is_refused(slide):
    slide.cells_parquet.unlink()
    with pytest.raises(ResultsError, match=r"cells\.parquet"):
        read_pair_slide(slide.slide_json)


def changed(slide, column, values):
    """Write a column of cells.parquet anew, as another program would."""
    table = pq.read_table(slide.cells_parquet)
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, column, pa.array(values(table))), slide.cells_parquet)


@pytest.mark.parametrize(
    ("column", "value"), [("intensity", "banana"), ("intensity", None), ("x", float("inf"))]
)
def test_cells_that_were_never_written_so_are_refused(slide, column, value):
    changed(slide, column, lambda table: [value, *table[column].to_pylist()[1:]])
    with pytest.raises(ResultsError, match=rf"has been changed[\s\S]*column {column}"):
        read_pair_slide(slide.slide_json)


def test_cells_that_are_not_those_of_the_slide_json_are_refused(slide):
    table = pq.read_table(slide.cells_parquet)
    pq.write_table(table.slice(0, table.num_rows // 2), slide.cells_parquet)
    with pytest.raises(ResultsError, match=r"counted cells, slide\.json says"):
        read_pair_slide(slide.slide_json)


def test_bystanders_are_surely_no_tumor(slide):
    table = pq.read_table(slide.cells_parquet).to_pydict()
    is_other = np.array(table["excluded"]) == "not_tumor"
    unsure = np.where(is_other, np.arange(len(is_other)) % 2 * 0.3, 0.9).astype(np.float32)
    changed(slide, "tumor_probability", lambda _: unsure)
    found = read_pair_slide(slide.slide_json).bystanders
    is_bystander = is_other & (unsure == 0)
    assert 0 < is_bystander.sum() < is_other.sum()
    for name in ("nucleus_h_od", "cytoplasm_od"):
        assert getattr(found, name).tolist() == np.array(table[name])[is_bystander].tolist()
