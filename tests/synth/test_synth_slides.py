import csv
import gzip
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openslide
import pydicom
import pytest
import tifffile

from her2path.criteria.rule_set import rule_set_names
from her2path.geometry import Location, Region, Size
from her2path.pipeline.sources import find_slides
from her2path.slides.color import Icc
from her2path.slides.opening import open_slide
from her2path.slides.wsidicom_backend import open_with_wsidicom
from her2path.synth import (
    Artefacts,
    Laboratory,
    RecipeError,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    load_laboratory,
    mix_of,
)
from her2path.synth.dicom import write_dicom
from her2path.synth.pairs import write_pair
from her2path.synth.records import known_cells
from her2path.synth.scene import Scene
from her2path.synth.writing import draw_slides, sha256_of, write_slide

pytestmark = pytest.mark.slow

LAB = replace(Laboratory(), mpp=0.5)
RECIPE = SlideRecipe(
    name="small",
    width_um=520,
    height_um=520,
    tissue=TissueShape("core"),
    regions=(
        RegionRecipe(name="a", mix=mix_of(none=0.8, faint_incomplete=0.2)),
        RegionRecipe(name="b", mix=mix_of(intense_complete=1.0), disc=(0.5, 0.5, 0.2)),
    ),
    artefacts=Artefacts(
        folds=1, pen_marks=1, bubbles=1, dust=3, blurred_patches=1, pigment_per_mm2=20, tears=1
    ),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    return write_slide(RECIPE, LAB, tmp_path_factory.mktemp("slides") / "small.svs", seed=11)


def test_openslide_opens_it_as_aperio(written) -> None:
    with openslide.OpenSlide(written.path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.dimensions == (1040, 1040)
        assert slide.level_dimensions[1] == (260, 260)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        assert slide.properties["openslide.objective-power"] == "20"
        assert "thumbnail" in slide.associated_images


def test_its_pixels_are_those_of_the_scene(written) -> None:
    with openslide.OpenSlide(written.path) as slide:
        shown = np.asarray(slide.read_region((400, 300), 0, (500, 400)).convert("RGB"))
    drawn = Scene(RECIPE, seed=11).render(Region(400, 300, 500, 400), LAB)
    assert np.abs(shown.astype(int) - drawn).mean() < 4


def test_the_same_seed_writes_the_same_files(written, tmp_path: Path) -> None:
    again = write_slide(RECIPE, LAB, tmp_path / "small.svs", seed=11)
    for name in ("path", "truth_path", "cells_path", "masks_path"):
        assert sha256_of(getattr(written, name)) == sha256_of(getattr(again, name))


def test_the_truth_beside_it_agrees_with_its_cells(written) -> None:
    truth = json.loads(written.truth_path.read_text("utf-8"))
    with gzip.open(written.cells_path, "rt", encoding="ascii") as file:
        rows = [row for row in csv.DictReader(file) if row["is_tumor"] == "true"]
    assert truth["slide"]["n_tumor_cells"] == len(rows)
    in_a = [row for row in rows if row["region"] == "0"]
    assert truth["regions"][0]["n_tumor_cells"] == len(in_a)
    stained = sum(row["intensity"] != "none" for row in in_a)
    assert truth["regions"][0]["pct_stained"] == pytest.approx(100 * stained / len(in_a), abs=1e-5)
    assert abs(stained - 0.2 * len(in_a)) < 1
    assert truth["regions"][1]["scores"]["asco-cap-2018"] == "3+"


def test_masks_lie_within_each_other(written) -> None:
    masks = cv2.cvtColor(cv2.imread(str(written.masks_path)), cv2.COLOR_BGR2RGB) > 0
    tissue, tumor, artefacts = masks[..., 0], masks[..., 1], masks[..., 2]
    assert tissue.any()
    assert artefacts.any()
    assert tumor.any()
    assert (tumor & ~tissue).sum() <= 0.02 * tumor.sum()


@pytest.mark.parametrize("width_um", [100, 101, 104, 105, 107])
def test_masks_reach_to_the_border_of_the_slide(tmp_path: Path, width_um: float) -> None:
    recipe = SlideRecipe(name="n", width_um=width_um, height_um=width_um)
    slide = write_slide(recipe, LAB, tmp_path / "n.svs", seed=1)
    tissue = cv2.imread(str(slide.masks_path))[..., 2]
    assert tissue.shape == 2 * (-(-2 * width_um // 16),)
    assert (tissue == 255).all()


@pytest.mark.parametrize("suffix", [".svs", ".dcm"])
def test_the_mask_of_membranes_is_that_of_the_field(tmp_path: Path, suffix: str) -> None:
    # 1100 × 1040 px: squares at the borders are not whole.
    recipe = replace(RECIPE, width_um=550)
    slide = write_slide(recipe, LAB, tmp_path / f"a{suffix}", seed=11, with_membranes=True)
    assert slide.membranes_path == tmp_path / "a.membranes.tif"
    assert slide.truth["files"]["membranes"] == "a.membranes.tif"
    mask = tifffile.imread(slide.membranes_path)
    assert np.array_equal(mask, draw_field(recipe, LAB, seed=11).truth.membrane)
    assert set(np.unique(mask)) >= {0, 1, 4}
    with tifffile.TiffFile(slide.membranes_path) as tiff:
        assert tiff.pages[0].tags["XResolution"].value == (20_000, 1)


def test_there_is_no_membrane_in_a_tear() -> None:
    region = RegionRecipe(mix=mix_of(intense_complete=1.0))
    recipe = SlideRecipe(
        width_um=300,
        height_um=300,
        tissue=TissueShape("fill"),
        regions=(region,),
        artefacts=Artefacts(tears=2),
    )
    _, maps = Scene(recipe, seed=3).render_with_maps(Region(0, 0, 600, 600), LAB)
    torn = maps.artefacts & ~maps.tissue
    assert torn.sum() > 1000
    assert (maps.membrane[~torn] > 0).mean() > 0.05
    assert not maps.membrane[torn].any()


def test_a_dicom_slide_without_one_of_its_levels_is_not_whole(tmp_path: Path) -> None:
    slide = write_slide(RECIPE, LAB, tmp_path / "a.dcm", seed=11)
    assert write_slide(RECIPE, LAB, slide.path, seed=11, resumes=True).path == slide.path
    (tmp_path / "a_level1.dcm").unlink()
    with pytest.raises(RecipeError, match=r"a_level1\.dcm is not: delete it"):
        write_slide(RECIPE, LAB, slide.path, seed=11, resumes=True)


def test_a_mask_of_membranes_changes_no_other_file_and_goes_with_its_slide(tmp_path: Path) -> None:
    small = replace(RECIPE, width_um=150, height_um=140, tissue=TissueShape("fill"))
    plain = write_slide(small, LAB, tmp_path / "a.svs", seed=11)
    assert plain.membranes_path is None
    names = ("path", "cells_path", "masks_path")
    hashes = [sha256_of(getattr(plain, name)) for name in names]
    plain_truth = plain.truth_path.read_bytes()
    masked = write_slide(small, LAB, tmp_path / "a.svs", seed=11, with_membranes=True)
    assert [sha256_of(getattr(masked, name)) for name in names] == hashes
    with pytest.raises(RecipeError, match="masks or format"):
        write_slide(small, LAB, tmp_path / "a.svs", seed=11, resumes=True)
    again = write_slide(small, LAB, tmp_path / "a.svs", seed=11, with_membranes=True, resumes=True)
    assert again.membranes_path == masked.membranes_path
    assert masked.membranes_path is not None
    assert masked.membranes_path.is_file()
    # The mask of a slide before must not stand beside another.
    write_slide(small, LAB, tmp_path / "a.svs", seed=11)
    assert not masked.membranes_path.exists()
    assert plain.truth_path.read_bytes() == plain_truth


def test_ome_tiff_holds_the_size_of_a_pixel_and_its_levels(tmp_path: Path) -> None:
    lab = replace(load_laboratory("test-d"), mpp=0.5)
    slide = write_slide(RECIPE, lab, tmp_path / "a.ome.tif", seed=2)
    with tifffile.TiffFile(slide.path) as tiff:
        assert tiff.is_ome
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
        assert tiff.pages[0].shape == (1040, 1040, 3)
        assert len(tiff.pages[0].pages) == 1


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_dicom_shows_the_pixels_of_the_svs(tmp_path: Path, compression: str) -> None:
    lab = replace(load_laboratory("test-d"), mpp=0.5, compression=compression, quality=90)
    svs = write_slide(RECIPE, lab, tmp_path / "a.svs", seed=2)
    dicom = write_slide(RECIPE, lab, tmp_path / "a.dcm", seed=2)
    (tmp_path / "again").mkdir()
    again = write_slide(RECIPE, lab, tmp_path / "again" / "a.dcm", seed=2)
    assert dicom.path.read_bytes() == again.path.read_bytes()
    with open_slide(svs.path) as first, open_slide(dicom.path) as second:
        assert second.dimensions == first.dimensions
        assert second.mpp.x == pytest.approx(first.mpp.x, rel=1e-4)
        place, size = Location(100, 300), Size(500, 400)
        wanted, found = (slide.read_region(place, 0, size) for slide in (first, second))
    assert np.abs(found.astype(int) - wanted).max() <= 2


def test_one_slide_as_two_laboratories_show_it_is_two_in_dicom(tmp_path: Path) -> None:
    small = SlideRecipe(name="n", width_um=60, height_um=60)
    uids = set()
    for name in ("test-a", "test-b"):
        (tmp_path / name).mkdir()
        written = write_slide(small, load_laboratory(name), tmp_path / name / "n.dcm", seed=2)
        uids.add(pydicom.dcmread(written.path, stop_before_pixels=True).SeriesInstanceUID)
    assert len(uids) == 2


@pytest.mark.parametrize("change", ["seed", "recipe", "profile"])
def test_slides_of_one_name_that_are_drawn_otherwise_are_two_in_dicom(
    tmp_path: Path, change: str
) -> None:
    small = SlideRecipe(name="n", width_um=60, height_um=60)
    other = replace(small, width_um=80) if change == "recipe" else small
    first = write_slide(small, LAB, tmp_path / "n.dcm", seed=2)
    uids = {pydicom.dcmread(first.path, stop_before_pixels=True).SeriesInstanceUID}
    second = write_slide(
        other,
        LAB,
        tmp_path / "n.dcm",
        seed=2 + (change == "seed"),
        with_profile=change == "profile",
    )
    uids.add(pydicom.dcmread(second.path, stop_before_pixels=True).SeriesInstanceUID)
    assert len(uids) == 2


@pytest.mark.parametrize("name", ["test-a", "test-e", "test-f", "test-g", "training-b"])
def test_numbers_in_dicom_are_as_short_as_the_standard_asks(tmp_path: Path, name: str) -> None:
    lab = load_laboratory(name)
    recipe = SlideRecipe(name="n", width_um=300, height_um=300, tissue=TissueShape("none"))
    write_slide(recipe, lab, tmp_path / "n.dcm", seed=2)
    for level, path in enumerate(sorted(tmp_path.glob("*.dcm"))):
        image = pydicom.dcmread(path, stop_before_pixels=True)
        shared = image.SharedFunctionalGroupsSequence[0]
        for spacing in shared.PixelMeasuresSequence[0].PixelSpacing:
            assert len(spacing.original_string) <= 16
            assert float(spacing) == pytest.approx(1e-3 * lab.mpp * 4**level, rel=1e-9)


# 4100 × 4700 px at 0.25 µm/px: no multiple of the step between levels, three levels.
TALL = replace(RECIPE, width_um=1025.25, height_um=1175.5, tissue=TissueShape("none"))


@pytest.fixture(scope="module")
def dicom_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("series")
    lab = replace(LAB, mpp=0.25)
    return tuple(write_slide(TALL, lab, folder / name, seed=3).path for name in ("a.svs", "a.dcm"))


def test_openslide_opens_the_levels_of_a_dicom_slide_as_one_pyramid(dicom_series) -> None:
    svs, dicom = (openslide.OpenSlide(path) for path in dicom_series)
    with svs, dicom:
        assert dicom.properties["openslide.vendor"] == "dicom"
        assert dicom.level_dimensions == svs.level_dimensions
        assert dicom.level_count == 3
        assert float(dicom.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        for level in range(3):
            wanted, found = (
                np.asarray(slide.read_region((200, 100), level, (250, 250)).convert("RGB"))
                for slide in (svs, dicom)
            )
            assert np.abs(found.astype(int) - wanted).max() <= 2


def test_wsidicom_opens_the_levels_of_a_dicom_slide_as_one_pyramid(dicom_series) -> None:
    pytest.importorskip("wsidicom")
    with open_slide(dicom_series[0]) as svs, open_with_wsidicom(dicom_series[1], None) as slide:
        assert slide.level_dimensions == svs.level_dimensions
        assert slide.mpp.x == pytest.approx(0.25)
        wanted, found = (s.read_region(Location(0, 0), 2, Size(250, 250)) for s in (svs, slide))
    assert np.abs(found.astype(int) - wanted).max() <= 2


def test_a_dicom_slide_is_one_slide_and_keeps_no_level_of_a_larger_one(tmp_path: Path) -> None:
    write_slide(TALL, replace(LAB, mpp=0.25), tmp_path / "a.dcm", seed=3)
    assert find_slides([str(tmp_path)], with_fields=False) == (tmp_path / "a.dcm",)
    write_slide(TALL, replace(LAB, mpp=1.0), tmp_path / "a.dcm", seed=3)
    assert sorted(p.name for p in tmp_path.glob("*.dcm")) == ["a.dcm", "a_level1.dcm"]


def test_dicom_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="too many for DICOM"):
        write_dicom(
            tmp_path / "a.dcm",
            [],
            width=100_000,
            height=80_000,
            tile_px=256,
            laboratory=LAB,
            slide_id="a",
        )


def test_a_jpeg_2000_slide_opens_as_aperio(tmp_path: Path) -> None:
    lab = replace(LAB, compression="jpeg2000", quality=80)
    blank = replace(RECIPE, tissue=TissueShape("none"), artefacts=Artefacts())
    slide = write_slide(blank, lab, tmp_path / "a.svs", seed=2)
    assert slide.truth["score"] == "not_assessable"
    with openslide.OpenSlide(slide.path) as opened:
        assert opened.properties["openslide.vendor"] == "aperio"
        shown = np.asarray(opened.read_region((0, 0), 0, (300, 300)).convert("RGB"))
    assert np.abs(shown.reshape(-1, 3).mean(0) - np.array(lab.white_point)).max() < 3


def test_a_pair_holds_the_change_that_was_asked_for(tmp_path: Path) -> None:
    patient = SlideRecipe(
        name="p1",
        width_um=500,
        height_um=500,
        regions=(RegionRecipe(mix=mix_of(none=0.5, weak_incomplete=0.5)),),
    )
    pair = write_pair(patient, mix_of(none=1.0), tmp_path, laboratories=(LAB, LAB), seed=3)
    assert pair.truth["score_before"] == "1+"
    assert pair.truth["score_after"] == "0"
    assert pair.truth["steps"] == -2
    assert pair.truth["is_same_laboratory"]
    assert pair.truth["is_changed"]
    assert pair.before.path.is_file()
    assert pair.after.path.is_file()


@pytest.mark.parametrize("killed_at", ["s.masks.png", "s.cells.csv.gz"])
def test_no_truth_of_before_stands_beside_what_a_killed_run_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    small = SlideRecipe(name="s", width_um=60, height_um=60)
    path = tmp_path / "s.svs"
    before = write_slide(small, LAB, path, seed=1)
    whole = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    os_replace = os.replace

    def kill(source: Path, target: Path) -> None:
        if Path(target).name == killed_at:
            raise KeyboardInterrupt
        os_replace(source, target)

    monkeypatch.setattr("os.replace", kill)
    with pytest.raises(KeyboardInterrupt):
        write_slide(small, LAB, path, seed=2)
    monkeypatch.undo()
    assert not before.truth_path.exists()
    write_slide(small, LAB, path, seed=1, resumes=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == whole


def test_a_slide_is_told_whole_once_its_truth_is_written(tmp_path: Path) -> None:
    told = []

    def tell(name: str, n_rows: int, of: int) -> None:
        told.append((name, n_rows, of, (tmp_path / "s.truth.json").exists()))

    tall = SlideRecipe(name="s", width_um=60, height_um=600, tissue=TissueShape("none"))
    write_slide(tall, LAB, tmp_path / "s.svs", seed=1, progress=tell)
    assert told == [("s.svs", 1024, 1200, False), ("s.svs", 1200, 1200, True)]


def test_a_slide_that_cannot_be_written_leaves_the_one_before_whole(tmp_path: Path) -> None:
    small = SlideRecipe(name="s", width_um=60, height_um=60)
    before = write_slide(small, LAB, tmp_path / "s.dcm", seed=1)
    large = replace(small, width_um=50_000, height_um=50_000)
    with pytest.raises(RecipeError, match="too many for DICOM"):
        write_slide(large, LAB, tmp_path / "s.dcm", seed=1)
    assert before.truth_path.exists()


def test_a_pair_with_the_mix_that_it_had_has_not_changed(tmp_path: Path) -> None:
    patient = SlideRecipe(
        name="p1", width_um=150, height_um=150, regions=(RegionRecipe(mix=mix_of(none=1.0)),)
    )
    pair = write_pair(patient, mix_of(none=1.0), tmp_path, laboratories=(LAB, LAB), seed=3)
    assert not pair.truth["is_changed"]


def test_what_would_change_where_no_cell_lies_has_not_changed(tmp_path: Path) -> None:
    unstained, stained = mix_of(none=1.0), mix_of(intense_complete=1.0)
    covered = RegionRecipe(name="covered", mix=stained, disc=(0.5, 0.5, 0.2))
    over = RegionRecipe(name="over", mix=unstained, disc=(0.5, 0.5, 0.3))
    patient = SlideRecipe(
        name="p1",
        width_um=150,
        height_um=150,
        regions=(RegionRecipe(mix=unstained), covered, over),
    )
    pair = write_pair(patient, unstained, tmp_path, laboratories=(LAB, LAB), seed=3)
    assert not pair.truth["is_changed"]
    assert pair.truth["seeds"] == [6, 7]


@pytest.mark.parametrize("mpp", [0.25, 0.23, 0.37, 0.5])
def test_shares_are_those_asked_for_at_any_pixel_size(mpp: float) -> None:
    recipe = SlideRecipe(
        width_um=400.4,
        height_um=300.3,
        regions=(RegionRecipe(mix=mix_of(none=0.9, weak_complete=0.1), tumor_share=1.0),),
    )
    scene = Scene(recipe, seed=4)
    tallies = [known_cells(scene, replace(LAB, mpp=m))[0].tally for m in (0.25, mpp)]
    assert tallies[0].n_cells == tallies[1].n_cells > 100
    assert tallies[1].shares().pct_stained == pytest.approx(10, abs=1e-9)


def test_slides_are_drawn_from_a_recipe_file(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("name = 'n'\nwidth_um = 200\nheight_um = 200\n", encoding="utf-8")
    slides = draw_slides(recipe, tmp_path / "out", seeds=(1, 2))
    assert [s.path.name for s in slides] == ["n-1.svs", "n-2.svs"]


@pytest.mark.parametrize("suffix", [".svs", ".ome.tif", ".dcm"])
def test_a_name_beyond_ascii_is_drawn_and_kept(tmp_path: Path, suffix: str) -> None:
    name = "Müster & ß 病1"
    recipe, lab = replace(RECIPE, name=name), replace(LAB, name="Köln")
    written = write_slide(recipe, lab, tmp_path / f"{name}{suffix}", seed=2)
    assert json.loads(written.truth_path.read_text("utf-8"))["slide_id"] == name
    with open_slide(written.path) as slide:
        assert slide.dimensions == Size(1040, 1040)
        assert slide.mpp is not None
        assert slide.mpp.x == pytest.approx(0.5)
    if suffix == ".dcm":
        image = pydicom.dcmread(written.path, stop_before_pixels=True)
        assert image.ContainerIdentifier == "Muster & _ _1"
        assert image.DeviceSerialNumber == "Koln"
    else:
        with tifffile.TiffFile(written.path) as tif:
            description = tif.pages.first.description
            expected = "Müster &amp; ß 病1" if tif.is_ome else "|Filename = Muster & _ _1|"
        assert expected in description


@pytest.mark.parametrize("name", ["../n", "", "a/b", ".n"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(f"name = '{name}'\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="plain name"):
        draw_slides(recipe, tmp_path / "out")


def test_more_pixels_than_any_slide_has_are_refused(tmp_path: Path) -> None:
    huge = SlideRecipe(width_um=80_000, height_um=80_000)
    with pytest.raises(RecipeError, match="coarser µm/px"):
        write_slide(huge, replace(LAB, mpp=0.1), tmp_path / "a.svs", seed=1)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must end in"):
        write_slide(RECIPE, LAB, tmp_path / "a.png", seed=1)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.toml"):
        draw_slides(tmp_path / "gone.toml", tmp_path)


@pytest.mark.parametrize("suffix", [".svs", ".ome.tif", ".dcm"])
def test_the_color_profile_of_a_drawn_slide_undoes_its_gamma(suffix: str, tmp_path: Path) -> None:
    small = replace(RECIPE, name="n", width_um=260, height_um=260)
    straight = replace(LAB, compression="none", white_point=(255.0, 255.0, 255.0))
    bent = replace(straight, gamma=1.3)
    wanted = write_slide(small, straight, tmp_path / f"a{suffix}", seed=4)
    found = write_slide(small, bent, tmp_path / f"b{suffix}", seed=4, with_profile=True)

    def pixels(path: Path, icc: Icc) -> np.ndarray:
        with open_slide(path, icc=icc) as slide:
            assert (slide.icc_profile() is None) == (path == wanted.path)
            return slide.read_region(Location(0, 0), 0, slide.dimensions).astype(float)

    light = pixels(wanted.path, Icc.SRGB)
    off = np.abs(pixels(found.path, Icc.SRGB) - light)
    # JPEG of quality 100 in YCbCr rounds both.
    assert np.percentile(off, 99) <= 4
    assert np.percentile(np.abs(pixels(found.path, Icc.OFF) - light), 90) > 10
    if suffix == ".dcm":
        pytest.importorskip("wsidicom")
        with open_slide(found.path) as one, open_with_wsidicom(found.path, None) as other:
            assert other.icc_profile() == one.icc_profile()
    # The profile changes no pixel of the file.
    plain = write_slide(small, bent, tmp_path / f"c{suffix}", seed=4)
    np.testing.assert_array_equal(pixels(found.path, Icc.OFF), pixels_of(plain.path))


def pixels_of(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_region(Location(0, 0), 0, slide.dimensions).astype(float)


def test_rules_that_ask_for_clusters_are_in_the_truth_too(tmp_path: Path) -> None:
    few = mix_of(none=0.97, intense_complete=0.03)
    recipe = SlideRecipe(width_um=400, height_um=300, regions=(RegionRecipe(mix=few),))
    written = write_slide(recipe, LAB, tmp_path / "few.svs", seed=4)
    with gzip.open(written.cells_path, "rt", encoding="ascii") as file:
        rows = [row for row in csv.DictReader(file) if row["intensity"] == "intense"]
    # Cells that touch, found by hand: from each as far as neighbors within 20 µm lead.
    places = {(float(row["x"]) * LAB.mpp, float(row["y"]) * LAB.mpp) for row in rows}
    largest, left = 0, set(places)
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            at = edge.pop()
            group.add(at)
            near = {other for other in left if math.dist(at, other) <= 20.0}
            left -= near
            edge |= near
        largest = max(largest, len(group))
    scores = written.truth["slide"]["scores"]
    assert set(scores) == set(rule_set_names())
    assert scores["gastric-biopsy"] == ("3+" if largest >= 5 else "0")
    assert largest > 1
