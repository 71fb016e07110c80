"""Slides that are mostly glass: what the scanner left out, light through glass, memory."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.geometry import Region
from her2path.synth import Artefacts, Laboratory, RegionRecipe, SlideRecipe, TissueShape, mix_of
from her2path.synth.layout import tissue_depth
from her2path.synth.optics import expose
from her2path.synth.pyramids import TILE_PX, PyramidWriter, encode_tile, flat_tile
from her2path.synth.scanning import unscanned
from her2path.synth.scene import Scene
from her2path.synth.truth import cells_within

LAB = replace(Laboratory(), mpp=0.5)
MOSTLY_GLASS = SlideRecipe(
    width_um=3000.0,
    height_um=2600.0,
    tissue=TissueShape("core", margin_um=1100.0, scan_margin_um=150.0),
    regions=(RegionRecipe(mix=mix_of(none=0.5, weak_complete=0.5)),),
    artefacts=Artefacts(dust=400, pen_marks=2),
)
SLIDE = Region(0, 0, 6000, 5200)


def left_out(region: Region, recipe: SlideRecipe = MOSTLY_GLASS) -> np.ndarray:
    mask = np.zeros((region.height, region.width), bool)
    for part in unscanned(recipe, region, 0.5, seed=5):
        mask[part.slices_within(region)] = True
    return mask


@settings(max_examples=30, deadline=None)
@given(
    x=st.integers(-200, 5900),
    y=st.integers(-200, 5100),
    width=st.integers(1, 2500),
    height=st.integers(1, 2500),
)
def test_what_is_left_out_does_not_depend_on_the_tiling(x, y, width, height) -> None:
    piece = Region(x, y, width, height).intersection(SLIDE)
    if not piece.is_empty:
        assert np.array_equal(left_out(piece), left_out(SLIDE)[piece.slices_within(SLIDE)])


def test_glass_within_the_margin_of_tissue_is_scanned() -> None:
    yy, xx = np.mgrid[0:5200:16, 0:6000:16] * 0.5
    depth = tissue_depth(xx, yy, MOSTLY_GLASS, seed=5)
    out = left_out(SLIDE)[::16, ::16]
    assert 0.5 < out.mean() < 0.95
    assert depth[out].max() < -100


def test_what_is_left_out_is_glass_without_noise_and_the_rest_is_as_before() -> None:
    region = Region(1900, 1900, 700, 600)
    everything = replace(MOSTLY_GLASS, tissue=replace(MOSTLY_GLASS.tissue, scan_margin_um=0.0))
    out = left_out(region)
    assert 0.1 < out.mean() < 0.9
    rgb, maps = Scene(MOSTLY_GLASS, seed=5).render_with_maps(region, LAB)
    whole, _ = Scene(everything, seed=5).render_with_maps(region, LAB)
    assert (rgb[out] == np.rint(LAB.white_point)).all()
    assert np.array_equal(rgb[~out], whole[~out])
    assert not maps.artefacts[out].any()


def test_cells_are_the_same_whatever_is_scanned() -> None:
    everything = replace(MOSTLY_GLASS, tissue=replace(MOSTLY_GLASS.tissue, scan_margin_um=0.0))
    first, second = (
        cells_within(Scene(recipe, seed=5), SLIDE, 0.5)[0] for recipe in (MOSTLY_GLASS, everything)
    )
    assert len(first) > 100
    assert np.array_equal(first.x, second.x)


def test_light_through_glass_is_that_of_pixels_without_stain() -> None:
    none = np.zeros((90, 70), np.float32)
    # So little stain that its light is exactly that of glass, but the long way is taken.
    trace = np.full_like(none, 1e-20)
    glass, long_way = (
        expose(h, none, none, none, none, LAB, x0=30, y0=-5, mpp=0.5, seed=9) for h in (none, trace)
    )
    assert np.array_equal(glass, long_way)


def test_glass_out_of_focus_is_the_same_beside_stain_and_alone() -> None:
    none = np.zeros((90, 70), np.float32)
    # Weights of defocus that sum to one but for rounding.
    blur_um = np.linspace(0.0, 1.4, none.size, dtype=np.float32).reshape(none.shape)
    trace = np.full_like(none, 1e-20)
    lab = replace(LAB, noise=0.0, read_noise=0.0, shading=0.0, sharpen=0.0)
    # White points at which a value that rounds down by one bit is another number.
    exact = replace(lab, white_point=(236.5, 235.5, 242.5))
    glass, long_way = (
        expose(h, none, none, none, blur_um, exact, x0=30, y0=-5, mpp=0.5, seed=9)
        for h in (none, trace)
    )
    assert np.array_equal(glass, long_way)


@pytest.mark.parametrize(
    ("compression", "quality", "px", "is_big"),
    [
        ("jpeg", 85, 1.6e9, False),
        ("jpeg", 100, 1.6e9, True),
        ("none", 85, 1.6e9, True),
        ("jpeg2000", 100, 1.9e9, True),
        ("jpeg", 85, 2.1e9, True),
    ],
)
def test_a_file_that_may_outgrow_four_gigabytes_is_a_big_tiff(
    compression: str, quality: int, px: float, is_big: bool
) -> None:
    # The noisiest picture takes 2.6 bytes per pixel at quality 100, and its levels a 15th more.
    lab = replace(LAB, compression=compression, quality=quality)
    assert PyramidWriter(int(px) // 40_000, 40_000, lab, "s")._is_big() == is_big


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "none"])
def test_a_flat_tile_is_the_tile_of_that_colour(compression: str) -> None:
    lab = replace(LAB, compression=compression)
    tile = np.full((TILE_PX, TILE_PX, 3), (236, 235, 242), np.uint8)
    assert flat_tile((236, 235, 242), lab) == encode_tile(tile, lab)


# Peak memory of the process alone, in MB, after it drew a slide of 24,000 × 20,000 px.
_DRAW = """
import sys
from pathlib import Path
from her2path.synth.writing import draw_slides
draw_slides(sys.argv[1], sys.argv[2])
# Not ru_maxrss: that remembers the process which started this one.
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak.split()[1]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read as on Linux")
def test_a_slide_of_half_a_gigapixel_is_drawn_in_bounded_memory(tmp_path: Path) -> None:
    recipe = tmp_path / "large.toml"
    recipe.write_text(
        "name = 'large'\nwidth_um = 6000.0\nheight_um = 5000.0\n"
        "[tissue]\nkind = 'core'\nmargin_um = 2200.0\nscan_margin_um = 200.0\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", _DRAW, recipe, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    # The pixels alone would be 1,440 MB, those of the lower levels 100 MB more.
    assert float(done.stdout) < 900
    with openslide.OpenSlide(tmp_path / "out" / "large-1.svs") as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.dimensions == (24_000, 20_000)
        assert slide.level_count == 4
        centre = np.asarray(slide.read_region((11_900, 9_900), 0, (200, 200)).convert("RGB"))
        corner = np.asarray(slide.read_region((100, 100), 0, (200, 200)).convert("RGB"))
    assert centre.std() > 5
    assert np.ptp(corner.reshape(-1, 3), axis=0).max() == 0
