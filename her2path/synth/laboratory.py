"""A laboratory and its scanner: how stain amounts become colour, and how the camera sees it."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2path.synth.recipe import RecipeError, build_value, check_name, check_ranges

__all__ = ["Laboratory", "laboratories", "laboratory_from_table", "load_laboratory"]


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Stains, counterstain strength, optics, camera and compression of one site.

    Attributes
    ----------
    name : str
        Name of the site.
    mpp : float
        µm/px of the scan, 0.1–1.
    hematoxylin, dab : tuple of 3 float
        Stain vectors in OD-RGB; normalised to unit length when used.
    counterstain : float
        Strength of hematoxylin, 1 = usual.
    dab_strength : float
        Factor on every brown, 1 = usual.
    dab_darkening : float
        How much dense DAB darkens red too (scatter), added grey OD per squared OD above 0.6.
    haze_od : float
        Background DAB OD over all tissue.
    white_point : tuple of 3 float
        Glass, 0–255.
    shading : float
        Loss of light from the centre of a camera field to its corner, share.
    gamma : float
        Exponent from light to picture values, 1 = linear.
    blur_um : float
        Standard deviation of the optics' point spread, µm.
    sharpen : float
        Strength of the scanner's unsharp mask, 0 = none.
    sharpen_um : float
        Its radius (standard deviation), µm.
    noise : float
        Shot noise: standard deviation at the white point, 0–255.
    read_noise : float
        Noise of the dark, 0–255.
    saturation : float
        Factor on colour differences made by the colour profile, 1 = none.
    compression : str
        ``jpeg`` or ``jpeg2000`` or ``none``.
    quality : int
        Quality of the JPEG, 30–100.
    """

    name: str = "reference"
    mpp: float = 0.25
    hematoxylin: tuple[float, float, float] = (0.68, 0.64, 0.36)
    dab: tuple[float, float, float] = (0.27, 0.53, 0.80)
    counterstain: float = 1.0
    dab_strength: float = 1.0
    dab_darkening: float = 0.15
    haze_od: float = 0.005
    white_point: tuple[float, float, float] = (236.0, 235.0, 242.0)
    shading: float = 0.01
    gamma: float = 1.0
    blur_um: float = 0.22
    sharpen: float = 1.4
    sharpen_um: float = 0.30
    noise: float = 1.6
    read_noise: float = 0.6
    saturation: float = 1.0
    compression: str = "jpeg"
    quality: int = 85

    def __post_init__(self) -> None:
        check_name(self.name, "name of a laboratory")
        check_ranges(self, f"laboratory {self.name!r}: ", _RANGES)
        for name in ("hematoxylin", "dab", "white_point"):
            values = getattr(self, name)
            if not is_triple(values):
                raise RecipeError(
                    f"laboratory {self.name!r}: {name} = {values}: give three numbers from 0 to "
                    "255, not all 0"
                )
        if self.stain_angle_deg < LEAST_ANGLE_DEG:
            raise RecipeError(
                f"laboratory {self.name!r}: hematoxylin and dab lie {self.stain_angle_deg:.1f}° "
                f"apart: give vectors of two colors, at least {LEAST_ANGLE_DEG:g}° apart"
            )
        if self.compression not in ("jpeg", "jpeg2000", "none"):
            raise RecipeError(
                f"laboratory {self.name!r}: compression {self.compression!r}: "
                "use jpeg, jpeg2000 or none"
            )

    @property
    def stain_angle_deg(self) -> float:
        """Angle between the two stain vectors, degrees."""
        h, d = np.asarray(self.hematoxylin, float), np.asarray(self.dab, float)
        cosine = float(h @ d / (np.linalg.norm(h) * np.linalg.norm(d)))
        return math.degrees(math.acos(min(1.0, cosine)))

    @property
    def stain_matrix(self) -> NDArray[np.float64]:
        """Unit stain vectors as rows: hematoxylin, DAB, residual (their cross product)."""
        h = np.asarray(self.hematoxylin, dtype=np.float64)
        d = np.asarray(self.dab, dtype=np.float64)
        h, d = h / np.linalg.norm(h), d / np.linalg.norm(d)
        residual = np.cross(h, d)
        return np.stack([h, d, residual / np.linalg.norm(residual)])


def is_triple(values: object) -> bool:
    """Whether these are three numbers from 0 to 255 with a length that can be divided by."""
    # Not what is wrong but what is right: a comparison with nan is never true.
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        and all(0 <= v <= 255 for v in values)
        and max(values) >= LEAST_COMPONENT
    )


# A vector whose largest part is smaller is a slip: published ones have length 1.
LEAST_COMPONENT = 0.001
# Stains closer than this cannot be told apart by anyone.
LEAST_ANGLE_DEG = 3.0
_RANGES = (
    ("mpp", 0.1, 1.0),
    ("counterstain", 0.05, 4.0),
    ("dab_strength", 0.2, 3.0),
    ("dab_darkening", 0.0, 2.0),
    ("haze_od", 0.0, 0.3),
    ("shading", 0.0, 0.5),
    ("gamma", 0.4, 2.5),
    ("blur_um", 0.0, 3.0),
    ("sharpen", 0.0, 3.0),
    ("sharpen_um", 0.05, 2.0),
    ("noise", 0.0, 20.0),
    ("read_noise", 0.0, 20.0),
    ("saturation", 0.3, 2.0),
    ("quality", 30, 100),
)


@cache
def laboratories(use: str) -> tuple[Laboratory, ...]:
    """Return the laboratories kept for a use.

    Parameters
    ----------
    use : str
        ``training`` or ``test``: the two sets are drawn from different ranges, and what is
        reported as accuracy comes from the second only.
    """
    if use not in ("training", "test"):
        raise RecipeError(f"laboratories for {use!r}: ask for 'training' or 'test'")
    text = (resources.files("her2path.synth") / "data" / f"{use}.toml").read_text("utf-8")
    return tuple(laboratory_from_table(entry) for entry in tomllib.loads(text)["laboratory"])


def load_laboratory(name: str) -> Laboratory:
    """Return the laboratory of this name from either set, or ``reference``."""
    if name == "reference":
        return Laboratory()
    known = {lab.name: lab for use in ("training", "test") for lab in laboratories(use)}
    if name not in known:
        raise RecipeError(
            f"unknown laboratory {name!r}: use one of {['reference', *sorted(known)]}"
        )
    return known[name]


def laboratory_from_table(table: dict[str, Any], where: str = "laboratory") -> Laboratory:
    """Make a laboratory from a table as TOML gives it.

    Raises
    ------
    RecipeError
        When a key is unknown or a value out of range, named with `where`.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    return build_value(Laboratory, values, where)
