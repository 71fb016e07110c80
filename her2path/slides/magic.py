"""The first bytes of the formats that are told apart before a reader is chosen."""

__all__ = ["DICOM_MAGIC", "DICOM_MAGIC_AT", "JPEG_MAGIC", "PNG_MAGIC", "TIFF_MAGICS"]

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Classic and BigTIFF, little and big endian.
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# After a preamble of any content.
DICOM_MAGIC = b"DICM"
DICOM_MAGIC_AT = 128
