from pathlib import Path

import pytest

from her2path.errors import (
    AnnotationError,
    CalibrationError,
    CriteriaError,
    ManifestError,
    SlideError,
)
from her2path.pipeline.settings import find_calibration, find_rule_set
from her2path.pipeline.sources import (
    JobDefaults,
    check_manifest_alone,
    find_slides,
    jobs_of_paths,
)
from her2path.slides.dicom_series import series_of


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(sources: list[Path | str], *, with_fields: bool = False) -> list[str]:
    return [p.name for p in find_slides([str(s) for s in sources], with_fields=with_fields)]


def test_a_folder_is_searched_with_all_below_but_results_and_hidden_ones(tmp_path: Path):
    touch(
        tmp_path / "b.svs",
        tmp_path / "a.NDPI",
        tmp_path / "deep" / "c.tiff",
        tmp_path / ".hidden" / "d.svs",
        tmp_path / ".e.svs",
        tmp_path / "notes.txt",
        tmp_path / "results" / "journal.sqlite",
        tmp_path / "results" / "x" / "slide.json",
        tmp_path / "results" / "x" / "f.tif",
    )
    assert names([tmp_path]) == ["a.NDPI", "b.svs", "c.tiff"]


def test_slides_beside_the_results_of_a_run_are_slides(tmp_path: Path):
    touch(
        tmp_path / "a.svs",
        tmp_path / "journal.sqlite",
        tmp_path / "a" / "slide.json",
        tmp_path / "a" / "part.tif",
        tmp_path / "more" / "b.svs",
        # A slide that was killed, one that failed later, an export, and a study.
        tmp_path / "killed" / ".parts" / "part-0000000.npz",
        tmp_path / "killed" / "part.tif",
        tmp_path / "failed" / "overview.png",
        tmp_path / "failed" / "fields" / "field_01.png",
        tmp_path / "dicom" / "a" / "annotations.dcm",
        tmp_path / "dicom" / "a" / "report.dcm",
        tmp_path / "dicom" / "unstained" / "report.dcm",
        tmp_path / "study" / "evaluation.json",
        tmp_path / "study" / "risk-coverage.png",
        tmp_path / "study" / "c.svs",
    )
    found = ["a.svs", "b.svs", "c.svs"]
    assert names([tmp_path]) == found
    assert names([tmp_path], with_fields=True) == found


def test_linked_folders_are_searched_each_once(tmp_path: Path):
    touch(tmp_path / "share" / "a.svs", tmp_path / "slides" / "b.svs")
    (tmp_path / "slides" / "linked").symlink_to(tmp_path / "share", target_is_directory=True)
    (tmp_path / "share" / "circle").symlink_to(tmp_path / "slides", target_is_directory=True)
    assert names([tmp_path / "slides"]) == ["b.svs", "a.svs"]


def test_plain_pictures_in_a_folder_are_slides_only_with_a_pixel_size(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "c.svs")
    assert names([tmp_path]) == ["c.svs"]
    assert names([tmp_path], with_fields=True) == ["a.png", "b.jpg", "c.svs"]
    assert names([tmp_path / "a.png"]) == ["a.png"]


def test_pictures_that_are_passed_over_are_counted(tmp_path: Path, caplog):
    touch(tmp_path / "a.png", tmp_path / "below" / "b.JPG", tmp_path / "c.svs")
    assert names([tmp_path]) == ["c.svs"]
    assert "PNG or JPEG pictures passed over: 2." in caplog.text
    caplog.clear()
    names([tmp_path], with_fields=True)
    assert not caplog.records


def test_masks_of_drawn_slides_are_no_slides(tmp_path: Path):
    touch(*(tmp_path / f"s.{end}" for end in ("svs", "truth.json", "masks.png", "membranes.tif")))
    assert names([tmp_path]) == names([tmp_path], with_fields=True) == ["s.svs"]
    # Without a truth they are what somebody has named so.
    (tmp_path / "s.truth.json").unlink()
    found = names([tmp_path], with_fields=True)
    assert found == ["s.masks.png", "s.membranes.tif", "s.svs"]


def test_masks_of_drawn_slides_are_no_pictures(tmp_path: Path, caplog):
    touch(tmp_path / "s.svs", tmp_path / "s.truth.json", tmp_path / "s.masks.png")
    assert names([tmp_path]) == ["s.svs"]
    assert not caplog.records
    touch(tmp_path / "other.masks.png")
    names([tmp_path])
    assert "passed over: 1." in caplog.text


def test_the_jpegs_of_a_vms_slide_are_no_slides(tmp_path: Path):
    touch(tmp_path / "s.vms", tmp_path / "s-0.jpg", tmp_path / "s-1.jpg")
    assert names([tmp_path], with_fields=True) == ["s.vms"]


def test_files_of_one_dicom_series_are_one_slide(tmp_path: Path):
    def dicom(name: str, uid: bytes) -> None:
        tag = b"\x20\x00\x0e\x00UI" + len(uid).to_bytes(2, "little") + uid
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM" + tag)

    dicom("level0.dcm", b"1.2.3\0")
    dicom("level1.dcm", b"1.2.3\0")
    dicom("other.dcm", b"1.2.4\0")
    (tmp_path / "odd.dcm").write_bytes(b"nothing")
    found = ["level0.dcm", "odd.dcm", "other.dcm"]
    assert names([tmp_path]) == found
    assert names([tmp_path / "*.dcm"]) == found
    assert names(sorted(tmp_path.glob("*.dcm"))) == found
    assert series_of(tmp_path / "level0.dcm") == "1.2.3"
    assert series_of(tmp_path / "gone.dcm") == ""


def test_patterns_are_expanded_and_each_slide_comes_once(tmp_path: Path):
    touch(tmp_path / "a1.svs", tmp_path / "a2.svs", tmp_path / "b.svs")
    assert names([str(tmp_path / "a*.svs"), tmp_path / "a2.svs", tmp_path]) == [
        "a1.svs",
        "a2.svs",
        "b.svs",
    ]


def test_a_missing_file_beside_others_fails_later_by_itself(tmp_path: Path):
    touch(tmp_path / "a.svs")
    assert names([tmp_path / "a.svs", tmp_path / "gone.svs"]) == ["a.svs", "gone.svs"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("*.nothing", "check the pattern"),
        ("empty", "no slide in this folder"),
        ("fields", "add --mpp"),
        ("gone.svs", "does not exist"),
    ],
)
def test_a_source_that_names_nothing_is_wrong_use(tmp_path: Path, source: str, why: str):
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "fields" / "a.png")
    with pytest.raises(SlideError, match=why):
        names([tmp_path / source])


@pytest.mark.parametrize("name", ["slides.xlsx", "slides.ODS"])
def test_a_spreadsheet_is_no_slide(name: str):
    with pytest.raises(ManifestError, match="save the sheet as CSV UTF-8"):
        check_manifest_alone([name])


def test_a_manifest_is_scored_alone():
    assert check_manifest_alone(["a.svs"]) is None
    assert check_manifest_alone(["list.CSV"]) == Path("list.CSV")
    with pytest.raises(ValueError, match="scored alone"):
        check_manifest_alone(["list.csv", "a.svs"])


def defaults(roi: Path | None) -> JobDefaults:
    return JobDefaults(
        rule_set=find_rule_set("total-matrix"), calibration=find_calibration(None), roi=roi
    )


def test_outlines_come_from_one_file_for_one_slide_or_a_folder_for_many(tmp_path: Path):
    rois = tmp_path / "rois"
    touch(rois / "a.geojson", rois / "b.svs.xml", rois / "one.json")
    slides = [tmp_path / "a.svs", tmp_path / "b.svs"]
    found = [job.roi and job.roi.name for job in jobs_of_paths(slides, defaults(rois))]
    assert found == ["a.geojson", "b.svs.xml"]
    (job,) = jobs_of_paths(slides[:1], defaults(rois / "one.json"))
    assert job.roi == rois / "one.json"
    with pytest.raises(AnnotationError, match="outlines of one slide"):
        jobs_of_paths(slides, defaults(rois / "one.json"))
    with pytest.raises(AnnotationError, match=r"c\.svs: no c\.geojson"):
        jobs_of_paths([*slides, tmp_path / "c.svs"], defaults(rois))
    with pytest.raises(AnnotationError, match="does not exist"):
        jobs_of_paths(slides[:1], defaults(tmp_path / "gone.xml"))


def test_gastric_criteria_follow_the_specimen():
    from her2path.criteria.score import Specimen

    assert find_rule_set("gastric", specimen=Specimen.BIOPSY).name == "gastric-biopsy"
    with pytest.raises(CriteriaError, match="depend on the specimen"):
        find_rule_set("gastric")
    with pytest.raises(CriteriaError, match="use gastric-biopsy"):
        find_rule_set("gastric-resection", specimen=Specimen.BIOPSY)


def test_own_criteria_and_calibrations_are_read_from_files(tmp_path: Path):
    from importlib import resources

    text = (resources.files("her2path.criteria") / "rules/total-matrix.toml").read_text("utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace('"total-matrix"', '"our-own"'), encoding="utf-8")
    assert find_rule_set(str(own)).name == "our-own"
    with pytest.raises(CriteriaError, match="cannot be read"):
        find_rule_set(str(tmp_path / "gone.toml"))
    site = tmp_path / "site.json"
    site.write_text(
        find_calibration(None).model_copy(update={"name": "site"}).model_dump_json(), "utf-8"
    )
    assert find_calibration(site).name == "site"
    site.write_bytes(b"\xff\xfe")
    with pytest.raises(CalibrationError, match="UTF-8"):
        find_calibration(site)


def test_one_file_of_outlines_never_serves_two_slides(tmp_path: Path):
    touch(tmp_path / "rois" / "s.geojson", tmp_path / "rois" / "x.geojson")
    with pytest.raises(AnnotationError, match="would serve several slides"):
        jobs_of_paths(
            [tmp_path / "A" / "s.svs", tmp_path / "B" / "s.svs"], defaults(tmp_path / "rois")
        )
    (job,) = jobs_of_paths([tmp_path / "x.ome.tif"], defaults(tmp_path / "rois"))
    assert job.roi == tmp_path / "rois" / "x.geojson"


def test_a_path_that_no_system_takes_is_no_crash(tmp_path: Path):
    with pytest.raises(SlideError):
        find_slides([str(tmp_path / ("a" * 300 + ".svs"))], with_fields=False)
