"""What annotated pictures teach: who stands on which side, which label holds for a piece."""

import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
import torch

from her2path.criteria.label import parse_score
from her2path.errors import ManifestError
from her2path.geometry import Mpp
from her2path.models.annotated import (
    annotated_crops,
    read_annotated,
    score_of_piece,
    within_a_grade,
)
from her2path.models.annotated_validation import measure_annotated, warn_of_seen
from her2path.models.description import TrainingData
from her2path.models.sources.copies import without_copies
from her2path.models.sources.crops import Crops
from her2path.models.sources.manifest import COLUMNS
from her2path.models.sources.pictures import MASK_VALUES, open_sample
from her2path.models.sources.sample import Part, Sample


def picture(path: Path) -> str:
    """Write a picture that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    cv2.imwrite(str(path), rng.integers(180, 220, (64, 64, 3), dtype=np.uint8))
    return path.name


def manifest(folder: Path, *rows: dict[str, object]) -> str:
    """Write a manifest of pictures, each with a score; they are of one laboratory."""
    path = folder / "m.csv"
    lines = [",".join(COLUMNS)]
    for k, row in enumerate(rows):
        row = {"picture": picture(folder / f"{k}.png"), "mpp": 0.5, "laboratory": "L"} | row
        row = {"score": "2+"} | row
        lines.append(",".join(str(row.get(column, "")) for column in COLUMNS))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def patients(samples: tuple[Sample, ...]) -> set[str]:
    return {sample.patient for sample in samples}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2+", "1+|3+"), ("0", "0|0+"), ("3+", "2+|3+"), ("0|0+", "0|1+"), ("0+", "0|1+")],
)
def test_a_piece_of_a_slide_lies_within_a_grade_of_it(given: str, expected: str) -> None:
    assert str(within_a_grade(parse_score(given, of="slide"))) == expected


def test_scores_of_slides_teach_too(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for of, expected in (("picture", "2+"), ("slide", "1+|3+")):
        sample = Sample(path=tmp_path / "a.png", mpp=0.5, score=parse_score("2+", of=of))
        source = Crops([sample], side_px=32)
        _, score = annotated_crops(source, 2, np.random.default_rng(0))
        source.close()
        assert str(score) == expected


def test_a_picture_of_nobody_never_lets_patients_stand_on_two_sides(tmp_path: Path) -> None:
    named = [{"patient": f"P{k // 4}"} for k in range(24)]
    train, validate = read_annotated([manifest(tmp_path, *named)])
    assert patients(train)
    assert patients(validate)
    assert not patients(train) & patients(validate)
    with pytest.raises(ManifestError, match="1 pictures have neither a split nor a patient"):
        read_annotated([manifest(tmp_path, *named, {"patient": ""})])


def test_pictures_of_a_test_part_are_left_out_and_their_patients_too(tmp_path: Path) -> None:
    rows = [{"patient": f"P{k}", "split": "train" if k else "test"} for k in range(4)]
    train, validate = read_annotated([manifest(tmp_path, *rows)])
    assert (patients(train), validate) == ({"P1", "P2", "P3"}, ())
    with pytest.raises(ManifestError, match="L/P2 stands on 2 sides"):
        read_annotated([manifest(tmp_path, *rows, {"patient": "P2", "split": "test"})])


def test_a_set_with_its_own_split_stands_beside_another(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for score in ("0", "2+"):
            picture(tmp_path / "set" / part / score / f"{part}{score}.png")
    others = manifest(tmp_path, *({"patient": f"P{k}", "laboratory": f"L{k}"} for k in range(5)))
    train, _ = read_annotated([f"folders:{tmp_path / 'set'}", others], mpp=0.5)
    assert {sample.laboratory for sample in train} > {"set"}
    assert all(sample.part is Part.TRAIN for sample in train)


def test_who_has_a_picture_in_a_test_part_is_not_learned_from(tmp_path: Path) -> None:
    rows = [{"patient": "P0", "split": "test"}, {"patient": "P0"}]
    rows += [{"patient": f"P{k}"} for k in range(1, 6)]
    for seed in range(3):
        train, validate = read_annotated([manifest(tmp_path, *rows)], seed=seed)
        assert patients(train) | patients(validate) == {f"P{k}" for k in range(1, 6)}


def test_a_picture_of_no_laboratory_never_lets_patients_stand_on_two_sides(
    tmp_path: Path,
) -> None:
    rows = [{"patient": f"P{k // 2}", "laboratory": "L" if k % 2 else ""} for k in range(12)]
    with pytest.raises(ManifestError, match="6 pictures have neither a split nor a laboratory"):
        read_annotated([manifest(tmp_path, *rows)])


def test_public_sets_with_their_own_splits_go_together(tmp_path: Path) -> None:
    for part in ("train", "test"):
        picture(tmp_path / "bci" / "IHC" / part / f"00000_{part}_2+.png")
        picture(tmp_path / "ihc" / f"{part}_data_wsi" / "class_1+" / f"her2-1-score_{part}_1.png")
    sources = [f"bci:{tmp_path / 'bci'}", f"her2-ihc-40x:{tmp_path / 'ihc'}"]
    train, validate = read_annotated(sources, mpp=0.5)
    assert {sample.laboratory: str(sample.score) for sample in train} == {
        "BCI": "2+",
        "HER2-IHC-40x": "1+",
    }
    assert validate == ()


def test_a_source_that_only_validates_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "bci" / "IHC" / "train" / "00000_train_2+.png")
    own = manifest(tmp_path, *({"patient": f"P{k}"} for k in range(3)))
    _, validate = read_annotated([f"bci:{tmp_path / 'bci'}", own], mpp=0.5)
    assert patients(validate) == {"P0", "P1", "P2"}
    assert "m.csv: none of its pictures is trained on" in caplog.text


def test_a_laboratory_in_training_and_test_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"patient": f"{laboratory}{side}", "laboratory": laboratory, "split": side}
        for laboratory, sides in (("A", ("train", "test")), ("B", ("validate",)))
        for side in sides
    ]
    train, _ = read_annotated([manifest(tmp_path, *rows)])
    assert patients(train) == {"Atrain"}
    assert "laboratories A stand in the part test and are learned from" in caplog.text


def test_what_was_taken_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    rows = [{"patient": f"P{k // 2}", "split": "test" if k < 2 else ""} for k in range(12)]
    train, validate = read_annotated([manifest(tmp_path, *rows)], say=said.append)
    (words,) = said
    assert words.startswith("annotated pictures: 12 read; ")
    for part, samples in (("training", train), ("validation", validate)):
        n = len(samples)
        numbers = f"scores {n}, outlines or masks 0, named patients {n // 2}"
        assert f"{n} ({numbers}) for {part}" in words
    assert "; 2 not used" in words
    assert words.endswith("each patient on one side of the two")
    assert caplog.text == ""


def test_pictures_of_nobody_on_two_sides_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_annotated([manifest(tmp_path, *({} for _ in range(6)))])
    assert "6 of 6 pictures name no patient" in caplog.text
    caplog.clear()
    read_annotated([manifest(tmp_path, *({"laboratory": f"L{k}"} for k in range(6)))])
    read_annotated([manifest(tmp_path, *({"split": "train"} for _ in range(3)))])
    assert caplog.text == ""


def test_a_score_that_allows_every_score_is_nothing_to_train_on(tmp_path: Path) -> None:
    row = {"patient": "P1", "split": "train", "score": "0+|2+", "score_of": "slide"}
    with pytest.raises(ManifestError, match="none with a label to train on"):
        read_annotated([manifest(tmp_path, row)])
    train, _ = read_annotated([manifest(tmp_path, row | {"score_of": "picture"})])
    assert [str(score_of_piece(sample)) for sample in train] == ["0+|2+"]


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    path = manifest(tmp_path, {"patient": "P1", "split": "test"})
    with pytest.raises(ManifestError, match="none with a label to train on"):
        read_annotated([path])
    assert read_annotated([]) == ((), ())


def test_a_picture_that_two_sources_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(3):
        picture(tmp_path / "set" / "2+" / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match=r"3 faults[\s\S]*is named 2 times"):
        read_annotated(["folders:set", f"folders:{tmp_path / 'set'}"], mpp=0.5)


@pytest.mark.parametrize(
    ("name", "is_tumor"),
    [
        ("Tumor", True),
        ("tumour", True),
        ("invasive carcinoma", True),
        ("2+", True),
        ("Region*", False),
        ("ROI", False),
        ("Unclassified", False),
        ("", False),
    ],
)
def test_only_a_class_that_says_tumor_labels_tumor(
    tmp_path: Path, name: str, is_tumor: bool
) -> None:
    picture(tmp_path / "a.png")
    ring = "[[8, 8], [40, 8], [40, 40], [8, 40], [8, 8]]"
    outlines = tmp_path / "a.geojson"
    outlines.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": '
        f'"Polygon", "coordinates": [{ring}]}}, "properties": {{"classification": '
        f'{{"name": "{name}"}}}}}}]}}',
        "utf-8",
    )
    sample = Sample(path=tmp_path / "a.png", mpp=0.5, outlines=outlines)
    with open_sample(sample) as opened:
        labelled = dict(opened.outlined())
    assert (MASK_VALUES["tumor"] in labelled) == is_tumor


@pytest.mark.parametrize("below", ["1/2+", "1+/P1/2+", "1/class_2", "0/3plus/P1"])
def test_scores_below_what_may_be_scores_are_refused(tmp_path: Path, below: str) -> None:
    picture(tmp_path / "set" / "train" / below / "a.png")
    with pytest.raises(ManifestError, match="put patients below scores"):
        read_annotated([f"folders:{tmp_path / 'set'}"], mpp=0.5)


def test_patients_below_scores_may_be_numbers(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "train" / "2+" / "1" / "a.png")
    train, _ = read_annotated([f"folders:{tmp_path / 'set'}"], mpp=0.5)
    assert [(sample.patient, str(sample.score)) for sample in train] == [("1", "2+")]


def test_pictures_that_are_not_there_are_one_fault_each(tmp_path: Path) -> None:
    rows = [{"patient": "P", "picture": f"gone{k}.png"} for k in range(2)]
    with pytest.raises(ManifestError, match="2 faults"):
        read_annotated([manifest(tmp_path, *rows)])


def test_every_file_that_cannot_be_used_is_named_before_training(tmp_path: Path) -> None:
    rows = [{"patient": f"P{k}", "split": "train"} for k in range(4)]
    path = manifest(tmp_path, *rows)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    (tmp_path / "3.png").write_text("no picture")
    with pytest.raises(ManifestError, match=r"(?s)1\.png.*3\.png"):
        read_annotated([path])


def test_a_mask_in_color_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[:32, :, 0] = 1
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with pytest.raises(ManifestError, match=r"mask\.png is in color or has a palette"):
        read_annotated([manifest(tmp_path, {"patient": "P", "split": "train", "mask": "mask.png"})])


def test_a_mask_that_labels_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((64, 64), np.uint8))
    rows = [{"patient": f"P{k}", "split": "train"} for k in range(2)]
    rows[0] |= {"mask": "mask.png"}
    train, _ = read_annotated([manifest(tmp_path, *rows)])
    assert len(train) == 2
    assert "masks or outlines of 1 pictures label nothing" in caplog.text


def test_a_manifest_takes_the_pixel_size_of_rows_without_one(tmp_path: Path) -> None:
    path = manifest(tmp_path, {"patient": "P", "split": "train", "mpp": ""})
    with pytest.raises(ManifestError, match="--data-mpp"):
        read_annotated([path])
    (sample,), _ = read_annotated([path], mpp=0.4)
    with open_sample(sample) as opened:
        assert opened.mpp == Mpp(0.4, 0.4)
        assert opened.sample.mpp == 0.4


def test_what_a_file_says_of_its_pixel_size_is_not_overruled_by_what_others_lack(
    tmp_path: Path,
) -> None:
    rgb = np.full((64, 64, 3), 200, np.uint8)
    per_cm = 1e4 / 0.25
    tifffile.imwrite(
        tmp_path / "a.tif",
        rgb,
        photometric="rgb",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )
    row = {"patient": "P", "split": "train", "picture": "a.tif"}
    for given, expected in (("", 0.25), (0.4, 0.4)):
        (sample,), _ = read_annotated([manifest(tmp_path, row | {"mpp": given})], mpp=0.5)
        with open_sample(sample) as opened:
            assert opened.mpp.mean == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mpp", [-1.0, float("nan"), 46.0])
def test_a_pixel_size_that_makes_no_sense_is_told_from_none(tmp_path: Path, mpp: float) -> None:
    path = manifest(tmp_path, {"patient": "P", "split": "train", "mpp": ""})
    with pytest.raises(ManifestError, match="its µm/px cannot be used"):
        read_annotated([path], mpp=mpp)


def test_names_that_look_alike_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"patient": "P1", "laboratory": "Lab A", "split": "train"},
        {"patient": "P1", "laboratory": "LabA", "split": "validate"},
    ]
    read_annotated([manifest(tmp_path, *rows)])
    assert "laboratories Lab A and LabA are taken for different ones" in caplog.text
    assert "patients P1 stand in several laboratories" in caplog.text


@pytest.mark.parametrize(
    ("sides", "kept"),
    [
        (("train", "validate"), {"P1", "other"}),
        (("train", "test"), {"other"}),
        (("validate", "test"), {"other"}),
        (("train", "train"), {"P0", "P1", "other"}),
    ],
)
def test_a_copy_of_a_picture_on_a_later_side_is_left_out(
    tmp_path: Path, sides: tuple[str, str], kept: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"patient": f"P{k}", "split": side} for k, side in enumerate(sides)]
    path = manifest(tmp_path, *rows, {"patient": "other", "split": "train"})
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    train, validate = read_annotated([path])
    assert patients(train) | patients(validate) == kept
    assert ("1 pictures are copies" in caplog.text) == (sides[0] != sides[1])


def test_copies_are_told_by_what_lies_deep_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("her2path.models.sources.copies.HEAD_BYTES", 16)
    monkeypatch.setattr("her2path.models.sources.copies.PIECE_BYTES", 64)
    samples = []
    for name, last, part in (("a", 1, Part.TRAIN), ("b", 1, Part.TEST), ("c", 2, Part.TEST)):
        (tmp_path / name).write_bytes(bytes(999) + bytes([last]))
        samples.append(Sample(path=tmp_path / name, part=part))
    assert [s.path.name for s in without_copies(samples)] == ["b", "c"]
    assert without_copies([samples[0], samples[2]]) == (samples[0], samples[2])


class SeesBright:
    """Says tumor where a picture is brighter than two thirds."""

    def __call__(self, rgb: torch.Tensor) -> SimpleNamespace:
        planes = torch.zeros(len(rgb), 6, *rgb.shape[2:])
        planes[:, 3] = (rgb[:, 0] > 2 / 3).float() - 0.5
        return SimpleNamespace(planes=planes)


def test_annotated_pictures_are_validated_on_as_they_are(tmp_path: Path) -> None:
    rgb = np.full((256, 256, 3), 169, np.uint8)
    rgb[:, 128:] = 171
    mask = np.full((256, 256), MASK_VALUES["other"], np.uint8)
    mask[:, 128:] = MASK_VALUES["tumor"]
    cv2.imwrite(str(tmp_path / "a.png"), rgb)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    sample = Sample(path=tmp_path / "a.png", mpp=0.5, mask=tmp_path / "mask.png")
    network, device = SeesBright(), torch.device("cpu")
    assert measure_annotated(network, (sample,), 128, device) == {"data_tumor_accuracy": 1.0}  # type: ignore[arg-type]


def test_a_network_that_knows_annotated_pictures_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = (Sample(path=Path("a.png")),)
    drawn = SimpleNamespace(name="n", data=TrainingData(summary=""))
    warn_of_seen(drawn, kept)  # type: ignore[arg-type]
    warn_of_seen(None, kept)
    data = TrainingData(summary="", n_annotated=7, sources=("m.csv",))
    taught = SimpleNamespace(name="n", data=data)
    warn_of_seen(taught, ())  # type: ignore[arg-type]
    assert caplog.text == ""
    warn_of_seen(taught, kept)  # type: ignore[arg-type]
    assert "n has learned from 7 annotated pictures ('m.csv')" in caplog.text
