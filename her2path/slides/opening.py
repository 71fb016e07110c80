"""Choose the reader of a slide, in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from her2path.errors import SlideError, SlideMemoryError
from her2path.geometry import Mpp
from her2path.slides.color import Icc, in_srgb
from her2path.slides.magic import DICOM_MAGIC, DICOM_MAGIC_AT, JPEG_MAGIC, PNG_MAGIC, TIFF_MAGICS
from her2path.slides.mpp import as_mpp, require_mpp
from her2path.slides.remedies import remedy_for
from her2path.slides.slide import OpenedSlide, Slide
from her2path.slides.tiff_chain import check_chain, series_of

__all__ = ["BACKENDS", "open_slide", "require_mpp"]

logger = logging.getLogger(__name__)

Opener = Callable[[Path, Mpp | None], OpenedSlide]


# Libraries are loaded when a file needs them: `import her2path.slides` stays light.
def _jpeg_tiff(path: Path, given: Mpp | None) -> OpenedSlide:
    from her2path.slides.jpeg_tiff_backend import open_jpeg_tiff

    return open_jpeg_tiff(path, given)


def _openslide(path: Path, given: Mpp | None) -> OpenedSlide:
    from her2path.slides.openslide_backend import open_with_openslide

    return open_with_openslide(path, given)


def _tifffile(path: Path, given: Mpp | None) -> OpenedSlide:
    from her2path.slides.tifffile_backend import open_with_tifffile

    return open_with_tifffile(path, given)


def _wsidicom(path: Path, given: Mpp | None) -> OpenedSlide:
    from her2path.slides.wsidicom_backend import open_with_wsidicom

    return open_with_wsidicom(path, given)


def _image(path: Path, given: Mpp | None) -> OpenedSlide:
    from her2path.slides.image_backend import open_image

    return open_image(path, given)


BACKENDS: Mapping[str, Opener] = MappingProxyType(
    {
        "jpeg-tiff": _jpeg_tiff,
        "openslide": _openslide,
        "tifffile": _tifffile,
        "wsidicom": _wsidicom,
        "image": _image,
    }
)

# OME-TIFF keeps µm/px and levels where OpenSlide does not look.
ORDER_OME = ("jpeg-tiff", "tifffile", "openslide", "image")
# A plain TIFF is decoded once by `image`; only one too large for that goes on to tifffile.
ORDER_TIFF = ("jpeg-tiff", "openslide", "image", "tifffile")
ORDER_DICOM = ("openslide", "wsidicom")
ORDER_FIELD = ("image",)
ORDER_OTHER = ("openslide",)

HEAD_BYTES = 4096

# What is wrong with a file is said by the error; tifffile's log lines would repeat it in pieces.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def open_slide(
    path: str | Path,
    *,
    mpp: float | Mpp | None = None,
    backend: str = "auto",
    icc: Icc = Icc.OFF,
) -> Slide:
    """Open a slide or a plain field with the first reader that understands it.

    Parameters
    ----------
    path : str or Path
        Any whole-slide format, or a PNG, JPEG or TIFF field. For MRXS and VMS the index file,
        for DICOM one file of the folder.
    mpp : float or Mpp, optional
        µm/px at level 0; wins over metadata. Checked here; metadata is checked by `require_mpp`,
        so that a slide without µm/px can still be looked at.
    backend : str
        "auto", or one of `BACKENDS`.
    icc : Icc
        Whether colors are brought to sRGB by the profile of the file, where it has one.

    Raises
    ------
    SlideError
        No reader understands the file; the message says what to do, then lists each reader with
        its reason. Or the color profile that is to be applied cannot be used.
    MppError
        The given µm/px is absurd.
    """
    path = Path(path)
    given = None if mpp is None else as_mpp(mpp)
    if backend != "auto" and backend not in BACKENDS:
        raise SlideError(f"no backend {backend!r}; choose auto or one of {', '.join(BACKENDS)}.")
    head = _head(path)
    if path.suffix.lower() == ".vsi":
        raise SlideError(_vsi_refusal(path))
    reasons, is_short = [], False
    for name in _order(path, head) if backend == "auto" else (backend,):
        try:
            slide = BACKENDS[name](path, given)
        except ImportError as error:
            reasons.append(f"{name}: its library is missing ({error})")
        except OSError as error:  # SlideError is one
            reasons.append(f"{name}: {str(error).rstrip('.')}")
            is_short |= isinstance(error, SlideMemoryError)
        else:
            logger.debug("%s opened by %s", path.name, name)
            return slide if icc is Icc.OFF else _with_srgb(slide)
    if is_short:
        raise SlideMemoryError(f"{path}: memory ran out ({'; '.join(reasons)}).")
    raise SlideError(
        f"{path}: no reader understands it: {remedy_for(path, head)} ({'; '.join(reasons)})."
    )


def _with_srgb(slide: OpenedSlide) -> Slide:
    try:
        return in_srgb(slide)
    except SlideError as error:
        slide.close()
        raise SlideError(f"{slide.path}: {error}.") from error


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise SlideError(
                f"{path} is a folder; name the slide inside it (one file of a DICOM slide, the "
                ".mrxs or .vms index beside its data)."
            )
        if path.exists() and not path.is_file():
            # Reading a pipe or a device would wait forever.
            raise SlideError(f"{path} is a pipe or a device; name a file.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except SlideError:
        raise
    except FileNotFoundError as error:
        raise SlideError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise SlideError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SlideError(f"{str(path)!r} is no path ({error}); check it.") from error
    if not head:
        raise SlideError(f"{path} is empty; copy it from the scanner again.")
    return head


def _order(path: Path, head: bytes) -> tuple[str, ...]:
    """Return the readers to try, by what the file's first bytes say."""
    if head.startswith((JPEG_MAGIC, PNG_MAGIC)):
        return ORDER_FIELD
    if head[DICOM_MAGIC_AT:].startswith(DICOM_MAGIC):
        return ORDER_DICOM
    if not head.startswith(TIFF_MAGICS):
        return ORDER_OTHER
    # Large NDPI files keep half of each pointer elsewhere.
    if path.suffix.lower() != ".ndpi":
        check_chain(path)
    return ORDER_OME if _has_hidden_levels(path) else ORDER_TIFF


def _has_hidden_levels(path: Path) -> bool:
    """Return whether a TIFF is OME or hangs its levels below the first page.

    Raises
    ------
    SlideError
        If it is OME, and not all of its picture lies in this file: a reader that passes over
        OME-XML would take a part for the whole.
    """
    import tifffile

    from her2path.slides.limits import FORMAT_FAULTS

    is_hidden = False
    try:
        with tifffile.TiffFile(path) as tif:
            is_hidden = bool(tif.is_ome or tif.pages.first.subifds)
            if tif.is_ome:
                series_of(tif)
    except SlideError as error:
        raise SlideError(f"{path}: {error}") from error
    except FORMAT_FAULTS:
        # The readers say what is wrong with it.
        pass
    return is_hidden


def _vsi_refusal(path: Path) -> str:
    data = path.with_name(f"_{path.stem}_")
    state = (
        f"its pixels are in {data.name}/*.ets, which no reader here understands"
        if data.is_dir()
        else f"its data folder {data.name} is missing, so it holds only a preview"
    )
    return (
        f"{path}: an Olympus VSI file; {state}. Convert it, with its folder, to OME-TIFF "
        "(Bio-Formats bfconvert or QuPath) and open that."
    )
