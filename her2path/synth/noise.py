"""Randomness as a function of place: the same point gives the same value in any tile."""

from __future__ import annotations

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

__all__ = ["NOISE_SIZE", "noise_tile", "sample", "sampled", "stream"]

# A power of two, so that wrapping is a bit mask; a quarter of a megabyte stays in the cache.
NOISE_SIZE = 256


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of one purpose at one place.

    Parameters
    ----------
    seed : int
        Seed of the scene, ≥ 0.
    *key : int
        Purpose and place, for example (block column, block row, 3); may be negative.
    """
    return np.random.default_rng([seed, *(k & 0xFFFFFFFF for k in key)])


# A scene asks for the same few tiles again and again; nothing writes into them.
@lru_cache(maxsize=32)
def noise_tile(seed: int, purpose: int, *, rolloff: float = 1.0) -> NDArray[np.float32]:
    """Return periodic noise of mean 0 and standard deviation 1.

    Parameters
    ----------
    seed, purpose : int
        What the noise is for.
    rolloff : float
        Standard deviation in samples of the smoothing: the size of a grain.

    Returns
    -------
    ndarray of shape (NOISE_SIZE, NOISE_SIZE), float32
    """
    white = stream(seed, 7001, purpose).standard_normal((NOISE_SIZE, NOISE_SIZE))
    frequency = np.fft.fftfreq(NOISE_SIZE)
    radius2 = frequency[:, None] ** 2 + frequency[None, :] ** 2
    spectrum = np.fft.fft2(white) * np.exp(-2 * (np.pi * rolloff) ** 2 * radius2)
    smooth = np.fft.ifft2(spectrum).real
    smooth -= smooth.mean()
    tile: NDArray[np.float32] = (smooth / smooth.std()).astype(np.float32)
    return tile


@nb.njit(cache=True, inline="always")
def sample(tile: NDArray[np.float32], x: float, y: float) -> float:
    """Return the noise at (x, y), in samples of the tile, bilinear and periodic."""
    # Places may be negative: the shift keeps truncation equal to rounding down.
    x += 1048576.0
    y += 1048576.0
    ix = np.int64(x)
    iy = np.int64(y)
    tx = np.float32(x - ix)
    ty = np.float32(y - iy)
    # From the tile itself: a kernel compiled for another size must not read beyond it.
    mask = tile.shape[0] - 1
    c0 = ix & mask
    r0 = iy & mask
    c1 = (c0 + 1) & mask
    r1 = (r0 + 1) & mask
    top = tile[r0, c0] + tx * (tile[r0, c1] - tile[r0, c0])
    bottom = tile[r1, c0] + tx * (tile[r1, c1] - tile[r1, c0])
    return top + ty * (bottom - top)


def sampled(
    tile: NDArray[np.float32], x: NDArray[np.float64] | float, y: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the noise at many points, as `sample` does for one."""
    xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    values = _sample_many(tile, np.ravel(xs), np.ravel(ys))
    return values.reshape(xs.shape)


@nb.njit(cache=True)
def _sample_many(
    tile: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = sample(tile, x[i], y[i])
    return out
