"""Faults of preparation and scanning: what there is of them, and where it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from her2path.synth.noise import stream
from her2path.synth.recipe import SlideRecipe

__all__ = ["ArtefactKind", "Placed", "place_artefacts"]


class ArtefactKind(IntEnum):
    """What spoils the picture."""

    FOLD = 0
    PEN = 1
    BUBBLE = 2
    DUST = 3
    BLUR = 4
    PIGMENT = 5
    DEBRIS = 6
    RED_CELLS = 7
    TEAR = 8
    CRUSH = 9


@dataclass(frozen=True, slots=True)
class Placed:
    """Artefacts of a slide.

    Attributes
    ----------
    kind : ndarray of shape (n,), int64
        As `ArtefactKind`.
    place : ndarray of shape (n, 6), float64
        x, y, half length, half width (µm), direction (radians) and strength.
    edge_od : float
        DAB OD that the edge of the tissue takes up.
    """

    kind: NDArray[np.int64]
    place: NDArray[np.float64]
    edge_od: float


def place_artefacts(recipe: SlideRecipe, *, seed: int) -> Placed:
    """Choose where the artefacts of a recipe lie."""
    rng = stream(seed, 71)
    faults = recipe.artefacts
    area_mm2 = recipe.width_um * recipe.height_um / 1e6
    side = min(recipe.width_um, recipe.height_um)
    counts = {
        ArtefactKind.FOLD: faults.folds,
        ArtefactKind.PEN: faults.pen_marks,
        ArtefactKind.BUBBLE: faults.bubbles,
        ArtefactKind.DUST: faults.dust,
        ArtefactKind.BLUR: faults.blurred_patches,
        ArtefactKind.PIGMENT: round(faults.pigment_per_mm2 * area_mm2),
        ArtefactKind.DEBRIS: round(faults.debris_per_mm2 * area_mm2),
        ArtefactKind.RED_CELLS: round(faults.vessels_per_mm2 * area_mm2),
        ArtefactKind.TEAR: faults.tears,
        ArtefactKind.CRUSH: faults.crushed_patches,
    }
    # Half length and half width of each kind, low and high end, µm.
    sizes = {
        ArtefactKind.FOLD: ((0.15 * side, 0.45 * side), (8.0, 22.0)),
        ArtefactKind.PEN: ((0.2 * side, 0.5 * side), (60.0, 200.0)),
        ArtefactKind.BUBBLE: ((60.0, 220.0), (1.0, 1.0)),
        ArtefactKind.DUST: ((2.0, 14.0), (1.5, 8.0)),
        ArtefactKind.BLUR: ((80.0, 260.0), (80.0, 260.0)),
        ArtefactKind.PIGMENT: ((0.5, 1.6), (0.4, 1.2)),
        ArtefactKind.DEBRIS: ((0.6, 3.0), (0.4, 1.8)),
        ArtefactKind.RED_CELLS: ((14.0, 60.0), (6.0, 14.0)),
        ArtefactKind.TEAR: ((40.0, 0.3 * side), (6.0, 40.0)),
        ArtefactKind.CRUSH: ((40.0, 160.0), (25.0, 70.0)),
    }
    rows: list[NDArray[np.float64]] = []
    for kind, count in counts.items():
        (long_from, long_to), (short_from, short_to) = sizes[kind]
        low = (0.0, 0.0, long_from, short_from, 0.0, 0.5)
        most_long = max(long_from, long_to)
        high = (recipe.width_um, recipe.height_um, most_long, short_to, math.pi, 1.0)
        rows.append(rng.uniform(low, high, (count, 6)))
    return Placed(
        np.repeat([int(kind) for kind in counts], list(counts.values())).astype(np.int64),
        np.concatenate(rows),
        faults.edge_stain_od,
    )
