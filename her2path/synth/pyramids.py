"""Write slides tile by tile: an SVS as Aperio's scanners make it, an OME-TIFF, or DICOM."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import imagecodecs
import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from her2path.geometry import Region
from her2path.results.atomic import PREFIX, atomic_path
from her2path.synth.color_profile import profile_undoing
from her2path.synth.dicom import level_path, write_dicom
from her2path.synth.laboratory import Laboratory
from her2path.synth.naming import ascii_name
from her2path.synth.optics import jpeg2000_level

__all__ = ["SQUARE_PX", "PyramidWriter"]

TILE_PX = 256
# Pixels are drawn in squares of this side; four levels of a quarter each fit into it.
SQUARE_PX = 1024
STEP = 4
# A level smaller than this on its shorter side is of no use.
LEAST_LEVEL_PX = 256
MAX_LOWER_LEVELS = 4
THUMBNAIL_PX = 512
# Up to this quality JPEG of the noisiest picture takes less than two bytes per pixel.
MOST_OF_TWO_BYTES = 95


@dataclass(frozen=True, slots=True)
class RawLevel:
    """Pixels of a level in a file, of which only the rows in use are in memory."""

    path: Path
    width: int
    height: int

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Return the rows from `top` to `bottom` or the last, to read and to write."""
        row_bytes = 3 * self.width
        bottom = min(bottom, self.height)
        if not self.path.exists():
            with self.path.open("wb") as file:
                file.truncate(self.height * row_bytes)
        if bottom <= top:
            return np.zeros((0, self.width, 3), np.uint8)
        return np.memmap(
            self.path,
            dtype=np.uint8,
            mode="r+",
            offset=top * row_bytes,
            shape=(bottom - top, self.width, 3),
        )


@dataclass(frozen=True, slots=True)
class PyramidWriter:
    """A slide file to be written.

    Attributes
    ----------
    width, height : int
        Level 0, px.
    laboratory : Laboratory
        Gives µm/px and compression.
    slide_id : str
        Goes into the description; as ASCII into that of an SVS.
    drawn_as : str
        What tells the slide from others of that name, for the unique identifiers of DICOM.
    with_profile : bool
        Whether a color profile that undoes the laboratory's gamma is written.
    """

    width: int
    height: int
    laboratory: Laboratory
    slide_id: str
    drawn_as: str = ""
    with_profile: bool = False

    @property
    def profile(self) -> bytes | None:
        """The color profile to write."""
        return profile_undoing(self.laboratory.gamma) if self.with_profile else None

    def write(self, path: Path, draw: Callable[[Region], NDArray[np.uint8]]) -> None:
        """Write the slide; the suffix decides: ``.svs``, ``.ome.tif`` / ``.ome.tiff``, ``.dcm``.

        DICOM keeps each level in a file of its own: the lower ones lie beside it, named as
        `dicom.level_path` says.

        Parameters
        ----------
        path : Path
            File to write.
        draw : callable
            Gives the pixels of a region of level 0.
        """
        with (
            atomic_path(path) as temporary,
            tempfile.TemporaryDirectory(dir=path.parent, prefix=PREFIX) as folder,
        ):
            lower = self._lower_levels(Path(folder))
            if path.name.endswith((".ome.tif", ".ome.tiff")):
                self._write_ome(temporary, draw, lower)
            elif path.name.endswith(".dcm"):
                self._write_dicom(temporary, path, draw, lower)
            else:
                self._write_svs(temporary, draw, lower)

    @property
    def lower_sizes(self) -> list[tuple[int, int]]:
        """Width and height of each lower level, px."""
        sizes: list[tuple[int, int]] = []
        width, height = self.width // STEP, self.height // STEP
        while min(width, height) >= LEAST_LEVEL_PX and len(sizes) < MAX_LOWER_LEVELS:
            sizes.append((width, height))
            width, height = width // STEP, height // STEP
        return sizes

    def level_files(self, path: Path) -> list[Path]:
        """Return the files of the lower levels, where they are files of their own."""
        if not path.name.endswith(".dcm"):
            return []
        return [level_path(path, k) for k in range(1, len(self.lower_sizes) + 1)]

    def _lower_levels(self, folder: Path) -> list[RawLevel]:
        """Plan the lower levels, on disk: a large slide's do not fit in memory."""
        return [RawLevel(folder / f"level{k}", *size) for k, size in enumerate(self.lower_sizes, 1)]

    def _base_tiles(
        self,
        draw: Callable[[Region], NDArray[np.uint8]],
        lower: list[RawLevel],
    ) -> Iterator[bytes]:
        """Draw level 0 square by square, fill the next level, yield encoded tiles row by row."""
        for top in range(0, self.height, SQUARE_PX):
            rows: list[list[bytes]] = [[] for _ in range(SQUARE_PX // TILE_PX)]
            bottom = min(self.height, top + SQUARE_PX)
            below = lower[0].rows(top // STEP, bottom // STEP) if lower else None
            for left in range(0, self.width, SQUARE_PX):
                right = min(self.width, left + SQUARE_PX)
                rgb = draw(Region(left, top, right - left, bottom - top))
                if below is not None:
                    _shrink_into(below, rgb, left // STEP)
                for k, row in enumerate(rows):
                    if top + k * TILE_PX < bottom:
                        band = rgb[k * TILE_PX : (k + 1) * TILE_PX]
                        row.extend(self._encoded(band))
            for row in rows:
                yield from row

    def _encoded(self, band: NDArray[np.uint8]) -> Iterator[bytes]:
        for left in range(0, band.shape[1], TILE_PX):
            yield self._encode(band[:, left : left + TILE_PX])

    def _encode(self, rgb: NDArray[np.uint8]) -> bytes:
        short_r, short_c = TILE_PX - rgb.shape[0], TILE_PX - rgb.shape[1]
        if short_r or short_c:
            rgb = np.pad(rgb, ((0, short_r), (0, short_c), (0, 0)), mode="edge")
        rgb = np.ascontiguousarray(rgb)
        samples = rgb.reshape(-1)
        # Each sample is as that of the pixel before: one colour.
        if np.array_equal(samples[3:], samples[:-3]):
            red, green, blue = samples[:3].tolist()
            return flat_tile((red, green, blue), self.laboratory)
        return encode_tile(rgb, self.laboratory)

    def _level_tiles(self, level: RawLevel) -> Iterator[bytes]:
        for top in range(0, level.height, TILE_PX):
            yield from self._encoded(level.rows(top, top + TILE_PX))

    def _is_big(self) -> bool:
        """Whether the file may outgrow the 4 GB of a TIFF, at its worst and with its levels."""
        lab = self.laboratory
        is_small = lab.compression == "jpeg" and lab.quality <= MOST_OF_TWO_BYTES
        worst_bytes = 2 if is_small else 3
        return worst_bytes * self.width * self.height > 4_000_000_000

    def _tiff_options(self) -> dict[str, object]:
        um = self.laboratory.mpp
        common: dict[str, object] = {
            "dtype": np.uint8,
            "tile": (TILE_PX, TILE_PX),
            "resolution": (1e4 / um, 1e4 / um),
            "resolutionunit": "CENTIMETER",
            "software": False,
            "metadata": None,
            "iccprofile": self.profile,
        }
        if self.laboratory.compression == "jpeg2000":
            return {**common, "compression": "APERIO_JP2000_RGB", "photometric": "RGB"}
        return {
            **common,
            "compression": "JPEG",
            "photometric": "YCBCR",
            "subsampling": (2, 1),
        }

    def _write_svs(
        self,
        path: Path,
        draw: Callable[[Region], NDArray[np.uint8]],
        lower: list[RawLevel],
    ) -> None:
        options = self._tiff_options()
        with tifffile.TiffWriter(path, bigtiff=self._is_big()) as tiff:
            tiff.write(
                self._base_tiles(draw, lower),
                shape=(self.height, self.width, 3),
                description=self._aperio(self.width, self.height),
                subfiletype=0,
                **options,
            )
            self._fill(lower)
            smallest = lower[-1] if lower else None
            if smallest is not None:
                tiff.write(
                    _thumbnail(smallest.rows(0, smallest.height)),
                    photometric="RGB",
                    compression="JPEG",
                    compressionargs={"level": 85},
                    rowsperstrip=16,
                    description=self._aperio(self.width, self.height),
                    software=False,
                    metadata=None,
                    subfiletype=0,
                )
            for level in lower:
                tiff.write(
                    self._level_tiles(level),
                    shape=(level.height, level.width, 3),
                    description=self._aperio(level.width, level.height),
                    subfiletype=0,
                    **options,
                )

    def _write_ome(
        self,
        path: Path,
        draw: Callable[[Region], NDArray[np.uint8]],
        lower: list[RawLevel],
    ) -> None:
        options = {**self._tiff_options(), "metadata": None}
        um = self.laboratory.mpp
        name = escape(self.slide_id, {'"': "&quot;"})
        xml = _OME.format(id=name, width=self.width, height=self.height, mpp=um)
        with tifffile.TiffWriter(path, bigtiff=self._is_big()) as tiff:
            tiff.write(
                self._base_tiles(draw, lower),
                shape=(self.height, self.width, 3),
                subifds=len(lower),
                description=xml.encode("utf-8"),
                **options,
            )
            self._fill(lower)
            for level in lower:
                tiff.write(
                    self._level_tiles(level),
                    shape=(level.height, level.width, 3),
                    subfiletype=1,
                    **options,
                )

    def _write_dicom(
        self,
        temporary: Path,
        path: Path,
        draw: Callable[[Region], NDArray[np.uint8]],
        lower: list[RawLevel],
    ) -> None:
        """Write level 0 to `temporary`, and the lower levels beside `path`."""
        self._dicom_level(temporary, self._base_tiles(draw, lower), self.width, self.height, 0)
        self._fill(lower)
        for k, pixels in enumerate(lower, start=1):
            with atomic_path(level_path(path, k)) as beside:
                tiles = self._level_tiles(pixels)
                self._dicom_level(beside, tiles, pixels.width, pixels.height, k)
        # A larger slide of that name may have had more levels.
        for k in range(len(lower) + 1, MAX_LOWER_LEVELS + 1):
            level_path(path, k).unlink(missing_ok=True)

    def _dicom_level(
        self, path: Path, tiles: Iterator[bytes], width: int, height: int, level: int
    ) -> None:
        write_dicom(
            path,
            tiles,
            width=width,
            height=height,
            tile_px=TILE_PX,
            laboratory=self.laboratory,
            slide_id=self.slide_id,
            drawn_as=self.drawn_as,
            level=level,
            downsample=STEP**level,
            profile=self.profile,
        )

    def _fill(self, lower: list[RawLevel]) -> None:
        """Make each level but the first from the one above it."""
        for above, level in itertools.pairwise(lower):
            for top in range(0, level.height, SQUARE_PX // STEP):
                bottom = top + SQUARE_PX // STEP
                band = above.rows(top * STEP, bottom * STEP)
                _shrink_into(level.rows(top, bottom), band, 0)

    def _aperio(self, width: int, height: int) -> str:
        mpp = self.laboratory.mpp
        power = 40 if mpp < 0.375 else 20
        return (
            "Aperio Image Library v12.0.15\r\n"
            f"{self.width}x{self.height} [0,0 {width}x{height}] ({TILE_PX}x{TILE_PX}) "
            f"{compression_words(self.laboratory)}"
            f"|AppMag = {power}|MPP = {mpp:.4f}"
            f"|Filename = {ascii_name(self.slide_id)}|Title = synthetic"
        )


_OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
    'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
    '<Image ID="Image:0" Name="{id}"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
    'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1" Interleaved="true" '
    'PhysicalSizeX="{mpp}" PhysicalSizeXUnit="µm" PhysicalSizeY="{mpp}" PhysicalSizeYUnit="µm">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/>'
    "</Pixels></Image></OME>"
)


def jpeg_quality(laboratory: Laboratory) -> int:
    """Return the quality of JPEG tiles: 100 where the laboratory does not compress."""
    return laboratory.quality if laboratory.compression == "jpeg" else 100


def compression_words(laboratory: Laboratory) -> str:
    """Return how tiles are compressed, as scanners write it."""
    if laboratory.compression == "jpeg2000":
        return f"J2K/RGB Q={laboratory.quality}"
    return f"JPEG/RGB Q={jpeg_quality(laboratory)}"


def encode_tile(rgb: NDArray[np.uint8], laboratory: Laboratory) -> bytes:
    """Return a tile as the laboratory compresses it."""
    if laboratory.compression == "jpeg2000":
        level = jpeg2000_level(laboratory.quality)
        return bytes(imagecodecs.jpeg2k_encode(rgb, level=level, codecformat="J2K", mct=False))
    return bytes(
        simplejpeg.encode_jpeg(
            rgb, quality=jpeg_quality(laboratory), colorspace="RGB", colorsubsampling="422"
        )
    )


# Most of a large slide is glass that was not scanned: one tile, a hundred thousand times.
@lru_cache(maxsize=8)
def flat_tile(colour: tuple[int, int, int], laboratory: Laboratory) -> bytes:
    """Return a tile of one colour, compressed."""
    return encode_tile(np.full((TILE_PX, TILE_PX, 3), colour, np.uint8), laboratory)


def _shrink_into(level: NDArray[np.uint8], rgb: NDArray[np.uint8], left: int) -> None:
    """Write a quarter-size copy of a piece into rows of a level; what is left over is dropped."""
    height = min(rgb.shape[0] // STEP, level.shape[0])
    width = min(rgb.shape[1] // STEP, level.shape[1] - left)
    if height <= 0 or width <= 0:
        return
    whole = np.ascontiguousarray(rgb[: height * STEP, : width * STEP])
    level[:height, left : left + width] = cv2.resize(
        whole, (width, height), interpolation=cv2.INTER_AREA
    )


def _thumbnail(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, THUMBNAIL_PX / max(level.shape[:2]))
    size = (max(1, round(level.shape[1] * scale)), max(1, round(level.shape[0] * scale)))
    shrunk: NDArray[np.uint8] = cv2.resize(
        np.ascontiguousarray(level), size, interpolation=cv2.INTER_AREA
    )
    return shrunk
