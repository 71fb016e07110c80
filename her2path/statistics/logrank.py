"""Whether times to an event differ between groups: the log-rank test, in strata too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from her2path.statistics.significance import Significance

__all__ = ["logrank"]

Floats = NDArray[np.float64]
# Of the largest variance: what is smaller than this share is rounding.
LEAST_VARIANCE = 1e-9


def logrank(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, strata: ArrayLike | None = None
) -> Significance | None:
    """Compare the groups by what is observed and expected at each event.

    Parameters
    ----------
    time : array_like of shape (n,)
    event : array_like of shape (n,), bool
        False where observation ended before it.
    group : array_like of shape (n,)
    strata : array_like of shape (n,), optional
        Only within each of them are groups compared.

    Returns
    -------
    Significance or None
        Degrees of freedom are the comparisons that the events allow: a group of which nobody is
        at risk any longer at the first event adds none. None where no event allows any.

    Raises
    ------
    ValueError
        If there is not one event and one group for each time, or a time is NaN.

    References
    ----------
    Mantel 1966 (Cancer Chemother Rep 50:163); k groups: Peto and Peto 1972, 10.2307/2344317.
    """
    times, events = np.asarray(time, np.float64), np.asarray(event, np.bool_)
    names, member = np.unique(np.asarray(group), return_inverse=True)
    kind = np.zeros(len(times), np.int64)
    if strata is not None:
        kind = np.unique(np.asarray(strata), return_inverse=True)[1]
    if not times.shape == events.shape == member.shape == kind.shape:
        raise ValueError(
            "give one event, one group and one stratum for each time, got shapes "
            f"{times.shape}, {events.shape}, {member.shape}, {kind.shape}"
        )
    if np.isnan(times).any():
        raise ValueError("a time is NaN; leave out whose time is unknown")
    excess, variance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    order = np.argsort(kind, kind="stable")
    ends = np.flatnonzero(np.diff(kind[order])) + 1
    for within in np.split(order, ends):
        observed, expected, spread = compared(
            times[within], events[within], member[within], n_groups=len(names)
        )
        excess += observed - expected
        variance += spread
    scale = float(np.diag(variance).max(initial=0.0))
    if scale <= 0:
        return None
    df = int(np.linalg.matrix_rank(variance, tol=LEAST_VARIANCE * scale, hermitian=True))
    inverse = np.linalg.pinv(variance, rcond=LEAST_VARIANCE, hermitian=True)
    statistic = max(float(excess @ inverse @ excess), 0.0)
    words = f"log-rank{'' if strata is None else ', stratified'}"
    return Significance(statistic, df, float(chdtrc(df, statistic)), words)


def compared(
    times: Floats, events: NDArray[np.bool_], member: NDArray[np.int64], *, n_groups: int
) -> tuple[Floats, Floats, Floats]:
    """Return events of each group, those expected of it, and the covariance of their difference.

    Parameters
    ----------
    times : ndarray of shape (n,), float64
        Of one stratum.
    events : ndarray of shape (n,), bool
    member : ndarray of shape (n,), int64
        Group, 0 … `n_groups` − 1.
    n_groups : int
    """
    moments, which = np.unique(times[events], return_inverse=True)
    had = np.zeros((len(moments), n_groups))
    np.add.at(had, (which, member[events]), 1)
    at_risk = np.empty((len(moments), n_groups))
    for group in range(n_groups):
        own = np.sort(times[member == group])
        at_risk[:, group] = len(own) - np.searchsorted(own, moments)
    n, n_events = at_risk.sum(axis=1), had.sum(axis=1)
    share = at_risk / n[:, None]
    expected = n_events @ share
    # The last one at risk has no variance.
    spread = n_events * (n - n_events) / np.maximum(n - 1, 1)
    covariance = np.diag(spread @ share) - (spread[:, None] * share).T @ share
    return had.sum(axis=0), expected, covariance
