import os
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from her2path.errors import MppError, SlideError
from her2path.geometry import Location, Mpp, Size
from her2path.slides import Icc, Slide, describe_slide, open_slide, require_mpp, tiff_chain
from her2path.slides.companions import companions
from her2path.slides.limits import bounded_properties, check_levels
from her2path.slides.opacity import over_white

ORIGIN = Location(0, 0)


def write_png(path: Path, rgb: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(".png", rgb[..., ::-1] if rgb.ndim == 3 else rgb)[1].tobytes())
    return path


def test_an_svs_of_jpeg_tiles_takes_the_fast_path(write_svs):
    with open_slide(write_svs()) as slide:
        assert isinstance(slide, Slide)
        assert (slide.backend, slide.vendor) == ("jpeg-tiff", "aperio")
        assert slide.dimensions == Size(900, 700)
        assert slide.level_dimensions == (Size(900, 700), Size(450, 350))
        assert slide.level_downsamples == (1.0, 2.0)
        assert slide.tile_size == Size(256, 256)
        assert slide.mpp == Mpp(0.25, 0.25)
        assert (slide.mpp_source, slide.objective_power) == ("metadata", 40.0)
        assert slide.associated_images["thumbnail"].shape == (70, 90, 3)


def test_a_svs_without_jpeg_is_left_to_openslide(write_svs):
    with open_slide(write_svs(compression="zlib")) as slide:
        assert slide.backend == "openslide"
        assert slide.properties["her2path.compression"] == "ADOBE_DEFLATE"


@pytest.mark.parametrize(("compression", "backend"), [("jpeg", "jpeg-tiff"), ("zlib", "tifffile")])
def test_an_ome_tiff_shows_its_levels_and_its_um_per_px(write_ome, compression, backend):
    with open_slide(write_ome(compression=compression)) as slide:
        assert (slide.backend, slide.vendor) == (backend, "ome-tiff")
        assert slide.level_downsamples == (1.0, 2.0, 4.0)
        assert (slide.mpp, slide.mpp_source) == (Mpp(0.25, 0.25), "metadata")


def test_an_ome_tiff_of_separate_planes_reads_as_rgb(write_ome):
    with open_slide(write_ome("a.ome.tif", compression="zlib")) as slide:
        chunky = slide.read_region(ORIGIN, 0, Size(300, 200))
    with open_slide(write_ome("b.ome.tif", compression="zlib", planar=True)) as slide:
        np.testing.assert_array_equal(slide.read_region(ORIGIN, 0, Size(300, 200)), chunky)


@pytest.mark.parametrize("backend", ["auto", "openslide", "tifffile"])
def test_resolution_tags_that_contradict_the_metadata_are_told(tmp_path, backend):
    sample = Path(__file__).parents[2] / "sample_slides" / "s1plus.svs"
    path = tmp_path / "wrong.svs"
    path.write_bytes(sample.read_bytes().replace(b"MPP = 0.2500", b"MPP = 0.1000"))
    with open_slide(sample, backend=backend) as slide:
        assert (slide.mpp, slide.tagged_mpp) == (Mpp(0.25, 0.25), Mpp(0.25, 0.25))
        assert describe_slide(slide)["problems"] == []
    with open_slide(path, backend=backend) as slide:
        assert (slide.mpp, slide.tagged_mpp) == (Mpp(0.1, 0.1), Mpp(0.25, 0.25))
        assert "0.25 by the resolution tags" in describe_slide(slide)["problems"][0]


def test_a_given_um_per_px_wins_over_metadata(write_svs):
    with open_slide(write_svs(), mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_source) == (Mpp(0.5, 0.5), "given")
        assert require_mpp(slide) == Mpp(0.5, 0.5)


def test_a_slide_without_um_per_px_opens_but_cannot_be_measured(write_svs):
    with open_slide(write_svs(mpp=None)) as slide:
        assert (slide.mpp, slide.mpp_source) == (None, "missing")
        with pytest.raises(MppError, match="--mpp"):
            require_mpp(slide)
        assert any("--mpp" in problem for problem in describe_slide(slide)["problems"])


@pytest.mark.parametrize("mpp", ["0.0025", "25", "2.3"])
def test_an_absurd_um_per_px_is_refused_and_can_be_overruled(write_svs, mpp):
    path = write_svs(mpp=mpp)
    with open_slide(path) as slide, pytest.raises(MppError, match="--mpp"):
        require_mpp(slide)
    with open_slide(path, mpp=0.25) as slide:
        assert require_mpp(slide).mean == pytest.approx(0.25)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 0.01, 100.0, float("nan"), Mpp(0.2, 0.4)])
def test_an_absurd_given_um_per_px_is_refused_at_once(write_svs, mpp):
    with pytest.raises(MppError):
        open_slide(write_svs(), mpp=mpp)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((0.25, 0.251), "mean"),
        ((0.25, 0.28), "kept"),
        ((0.25, 0.35), "refused"),
    ],
)
def test_um_per_px_that_differs_in_x_and_y_is_handled_as_stated(write_ome, sides, expected):
    with open_slide(write_ome(mpp=sides)) as slide:
        if expected == "refused":
            with pytest.raises(MppError, match="differs in x and y"):
                require_mpp(slide)
            return
        mpp = require_mpp(slide)
    if expected == "kept":
        assert (mpp.x, mpp.y) == sides
    else:
        assert mpp.x == mpp.y == pytest.approx(np.sqrt(sides[0] * sides[1]))


def test_a_plain_field_needs_um_per_px_from_a_person(tmp_path, tissue):
    path = write_png(tmp_path / "field.png", tissue(90, 120))
    with open_slide(path) as slide:
        assert (slide.backend, slide.vendor, slide.mpp) == ("image", "png", None)
        np.testing.assert_array_equal(
            slide.read_region(ORIGIN, 0, slide.dimensions), tissue(90, 120)
        )
    with open_slide(path, mpp=0.25) as slide:
        assert require_mpp(slide) == Mpp(0.25, 0.25)


def test_grey_and_transparent_fields_become_rgb_over_white(tmp_path):
    grey = write_png(tmp_path / "grey.png", np.full((8, 9), 77, np.uint8))
    with open_slide(grey) as slide:
        assert (slide.read_region(ORIGIN, 0, Size(9, 8)) == 77).all()
    clear = write_png(tmp_path / "clear.png", np.zeros((8, 9, 3), np.uint8))
    rgba = np.zeros((8, 9, 4), np.uint8)
    rgba[:, 4:, 3] = 255
    clear.write_bytes(cv2.imencode(".png", rgba)[1].tobytes())
    with open_slide(clear) as slide:
        rgb = slide.read_region(ORIGIN, 0, Size(9, 8))
    assert (rgb[:, :4] == 255).all()
    assert (rgb[:, 4:] == 0).all()


def test_a_jpeg_field_reads(tmp_path, tissue):
    path = tmp_path / "field.jpg"
    path.write_bytes(cv2.imencode(".jpg", tissue(90, 120)[..., ::-1])[1].tobytes())
    with open_slide(path, mpp=0.5) as slide:
        read = slide.read_region(ORIGIN, 0, Size(120, 90)).astype(int)
    assert np.abs(read - tissue(90, 120)).mean() < 4


def test_the_resolution_of_a_plain_tiff_counts_only_where_it_is_plausible(tmp_path, tissue):
    path = tmp_path / "field.tif"
    for density, expected in ((40_000, Mpp(0.25, 0.25)), (28.35, None)):
        tifffile.imwrite(
            path,
            tissue(90, 120),
            photometric="rgb",
            resolution=(density, density),
            resolutionunit="CENTIMETER",
        )
        with open_slide(path) as slide:
            assert slide.backend == "image"
            assert slide.mpp == expected
            assert slide.mpp_source == ("tiff-resolution" if expected else "missing")


def test_the_resolution_of_an_imagej_tiff_is_counted_in_its_unit(tmp_path, tissue):
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, tissue(64, 64), imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    with open_slide(path) as slide:
        assert slide.mpp == Mpp(0.25, 0.25)


def test_pictures_that_are_not_8_bit_say_so(tmp_path):
    png = tmp_path / "deep.png"
    png.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint16))[1].tobytes())
    tif = tmp_path / "deep.tif"
    tifffile.imwrite(tif, np.zeros((64, 64, 3), np.uint16), photometric="rgb")
    for path in (png, tif):
        with pytest.raises(SlideError, match="8-bit"):
            open_slide(path)


RGB = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
PICTURE = r"save the picture as PNG or TIFF and give its µm/px with --mpp \("
CONVERT = r"8-bit RGB is needed: convert it, in the program that made it or in ImageJ \("


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (cv2.imencode(".bmp", RGB)[1].tobytes(), "it is a BMP picture; " + PICTURE),
        (cv2.imencode(".webp", RGB)[1].tobytes(), "it is a WebP picture; " + PICTURE),
        (b"<html>\r\nnot found: \xc3\xa9</html>", "it holds text and no pixels; " + PICTURE),
        (bytes(range(256)), "it is not what its name says, neither PNG, JPEG nor TIFF; " + PICTURE),
        (cv2.imencode(".png", RGB.astype(np.uint16))[1].tobytes(), "16 bits a sample; " + CONVERT),
        (cv2.imencode(".png", RGB)[1].tobytes()[:90], r"save it anew as PNG or TIFF; else copy"),
    ],
)
def test_a_picture_that_cannot_be_read_has_one_remedy_said_first(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.png: no reader understands it: .*" + words) as caught:
        open_slide(path, mpp=0.25)
    assert "scanner" not in str(caught.value)
    assert "OME-TIFF" not in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (RGB.astype(np.uint16), {"photometric": "rgb"}, "it has 16-bit samples; " + CONVERT),
        (
            RGB.astype(np.float32),
            {"photometric": "rgb"},
            "it has floating-point samples; " + CONVERT,
        ),
        (
            np.dstack([RGB, RGB[..., :1]]),
            {"photometric": "separated"},
            "colors are CMYK; " + CONVERT,
        ),
        (
            np.stack([RGB] * 5),
            {"photometric": "rgb"},
            "stack of 5 pictures; save the one to be scored",
        ),
    ],
)
def test_a_tiff_that_is_not_8_bit_rgb_is_to_be_converted(tmp_path, samples, options, words):
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    with pytest.raises(SlideError, match=r"a\.tif: no reader understands it: .*" + words) as caught:
        open_slide(tmp_path / "a.tif", mpp=0.25)
    assert "scanner" not in str(caught.value)


def test_text_named_as_a_slide_is_to_be_copied_again(tmp_path):
    (tmp_path / "a.svs").write_text("version https://git-lfs", "utf-8")
    with pytest.raises(SlideError, match="holds text and no pixels; copy the slide itself again"):
        open_slide(tmp_path / "a.svs")


def test_a_picture_that_claims_a_huge_size_is_refused_before_memory_is_taken(tmp_path):
    path = write_png(tmp_path / "bomb.png", np.zeros((8, 8, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = (2_000_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(SlideError, match="pyramidal TIFF"):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.svs", "a.ndpi", "a.png", "a.tif", "a.dcm", "a.mrxs"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 300, b"II*\0" + b"\xff" * 300])
def test_a_damaged_file_is_a_slide_error_that_names_it(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.\w+"):
        open_slide(path)


def test_a_truncated_slide_is_a_slide_error_when_opened_or_read(write_svs):
    path = write_svs()
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SlideError), open_slide(path) as slide:  # noqa: PT012
            for level in range(slide.level_count):
                slide.read_region(ORIGIN, level, slide.level_dimensions[level])
            list(slide.associated_images.values())
            raise SlideError("the part that is missing was not needed")


def test_a_damaged_tile_is_named(write_svs):
    path = write_svs()
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[1], tif.pages[0].databytecounts[1]
    data = bytearray(path.read_bytes())
    data[offset + count // 2 : offset + count] = b"\xff\xd9" * (count // 4 + 1)
    path.write_bytes(data[: len(path.read_bytes())])
    with open_slide(path) as slide:
        assert slide.read_region(ORIGIN, 0, Size(256, 256)).shape == (256, 256, 3)
        with pytest.raises(SlideError, match="tile 1 is damaged"):
            slide.read_region(Location(256, 0), 0, Size(256, 256))


def test_want_of_memory_is_not_taken_for_damage(tmp_path, tissue, write_ome, monkeypatch):
    def short(*_: object, **__: object) -> None:
        raise MemoryError

    field, slide = write_png(tmp_path / "field.png", tissue(90, 120)), write_ome()
    with monkeypatch.context() as patch:
        patch.setattr("her2path.slides.image_backend._open_encoded", short)
        with pytest.raises(MemoryError, match=r"field\.png: memory ran out") as caught:
            open_slide(field, mpp=0.5)
    assert isinstance(caught.value, SlideError)
    assert "damaged" not in str(caught.value)
    with open_slide(slide, backend="tifffile") as opened:
        monkeypatch.setattr("her2path.slides.tifffile_backend.TiffSlide._block", short)
        with pytest.raises(MemoryError, match="block 0: memory ran out"):
            opened.read_region(ORIGIN, 0, Size(64, 64))


def test_the_last_error_lists_every_reader_with_its_reason(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((5, 64, 64), np.uint16), photometric="minisblack")
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    for reader in ("jpeg-tiff:", "openslide:", "image:", "tifffile:"):
        assert reader in str(caught.value)


def test_missing_files_folders_and_unknown_backends_are_told_apart(tmp_path):
    with pytest.raises(SlideError, match="does not exist"):
        open_slide(tmp_path / "none.svs")
    with pytest.raises(SlideError, match="is a folder"):
        open_slide(tmp_path)
    with pytest.raises(SlideError, match="no backend"):
        open_slide(tmp_path, backend="magic")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SlideError, match="pipe or a device"):
        open_slide(tmp_path / "pipe.png", mpp=0.25)


def test_a_vsi_names_its_data_folder_and_the_remedy(tmp_path):
    path = tmp_path / "scan.vsi"
    path.write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(SlideError, match=r"_scan_ is missing.*OME-TIFF"):
        open_slide(path)
    (tmp_path / "_scan_").mkdir()
    with pytest.raises(SlideError, match=r"no reader here understands.*OME-TIFF"):
        open_slide(path)


def test_a_header_that_claims_too_much_is_one_sentence_and_no_log_line(tmp_path, caplog):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as tif:
        places = [tif.pages.first.tags[code].offset + 8 for code in (256, 257)]
    data = bytearray(path.read_bytes())
    for place in places:
        data[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SlideError, match=r"claims 2147483647 × 2147483647 px") as caught:
        open_slide(path)
    assert ".." not in str(caught.value)
    assert caplog.records == []


def test_blocks_larger_than_memory_are_refused_by_every_reader(tmp_path):
    path = tmp_path / "blocks.tif"
    rgb = np.full((600, 500, 3), 200, np.uint8)
    tifffile.imwrite(path, rgb, tile=(128, 128), photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as tif:
        place = tif.pages.first.tags["TileLength"].offset + 8
    data = bytearray(path.read_bytes())
    # One block of 128 × 2^21 px would be 1 GB, of a picture of 500 × 600 px.
    data[place : place + 4] = (2**21).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SlideError, match=r"openslide: level 0 comes in blocks of 128 × 2097152 px"):
        open_slide(path)


def test_a_bif_scanned_leftwards_is_explained():
    from her2path.slides.openslide_backend import refusal

    assert "DP 200" in refusal(OSError('Bad direction attribute "LEFT"'))


def test_what_belongs_to_a_slide_is_known(tmp_path):
    for name in ("m.mrxs", "v(0,0).jpg", "v-macro.jpg", "other.jpg", "one.svs"):
        (tmp_path / name).touch()
    (tmp_path / "m").mkdir()
    index = tmp_path / "v.vms"
    index.write_text("[Virtual Microscope Specimen]\nImageFile=v(0,0).jpg\nMacro=v-macro.jpg\n")
    index.write_text(index.read_text() + "Away=/etc/passwd\nMissing=v(1,0).jpg\n")
    assert [p.name for p in companions(tmp_path / "m.mrxs")] == ["m"]
    assert [p.name for p in companions(index)] == ["v(0,0).jpg", "v-macro.jpg"]
    assert companions(tmp_path / "one.svs") == companions(tmp_path / "absent.vms") == ()
    (tmp_path / "scanä.jpg").touch()
    index.write_text(f"ImageFile=scanä.jpg\nUser={'a' * 300}\n", encoding="utf-8")
    assert [p.name for p in companions(index)] == ["scanä.jpg"]


def test_a_path_with_accents_and_spaces_opens(write_svs):
    with open_slide(write_svs("Gewebe Übersicht µ 日本.svs")) as slide:
        assert slide.backend == "jpeg-tiff"
        assert slide.read_region(ORIGIN, 0, Size(10, 10)).shape == (10, 10, 3)


@pytest.mark.parametrize("backend", ["jpeg-tiff", "openslide", "tifffile"])
def test_a_closed_slide_says_so(write_svs, backend):
    slide = open_slide(write_svs(), backend=backend)
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read_region(ORIGIN, 0, Size(8, 8))
    with pytest.raises(SlideError):
        slide.associated_images["thumbnail"]


def test_description_is_json_and_bounded(write_svs):
    import json

    with open_slide(write_svs()) as slide:
        described = describe_slide(slide)
    assert json.loads(json.dumps(described)) == described
    assert described["mpp"] == [0.25, 0.25]
    assert described["compression"] == "JPEG"
    assert described["problems"] == []
    assert len(described["levels"]) == 2


def test_opening_loads_no_reader_before_it_is_needed():
    import subprocess

    code = (
        "import sys, her2path.slides;"
        "print([m for m in ('openslide','tifffile','simplejpeg','wsidicom') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def stripped(path: Path, samples: np.ndarray, **given: object) -> np.ndarray:
    """Write an untiled TIFF and return what is read of it."""
    tifffile.imwrite(path, samples, **given)
    with open_slide(path, mpp=0.25) as slide:
        return slide.read_region(ORIGIN, 0, slide.dimensions)


def test_opacity_is_laid_over_white_once(tmp_path, tissue):
    rgb = tissue(40, 50)
    alpha = np.full((40, 50, 1), 128, np.uint8)
    own = rgb.astype(int) * 128 // 255
    for name, colours in (("unassalpha", rgb), ("assocalpha", own.astype(np.uint8))):
        read = stripped(
            tmp_path / f"{name}.tif",
            np.concatenate([colours, alpha], axis=2),
            photometric="rgb",
            extrasamples=[name],
        )
        np.testing.assert_allclose(read.astype(int), own + 255 - 128, atol=1)


def test_opacity_looks_alike_in_png_and_tiff(tmp_path):
    samples = np.random.default_rng(2).integers(0, 256, (40, 50, 4), dtype=np.uint8)
    png = tmp_path / "a.png"
    cv2.imwrite(str(png), cv2.cvtColor(samples, cv2.COLOR_RGBA2BGRA))
    with open_slide(png, mpp=0.25) as slide:
        read = slide.read_region(ORIGIN, 0, slide.dimensions)
    tiff = stripped(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read, tiff)


def test_samples_mean_what_the_page_says(tmp_path):
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    read = stripped(tmp_path / "white.tif", grey, photometric="miniswhite")
    assert (read == (255 - grey)[..., None]).all()
    table = np.random.default_rng(1).integers(0, 2**16, (3, 256), dtype=np.uint16)
    read = stripped(tmp_path / "palette.tif", grey, photometric="palette", colormap=table)
    assert (read == (table >> 8).T[grey]).all()
    inks = np.zeros((10, 20, 4), np.uint8)
    tifffile.imwrite(tmp_path / "inks.tif", inks, photometric="separated")
    with pytest.raises(SlideError, match="no reader understands it"):
        open_slide(tmp_path / "inks.tif", mpp=0.25)


def test_pages_that_lead_in_a_circle_or_never_end_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for _ in range(3):
            tif.write(np.zeros((16, 16, 3), np.uint8))
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[2]
        n_entries = len(last.tags)
        next_at = last.offset + 2 + 12 * n_entries
    monkeypatch.setattr(tiff_chain, "MAX_CHAIN", 2)
    with pytest.raises(SlideError, match="more than 2 pages"):
        open_slide(path)
    monkeypatch.undo()
    data = bytearray(path.read_bytes())
    data[next_at : next_at + 4] = first.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SlideError, match="lead back to an earlier one"):
        open_slide(path)


def test_a_level_of_another_shape_is_none():
    check_levels([Size(4000, 3000), Size(2000, 1500), Size(7, 5)])
    with pytest.raises(SlideError, match="shows another picture"):
        check_levels([Size(2048, 2048), Size(1024, 256)])


def test_a_picture_beside_the_slide_never_stands_for_a_level(tmp_path):
    path = tmp_path / "a.ome.tif"
    brown = np.full((512, 512, 3), (150, 100, 60), np.uint8)
    green = np.full((256, 256, 3), (20, 200, 20), np.uint8)
    tiles = {"tile": (128, 128), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(brown, subifds=1, metadata={"axes": "YXS"}, **tiles)
        tif.write(brown[::2, ::2], subfiletype=1, metadata=None, **tiles)
        tif.write(green, metadata={"axes": "YXS", "Name": "macro"}, **tiles)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.backend == "jpeg-tiff"
        for level, size in enumerate(slide.level_dimensions):
            color = slide.read_region(Location(0, 0), level, size).mean(axis=(0, 1))
            np.testing.assert_allclose(color, (150, 100, 60), atol=4)


def test_what_steers_a_terminal_is_taken_out_of_the_words_of_a_file():
    found = bounded_properties({"a\x1b[31m": "red\x1b[0m\nline"})
    assert dict(found) == {"a[31m": "red[0m\nline"}


@pytest.mark.parametrize("is_multiplied", [False, True])
def test_opacity_is_laid_over_white_alike_in_bands(monkeypatch, is_multiplied):
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (37, 11, 3), dtype=np.uint8)
    opacity = rng.integers(0, 256, (37, 11, 1), dtype=np.uint8)
    whole = over_white(colors, opacity, is_multiplied=is_multiplied)
    monkeypatch.setattr("her2path.slides.opacity.BAND", 100)
    np.testing.assert_array_equal(over_white(colors, opacity, is_multiplied=is_multiplied), whole)
    share = opacity / 255.0
    wanted = np.minimum(colors + 255 * (1 - share), 255)
    if not is_multiplied:
        wanted = colors * share + 255 * (1 - share)
    np.testing.assert_allclose(whole, wanted, atol=1)


def test_a_folder_of_dicom_slides_is_not_looked_through_for_each_of_them(
    tmp_path: Path, monkeypatch
):
    names = [f"{k}.dcm" for k in range(40)]
    for name in names:
        (tmp_path / name).touch()
    asked = []

    def series_of(path: Path) -> str:
        asked.append(path.name)
        return f"pair {int(path.stem) // 2}"

    monkeypatch.setattr("her2path.slides.companions.series_of", series_of)
    found = [[p.name for p in companions(tmp_path / name)] for name in names]
    assert found[2] == ["3.dcm"]
    assert found[5] == ["4.dcm"]
    # Once for the folder, and by each slide itself and the two of its pair.
    assert len(asked) == len(names) * (1 + 3)


@pytest.mark.parametrize(
    "rest",
    [
        struct.pack("<QQ", 16, 2**62),
        struct.pack("<Q", 2**63 + 5),
    ],
    ids=["a count of entries", "a place of the first page"],
)
def test_a_big_tiff_that_points_where_no_file_reaches_is_an_error(tmp_path: Path, rest: bytes):
    path = tmp_path / "far.tif"
    path.write_bytes(b"II" + struct.pack("<HHH", 43, 8, 0) + rest + bytes(64))
    with pytest.raises(SlideError):
        open_slide(path, mpp=0.25)


def test_a_damaged_part_beside_the_pixels_costs_a_picture_its_profile_only(tmp_path: Path):
    png = cv2.imencode(".png", np.full((64, 64, 3), 230, np.uint8))[1].tobytes()
    wrong_sum = struct.pack(">I", 5) + b"tEXt" + b"a\0bcd" + bytes(4)
    at = png.index(b"IDAT") - 4
    path = tmp_path / "field.png"
    path.write_bytes(png[:at] + wrong_sum + png[at:])
    with open_slide(path, mpp=0.25) as slide:
        assert slide.dimensions == Size(64, 64)
    with pytest.raises(SlideError, match="color profile"):
        open_slide(path, mpp=0.25, icc=Icc.SRGB)
