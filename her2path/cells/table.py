"""Cells as a struct of arrays: one row per nucleus, in a canonical order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_SECTORS", "OUTLINE_STEP_UM", "CellMeasurements"]

# 32 sectors of 11.25°: at the radius of a tumor cell (7 µm) one sector spans 1.4 µm of membrane,
# about two optical resolution lengths, and the stained ones fit one uint32.
N_SECTORS = 32
# Radii are stored in tenths of a micron: finer than any scanner resolves, up to 25.5 µm in a byte.
OUTLINE_STEP_UM = 0.1


@dataclass(frozen=True, slots=True)
class CellMeasurements:
    """What was measured on n cells, before any cut-off is applied.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Nucleus centre, level-0 px.
    nucleus_area_um2, nucleus_elongation : ndarray of shape (n,), float32
        Area of the nucleus; long over short axis, ≥ 1.
    nucleus_h_od, nucleus_dab_od, nucleus_texture_od : ndarray of shape (n,), float32
        Mean OD of hematoxylin and DAB in the nucleus; spread of hematoxylin OD in it.
    cytoplasm_od : ndarray of shape (n,), float32
        Median DAB OD between nucleus and outline.
    shared_cytoplasm_od : ndarray of shape (n,), float32
        What a line must stand out from: the same, told from the tumor cells around where these
        are known (`with_shared_cytoplasm`).
    cytoplasm_h_od : ndarray of shape (n,), float32
        Median hematoxylin OD between nucleus and outline.
    spacing_um : ndarray of shape (n,), float32
        Mean distance to the nearest neighbours.
    membrane_width_um : ndarray of shape (n,), float32
        Median full width at half height of the line over the sectors with the best lines.
    is_hidden : ndarray of shape (n,), bool
        Nucleus found as a hollow in brown, and hardly bluer than its cytoplasm.
    outline_um : ndarray of shape (n, N_SECTORS), float32
        Radius of the outline in each sector, counted clockwise (y down) from +x.
    line_contrast_od : ndarray of shape (n, N_SECTORS), float32
        Guarded contrast of the membrane line in each sector.
    line_od : ndarray of shape (n, N_SECTORS), float32
        DAB OD on the line in each sector.
    line_height_od : ndarray of shape (n, N_SECTORS), float32
        What the line rises above the higher of its two feet.
    inner_line_od : ndarray of shape (n,), float32
        Guarded contrast of the lines between nucleus and outline, where no membrane is: the mean of
        the clearest quarter of the sectors.
    is_measurable : ndarray of shape (n, N_SECTORS), bool
        Whether the sector lies inside the picture.
    seen_tumor : ndarray of shape (n,), float32
        Probability of invasive tumor by a network; NaN where none was asked.
    seen_tumor_twice : ndarray of shape (n,), float32
        The same where it was shown the tissue beside strong brown a second time, without the
        brown, and the higher probability taken.
    seen_line : ndarray of shape (n, N_SECTORS), uint8
        Probability of a stained membrane by a network, 255 = 1; 0 where none was asked.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    nucleus_area_um2: NDArray[np.float32]
    nucleus_elongation: NDArray[np.float32]
    nucleus_h_od: NDArray[np.float32]
    nucleus_dab_od: NDArray[np.float32]
    nucleus_texture_od: NDArray[np.float32]
    cytoplasm_od: NDArray[np.float32]
    shared_cytoplasm_od: NDArray[np.float32]
    cytoplasm_h_od: NDArray[np.float32]
    spacing_um: NDArray[np.float32]
    membrane_width_um: NDArray[np.float32]
    is_hidden: NDArray[np.bool_]
    outline_um: NDArray[np.float32]
    line_contrast_od: NDArray[np.float32]
    line_od: NDArray[np.float32]
    line_height_od: NDArray[np.float32]
    inner_line_od: NDArray[np.float32]
    is_measurable: NDArray[np.bool_]
    seen_tumor: NDArray[np.float32]
    seen_tumor_twice: NDArray[np.float32]
    seen_line: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.x)

    def select(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> CellMeasurements:
        """Return the rows that `index` (a mask or positions) picks."""
        return CellMeasurements(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence[CellMeasurements]) -> CellMeasurements:
        """Join the cells of several tiles; at least one part is needed."""
        return CellMeasurements(
            *(
                np.concatenate([getattr(part, f.name) for part in parts])
                for f in fields(CellMeasurements)
            )
        )
