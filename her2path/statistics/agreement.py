"""Weighted kappa of an ordered scale, with an interval from resampling patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from her2path.statistics.intervals import Interval

__all__ = ["Agreement", "Weights", "weighted_agreement", "weighted_kappa"]

# Ends of a BCa interval lie in the tails: fewer resamples make them jump between seeds.
N_RESAMPLES = 4999
CHUNK_NUMBERS = 4_000_000
# With fewer patients of several pairs, resampled patients scatter too little, and the fewer they
# are the less; a jackknife over patients holds κ about as often as it says
# (`tests/statistics/test_agreement.py`).
FEW_PATIENTS = 30
# The t quantile of 2 patients (12.7) makes an interval of nearly all that κ can be.
LEAST_PATIENTS = 3
# Of two κ: what is smaller is rounding.
LEAST_SCATTER = 1e-12
# Fisher's z of a κ of −1 is infinite.
MOST_KAPPA = 1 - 1e-9

Weights = Literal["linear", "quadratic"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A weighted kappa; None where it is not defined, such as when all pairs have one score.

    `interval` is None, too, where every pair agrees, which shows no scatter, and where several
    pairs each are of one or two patients.
    """

    kappa: float | None
    interval: Interval | None
    weights: Weights
    method: str


def weighted_kappa(tables: ArrayLike, *, weights: Weights) -> Floats:
    """Return the weighted kappa of each table.

    Parameters
    ----------
    tables : array_like of shape (…, k, k)
        Counts, one scale along both axes.
    weights : {"linear", "quadratic"}
        Disagreement grows with the distance of the scores, or with its square.

    Returns
    -------
    ndarray of shape (…)
        −1 to 1; NaN where all counts lie in one row and column.

    References
    ----------
    Cohen 1968, 10.1037/h0026256.

    Examples
    --------
    >>> float(weighted_kappa([[10, 0], [0, 10]], weights="linear"))
    1.0
    """
    counts = np.asarray(tables, np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"tables are square, got shape {counts.shape}")
    k = counts.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = distance if weights == "linear" else distance * distance
    n = counts.sum(axis=(-2, -1))
    observed = n * (counts * cost).sum(axis=(-2, -1))
    rows, columns = counts.sum(axis=-1), counts.sum(axis=-2)
    expected = np.einsum("...i,ij,...j->...", rows, cost, columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan))


def weighted_agreement(
    before: ArrayLike,
    after: ArrayLike,
    *,
    n_categories: int,
    weights: Weights,
    patients: ArrayLike | None = None,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    confidence: float = 0.95,
) -> Agreement:
    """Estimate a weighted kappa with its interval.

    It is a bias-corrected and accelerated bootstrap interval. Where fewer than 30 patients have
    several pairs it comes from a jackknife over patients.

    Parameters
    ----------
    before, after : array_like of shape (n,), int
        Position on the scale, 0 … `n_categories` − 1.
    n_categories : int
        Length of the scale.
    weights : {"linear", "quadratic"}
    patients : array_like of shape (n,), optional
        Whose pair it is: patients are drawn with all their pairs. Without, pairs are.
    rng : numpy.random.Generator
        Source of randomness.

    References
    ----------
    Efron 1987, 10.1080/01621459.1987.10478410; jackknife: Tukey 1958, 10.1214/aoms/1177706647.
    """
    x, y = np.asarray(before, np.int64), np.asarray(after, np.int64)
    owner = np.arange(x.size) if patients is None else np.asarray(patients)
    if x.ndim != 1 or x.shape != y.shape or x.shape != owner.shape:
        raise ValueError(
            f"give one score before, one after and one patient per pair, got shapes {x.shape}, "
            f"{y.shape}, {owner.shape}"
        )
    if x.size and not 0 <= min(x.min(), y.min()) <= max(x.max(), y.max()) < n_categories:
        raise ValueError(f"scores lie on a scale of {n_categories} steps, from 0")
    _, index = np.unique(owner, return_inverse=True)
    n_patients = int(index.max()) + 1 if x.size else 0
    size = n_categories * n_categories
    of_patient = np.zeros((n_patients, size))
    np.add.at(of_patient, (index, x * n_categories + y), 1)
    # Patients alike are drawn alike: what counts is how many of each kind are drawn.
    kinds, times = np.unique(of_patient, axis=0, return_counts=True)

    def kappas(tables: Floats) -> Floats:
        shape = (*tables.shape[:-1], n_categories, n_categories)
        return weighted_kappa(tables.reshape(shape), weights=weights)

    drawn_units = "pairs" if patients is None else "patients"
    method = f"BCa bootstrap, {n_resamples:,} resamples of {drawn_units}"
    total = times @ kinds if n_patients else np.zeros(size)
    estimate = float(kappas(total))
    if not np.isfinite(estimate):
        why = "all pairs have one score" if x.size else "no pair has a score on both sides"
        return Agreement(None, None, weights, f"not defined: {why}")
    if np.any(kinds.sum(axis=1) > 1) and n_patients < FEW_PATIENTS:
        left_out = kappas(total - kinds)
        interval, method = None, f"jackknife over {n_patients} patients, t on Fisher's z"
        if n_patients < LEAST_PATIENTS:
            method = "no interval: too few patients"
        elif not np.isfinite(left_out).all():
            method = "no interval: without one of the patients κ is not defined"
        elif np.ptp(left_out) < LEAST_SCATTER:
            method = "no interval: no scatter between patients"
        else:
            interval = jackknife(estimate, left_out, times, confidence=confidence)
        return Agreement(estimate, interval, weights, method)
    drawn = []
    left = n_resamples
    while left:
        n = min(left, max(1, CHUNK_NUMBERS // max(len(kinds), size)))
        draws = rng.multinomial(n_patients, times / n_patients, size=n)
        drawn.append(kappas(draws.astype(np.float64) @ kinds))
        left -= n
    resampled = np.concatenate(drawn)
    resampled = resampled[np.isfinite(resampled)]
    if resampled.size == 0 or np.ptp(resampled) == 0:
        return Agreement(estimate, None, weights, "no interval: no scatter between pairs")
    left_out = kappas(total - kinds)
    interval = bca(resampled, estimate, left_out, times, confidence=confidence)
    return Agreement(estimate, interval, weights, method)


def jackknife(
    estimate: float, left_out: Floats, times: NDArray[np.int64], *, confidence: float
) -> Interval:
    """Return the interval of a κ from what leaving out each patient makes of it.

    On the scale of Fisher's z, with a t quantile of one degree of freedom fewer than patients.

    Parameters
    ----------
    estimate : float
        Of all patients, −1 to 1.
    left_out : ndarray of shape (n_kinds,), float64
        Without one patient of each kind.
    times : ndarray of shape (n_kinds,), int64
        How many patients there are of each.
    confidence : float
    """
    n = int(times.sum())
    squares = float(times @ (left_out - np.average(left_out, weights=times)) ** 2)
    error = math.sqrt((n - 1) / n * squares)
    inside = min(max(estimate, -MOST_KAPPA), MOST_KAPPA)
    middle = math.atanh(inside)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * error / (1 - inside**2)
    lower, upper = math.tanh(middle - half), math.tanh(middle + half)
    return Interval(min(lower, estimate), max(upper, estimate))


def bca(
    resampled: Floats,
    estimate: float,
    left_out: Floats,
    times: NDArray[np.int64],
    *,
    confidence: float,
) -> Interval:
    """Return the bias-corrected, accelerated ends; `left_out` stands `times` times each."""
    below = (np.sum(resampled < estimate) + 0.5 * np.sum(resampled == estimate)) / resampled.size
    n = resampled.size
    bias = float(ndtri(np.clip(below, 0.5 / n, 1 - 0.5 / n)))
    is_known = np.isfinite(left_out)
    values, weight = left_out[is_known], times[is_known]
    deviation = np.average(values, weights=weight) - values if values.size else values
    squares = float(weight @ deviation**2)
    skew = float(weight @ deviation**3) / (6 * squares**1.5) if squares > 0 else 0.0
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + float(ndtri(tail))
        ends.append(float(ndtr(bias + z / (1 - skew * z))))
    lower, upper = np.quantile(resampled, ends)
    return Interval(float(lower), float(upper))
