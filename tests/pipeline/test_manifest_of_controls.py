from pathlib import Path

import pytest

from her2path.criteria.score import Score
from her2path.errors import ManifestError
from her2path.pipeline.calibrate import controls_of_manifest


def write(folder: Path, text: str) -> Path:
    path = folder / "controls.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_columns_of_controls_are_known_in_any_case(tmp_path: Path):
    found = controls_of_manifest(write(tmp_path, "Path,SCORE ,Mpp\na.svs,3+,0.25\nb.svs,0,\n"))
    assert [(control.score, control.job.mpp) for control in found] == [
        (Score.THREE_PLUS, 0.25), (Score.ZERO, None),
    ]  # fmt: skip


def test_two_columns_of_scores_are_refused_by_name(tmp_path: Path):
    with pytest.raises(ManifestError, match="columns 'score' and 'Score' both mean score"):
        controls_of_manifest(write(tmp_path, "path,score,Score\na.svs,3+,0\n"))


@pytest.mark.parametrize(
    "text",
    [
        "path,score\na.svs,3+\nb.svs,0\na.svs,3+\n",
        "path,score,slide_id\na.svs,3+,x\nb.svs,0,y\na.svs,3+,z\n",
    ],
)
def test_a_control_never_counts_twice_whatever_it_is_called(tmp_path: Path, text: str):
    path = write(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        controls_of_manifest(path)
    assert str(caught.value).splitlines() == [
        "controls.csv cannot be used: 1 fault",
        "  - row 4, path: 'a.svs' stands in row 2 already; leave one of the rows out",
    ]


def test_a_score_nearly_named_is_a_missing_column_that_names_it(tmp_path: Path):
    with pytest.raises(ManifestError, match="no column score; it names scores, path"):
        controls_of_manifest(write(tmp_path, "path,scores\na.svs,3+\n"))
