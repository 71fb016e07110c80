"""Kernels that are written for speed say what the plain ones say."""

import numpy as np
import pytest

from her2path.cells.classify import median_where
from her2path.cells.line_contrast import N_DIRECTIONS, sum_segments, taps
from her2path.cells.nuclei import shrink
from her2path.cells.sampling import sample_ray, sampled


def sampled_ray(plane, x, y, step_x, step_y, n):
    out = np.empty(n, np.float32)
    sample_ray(plane, x, y, step_x, step_y, out)
    return out


def test_a_slanted_plane_is_read_exactly_between_its_pixels():
    row, col = np.mgrid[0:40, 0:50]
    plane = (3.0 * col - 2.0 * row + 7.0).astype(np.float32)
    s = np.arange(20)
    x, y = 5.3 + 1.7 * s, 30.9 - 1.1 * s
    found = sampled_ray(plane, 5.3, 30.9, 1.7, -1.1, 20)
    np.testing.assert_allclose(found, 3 * x - 2 * y + 7, atol=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
@pytest.mark.parametrize("place", [(20.2, 15.7), (0.4, 0.1), (48.9, 38.6)])
def test_a_ray_says_what_its_samples_say_also_beyond_the_rim(kind, place):
    plane = np.random.default_rng(3).integers(-500, 3000, (40, 50)).astype(kind)
    for step_x, step_y in [(0.5, 0.0), (-0.3, 0.9), (0.0, -1.3), (1.0, 1.0)]:
        found = sampled_ray(plane, *place, step_x, step_y, 12)
        wanted = [sampled(plane, place[0] + s * step_x, place[1] + s * step_y) for s in range(12)]
        np.testing.assert_allclose(found, wanted, atol=2e-2)


def test_a_place_reads_the_same_in_every_part_of_a_plane_that_shows_it():
    plane = np.random.default_rng(11).integers(-500, 3000, (64, 900)).astype(np.int16)
    part = np.ascontiguousarray(plane[:, 600:])
    angles = 2 * np.pi * np.arange(32) / 32
    for x, y in [(612.5, 20.5), (640.25, 31.0), (700.123, 30.7), (896.5, 33.5), (898.9, 62.4)]:
        for dx, dy in zip(np.cos(angles), np.sin(angles), strict=True):
            whole = sampled_ray(plane, x, y, dx, dy, 12)
            np.testing.assert_array_equal(sampled_ray(part, x - 600, y, dx, dy, 12), whole)
            for r in (0.5, 3.0, 7.25):
                there = sampled(plane, x + r * dx, y + r * dy)
                assert sampled(part, x - 600 + r * dx, y + r * dy) == there


@pytest.mark.parametrize("half_taps", [1, 2, 3, 4])
@pytest.mark.parametrize("direction", range(N_DIRECTIONS))
def test_a_segment_is_the_sum_of_its_taps(half_taps, direction):
    plane = np.random.default_rng(5).integers(-512, 3072, (30, 40)).astype(np.int16)
    offsets, size, corner = taps(direction, half_taps), (12, 17), (8, 9)
    sums = np.zeros(size, np.int16)
    sum_segments(plane, offsets, corner, size, sums)
    wanted = sum(
        plane[
            corner[0] + dr : corner[0] + dr + size[0], corner[1] + dc : corner[1] + dc + size[1]
        ].astype(int)
        for dr, dc in offsets
    )
    np.testing.assert_array_equal(sums, wanted)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_blocks_are_averaged_and_what_is_left_over_is_cut_off(factor):
    plane = np.random.default_rng(7).integers(-3000, 3000, (13, 17)).astype(np.int16)
    rows, cols = 13 // factor, 17 // factor
    blocks = plane[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)
    np.testing.assert_allclose(shrink(plane, factor), blocks.mean(axis=(1, 3)), atol=1e-3)


def test_the_median_is_over_marked_entries_alone():
    rng = np.random.default_rng(9)
    values = rng.normal(size=(50, 32)).astype(np.float32)
    mask = rng.random((50, 32)) < rng.random((50, 1))
    mask[0], mask[1] = False, True
    wanted = [np.median(v[m]) if m.any() else 0.0 for v, m in zip(values, mask, strict=True)]
    np.testing.assert_allclose(median_where(values, mask), wanted, atol=1e-6)
