"""Files that ask for more than they hold, or mean another file: refused in words, and at once."""

import io
import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from her2path.errors import SlideError
from her2path.geometry import Location, Size
from her2path.slides import open_slide
from her2path.slides.companions import in_series
from her2path.slides.limits import MAX_SCANS, check_levels
from her2path.slides.reading import read_overview
from her2path.slides.tiff_chain import n_planes

OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="I:0">'
    '<Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="3" '
    'SizeZ="{z}" SizeT="1">{channels}</Pixels></Image></OME>'
)


def write_planes(folder: Path) -> list[Path]:
    """Write red, green and blue as OME-TIFF of one plane each that name one another."""
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{k}" for k in range(3)]
    channels = "".join(f'<Channel ID="c{k}"/>' for k in range(3)) + "".join(
        f'<TiffData IFD="0" FirstC="{k}" PlaneCount="1">'
        f'<UUID FileName="p{k}.ome.tif">{uuids[k]}</UUID></TiffData>'
        for k in range(3)
    )
    paths = [folder / f"p{k}.ome.tif" for k in range(3)]
    for k, path in enumerate(paths):
        xml = OME.format(uuid=uuids[k], z=1, channels=channels).encode()
        plane = np.full((64, 64), 60 * k, np.uint8)
        tifffile.imwrite(path, plane, photometric="minisblack", description=xml, metadata=None)
    return paths


def test_a_picture_in_several_files_is_no_slide(tmp_path: Path):
    for path in write_planes(tmp_path):
        with pytest.raises(SlideError, match="spread over several files"):
            open_slide(path, mpp=0.25)


def test_planes_that_no_file_holds_are_not_made_room_for(tmp_path: Path):
    path = tmp_path / "deep.ome.tif"
    xml = OME.format(uuid="urn:u", z=300_000_000, channels='<Channel ID="c" SamplesPerPixel="3"/>')
    pixels = np.zeros((64, 64, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", description=xml.encode(), metadata=None)
    with pytest.raises(SlideError, match="claims more than"):
        open_slide(path, mpp=0.25)
    assert n_planes(xml) == 900_000_000
    for wrong in ("many", "-1", "0"):
        assert n_planes(xml.replace("300000000", wrong)) == float("inf")
    assert n_planes("<OME") == 0


@pytest.mark.parametrize("suffix", [".ome.tif", ".tif"])
def test_a_block_that_unpacks_to_more_than_it_stands_for_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"block{suffix}"
    stream = imagecodecs.jpeg2k_encode(np.zeros((900, 900, 3), np.uint8), codecformat="j2k")
    is_ome = suffix != ".tif"
    with tifffile.TiffWriter(path, ome=is_ome) as tif:
        tif.write(
            iter([stream] * 4), shape=(512, 512, 3), dtype="uint8", tile=(256, 256),
            compression="jpeg2000", photometric="rgb", metadata={"axes": "YXS"} if is_ome else None,
        )  # fmt: skip
    with (
        open_slide(path, mpp=0.25, backend="tifffile") as slide,
        pytest.raises(SlideError, match="900 × 900 px where the TIFF says 256 × 256"),
    ):
        slide.read_region(Location(0, 0), 0, Size(64, 64))


def test_honest_jpeg_2000_is_read(tmp_path: Path):
    path = tmp_path / "honest.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 280, 3), np.uint8)
    tifffile.imwrite(
        path, pixels, tile=(128, 128), compression="jpeg2000", photometric="rgb",
        metadata={"axes": "YXS"}, compressionargs={"level": 0},
    )  # fmt: skip
    with open_slide(path, mpp=0.25, backend="tifffile") as slide:
        assert np.array_equal(slide.read_region(Location(0, 0), 0, Size(280, 300)), pixels)


def png_head(width: int, height: int, n_bits: int, color: int) -> bytes:
    """Return a PNG without pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, n_bits, color, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + end


@pytest.mark.parametrize(
    ("head", "words"),
    [((9000, 9000, 16, 2), "samples of 16 bits"), ((19_990, 19_990, 8, 6), "more than 214 MP")],
)
def test_what_a_png_would_take_is_read_from_its_head(tmp_path: Path, head, words: str):
    path = tmp_path / "large.png"
    path.write_bytes(png_head(*head))
    with pytest.raises(SlideError, match=words):
        open_slide(path, mpp=0.25)


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path):
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    path = tmp_path / "scans.jpg"
    path.write_bytes(data)
    open_slide(path, mpp=0.25).close()
    path.write_bytes(data[:-2] + last * MAX_SCANS + data[-2:])
    with pytest.raises(SlideError, match="scans, more than 100"):
        open_slide(path, mpp=0.25)


def test_a_level_larger_than_any_glass_is_refused():
    with pytest.raises(SlideError, match="more than any glass slide"):
        check_levels([Size(2**21, 2**20)])
    check_levels([Size(1_500_000, 520_000)])


def test_pictures_without_small_levels_are_averaged_in_minutes_or_not_at_all(monkeypatch, tmp_path):
    path = tmp_path / "flat.tif"
    pixels = np.full((600, 600, 3), 200, np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
    with open_slide(path, mpp=0.25) as slide:
        read_overview(slide)
        monkeypatch.setattr("her2path.slides.reading.MOST_AVERAGED_PX", 600 * 600 - 1)
        with pytest.raises(SlideError, match="no small levels"):
            read_overview(slide)


def test_a_damaged_table_of_colors_is_told(tmp_path: Path):
    path = tmp_path / "palette.tif"
    colors = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), photometric="palette", colormap=colors)
    open_slide(path, mpp=0.25).close()
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages.first.tags["ColorMap"]
        at = tag.offset + 4
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, at, 3)
    path.write_bytes(data)
    with pytest.raises(SlideError):
        open_slide(path, mpp=0.25)


@pytest.mark.skipif(os.name != "posix", reason="there are no named pipes elsewhere")
def test_a_pipe_among_the_files_of_a_series_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "a.dcm")
    assert not in_series(tmp_path, ".dcm", 0)


def with_tag(path: Path, name: str, page: int = 0, **changed: int) -> None:
    """Change type, count or value of a tag (classic TIFF, little endian) where it stands."""
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[page].aspage().tags[name].offset
    data = bytearray(path.read_bytes())
    for part, (start, code) in {"kind": (2, "<H"), "count": (4, "<I"), "value": (8, "<I")}.items():
        if part in changed:
            struct.pack_into(code, data, at + start, changed[part])
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_a_strip_of_jpeg_that_is_cut_off_is_not_filled_up_with_gray(
    tmp_path: Path, tissue, suffix: str
):
    path = tmp_path / f"strips{suffix}"
    is_ome = suffix != ".tif"
    tifffile.imwrite(
        path, tissue(256, 256), photometric="rgb", compression="jpeg", rowsperstrip=64,
        ome=is_ome, metadata={"axes": "YXS"} if is_ome else None,
    )  # fmt: skip
    with open_slide(path, mpp=0.25) as slide:
        slide.read_region(Location(0, 0), 0, Size(256, 256))
    with tifffile.TiffFile(path) as tif:
        at, count = tif.pages[0].dataoffsets[2], tif.pages[0].databytecounts[2]
    data = bytearray(path.read_bytes())
    data[at + count // 2 : at + count] = bytes(count - count // 2)
    path.write_bytes(data)
    with (
        pytest.raises(SlideError, match="JPEG without an end"),
        open_slide(path, mpp=0.25) as slide,
    ):
        slide.read_region(Location(0, 0), 0, Size(256, 256))


def test_a_block_longer_than_the_file_does_not_end_the_process(write_svs):
    path = write_svs(n_levels=1, compression="zlib", size=(200, 200))
    # One tile: its length stands in the tag itself.
    with_tag(path, "TileByteCounts", value=2**32 - 1)
    with pytest.raises(SlideError, match="openslide: a block of 4294967295 bytes in a file of"):
        open_slide(path, backend="openslide")


def test_very_many_levels_below_the_first_page_are_refused_at_once(tmp_path: Path):
    path = tmp_path / "levels.tif"
    pixels = np.zeros((64, 64, 3), np.uint8)
    with tifffile.TiffWriter(path) as tif:
        tif.write(pixels, photometric="rgb", subifds=1)
        tif.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
    open_slide(path, mpp=0.25).close()
    with_tag(path, "SubIFDs", count=70, value=8)
    with pytest.raises(SlideError, match="more than 64 levels"):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize("name", ["TileByteCounts", "TileOffsets", "ExtraSamples"])
def test_a_tag_of_another_kind_is_a_slide_error(tmp_path: Path, name: str):
    path = tmp_path / "kind.tif"
    pixels = np.zeros((100, 100, 4), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), extrasamples=["unassalpha"])
    with_tag(path, name, kind=2)
    with (
        pytest.raises(SlideError),
        open_slide(path, mpp=0.25, backend="tifffile") as slide,
    ):
        slide.read_region(Location(0, 0), 0, Size(64, 64))


def test_a_profile_of_another_kind_is_a_slide_error(write_ome):
    path = write_ome(compression="zlib", icc=b"\xff" * 64)
    # Numbers of two bytes instead of bytes.
    with_tag(path, "InterColorProfile", kind=3)
    with open_slide(path) as slide, pytest.raises(SlideError, match="profile is unreadable"):
        slide.icc_profile()


def test_planes_that_are_not_stored_alike_are_refused(tmp_path: Path):
    path = tmp_path / "planes.ome.tif"
    planes = np.zeros((3, 128, 128), np.uint8)
    tifffile.imwrite(
        path, planes, photometric="minisblack", tile=(64, 64), ome=True, metadata={"axes": "CYX"}
    )
    open_slide(path, mpp=0.25).close()
    with_tag(path, "TileWidth", page=1, value=48)
    with pytest.raises(SlideError, match=r"not stored alike|blocks listed"):
        open_slide(path, mpp=0.25, backend="tifffile")


@pytest.mark.parametrize("name", ["a" * 300 + ".svs", "a\0b.svs"])
def test_a_path_that_no_system_takes_is_a_slide_error(tmp_path: Path, name: str):
    with pytest.raises(SlideError, match=r"cannot be read|is no path"):
        open_slide(tmp_path / name)


@pytest.mark.parametrize(
    ("samples", "planar", "most"), [(4, "contig", 214), (3, "separate", 250), (1, None, 375)]
)
def test_what_a_tiff_would_take_is_read_from_its_head(tmp_path: Path, samples, planar, most):
    path = tmp_path / "large.tif"
    pixels = np.zeros((3, 64, 64) if planar == "separate" else (64, 64, samples), np.uint8)
    options = {} if planar is None else {"planarconfig": planar}
    photometric = "minisblack" if samples == 1 else "rgb"
    tifffile.imwrite(path, np.squeeze(pixels), photometric=photometric, metadata=None, **options)
    for name in ("ImageWidth", "ImageLength"):
        with_tag(path, name, value=19_990)
    with pytest.raises(SlideError, match=f"more than {most} MP"):
        open_slide(path, mpp=0.25)
