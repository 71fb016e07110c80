"""What kind of picture this is: HER2 IHC, or something that must not be scored.

The default is HER2 IHC: a pale blue slide is a negative one, not a wrong one. Each other kind needs
positive evidence, and says which numbers gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.od import WhitePoint, optical_density
from her2path.tissue.nuclear_dab import MAX_NUCLEAR_MPP, NuclearDab, measure_nuclear_dab
from her2path.tissue.overview import channel_max, channel_min, check_rgb

__all__ = ["Staining", "StainingKind", "recognise_staining"]


class Staining(StrEnum):
    """Kinds of picture; the value is the reason code in results."""

    HER2_IHC = "her2_ihc"
    HE = "he"
    FLUORESCENCE = "fluorescence"
    NUCLEAR_DAB = "nuclear_dab"
    GREYSCALE = "greyscale"
    BLANK = "blank"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StainingKind:
    """The kind recognised and why.

    Parameters
    ----------
    kind : Staining
    reason : str
        One sentence for people.
    numbers : dict of str to float
        What was measured: shares 0–1, OD, gray values, counts.
    """

    kind: Staining
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


# Fluorescence and dark field: most of the picture is near black, which stained glass never is.
DARK_VALUE = 40.0
MIN_DARK_FRAC = 0.5
# Stain: mean OD of a pixel smoothed over about 2 µm.
STAINED_OD = 0.02
MIN_STAINED_FRAC = 0.01
# Hue is read where a gray step no longer turns it: OD above this.
HUE_OD = 0.08
# Largest difference of channels in OD, over the mean OD, of a picture without color (0.00–0.02 for
# gray copies, JPEG included; at least 0.2 in the palest real core).
MAX_GREY_CHROMA = 0.06
# Green above the other channels, over the sum: eosin 0.75, DAB −0.13, hematoxylin of the textbook
# 0.03 and of violet ones up to 0.10; median of two real H&E slides 0.19 and 0.27.
PINK = 0.13
# A violet hematoxylin may have as much green (up to 0.20), but absorbs more red than blue: red
# above blue, over the sum, 0.11 and more. Eosin has −0.03 there, 0.05 in purple nuclei under it;
# so between these cuts pink is what has little red.
SURELY_PINK = 0.25
MAX_PINK_RED = 0.05
# Two real H&E slides 0.76 and 1.00; violet hematoxylin over pinkish stroma up to 0.08.
MIN_PINK_FRAC = 0.45
# Green below both others: green or cyan dyes.
GREEN = -0.06
CHANNEL_MEAN = np.full(3, 1 / 3, np.float32)
MIN_GREEN_FRAC = 0.5


def recognise_staining(
    fields: Sequence[NDArray[np.uint8]], mpp: float, *, white_point: WhitePoint
) -> StainingKind:
    """Recognise what kind of staining a slide has.

    Parameters
    ----------
    fields : sequence of ndarray of shape (M, N, 3), uint8
        Some fields on tissue at 0.25–1 µm/px (coarser works, but nuclear DAB is not recognised).
    mpp : float
        µm per pixel of all fields.
    white_point : tuple of 3 float

    Returns
    -------
    StainingKind

    Raises
    ------
    ValueError
        No field, or a wrong type or shape.
    """
    if not fields:
        raise ValueError("no field was given: pass at least one picture of tissue")
    for rgb in fields:
        check_rgb(rgb, mpp)
    numbers = {"n_fields": float(len(fields))}
    dark_frac = mean_over(fields, lambda rgb: channel_max(rgb) < DARK_VALUE)
    numbers["dark_frac"] = dark_frac
    if dark_frac > MIN_DARK_FRAC:
        return StainingKind(
            Staining.FLUORESCENCE,
            f"{dark_frac:.0%} of the picture is near black: fluorescence, dark field or an "
            "inverted picture, not transmitted light",
            numbers,
        )
    ods = [field_od(rgb, mpp, white_point) for rgb in fields]
    n_px = sum(od.shape[0] * od.shape[1] for od in ods)
    stained = [od[smooth_mean(od, mpp) > STAINED_OD] for od in ods]
    pixels = np.concatenate(stained)
    numbers["stained_frac"] = len(pixels) / n_px
    if numbers["stained_frac"] < MIN_STAINED_FRAC:
        return StainingKind(
            Staining.BLANK,
            f"only {numbers['stained_frac']:.1%} of the fields absorbs light: no tissue",
            numbers,
        )
    mean = pixels @ CHANNEL_MEAN
    hued = pixels[mean > HUE_OD]
    if len(hued) < MIN_STAINED_FRAC * n_px / 4:
        # Too pale for a hue: nothing speaks against a negative slide.
        hued = pixels[mean > STAINED_OD]
    weights = hued @ (3 * CHANNEL_MEAN)
    numbers["mean_od"] = float(mean.mean())
    hues = measure_hues(hued, weights)
    numbers.update(hues)
    if hues["chroma"] < MAX_GREY_CHROMA:
        return StainingKind(
            Staining.GREYSCALE,
            "the picture has no color: DAB and hematoxylin cannot be told apart",
            numbers,
        )
    if hues["pink_frac"] > MIN_PINK_FRAC:
        return StainingKind(
            Staining.HE,
            f"{hues['pink_frac']:.0%} of the stain is pink or red: eosin (H&E) or a red chromogen, "
            "not DAB",
            numbers,
        )
    if hues["green_frac"] > MIN_GREEN_FRAC:
        return StainingKind(
            Staining.UNKNOWN,
            f"{hues['green_frac']:.0%} of the stain is green or cyan: neither hematoxylin nor DAB",
            numbers,
        )
    if mpp <= MAX_NUCLEAR_MPP:
        nuclear = measure_nuclear_dab(ods, mpp)
        numbers.update(nuclear.numbers())
        if nuclear.is_nuclear:
            return StainingKind(Staining.NUCLEAR_DAB, describe_nuclear(nuclear), numbers)
    return StainingKind(
        Staining.HER2_IHC, "hematoxylin, with or without DAB outside the nuclei", numbers
    )


def describe_nuclear(nuclear: NuclearDab) -> str:
    """Say in a sentence why the DAB is nuclear."""
    return (
        f"{nuclear.nuclear_frac:.0%} of the DAB lies in {nuclear.n_nuclei} brown nuclei "
        "(ER, PR, Ki-67 or another nuclear marker): not a HER2 stain"
    )


def measure_hues(hued: NDArray[np.float32], weights: NDArray[np.float32]) -> dict[str, float]:
    """Return shares of hues, weighted by OD, and the median chroma.

    Parameters
    ----------
    hued : ndarray of shape (K, 3), float32
        OD.
    weights : ndarray of shape (K,), float32
    """
    red, green, blue = hued.T
    total = np.maximum(weights, 1e-3)
    over = (green - np.maximum(red, blue)) / total
    under = (green - np.minimum(red, blue)) / total
    has_little_red = (red - blue) / total < MAX_PINK_RED
    is_pink = (over > SURELY_PINK) | ((over > PINK) & has_little_red)
    weight_sum = float(weights.sum())
    highest, lowest = (limit(hued[:, None])[:, 0] for limit in (channel_max, channel_min))
    chroma = (highest - lowest) * 3.0 / total
    # Both outer channels must exceed green, so that DAB and hematoxylin never count.
    return {
        "pink_frac": float(weights[is_pink].sum()) / weight_sum,
        "green_frac": float(weights[under < GREEN].sum()) / weight_sum,
        "brown_frac": float(weights[(blue > red) & ~is_pink].sum()) / weight_sum,
        "chroma": float(np.median(chroma)),
    }


def field_od(rgb: NDArray[np.uint8], mpp: float, white_point: WhitePoint) -> NDArray[np.float32]:
    """Optical density at about 0.5 µm/px or coarser, smoothed a little against camera noise."""
    step = max(1, round(0.5 / mpp))
    if step > 1 and min(rgb.shape[:2]) > step:
        size = (rgb.shape[1] // step, rgb.shape[0] // step)
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    od = np.maximum(optical_density(rgb, white_point), np.float32(-0.05))
    return cv2.GaussianBlur(od, (0, 0), 0.8)


def smooth_mean(od: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    """Mean of the channels, smoothed over about 2 µm."""
    return cv2.GaussianBlur(
        cv2.transform(od, CHANNEL_MEAN[None]), (0, 0), max(1.0 / max(mpp, 0.5), 0.5)
    )


def mean_over(
    fields: Sequence[NDArray[np.uint8]], test: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]
) -> float:
    """Share of pixels of all fields for which `test` holds."""
    hits = sum(int(np.count_nonzero(test(rgb))) for rgb in fields)
    return hits / sum(rgb.shape[0] * rgb.shape[1] for rgb in fields)
