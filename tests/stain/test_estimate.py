"""Stain vectors of several slides: known directions are found, implausible ones are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.stain import StainMatrix
from her2path.stain.estimate import estimate_stains, sample_od
from her2path.stain.matrix import REFERENCE_DAB, REFERENCE_HEMATOXYLIN, angle_deg
from her2path.stain.od import transmitted

WHITE = (240.0, 238.0, 242.0)


def picture(matrix: StainMatrix, *, brown: float, seed: int, noise: float = 1.5) -> np.ndarray:
    """Pixels with hematoxylin everywhere in varied amount, and DAB on a share of them."""
    rng = np.random.default_rng(seed)
    hematoxylin = rng.gamma(2.0, 0.15, 10_000)
    dab = np.where(rng.random(10_000) < brown, rng.gamma(3.0, 0.3, 10_000), 0.0)
    # On a membrane there is little hematoxylin.
    hematoxylin = np.where(dab > 0.1, 0.15 * hematoxylin, hematoxylin)
    od = hematoxylin[:, None] * matrix.rows[0] + dab[:, None] * matrix.rows[1]
    light = transmitted(od, WHITE) + rng.normal(0, noise, od.shape)
    return np.rint(light).clip(0, 255).astype(np.uint8).reshape(100, 100, 3)


def estimate(matrix: StainMatrix, shares: tuple[float, ...], **more: float):
    samples = [
        sample_od(picture(matrix, brown=share, seed=k, **more), WHITE)
        for k, share in enumerate(shares)
    ]
    return estimate_stains(samples, without_dab=[share == 0 for share in shares])


turn = st.floats(-0.1, 0.1)


@settings(deadline=None, max_examples=15)
@given(turned=st.tuples(turn, turn, turn, turn))
def test_the_vectors_of_a_site_are_found(turned):
    a, b, c, d = turned
    matrix = StainMatrix((0.68 + a, 0.62 - b, 0.36 + b), (0.25 + c, 0.53 - d, 0.79 + d))
    found = estimate(matrix, (0.0, 0.1, 0.3, 0.5))
    assert found.is_measured, found.reason
    assert angle_deg(found.matrix.hematoxylin, matrix.hematoxylin) < 1.5
    assert angle_deg(found.matrix.dab, matrix.dab) < 3.0


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.0, 0.3), "2 slides are fewer than 3"),
        ((0.3, 0.3, 0.3), "hematoxylin without DAB"),
        ((0.0, 0.0, 0.0), "pixels show DAB"),
        ((0.0, 0.001, 0.001), "pixels show DAB"),
    ],
)
def test_what_cannot_be_measured_is_the_reference_with_the_reason(shares, words):
    found = estimate(StainMatrix(), shares)
    assert not found.is_measured
    assert words in found.reason
    assert angle_deg(found.matrix.hematoxylin, REFERENCE_HEMATOXYLIN) < 1e-5
    assert angle_deg(found.matrix.dab, REFERENCE_DAB) < 1e-5


def test_another_dye_is_not_taken_for_hematoxylin():
    red = np.tile([0.05, 0.7, 0.3], (5000, 1))
    brown = 0.6 * np.tile(REFERENCE_DAB, (5000, 1))
    found = estimate_stains([red, brown, brown], without_dab=[True, False, False])
    assert not found.is_measured
    assert "from the reference" in found.reason


def test_clipped_and_empty_pixels_are_left_out():
    rgb = np.full((50, 50, 3), 240, np.uint8)
    rgb[:10] = (5, 3, 2)
    rgb[10:20] = (150, 110, 90)
    rgb[20:30] = (255, 120, 100)
    od = sample_od(rgb, WHITE)
    assert len(od) == 500
    assert np.allclose(od, od[0])


def test_samples_are_bounded():
    rgb = np.full((200, 200, 3), 120, np.uint8)
    assert len(sample_od(rgb, WHITE, max_px=1000)) <= 1000
    assert len(sample_od(rgb[:0], WHITE)) == 0
