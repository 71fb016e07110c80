"""Counts of groups by categories: association, and association within strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc
from scipy.stats import fisher_exact, random_table
from scipy.stats.contingency import expected_freq

from her2path.statistics.significance import Significance

__all__ = ["association", "stratified_association"]

# Cochran's rule for the chi-squared distribution.
LEAST_EXPECTED = 5.0
N_TABLES = 9999

Floats = NDArray[np.float64]


def without_empty(table: ArrayLike) -> Floats:
    """Return the table without rows and columns of zeros."""
    counts = np.asarray(table, np.float64)
    # NaN is not at least 0 either.
    if counts.ndim != 2 or not np.all(counts >= 0):
        raise ValueError(f"give a table of counts, all at least 0, got shape {counts.shape}")
    return counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]


def association(table: ArrayLike, *, rng: np.random.Generator) -> Significance | None:
    """Test whether categories differ between groups.

    Chi-squared without correction where every expected count is 5 or more, else an exact test:
    Fisher's for two groups and two categories, Freeman and Halton's for more, by random tables.

    Parameters
    ----------
    table : array_like of shape (n_groups, n_categories), int
        Counts.
    rng : numpy.random.Generator
        For random tables.

    Returns
    -------
    Significance or None
        None where there is nothing to compare: one group, or one category.

    References
    ----------
    Freeman and Halton 1951, 10.1093/biomet/38.1-2.141.
    """
    counts = without_empty(table)
    rows, columns = counts.shape
    if min(rows, columns) < 2:
        return None
    expected = expected_freq(counts)
    if expected.min() >= LEAST_EXPECTED:
        value = float(((counts - expected) ** 2 / expected).sum())
        df = (rows - 1) * (columns - 1)
        return Significance(value, df, float(chdtrc(df, value)), "chi-squared")
    whole = counts.astype(np.int64)
    if (rows, columns) == (2, 2):
        p = float(fisher_exact(whole).pvalue)
        return Significance(None, None, min(p, 1.0), "Fisher's exact test")
    p = freeman_halton(whole, rng=rng)
    return Significance(None, None, p, f"Fisher–Freeman–Halton, {N_TABLES:,} random tables")


def freeman_halton(table: NDArray[np.int64], *, rng: np.random.Generator) -> float:
    """Return how often random tables of the same margins are no more probable.

    As `scipy.stats.fisher_exact`, which stumbles over tables of 60,000 and more.
    """
    of_margins = random_table(table.sum(axis=1), table.sum(axis=0))
    drawn = of_margins.rvs(N_TABLES, random_state=rng)
    # Tables alike differ in the last digits of their probabilities.
    n_extreme = int((of_margins.logpmf(drawn) <= of_margins.logpmf(table) + 1e-9).sum())
    return (n_extreme + 1) / (N_TABLES + 1)


def stratified_association(tables: ArrayLike) -> Significance | None:
    """Test by Cochran, Mantel and Haenszel whether categories differ between groups in strata.

    Parameters
    ----------
    tables : array_like of shape (n_strata, n_groups, n_categories), int
        Counts; the test is of general association, without continuity correction.

    Returns
    -------
    Significance or None
        None where no stratum has anything to compare.

    References
    ----------
    Landis, Heyman and Koch 1978, 10.2307/1402373.
    """
    counts = np.asarray(tables, np.float64)
    if counts.ndim != 3 or not np.all(counts >= 0):
        raise ValueError(
            f"give one table of counts, all at least 0, per stratum, got shape {counts.shape}"
        )
    _, rows, columns = counts.shape
    size = max(rows - 1, 0) * max(columns - 1, 0)
    difference, variance = np.zeros(size), np.zeros((size, size))
    for table in counts:
        n = float(table.sum())
        # A stratum of one patient has no variance.
        if n < 2:
            continue
        row, column = table.sum(axis=1) / n, table.sum(axis=0) / n
        difference += (table - n * np.outer(row, column))[:-1, :-1].ravel()
        of_rows = np.diag(row) - np.outer(row, row)
        of_columns = np.diag(column) - np.outer(column, column)
        variance += n * n / (n - 1) * np.kron(of_rows[:-1, :-1], of_columns[:-1, :-1])
    df = int(np.linalg.matrix_rank(variance, hermitian=True)) if size else 0
    if df == 0:
        return None
    value = float(difference @ np.linalg.pinv(variance, hermitian=True) @ difference)
    return Significance(value, df, float(chdtrc(df, value)), "Cochran–Mantel–Haenszel")
