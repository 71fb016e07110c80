"""What the samples of a tiled TIFF mean: read as they are stored, or refused with the remedy."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from her2path.errors import SlideError
from her2path.geometry import Location, Size
from her2path.slides import open_slide
from her2path.slides.opacity import over_white
from her2path.slides.openslide_backend import _over_white

ORIGIN = Location(0, 0)


def write_tiled(path: Path, samples: np.ndarray, **given: object) -> Path:
    options = {"tile": (128, 128), "photometric": "rgb", "metadata": None} | given
    tifffile.imwrite(path, samples, **options)
    return path


def read(path: Path, backend: str = "auto") -> np.ndarray:
    with open_slide(path, mpp=0.25, backend=backend) as slide:
        return slide.read_region(ORIGIN, 0, slide.dimensions)


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_to_be_turned_is_read_as_it_is_stored(tmp_path, tissue, orientation, compression):
    path = tmp_path / "turned.tif"
    rgb = tissue(200, 300)
    tag = (274, "H", 1, orientation, True)
    write_tiled(path, rgb, extratags=[tag], compression=compression)
    # JPEG changes values a little; tiles turned by themselves would be another picture.
    assert np.abs(read(path).astype(int) - rgb).mean() < (4 if compression == "jpeg" else 1e-9)


def test_a_sample_without_a_meaning_is_no_opacity(tmp_path, tissue):
    rgb = tissue(200, 300)
    padded = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    path = write_tiled(tmp_path / "padded.tif", padded, extrasamples=["unspecified"])
    np.testing.assert_array_equal(read(path), rgb)


@pytest.mark.parametrize("name", ["unassalpha", "assocalpha"])
def test_opacity_of_tiles_is_still_laid_over_white(tmp_path, name):
    samples = np.full((200, 300, 4), (40, 30, 20, 128), np.uint8)
    path = write_tiled(tmp_path / "clear.tif", samples, extrasamples=[name])
    share = 1 if name == "assocalpha" else 128 / 255
    wanted = np.array([40, 30, 20]) * share + 127
    assert np.abs(read(path) - wanted).max() <= 1.5


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (np.zeros((200, 300), np.uint16), {"photometric": "minisblack"}, "16-bit samples"),
        (np.zeros((200, 300, 3), np.uint16), {}, "16-bit samples"),
        (np.zeros((200, 300), bool), {"photometric": "minisblack"}, "1-bit samples"),
        (np.zeros((200, 300, 4), np.uint8), {"photometric": "separated"}, "colors are CMYK"),
        (
            np.zeros((200, 300, 2), np.uint8),
            {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
            "gray with opacity",
        ),
        (np.zeros((3, 200, 300, 3), np.uint8), {}, "a stack of 3 pictures"),
        (np.zeros((3, 200, 300, 3), np.uint8), {"compression": "jpeg"}, "a stack of 3 pictures"),
    ],
)
def test_tiles_are_refused_where_strips_are(tmp_path, samples, options, words):
    path = write_tiled(tmp_path / "a.tif", samples, **options)
    with pytest.raises(SlideError, match=words):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize(
    ("shape", "axes", "photometric", "words"),
    [
        ((3, 200, 300, 3), "ZYXS", "rgb", "a stack of 3 pictures"),
        ((3, 200, 300), "ZYX", "minisblack", "a stack of 3 pictures"),
        ((4, 200, 300), "CYX", "minisblack", "it has 4 channels"),
    ],
)
def test_the_first_of_several_planes_is_not_taken_for_the_slide(
    tmp_path, shape, axes, photometric, words
):
    path = tmp_path / "planes.ome.tif"
    write_tiled(
        path, np.zeros(shape, np.uint8), ome=True, photometric=photometric, metadata={"axes": axes}
    )
    with pytest.raises(SlideError, match=words):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_a_pyramid_of_tiles_is_no_stack(tmp_path, tissue, backend):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as tif:
        for k in range(3):
            tif.write(
                tissue(512 >> k, 512 >> k), tile=(128, 128), photometric="rgb", metadata=None,
                subfiletype=int(k > 0), compression="zlib",
            )  # fmt: skip
    with open_slide(path, mpp=0.25, backend=backend) as slide:
        assert slide.level_count == 3
        assert slide.dimensions == Size(512, 512)


def test_openslides_opacity_is_that_of_all_formats():
    rgba = np.random.default_rng(0).integers(0, 256, (60, 40, 4), dtype=np.uint8)
    rgba[:20, :, 3], rgba[20:30, :, 3] = 0, 255
    laid = over_white(rgba[..., :3], rgba[..., 3:])
    np.testing.assert_array_equal(_over_white(rgba), laid)
    assert (laid[:20] == 255).all()
