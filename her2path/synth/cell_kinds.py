"""What the cells of a drawn slide are."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CellKind"]


class CellKind(IntEnum):
    """What a cell is."""

    TUMOR = 0
    IN_SITU = 1
    BENIGN = 2
    STROMA = 3
    LYMPHOCYTE = 4
    PLASMA = 5
    ENDOTHELIUM = 6
    CONTROL = 7
    NERVE = 8
    HISTIOCYTE = 9
