"""µm/px of a slide: found in metadata, given by a person, checked before it is used."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from her2path.errors import MppError
from her2path.geometry import Mpp
from her2path.slides.limits import MAX_XML_CHARS
from her2path.slides.slide import Slide

__all__ = [
    "MPP_MAX",
    "MPP_MIN",
    "WithoutDoctype",
    "as_mpp",
    "is_plausible",
    "mpp_of_aperio",
    "mpp_of_imagej",
    "mpp_of_ome",
    "mpp_of_resolution",
    "mpp_or_none",
    "mpp_problem",
    "require_mpp",
]

# 100× with a small-pixel camera reaches 0.05; a 4× objective gives 2.5. Nothing that is scored
# lies outside, and a factor of ten (mm for cm, inch for cm) mostly does.
MPP_MIN = 0.05
MPP_MAX = 2.5
# mpp × objective is near 10 for every scanner (0.25 at 40×); 20× optics with small pixels and
# doublers stay within 3–25. Outside this range one of the two is wrong by about ten.
MPP_TIMES_POWER = (2.0, 40.0)
# Up to 1 % the geometric mean is used; up to 20 % reading resamples to square pixels.
ANISOTROPY_IGNORED = 1.01
ANISOTROPY_MAX = 1.20

UM_PER_UNIT = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "nm": 1e-3,
    "Å": 1e-4,
    "in": 25_400.0,
    "inch": 25_400.0,
}
# TIFF ResolutionUnit: 2 = inch, 3 = centimetre.
UM_PER_TIFF_UNIT = {2: 25_400.0, 3: 10_000.0}


def is_plausible(mpp: Mpp) -> bool:
    """Return whether both sides of a pixel lie in MPP_MIN–MPP_MAX µm."""
    return all(MPP_MIN <= side <= MPP_MAX for side in (mpp.x, mpp.y))


def as_mpp(value: float | Mpp) -> Mpp:
    """Return a µm/px that a person gave as a checked value.

    Raises
    ------
    MppError
        The value is outside MPP_MIN–MPP_MAX, or too different in x and y.
    """
    try:
        mpp = value if isinstance(value, Mpp) else Mpp(float(value), float(value))
    except ValueError as error:
        raise MppError(
            f"--mpp {value}: give a number of µm/px from {MPP_MIN} to {MPP_MAX}."
        ) from error
    problem = mpp_problem(mpp, None)
    if problem:
        raise MppError(f"the given µm/px cannot be used: {problem}")
    return _squared(mpp)


def mpp_problem(mpp: Mpp | None, objective_power: float | None) -> str:
    """Return why a µm/px cannot be used, with its remedy; empty when it can."""
    if mpp is None:
        return "no usable µm/px in the file: give it with --mpp (a 40× scan has about 0.25)."
    if not is_plausible(mpp):
        return (
            f"µm/px of {mpp.x:g} × {mpp.y:g} is outside {MPP_MIN}–{MPP_MAX}: "
            "give the right value with --mpp."
        )
    if mpp.anisotropy > ANISOTROPY_MAX:
        return (
            f"µm/px differs in x and y by more than {ANISOTROPY_MAX - 1:.0%} "
            f"({mpp.x:g} × {mpp.y:g}): give the right value with --mpp."
        )
    if objective_power is not None:
        low, high = MPP_TIMES_POWER
        if not low <= mpp.mean * objective_power <= high:
            return (
                f"µm/px of {mpp.mean:g} cannot belong to a {objective_power:g}× objective "
                "(wrong by about ten?): give the right value with --mpp."
            )
    return ""


def require_mpp(slide: Slide) -> Mpp:
    """Return the µm/px of a slide, fit for measuring.

    A difference of up to 1 % between x and y is ignored (both become the geometric mean);
    up to 20 % is kept, and `read_at_mpp` resamples to square pixels.

    Raises
    ------
    MppError
        It is missing, outside 0.05–2.5, at odds with the objective by about ten, or
        differs in x and y by more than 20 %. The remedy is --mpp.
    """
    # A person who gives µm/px has already overruled the metadata, objective included.
    power = None if slide.mpp_source == "given" else slide.objective_power
    problem = mpp_problem(slide.mpp, power)
    if problem or slide.mpp is None:
        raise MppError(f"{slide.path.name}: {problem}")
    return _squared(slide.mpp)


def _squared(mpp: Mpp) -> Mpp:
    return Mpp(mpp.mean, mpp.mean) if mpp.anisotropy <= ANISOTROPY_IGNORED else mpp


def mpp_or_none(x: object, y: object) -> Mpp | None:
    """Return an Mpp from metadata, None where it is absent or no positive number."""
    try:
        sides = [float(str(side)) for side in (x, y) if side is not None]
    except ValueError:
        return None
    if len(sides) != 2 or not all(math.isfinite(side) and side > 0 for side in sides):
        return None
    return Mpp(*sides)


def mpp_of_aperio(description: str) -> Mpp | None:
    """Return µm/px from an Aperio ImageDescription ("… |MPP = 0.2520|…", or with a comma)."""
    found = re.search(r"\|\s*MPP\s*=\s*([0-9.,eE+-]+)", description[:MAX_XML_CHARS])
    return mpp_or_none(*[found.group(1).replace(",", ".")] * 2) if found else None


def mpp_of_resolution(x_per_unit: float, y_per_unit: float, unit: int) -> Mpp | None:
    """Return µm/px from TIFF resolution tags, None where they cannot be a microscope's.

    Programs fill these tags with 72, 96 or 300 dpi (85–353 µm/px) when they know nothing,
    so an implausible value counts as missing rather than as wrong.
    """
    um = UM_PER_TIFF_UNIT.get(unit)
    if um is None or not (x_per_unit > 0 and y_per_unit > 0):
        return None
    mpp = mpp_or_none(um / x_per_unit, um / y_per_unit)
    return mpp if mpp is not None and is_plausible(mpp) else None


def mpp_of_imagej(x_per_unit: float, y_per_unit: float, unit: str) -> Mpp | None:
    """Return µm/px from ImageJ's resolution tags, counted in the unit of its description."""
    um = UM_PER_UNIT.get(unit.replace("\\u00B5", "µ").strip())
    if um is None or not (x_per_unit > 0 and y_per_unit > 0):
        return None
    mpp = mpp_or_none(um / x_per_unit, um / y_per_unit)
    return mpp if mpp is not None and is_plausible(mpp) else None


class WithoutDoctype(ElementTree.TreeBuilder):
    """Builds a tree, but refuses a document type declaration as outlines do: no entities."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002
        """Refuse the document."""
        raise ElementTree.ParseError("the OME-XML declares a document type")


def mpp_of_ome(xml: str) -> tuple[Mpp | None, float | None]:
    """Return µm/px of the first image and the objective's magnification from OME-XML.

    Both are None where the XML is damaged, too long or declares a document type.

    References
    ----------
    OME-XML schema 2016-06: Pixels/@PhysicalSizeX, default unit µm.
    """
    if len(xml) > MAX_XML_CHARS:
        return None, None
    try:
        root = ElementTree.fromstring(xml, ElementTree.XMLParser(target=WithoutDoctype()))
    except ElementTree.ParseError:
        return None, None
    pixels = root.find(".//{*}Pixels")
    mpp = None
    if pixels is not None:
        sides = []
        for axis in "XY":
            size = mpp_or_none(*[pixels.get(f"PhysicalSize{axis}")] * 2)
            um = UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            sides.append(None if size is None or um is None else size.x * um)
        mpp = mpp_or_none(*sides)
    objectives = root.findall(".//{*}Objective")
    used = root.find(".//{*}ObjectiveSettings")
    # A microscope has several; that of the picture is named.
    named = [o for o in objectives if used is not None and o.get("ID") == used.get("ID")]
    objective = next(iter([*named, *objectives]), None)
    power = None
    if objective is not None:
        nominal = objective.get("NominalMagnification")
        value = mpp_or_none(nominal, nominal)
        power = None if value is None else value.x
    return mpp, power
