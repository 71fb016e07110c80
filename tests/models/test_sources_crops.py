"""Crops come from every laboratory and score alike, from tissue, and the same for the same seed."""

import json
import pickle
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from her2path.criteria.label import parse_score
from her2path.errors import ManifestError
from her2path.models.sources import Sample
from her2path.models.sources.crops import MAX_PLACES, Crops, grid_in
from her2path.models.sources.pictures import MASK_VALUES


def picture(path: Path, shape: tuple[int, int], value: int) -> Path:
    cv2.imwrite(str(path), np.full((*shape, 3), value, np.uint8))
    return path


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Eight pictures of one laboratory, one of another."""
    many = [
        Sample(
            path=picture(tmp_path / f"a{k}.png", (80, 80), 100 + k),
            mpp=0.5,
            laboratory="A",
            score=parse_score("0" if k else "3+"),
        )
        for k in range(8)
    ]
    one = picture(tmp_path / "b.png", (40, 200), 50)
    return [*many, Sample(path=one, mpp=0.25, laboratory="B")]


def test_laboratories_and_scores_are_drawn_alike(samples: list[Sample]) -> None:
    crops = Crops(samples, side_px=32)
    rng = np.random.default_rng(0)
    drawn = [crops.draw(rng, n=1, mpp=0.5) for _ in range(300)]
    crops.close()
    by_lab = [sample.laboratory for sample, _ in drawn].count("B") / len(drawn)
    assert by_lab == pytest.approx(0.5, abs=0.09)
    of_a = [str(sample.score) for sample, _ in drawn if sample.laboratory == "A"]
    assert of_a.count("3+") / len(of_a) == pytest.approx(0.5, abs=0.12)
    for sample, (crop,) in drawn:
        assert crop.rgb.shape == (32, 32, 3)
        assert crop.tissue.shape == (32, 32)
        assert crop.score == sample.score


def test_the_same_seed_draws_the_same_also_after_pickling(samples: list[Sample]) -> None:
    crops = Crops(samples, side_px=24)
    first = [crops.draw(np.random.default_rng(k), n=2, mpp=0.4) for k in range(6)]
    again = pickle.loads(pickle.dumps(crops))
    assert not again.open
    for k, (sample, found) in enumerate(first):
        other, same = again.draw(np.random.default_rng(k), n=2, mpp=0.4)
        assert other == sample
        for one, two in zip(found, same, strict=True):
            np.testing.assert_array_equal(one.rgb, two.rgb)
    crops.close()
    again.close()


def test_a_picture_smaller_than_a_crop_lies_in_its_middle(tmp_path: Path) -> None:
    path = picture(tmp_path / "small.png", (20, 20), 10)
    crops = Crops([Sample(path=path, mpp=0.5)], side_px=40)
    _, (crop,) = crops.draw(np.random.default_rng(0), n=1, mpp=0.5)
    crops.close()
    assert (crop.rgb[10:30, 10:30] == 10).all()
    assert (crop.rgb[:10] == 255).all()


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from her2path.models.sources import crops as module

    monkeypatch.setattr(module, "MAX_OPEN", 2)
    crops = Crops(
        [
            Sample(path=picture(tmp_path / f"{k}.png", (40, 40), k), mpp=0.5, laboratory=str(k))
            for k in range(5)
        ],
        side_px=16,
    )
    rng = np.random.default_rng(1)
    for _ in range(20):
        crops.draw(rng, n=1, mpp=0.5)
        assert len(crops.open) <= 2
    crops.close()
    assert not crops.open


def test_crops_are_taken_where_somebody_outlined(tmp_path: Path) -> None:
    path = picture(tmp_path / "field.png", (400, 400), 200)
    ring = [[300, 300], [380, 300], [380, 380], [300, 380], [300, 300]]
    outlines = tmp_path / "field.geojson"
    outlines.write_text(
        json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"classification": {"name": "Tumor", "color": [1, 2, 3]}},
            }
        )
    )
    crops = Crops([Sample(path=path, mpp=0.5, outlines=outlines)], side_px=40)
    rng = np.random.default_rng(2)
    _, found = crops.draw(rng, n=20, mpp=0.5)
    crops.close()
    # A quarter of a crop at the very corner, all of it in the middle.
    shares = [(crop.tissue == MASK_VALUES["tumor"]).mean() for crop in found]
    assert min(shares) > 0.05
    assert np.mean(shares) > 0.5


def test_in_large_pictures_tissue_is_looked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = np.full((1600, 1600, 3), 243, np.uint8)
    texture = cv2.GaussianBlur(rng.normal(0, 60, (600, 600, 3)), (0, 0), 4)
    rgb[900:1500, 900:1500] = np.clip(170 + 6 * texture, 60, 230).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "slide.png"), rgb)
    crops = Crops([Sample(path=tmp_path / "slide.png", mpp=0.5)], side_px=64)
    _, found = crops.draw(rng, n=20, mpp=0.5)
    crops.close()
    on_tissue = [crop.rgb[16:48, 16:48].mean() < 235 for crop in found]
    assert np.mean(on_tissue) > 0.9


def test_crops_do_not_depend_on_those_that_were_drawn_before(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 243, np.uint8)
    texture = np.random.default_rng(0).integers(90, 200, (200, 200, 3), np.uint8)
    rgb[280:480, 280:480] = texture
    cv2.imwrite(str(tmp_path / "picture.png"), rgb)
    sample = Sample(path=tmp_path / "picture.png", mpp=0.5)
    # 256 µm are more than four crops of 0.45 µm/px, and fewer than four of 0.55.
    for mpp, before in ((0.45, 0.55), (0.55, 0.45)):
        fresh, used = Crops([sample], side_px=128), Crops([sample], side_px=128)
        used.draw(np.random.default_rng(5), n=1, mpp=before)
        (_, first), (_, second) = (
            crops.draw(np.random.default_rng(1), n=4, mpp=mpp) for crops in (fresh, used)
        )
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.rgb, two.rgb)
        fresh.close()
        used.close()


def test_without_a_sample_there_is_nothing_to_cut() -> None:
    with pytest.raises(ManifestError, match="no picture"):
        Crops([], side_px=32)


def test_each_outline_is_cut_from_however_small_and_far_from_the_others() -> None:
    rng = np.random.default_rng(0)
    # 150 µm wide on a slide of 40 by 25 mm, 0.5 µm/px; and one that is smaller than a step.
    centres = rng.uniform((1000, 1000), (79_000, 49_000), (6, 2))
    outlines = [shapely.Point(*centre).buffer(150) for centre in centres]
    outlines.append(shapely.Point(100, 100).buffer(3))
    x, y = grid_in(shapely.union_all(outlines), step_x=12.0).T
    assert len(x) <= MAX_PLACES
    counts = [int(shapely.contains_xy(outline, x, y).sum()) for outline in outlines]
    assert min(counts[:-1]) > 100
    assert counts[-1] == 1
    assert sum(counts) == len(x)


def test_a_long_thin_outline_takes_little_memory() -> None:
    thin = shapely.LineString([(0, 0), (90_000, 60_000)]).buffer(20)
    tracemalloc.start()
    places = grid_in(thin, step_x=12.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shapely.contains_xy(thin, *places.T).all()
    assert len(places) >= 1
    assert most < 2**24
