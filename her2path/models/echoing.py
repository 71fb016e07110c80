"""Learn from a batch more than once, where making batches is what takes the time.

Source: Choi et al., arXiv 1907.05550 (data echoing).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = ["echoed", "turned"]

# Batches that an echo is chosen from: the same one twice in a row would teach less.
N_RECENT = 32
# Axes of rows and columns of what is turned along with the pictures.
_AXES = {"rgb": (1, 2), "planes": (2, 3), "cells": (2, 3)}


def echoed(
    batches: Iterable[dict[str, Tensor]], echoes: int, rng: np.random.Generator
) -> Iterator[dict[str, Tensor]]:
    """Yield each batch as it comes, each time followed by `echoes` − 1 recent ones, turned."""
    recent: deque[dict[str, Tensor]] = deque(maxlen=N_RECENT)
    for batch in batches:
        yield batch
        recent.append(batch)
        for _ in range(echoes - 1):
            again = recent[int(rng.integers(len(recent)))]
            yield turned(again, int(rng.integers(4)), is_mirrored=bool(rng.random() < 0.5))


def turned(
    batch: dict[str, Tensor], quarters: int, *, is_mirrored: bool = False
) -> dict[str, Tensor]:
    """Return a batch turned by quarters of a circle, mirrored after that; labels go along."""

    def moved(part: Tensor, axes: tuple[int, int]) -> Tensor:
        part = torch.rot90(part, quarters, axes)
        return torch.flip(part, axes[1:]) if is_mirrored else part

    return {
        name: moved(part, _AXES[name]) if name in _AXES else part for name, part in batch.items()
    }
