"""Tiles show each pixel of a slide once, where it lies."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_slides import HEIGHT, WIDTH, cell_columns, drawn_slide, record_of, tally_of

from her2path.errors import ResultsError, SlideError
from her2path.geometry import Mpp, Size
from her2path.results.record import SlideRecord
from her2path.results.run_record import describe_input
from her2path.results.scored_slide import open_scored
from her2path.review.tiles import TILE_PX, Pyramid, SlidePool, finder, pyramid_of

sides = st.integers(1, 20_000)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> SlideRecord:
    path = tmp_path_factory.mktemp("tiles") / "slide.png"
    drawn_slide(path)
    return record_of(path, tally_of(cell_columns()))


@pytest.fixture(scope="module")
def pool() -> Iterator[SlidePool]:
    slides = SlidePool(finder(None))
    yield slides
    slides.close()


def decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float64)


def is_like(tile: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether a tile shows what is wanted, but for JPEG: better than moved by a px either way."""
    off = np.abs(tile - wanted).mean()
    moved = [np.roll(wanted, step, axis) for step in (-1, 1) for axis in (0, 1)]
    return off < 8 and all(off < np.abs(tile - other).mean() for other in moved)


def rescanned(record: SlideRecord, **facts: object) -> SlideRecord:
    return replace(record, scan=replace(record.scan, **facts))


@given(sides, sides, st.integers(0, 6))
def test_tiles_cover_the_slide_and_nothing_twice(width: int, height: int, up: int) -> None:
    longest = max(width, height)
    zooms = (max(1, longest - 1) // TILE_PX).bit_length()
    pyramid = Pyramid(Size(width, height), Mpp(0.25, 0.25), zooms)
    zoom = max(0, pyramid.max_zoom - up)
    side = TILE_PX * pyramid.downsample(zoom)
    columns, rows = -(-width // side), -(-height // side)
    regions = [pyramid.region(zoom, c, r) for r in range(rows) for c in range(columns)]
    assert sum(region.size.n_px for region in regions) == width * height
    assert zoom > 0 or len(regions) == 1
    for column, row in ((columns, 0), (0, rows), (-1, 0)):
        with pytest.raises(ResultsError, match="no tile"):
            pyramid.region(zoom, column, row)


def test_the_lowest_zoom_shows_the_whole_slide(record: SlideRecord) -> None:
    pyramid = pyramid_of(record)
    assert pyramid.max_zoom == 2
    assert pyramid.region(0, 0, 0).size == Size(WIDTH, HEIGHT)


def test_a_tile_at_full_zoom_is_the_slide_itself(record: SlideRecord, pool: SlidePool) -> None:
    with Image.open(record.path) as picture:
        whole = np.asarray(picture.convert("RGB"), np.float64)
    tile = decoded(pool.tile(record, 2, 1, 1))
    assert tile.shape == (TILE_PX, TILE_PX, 3)
    assert is_like(tile, whole[512:1024, 512:1024])


def test_beyond_the_slide_a_tile_is_white(record: SlideRecord, pool: SlidePool) -> None:
    tile = decoded(pool.tile(record, 2, 3, 2))
    inside_x, inside_y = WIDTH - 3 * TILE_PX, HEIGHT - 2 * TILE_PX
    assert tile[inside_y + 8 :].min() > 250
    assert tile[:, inside_x + 8 :].min() > 250


@pytest.mark.parametrize("zoom", [0, 1])
def test_a_lower_zoom_is_the_mean_of_what_it_covers(
    record: SlideRecord, pool: SlidePool, zoom: int
) -> None:
    with Image.open(record.path) as picture:
        whole = np.asarray(picture.convert("RGB"), np.float64)
    step = 2 ** (2 - zoom)
    means = whole.reshape(HEIGHT // step, step, WIDTH // step, step, 3).mean((1, 3))
    tile = decoded(pool.tile(record, zoom, 0, 0))
    shown = means[:TILE_PX, :TILE_PX]
    assert is_like(tile[: shown.shape[0], : shown.shape[1]], shown)


def test_pixels_that_are_not_square_keep_their_place(record: SlideRecord) -> None:
    skewed = rescanned(record, mpp_x=0.5, mpp_y=0.6)
    slides = SlidePool(finder(None))
    tile = decoded(slides.tile(skewed, 2, 1, 1))
    slides.close()
    with Image.open(record.path) as picture:
        whole = np.asarray(picture.convert("RGB"), np.float64)
    assert is_like(tile, whole[512:1024, 512:1024])


def test_more_slides_than_stay_open_are_read_all_the_same(record: SlideRecord) -> None:
    slides = SlidePool(finder(None))
    for name in "abcdea":
        assert slides.tile(replace(record, slide_id=name), 0, 0, 0)
    assert len(slides.slides) == 3
    slides.close()
    assert not slides.slides


def test_a_slide_that_was_scored_again_from_another_file_is_shown_from_that(
    record: SlideRecord, tmp_path: Path
) -> None:
    other = tmp_path / "slide.png"
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 30)).save(other)
    known = rescanned(record, sha256_ends=describe_input(other).sha256_ends)
    again = replace(known, path=str(other), created="2031-01-01T00:00:00+00:00")
    slides = SlidePool(finder(None))
    before = decoded(slides.tile(record, 0, 0, 0))
    after = decoded(slides.tile(again, 0, 0, 0))
    slides.close()
    assert before[:150, :200].std() > 5
    assert np.abs(after[:150, :200] - (10, 200, 30)).max() < 8


def test_another_slide_of_the_same_name_is_refused(record: SlideRecord) -> None:
    slides = SlidePool(finder(None))
    with pytest.raises(SlideError, match=r"1600 × 1200 px, the slide that was scored is 1700"):
        slides.tile(rescanned(record, width=1700), 0, 0, 0)
    slides.close()


def test_a_slide_that_was_moved_is_found_in_the_folder_named(
    record: SlideRecord, tmp_path: Path
) -> None:
    gone = replace(record, path=str(tmp_path / "before" / Path(record.path).name))
    with pytest.raises(SlideError, match="--slide-folder"):
        finder(None)(gone)
    assert finder(Path(record.path).parent)(gone) == Path(record.path)


def test_of_files_of_one_name_the_one_that_was_scored_is_taken(
    record: SlideRecord, tmp_path: Path
) -> None:
    name = Path(record.path).name
    known = rescanned(record, sha256_ends=describe_input(Path(record.path)).sha256_ends)
    moved = replace(known, path=f"/elsewhere/b/{name}")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"another")
    find = finder(tmp_path)
    with pytest.raises(SlideError, match="is not the file that was scored"):
        find(moved)
    shutil.copy(record.path, tmp_path / "b" / name)
    assert find(moved) == tmp_path / "b" / name
    shutil.move(tmp_path / "b" / name, tmp_path / name)
    assert find(moved) == tmp_path / name


def test_a_file_that_took_the_place_of_the_one_that_was_scored_is_refused(
    record: SlideRecord,
) -> None:
    other = rescanned(record, sha256_ends="0" * 64)
    with pytest.raises(SlideError, match="is not the file that was scored"):
        open_scored(other)


def test_a_slide_that_may_not_be_read_is_not_called_another_file(
    record: SlideRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = describe_input(Path(record.path)).sha256_ends
    locked = replace(rescanned(record, sha256_ends=known), path=str(tmp_path / "locked.png"))
    shutil.copy(record.path, locked.path)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Of the file; and of its folder, which then does not even tell whether it is there.
    for name in ("open", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            with pytest.raises(SlideError, match=r"locked\.png cannot be read \(Permission denied"):
                finder(None)(locked)


def test_a_place_too_long_to_be_is_none(record: SlideRecord, tmp_path: Path) -> None:
    elsewhere = replace(record, path="/" + "a/" * 2500 + Path(record.path).name)
    shutil.copy(record.path, tmp_path)
    assert finder(tmp_path)(elsewhere) == tmp_path / Path(record.path).name
