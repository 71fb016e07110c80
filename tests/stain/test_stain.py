import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2hed

from her2path.errors import StainError
from her2path.stain import STEPS_PER_OD, StainMatrix, optical_density, separate
from her2path.stain.bleach import bleached
from her2path.stain.matrix import REFERENCE_DAB, REFERENCE_HEMATOXYLIN, angle_deg
from her2path.stain.od import as_white_point, transmitted

WHITE = (240.0, 238.0, 242.0)


def turned(vector, degrees, seed):
    """Turn a unit vector by an angle towards a random direction."""
    v = np.asarray(vector) / np.linalg.norm(vector)
    other = np.random.default_rng(seed).normal(size=3)
    other -= other @ v * v
    other /= np.linalg.norm(other)
    t = np.radians(degrees)
    return np.clip(np.cos(t) * v + np.sin(t) * other, 0.01, None)


def test_a_tenth_of_the_light_is_an_od_of_one():
    rgb = np.full((1, 1, 3), 24, np.uint8)
    assert optical_density(rgb, (240.0, 240.0, 240.0))[0, 0] == pytest.approx([1, 1, 1])


@given(st.lists(st.integers(1, 255), min_size=3, max_size=3))
def test_od_and_light_are_inverse(values):
    rgb = np.array(values, np.uint8).reshape(1, 1, 3)
    back = transmitted(optical_density(rgb, WHITE), WHITE)
    assert back.ravel() == pytest.approx(values, abs=1e-3)


def test_black_has_a_finite_od():
    od = optical_density(np.zeros((1, 1, 3), np.uint8), WHITE)
    assert np.isfinite(od).all()
    assert (od > 2).all()


@pytest.mark.parametrize("white", [(0, 240, 240), (240, 240, 300), (240, 240)])
def test_an_implausible_white_point_is_refused(white):
    with pytest.raises(StainError, match="implausible"):
        as_white_point(white)


@given(
    h=st.floats(0.0, 1.0),
    d=st.floats(0.0, 1.2),
    away=st.floats(0, 10),
    seed=st.integers(0, 1000),
)
def test_separation_recovers_the_stains_that_made_a_color(h, d, away, seed):
    matrix = StainMatrix(
        turned(REFERENCE_HEMATOXYLIN, away, seed), turned(REFERENCE_DAB, away, seed + 1)
    )
    od = h * matrix.rows[0] + d * matrix.rows[1]
    light = transmitted(od, WHITE)
    rgb = np.rint(light).clip(0, 255).astype(np.uint8).reshape(1, 1, 3)
    hematoxylin, dab = separate(rgb, WHITE, matrix)
    # One gray value at the darkest channel bounds what can be recovered.
    step = 0.5 / (np.log(10) * light.min())
    tolerance = 0.002 + step * np.abs(matrix.unmixing).sum(axis=0)
    assert abs(hematoxylin[0, 0] / STEPS_PER_OD - h) <= tolerance[0]
    assert abs(dab[0, 0] / STEPS_PER_OD - d) <= tolerance[1]


def test_separation_agrees_with_scikit_image_up_to_its_scale():
    rng = np.random.default_rng(1)
    rgb = rng.integers(60, 256, (40, 40, 3)).astype(np.uint8)
    # scikit-image divides by ln(1e-6) and measures against 255; its vectors are H, eosin, DAB.
    residual_free = StainMatrix()
    _, dab = separate(rgb, (255.0, 255.0, 255.0), residual_free)
    theirs = rgb2hed(rgb)[..., 2] * 6
    assert np.corrcoef(dab.ravel(), theirs.ravel())[0, 1] > 0.95


def test_separation_refuses_anything_but_8_bit_rgb():
    with pytest.raises(ValueError, match="uint8 RGB"):
        separate(np.zeros((4, 4), np.uint8), WHITE, StainMatrix())


@given(away=st.floats(0, 20), seed=st.integers(0, 10_000))
def test_the_guard_exceeds_the_gray_ratio_for_any_plausible_vectors(away, seed):
    try:
        matrix = StainMatrix(
            turned(REFERENCE_HEMATOXYLIN, away, seed), turned(REFERENCE_DAB, away / 2, seed + 1)
        )
    except StainError:
        return
    assert matrix.guard > matrix.gray_ratio or matrix.gray_ratio <= 0


def test_the_gray_ratio_of_the_usual_vectors_is_086():
    assert StainMatrix().gray_ratio == pytest.approx(0.86, abs=0.005)


@pytest.mark.parametrize(
    ("hematoxylin", "dab", "words"),
    [
        ((0, 0, 0), REFERENCE_DAB, "finite"),
        ((1, 1, float("nan")), REFERENCE_DAB, "finite"),
        ((0.6, 0.7, -0.4), REFERENCE_DAB, "negative"),
        (REFERENCE_HEMATOXYLIN, (1, 0.2, 0.1), "reference"),
        ((0.5, 0.6, 0.6), (0.42, 0.6, 0.65), "apart"),
        # Gray, and beyond it: no guard is left that a line of DAB would pass.
        (REFERENCE_HEMATOXYLIN, (1, 1, 1), "gray beside"),
        (REFERENCE_HEMATOXYLIN, (0.6, 0.58, 0.56), "gray beside"),
    ],
)
def test_implausible_vectors_are_refused_with_a_reason(hematoxylin, dab, words):
    with pytest.raises(StainError, match=words):
        StainMatrix(hematoxylin, dab)


def test_vectors_are_normalized():
    matrix = StainMatrix((6.51, 7.01, 2.90), REFERENCE_DAB)
    assert np.linalg.norm(matrix.rows, axis=1) == pytest.approx([1, 1, 1])
    assert angle_deg(matrix.hematoxylin, REFERENCE_HEMATOXYLIN) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("matrix", [StainMatrix(), StainMatrix((0.6, 0.7, 0.35), (0.35, 0.6, 0.7))])
def test_bleaching_leaves_what_lies_under_the_brown(matrix):
    hematoxylin = np.linspace(0, 0.5, 40)[:, None, None]
    dab = np.linspace(0, 0.6, 50)[None, :, None]
    vectors = matrix.rows[:2]
    stained, pale = (
        np.rint(transmitted(hematoxylin * vectors[0] + od * vectors[1], WHITE)).astype(np.uint8)
        for od in (dab, np.minimum(dab, 0.03))
    )
    plain = bleached(stained, WHITE, matrix, kept_od=0.03)
    # A step of 8 bits in the dark is several once the brown is gone.
    assert np.abs(plain.astype(int) - pale).max() <= 6
    assert np.abs(plain.astype(int) - pale).mean() < 1
    is_pale = dab[0, :, 0] < 0.02
    np.testing.assert_array_equal(plain[:, is_pale], stained[:, is_pale])
    assert bleached(stained[:0], WHITE, matrix, kept_od=0.03).shape == (0, 50, 3)
