"""What to do about a file that no reader understands: the one remedy that fits it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from her2path.slides.limits import FORMAT_FAULTS
from her2path.slides.magic import JPEG_MAGIC, PNG_MAGIC, TIFF_MAGICS

__all__ = ["INKS", "remedy_for"]

SAVE_AS_PICTURE = "save the picture as PNG or TIFF and give its µm/px with --mpp"
SAVE_AS_RGB = "8-bit RGB is needed: convert it, in the program that made it or in ImageJ"
GENERAL = (
    "if a viewer shows it, export it as OME-TIFF or DICOM; else copy it from the scanner again"
)
# Names by which a plain picture goes, whatever it holds.
PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".heic", ".avif", ".jp2"}
)
# Index files of slides are text, and OpenSlide says what is wrong with them.
TEXT_INDEXES = frozenset({".vms", ".vmu", ".mrxs"})
# Format, where its mark stands in the file, and the mark.
OTHER_PICTURES = (
    ("BMP", 0, b"BM"),
    ("GIF", 0, b"GIF8"),
    ("WebP", 8, b"WEBP"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftypmif1"),
    ("AVIF", 4, b"ftypavif"),
    ("JPEG 2000", 4, b"jP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 4, b"JXL "),
)
PNG_BIT_DEPTH_AT = 24
# The head of a JPEG, with what programs write before its colors.
JPEG_HEAD_BYTES = 2**20
# Colour spaces of a JPEG of four inks.
INKS = ("CMYK", "YCCK")


def remedy_for(path: Path, head: bytes) -> str:
    """Return what the file is, as far as that can be told, and what to do about it.

    Parameters
    ----------
    path : Path
        A file that every reader has refused.
    head : bytes
        Its first bytes.
    """
    if head.startswith(TIFF_MAGICS):
        return of_tiff(path)
    if head.startswith(PNG_MAGIC):
        depth = head[PNG_BIT_DEPTH_AT : PNG_BIT_DEPTH_AT + 1]
        return f"it has 16 bits a sample; {SAVE_AS_RGB}" if depth == b"\x10" else again()
    if head.startswith(JPEG_MAGIC):
        return f"a JPEG in CMYK; {SAVE_AS_RGB}" if has_inks(path) else again()
    for name, at, mark in OTHER_PICTURES:
        if head[at:].startswith(mark):
            return f"it is a {name} picture; {SAVE_AS_PICTURE}"
    suffix = path.suffix.lower()
    if suffix not in TEXT_INDEXES and is_text(head):
        what = SAVE_AS_PICTURE if suffix in PICTURE_SUFFIXES else "copy the slide itself again"
        return f"it holds text and no pixels; {what}"
    if suffix in PICTURE_SUFFIXES:
        return f"it is not what its name says, neither PNG, JPEG nor TIFF; {SAVE_AS_PICTURE}"
    return GENERAL


def again() -> str:
    """Return what to do about a PNG or JPEG that is one."""
    return "if a viewer shows it, save it anew as PNG or TIFF; else copy it again"


def has_inks(path: Path) -> bool:
    """Return whether a JPEG holds cyan, magenta, yellow and black."""
    import simplejpeg

    try:
        with path.open("rb") as file:
            return simplejpeg.decode_jpeg_header(file.read(JPEG_HEAD_BYTES))[2] in INKS
    except FORMAT_FAULTS:
        return False


def is_text(head: bytes) -> bool:
    """Return whether bytes are text in UTF-8, but perhaps for a letter that is cut off."""
    text = head.decode("utf-8", "replace").rstrip("\ufffd")
    return all(sign.isprintable() or sign in "\r\n\t\f" for sign in text) and "\ufffd" not in text


def of_tiff(path: Path) -> str:
    """Return the remedy for a TIFF: most are not 8-bit RGB."""
    import tifffile

    from her2path.slides.tiff_chain import series_of

    try:
        with tifffile.TiffFile(path) as tif:
            page, series = tif.pages.first, series_of(tif)[0]
            photometric = page.photometric.name
            axes, n_pages = series.axes, len(series.pages)
            n_bits = 1 if page.dtype == bool else 8 * page.dtype.itemsize
            is_float = np.issubdtype(page.dtype, np.floating)
    except FORMAT_FAULTS:
        return GENERAL
    if page.dtype != np.uint8:
        kind = "floating-point" if is_float else f"{n_bits}-bit"
        return f"it has {kind} samples; {SAVE_AS_RGB}"
    if photometric in ("SEPARATED", "CIELAB", "ICCLAB", "ITULAB", "LOGLUV"):
        kind = "CMYK" if photometric == "SEPARATED" else photometric
        return f"its colors are {kind}; {SAVE_AS_RGB}"
    if axes not in ("YX", "YXS", "SYX", "CYX"):
        return f"it is a stack of {n_pages} pictures; save the one to be scored alone, as 8-bit RGB"
    if axes == "CYX" and series.shape[0] not in (1, 3):
        return f"it has {series.shape[0]} channels; {SAVE_AS_RGB}"
    return GENERAL
