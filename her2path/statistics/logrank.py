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

    References
    ----------
    Mantel 1966 (Cancer Chemother Rep 50:163); k groups: Peto and Peto 1972, 10.2307/2344317.
    """
    times, events = np.asarray(time, np.float64), np.asarray(event, np.bool_)
    names, member = np.unique(np.asarray(group), return_inverse=True)
    kind = np.zeros(len(times), np.int64)
    if strata is not None:
        kind = np.unique(np.asarray(strata), return_inverse=True)[1]
    excess, variance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for stratum in np.unique(kind):
        within = kind == stratum
        for moment in np.unique(times[within & events]):
            at_risk = np.bincount(member[within & (times >= moment)], minlength=len(names))
            had = np.bincount(member[within & events & (times == moment)], minlength=len(names))
            share, n, n_events = at_risk / at_risk.sum(), at_risk.sum(), had.sum()
            excess += had - n_events * share
            if n > 1:
                spread = n_events * (n - n_events) / (n - 1)
                variance += spread * (np.diag(share) - np.outer(share, share))
    scale = float(np.diag(variance).max(initial=0.0))
    if scale <= 0:
        return None
    df = int(np.linalg.matrix_rank(variance, tol=LEAST_VARIANCE * scale, hermitian=True))
    inverse = np.linalg.pinv(variance, rcond=LEAST_VARIANCE, hermitian=True)
    statistic = max(float(excess @ inverse @ excess), 0.0)
    words = f"log-rank{'' if strata is None else ', stratified'}"
    return Significance(statistic, df, float(chdtrc(df, statistic)), words)
