"""Colors as the scanner wrote them, or brought to sRGB by the profile (ICC) in the file."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from her2path.errors import SlideError
from her2path.geometry import Location
from her2path.slides.limits import FORMAT_FAULTS
from her2path.slides.slide import OpenedSlide, Slide

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

__all__ = ["Icc", "SrgbSlide", "has_srgb_colors", "in_srgb"]

RGB = "RGB"
REMEDY = "read the colors as they are (--icc off)"


class Icc(StrEnum):
    """Whether the color profile of a file is applied before anything is measured."""

    OFF = "off"
    SRGB = "srgb"

    @classmethod
    def of(cls, *, is_srgb: bool) -> Icc:
        """Return what gives pixels in sRGB, or as they were scanned."""
        return cls.SRGB if is_srgb else cls.OFF


class SrgbSlide(OpenedSlide):
    """A slide whose pixels are brought to sRGB; everything else is that of the slide behind."""

    def __init__(self, behind: OpenedSlide, to_srgb: ImageCmsTransform) -> None:
        super().__init__(behind.facts)
        self._behind = behind
        self._to_srgb = to_srgb

    def icc_profile(self) -> bytes | None:
        """Return the profile of the file, which these pixels no longer need."""
        return self._behind.icc_profile()

    def _read_into(self, level: int, corner: Location, rgb: NDArray[np.uint8]) -> None:
        from PIL import Image, ImageCms

        self._behind._read_into(level, corner, rgb)
        scanned = Image.fromarray(np.ascontiguousarray(rgb))
        rgb[...] = np.asarray(ImageCms.applyTransform(scanned, self._to_srgb))

    def _release(self) -> None:
        self._behind.close()


def in_srgb(slide: OpenedSlide) -> OpenedSlide:
    """Return a slide with its colors in sRGB; itself where its file has no profile.

    The rendering intent is the one that the profile names. White stays white: intents that a
    scanner names relate to its own white point.

    Raises
    ------
    SlideError
        The profile is damaged, or not one of RGB.
    """
    profile = slide.icc_profile()
    return slide if profile is None else SrgbSlide(slide, transform_of(profile))


def transform_of(profile: bytes) -> ImageCmsTransform:
    """Return what turns RGB of a profile into sRGB.

    Raises
    ------
    SlideError
        It is damaged, or not one of RGB.
    """
    from PIL import ImageCms

    try:
        scanned = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = scanned.profile.xcolor_space.strip()
        if space != RGB:
            raise SlideError(f"its color profile is one of {space}, not of RGB; {REMEDY}")
        return ImageCms.buildTransform(
            scanned,
            ImageCms.createProfile("sRGB"),
            RGB,
            RGB,
            renderingIntent=ImageCms.Intent(ImageCms.getDefaultIntent(scanned)),
        )
    except (ImageCms.PyCMSError, *FORMAT_FAULTS) as error:
        if isinstance(error, SlideError):
            raise
        raise SlideError(f"its color profile cannot be used ({error}); {REMEDY}") from error


def has_srgb_colors(slide: Slide) -> bool:
    """Whether the profile of a slide was applied to its pixels."""
    return isinstance(slide, SrgbSlide)
