"""Tumor beside strong brown, by a reader that knows tumor only where no brown is."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from her2path.cells.measure import MeasureSettings
from her2path.geometry import Region
from her2path.models.inference import NetworkPlanes
from her2path.pipeline.second_look import (
    NEAR_UM,
    STRONG_OD,
    beside_strong_brown,
    tumor_at_second_look,
)
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp
from her2path.stain import STEPS_PER_OD, StainMatrix, separate
from her2path.stain.od import transmitted

SAMPLES = Path(__file__).resolve().parents[2] / "sample_slides"
WHITE = (240.0, 238.0, 242.0)
MEASURE = MeasureSettings(WHITE, StainMatrix())
STRIDE, HALO = 16, 32
NETWORK_MPP = 0.5


@dataclass
class BrownShy:
    """Takes pale tissue for tumor where no brown is within its halo; at 0.25 it averages by two."""

    halo_px: int = HALO
    shown: list[tuple[int, ...]] = field(default_factory=list)
    description: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(mpp=NETWORK_MPP))

    def resampled(self, rgb: np.ndarray, mpp: float) -> tuple[np.ndarray, float]:
        step = round(NETWORK_MPP / mpp)
        size = rgb.shape[1] // step, rgb.shape[0] // step
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), float(step)

    def read(self, rgb: np.ndarray, mpp: float) -> NetworkPlanes:
        small, step = self.resampled(rgb, mpp)
        self.shown.append(small.shape)
        hematoxylin, dab = (plane / STEPS_PER_OD for plane in separate(small, WHITE, StainMatrix()))
        side = 2 * self.halo_px + 1
        is_brown = cv2.dilate((dab > 0.15).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        tumor = np.where(is_brown, 10, 200).astype(np.uint8)
        tumor[hematoxylin > 0.5] = 0
        empty, grid = np.zeros_like(tumor), (tumor.shape[0] // STRIDE, tumor.shape[1] // STRIDE)
        return NetworkPlanes(
            nucleus=empty,
            centre=empty,
            membrane=empty,
            tumor=tumor,
            outside=empty,
            weight=np.zeros(grid, np.float32),
            features=np.zeros((*grid, 4), np.float32),
            mpp=mpp * step,
            downsample=step,
            stride=STRIDE,
        )


def picture(side: int = 960, *, brown: float = 0.0, dot: float = 0.0) -> np.ndarray:
    """Return pale tissue at 0.25 µm/px: lymphocytes, a brown block upper left, a dot elsewhere."""
    hematoxylin, dab = np.full((side, side), 0.08), np.full((side, side), 0.01)
    hematoxylin[40:60, :] = 0.8
    dab[120:240, 120:240] = brown
    dab[800:808, 800:808] = dot
    vectors = StainMatrix().rows[:2]
    od = hematoxylin[..., None] * vectors[0] + dab[..., None] * vectors[1]
    return np.rint(transmitted(od, WHITE)).clip(0, 255).astype(np.uint8)


def looked_twice(reader: BrownShy, rgb: np.ndarray) -> np.ndarray | None:
    return tumor_at_second_look(reader, rgb, BrownShy().read(rgb, 0.25), MEASURE, 0.25)


def test_without_strong_brown_there_is_one_look():
    reader = BrownShy()
    assert looked_twice(reader, picture(dot=1.0)) is None
    assert not reader.shown


def test_beside_strong_brown_tumor_is_what_is_seen_without_it():
    reader = BrownShy()
    rgb = picture(brown=0.9, dot=1.0)
    once, twice = BrownShy().read(rgb, 0.25).tumor, looked_twice(reader, rgb)
    assert once[90, 90] == 10
    assert twice[90, 90] == 200
    # Other cells stay what they are, and what lies far from strong brown is looked at once.
    assert twice[25, 90] == 0
    assert twice[402, 402] == once[402, 402] == 10
    assert (twice >= once).all()
    # No more of the picture than it takes.
    ((n_rows, n_cols, _),) = reader.shown
    assert n_rows * n_cols < 0.6 * once.size


@pytest.mark.parametrize("corner", [(64, 96), (128, 32)])
def test_frames_agree_where_they_overlap(corner: tuple[int, int]):
    rgb = picture(brown=0.9)
    x, y = corner
    whole = looked_twice(BrownShy(), rgb)
    part = looked_twice(BrownShy(), np.ascontiguousarray(rgb[y:, x:]))
    margin = round(2 * NEAR_UM / NETWORK_MPP)
    shared = whole[y // 2 :, x // 2 :]
    assert (shared != BrownShy().read(rgb, 0.25).tumor[y // 2 :, x // 2 :]).any()
    np.testing.assert_array_equal(shared[margin:, margin:], part[margin:, margin:])


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("s1plus", 0, 0), ("s2plus_complete", 0.3, 0.7), ("s3plus", 0.95, 1)],
)
def test_how_much_of_the_sample_slides_has_strong_brown(name: str, least: float, most: float):
    with open_slide(SAMPLES / f"{name}.svs") as slide:
        width, height = slide.dimensions.width, slide.dimensions.height
        rgb = read_at_mpp(slide, Region(0, 0, width, height), NETWORK_MPP)
    white = tuple(np.percentile(rgb.reshape(-1, 3), 97, axis=0).tolist())
    is_strong = beside_strong_brown(rgb, MeasureSettings(white, StainMatrix()), NETWORK_MPP)
    reach = round(NEAR_UM / NETWORK_MPP)
    is_tissue = cv2.blur((rgb.min(axis=2) < 0.9 * min(white)).astype(np.float32), (2 * reach,) * 2)
    assert least <= is_strong[is_tissue > 0.5].mean() <= most


def test_strong_brown_is_a_mean_over_what_lies_near():
    side, reach = 400, round(NEAR_UM / 0.5)
    od = np.zeros((side, side, 1)) + 0.9 * np.eye(side)[200][None, :, None]
    rgb = np.rint(transmitted(od * np.array(StainMatrix().dab), WHITE)).astype(np.uint8)
    # One line of 0.9 in a square of 101: 0.009. Fifteen times as wide it is enough.
    assert not beside_strong_brown(rgb, MEASURE, 0.5).any()
    rgb[:, 200:215] = rgb[:, 200:201]
    found = beside_strong_brown(rgb, MEASURE, 0.5)
    _, dab = separate(rgb[:1, 200:201], WHITE, StainMatrix())
    n_lines = int(np.ceil(STRONG_OD * STEPS_PER_OD * (2 * reach + 1) / dab.item()))
    # From where the square has taken in so many lines to where it still holds as many.
    assert found.any(axis=0).sum() == 2 * (reach + 1 - n_lines) + 15
    assert (found == found[:1]).all()
