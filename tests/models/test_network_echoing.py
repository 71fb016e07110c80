"""Learning from batches more than once: what is turned, and how often."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from her2path.models.design import STRIDE_PX
from her2path.models.echoing import echoed, turned

S = 2 * STRIDE_PX


def batch_of(value: int) -> dict[str, torch.Tensor]:
    """One picture with a mark in one corner, in all that has rows and columns."""
    batch = {
        "rgb": torch.zeros(1, S, S, 3),
        "planes": torch.zeros(1, 9, S, S),
        "cells": torch.zeros(1, 2, 2, 2),
        "score": torch.tensor([[value, value]]),
    }
    batch["rgb"][0, 0, -1] = batch["planes"][0, :, 0, -1] = batch["cells"][0, :, 0, -1] = 1.0
    return batch


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_labels_turn_with_the_picture(quarters: int, is_mirrored: bool) -> None:
    found = turned(batch_of(3), quarters, is_mirrored=is_mirrored)
    place = torch.nonzero(found["rgb"][0, :, :, 0])[0]
    assert torch.equal(torch.nonzero(found["planes"][0, 8])[0], place)
    assert torch.equal(torch.nonzero(found["cells"][0, 1])[0], (place > 0).long())
    assert found["score"].tolist() == [[3, 3]]


def test_eight_ways_to_turn_are_different() -> None:
    batch = batch_of(0)
    batch["rgb"][0, 1, -1] = 2.0
    ways = {
        tuple(turned(batch, q, is_mirrored=m)["rgb"].flatten().tolist())
        for q in range(4)
        for m in (False, True)
    }
    assert len(ways) == 8


@pytest.mark.parametrize("echoes", [1, 2, 3])
def test_each_batch_comes_once_and_then_recent_ones(echoes: int) -> None:
    batches = [batch_of(k) for k in range(50)]
    found = [int(b["score"][0, 0]) for b in echoed(batches, echoes, np.random.default_rng(1))]
    assert found[::echoes] == list(range(50))
    assert len(found) == 50 * echoes
    for k, value in enumerate(found):
        assert k // echoes - 32 < value <= k // echoes
