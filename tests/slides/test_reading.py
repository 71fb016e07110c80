import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from her2path.errors import MppError, SlideError
from her2path.geometry import Location, Mpp, Region, Size
from her2path.slides import open_slide, plan_tiles, read_at_mpp, read_overview
from her2path.slides.slide import AssociatedImages, OpenedSlide, SlideFacts, downsamples_of

BACKENDS = ("jpeg-tiff", "openslide", "tifffile")


class ArraySlide(OpenedSlide):
    """A pyramid held in arrays."""

    def __init__(self, levels: list[np.ndarray], mpp: Mpp | None) -> None:
        super().__init__(
            SlideFacts(
                path=None,  # type: ignore[arg-type]
                backend="image",
                vendor="array",
                level_dimensions=tuple(Size(rgb.shape[1], rgb.shape[0]) for rgb in levels),
                tile_size=Size(64, 64),
                properties={},
                associated_images=AssociatedImages(),
                mpp=mpp,
                mpp_source="given",
            )
        )
        self._levels = levels
        self.n_px_read = 0

    def _release(self) -> None:
        self._levels = []

    def _read_into(self, level: int, corner: Location, rgb: Any) -> None:
        height, width = rgb.shape[:2]
        self.n_px_read += height * width
        rgb[...] = self._levels[level][corner.y : corner.y + height, corner.x : corner.x + width]


def pyramid(rgb: np.ndarray, n_levels: int) -> list[np.ndarray]:
    levels = [rgb]
    for _ in range(n_levels - 1):
        height, width = levels[-1].shape[0] // 2, levels[-1].shape[1] // 2
        levels.append(
            cv2.resize(
                levels[-1][: height * 2, : width * 2], (width, height), interpolation=cv2.INTER_AREA
            )
        )
    return levels


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows by 1/4 per column, green by 1/4 per row."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns / 4, rows / 4, np.full_like(rows, 9.0)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
def test_all_backends_give_the_same_pixels_of_an_svs(write_svs, photometric):
    path = write_svs(photometric=photometric)
    places = [
        (0, Location(0, 0), Size(900, 700)),
        (0, Location(256, 256), Size(256, 256)),
        (0, Location(201, 97), Size(333, 301)),
        (0, Location(-20, -30), Size(100, 90)),
        (0, Location(850, 650), Size(100, 90)),
        (1, Location(0, 0), Size(450, 350)),
        (1, Location(100, 200), Size(211, 99)),
    ]
    slides = [open_slide(path, backend=name) for name in BACKENDS]
    assert [slide.backend for slide in slides] == list(BACKENDS)
    for level, location, size in places:
        reference, *others = [slide.read_region(location, level, size) for slide in slides]
        for other in others:
            np.testing.assert_array_equal(other, reference)
    for slide in slides:
        slide.close()


def test_both_backends_give_the_same_pixels_of_an_ome_tiff(write_ome):
    path = write_ome()
    with open_slide(path) as fast, open_slide(path, backend="tifffile") as plain:
        assert (fast.backend, plain.backend) == ("jpeg-tiff", "tifffile")
        for level in range(3):
            args = Location(40, 60), level, Size(150, 130)
            np.testing.assert_array_equal(fast.read_region(*args), plain.read_region(*args))


def test_backends_agree_on_generic_tiles_without_jpeg(write_svs):
    path = write_svs(compression="zlib")
    with open_slide(path) as one, open_slide(path, backend="tifffile") as other:
        args = Location(31, 17), 0, Size(500, 400)
        np.testing.assert_array_equal(one.read_region(*args), other.read_region(*args))


def test_a_given_array_is_filled_and_returned(write_svs):
    with open_slide(write_svs()) as slide:
        out = np.zeros((300, 280, 3), np.uint8)
        assert slide.read_region(Location(-9, 5), 0, Size(280, 300), out=out) is out
        np.testing.assert_array_equal(out, slide.read_region(Location(-9, 5), 0, Size(280, 300)))
        with pytest.raises(SlideError, match="out is"):
            slide.read_region(Location(0, 0), 0, Size(8, 8), out=out)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outside_the_slide_is_white(write_svs, backend):
    with open_slide(write_svs(), backend=backend) as slide:
        assert (slide.read_region(Location(5000, 5000), 0, Size(40, 30)) == 255).all()
        assert (slide.read_region(Location(-40, -30), 0, Size(40, 30)) == 255).all()
        edge = slide.read_region(Location(890, 0), 0, Size(20, 10))
        assert (edge[:, 10:] == 255).all()
        assert not (edge[:, :10] == 255).all()


def test_a_region_without_pixels_is_empty_and_an_immense_one_is_refused(write_svs):
    with open_slide(write_svs()) as slide:
        assert slide.read_region(Location(0, 0), 0, Size(0, 5)).shape == (5, 0, 3)
        for size in (Size(100_000, 100_000), Size(-1, 5)):
            with pytest.raises(SlideError):
                slide.read_region(Location(0, 0), 0, size)
        for level in (-1, 2):
            with pytest.raises(SlideError, match="no level"):
                slide.read_region(Location(0, 0), level, Size(5, 5))


def test_threads_read_the_same_pixels(write_svs):
    from concurrent.futures import ThreadPoolExecutor

    with open_slide(write_svs()) as slide, ThreadPoolExecutor(4) as pool:
        whole = slide.read_region(Location(0, 0), 0, Size(900, 700))

        def is_same(at: int) -> bool:
            x, y = at % 13 * 50, at % 7 * 70
            rgb = slide.read_region(Location(x, y), 0, Size(200, 200))
            return bool((rgb == whole[y : y + 200, x : x + 200]).all())

        assert all(pool.map(is_same, range(60)))


def test_downsamples_are_whole_where_the_sizes_allow_it():
    assert downsamples_of((Size(4443, 3567), Size(2221, 1783))) == (1.0, 2.0)
    assert downsamples_of((Size(1000, 1000), Size(63, 63))) == (1.0, 16.0)
    ratio = downsamples_of((Size(1000, 1000), Size(700, 700)))[1]
    assert ratio == pytest.approx(1000 / 700)


def test_reading_at_the_slides_own_mpp_changes_nothing(write_svs):
    with open_slide(write_svs()) as slide:
        np.testing.assert_array_equal(
            read_at_mpp(slide, Region(31, 7, 300, 200), 0.25),
            slide.read_region(Location(31, 7), 0, Size(300, 200)),
        )


def test_half_the_resolution_is_the_mean_of_four_pixels(tissue):
    rgb = tissue(120, 160)
    slide = ArraySlide([rgb], Mpp(0.25, 0.25))
    read = read_at_mpp(slide, Region(10, 20, 100, 80), 0.5)
    mean = rgb[20:100, 10:110].reshape(40, 2, 50, 2, 3).mean(axis=(1, 3))
    assert read.shape == (40, 50, 3)
    assert np.abs(read - mean).max() <= 0.51


def test_a_pixel_is_the_mean_over_its_own_square_at_any_ratio(tissue):
    rgb = tissue(200, 200).astype(float)
    slide = ArraySlide([tissue(200, 200)], Mpp(0.2, 0.2))
    step = 0.5 / 0.2
    read = read_at_mpp(slide, Region(0, 0, 200, 200), 0.5)
    cumulated = np.pad(rgb.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))

    def integral(y: float, x: float) -> np.ndarray:
        y0, x0 = min(int(y), 199), min(int(x), 199)
        fy, fx = y - y0, x - x0
        a, b = cumulated[y0, x0], cumulated[y0, x0 + 1]
        c, d = cumulated[y0 + 1, x0], cumulated[y0 + 1, x0 + 1]
        return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy

    for row, column in ((0, 0), (7, 3), (40, 79), (79, 79)):
        y, x = row * step, column * step
        area = (
            integral(y + step, x + step)
            - integral(y, x + step)
            - integral(y + step, x)
            + integral(y, x)
        ) / step**2
        assert np.abs(read[row, column] - area).max() <= 0.6


@pytest.mark.parametrize("corner", [(0, 0), (64, 32), (63, 33), (61, 35), (-8, -6)])
@pytest.mark.parametrize("mpp", [0.5, 0.55, 1.0, 1.3, 2.0])
def test_the_picture_does_not_depend_on_the_level_it_was_read_from(corner, mpp):
    rgb = ramp(800, 800)
    region = Region(*corner, 400, 440)
    one = read_at_mpp(ArraySlide([rgb], Mpp(0.25, 0.25)), region, mpp).astype(int)
    deep = ArraySlide(pyramid(rgb, 4), Mpp(0.25, 0.25))
    other = read_at_mpp(deep, region, mpp).astype(int)
    assert one.shape == other.shape == (round(440 * 0.25 / mpp), round(400 * 0.25 / mpp), 3)
    # A level-0 px of shift would be 0.25 here; rounding in each level adds up to 2.
    inside = (slice(20, -1), slice(20, -1))
    assert np.abs(one[inside] - other[inside]).max() <= 2
    assert deep.n_px_read < 400 * 440 / 1.9


def test_finer_than_level_zero_is_interpolated(tissue):
    slide = ArraySlide([tissue(100, 100)], Mpp(0.5, 0.5))
    read = read_at_mpp(slide, Region(10, 10, 40, 30), 0.25)
    assert read.shape == (60, 80, 3)
    assert np.abs(read[::2, ::2].astype(int) - tissue(100, 100)[10:40, 10:50]).max() < 30


def test_pixels_that_are_not_square_become_square(tissue):
    slide = ArraySlide([tissue(300, 300)], Mpp(0.25, 0.28))
    assert read_at_mpp(slide, Region(0, 0, 200, 100), 0.5).shape == (56, 100, 3)


def test_half_a_pixel_more_is_rounded_up_whatever_its_last_bits(tissue):
    slide = ArraySlide([tissue(2000, 40)], Mpp(0.139, 0.139))
    sizes = {read_at_mpp(slide, Region(0, 0, w, 8), 0.278).shape[1] for w in (1901, 1902)}
    assert sizes == {951}
    assert read_at_mpp(slide, Region(0, 0, 1903, 8), 0.278).shape[1] == 952


def test_reading_needs_a_um_per_px(tissue):
    slide = ArraySlide([tissue(50, 50)], Mpp(0.25, 0.25))
    for mpp in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(MppError):
            read_at_mpp(slide, Region(0, 0, 10, 10), mpp)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    x=st.integers(-50, 300),
    y=st.integers(-50, 300),
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    mpp=st.floats(0.1, 3.0),
    n_levels=st.integers(1, 3),
)
def test_the_shape_follows_from_sizes_alone(x, y, width, height, mpp, n_levels):
    slide = ArraySlide(pyramid(ramp(300, 300), n_levels), Mpp(0.25, 0.25))
    read = read_at_mpp(slide, Region(x, y, width, height), mpp)
    sides = (math.floor(side * 0.25 / mpp + 0.5 + 1e-6) for side in (height, width))
    assert read.shape == (*sides, 3)
    assert read.dtype == np.uint8


@pytest.mark.parametrize("n_levels", [1, 3])
@pytest.mark.parametrize("mpp", [2.0, 3.3, 8.0])
def test_the_overview_shows_the_whole_slide(n_levels, mpp):
    slide = ArraySlide(pyramid(ramp(900, 1000), n_levels), Mpp(0.25, 0.25))
    rgb, downsample = read_overview(slide, mpp=mpp)
    assert downsample == pytest.approx(mpp / 0.25)
    assert rgb.shape[:2] == (int(np.ceil(900 / downsample)), int(np.ceil(1000 / downsample)))
    rows, columns = np.mgrid[0 : rgb.shape[0] - 1, 0 : rgb.shape[1] - 1]
    np.testing.assert_allclose(rgb[:-1, :-1, 0], (columns + 0.5) * downsample / 4 - 0.5, atol=1.6)
    np.testing.assert_allclose(rgb[:-1, :-1, 1], (rows + 0.5) * downsample / 4 - 0.5, atol=1.6)


def test_the_overview_of_one_large_level_is_read_in_blocks(tissue, monkeypatch):
    monkeypatch.setattr("her2path.slides.reading.OVERVIEW_BLOCK", 128)
    rgb = tissue(500, 700)
    slide = ArraySlide([rgb], Mpp(0.25, 0.25))
    overview, downsample = read_overview(slide, mpp=2.5)
    assert downsample == pytest.approx(10)
    mean = rgb.reshape(50, 10, 70, 10, 3).mean(axis=(1, 3))
    assert np.abs(overview - mean).max() <= 0.51


def test_the_overview_stays_below_its_bound(tissue):
    slide = ArraySlide([tissue(500, 700)], Mpp(0.25, 0.25))
    rgb, downsample = read_overview(slide, mpp=0.25, max_px=10_000)
    assert rgb.shape[0] * rgb.shape[1] <= 10_000 * 1.05
    assert downsample == pytest.approx(np.sqrt(500 * 700 / 10_000))


@pytest.mark.parametrize("kept_bytes", [2**26, 3 * 256 * 256 * 3])
def test_tiles_with_a_halo_have_the_pixels_of_openslide(write_svs, monkeypatch, kept_bytes):
    monkeypatch.setattr("her2path.slides.jpeg_tiles.KEPT_BYTES", kept_bytes)
    path = write_svs(size=(1500, 1700), n_levels=1)
    with open_slide(path) as fast, open_slide(path, backend="openslide") as reference:
        tiles = plan_tiles(
            fast.dimensions,
            tile_px=512,
            halo_px=24,
            file_tile=fast.tile_size,
            mask=None,
            mask_downsample=1.0,
        )
        assert len(tiles) == 12
        for tile in tiles + tiles:
            args = tile.frame.location, 0, tile.frame.size
            np.testing.assert_array_equal(fast.read_region(*args), reference.read_region(*args))


@pytest.mark.parametrize("side", [2400, 2401, 2403])
def test_the_overview_has_the_size_it_promises_where_levels_dropped_px(side):
    # A second level of whole px, as writers make it that drop what is left over.
    levels = [
        np.full((side, side, 3), 200, np.uint8),
        np.full((side // 4, side // 4, 3), 200, np.uint8),
    ]
    rgb, downsample = read_overview(ArraySlide(levels, Mpp(0.25, 0.25)), mpp=6.0)
    assert rgb.shape[:2] == (math.ceil(side / downsample),) * 2
