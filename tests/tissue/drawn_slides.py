"""Slides drawn from optical density, for the tests of the tissue room."""

import cv2
import numpy as np

WHITE = (234.0, 233.0, 241.0)
HEMATOXYLIN = np.array([0.70, 0.58, 0.40])
DAB = np.array([0.269, 0.568, 0.778])
EOSIN = np.array([0.07, 0.99, 0.11])
MPP = 6.0


def disc_mask(shape, row, col, radius):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def texture(shape, rng, sigma=1.0):
    """Positive texture of mean 1, like gaps and nuclei averaged over a few microns."""
    field = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), sigma)
    return np.clip(1.0 + 0.35 * field / field.std(), 0.05, None)


def render(od, white=WHITE, rng=None, noise=0.6):
    """Turn OD (M, N, 3) into an 8-bit picture with camera noise."""
    light = np.array(white) * 10.0 ** -np.asarray(od)
    if rng is not None:
        light = light + rng.normal(0.0, noise, light.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def tissue_od(shape, mask, rng, hematoxylin=0.05, dab=0.0, sigma=1.0):
    stain = hematoxylin * HEMATOXYLIN + dab * DAB
    return (mask * texture(shape, rng, sigma))[..., None] * stain


def core(hematoxylin=0.05, dab=0.0, white=WHITE, seed=0, shape=(220, 220), radius=80):
    """A round core in the middle; returns the picture, its OD and the mask of the core."""
    rng = np.random.default_rng(seed)
    mask = disc_mask(shape, shape[0] // 2, shape[1] // 2, radius)
    od = tissue_od(shape, mask, rng, hematoxylin, dab)
    return render(od, white, rng), od, mask


def nuclei_field(
    nuclear_dab=0.0,
    ring_dab=0.0,
    shape=(500, 500),
    step=26,
    seed=0,
    pale=0.02,
    hematoxylin=HEMATOXYLIN,
    n_red_cells=0,
):
    """A field at 0.5 µm/px: a jittered grid of nuclei (radius 3.5 µm) with or without rings.

    Red cells lie anywhere: discs of 3.3 µm, pale brown, as peroxidase of their own makes them.
    """
    rng = np.random.default_rng(seed)
    nucleus = np.zeros(shape, np.float32)
    ring = np.zeros(shape, np.float32)
    for row in range(step // 2, shape[0], step):
        for col in range(step // 2, shape[1], step):
            r, c = row + rng.integers(-3, 4), col + rng.integers(-3, 4)
            cv2.circle(nucleus, (int(c), int(r)), 7, 1.0, cv2.FILLED)
            cv2.circle(ring, (int(c), int(r)), 12, 1.0, 3)
    nucleus = cv2.GaussianBlur(nucleus, (0, 0), 0.8)
    ring = cv2.GaussianBlur(ring, (0, 0), 0.8)
    h = pale * texture(shape, rng, 3.0) + 0.25 * nucleus
    red = np.zeros(shape, np.float32)
    for row, col in rng.integers(8, min(shape) - 8, (n_red_cells, 2)):
        cv2.circle(red, (int(col), int(row)), 6, 0.22, cv2.FILLED)
    d = nuclear_dab * nucleus + ring_dab * ring + cv2.GaussianBlur(red, (0, 0), 0.8)
    h -= 0.25 * nucleus * (red > 0)
    od = h[..., None] * hematoxylin + d[..., None] * DAB
    return render(od, WHITE, rng, noise=1.0)
