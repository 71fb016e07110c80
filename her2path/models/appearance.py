"""How training pictures look: random stains, scanners, focus and scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from her2path.models.scenes import FIELD_MPP, NETWORK_MPP
from her2path.synth.laboratory import Laboratory
from her2path.synth.variety import random_laboratory

__all__ = ["Appearance", "appearance_of", "random_appearance"]

# Share of pictures whose nuclei are pale with coarse chromatin.
OPEN_CHROMATIN = 0.35


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a picture looks: stains, scanner and scale.

    Attributes
    ----------
    laboratory : Laboratory
        Stains, optics, camera and compression.
    scale_mpp : float
        µm/px of the picture that the network sees, about 0.5.
    is_coarse : bool
        Whether the scanner's own pixels are the network's, not half their size.
    defocus_um : float
        Standard deviation of blur over the whole picture, on top of the optics.
    illumination : tuple of 2 float
        Change of light from one side of the picture to the other, along x and y.
    nuclear, background : float
        Factors on the hematoxylin of nuclei, and of all between them.
    chromatin : float
        Factor on what stands out of a nucleus's own mean: rim, clumps and nucleoli.
    """

    laboratory: Laboratory
    scale_mpp: float = NETWORK_MPP
    is_coarse: bool = False
    defocus_um: float = 0.0
    illumination: tuple[float, float] = (0.0, 0.0)
    nuclear: float = 1.0
    background: float = 1.0
    chromatin: float = 1.0


def appearance_of(laboratory: Laboratory) -> Appearance:
    """Return how pictures of a laboratory look, scanned in focus."""
    per_px = max(1, round(NETWORK_MPP / laboratory.mpp))
    return Appearance(laboratory, per_px * laboratory.mpp)


def random_appearance(rng: np.random.Generator, laboratories: tuple[Laboratory, ...]) -> Appearance:
    """Return how a picture looks: one of these laboratories, any other, or one beyond all.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all that is random.
    laboratories : tuple of Laboratory
        Those kept for training.
    """
    kind = rng.random()
    laboratory = random_laboratory(rng, mpp=FIELD_MPP)
    if kind < 0.15:
        laboratory = laboratories[rng.integers(len(laboratories))]
    elif kind < 0.5:
        laboratory = widened_laboratory(rng, laboratory)
    nuclear = float(np.exp(rng.normal(0, 0.22)).clip(0.5, 1.7))
    chromatin = 1.0
    if rng.random() < OPEN_CHROMATIN:
        # Nuclei fixed and bleached until they are no darker than cytoplasm: only their rims,
        # clumps and nucleoli show.
        chromatin = float(rng.uniform(1.0, 4.0))
        nuclear *= float(rng.uniform(0.45, 1.0))
    return Appearance(
        laboratory=laboratory,
        scale_mpp=float(np.exp(rng.uniform(np.log(0.40), np.log(0.62)))),
        is_coarse=bool(rng.random() < 0.65),
        defocus_um=float(rng.exponential(0.35)) if rng.random() < 0.25 else 0.0,
        illumination=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
        nuclear=nuclear,
        # Nuclei must not drown in what lies between them.
        background=float(np.exp(rng.normal(0, 0.35)).clip(0.25, 1.25 * nuclear)),
        chromatin=chromatin,
    )


def widened_laboratory(rng: np.random.Generator, laboratory: Laboratory) -> Laboratory:
    """Return a laboratory of colours, tones and sharpness that hardly any scanner gives."""
    glass = rng.uniform(200, 252) + rng.normal(0, 4, 3)
    white_r, white_g, white_b = (float(v) for v in np.clip(glass, 185, 255))
    return replace(
        laboratory,
        hematoxylin=from_box(rng, ((0.45, 0.84), (0.40, 0.79), (0.16, 0.54))),
        dab=from_box(rng, ((0.18, 0.46), (0.42, 0.64), (0.62, 0.88))),
        counterstain=float(np.exp(rng.normal(0, 0.5)).clip(0.2, 3.0)),
        white_point=(white_r, white_g, white_b),
        gamma=float(np.exp(rng.normal(0, 0.16)).clip(0.6, 1.6)),
        sharpen=float(rng.uniform(0, 2.4)),
        saturation=float(rng.uniform(0.55, 1.45)),
        noise=float(min(12.0, rng.exponential(3.0))),
        quality=int(rng.integers(35, 97)),
    )


def from_box(
    rng: np.random.Generator, box: tuple[tuple[float, float], ...]
) -> tuple[float, float, float]:
    """Return a stain vector from anywhere in a box."""
    a, b, c = (float(rng.uniform(low, high)) for low, high in box)
    return a, b, c
