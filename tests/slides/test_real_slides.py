import numpy as np
import pytest

from her2path.errors import MppError, SlideError
from her2path.geometry import Location, Region, Size
from her2path.slides import describe_slide, open_slide, read_at_mpp, read_overview, require_mpp

pytestmark = pytest.mark.real


def test_three_backends_give_the_same_pixels_of_an_aperio_jpeg_slide(real_data):
    path = real_data / "slides" / "CMU-1-Small-Region.svs"
    names = ("jpeg-tiff", "openslide", "tifffile")
    slides = [open_slide(path, backend=name) for name in names]
    for location, size in (
        (Location(0, 0), slides[0].dimensions),
        (Location(480, 720), Size(240, 240)),
        (Location(1999, 2777), Size(400, 300)),
    ):
        reference, *others = [slide.read_region(location, 0, size) for slide in slides]
        for other in others:
            np.testing.assert_array_equal(other, reference)
    for slide in slides:
        slide.close()
    with open_slide(path) as slide:
        assert slide.backend == "jpeg-tiff"
        assert require_mpp(slide).mean == pytest.approx(0.499)


def test_two_backends_give_the_same_pixels_of_an_aperio_jpeg2000_slide(real_data):
    path = real_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    with open_slide(path) as one, open_slide(path, backend="tifffile") as other:
        assert one.backend == "openslide"
        assert one.level_dimensions == other.level_dimensions
        for level, location in ((0, Location(1000, 1300)), (1, Location(0, 0))):
            args = location, level, Size(600, 500)
            np.testing.assert_array_equal(one.read_region(*args), other.read_region(*args))
        with pytest.raises(MppError, match="--mpp"):
            require_mpp(one)
        assert describe_slide(one)["has_icc"]


def test_a_fluorescence_ndpi_opens(real_data):
    with open_slide(real_data / "slides" / "test3-TRITC 2 (560).ndpi") as slide:
        assert slide.vendor == "hamamatsu"
        assert slide.level_count == 7
        rgb, _ = read_overview(slide, mpp=8.0)
        assert rgb.max() > 0
        assert read_at_mpp(slide, Region(1000, 1000, 500, 500), 0.5).shape == (228, 228, 3)


def test_dicom_opens_uncompressed_and_jpeg_ls(real_data):
    with open_slide(real_data / "slides" / "highdicom_sm_image.dcm") as slide:
        assert (slide.backend, slide.vendor) == ("openslide", "dicom")
        assert require_mpp(slide).mean == pytest.approx(0.499)
        plain = slide.read_region(Location(-5, -5), 0, Size(60, 60))
    path = real_data / "slides" / "highdicom_sm_image_jpegls.dcm"
    with pytest.raises(SlideError, match="transfer syntax"):
        open_slide(path, backend="openslide")
    pytest.importorskip("wsidicom")
    with open_slide(path) as slide:
        assert slide.backend == "wsidicom"
        assert slide.scanner == "Test Model"
        assert describe_slide(slide)["has_icc"]
        assert require_mpp(slide).mean == pytest.approx(0.499)
        np.testing.assert_array_equal(slide.read_region(Location(-5, -5), 0, Size(60, 60)), plain)


def test_plain_fields_open(real_data):
    with open_slide(real_data / "slides" / "kidney-48-5.tif", mpp=0.25) as slide:
        assert (slide.backend, slide.dimensions) == ("image", Size(1493, 901))
    with open_slide(real_data / "tma" / "0_ccb6.jpg", mpp=0.23) as slide:
        assert slide.dimensions == Size(5468, 5468)


def test_damaged_files_are_slide_errors(real_data):
    for name in ("broken.svs", "Image_Mouse13_PB_H7.vsi"):
        with pytest.raises(SlideError, match=name):
            open_slide(real_data / "slides" / name)
    for backend in ("auto", "openslide"):
        slide = open_slide(real_data / "slides" / "unreadable.svs", backend=backend)
        with pytest.raises(SlideError, match="damaged"):
            slide.read_region(Location(0, 0), 0, Size(16, 16))
        slide.close()
