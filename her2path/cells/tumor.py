"""Which cells are tumor: a stated logistic rule on measurements of a cell and its neighbors.

The rule sees size, shape and hematoxylin of the nucleus, the density of the cytoplasm, and the same
of the neighbors: carcinoma lies in groups of large, roundish nuclei; stroma is thin and elongated;
lymphocytes are small, dark and alike. The membrane is not asked: unstained tumor must count like
stained tumor, else every share would be too high. It cannot tell invasive carcinoma from
carcinoma in situ or from benign epithelium: only a ROI can. Weights are data; another classifier
can take its place by giving the same probability.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial import cKDTree
from scipy.special import expit

from her2path.cells.table import CellMeasurements

__all__ = [
    "FEATURES",
    "TumorClassifier",
    "shipped_classifier",
    "tumor_features",
    "tumor_probability",
]

OWN_FEATURES = (
    "log_area",
    "log_elongation",
    "log_relative_h",
    "relative_texture",
    "relative_cytoplasm_h",
    "log_spacing",
)
# Spread among the neighbors is asked of the first three: nuclei of carcinoma differ, lymphocytes
# do not.
N_SPREAD = 3
FEATURES = (
    *OWN_FEATURES,
    *(f"neighbors_{name}" for name in OWN_FEATURES),
    *(f"spread_{name}" for name in OWN_FEATURES[:N_SPREAD]),
    "n_neighbors",
)
N_NEIGHBORS = 10
NEIGHBORHOOD_UM = 50.0
# Weight of a neighbor falls to 1/e over this distance.
DECAY_UM = 20.0
# Weight of the slide's mean beside the neighbors: keeps lone cells from extreme values.
PRIOR_WEIGHT = 0.3
# Paler than this is no counterstain to compare with.
MIN_TYPICAL_H_OD = 0.05
# Cells looked up at a time: some 40 MB.
CHUNK = 20_000


class TumorClassifier(BaseModel):
    """Weights of the rule, with where they come from.

    Attributes
    ----------
    name, source : str
    features : tuple of str
        Names in the order of the weights.
    mean, scale, weights : tuple of float
        Features are centered and scaled before they are weighed.
    intercept : float
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[Annotated[float, Field(gt=0)], ...]
    weights: tuple[float, ...]
    intercept: float

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the probability of tumor for features of shape (n, n_features)."""
        scaled = (features - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(expit(scaled @ np.array(self.weights) + self.intercept), np.float32)


def shipped_classifier() -> TumorClassifier:
    """Return the classifier that ships with the package."""
    text = resources.files("her2path.cells").joinpath("tumor_classifier.json").read_text("utf-8")
    return TumorClassifier.model_validate_json(text)


def tumor_features(
    cells: CellMeasurements, *, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute what the rule looks at.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        All cells of a slide: hematoxylin is taken relative to their median.
    x_um, y_um : ndarray of shape (n,), float64
        Nucleus centers in µm.

    Returns
    -------
    ndarray of shape (n, len(FEATURES)), float64
    """
    n = len(cells)
    if n == 0:
        return np.empty((0, len(FEATURES)))
    typical_h = max(float(np.median(cells.nucleus_h_od)), MIN_TYPICAL_H_OD)
    nucleus_h = np.maximum(cells.nucleus_h_od, 0.01).astype(np.float64)
    own = np.column_stack(
        [
            np.log(cells.nucleus_area_um2),
            np.log(cells.nucleus_elongation),
            np.log(nucleus_h / typical_h),
            np.minimum(cells.nucleus_texture_od / np.maximum(nucleus_h, 0.02), 2.0),
            np.clip(cells.cytoplasm_h_od / typical_h, -0.5, 2.0),
            np.log1p(cells.spacing_um),
        ]
    ).astype(np.float64)
    places, typical = np.column_stack([x_um, y_um]), own.mean(axis=0)
    tree = cKDTree(places)
    features = np.empty((n, len(FEATURES)))
    features[:, : len(OWN_FEATURES)] = own
    for first in range(0, n, CHUNK):
        some = slice(first, first + CHUNK)
        features[some, len(OWN_FEATURES) :] = neighbor_features(tree, places[some], own, typical)
    return features


def neighbor_features(
    tree: cKDTree,
    places: NDArray[np.float64],
    own: NDArray[np.float64],
    typical: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return mean and spread of the features of the neighbors, and how many these are.

    Parameters
    ----------
    tree : cKDTree
        Of all cells, µm.
    places : ndarray of shape (m, 2), float64
        Cells whose neighbors are asked, µm.
    own : ndarray of shape (n, len(OWN_FEATURES)), float64
        Of all cells.
    typical : ndarray of shape (len(OWN_FEATURES),), float64
        Their mean.
    """
    distance, index = tree.query(places, k=N_NEIGHBORS + 1, distance_upper_bound=NEIGHBORHOOD_UM)
    distance, index = distance[:, 1:], index[:, 1:]
    is_near = np.isfinite(distance)
    weight = np.where(is_near, np.exp(-np.where(is_near, distance, 0.0) / DECAY_UM), 0.0)
    total = weight.sum(axis=1, keepdims=True) + PRIOR_WEIGHT
    around = own[np.where(is_near, index, 0)]
    mean = typical + np.einsum("nk,nkf->nf", weight, around - typical) / total
    deviation = around[:, :, :N_SPREAD] - mean[:, None, :N_SPREAD]
    spread = np.sqrt(np.einsum("nk,nkf->nf", weight, deviation**2) / total)
    return np.column_stack([mean, spread, is_near.sum(axis=1) / N_NEIGHBORS])


def tumor_probability(
    cells: CellMeasurements,
    *,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    classifier: TumorClassifier | None = None,
) -> NDArray[np.float32]:
    """Return how probable it is that each cell is tumor, shape (n,), 0–1.

    See `tumor_features` for the parameters; `classifier` defaults to the shipped one.
    """
    chosen = classifier or shipped_classifier()
    return chosen.probability(tumor_features(cells, x_um=x_um, y_um=y_um))
