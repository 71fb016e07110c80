"""Cut-offs travel together: one calibration holds every number that turns OD into a class.

A calibration belongs to a laboratory, an assay and a scanner. The package ships one, `generic`,
that belongs to none: results with it say so, and are flagged where that could change the score.
"""

from __future__ import annotations

import math
from importlib import resources
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from her2path.criteria.score import Intensity
from her2path.errors import CalibrationError
from her2path.stain.matrix import REFERENCE_DAB, REFERENCE_HEMATOXYLIN, StainMatrix
from her2path.stain.od import as_white_point

__all__ = [
    "GENERIC_NAME",
    "HIGHEST_OD",
    "Calibration",
    "IntensityCuts",
    "generic_calibration",
    "parse_calibration",
]

GENERIC_NAME = "generic"

Fraction = Annotated[float, Field(ge=0, le=1)]
# Planes of stain hold no line that is higher.
HIGHEST_OD = 4.0
PositiveOd = Annotated[float, Field(gt=0, le=HIGHEST_OD)]
Vector = tuple[float, float, float]


class IntensityCuts(BaseModel):
    """DAB OD of the membrane line from which a cell counts as weak, moderate, intense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weak_od: PositiveOd
    moderate_od: PositiveOd
    intense_od: PositiveOd

    @model_validator(mode="after")
    def check_order(self) -> IntensityCuts:
        """Refuse cuts that do not rise."""
        if not self.weak_od < self.moderate_od < self.intense_od:
            raise ValueError(
                f"intensity cuts must rise: {self.weak_od}, {self.moderate_od}, {self.intense_od}"
            )
        return self

    def grade(self, membrane_od: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
        """Return the class, FAINT to INTENSE, of stained cells with lines of these heights, OD."""
        steps = np.digitize(membrane_od, [self.weak_od, self.moderate_od, self.intense_od])
        return (Intensity.FAINT + steps).astype(np.int8)

    def scaled(self, factor: float) -> IntensityCuts:
        """Return the cuts multiplied by `factor`, which may lead beyond what a line can reach."""
        return IntensityCuts.model_construct(
            weak_od=self.weak_od * factor,
            moderate_od=self.moderate_od * factor,
            intense_od=self.intense_od * factor,
        )


class Calibration(BaseModel):
    """All cut-offs of one laboratory, assay and scanner, with where they come from.

    OD is log10 throughout.

    Attributes
    ----------
    name : str
    source : str
        Where the numbers come from, in words.
    is_site_specific : bool
        Whether they were measured on control slides of the site.
    scanner : str
        Scanner model the calibration belongs to; empty for any.
    is_srgb : bool
        Whether the colors of its controls were brought to sRGB by the scanner's profile.
    network : str or None
        Fingerprint of the network that found the cells of the controls, empty for the rules alone;
        None where nobody says.
    mpp_range : tuple of 2 float
        µm/px for which it was made.
    white_point : tuple of 3 float or None
        Glass of the scanner, used where a slide shows none; None: not known.
    hematoxylin, dab : tuple of 3 float
        Stain vectors (rows) in OD-RGB.
    min_line_contrast_od : float
        Least guarded contrast of a stained sector: the sector-level limit of blank.
    min_arc_frac : float
        Least contiguous share of the outline that makes a cell stained: tells line from speckle.
    complete_frac : float
        Completeness from which a membrane counts as complete, where the rules read alone.
    complete_frac_read : float
        The same where a network reads too and closes gaps of the line: it finds rings closed that
        the rules alone see interrupted, so that more can be asked.
    basolateral_frac : float
        Contiguous share of the outline from which an incomplete membrane counts as basolateral.
    intensity : IntensityCuts
    blank_upper_pct : float
        Upper 95 % bound of the share of cells that look stained on tissue without HER2.
    control_od : tuple of 2 float or None
        Mean membrane OD between which control tissue on the slides of the site lies; None: not
        known. A control outside asks for a person.
    made_from : tuple of str
        Identifiers of the control slides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    source: str
    is_site_specific: bool
    scanner: str = ""
    is_srgb: bool = False
    network: str | None = None
    mpp_range: tuple[float, float]
    white_point: Vector | None = None
    hematoxylin: Vector = REFERENCE_HEMATOXYLIN
    dab: Vector = REFERENCE_DAB
    min_line_contrast_od: PositiveOd
    min_arc_frac: Fraction
    complete_frac: Fraction
    complete_frac_read: Fraction = 0.85
    basolateral_frac: Fraction
    intensity: IntensityCuts
    blank_upper_pct: Annotated[float, Field(ge=0, le=50)]
    control_od: tuple[PositiveOd, PositiveOd] | None = None
    made_from: tuple[str, ...] = ()

    @model_validator(mode="after")
    def check_control(self) -> Calibration:
        """Refuse a range of the control that does not rise."""
        if self.control_od is not None and not self.control_od[0] < self.control_od[1]:
            raise ValueError(f"the range of the control must rise: {self.control_od}")
        return self

    @model_validator(mode="after")
    def check_scan(self) -> Calibration:
        """Refuse glass that is none, and µm/px that do not rise."""
        low, high = self.mpp_range
        if not 0 < low <= high < math.inf:
            raise ValueError(f"the range of µm/px must rise from above 0: {self.mpp_range}")
        if self.white_point is not None:
            as_white_point(list(self.white_point))
        return self

    @property
    def matrix(self) -> StainMatrix:
        """Stain matrix, checked for plausibility."""
        return StainMatrix(self.hematoxylin, self.dab)

    def complete_from(self, *, is_read: bool) -> float:
        """Return the completeness from which a membrane is complete; `is_read`: by a network too.

        See Also
        --------
        her2path.cells.classify.closed_rings
        """
        return self.complete_frac_read if is_read else self.complete_frac

    def is_same_but_for_control(self, other: Calibration) -> bool:
        """Tell whether cells are classed alike by both: the range of the control takes no part."""
        alike = self.model_copy(update={"control_od": other.control_od})
        return alike == other

    def misfit(self, mpp: float, scanner: str, *, is_srgb: bool = False, network: str = "") -> str:
        """Say why this calibration is not one for such a scan; empty when it is.

        Parameters
        ----------
        mpp : float
            µm/px at which cells are measured.
        scanner : str
            As the file names it; empty when it does not.
        is_srgb : bool
            Whether its colors were brought to sRGB.
        network : str
            Fingerprint of the network that finds its cells, empty for the rules alone.
        """
        low, high = self.mpp_range
        if not low <= mpp <= high:
            return (
                f"The calibration {self.name} was made for {low:g} to {high:g} µm/px, this scan is "
                f"measured at {mpp:.3g}: intensities may be off."
            )
        if self.scanner and scanner and self.scanner.casefold() != scanner.casefold():
            return (
                f"The calibration {self.name} was made for the scanner {self.scanner}, this scan "
                f"is from {scanner}: intensities may be off."
            )
        if self.is_site_specific and self.is_srgb != is_srgb:
            made, read = (
                "in sRGB" if converted else "as scanned" for converted in (self.is_srgb, is_srgb)
            )
            return (
                f"The calibration {self.name} was made with colors {made}, this scan is read with "
                f"colors {read} (--icc): intensities may be off."
            )
        if self.network is not None and self.network != network:
            made = "a network" if self.network else "the rules alone"
            read = ("another network" if self.network else "a network") if network else "the rules"
            return (
                f"The calibration {self.name} was made of cells that {made} found, this scan is "
                f"read by {read} (--model): its limit of blank may be off."
            )
        return ""


def parse_calibration(text: str, *, where: str) -> Calibration:
    """Read a calibration from JSON text.

    Parameters
    ----------
    text : str
    where : str
        What the text is, for the error message.

    Raises
    ------
    CalibrationError
        When the text is no calibration; all faults are listed.
    StainError
        When its stain vectors are implausible.
    """
    try:
        calibration = Calibration.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise CalibrationError(
            f"{where} is no calibration: {faults}. Make one with `her2path calibrate`"
        ) from error
    _ = calibration.matrix
    return calibration


def generic_calibration() -> Calibration:
    """Return the calibration that ships with the package and belongs to no site."""
    text = (
        resources.files("her2path.cells").joinpath("calibrations/generic.json").read_text("utf-8")
    )
    return parse_calibration(text, where="the shipped calibration")
