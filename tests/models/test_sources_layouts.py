"""Manifests, public sets by their layouts, and pictures with their labels."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from her2path.criteria import Score
from her2path.criteria.label import ScoreLabel, parse_score
from her2path.errors import ManifestError
from her2path.geometry import Region
from her2path.models.sources import (
    Label,
    Part,
    Sample,
    read_manifest,
    read_source,
    write_manifest,
)
from her2path.models.sources.pictures import MASK_VALUES, open_sample


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def by_name(samples: tuple[Sample, ...]) -> dict[str, Sample]:
    return {sample.path.name: sample for sample in samples}


def test_a_sample_says_which_labels_exist() -> None:
    path = Path("a.png")
    assert Sample(path=path).labels == set()
    assert Sample(path=path, score=parse_score("0")).labels == {Label.SCORE}
    assert Sample(path=path, outlines=path).labels == {Label.TISSUE}
    assert Sample(path=path, mask=path, score=parse_score("1+")).labels == set(Label)


def manifest(folder: Path, *rows: str, head: str = "picture,patient,laboratory,score") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_manifest_is_read_with_groups_parts_and_labels(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "b.geojson", "b.mask.png"):
        touch(tmp_path / name)
    path = manifest(
        tmp_path,
        'a.png,P1,Lab A,0|0+,slide,"0,25",val,,',
        "b.png,P2,Lab B,,,,train,b.geojson,b.mask.png",
        head="picture,patient,laboratory,score,score_of,mpp,split,outlines,mask",
    )
    a, b = read_manifest(path)
    assert a.score == ScoreLabel(Score.ZERO, Score.ULTRALOW, of="slide")
    assert (a.mpp, a.part, a.laboratory) == (0.25, Part.VALIDATE, "Lab A")
    assert b.score is None
    assert b.labels == {Label.TISSUE}
    assert (b.outlines, b.mask) == (tmp_path / "b.geojson", tmp_path / "b.mask.png")
    assert b.source == "manifest.csv"


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    samples = tuple(
        Sample(
            path=touch(tmp_path / "pictures" / f"{k}.png"),
            mpp=0.5 if k else None,
            patient=f"P{k}",
            laboratory="=A1+B2",
            part=Part.TEST if k else None,
            score=parse_score("0|0+", of="slide") if k != 1 else None,
            mask=touch(tmp_path / f"{k}.mask.png") if k == 1 else None,
            source="m.csv",
        )
        for k in range(3)
    )
    write_manifest(tmp_path / "m.csv", samples)
    found = read_manifest(tmp_path / "m.csv")
    # What a spreadsheet would run is written harmlessly, so it comes back with an apostrophe.
    assert [s.laboratory.lstrip("'") for s in found] == ["=A1+B2"] * 3
    for before, after in zip(samples, found, strict=True):
        for name in ("path", "mpp", "patient", "part", "score", "mask", "outlines", "source"):
            assert getattr(after, name) == getattr(before, name)


def test_a_manifest_written_under_windows_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "fields" / "a.png")
    touch(tmp_path / "fields" / "b.png")
    (tmp_path / "m.csv").write_text(
        "\ufeffPicture;MPP;Patient;Laboratory;Split;Score\r\n"
        "fields\\a.png;0,25;P1;A;Testing;2+\r\nfields/b.png;0,25;P2;A;valid;1\r\n",
        encoding="utf-8",
    )
    found = by_name(read_manifest(tmp_path / "m.csv"))
    assert (found["a.png"].part, found["a.png"].mpp) == (Part.TEST, 0.25)
    assert found["b.png"].part is Part.VALIDATE


def test_all_faults_of_a_manifest_are_listed_with_their_rows(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    path = manifest(
        tmp_path,
        "a.png,P1,A,5+,train",
        "gone.png,P2,A,1+,middle",
        "a.png,P3,A,,train",
        ",P4,A,0,",
        head="picture,patient,laboratory,score,split",
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    for words in (
        "row 2, score: '5+'",
        "row 3, picture",
        "row 3, split: 'middle'",
        "row 4, picture: stands in row 2",
        "row 4: has no label",
        "row 5, picture: is empty",
    ):
        assert words in str(caught.value)


def test_a_manifest_without_groups_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    with pytest.raises(ManifestError, match="laboratory"):
        read_manifest(manifest(tmp_path, "a.png,P1,0", head="picture,patient,score"))


def test_bci_names_carry_part_and_score(tmp_path: Path) -> None:
    for stain in ("HE", "IHC"):
        for name in (
            "train/00000_train_1+.png",
            "train/00001_train_0.png",
            "test/00000_test_3+.png",
        ):
            touch(tmp_path / stain / name)
    found = by_name(read_source(f"bci:{tmp_path}", mpp=0.46))
    assert len(found) == 3
    assert {sample.path.parent.parent.name for sample in found.values()} == {"IHC"}
    first = found["00000_train_1+.png"]
    assert first.score == ScoreLabel(Score.ONE_PLUS, Score.ONE_PLUS, of="slide")
    assert (first.part, first.mpp_if_none, first.laboratory, first.patient) == (
        Part.TRAIN,
        0.46,
        "BCI",
        "",
    )
    assert str(found["00001_train_0.png"].score) == "0|0+"
    assert found["00000_test_3+.png"].part is Part.TEST


def test_bci_is_found_one_folder_further_in_and_strange_names_are_listed(tmp_path: Path) -> None:
    touch(tmp_path / "BCI_dataset" / "IHC" / "train" / "00000_train_2+.png")
    assert len(read_source(f"bci:{tmp_path}", mpp=0.5)) == 1
    touch(tmp_path / "BCI_dataset" / "IHC" / "train" / "overview.png")
    with pytest.raises(ManifestError, match=r"overview\.png"):
        read_source(f"bci:{tmp_path}", mpp=0.5)


def test_bci_is_found_whatever_the_case_of_its_folders(tmp_path: Path) -> None:
    touch(tmp_path / "bci_dataset" / "ihc" / "Train" / "00000_train_2+.PNG")
    (found,) = read_source(f"bci:{tmp_path}", mpp=0.5)
    assert (found.part, str(found.score)) == (Part.TRAIN, "2+")


def test_her2_ihc_40x_is_read_by_variant(tmp_path: Path) -> None:
    patches, slides = tmp_path / "Patch-based-dataset", tmp_path / "WSI-based-dataset"
    touch(patches / "train_data_patch" / "class_2+" / "her2-2-score_train_1.png")
    touch(patches / "test_data_patch" / "class_0" / "her2-0-score_test_7.png")
    found = by_name(read_source(f"her2-ihc-40x:{tmp_path}", mpp=0.25))
    assert found["her2-2-score_train_1.png"].part is Part.TRAIN
    assert str(found["her2-2-score_train_1.png"].score) == "2+"
    assert found["her2-0-score_test_7.png"].part is Part.TEST
    assert str(found["her2-0-score_test_7.png"].score) == "0|0+"
    touch(slides / "train_data_wsi" / "class_2+" / "her2-2-score_train_1.png")
    with pytest.raises(ManifestError, match="same pictures on different sides"):
        read_source(f"her2-ihc-40x:{tmp_path}", mpp=0.25)
    assert len(read_source(f"her2-ihc-40x:{slides}", mpp=0.25)) == 1


def test_warwick_slides_meet_their_scores_by_case(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("01_HER2.ndpi", "01_HE.ndpi", "9_Her2.ndpi", "12_HER2.ndpi"):
        touch(tmp_path / name)
    (tmp_path / "groundTruth.csv").write_text(
        "CaseNo,HeR2 SCORE,PERCENTAGE CELLS WITH COMPLETE MEMBRANE STAINING\n"
        "1,0,0\n9.0,3,90\n30,2,50\n",
        encoding="utf-8",
    )
    found = by_name(read_source(f"warwick:{tmp_path}"))
    assert set(found) == {"01_HER2.ndpi", "9_Her2.ndpi"}
    assert str(found["01_HER2.ndpi"].score) == "0|0+"
    assert found["9_Her2.ndpi"].score == ScoreLabel(Score.THREE_PLUS, Score.THREE_PLUS, of="slide")
    assert found["9_Her2.ndpi"].patient == "9"
    assert found["9_Her2.ndpi"].mpp is None
    assert "2 cases" in caplog.text


def test_warwick_cases_without_a_score_are_left_out_by_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for case in (1, 2, 3):
        touch(tmp_path / f"{case:02d}_HER2.ndpi")
    # As a German Excel saves it; the contest keeps the scores of cases for testing.
    (tmp_path / "groundTruth.csv").write_text(
        "\ufeffCaseNo;HeR2 SCORE\r\n1;2\r\n2;\r\n3;0\r\n", encoding="utf-8"
    )
    assert set(by_name(read_source(f"warwick:{tmp_path}"))) == {"01_HER2.ndpi", "03_HER2.ndpi"}
    assert "1 cases" in caplog.text
    assert "left out: 2" in caplog.text


def test_warwick_tables_with_faults_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "01_HER2.ndpi")
    with pytest.raises(ManifestError, match=r"groundTruth\.csv"):
        read_source(f"warwick:{tmp_path}")
    (tmp_path / "groundTruth.csv").write_text("CaseNo,HeR2 SCORE\n1,7\n1,2\n1,3\n")
    with pytest.raises(ManifestError, match="2 faults"):
        read_source(f"warwick:{tmp_path}")


@pytest.mark.parametrize(
    ("folder", "score"),
    [
        ("0", "0|0+"),
        ("1+", "1+"),
        ("score_2", "2+"),
        ("HER2 3+", "3+"),
        ("2plus", "2+"),
        ("class_1", "1+"),
        ("1+ ", "1+"),
        ("Ultralow", "0+"),
    ],
)
def test_plain_folders_are_named_after_scores(tmp_path: Path, folder: str, score: str) -> None:
    touch(tmp_path / "site" / folder / "x.png")
    (found,) = read_source(f"folders:{tmp_path / 'site'}", mpp=0.25)
    assert str(found.score) == score
    assert (found.laboratory, found.part, found.patient) == ("site", None, "")


def test_plain_folders_may_hold_parts_and_patients(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "0" / "P1" / "x.png")
    touch(tmp_path / "validation" / "0+" / "P2" / "deep" / "y.jpg")
    touch(tmp_path / "test" / "3+" / "z.tif")
    touch(tmp_path / "test" / "3+" / "notes.txt")
    found = by_name(read_source(f"folders:{tmp_path}", mpp=0.25, laboratory="Lab"))
    assert set(found) == {"x.png", "y.jpg", "z.tif"}
    # With a folder 0+ of its own, 0 means 0.
    assert str(found["x.png"].score) == "0"
    assert (found["x.png"].part, found["x.png"].patient) == (Part.TRAIN, "P1")
    assert (found["y.jpg"].part, found["y.jpg"].patient) == (Part.VALIDATE, "P2")
    assert (found["z.tif"].part, found["z.tif"].laboratory) == (Part.TEST, "Lab")


def test_pictures_in_no_class_or_of_another_kind_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1+/a.png", "2+/b.png", "2+/slide.svs", "3+/.thumbs/c.png", ".hidden/d.png"):
        touch(tmp_path / name)
    assert len(read_source(f"folders:{tmp_path}", mpp=0.25)) == 3
    caplog.clear()
    touch(tmp_path / "Negative" / "P1" / "e.png")
    touch(tmp_path / "f.JPG")
    assert len(read_source(f"folders:{tmp_path}", mpp=0.25)) == 3
    for words in ("3 pictures are left out", "'.' (1)", "'2+' (1)", "'Negative/P1' (1)"):
        assert words in caplog.text


@pytest.mark.parametrize("folder", ["testset", "test2", "Test data", "her2_test", "TEST "])
def test_a_test_part_is_known_however_it_is_called(tmp_path: Path, folder: str) -> None:
    touch(tmp_path / folder / "2+" / "a.png")
    (found,) = read_source(f"folders:{tmp_path}", mpp=0.25)
    assert found.part is Part.TEST


@pytest.mark.parametrize("part", ["test", "Val", "train_data_patch"])
def test_parts_below_scores_are_not_taken_for_patients(tmp_path: Path, part: str) -> None:
    touch(tmp_path / "2+" / "P1" / "a.png")
    touch(tmp_path / "2+" / part / "P2" / "b.png")
    with pytest.raises(ManifestError, match=rf"named after a part \({part}\) below"):
        read_source(f"folders:{tmp_path}", mpp=0.5)


def test_pictures_without_a_pixel_size_ask_for_it(tmp_path: Path) -> None:
    touch(tmp_path / "2+" / "x.png")
    with pytest.raises(ManifestError, match="--data-mpp"):
        read_source(f"folders:{tmp_path}")


@pytest.mark.parametrize("text", ["nonsense", "bci", "sets:here", "bci:nowhere", "folders:nowhere"])
def test_an_unknown_source_says_what_there_is(text: str) -> None:
    with pytest.raises(ManifestError, match=r"source|folder"):
        read_source(text, mpp=0.5)


@pytest.fixture
def field(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    cv2.imwrite(str(path), np.full((40, 60, 3), 200, np.uint8))
    return path


def square(name: str, x: int, y: int, side: int) -> dict[str, object]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": [1, 2, 3]},
        },
    }


def test_outlines_become_tissue_and_the_rest_stays_unknown(field: Path, tmp_path: Path) -> None:
    outlines = tmp_path / "field.geojson"
    shapes = [
        square("Tumor", 0, 0, 20),
        square("Stroma", 10, 0, 10),
        square("Background", 40, 20, 20),
        square("Something", 20, 20, 10),
    ]
    outlines.write_text(json.dumps({"type": "FeatureCollection", "features": shapes}))
    with open_sample(Sample(path=field, mpp=0.25, outlines=outlines)) as sample:
        found = sample.read(Region(0, 0, 60, 40), 0.5)
    assert found.rgb.shape == (20, 30, 3)
    names = np.array(list(MASK_VALUES))
    assert names[found.tissue[4, 2]] == "tumor"
    assert names[found.tissue[4, 7]] == "other"
    assert names[found.tissue[15, 25]] == "outside"
    assert names[found.tissue[12, 12]] == "unknown"
    assert (found.tissue == MASK_VALUES["tumor"]).sum() == 75


def test_a_mask_is_read_where_the_picture_is(field: Path, tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = MASK_VALUES["tumor"]
    mask[20:, 30:] = MASK_VALUES["other"]
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with open_sample(Sample(path=field, mpp=0.5, mask=tmp_path / "mask.png")) as sample:
        whole = sample.read(Region(0, 0, 60, 40), 0.5)
        beyond = sample.read(Region(50, -10, 20, 20), 0.5)
    np.testing.assert_array_equal(whole.tissue, mask)
    assert (beyond.tissue[10:, :10] == MASK_VALUES["tumor"]).all()
    assert (beyond.tissue[:10] == 0).all()
    assert (beyond.tissue[:, 10:] == 0).all()


def test_a_mask_of_another_size_or_with_other_values_is_refused(
    field: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((10, 10), np.uint8))
    with (
        pytest.raises(ManifestError, match="same size"),
        open_sample(Sample(path=field, mpp=0.5, mask=tmp_path / "small.png")),
    ):
        pass
    cv2.imwrite(str(tmp_path / "odd.png"), np.full((40, 60), 255, np.uint8))
    with (
        open_sample(Sample(path=field, mpp=0.5, mask=tmp_path / "odd.png")) as sample,
        pytest.raises(ManifestError, match="255"),
    ):
        sample.read(Region(0, 0, 10, 10), 0.5)


def test_folders_that_are_links_are_read_but_not_round_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "set" / "2+" / "P1" / "a.png")
    touch(tmp_path / "elsewhere" / "deep" / "b.png")
    (tmp_path / "set" / "2+" / "P2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "2+" / "P1" / "again").symlink_to(tmp_path / "set")
    found = by_name(read_source(f"folders:{tmp_path / 'set'}", mpp=0.25))
    assert {name: sample.patient for name, sample in found.items()} == {
        "a.png": "P1",
        "b.png": "P2",
    }


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "2+" / "P1" / "a.png")
    scan = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("P1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(ManifestError, match="P1 cannot be read"):
        read_source(f"folders:{tmp_path}", mpp=0.25)
