"""Write a drawn slide as DICOM: one VL Whole Slide Microscopy image for each level."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from her2path.synth.laboratory import Laboratory
from her2path.synth.naming import ascii_name
from her2path.synth.recipe import RecipeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["MAX_DICOM_PX", "check_dicom", "level_path", "write_dicom"]

# The frames of a DICOM file are put together in memory: this is some 600 MB of JPEG.
MAX_DICOM_PX = 2_000_000_000
# Drawn slides have no date: the same seed gives the same bytes.
DATE, TIME = "20000101", "000000"
MM_PER_UM = 1e-3


def level_path(path: Path, level: int) -> Path:
    """Return the file of a level beside that of level 0: ``a.dcm``, ``a_level1.dcm``, ….

    Sorted by name level 0 comes first: it stands for the slide.
    """
    return path.with_name(f"{path.stem}_level{level}{path.suffix}") if level else path


def check_dicom(name: str, width: int, height: int) -> None:
    """Refuse, before anything is drawn, a slide that cannot be written as DICOM.

    Raises
    ------
    RecipeError
        When pydicom is not installed, or the slide is too large.
    """
    if width * height > MAX_DICOM_PX:
        raise RecipeError(
            f"{name}: {width} × {height} px are too many for DICOM (at most "
            f"{MAX_DICOM_PX:,}); write svs or ome.tif"
        )
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise RecipeError(
            "writing DICOM needs pydicom: pip install 'her2path[dicom]', or write svs or ome.tif"
        ) from error


def write_dicom(
    path: Path,
    frames: Iterable[bytes],
    *,
    width: int,
    height: int,
    tile_px: int,
    laboratory: Laboratory,
    slide_id: str,
    drawn_as: str = "",
    level: int = 0,
    downsample: int = 1,
    profile: bytes | None = None,
) -> None:
    """Write encoded tiles, row by row, as the frames of one level.

    All levels of a slide are instances of one series: readers find them by it.

    Parameters
    ----------
    path : Path
        File to write.
    frames : iterable of bytes
        JPEG (4:2:2) or JPEG 2000 (RGB) tiles, as the laboratory compresses.
    width, height : int
        Of the level, px.
    tile_px : int
        Side of a tile.
    laboratory : Laboratory
    slide_id : str
        Goes into names, as ASCII, and into unique identifiers.
    drawn_as : str
        What tells the slide from others of that name: goes into unique identifiers.
    level, downsample : int
        Which level it is, and level-0 px per px of it.
    profile : bytes, optional
        Color profile (ICC).

    Raises
    ------
    RecipeError
        When pydicom is not installed, or the slide is too large.

    References
    ----------
    DICOM PS3.3, A.32.8, VL Whole Slide Microscopy Image IOD.
    """
    check_dicom(slide_id, width, height)
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000, JPEGBaseline8Bit, generate_uid

    packed = list(frames)
    # Of one name, but drawn otherwise: two slides, which no reader may join.
    identity = f"{slide_id}\0{laboratory!r}\0{drawn_as}\0{profile is not None}"
    image = described(
        width, height, tile_px, laboratory.mpp * downsample, level, slide_id, identity
    )
    image.DeviceSerialNumber = ascii_name(laboratory.name)[:64]
    image.NumberOfFrames = len(packed)
    if profile is not None:
        image.OpticalPathSequence[0].ICCProfile = profile
    is_jpeg2000 = laboratory.compression == "jpeg2000"
    image.PhotometricInterpretation = "RGB" if is_jpeg2000 else "YBR_FULL_422"
    image.LossyImageCompressionMethod = "ISO_15444_1" if is_jpeg2000 else "ISO_10918_1"
    plain_bytes = 3 * width * height
    image.LossyImageCompressionRatio = round(plain_bytes / sum(map(len, packed)), 2)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEG2000 if is_jpeg2000 else JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["her2path.synth"])
    image.file_meta = meta
    image.PixelData = encapsulate(packed)
    image["PixelData"].VR = "OB"
    image.save_as(path, enforce_file_format=True)


def described(
    width: int, height: int, tile_px: int, mpp: float, level: int, slide_id: str, identity: str
) -> Dataset:
    """Return everything but the pixels of a level with `mpp` µm/px."""
    from pydicom.dataset import Dataset
    from pydicom.uid import VLWholeSlideMicroscopyImageStorage, generate_uid
    from pydicom.valuerep import DSfloat

    def uid(kind: str) -> str:
        return str(generate_uid(entropy_srcs=["her2path.synth", identity, kind]))

    mm = mpp * MM_PER_UM
    image = Dataset()
    image.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    for name in ("StudyInstance", "SeriesInstance", "FrameOfReference"):
        setattr(image, f"{name}UID", uid(name))
    image.SOPInstanceUID = uid(f"SOPInstance{level or ''}")
    image.Modality = "SM"
    image.ImageType = (
        ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        if level
        else ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    )
    image.StudyDate = image.ContentDate = DATE
    image.StudyTime = image.ContentTime = TIME
    image.AcquisitionDateTime = DATE + TIME
    image.PatientName = image.PatientID = image.ContainerIdentifier = ascii_name(slide_id)[:64]
    image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""
    image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
    image.Manufacturer, image.ManufacturerModelName = "her2path", "synthetic slide"
    image.SoftwareVersions = "her2path"
    image.SeriesNumber, image.InstanceNumber = 1, level + 1
    image.VolumetricProperties, image.BurnedInAnnotation = "VOLUME", "NO"
    image.SpecimenLabelInImage, image.ExtendedDepthOfField = "NO", "NO"
    image.FocusMethod, image.LossyImageCompression = "AUTO", "01"
    image.SamplesPerPixel, image.PlanarConfiguration = 3, 0
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.Rows = image.Columns = tile_px
    image.TotalPixelMatrixColumns, image.TotalPixelMatrixRows = width, height
    image.TotalPixelMatrixFocalPlanes = image.NumberOfOpticalPaths = 1
    image.ImagedVolumeWidth, image.ImagedVolumeHeight = width * mm, height * mm
    image.ImagedVolumeDepth = 4.0
    image.ImageOrientationSlide = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    image.DimensionOrganizationType = "TILED_FULL"
    origin, path, measures, frame_type, shared = (Dataset() for _ in range(5))
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    image.TotalPixelMatrixOriginSequence = [origin]
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [code("414298005", "SCT", "Full Spectrum")]
    image.OpticalPathSequence = [path]
    # A decimal string has at most 16 characters: not all digits of the number may fit.
    spacing = DSfloat(mm, auto_format=True)
    measures.PixelSpacing, measures.SliceThickness = [spacing, spacing], 0.004
    frame_type.FrameType = image.ImageType
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [frame_type]
    image.SharedFunctionalGroupsSequence = [shared]
    image.AcquisitionContextSequence = []
    image.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    return image


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded term."""
    from pydicom.dataset import Dataset

    term = Dataset()
    term.CodeValue, term.CodingSchemeDesignator, term.CodeMeaning = value, scheme, meaning
    return term
