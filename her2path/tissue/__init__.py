"""What is tissue, what spoils it, and whether it is worth scoring."""

from her2path.tissue.artefacts import ArtefactKind, Artefacts
from her2path.tissue.assessment import (
    AssessmentReason,
    TissueAssessment,
    assess_tissue,
)
from her2path.tissue.fields import choose_fields
from her2path.tissue.focus import BLURRED_UM, focus_blur_um
from her2path.tissue.mask import TissueMask, find_tissue
from her2path.tissue.overview import Overview, to_working_scale
from her2path.tissue.pieces import (
    ControlCandidate,
    Piece,
    Pieces,
    find_control_pieces,
    find_pieces,
)
from her2path.tissue.staining_kind import Staining, StainingKind, recognise_staining
from her2path.tissue.white_point import WhitePointEstimate, estimate_white_point

__all__ = [
    "BLURRED_UM",
    "ArtefactKind",
    "Artefacts",
    "AssessmentReason",
    "ControlCandidate",
    "Overview",
    "Piece",
    "Pieces",
    "Staining",
    "StainingKind",
    "TissueAssessment",
    "TissueMask",
    "WhitePointEstimate",
    "assess_tissue",
    "choose_fields",
    "estimate_white_point",
    "find_control_pieces",
    "find_pieces",
    "find_tissue",
    "focus_blur_um",
    "recognise_staining",
    "to_working_scale",
]
