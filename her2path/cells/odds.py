"""Odds of what readers say, and how they are moved for a whole slide."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["EVEN", "log_odds", "shifted"]

EVEN = 0.5
# Readers are never surer than this: a map of 8 bits has no finer steps near 0 and 1.
SUREST = 0.0025


def log_odds(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log odds of probabilities (0–1, any shape), bounded by how sure a reader can be."""
    return np.asarray(logit(np.clip(probability.astype(np.float64), SUREST, 1 - SUREST)))


def shifted(probability: NDArray[np.float32], *, at: float) -> NDArray[np.float32]:
    """Shift the odds of all cells, of any shape, so that those of probability `at` become even."""
    if at == EVEN:
        return probability
    return np.asarray(expit(log_odds(probability) - math.log(at / (1 - at))), np.float32)
