"""Cohesive clusters of stained cells: what decides in a gastric biopsy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from her2path.criteria.score import Extent, Intensity

__all__ = [
    "CLUSTER_REACH_UM",
    "Clusters",
    "cluster_labels",
    "cluster_sizes",
    "largest_clusters",
]

# Centers of neighboring carcinoma cells lie 10–20 µm apart: cells of one cluster touch.
CLUSTER_REACH_UM = 20.0


@dataclass(frozen=True, slots=True)
class Clusters:
    """Cells in the largest cohesive cluster at this intensity or stronger.

    From weak upwards a cell counts only when its staining is at least basolateral or lateral.
    """

    largest_faint: int
    largest_weak: int
    largest_moderate: int
    largest_intense: int

    def __post_init__(self) -> None:
        sizes = self.largest_faint, self.largest_weak, self.largest_moderate, self.largest_intense
        if min(sizes) < 0 or list(sizes) != sorted(sizes, reverse=True):
            raise ValueError(
                "clusters at a stronger intensity are parts of those at a weaker one, "
                f"got sizes {sizes} from faint to intense"
            )

    def largest(self, intensity: Intensity) -> int:
        """Cells in the largest cluster at this intensity or stronger."""
        if intensity is Intensity.NONE:
            raise ValueError("clusters are counted among stained cells, faint or stronger")
        sizes = self.largest_faint, self.largest_weak, self.largest_moderate, self.largest_intense
        return sizes[intensity - 1]


def cluster_labels(x_um: ArrayLike, y_um: ArrayLike, *, reach_um: float) -> NDArray[np.int32]:
    """Label groups of cells that touch: linked when their centres lie within `reach_um`.

    Parameters
    ----------
    x_um, y_um : array_like of shape (n,)
        Nucleus centres, µm.
    reach_um : float
        Largest distance between the centres of two neighbours, µm, > 0.

    Returns
    -------
    ndarray of shape (n,), int32
        Group of each cell, from 0.

    Raises
    ------
    ValueError
        If the reach is not positive or the lengths differ.
    """
    if not reach_um > 0:
        raise ValueError(f"reach_um must be positive, got {reach_um}; 20 µm fits carcinoma cells")
    x, y = np.asarray(x_um, np.float64), np.asarray(y_um, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"give one x and one y per cell, got shapes {x.shape} and {y.shape}")
    if x.size == 0:
        return np.zeros(0, np.int32)
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(reach_um, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (x.size, x.size))
    _, labels = connected_components(links, directed=False)
    return np.asarray(labels, np.int32)


def largest_clusters(
    x_um: ArrayLike,
    y_um: ArrayLike,
    *,
    intensity: ArrayLike,
    extent: ArrayLike,
    reach_um: float = CLUSTER_REACH_UM,
) -> Clusters:
    """Find the largest cohesive cluster of tumour cells at each intensity.

    Parameters
    ----------
    x_um, y_um : array_like of shape (n,)
        Nucleus centres of the tumour cells, µm.
    intensity, extent : array_like of shape (n,), int
        `Intensity` and `Extent` of each.
    reach_um : float
        Largest distance between the centres of two neighbours, µm.
    """

    def largest(least: Intensity) -> int:
        sizes = cluster_sizes(
            x_um, y_um, intensity=intensity, extent=extent, least=least, reach_um=reach_um
        )
        return int(sizes.max(initial=0))

    return Clusters(
        largest_faint=largest(Intensity.FAINT),
        largest_weak=largest(Intensity.WEAK),
        largest_moderate=largest(Intensity.MODERATE),
        largest_intense=largest(Intensity.INTENSE),
    )


def cluster_sizes(
    x_um: ArrayLike,
    y_um: ArrayLike,
    *,
    intensity: ArrayLike,
    extent: ArrayLike,
    least: Intensity,
    reach_um: float = CLUSTER_REACH_UM,
) -> NDArray[np.int64]:
    """Return in how large a cluster of this intensity or stronger each cell lies, 0 in none.

    Parameters as for `largest_clusters`, and `least`, the weakest intensity that counts.

    Returns
    -------
    ndarray of shape (n,), int64
    """
    x, y = np.asarray(x_um, np.float64), np.asarray(y_um, np.float64)
    strength = np.asarray(intensity, np.int64)
    is_short = np.asarray(extent, np.int64) < Extent.BASOLATERAL
    strength = np.where(is_short, np.minimum(strength, Intensity.FAINT), strength)
    chosen = strength >= least
    labels = cluster_labels(x[chosen], y[chosen], reach_um=reach_um)
    sizes = np.zeros(len(x), np.int64)
    sizes[chosen] = np.bincount(labels)[labels] if labels.size else 0
    return sizes
