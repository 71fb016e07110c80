"""Stain vectors: which colors hematoxylin and DAB have, and whether that is plausible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from her2path.errors import StainError

__all__ = ["REFERENCE_DAB", "REFERENCE_HEMATOXYLIN", "StainMatrix"]

Vector = tuple[float, float, float]

# Ruifrok & Johnston, Anal Quant Cytol Histol 2001;23:291: the usual pair, the default everywhere.
REFERENCE_HEMATOXYLIN: Vector = (0.651, 0.701, 0.290)
REFERENCE_DAB: Vector = (0.269, 0.568, 0.778)

# Laboratories differ by up to about 20° from the reference in hematoxylin and 15° in DAB; beyond
# 30° the vector is some other dye, or an estimate that has collapsed.
MAX_ANGLE_DEG = 30.0
# Below this angle between the two stains a step of one gray value moves the result by > 0.03 OD.
MIN_SEPARATION_DEG = 15.0
# Gray lies between the two stains, nearer to DAB the higher its ratio (0.2 to 0.9 of known
# laboratories). Beyond this the guard takes away most of a line whose brown is three degrees off;
# where gray is no mixture of the two at all, every line.
MAX_GRAY_RATIO = 5.0


def angle_deg(a: ArrayLike, b: ArrayLike) -> float:
    """Angle between two vectors in degrees, 0–180."""
    u, v = np.asarray(a, float), np.asarray(b, float)
    cosine = float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass(frozen=True, slots=True)
class StainMatrix:
    """Two stain vectors in OD-RGB, of unit length, and the residual at right angles to both.

    Parameters
    ----------
    hematoxylin, dab : tuple of 3 float
        Any positive length; normalized here.

    Raises
    ------
    StainError
        When a vector is not finite, points to negative absorbance, lies more than 30° from the
        reference of its stain, the two lie closer than 15°, or DAB is hardly told from gray.
    """

    hematoxylin: Vector = REFERENCE_HEMATOXYLIN
    dab: Vector = REFERENCE_DAB

    def __post_init__(self) -> None:
        for name, reference in (("hematoxylin", REFERENCE_HEMATOXYLIN), ("dab", REFERENCE_DAB)):
            vector = np.asarray(getattr(self, name), float)
            length = float(np.linalg.norm(vector))
            if vector.shape != (3,) or not np.isfinite(length) or length < 1e-6:
                raise StainError(f"{name} vector {vector.tolist()} needs three finite numbers")
            if vector.min() < -0.05 * length:
                raise StainError(f"{name} vector {vector.tolist()} has negative absorbance")
            away = angle_deg(vector, reference)
            if away > MAX_ANGLE_DEG:
                raise StainError(
                    f"{name} vector {vector.tolist()} lies {away:.0f}° from the reference, more "
                    f"than {MAX_ANGLE_DEG:.0f}°: estimate it again from slides with both stains, "
                    "or leave it out to use the reference"
                )
            object.__setattr__(self, name, tuple(float(v) for v in vector / length))
        if angle_deg(self.hematoxylin, self.dab) < MIN_SEPARATION_DEG:
            raise StainError(
                f"hematoxylin and DAB lie only {angle_deg(self.hematoxylin, self.dab):.0f}° apart "
                "and cannot be told apart: estimate them again from slides that hold both stains"
            )
        if self.gray_ratio > MAX_GRAY_RATIO:
            raise StainError(
                f"DAB vector {list(self.dab)} is gray beside hematoxylin {list(self.hematoxylin)}: "
                "lines of it cannot be told from dust and dark nuclei. Estimate them again from "
                "slides that hold both stains, or leave them out to use the reference"
            )

    @property
    def rows(self) -> NDArray[np.float64]:
        """3×3 matrix, rows are unit stain vectors in the order H, DAB, residual."""
        residual = np.cross(self.hematoxylin, self.dab)
        return np.array([self.hematoxylin, self.dab, residual / np.linalg.norm(residual)])

    @property
    def unmixing(self) -> NDArray[np.float64]:
        """Inverse of `rows`: `od @ unmixing` gives the ODs of H, DAB and residual."""
        return np.asarray(np.linalg.inv(self.rows), np.float64)

    @property
    def gray_ratio(self) -> float:
        """DAB over hematoxylin OD that a neutral gray seems to have.

        A guard D − k·H cancels gray (dust, folds, refractile edges) only for k above this ratio;
        0.86 for the reference pair.
        """
        hematoxylin, dab, _ = np.ones(3) @ self.unmixing
        # Beyond DAB, as seen from hematoxylin, gray seems to have less than none of the latter.
        return float(dab / hematoxylin) if hematoxylin > 1e-9 else float("inf")

    @property
    def guard(self) -> float:
        """Factor k of the guard D − k·H: a quarter above the gray ratio, within 1.0–1.5.

        The range 1.0–1.5 held in trials; the margin covers stain vectors that are a few degrees
        off. Vectors whose gray ratio exceeds 1.5 get the ratio itself plus a tenth.
        """
        return float(max(min(max(1.25 * self.gray_ratio, 1.0), 1.5), 1.1 * self.gray_ratio))

    @property
    def overlap(self) -> float:
        """What one OD of hematoxylin absorbs along the DAB vector; 0.80 for the reference pair."""
        return float(np.dot(self.hematoxylin, self.dab))

    def angles_to_reference_deg(self) -> tuple[float, float]:
        """Angles of hematoxylin and DAB to the reference pair, degrees."""
        return (
            angle_deg(self.hematoxylin, REFERENCE_HEMATOXYLIN),
            angle_deg(self.dab, REFERENCE_DAB),
        )
