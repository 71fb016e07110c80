import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import SlideError
from her2path.geometry import Region, Size
from her2path.slides import plan_tiles

sides = st.integers(1, 200)


def tiles_of(dimensions, *, mask=None, mask_downsample=1.0, halo_px=0, **given):
    """Plan the tiles of a slide, without halo and mask unless they are given."""
    return plan_tiles(
        dimensions, halo_px=halo_px, mask=mask, mask_downsample=mask_downsample, **given
    )


@given(
    width=sides,
    height=sides,
    tile_px=st.integers(1, 90),
    halo_px=st.integers(0, 20),
    file_tile=st.builds(Size, st.integers(1, 300), st.integers(1, 300)),
    within=st.none()
    | st.builds(Region, st.integers(-50, 150), st.integers(-50, 150), sides, sides),
)
def test_each_point_has_exactly_one_owner(width, height, tile_px, halo_px, file_tile, within):
    tiles = tiles_of(
        Size(width, height), tile_px=tile_px, halo_px=halo_px, file_tile=file_tile, within=within
    )
    owners = np.zeros((height, width), int)
    for tile in tiles:
        assert not tile.core.is_empty
        assert tile.frame == tile.core.expanded(halo_px)
        owners[tile.core.y : tile.core.bottom, tile.core.x : tile.core.right] += 1
    expected = np.zeros_like(owners)
    area = within or Region(0, 0, width, height)
    expected[max(0, area.y) : max(0, area.bottom), max(0, area.x) : max(0, area.right)] = 1
    np.testing.assert_array_equal(owners, expected)
    assert [tile.index for tile in tiles] == list(range(len(tiles)))
    corners = [(tile.core.y, tile.core.x) for tile in tiles]
    assert corners == sorted(corners)


@given(
    mask=st.integers(0, 2**12 - 1).map(
        lambda bits: np.array([bits >> k & 1 for k in range(12)], bool).reshape(3, 4)
    ),
    tile_px=st.integers(5, 40),
)
def test_the_tiles_of_a_mask_cover_its_every_pixel_and_reach_no_farther(mask, tile_px):
    tiles = tiles_of(
        Size(40, 30), tile_px=tile_px, file_tile=Size(1, 1), mask=mask, mask_downsample=10.0
    )
    full = mask.repeat(10, axis=0).repeat(10, axis=1)
    covered = np.zeros_like(full)
    for tile in tiles:
        core = (slice(tile.core.y, tile.core.bottom), slice(tile.core.x, tile.core.right))
        assert full[core].any()
        assert full[core][[0, -1]].any(axis=1).all()
        assert full[core][:, [0, -1]].any(axis=0).all()
        covered[core] = True
    assert not (full & ~covered).any()


def test_cores_follow_the_files_tiles():
    tiles = tiles_of(Size(5000, 3000), tile_px=1000, halo_px=32, file_tile=Size(240, 256))
    assert tiles[0].core == Region(0, 0, 960, 1024)
    assert all(tile.core.x % 240 == 0 and tile.core.y % 256 == 0 for tile in tiles)


def test_long_strips_do_not_make_long_cores():
    tiles = tiles_of(Size(5000, 3000), tile_px=512, file_tile=Size(5000, 8))
    assert tiles[0].core == Region(0, 0, 512, 512)


def test_an_empty_mask_or_area_makes_no_tiles():
    def plan(mask, within):
        return tiles_of(
            Size(100, 100),
            tile_px=10,
            file_tile=Size(10, 10),
            mask=mask,
            mask_downsample=10.0,
            within=within,
        )

    assert plan(np.zeros((10, 10), bool), None) == ()
    assert plan(None, Region(500, 500, 10, 10)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"tile_px": 0},
        {"halo_px": -1},
        {"mask_downsample": 0.0},
        {"file_tile": Size(0, 8)},
        {"dimensions": Size(4_000_000, 4_000_000), "tile_px": 2, "file_tile": Size(1, 1)},
    ],
)
def test_sizes_that_make_no_plan_are_refused(change):
    plan = {
        "dimensions": Size(100, 100),
        "tile_px": 10,
        "halo_px": 0,
        "file_tile": Size(10, 10),
        "mask": None,
        "mask_downsample": 1.0,
    } | change
    with pytest.raises(SlideError):
        plan_tiles(plan.pop("dimensions"), **plan)


def test_tissue_that_fits_in_a_tile_is_one_wherever_it_lies():
    for x, y in [(0, 0), (90, 30), (170, 90)]:
        mask = np.zeros((20, 30), bool)
        mask[y // 10 : y // 10 + 8, x // 10 : x // 10 + 8] = True
        (tile,) = tiles_of(
            Size(300, 200), tile_px=100, file_tile=Size(20, 10), mask=mask, mask_downsample=10.0
        )
        assert tile.core == Region(x, y, 80, 80)
