from dataclasses import replace
from pathlib import Path

import pytest

import her2path.criteria
from her2path.criteria.score import IshResult, Specimen
from her2path.errors import ManifestError, StainError
from her2path.geometry import Location
from her2path.pipeline.manifest import jobs_of_manifest, parse_white_point
from her2path.pipeline.settings import find_calibration, find_rule_set
from her2path.pipeline.sources import JobDefaults
from her2path.results.columns import SLIDE_COLUMNS, names
from her2path.slides import Icc


@pytest.fixture
def defaults() -> JobDefaults:
    return JobDefaults(
        rule_set=find_rule_set("asco-cap-2018"), calibration=find_calibration(None), mpp=0.5
    )


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "slides.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_row_overrides_the_command_line_and_an_empty_cell_does_not(
    tmp_path: Path, defaults: JobDefaults
):
    (tmp_path / "tumor.geojson").write_text("{}", encoding="utf-8")
    path = write(
        tmp_path,
        "slide_id,path,mpp,roi,roi_x,criteria,specimen,ish,white_point,icc,patient_id\n"
        "A1,a.svs,0.25,tumor.geojson,12,gastric,biopsy,Amplified,240 241 242,sRGB,P7\n"
        ",sub/b.svs,,,,,,,,,\n",
    )
    first, second = jobs_of_manifest(path, defaults)
    assert (first.slide_id, first.path) == ("A1", tmp_path / "a.svs")
    assert (first.mpp, first.roi, first.roi_offset) == (
        0.25,
        tmp_path / "tumor.geojson",
        Location(12, 0),
    )
    assert first.rule_set.name == "gastric-biopsy"
    assert (first.specimen, first.ish) == (Specimen.BIOPSY, IshResult.AMPLIFIED)
    assert (first.icc, second.icc) == (Icc.SRGB, Icc.OFF)
    assert (first.white_point, first.patient_id) == ((240.0, 241.0, 242.0), "P7")
    assert (second.slide_id, second.path) == ("b", tmp_path / "sub" / "b.svs")
    assert (second.mpp, second.roi, second.rule_set.name) == (0.5, None, "asco-cap-2018")


def test_the_specimen_of_a_row_is_held_against_the_criteria_of_the_command(
    tmp_path: Path, defaults: JobDefaults
):
    path = write(tmp_path, "path,specimen\na.svs,biopsy\nb.svs,resection\n")
    gastric = replace(defaults, rule_set=find_rule_set("gastric-resection"))
    with pytest.raises(ManifestError, match="row 2, specimen: the specimen is a biopsy but"):
        jobs_of_manifest(path, gastric)
    either = jobs_of_manifest(path, replace(gastric, is_by_specimen=True))
    assert [job.rule_set.name for job in either] == ["gastric-biopsy", "gastric-resection"]
    path = write(tmp_path, "path,specimen\na.svs,\n")
    with pytest.raises(ManifestError, match="row 2, specimen: the gastric criteria depend on"):
        jobs_of_manifest(path, replace(gastric, is_by_specimen=True))


def test_criteria_of_a_row_lie_beside_the_manifest(
    tmp_path: Path, defaults: JobDefaults, monkeypatch: pytest.MonkeyPatch
):
    shipped = Path(her2path.criteria.__file__).parent / "rules" / "asco-cap-2018.toml"
    text = shipped.read_text("utf-8").replace('"asco-cap-2018"', '"our-own"')
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    path = write(tmp_path, "path,criteria\na.svs,own.toml\n")
    monkeypatch.chdir("/")
    (job,) = jobs_of_manifest(path, defaults)
    assert job.rule_set.name == "our-own"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('t.geojson,"12,000",', "'12,000' is no whole number of px; write thousands without"),
        ("t.geojson,12.5,", "'12.5' is no whole number"),
        (",500,", "row 2, roi: is empty, and roi_x and roi_y move outlines"),
    ],
)
def test_offsets_that_cannot_be_meant_are_faults(
    tmp_path: Path, defaults: JobDefaults, row: str, words: str
):
    (tmp_path / "t.geojson").write_text("{}", encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(write(tmp_path, f"path,roi,roi_x,roi_y\na.svs,{row}\n"), defaults)
    assert words in str(caught.value)


def test_unknown_columns_are_kept_and_never_hide_a_result(tmp_path: Path, defaults: JobDefaults):
    path = write(tmp_path, "path,block,score\na.svs,A3,2+\n")
    (job,) = jobs_of_manifest(path, defaults)
    assert job.extras == {"block": "A3", "manifest_score": "2+"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(
    tmp_path: Path, defaults: JobDefaults, encoding: str, delimiter: str
):
    text = "path,mpp\nä.svs,0.25\n".replace(",", delimiter)
    if delimiter != ",":
        text = text.replace("0.25", "0,25")
    (job,) = jobs_of_manifest(write(tmp_path, text, encoding), defaults)
    assert (job.path.name, job.mpp) == ("ä.svs", 0.25)


def test_faults_of_names_are_listed_beside_others(tmp_path: Path, defaults: JobDefaults):
    path = write(tmp_path, "slide_id,path,mpp\n../x,a.svs,abc\ny,b.svs,\nY,c.svs,\n")
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(path, defaults)
    text = str(caught.value)
    for part in (
        "3 faults",
        "row 2, mpp: 'abc' is no number",
        "row 2, slide_id",
        "row 4, slide",
    ):
        assert part in text


def test_all_faults_are_listed_with_their_rows(tmp_path: Path, defaults: JobDefaults):
    path = write(
        tmp_path,
        "path,mpp,ish,criteria,roi,white_point\n"
        ",0.25,,,,\n"
        "a.svs,25,maybe,no-such,gone.geojson,1 2\n"
        "\n"
        "b.svs,x,,gastric,,\n",
    )
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(path, defaults)
    text = str(caught.value)
    for part in (
        "8 faults",
        "row 2, path",
        "row 3, mpp",
        "row 3, ish: 'maybe' is none of amplified",
        "row 3, criteria",
        "row 3, roi",
        "row 3, white_point",
        "row 5, mpp",
        "row 5, criteria: the gastric criteria depend on the specimen",
    ):
        assert part in text


def test_ish_that_the_criteria_do_not_know_is_a_fault_of_its_row(
    tmp_path: Path, defaults: JobDefaults
):
    path = write(
        tmp_path,
        "path,ish,specimen,criteria,roi_x,Score\n"
        "a.svs,group1,biopsy,gastric,12.5,\n"
        "b.svs,group2,biopsy,gastric,12.0,\n",
    )
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(path, defaults)
    for part in (
        "row 2, ish: the dual-probe",
        "row 3, ish: the dual-probe",
        "row 2, roi_x: '12.5'",
    ):
        assert part in str(caught.value)
    assert "row 3, roi_x" not in str(caught.value)


def test_a_column_of_the_results_in_other_capitals_gets_a_prefix_too(
    tmp_path: Path, defaults: JobDefaults
):
    (job,) = jobs_of_manifest(write(tmp_path, "path,Score\na.svs,3+\n"), defaults)
    assert job.extras == {"manifest_Score": "3+"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("slide,mpp\na,1\n", "no column path"),
        ("path,path\na,b\n", "row 1: column 'path' stands 2 times"),
        ("path\n", "there is no row"),
        ("", "no column path"),
        ("path,mpp\na.svs,0.2,5\n", "3 values for 2 columns"),
        ("slide_id,path\nx,a.svs\nX,b.svs\n", "row 3, slide_id: 'X' stands in row 2 already"),
        ("slide_id,path\n../x,a.svs\n", "cannot name a folder"),
        ("slide_id,path\nslides.csv,a.svs\n", "cannot name a folder"),
        ("slide_id,path\nx,a.svs\nCon,b.svs\n", "row 3, slide_id: 'Con' .* Windows reserves"),
        ("slide_id,path\nx,a.svs\nLPT1.a,b.svs\n", "'LPT1.a' .* Windows reserves"),
        ("path\na.svs\nsub/../a.svs\n", "row 3, path: .* stands in row 2 already; give each a"),
    ],
)
def test_a_manifest_that_cannot_be_meant_says_why(
    tmp_path: Path, defaults: JobDefaults, text: str, wrong: str
):
    with pytest.raises(ManifestError, match=wrong):
        jobs_of_manifest(write(tmp_path, text), defaults)


@pytest.mark.parametrize("name", ["model", "rule_set", "edition", "network_set"])
def test_a_column_never_says_what_slides_csv_says_itself(tmp_path: Path, defaults, name: str):
    (job,) = jobs_of_manifest(write(tmp_path, f"path,{name}\na.svs,mine\n"), defaults)
    assert job.extras == {f"manifest_{name}": "mine"}


def test_columns_are_known_in_any_case(tmp_path: Path, defaults: JobDefaults):
    (job,) = jobs_of_manifest(write(tmp_path, "Path,MPP,ISH\na.svs,0.5,amplified\n"), defaults)
    assert (job.mpp, job.ish, job.extras) == (0.5, IshResult.AMPLIFIED, {})
    with pytest.raises(ManifestError, match="columns 'mpp' and 'Mpp' both mean mpp"):
        jobs_of_manifest(write(tmp_path, "path,mpp,Mpp\na.svs,1,1\n"), defaults)


def test_roi_path_and_mpp_override_are_read_as_what_they_mean(tmp_path: Path, defaults):
    (tmp_path / "a.geojson").write_text("{}", encoding="utf-8")
    text = "path,ROI_path,mpp_override\na.svs,a.geojson,0.5\n"
    (job,) = jobs_of_manifest(write(tmp_path, text), defaults)
    assert (job.roi, job.mpp, job.extras) == (tmp_path / "a.geojson", 0.5, {})
    with pytest.raises(ManifestError, match="columns 'mpp' and 'mpp_override' both mean mpp"):
        jobs_of_manifest(write(tmp_path, "path,mpp,mpp_override\na.svs,1,1\n"), defaults)


def test_stain_vectors_of_a_manifest_are_told_to_be_kept_only(tmp_path: Path, defaults, caplog):
    (job,) = jobs_of_manifest(write(tmp_path, "path,stain_vectors\na.svs,x\n"), defaults)
    assert job.extras == {"stain_vectors": "x"}
    assert "column stain_vectors is kept, not used" in caplog.text


def test_the_name_of_a_specimen_is_no_near_miss_of_its_kind(tmp_path: Path, defaults, caplog):
    (job,) = jobs_of_manifest(write(tmp_path, "path,specimen_id\na.svs,S1\n"), defaults)
    assert (job.specimen, job.extras, caplog.messages) == (None, {"specimen_id": "S1"}, [])


def test_a_column_that_is_nearly_known_is_kept_with_a_warning(
    tmp_path: Path, defaults: JobDefaults, caplog: pytest.LogCaptureFixture
):
    (job,) = jobs_of_manifest(write(tmp_path, "path,isch,block\na.svs,amplified,A3\n"), defaults)
    assert (job.ish, job.extras) == (None, {"isch": "amplified", "block": "A3"})
    assert ["isch is not read; did you mean ish?" in m for m in caplog.messages] == [True]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, defaults: JobDefaults):
    path = tmp_path / "m.csv"
    path.write_bytes(b"path\n\xe4.svs\n")
    with pytest.raises(ManifestError, match="UTF-8"):
        jobs_of_manifest(path, defaults)


def test_one_slide_may_stand_twice_under_two_names(tmp_path: Path, defaults: JobDefaults):
    text = "slide_id,path,criteria\nx,a.svs,asco-cap-2018\ny,a.svs,total-matrix\n"
    first, second = jobs_of_manifest(write(tmp_path, text), defaults)
    assert first.path == second.path
    assert first.rule_set.name != second.rule_set.name


@pytest.mark.parametrize("text", ["240,241", "240,241,x", "240,241,300", ""])
def test_a_white_point_is_three_plausible_numbers(text: str):
    with pytest.raises(StainError):
        parse_white_point(text)


def test_columns_that_slides_csv_would_give_one_name_are_refused(tmp_path: Path, defaults):
    path = write(tmp_path, "path,score,manifest_score\na.svs,3+,0\n")
    with pytest.raises(ManifestError, match="'score' and 'manifest_score' would both be"):
        jobs_of_manifest(path, defaults)


def test_a_path_that_no_file_can_have_is_a_fault_of_its_row(tmp_path: Path, defaults):
    path = write(tmp_path, "path\na.svs\nb\0.svs\n")
    with pytest.raises(ManifestError, match=r"row 3, path: .* holds a NUL"):
        jobs_of_manifest(path, defaults)


def test_a_row_of_too_many_values_is_listed_beside_faults_of_cells(tmp_path: Path, defaults):
    path = write(
        tmp_path, "path,mpp,ish\na.svs,0,25,amplified\nb.svs,x,maybe\nc.svs,1,\nc.svs,1,\n"
    )
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(path, defaults)
    assert [line.strip(" -").split(":")[0] for line in str(caught.value).splitlines()] == [
        "slides.csv cannot be used", "row 2", "row 3, ish", "row 3, mpp", "row 5, path",
    ]  # fmt: skip


def test_a_name_that_windows_reserves_is_not_told_to_use_letters(tmp_path: Path, defaults):
    path = write(tmp_path, "slide_id,path\nCON,a.svs\n../x,b.svs\n")
    with pytest.raises(ManifestError) as caught:
        jobs_of_manifest(path, defaults)
    reserved, forbidden = str(caught.value).splitlines()[1:]
    assert "use letters" not in reserved
    assert "use letters" in forbidden


def test_a_name_that_is_too_long_is_told_so(tmp_path: Path, defaults):
    path = write(tmp_path, f"slide_id,path\n{'y' * 250},a.svs\n")
    with pytest.raises(ManifestError, match=r"more than 120 bytes; choose a shorter one") as caught:
        jobs_of_manifest(path, defaults)
    assert "use letters" not in str(caught.value)


def test_a_slide_of_an_impossible_name_fails_later_by_itself(tmp_path: Path, defaults):
    path = write(tmp_path, f"path\n{'z' * 5000}.png\na.svs\n")
    assert len(jobs_of_manifest(path, defaults)) == 2


@pytest.mark.parametrize(
    ("text", "patients"),
    [("path\na.svs\n", [None]), ("path,Patient_ID\na.svs\nb.svs,P1\n", ["", "P1"])],
)
def test_a_manifest_that_names_patients_says_so_of_each_slide(
    tmp_path: Path, defaults, text: str, patients: list[str | None]
):
    jobs = jobs_of_manifest(write(tmp_path, text), defaults)
    assert [job.patient_id for job in jobs] == patients


def test_a_column_of_slides_csv_is_no_near_miss(tmp_path: Path, defaults, caplog):
    header = ["path", *(name for name in names(SLIDE_COLUMNS) if name != "path")]
    jobs_of_manifest(write(tmp_path, f"{','.join(header)}\na.svs\n"), defaults)
    assert caplog.messages == []
