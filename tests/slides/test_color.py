"""Colors by the profile of a file: against the formula of sRGB, in every format, and refusals."""

import struct

import numpy as np
import pytest
from PIL import Image

from her2path.errors import SlideError
from her2path.geometry import Location, Size
from her2path.slides import Icc, describe_slide, open_slide, read_overview
from her2path.slides.color import has_srgb_colors

ORIGIN = Location(0, 0)


def encoded(light: np.ndarray) -> np.ndarray:
    """Return the 8-bit value of sRGB of linear light 0–1 (IEC 61966-2-1)."""
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return 255 * value


@pytest.fixture
def paths(write_svs, write_ome, tissue, tmp_path, gamma_profile):
    """One slide of each kind whose file holds a profile of gamma 1.8."""
    icc = gamma_profile(1.8)
    found = {
        "jpeg-tiff": write_svs("a.svs", icc=icc),
        "openslide": write_svs("b.svs", compression="zlib", icc=icc),
        "tifffile": write_ome("c.ome.tif", compression="zlib", icc=icc),
        "png": tmp_path / "d.png",
        "jpeg": tmp_path / "e.jpg",
    }
    for name in ("png", "jpeg"):
        Image.fromarray(tissue(90, 120)).save(found[name], icc_profile=icc, quality=95)
    return found


@pytest.mark.parametrize("kind", ["jpeg-tiff", "openslide", "tifffile", "png", "jpeg"])
def test_the_profile_of_a_file_brings_its_colors_to_srgb(paths, kind):
    size = Size(100, 80)
    with open_slide(paths[kind]) as slide:
        scanned = slide.read_region(ORIGIN, 0, size)
        assert not has_srgb_colors(slide)
        assert slide.icc_profile() is not None
    with open_slide(paths[kind], icc=Icc.SRGB) as slide:
        assert has_srgb_colors(slide)
        found = slide.read_region(ORIGIN, 0, size)
        overview, _ = read_overview(slide, mpp=0.25) if slide.mpp else (found, 1.0)
    expected = encoded((scanned / 255.0) ** 1.8)
    # A unit for rounding; a little more where dark values are steep.
    assert np.abs(found - expected).max() < 2.5
    assert np.abs(found.astype(float) - scanned).max() > 10
    np.testing.assert_array_equal(overview[:80, :100], found)


def test_outside_the_slide_it_stays_white(paths):
    with open_slide(paths["jpeg-tiff"], icc=Icc.SRGB) as slide:
        around = slide.read_region(Location(-20, -10), 0, Size(40, 30))
        within = slide.read_region(ORIGIN, 0, Size(20, 20))
    assert (around[:10] == 255).all()
    assert (around[:, :20] == 255).all()
    np.testing.assert_array_equal(around[10:, 20:], within)


def test_a_file_without_a_profile_is_read_as_it_is(write_svs):
    path = write_svs()
    with open_slide(path) as plain, open_slide(path, icc=Icc.SRGB) as asked:
        assert not has_srgb_colors(asked)
        assert asked.icc_profile() is None
        pixels = [slide.read_region(ORIGIN, 0, Size(50, 40)) for slide in (plain, asked)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("fault", ["cut", "nonsense", "grey"])
@pytest.mark.parametrize("compression", ["jpeg", "zlib"])
def test_a_profile_that_cannot_be_used_is_refused_only_where_it_is_asked_for(
    write_ome, gamma_profile, compression, fault
):
    icc, words = {
        "cut": (gamma_profile(1.8)[:200], "cannot be used|unreadable"),
        "nonsense": (b"no profile at all" * 20, "cannot be used|unreadable"),
        "grey": (gamma_profile(1.8).replace(b"RGB XYZ", b"GRAYXYZ"), "GRAY"),
    }[fault]
    path = write_ome(compression=compression, icc=icc)
    with open_slide(path) as slide:
        slide.read_region(ORIGIN, 0, Size(10, 10))
    with pytest.raises(SlideError, match=words) as refusal:
        open_slide(path, icc=Icc.SRGB)
    assert "--icc off" in str(refusal.value)


def test_a_profile_that_openslide_cannot_open_is_refused_in_words(write_svs):
    path = write_svs(compression="zlib", icc=b"no profile at all" * 20)
    with open_slide(path) as slide:
        assert slide.backend == "openslide"
    with pytest.raises(SlideError, match="profile is unreadable"):
        open_slide(path, icc=Icc.SRGB)


def with_jpeg_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """Return a JPEG with one more segment, before all others."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


def test_a_picture_is_said_to_have_a_profile_exactly_where_it_has_one(tmp_path, gamma_profile):
    path = tmp_path / "a.jpg"
    pixels = Image.new("RGB", (64, 64))
    pixels.save(path, icc_profile=gamma_profile(1.8))
    path.write_bytes(with_jpeg_segment(path.read_bytes(), 0xE1, b"Exif\0\0" + bytes(65_527)))
    with open_slide(path, mpp=0.25) as slide:
        assert slide.icc_profile() is not None
        assert describe_slide(slide)["has_icc"]
    pixels.save(path)
    path.write_bytes(with_jpeg_segment(path.read_bytes(), 0xFE, b"ICC_PROFILE\0 is a name"))
    with open_slide(path, mpp=0.25) as slide:
        assert slide.icc_profile() is None
        assert not describe_slide(slide)["has_icc"]


def test_a_jpeg_of_four_inks_is_refused_with_its_remedy(tmp_path):
    path = tmp_path / "inks.jpg"
    Image.new("CMYK", (64, 64), (10, 60, 80, 5)).save(path)
    with pytest.raises(SlideError, match="a JPEG in CMYK; 8-bit RGB is needed"):
        open_slide(path, mpp=0.25)


def test_a_profile_too_large_to_be_one_is_refused(write_ome, gamma_profile, monkeypatch):
    monkeypatch.setattr("her2path.slides.limits.MAX_PROFILE_BYTES", 100)
    with pytest.raises(SlideError, match="--icc off"):
        open_slide(write_ome(icc=gamma_profile(1.8)), icc=Icc.SRGB)
