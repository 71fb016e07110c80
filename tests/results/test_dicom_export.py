"""DICOM exports say what the results say, refer to the slide, and are the same each time."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from test_cells_parquet import cells
from test_record import sample_record
from typer.testing import CliRunner, Result

from her2path.cli.main import app
from her2path.criteria.score import Intensity, Organ, Score, Status
from her2path.errors import ResultsError
from her2path.geometry import Mpp
from her2path.results.cells import read_cells, write_cells
from her2path.results.columns import Exclusion
from her2path.results.dicom_annotations import CellsWanted, annotations_of, polygons_of
from her2path.results.dicom_report import report_of
from her2path.results.dicom_source import one_line, read_source_image
from her2path.results.folder import ResultsFolder
from her2path.results.geojson import outline_polygon
from her2path.results.journal import Journal, fingerprint_of
from her2path.results.jsonable import write_json
from her2path.results.record import SlideRecord, write_record
from her2path.results.run_record import describe_input
from her2path.synth.dicom import level_path, write_dicom
from her2path.synth.laboratory import load_laboratory

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, MPP = 2000, 1500, Mpp(0.25, 0.26)
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."
HOSTILE = '<script>alert(1)</script>\x1b[31m\\..\\;="x"\n' + "ß" * 80
N_CELLS = 120


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def draw_dicom(path: Path, slide_id: str = "a") -> Path:
    """Two levels of a slide whose pixels nobody looks at."""
    for level, downsample in ((0, 1), (1, 4)):
        write_dicom(
            level_path(path, level),
            [b"\xff\xd8\xff\xd9"] * (48 if level == 0 else 4),
            width=WIDTH // downsample,
            height=HEIGHT // downsample,
            tile_px=256,
            laboratory=load_laboratory("test-a"),
            slide_id=slide_id,
            level=level,
            downsample=downsample,
        )
    return path


def some_cells() -> dict[str, np.ndarray]:
    columns = cells(N_CELLS)
    rng = np.random.default_rng(5)
    columns["x"], columns["y"] = rng.uniform(120, 1380, (2, N_CELLS))
    is_counted = rng.random(N_CELLS) < 0.7
    columns["excluded"] = np.where(is_counted, "", Exclusion.NOT_TUMOR.value)
    columns["outline_um"] = rng.uniform(3, 20, columns["outline_um"].shape).astype(np.float32)
    columns["membrane_od"][columns["intensity"] == "none"] = np.nan
    columns["membrane_od"][np.flatnonzero(columns["intensity"] == "weak")[0]] = np.nan
    return columns


def record_of(path: Path, slide_id: str) -> SlideRecord:
    record = sample_record()
    scan = replace(record.scan, width=WIDTH, height=HEIGHT, mpp_x=MPP.x, mpp_y=MPP.y)
    return replace(record, slide_id=slide_id, path=str(path), scan=scan)


def write_results(folder: Path, paths: dict[str, Path]) -> ResultsFolder:
    """A results folder as score leaves it, with slides that were never read."""
    results = ResultsFolder(folder).create()
    inputs = [describe_input(path) for path in paths.values()]
    write_json(results.run_json, {"settings_hash": "0" * 64, "inputs": inputs})
    with Journal(results.journal, settings_hash="0" * 64, resume=False) as journal:
        found = {n: fingerprint_of(p, settings_hash="0" * 64) for n, p in paths.items()}
        journal.plan([(name, path, found[name]) for name, path in paths.items()])
        for name, path in paths.items():
            of_slide = results.slide(name).create()
            write_record(of_slide.slide_json, record_of(path, name))
            write_cells(
                of_slide.cells_parquet, some_cells(), slide_id=name, mpp=MPP, software_version="1"
            )
            journal.start(name)
            journal.finish(name, {}, seconds=1.0)
    return results


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    return write_results(tmp_path / "results", {"a": draw_dicom(tmp_path / "a.dcm")})


@pytest.fixture
def record(results: ResultsFolder) -> SlideRecord:
    return record_of(results.path.parent / "a.dcm", "a")


def groups_of(path: Path) -> dict[str, highdicom.ann.AnnotationGroup]:
    found = highdicom.ann.annread(path)
    return {group.label.split(": ")[-1]: group for group in found.AnnotationGroupSequence}


def texts_of(report: pydicom.Dataset) -> list[str]:
    """Every text of a document, at whatever depth."""
    return [
        str(item.TextValue)
        for item in walked(report)
        if item.get("ValueType") == "TEXT" and "TextValue" in item
    ]


def walked(item: pydicom.Dataset) -> list[pydicom.Dataset]:
    below = item.get("ContentSequence") or []
    return [item, *(found for part in below for found in walked(part))]


def number_of(report: pydicom.Dataset, name: str) -> tuple[float, str]:
    (item,) = [
        item
        for item in walked(report)
        if item.get("ValueType") == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == name
    ]
    measured = item.MeasuredValueSequence[0]
    return float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue


def score_item(report: pydicom.Dataset) -> pydicom.Dataset:
    (item,) = [
        item
        for item in walked(report)
        if item.get("ValueType") == "CODE"
        and item.ConceptNameCodeSequence[0].CodeValue in ("85319-2", "18474-7")
    ]
    return item


def test_outlines_lie_where_the_cells_do(results: ResultsFolder, tmp_path: Path) -> None:
    assert run("export", results.path, "--out", tmp_path / "out", "--cells", "all").exit_code == 0
    of_slide = read_cells(results.slide("a").cells_parquet)
    is_counted = of_slide["excluded"] == ""
    found = groups_of(tmp_path / "out" / "a" / "annotations.dcm")
    assert list(found) == [*(level.label for level in Intensity), "Cells not counted"]
    for label, group in found.items():
        is_member = is_counted & (of_slide["intensity"] == label)
        if label == "Cells not counted":
            is_member = ~is_counted
        members = of_slide.select(is_member)
        polygons = group.get_graphic_data(coordinate_type="2D")
        assert group.number_of_annotations == len(members) == len(polygons)
        for k, polygon in enumerate(polygons):
            x, y, outline = (members[name][k] for name in ("x", "y", "outline_um"))
            corners = np.asarray(outline_polygon(x, y, outline, mpp=MPP).exterior.coords)[:-1]
            np.testing.assert_array_equal(polygon, corners.astype(np.float32))
        names, values, units = group.get_measurements()
        kept = ["completeness"] if label == "none" else ["completeness", "membrane_od"]
        assert [name.value for name in names] == kept
        assert [unit.value for unit in units] == ["%", "1"][: len(kept)]
        np.testing.assert_allclose(values[:, 0], 100 * members["completeness"], rtol=1e-6)
        if label != "none":
            np.testing.assert_array_equal(values[:, 1], members["membrane_od"])


@pytest.mark.parametrize(
    ("choice", "labels"),
    [
        ("stained", ["faint", "weak", "moderate", "intense"]),
        ("tumor", ["none", "faint", "weak", "moderate", "intense"]),
    ],
)
def test_only_the_cells_asked_for_are_written(
    results: ResultsFolder, tmp_path: Path, choice: str, labels: list[str]
) -> None:
    shown = run("export", results.path, "--out", tmp_path / "out", "--cells", choice, "--json")
    assert shown.exit_code == 0
    found = groups_of(tmp_path / "out" / "a" / "annotations.dcm")
    assert list(found) == labels
    (document,) = json.loads(shown.stdout)
    assert document["n_cells"] == sum(group.number_of_annotations for group in found.values())


def test_both_files_belong_to_the_study_and_image_of_the_slide(
    results: ResultsFolder, tmp_path: Path
) -> None:
    run("export", results.path, "--out", tmp_path / "out")
    slide = pydicom.dcmread(tmp_path / "a.dcm", stop_before_pixels=True)
    cells_file = pydicom.dcmread(tmp_path / "out" / "a" / "annotations.dcm")
    report = pydicom.dcmread(tmp_path / "out" / "a" / "report.dcm")
    for written in (cells_file, report):
        assert written.StudyInstanceUID == slide.StudyInstanceUID
        assert written.PatientID == slide.PatientID
        assert written.SeriesInstanceUID != slide.SeriesInstanceUID
    assert cells_file.ReferencedImageSequence[0].ReferencedSOPInstanceUID == slide.SOPInstanceUID
    assert cells_file.PixelOriginInterpretation == "VOLUME"
    assert cells_file.AnnotationCoordinateType == "2D"
    assert cells_file.ContentDescription == RESEARCH_USE
    # Asked for, and unknown.
    assert cells_file["Laterality"].is_empty
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (image,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == slide.SOPInstanceUID


def test_the_report_says_what_the_result_says(results: ResultsFolder, tmp_path: Path) -> None:
    run("export", results.path, "--out", tmp_path / "out")
    report = highdicom.sr.srread(tmp_path / "out" / "a" / "report.dcm")
    record = record_of(tmp_path / "a.dcm", "a")
    assert isinstance(report.content, highdicom.sr.MeasurementReport)
    assert (report.CompletionFlag, report.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"
    (group,) = report.content.get_image_measurement_groups()
    (score,) = group.get_qualitative_evaluations()
    assert score.value.value == "LA11841-6"
    assert number_of(report, "n_tumor_cells") == (record.reading.n_tumor_cells, "{cells}")
    for name in ("pct_stained", "pct_complete", "pct_none", "pct_intense"):
        value, unit = number_of(report, name)
        assert value == pytest.approx(record.reading.shares[name])
        assert unit == "%"
    assert number_of(report, "h_score")[0] == pytest.approx(record.reading.shares["h_score"])
    texts = texts_of(report)
    assert RESEARCH_USE in texts
    assert "low" in texts
    assert f"rule set: {record.rule_set}" in texts
    assert f"edition: {record.edition}" in texts
    assert f"model: {record.model}" in texts
    assert record.software_version in texts
    for flag in record.flags:
        assert one_line(f"{flag.flag.value}: {flag.sentence}", 1024) in texts


@pytest.mark.parametrize(
    ("score", "answer"),
    [
        (Score.ZERO, "LA6111-4"),
        (Score.ULTRALOW, "LA6111-4"),
        (Score.ONE_PLUS, "LA11841-6"),
        (Score.TWO_PLUS, "LA11842-4"),
        (Score.THREE_PLUS, "LA11843-2"),
        (Score.NOT_ASSESSABLE, "LA11884-6"),
    ],
)
def test_scores_have_the_answers_of_loinc(record: SlideRecord, score: Score, answer: str) -> None:
    image = read_source_image(record, {})
    item = score_item(report_of(replace(record, score=score, status=Status.NULL), image))
    assert item.ConceptNameCodeSequence[0].CodeValue == "85319-2"
    assert item.ConceptCodeSequence[0].CodeValue == answer
    assert item.ConceptCodeSequence[0].CodingSchemeDesignator == "LN"
    qualifiers = [part.TextValue for part in item.get("ContentSequence") or []]
    assert qualifiers == {
        Score.ULTRALOW: ["ultralow (0+)"],
        Score.NOT_ASSESSABLE: ["not assessable"],
    }.get(score, [])


def test_the_stomach_is_not_called_breast(record: SlideRecord) -> None:
    image = read_source_image(record, {})
    item = score_item(report_of(replace(record, organ=Organ.STOMACH), image))
    assert item.ConceptNameCodeSequence[0].CodeValue == "18474-7"


def test_the_stomach_has_no_side(record: SlideRecord, results: ResultsFolder) -> None:
    image, path = read_source_image(record, {}), results.slide("a").cells_parquet
    stomach = replace(record, organ=Organ.STOMACH)
    annotations, _ = annotations_of(stomach, path, image, wanted=CellsWanted.TUMOR)
    # DICOM PS3.3, C.7.3.1: asked for of paired organs only.
    assert "Laterality" not in annotations


def test_the_same_result_gives_the_same_files(results: ResultsFolder, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run("export", results.path, "--out", tmp_path / name).exit_code == 0
    for file in ("annotations.dcm", "report.dcm"):
        first, second = (tmp_path / name / "a" / file for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
        assert str(pydicom.dcmread(first).SOPInstanceUID).startswith("2.25.")


def test_another_result_or_choice_has_other_identifiers(
    results: ResultsFolder, record: SlideRecord
) -> None:
    image = read_source_image(record, {})
    path = results.slide("a").cells_parquet
    uids = {
        annotations_of(of, path, image, wanted=wanted)[0].SOPInstanceUID
        for of in (record, replace(record, created="2026-11-22T03:40:00+00:00"))
        for wanted in CellsWanted
    }
    assert len(uids) == 6
    assert report_of(record, image).SOPInstanceUID not in uids


def test_a_slide_that_is_no_dicom_is_left_out_and_the_rest_done(tmp_path: Path) -> None:
    other = tmp_path / "b.svs"
    other.write_bytes(b"II*\0" + bytes(400))
    found = write_results(tmp_path / "r", {"b": other, "a": draw_dicom(tmp_path / "a.dcm")})
    shown = run("export", found.path, "--out", tmp_path / "out", "--quiet")
    assert shown.exit_code == 1
    assert "is not DICOM" in shown.output
    assert "convert the slide to DICOM" in shown.output
    assert (tmp_path / "out" / "a" / "report.dcm").exists()
    assert not (tmp_path / "out" / "b").exists()
    chosen = run("export", found.path, "--out", tmp_path / "two", "--slide", "a")
    assert chosen.exit_code == 0


def test_a_slide_that_has_changed_or_gone_is_left_out(
    results: ResultsFolder, tmp_path: Path
) -> None:
    slide = tmp_path / "a.dcm"
    draw_dicom(slide, "another patient")
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert "has changed since" in shown.output
    slide.unlink()
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert "put it back" in shown.output


def test_level_0_is_found_by_its_size(record: SlideRecord, tmp_path: Path) -> None:
    of_level_1 = replace(record, path=str(tmp_path / "a_level1.dcm"))
    image = read_source_image(of_level_1, {})
    assert image.TotalPixelMatrixColumns == WIDTH
    wrong = replace(record, scan=replace(record.scan, width=WIDTH + 1))
    with pytest.raises(ResultsError, match="holds its level 0"):
        read_source_image(wrong, {})


def test_damaged_dicom_is_named(record: SlideRecord) -> None:
    path = Path(record.path)
    whole = path.read_bytes()
    deflated = whole.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1.99")
    assert deflated != whole
    for damaged in (deflated, *(whole[:n_bytes] for n_bytes in (132, 140, 400, 700))):
        path.write_bytes(damaged)
        with pytest.raises(ResultsError, match="holds its level 0"):
            read_source_image(record, {})


def test_odd_attributes_of_a_slide_are_named_and_written_nowhere(
    results: ResultsFolder, tmp_path: Path
) -> None:
    slide = pydicom.dcmread(tmp_path / "a.dcm")
    slide.PatientSex = "X" * 12
    slide.save_as(tmp_path / "a.dcm")
    write_json(results.run_json, {"settings_hash": "0" * 64, "inputs": []})
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert "cannot be made into DICOM" in shown.output
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_names_of_patients_are_written_and_not_said(
    results: ResultsFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slide = pydicom.dcmread(tmp_path / "a.dcm")
    slide.PatientName = "Secret"
    slide.PatientID = "SECRET"
    slide.save_as(tmp_path / "a.dcm")
    write_json(results.run_json, {"settings_hash": "0" * 64, "inputs": []})
    shown = run("export", results.path, "--out", tmp_path / "out", "--debug")
    assert shown.exit_code == 0
    assert "secret" not in (shown.output + caplog.text).lower()
    assert pydicom.dcmread(tmp_path / "out" / "a" / "report.dcm").PatientID == "SECRET"


def test_letters_of_a_name_survive(results: ResultsFolder, tmp_path: Path) -> None:
    slide = pydicom.dcmread(tmp_path / "a.dcm")
    slide.SpecificCharacterSet = "ISO_IR 100"
    slide.PatientName = "Müller^Änne"
    slide.save_as(tmp_path / "a.dcm")
    write_json(results.run_json, {"settings_hash": "0" * 64, "inputs": []})
    assert run("export", results.path, "--out", tmp_path / "out").exit_code == 0
    for file in ("annotations.dcm", "report.dcm"):
        assert pydicom.dcmread(tmp_path / "out" / "a" / file).PatientName == "Müller^Änne"


def test_hostile_text_stays_text(record: SlideRecord, tmp_path: Path) -> None:
    hostile = replace(record, slide_id=HOSTILE, rule_set=HOSTILE, edition=HOSTILE, model=HOSTILE)
    image = read_source_image(record, {})
    cells_path = tmp_path / "results" / "a" / "cells.parquet"
    annotations, _ = annotations_of(hostile, cells_path, image, wanted=CellsWanted.ALL)
    for name, made in (("r", report_of(hostile, image)), ("c", annotations)):
        made.save_as(tmp_path / name, enforce_file_format=True)
        read = pydicom.dcmread(tmp_path / name)
        for text in texts_of(read):
            assert text.isprintable()
            assert "\\" not in text
    texts = texts_of(pydicom.dcmread(tmp_path / "r"))
    assert any("<script>alert(1)</script>" in text for text in texts)


def test_an_id_that_leads_elsewhere_is_refused(results: ResultsFolder, tmp_path: Path) -> None:
    shown = run("export", results.path, "--out", tmp_path / "out", "--slide", "../a")
    assert shown.exit_code == 2
    assert "scored are a" in shown.output


def test_outlines_end_at_the_edge_and_need_an_area(record: SlideRecord, tmp_path: Path) -> None:
    columns = some_cells()
    columns["x"][:3], columns["y"][:3] = [0.0, WIDTH, 700.0], [0.0, HEIGHT, 700.0]
    columns["outline_um"][2] = 0
    columns["outline_um"][3, [0, 31]] = 0
    path = tmp_path / "cells.parquet"
    write_cells(path, columns, slide_id="a", mpp=MPP, software_version="1")
    polygons, is_drawn = polygons_of(read_cells(path), record)
    assert not is_drawn[2]
    assert is_drawn.sum() == len(polygons) == N_CELLS - 1
    assert np.min(polygons[0]) == 0
    assert np.max(polygons[1][:, 0]) == WIDTH
    for polygon in polygons:
        assert not np.array_equal(polygon[0], polygon[-1])


def test_too_many_cells_are_refused(
    record: SlideRecord, results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("her2path.results.dicom_annotations.MAX_ANNOTATIONS", 10)
    image = read_source_image(record, {})
    path = results.slide("a").cells_parquet
    with pytest.raises(ResultsError, match="write fewer with --cells stained"):
        annotations_of(record, path, image, wanted=CellsWanted.ALL)
    with pytest.raises(ResultsError, match=r"can be given$"):
        annotations_of(record, path, image, wanted=CellsWanted.STAINED)


def test_the_report_of_a_slide_with_too_many_cells_is_written_all_the_same(
    results: ResultsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("her2path.results.dicom_annotations.MAX_ANNOTATIONS", 10)
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert "report.dcm is written alone" in " ".join(shown.output.split())
    assert [p.name for p in (tmp_path / "out").rglob("*.dcm")] == ["report.dcm"]


def test_a_slide_without_cells_has_a_report_alone(results: ResultsFolder, tmp_path: Path) -> None:
    results.slide("a").cells_parquet.unlink()
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 0
    assert [p.name for p in (tmp_path / "out").rglob("*.dcm")] == ["report.dcm"]


def test_an_export_is_replaced_only_on_request(results: ResultsFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", results.path, "--out", out).exit_code == 0
    shown = run("export", results.path, "--out", out)
    assert shown.exit_code == 2
    assert "--overwrite" in shown.output
    assert run("export", results.path, "--out", out, "--overwrite").exit_code == 0


def test_results_are_not_written_into(results: ResultsFolder) -> None:
    shown = run("export", results.path, "--out", results.path, "--overwrite")
    assert shown.exit_code == 2
    assert "is a results folder" in shown.output


def test_a_folder_without_a_run_is_wrong_use(tmp_path: Path) -> None:
    shown = run("export", tmp_path, "--out", tmp_path / "out")
    assert shown.exit_code == 2
    assert "holds no run" in shown.output
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_named(
    results: ResultsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    shown = run("export", results.path, "--out", tmp_path / "out")
    assert shown.exit_code == 2
    assert 'pip install "her2path[dicom]"' in shown.output
    assert not (tmp_path / "out").exists()
