"""What makes the stated probabilities of an ordinal reader neither too sure, too shy nor slanted.

The reader states, for each cut between two scores, the probability of lying above it. To its logits
a number of each cut is added, which mends a reader that scores too low or too high, and all are
divided by one temperature: above 1 it becomes less sure.

References
----------
Guo et al. 2017, On Calibration of Modern Neural Networks (PMLR 70).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

__all__ = ["fit_shifts", "fit_temperature", "ordinal_probabilities"]

LOWEST, HIGHEST = 0.1, 10.0
# Before any picture is seen a shift is expected within about 1.4 logits (one standard deviation).
SHIFT_COST = 0.25
# Of the logarithm of the temperature, and of each shift.
BOUNDS = ((math.log(LOWEST), math.log(HIGHEST)), (-5.0, 5.0))
# A probability nearer to 0 or 1 than this is as good as certain: beyond, doubles lose the logit.
LEAST_PROBABILITY = 1e-12


def ordinal_probabilities(
    logits: ArrayLike, temperature: float = 1.0, shifts: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Return the probability of each score from the logits of lying above each cut.

    Parameters
    ----------
    logits : array_like of shape (n, k − 1)
        Falling from left to right.
    temperature : float
        They are divided by it.
    shifts : sequence of k − 1 float
        Added to them first; empty adds nothing.

    Returns
    -------
    ndarray of shape (n, k), float64
        Rows sum to 1.
    """
    moved = np.asarray(logits, np.float64) + (np.asarray(shifts) if len(shifts) else 0.0)
    # Lying above a cut implies lying above those below it.
    scaled = np.minimum.accumulate(moved, axis=1) / temperature
    n = len(scaled)
    above = np.hstack([np.ones((n, 1)), expit(scaled), np.zeros((n, 1))])
    return np.maximum(above[:, :-1] - above[:, 1:], 0.0)


def fit_shifts(
    logits: ArrayLike, low: ArrayLike, high: ArrayLike | None = None
) -> tuple[float, ...]:
    """Return what to add to the logits of each cut so that no score is favored.

    Found together with a temperature, which is not returned: fit one to the shifted logits. Few
    pictures say little: shifts are drawn to 0 as by a normal prior (`SHIFT_COST`).

    Parameters
    ----------
    logits, low, high
        As for `fit_temperature`.

    Returns
    -------
    tuple of k − 1 float

    Raises
    ------
    ValueError
        As `fit_temperature`.
    """
    given, is_allowed = checked(logits, low, high)

    def loss(values: NDArray[np.float64]) -> float:
        log_temperature, shifts = float(values[0]), values[1:]
        p = ordinal_probabilities(given, math.exp(log_temperature), shifts.tolist())
        return mean_loss(p, is_allowed) + SHIFT_COST * float((shifts**2).sum()) / len(given)

    start = np.zeros(1 + given.shape[1])
    found = minimize(
        loss, start, method="L-BFGS-B", bounds=[BOUNDS[0], *([BOUNDS[1]] * given.shape[1])]
    )
    return tuple(float(v) for v in found.x[1:])


def fit_temperature(logits: ArrayLike, low: ArrayLike, high: ArrayLike | None = None) -> float:
    """Return the temperature under which the known scores are most probable.

    Parameters
    ----------
    logits : array_like of shape (n, k − 1)
        As stated, of pictures that trained nothing.
    low, high : array_like of shape (n,), int
        The lowest and highest score (from 0) that the reference of each allows; `high` is `low`
        where it is not given.

    Returns
    -------
    float
        Between 0.1 and 10.

    Raises
    ------
    ValueError
        Without a picture, or if scores lie outside the scale.
    """
    given, is_allowed = checked(logits, low, high)

    def loss(log_temperature: float) -> float:
        return mean_loss(ordinal_probabilities(given, math.exp(log_temperature)), is_allowed)

    found = minimize_scalar(loss, bounds=BOUNDS[0], method="bounded", options={"xatol": 1e-4})
    return math.exp(float(found.x))


def mean_loss(p: NDArray[np.float64], is_allowed: NDArray[np.bool_]) -> float:
    """Return how surprising the allowed scores are, mean negative log-likelihood."""
    return -float(np.log((p * is_allowed).sum(axis=1) + LEAST_PROBABILITY).mean())


def checked(
    logits: ArrayLike, low: ArrayLike, high: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the logits, and which scores each reference allows, shape (n, k)."""
    given = np.asarray(logits, np.float64)
    first = np.asarray(low, np.int64)
    last = first if high is None else np.asarray(high, np.int64)
    n_scores = given.shape[1] + 1 if given.ndim == 2 else 0
    if len(given) == 0 or first.shape != (len(given),) or last.shape != first.shape:
        raise ValueError(f"give logits (n, k − 1) and n scores, got {given.shape}, {first.shape}")
    if not ((first >= 0) & (first <= last) & (last < n_scores)).all():
        raise ValueError(f"scores run from 0 to {n_scores - 1}")
    is_allowed = (np.arange(n_scores) >= first[:, None]) & (np.arange(n_scores) <= last[:, None])
    return given, is_allowed
